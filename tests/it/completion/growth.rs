//! Completions that are shown while they are written: to clients that support it, and to others when their time is
//! over.

use phi_ls::config::Source;
use serde_json::{Value, json};

use crate::support::model_server::{ModelServer, writing};
use crate::support::test_options::{Brake, TestOptions, braked, rest_of};
use crate::support::test_server::{TestServer, URI, completion_params, texts};

/// No part of a prompt begins like any part of it, so there are no guesses, and each token takes one pass.
const ANSWER: &str = "zq_xj(vk, jw)";

/// A server for a client that shows completions while they are written, with `text` open.
fn growing(options: TestOptions, text: &str) -> TestServer {
    let mut server = TestServer::start(options);
    let experimental = json!({"phiLs": {"completionGrew": true}});
    let capabilities = json!({"textDocument": {"inlineCompletion": {}}, "experimental": experimental});
    server.initialize(json!({"capabilities": capabilities}));
    server.open(URI, "python", text);
    server
}

/// Lets the model write the first `count` characters. It then stops in the pass for the next one.
fn write(brake: &Brake, count: usize) {
    for _ in 0..count {
        brake.begun.recv().unwrap();
        brake.go_on.send(()).unwrap();
    }
    brake.begun.recv().unwrap();
}

/// Lets the model write on.
fn go_on(brake: Brake) {
    drop(brake.go_on);
    drop(brake.begun);
}

/// Waits until the engine is idle.
fn idle(server: &mut TestServer) {
    server.notification("phi-ls/status", |status| status["message"] == "ready");
}

/// Asks like a client that shows growing completions, until the text is `expected`.
fn fetch(server: &mut TestServer, line: u32, character: u32, expected: &str) {
    loop {
        let shown = server.complete(line, character);
        if shown == [expected] {
            return;
        }
        assert!(expected.starts_with(&shown[0]), "{shown:?}");
        server.notification("phi-ls/completionGrew", |_| true);
    }
}

fn told(server: &TestServer) -> usize {
    server.notifications.iter().filter(|message| message["method"] == "phi-ls/completionGrew").count()
}

#[test]
fn the_first_words_are_shown_while_the_rest_is_written() {
    let (options, brake) = braked(ANSWER, 100);
    let mut server = growing(options, "x = \n");
    let first = server.request_completion(0, 4);
    write(&brake, "zq_xj(".len());
    // The model has stopped.
    assert_eq!(texts(&server.result(first)), ["zq_xj("]);
    assert_eq!(told(&server), 0);
    go_on(brake);
    let more = server.notification("phi-ls/completionGrew", |_| true);
    assert_eq!(more, json!({"uri": URI, "version": 1, "position": {"line": 0, "character": 4}}));
    idle(&mut server);
    let calls = server.counters.forward_calls();
    assert_eq!(server.complete(0, 4), [ANSWER]);
    assert_eq!(server.counters.forward_calls(), calls);
    server.finish();
}

#[test]
fn who_asks_again_gets_what_there_is_by_then_and_is_told_of_more() {
    let (options, brake) = braked(ANSWER, 100);
    let mut server = growing(options, "x = \n");
    let first = server.request_completion(0, 4);
    write(&brake, "zq_xj(".len());
    assert_eq!(texts(&server.result(first)), ["zq_xj("]);
    // Nothing new.
    assert_eq!(server.complete(0, 4), ["zq_xj("]);
    brake.go_on.send(()).unwrap();
    write(&brake, "k, ".len());
    server.notification("phi-ls/completionGrew", |_| true);
    assert_eq!(server.complete(0, 4), ["zq_xj(vk,"]);
    go_on(brake);
    server.notification("phi-ls/completionGrew", |_| true);
    idle(&mut server);
    assert_eq!(server.complete(0, 4), [ANSWER]);
    assert_eq!(told(&server), 0);
    server.finish();
}

#[test]
fn what_is_typed_or_accepted_midway_stays_and_the_rest_follows() {
    let (options, brake) = braked(ANSWER, 100);
    let asked = std::sync::Arc::clone(&brake.asked);
    let mut server = growing(options, "x = \n");
    let first = server.request_completion(0, 4);
    write(&brake, "zq_xj(".len());
    assert_eq!(texts(&server.result(first)), ["zq_xj("]);
    asked.lock().unwrap().clear();
    // Typing what it says is answered with the text so far.
    server.edit(2, (0, 4), (0, 4), "zq");
    assert_eq!(server.complete(0, 6), ["_xj("]);
    // After the text so far is accepted, the answer waits for the rest.
    server.edit(3, (0, 6), (0, 6), "_xj(");
    let rest = server.request_completion(0, 10);
    go_on(brake);
    let shown = texts(&server.result(rest));
    assert!(ANSWER["zq_xj(".len()..].starts_with(&shown[0]), "{shown:?}");
    idle(&mut server);
    assert_eq!(server.complete(0, 10), ["vk, jw)"]);
    // No text is generated twice.
    let asked = asked.lock().unwrap();
    assert!(!asked.iter().any(|line| "x = zq_xj".starts_with(line.as_str())), "{asked:?}");
    server.finish();
}

