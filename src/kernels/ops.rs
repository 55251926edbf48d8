//! Row-wise operations: RMS norm, rotary embedding, SiLU gate, residual addition.
//!
//! Each is one plain loop that the compiler vectorises, compiled for any processor and for each level of x86-64.

#[cfg(target_arch = "x86_64")]
use super::level::Level;
use super::math::exp;

/// Defines a function that runs its plain version, compiled for the instruction sets of this processor.
macro_rules! vectorised {
    ($(#[$doc:meta])* $visibility:vis fn $name:ident / $plain:ident ($($arg:ident: $type:ty),*)) => {
        $(#[$doc])*
        $visibility fn $name($($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) {
                    $plain($($arg),*);
                }
                #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl")]
                fn avx512($($arg: $type),*) {
                    $plain($($arg),*);
                }
                match Level::in_use() {
                    Level::Portable => {}
                    // SAFETY: the processor has AVX2 and FMA.
                    Level::Avx2 | Level::AvxVnni => return unsafe { avx2($($arg),*) },
                    // SAFETY: the processor has these parts of AVX-512, too.
                    Level::Avx512 => return unsafe { avx512($($arg),*) },
                }
            }
            $plain($($arg),*);
        }
    };
}

vectorised! {
    /// `out = hidden_states / rms(hidden_states) * weight`, row by row (rows of `weight.len()`).
    pub fn rms_norm / rms_norm_plain (hidden_states: &[f32], weight: &[f32], eps: f32, out: &mut [f32])
}

#[inline(always)]
fn rms_norm_plain(hidden_states: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    assert_eq!(hidden_states.len(), out.len(), "rms_norm: input and output lengths differ");
    let width = weight.len();
    for (row, out) in hidden_states.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let scale = 1.0 / (sum_of_squares(row) / width as f32 + eps).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(row).zip(weight) {
            *out = x * scale * weight;
        }
    }
}

vectorised! {
    /// [`rms_norm`] of every row of `weight.len()` in place: the heads of a query or a key.
    pub fn rms_norm_in_place / rms_norm_in_place_plain (rows: &mut [f32], weight: &[f32], eps: f32)
}

#[inline(always)]
fn rms_norm_in_place_plain(rows: &mut [f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    for row in rows.chunks_exact_mut(width) {
        let scale = 1.0 / (sum_of_squares(row) / width as f32 + eps).sqrt();
        for (x, weight) in row.iter_mut().zip(weight) {
            *x = *x * scale * weight;
        }
    }
}

/// Uses 32 partial sums: enough to fill vectors, and more precise than one sum.
#[inline(always)]
fn sum_of_squares(row: &[f32]) -> f32 {
    let mut sums = [0.0; 32];
    let (chunks, rest) = row.as_chunks::<32>();
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x * x;
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>()
}

/// Which elements a rotation pairs up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopeStyle {
    /// Pairs `(i, i + dim / 2)`: `phi3`, `qwen2` and `qwen3`.
    Neox,
    /// Pairs `(2i, 2i + 1)`: `llama` and `granite` as GGUF files store them.
    Interleaved,
}

vectorised! {
    /// Rotates one head's first `2 * cos.len()` elements in place; `cos` and `sin` hold one position's half-table.
    pub fn rope / rope_plain (style: RopeStyle, head: &mut [f32], cos: &[f32], sin: &[f32])
}

#[inline(always)]
fn rope_plain(style: RopeStyle, head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let half = cos.len();
    assert_eq!(half, sin.len(), "rope: cos and sin lengths differ");
    let rotated = &mut head[..2 * half];
    match style {
        RopeStyle::Neox => {
            let (first, second) = rotated.split_at_mut(half);
            let (firsts, first_rest) = first.as_chunks_mut::<16>();
            let (seconds, second_rest) = second.as_chunks_mut::<16>();
            let ((coss, cos_rest), (sins, sin_rest)) = (cos.as_chunks::<16>(), sin.as_chunks::<16>());
            for (((x, y), cos), sin) in firsts.iter_mut().zip(seconds).zip(coss).zip(sins) {
                rotate(x, y, cos, sin);
            }
            rotate(first_rest, second_rest, cos_rest, sin_rest);
        }
        RopeStyle::Interleaved => {
            for ((pair, cos), sin) in rotated.as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin) {
                let [x, y] = *pair;
                *pair = [x * cos - y * sin, x * sin + y * cos];
            }
        }
    }
}

