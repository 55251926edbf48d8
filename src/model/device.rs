//! The same decoder on candle's tensors, for GPUs: quantised matrices stay on the device in the file's own format, keys
//! and values too. On a processor it gives the numbers of [`super::Decoder`], slower, which is how it is tested.

use std::borrow::Cow;

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{D, DType, Device, Module as _, Tensor};

use super::config::{Architecture, ModelConfig};
use super::gguf::{GgufFile, TensorInfo};
use super::kv_cache::DeviceKv;
use super::rope::{RopeFactors, RotaryEmbedding};
use super::weights::{LayerTensors, ModelTensors, ProjectionTensors};
use super::{KvCache, KvStore, LanguageModel, LoadOptions, LogitRows, Logits, ModelError, Sequence, check_sequence};
use crate::kernels::attention::KvShape;
use crate::kernels::matmul::PackedMatrix;
use crate::kernels::ops::RopeStyle;
use crate::kernels::quant::{QuantType, dequantize};

/// The GPU of this machine that this build was made for; `None` where there is none.
pub fn gpu() -> Option<Device> {
    let device = match (cfg!(feature = "cuda"), cfg!(feature = "metal")) {
        (true, _) => Device::new_cuda(0),
        (_, true) => Device::new_metal(0),
        _ => return None,
    };
    device.map_err(|error| tracing::warn!("cannot use a GPU: {error}; computing on the processor")).ok()
}

/// A model of one of [`super::config::ARCHITECTURES`] on a device.
pub struct DeviceDecoder {
    config: ModelConfig,
    rope_style: RopeStyle,
    rotary: RotaryEmbedding,
    device: Device,
    /// Number format of cached keys and values.
    kv_dtype: DType,
    /// `(vocab_size, hidden_size)`, where the processor looks rows up
    embedding: PackedMatrix,
    layers: Vec<Layer>,
    /// `(hidden_size)`
    output_norm: Tensor,
    /// `(vocab_size, hidden_size)`
    output: QMatMul,
    weight_bytes: u64,
}

/// One layer, shapes as in `weights::LayerWeights`.
struct Layer {
    attn_norm: Tensor,
    attn_qkv: Projection,
    head_norms: Option<[Tensor; 2]>,
    attn_output: Projection,
    ffn_norm: Tensor,
    ffn_gate_up: Projection,
    ffn_down: Projection,
}

/// One or more matrices whose outputs are laid side by side, and their biases `(rows)`.
struct Projection {
    parts: Vec<QMatMul>,
    bias: Option<Tensor>,
}

impl Projection {
    /// `(m, rows)` from `input (m, cols)`.
    fn forward(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        let outputs = self.parts.iter().map(|part| part.forward(input)).collect::<candle_core::Result<Vec<_>>>()?;
        let output = match outputs.as_slice() {
            [whole] => whole.clone(),
            parts => Tensor::cat(parts, D::Minus1)?,
        };
        match &self.bias {
            Some(bias) => output.broadcast_add(bias),
            None => Ok(output),
        }
    }
}

