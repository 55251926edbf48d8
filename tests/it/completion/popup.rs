//! Completions in the popup: for clients that show no ghost text, and for clients that show both.

use phi_ls::config::Source;
use phi_ls::statistics::{self, What};
use serde_json::{Value, json};

use crate::engine::shared::until;
use crate::support::test_options::{TestOptions, braked, rest_of};
use crate::support::test_server::{TestServer, URI, completion_params, texts};

const POPUP: &str = "textDocument/completion";

/// No part of a prompt begins like any part of it, so there are no guesses, and each token takes one pass.
const ANSWER: &str = "zq_xj(vk, jw)";

/// A server for a client that shows the same completions as ghost text and in its popup, with `x = ` open.
fn both(options: TestOptions, experimental: &Value) -> TestServer {
    let settings = vec![(Source::File, json!({"completion.popup": true}))];
    let mut server = TestServer::start(TestOptions { settings, ..options });
    let capabilities = json!({"textDocument": {"inlineCompletion": {}}, "experimental": experimental});
    let result = server.initialize(json!({"capabilities": capabilities}));
    assert!(result["capabilities"]["completionProvider"]["triggerCharacters"].is_array(), "{result}");
    server.open(URI, "python", "x = \n");
    server
}

/// The texts in a popup.
fn labels(list: &Value) -> Vec<&str> {
    assert_eq!(list["isIncomplete"], true);
    list["items"].as_array().expect("a list").iter().map(|item| item["label"].as_str().expect("a label")).collect()
}

#[test]
fn clients_without_inline_completion_get_it_in_a_popup() {
    let mut server = TestServer::start(TestOptions::scripted(|read| rest_of("self.name()", read)));
    server.initialize(json!({"capabilities": {}}));
    server.open(URI, "python", "x = self.na\n");
    let list = server.call(POPUP, completion_params(URI, 0, 11));
    assert_eq!(list["isIncomplete"], true);
    let item = &list["items"][0];
    let range = json!({"start": {"line": 0, "character": 9}, "end": {"line": 0, "character": 11}});
    assert_eq!(item["textEdit"], json!({"range": range, "newText": "name()"}));
    assert_eq!((&item["filterText"], &item["label"]), (&json!("name()"), &json!("name()")));
    assert_eq!(item["detail"], "phi-ls");
    assert_eq!(item["documentation"]["value"], "```python\nname()\n```\n\nphi-ls");
    server.finish();
}

#[test]
fn one_generation_answers_the_ghost_text_and_the_popup() {
    let folder = tempfile::tempdir().unwrap();
    let statistics = folder.path().join("statistics.jsonl");
    let (options, brake) = braked("compute(1)", 1);
    let mut server = both(TestOptions { statistics: Some(statistics.clone()), ..options }, &json!({}));
    let popup = server.request(POPUP, completion_params(URI, 0, 4));
    let ghost = server.request_completion(0, 4);
    brake.begun.recv().unwrap();
    brake.go_on.send(()).unwrap();
    assert_eq!(labels(&server.result(popup)), ["compute(1)"]);
    assert_eq!(texts(&server.result(ghost)), ["compute(1)"]);
    // The text was generated once, and counts as one completion.
    let asked = brake.asked.lock().unwrap().iter().filter(|line| *line == "x = ").count();
    assert_eq!(asked, 1);
    let is_shown = |record: &statistics::Record| matches!(record.what, What::Shown { .. });
    until("it is counted", || {
        statistics::read(&statistics).unwrap().iter().filter(|record| is_shown(record)).count() == 1
    });
    server.finish();
}

#[test]
fn a_newer_request_takes_the_place_of_an_older_one_of_its_kind() {
    let (options, brake) = braked("compute(1)", 1);
    let mut server = both(options, &json!({}));
    let ghost = server.request_completion(0, 4);
    let older = server.request(POPUP, completion_params(URI, 0, 4));
    let newer = server.request(POPUP, completion_params(URI, 0, 4));
    assert_eq!(labels(&server.result(older)), [""; 0]);
    assert!(!server.answered().contains(&ghost));
    brake.begun.recv().unwrap();
    brake.go_on.send(()).unwrap();
    assert_eq!(labels(&server.result(newer)), ["compute(1)"]);
    assert_eq!(texts(&server.result(ghost)), ["compute(1)"]);
    server.finish();
}

