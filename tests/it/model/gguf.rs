//! Damaged and hostile model files: whatever is flipped, cut or made absurd, loading gives a model or an error, and
//! never a panic, and reading a file never takes more memory than the file. (A hang would fail the run in CI.)

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use phi_ls::kernels::attention::KvType;
use phi_ls::kernels::pool::ThreadPool;
use phi_ls::kernels::quant::dequantize;
use phi_ls::model::{self, GgufFile, LoadOptions, LogitRows, Logits, ModelError, RopeFactors, Sequence};

use crate::support::allocations::peak_of;
use crate::support::tiny_gguf::{QUANT_TYPES, Random, TinyModel};

/// How many damaged files are tried for each type of each architecture. More would find more, but these take only
/// seconds.
const MUTATIONS: usize = 40;

/// Memory that reading may take beyond the bytes of the file: the path, a message.
const OVERHEAD_BYTES: usize = 16 << 10;
/// Memory that loading and a pass may take beyond twice the bytes of the file: tables of the tokenizer, scratch.
/// Measured: 578 KB, whatever the damage.
const LOADING_BYTES: usize = 1 << 20;

/// Reads everything in a file: the arrays, and every block of every tensor.
fn read_all(path: &Path) -> Result<usize, ModelError> {
    let gguf = GgufFile::open(path)?;
    let mut read = 0;
    for key in ["tokenizer.ggml.tokens", "tokenizer.ggml.merges", "dense"] {
        read += gguf.strings(key).map_or(0, |strings| strings.iter().count());
    }
    read += gguf.floats("tokenizer.ggml.scores").map_or(0, |floats| floats.iter().count());
    read += gguf.integers("tokenizer.ggml.token_type").map_or(0, |integers| integers.iter().count());
    let mut values = [0.0; 256];
    for tensor in gguf.tensors() {
        for block in gguf.tensor_bytes(&tensor).chunks_exact(tensor.quant.block_bytes()) {
            dequantize(tensor.quant, block, &mut values[..tensor.quant.block_len()]);
            read += 1;
        }
    }
    Ok(read)
}

/// Reads a file of `bytes`, and checks that this takes no more memory than they do.
#[track_caller]
fn check_memory(path: &Path, bytes: &[u8]) -> Result<usize, ModelError> {
    std::fs::write(path, bytes).expect("writing a file");
    let (outcome, peak) = peak_of(|| read_all(path));
    assert!(peak <= bytes.len() + OVERHEAD_BYTES, "reading {} bytes took {peak} at once", bytes.len());
    outcome
}

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
    // A context of two positions is valid, and its error is not a panic.
    let _ = loaded.model.forward(&mut sequence, &mut Logits::default());
    Some(())
}

/// Damages a file in some way, more often in the header (which decides what is read where) than in the data.
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
            check_memory(&path, &sound).expect("the sound file");
            load_and_run(&path, &options).expect("the sound file");
            let embedding =
                sound.windows(17).position(|window| window == b"token_embd.weight").expect("its first tensor");
            let mut random = Random(seed as u64);
            for mutation in 0..MUTATIONS {
                let damaged = damage(&sound, embedding + 1000, &mut random);
                let _ = check_memory(&path, &damaged);
                let load = || catch_unwind(AssertUnwindSafe(|| load_and_run(&path, &options)));
                let (outcome, peak) = peak_of(load);
                let most = 2 * damaged.len() + LOADING_BYTES;
                assert!(peak <= most, "mutation {mutation} of {quant:?}: {peak} bytes for a file of {}", damaged.len());
                match outcome {
                    Ok(Some(())) => loaded += 1,
                    Ok(None) => refused += 1,
                    Err(_) => panic!("mutation {mutation} of {quant:?} panicked"),
                }
            }
        }
    }
    // Some damage affects only weights or unused text, but this test means little unless most damage is noticed.
    assert!(refused > loaded, "{refused} refused, {loaded} loaded");
}

/// A string as in a GGUF file.
fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// A file of the smallest possible entries, which cost a reader the most memory per byte.
fn dense(tensors: u64, entries: u64, empty_strings: u64) -> Vec<u8> {
    let mut bytes = [b"GGUF".as_slice(), &3_u32.to_le_bytes()].concat();
    bytes.extend(tensors.to_le_bytes());
    bytes.extend((entries + 1).to_le_bytes());
    for entry in 0..entries {
        bytes.extend(string(&format!("{entry:x}")));
        bytes.extend(7_u32.to_le_bytes());
        bytes.push(1);
    }
    bytes.extend(string("dense"));
    bytes.extend([9_u32.to_le_bytes(), 8_u32.to_le_bytes()].concat());
    bytes.extend(empty_strings.to_le_bytes());
    bytes.resize(bytes.len() + 8 * empty_strings as usize, 0);
    for tensor in 0..tensors {
        bytes.extend(string(&format!("{tensor:x}")));
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend((32 * tensor).to_le_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(32) + 32 * tensors as usize, 0);
    bytes
}

#[test]
fn a_file_dense_with_entries_takes_no_more_memory_than_it_has_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("dense.gguf");
    for (tensors, entries, empty_strings) in [(0, 0, 1 << 20), (0, 60_000, 0), (60_000, 0, 0), (30_000, 30_000, 30_000)]
    {
        let read = check_memory(&path, &dense(tensors, entries, empty_strings)).expect("a sound file");
        assert_eq!(read as u64, tensors + empty_strings);
    }
    let error = check_memory(&path, &dense(1 << 17, 0, 0)).expect_err("more tensors than any model has");
    assert!(error.to_string().contains("expected at most 65536 tensors"), "{error}");
}
