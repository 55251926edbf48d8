//! The weights of a decoder: which tensors an architecture has and their shapes. They are packed straight from the
//! file, so that they are never in memory twice.

use std::collections::HashSet;
use std::io;

use super::config::{Architecture, ModelConfig};
use super::gguf::{GgufFile, TensorInfo};
use super::{ModelError, rope};
use crate::kernels::matmul::{Activations, PackedMatrix, Source};
use crate::kernels::ops;
use crate::kernels::pool::ThreadPool;
use crate::kernels::quant::dequantize;

/// Everything the decoder multiplies with.
pub(super) struct Weights {
    /// `(vocab_size, hidden_size)`
    pub(super) embedding: PackedMatrix,
    pub(super) layers: Vec<LayerWeights>,
    /// `(hidden_size)`
    pub(super) output_norm: Vec<f32>,
    /// `(vocab_size, hidden_size)`; `None` if the embedding serves as output projection too (tied).
    output: Option<PackedMatrix>,
}

pub(super) struct LayerWeights {
    /// `(hidden_size)`
    pub(super) attn_norm: Vec<f32>,
    /// `(query_size + 2 * key_value_size, hidden_size)`: rows of the query, the key, the value
    pub(super) attn_qkv: Projection,
    /// `(head_dim)` each: what the heads of the query and of the key are normed with, where they are.
    pub(super) head_norms: Option<[Vec<f32>; 2]>,
    /// `(hidden_size, query_size)`
    pub(super) attn_output: Projection,
    /// `(hidden_size)`
    pub(super) ffn_norm: Vec<f32>,
    /// `(2 * intermediate_size, hidden_size)`: rows of the gate, then of the up projection
    pub(super) ffn_gate_up: Projection,
    /// `(hidden_size, intermediate_size)`
    pub(super) ffn_down: Projection,
}

impl LayerWeights {
    fn matrices(&self) -> impl Iterator<Item = &PackedMatrix> {
        [&self.attn_qkv, &self.attn_output, &self.ffn_gate_up, &self.ffn_down]
            .into_iter()
            .flat_map(|projection| &projection.parts)
    }
}

impl Weights {
    /// Packs the tensors of `gguf`; `progress` is told the fraction of bytes done.
    pub(super) fn load(
        gguf: &GgufFile,
        config: &ModelConfig,
        pool: &ThreadPool,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self, ModelError> {
        let tensors = ModelTensors::find(gguf, config)?;
        let stacks = tensors.stacks();
        let sources: Vec<Source<'_>> = stacks.iter().map(|stack| source(gguf, stack)).collect();
        let total: usize = stacks.iter().copied().flatten().map(|tensor| tensor.bytes).sum();
        let matrices = PackedMatrix::load_all(&sources, pool, &mut |done| progress(done as f32 / total as f32));
        let mut parts = Parts { gguf, matrices: matrices.map_err(|error| gguf.unreadable(error))?.into_iter() };
        let embedding = parts.matrix();
        let output = tensors.output.as_ref().map(|_| parts.matrix());
        let layers = tensors.layers.iter().map(|layer| parts.layer(layer)).collect::<Result<_, _>>()?;
        let output_norm = vector(gguf, &tensors.output_norm)?;
        Ok(Self { embedding, layers, output_norm, output })
    }

    pub(super) fn output(&self) -> &PackedMatrix {
        self.output.as_ref().unwrap_or(&self.embedding)
    }

    /// The matrices that every token meets.
    pub(super) fn matrices(&self) -> impl Iterator<Item = &PackedMatrix> {
        self.layers.iter().flat_map(LayerWeights::matrices).chain([self.output()])
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let layer_bytes = |layer: &LayerWeights| {
            let projections = [&layer.attn_qkv, &layer.attn_output, &layer.ffn_gate_up, &layer.ffn_down];
            let norms = [&layer.attn_norm, &layer.ffn_norm].into_iter().chain(layer.head_norms.iter().flatten());
            norms.map(|norm| size_of_val(norm.as_slice())).sum::<usize>()
                + projections.into_iter().map(Projection::bytes).sum::<usize>()
        };
        let output = self.output.as_ref().map_or(0, PackedMatrix::memory_bytes);
        let layers = self.layers.iter().map(layer_bytes).sum::<usize>();
        self.embedding.memory_bytes() + layers + size_of_val(self.output_norm.as_slice()) + output
    }
}

/// How many tensors the model has, if every one is there and of its shape.
///
/// # Errors
/// As [`Weights::load`].
pub(super) fn check(gguf: &GgufFile, config: &ModelConfig) -> Result<usize, ModelError> {
    ModelTensors::find(gguf, config)?;
    Ok(gguf.tensors().count())
}

/// A product with one or more matrices whose output rows are laid side by side, and their biases if they have any: most
/// files keep the query, key and value (gate and up) projections apart, and give them different quantisations at times.
pub(super) struct Projection {
    parts: Vec<PackedMatrix>,
    rows: usize,
    /// `(rows)`
    bias: Option<Vec<f32>>,
}

/// The most matrices a projection is made of: query, key and value.
const MAX_PARTS: usize = 3;

impl Projection {
    fn bytes(&self) -> usize {
        let bias = self.bias.as_ref().map_or(0, |bias| size_of_val(bias.as_slice()));
        self.parts.iter().map(PackedMatrix::memory_bytes).sum::<usize>() + bias
    }

