//! A model's sizes and settings, all read from its GGUF metadata. If a file lacks a value that its architecture needs,
//! that is an error with the name of the key: a guessed hyperparameter would not crash, but quietly make the model
//! worse.

use super::gguf::{GgufFile, Value};
use super::{ModelError, RopeFactors};
use crate::config::ModelSize;
use crate::kernels::ops::RopeStyle;

/// Larger than any size of any model this program could run; keeps products of sizes far from overflow.
const MAX_SIZE: u64 = 1 << 24;
/// As above, for the elements of one head: tables are made of it before any tensor's shape has confirmed it.
const MAX_HEAD_DIM: usize = 4096;
/// As above, for positions.
const MAX_POSITIONS: u64 = 1 << 31;

/// Hyperparameters under their Hugging Face names.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// One of [`ARCHITECTURES`].
    pub architecture: String,
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub head_dim: usize,
    pub rms_norm_eps: f32,
    pub rope_theta: f32,
    /// Leading elements of each head that are rotated.
    pub rope_dim: usize,
    pub max_position_embeddings: usize,
    /// Positions up to which the short factors hold; equals `max_position_embeddings` without LongRoPE.
    pub original_max_position_embeddings: usize,
    /// Scale on cos and sin (LongRoPE's attention factor), 1 without.
    pub rope_attn_factor: f32,
    /// What positions are divided by (linear rotary scaling), 1 without.
    pub rope_scaling_factor: f32,
    /// How many positions a token sees, itself included; `None`: all before it.
    pub sliding_window: Option<usize>,
    pub multipliers: Multipliers,
}

/// Granite's scales at four places of the pass; 1 everywhere else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Multipliers {
    /// On the embedding.
    pub embedding: f32,
    /// On what each block adds to the residual stream.
    pub residual: f32,
    /// On the scores, beside `1 / sqrt(head_dim)`.
    pub scores: f32,
    /// On the logits.
    pub logits: f32,
}

impl Default for Multipliers {
    fn default() -> Self {
        Self { embedding: 1.0, residual: 1.0, scores: 1.0, logits: 1.0 }
    }
}

/// What tells one supported architecture from another. Everything else is sizes, and tensors that a layer may have.
#[derive(Debug, PartialEq, Eq)]
pub struct Architecture {
    /// As `general.architecture` spells it.
    pub name: &'static str,
    pub rope_style: RopeStyle,
    /// Query, key and value are one matrix, and so are gate and up.
    pub is_fused: bool,
    /// Queries and keys are normed head by head before they are rotated.
    pub has_head_norms: bool,
    /// Two lists of rotary factors, the long one beyond the original context.
    pub has_long_rope: bool,
    /// See [`Multipliers`].
    pub has_multipliers: bool,
}

/// Every architecture that the decoders compute.
pub const ARCHITECTURES: [Architecture; 5] = {
    // GGUF files of `llama` store the rows of queries and keys permuted, so that neighbours are rotated.
    let llama = Architecture {
        name: "llama",
        rope_style: RopeStyle::Interleaved,
        is_fused: false,
        has_head_norms: false,
        has_long_rope: false,
        has_multipliers: false,
    };
    [
        Architecture { name: "phi3", rope_style: RopeStyle::Neox, is_fused: true, has_long_rope: true, ..llama },
        Architecture { name: "qwen2", rope_style: RopeStyle::Neox, ..llama },
        Architecture { name: "qwen3", rope_style: RopeStyle::Neox, has_head_norms: true, ..llama },
        Architecture { name: "granite", has_multipliers: true, ..llama },
        llama,
    ]
};

impl Architecture {
    /// # Errors
    /// [`ModelError::Unsupported`] naming the architectures there are.
    pub fn of(gguf: &GgufFile) -> Result<&'static Self, ModelError> {
        let name = gguf.string("general.architecture")?;
        ARCHITECTURES.iter().find(|architecture| architecture.name == name).ok_or_else(|| {
            let known = ARCHITECTURES.map(|architecture| format!("`{}`", architecture.name)).join(", ");
            gguf.unsupported(format!("expected a model of one of the architectures {known}, found `{name}`"))
        })
    }
}

