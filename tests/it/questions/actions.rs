//! Code actions from the menu to the applied edit, with a scripted model in both roles.

use std::sync::Arc;

use phi_ls::config::{Settings, Source};
use phi_ls::engine::embedded::Loader;
use phi_ls::model::ModelError;
use serde_json::{Value, json};

use crate::support::stop_point::{Hold, stop_point};
use crate::support::test_options::{TestOptions, braked, rest_of};
use crate::support::test_server::{TestServer, URI, texts};

pub(crate) const TEXT: &str = "import os\n\n\ndef area(width, height):\n    return width * heigth\n\n\nx = \n";

/// A client that can do everything.
pub(crate) fn capabilities() -> Value {
    json!({
        "textDocument": {
            "inlineCompletion": {},
            "codeAction": {
                "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix", "refactor.rewrite"]}},
                "disabledSupport": true,
            },
        },
        "workspace": {
            "applyEdit": true,
            "workspaceEdit": {
                "documentChanges": true, "resourceOperations": ["create"], "changeAnnotationSupport": {},
            },
        },
        "experimental": {"phiLs": {"answers": true}},
    })
}

/// The setting that gives both roles one model: no second engine, and no message about it.
pub(crate) fn same_model() -> (Source, Value) {
    (Source::Flags, json!({"assistant": {"model": "one"}, "completion": {"model": "one"}}))
}

pub(crate) fn started(options: TestOptions, capabilities: &Value) -> TestServer {
    let mut server = TestServer::start(options);
    server.initialize(json!({"capabilities": capabilities}));
    server.open(URI, "python", TEXT);
    server
}

/// A server whose model always answers `answer`.
fn answering(answer: &'static str) -> TestServer {
    let options = TestOptions::scripted(move |read| rest_of(answer, read));
    started(TestOptions { settings: vec![same_model()], ..options }, &capabilities())
}

pub(crate) fn diagnostic(line: u32) -> Value {
    let range = json!({"start": {"line": line, "character": 19}, "end": {"line": line, "character": 25}});
    json!({"range": range, "severity": 1, "source": "pyright", "message": "\"heigth\" is not defined"})
}

pub(crate) fn actions(server: &mut TestServer, diagnostics: &Value, only: &Value) -> Vec<Value> {
    let range = json!({"start": {"line": 4, "character": 20}, "end": {"line": 4, "character": 20}});
    let context = json!({"diagnostics": diagnostics, "only": only});
    let params = json!({"textDocument": {"uri": URI}, "range": range, "context": context});
    server.call("textDocument/codeAction", params).as_array().expect("a list").clone()
}

fn titles(actions: &[Value]) -> Vec<&str> {
    actions.iter().map(|action| action["title"].as_str().expect("a title")).collect()
}

/// Runs the action with this `title` without waiting for it.
pub(crate) fn choose(server: &mut TestServer, title: &str) -> i64 {
    let offered = actions(server, &json!([diagnostic(4)]), &Value::Null);
    let action = offered.iter().find(|action| action["title"] == title).expect("it is offered");
    let command = &action["command"];
    let (command, arguments) = (&command["command"], &command["arguments"]);
    server.request(
        "workspace/executeCommand",
        json!({"command": command, "arguments": arguments, "workDoneToken": "work"}),
    )
}

/// The pieces of an answer until its end, and the end.
pub(crate) fn streamed(server: &mut TestServer) -> (String, Value) {
    let mut text = String::new();
    loop {
        let piece = server.notification("phi-ls/answer", |_| true);
        text.push_str(piece["delta"].as_str().expect("a delta"));
        if piece["done"] == true {
            return (text, piece);
        }
    }
}

pub(crate) fn warning(server: &mut TestServer) -> String {
    let shown = server.notification("window/showMessage", |_| true);
    shown["message"].as_str().expect("a message").to_owned()
}

