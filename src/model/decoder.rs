//! The decoder: embedding, layers of attention and gated MLP, final norm, output projection. One forward pass for all
//! architectures, over scratch memory that is reused: decoding a token allocates nothing once the buffers have grown.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::config::{Architecture, ModelConfig, Multipliers};
use super::gguf::GgufFile;
use super::kv_cache::{KvCache, KvStore};
use super::rope::{RopeFactors, RotaryEmbedding};
use super::weights::{LayerWeights, Weights};
use super::{LanguageModel, LoadOptions, LogitRows, Logits, ModelError, Sequence, check_sequence};
use crate::kernels::attention::{
    AttentionInput, KvShape, LayerPage, NewRows, PAGE_LEN, Rotation, attend, rotate_and_store,
};
use crate::kernels::matmul::{Activations, Measured, PackedMatrix, measure_tuning};
use crate::kernels::ops::{self, RopeStyle};
use crate::kernels::pool::ThreadPool;

/// A model of one of [`super::config::ARCHITECTURES`].
pub struct Decoder {
    config: ModelConfig,
    rope_style: RopeStyle,
    rotary: RotaryEmbedding,
    weights: Weights,
    kv_shape: KvShape,
    kv_store: KvStore,
    pool: Arc<ThreadPool>,
    scratch: Scratch,
    /// See [`LanguageModel::pause_between_layers`].
    pause: Option<Box<dyn Fn() + Send>>,
}

/// Intermediate results of one pass over `m` new tokens, those of the first sequence first.
#[derive(Default)]
struct Scratch {
    /// `(m, hidden_size)`: the residual stream
    hidden_states: Vec<f32>,
    /// `(m, hidden_size)`
    normed: Vec<f32>,
    /// `(m, query_size + 2 * key_value_size)`
    qkv: Vec<f32>,
    /// `(m, query_size)`: the rotated queries
    query: Vec<f32>,
    /// `(m, query_size)`
    attn_out: Vec<f32>,
    /// `(m, 2 * intermediate_size)`
    gate_up: Vec<f32>,
    /// `(m, intermediate_size)`
    gated: Vec<f32>,
    /// `(m, hidden_size)`: what a block adds to the residual stream
    delta: Vec<f32>,
    /// `(m, rope_dim / 2)` each
    cos: Vec<f32>,
    sin: Vec<f32>,
    /// One matrix's output while a projection of several is put together.
    part_out: Vec<f32>,
    activations: Activations,
    /// Empty between calls; kept for their memory.
    pages: Vec<&'static [u8]>,
    inputs: Vec<AttentionInput<'static>>,
    new_pages: Vec<LayerPage<'static>>,
    new_rows: Vec<NewRows>,
}

impl Scratch {
    /// Makes every buffer hold `m` rows; growing back to a size it had allocates nothing.
    fn resize(&mut self, config: &ModelConfig, m: usize) {
        self.hidden_states.resize(m * config.hidden_size, 0.0);
        self.normed.resize(m * config.hidden_size, 0.0);
        self.qkv.resize(m * (config.query_size() + 2 * config.key_value_size()), 0.0);
        self.query.resize(m * config.query_size(), 0.0);
        self.attn_out.resize(m * config.query_size(), 0.0);
        self.gate_up.resize(m * 2 * config.intermediate_size, 0.0);
        self.gated.resize(m * config.intermediate_size, 0.0);
        self.delta.resize(m * config.hidden_size, 0.0);
    }
}

/// A point in the pass at which the residual stream can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Embedding,
    /// After this many layers. After the last one only the rows that logits are asked for are left.
    Layer(usize),
}

impl Decoder {
    /// # Errors
    /// [`ModelError`] naming the tensor that is missing, has another shape than `config` says, or is not known.
    pub fn load(
        gguf: &GgufFile,
        config: ModelConfig,
        options: &LoadOptions,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self, ModelError> {
        let rotary = RotaryEmbedding::from_gguf(gguf, &config)?;
        let weights = Weights::load(gguf, &config, &options.pool, progress)?;
        let kv_shape =
            KvShape { num_kv_heads: config.num_key_value_heads, head_dim: config.head_dim, kv_type: options.kv_type };
        Ok(Self {
            rope_style: Architecture::of(gguf)?.rope_style,
            rotary,
            weights,
            kv_shape,
            kv_store: KvStore::new(kv_shape, config.num_hidden_layers),
            config,
            pool: Arc::clone(&options.pool),
            scratch: Scratch::default(),
            pause: None,
        })
    }

    /// Bytes of the weights in memory.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.bytes() as u64
    }