/// The window of the Phi-3 models of 4096 positions, whose earliest files leave it out.
const PHI_3_WINDOW: (usize, u64) = (4096, 2047);
/// The base of every Phi-3 model; the earliest files leave it out.
const PHI_3_ROPE_THETA: f32 = 10_000.0;

impl ModelConfig {
    /// The factors a sequence is rotated with that comes to `positions` in the end, generated ones included.
    pub fn rope_factors(&self, positions: usize) -> RopeFactors {
        if positions <= self.original_max_position_embeddings { RopeFactors::Short } else { RopeFactors::Long }
    }

    /// # Errors
    /// [`ModelError`] naming the key that is missing or out of range, or the setting there is no decoder for.
    pub fn from_gguf(gguf: &GgufFile) -> Result<Self, ModelError> {
        let architecture = Architecture::of(gguf)?;
        let keys = Keys { gguf, prefix: gguf.string("general.architecture")? };
        if let Ok(parts @ 2..) = gguf.unsigned("split.count") {
            return Err(gguf.unsupported(format!(
                "expected a model in one file, found one of {parts} parts; join them with `llama-gguf-split --merge`"
            )));
        }
        let hidden_size = keys.size("embedding_length")?;
        let num_attention_heads = keys.size("attention.head_count")?;
        let head_dim = keys.optional("attention.key_length", Keys::size)?.unwrap_or(hidden_size / num_attention_heads);
        let context_length = keys.positions("context_length")?;
        let original = match architecture.has_long_rope {
            // The earliest files of Phi-3 do not say it.
            true => keys
                .optional("rope.scaling.original_context_length", Keys::positions)?
                .unwrap_or(context_length.min(PHI_3_WINDOW.0)),
            false => context_length,
        };
        let config = Self {
            architecture: keys.prefix.to_owned(),
            vocab_size: gguf.strings("tokenizer.ggml.tokens")?.len(),
            hidden_size,
            intermediate_size: keys.size("feed_forward_length")?,
            num_hidden_layers: keys.size("block_count")?,
            num_attention_heads,
            // The GGUF specification: absent means as many as query heads.
            num_key_value_heads: keys.optional("attention.head_count_kv", Keys::size)?.unwrap_or(num_attention_heads),
            head_dim,
            rms_norm_eps: keys.float("attention.layer_norm_rms_epsilon")?,
            rope_theta: match keys.optional("rope.freq_base", Keys::float)? {
                None if architecture.has_long_rope => PHI_3_ROPE_THETA,
                None => keys.float("rope.freq_base")?,
                Some(theta) => theta,
            },
            rope_dim: keys.optional("rope.dimension_count", Keys::size)?.unwrap_or(head_dim),
            max_position_embeddings: context_length,
            original_max_position_embeddings: original.min(context_length),
            rope_attn_factor: attn_factor(&keys, architecture, (original, context_length))?,
            rope_scaling_factor: scaling_factor(&keys, architecture)?,
            sliding_window: sliding_window(&keys, architecture, context_length)?,
            multipliers: multipliers(&keys, architecture, head_dim)?,
        };
        refuse_experts(&keys)?;
        config.check(&keys)?;
        Ok(config)
    }

    /// What decides how much memory a model with these sizes and `weight_bytes` of weights takes.
    pub fn size(&self, weight_bytes: u64) -> ModelSize {
        ModelSize {
            weight_bytes,
            num_layers: self.num_hidden_layers,
            num_kv_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
        }
    }

