//! The decoder compared with itself: however a text is divided into passes, cached, forked or batched, the numbers are
//! the same.

use std::path::PathBuf;
use std::sync::Arc;

use phi_ls::kernels::attention::KvType;
use phi_ls::kernels::pool::ThreadPool;
use phi_ls::kernels::quant::QuantType;
use phi_ls::model::{
    Decoder, GgufFile, KvCache, LanguageModel, LoadOptions, LogitRows, Logits, ModelConfig, ModelError, RopeFactors,
    Sequence,
};

use crate::support::tiny_gguf::{GgufWriter, QUANT_TYPES, Random, TinyModel, quantize};

fn options() -> LoadOptions {
    LoadOptions { pool: Arc::new(ThreadPool::new(2)), kv_type: KvType::F16 }
}

fn load_writer(writer: &GgufWriter, options: &LoadOptions) -> Result<Decoder, ModelError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path: PathBuf = folder.path().join("tiny.gguf");
    std::fs::write(&path, writer.bytes()).expect("writing a micro model");
    let gguf = GgufFile::open(&path)?;
    let config = ModelConfig::from_gguf(&gguf)?;
    Decoder::load(&gguf, config, options, &mut |_| {})
}

fn load(model: &TinyModel) -> Decoder {
    load_with(model, KvType::F16)
}

fn load_with(model: &TinyModel, kv_type: KvType) -> Decoder {
    load_writer(&model.writer(), &LoadOptions { kv_type, ..options() }).expect("a sound model")
}

fn tokens(model: &TinyModel, len: usize) -> Vec<u32> {
    let mut random = Random(7);
    (0..len).map(|_| random.below(model.vocab_size()) as u32).collect()
}

/// One pass over `tokens`. Returns the logits of every one of them.
fn pass(decoder: &mut Decoder, cache: &mut KvCache, tokens: &[u32]) -> Vec<f32> {
    let mut logits = Logits::default();
    let sequence = Sequence { tokens, cache, logits: LogitRows::All };
    decoder.forward(&mut [sequence], &mut logits).expect("a pass");
    assert_eq!(logits.rows(), tokens.len());
    assert!(logits.values.iter().all(|logit| logit.is_finite()), "a logit is not a number");
    logits.values
}

fn fresh(decoder: &mut Decoder, factors: RopeFactors, tokens: &[u32]) -> Vec<f32> {
    let mut cache = decoder.new_cache(factors);
    pass(decoder, &mut cache, tokens)
}

/// The micro models that every self-check runs on, with both kinds of caches.
fn models() -> Vec<(TinyModel, KvType)> {
    let untied = TinyModel { tied: false, num_kv_heads: 4, rope_dim: 16, ..TinyModel::phi3() };
    let mut models = vec![TinyModel::phi3(), untied, TinyModel::llama()];
    models.extend(
        [QuantType::Q4K, QuantType::Q5K, QuantType::Q6K, QuantType::Q8_0, QuantType::Q4_1]
            .map(|quant| TinyModel { num_layers: 1, ..TinyModel::phi3() }.quantized(quant)),
    );
    models.into_iter().flat_map(|model| [(model.clone(), KvType::F16), (model, KvType::Q8_0)]).collect()
}

/// How much logits may differ between different passes, as a part of the largest one. With an f16 cache, they may not
/// differ at all: every row of a product, and every row of queries, is computed as if it were alone, so caching, chunk
/// sizes and batching never change the result. An 8-bit page is multiplied as it is for few queries and widened to f32
/// for many, with the scales before or after the sums. This changes the rounding of f32, which can move an activation
/// to the next of its 8-bit values if weights are quantised.
fn tolerance(kv_type: KvType, quant: QuantType) -> f32 {
    match (kv_type, quant) {
        (KvType::F16, _) => 0.0,
        (KvType::Q8_0, QuantType::F32) => 1e-4,
        (KvType::Q8_0, _) => 5e-2,
    }
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f32], model: &TinyModel, kv_type: KvType) {
    assert_eq!(found.len(), expected.len());
    let largest = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
    let scale = expected.iter().fold(0.0, |scale: f32, logit| scale.max(logit.abs()));
    let tolerance = tolerance(kv_type, model.quant) * scale;
    assert!(largest <= tolerance, "logits up to {scale} differ by up to {largest:e} with {kv_type:?} in {model:?}");
}