#[inline(always)]
fn rotate(first: &mut [f32], second: &mut [f32], cos: &[f32], sin: &[f32]) {
    for (((x, y), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        (*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
    }
}

vectorised! {
    /// `out[i] = silu(gate_up[i]) * gate_up[n + i]` for each row `gate_up (2n)`, giving rows of `n`.
    pub fn silu_gate / silu_gate_plain (gate_up: &[f32], n: usize, out: &mut [f32])
}

#[inline(always)]
fn silu_gate_plain(gate_up: &[f32], n: usize, out: &mut [f32]) {
    assert_eq!(gate_up.len(), 2 * out.len(), "silu_gate: input is not twice the output");
    for (row, out) in gate_up.chunks_exact(2 * n).zip(out.chunks_exact_mut(n)) {
        let (gate, up) = row.split_at(n);
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = gate / (1.0 + exp(-gate)) * up;
        }
    }
}

vectorised! {
    /// `residual += delta`.
    pub fn add / add_plain (residual: &mut [f32], delta: &[f32])
}

#[inline(always)]
fn add_plain(residual: &mut [f32], delta: &[f32]) {
    assert_eq!(residual.len(), delta.len(), "add: lengths differ");
    for (residual, delta) in residual.iter_mut().zip(delta) {
        *residual += delta;
    }
}

vectorised! {
    /// `values *= factor`.
    pub fn scale / scale_plain (values: &mut [f32], factor: f32)
}

#[inline(always)]
fn scale_plain(values: &mut [f32], factor: f32) {
    values.iter_mut().for_each(|value| *value *= factor);
}

/// The natural logarithm of the sum of `exp(logits)`; `max` is the greatest logit.
pub fn log_sum_exp(logits: &[f32], max: f32) -> f32 {
    let mut sum = [0.0];
    sum_exp(logits, max, &mut sum);
    max + sum[0].ln()
}

vectorised! {
    /// Sets `sum[0]` to the sum of `exp(logit - max)`.
    fn sum_exp / sum_exp_plain (logits: &[f32], max: f32, sum: &mut [f32; 1])
}

/// Uses 32 partial sums, like [`sum_of_squares`].
#[inline(always)]
fn sum_exp_plain(logits: &[f32], max: f32, sum: &mut [f32; 1]) {
    let mut sums = [0.0; 32];
    let (chunks, rest) = logits.as_chunks::<32>();
    for chunk in chunks {
        for (sum, logit) in sums.iter_mut().zip(chunk) {
            *sum += exp(logit - max);
        }
    }
    sum[0] = sums.iter().sum::<f32>() + rest.iter().map(|logit| exp(logit - max)).sum::<f32>();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{index}: {found} != {expected}");
        }
    }

    #[test]
    fn rms_norm_normalises_each_row_on_its_own() {
        let mut out = [0.0; 4];
        rms_norm(&[3.0, 4.0, 0.0, 2.0], &[1.0, 0.5], 0.0, &mut out);
        assert_close(&out, &[3.0 / 12.5f32.sqrt(), 2.0 / 12.5f32.sqrt(), 0.0, 1.0 / 2f32.sqrt()]);
    }

    #[test]
    fn rms_norm_of_zeros_is_zero() {
        let mut out = [1.0; 2];
        rms_norm(&[0.0, 0.0], &[1.0, 1.0], 1e-5, &mut out);
        assert_close(&out, &[0.0, 0.0]);
    }

    fn check_rope(style: RopeStyle, expected: [f32; 5]) {
        // A quarter turn of the first pair, a half turn of the second; the fifth element is beyond the rotary part.
        let mut head = [1.0, 2.0, 3.0, 4.0, 5.0];
        rope(style, &mut head, &[0.0, -1.0], &[1.0, 0.0]);
        assert_close(&head, &expected);
    }

    #[test]
    fn rope_pairs_elements_by_style_and_leaves_the_rest() {
        check_rope(RopeStyle::Neox, [-3.0, -2.0, 1.0, -4.0, 5.0]);
        check_rope(RopeStyle::Interleaved, [-2.0, 1.0, -3.0, -4.0, 5.0]);
    }

    #[test]
    fn silu_gate_multiplies_the_two_halves_of_each_row() {
        let mut out = [0.0; 2];
        silu_gate(&[0.0, 1.0, 7.0, 3.0], 2, &mut out);
        assert_close(&out, &[0.0, 3.0 / (1.0 + (-1f32).exp())]);
        silu_gate(&[-1000.0, 1000.0], 1, &mut out[..1]);
        assert_close(&out[..1], &[0.0]);
    }

    #[test]
    fn log_sum_exp_ignores_what_is_ruled_out() {
        let logits: Vec<f32> = (0..100).map(|i| if i % 3 == 0 { f32::NEG_INFINITY } else { i as f32 / 10.0 }).collect();
        let expected = logits.iter().map(|logit| f64::from(*logit).exp()).sum::<f64>().ln();
        assert_close(&[log_sum_exp(&logits, 9.8)], &[expected as f32]);
    }

    #[test]
    fn add_adds() {
        let mut residual = [1.0, 2.0];
        add(&mut residual, &[0.5, -2.0]);
        assert_close(&residual, &[1.5, 0.0]);
    }
}