    /// Width of all query heads side by side.
    pub fn query_size(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all key heads (or value heads) side by side.
    pub fn key_value_size(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Whether the two factor lists are needed: the context reaches beyond the original one.
    pub fn has_long_rope(&self) -> bool {
        self.max_position_embeddings > self.original_max_position_embeddings
    }

    /// Positions a sequence rotated with `factors` can have.
    pub fn max_positions(&self, factors: RopeFactors) -> usize {
        match factors {
            RopeFactors::Short => self.original_max_position_embeddings,
            RopeFactors::Long => self.max_position_embeddings,
        }
    }

    /// Sizes that contradict each other.
    fn check(&self, keys: &Keys<'_>) -> Result<(), ModelError> {
        let (heads, kv_heads) = (self.num_attention_heads, self.num_key_value_heads);
        if self.vocab_size == 0 {
            return Err(keys
                .gguf
                .malformed("`tokenizer.ggml.tokens`: expected a vocabulary, found an empty list".into()));
        }
        if !heads.is_multiple_of(kv_heads) {
            return Err(keys.fault(
                "attention.head_count_kv",
                &format!("expected a divisor of the {heads} query heads, found {kv_heads}"),
            ));
        }
        if self.head_dim == 0 || self.head_dim > MAX_HEAD_DIM || !self.head_dim.is_multiple_of(2) {
            let found = format!(
                "expected heads of an even size up to {MAX_HEAD_DIM}, found {} elements in {heads}",
                self.hidden_size
            );
            return Err(keys.fault("attention.head_count", &found));
        }
        if self.rope_dim > self.head_dim || !self.rope_dim.is_multiple_of(2) {
            let found =
                format!("expected an even number up to the head size {}, found {}", self.head_dim, self.rope_dim);
            return Err(keys.fault("rope.dimension_count", &found));
        }
        let value_dim = keys.optional("attention.value_length", Keys::size)?.unwrap_or(self.head_dim);
        if value_dim != self.head_dim {
            let found = format!("expected keys and values of one size, found {} and {value_dim}", self.head_dim);
            return Err(keys.gguf.unsupported(found));
        }
        let positive = [
            ("attention.layer_norm_rms_epsilon", self.rms_norm_eps),
            ("rope.freq_base", self.rope_theta),
            ("rope.scaling.attn_factor", self.rope_attn_factor),
            ("rope.scaling.factor", self.rope_scaling_factor),
        ];
        for (key, number) in positive {
            if !(number.is_finite() && number > 0.0) {
                return Err(keys.fault(key, &format!("expected a positive number, found {number}")));
            }
        }
        Ok(())
    }
}

/// LongRoPE's factor on cos and sin. It holds for short sequences as well.
fn attn_factor(
    keys: &Keys<'_>,
    architecture: &Architecture,
    (original, context_length): (usize, usize),
) -> Result<f32, ModelError> {
    if !architecture.has_long_rope {
        return Ok(1.0);
    }
    // What the authors' code takes where a file does not say it.
    let ratio = context_length as f32 / original as f32;
    let usual = if ratio > 1.0 { (1.0 + ratio.ln() / (original as f32).ln()).sqrt() } else { 1.0 };
    Ok(keys.optional("rope.scaling.attn_factor", Keys::float)?.unwrap_or(usual))
}

/// The factor of linear rotary scaling; an error for scaling that the decoders do not follow.
fn scaling_factor(keys: &Keys<'_>, architecture: &Architecture) -> Result<f32, ModelError> {
    let key = keys.name("rope.scaling.type");
    // llama.cpp prints "linear" for the Phi files, which have no such key; LongRoPE is told by its tensors.
    let known = if architecture.has_long_rope { "longrope" } else { "linear" };
    if let Some(Value::String(scaling)) = keys.gguf.value(&key)
        && !["none", known].contains(&scaling)
    {
        let reason = format!(
            "metadata key `{key}`: expected `{known}` or `none` for this architecture, found the rotary scaling `{scaling}`"
        );
        return Err(keys.gguf.unsupported(reason));
    }
    // The second is what older files call it. 0 is how some say that there is none.
    let factor = match keys.optional("rope.scaling.factor", Keys::float)? {
        Some(factor) => Some(factor),
        None => keys.optional("rope.scale_linear", Keys::float)?,
    };
    match factor.filter(|factor| *factor != 0.0).unwrap_or(1.0) {
        factor if factor != 1.0 && architecture.has_long_rope => Err(keys.gguf.unsupported(format!(
            "expected a model of LongRoPE without linear rotary scaling, found a factor of {factor}"
        ))),
        factor => Ok(factor),
    }
}

fn sliding_window(
    keys: &Keys<'_>,
    architecture: &Architecture,
    context_length: usize,
) -> Result<Option<usize>, ModelError> {
    let absent = (architecture.has_long_rope && context_length == PHI_3_WINDOW.0).then_some(PHI_3_WINDOW.1);
    let window = keys.optional("attention.sliding_window", Keys::unsigned)?.or(absent);
    // One as wide as the context is none.
    Ok(window.filter(|window| (1..context_length as u64).contains(window)).map(|window| window as usize))
}

fn multipliers(keys: &Keys<'_>, architecture: &Architecture, head_dim: usize) -> Result<Multipliers, ModelError> {
    if !architecture.has_multipliers {
        return Ok(Multipliers::default());
    }
    let read = |key| match keys.optional(key, Keys::float)? {
        Some(factor) if factor.is_finite() && factor > 0.0 => Ok(factor),
        Some(factor) => Err(keys.fault(key, &format!("expected a positive number, found {factor}"))),
        None => Ok(1.0),
    };
    let scores = match keys.optional("attention.scale", Keys::float)? {
        // Instead of `1 / sqrt(head_dim)`, which the kernels multiply with.
        Some(_) => read("attention.scale")? * (head_dim as f32).sqrt(),
        None => 1.0,
    };
    Ok(Multipliers {
        embedding: read("embedding_scale")?,
        residual: read("residual_scale")?,
        scores,
        logits: 1.0 / read("logit_scale")?,
    })
}

fn refuse_experts(keys: &Keys<'_>) -> Result<(), ModelError> {
    match keys.optional("expert_count", Keys::unsigned)? {
        Some(1..) => Err(keys.gguf.unsupported("mixtures of experts are not supported, expected a dense model".into())),
        _ => Ok(()),
    }
}

/// Metadata keys of one architecture, which all begin with its name.
struct Keys<'a> {
    gguf: &'a GgufFile,
    prefix: &'a str,
}

impl Keys<'_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    fn fault(&self, key: &str, reason: &str) -> ModelError {
        self.gguf.malformed(format!("metadata key `{}`: {reason}", self.name(key)))
    }

    fn within(&self, key: &str, most: u64) -> Result<usize, ModelError> {
        match self.gguf.unsigned(&self.name(key))? {
            number if (1..=most).contains(&number) => Ok(number as usize),
            number => Err(self.fault(key, &format!("expected 1 to {most}, found {number}"))),
        }
    }

    fn size(&self, key: &str) -> Result<usize, ModelError> {
        self.within(key, MAX_SIZE)
    }

    fn positions(&self, key: &str) -> Result<usize, ModelError> {
        self.within(key, MAX_POSITIONS)
    }

    fn float(&self, key: &str) -> Result<f32, ModelError> {
        self.gguf.float(&self.name(key))
    }

    fn unsigned(&self, key: &str) -> Result<u64, ModelError> {
        self.gguf.unsigned(&self.name(key))
    }

    /// What `read` makes of `key`, `None` if the file does not have it.
    fn optional<T>(
        &self,
        key: &str,
        read: impl Fn(&Self, &str) -> Result<T, ModelError>,
    ) -> Result<Option<T>, ModelError> {
        self.gguf.value(&self.name(key)).map(|_| read(self, key)).transpose()
    }
}