#[track_caller]
fn assert_same(found: &[f32], expected: &[f32], model: &TinyModel) {
    assert_near(found, expected, model, KvType::F16);
}

#[test]
fn prefill_equals_prefill_then_decode() {
    for (model, kv_type) in models() {
        let (mut decoder, tokens) = (load_with(&model, kv_type), tokens(&model, 70));
        let whole = fresh(&mut decoder, RopeFactors::Short, &tokens);
        for prefilled in [1, 33, 64] {
            let mut cache = decoder.new_cache(RopeFactors::Short);
            let mut logits = pass(&mut decoder, &mut cache, &tokens[..prefilled]);
            for token in &tokens[prefilled..] {
                logits.extend(pass(&mut decoder, &mut cache, &[*token]));
            }
            assert_near(&logits, &whole, &model, kv_type);
        }
    }
}

#[test]
fn prefill_in_chunks_equals_prefill_as_a_whole() {
    for (model, kv_type) in models() {
        let (mut decoder, tokens) = (load_with(&model, kv_type), tokens(&model, 80));
        let whole = fresh(&mut decoder, RopeFactors::Short, &tokens);
        for chunk in [7, 16, 32] {
            let mut cache = decoder.new_cache(RopeFactors::Short);
            let passes = tokens.chunks(chunk).flat_map(|chunk| pass(&mut decoder, &mut cache, chunk));
            let logits: Vec<f32> = passes.collect();
            assert_near(&logits, &whole, &model, kv_type);
        }
    }
}

#[test]
fn truncate_and_append_equals_fresh() {
    for (model, kv_type) in models() {
        let (mut decoder, tokens) = (load_with(&model, kv_type), tokens(&model, 70));
        let whole = fresh(&mut decoder, RopeFactors::Short, &tokens);
        let vocab_size = model.vocab_size();
        for kept in [0, 31, 32, 33] {
            let mut cache = decoder.new_cache(RopeFactors::Short);
            let detour: Vec<u32> =
                tokens[..kept].iter().copied().chain(tokens.iter().rev().copied().take(35)).collect();
            pass(&mut decoder, &mut cache, &detour);
            cache.truncate(kept);
            assert_eq!(cache.tokens(), &tokens[..kept]);
            let logits = pass(&mut decoder, &mut cache, &tokens[kept..]);
            assert_near(&logits, &whole[kept * vocab_size..], &model, kv_type);
        }
    }
}

#[test]
fn a_fork_leaves_its_parent_unchanged() {
    for (model, kv_type) in models() {
        let (mut decoder, tokens) = (load_with(&model, kv_type), tokens(&model, 60));
        let whole = fresh(&mut decoder, RopeFactors::Short, &tokens);
        for forked_at in [20, 32] {
            let mut parent = decoder.new_cache(RopeFactors::Short);
            pass(&mut decoder, &mut parent, &tokens[..forked_at]);
            let before: Vec<Vec<u8>> = parent.pages().iter().map(|page| page.as_slice().to_vec()).collect();

            let mut child = parent.fork();
            let shared = parent.pages().iter().zip(child.pages()).all(|(mine, its)| Arc::ptr_eq(mine, its));
            assert!(shared, "a fork copies no page until one of the two writes");
            let others: Vec<u32> = tokens[forked_at..].iter().rev().copied().collect();
            pass(&mut decoder, &mut child, &others);
            assert!(parent.pages().iter().zip(&before).all(|(page, before)| page.as_slice() == *before));

            let logits = pass(&mut decoder, &mut parent, &tokens[forked_at..]);
            assert_near(&logits, &whole[forked_at * model.vocab_size()..], &model, kv_type);
        }
    }
}