/// [`TEXT`] with the edits of one document change for version `version`.
pub(crate) fn applied(edit: &Value, version: i32, text: &str) -> String {
    let changes = edit["documentChanges"].as_array().expect("document changes");
    assert_eq!(changes.len(), 1, "{edit}");
    assert_eq!(changes[0]["textDocument"], json!({"uri": URI, "version": version}));
    let mut text = ropey::Rope::from_str(text);
    for edit in changes[0]["edits"].as_array().expect("edits").iter().rev() {
        let offset = |end: &str| {
            let place = &edit["range"][end];
            text.line_to_char(place["line"].as_u64().unwrap() as usize) + place["character"].as_u64().unwrap() as usize
        };
        let (start, end) = (offset("start"), offset("end"));
        text.remove(start..end);
        text.insert(start, edit["newText"].as_str().unwrap());
    }
    text.to_string()
}

pub(crate) const FIXED: &str = "def area(width, height):\n    return width * height\n```";
pub(crate) const ANSWER: &str = "It multiplies `width` and `height`.\n\n* one\n* two ![x](http://a)\n";

#[test]
fn actions_are_offered_at_once_and_without_a_model() {
    let mut server = answering("");
    server.status("ready");
    let offered = actions(&mut server, &json!([diagnostic(4)]), &Value::Null);
    let expected = [
        "Fix this problem",
        "Explain this problem",
        "Explain this function",
        "Refactor this function",
        "Document this function",
        "Write tests for this function",
    ];
    assert_eq!(titles(&offered), expected);
    assert_eq!(offered[0]["kind"], "quickfix");
    assert_eq!(offered[0]["diagnostics"], json!([diagnostic(4)]));
    assert_eq!(offered[0]["command"]["arguments"][0]["version"], 1);
    assert!(offered.iter().all(|action| action.get("isPreferred").is_none()));
    let fixes = actions(&mut server, &json!([diagnostic(4)]), &json!(["quickfix"]));
    assert_eq!(titles(&fixes), expected[..2]);
    // A diagnostic beyond the end does not belong to this document.
    let outside = actions(&mut server, &json!([diagnostic(4711)]), &Value::Null);
    assert_eq!(titles(&outside), expected[2..]);
    assert_eq!(server.counters.forward_calls(), 0);
    server.finish();
}

#[test]
fn clients_without_literals_get_commands() {
    let options = TestOptions::scripted(|_| String::new());
    let mut server = started(options, &json!({"textDocument": {"inlineCompletion": {}}}));
    let offered = actions(&mut server, &json!([]), &Value::Null);
    assert_eq!(offered[0]["command"], "phi-ls.ask");
    assert_eq!(offered[0]["arguments"][0]["action"], "explainCode");
    server.finish();
}

#[test]
fn excluded_documents_have_no_actions_that_can_be_chosen() {
    let mut server = answering("never");
    let uri = "file:///home/user/project/.env.py";
    server.open(uri, "python", "password = 1\n");
    let position = json!({"line": 0, "character": 0});
    let range = json!({"start": position, "end": position});
    let params = json!({"textDocument": {"uri": uri}, "range": range, "context": {"diagnostics": []}});
    let offered = server.call("textDocument/codeAction", params);
    for action in offered.as_array().expect("a list") {
        assert!(action["disabled"]["reason"].as_str().expect("a reason").contains("excluded"), "{action}");
        assert!(action.get("command").is_none(), "{action}");
    }
    // A command that is sent nevertheless gets an error, and the model is not asked.
    let arguments = json!([{"uri": uri, "action": "explainCode", "range": range, "title": "Explain"}]);
    let result = server.call("workspace/executeCommand", json!({"command": "phi-ls.ask", "arguments": arguments}));
    assert_eq!(result["applied"], false);
    assert!(warning(&mut server).contains("excluded"));
    assert_eq!(server.counters.forward_calls(), 0);
    server.finish();
}

