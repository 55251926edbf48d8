//! Damaged model files: whatever is flipped, cut or made absurd, loading gives a model or one error, never a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use phi_ls::kernels::attention::KvType;
use phi_ls::kernels::pool::ThreadPool;
use phi_ls::model::{self, LoadOptions, LogitRows, Logits, RopeFactors, Sequence};

use crate::support::tiny_gguf::{QUANT_TYPES, Random, TinyModel};

/// Damaged files for each type of each architecture. A run without end would find more; this many take seconds.
const MUTATIONS: usize = 40;

/// Loads the file and runs a pass; `None` if it was refused.
fn load_and_run(path: &Path, options: &LoadOptions) -> Option<()> {
    let mut loaded = match model::load(path, options, &mut |_| {}) {
        Ok(loaded) => loaded,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "an error is one line: {error}");
            return None;
        }
    };
    let mut cache = loaded.model.new_cache(RopeFactors::Short);
    let tokens = [0, loaded.model.config().vocab_size as u32 - 1, 1];
    let mut sequence = [Sequence { tokens: &tokens, cache: &mut cache, logits: LogitRows::Last }];
    // A context of two positions is as good as any other; the error for it is no panic.
    let _ = loaded.model.forward(&mut sequence, &mut Logits::default());
    Some(())
}

/// One of the ways files get damaged, in the header (which decides what is read where) more often than in the data.
fn damage(sound: &[u8], header_len: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    let reach = if random.below(4) == 0 { bytes.len() } else { header_len };
    let at = random.below(reach);
    match random.below(6) {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = random.next() as u8,
        3 | 4 => {
            let absurd = [u64::MAX, 1 << 63, 1 << 40, 1 << 32, u64::from(u32::MAX), 1 << 31, bytes.len() as u64, 0, 1];
            let lie = absurd[random.below(absurd.len())].to_le_bytes();
            let end = bytes.len().min(at + if random.below(2) == 0 { 4 } else { 8 });
            bytes[at..end].copy_from_slice(&lie[..end - at]);
        }
        _ => {
            let end = bytes.len().min(at + random.below(64));
            bytes.drain(at..end);
        }
    }
    bytes
}

#[test]
fn damaged_files_are_refused_without_a_panic() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("damaged.gguf");
    let options = LoadOptions { pool: Arc::new(ThreadPool::new(1)), kv_type: KvType::F16 };
    let (mut refused, mut loaded) = (0, 0);
    for (seed, (quant, ..)) in QUANT_TYPES.into_iter().enumerate() {
        for model in [TinyModel::phi3(), TinyModel::llama()] {
            let sound = TinyModel { num_layers: 1, ..model }.quantized(quant).bytes();
            std::fs::write(&path, &sound).expect("writing a sound file");
            load_and_run(&path, &options).expect("the sound file");
            let embedding =
                sound.windows(17).position(|window| window == b"token_embd.weight").expect("its first tensor");
            let mut random = Random(seed as u64);
            for mutation in 0..MUTATIONS {
                std::fs::write(&path, damage(&sound, embedding + 1000, &mut random)).expect("writing a damaged file");
                match catch_unwind(AssertUnwindSafe(|| load_and_run(&path, &options))) {
                    Ok(Some(())) => loaded += 1,
                    Ok(None) => refused += 1,
                    Err(_) => panic!("mutation {mutation} of {quant:?} panicked"),
                }
            }
        }
    }
    // Some damage hits text nobody depends on, or weights; but most of it must be noticed for this test to mean much.
    assert!(refused > loaded, "{refused} refused, {loaded} loaded");
}
