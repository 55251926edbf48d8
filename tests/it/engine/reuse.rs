//! The engine with a real decoder: whatever it computed, cancelled or cached before, it writes the same text as a fresh
//! engine. Checked for plain and quantised weights, and for both kinds of caches.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use phi_ls::engine::embedded::{self, EngineOptions};
use phi_ls::engine::{
    CancelFlag, Candidate, Engine, EngineError, Gate, Generation, GenerationParams, Job, Priority, Sampling,
    TextListener,
};
use phi_ls::kernels::attention::KvType;
use phi_ls::kernels::pool::ThreadPool;
use phi_ls::kernels::quant::QuantType;
use phi_ls::model::{self, LoadOptions, Prompt};
use phi_ls::text::KnownNames;

use crate::support::tiny_gguf::TinyModel;

/// The beginning of most prompts here, which fills several pages of cache.
const COMMON: &str =
    "def total(items):\n    result = 0\n    for item in items:\n        result += item.price\n    return ";

fn setups() -> Vec<(TinyModel, KvType)> {
    let quantized = [QuantType::Q4K, QuantType::Q8_0]
        .map(|quant| TinyModel { num_layers: 1, ..TinyModel::phi3() }.quantized(quant));
    let models = [TinyModel::phi3(), TinyModel::llama()].into_iter().chain(quantized);
    models.flat_map(|model| [(model.clone(), KvType::F16), (model, KvType::Q8_0)]).collect()
}

fn engine((model, kv_type): &(TinyModel, KvType)) -> Engine {
    let (bytes, kv_type) = (model.bytes(), *kv_type);
    let loader = move |progress: &mut dyn FnMut(f32)| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("tiny.gguf");
        std::fs::write(&path, &bytes).expect("writing a micro model");
        model::load(&path, &LoadOptions { pool: Arc::new(ThreadPool::new(1)), kv_type }, progress)
    };
    let options = EngineOptions {
        load_at_start: false,
        idle_unload: None,
        kv_budget_bytes: 64 << 20,
        keep: None,
        gate: Gate::default(),
    };
    embedded::start(Box::new(loader), options, Box::new(|_| {})).expect("an engine")
}

fn greedy() -> GenerationParams {
    GenerationParams { max_new_tokens: 40, ..GenerationParams::default() }
}

fn random(seed: u64) -> GenerationParams {
    GenerationParams { sampling: Sampling::Random { temperature: 1.0, top_p: 0.95, seed }, ..greedy() }
}

fn submit(
    engine: &Engine,
    text: &str,
    params: GenerationParams,
    cancel: CancelFlag,
    on_text: Option<TextListener>,
) -> Receiver<Result<Generation, EngineError>> {
    let (sender, receiver) = mpsc::channel();
    let on_done = Box::new(move |outcome| drop(sender.send(outcome)));
    let prompt = Prompt { prefill: text.to_owned(), ..Prompt::default() };
    engine.submit(Job {
        priority: Priority::Interactive,
        document: 1,
        prompt,
        short_prompt: None,
        params,
        cancel,
        on_text,
        on_done,
    });
    receiver
}

fn outcome(receiver: &Receiver<Result<Generation, EngineError>>) -> Result<Generation, EngineError> {
    receiver.recv_timeout(Duration::from_secs(60)).expect("every job is answered")
}

fn run(engine: &Engine, text: &str, params: GenerationParams) -> Generation {
    outcome(&submit(engine, text, params, CancelFlag::default(), None)).expect("a generation")
}

/// Runs a job that cancels itself once it has written something.
fn run_cancelled(engine: &Engine, text: &str) {
    let cancel = CancelFlag::default();
    let (flag, heard) = (cancel.clone(), Arc::new(Mutex::new(false)));
    let receiver = Arc::clone(&heard);
    let on_text: TextListener = Box::new(move |_| {
        *receiver.lock().expect("no panic holds it") = true;
        flag.cancel();
    });
    let params = GenerationParams { max_new_tokens: 2000, ..random(3) };
    let ended = outcome(&submit(engine, text, params, cancel, Some(on_text)));
    assert!(*heard.lock().expect("no panic holds it"), "nothing was written before the end: {ended:?}");
    assert_eq!(ended, Err(EngineError::Cancelled));
}