    /// `out (m, rows) = input (m, cols) x self^T + bias`; `activations` and `part_out` are scratch.
    pub(super) fn forward(
        &self,
        pool: &ThreadPool,
        input: &[f32],
        activations: &mut Activations,
        part_out: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        let cols = self.parts[0].cols();
        let m = input.len() / cols;
        // Repeating a matrix tells the kernels nothing new, and an array needs no allocation.
        let matrices: [&PackedMatrix; MAX_PARTS] =
            std::array::from_fn(|index| self.parts.get(index).unwrap_or(&self.parts[0]));
        activations.quantize(pool, input, cols, &matrices);
        match self.parts.as_slice() {
            [whole] => whole.matmul(pool, activations, out),
            _ => self.multiply_parts(pool, m, activations, part_out, out),
        }
        if let Some(bias) = &self.bias {
            out.chunks_exact_mut(self.rows).for_each(|row| ops::add(row, bias));
        }
    }

    fn multiply_parts(
        &self,
        pool: &ThreadPool,
        m: usize,
        activations: &Activations,
        part_out: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        let mut first_row = 0;
        for part in &self.parts {
            let rows = first_row..first_row + part.rows();
            if m == 1 {
                part.matmul(pool, activations, &mut out[rows.clone()]);
            } else {
                part_out.resize(m * part.rows(), 0.0);
                part.matmul(pool, activations, part_out);
                for (out, part_out) in out.chunks_exact_mut(self.rows).zip(part_out.chunks_exact(part.rows())) {
                    out[rows.clone()].copy_from_slice(part_out);
                }
            }
            first_row = rows.end;
        }
    }
}

/// The tensors of a model, every one found and of the right shape.
pub(super) struct ModelTensors<'a> {
    pub(super) embedding: TensorInfo<'a>,
    pub(super) layers: Vec<LayerTensors<'a>>,
    pub(super) output_norm: TensorInfo<'a>,
    pub(super) output: Option<TensorInfo<'a>>,
}

/// Those of one layer; see [`LayerWeights`].
pub(super) struct LayerTensors<'a> {
    pub(super) attn_norm: TensorInfo<'a>,
    pub(super) attn_qkv: ProjectionTensors<'a>,
    pub(super) head_norms: Option<[TensorInfo<'a>; 2]>,
    pub(super) attn_output: ProjectionTensors<'a>,
    pub(super) ffn_norm: TensorInfo<'a>,
    pub(super) ffn_gate_up: ProjectionTensors<'a>,
    pub(super) ffn_down: ProjectionTensors<'a>,
}

/// The matrices of a projection, in order, and the bias of each that has one.
pub(super) struct ProjectionTensors<'a> {
    pub(super) matrices: Vec<TensorInfo<'a>>,
    pub(super) biases: Vec<Option<TensorInfo<'a>>>,
}

impl ProjectionTensors<'_> {
    /// `(rows)`; a part without one has zeros. `None` if no part has one.
    pub(super) fn bias(&self, gguf: &GgufFile) -> Result<Option<Vec<f32>>, ModelError> {
        if self.biases.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut bias = Vec::new();
        for (matrix, tensor) in self.matrices.iter().zip(&self.biases) {
            match tensor {
                Some(tensor) => bias.extend(vector(gguf, tensor)?),
                None => bias.resize(bias.len() + matrix.shape[0], 0.0),
            }
        }
        Ok(Some(bias))
    }
}

