//! Line endings: the model sees `\n`, the editor gets what its document has, and nothing else depends on them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::questions::actions::{TEXT, actions, applied, capabilities, choose, same_model};
use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::{TestServer, URI, completion_params, texts};

const SOURCE: &str = include_str!("../../../src/engine/queue.rs");

/// The texts that a model has read, in order.
type Reads = Arc<Mutex<Vec<String>>>;

/// A server whose model writes `answer`, and the texts that it reads.
fn reading(answer: &'static str) -> (TestServer, Reads) {
    let reads = Reads::default();
    let record = Arc::clone(&reads);
    let server = TestServer::initialized(TestOptions::scripted(move |read| {
        record.lock().unwrap().push(read.to_owned());
        rest_of(answer, read)
    }));
    (server, reads)
}

#[test]
fn a_document_is_read_and_completed_alike_whatever_ends_its_lines() {
    let lines: Vec<&str> = SOURCE.lines().collect();
    let places: Vec<usize> = (1..=20).map(|nth| nth * (lines.len() - 1) / 20).collect();
    let completed = |line_break: &str| {
        let (mut server, reads) = reading("call(first,\n        second)\n");
        server.open(URI, "rust", &SOURCE.replace('\n', line_break));
        let complete = |&line: &usize| {
            let mut invoked = completion_params(URI, line as u32, lines[line].chars().count() as u32);
            invoked["context"]["triggerKind"] = json!(1);
            texts(&server.call("textDocument/inlineCompletion", invoked))
        };
        let answers: Vec<Vec<String>> = places.iter().map(complete).collect();
        server.finish();
        let reads = reads.lock().unwrap().clone();
        (answers, reads)
    };
    let (answers, reads) = completed("\n");
    assert!(answers.iter().flatten().any(|answer| answer.contains('\n')), "{answers:?}");
    assert!(reads.iter().all(|read| !read.contains('\r')));
    for line_break in ["\r\n", "\r"] {
        let (with_breaks, same_reads) = completed(line_break);
        assert_eq!(reads, same_reads, "{line_break:?}");
        let expected: Vec<Vec<String>> =
            answers.iter().map(|texts| texts.iter().map(|text| text.replace('\n', line_break)).collect()).collect();
        assert_eq!(with_breaks, expected, "{line_break:?}");
    }
}

const BODY: &str = "\n    b = a\n    return b";

#[test]
fn accepting_typing_along_and_undo_need_no_model_in_a_file_of_windows() {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let script = move |read: &str| rest_of(if over.load(Ordering::SeqCst) { "asked again" } else { BODY }, read);
    let mut server = TestServer::initialized(TestOptions::scripted(script));
    server.open(URI, "python", "def f(a):\r\n");
    let whole = BODY.replace('\n', "\r\n");
    assert_eq!(server.complete(0, 9), [whole.as_str()]);
    is_over.store(true, Ordering::SeqCst);
    // Accepted, and undone.
    server.edit(2, (0, 9), (0, 9), &whole);
    server.edit(3, (0, 9), (2, 12), "");
    assert_eq!(server.complete(0, 9), [whole.as_str()]);
    // Enter, and the indentation that the editor adds.
    server.edit(4, (0, 9), (0, 9), "\r\n    ");
    assert_eq!(server.complete(1, 4), ["b = a\r\n    return b"]);
    server.edit(5, (1, 4), (1, 4), "b = a");
    server.edit(6, (1, 9), (1, 9), "\r\n    ");
    assert_eq!(server.complete(2, 4), ["return b"]);
    // A typo.
    server.edit(7, (2, 4), (2, 4), "t");
    server.edit(8, (2, 4), (2, 5), "");
    assert_eq!(server.complete(2, 4), ["return b"]);
    server.finish();
}

#[test]
fn the_next_completion_is_prepared_in_a_file_of_windows() {
    let (written_sender, written) = std::sync::mpsc::channel();
    let written_sender = Mutex::new(written_sender);
    let script = move |read: &str| {
        let line = read.rsplit('\n').next().unwrap_or_default();
        if line == "second(2)" {
            // This fails if the test is over.
            let _ = written_sender.lock().unwrap().send(());
        }
        rest_of(if line.starts_with("x = ") { "first(1)\n" } else { "second(2)" }, read)
    };
    let mut server = TestServer::initialized(TestOptions { prepare_next: true, ..TestOptions::scripted(script) });
    server.open(URI, "python", "x = \r\n");
    assert_eq!(server.complete(0, 4), ["first(1)"]);
    written.recv().unwrap();
    server.edit(2, (0, 4), (0, 4), "first(1)");
    server.edit(3, (0, 12), (0, 12), "\r\n");
    assert_eq!(server.complete(1, 0), ["second(2)"]);
    server.finish();
}

