//! Engines on a server: what is sent, how the text comes back, what can go wrong and what is reported. The server is
//! scripted; `tests/run remote` uses a real one.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use phi_ls::config::{Backend, RemoteServer, Source};
use phi_ls::engine::remote::{self, Patience, StandIn};
use phi_ls::engine::{
    CancelFlag, Engine, EngineError, EngineEvent, Gate, Generation, GenerationParams, Job, Priority, Sampling,
    StopReason, StopRules, TextPiece, embedded,
};
use phi_ls::model::{FimParts, Prompt, PromptForm, Role, Turn};
use serde_json::{Value, json};

use crate::questions::actions::{TEXT, capabilities, choose};
use crate::support::model_server::{
    Asked, ModelServer, begin, delta, event, json_response, probed, respond, stream_text, writing,
};
use crate::support::scripted_model::{Counters, scripted};
use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::{TestServer, URI};

/// No answer takes this long unless something hangs.
const HANGS_AFTER: Duration = Duration::from_secs(30);

fn settings(url: &str, more: Value) -> RemoteServer {
    let mut value = json!({"kind": "openai", "baseUrl": url});
    value.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    Backend::try_from(value).unwrap().server().unwrap().clone()
}

/// Short times, because the tests wait for every fault.
fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        interactive: Duration::from_secs(20),
        background: Duration::from_secs(20),
        between: Duration::from_secs(20),
        retry: Duration::from_millis(1),
    }
}

struct Fixture {
    engine: Engine,
    events: Arc<Mutex<Vec<EngineEvent>>>,
}

impl Fixture {
    fn new(server: RemoteServer, patience: Patience, stand_in: Option<StandIn>) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&events);
        let on_event = Box::new(move |event| heard.lock().unwrap().push(event));
        Self { engine: remote::start(server, patience, Gate::default(), stand_in, on_event).unwrap(), events }
    }

    fn of(server: &ModelServer) -> Self {
        Self::new(settings(&server.url, json!({})), patience(), None)
    }

    fn submit(&self, priority: Priority, prompt: Prompt, params: GenerationParams, cancel: CancelFlag) -> Pending {
        submit(&self.engine, priority, prompt, params, cancel)
    }

    fn run(&self, prompt: Prompt, params: GenerationParams) -> Result<Generation, EngineError> {
        self.submit(Priority::Interactive, prompt, params, CancelFlag::default()).outcome()
    }

    fn text(&self, prompt: Prompt, params: GenerationParams) -> String {
        self.run(prompt, params).unwrap().candidates[0].text.clone()
    }

    /// The engine's events, except for those about being busy or idle.
    fn told(&self) -> Vec<EngineEvent> {
        let events = self.events.lock().unwrap();
        events.iter().filter(|event| !matches!(event, EngineEvent::Busy | EngineEvent::Idle)).cloned().collect()
    }
}

/// A job that was submitted.
pub(crate) struct Pending {
    pub(crate) texts: mpsc::Receiver<String>,
    pub(crate) outcomes: mpsc::Receiver<Result<Generation, EngineError>>,
}

pub(crate) fn submit(
    engine: &Engine,
    priority: Priority,
    prompt: Prompt,
    params: GenerationParams,
    cancel: CancelFlag,
) -> Pending {
    let ((text_sender, texts), (sender, outcomes)) = (mpsc::channel(), mpsc::channel());
    let on_text = Box::new(move |piece: TextPiece| drop(text_sender.send(piece.text)));
    let on_done = Box::new(move |outcome| drop(sender.send(outcome)));
    engine.submit(Job {
        priority,
        document: 1,
        prompt,
        short_prompt: None,
        params,
        cancel,
        on_text: Some(on_text),
        on_done,
    });
    Pending { texts, outcomes }
}

impl Pending {
    fn outcome(&self) -> Result<Generation, EngineError> {
        self.outcomes.recv_timeout(HANGS_AFTER).expect("every job is answered")
    }

    fn first_text(&self) -> String {
        self.texts.recv_timeout(HANGS_AFTER).expect("text comes")
    }
}

fn chat(prefill: &str) -> Prompt {
    let turns = vec![
        Turn { role: Role::System, text: "You write code.".to_owned() },
        Turn { role: Role::User, text: "Go on.".to_owned() },
    ];
    Prompt { turns, prefill: prefill.to_owned(), ..Prompt::default() }
}

fn params(max_new_tokens: usize) -> GenerationParams {
    GenerationParams { max_new_tokens, ..GenerationParams::default() }
}

fn healed(max_new_tokens: usize) -> GenerationParams {
    GenerationParams { heal: true, ..params(max_new_tokens) }
}

#[test]
fn an_answer_streams_in_and_is_counted() {
    let server = ModelServer::start(writing(&["It ", "adds.", "\n"]));
    let fixture = Fixture::of(&server);
    let pending = fixture.submit(Priority::Background, chat(""), params(50), CancelFlag::default());
    let generation = pending.outcome().unwrap();
    assert_eq!(generation.candidates[0].text, "It adds.\n");
    assert_eq!(generation.candidates[0].stop_reason, StopReason::EndOfTurn);
    assert_eq!(generation.candidates[0].certainty, None, "this server says nothing of probabilities");
    let tokens = (generation.prompt_tokens, generation.cached_tokens, generation.generated_tokens);
    assert_eq!(tokens, (20, 12, 3));
    assert!(generation.time_to_first_token <= generation.total);
    assert_eq!(pending.texts.try_iter().collect::<String>().trim_end(), "It adds.");
    let asked = &server.asked()[0];
    assert_eq!(asked.path, "/v1/chat/completions");
    assert_eq!((&asked.body["model"], &asked.body["max_tokens"]), (&json!("coder"), &json!(50)));
    assert_eq!(asked.body["messages"][0], json!({"role": "system", "content": "You write code."}));
    assert!(
        fixture
            .told()
            .iter()
            .any(|event| matches!(event, EngineEvent::Ready { model } if model.starts_with("coder at 127.0.0.1")))
    );
}

