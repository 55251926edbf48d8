//! The decoder compared with two independent engines: transformers (residual stream after every layer, logits) and
//! llama.cpp (logits on quantised weights), at positions around the switch of the rotary factors, and in greedy
//! continuations of 64 tokens. `tests/parity/make_references.py` makes the references.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use phi_ls::kernels::attention::KvType;
use phi_ls::kernels::pool::ThreadPool;
use phi_ls::model::{
    Decoder, DeviceDecoder, GgufFile, LanguageModel, LoadOptions, LogitRows, Logits, ModelConfig, RopeFactors, Sequence,
};

/// For transformers with keys and values rounded to f16: the remaining differences are f32 sums in another order, and
/// values that these move to the next f16. Measured: 4.4e-4 on values up to 15.
const SAME_CACHE_TOLERANCE: f32 = 1.5e-3;
/// For transformers as it is, with f32 keys and values, since f16 keeps 11 bits. Measured: 2.2e-2.
const F32_CACHE_TOLERANCE: f32 = 5e-2;
/// For the decoder on candle's tensors and transformers as it is, which both keep keys and values in f32. Measured:
/// 1e-5 on values up to 6.
const DEVICE_TOLERANCE: f32 = 1e-4;
/// For llama.cpp on quantised weights, which both multiply with activations rounded to 8 bits, in blocks of different
/// sizes. Measured: 0.14 on logits up to 15.7, which the distance of both engines to exact arithmetic explains
/// completely; 0.22 with IQ4_XS, where llama.cpp's blocks are eight times as long.
const QUANTIZED_TOLERANCE: f32 = 0.25;
/// For exact arithmetic on quantised weights: the rounding error as a part of the residual stream. Measured: 1.8e-2.
const RESIDUAL_TOLERANCE: f32 = 3e-2;
/// How much further from exact arithmetic than llama.cpp the kernels may be, as a ratio of root mean squares.
const ROUNDING_RATIO: f32 = 1.25;

/// One model for each feature that another family has and the Phi models do not.
const OTHER_FAMILIES: [&str; 7] = [
    "qwen2-shaped",
    "qwen3-shaped",
    "llama-3.2-shaped",
    "deepseek-coder-shaped",
    "granite-code-shaped",
    "granite-shaped",
    "phi-3-window-shaped",
];

#[derive(serde::Deserialize)]
struct Reference {
    made_with: String,
    hidden_size: usize,
    vocab_size: usize,
    cases: Vec<Case>,
    continuations: Vec<Continuation>,
}

#[derive(serde::Deserialize)]
struct Case {
    /// `short` or `long`.
    factors: String,
    tokens: Vec<u32>,
    /// Positions whose values were kept.
    positions: Vec<usize>,
    /// The best token after each token, and its lead over the second; empty if nothing is rounded.
    #[serde(default)]
    best: Vec<u32>,
    #[serde(default)]
    best_gaps: Vec<f32>,
    references: std::collections::BTreeMap<String, Values>,
}

/// What an engine wrote greedily after a prompt.
#[derive(serde::Deserialize)]
struct Continuation {
    factors: String,
    prompt: Vec<u32>,
    greedy: Vec<u32>,
    /// The lead of the best logit over the second, step by step.
    gaps: Vec<f32>,
}

#[derive(serde::Deserialize)]
struct Values {
    /// The residual stream after the embedding and after every layer, each `(positions, hidden_size)`.
    hidden_states: Vec<Vec<f32>>,
    /// `(positions, vocab_size)`
    logits: Vec<f32>,
}

fn factors(name: &str) -> RopeFactors {
    match name {
        "short" => RopeFactors::Short,
        "long" => RopeFactors::Long,
        other => panic!("expected short or long factors, found {other}"),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity")
}

fn load(name: &str) -> (Decoder, Reference) {
    let gguf = GgufFile::open(&folder().join(format!("{name}.gguf"))).expect("the model of a reference");
    let config = ModelConfig::from_gguf(&gguf).expect("its settings");
    let options = LoadOptions { pool: Arc::new(ThreadPool::new(2)), kv_type: KvType::F16 };
    let decoder = Decoder::load(&gguf, config, &options, &mut |_| {}).expect("its weights");
    let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).expect("the reference");
    (decoder, serde_json::from_str(&text).expect("the reference's fields"))
}

/// The results of the decoder for a case.
struct Computed {
    /// The values in the shape of the reference, at the positions that were kept.
    kept: Values,
    /// The best token at every position.
    best: Vec<u32>,
}