#[test]
fn a_client_that_would_insert_the_carriage_return_gets_none() {
    let mut server = TestServer::start(TestOptions::scripted(|read| rest_of(BODY, read)));
    let capabilities = json!({"textDocument": {"inlineCompletion": {}}});
    server.initialize(json!({"capabilities": capabilities, "clientInfo": {"name": "Neovim", "version": "0.12.0"}}));
    server.open(URI, "python", "def f(a):\r\n");
    assert_eq!(server.complete(0, 9), [BODY]);
    server.finish();
}

#[test]
fn popups_insert_the_documents_line_ending() {
    let mut server = TestServer::start(TestOptions::scripted(|read| rest_of(BODY, read)));
    server.initialize(json!({"capabilities": {}}));
    server.open(URI, "python", "def f(a):\r\n");
    let list = server.call("textDocument/completion", completion_params(URI, 0, 9));
    assert_eq!(list["items"][0]["textEdit"]["newText"], BODY.replace('\n', "\r\n"));
    server.finish();
}

/// A server with the document of `actions.rs` open, its lines ended by `\r\n`, and a model that answers `answer`.
fn answering(answer: &'static str) -> TestServer {
    let options = TestOptions::scripted(move |read| {
        assert!(!read.contains('\r'), "{read:?}");
        rest_of(answer, read)
    });
    let mut server = TestServer::start(TestOptions { settings: vec![same_model()], ..options });
    server.initialize(json!({"capabilities": capabilities()}));
    server.open(URI, "python", &TEXT.replace('\n', "\r\n"));
    server
}

fn assert_ends_lines_as_windows(text: &str) {
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "{text:?}");
}

#[test]
fn edits_and_new_files_have_the_documents_line_ending() {
    let answer = "def area(width, height):\n    size = width * height\n    return size\n```";
    let mut server = answering(answer);
    let id = choose(&mut server, "Fix this problem");
    let edit = server.applied_edit();
    let fixed = applied(&edit, 1, &TEXT.replace('\n', "\r\n"));
    assert!(fixed.contains("    size = width * height\r\n    return size\r\n"), "{fixed:?}");
    assert_ends_lines_as_windows(&fixed);
    server.result(id);
    server.finish();

    let mut server = answering("def test_area():\n    assert area(1, 2) == 2\n```");
    let id = choose(&mut server, "Write tests for this function");
    let edit = server.applied_edit();
    let text = edit["documentChanges"][1]["edits"][0]["newText"].as_str().expect("a text");
    assert_eq!(text, "def test_area():\r\n    assert area(1, 2) == 2\r\n");
    server.result(id);
    server.finish();
}

#[test]
fn tests_in_the_document_itself_have_its_line_ending() {
    let answer = "#[test]\nfn g_is_one() {\n    assert_eq!(g(), 1);\n}\n```";
    let options = TestOptions::scripted(move |read| rest_of(answer, read));
    let mut server = TestServer::start(TestOptions { settings: vec![same_model()], ..options });
    server.initialize(json!({"capabilities": capabilities()}));
    server.open(
        URI,
        "rust",
        "fn a() {}\r\n\r\n\r\nfn g() -> i32 {\r\n    let counted = 1 - 1;\r\n    counted + 1\r\n}\r\n",
    );
    let offered = actions(&mut server, &json!([]), &Value::Null);
    let action =
        offered.iter().find(|action| action["title"].as_str().is_some_and(|title| title.starts_with("Write tests")));
    let command = &action.expect("it is offered")["command"];
    let id = server
        .request("workspace/executeCommand", json!({"command": command["command"], "arguments": command["arguments"]}));
    let edit = server.applied_edit();
    let edits = edit["documentChanges"][0]["edits"].as_array().expect("edits");
    assert!(
        edits.iter().any(|edit| edit["newText"].as_str().is_some_and(|text| text.contains("mod tests {\r\n"))),
        "{edit}"
    );
    edits.iter().for_each(|edit| assert_ends_lines_as_windows(edit["newText"].as_str().expect("a text")));
    server.result(id);
    server.finish();
}
