//! Engines on a real server with the starter: llama-server, which `tests/run remote` starts, or vLLM, which
//! `tests/remote/run.sh vllm` starts. What the server works on is read from its own metrics.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use phi_ls::config::{Backend, RemoteServer};
use phi_ls::engine::remote::{self, Patience, Software, Way};
use phi_ls::engine::{CancelFlag, Engine, EngineError, Gate, GenerationParams, Priority, StopRules};
use phi_ls::model::{Prompt, Role, Turn};
use serde_json::{Value, json};

use crate::cli::stdio::Server;
use crate::model_server::remote::submit;

/// No answer takes this long unless something hangs.
const HANGS_AFTER: Duration = Duration::from_secs(120);

fn url() -> String {
    std::env::var("PHI_LS_TEST_BACKEND").expect("the URL of a model server in PHI_LS_TEST_BACKEND")
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

/// The server's answer at `path`, if it has one.
fn get(path: &str) -> Option<String> {
    let url = url();
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// The work of a server.
#[derive(Debug)]
struct Work {
    /// How many requests it works on.
    busy: usize,
    /// Tokens written for them, or with vLLM, for all requests since it started.
    written: u64,
}

/// Reads it from the server.
fn work() -> Work {
    match get("/slots") {
        Some(slots) => slots_of_llama_server(&serde_json::from_str(&slots).unwrap()),
        None => metrics_of_vllm(&get("/metrics").expect("llama-server has /slots, vLLM has /metrics")),
    }
}

fn slots_of_llama_server(slots: &Value) -> Work {
    let slots = slots.as_array().unwrap();
    let written = slots.iter().filter_map(|slot| slot["next_token"][0]["n_decoded"].as_u64()).max();
    Work { busy: slots.iter().filter(|slot| slot["is_processing"] == true).count(), written: written.unwrap_or(0) }
}

fn metrics_of_vllm(metrics: &str) -> Work {
    let metric = |name: &str| {
        let line = metrics.lines().find(|line| line.split('{').next() == Some(name));
        let number = line.and_then(|line| line.rsplit(' ').next()).unwrap_or_else(|| panic!("{name} in {metrics}"));
        number.parse::<f64>().unwrap() as u64
    };
    let busy = metric("vllm:num_requests_running") + metric("vllm:num_requests_waiting");
    Work { busy: busy as usize, written: metric("vllm:generation_tokens_total") }
}

/// Waits until the server is idle. Returns how many tokens it has written by then.
fn written_when_idle() -> u64 {
    loop {
        let work = work();
        if work.busy == 0 {
            return work.written;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
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
#[ignore = "needs a model server: tests/run remote"]
fn what_is_cancelled_stops_on_the_server() {
    let engine = engine();
    let before = written_when_idle();
    let ((prompt, params), cancel) = (endless(), CancelFlag::default());
    let pending = submit(&engine, Priority::Background, prompt, params, cancel.clone());
    pending.texts.recv_timeout(HANGS_AFTER).expect("text comes");
    cancel.cancel();
    assert_eq!(pending.outcomes.recv_timeout(HANGS_AFTER).unwrap(), Err(EngineError::Cancelled));
    let after = written_when_idle();
    assert!(after.saturating_sub(before) < 3000, "it went on to the end: {before}, {after}");
}

#[test]
#[ignore = "needs a model server: tests/run remote"]
fn where_a_stop_rule_ends_a_text_the_server_stops_too() {
    let engine = engine();
    let (prompt, params) = endless();
    let stop = StopRules { stop_lines: vec!["12".to_owned()], ..StopRules::default() };
    let pending =
        submit(&engine, Priority::Interactive, prompt, GenerationParams { stop, ..params }, CancelFlag::default());
    let generation = pending.outcomes.recv_timeout(HANGS_AFTER).unwrap().unwrap();
    assert!(generation.candidates[0].text.starts_with("9\n10\n11"), "{generation:?}");
    assert!(generation.candidates[0].certainty.is_some_and(|it| it.mean() < 0.0 && it.mean() > -2.0), "{generation:?}");
    written_when_idle();
}

#[test]
#[ignore = "needs a model server: tests/run remote"]
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
    // vLLM keeps whole blocks of 128 tokens.
    assert!(written.cached_tokens + 129 > read.prompt_tokens, "{written:?}");
}

#[test]
#[ignore = "needs a model server: tests/run remote"]
fn what_it_can_do_is_found_out() {
    let found = remote::look_into(&settings(), Patience::default()).unwrap();
    let software = if get("/slots").is_some() { Software::LlamaServer } else { Software::Vllm };
    assert_eq!((found.software, found.way, found.middle), (software, Way::Continue, None));
}

#[test]
#[ignore = "needs a model server: tests/run remote"]
fn an_editor_is_offered_what_the_server_writes() {
    let models = tempfile::tempdir().unwrap();
    let mut server = Server::start(&["serve"], models.path());
    server.open_with_settings(json!({"completion": {"backend": backend()}, "assistant": {"backend": backend()}}));
    let is_ready = |message: &Value| message["method"] == "phi-ls/status" && message["params"]["state"] == "ready";
    let status = server.read_until(is_ready).expect("a status");
    assert!(status["params"]["model"].as_str().unwrap().starts_with("SmolLM2-135M-Instruct"), "{status}");
    let items = server.complete(2);
    let text = items[0]["insertText"].as_str().expect("a completion");
    // If the server is slow, the text is only what it has written so far.
    assert!(text.contains("first"), "{text}");
    assert_eq!(server.end(), Some(0));
}
