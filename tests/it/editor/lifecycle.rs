//! The beginning and the end of a session, with the `initialize` parameters of real editors.

use phi_ls::server::Ended;
use serde_json::{Value, json};

use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::{TestServer, URI, texts};

fn options() -> TestOptions {
    TestOptions::scripted(|read| rest_of("1 + 1", read))
}

/// The recorded `params` of an editor.
fn recorded(file: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/initialize").join(file);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Runs a whole session as the editor of `file`, and checks which position encoding and whether popup completions are
/// offered.
fn check_editor(file: &str, encoding: &str, popup: bool) {
    let mut server = TestServer::start(options());
    let result = server.initialize(recorded(file));
    let capabilities = &result["capabilities"];
    assert_eq!(capabilities["positionEncoding"], encoding, "{file}");
    assert_eq!(capabilities["inlineCompletionProvider"], true, "{file}");
    assert_eq!(capabilities["textDocumentSync"], json!({"openClose": true, "change": 2, "save": true}), "{file}");
    assert_eq!(capabilities.get("completionProvider").is_some(), popup, "{file}");
    assert_eq!(result["serverInfo"]["name"], "phi-ls");
    server.open(URI, "python", "x = \n");
    assert_eq!(server.complete(0, 4), ["1 + 1"], "{file}");
    server.finish();
}

#[test]
fn every_recorded_editor_gets_a_completion() {
    check_editor("neovim-0.11.4.json", "utf-8", true);
    check_editor("neovim-0.12.0.json", "utf-8", false);
    check_editor("vscode-1.139.1.json", "utf-16", false);
    check_editor("eglot-1.9.json", "utf-16", true);
}

#[test]
fn a_client_that_says_next_to_nothing_is_served() {
    let mut server = TestServer::start(options());
    server.initialize(json!({"capabilities": {}}));
    server.open(URI, "python", "x = \n");
    assert_eq!(server.complete(0, 4), ["1 + 1"]);
    server.finish();
}

#[test]
fn requests_before_initialize_and_after_shutdown_are_refused() {
    let mut server = TestServer::start(options());
    let early = server.request_completion(0, 0);
    assert_eq!(server.answer(early)["error"]["code"], -32002);
    server.initialize(json!({"capabilities": {}}));
    let again = server.request("initialize", json!({"capabilities": {}}));
    assert_eq!(server.answer(again)["error"]["code"], -32600);
    server.call("shutdown", Value::Null);
    let late = server.request_completion(0, 0);
    assert_eq!(server.answer(late)["error"]["code"], -32600);
    server.notify("exit", Value::Null);
    assert_eq!(server.wait_for_end(), Ended::Orderly);
    server.audit();
}

#[test]
fn exit_without_shutdown_is_abrupt() {
    let mut server = TestServer::initialized(options());
    server.notify("exit", Value::Null);
    assert_eq!(server.wait_for_end(), Ended::Abrupt);
    server.audit();
}

#[test]
fn a_closed_input_ends_the_server_and_answers_what_is_in_flight() {
    let (options, brake) = crate::support::test_options::braked("never", usize::MAX);
    let mut server = TestServer::initialized(options);
    server.open(URI, "python", "x = \n");
    let waiting = server.request_completion(0, 4);
    brake.begun.recv().unwrap();
    server.close_input();
    assert_eq!(server.wait_for_end(), Ended::Abrupt);
    assert_eq!(texts(&server.result(waiting)), [""; 0]);
    server.audit();
}

#[test]
fn broken_messages_are_answered_and_the_server_lives() {
    let mut server = TestServer::initialized(options());
    let frame = |body: &str| format!("Content-Length: {}\r\n\r\n{body}", body.len());
    server.send_raw(frame("{\"jsonrpc\":").as_bytes());
    assert_eq!(server.anonymous_answer()["error"]["code"], -32700);
    server.send_raw(frame("[1]").as_bytes());
    assert_eq!(server.anonymous_answer()["error"]["code"], -32600);
    server.send_raw(b"Content-Length: 2\r\n\r\n\xff\xff");
    assert_eq!(server.anonymous_answer()["error"]["code"], -32700);
    server.send_raw(b"Content-Length: nonsense\r\n\r\n");
    server.notify("textDocument/didChange", json!({"nonsense": true}));
    server.notify("$/unknownNotification", json!({}));
    let unknown = server.request("textDocument/unknown", json!({}));
    assert_eq!(server.answer(unknown)["error"]["code"], -32601);
    let malformed = server.request("textDocument/inlineCompletion", json!({"position": "here"}));
    assert_eq!(server.answer(malformed)["error"]["code"], -32602);
    server.open(URI, "python", "x = \n");
    assert_eq!(server.complete(0, 4), ["1 + 1"]);
    server.finish();
}

#[test]
fn a_client_that_writes_before_it_reads_does_not_hang_the_server() {
    // The pipes are far smaller than the messages, and the client reads nothing until it has written everything.
    let mut server = TestServer::initialized(TestOptions { pipe_bytes: 512, ..options() });
    let ids: Vec<i64> = (0..300).map(|_| server.request("workspace/executeCommand", json!({"command": "x"}))).collect();
    for id in ids {
        assert_eq!(server.answer(id)["error"]["code"], -32602);
    }
    server.finish();
}

#[cfg(target_os = "linux")]
#[test]
fn the_server_ends_with_the_client_it_was_told_of() {
    let mut client = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut server = TestServer::start(options());
    server.initialize(json!({"capabilities": {}, "processId": client.id()}));
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(server.wait_for_end(), Ended::Abrupt);
    server.audit();
}
