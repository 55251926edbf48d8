//! Models of full size, compared with llama.cpp. `PHI_LS_FULL_SIZE` names a folder with `NAME.gguf` files, and for some
//! of them a `NAME.json` from `tests/references/llama_cpp_greedy.py`. They are too large for every run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use phi_ls::kernels::pool::ThreadPool;
use phi_ls::model::{self, LoadOptions, LogitRows, Logits, RopeFactors, Sequence};

use crate::model::greedy::{self, Case};

/// Memory beyond the file and the caches: scratch, tokenizer, code.
const OVERHEAD_BYTES: u64 = 400 << 20;

fn models() -> Vec<PathBuf> {
    let folder = std::env::var_os("PHI_LS_FULL_SIZE").expect("PHI_LS_FULL_SIZE, a folder of models");
    let entries = std::fs::read_dir(folder).expect("the folder of PHI_LS_FULL_SIZE");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut models: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "gguf")).collect();
    models.sort();
    assert!(!models.is_empty(), "expected .gguf files in the folder of PHI_LS_FULL_SIZE, found none");
    models
}

/// The peak memory of this process since `reset_peak`; `None` if the system does not report it.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

fn reset_peak() {
    // Only Linux has this file. Other systems do not report the peak either.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Loads `path` and lets it read a prompt in chunks. Returns the peak memory and the bytes of caches.
fn load_and_prefill(path: &Path) -> (model::LoadedModel, Option<u64>, u64) {
    reset_peak();
    let options = LoadOptions { pool: Arc::new(ThreadPool::new(2)), kv_type: Default::default() };
    let mut loaded = model::load(path, &options, &mut |_| {}).expect("the model");
    let mut cache = loaded.model.new_cache(RopeFactors::Short);
    for _ in 0..2 {
        let sequence = Sequence { tokens: &[1; 32], cache: &mut cache, logits: LogitRows::Last };
        loaded.model.forward(&mut [sequence], &mut Logits::default()).expect("a pass");
    }
    (loaded, peak_bytes(), cache.bytes() as u64)
}

#[test]
#[ignore = "needs models in PHI_LS_FULL_SIZE: cargo nextest run --release --run-ignored only -E 'test(full_size)'"]
fn full_size_models_fit_their_memory_and_continue_as_llama_cpp_does() {
    for path in models() {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let file_bytes = std::fs::metadata(&path).expect("the file").len();
        // The first copy is dropped before the second is loaded, and must have given its memory back.
        drop(load_and_prefill(&path));
        let (mut loaded, peak, cache_bytes) = load_and_prefill(&path);
        if let Some(peak) = peak {
            let over = peak as i64 - (file_bytes + cache_bytes) as i64;
            eprintln!("{name}: peak {} MiB, {} MiB over file and cache", peak >> 20, over >> 20);
            assert!(over <= OVERHEAD_BYTES as i64, "{name}: {over} bytes over file and cache");
        }
        let Ok(fixture) = std::fs::read_to_string(path.with_extension("json")) else { continue };
        let cases: Vec<Case> = serde_json::from_str(&fixture).expect("the continuations of llama.cpp");
        for case in &cases {
            let differences = greedy::compare(&mut loaded, case);
            eprintln!("{name}: {} of {} tokens differ: {differences:?}", differences.len(), case.greedy.len());
            let sure = differences.iter().filter(|(.., gap)| *gap > greedy::ROUNDING).count();
            assert_eq!(sure, 0, "{name}: tokens differ beyond rounding: {differences:?}");
        }
    }
}
