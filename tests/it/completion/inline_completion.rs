//! Inline completions as an editor sees them: their shape, what is reused, what is superseded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::scripted_model::OR;
use crate::support::test_options::{TestOptions, braked, rest_of};
use crate::support::test_server::{TestServer, URI, completion_params, texts};

#[test]
fn an_item_has_text_range_and_command_and_nothing_else() {
    let mut server = TestServer::answering("foo(1)", "x = \n");
    let id = server.request_completion(0, 4);
    let result = server.result(id);
    let item = &result["items"][0];
    let fields: Vec<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["command", "insertText", "range"]);
    let place = json!({"line": 0, "character": 4});
    assert_eq!(item["range"], json!({"start": place, "end": place}));
    assert_eq!(item["command"]["command"], "phi-ls.accepted");
    let command = json!({"command": "phi-ls.accepted", "arguments": item["command"]["arguments"]});
    assert_eq!(server.call("workspace/executeCommand", command), json!(null));
    server.finish();
}

#[test]
fn a_completion_begins_with_a_name_that_exists_in_another_file() {
    let main = "from .shapes import Shape\n\n\ndef f(shape: Shape):\n    return shape.\n";
    let offered = |shapes: &str| {
        let mut server = TestServer::answering("around()", main);
        server.open(&URI.replace("main", "shapes"), "python", shapes);
        let offered = server.complete(4, 17);
        server.finish();
        offered.first().cloned().unwrap_or_default()
    };
    let shapes = "class Shape:\n    def area(self):\n        return self.width\n";
    assert!(offered(shapes).starts_with("area"), "{}", offered(shapes));
    // The name that the model wants exists, or may exist.
    assert_eq!(offered(&shapes.replace("area", "around")), "around()");
    assert_eq!(offered(&shapes.replace("Shape:", "Shape(make()):")), "around()");
}

#[test]
fn text_typed_in_agreement_is_answered_without_the_model() {
    let mut server = TestServer::answering("compute(first, second)", "x = \n");
    assert_eq!(server.complete(0, 4), ["compute(first, second)"]);
    server.settle();
    let calls = server.counters.forward_calls();
    let typed = "compute(first, secon";
    for (index, character) in typed.char_indices() {
        let at = 4 + index as u32;
        server.edit(2 + index as i32, (0, at), (0, at), &character.to_string());
        assert_eq!(server.complete(0, at + 1), [&"compute(first, second)"[index + 1..]]);
    }
    // Undone to the beginning.
    server.edit(100, (0, 4), (0, 4 + typed.len() as u32), "");
    assert_eq!(server.complete(0, 4), ["compute(first, second)"]);
    assert_eq!(server.counters.forward_calls(), calls);
    server.finish();
}

#[test]
fn a_bracket_closed_by_the_editor_is_not_doubled() {
    let mut server = TestServer::answering("(a, b)", "f\n");
    assert_eq!(server.complete(0, 1), ["(a, b)"]);
    server.edit(2, (0, 1), (0, 1), "()");
    let id = server.request_completion(0, 2);
    let result = server.result(id);
    assert_eq!(texts(&result), ["a, b)"]);
    assert_eq!(result["items"][0]["range"]["end"]["character"], 3);
    server.finish();
}

/// A server that has offered `foo(1)` at `x = `, and whose model would now write something else there; after a `z` it
/// continues with `zip`.
fn offered_foo() -> TestServer {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let mut server = TestServer::initialized(TestOptions::scripted(move |read| {
        let line = read.rsplit('\n').next().unwrap_or_default();
        let said = if over.load(Ordering::SeqCst) { "asked again" } else { "foo(1)" };
        rest_of(if line.starts_with("x = z") { "zip" } else { said }, read)
    }));
    server.open(URI, "python", "x = \n");
    assert_eq!(server.complete(0, 4), ["foo(1)"]);
    is_over.store(true, Ordering::SeqCst);
    server
}

