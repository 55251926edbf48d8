//! `$/cancelRequest` is answered at once with its own error code, however busy the server is, and stops the model.

use serde_json::json;

use crate::support::test_options::braked;
use crate::support::test_server::{TestServer, URI, completion_params, texts};

#[test]
fn a_cancel_while_sixteen_requests_are_in_flight_is_answered_while_the_model_is_busy() {
    let (options, brake) = braked("foo(1)", usize::MAX);
    let mut server = TestServer::initialized(options);
    let uri = |index: usize| format!("file:///home/user/project/{index}.py");
    let mut ids = Vec::new();
    for index in 0..16 {
        server.open(&uri(index), "python", "x = \n");
        ids.push(server.request("textDocument/inlineCompletion", completion_params(&uri(index), 0, 4)));
    }
    // The model stops in its first pass.
    brake.begun.recv().unwrap();
    for index in [9, 0, 15] {
        server.cancel(ids[index]);
        assert_eq!(server.answer(ids[index])["error"]["code"], -32800);
    }
    drop(brake);
    for index in (1..15).filter(|index| *index != 9) {
        assert_eq!(texts(&server.result(ids[index])), ["foo(1)"], "{index}");
    }
    server.finish();
}

#[test]
fn a_cancelled_generation_ends_and_the_next_request_is_answered() {
    let (options, brake) = braked("foo(1)", 2);
    let mut server = TestServer::initialized(options);
    server.open(URI, "python", "x = \ny = \n");
    let cancelled = server.request_completion(0, 4);
    brake.begun.recv().unwrap();
    server.cancel(cancelled);
    assert_eq!(server.answer(cancelled)["error"]["code"], -32800);
    brake.go_on.send(()).unwrap();
    let next = server.request_completion(1, 4);
    brake.begun.recv().unwrap();
    brake.go_on.send(()).unwrap();
    assert_eq!(texts(&server.result(next)), ["foo(1)"]);
    server.finish();
}

#[test]
fn a_generation_cancelled_by_a_key_that_agrees_is_taken_up_again() {
    let (options, brake) = braked("compute(1)", 3);
    let mut server = TestServer::initialized(options);
    server.open(URI, "python", "x = \n");
    let older = server.request_completion(0, 4);
    for _ in 0..2 {
        brake.begun.recv().unwrap();
        brake.go_on.send(()).unwrap();
    }
    brake.begun.recv().unwrap();
    // An editor sends these at a key: the edit, the cancellation, the next request.
    server.edit(2, (0, 4), (0, 4), "c");
    server.cancel(older);
    let newer = server.request_completion(0, 5);
    brake.go_on.send(()).unwrap();
    assert_eq!(texts(&server.result(newer)), ["ompute(1)"]);
    server.answer(older);
    server.finish();
}

#[test]
fn cancelling_what_is_answered_or_unknown_changes_nothing() {
    let mut server = TestServer::answering("foo(1)", "x = \n");
    let id = server.request_completion(0, 4);
    assert_eq!(texts(&server.result(id)), ["foo(1)"]);
    server.cancel(id);
    server.cancel(4711);
    server.notify("$/cancelRequest", json!({"id": "a string"}));
    assert_eq!(server.complete(0, 4), ["foo(1)"]);
    server.finish();
}
