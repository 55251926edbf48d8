//! Where completions are off, nothing is computed and nothing stays in memory. A model that nobody needs for a while is
//! unloaded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use phi_ls::config::Source;
use serde_json::{Value, json};

use crate::questions::actions::{ANSWER, capabilities, choose, same_model, started};
use crate::support::scripted_model::{Counters, scripted};
use crate::support::test_options::{TestOptions, rest_of};
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

/// Reports when the model that it belongs to is dropped.
struct GivenBack(Mutex<mpsc::Sender<()>>);

impl Drop for GivenBack {
    fn drop(&mut self) {
        let _ = self.0.lock().unwrap().send(());
    }
}

/// A model that stops at every token until `go_on` is dropped.
struct Held {
    options: TestOptions,
    begun: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
    given_back: mpsc::Receiver<()>,
    tokens: Arc<AtomicUsize>,
    loads: Arc<AtomicUsize>,
}

fn held(answer: &'static str) -> Held {
    let ((begun_sender, begun), (go_on, wait)) = (mpsc::channel(), mpsc::channel::<()>());
    let (back, given_back) = mpsc::channel();
    let wait = Arc::new(Mutex::new(wait));
    let (begun_sender, back) = (Mutex::new(begun_sender), Mutex::new(back));
    let (tokens, loads) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, loaded) = (Arc::clone(&tokens), Arc::clone(&loads));
    let options = TestOptions::loading(move || {
        loaded.fetch_add(1, Ordering::SeqCst);
        let guard = GivenBack(Mutex::new(back.lock().unwrap().clone()));
        let begun = Mutex::new(begun_sender.lock().unwrap().clone());
        let (wait, counted) = (Arc::clone(&wait), Arc::clone(&counted));
        let script = move |read: &str| {
            let _belongs_to_the_model = &guard;
            counted.fetch_add(1, Ordering::SeqCst);
            // This fails if the test is over.
            let _ = begun.lock().unwrap().send(());
            let _ = wait.lock().unwrap().recv();
            rest_of(answer, read)
        };
        Ok(scripted(Arc::new(script), Counters::default()))
    });
    Held { options, begun, go_on, given_back, tokens, loads }
}

#[test]
fn turning_off_ends_what_runs_and_gives_the_memory_back() {
    for off in [json!({"completion": {"enabled": false}}), json!({"completion": {"languages": {"python": false}}})] {
        let Held { options, begun, go_on, given_back, tokens, loads } = held("foo(1)");
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
        given_back.recv_timeout(Duration::from_secs(60)).expect("the memory is given back");
        assert_eq!(tokens.load(Ordering::SeqCst), 1, "{off}");
        assert_eq!(server.complete(0, 4), [""; 0]);
        server.edit(2, (0, 4), (0, 4), "1");
        server.answer_of_nothing();
        assert_eq!(loads.load(Ordering::SeqCst), 1, "nothing loads it while completions are off");
        server.notify("workspace/didChangeConfiguration", json!({"settings": {}}));
        assert_eq!(server.complete(0, 5), ["foo(1)"]);
        assert_eq!(loads.load(Ordering::SeqCst), 2);
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
    let Held { mut options, go_on, given_back, loads, .. } = held("foo(1)");
    drop(go_on);
    options.settings = vec![(Source::Flags, json!({"completion.idleUnloadMinutes": 1}))];
    options.minute = Duration::from_millis(1);
    let mut server = TestServer::initialized(options);
    server.open(URI, "python", "x = \ny = \n");
    unloaded(&mut server);
    for (line, times) in [(0, 2), (1, 3)] {
        given_back.recv_timeout(Duration::from_secs(60)).expect("the memory is given back");
        assert_eq!(loads.load(Ordering::SeqCst), times - 1, "it stays away until it is needed");
        assert_eq!(server.complete(line, 4), ["foo(1)"]);
        server.notification("phi-ls/status", |status| status["state"] == "loading");
        server.notification("phi-ls/status", |status| status["message"] == "scripted is ready");
        unloaded(&mut server);
        assert_eq!(loads.load(Ordering::SeqCst), times);
    }
    server.finish();
}

#[test]
fn with_completions_off_their_model_goes_after_the_answer_it_gave() {
    let Held { mut options, go_on, given_back, .. } = held(ANSWER);
    drop(go_on);
    let settings = json!({"completion.enabled": false, "assistant.idleUnloadMinutes": 1});
    options.settings = vec![same_model(), (Source::File, settings)];
    options.minute = Duration::from_millis(1);
    let mut server = started(options, &capabilities());
    let id = choose(&mut server, "Explain this function");
    assert_eq!(server.result(id)["reason"], Value::Null);
    given_back.recv_timeout(Duration::from_secs(60)).expect("the memory is given back");
    unloaded(&mut server);
    server.finish();
}
