//! Answers as documents whose text the client fetches from the server.

use serde_json::{Value, json};

use crate::questions::actions::{ANSWER, capabilities, choose, same_model, started, warning};
use crate::support::test_options::{TestOptions, braked, rest_of};
use crate::support::test_server::{TestServer, URI, completion_params, texts};

const REFRESH: &str = "workspace/textDocumentContent/refresh";
const SHOWN: &str = "# Explain this function\n\nIt multiplies `width` and `height`.\n\n* one\n* two [x]\n";

/// A client that supports none of this project's extensions, but fetches documents.
fn fetching() -> Value {
    let mut capabilities = capabilities();
    capabilities["experimental"] = Value::Null;
    capabilities["window"] = json!({"showDocument": {"support": true}});
    capabilities["workspace"]["textDocumentContent"] = json!({});
    capabilities
}

fn answering(answer: &'static str) -> TestServer {
    let options = TestOptions::scripted(move |read| rest_of(answer, read));
    started(TestOptions { settings: vec![same_model()], ..options }, &fetching())
}

fn fetch(server: &mut TestServer, uri: &str) -> Value {
    let id = server.request("workspace/textDocumentContent", json!({"uri": uri}));
    server.answer(id)
}

#[test]
fn the_scheme_is_registered_where_documents_are_fetched() {
    let schemes = |capabilities: Value| {
        let mut server = TestServer::start(TestOptions::scripted(|_| String::new()));
        let result = server.initialize(json!({"capabilities": capabilities}));
        server.finish();
        result["capabilities"]["workspace"]["textDocumentContent"]["schemes"].clone()
    };
    assert_eq!(schemes(fetching()), json!(["phi-ls-answer"]));
    // A client that supports `phi-ls/answer` shows answers by itself.
    assert_eq!(schemes(capabilities()), Value::Null);
}

#[test]
fn an_answer_is_opened_at_its_start_and_fetched_while_it_grows() {
    let (options, brake) = braked(ANSWER, usize::MAX);
    let mut server = started(TestOptions { settings: vec![same_model()], ..options }, &fetching());
    let id = choose(&mut server, "Explain this function");
    brake.begun.recv().unwrap();
    let uri = server.shown_text();
    assert!(uri.starts_with("phi-ls-answer:/") && uri.ends_with("/Explain%20this%20function.md"), "{uri}");
    assert_eq!(fetch(&mut server, &uri)["result"]["text"], "# Explain this function\n\n");
    drop(brake);
    server.result(id);
    server.requested(REFRESH);
    assert_eq!(fetch(&mut server, &uri)["result"]["text"], SHOWN);
    let error = &fetch(&mut server, "phi-ls-answer:/4711/x.md")["error"];
    assert_eq!(error["code"], -32602);
    assert!(error["message"].as_str().expect("a message").contains("one of the last 8 answers"), "{error}");
    server.finish();
}

#[test]
fn an_answer_on_screen_is_no_document_to_work_on() {
    let (options, brake) = braked(ANSWER, 0);
    let mut server = started(TestOptions { settings: vec![same_model()], ..options }, &fetching());
    let id = choose(&mut server, "Explain this function");
    server.result(id);
    let uri = server.shown_text();
    server.open(&uri, "markdown", SHOWN);
    let asked = brake.asked.lock().unwrap().len();
    let completion = server.request("textDocument/inlineCompletion", completion_params(&uri, 2, 0));
    assert!(texts(&server.result(completion)).is_empty());
    let place = json!({"line": 2, "character": 0});
    let range = json!({"start": place, "end": place});
    let params = json!({"textDocument": {"uri": uri}, "range": range, "context": {"diagnostics": []}});
    assert_eq!(server.call("textDocument/codeAction", params), json!([]));
    assert_eq!(brake.asked.lock().unwrap().len(), asked);
    server.notify("textDocument/didClose", json!({"textDocument": {"uri": uri}}));
    assert_eq!(fetch(&mut server, &uri)["result"]["text"], SHOWN);
    server.finish();
}

#[test]
fn an_answer_about_a_document_that_is_closed_says_so() {
    let (options, brake) = braked(ANSWER, 1);
    let mut server = started(TestOptions { settings: vec![same_model()], ..options }, &fetching());
    let id = choose(&mut server, "Explain this function");
    brake.begun.recv().unwrap();
    let uri = server.shown_text();
    server.notify("textDocument/didClose", json!({"textDocument": {"uri": URI}}));
    server.result(id);
    let expected = "# Explain this function\n\nthe document was closed in the meantime\n";
    assert_eq!(fetch(&mut server, &uri)["result"]["text"], expected);
    assert!(warning(&mut server).ends_with("the document was closed in the meantime"));
    drop(brake);
    server.finish();
}

#[test]
fn a_client_that_does_not_open_it_gets_a_file() {
    let mut server = answering(ANSWER);
    server.opens_answers = false;
    let id = choose(&mut server, "Explain this function");
    assert!(server.shown_text().starts_with("phi-ls-answer:"));
    assert_eq!(server.shown_text(), SHOWN);
    server.result(id);
    server.finish();
}

#[test]
fn a_rejected_edit_is_a_document_too() {
    let mut server = answering("There is nothing wrong with it.");
    let id = choose(&mut server, "Fix this problem");
    let uri = server.shown_text();
    let text = fetch(&mut server, &uri)["result"]["text"].as_str().expect("a text").to_owned();
    assert!(text.starts_with("# Fix this problem\n\n```\nThere is nothing wrong"), "{text}");
    assert!(warning(&mut server).contains("nothing was changed"));
    server.result(id);
    server.finish();
}

#[test]
fn a_cancelled_answer_keeps_what_was_said_and_old_ones_go() {
    let (options, brake) = braked(ANSWER, 1);
    let mut server = started(TestOptions { settings: vec![same_model()], ..options }, &fetching());
    let id = choose(&mut server, "Explain this function");
    brake.begun.recv().unwrap();
    let uri = server.shown_text();
    server.cancel(id);
    assert_eq!(server.answer(id)["error"]["code"], -32800);
    server.requested(REFRESH);
    assert_eq!(fetch(&mut server, &uri)["result"]["text"], "# Explain this function\n\ncancelled\n");
    drop(brake);
    for _ in 0..8 {
        let id = choose(&mut server, "Explain this function");
        server.result(id);
    }
    assert_eq!(fetch(&mut server, &uri)["error"]["code"], -32602);
    server.finish();
}