fn compute(decoder: &mut Decoder, case: &Case, reference: &Reference) -> Computed {
    let mut hidden_states = Vec::new();
    let mut logits = Logits::default();
    let mut cache = decoder.new_cache(factors(&case.factors));
    let sequence = Sequence { tokens: &case.tokens, cache: &mut cache, logits: LogitRows::All };
    let rows = |values: &[f32], width: usize| -> Vec<f32> {
        case.positions.iter().flat_map(|position| &values[position * width..(position + 1) * width]).copied().collect()
    };
    decoder
        .forward_observed(&mut [sequence], &mut logits, &mut |_, values| {
            hidden_states.push(rows(values, reference.hidden_size));
        })
        .expect("a pass");
    let best = (0..logits.rows()).map(|row| best(logits.row(row))).collect();
    Computed { kept: Values { hidden_states, logits: rows(&logits.values, reference.vocab_size) }, best }
}

fn best(logits: &[f32]) -> u32 {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).expect("a vocabulary") as u32
}

/// Checks that the largest difference between `found` and `expected` is at most `tolerance`.
#[track_caller]
fn check(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
    let scale = expected.iter().fold(0.0, |scale: f32, value| scale.max(value.abs()));
    eprintln!("{what}: largest difference {largest:.2e} (values up to {scale:.1}, tolerance {tolerance:.0e})");
    assert!(largest <= tolerance, "{what}: largest difference {largest:e}, tolerance {tolerance:e}");
}

/// Checks that every continuation equals the reference's to its end, with the decoder's own tokens fed back.
fn check_greedy(name: &str, decoder: &mut Decoder, continuations: &[Continuation]) {
    for Continuation { factors: set, prompt, greedy, gaps } in continuations {
        let (mut cache, mut logits) = (decoder.new_cache(factors(set)), Logits::default());
        let (mut tokens, mut found): (Vec<u32>, Vec<u32>) = (prompt.clone(), Vec::new());
        while found.len() < greedy.len() {
            let sequence = Sequence { tokens: &tokens, cache: &mut cache, logits: LogitRows::Last };
            decoder.forward(&mut [sequence], &mut logits).expect("a pass");
            tokens = vec![best(logits.row(0))];
            found.extend(&tokens);
        }
        let closest = gaps.iter().copied().fold(f32::INFINITY, f32::min);
        let what = format!("{name}, {set} factors, {} greedy tokens after {}", greedy.len(), prompt.len());
        assert_eq!(found, *greedy, "{what}");
        eprintln!("{what}: equal; the best logit always leads by {closest} or more");
    }
}

fn check_against_transformers(name: &str) {
    let (mut decoder, reference) = load(name);
    eprintln!("made with {}", reference.made_with);
    for case in &reference.cases {
        let Computed { kept: found, .. } = compute(&mut decoder, case, &reference);
        for (kind, tolerance) in [("f16_cache", SAME_CACHE_TOLERANCE), ("f32", F32_CACHE_TOLERANCE)] {
            let expected = &case.references[kind];
            assert_eq!(found.hidden_states.len(), expected.hidden_states.len());
            for (layer, (found, expected)) in found.hidden_states.iter().zip(&expected.hidden_states).enumerate() {
                let what = format!("{name}, {} factors, {kind}, hidden states after layer {layer}", case.factors);
                check(&what, found, expected, tolerance);
            }
            let what = format!("{name}, {} factors, {kind}, logits", case.factors);
            check(&what, &found.logits, &expected.logits, tolerance);
        }
    }
    check_greedy(name, &mut decoder, &reference.continuations);
}

/// Compares the decoder for GPUs, run on the processor, in passes of some hundred tokens.
fn check_device_against_transformers(name: &str) {
    let (decoder, reference) = load(name);
    let gguf = GgufFile::open(&folder().join(format!("{name}.gguf"))).expect("the model of a reference");
    let options = LoadOptions { pool: Arc::new(ThreadPool::new(2)), kv_type: KvType::F16 };
    let config = decoder.config().clone();
    let mut device = DeviceDecoder::load(&gguf, config, Device::Cpu, &options, &mut |_| {}).expect("its weights");
    for case in &reference.cases {
        let (mut cache, mut logits) = (device.new_cache(factors(&case.factors)), Logits::default());
        let mut found = Vec::new();
        for (chunk, tokens) in case.tokens.chunks(300).enumerate() {
            let sequence = Sequence { tokens, cache: &mut cache, logits: LogitRows::All };
            device.forward(&mut [sequence], &mut logits).expect("a pass");
            let rows = chunk * 300..chunk * 300 + tokens.len();
            let kept = case.positions.iter().filter(|position| rows.contains(position));
            found.extend(kept.flat_map(|position| logits.row(position - rows.start).to_vec()));
        }
        let what = format!("{name} on a device, {} factors, logits", case.factors);
        check(&what, &found, &case.references["f32"].logits, DEVICE_TOLERANCE);
    }
}

