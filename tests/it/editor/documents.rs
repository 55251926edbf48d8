//! Documents: edits in order, positions in the client's units, closed documents.

use serde_json::{Value, json};

use crate::support::test_options::TestOptions;
use crate::support::test_server::{TestServer, URI, change, completion_params, texts};

/// A server whose model writes how many characters are before the cursor on its line, so that a completion shows which
/// text it was made for.
fn counting() -> TestServer {
    TestServer::initialized(counting_options())
}

fn counting_options() -> TestOptions {
    TestOptions::scripted(|read| {
        let line = read.rsplit('\n').next().unwrap_or_default();
        let (told, written) = line.split_at(line.find('<').unwrap_or(line.len()));
        let answer = format!("<{}>", told.chars().count());
        answer.strip_prefix(written).unwrap_or_default().to_owned()
    })
}

#[test]
fn positions_count_utf16_units() {
    let mut server = counting();
    server.open(URI, "python", "a = '😀' + \nb\n");
    // After the emoji, which is two UTF-16 units: `+ ` ends at 11 units, 10 characters, 13 bytes.
    assert_eq!(server.complete(0, 11), ["<10>"]);
    server.edit(2, (0, 8), (0, 11), "漢字 + ");
    assert_eq!(server.complete(0, 13), ["<12>"]);
    server.finish();
}

#[test]
fn positions_count_bytes_where_that_is_agreed() {
    let mut server = TestServer::start(counting_options());
    let result = server.initialize(json!({"capabilities": {"general": {"positionEncodings": ["utf-16", "utf-8"]}}}));
    assert_eq!(result["capabilities"]["positionEncoding"], "utf-8");
    server.open(URI, "python", "a = '😀' + \nb\n");
    let id = server.request_completion(0, 13);
    let result = server.result(id);
    assert_eq!(texts(&result), ["<10>"]);
    assert_eq!(result["items"][0]["range"]["start"], json!({"line": 0, "character": 13}));
    server.finish();
}

#[test]
fn a_completion_right_behind_an_edit_sees_it() {
    let mut server = counting();
    server.open(URI, "python", "\n");
    for (version, character) in (2..).zip(0..20) {
        server.edit(version, (0, character), (0, character), "x");
        let texts = server.complete(0, character + 1);
        assert_eq!(texts, [format!("<{}>", character + 1)]);
    }
    server.finish();
}

#[test]
fn two_hundred_pipelined_pairs_are_each_answered_for_their_own_text() {
    let mut server = counting();
    server.open(URI, "python", "\n");
    let mut ids = Vec::new();
    for (version, character) in (2..).zip(0..200) {
        server.edit(version, (0, character), (0, character), "x");
        ids.push((server.request_completion(0, character + 1), character + 1));
    }
    let (last, _) = *ids.last().unwrap();
    for (id, len) in ids {
        let result = server.result(id);
        let texts = texts(&result);
        let own = format!("<{len}>");
        assert!(texts.is_empty() && id != last || texts == [own], "request {id}: {texts:?}");
    }
    // Older requests are answered first.
    let answered: Vec<i64> = server.answered().to_vec();
    assert!(answered.is_sorted(), "{answered:?}");
    server.finish();
}

#[test]
fn whole_document_changes_and_several_changes_at_once_are_applied() {
    let mut server = counting();
    server.open(URI, "python", "old\n");
    let whole = json!({"textDocument": {"uri": URI, "version": 2}, "contentChanges": [{"text": "new \n"}]});
    server.notify("textDocument/didChange", whole);
    assert_eq!(server.complete(0, 4), ["<4>"]);
    let mut two = change(3, (0, 3), (0, 4), " a ");
    two["contentChanges"].as_array_mut().unwrap().push(change(3, (0, 0), (0, 3), "x")["contentChanges"][0].clone());
    server.notify("textDocument/didChange", two);
    assert_eq!(server.complete(0, 4), ["<4>"]);
    server.finish();
}

