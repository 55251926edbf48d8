//! Follow-up questions, and what the model has to read again for them.

use phi_ls::config::Source;
use phi_ls::kernels::pool::ThreadPool;
use phi_ls::model::{self, LoadOptions};
use serde_json::{Value, json};

use crate::questions::actions::{
    FIXED, TEXT, capabilities, choose, same_model, started, streamed, warning, with_assistant,
};
use crate::support::starter;
use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::{TestServer, URI};

const SUM: &str = "It multiplies.";
const REASON: &str = "Because it is an area.";

/// A model that explains, fixes, and answers follow-up questions.
fn talking() -> TestOptions {
    let script = |read: &str| {
        let known = [("Explain what", SUM), ("Correct the code", FIXED), ("Why?", REASON), ("And then?", "Nothing.")];
        let asked = known.into_iter().max_by_key(|(question, _)| read.rfind(question));
        rest_of(asked.map_or("", |(_, answer)| answer), read)
    };
    TestOptions { settings: vec![same_model()], ..TestOptions::scripted(script) }
}

fn follow_up(server: &mut TestServer, answer: &Value, question: &str) -> i64 {
    let arguments = json!([{"answer": answer, "question": question}]);
    server.request("workspace/executeCommand", json!({"command": "phi-ls.followUp", "arguments": arguments}))
}

/// Runs the action `title` and waits for the end of the answer.
fn ask(server: &mut TestServer, title: &str) -> Value {
    let id = choose(server, title);
    server.result(id);
    streamed(server).1
}

/// Asks a follow-up question about `answer` and waits for the end of the answer.
fn follow(server: &mut TestServer, answer: &Value, question: &str) -> Value {
    let id = follow_up(server, answer, question);
    let result = server.result(id);
    let (text, end) = streamed(server);
    assert_eq!((result["text"].as_str(), &result["reason"]), (Some(text.as_str()), &Value::Null));
    assert_eq!((&end["text"], &result["applied"]), (&json!(text), &json!(false)));
    end
}

/// Tokens of `end`'s prompt that were not in a cache.
fn read_anew(end: &Value) -> u64 {
    let count = |name: &str| end["timings"][name].as_u64().expect("a count");
    count("promptTokens") - count("cachedTokens")
}

#[test]
fn a_question_goes_on_from_an_answer_and_can_be_followed_itself() {
    let mut server = started(talking(), &capabilities());
    let first = ask(&mut server, "Explain this function");
    assert!(first.get("follows").is_none());
    let second = follow(&mut server, &first["id"], " Why? ");
    assert_eq!(second["text"], REASON);
    assert_eq!((&second["follows"], &second["title"], &second["uri"]), (&first["id"], &json!("Why?"), &json!(URI)));
    let third = follow(&mut server, &second["id"], "And then?");
    assert_eq!((&third["text"], &third["follows"]), (&json!("Nothing."), &second["id"]));
    assert!(first["id"] != second["id"] && second["id"] != third["id"]);
    // The end of the answer, the tags around the question, and the question. The scripted model's tokens are bytes.
    let tags = "<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n";
    assert!(read_anew(&second) < (tags.len() + "Why?".len()) as u64, "{second}");
    assert!(read_anew(&third) < (tags.len() + "And then?".len()) as u64, "{third}");
    server.finish();
}

#[test]
fn an_edit_can_be_asked_about_although_it_has_changed_the_document() {
    let mut server = started(talking(), &capabilities());
    let fix = ask(&mut server, "Fix this problem");
    server.applied_edit();
    server.edit(2, (4, 19), (4, 25), "height");
    let reason = follow(&mut server, &fix["id"], "Why?");
    assert_eq!(reason["text"], REASON);
    assert!(read_anew(&reason) < 80, "{reason}");
    server.finish();
}

/// Checks that a question gets an error that contains `expected`, and that there is no other message.
fn check_refused(server: &mut TestServer, arguments: &Value, expected: &str) {
    let id = server.request("workspace/executeCommand", json!({"command": "phi-ls.followUp", "arguments": arguments}));
    let error = &server.answer(id)["error"];
    assert_eq!(error["code"], -32602);
    assert!(error["message"].as_str().expect("a message").contains(expected), "{error}");
}

