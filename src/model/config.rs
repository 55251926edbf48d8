//! A model's sizes and settings, all read from its GGUF metadata.

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