#[test]
fn places_outside_the_text_are_clamped() {
    let mut server = counting();
    server.open(URI, "python", "ab\ncd");
    server.edit(2, (7, 0), (9, 9), " = ");
    assert_eq!(server.complete(99, 99), ["<5>"]);
    server.edit(3, (1, 5), (1, 2), "");
    assert_eq!(server.complete(1, 99), ["<2>"]);
    server.finish();
}

#[test]
fn unknown_documents_get_an_empty_list() {
    let mut server = counting();
    assert_eq!(server.complete(0, 0), [""; 0]);
    server.edit(2, (0, 0), (0, 0), "x");
    server.notify("textDocument/didClose", json!({"textDocument": {"uri": URI}}));
    server.open(URI, "python", "a = ");
    assert_eq!(server.complete(0, 4), ["<4>"]);
    server.notify("textDocument/didClose", json!({"textDocument": {"uri": URI}}));
    assert_eq!(server.complete(0, 4), [""; 0]);
    server.finish();
}

#[test]
fn texts_that_are_no_files_or_of_no_known_language_are_completed() {
    let mut server = counting();
    for (uri, language) in [("untitled:Untitled-1", "rust"), ("file:///home/user/x.zz", "unheard-of")] {
        server.open(uri, language, "a = ");
        let result = server.call("textDocument/inlineCompletion", completion_params(uri, 0, 4));
        assert_eq!(texts(&result), ["<4>"], "{uri}");
    }
    server.finish();
}

#[test]
fn where_completions_are_off_nothing_is_computed() {
    let mut server = counting();
    server.open(URI, "python", "a = ");
    let set = |server: &mut TestServer, enabled: bool| {
        server.notify("phi-ls/setCompletions", json!({"uri": URI, "enabled": enabled}));
    };
    set(&mut server, false);
    assert_eq!(server.complete(0, 4), [""; 0]);
    server.edit(2, (0, 4), (0, 4), "b");
    // The completion of another document arrives after any that this one would have begun.
    server.open("file:///home/user/project/other.py", "python", "ab = ");
    let other = completion_params("file:///home/user/project/other.py", 0, 5);
    assert_eq!(texts(&server.call("textDocument/inlineCompletion", other)), ["<5>"]);
    set(&mut server, true);
    assert_eq!(server.complete(0, 5), ["<5>"]);
    // After it is opened again, it has completions.
    set(&mut server, false);
    server.notify("textDocument/didClose", json!({"textDocument": {"uri": URI}}));
    server.open(URI, "python", "a = ");
    assert_eq!(server.complete(0, 4), ["<4>"]);
    set(&mut server, false);
    server.notify("phi-ls/setCompletions", json!({"uri": "file:///unknown", "enabled": false}));
    server.finish();
}

#[test]
fn a_document_of_twenty_megabytes_is_no_problem() {
    let mut server = counting();
    server.open(URI, "python", &format!("{}\nlast = ", "x = 1 # filler\n".repeat((20 << 20) / 15)));
    let texts = server.complete(u32::MAX, 0);
    assert_eq!(texts, ["<7>"]);
    server.finish();
}

#[test]
fn files_that_look_like_secrets_never_reach_the_model() {
    let mut server = counting();
    server.open("file:///home/user/project/.env", "shellscript", "TOKEN=");
    let id = server.request("textDocument/inlineCompletion", completion_params("file:///home/user/project/.env", 0, 6));
    assert_eq!(texts(&server.result(id)), [""; 0]);
    let invoked = json!({"textDocument": {"uri": "file:///home/user/project/.env"}, "position": {"line": 0, "character": 6}, "context": {"triggerKind": 1}});
    assert_eq!(texts(&server.call("textDocument/inlineCompletion", invoked)), [""; 0]);
    let told = server.notification("window/showMessage", |_| true);
    assert_eq!(told["message"], "phi-ls: not completed: looks like a secret (`.env*`)");
    assert_eq!(server.counters.forward_calls(), 0);
    let result: Value =
        server.call("textDocument/completion", completion_params("file:///home/user/project/.env", 0, 6));
    assert_eq!(result["items"], json!([]));
    server.finish();
}
