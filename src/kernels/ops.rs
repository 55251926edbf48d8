//! Row-wise operations: RMS norm, rotary embedding, SiLU gate, residual addition.

/// `out = hidden_states / rms(hidden_states) * weight`, row by row (rows of `weight.len()`).
pub fn rms_norm(hidden_states: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let _ = (hidden_states, weight, eps, out);
    todo!()
}

/// Which elements a rotation pairs up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopeStyle {
    /// Pairs `(i, i + dim / 2)`: the `phi3` architecture.
    Neox,
    /// Pairs `(2i, 2i + 1)`: the `llama` architecture as GGUF files store it.
    Interleaved,
}

/// Rotates one head's first `2 * cos.len()` elements in place; `cos` and `sin` hold one position's half-table.
pub fn rope(style: RopeStyle, head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let _ = (style, head, cos, sin);
    todo!()
}

/// `out[i] = silu(gate_up[i]) * gate_up[n + i]` for each row `gate_up (2n)`, giving rows of `n`.
pub fn silu_gate(gate_up: &[f32], n: usize, out: &mut [f32]) {
    let _ = (gate_up, n, out);
    todo!()
}

/// `residual += delta`.
pub fn add(residual: &mut [f32], delta: &[f32]) {
    let _ = (residual, delta);
    todo!()
}