#[test]
fn an_explanation_streams_pieces_that_add_up() {
    let mut server = answering(ANSWER);
    let id = choose(&mut server, "Explain this function");
    let (text, end) = streamed(&mut server);
    assert_eq!(text, "It multiplies `width` and `height`.\n\n* one\n* two [x]");
    assert_eq!(end["text"], text);
    assert_eq!(end["model"], "scripted");
    assert!(end["timings"]["generatedTokens"].as_u64().expect("a count") > 10);
    assert_eq!(server.result(id)["text"], text);
    let mut kinds = Vec::new();
    while kinds.last() != Some(&json!("end")) {
        let progress = server.notification("$/progress", |params| params["token"] == "work");
        kinds.push(progress["value"]["kind"].clone());
    }
    assert_eq!(kinds[0], "begin");
    assert!(kinds[1..kinds.len() - 1].iter().all(|kind| kind == "report") && kinds.len() > 2);
    server.finish();
}

#[test]
fn plain_clients_get_a_document_or_a_message() {
    let options =
        || TestOptions { settings: vec![same_model()], ..TestOptions::scripted(move |read| rest_of(ANSWER, read)) };
    let mut plain = capabilities();
    plain["experimental"] = Value::Null;
    plain["window"] = json!({"showDocument": {"support": true}});
    let mut server = started(options(), &plain);
    let id = choose(&mut server, "Explain this function");
    assert!(server.shown_text().contains("It multiplies `width` and `height`.\n"));
    server.result(id);
    server.finish();

    plain["window"] = Value::Null;
    let mut server = started(options(), &plain);
    let id = choose(&mut server, "Explain this function");
    assert!(warning(&mut server).contains("It multiplies `width` and `height`.\n"));
    server.result(id);
    server.finish();
}

#[test]
fn a_fix_is_an_edit_of_the_version_it_was_made_for() {
    let mut server = answering(FIXED);
    let id = choose(&mut server, "Fix this problem");
    let edit = server.applied_edit();
    assert_eq!(applied(&edit, 1, TEXT), TEXT.replace("heigth", "height"));
    assert!(edit.get("changeAnnotations").is_none());
    assert_eq!(server.result(id)["applied"], true);
    server.finish();
}

#[test]
fn an_answer_that_cannot_be_used_is_asked_for_once_more() {
    let script = |read: &str| match read.contains("That cannot be used") {
        true => rest_of(FIXED, read),
        false => rest_of("def other():\n    pass\n```", read),
    };
    let options = TestOptions { settings: vec![same_model()], ..TestOptions::scripted(script) };
    let mut server = started(options, &capabilities());
    let id = choose(&mut server, "Fix this problem");
    let edit = server.applied_edit();
    assert_eq!(applied(&edit, 1, TEXT), TEXT.replace("heigth", "height"));
    server.result(id);
    server.finish();
}

#[test]
fn tests_go_into_a_file_of_their_own() {
    let mut server = answering("def test_area():\n    assert area(1, 2) == 2\n```");
    let id = choose(&mut server, "Write tests for this function");
    let edit = server.applied_edit();
    let uri = "file:///home/user/project/test_main.py";
    assert_eq!(edit["documentChanges"][0]["kind"], "create");
    assert_eq!(edit["documentChanges"][0]["uri"], uri);
    assert_eq!(edit["documentChanges"][1]["textDocument"], json!({"uri": uri, "version": null}));
    let text = &edit["documentChanges"][1]["edits"][0]["newText"];
    assert_eq!(text, "def test_area():\n    assert area(1, 2) == 2\n");
    server.result(id);
    server.finish();
}

#[test]
fn nothing_is_written_beside_a_document_that_is_no_file() {
    let mut server = answering("def test_area():\n    assert area(1, 2) == 2\n```");
    let nowhere = "the new file goes beside the document, which is not a file on this machine";
    for (uri, reason) in [
        ("untitled:Untitled-1", "save the document first; the new file goes beside it"),
        ("vscode-vfs://github/me/project/area.py", nowhere),
        ("vscode-notebook-cell:/home/user/project/area.ipynb#W0", nowhere),
        ("scp://host/home/user/project/area.py", nowhere),
    ] {
        server.open(uri, "python", TEXT);
        let cursor = json!({"line": 4, "character": 20});
        let params = json!({
            "textDocument": {"uri": uri}, "range": {"start": cursor, "end": cursor}, "context": {"diagnostics": []},
        });
        let offered = server.call("textDocument/codeAction", params);
        let mut offered = offered.as_array().expect("a list").iter();
        let command =
            &offered.find(|action| action["title"] == "Write tests for this function").expect("it")["command"];
        let (command, arguments) = (&command["command"], &command["arguments"]);
        let asked = json!({"command": command, "arguments": arguments});
        let result = server.call("workspace/executeCommand", asked);
        let told = format!("nothing was changed: {reason}");
        assert_eq!((&result["applied"], &result["reason"]), (&json!(false), &json!(told)), "{uri}");
        assert!(warning(&mut server).ends_with(reason), "{uri}");
    }
    server.finish();
}