#[test]
fn a_completion_goes_on_from_the_word_that_the_cursor_cuts() {
    let server = ModelServer::start(writing(&[" tot", "al + 1"]));
    let fixture = Fixture::of(&server);
    assert_eq!(fixture.text(chat("```py\nx = to"), healed(20)), "tal + 1");
    let body = &server.asked()[0].body;
    assert_eq!(body["messages"][2], json!({"role": "assistant", "content": "```py\nx ="}));
    assert_eq!((&body["continue_final_message"], &body["add_generation_prompt"]), (&json!(true), &json!(false)));
    // A text that begins with another word is not a completion of this one.
    assert_eq!(fixture.text(chat("```py\nx = su"), healed(20)), "");
}

#[test]
fn text_outside_of_a_chat_is_continued_as_text() {
    let server = ModelServer::start(writing(&["(a, b):"]));
    let plain = Prompt { prefill: "def add".to_owned(), ..Prompt::default() };
    assert_eq!(Fixture::of(&server).text(plain, params(20)), "(a, b):");
    let asked = &server.asked()[0];
    assert_eq!((asked.path.as_str(), &asked.body["prompt"]), ("/v1/completions", &json!("def add")));
}

#[test]
fn probabilities_make_the_confidence_of_what_was_not_owed() {
    let server = ModelServer::start(|asked, stream| {
        if !probed(asked, stream, "vllm") {
            begin(stream);
            for (text, logprob) in [(" to", -9.0), ("tal", -0.5), (" + 1", -1.5)] {
                let logprobs = json!({"content": [{"token": text, "logprob": logprob}]});
                event(
                    stream,
                    &json!({"choices": [{"delta": {"content": text}, "logprobs": logprobs, "finish_reason": null}]}),
                );
            }
            let _ = write!(stream, "data: [DONE]\n\n");
        }
    });
    let generation = Fixture::of(&server).run(chat("```py\nx = to"), healed(20)).unwrap();
    assert_eq!(generation.candidates[0].certainty.map(|certainty| certainty.mean()), Some(-1.0));
    assert_eq!(server.asked()[0].body["logprobs"], json!(true));
}

#[test]
fn the_probability_of_a_token_counts_whose_text_comes_with_the_next() {
    let server = ModelServer::start(|asked, stream| {
        if !probed(asked, stream, "vllm") {
            begin(stream);
            let content =
                |logprobs: &[f64]| logprobs.iter().map(|logprob| json!({"logprob": logprob})).collect::<Value>();
            for (text, logprobs) in [("", &[-4.0][..]), ("\n``+", &[-1.0, -1.0]), ("", &[-9.0])] {
                let logprobs = json!({"content": content(logprobs)});
                let choice = json!({"delta": {"content": text}, "logprobs": logprobs, "finish_reason": null});
                event(stream, &json!({"choices": [choice]}));
            }
            let _ = write!(stream, "data: [DONE]\n\n");
        }
    });
    let generation = Fixture::of(&server).run(chat("```py\nx ="), params(20)).unwrap();
    let certainty = generation.candidates[0].certainty.expect("the server says it");
    assert_eq!((certainty.mean(), generation.generated_tokens), (-2.0, 3));
}

/// A server of `owner` that does not answer the prompt `first` until it is let on, and answers any other at once.
fn reading_first(owner: &'static str) -> (ModelServer, mpsc::Sender<()>) {
    let (go_on, told) = mpsc::channel();
    let told = Mutex::new(told);
    let server = ModelServer::start(move |asked, stream| {
        if !probed(asked, stream, owner) {
            if asked.last_message() == "first" {
                let _ = told.lock().unwrap().recv();
            }
            stream_text(stream, asked, &["text"]);
        }
    });
    (server, go_on)
}

#[test]
fn a_server_that_is_slow_to_leave_is_asked_again_when_it_has_read_the_prompt() {
    let (server, go_on) = reading_first("llamacpp");
    let fixture = Fixture::of(&server);
    let submit = |prefill| fixture.submit(Priority::Interactive, chat(prefill), params(9), CancelFlag::default());
    let first = submit("first");
    server.wait_until_asked();
    let second = submit("second");
    assert_eq!(first.outcome(), Err(EngineError::Superseded), "nobody waits for the server to leave off");
    let third = submit("third");
    assert_eq!(second.outcome(), Err(EngineError::Superseded));
    go_on.send(()).unwrap();
    assert_eq!(third.outcome().unwrap().candidates[0].text, "text");
    let asked: Vec<String> = server.asked().iter().map(|asked| asked.last_message().to_owned()).collect();
    assert_eq!(asked, ["first", "third"]);
}

