//! Quantisation with NEON.

use std::arch::aarch64::*;

use super::is_quantizable;

/// Quantises a multiple of 32 values with one scale, as the portable version does.
#[target_feature(enable = "neon")]
pub(super) fn quantize(values: &[f32], quants: &mut [i8]) -> Option<f32> {
    let (sources, _) = values.as_chunks::<16>();
    let (targets, _) = quants.as_chunks_mut::<16>();
    let mut max = vdupq_n_f32(0.0);
    for four in values.as_chunks::<4>().0 {
        // SAFETY: `four` is 16 readable bytes. The maximum of a NaN and a number is the number.
        max = vmaxnmq_f32(vabsq_f32(unsafe { vld1q_f32(four.as_ptr()) }), max);
    }
    let max = vmaxnmvq_f32(max);
    if !is_quantizable(max) {
        return None;
    }
    let inverse = 127.0 / max;
    for (source, target) in sources.iter().zip(targets) {
        let rounded = |i: usize| {
            // SAFETY: `source` is 16 values and `i` at most 12.
            let four = unsafe { vld1q_f32(source.as_ptr().add(i)) };
            // NaN becomes 0.
            vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(four, inverse)))
        };
        let low = vqmovn_s16(vcombine_s16(rounded(0), rounded(4)));
        let high = vqmovn_s16(vcombine_s16(rounded(8), rounded(12)));
        // SAFETY: `target` is 16 writable bytes.
        unsafe { vst1q_s8(target.as_mut_ptr(), vcombine_s8(low, high)) };
    }
    Some(max / 127.0)
}