#[test]
fn tests_are_added_to_those_that_are_open() {
    const TESTS: &str = "file:///home/user/project/test_main.py";
    let mut server = answering("import os\n\ndef test_area():\n    assert area(1, 2) == 2\n```");
    server.open(TESTS, "python", "import os\n\n\ndef test_other():\n    pass\n");
    let id = choose(&mut server, "Write tests for this function");
    let edit = server.applied_edit();
    let changes = edit["documentChanges"].as_array().expect("document changes");
    assert_eq!(changes.len(), 1, "{edit}");
    assert_eq!(changes[0]["textDocument"], json!({"uri": TESTS, "version": 1}));
    let end = json!({"line": 4, "character": 8});
    let after = json!({"line": 5, "character": 0});
    let new_text = "\n\n\ndef test_area():\n    assert area(1, 2) == 2\n";
    assert_eq!(changes[0]["edits"], json!([{"range": {"start": end, "end": after}, "newText": new_text}]));
    server.result(id);
    server.finish();
}

#[test]
fn tests_are_added_to_those_on_disk() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tests/test_area.py");
    std::fs::create_dir(folder.path().join("tests")).expect("a folder");
    std::fs::write(&path, "def test_other():\r\n    pass\r\n").expect("a file");
    let uri = |path: &str| format!("file://{}", folder.path().join(path).to_str().expect("a path in UTF-8"));
    let mut server = answering("def test_area():\n    assert area(1, 2) == 2\n```");
    server.open(&uri("area.py"), "python", TEXT);
    let range = json!({"start": {"line": 4, "character": 20}, "end": {"line": 4, "character": 20}});
    let document = json!({"uri": uri("area.py")});
    let params = json!({"textDocument": document, "range": range, "context": {"diagnostics": []}});
    let offered = server.call("textDocument/codeAction", params);
    let actions = offered.as_array().expect("a list").iter();
    let action =
        actions.clone().find(|action| action["title"] == "Write tests for this function").expect("it is offered");
    let (command, arguments) = (&action["command"]["command"], &action["command"]["arguments"]);
    let id = server.request("workspace/executeCommand", json!({"command": command, "arguments": arguments}));
    let edit = server.applied_edit();
    let change = &edit["documentChanges"][0];
    assert_eq!(change["textDocument"], json!({"uri": uri("tests/test_area.py"), "version": null}));
    let new_text = "\r\n\r\n\r\ndef test_area():\r\n    assert area(1, 2) == 2\r\n";
    assert_eq!(change["edits"][0]["newText"], new_text);
    server.result(id);
    server.finish();
}

/// Checks the message about an answer that is not an edit, and that nothing is applied.
fn check_rejected(answer: &'static str, message: &str) {
    let mut server = answering(answer);
    let id = choose(&mut server, "Fix this problem");
    let warned = warning(&mut server);
    assert!(warned.contains(message), "{warned}");
    let (_, end) = streamed(&mut server);
    assert!(end["reason"].as_str().expect("a reason").contains(message), "{end}");
    assert_eq!(server.result(id)["applied"], false);
    assert!(server.edits.is_empty());
    server.finish();
}

#[test]
fn an_answer_that_is_no_edit_is_told_and_not_applied() {
    check_rejected("There is nothing wrong with it.", "nothing was changed");
    check_rejected("", "the model gave no answer");
    check_rejected("def area(width, height):\n    return width * heigth\n```", "suggests no change");
}