#[test]
fn a_popup_that_is_cancelled_leaves_the_ghost_text() {
    let (options, brake) = braked("compute(1)", 1);
    let mut server = both(options, &json!({}));
    let ghost = server.request_completion(0, 4);
    let popup = server.request(POPUP, completion_params(URI, 0, 4));
    server.cancel(popup);
    assert_eq!(server.answer(popup)["error"]["code"], -32800);
    brake.begun.recv().unwrap();
    brake.go_on.send(()).unwrap();
    assert_eq!(texts(&server.result(ghost)), ["compute(1)"]);
    server.finish();
}

#[test]
fn what_follows_an_item_of_the_popup_waits_for_the_popup() {
    let (options, brake) = braked("compute(1)", 1);
    let mut server = both(options, &json!({}));
    let popup = server.request(POPUP, completion_params(URI, 0, 4));
    brake.begun.recv().unwrap();
    // An item of another server is selected in the popup while ours is being written.
    let mut params = completion_params(URI, 0, 4);
    let place = json!({"line": 0, "character": 4});
    params["context"]["selectedCompletionInfo"] = json!({"range": {"start": place, "end": place}, "text": "sum"});
    assert_eq!(texts(&server.call("textDocument/inlineCompletion", params)), [""; 0]);
    brake.go_on.send(()).unwrap();
    assert_eq!(labels(&server.result(popup)), ["compute(1)"]);
    server.finish();
}

#[test]
fn ghost_text_grows_and_the_popup_waits_for_the_whole() {
    let (options, brake) = braked(ANSWER, 100);
    let mut server = both(options, &json!({"phiLs": {"completionGrew": true}}));
    let popup = server.request(POPUP, completion_params(URI, 0, 4));
    let ghost = server.request_completion(0, 4);
    for _ in 0.."zq_xj(".len() {
        brake.begun.recv().unwrap();
        brake.go_on.send(()).unwrap();
    }
    brake.begun.recv().unwrap();
    assert_eq!(texts(&server.result(ghost)), ["zq_xj("]);
    // A repeated request waits as well while it is being written.
    let again = server.request(POPUP, completion_params(URI, 0, 4));
    assert_eq!(labels(&server.result(popup)), [""; 0]);
    assert!(!server.answered().contains(&again));
    drop(brake);
    assert_eq!(labels(&server.result(again)), [ANSWER]);
    server.finish();
}

#[test]
fn a_popup_gets_what_there_is_when_its_time_is_over() {
    let (options, brake) = braked(ANSWER, 100);
    let mut server = both(options, &json!({"phiLs": {"completionGrew": true}}));
    server.notify("workspace/didChangeConfiguration", json!({"settings": {"completion.timeBudgetMs": 0}}));
    let popup = server.request(POPUP, completion_params(URI, 0, 4));
    for _ in 0.."zq_xj(".len() {
        brake.begun.recv().unwrap();
        brake.go_on.send(()).unwrap();
    }
    brake.begun.recv().unwrap();
    assert_eq!(labels(&server.result(popup)), ["zq_xj("]);
    drop(brake);
    server.finish();
}

#[test]
fn the_popup_can_be_turned_on_and_off_later() {
    let mut server = TestServer::start(TestOptions::scripted(|read| rest_of("foo(1)", read)));
    let capabilities = json!({"textDocument": {"inlineCompletion": {}, "completion": {"dynamicRegistration": true}}});
    let result = server.initialize(json!({"capabilities": capabilities}));
    assert!(result["capabilities"]["completionProvider"].is_null(), "{result}");
    server.open(URI, "python", "x = \n");
    let set = |server: &mut TestServer, is_on: bool| {
        server.notify("workspace/didChangeConfiguration", json!({"settings": {"completion.popup": is_on}}));
    };
    let items = |server: &mut TestServer| {
        let list = server.call(POPUP, completion_params(URI, 0, 4));
        list["items"].as_array().expect("a list").len()
    };
    assert_eq!(items(&mut server), 0);
    set(&mut server, true);
    server.requested("client/registerCapability");
    assert_eq!(items(&mut server), 1);
    set(&mut server, false);
    assert_eq!(items(&mut server), 0);
    server.finish();
}