#[test]
fn a_batch_of_sequences_equals_each_alone() {
    for (model, kv_type) in models() {
        let (mut decoder, tokens) = (load_with(&model, kv_type), tokens(&model, 60));
        let (left, right) = (&tokens[..25], &tokens[25..]);
        let [left_alone, right_alone] = [left, right].map(|tokens| fresh(&mut decoder, RopeFactors::Short, tokens));
        let (mut left_cache, mut right_cache) =
            (decoder.new_cache(RopeFactors::Short), decoder.new_cache(RopeFactors::Short));
        // The first tokens are read separately, so that the batch starts at two positions.
        pass(&mut decoder, &mut left_cache, &left[..10]);
        pass(&mut decoder, &mut right_cache, &right[..3]);
        let mut logits = Logits::default();
        let mut batch = [
            Sequence { tokens: &left[10..], cache: &mut left_cache, logits: LogitRows::All },
            Sequence { tokens: &right[3..], cache: &mut right_cache, logits: LogitRows::Last },
        ];
        decoder.forward(&mut batch, &mut logits).expect("a pass");
        let vocab_size = model.vocab_size();
        assert_eq!(logits.rows(), 15 + 1);
        assert_near(&logits.values[..15 * vocab_size], &left_alone[10 * vocab_size..], &model, kv_type);
        assert_near(logits.row(15), &right_alone[right_alone.len() - vocab_size..], &model, kv_type);
    }
}

#[test]
fn only_the_rows_asked_for_have_logits() {
    let model = TinyModel::phi3();
    let (mut decoder, tokens) = (load(&model), tokens(&model, 9));
    let all = fresh(&mut decoder, RopeFactors::Short, &tokens);
    for (rows, expected) in [(LogitRows::None, &all[..0]), (LogitRows::Last, &all[8 * model.vocab_size()..])] {
        let mut cache = decoder.new_cache(RopeFactors::Short);
        // Values of a larger pass: the memory is reused, but the rows are not.
        let mut logits = Logits { values: vec![1.0; 9000], vocab_size: 3 };
        decoder
            .forward(&mut [Sequence { tokens: &tokens, cache: &mut cache, logits: rows }], &mut logits)
            .expect("a pass");
        assert_eq!(logits.vocab_size, model.vocab_size());
        assert_same(&logits.values, expected, &model);
    }
}

#[test]
fn a_pass_without_tokens_changes_nothing() {
    let mut decoder = load(&TinyModel::phi3());
    let mut cache = decoder.new_cache(RopeFactors::Short);
    assert!(pass(&mut decoder, &mut cache, &[]).is_empty());
    assert_eq!(cache.bytes(), 0);
    // It is not a row beside a sequence with tokens either.
    let mut other = decoder.new_cache(RopeFactors::Short);
    let mut logits = Logits::default();
    let mut batch = [
        Sequence { tokens: &[], cache: &mut cache, logits: LogitRows::All },
        Sequence { tokens: &[1, 2], cache: &mut other, logits: LogitRows::Last },
    ];
    decoder.forward(&mut batch, &mut logits).expect("a pass");
    assert_eq!((logits.rows(), other.tokens()), (1, [1, 2].as_slice()));
}

#[test]
fn a_refused_pass_leaves_every_cache_as_it_was() {
    let model = TinyModel::phi3();
    let (mut decoder, tokens) = (load(&model), tokens(&model, 40));
    let whole = fresh(&mut decoder, RopeFactors::Short, &tokens);
    let mut cache = decoder.new_cache(RopeFactors::Short);
    let mut other = decoder.new_cache(RopeFactors::Short);
    pass(&mut decoder, &mut cache, &tokens[..30]);
    let outside = model.vocab_size() as u32;
    let mut batch = [
        Sequence { tokens: &tokens[30..], cache: &mut cache, logits: LogitRows::Last },
        Sequence { tokens: &[1, outside], cache: &mut other, logits: LogitRows::Last },
    ];
    let error = decoder.forward(&mut batch, &mut Logits::default()).expect_err("an id outside the vocabulary");
    assert!(error.to_string().contains(&format!("expected token ids below {outside}, found {outside}")), "{error}");
    assert_eq!((cache.tokens(), other.tokens().len()), (&tokens[..30], 0));
    let logits = pass(&mut decoder, &mut cache, &tokens[30..]);
    assert_same(&logits, &whole[30 * model.vocab_size()..], &model);

    let mut foreign = load(&TinyModel { num_kv_heads: 4, ..TinyModel::phi3() }).new_cache(RopeFactors::Short);
    let sequence = Sequence { tokens: &tokens, cache: &mut foreign, logits: LogitRows::None };
    let error = decoder.forward(&mut [sequence], &mut Logits::default()).expect_err("another model's cache");
    assert!(error.to_string().contains("expected a cache of this model"), "{error}");
}