#[test]
fn a_typo_that_is_taken_back_brings_the_completion_back_without_the_model() {
    let mut server = offered_foo();
    for version in [2, 4, 6] {
        server.edit(version, (0, 4), (0, 4), "z");
        assert_eq!(server.complete(0, 5), ["ip"]);
        server.edit(version + 1, (0, 4), (0, 5), "");
        assert_eq!(server.complete(0, 4), ["foo(1)"]);
    }
    server.finish();
}

#[test]
fn a_completion_in_whose_place_something_else_was_accepted_is_not_offered_again() {
    let mut server = offered_foo();
    server.edit(2, (0, 4), (0, 4), "compute()");
    server.edit(3, (0, 4), (0, 13), "");
    assert_eq!(server.complete(0, 4), [""; 0]);
    server.finish();
}

#[test]
fn a_newer_request_is_answered_after_the_older_one_is_with_an_empty_list() {
    let (options, brake) = braked("foo(1)", 1);
    let mut server = TestServer::initialized(options);
    server.open(URI, "python", "x = \ny = \n");
    let older = server.request_completion(0, 4);
    brake.begun.recv().unwrap();
    let newer = server.request_completion(1, 4);
    assert_eq!(texts(&server.result(older)), [""; 0]);
    brake.go_on.send(()).unwrap();
    assert_eq!(texts(&server.result(newer)), ["foo(1)"]);
    assert_eq!(server.answered()[1..], [older, newer]);
    server.finish();
}

#[test]
fn a_generation_goes_on_while_the_typed_text_agrees_with_it() {
    let (options, brake) = braked("compute(1)", 4);
    let mut server = TestServer::initialized(options);
    server.open(URI, "python", "x = \n");
    let older = server.request_completion(0, 4);
    // `com` is written, `p` is about to be.
    for _ in 0..3 {
        brake.begun.recv().unwrap();
        brake.go_on.send(()).unwrap();
    }
    brake.begun.recv().unwrap();
    brake.asked.lock().unwrap().clear();
    server.edit(2, (0, 4), (0, 4), "co");
    let newer = server.request_completion(0, 6);
    assert_eq!(texts(&server.result(older)), [""; 0]);
    brake.go_on.send(()).unwrap();
    assert_eq!(texts(&server.result(newer)), ["mpute(1)"]);
    // No text is generated twice.
    let asked = brake.asked.lock().unwrap();
    assert!(!asked.iter().any(|line| "x = co".starts_with(line.as_str())), "{asked:?}");
    server.finish();
}

#[test]
fn a_generation_the_typed_text_disagrees_with_ends() {
    let (options, brake) = braked("compute(1)", 4);
    let mut server = TestServer::initialized(options);
    server.open(URI, "python", "x = \n");
    let older = server.request_completion(0, 4);
    for _ in 0..3 {
        brake.begun.recv().unwrap();
        brake.go_on.send(()).unwrap();
    }
    brake.begun.recv().unwrap();
    server.edit(2, (0, 4), (0, 4), "1 + ");
    assert_eq!(texts(&server.result(older)), [""; 0]);
    brake.go_on.send(()).unwrap();
    assert_eq!(server.complete(0, 8), ["compute(1)"]);
    server.finish();
}

#[test]
fn a_fault_in_one_request_is_told_once_and_the_server_lives() {
    let options = TestOptions::scripted(|read| {
        assert!(!read.contains("poison"), "a bug in the model");
        rest_of("fine", read)
    });
    let mut server = TestServer::initialized(options);
    server.open(URI, "python", "poison = \n");
    assert_eq!(server.complete(0, 9), [""; 0]);
    server.notification("window/showMessage", |message| message["message"].as_str().unwrap().contains("a bug"));
    server.edit(2, (0, 0), (0, 6), "a");
    assert_eq!(server.complete(0, 4), ["fine"]);
    server.finish();
}