#[test]
fn questions_that_follow_nothing_or_ask_nothing_are_refused() {
    let mut server = started(talking(), &capabilities());
    let first = ask(&mut server, "Explain this function");
    let passes = server.counters.forward_calls();
    check_refused(&mut server, &json!([{"answer": 4711, "question": "Why?"}]), "no longer available");
    check_refused(&mut server, &json!([{"answer": first["id"], "question": " "}]), "there is no question");
    check_refused(&mut server, &json!([{"answer": "first"}]), "expected a question that follows an answer");
    check_refused(&mut server, &Value::Null, "expected a question that follows an answer");
    assert_eq!(server.counters.forward_calls(), passes);
    server.finish();
}

#[test]
fn the_last_conversations_are_kept_as_long_as_their_document_is_open() {
    let mut server = started(talking(), &capabilities());
    let answers: Vec<Value> = (0..9).map(|_| ask(&mut server, "Explain this function")["id"].clone()).collect();
    check_refused(&mut server, &json!([{"answer": answers[0], "question": "Why?"}]), "no longer available");
    assert_eq!(follow(&mut server, &answers[8], "Why?")["text"], REASON);
    server.notify("textDocument/didClose", json!({"textDocument": {"uri": URI}}));
    server.open(URI, "python", TEXT);
    check_refused(&mut server, &json!([{"answer": answers[8], "question": "Why?"}]), "no longer available");
    let again = ask(&mut server, "Explain this function");
    let excluding = json!({"phi-ls": {"exclude": ["**/main.py"]}});
    server.notify("workspace/didChangeConfiguration", json!({"settings": excluding}));
    check_refused(&mut server, &json!([{"answer": again["id"], "question": "Why?"}]), "no longer available");
    server.finish();
}

#[test]
fn a_conversation_that_has_become_too_long_is_ended_with_advice() {
    let mut options = talking();
    options.settings.push((Source::File, json!({"assistant": {"contextTokens": 900, "maxTokens": 200}})));
    let mut server = started(options, &capabilities());
    let first = ask(&mut server, "Explain this function");
    let id = follow_up(&mut server, &first["id"], &"Why? ".repeat(300));
    let reason = server.result(id)["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("is too long") && reason.contains("allow 1100 together"), "{reason}");
    assert!(warning(&mut server).contains("ask about the code again"));
    server.finish();
}

#[test]
fn the_model_that_answered_goes_on() {
    let mut server = started(with_assistant(|| Ok("the assistant")), &capabilities());
    let first = ask(&mut server, "Explain this function");
    let second = follow(&mut server, &first["id"], "Why?");
    assert_eq!(second["text"], "the assistant");
    assert!(read_anew(&second) < 80, "{second}");
    server.finish();
}

#[test]
fn the_starter_reads_only_what_is_new() {
    let Some(path) = starter() else { return };
    let pool = std::sync::Arc::new(ThreadPool::new(2));
    let load = move || {
        let options = LoadOptions { pool: pool.clone(), kv_type: Default::default() };
        model::load(&path, &options, &mut |_| {})
    };
    let settings = json!({"assistant": {"model": "one", "maxTokens": 60}, "completion": {"model": "one"}});
    let options = TestOptions { settings: vec![(Source::Flags, settings)], ..TestOptions::loading(load) };
    let mut server = started(options, &capabilities());
    for title in ["Explain this function", "Explain this problem"] {
        let before = ask(&mut server, title);
        let after = follow(&mut server, &before["id"], "Why does it need two parameters?");
        let count = |end: &Value, name: &str| end["timings"][name].as_u64().expect("a count");
        // The model may have written its answer with other tokens than the tokenizer would use. Then that much is read
        // again.
        let known = count(&before, "promptTokens") + count(&before, "generatedTokens") / 2;
        assert!(count(&after, "cachedTokens") >= known, "{title}: {before} {after}");
    }
    server.finish();
}
