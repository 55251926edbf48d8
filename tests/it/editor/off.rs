//! Where completions are off, nothing is computed and nothing stays in memory. A model that nobody needs for a while is
//! unloaded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use phi_ls::config::Source;
use serde_json::{Value, json};

use crate::questions::actions::{ANSWER, capabilities, choose, same_model, started};
use crate::support::stop_point::{Hold, stop_point};
use crate::support::test_options::{Loads, TestOptions, rest_of};
use crate::support::test_server::{TestServer, URI};

const OTHER: &str = "file:///home/user/project/main.rs";

/// Types a `1` at a place of a document that has not been edited yet.
fn type_one(server: &mut TestServer, uri: &str, line: u32, character: u32) {
    let at = json!({"line": line, "character": character});
    let change = json!({"range": {"start": at, "end": at}, "text": "1"});
    let document = json!({"uri": uri, "version": 2});
    server.notify("textDocument/didChange", json!({"textDocument": document, "contentChanges": [change]}));
}

/// How many passes the model makes after an edit of a Rust document without a request, and, with `python`, one of a
/// Python document before it. Prefills begin in the order of the edits.
fn passes(settings: &Value, python: bool) -> usize {
    let options = TestOptions::scripted(|read| rest_of("foo(1)", read));
    // Otherwise, the edit of the other document would make the prompt longer.
    let alone = (Source::File, json!({"completion.otherFiles": false}));
    let settings = vec![alone, (Source::Flags, settings.clone())];
    let mut server = TestServer::initialized(TestOptions { settings, ..options });
    server.open(URI, "python", &"total = price + tax\n".repeat(40));
    server.open(OTHER, "rust", "fn main() {\n    let x = \n}\n");
    server.status("ready");
    if python {
        type_one(&mut server, URI, 39, 19);
    }
    type_one(&mut server, OTHER, 1, 12);
    server.status("busy");
    server.status("ready");
    let passes = server.counters.forward_calls();
    server.finish();
    passes
}

#[test]
fn nothing_is_prefilled_where_completions_are_off_or_come_by_hand() {
    let one_document = passes(&json!({}), false);
    assert!(passes(&json!({}), true) > one_document, "what is on is prefilled");
    for python in [json!(false), json!("manual")] {
        let settings = json!({"completion.languages": {"python": python}});
        assert_eq!(passes(&settings, true), one_document, "{python}");
    }
}

/// A model that stops at every token until `go_on` is dropped.
struct Held {
    options: TestOptions,
    begun: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
    tokens: Arc<AtomicUsize>,
    loads: Loads,
}

fn held(answer: &'static str) -> Held {
    let ((point, Hold { begun, go_on }), tokens) = (stop_point(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&tokens);
    let (options, loads) = TestOptions::recording_loads(move |read| {
        counted.fetch_add(1, Ordering::SeqCst);
        point.stop();
        rest_of(answer, read)
    });
    Held { options, begun, go_on, tokens, loads }
}

#[test]
fn turning_off_ends_what_runs_and_gives_the_memory_back() {
    for off in [json!({"completion": {"enabled": false}}), json!({"completion": {"languages": {"python": false}}})] {
        let Held { options, begun, go_on, tokens, loads } = held("foo(1)");
        let mut server = TestServer::initialized(options);
        server.open(URI, "python", "x = \n");
        let id = server.request_completion(0, 4);
        begun.recv().unwrap();
        server.notify("workspace/didChangeConfiguration", json!({"settings": off}));
        assert_eq!(server.result(id)["items"], json!([]));
        let status = server.notification("phi-ls/status", |status| status["message"] == "completions are off");
        assert_eq!(status["state"], "ready");
        // It is in the pass of its first token, and ends after it.
        drop(go_on);
        loads.wait_until_given_back();
        assert_eq!(tokens.load(Ordering::SeqCst), 1, "{off}");
        assert_eq!(server.complete(0, 4), [""; 0]);
        server.edit(2, (0, 4), (0, 4), "1");
        server.answer_of_nothing();
        assert_eq!(loads.count(), 1, "nothing loads it while completions are off");
        server.notify("workspace/didChangeConfiguration", json!({"settings": {}}));
        assert_eq!(server.complete(0, 5), ["foo(1)"]);
        assert_eq!(loads.count(), 2);
        server.finish();
    }
}

/// Waits for the status that the model is not in memory.
fn unloaded(server: &mut TestServer) {
    server.notification("phi-ls/status", |status| status["message"] == "unloaded until needed");
    server.notifications.retain(|message| message["method"] != "phi-ls/status");
}

#[test]
fn an_idle_completion_model_is_given_back_and_loaded_again_when_it_is_needed() {
    let Held { mut options, go_on, loads, .. } = held("foo(1)");
    drop(go_on);
    options.settings = vec![(Source::Flags, json!({"completion.idleUnloadMinutes": 1}))];
    options.minute = Duration::from_millis(1);
    let mut server = TestServer::initialized(options);
    server.open(URI, "python", "x = \ny = \n");
    unloaded(&mut server);
    for (line, times) in [(0, 2), (1, 3)] {
        loads.wait_until_given_back();
        assert_eq!(loads.count(), times - 1, "it stays away until it is needed");
        assert_eq!(server.complete(line, 4), ["foo(1)"]);
        server.notification("phi-ls/status", |status| status["state"] == "loading");
        server.notification("phi-ls/status", |status| status["message"] == "scripted is ready");
        unloaded(&mut server);
        assert_eq!(loads.count(), times);
    }
    server.finish();
}

#[test]
fn with_completions_off_their_model_goes_after_the_answer_it_gave() {
    let Held { mut options, go_on, loads, .. } = held(ANSWER);
    drop(go_on);
    let settings = json!({"completion.enabled": false, "assistant.idleUnloadMinutes": 1});
    options.settings = vec![same_model(), (Source::File, settings)];
    options.minute = Duration::from_millis(1);
    let mut server = started(options, &capabilities());
    let id = choose(&mut server, "Explain this function");
    assert_eq!(server.result(id)["reason"], Value::Null);
    loads.wait_until_given_back();
    unloaded(&mut server);
    server.finish();
}
