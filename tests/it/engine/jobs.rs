//! The engine with a scripted model: what is reused, what is cancelled, which job goes first, and what happens when it
//! fails.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use phi_ls::engine::embedded::{self, EngineOptions};
use phi_ls::engine::{
    CancelFlag, Engine, EngineError, EngineEvent, Gate, Generation, GenerationParams, Job, Priority, Sampling,
    StopReason, StopRules,
};
use phi_ls::model::{FimParts, LoadedModel, ModelError, Prompt, PromptForm, Role, Turn};
use phi_ls::text::KnownNames;

use crate::support::scripted_model::{Counters, Script, scripted, scripted_fim};

struct Fixture {
    engine: Engine,
    counters: Counters,
    events: Arc<Mutex<Vec<EngineEvent>>>,
}

fn options() -> EngineOptions {
    EngineOptions {
        load_at_start: false,
        idle_unload: None,
        kv_budget_bytes: 1 << 20,
        keep: None,
        gate: Gate::default(),
    }
}

/// An engine whose model continues with what `answer` returns for the text after the last `>`.
fn fixture(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Fixture {
    fixture_of(scripted, answer)
}

/// The same, with a model that `make` creates from its script.
fn fixture_of(
    make: fn(Script, Counters) -> LoadedModel,
    answer: impl Fn(&str) -> String + Send + Sync + 'static,
) -> Fixture {
    let script: Script = Arc::new(answer);
    let counters = Counters::default();
    let events = Arc::new(Mutex::new(Vec::new()));
    let (heard, counted) = (Arc::clone(&events), counters.clone());
    let loader = Box::new(move |_: &mut dyn FnMut(f32)| Ok(make(Arc::clone(&script), counted.clone())));
    let on_event = Box::new(move |event| heard.lock().unwrap().push(event));
    Fixture { engine: embedded::start(loader, options(), on_event).unwrap(), counters, events }
}

/// The rest of `answer`, if `text` already ends with a part of it.
fn rest_of(answer: &str, text: &str) -> String {
    let written = (0..=answer.len()).rev().find(|&len| text.ends_with(&answer[..len])).unwrap_or(0);
    answer[written..].to_owned()
}

fn plain(prefill: &str) -> Prompt {
    Prompt { prefill: prefill.to_owned(), ..Prompt::default() }
}

fn params(max_new_tokens: usize) -> GenerationParams {
    GenerationParams { max_new_tokens, ..GenerationParams::default() }
}

/// Submits a job. The receiver gets its result.
fn submit(
    engine: &Engine,
    priority: Priority,
    prompt: Prompt,
    params: GenerationParams,
    cancel: CancelFlag,
) -> mpsc::Receiver<Result<Generation, EngineError>> {
    let (sender, receiver) = mpsc::channel();
    let on_done = Box::new(move |outcome| drop(sender.send(outcome)));
    engine.submit(Job { priority, document: 1, prompt, short_prompt: None, params, cancel, on_text: None, on_done });
    receiver
}

fn run(engine: &Engine, prompt: Prompt, params: GenerationParams) -> Result<Generation, EngineError> {
    let receiver = submit(engine, Priority::Interactive, prompt, params, CancelFlag::default());
    receiver.recv_timeout(Duration::from_secs(20)).expect("every job is answered")
}

#[test]
fn the_text_is_what_follows_the_prompt_and_ends_with_the_turn() {
    let fixture = fixture(|text| rest_of("return total;", text));
    let turns = vec![Turn { role: Role::User, text: "continue".to_owned() }];
    let generation =
        run(&fixture.engine, Prompt { turns, prefill: "let total = 1;\n".to_owned(), ..Prompt::default() }, params(50))
            .unwrap();
    assert_eq!(generation.candidates[0].text, "return total;");
    assert_eq!(generation.candidates[0].stop_reason, StopReason::EndOfTurn);
    assert!(fixture.events.lock().unwrap().contains(&EngineEvent::Ready { model: "scripted".to_owned() }));
}

#[test]
fn a_model_made_for_it_fills_in_the_middle_and_any_other_is_asked_by_a_turn() {
    let turns = vec![Turn { role: Role::User, text: "continue".to_owned() }];
    let text = |text: &str| text.to_owned();
    let fim = FimParts { prefix: text("a\n"), typed: text("b = "), suffix: text("\nc\n"), ..FimParts::default() };
    let prompt = Prompt { turns, prefill: text("```\na\nb = "), fim: Some(fim.clone()), ..Prompt::default() };
    let stop = StopRules { stop_strings: vec![text("```")], ..StopRules::default() };
    let params = GenerationParams { stop, ..params(50) };

    let chat = fixture(|text| rest_of("2 ```", if text.contains("continue") { text } else { "2 ```" }));
    let asked = run(&chat.engine, prompt.clone(), params.clone()).unwrap().candidates.remove(0);
    assert_eq!((asked.text.trim(), asked.stop_reason, asked.form), ("2", StopReason::StopString, PromptForm::Chat));

    // The code as it is, the suffix before the prefix, and nothing that belongs to a chat.
    let fills = fixture_of(scripted_fim, |text| match text.strip_prefix("a\n\nc\nb = ") {
        Some(written) => rest_of("2 ```", written),
        None => String::new(),
    });
    let filled = run(&fills.engine, prompt, params.clone()).unwrap().candidates.remove(0);
    assert_eq!((filled.text.as_str(), filled.stop_reason), ("2 ```", StopReason::EndOfTurn));
    assert_eq!(filled.form, PromptForm::Fim);

    let fim_only = Prompt { fim: Some(fim), ..Prompt::default() };
    let refused = run(&chat.engine, fim_only, params).unwrap_err().to_string();
    assert!(refused.contains("has no fill-in-the-middle tokens"), "{refused}");
}

/// A model so large that it is expected to be too slow to read much.
fn large(script: Script, counters: Counters) -> LoadedModel {
    LoadedModel { weight_bytes: 1 << 40, ..scripted(script, counters) }
}

/// The time limit of a completion.
const WAIT: Duration = Duration::from_millis(1500);

/// Submits a job with the prompt `long` and its short form `short`.
fn run_either(engine: &Engine, priority: Priority, long: &str, short: &str) -> Generation {
    let (sender, receiver) = mpsc::channel();
    engine.submit(Job {
        priority,
        document: 1,
        prompt: plain(long),
        short_prompt: Some(plain(short)),
        params: GenerationParams { stop: StopRules { time_budget: Some(WAIT), ..StopRules::default() }, ..params(4) },
        cancel: CancelFlag::default(),
        on_text: None,
        on_done: Box::new(move |outcome| drop(sender.send(outcome))),
    });
    receiver.recv_timeout(Duration::from_secs(20)).expect("every job is answered").expect("a generation")
}

#[test]
fn where_too_much_would_have_to_be_read_the_short_prompt_is_asked() {
    let (long, short) = ("x".repeat(500), "y".repeat(40));
    let asked = |engine: &Engine, priority, short: &str| {
        let generation = run_either(engine, priority, &long, short);
        (generation.is_short, generation.prompt_tokens)
    };
    let fast = fixture(|text| rest_of("!", text));
    assert_eq!(asked(&fast.engine, Priority::Interactive, &short), (false, 500));
    let slow = fixture_of(large, |text| rest_of("!", text));
    assert_eq!(asked(&slow.engine, Priority::Interactive, &short), (true, 40));
    // The short form is hardly shorter, or nobody waits.
    assert_eq!(asked(&slow.engine, Priority::Interactive, &"y".repeat(300)), (false, 500));
    let slow = fixture_of(large, |text| rest_of("!", text));
    assert_eq!(asked(&slow.engine, Priority::WarmUp, &short), (false, 500));
    // Once a prompt has been read, the speed is known.
    assert_eq!(asked(&slow.engine, Priority::Interactive, &short), (false, 500));
}

#[test]
fn a_prompt_that_goes_on_from_the_last_one_computes_only_what_is_new() {
    let fixture = fixture(|text| rest_of("!", text));
    let long = "x".repeat(200);
    run(&fixture.engine, plain(&long), params(4)).unwrap();
    let before = fixture.counters.tokens();
    let generation = run(&fixture.engine, plain(&format!("{long}yz")), params(4)).unwrap();
    assert_eq!((generation.prompt_tokens, generation.cached_tokens), (202, 200));
    // y, z, and the generated token that is fed back.
    assert_eq!(fixture.counters.tokens() - before, 3);
}

#[test]
fn two_conversations_in_turn_keep_both_their_prefixes() {
    let fixture = fixture(|text| rest_of("!", text));
    let (first, second) = ("a".repeat(100), "b".repeat(100));
    for prompt in [&first, &second] {
        run(&fixture.engine, plain(prompt), params(2)).unwrap();
    }
    for prompt in [&first, &second] {
        assert_eq!(run(&fixture.engine, plain(prompt), params(2)).unwrap().cached_tokens, 100);
    }
}

#[test]
fn healing_backs_up_over_a_split_word_and_returns_only_the_rest() {
    let fixture = fixture(|text| rest_of("  return 1", text));
    let healed = GenerationParams { heal: true, ..params(30) };
    let generation = run(&fixture.engine, plain("{  re"), healed).unwrap();
    assert_eq!(generation.candidates[0].text, "turn 1");
    assert_eq!(generation.prompt_tokens, 4);
}

/// The parameters of a text that has to begin with one of `names`, of which `begun` is already in the prompt.
fn named(names: &[&str], begun: &str) -> GenerationParams {
    let names = KnownNames::new(names.iter().copied(), begun);
    assert!(names.is_some(), "some name begins with {begun:?}");
    GenerationParams { names, heal: true, ..params(30) }
}

#[test]
fn a_text_that_begins_with_a_known_name_stays_and_any_other_is_made_to() {
    let fixture = fixture(|text| rest_of("return_value(1)", text));
    let free = run(&fixture.engine, plain("> self."), GenerationParams { heal: true, ..params(30) }).unwrap();
    assert_eq!((free.candidates[0].text.as_str(), free.is_corrected), ("return_value(1)", None));

    let inside = run(&fixture.engine, plain("> self."), named(&["area", "return_value", "reset"], "")).unwrap();
    assert_eq!((&inside.candidates[0].text, inside.is_corrected), (&free.candidates[0].text, Some(false)));
    // Inside a name, whose last token is healed.
    let begun = run(&fixture.engine, plain("> self.re"), named(&["area", "return_value", "reset"], "re")).unwrap();
    assert_eq!((begun.candidates[0].text.as_str(), begun.is_corrected), ("turn_value(1)", Some(false)));

    // It follows the model as far as some name does.
    let outside = run(&fixture.engine, plain("> self."), named(&["area", "retire"], "")).unwrap();
    let text = &outside.candidates[0].text;
    assert!(text.strip_prefix("retire").is_some_and(|rest| !rest.starts_with(char::is_alphanumeric)), "{text:?}");
    assert_eq!(outside.is_corrected, Some(true));
}

#[test]
fn every_candidate_begins_with_a_known_name() {
    let fixture = fixture(|text| rest_of("return_value(1)", text));
    let sampling = Sampling::Random { temperature: 5.0, top_p: 1.0, seed: 3 };
    let names = ["area", "side", "sides"];
    let params = GenerationParams { candidates: 3, sampling, ..named(&names, "") };
    let generation = run(&fixture.engine, plain("> self."), params.clone()).unwrap();
    let known = params.names.expect("names");
    for candidate in &generation.candidates {
        assert!(known.admit(&candidate.text), "{candidate:?}");
    }
}

#[test]
fn guesses_from_the_text_save_passes_and_change_nothing() {
    let text = "fn area(width: u32) -> u32 { width * 3 } ".to_owned();
    let answer = format!("{text}{text}");
    let script = answer.clone();
    let fixture = fixture(move |read| rest_of(&script, read));
    let generation = run(&fixture.engine, plain(&format!("{text}\n")), params(200)).unwrap();
    assert_eq!(generation.candidates[0].text, answer);
    assert!(generation.accepted_tokens > 0, "{generation:?}");
    // One pass reads the prompt and gives the first token. Each right guess saves one of the others.
    let passes = generation.generated_tokens - generation.accepted_tokens;
    assert_eq!(fixture.counters.forward_calls(), passes, "{generation:?}");
}

#[test]
fn several_candidates_are_decoded_side_by_side() {
    let fixture = fixture(|text| rest_of("abc", text));
    let sampling = Sampling::Random { temperature: 0.01, top_p: 0.9, seed: 3 };
    let generation =
        run(&fixture.engine, plain("> "), GenerationParams { candidates: 3, sampling, ..params(10) }).unwrap();
    let texts: Vec<&str> = generation.candidates.iter().map(|candidate| candidate.text.as_str()).collect();
    assert_eq!(texts, ["abc", "abc", "abc"]);
    // One pass for the prompt, and one for each of a, b and c, for all three together.
    assert_eq!(fixture.counters.forward_calls(), 4);
}

#[test]
fn a_stop_rule_ends_the_text_before_what_it_names() {
    let fixture = fixture(|text| rest_of("one\ntwo\n", text));
    let stop = StopRules { single_line: true, ..StopRules::default() };
    let generation = run(&fixture.engine, plain("> "), GenerationParams { stop, ..params(30) }).unwrap();
    assert_eq!(generation.candidates[0].text, "one");
    assert_eq!(generation.candidates[0].stop_reason, StopReason::LineEnd);
}

#[test]
fn a_warm_up_writes_nothing_and_leaves_the_prompt_cached() {
    let fixture = fixture(|text| rest_of("!", text));
    let prompt = "w".repeat(90);
    let warm_up = submit(&fixture.engine, Priority::WarmUp, plain(&prompt), params(0), CancelFlag::default());
    assert!(warm_up.recv_timeout(Duration::from_secs(20)).unwrap().unwrap().candidates.is_empty());
    assert_eq!(run(&fixture.engine, plain(&prompt), params(2)).unwrap().cached_tokens, 90);
}

/// A model that blocks in its first pass until it is let on, so that jobs can queue up.
fn blocked() -> (Fixture, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (started_sender, started) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    let (gate, first) = (Mutex::new(gate), AtomicBool::new(true));
    let fixture = fixture(move |text| {
        if first.swap(false, Ordering::SeqCst) {
            started_sender.send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
        }
        rest_of("!", text)
    });
    (fixture, started, go_on)
}

#[test]
fn a_newer_completion_supersedes_and_a_cancelled_one_ends() {
    let (fixture, started, go_on) = blocked();
    let submit =
        |cancel: &CancelFlag| submit(&fixture.engine, Priority::Interactive, plain("abc"), params(500), cancel.clone());
    let running = submit(&CancelFlag::default());
    started.recv().unwrap();
    let superseded = submit(&CancelFlag::default());
    let cancel = CancelFlag::default();
    let cancelled = submit(&cancel);
    cancel.cancel();
    go_on.send(()).unwrap();
    let wait = Duration::from_secs(20);
    assert_eq!(running.recv_timeout(wait).unwrap(), Err(EngineError::Superseded));
    assert_eq!(superseded.recv_timeout(wait).unwrap(), Err(EngineError::Superseded));
    assert_eq!(cancelled.recv_timeout(wait).unwrap(), Err(EngineError::Cancelled));
}

#[test]
fn a_panic_fails_one_job_and_the_engine_starts_again() {
    let calls = AtomicUsize::new(0);
    let fixture = fixture(move |text| {
        assert!(calls.fetch_add(1, Ordering::SeqCst) != 1, "a bug in the model");
        rest_of("fine", text)
    });
    let failed = run(&fixture.engine, plain("> "), params(9)).unwrap_err();
    assert!(matches!(&failed, EngineError::Failed(message) if message.contains("a bug in the model")), "{failed}");
    assert_eq!(run(&fixture.engine, plain("> "), params(9)).unwrap().candidates[0].text, "fine");
    let events = fixture.events.lock().unwrap();
    assert_eq!(events.iter().filter(|event| matches!(event, EngineEvent::Failed(_))).count(), 1);
    assert_eq!(events.iter().filter(|event| matches!(event, EngineEvent::Ready { .. })).count(), 2);
}

#[test]
fn a_model_that_cannot_be_loaded_is_reported_once_and_every_job_is_answered() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let loader = Box::new(|_: &mut dyn FnMut(f32)| {
        Err(ModelError::Unsupported { path: "m.gguf".into(), reason: "expected phi3".to_owned() })
    });
    let on_event = Box::new(move |event| heard.lock().unwrap().push(event));
    let engine = embedded::start(loader, options(), on_event).unwrap();
    for _ in 0..3 {
        let error = run(&engine, plain("x"), params(1)).unwrap_err();
        assert_eq!(error, EngineError::Unavailable("m.gguf: expected phi3".to_owned()));
    }
    let events = events.lock().unwrap();
    assert_eq!(events.iter().filter(|event| matches!(event, EngineEvent::Failed(_))).count(), 1);
}