impl<'a> ModelTensors<'a> {
    pub(super) fn find(gguf: &'a GgufFile, config: &ModelConfig) -> Result<Self, ModelError> {
        let architecture = Architecture::of(gguf)?;
        let mut finder = Finder { gguf, found: HashSet::new() };
        let (vocab_size, hidden_size) = (config.vocab_size, config.hidden_size);
        let embedding = finder.tensor("token_embd.weight", &[vocab_size, hidden_size])?;
        let mut layers = Vec::new();
        for layer_idx in 0..config.num_hidden_layers {
            layers.push(finder.layer(architecture, config, layer_idx)?);
        }
        let output_norm = finder.tensor("output_norm.weight", &[hidden_size])?;
        let output = match gguf.tensor("output.weight") {
            Some(_) => Some(finder.tensor("output.weight", &[vocab_size, hidden_size])?),
            None => None,
        };
        finder.refuse_unknown(config)?;
        Ok(Self { embedding, layers, output_norm, output })
    }

    /// The tensors of each packed matrix, in the order in which [`Weights::load`] takes them.
    fn stacks(&self) -> Vec<&[TensorInfo<'a>]> {
        let single = std::slice::from_ref;
        let mut stacks = vec![single(&self.embedding)];
        stacks.extend(self.output.as_ref().map(single));
        for LayerTensors { attn_qkv, attn_output, ffn_gate_up, ffn_down, .. } in &self.layers {
            let projections = [attn_qkv, attn_output, ffn_gate_up, ffn_down];
            stacks.extend(projections.into_iter().flat_map(|projection| same_type(&projection.matrices)));
        }
        stacks
    }
}

/// Neighbours of one type become one matrix: fewer, larger products.
fn same_type<'t, 'a>(tensors: &'t [TensorInfo<'a>]) -> impl Iterator<Item = &'t [TensorInfo<'a>]> {
    tensors.chunk_by(|left, right| left.quant == right.quant)
}

/// The rows of all `tensors`, which have one type and as many columns, below each other.
fn source<'a>(gguf: &'a GgufFile, tensors: &'a [TensorInfo<'a>]) -> Source<'a> {
    let read = move |mut start: usize, mut buffer: &mut [u8]| -> io::Result<()> {
        for tensor in tensors {
            let here = tensor.bytes.saturating_sub(start).min(buffer.len());
            let (filled, rest) = buffer.split_at_mut(here);
            gguf.read_tensor(tensor, start, filled)?;
            start = start.saturating_sub(tensor.bytes);
            buffer = rest;
        }
        Ok(())
    };
    Source {
        quant: tensors[0].quant,
        rows: tensors.iter().map(|tensor| tensor.shape[0]).sum(),
        cols: tensors[0].shape[1],
        read: Box::new(read),
    }
}

struct Finder<'a> {
    gguf: &'a GgufFile,
    found: HashSet<&'a str>,
}

