//! Work before anybody asks, when a file is opened or the cursor goes somewhere, and cases in which the model is not
//! asked although somebody types, because completions are dismissed or never used.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use phi_ls::config::Source;
use serde_json::{Value, json};

use crate::engine::kept::long_text;
use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::{TestServer, URI, completion_params};

/// Another open document.
const OTHER: &str = "file:///home/user/project/other.py";

/// At a place that has been read, fewer tokens than this are read for a completion.
const FEW: usize = 100;

fn server(settings: Value) -> TestServer {
    let settings = vec![(Source::Flags, settings)];
    let options = TestOptions { settings, ..TestOptions::scripted(|text| rest_of("foo(1)", text)) };
    let mut server = TestServer::initialized(options);
    server.open(OTHER, "python", "y = \n");
    server
}

/// Waits until the engine has read a place; to be called once in a test. A model that is slow, or whose speed is
/// unknown, reads the short form first.
fn read(server: &mut TestServer) {
    server.notification("phi-ls/status", |status| status["state"] == "busy");
    server.notification("phi-ls/status", |status| status["message"] == "ready");
    // When this is answered, the job for the rest has been submitted, and it is done once the engine is idle.
    server.answer_of_nothing();
    assert!(tokens_for_completion(server, OTHER, 0, 4) > 0);
    server.notification("phi-ls/status", |status| status["message"] == "ready");
}

/// Waits until the engine is idle.
fn finished(server: &mut TestServer) {
    server.notification("phi-ls/status", |status| status["message"] == "ready");
    server.notifications.clear();
}

/// How many tokens are read for a completion at a place in the document `uri`.
fn tokens_for_completion(server: &mut TestServer, uri: &str, line: u32, character: u32) -> usize {
    let before = server.counters.tokens();
    let result = server.call("textDocument/inlineCompletion", completion_params(uri, line, character));
    assert!(result.to_string().contains("foo(1)"), "{result}");
    server.counters.tokens() - before
}

/// Asks for code actions at a place, as editors do wherever the cursor goes.
fn go_to(server: &mut TestServer, line: u32, character: u32) {
    let place = json!({"line": line, "character": character});
    let range = json!({"start": place, "end": place});
    let params = json!({"textDocument": {"uri": URI}, "range": range, "context": {"diagnostics": []}});
    server.call("textDocument/codeAction", params);
}

fn git(folder: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgSign=false"];
    let output = Command::new("git").current_dir(folder).args(identity).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_opened_file_is_read_where_it_has_been_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().canonicalize().unwrap().join("area.py");
    std::fs::write(&file, long_text().replacen("x = \n", "y\n", 1)).unwrap();
    git(folder.path(), &["init", "-q"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-q", "-m", "one"]);
    std::fs::write(&file, long_text()).unwrap();
    let uri = format!("file://{}", file.display());
    let mut server = server(json!({}));
    server.open(&uri, "python", &long_text());
    read(&mut server);
    assert!(tokens_for_completion(&mut server, &uri, 500, 4) < FEW);
    server.finish();

    let mut server = self::server(json!({"completion.effort": "eco"}));
    server.open(&uri, "python", &long_text());
    assert!(tokens_for_completion(&mut server, &uri, 500, 4) > 10 * FEW);
    server.finish();
}

#[test]
fn a_file_that_is_opened_again_is_read_where_it_was_edited() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().canonicalize().unwrap().join("area.py");
    let uri = format!("file://{}", file.display());
    std::fs::write(&file, long_text()).unwrap();
    let mut server = server(json!({}));
    let enabled = |enabled: bool| json!({"settings": {"completion": {"enabled": enabled}}});
    server.notify("workspace/didChangeConfiguration", enabled(false));
    server.open(&uri, "python", &long_text());
    let edit = |line: u32, text: &str| {
        let place = json!({"line": line, "character": 4});
        let change = json!({"range": {"start": place, "end": place}, "text": text});
        json!({"textDocument": {"uri": uri, "version": line}, "contentChanges": [change]})
    };
    server.notify("textDocument/didChange", edit(500, "1 + "));
    // Moves on to another line.
    server.notify("textDocument/didChange", edit(900, "2"));
    server.notify("textDocument/didClose", json!({"textDocument": {"uri": uri}}));
    server.notify("workspace/didChangeConfiguration", enabled(true));
    server.open(&uri, "python", &long_text().replacen("x = \n", "x = 1 + \n", 1));
    read(&mut server);
    assert!(tokens_for_completion(&mut server, &uri, 500, 8) < FEW);
    server.finish();
}

#[test]
fn where_the_cursor_goes_is_read_and_where_it_was_is_not_lost() {
    let mut server = server(json!({}));
    let text = long_text().replacen("    total = width * height\n", "    total = \n", 2);
    server.open(URI, "python", &text);
    assert!(tokens_for_completion(&mut server, URI, 500, 4) > 10 * FEW);
    finished(&mut server);
    go_to(&mut server, 1, 12);
    read(&mut server);
    server.edit(2, (1, 12), (1, 12), "1 + ");
    assert!(tokens_for_completion(&mut server, URI, 1, 16) < FEW);
    server.finish();

    // A person who only looks there, and comes back.
    let mut server = self::server(json!({}));
    server.open(URI, "python", &text);
    tokens_for_completion(&mut server, URI, 500, 4);
    finished(&mut server);
    go_to(&mut server, 1, 12);
    read(&mut server);
    server.edit(2, (500, 4), (500, 4), "1 + ");
    assert!(tokens_for_completion(&mut server, URI, 500, 8) < FEW);
    server.finish();
}

#[test]
fn what_was_sent_away_is_not_asked_again_until_something_is_typed() {
    let mut server = server(json!({}));
    server.open(URI, "python", "x = \n");
    assert_eq!(server.complete(0, 4), ["foo(1)"]);
    server.notify("phi-ls/dismissed", json!({"uri": URI}));
    let before = server.counters.forward_calls();
    assert_eq!(server.complete(0, 4), [""; 0]);
    assert_eq!(server.counters.forward_calls(), before);
    server.edit(2, (0, 4), (0, 4), "1 + ");
    assert_eq!(server.complete(0, 8), ["foo(1)"]);
    server.finish();
}

#[test]
fn who_uses_nothing_is_asked_for_after_a_pause() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let script = move |text: &str| {
        counted.fetch_add(1, Ordering::SeqCst);
        rest_of("foo(1)", text)
    };
    let settings = vec![(Source::Flags, json!({"completion.effort": "balanced"}))];
    let mut server = TestServer::initialized(TestOptions { settings, ..TestOptions::scripted(script) });
    server.open(URI, "python", "x = \n");
    for line in 0..5 {
        assert_eq!(server.complete(line, 4), ["foo(1)"]);
        server.edit(line as i32 + 2, (line, 4), (line, 4), "bar(2)\nx = ");
    }
    // If the person types on before the pause is over, the model is not asked.
    let before = asked.load(Ordering::SeqCst);
    let first = server.request_completion(5, 4);
    server.edit(9, (5, 4), (5, 4), "b");
    let second = server.request_completion(5, 5);
    assert_eq!(server.result(first), json!({"items": []}));
    server.edit(10, (5, 5), (5, 5), " + ");
    assert_eq!(server.result(second), json!({"items": []}));
    assert_eq!(asked.load(Ordering::SeqCst), before);
    // A person who waits gets a completion, and so does one who asks explicitly.
    assert_eq!(server.complete(5, 8), ["foo(1)"]);
    server.finish();
}