/// Begins a fix, lets `meanwhile` happen while the model is at its first token, and lets it go on.
fn fixing(meanwhile: impl FnOnce(&mut TestServer)) -> (TestServer, i64) {
    let (options, brake) = braked(FIXED, 1);
    let mut server = started(TestOptions { settings: vec![same_model()], ..options }, &capabilities());
    let id = choose(&mut server, "Fix this problem");
    brake.begun.recv().unwrap();
    meanwhile(&mut server);
    // Since messages are handled in order, everything before has arrived.
    server.answer_of_nothing();
    brake.go_on.send(()).unwrap();
    (server, id)
}

#[test]
fn an_edit_elsewhere_moves_the_fix() {
    let (mut server, id) = fixing(|server| server.edit(2, (0, 0), (0, 0), "import re\n"));
    let edit = server.applied_edit();
    let text = format!("import re\n{TEXT}");
    assert_eq!(applied(&edit, 2, &text), text.replace("heigth", "height"));
    server.result(id);
    server.finish();
}

#[test]
fn an_edit_of_the_same_code_forbids_the_fix() {
    let (mut server, id) = fixing(|server| server.edit(2, (4, 4), (4, 10), "yield"));
    assert!(warning(&mut server).contains("edited while the model was answering"));
    assert_eq!(server.result(id)["applied"], false);
    assert!(server.edits.is_empty());
    server.finish();
}

#[test]
fn a_document_closed_meanwhile_ends_the_question() {
    let close = |server: &mut TestServer| {
        server.notify("textDocument/didClose", json!({"textDocument": {"uri": URI}}));
    };
    let (mut server, id) = fixing(close);
    assert!(warning(&mut server).contains("closed in the meantime"));
    assert_eq!(server.result(id)["applied"], false);
    server.finish();
}

#[test]
fn questions_about_another_version_are_not_asked() {
    let mut server = answering(FIXED);
    let offered = actions(&mut server, &json!([diagnostic(4)]), &Value::Null);
    server.edit(2, (0, 0), (0, 0), "\n");
    let arguments = &offered[0]["command"]["arguments"];
    let result = server.call("workspace/executeCommand", json!({"command": "phi-ls.ask", "arguments": arguments}));
    assert_eq!(result["applied"], false);
    assert!(warning(&mut server).contains("has changed since"));
    let bad = server.request("workspace/executeCommand", json!({"command": "phi-ls.ask", "arguments": [1]}));
    assert_eq!(server.answer(bad)["error"]["code"], -32602);
    server.finish();
}

#[test]
fn a_cancelled_question_is_answered_at_once_and_the_model_stops() {
    let (options, brake) = braked("1 + 1", usize::MAX);
    let mut server = started(TestOptions { settings: vec![same_model()], ..options }, &capabilities());
    let id = choose(&mut server, "Explain this function");
    brake.begun.recv().unwrap();
    server.status("busy");
    server.cancel(id);
    assert_eq!(server.answer(id)["error"]["code"], -32800);
    let (text, end) = streamed(&mut server);
    assert_eq!((text.as_str(), &end["reason"]), ("", &json!("cancelled")));
    let passes = server.counters.forward_calls();
    // The model ends its current pass, and begins no other.
    brake.go_on.send(()).unwrap();
    server.settle();
    assert_eq!(server.counters.forward_calls(), passes);
    drop(brake);
    server.finish();
}

#[test]
fn a_completion_is_answered_while_an_answer_is_written() {
    let (point, Hold { begun, go_on }) = stop_point();
    // The model stops at every token of an explanation, but not of a completion.
    let script = move |read: &str| {
        if read.contains("Explain what this code does") {
            point.stop();
            return rest_of(ANSWER, read);
        }
        rest_of("area(1, 2)", read)
    };
    let options = TestOptions { settings: vec![same_model()], ..TestOptions::scripted(script) };
    let mut server = started(options, &capabilities());
    let question = choose(&mut server, "Explain this function");
    begun.recv().unwrap();
    let completion = server.request_completion(7, 4);
    server.answer_of_nothing();
    // After one token of the answer, the completion comes before the next one.
    go_on.send(()).unwrap();
    assert_eq!(texts(&server.result(completion)), ["area(1, 2)"]);
    drop(go_on);
    assert_eq!(server.result(question)["reason"], Value::Null);
    let order = |id| server.answered().iter().position(|answered| *answered == id);
    assert!(order(completion) < order(question));
    server.finish();
}