fn fresh(setup: &(TinyModel, KvType), text: &str, params: GenerationParams) -> Vec<Candidate> {
    run(&engine(setup), text, params).candidates
}

/// With an f16 cache, the certainty is equal to the last bit; an 8-bit cache rounds differently in other passes.
#[track_caller]
fn assert_same(found: &[Candidate], expected: &[Candidate], setup: &(TinyModel, KvType)) {
    if setup.1 == KvType::F16 {
        return assert_eq!(found, expected, "{setup:?}");
    }
    let texts = |candidates: &[Candidate]| candidates.iter().map(|each| each.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(found), texts(expected), "{setup:?}");
    for (found, expected) in found.iter().zip(expected) {
        let confidence = |candidate: &Candidate| candidate.certainty.expect("a model of this machine says it").mean();
        assert!((confidence(found) - confidence(expected)).abs() < 1e-3, "{found:?} {expected:?}");
    }
}

#[test]
fn a_text_does_not_depend_on_what_was_computed_before() {
    for setup in setups() {
        let texts = [COMMON.to_owned(), format!("{COMMON}result"), format!("{}self", &COMMON[..70])];
        let expected = texts.each_ref().map(|text| fresh(&setup, text, greedy()));
        let engine = engine(&setup);
        for round in 0..2 {
            for (text, expected) in texts.iter().zip(&expected) {
                run_cancelled(&engine, &format!("{text} let"));
                let generation = run(&engine, text, greedy());
                assert!(generation.cached_tokens > 32, "{} tokens reused in round {round}", generation.cached_tokens);
                assert_same(&generation.candidates, expected, &setup);
            }
        }
    }
}

#[test]
fn guessing_ahead_does_not_change_a_text() {
    for setup in setups() {
        let repeated = COMMON.repeat(3);
        let plain = GenerationParams { speculate: false, ..greedy() };
        let expected = fresh(&setup, &repeated, plain);
        let written = &run(&engine(&setup), &repeated, GenerationParams { speculate: true, ..greedy() });
        assert_eq!(written.candidates[0].text, expected[0].text, "{} guesses, {setup:?}", written.drafted_tokens);
    }
}

#[test]
fn the_same_seed_writes_the_same_text() {
    for setup in setups() {
        let engine = engine(&setup);
        let first = run(&engine, COMMON, random(7)).candidates;
        run_cancelled(&engine, COMMON);
        assert_ne!(run(&engine, COMMON, random(8)).candidates, first, "{setup:?}");
        assert_same(&run(&engine, COMMON, random(7)).candidates, &first, &setup);
        assert_same(&fresh(&setup, COMMON, random(7)), &first, &setup);
    }
}

#[test]
fn a_text_is_held_to_known_names_and_stays_if_it_begins_with_one() {
    let healed = GenerationParams { heal: true, ..greedy() };
    let named =
        |names: &[&str]| GenerationParams { names: KnownNames::new(names.iter().copied(), ""), ..healed.clone() };
    for setup in setups() {
        let engine = engine(&setup);
        for receiver in ["self.", "item.", "use crate::"] {
            let text = format!("{COMMON}{receiver}");
            let free = run(&engine, &text, healed.clone());
            let written = &free.candidates[0].text;
            let end = written.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(written.len());
            let (name, rest) = written.split_at(end);
            let is_name = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
            // Bytes that are not valid text count as letters.
            if is_name && rest.chars().next().is_none_or(|next| next.is_ascii()) {
                for speculate in [true, false] {
                    let params = GenerationParams { speculate, ..named(&["area", name, "sides"]) };
                    let inside = run(&engine, &text, params);
                    assert_eq!((&inside.candidates[0].text, inside.is_corrected), (written, Some(false)), "{setup:?}");
                }
            }
            let other = named(&["area", "around_all", "sides"]);
            let outside = run(&engine, &text, other.clone());
            assert!(other.names.expect("names").admit(&outside.candidates[0].text), "{outside:?} {setup:?}");
        }
    }
}