    /// [`LanguageModel::forward`], with `observe` shown the residual stream `(m, hidden_size)` at every [`Stage`].
    ///
    /// # Errors
    /// As [`LanguageModel::forward`].
    pub fn forward_observed(
        &mut self,
        sequences: &mut [Sequence<'_>],
        logits: &mut Logits,
        observe: &mut dyn FnMut(Stage, &[f32]),
    ) -> Result<(), ModelError> {
        let expected = self.new_cache(RopeFactors::Short);
        sequences.iter().try_for_each(|sequence| check_sequence(&self.config, sequence, &expected))?;
        if sequences.iter().all(|sequence| sequence.tokens.is_empty()) {
            *logits = Logits { values: Vec::new(), vocab_size: self.config.vocab_size };
            return Ok(());
        }
        self.begin(sequences);
        observe(Stage::Embedding, &self.scratch.hidden_states);
        for layer_idx in 0..self.weights.layers.len() {
            if let Some(pause) = &self.pause {
                pause();
            }
            self.attention(layer_idx, sequences);
            if !self.scratch.hidden_states.is_empty() {
                self.mlp(layer_idx);
            }
            observe(Stage::Layer(layer_idx + 1), &self.scratch.hidden_states);
        }
        for sequence in sequences.iter_mut() {
            sequence.cache.commit(sequence.tokens);
        }
        self.output(logits);
        Ok(())
    }

    /// Room for the new tokens in the caches and the scratch memory, their embeddings and rotation angles.
    fn begin(&mut self, sequences: &mut [Sequence<'_>]) {
        let Self { config, scratch, .. } = self;
        let m = sequences.iter().map(|sequence| sequence.tokens.len()).sum::<usize>();
        scratch.resize(config, m);
        scratch.cos.clear();
        scratch.sin.clear();

        let mut rows = scratch.hidden_states.chunks_exact_mut(config.hidden_size);
        for Sequence { tokens, cache, .. } in sequences {
            cache.reserve(tokens.len());
            let past_len = cache.tokens().len();
            let positions = past_len..past_len + tokens.len();
            self.rotary.extend(cache.factors(), positions, &mut scratch.cos, &mut scratch.sin);
            for (token, row) in tokens.iter().zip(&mut rows) {
                self.weights.embedding.dequantize_row(*token as usize, row);
            }
        }
        scale_rows(&self.pool, &mut scratch.hidden_states, config.hidden_size, config.multipliers.embedding);
    }

    /// `hidden_states += attn_output(attention(attn_norm(hidden_states)))`, adding to the caches on the way.
    fn attention(&mut self, layer_idx: usize, sequences: &mut [Sequence<'_>]) {
        let Self { config, weights, pool, scratch, .. } = self;
        let LayerWeights { attn_norm, attn_qkv, head_norms, .. } = &weights.layers[layer_idx];
        let Scratch { hidden_states, normed, qkv, part_out, activations, .. } = scratch;
        norm_rows(pool, hidden_states, attn_norm, config.rms_norm_eps, normed);
        attn_qkv.forward(pool, normed, activations, part_out, qkv); // (m, query_size + 2 * key_value_size)
        if let Some(head_norms) = head_norms {
            norm_heads(pool, config, head_norms, qkv);
        }
        self.store_rows(layer_idx, sequences);
        if self.scratch.hidden_states.is_empty() {
            return;
        }
        self.attend(layer_idx, sequences); // (m, query_size)

        let Self { config, weights, pool, scratch, .. } = self;
        let Scratch { hidden_states, attn_out, delta, part_out, activations, .. } = scratch;
        weights.layers[layer_idx].attn_output.forward(pool, attn_out, activations, part_out, delta); // (m, hidden_size)
        add_rows(pool, hidden_states, delta, config);
    }

    /// Rotates queries and keys and stores keys and values. What follows the last layer's attention is needed only for
    /// rows that logits are asked for: there all others are dropped from the queries and the residual stream.
    fn store_rows(&mut self, layer_idx: usize, sequences: &mut [Sequence<'_>]) {
        let Self { config, scratch, .. } = self;
        let hidden_size = config.hidden_size;
        let mut pages = recycle(std::mem::take(&mut scratch.new_pages));
        let (mut row, mut m) = (0, 0);
        for sequence in sequences.iter_mut().filter(|sequence| !sequence.tokens.is_empty()) {
            let kept = kept_rows(sequence, layer_idx + 1 == config.num_hidden_layers);
            let (past_len, rows) = (sequence.cache.tokens().len(), sequence.tokens.len());
            if m < row || kept.len() < rows {
                let from = row + kept.start..row + kept.end;
                scratch.hidden_states.copy_within(from.start * hidden_size..from.end * hidden_size, m * hidden_size);
            }
            (row, m) = (row + rows, m + kept.len());
            let (first_page, first_position) = (pages.len(), past_len % PAGE_LEN);
            scratch.new_rows.push(NewRows { first_page, first_position, rows, queries: kept });
            pages.extend(sequence.cache.layer_pages_mut(layer_idx, past_len).map(LayerPage::new));
        }
        scratch.query.resize(m * config.query_size(), 0.0);
        let Scratch { qkv, query, cos, sin, new_rows, .. } = scratch;
        let rotation = Rotation { style: self.rope_style, cos, sin };
        rotate_and_store(&self.pool, &self.kv_shape, &rotation, new_rows, qkv, &mut pages, query);
        scale_rows(&self.pool, query, config.query_size(), config.multipliers.scores);
        scratch.new_rows.clear();
        scratch.new_pages = recycle(pages);
        scratch.resize(config, m);
    }

    /// `attn_out` from `query` and the caches.
    fn attend(&mut self, layer_idx: usize, sequences: &[Sequence<'_>]) {
        let Self { config, pool, scratch, .. } = self;
        let mut pages = recycle(std::mem::take(&mut scratch.pages));
        for sequence in sequences {
            pages.extend(sequence.cache.layer_pages(layer_idx));
        }
        let mut inputs = recycle(std::mem::take(&mut scratch.inputs));
        let mut rest = pages.as_slice();
        for sequence in sequences {
            let (pages, others) = rest.split_at(sequence.cache.pages().len());
            rest = others;
            let kept = kept_rows(sequence, layer_idx + 1 == config.num_hidden_layers);
            let past_len = sequence.cache.tokens().len() + kept.start;
            let window = config.sliding_window.unwrap_or(usize::MAX);
            inputs.push(AttentionInput { pages, past_len, rows: kept.len(), window });
        }
        attend(pool, &self.kv_shape, config.num_attention_heads, &scratch.query, &inputs, &mut scratch.attn_out);
        scratch.inputs = recycle(inputs);
        scratch.pages = recycle(pages);
    }

    /// `hidden_states += ffn_down(silu(gate) * up)`, gate and up from `ffn_norm(hidden_states)`.
    fn mlp(&mut self, layer_idx: usize) {
        let Self { config, weights, pool, scratch, .. } = self;
        let LayerWeights { ffn_norm, ffn_gate_up, ffn_down, .. } = &weights.layers[layer_idx];
        let Scratch { hidden_states, normed, gate_up, gated, delta, part_out, activations, .. } = scratch;
        norm_rows(pool, hidden_states, ffn_norm, config.rms_norm_eps, normed);
        ffn_gate_up.forward(pool, normed, activations, part_out, gate_up); // (m, 2 * intermediate_size)
        let n = config.intermediate_size;
        for_row_blocks(pool, (gate_up, 2 * n), (gated, n), &|gate_up, gated| ops::silu_gate(gate_up, n, gated));
        ffn_down.forward(pool, gated, activations, part_out, delta); // (m, hidden_size)
        add_rows(pool, hidden_states, delta, config);
    }

    /// Logits of the rows that are left.
    fn output(&mut self, logits: &mut Logits) {
        let Self { config, weights, pool, scratch, .. } = self;
        let Scratch { hidden_states, normed, activations, .. } = scratch;
        let m = hidden_states.len() / config.hidden_size;
        logits.vocab_size = config.vocab_size;
        logits.values.resize(m * config.vocab_size, 0.0);
        if m > 0 {
            norm_rows(pool, hidden_states, &weights.output_norm, config.rms_norm_eps, normed);
            activations.quantize(pool, normed, config.hidden_size, &[weights.output()]);
            weights.output().matmul(pool, activations, &mut logits.values); // (m, vocab_size)
            scale_rows(pool, &mut logits.values, config.vocab_size, config.multipliers.logits);
        }
    }
}

impl LanguageModel for Decoder {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn new_cache(&self, factors: RopeFactors) -> KvCache {
        self.kv_store.new_cache(factors)
    }

    fn forward(&mut self, sequences: &mut [Sequence<'_>], logits: &mut Logits) -> Result<(), ModelError> {
        self.forward_observed(sequences, logits, &mut |_, _| {})
    }

    fn measure_tuning(&self) -> Option<Measured> {
        let matrices: Vec<&PackedMatrix> = self.weights.matrices().collect();
        Some(measure_tuning(&matrices, &self.pool))
    }

    fn pause_between_layers(&mut self, pause: Box<dyn Fn() + Send>) {
        self.pause = Some(pause);
    }
}

/// The new tokens of `sequence` that are computed to the end of a layer.
fn kept_rows(sequence: &Sequence<'_>, is_last_layer: bool) -> Range<usize> {
    let len = sequence.tokens.len();
    match sequence.logits {
        LogitRows::None if is_last_layer => len..len,
        LogitRows::Last if is_last_layer => len - 1..len,
        _ => 0..len,
    }
}

fn norm_rows(pool: &ThreadPool, hidden_states: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let width = weight.len();
    for_row_blocks(pool, (hidden_states, width), (out, width), &|rows, out| ops::rms_norm(rows, weight, eps, out));
}

/// Norms the heads of the query and of the key in `qkv (m, query_size + 2 * key_value_size)`.
fn norm_heads(pool: &ThreadPool, config: &ModelConfig, [query_norm, key_norm]: &[Vec<f32>; 2], qkv: &mut [f32]) {
    let (query_size, key_value_size) = (config.query_size(), config.key_value_size());
    let width = query_size + 2 * key_value_size;
    for_row_blocks_in_place(pool, qkv, width, &|rows| {
        for row in rows.chunks_exact_mut(width) {
            let (query, rest) = row.split_at_mut(query_size);
            ops::rms_norm_in_place(query, query_norm, config.rms_norm_eps);
            ops::rms_norm_in_place(&mut rest[..key_value_size], key_norm, config.rms_norm_eps);
        }
    });
}

/// `hidden_states += delta * multiplier`; `delta` is scratch afterwards.
fn add_rows(pool: &ThreadPool, hidden_states: &mut [f32], delta: &mut [f32], config: &ModelConfig) {
    let (width, Multipliers { residual, .. }) = (config.hidden_size, config.multipliers);
    scale_rows(pool, delta, width, residual);
    for_row_blocks(pool, (delta, width), (hidden_states, width), &|delta, rows| ops::add(rows, delta));
}

/// `values *= factor`, row by row; nothing at all for the factor of most models, which is 1.
fn scale_rows(pool: &ThreadPool, values: &mut [f32], width: usize, factor: f32) {
    if factor != 1.0 {
        for_row_blocks_in_place(pool, values, width, &|rows| ops::scale(rows, factor));
    }
}

/// Rows from which spreading a row-wise operation over threads is worth waking them.
const MIN_PARALLEL_ROWS: usize = 8;

/// Runs `operation` on blocks of whole rows; each buffer comes with the width of its rows.
fn for_row_blocks(
    pool: &ThreadPool,
    (input, input_width): (&[f32], usize),
    (out, out_width): (&mut [f32], usize),
    operation: &(dyn Fn(&[f32], &mut [f32]) + Sync),
) {
    let m = input.len() / input_width;
    if m < MIN_PARALLEL_ROWS {
        return operation(input, out);
    }
    // Two blocks a thread: some balance, few locks.
    let block_rows = m.div_ceil(2 * pool.threads());
    let blocks = Mutex::new(input.chunks(block_rows * input_width).zip(out.chunks_mut(block_rows * out_width)));
    pool.run(m.div_ceil(block_rows), &|_| {
        let next = blocks.lock().expect("taking a block does not panic").next();
        if let Some((input, out)) = next {
            operation(input, out);
        }
    });
}

/// [`for_row_blocks`] for an operation that changes its input.
fn for_row_blocks_in_place(
    pool: &ThreadPool,
    values: &mut [f32],
    width: usize,
    operation: &(dyn Fn(&mut [f32]) + Sync),
) {
    let m = values.len() / width;
    if m < MIN_PARALLEL_ROWS {
        return operation(values);
    }
    let block_rows = m.div_ceil(2 * pool.threads());
    let blocks = Mutex::new(values.chunks_mut(block_rows * width));
    pool.run(m.div_ceil(block_rows), &|_| {
        let next = blocks.lock().expect("taking a block does not panic").next();
        if let Some(block) = next {
            operation(block);
        }
    });
}

/// The same memory for elements of another lifetime.
fn recycle<A, B>(mut elements: Vec<A>) -> Vec<B> {
    elements.clear();
    elements.into_iter().map(|_| unreachable!("the vector is empty")).collect()
}
