//! Places that the model has not read: the first answer comes from a short prompt, and the whole prompt is read while
//! nobody waits.

use std::sync::{Arc, Mutex};

use phi_ls::config::Source;
use phi_ls::model::LoadedModel;
use serde_json::json;

use crate::support::scripted_model::{Counters, Script, scripted};
use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::{TestServer, URI};

const ITEM: &str = "def area(width, height):\n    total = width * height\n    return total\n\n\n";

/// A server whose model is so large that it seems too slow to read much, until its speed is measured; and what it had
/// read whenever it wrote a token.
fn large(settings: serde_json::Value) -> (TestServer, Arc<Mutex<Vec<String>>>) {
    let read = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&read);
    let script: Script = Arc::new(move |text: &str| {
        recorded.lock().unwrap().push(text.to_owned());
        rest_of("foo(1)", text)
    });
    let counters = Counters::default();
    let counted = counters.clone();
    let load = move || {
        let model = scripted(Arc::clone(&script), counted.clone());
        Ok(LoadedModel { weight_bytes: 1 << 40, ..model })
    };
    let settings = vec![(Source::Flags, settings)];
    let server = TestServer::initialized(TestOptions { counters, settings, ..TestOptions::loading(load) });
    (server, read)
}

/// Waits until the engine is idle.
fn idle(server: &mut TestServer) {
    server.notification("phi-ls/status", |status| status["message"] == "ready");
}

#[test]
fn the_first_answer_comes_from_the_code_before_the_cursor_and_the_next_one_from_all() {
    let (mut server, read) = large(json!({}));
    server.open(URI, "python", &format!("{}x = \n{}", ITEM.repeat(100), ITEM.repeat(100)));
    assert_eq!(server.complete(500, 4), ["foo(1)"]);
    let short = read.lock().unwrap()[0].clone();
    assert!(short.contains("    return total\n\n\nx ="), "{short}");
    assert!(short.len() < 1000 && !short.contains("It ends with this code"), "{short}");
    // It reads the whole prompt without being asked.
    idle(&mut server);
    idle(&mut server);
    let before = server.counters.tokens();
    assert!(before > 2000, "{before} tokens were read");
    server.edit(2, (500, 4), (500, 4), "a + ");
    assert_eq!(server.complete(500, 8), ["foo(1)"]);
    let whole =
        read.lock().unwrap().iter().rev().find(|text| text.ends_with("x = a + ")).cloned().expect("it was asked");
    assert!(whole.len() > 1500 && whole.contains("It ends with this code"), "{whole}");
    let new = server.counters.tokens() - before;
    assert!(new < 100, "{new} tokens were read again");
    server.finish();
}

#[test]
fn what_is_read_quickly_is_asked_whole() {
    let (mut server, read) = large(json!({}));
    server.open(URI, "python", &format!("{ITEM}x = \n"));
    assert_eq!(server.complete(5, 4), ["foo(1)"]);
    // For a small file, the short form would leave out too little to be worthwhile.
    let asked = read.lock().unwrap()[0].clone();
    assert!(asked.contains("main.py"), "{asked}");
    server.finish();
}

#[test]
fn a_prompt_that_is_short_by_the_settings_has_no_shorter_form() {
    let (mut server, read) = large(json!({"completion.contextTokens": 100}));
    server.open(URI, "python", &format!("{}x = \n{}", ITEM.repeat(100), ITEM.repeat(100)));
    assert_eq!(server.complete(500, 4), ["foo(1)"]);
    let asked = read.lock().unwrap()[0].clone();
    assert!(asked.contains("main.py"), "{asked}");
    server.finish();
}
