//! Settings from every source, models that cannot be loaded, and the messages about them.

use phi_ls::config::Source;
use phi_ls::model::ModelError;
use serde_json::{Value, json};

use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::{TestServer, URI};

fn options() -> TestOptions {
    TestOptions::scripted(|read| rest_of("foo(1)", read))
}

fn warning(server: &mut TestServer, about: &str) -> String {
    let shown =
        server.notification("window/showMessage", |message| message["message"].as_str().unwrap().contains(about));
    assert_eq!(shown["type"], 2);
    shown["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_bad_setting_is_told_once_and_the_default_kept() {
    let mut server = TestServer::start(options());
    let settings = json!({"completion": {"maxTokens": "many", "enabeld": true}});
    server.initialize(json!({"capabilities": {}, "initializationOptions": settings}));
    warning(&mut server, "completion.maxTokens");
    warning(&mut server, "completion.enabeld");
    server.open(URI, "python", "x = \n");
    assert_eq!(server.complete(0, 4), ["foo(1)"]);
    server.notify("workspace/didChangeConfiguration", json!({"settings": {"phi-ls": settings}}));
    server.notify("workspace/didChangeConfiguration", json!({"settings": {"phi-ls": settings}}));
    assert_eq!(server.complete(0, 4), ["foo(1)"]);
    // Finishing fails if there was a second message.
    server.finish();
}

#[test]
fn the_editor_wins_over_the_file_and_flags_over_both() {
    let off = json!({"completion": {"enabled": false}});
    let on = json!({"completion": {"enabled": true}});
    let completes = |file: &Value, editor: &Value, flags: &Value| {
        let layers = vec![(Source::File, file.clone()), (Source::Flags, flags.clone())];
        let mut server = TestServer::start(TestOptions { settings: layers, ..options() });
        server.initialize(json!({"capabilities": {}, "initializationOptions": editor}));
        server.open(URI, "python", "x = \n");
        let completes = !server.complete(0, 4).is_empty();
        server.finish();
        completes
    };
    assert!(!completes(&off, &Value::Null, &Value::Null));
    assert!(completes(&off, &on, &Value::Null));
    assert!(!completes(&on, &on, &off));
}

#[test]
fn settings_change_while_the_server_runs() {
    let mut server = TestServer::initialized(options());
    server.open(URI, "python", "x = \n");
    assert_eq!(server.complete(0, 4), ["foo(1)"]);
    let languages = json!({"completion": {"languages": {"python": "manual"}}});
    server.notify("workspace/didChangeConfiguration", json!({"settings": languages}));
    assert_eq!(server.complete(0, 4), [""; 0]);
    let mut invoked = crate::support::test_server::completion_params(URI, 0, 4);
    invoked["context"]["triggerKind"] = json!(1);
    let result = server.call("textDocument/inlineCompletion", invoked);
    assert_eq!(result["items"][0]["insertText"], "foo(1)");
    server.notify("workspace/didChangeConfiguration", json!({"settings": {}}));
    assert_eq!(server.complete(0, 4), ["foo(1)"]);
    server.finish();
}

#[test]
fn a_client_that_wants_to_be_asked_for_settings_is_asked() {
    let mut server = TestServer::start(options());
    server.initialize(json!({"capabilities": {"workspace": {"configuration": true}}}));
    server.notify("workspace/didChangeConfiguration", json!({"settings": null}));
    server.open(URI, "python", "x = \n");
    assert_eq!(server.complete(0, 4), ["foo(1)"]);
    while server.requests.is_empty() {
        server.complete(0, 4);
    }
    assert_eq!(server.requests, ["workspace/configuration"]);
    server.finish();
}

#[test]
fn nothing_is_loaded_while_completions_are_off() {
    let mut server = TestServer::start(options());
    let off = json!({"completion": {"enabled": false}});
    server.initialize(json!({"capabilities": {}, "initializationOptions": off}));
    server.open(URI, "python", "x = \n");
    assert_eq!(server.complete(0, 4), [""; 0]);
    assert!(server.notifications.is_empty(), "{:?}", server.notifications);
    server.notify("workspace/didChangeConfiguration", json!({"settings": {"completion": {"enabled": true}}}));
    server.status("ready");
    assert_eq!(server.complete(0, 4), ["foo(1)"]);
    server.finish();
}

#[test]
fn a_load_is_shown_as_status_and_as_progress() {
    let mut server = TestServer::start(options());
    server.initialize(json!({"capabilities": {"window": {"workDoneProgress": true}}}));
    server.open(URI, "python", "x = \n");
    let loading = server.notification("phi-ls/status", |status| status["state"] == "loading");
    assert_eq!(loading["model"], "phi-3.5-mini");
    assert_eq!(loading["fraction"], 0.0);
    let ready = server.notification("phi-ls/status", |status| status["state"] == "ready");
    assert_eq!(ready, json!({"state": "ready", "message": "scripted is ready", "model": "scripted"}));
    assert_eq!(server.complete(0, 4), ["foo(1)"]);
    server.finish();
}

#[test]
fn a_client_that_never_answers_does_not_hold_up_the_server() {
    let mut server = TestServer::start(TestOptions { answers_requests: false, ..options() });
    let capabilities = json!({"window": {"workDoneProgress": true}, "workspace": {"configuration": true}});
    server.initialize(json!({"capabilities": capabilities}));
    server.notify("workspace/didChangeConfiguration", json!({"settings": null}));
    server.open(URI, "python", "x = \n");
    assert_eq!(server.complete(0, 4), ["foo(1)"]);
    server.finish();
}

#[test]
fn a_missing_model_is_told_once_and_every_request_is_answered() {
    let sentence = "phi-3.5-mini is not installed; run `phi-ls pull phi-3.5-mini`";
    let options = TestOptions::loading(move || {
        Err(ModelError::Unsupported { path: "phi-3.5-mini".into(), reason: sentence.to_owned() })
    });
    let mut server = TestServer::initialized(options);
    server.open(URI, "python", "x = \n");
    let status = server.status("error");
    assert!(status["message"].as_str().unwrap().contains(sentence), "{status}");
    let shown = server.notification("window/showMessage", |_| true);
    assert_eq!(shown["type"], 1);
    assert!(shown["message"].as_str().unwrap().contains(sentence), "{shown}");
    for version in 2..6 {
        assert_eq!(server.complete(0, 4), [""; 0]);
        server.edit(version, (0, 4), (0, 4), " ");
    }
    server.finish();
}