impl DeviceDecoder {
    /// # Errors
    /// As [`super::Decoder::load`], and when the device has no room.
    pub fn load(
        gguf: &GgufFile,
        config: ModelConfig,
        device: Device,
        options: &LoadOptions,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self, ModelError> {
        let rotary = RotaryEmbedding::from_gguf(gguf, &config)?;
        let tensors = ModelTensors::find(gguf, &config)?;
        let rope_style = Architecture::of(gguf)?.rope_style;
        let upload = Upload { gguf, device: &device };
        let embedding = &tensors.embedding;
        let shape = (embedding.shape[0], embedding.shape[1]);
        let host_embedding =
            PackedMatrix::pack(embedding.quant, shape.0, shape.1, gguf.tensor_bytes(embedding), &options.pool);
        let output = upload.matrix(tensors.output.as_ref().unwrap_or(embedding))?;
        let mut layers = Vec::new();
        for (layer_idx, layer) in tensors.layers.iter().enumerate() {
            progress(layer_idx as f32 / tensors.layers.len() as f32);
            layers.push(upload.layer(layer)?);
        }
        let output_norm = upload.vector(&tensors.output_norm)?;
        progress(1.0);
        Ok(Self {
            rope_style,
            rotary,
            kv_dtype: if device.is_cpu() { DType::F32 } else { DType::F16 },
            embedding: host_embedding,
            layers,
            output_norm,
            output,
            weight_bytes: gguf.tensors().map(|tensor| tensor.bytes as u64).sum(),
            config,
            device,
        })
    }

    /// Bytes of the weights on the device.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    /// The new tokens of `sequences` through every layer; the keys and values that the caches have afterwards come along,
    /// so that a failure leaves the caches as they were.
    fn pass(&self, sequences: &[Sequence<'_>], logits: &mut Logits) -> candle_core::Result<Vec<DeviceKv>> {
        let mut hidden_states = self.embed(sequences)?; // (m, hidden_size)
        let angles = self.angles(sequences)?;
        let masks = sequences.iter().map(|sequence| self.mask(sequence)).collect::<candle_core::Result<Vec<_>>>()?;
        let mut caches: Vec<DeviceKv> =
            sequences.iter().map(|sequence| sequence.cache.device_kv().to_owned()).collect();
        let eps = self.config.rms_norm_eps;
        for (layer_idx, layer) in self.layers.iter().enumerate() {
            let normed = candle_nn::ops::rms_norm(&hidden_states, &layer.attn_norm, eps)?;
            let qkv = layer.attn_qkv.forward(&normed)?;
            let attn_out = self.attention(layer_idx, &qkv, &angles, sequences, &masks, &mut caches)?;
            let residual = |delta: Tensor| scaled(delta, self.config.multipliers.residual);
            hidden_states = (hidden_states + residual(layer.attn_output.forward(&attn_out)?)?)?;
            let normed = candle_nn::ops::rms_norm(&hidden_states, &layer.ffn_norm, eps)?;
            let gated = candle_nn::ops::swiglu(&layer.ffn_gate_up.forward(&normed)?)?;
            hidden_states = (hidden_states + residual(layer.ffn_down.forward(&gated)?)?)?;
        }
        self.read_logits(&hidden_states, sequences, logits)?;
        Ok(caches)
    }

    fn embed(&self, sequences: &[Sequence<'_>]) -> candle_core::Result<Tensor> {
        let width = self.config.hidden_size;
        let tokens: Vec<u32> = sequences.iter().flat_map(|sequence| sequence.tokens.iter().copied()).collect();
        let mut rows = vec![0.0; tokens.len() * width];
        for (token, row) in tokens.iter().zip(rows.chunks_exact_mut(width)) {
            self.embedding.dequantize_row(*token as usize, row);
        }
        scaled(Tensor::from_vec(rows, (tokens.len(), width), &self.device)?, self.config.multipliers.embedding)
    }

    /// cos and sin of every new token, `(m, rope_dim / 2)` each.
    fn angles(&self, sequences: &[Sequence<'_>]) -> candle_core::Result<(Tensor, Tensor)> {
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for Sequence { tokens, cache, .. } in sequences {
            let past_len = cache.tokens().len();
            self.rotary.extend(cache.factors(), past_len..past_len + tokens.len(), &mut cos, &mut sin);
        }
        let half = self.config.rope_dim / 2;
        let table = |values: Vec<f32>| Tensor::from_vec(values.clone(), (values.len() / half, half), &self.device);
        Ok((table(cos)?, table(sin)?))
    }

    /// What is added to the scores `(rows, positions)` of a sequence: later positions and those before the window are out
    /// of sight. `None` for one row that sees everything.
    fn mask(&self, sequence: &Sequence<'_>) -> candle_core::Result<Option<Tensor>> {
        let (rows, past_len) = (sequence.tokens.len(), sequence.cache.tokens().len());
        let window = self.config.sliding_window.unwrap_or(usize::MAX);
        let positions = past_len + rows;
        if rows <= 1 && positions <= window {
            return Ok(None);
        }
        let visible = |index: usize| {
            let own = past_len + index / positions;
            (own.saturating_sub(window - 1)..=own).contains(&(index % positions))
        };
        let values: Vec<f32> =
            (0..rows * positions).map(|index| if visible(index) { 0.0 } else { f32::NEG_INFINITY }).collect();
        Tensor::from_vec(values, (rows, positions), &self.device).map(Some)
    }

    /// `(m, query_size)` from `qkv (m, query_size + 2 * key_value_size)`, sequence by sequence.
    fn attention(
        &self,
        layer_idx: usize,
        qkv: &Tensor,
        angles: &(Tensor, Tensor),
        sequences: &[Sequence<'_>],
        masks: &[Option<Tensor>],
        caches: &mut [DeviceKv],
    ) -> candle_core::Result<Tensor> {
        let config = &self.config;
        let (query_size, key_value_size) = (config.query_size(), config.key_value_size());
        let m = qkv.dim(0)?;
        // (heads, m, head_dim)
        let heads = |from: usize, size: usize| {
            qkv.narrow(1, from, size)?
                .reshape((m, size / config.head_dim, config.head_dim))?
                .transpose(0, 1)?
                .contiguous()
        };
        let norm = |heads: Tensor, which: usize| match &self.layers[layer_idx].head_norms {
            Some(norms) => candle_nn::ops::rms_norm(&heads, &norms[which], config.rms_norm_eps),
            None => Ok(heads),
        };
        let query = self.rotate(&norm(heads(0, query_size)?, 0)?, angles)?;
        let key = self.rotate(&norm(heads(query_size, key_value_size)?, 1)?, angles)?;
        let value = heads(query_size + key_value_size, key_value_size)?;
        let mut first = 0;
        let mut outputs = Vec::new();
        for ((sequence, mask), cache) in sequences.iter().zip(masks).zip(caches) {
            let rows = sequence.tokens.len();
            if rows > 0 {
                let part = |heads: &Tensor| heads.narrow(1, first, rows);
                let (key, value) = (part(&key)?.to_dtype(self.kv_dtype)?, part(&value)?.to_dtype(self.kv_dtype)?);
                let (keys, values) = cache.append(layer_idx, &key, &value)?;
                outputs.push(self.attend(&part(&query)?, &keys, &values, mask.as_ref())?);
            }
            first += rows;
        }
        Tensor::cat(&outputs, 0)
    }

    /// Rotates the first `rope_dim` elements of `heads (heads, m, head_dim)`.
    fn rotate(&self, heads: &Tensor, (cos, sin): &(Tensor, Tensor)) -> candle_core::Result<Tensor> {
        let (rope_dim, head_dim) = (self.config.rope_dim, self.config.head_dim);
        let rotary = heads.narrow(D::Minus1, 0, rope_dim)?.unsqueeze(0)?.contiguous()?;
        let rotated = match self.rope_style {
            RopeStyle::Neox => candle_nn::rotary_emb::rope(&rotary, cos, sin)?,
            RopeStyle::Interleaved => candle_nn::rotary_emb::rope_i(&rotary, cos, sin)?,
        };
        let rotated = rotated.squeeze(0)?;
        if rope_dim == head_dim {
            return Ok(rotated);
        }
        Tensor::cat(&[rotated, heads.narrow(D::Minus1, rope_dim, head_dim - rope_dim)?], D::Minus1)
    }

    /// `(rows, query_size)`: one sequence's `query (heads, rows, head_dim)` over its `keys` and `values (kv_heads,
    /// positions, head_dim)`. The query heads of one KV head are taken together as its rows.
    fn attend(
        &self,
        query: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        mask: Option<&Tensor>,
    ) -> candle_core::Result<Tensor> {
        let (heads, rows, head_dim) = query.dims3()?;
        let (kv_heads, positions, _) = keys.dims3()?;
        let shared = heads / kv_heads;
        let query = scaled((query.contiguous()? / (head_dim as f64).sqrt())?, self.config.multipliers.scores)?;
        let query = query.reshape((kv_heads, shared * rows, head_dim))?.to_dtype(self.kv_dtype)?;
        let mut scores = query.matmul(&keys.transpose(1, 2)?.contiguous()?)?.to_dtype(DType::F32)?;
        if let Some(mask) = mask {
            let by_head = scores.reshape((kv_heads, shared, rows, positions))?;
            scores = by_head.broadcast_add(mask)?.reshape((kv_heads, shared * rows, positions))?;
        }
        let weights = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(self.kv_dtype)?;
        let out = weights.matmul(&values.contiguous()?)?.to_dtype(DType::F32)?;
        out.reshape((heads, rows, head_dim))?.transpose(0, 1)?.contiguous()?.reshape((rows, heads * head_dim))
    }

    /// Logits of the rows asked for.
    fn read_logits(
        &self,
        hidden_states: &Tensor,
        sequences: &[Sequence<'_>],
        logits: &mut Logits,
    ) -> candle_core::Result<()> {
        let mut rows = Vec::new();
        let mut end = 0;
        for sequence in sequences {
            let first = end;
            end += sequence.tokens.len() as u32;
            match sequence.logits {
                LogitRows::None => {}
                LogitRows::Last => rows.push(end - 1),
                LogitRows::All => rows.extend(first..end),
            }
        }
        logits.vocab_size = self.config.vocab_size;
        logits.values.clear();
        if rows.is_empty() {
            return Ok(());
        }
        let count = rows.len();
        let rows = hidden_states.index_select(&Tensor::from_vec(rows, count, &self.device)?, 0)?;
        let normed = candle_nn::ops::rms_norm(&rows, &self.output_norm, self.config.rms_norm_eps)?;
        let output = scaled(self.output.forward(&normed)?, self.config.multipliers.logits)?;
        logits.values = output.flatten_all()?.to_vec1()?;
        Ok(())
    }
}

impl LanguageModel for DeviceDecoder {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn new_cache(&self, factors: RopeFactors) -> KvCache {
        let shape = KvShape {
            num_kv_heads: self.config.num_key_value_heads,
            head_dim: self.config.head_dim,
            kv_type: crate::kernels::attention::KvType::F16,
        };
        KvStore::new(shape, self.config.num_hidden_layers).new_device_cache(factors)
    }

    fn forward(&mut self, sequences: &mut [Sequence<'_>], logits: &mut Logits) -> Result<(), ModelError> {
        let expected = self.new_cache(RopeFactors::Short);
        sequences.iter().try_for_each(|sequence| check_sequence(&self.config, sequence, &expected))?;
        if sequences.iter().all(|sequence| sequence.tokens.is_empty()) {
            *logits = Logits { values: Vec::new(), vocab_size: self.config.vocab_size };
            return Ok(());
        }
        let caches = self.pass(sequences, logits).map_err(|error| ModelError::Compute(error.to_string()))?;
        for (sequence, cache) in sequences.iter_mut().zip(caches) {
            sequence.cache.set_device_kv(cache);
            sequence.cache.commit(sequence.tokens);
        }
        Ok(())
    }
}

/// `tensor * factor`; itself for the factor of most models, which is 1.
fn scaled(tensor: Tensor, factor: f32) -> candle_core::Result<Tensor> {
    if factor == 1.0 { Ok(tensor) } else { tensor * f64::from(factor) }
}

/// Tensors of a file on their way to a device.
struct Upload<'a> {
    gguf: &'a GgufFile,
    device: &'a Device,
}

impl Upload<'_> {
    fn layer(&self, layer: &LayerTensors<'_>) -> Result<Layer, ModelError> {
        Ok(Layer {
            attn_norm: self.vector(&layer.attn_norm)?,
            attn_qkv: self.projection(&layer.attn_qkv)?,
            head_norms: match &layer.head_norms {
                Some([query, key]) => Some([self.vector(query)?, self.vector(key)?]),
                None => None,
            },
            attn_output: self.projection(&layer.attn_output)?,
            ffn_norm: self.vector(&layer.ffn_norm)?,
            ffn_gate_up: self.projection(&layer.ffn_gate_up)?,
            ffn_down: self.projection(&layer.ffn_down)?,
        })
    }

    fn projection(&self, tensors: &ProjectionTensors<'_>) -> Result<Projection, ModelError> {
        let parts = tensors.matrices.iter().map(|tensor| self.matrix(tensor)).collect::<Result<_, _>>()?;
        let bias = tensors.bias(self.gguf)?.map(|bias| {
            let len = bias.len();
            Tensor::from_vec(bias, len, self.device).map_err(|error| ModelError::Compute(error.to_string()))
        });
        Ok(Projection { parts, bias: bias.transpose()? })
    }

    /// A matrix in the file's own format.
    fn matrix(&self, tensor: &TensorInfo<'_>) -> Result<QMatMul, ModelError> {
        let bytes = self.gguf.tensor_bytes(tensor);
        let (bytes, dtype) = match ggml_dtype(tensor.quant) {
            Some(dtype) => (Cow::Borrowed(bytes), dtype),
            None => (Cow::Owned(dequantized(tensor.quant, bytes)), GgmlDType::F32),
        };
        let matrix = QStorage::from_data(bytes, self.device, dtype)
            .and_then(|storage| QTensor::new(storage, tensor.shape.to_vec()))
            .and_then(QMatMul::from_qtensor);
        self.gguf.release(tensor);
        matrix.map_err(|error| ModelError::Compute(format!("tensor `{}`: {error}", tensor.name)))
    }

    fn vector(&self, tensor: &TensorInfo<'_>) -> Result<Tensor, ModelError> {
        let mut values = vec![0.0; tensor.shape.iter().product()];
        dequantize(tensor.quant, self.gguf.tensor_bytes(tensor), &mut values);
        let len = values.len();
        Tensor::from_vec(values, len, self.device)
            .map_err(|error| ModelError::Compute(format!("tensor `{}`: {error}", tensor.name)))
    }
}

/// The values of whole blocks, as bytes of F32.
fn dequantized(quant: QuantType, bytes: &[u8]) -> Vec<u8> {
    let mut values = vec![0.0; bytes.len() / quant.block_bytes() * quant.block_len()];
    dequantize(quant, bytes, &mut values);
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// candle's name of a type that it computes with.
fn ggml_dtype(quant: QuantType) -> Option<GgmlDType> {
    Some(match quant {
        QuantType::F32 => GgmlDType::F32,
        QuantType::F16 => GgmlDType::F16,
        QuantType::Bf16 => GgmlDType::BF16,
        QuantType::Q4_0 => GgmlDType::Q4_0,
        QuantType::Q4_1 => GgmlDType::Q4_1,
        QuantType::Q5_0 => GgmlDType::Q5_0,
        QuantType::Q5_1 => GgmlDType::Q5_1,
        QuantType::Q8_0 => GgmlDType::Q8_0,
        QuantType::Q2K => GgmlDType::Q2K,
        QuantType::Q3K => GgmlDType::Q3K,
        QuantType::Q4K => GgmlDType::Q4K,
        QuantType::Q5K => GgmlDType::Q5K,
        QuantType::Q6K => GgmlDType::Q6K,
        QuantType::Q8K => GgmlDType::Q8K,
        QuantType::Iq4Nl | QuantType::Iq4Xs => return None,
    })
}