impl<'a> Finder<'a> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<TensorInfo<'a>, ModelError> {
        let Some(tensor) = self.gguf.tensor(name) else {
            return Err(self.gguf.malformed(format!("tensor `{name}` is missing, expected one of shape {shape:?}")));
        };
        if *tensor.shape != *shape {
            return Err(self.gguf.malformed(format!(
                "tensor `{name}`: expected shape {shape:?} from the metadata, found {:?}",
                tensor.shape
            )));
        }
        self.found.insert(tensor.name);
        Ok(tensor)
    }

    fn layer(
        &mut self,
        architecture: &Architecture,
        config: &ModelConfig,
        layer_idx: usize,
    ) -> Result<LayerTensors<'a>, ModelError> {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let (query, key_value) = (config.query_size(), config.key_value_size());
        let name = |part: &str| format!("blk.{layer_idx}.{part}");
        let mut norm = |part: &str, size: usize| self.tensor(&name(part), &[size]);
        let (attn_norm, ffn_norm) = (norm("attn_norm.weight", hidden)?, norm("ffn_norm.weight", hidden)?);
        let head_norms = match architecture.has_head_norms {
            true => Some([norm("attn_q_norm.weight", config.head_dim)?, norm("attn_k_norm.weight", config.head_dim)?]),
            false => None,
        };
        let mut projection = |parts: &[(&str, usize)], cols: usize| self.projection(layer_idx, parts, cols);
        let (qkv, gate_up) = match architecture.is_fused {
            true => (vec![("attn_qkv", query + 2 * key_value)], vec![("ffn_up", 2 * intermediate)]),
            false => (
                vec![("attn_q", query), ("attn_k", key_value), ("attn_v", key_value)],
                vec![("ffn_gate", intermediate), ("ffn_up", intermediate)],
            ),
        };
        Ok(LayerTensors {
            attn_norm,
            attn_qkv: projection(&qkv, hidden)?,
            head_norms,
            attn_output: projection(&[("attn_output", hidden)], query)?,
            ffn_norm,
            ffn_gate_up: projection(&gate_up, hidden)?,
            ffn_down: projection(&[("ffn_down", hidden)], intermediate)?,
        })
    }

    /// Matrices called `parts` with so many rows each; any of them may have a bias.
    fn projection(
        &mut self,
        layer_idx: usize,
        parts: &[(&str, usize)],
        cols: usize,
    ) -> Result<ProjectionTensors<'a>, ModelError> {
        let mut tensors = ProjectionTensors { matrices: Vec::new(), biases: Vec::new() };
        for (part, rows) in parts {
            tensors.matrices.push(self.tensor(&format!("blk.{layer_idx}.{part}.weight"), &[*rows, cols])?);
            let bias = format!("blk.{layer_idx}.{part}.bias");
            let has_bias = self.gguf.tensor(&bias).is_some();
            tensors.biases.push(has_bias.then(|| self.tensor(&bias, &[*rows])).transpose()?);
        }
        Ok(tensors)
    }

    /// A tensor the decoder would pass over (an adapter, another norm) means another computation than the file's author had.
    fn refuse_unknown(&self, config: &ModelConfig) -> Result<(), ModelError> {
        let unknown = |name: &&str| !self.found.contains(name) && !rope::FACTOR_TENSORS.contains(name);
        let names = self.gguf.tensors().map(|tensor| tensor.name);
        // The first by name, so that the message does not change from run to run.
        match names.filter(unknown).min() {
            None => Ok(()),
            Some(name) => Err(self.gguf.unsupported(format!(
                "tensor `{name}` is not part of a `{}` model of {} layers as phi-ls computes it",
                config.architecture, config.num_hidden_layers
            ))),
        }
    }
}

/// Puts the packed matrices, in the order of [`ModelTensors::stacks`], where they belong.
struct Parts<'a> {
    gguf: &'a GgufFile,
    matrices: std::vec::IntoIter<PackedMatrix>,
}

impl Parts<'_> {
    fn matrix(&mut self) -> PackedMatrix {
        self.matrices.next().expect("one matrix was packed for each stack")
    }

    fn projection(&mut self, tensors: &ProjectionTensors<'_>) -> Result<Projection, ModelError> {
        let parts: Vec<PackedMatrix> = same_type(&tensors.matrices).map(|_| self.matrix()).collect();
        let rows = parts.iter().map(PackedMatrix::rows).sum();
        Ok(Projection { parts, rows, bias: tensors.bias(self.gguf)? })
    }

    fn layer(&mut self, tensors: &LayerTensors<'_>) -> Result<LayerWeights, ModelError> {
        let head_norms = match &tensors.head_norms {
            Some([query, key]) => Some([vector(self.gguf, query)?, vector(self.gguf, key)?]),
            None => None,
        };
        Ok(LayerWeights {
            attn_norm: vector(self.gguf, &tensors.attn_norm)?,
            attn_qkv: self.projection(&tensors.attn_qkv)?,
            head_norms,
            attn_output: self.projection(&tensors.attn_output)?,
            ffn_norm: vector(self.gguf, &tensors.ffn_norm)?,
            ffn_gate_up: self.projection(&tensors.ffn_gate_up)?,
            ffn_down: self.projection(&tensors.ffn_down)?,
        })
    }
}

/// The values of a tensor of one dimension.
fn vector(gguf: &GgufFile, tensor: &TensorInfo<'_>) -> Result<Vec<f32>, ModelError> {
    let mut bytes = vec![0; tensor.bytes];
    gguf.read_tensor(tensor, 0, &mut bytes).map_err(|error| gguf.unreadable(error))?;
    let mut values = vec![0.0; tensor.shape[0]];
    dequantize(tensor.quant, &bytes, &mut values);
    Ok(values)
}
