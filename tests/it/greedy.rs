//! Greedy continuations of the starter model against llama.cpp's, made by `tests/references/llama_cpp_greedy.py`.

use std::sync::Arc;

use phi_ls::kernels::pool::ThreadPool;
use phi_ls::model::{self, LoadOptions, LoadedModel, LogitRows, Logits, RopeFactors, Sequence};

use crate::support::starter;

/// Below this difference of the two best logits either token is right: both engines quantise activations to 8 bits
/// and add in different orders, which moves logits by some hundredths (a tenth at most in these prompts).
const ROUNDING: f64 = 0.15;

#[derive(serde::Deserialize)]
struct Case {
    prompt: String,
    ids: Vec<u32>,
    greedy: Vec<u32>,
    gap: Vec<f64>,
}

fn argmax(logits: &[f32]) -> u32 {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a))).unwrap() as u32
}

/// How many tokens agree, feeding llama.cpp's own token each time so that one close call does not end the comparison.
fn compare(loaded: &mut LoadedModel, case: &Case) -> Vec<(usize, u32, u32, f64)> {
    let mut cache = loaded.model.new_cache(RopeFactors::Short);
    let mut logits = Logits::default();
    let mut tokens = case.ids.clone();
    let mut differences = Vec::new();
    for (step, (&expected, &gap)) in case.greedy.iter().zip(&case.gap).enumerate() {
        let sequence = Sequence { tokens: &tokens, cache: &mut cache, logits: LogitRows::Last };
        loaded.model.forward(&mut [sequence], &mut logits).unwrap();
        let found = argmax(logits.row(0));
        if found != expected {
            differences.push((step, expected, found, gap));
        }
        tokens = vec![expected];
    }
    differences
}

#[test]
fn the_starter_continues_as_llama_cpp_does() {
    let Some(path) = starter() else { return };
    let options = LoadOptions { pool: Arc::new(ThreadPool::new(2)), kv_type: Default::default() };
    let mut loaded = model::load(&path, &options, &mut |_| {}).unwrap();
    let fixture = std::fs::read_to_string("tests/fixtures/greedy/starter.json").unwrap();
    let cases: Vec<Case> = serde_json::from_str(&fixture).unwrap();
    assert_eq!(cases.len(), 10);
    let mut wrong = Vec::new();
    for case in &cases {
        assert_eq!(case.greedy.len(), 64);
        for (step, expected, found, gap) in compare(&mut loaded, case) {
            println!("{:?} step {step}: llama.cpp {expected}, here {found}, gap {gap}", case.prompt);
            if gap > ROUNDING {
                wrong.push((case.prompt.clone(), step));
            }
        }
    }
    assert!(wrong.is_empty(), "differences beyond rounding: {wrong:?}");
}