#[test]
fn a_prompt_that_is_only_read_is_read_to_its_end_before_the_next() {
    let (server, go_on) = reading_first("llamacpp");
    let fixture = Fixture::of(&server);
    let read = fixture.submit(Priority::WarmUp, chat("first"), params(0), CancelFlag::default());
    server.wait_until_asked();
    let typed = fixture.submit(Priority::Interactive, chat("typed"), params(9), CancelFlag::default());
    assert_eq!(read.outcome(), Err(EngineError::Superseded));
    assert_eq!(server.asked().len(), 1);
    go_on.send(()).unwrap();
    assert_eq!(typed.outcome().unwrap().candidates[0].text, "text");
}

#[test]
fn a_server_that_leaves_at_once_is_asked_again_at_once() {
    let (server, _go_on) = reading_first("vllm");
    let fixture = Fixture::of(&server);
    let submit = |prefill| fixture.submit(Priority::Interactive, chat(prefill), params(9), CancelFlag::default());
    let first = submit("first");
    server.wait_until_asked();
    let second = submit("second");
    assert_eq!(first.outcome(), Err(EngineError::Superseded));
    assert_eq!(second.outcome().unwrap().candidates[0].text, "text");
}

#[test]
fn a_stop_rule_ends_the_text_and_the_servers_work() {
    let server = ModelServer::start(writing(&[]));
    server.hold_after("first()\nsecond()\n");
    let stop = StopRules { single_line: true, ..StopRules::default() };
    let generation = Fixture::of(&server).run(chat("x = "), GenerationParams { stop, ..params(50) }).unwrap();
    assert_eq!(generation.candidates[0].text, "first()");
    assert_eq!(generation.candidates[0].stop_reason, StopReason::LineEnd);
    server.closed.recv_timeout(HANGS_AFTER).expect("the connection is closed");
}

#[test]
fn the_limit_of_tokens_holds_whatever_the_server_does() {
    let server = ModelServer::start(writing(&[]));
    server.become_(|asked, stream| {
        if !probed(asked, stream, "other") {
            begin(stream);
            while write!(stream, "data: {}\n\n", delta("a ")).is_ok() {}
        }
    });
    let generation = Fixture::of(&server).run(chat(""), params(3)).unwrap();
    assert_eq!(generation.candidates[0].text, "a a a ");
    assert_eq!(generation.candidates[0].stop_reason, StopReason::MaxTokens);
}

#[test]
fn cancelling_closes_the_connection() {
    let server = ModelServer::start(writing(&[]));
    server.hold_after("first ");
    let fixture = Fixture::of(&server);
    let cancel = CancelFlag::default();
    let pending = fixture.submit(Priority::Background, chat(""), params(50), cancel.clone());
    assert_eq!(pending.first_text(), "first");
    cancel.cancel();
    assert_eq!(pending.outcome(), Err(EngineError::Cancelled));
    server.closed.recv_timeout(HANGS_AFTER).expect("the connection is closed");
}

#[test]
fn a_newer_completion_of_a_document_closes_the_olders_connection() {
    let server = ModelServer::start(writing(&[]));
    server.hold_after("first ");
    let fixture = Fixture::of(&server);
    let older = fixture.submit(Priority::Interactive, chat("x"), params(50), CancelFlag::default());
    older.first_text();
    let newer = fixture.submit(Priority::Interactive, chat("xy"), params(50), CancelFlag::default());
    assert_eq!(older.outcome(), Err(EngineError::Superseded));
    server.closed.recv_timeout(HANGS_AFTER).expect("the connection is closed");
    newer.first_text();
    drop(fixture.engine);
    assert_eq!(newer.outcome(), Err(EngineError::Cancelled));
    server.closed.recv_timeout(HANGS_AFTER).expect("the connection is closed with the engine");
}

#[test]
fn one_question_is_asked_at_a_time_and_completions_do_not_wait_for_it() {
    let server = ModelServer::start(writing(&[]));
    server.hold_after("first ");
    let fixture = Fixture::of(&server);
    let (first_cancel, second_cancel) = (CancelFlag::default(), CancelFlag::default());
    let first = fixture.submit(Priority::Background, chat("a"), params(50), first_cancel.clone());
    first.first_text();
    let second = fixture.submit(Priority::Background, chat("b"), params(50), second_cancel.clone());
    let completion = fixture.submit(Priority::Interactive, chat("c"), params(50), CancelFlag::default());
    completion.first_text();
    assert_eq!(server.asked().len(), 2, "the second question waits");
    first_cancel.cancel();
    assert_eq!(first.outcome(), Err(EngineError::Cancelled));
    second.first_text();
    second_cancel.cancel();
    assert_eq!(second.outcome(), Err(EngineError::Cancelled));
}

#[test]
fn a_waiting_question_can_be_cancelled() {
    let server = ModelServer::start(writing(&[]));
    server.hold_after("first ");
    let fixture = Fixture::of(&server);
    fixture.submit(Priority::Background, chat("a"), params(50), CancelFlag::default()).first_text();
    let cancel = CancelFlag::default();
    let second = fixture.submit(Priority::Background, chat("b"), params(50), cancel.clone());
    cancel.cancel();
    assert_eq!(second.outcome(), Err(EngineError::Cancelled));
}