fn rms_difference(left: &[f32], right: &[f32]) -> f32 {
    let squares = left.iter().zip(right).map(|(left, right)| (left - right).powi(2)).sum::<f32>();
    (squares / left.len() as f32).sqrt()
}

/// Checks how far the residual stream is from exact arithmetic after every layer.
fn check_residual_stream(what: &str, found: &Values, exact: &Values) {
    assert_eq!(found.hidden_states.len(), exact.hidden_states.len());
    for (layer, (found, exact)) in found.hidden_states.iter().zip(&exact.hidden_states).enumerate() {
        let size = rms_difference(exact, &vec![0.0; exact.len()]);
        let part = rms_difference(found, exact) / size;
        eprintln!("{what}, hidden states after layer {layer}: {part:.2e} of them is rounding");
        assert!(part <= RESIDUAL_TOLERANCE, "{what}: {part:e} of the hidden states after layer {layer}");
    }
}

fn check_against_llama_cpp(name: &str) {
    let (mut decoder, reference) = load(name);
    eprintln!("made with {}", reference.made_with);
    for case in &reference.cases {
        let what = format!("{name}, {} factors", case.factors);
        let Computed { kept: found, best } = compute(&mut decoder, case, &reference);
        check_residual_stream(&what, &found, &case.references["exact"]);
        let [llama_cpp, exact] = ["llama.cpp", "exact"].map(|kind| &case.references[kind].logits);
        let what = format!("{what}, logits");
        check(&what, &found.logits, llama_cpp, QUANTIZED_TOLERANCE);
        let (ours, theirs) = (rms_difference(&found.logits, exact), rms_difference(llama_cpp, exact));
        eprintln!("{what}: {ours:.2e} from exact arithmetic (rms), llama.cpp {theirs:.2e}");
        assert!(ours <= ROUNDING_RATIO * theirs, "{what}: {ours:e} from exact arithmetic, llama.cpp {theirs:e}");

        // Where llama.cpp's lead is larger than the error of two logits, the same token must be best.
        let sure = |index: &usize| case.best_gaps[*index] > 2.0 * QUANTIZED_TOLERANCE;
        let differing = (0..best.len()).filter(|index| best[*index] != case.best[*index]).collect::<Vec<_>>();
        eprintln!("{what}: best token equal at {} of {} positions", best.len() - differing.len(), best.len());
        assert!(!differing.iter().any(sure), "{what}: another best token at one of {differing:?}");
    }
    check_greedy(name, &mut decoder, &reference.continuations);
}

/// Checks that the comparisons can fail: the other list of factors does not pass them.
fn check_that_factors_matter(name: &str) {
    let (mut decoder, mut reference) = load(name);
    let case = reference.cases.swap_remove(0);
    let wrong = Case { factors: "long".to_owned(), ..case };
    let Computed { kept: found, .. } = compute(&mut decoder, &wrong, &reference);
    let llama_cpp = &wrong.references["llama.cpp"].logits;
    let largest = found.logits.iter().zip(llama_cpp).map(|(found, other)| (found - other).abs()).fold(0.0, f32::max);
    eprintln!("{name}: with the wrong factors logits differ by up to {largest:.2}");
    assert!(largest > 5.0 * QUANTIZED_TOLERANCE, "{name}: {largest}");
}

#[test]
fn phi_3_5_shaped_model_equals_transformers() {
    check_against_transformers("phi-3.5-shaped");
}

#[test]
fn phi_4_shaped_model_equals_transformers() {
    check_against_transformers("phi-4-shaped");
}

#[test]
fn phi_3_5_shaped_quantized_model_equals_llama_cpp() {
    check_against_llama_cpp("phi-3.5-shaped-q4_k_m");
}

#[test]
fn phi_4_shaped_quantized_model_equals_llama_cpp() {
    check_against_llama_cpp("phi-4-shaped-q5_k_m");
}

#[test]
fn every_other_family_equals_transformers() {
    for name in OTHER_FAMILIES {
        check_against_transformers(name);
    }
}

#[test]
fn quantized_models_of_other_families_equal_llama_cpp() {
    for name in ["qwen2-shaped-q4_k_m", "qwen3-shaped-iq4_xs", "llama-3.2-shaped-iq4_nl"] {
        check_against_llama_cpp(name);
    }
}

#[test]
fn the_wrong_rotary_factors_would_be_noticed() {
    check_that_factors_matter("phi-3.5-shaped-q4_k_m");
    check_that_factors_matter("phi-4-shaped-q5_k_m");
}

#[test]
fn the_decoder_for_gpus_equals_transformers() {
    check_device_against_transformers("phi-3.5-shaped");
    check_device_against_transformers("phi-4-shaped");
    for name in OTHER_FAMILIES {
        check_device_against_transformers(name);
    }
}
