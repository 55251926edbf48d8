//! Completions and answers from two models on one machine: which goes first, and which model is unloaded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use phi_ls::config::{Settings, Source};
use phi_ls::engine::embedded::Loader;
use serde_json::{Value, json};

use crate::questions::actions::{ANSWER, capabilities, choose, started};
use crate::support::scripted_model::{Counters, scripted};
use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::texts;

const COMPLETION: &str = "area(1, 2)";

/// Options with a model for completions and another for answers.
fn two_models(completions: TestOptions, answers: TestOptions) -> TestOptions {
    let (resident, assistant) = (Arc::clone(&completions.loader), answers.loader);
    let loader = move |name: &str, settings: &Settings| -> Loader {
        let role = if name == "resident" { &resident } else { &assistant };
        role(name, settings)
    };
    let models = json!({"completion.model": "resident", "assistant.model": "assistant"});
    TestOptions { loader: Arc::new(loader), settings: vec![(Source::Flags, models)], ..completions }
}

/// The names of the models' tokens, in order.
type Log = Arc<Mutex<Vec<&'static str>>>;

/// A model that stops at every token that it chooses.
struct Held {
    options: TestOptions,
    begun: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

/// A model that writes `answer`. Each token is logged as what `name` returns for the text so far.
fn held(answer: &'static str, log: &Log, name: fn(&str) -> &'static str) -> Held {
    let ((begun_sender, begun), (go_on, gate)) = (mpsc::channel(), mpsc::channel::<()>());
    let (gate, begun_sender, log) = (Mutex::new(gate), Mutex::new(begun_sender), Arc::clone(log));
    let options = TestOptions::scripted(move |read| {
        log.lock().unwrap().push(name(read));
        // This fails if the test is over.
        let _ = begun_sender.lock().unwrap().send(());
        let _ = gate.lock().unwrap().recv();
        rest_of(answer, read)
    });
    Held { options, begun, go_on }
}

#[test]
fn while_a_completion_is_under_way_the_other_model_waits() {
    let log = Log::default();
    let answers = held(ANSWER, &log, |_| "answer");
    let completions = held(COMPLETION, &log, |_| "completion");
    let mut server = started(two_models(completions.options, answers.options), &capabilities());
    let question = choose(&mut server, "Explain this function");
    answers.begun.recv().unwrap();
    let completion = server.request_completion(7, 4);
    completions.begun.recv().unwrap();
    // From here on, only the completion delays the answer.
    drop(answers.go_on);
    completions.go_on.send(()).unwrap();
    completions.begun.recv().unwrap();
    drop(completions.go_on);
    assert_eq!(texts(&server.result(completion)), [COMPLETION]);
    assert_eq!(server.result(question)["reason"], Value::Null);
    let order = |id| server.answered().iter().position(|answered| *answered == id);
    assert!(order(completion) < order(question));
    let mut log = log.lock().unwrap().clone();
    log.dedup();
    assert_eq!(log, ["answer", "completion", "answer"]);
    server.finish();
}

#[test]
fn after_an_answer_was_cancelled_completions_run_and_it_does_not() {
    let log = Log::default();
    let answers = held(ANSWER, &log, |read| if read.contains("Explain this problem") { "problem" } else { "code" });
    let completions = TestOptions::scripted(|read| rest_of(COMPLETION, read));
    let mut server = started(two_models(completions, answers.options), &capabilities());
    let question = choose(&mut server, "Explain this function");
    answers.begun.recv().unwrap();
    server.cancel(question);
    assert_eq!(server.answer(question)["error"]["code"], -32800);
    // The other model is still at the token at which it was cancelled.
    assert_eq!(server.complete(7, 4), [COMPLETION]);
    drop(answers.go_on);
    let question = choose(&mut server, "Explain this problem");
    assert_eq!(server.result(question)["reason"], Value::Null);
    let log = log.lock().unwrap();
    assert_eq!(log.iter().filter(|name| **name == "code").count(), 1, "{log:?}");
    server.finish();
}

/// Reports when the model that it belongs to is dropped.
struct GivenBack(Mutex<mpsc::Sender<()>>);

impl Drop for GivenBack {
    fn drop(&mut self) {
        let _ = self.0.lock().unwrap().send(());
    }
}

#[test]
fn an_idle_model_is_given_back_and_loaded_again_for_the_next_question() {
    let (sender, given_back) = mpsc::channel();
    let (sender, loads) = (Mutex::new(sender), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&loads);
    let answers = TestOptions::loading(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let guard = GivenBack(Mutex::new(sender.lock().unwrap().clone()));
        let script = move |read: &str| {
            let _belongs_to_the_model = &guard;
            rest_of(ANSWER, read)
        };
        Ok(scripted(Arc::new(script), Counters::default()))
    });
    let completions = TestOptions::scripted(|read| rest_of(COMPLETION, read));
    let mut options = two_models(completions, answers);
    options.settings.push((Source::File, json!({"assistant.idleUnloadMinutes": 1})));
    options.minute = Duration::from_millis(1);
    let mut server = started(options, &capabilities());
    for times in 1..=2 {
        let id = choose(&mut server, "Explain this function");
        assert_eq!(server.result(id)["reason"], Value::Null);
        assert_eq!(loads.load(Ordering::SeqCst), times);
        given_back.recv_timeout(Duration::from_secs(60)).expect("the memory is given back");
    }
    assert_eq!(server.complete(7, 4), [COMPLETION]);
    server.finish();
}

#[test]
fn a_completion_model_that_is_too_large_is_said_once_and_used() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity/phi-3.5-shaped.gguf");
    let settings = json!({"completion.model": model, "memoryBudgetMiB": 1});
    let options = TestOptions::scripted(|read| rest_of(COMPLETION, read));
    let mut server = started(TestOptions { settings: vec![(Source::Flags, settings)], ..options }, &capabilities());
    let told = server.notification("window/showMessage", |_| true);
    assert_eq!(told["type"], 2);
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("may use only 1 MiB"), "{message}");
    for _ in 0..2 {
        assert_eq!(server.complete(7, 4), [COMPLETION]);
    }
    assert!(!server.notifications.iter().any(|told| told["method"] == "window/showMessage"));
    server.finish();
}