/// If threads share the pages of one query, their sums are joined in another order, which changes the rounding.
#[test]
fn a_long_context_read_by_three_threads_stays_within_rounding() {
    let model = TinyModel::phi3();
    let options = LoadOptions { pool: Arc::new(ThreadPool::new(3)), kv_type: KvType::F16 };
    let mut decoder = load_writer(&model.writer(), &options).expect("a sound model");
    let tokens = tokens(&model, 600);
    let whole = fresh(&mut decoder, RopeFactors::Short, &tokens);
    let mut cache = decoder.new_cache(RopeFactors::Short);
    pass(&mut decoder, &mut cache, &tokens[..590]);
    let last: Vec<f32> = tokens[590..].iter().flat_map(|token| pass(&mut decoder, &mut cache, &[*token])).collect();
    let expected = &whole[590 * model.vocab_size()..];
    let largest = last.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
    assert!(largest < 1e-3, "{largest:e}");
}

#[test]
fn the_cache_grows_by_pages_as_it_is_used() {
    let model = TinyModel::phi3();
    let (mut decoder, tokens) = (load(&model), tokens(&model, 65));
    let mut cache = decoder.new_cache(RopeFactors::Long);
    assert_eq!(cache.bytes(), 0);
    for (len, pages) in [(1, 1), (32, 1), (33, 2), (65, 3)] {
        let start = cache.tokens().len();
        pass(&mut decoder, &mut cache, &tokens[start..len]);
        assert_eq!((cache.pages().len(), cache.bytes()), (pages, pages * cache.page_bytes()));
    }
    cache.truncate(32);
    assert_eq!(cache.pages().len(), 1);
}

#[test]
fn factor_sets_hold_across_the_original_context_and_never_mix() {
    // The factors switch at a position that is quick to reach. The parity tests cross it at the position of the real
    // models.
    let model = TinyModel { original_context_length: 128, context_length: 1024, ..TinyModel::phi3() };
    let (mut decoder, tokens) = (load(&model), tokens(&model, 132));
    let vocab_size = model.vocab_size();
    let long = fresh(&mut decoder, RopeFactors::Long, &tokens);
    // One pass over everything, and one that ends before, at and after the original context, must agree: nothing
    // switches at the boundary.
    let mut cache = decoder.new_cache(RopeFactors::Long);
    let mut start = 0;
    for end in [127, 128, 129, 132] {
        let logits = pass(&mut decoder, &mut cache, &tokens[start..end]);
        assert_same(&logits, &long[start * vocab_size..end * vocab_size], &model);
        start = end;
    }
    // The short set gives other numbers from the second position on, and ends at the original context length.
    let mut cache = decoder.new_cache(RopeFactors::Short);
    let short = pass(&mut decoder, &mut cache, &tokens[..128]);
    assert_same(&short[..vocab_size], &long[..vocab_size], &model);
    for position in [1, 60, 126, 127] {
        let row = position * vocab_size..(position + 1) * vocab_size;
        assert_ne!(short[row.clone()], long[row]);
    }
    let beyond = Sequence { tokens: &tokens[128..129], cache: &mut cache, logits: LogitRows::Last };
    let error = decoder.forward(&mut [beyond], &mut Logits::default()).expect_err("beyond the short factors");
    assert!(
        error.to_string().contains("expected at most 128 positions with Short rotary factors, found 129"),
        "{error}"
    );
}

