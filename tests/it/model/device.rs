//! The decoder on candle's tensors, run on the processor, gives the same numbers as the decoder on this project's
//! kernels, however a text is divided into passes, batched, forked or truncated.

use std::sync::Arc;

use candle_core::Device;
use phi_ls::kernels::attention::KvType;
use phi_ls::kernels::pool::ThreadPool;
use phi_ls::kernels::quant::QuantType;
use phi_ls::model::{
    Decoder, DeviceDecoder, GgufFile, KvCache, LanguageModel, LoadOptions, LogitRows, Logits, ModelConfig, RopeFactors,
    Sequence,
};

use crate::support::tiny_gguf::{Random, TinyModel};

/// The same file in both decoders.
struct Pair {
    device: DeviceDecoder,
    decoder: Decoder,
    vocab_size: usize,
    quant: QuantType,
}

fn load(model: &TinyModel) -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, model.bytes()).unwrap();
    let gguf = GgufFile::open(&path).unwrap();
    let config = ModelConfig::from_gguf(&gguf).unwrap();
    let options = LoadOptions { pool: Arc::new(ThreadPool::new(1)), kv_type: KvType::F16 };
    Pair {
        device: DeviceDecoder::load(&gguf, config.clone(), Device::Cpu, &options, &mut |_| {}).unwrap(),
        decoder: Decoder::load(&gguf, config, &options, &mut |_| {}).unwrap(),
        vocab_size: model.vocab_size(),
        quant: model.quant,
    }
}

fn models() -> Vec<TinyModel> {
    let untied = TinyModel { tied: false, num_kv_heads: 4, rope_dim: 16, ..TinyModel::phi3() };
    let mut models = vec![TinyModel::phi3(), untied, TinyModel::llama()];
    let quants = [QuantType::Q4K, QuantType::Q5K, QuantType::Q6K, QuantType::Q8_0, QuantType::Q4_1, QuantType::F16];
    models.extend(
        quants.map(|quant| TinyModel { num_layers: 1, intermediate_size: 128, ..TinyModel::phi3() }.quantized(quant)),
    );
    models
}

fn tokens(pair: &Pair, len: usize) -> Vec<u32> {
    let mut random = Random(7);
    (0..len).map(|_| random.below(pair.vocab_size) as u32).collect()
}

/// The logits of every one of `tokens` after the contents of `cache`.
fn pass(model: &mut dyn LanguageModel, cache: &mut KvCache, tokens: &[u32]) -> Vec<f32> {
    let mut logits = Logits::default();
    model.forward(&mut [Sequence { tokens, cache, logits: LogitRows::All }], &mut logits).unwrap();
    logits.values
}

/// One keeps keys and values in f16, the other in f32, and with quantised weights they round activations at different
/// points. Other tests compare each with references.
#[track_caller]
fn assert_near(found: &[f32], expected: &[f32], quant: QuantType) {
    assert_eq!(found.len(), expected.len());
    let largest = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
    let scale = expected.iter().fold(0.0, |scale: f32, logit| scale.max(logit.abs()));
    let tolerance = if quant == QuantType::F32 { 1e-2 } else { 8e-2 };
    assert!(largest <= tolerance * scale, "logits up to {scale} differ by up to {largest:e} with {quant:?}");
}

#[test]
fn both_decoders_say_the_same_with_either_factors() {
    for model in models() {
        let mut pair = load(&model);
        let tokens = tokens(&pair, 40);
        for factors in [RopeFactors::Short, RopeFactors::Long] {
            let (mut on_device, mut here) = (pair.device.new_cache(factors), pair.decoder.new_cache(factors));
            for part in [&tokens[..33], &tokens[33..34], &tokens[34..]] {
                let found = pass(&mut pair.device, &mut on_device, part);
                assert_near(&found, &pass(&mut pair.decoder, &mut here, part), pair.quant);
            }
        }
    }
}

#[test]
fn forked_and_cut_back_sequences_in_one_batch_are_as_if_alone() {
    let mut pair = load(&TinyModel::phi3());
    let tokens = tokens(&pair, 30);
    let model = &mut pair.device;
    let mut parent = model.new_cache(RopeFactors::Short);
    pass(model, &mut parent, &tokens[..20]);
    let mut fork = parent.fork();
    fork.truncate(11);
    let (mut first, mut second) = (parent.fork(), fork.fork());
    let mut logits = Logits::default();
    let sequences = &mut [
        Sequence { tokens: &tokens[20..23], cache: &mut parent, logits: LogitRows::Last },
        Sequence { tokens: &tokens[25..], cache: &mut fork, logits: LogitRows::All },
    ];
    model.forward(sequences, &mut logits).unwrap();
    assert_eq!(logits.rows(), 6);
    let alone = [
        pass(model, &mut first, &tokens[20..23]).split_off(2 * pair.vocab_size),
        pass(&mut pair.device, &mut second, &tokens[25..]),
    ]
    .concat();
    assert_near(&logits.values, &alone, QuantType::F32);
    assert_eq!((parent.tokens().len(), fork.tokens().len()), (23, 16));
}

#[test]
fn a_cache_of_the_other_decoder_is_refused() {
    let mut pair = load(&TinyModel::phi3());
    let mut cache = pair.decoder.new_cache(RopeFactors::Short);
    let sequence = Sequence { tokens: &[1], cache: &mut cache, logits: LogitRows::Last };
    let error = pair.device.forward(&mut [sequence], &mut Logits::default()).unwrap_err().to_string();
    assert!(error.contains("expected a cache of this model"), "{error}");
}
