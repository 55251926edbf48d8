//! Rotary position embedding with LongRoPE factors and partial rotation: which angle each pair of elements turns by.

use super::{ModelConfig, ModelError, gguf::GgufFile};
use crate::kernels::quant::{QuantType, dequantize};

/// Which of a model's two factor lists a sequence was rotated with. Pinned when the sequence begins
/// (`prompt + max_new_tokens <= original context` is short), never mixed in one cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RopeFactors {
    Short,
    Long,
}

/// Angles per position, one list for each set of factors.
///
/// Computed step by step in f32 as Hugging Face does: at position 4096 a frequency's last bit is a visible angle, so
/// rounding anywhere else would give other numbers than the reference.
#[derive(Debug, Clone, PartialEq)]
pub struct RotaryEmbedding {
    /// `(rope_dim / 2)`
    short_inv_freq: Vec<f32>,
    /// `(rope_dim / 2)`; equal to the short list without LongRoPE.
    long_inv_freq: Vec<f32>,
    /// Scale on cos and sin.
    attn_factor: f32,
}

impl RotaryEmbedding {
    /// # Errors
    /// [`ModelError::Malformed`] naming the factor tensor that is missing or does not fit.
    pub fn from_gguf(gguf: &GgufFile, config: &ModelConfig) -> Result<Self, ModelError> {
        let half = config.rope_dim / 2;
        let (short, long) = if config.has_long_rope() {
            let read = |name| {
                read_factors(gguf, name, half)?.ok_or_else(|| {
                    gguf.malformed(format!(
                        "tensor `{name}` is missing; the context of {} positions is longer than the original {}, so \
                         its {half} rotary factors are needed",
                        config.max_position_embeddings, config.original_max_position_embeddings
                    ))
                })
            };
            (read(SHORT_FACTORS)?, read(LONG_FACTORS)?)
        } else {
            // Llama 3.1 and later: one list for all lengths. Phi-3 files of 4096 positions have none.
            let factors = read_factors(gguf, SINGLE_FACTORS, half)?.unwrap_or_else(|| vec![1.0; half]);
            (factors.clone(), factors)
        };
        Ok(Self::new(config, &short, &long))
    }

    fn new(config: &ModelConfig, short: &[f32], long: &[f32]) -> Self {
        let inv_freq = |factors: &[f32]| {
            let frequency = |(index, factor): (usize, &f32)| {
                let exponent = (2 * index) as f32 / config.rope_dim as f32;
                // The factors divide the frequency, and so does what divides the positions.
                1.0 / (factor * f64::from(config.rope_theta).powf(f64::from(exponent)) as f32)
                    / config.rope_scaling_factor
            };
            factors.iter().enumerate().map(frequency).collect()
        };
        Self { short_inv_freq: inv_freq(short), long_inv_freq: inv_freq(long), attn_factor: config.rope_attn_factor }
    }

    /// Appends cos and sin of `positions`, `(positions, rope_dim / 2)` each, to the two tables.
    pub fn extend(
        &self,
        factors: RopeFactors,
        positions: std::ops::Range<usize>,
        cos: &mut Vec<f32>,
        sin: &mut Vec<f32>,
    ) {
        let inv_freq = match factors {
            RopeFactors::Short => &self.short_inv_freq,
            RopeFactors::Long => &self.long_inv_freq,
        };
        for position in positions {
            for inv_freq in inv_freq {
                let angle = f64::from(position as f32 * inv_freq);
                cos.push(angle.cos() as f32 * self.attn_factor);
                sin.push(angle.sin() as f32 * self.attn_factor);
            }
        }
    }
}

const SHORT_FACTORS: &str = "rope_factors_short.weight";
const LONG_FACTORS: &str = "rope_factors_long.weight";
const SINGLE_FACTORS: &str = "rope_freqs.weight";

/// The tensors [`RotaryEmbedding::from_gguf`] reads.
pub(super) const FACTOR_TENSORS: [&str; 3] = [SHORT_FACTORS, LONG_FACTORS, SINGLE_FACTORS];

/// The `half` factors of tensor `name`, `None` if the file has no such tensor.
fn read_factors(gguf: &GgufFile, name: &str, half: usize) -> Result<Option<Vec<f32>>, ModelError> {
    let Some(tensor) = gguf.tensor(name) else { return Ok(None) };
    if *tensor.shape != [half] || tensor.quant != QuantType::F32 {
        return Err(gguf.malformed(format!(
            "tensor `{name}`: expected {half} values of type F32, found {:?} of type {:?}",
            tensor.shape, tensor.quant
        )));
    }
    let mut factors = vec![0.0; half];
    dequantize(QuantType::F32, gguf.tensor_bytes(&tensor), &mut factors);
    match factors.iter().find(|factor| !(factor.is_finite() && **factor > 0.0)) {
        None => Ok(Some(factors)),
        Some(factor) => Err(gguf.malformed(format!("tensor `{name}`: expected positive factors, found {factor}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::Multipliers;

    /// Phi-3.5-mini's sizes; of its 48 factors only the last one, the others 1.
    fn phi35(last_short: f32, last_long: f32) -> RotaryEmbedding {
        let config = ModelConfig {
            architecture: "phi3".to_owned(),
            vocab_size: 32064,
            hidden_size: 3072,
            intermediate_size: 8192,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: 32,
            head_dim: 96,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            rope_dim: 96,
            max_position_embeddings: 131_072,
            original_max_position_embeddings: 4096,
            rope_attn_factor: 1.190_238,
            rope_scaling_factor: 1.0,
            sliding_window: None,
            multipliers: Multipliers::default(),
        };
        let factors = |last| [vec![1.0; 47], vec![last]].concat();
        RotaryEmbedding::new(&config, &factors(last_short), &factors(last_long))
    }

    fn tables(rotary: &RotaryEmbedding, factors: RopeFactors, position: usize) -> (Vec<f32>, Vec<f32>) {
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        rotary.extend(factors, position..position + 1, &mut cos, &mut sin);
        (cos, sin)
    }

    #[test]
    fn factors_divide_the_frequency() {
        let rotary = phi35(2.84, 64.84);
        let expected = 1.0 / (2.84 * 10_000_f64.powf(94.0 / 96.0));
        assert!((f64::from(rotary.short_inv_freq[47]) / expected - 1.0).abs() < 1e-6);
        assert_eq!(rotary.short_inv_freq[0], 1.0);
    }

    #[test]
    fn the_attention_factor_scales_both_tables_from_position_zero_on() {
        let rotary = phi35(2.84, 64.84);
        for factors in [RopeFactors::Short, RopeFactors::Long] {
            let (cos, sin) = tables(&rotary, factors, 0);
            assert_eq!((cos.as_slice(), sin.as_slice()), ([1.190_238; 48].as_slice(), [0.0; 48].as_slice()));
            for position in [1, 4095, 4096, 4097, 100_000] {
                let (cos, sin) = tables(&rotary, factors, position);
                let norms = cos.iter().zip(&sin).map(|(cos, sin)| cos.hypot(*sin));
                assert!(norms.into_iter().all(|norm| (norm - 1.190_238).abs() < 1e-6));
            }
        }
    }

    #[test]
    fn the_sets_differ_only_where_their_factors_do() {
        let rotary = phi35(2.84, 64.84);
        for position in [4095, 4096, 4097] {
            let (short, long) =
                (tables(&rotary, RopeFactors::Short, position), tables(&rotary, RopeFactors::Long, position));
            assert_eq!(short.0[..47], long.0[..47]);
            assert_ne!(short.1[47], long.1[47]);
        }
    }
}
