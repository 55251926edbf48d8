//! A model's sizes and settings, all read from its GGUF metadata. What a file leaves out and its architecture needs is
//! an error with the key's name: a guessed hyperparameter does not crash, it makes the model quietly stupid.

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
    /// `phi3` or `llama`.
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
}

/// What tells one supported architecture from another. Everything else is sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `phi3`: fused projections, rotation of halves, LongRoPE.
    Phi3,
    /// `llama`: separate projections, rotation of neighbours (GGUF files store the query and key rows permuted).
    Llama,
}

impl Architecture {
    pub const SUPPORTED: &'static [(&'static str, Self)] = &[("phi3", Self::Phi3), ("llama", Self::Llama)];

    /// # Errors
    /// [`ModelError::Unsupported`] naming the architectures there are.
    pub fn of(gguf: &GgufFile) -> Result<Self, ModelError> {
        let name = gguf.string("general.architecture")?;
        let supported = Self::SUPPORTED.iter().find(|(supported, _)| *supported == name);
        supported.map(|(_, architecture)| *architecture).ok_or_else(|| {
            gguf.unsupported(format!("expected a model of architecture `phi3` or `llama`, found `{name}`"))
        })
    }

    pub fn rope_style(self) -> RopeStyle {
        match self {
            Self::Phi3 => RopeStyle::Neox,
            Self::Llama => RopeStyle::Interleaved,
        }
    }
}

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
                "expected a whole model, found one of {parts} files of it: join them with `llama-gguf-split --merge`"
            )));
        }
        let hidden_size = keys.size("embedding_length")?;
        let num_attention_heads = keys.size("attention.head_count")?;
        let head_dim = keys.optional("attention.key_length", Keys::size)?.unwrap_or(hidden_size / num_attention_heads);
        let context_length = keys.positions("context_length")?;
        let original = match architecture {
            Architecture::Phi3 => keys.positions("rope.scaling.original_context_length")?,
            Architecture::Llama => context_length,
        };
        // The key/value cache holds everything, while a sliding window forgets: the two agree up to the window.
        // (Both Phi-mini files have a window beyond their context.)
        let window = keys.optional("attention.sliding_window", Keys::unsigned)?;
        let limit = window.filter(|window| *window > 0).map_or(usize::MAX, |window| window as usize);
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
            rope_theta: keys.float("rope.freq_base")?,
            rope_dim: keys.optional("rope.dimension_count", Keys::size)?.unwrap_or(head_dim),
            max_position_embeddings: context_length.min(limit),
            original_max_position_embeddings: original.min(context_length).min(limit),
            rope_attn_factor: attn_factor(&keys, architecture, context_length > original)?,
        };
        check_scaling(&keys, architecture)?;
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
fn attn_factor(keys: &Keys<'_>, architecture: Architecture, long_rope: bool) -> Result<f32, ModelError> {
    match architecture {
        Architecture::Phi3 if long_rope => keys.float("rope.scaling.attn_factor"),
        Architecture::Phi3 => Ok(keys.optional("rope.scaling.attn_factor", Keys::float)?.unwrap_or(1.0)),
        Architecture::Llama => Ok(1.0),
    }
}

/// Refuses settings that change the arithmetic in a way the decoder does not follow.
fn check_scaling(keys: &Keys<'_>, architecture: Architecture) -> Result<(), ModelError> {
    let key = keys.name("rope.scaling.type");
    if let Some(Value::String(scaling)) = keys.gguf.value(&key) {
        let known = match architecture {
            // llama.cpp prints "linear" for the Phi files, which have no such key; LongRoPE is told by its tensors.
            Architecture::Phi3 => matches!(scaling, "longrope" | "none"),
            Architecture::Llama => scaling == "none",
        };
        if !known {
            let reason = format!("metadata key `{key}`: there is no rotary scaling `{scaling}` for this architecture");
            return Err(keys.gguf.unsupported(reason));
        }
    }
    for key in ["rope.scale_linear", "rope.scaling.factor"] {
        if let Some(factor) = keys.optional(key, Keys::float)?
            && factor != 1.0
            && factor != 0.0
        {
            let reason =
                format!("metadata key `{}`: linear rotary scaling is not supported, found {factor}", keys.name(key));
            return Err(keys.gguf.unsupported(reason));
        }
    }
    if keys.optional("expert_count", Keys::unsigned)?.is_some_and(|count| count > 0) {
        return Err(keys.gguf.unsupported("mixtures of experts are not supported, expected a dense model".into()));
    }
    Ok(())
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