/// With keys and queries that are zero in the rotated dimensions, one layer cannot distinguish the order of tokens.
#[test]
fn dimensions_beyond_the_rotary_ones_carry_no_position() {
    let model = TinyModel { num_layers: 1, ..TinyModel::phi3() };
    let head_dim = model.hidden_size / model.num_heads;
    let (query_and_key, rows) = ((model.num_heads + model.num_kv_heads) * head_dim, model.hidden_size * 2);
    let values = |rotated: f32, rest: f32| {
        let mut random = Random(3);
        let mut value = |row: usize| {
            let uniform = random.below(2000) as f32 / 1000.0 - 1.0;
            let is_rotated = row < query_and_key && row % head_dim < model.rope_dim;
            uniform * if is_rotated { rotated } else { rest }
        };
        let values: Vec<f32> = (0..rows).flat_map(|row| vec![row; model.hidden_size]).map(&mut value).collect();
        quantize(QuantType::F32, &values)
    };
    let last_rows = |rotated: f32, rest: f32| {
        let mut writer = model.writer();
        writer.tensor("blk.0.attn_qkv.weight", &[rows, model.hidden_size], QuantType::F32, values(rotated, rest));
        let mut decoder = load_writer(&writer, &options()).expect("a sound model");
        [[5, 9, 300, 12], [300, 5, 9, 12]].map(|tokens| {
            let logits = fresh(&mut decoder, RopeFactors::Short, &tokens);
            logits[3 * model.vocab_size()..].to_vec()
        })
    };
    let difference = |[left, right]: [Vec<f32>; 2]| {
        left.iter().zip(&right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
    };
    // The difference of sums in another order and f16 values, which is far below the effect of a rotation.
    let rounding = 1e-3;
    let unrotated = difference(last_rows(0.0, 1.0));
    let rotated = difference(last_rows(1.0, 1.0));
    assert!(unrotated < rounding && rotated > 100.0 * rounding, "unrotated {unrotated:e}, rotated {rotated:e}");
}

#[test]
fn separate_and_fused_projections_of_mixed_types_agree() {
    // The value projection has another type than query and key, as in Q4_K_M files of the llama architecture.
    let model = TinyModel::llama();
    let mut decoder = load(&model);
    let mut writer = model.writer();
    let (rows, cols) = (model.num_kv_heads * model.hidden_size / model.num_heads, model.hidden_size);
    let mut random = Random(5);
    let halves: Vec<f32> = (0..rows * cols).map(|_| random.below(64) as f32 / 64.0 - 0.5).collect();
    for layer in 0..model.num_layers {
        let name = format!("blk.{layer}.attn_v.weight");
        writer.tensor(&name, &[rows, cols], QuantType::F16, quantize(QuantType::F16, &halves));
    }
    let mut mixed = load_writer(&writer, &options()).expect("a sound model");
    for layer in 0..model.num_layers {
        let name = format!("blk.{layer}.attn_v.weight");
        writer.tensor(&name, &[rows, cols], QuantType::F32, quantize(QuantType::F32, &halves));
    }
    let mut uniform = load_writer(&writer, &options()).expect("a sound model");
    let tokens = tokens(&model, 20);
    let logits = fresh(&mut mixed, RopeFactors::Short, &tokens);
    assert_ne!(logits, fresh(&mut decoder, RopeFactors::Short, &tokens));
    let expected = fresh(&mut uniform, RopeFactors::Short, &tokens);
    let largest = logits.iter().zip(&expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
    // The values are exact in both types, but the kernels may sum in another order.
    assert!(largest < 1e-3, "{largest:e}");
}

#[test]
fn every_quantisation_loads_and_stays_near_full_precision() {
    let base = TinyModel { num_layers: 1, ..TinyModel::phi3() }.quantized(QuantType::Q4K);
    let full = TinyModel { quant: QuantType::F32, ..base.clone() };
    let tokens = tokens(&full, 24);
    let expected = fresh(&mut load(&full), RopeFactors::Short, &tokens);
    for (quant, ..) in QUANT_TYPES {
        let model = TinyModel { quant, ..base.clone() };
        let logits = fresh(&mut load(&model), RopeFactors::Short, &tokens);
        let dot: f32 = logits.iter().zip(&expected).map(|(found, expected)| found * expected).sum();
        let norms = logits.iter().map(|logit| logit * logit).sum::<f32>() * expected.iter().map(|e| e * e).sum::<f32>();
        let cosine = dot / norms.sqrt();
        // The correlation that random weights keep with 2 to 3 bits, with 4, and with more.
        let least = match quant {
            QuantType::Q2K | QuantType::Q3K => 0.4,
            QuantType::Q4_0 | QuantType::Q4_1 | QuantType::Q4K => 0.9,
            _ => 0.97,
        };
        assert!(cosine > least, "{quant:?}: cosine {cosine}");
    }
}

#[test]
fn eight_bit_caches_stay_near_half_precision_ones() {
    let model = TinyModel::phi3();
    let tokens = tokens(&model, 50);
    let expected = fresh(&mut load(&model), RopeFactors::Short, &tokens);
    let logits = fresh(&mut load_with(&model, KvType::Q8_0), RopeFactors::Short, &tokens);
    let scale = expected.iter().fold(0.0, |scale: f32, logit| scale.max(logit.abs()));
    let largest = logits.iter().zip(&expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
    assert!(largest > 0.0 && largest < 0.05 * scale, "{largest} of {scale}");
}

/// Checks that loading a model without `name` fails with a message that contains `expected`.
#[track_caller]
fn check_missing(model: &TinyModel, name: &str, expected: &str) {
    let mut writer = model.writer();
    writer.remove(name);
    let error = load_writer(&writer, &options()).err().expect("the file should be refused").to_string();
    assert!(error.contains(expected), "expected `{expected}` in: {error}");
}

#[test]
fn what_an_architecture_needs_is_named_when_missing() {
    let (phi3, llama) = (TinyModel::phi3(), TinyModel::llama());
    check_missing(&phi3, "phi3.embedding_length", "metadata key `phi3.embedding_length` is missing");
    for key in ["llama.rope.freq_base", "llama.attention.layer_norm_rms_epsilon", "tokenizer.ggml.tokens"] {
        check_missing(&llama, key, &format!("metadata key `{key}` is missing"));
    }
    for tensor in ["rope_factors_short.weight", "rope_factors_long.weight", "blk.1.attn_qkv.weight"] {
        check_missing(&phi3, tensor, &format!("tensor `{tensor}` is missing"));
    }
    for tensor in ["token_embd.weight", "blk.0.attn_k.weight", "blk.1.ffn_gate.weight", "output_norm.weight"] {
        check_missing(&llama, tensor, &format!("tensor `{tensor}` is missing"));
    }
    // Without an output projection the embedding is used.
    let mut tied = llama.writer();
    tied.remove("output.weight");
    assert!(load_writer(&tied, &options()).is_ok());
}

fn config_of(writer: &GgufWriter) -> ModelConfig {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, writer.bytes()).expect("writing a micro model");
    ModelConfig::from_gguf(&GgufFile::open(&path).expect("a sound file")).expect("its settings")
}

#[test]
fn the_earliest_phi_3_files_leave_out_what_is_known_of_them() {
    let early = TinyModel { context_length: 4096, ..TinyModel::phi3() };
    let mut writer = early.writer();
    for key in ["rope.freq_base", "rope.scaling.original_context_length", "rope.scaling.attn_factor"] {
        writer.remove(&format!("phi3.{key}"));
    }
    let config = config_of(&writer);
    assert_eq!((config.rope_theta, config.sliding_window), (10_000.0, Some(2047)));
    assert_eq!((config.original_max_position_embeddings, config.has_long_rope()), (4096, false));
    let long = TinyModel { context_length: 131_072, ..TinyModel::phi3() };
    let mut without_keys = long.writer();
    for key in ["rope.scaling.original_context_length", "rope.scaling.attn_factor"] {
        without_keys.remove(&format!("phi3.{key}"));
    }
    let (with, without) = (config_of(&long.writer()), config_of(&without_keys));
    assert_eq!((without.original_max_position_embeddings, without.has_long_rope()), (4096, true));
    assert!((without.rope_attn_factor - 1.190_238).abs() < 1e-6, "{}", without.rope_attn_factor);
    assert!((without.rope_attn_factor - with.rope_attn_factor).abs() < 1e-6);
    // A window as wide as the context, as in later files, is no window.
    writer.u32("phi3.attention.sliding_window", 262_144);
    assert_eq!(config_of(&writer).sliding_window, None);
    assert!(load_writer(&writer, &options()).is_ok());
}

#[test]
fn positions_are_divided_by_whichever_key_says_so() {
    for (key, factor) in [("rope.scaling.factor", 4.0), ("rope.scale_linear", 4.0), ("rope.scaling.factor", 0.0)] {
        let mut writer = TinyModel::llama().writer();
        writer.f32(&format!("llama.{key}"), factor);
        let expected = if factor == 0.0 { 1.0 } else { factor };
        assert_eq!(config_of(&writer).rope_scaling_factor, expected, "{key}");
    }
}

/// Checks that loading a valid file after `change` fails with a message that contains `expected`.
#[track_caller]
fn check_refused(model: &TinyModel, change: impl FnOnce(&mut GgufWriter), expected: &str) {
    let mut writer = model.writer();
    change(&mut writer);
    let error = load_writer(&writer, &options()).err().expect("the file should be refused").to_string();
    assert!(error.contains(expected), "expected `{expected}` in: {error}");
}

#[test]
fn what_the_decoder_would_compute_wrongly_is_refused() {
    let (phi3, llama) = (TinyModel::phi3(), TinyModel::llama());
    check_refused(&llama, |file| file.string("general.architecture", "gemma"), "`granite`, `llama`, found `gemma`");
    check_refused(&llama, |file| file.string("llama.rope.scaling.type", "yarn"), "found the rotary scaling `yarn`");
    check_refused(&phi3, |file| file.f32("phi3.rope.scaling.factor", 4.0), "without linear rotary scaling");
    check_refused(&llama, |file| file.f32("llama.rope.scaling.factor", -4.0), "expected a positive number, found -4");
    check_refused(&llama, |file| file.u32("llama.expert_count", 8), "mixtures of experts");
    check_refused(
        &phi3,
        |file| file.u32("phi3.attention.head_count_kv", 3),
        "expected a divisor of the 4 query heads, found 3",
    );
    check_refused(&phi3, |file| file.u32("phi3.attention.head_count", 0), "`phi3.attention.head_count`: expected 1 to");
    check_refused(
        &phi3,
        |file| file.u32("phi3.rope.dimension_count", 18),
        "expected an even number up to the head size 16",
    );
    check_refused(&phi3, |file| file.u32("phi3.block_count", u32::MAX), "`phi3.block_count`: expected 1 to");
    check_refused(&phi3, |file| file.u32("phi3.block_count", 1), "tensor `blk.1.attn_norm.weight` is not part of a");
    check_refused(&phi3, |file| file.u32("phi3.feed_forward_length", 97), "expected shape [194, 64] from the metadata");
    check_refused(&phi3, |file| file.f32("phi3.rope.freq_base", f32::NAN), "expected a positive number, found NaN");
    let bias = |file: &mut GgufWriter| file.tensor("blk.0.attn_q.bias", &[64], QuantType::F32, vec![0; 256]);
    check_refused(&phi3, bias, "tensor `blk.0.attn_q.bias` is not part of a");
    let short = |file: &mut GgufWriter| file.tensor("blk.0.attn_q.bias", &[32], QuantType::F32, vec![0; 128]);
    check_refused(&llama, short, "tensor `blk.0.attn_q.bias`: expected shape [64]");
    let factors = |values: [f32; 6]| quantize(QuantType::F32, &values);
    let zero = factors([1.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
    let zeros = |file: &mut GgufWriter| file.tensor("rope_factors_long.weight", &[6], QuantType::F32, zero);
    check_refused(&phi3, zeros, "expected positive factors, found 0");
}