#[test]
fn a_key_that_disagrees_ends_it_and_the_next_one_begins_anew() {
    let (options, brake) = braked(ANSWER, 100);
    let mut server = growing(options, "x = \n");
    let first = server.request_completion(0, 4);
    write(&brake, "zq_xj(".len());
    assert_eq!(texts(&server.result(first)), ["zq_xj("]);
    server.edit(2, (0, 4), (0, 4), "1 + ");
    server.answer_of_nothing();
    go_on(brake);
    let next = server.request_completion(0, 8);
    let shown = texts(&server.result(next));
    assert!(ANSWER.starts_with(&shown[0]), "{shown:?}");
    fetch(&mut server, 0, 8, ANSWER);
    server.finish();
}

#[test]
fn what_is_shown_stays_where_the_text_runs_in_circles() {
    // Nothing of this is worth showing by itself, because the line repeats itself without end.
    let circles = "total = a.b.a.b.a.b.a.b.a.b.a.b";
    let mut plain = TestServer::initialized(TestOptions::scripted(move |read| rest_of(circles, read)));
    plain.open(URI, "python", "x = 1\n\n");
    assert_eq!(plain.complete(1, 0), [""; 0]);
    plain.finish();
    let (options, brake) = braked(circles, 100);
    let mut server = growing(options, "x = 1\n\n");
    let first = server.request_completion(1, 0);
    write(&brake, "total = a".len());
    assert_eq!(texts(&server.result(first)), ["total"]);
    go_on(brake);
    idle(&mut server);
    let shown = server.complete(1, 0);
    assert!(shown[0].starts_with("total"), "{shown:?}");
    server.finish();
}

#[test]
fn any_other_client_gets_one_answer() {
    let (options, brake) = braked(ANSWER, 100);
    let mut server = TestServer::initialized(options);
    server.open(URI, "python", "x = \n");
    let id = server.request_completion(0, 4);
    write(&brake, "zq_xj(vk".len());
    server.answer_of_nothing();
    assert!(!server.answered().contains(&id));
    go_on(brake);
    assert_eq!(texts(&server.result(id)), [ANSWER]);
    assert_eq!(told(&server), 0);
    server.finish();
}

#[test]
fn when_time_is_over_what_is_there_is_answered_and_the_rest_is_there_later() {
    let (options, brake) = braked(ANSWER, 100);
    let settings = vec![(Source::Flags, json!({"completion.timeBudgetMs": 0}))];
    let mut server = TestServer::initialized(TestOptions { settings, ..options });
    server.open(URI, "python", "x = \n");
    let id = server.request_completion(0, 4);
    write(&brake, "zq_xj(vk".len());
    // The first words were written before the time was over.
    assert_eq!(texts(&server.result(id)), ["zq_xj("]);
    go_on(brake);
    idle(&mut server);
    let calls = server.counters.forward_calls();
    assert_eq!(server.complete(0, 4), [ANSWER]);
    assert_eq!(server.counters.forward_calls(), calls);
    assert_eq!(told(&server), 0);
    server.finish();
}

#[test]
fn when_time_is_over_before_anything_is_there_the_first_words_are_the_answer() {
    let (options, brake) = braked(ANSWER, 100);
    let settings = vec![(Source::Flags, json!({"completion.timeBudgetMs": 0}))];
    let mut server = TestServer::initialized(TestOptions { settings, ..options });
    server.open(URI, "python", "x = \n");
    let id = server.request_completion(0, 4);
    write(&brake, "zq_".len());
    server.answer_of_nothing();
    assert!(!server.answered().contains(&id));
    for _ in 0.."xj(".len() {
        brake.go_on.send(()).unwrap();
        brake.begun.recv().unwrap();
    }
    assert_eq!(texts(&server.result(id)), ["zq_xj("]);
    go_on(brake);
    server.finish();
}

#[test]
fn who_waits_is_answered_when_their_time_is_over_though_nothing_new_is_written() {
    let (options, brake) = braked(ANSWER, 100);
    let settings = vec![(Source::Flags, json!({"completion.timeBudgetMs": 300}))];
    let mut server = TestServer::initialized(TestOptions { settings, ..options });
    server.open(URI, "python", "x = \n");
    let id = server.request_completion(0, 4);
    write(&brake, "zq_xj(".len());
    assert_eq!(texts(&server.result(id)), ["zq_xj("]);
    go_on(brake);
    server.finish();
}

#[test]
fn a_request_by_hand_is_shown_its_first_words_too() {
    let (options, brake) = braked(ANSWER, 100);
    let mut server = growing(options, "x = \n");
    let mut invoked: Value = completion_params(URI, 0, 4);
    invoked["context"]["triggerKind"] = json!(1);
    let id = server.request("textDocument/inlineCompletion", invoked);
    go_on(brake);
    let shown = texts(&server.result(id));
    assert!(ANSWER.starts_with(&shown[0]), "{shown:?}");
    idle(&mut server);
    // With this model, all candidates are the same text, so there is one item.
    assert_eq!(server.complete(0, 4), [ANSWER]);
    server.finish();
}

#[test]
fn the_words_of_a_server_are_shown_as_they_come() {
    let model_server = ModelServer::start(writing(&[]));
    model_server.hold_after(" zq_xj(vk");
    let backend = json!({"kind": "openai", "baseUrl": model_server.url});
    let settings = vec![(Source::Flags, json!({"completion.backend": backend}))];
    let mut server = growing(TestOptions { settings, ..TestOptions::scripted(|_| String::new()) }, "x = \n");
    assert_eq!(server.complete(0, 4), ["zq_xj("]);
    server.finish();
}