#[test]
fn a_prompt_is_read_ahead_where_the_server_keeps_it() {
    let check = |owner: &'static str, expected: Option<u64>| {
        let server = ModelServer::start(move |asked, stream| {
            if !probed(asked, stream, owner) {
                json_response(
                    stream,
                    &json!({"choices": [{"text": ""}], "usage": {"prompt_tokens": 9, "completion_tokens": 0}}),
                );
            }
        });
        let fixture = Fixture::of(&server);
        let pending = fixture.submit(Priority::WarmUp, chat("x = "), params(0), CancelFlag::default());
        let generation = pending.outcome().unwrap();
        assert!(generation.candidates.is_empty());
        assert_eq!(generation.prompt_tokens, if expected.is_some() { 9 } else { 0 }, "{owner}");
        assert_eq!(server.asked().first().and_then(|asked| asked.body["max_tokens"].as_u64()), expected, "{owner}");
    };
    check("llamacpp", Some(0));
    check("vllm", Some(1));
    check("library", None);
}

#[test]
fn alternatives_are_asked_for_at_once_and_come_without_what_failed() {
    let server = ModelServer::start(|asked, stream| {
        if probed(asked, stream, "other") {
            return;
        }
        match asked.body["seed"].as_u64() {
            None => stream_text(stream, asked, &["best"]),
            Some(8) => stream_text(stream, asked, &["second"]),
            Some(_) => respond(stream, 500, "", ""),
        }
    });
    let sampling = Sampling::Random { temperature: 0.6, top_p: 0.95, seed: 7 };
    let generation =
        Fixture::of(&server).run(chat("x"), GenerationParams { sampling, candidates: 3, ..params(9) }).unwrap();
    let texts: Vec<&str> = generation.candidates.iter().map(|candidate| candidate.text.as_str()).collect();
    assert_eq!(texts, ["best", "second"]);
}