#[test]
fn a_prompt_longer_than_the_model_reads_is_refused_with_both_numbers() {
    let fixture = fixture(|text| rest_of("!", text));
    let error = run(&fixture.engine, plain(&"x".repeat(131_072)), params(10)).unwrap_err();
    assert_eq!(error, EngineError::PromptTooLong { tokens: 131_072, limit: 131_062 });
}

#[test]
fn dropping_the_last_handle_answers_what_is_left() {
    let (fixture, started, go_on) = blocked();
    let running = submit(&fixture.engine, Priority::Interactive, plain("abc"), params(500), CancelFlag::default());
    started.recv().unwrap();
    let (waiter, waited) = mpsc::channel();
    std::thread::spawn(move || {
        drop(fixture);
        waiter.send(()).unwrap();
    });
    go_on.send(()).unwrap();
    waited.recv_timeout(Duration::from_secs(20)).expect("the thread ends");
    assert!(running.recv().is_ok(), "every job is answered, the last one too");
}

/// An engine whose model stops in every pass.
struct Held {
    engine: Engine,
    begun: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

fn held(gate: &Gate) -> Held {
    let ((begun_sender, begun), (go_on, wait)) = (mpsc::channel(), mpsc::channel::<()>());
    let (begun_sender, wait) = (Mutex::new(begun_sender), Mutex::new(wait));
    let script: Script = Arc::new(move |_| {
        // This fails if the test is over.
        let _ = begun_sender.lock().unwrap().send(());
        let _ = wait.lock().unwrap().recv();
        "!".to_owned()
    });
    let loader = Box::new(move |_: &mut dyn FnMut(f32)| Ok(scripted(Arc::clone(&script), Counters::default())));
    let options = EngineOptions { gate: gate.clone(), ..options() };
    Held { engine: embedded::start(loader, options, Box::new(|_| {})).unwrap(), begun, go_on }
}

#[test]
fn a_background_pass_under_way_waits_between_its_layers_for_another_engines_completion() {
    let gate = Gate::default();
    let (answering, completing) = (held(&gate), held(&gate));
    let ask = |held: &Held, priority| {
        let job = submit(&held.engine, priority, plain("a"), params(1), CancelFlag::default());
        held.begun.recv().unwrap();
        job
    };
    let answer = ask(&answering, Priority::Background);
    let completion = ask(&completing, Priority::Interactive);
    answering.go_on.send(()).unwrap();
    assert!(answer.recv_timeout(Duration::from_millis(100)).is_err(), "the answer did not wait");
    completing.go_on.send(()).unwrap();
    completion.recv().unwrap().unwrap();
    answer.recv().unwrap().unwrap();
}
