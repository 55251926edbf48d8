//! Rotary position embedding with LongRoPE factors and partial rotation.

/// Which of a model's two factor lists a sequence was rotated with. Pinned when the sequence begins
/// (`prompt + max_new_tokens <= original context` is short), never mixed in one cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RopeFactors {
    Short,
    Long,
}