/// Whether a server with `script` is asked to continue a message, and the completion.
fn way(script: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> (bool, String) {
    let server = ModelServer::start(script);
    let text = Fixture::of(&server).text(chat("```py\nx = to"), healed(20));
    let is_continued = server.asked()[0].body["continue_final_message"] == true;
    (is_continued, text)
}

/// Answers the first requests like a server that accepts any field, with `content` if a message should be continued.
fn lenient(asked: &Asked, stream: &mut TcpStream, content: &str) -> bool {
    let is_models = asked.path == "/v1/models";
    if !is_models && asked.is_probe() {
        json_response(stream, &json!({"choices": [{"message": {"content": content}}], "usage": {"prompt_tokens": 3}}));
        return true;
    }
    is_models && probed(asked, stream, "someone")
}

#[test]
fn what_a_server_can_do_is_found_out() {
    // It knows the field.
    assert_eq!(way(writing(&[" total"])), (true, "tal".to_owned()));
    // It continues without knowing the field.
    let goes_on = |asked: &Asked, stream: &mut TcpStream| {
        if !lenient(asked, stream, "ve, 13") {
            stream_text(stream, asked, &[" total"]);
        }
    };
    assert_eq!(way(goes_on), (true, "tal".to_owned()));
    // It begins from the start.
    let repeats = |asked: &Asked, stream: &mut TcpStream| {
        if !lenient(asked, stream, "1, 2") {
            stream_text(stream, asked, &["Sure!\n```python", "\nx = to", "tal\n```"]);
        }
    };
    assert_eq!(way(repeats), (false, "tal\n```".to_owned()));
    // It refuses what it does not know.
    let strict = |asked: &Asked, stream: &mut TcpStream| {
        if asked.path != "/v1/chat/completions" {
            probed(asked, stream, "someone");
        } else if asked.body.get("continue_final_message").is_some() {
            respond(stream, 400, "", r#"{"error": {"message": "unknown field"}}"#);
        } else {
            stream_text(stream, asked, &["```\nx = total"]);
        }
    };
    assert_eq!(way(strict), (false, "tal".to_owned()));
}

#[test]
fn a_server_that_has_nothing_but_chats_is_asked_in_chats() {
    for status in [400, 404, 405, 501] {
        let server = ModelServer::start(move |asked, stream| {
            if asked.path != "/v1/chat/completions" {
                respond(stream, status, "", r#"{"error": {"message": "Not Found"}}"#);
            } else if !probed(asked, stream, "someone") {
                stream_text(stream, asked, &[" total"]);
            }
        });
        let with_model = settings(&server.url, json!({"model": "coder"}));
        assert_eq!(Fixture::new(with_model, patience(), None).text(around_the_cursor(), healed(20)), "tal", "{status}");
        let error = Fixture::of(&server).run(around_the_cursor(), healed(20)).unwrap_err().to_string();
        assert!(
            error.ends_with("lists no models; write the model's name as `model` in the setting `backend`"),
            "{error}"
        );
    }
}

#[test]
fn a_protocol_that_is_set_is_not_looked_for() {
    let server = ModelServer::start(writing(&["```\nx = total"]));
    let fixture = Fixture::new(settings(&server.url, json!({"protocol": "chat", "model": "mine"})), patience(), None);
    assert_eq!(fixture.text(chat("```py\nx = to"), healed(20)), "tal");
    let paths: Vec<String> = server.all_asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["/v1/models", "/v1/chat/completions"]);
    assert_eq!(server.asked()[0].body["model"], "mine");
}

#[test]
fn a_server_that_keeps_no_white_space_is_given_none() {
    let server = ModelServer::start(|asked, stream| {
        if asked.is_probe() && asked.path != "/v1/models" && asked.body["add_generation_prompt"] == false {
            let usage = json!({"prompt_tokens": 3});
            json_response(stream, &json!({"choices": [{"message": {"content": "ve"}}], "usage": usage}));
        } else if !probed(asked, stream, "vllm") {
            stream_text(stream, asked, &["\n    return 1"]);
        }
    });
    assert_eq!(Fixture::of(&server).text(chat("```py\ndef f():\n    "), healed(20)), "return 1");
    assert_eq!(server.asked()[0].last_message(), "```py\ndef f():");
}

/// The prompt of a completion, in both forms.
fn around_the_cursor() -> Prompt {
    let parts = FimParts { prefix: "a = 1\n".to_owned(), typed: "x = to".to_owned(), ..FimParts::default() };
    let fim = FimParts { suffix: "\nprint(x)\n".to_owned(), path: Some("a.py".to_owned()), ..parts };
    Prompt { fim: Some(fim), ..chat("```py\nx = to") }
}

/// Answers probes like a server of `owner` whose model has `tokens`, and everything else with `text`.
fn with_tokens(
    owner: &'static str,
    tokens: &'static str,
    text: &'static str,
) -> impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static {
    move |asked, stream| {
        if asked.is_probe() && asked.body["prompt"] == tokens {
            json_response(stream, &json!({"choices": [{"text": ""}], "usage": {"prompt_tokens": 4}}));
        } else if !probed(asked, stream, owner) {
            stream_text(stream, asked, &[text]);
        }
    }
}

#[test]
fn a_server_whose_model_fills_in_the_middle_is_asked_for_it() {
    let server = ModelServer::start(with_tokens("vllm", "<fim_prefix><fim_suffix><fim_middle>", " total"));
    let fixture = Fixture::of(&server);
    let best = fixture.run(around_the_cursor(), healed(20)).unwrap().candidates.remove(0);
    assert_eq!((best.text.as_str(), best.form), ("tal", PromptForm::Fim));
    let asked = &server.asked()[0];
    assert_eq!(
        (asked.path.as_str(), &asked.body["prompt"]),
        ("/v1/completions", &json!("<fim_prefix><fim_suffix>\nprint(x)\n<fim_middle>a = 1\nx ="))
    );
    // A question does not fill in a middle.
    assert_eq!(fixture.text(chat("```py\nx = to"), healed(20)), "tal");
    assert_eq!(server.asked()[1].path, "/v1/chat/completions");
    let found = remote::look_into(&settings(&server.url, json!({})), patience()).unwrap();
    assert_eq!(found.middle.unwrap().to_string(), "completions fill in the middle, starcoder");
}

#[test]
fn a_server_that_takes_a_suffix_gets_one() {
    let server = ModelServer::start(with_tokens("library", "", " total"));
    let best = Fixture::of(&server).run(around_the_cursor(), healed(20)).unwrap().candidates.remove(0);
    assert_eq!((best.text.as_str(), best.form), ("tal", PromptForm::Fim));
    let body = &server.asked()[0].body;
    assert_eq!((&body["prompt"], &body["suffix"]), (&json!("a = 1\nx ="), &json!("\nprint(x)\n")));
}

#[test]
fn a_way_to_fill_in_the_middle_that_the_server_lacks_is_said() {
    let lacks = |asked: &Asked, stream: &mut TcpStream| match asked.body.get("suffix") {
        Some(_) => respond(stream, 400, "", r#"{"error": {"message": "coder does not support insert"}}"#),
        None => drop(probed(asked, stream, "library")),
    };
    let check = |protocol: &str, expected: &str| {
        let server = ModelServer::start(lacks);
        let fixture = Fixture::new(settings(&server.url, json!({"protocol": protocol})), patience(), None);
        let said = fixture.run(around_the_cursor(), params(9)).unwrap_err().to_string();
        assert_eq!(said.replace(&server.url, "URL"), expected);
    };
    let then = "set `protocol` in the setting `backend` to \"auto\"";
    check("suffix", &format!("the model server at URL does not accept a `suffix`; {then}"));
    check("fim", &format!("the model server at URL has a model without fill-in-the-middle tokens (coder); {then}"));
    // If this is found out and not set, it is asked in a chat.
    let server = ModelServer::start(move |asked, stream| {
        lacks(asked, stream);
        if !asked.is_probe() {
            stream_text(stream, asked, &[" total"]);
        }
    });
    assert_eq!(Fixture::of(&server).text(around_the_cursor(), healed(20)), "tal");
    assert_eq!(server.asked()[0].path, "/v1/chat/completions");
    let only = Prompt { fim: around_the_cursor().fim, ..Prompt::default() };
    let said = Fixture::of(&server).run(only, params(9)).unwrap_err().to_string();
    assert!(
        said.ends_with("cannot be asked to fill in the middle here; set `completion.layout` to \"auto\""),
        "{said}"
    );
}

/// The error message about a server that answers like this.
fn fault(more: Value, patience: Patience, script: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> String {
    let server = ModelServer::start(script);
    let fixture = Fixture::new(settings(&server.url, more), patience, None);
    let outcomes: Vec<_> = (0..3).map(|_| fixture.run(chat("x"), params(9)).unwrap_err().to_string()).collect();
    let failures: Vec<_> = fixture.told().into_iter().filter(|event| matches!(event, EngineEvent::Failed(_))).collect();
    assert_eq!(failures, [EngineEvent::Failed(outcomes[0].clone())], "it is said once");
    outcomes[0].replace(&server.url, "URL")
}

fn after_probes(
    answer: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static,
) -> impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static {
    move |asked, stream| {
        if !probed(asked, stream, "llamacpp") {
            answer(asked, stream);
        }
    }
}

#[test]
fn every_fault_is_one_clear_sentence_said_once() {
    let check = |script: fn(&Asked, &mut TcpStream), expected: &str| {
        assert_eq!(fault(json!({}), patience(), after_probes(script)), format!("the model server at URL {expected}"));
    };
    check(
        |_, stream| respond(stream, 401, "", r#"{"error": {"message": "no"}}"#),
        "requires a key (HTTP 401); say where it is with `apiKeyEnv` or `apiKeyFile` in the setting `backend`",
    );
    check(
        |_, stream| respond(stream, 404, "", r#"{"error": {"message": "The model `coder` does not exist."}}"#),
        "has no such model or path (HTTP 404): The model `coder` does not exist.; check `model` and `baseUrl`",
    );
    check(
        |_, stream| respond(stream, 429, "Retry-After: 20\r\n", ""),
        "accepts no more requests for now (HTTP 429); it will be asked again in 20 s",
    );
    check(
        |_, stream| respond(stream, 503, "", r#"{"error": {"message": "Loading model"}}"#),
        "failed (HTTP 503): Loading model; it will be asked again",
    );
    check(
        |_, stream| respond(stream, 400, "", r#"{"error": "the request exceeds the available context size"}"#),
        "refused the request (HTTP 400): the request exceeds the available context size",
    );
    check(
        |_, stream| respond(stream, 302, "Location: https://elsewhere.example/login\r\n", ""),
        "redirects to https://elsewhere.example/login (HTTP 302); set `baseUrl` to the right address",
    );
    check(
        |_, stream| respond(stream, 200, "Content-Type: text/html\r\n", "<html>Please log in</html>"),
        "does not speak OpenAI's protocol: expected JSON, found \"<html>Please log in</html>\"; check `baseUrl`",
    );
    check(
        |_, stream| {
            begin(stream);
            event(stream, &delta("half an"));
        },
        "stopped in the middle of its answer: expected its end, found none after 7 characters",
    );
    check(
        |_, stream| {
            begin(stream);
            event(stream, &json!({"error": {"message": "out of memory"}}));
        },
        "stopped in the middle of its answer: out of memory",
    );
    check(
        |_, stream| {
            begin(stream);
            let _ = write!(stream, "data: {{\"choices\"");
        },
        "does not speak OpenAI's protocol: expected JSON, found \"{\"choices\"\"; check `baseUrl`",
    );
    check(
        |_, stream| {
            begin(stream);
            while write!(stream, "data: {}\n\n", delta("")).is_ok() {}
        },
        "stopped in the middle of its answer: it has sent 1001 events without an end",
    );
    check(
        |_, stream| {
            begin(stream);
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        },
        "does not speak OpenAI's protocol: expected JSON, found \"a line without an end\"; check `baseUrl`",
    );
}

#[test]
fn a_server_that_is_not_there_is_said_to_be_unreachable() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let on_event = Box::new(move |event| heard.lock().unwrap().push(event));
    let server = settings("http://127.0.0.1:1", json!({}));
    let fixture =
        Fixture { engine: remote::start(server, patience(), Gate::default(), None, on_event).unwrap(), events };
    let error = fixture.run(chat("x"), params(9)).unwrap_err().to_string();
    assert!(error.starts_with("the model server at http://127.0.0.1:1 cannot be reached: "), "{error}");
    assert!(error.ends_with("; start it, or change the setting `backend`"), "{error}");
}

#[test]
fn silence_is_not_waited_for_without_end() {
    let hangs = |_: &Asked, stream: &mut TcpStream| {
        let _ = std::io::Read::read(stream, &mut [0]);
    };
    let short = Duration::from_millis(200);
    let found = fault(json!({}), Patience { interactive: short, ..patience() }, after_probes(hangs));
    assert!(found.ends_with("did not answer for 200ms; it may be overloaded or loading its model"), "{found}");
    // Comments show that it is alive, but not that it writes.
    let breathes = |_: &Asked, stream: &mut TcpStream| {
        begin(stream);
        while write!(stream, ": ping\n\n").is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let found = fault(json!({}), Patience { interactive: short, ..patience() }, after_probes(breathes));
    assert!(found.contains("did not answer for "), "{found}");
    let stops = |_: &Asked, stream: &mut TcpStream| {
        begin(stream);
        event(stream, &delta("some text"));
        let _ = std::io::Read::read(stream, &mut [0]);
    };
    let found = fault(json!({}), Patience { between: short, ..patience() }, after_probes(stops));
    assert!(found.contains("did not answer for 200ms"), "{found}");
}

#[test]
fn a_server_that_comes_back_is_used_again_and_that_is_said() {
    let server = ModelServer::start(after_probes(|_, stream| respond(stream, 503, "", "")));
    let fixture = Fixture::of(&server);
    fixture.run(chat("x"), params(9)).unwrap_err();
    server.become_(writing(&["back"]));
    let text = (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(5));
        fixture.run(chat("x"), params(9)).ok()
    });
    assert_eq!(text.expect("it comes back").candidates[0].text, "back");
    let told = fixture.told();
    assert!(
        matches!(told[..], [EngineEvent::Ready { .. }, EngineEvent::Failed(_), EngineEvent::Ready { .. }]),
        "{told:?}"
    );
}

#[test]
fn a_server_that_wants_to_be_left_alone_is() {
    let server = ModelServer::start(after_probes(|_, stream| respond(stream, 429, "Retry-After: 600\r\n", "")));
    let fixture = Fixture::of(&server);
    for _ in 0..5 {
        assert!(matches!(fixture.run(chat("x"), params(9)), Err(EngineError::Unavailable(_))));
    }
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_server_that_wants_to_be_asked_again_at_once_is_not_asked_at_every_key() {
    let server = ModelServer::start(after_probes(|_, stream| respond(stream, 429, "Retry-After: 0\r\n", "")));
    let patience = Patience { retry: Duration::from_secs(600), ..patience() };
    let fixture = Fixture::new(settings(&server.url, json!({})), patience, None);
    for _ in 0..5 {
        let error = fixture.run(chat("x"), params(9)).unwrap_err().to_string();
        assert!(error.ends_with("it will be asked again soon"), "{error}");
    }
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn the_embedded_model_stands_in_until_the_server_is_back() {
    let server = ModelServer::start(after_probes(|_, stream| respond(stream, 500, "", "")));
    let start = |on_event| {
        let script = Arc::new(|text: &str| rest_of("from here", text));
        let loader: embedded::Loader = Box::new(move |_| Ok(scripted(script.clone(), Counters::default())));
        let options = embedded::EngineOptions {
            load_at_start: false,
            idle_unload: None,
            kv_budget_bytes: 1 << 20,
            keep: None,
            gate: Gate::default(),
        };
        embedded::start(loader, options, on_event)
    };
    let stand_in = StandIn::new(Box::new(start));
    let fixture = Fixture::new(settings(&server.url, json!({})), patience(), Some(stand_in));
    let pending = fixture.submit(Priority::Background, chat(""), params(20), CancelFlag::default());
    assert_eq!(pending.outcome().unwrap().candidates[0].text, "from here");
    assert_eq!(pending.texts.try_iter().collect::<String>(), "from here", "it streams as well");
    assert!(fixture.told().contains(&EngineEvent::Ready { model: "scripted".to_owned() }));
    server.become_(writing(&["from there"]));
    let is_back = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        fixture.text(chat(""), params(20)) == "from there"
    });
    assert!(is_back);
    assert!(matches!(fixture.told().last(), Some(EngineEvent::Ready { model }) if model.starts_with("coder at")));
}

const KEY: &str = "sk-very-secret-0123456789";

/// A file with the key, which others cannot read.
fn key_file(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("key");
    std::fs::write(&path, format!("{KEY}\n")).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path
}

#[test]
fn a_key_is_shown_to_the_server_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = key_file(folder.path());
    let server = ModelServer::start(writing(&["ok"]));
    let fixture = Fixture::new(settings(&server.url, json!({"apiKeyFile": path})), patience(), None);
    assert_eq!(fixture.text(chat(""), params(5)), "ok");
    let bearer = format!("Bearer {KEY}");
    assert!(server.all_asked().iter().all(|asked| asked.header("authorization") == Some(&bearer)));
    // If the server repeats the key, the message does not contain it.
    let repeats = |asked: &Asked, stream: &mut TcpStream| {
        let key = asked.header("authorization").unwrap_or_default();
        respond(stream, 503, "", &json!({"error": {"message": format!("not with {key}")}}).to_string());
    };
    let found = fault(json!({"apiKeyFile": path}), patience(), repeats);
    assert_eq!(found, "the model server at URL failed (HTTP 503): not with Bearer [the key]; it will be asked again");
    let refuses = |_: &Asked, stream: &mut TcpStream| respond(stream, 403, "", KEY);
    let found = fault(json!({"apiKeyFile": path}), patience(), refuses);
    assert_eq!(found, "the model server at URL does not accept the key (HTTP 403); check it, or get a new one");
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = key_file(folder.path());
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let found = fault(json!({"apiKeyFile": path}), patience(), writing(&["ok"]));
    let path = path.display();
    assert_eq!(
        found,
        format!(
            "expected a file that only its owner can read as `apiKeyFile`, found {path} with mode 644; run: chmod 600 {path}"
        )
    );
}

/// A language server with `backends` in its settings, whose own models write "here".
fn editor(backends: Value) -> TestServer {
    let options = TestOptions::scripted(|text| rest_of("from_here", text));
    let mut server = TestServer::start(TestOptions { settings: vec![(Source::Flags, backends)], ..options });
    server.initialize(json!({"capabilities": capabilities()}));
    server.open(URI, "python", TEXT);
    server
}

/// The settings of a role that uses `server`.
fn backend(server: &ModelServer, when_it_fails: &str) -> Value {
    json!({"kind": "openai", "baseUrl": server.url, "whenItFails": when_it_fails})
}

/// The completions at the hole in the document of [`editor`], after `x = `.
fn complete(server: &mut TestServer) -> Vec<String> {
    server.complete(7, 4)
}

#[test]
fn a_person_is_told_once_that_the_server_fails_and_that_it_is_back() {
    let model_server = ModelServer::start(after_probes(|_, stream| respond(stream, 503, "", "")));
    let mut server = editor(json!({"completion.backend": backend(&model_server, "nothing")}));
    for _ in 0..3 {
        assert_eq!(complete(&mut server), [""; 0]);
    }
    let told = server.notification("window/showMessage", |message| {
        message["message"].as_str().is_some_and(|text| text.contains("failed (HTTP 503)"))
    });
    assert_eq!(told["type"], 1);
    let status = server.status("error");
    assert_eq!(status["model"], model_server.url);
    model_server.become_(writing(&[" back()"]));
    // The server is asked again after a second. The test ends with a check that there was no second message.
    let offered = (0..2000).map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        complete(&mut server)
    });
    assert_eq!(offered.into_iter().find(|offered| !offered.is_empty()).expect("it is back"), ["back()"]);
    assert!(server.status("ready")["message"].as_str().unwrap().contains("coder at 127.0.0.1"));
    server.finish();
}

#[test]
fn while_the_server_fails_the_roles_own_model_stands_in_if_the_settings_say_so() {
    let fails = || ModelServer::start(after_probes(|_, stream| respond(stream, 503, "", "")));
    let (first, second) = (fails(), fails());
    let mut server = editor(
        json!({"completion.backend": backend(&first, "embedded"), "assistant.backend": backend(&second, "embedded")}),
    );
    assert_eq!(complete(&mut server), ["from_here"]);
    server.notification("window/showMessage", |message| message["type"] == 1);
    let id = choose(&mut server, "Explain this function");
    assert_eq!(server.result(id)["text"], "from_here");
    server.finish();
}

#[test]
fn where_nothing_stands_in_a_question_fails_with_the_reason() {
    let model_server = ModelServer::start(after_probes(|_, stream| respond(stream, 503, "", "")));
    let mut server = editor(json!({"assistant.backend": backend(&model_server, "nothing")}));
    let id = choose(&mut server, "Explain this function");
    let reason = server.result(id)["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("failed (HTTP 503)"), "{reason}");
    server.notification("window/showMessage", |message| message["message"].as_str().unwrap().contains(&reason));
    server.finish();
}

#[test]
fn one_server_for_both_roles_is_one_engine() {
    let model_server = ModelServer::start(writing(&["It adds."]));
    let backend = backend(&model_server, "nothing");
    let mut server = editor(json!({"completion.backend": backend, "assistant.backend": backend}));
    let id = choose(&mut server, "Explain this function");
    assert_eq!(server.result(id)["text"], "It adds.");
    let models = model_server.all_asked().iter().filter(|asked| asked.path == "/v1/models").count();
    assert_eq!(models, 1, "what it can do is found out once");
    server.finish();
}

/// Runs the binary with settings that name `server`, and with its key in the environment.
fn command(server: &ModelServer, home: &Path, arguments: &[&str]) -> std::process::Command {
    let folder = home.join("phi-ls");
    std::fs::create_dir_all(&folder).unwrap();
    let backend =
        format!("backend = {{ kind = \"openai\", baseUrl = \"{}\", apiKeyEnv = \"CODER_KEY\" }}\n", server.url);
    std::fs::write(folder.join("config.toml"), format!("[completion]\n{backend}[assistant]\n{backend}")).unwrap();
    let mut command = crate::download::pull::phi_ls(arguments, home, "http://127.0.0.1:1");
    command.env("CODER_KEY", KEY).env("PHI_LS_LOG", "trace");
    command
}

#[test]
fn commands_ask_the_server_and_no_log_holds_the_key() {
    let server = ModelServer::start(writing(&[" return", " a + b", "\n"]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("add.py");
    std::fs::write(&file, "def add(a, b):\n    return\n").unwrap();
    let place = |rest: &str| format!("{}:{rest}", file.display());
    let run = |arguments: &[&str]| {
        let (output, stdout, stderr) = crate::download::pull::run(&mut command(&server, folder.path(), arguments));
        assert!(!stdout.contains(KEY) && !stderr.contains(KEY), "{stdout}{stderr}");
        (output.status.success(), stdout, stderr)
    };
    let (is_done, stdout, stderr) = run(&["complete", &place("2:11"), "-vv"]);
    assert!(is_done, "{stderr}");
    assert_eq!(stdout, " a + b\n");
    let (is_done, stdout, stderr) = run(&["ask", "explain", &place("1")]);
    assert!(is_done && stdout.contains(" a + b"), "{stderr}");
    let bearer = format!("Bearer {KEY}");
    assert!(server.all_asked().iter().all(|asked| asked.header("authorization") == Some(&bearer)));
    let (is_done, stdout, _) = run(&["doctor"]);
    let url = &server.url;
    assert!(is_done && stdout.contains(&format!("coder at {url} (llama-server): answers continue")), "{stdout}");
    server.become_(|asked, stream| respond(stream, 500, "", asked.header("authorization").unwrap_or_default()));
    let (is_done, _, stderr) = run(&["complete", &place("2:11"), "-vv"]);
    assert!(!is_done && stderr.contains(&format!("the model server at {url} failed (HTTP 500)")), "{stderr}");
    let (is_done, stdout, _) = run(&["doctor", "--json"]);
    let found: Value = serde_json::from_str(&stdout).unwrap();
    assert!(is_done && found["models"][0]["problem"].as_str().unwrap().contains("failed (HTTP 500)"), "{stdout}");
    assert_eq!(found["models"][0]["server"]["url"], *url);
}

#[test]
fn a_model_on_the_command_line_wins_over_a_server_in_the_settings() {
    let server = ModelServer::start(writing(&[" a + b"]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("add.py");
    std::fs::write(&file, "def add(a, b):\n    return\n").unwrap();
    let place = format!("{}:2:11", file.display());
    let arguments = ["complete", &place, "--model", "/nowhere/model.gguf"];
    let (output, _, stderr) = crate::download::pull::run(&mut command(&server, folder.path(), &arguments));
    assert!(!output.status.success() && stderr.contains("/nowhere/model.gguf"), "{stderr}");
    assert!(server.all_asked().is_empty());
}