/// Options with another model for the assistant, which comes from `load`.
pub(crate) fn with_assistant(load: fn() -> Result<&'static str, ModelError>) -> TestOptions {
    let completions = TestOptions::scripted(|read| rest_of("the completion model", read));
    let resident = Arc::clone(&completions.loader);
    let loader = move |name: &str, settings: &Settings| -> Loader {
        if name == "resident" {
            return resident(name, settings);
        }
        let settings = settings.clone();
        Box::new(move |progress| {
            let answer = load()?;
            let options = TestOptions::scripted(move |read| rest_of(answer, read));
            (options.loader)("assistant", &settings)(progress)
        })
    };
    let models = json!({"completion.model": "resident", "assistant.model": "assistant"});
    TestOptions { loader: Arc::new(loader), settings: vec![(Source::Flags, models)], ..completions }
}

#[test]
fn the_assistant_has_a_model_of_its_own() {
    let mut server = started(with_assistant(|| Ok("the assistant")), &capabilities());
    let id = choose(&mut server, "Explain this function");
    assert_eq!(server.result(id)["text"], "the assistant");
    server.finish();
}

#[test]
fn without_the_assistants_model_the_completion_model_answers_and_it_is_said_once() {
    let missing = || Err(ModelError::Missing("run `phi-ls pull phi-4-mini`".to_owned()));
    let mut server = started(with_assistant(missing), &capabilities());
    for _ in 0..2 {
        let id = choose(&mut server, "Explain this function");
        assert_eq!(server.result(id)["text"], "the completion model");
    }
    assert!(warning(&mut server).contains("run `phi-ls pull phi-4-mini`"));
    server.finish();
    let mut options = with_assistant(missing);
    options.settings.push((Source::File, json!({"assistant.whenItDoesNotFit": "refuse"})));
    let mut server = started(options, &capabilities());
    let id = choose(&mut server, "Explain this function");
    assert!(server.result(id)["reason"].as_str().expect("a reason").contains("phi-ls pull"));
    assert!(warning(&mut server).contains("phi-ls pull"));
    server.finish();
}

/// Checks the message and which model answers if two models of 1 GiB have to share 1 GiB.
fn check_no_room(policy: &str, text: Option<&str>, told: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| {
        let path = folder.path().join(name);
        std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut options = with_assistant(|| Ok("the assistant"));
    let inner = Arc::clone(&options.loader);
    options.loader = Arc::new(move |name: &str, settings: &Settings| {
        inner(std::path::Path::new(name).file_stem().unwrap().to_str().unwrap(), settings)
    });
    let settings = json!({
        "completion.model": path("resident.gguf"), "assistant.model": path("assistant.gguf"),
        "memoryBudgetMiB": 1536, "assistant.whenItDoesNotFit": policy,
    });
    options.settings = vec![(Source::Flags, settings)];
    let mut server = started(options, &capabilities());
    server.status("ready");
    let id = choose(&mut server, "Explain this function");
    let result = server.result(id);
    assert_eq!(result["text"].as_str().filter(|text| !text.is_empty()), text, "{policy}");
    if let Some(told) = told {
        assert!(warning(&mut server).contains(told), "{policy}");
    }
    // Afterwards there are completions again, whichever model answered.
    server.edit(2, (7, 4), (7, 4), "1\ny = ");
    assert_eq!(server.complete(8, 4), ["the completion model"], "{policy}");
    server.finish();
}

#[test]
fn models_that_do_not_fit_together_follow_the_setting() {
    check_no_room("fallback", Some("the completion model"), Some("does not fit into memory"));
    check_no_room("swap", Some("the assistant"), None);
    check_no_room("refuse", None, Some("does not fit into memory"));
}
