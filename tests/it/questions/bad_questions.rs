//! Useless questions and answers: each leads to one clear message, and nothing is applied or left behind.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use phi_ls::config::{Settings, Source};
use phi_ls::engine::embedded::Loader;
use serde_json::{Value, json};

use crate::questions::actions::{capabilities, choose, diagnostic, same_model, started, warning};
use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::{TestServer, URI};

/// A server whose answers come from `script`. The two models do not fit together, so there are completions again only
/// after the last question.
fn server(folder: &tempfile::TempDir, script: fn(&str) -> String) -> TestServer {
    let path = |name: &str| {
        let path = folder.path().join(name);
        std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let completions = TestOptions::scripted(|read| rest_of("1 + 1", read));
    let (resident, assistant) = (Arc::clone(&completions.loader), TestOptions::scripted(script).loader);
    let loader = move |name: &str, settings: &Settings| -> Loader {
        let role = if name.ends_with("resident.gguf") { &resident } else { &assistant };
        role(name, settings)
    };
    let settings = json!({
        "completion.model": path("resident.gguf"), "memoryBudgetMiB": 1536,
        "assistant": {"model": path("assistant.gguf"), "maxTokens": 90, "whenItDoesNotFit": "swap"},
    });
    let options = TestOptions { loader: Arc::new(loader), settings: vec![(Source::Flags, settings)], ..completions };
    started(options, &capabilities())
}

/// Asks the question `title` with a model that follows `script`. Returns what the person reads, and checks that nothing
/// is applied or left.
fn check_useless(script: fn(&str) -> String, title: &str, message: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut server = server(&folder, script);
    server.status("ready");
    let id = choose(&mut server, title);
    let result = server.result(id);
    assert_eq!(result["applied"], false);
    if let Some(message) = message {
        assert!(result["reason"].as_str().expect("a reason").contains(message), "{result}");
        assert!(warning(&mut server).contains(message));
    }
    server.edit(2, (7, 4), (7, 4), "1\ny = ");
    assert_eq!(server.complete(8, 4), ["1 + 1"], "{title}: a question is left");
    assert!(server.edits.is_empty());
    // This also checks that there was no other message.
    server.finish();
    result["text"].as_str().unwrap_or_default().to_owned()
}

/// Endless digits without repetition.
fn endless(read: &str) -> String {
    let mut hasher = DefaultHasher::new();
    read.hash(&mut hasher);
    format!("{:x}", hasher.finish())
}

#[test]
fn a_model_that_only_talks_says_nothing_or_never_stops_changes_nothing() {
    check_useless(
        |read| rest_of("There is nothing wrong with it.", read),
        "Fix this problem",
        Some("nothing was changed"),
    );
    check_useless(|_| String::new(), "Fix this problem", Some("the model gave no answer"));
    check_useless(endless, "Fix this problem", Some("stops before the code ends"));
    check_useless(|_| String::new(), "Explain this function", Some("the model gave no answer"));
    let text = check_useless(endless, "Explain this function", None);
    assert!(text.ends_with("(The answer was cut off here, at the limit set by `assistant.maxTokens`.)"), "{text}");
}

/// Checks the message after a question about the document at `uri`. The model must not be asked.
fn check_not_asked(uri: &str, text: &str, diagnostic: &Value, expected: &str) {
    let options = TestOptions { settings: vec![same_model()], ..TestOptions::scripted(|_| "x".to_owned()) };
    let mut server = started(options, &capabilities());
    if uri != URI {
        server.open(uri, "plaintext", text);
    }
    let range = json!({"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}});
    let action = if diagnostic.is_null() { "explainCode" } else { "fixProblem" };
    let question =
        json!({"uri": uri, "action": action, "title": "A question", "range": range, "diagnostic": diagnostic});
    let params = json!({"command": "phi-ls.ask", "arguments": [question]});
    let result = server.call("workspace/executeCommand", params);
    assert_eq!((&result["applied"], result["reason"].as_str()), (&json!(false), Some(expected)));
    assert_eq!(warning(&mut server), format!("phi-ls: A question: {expected}"));
    assert_eq!(server.counters.forward_calls(), 0);
    server.finish();
}

#[test]
fn questions_about_what_is_not_there_are_not_asked() {
    check_not_asked(URI, "", &diagnostic(4711), "the problem is outside the document; choose the action again");
    check_not_asked("file:///nowhere.py", "", &Value::Null, "there is no code here to ask about");
    let binary = "\u{FFFD}ELF\u{2}\u{1}\0\0\0>\0\u{1}\n\0@\0";
    let told = "this is binary data, not text: there is no code here to ask about";
    check_not_asked("file:///home/user/project/a.out", binary, &Value::Null, told);
}
