//! Engines on a real server: llama-server with the starter, which `tests/run remote` starts. What a server must not be made to
//! do is seen in its own account of what it does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use phi_ls::config::{Backend, RemoteServer};
use phi_ls::engine::remote::{self, Patience};
use phi_ls::engine::{CancelFlag, Engine, EngineError, Gate, Generation, GenerationParams, Job, Priority, StopRules};
use phi_ls::model::{Prompt, Role, Turn};
use serde_json::{Value, json};

use crate::stdio::Server;

/// No answer takes so long unless something hangs.
const HANGS_AFTER: Duration = Duration::from_secs(120);

fn url() -> String {
    std::env::var("PHI_LS_TEST_BACKEND").expect("the URL of llama-server in PHI_LS_TEST_BACKEND")
}

fn backend() -> Value {
    json!({"kind": "openai", "baseUrl": url()})
}

fn settings() -> RemoteServer {
    Backend::try_from(backend()).unwrap().server().unwrap().clone()
}

fn engine() -> Engine {
    remote::start(settings(), Patience::default(), Gate::default(), None, Box::new(|_| {})).unwrap()
}

/// What the server says at `path`.
fn get(path: &str) -> Value {
    let url = url();
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn busy_slots() -> usize {
    get("/slots").as_array().unwrap().iter().filter(|slot| slot["is_processing"] == true).count()
}

/// Waits until the server works on `expected` requests.
fn wait_for_busy_slots(expected: usize) {
    while busy_slots() != expected {
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Pending {
    texts: mpsc::Receiver<String>,
    outcomes: mpsc::Receiver<Result<Generation, EngineError>>,
}

fn submit(
    engine: &Engine,
    priority: Priority,
    prompt: Prompt,
    params: GenerationParams,
    cancel: CancelFlag,
) -> Pending {
    let ((text_sender, texts), (sender, outcomes)) = (mpsc::channel(), mpsc::channel());
    let on_text = Box::new(move |text: &str| drop(text_sender.send(text.to_owned())));
    let on_done = Box::new(move |outcome| drop(sender.send(outcome)));
    engine.submit(Job { priority, document: 1, prompt, params, cancel, on_text: Some(on_text), on_done });
    Pending { texts, outcomes }
}

fn chat(question: &str, prefill: &str) -> Prompt {
    Prompt {
        turns: vec![Turn { role: Role::User, text: question.to_owned() }],
        prefill: prefill.to_owned(),
        ..Prompt::default()
    }
}

/// A question whose answer would fill the server's context.
fn endless() -> (Prompt, GenerationParams) {
    let prompt = chat("Write all numbers from 1 on, one a line, without end.", "1\n2\n3\n4\n5\n6\n7\n8\n");
    (prompt, GenerationParams { max_new_tokens: 3500, ..GenerationParams::default() })
}

#[test]
#[ignore = "needs llama-server: tests/run remote"]
fn what_is_cancelled_stops_on_the_server() {
    let engine = engine();
    let ((prompt, params), cancel) = (endless(), CancelFlag::default());
    let pending = submit(&engine, Priority::Background, prompt, params, cancel.clone());
    pending.texts.recv_timeout(HANGS_AFTER).expect("text comes");
    cancel.cancel();
    assert_eq!(pending.outcomes.recv_timeout(HANGS_AFTER).unwrap(), Err(EngineError::Cancelled));
    wait_for_busy_slots(0);
    let most =
        get("/slots").as_array().unwrap().iter().filter_map(|slot| slot["next_token"][0]["n_decoded"].as_u64()).max();
    assert!(most.unwrap_or(0) < 3000, "it went on to the end: {most:?}");
}

#[test]
#[ignore = "needs llama-server: tests/run remote"]
fn where_a_stop_rule_ends_a_text_the_server_stops_too() {
    let engine = engine();
    let (prompt, params) = endless();
    let stop = StopRules { stop_lines: vec!["12".to_owned()], ..StopRules::default() };
    let pending =
        submit(&engine, Priority::Interactive, prompt, GenerationParams { stop, ..params }, CancelFlag::default());
    let generation = pending.outcomes.recv_timeout(HANGS_AFTER).unwrap().unwrap();
    assert!(generation.candidates[0].text.starts_with("9\n10\n11"), "{generation:?}");
    assert!(generation.candidates[0].mean_logprob.is_some_and(|mean| mean < 0.0 && mean > -2.0), "{generation:?}");
    wait_for_busy_slots(0);
}

#[test]
#[ignore = "needs llama-server: tests/run remote"]
fn what_was_read_ahead_is_not_read_again() {
    let engine = engine();
    let code = (0..40).map(|line| format!("value_{line} = compute({line})\n")).collect::<String>();
    let prompt = chat("Go on with this code.", &format!("```python\n{code}value_40 ="));
    let warm_up = GenerationParams { max_new_tokens: 0, ..GenerationParams::default() };
    let read = submit(&engine, Priority::WarmUp, prompt.clone(), warm_up, CancelFlag::default());
    let read = read.outcomes.recv_timeout(HANGS_AFTER).unwrap().unwrap();
    assert!(read.candidates.is_empty() && read.prompt_tokens > 300, "{read:?}");
    let params = GenerationParams { max_new_tokens: 8, ..GenerationParams::default() };
    let written = submit(&engine, Priority::Interactive, prompt, params, CancelFlag::default());
    let written = written.outcomes.recv_timeout(HANGS_AFTER).unwrap().unwrap();
    assert!(written.cached_tokens + 64 > read.prompt_tokens, "{written:?}");
}

#[test]
#[ignore = "needs llama-server: tests/run remote"]
fn what_it_can_do_is_found_out() {
    let found = remote::look_into(&settings(), Patience::default()).unwrap();
    assert_eq!((found.software, found.way), (remote::Software::LlamaServer, remote::Way::Continue));
}

#[test]
#[ignore = "needs llama-server: tests/run remote"]
fn an_editor_is_offered_what_the_server_writes() {
    let models = tempfile::tempdir().unwrap();
    let mut server = Server::start(&["serve"], models.path());
    server.open_with_settings(json!({"completion": {"backend": backend()}, "assistant": {"backend": backend()}}));
    let is_ready = |message: &Value| message["method"] == "phi-ls/status" && message["params"]["state"] == "ready";
    let status = server.read_until(is_ready).expect("a status");
    assert!(status["params"]["model"].as_str().unwrap().starts_with("SmolLM2-135M-Instruct"), "{status}");
    let items = server.complete(2);
    let text = items[0]["insertText"].as_str().expect("a completion");
    assert!(text.contains("first") && text.contains("second"), "{text}");
    assert_eq!(server.end(), Some(0));
}