#[test]
fn the_next_completion_is_written_before_one_is_accepted() {
    let (written_sender, written) = std::sync::mpsc::channel();
    let written_sender = std::sync::Mutex::new(written_sender);
    let script = move |read: &str| {
        let line = read.rsplit('\n').next().unwrap_or_default();
        if line == "second(2)" {
            // This fails if the test is over.
            let _ = written_sender.lock().unwrap().send(());
        }
        rest_of(if line.starts_with("x = ") { "first(1)\n" } else { "second(2)" }, read)
    };
    let mut server = TestServer::initialized(TestOptions { prepare_next: true, ..TestOptions::scripted(script) });
    server.open(URI, "python", "x = \n");
    assert_eq!(server.complete(0, 4), ["first(1)"]);
    // It was not requested.
    written.recv().unwrap();
    server.edit(2, (0, 4), (0, 4), "first(1)");
    server.edit(3, (0, 12), (0, 12), "\n");
    assert_eq!(server.complete(1, 0), ["second(2)"]);
    server.finish();
}

#[test]
fn after_three_that_nobody_accepts_the_next_is_not_written_until_one_is() {
    let (written_sender, written) = std::sync::mpsc::channel();
    let written_sender = std::sync::Mutex::new(written_sender);
    let script = move |read: &str| {
        let line = read.rsplit('\n').next().unwrap_or_default();
        if line == "second(2)" {
            // This fails if the test is over.
            let _ = written_sender.lock().unwrap().send(());
        }
        rest_of(if line.starts_with("x = ") { "first(1)\n" } else { "second(2)" }, read)
    };
    let mut server = TestServer::initialized(TestOptions { prepare_next: true, ..TestOptions::scripted(script) });
    server.open(URI, "python", &"x = \n\n\n\n".repeat(8));
    for line in 0..3 {
        assert_eq!(server.complete(4 * line, 4), ["first(1)"]);
        written.recv().unwrap();
    }
    for line in 3..6 {
        assert_eq!(server.complete(4 * line, 4), ["first(1)"]);
    }
    server.call("workspace/executeCommand", json!({"command": "phi-ls.accepted", "arguments": [1, 0]}));
    assert_eq!(server.complete(4 * 6, 4), ["first(1)"]);
    written.recv().unwrap();
    // None of the three in between was generated.
    assert!(written.try_recv().is_err());
    server.finish();
}

#[test]
fn an_edit_nobody_asks_about_is_read_ahead() {
    let mut server = TestServer::answering("foo(1)", "x = \n");
    server.status("ready");
    server.edit(2, (0, 4), (0, 4), "a + ");
    server.status("busy");
    server.status("ready");
    let read = server.counters.tokens();
    assert!(read > "x = a + ".len());
    assert_eq!(server.complete(0, 8), ["foo(1)"]);
    // Only the tokens that healing writes again and the generated ones were read.
    assert!(server.counters.tokens() - read < 16, "{} tokens read again", server.counters.tokens() - read);
    server.finish();
}

#[test]
fn a_request_by_hand_offers_alternatives_each_once() {
    // Two characters are equally likely at four places.
    let likely: Vec<String> =
        (0..16).map(|n| format!("f{}(g{}, h{}, i{})", n & 1, n >> 1 & 1, n >> 2 & 1, n >> 3)).collect();
    let texts_of_model = likely.clone();
    let script = move |read: &str| {
        let rests: Vec<String> = texts_of_model.iter().map(|text| rest_of(text, read)).collect();
        let shortest = rests.iter().map(String::len).min().unwrap();
        rests.into_iter().filter(|rest| rest.len() == shortest).collect::<Vec<_>>().join(OR)
    };
    let mut server = TestServer::initialized(TestOptions::scripted(script));
    server.open(URI, "python", "x = \n");
    assert_eq!(server.complete(0, 4).len(), 1);
    let mut invoked = completion_params(URI, 0, 4);
    invoked["context"]["triggerKind"] = json!(1);
    let mut offered = texts(&server.call("textDocument/inlineCompletion", invoked));
    assert!(offered.len() > 1 && offered.iter().all(|text| likely.contains(text)), "{offered:?}");
    let count = offered.len();
    offered.sort_unstable();
    offered.dedup();
    assert_eq!(offered.len(), count, "{offered:?}");
    server.finish();
}
