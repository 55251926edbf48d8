//! Quantisation with AVX2 and FMA.

use std::arch::x86_64::*;

use super::is_quantizable;

/// Quantises a multiple of 32 values with one scale, as the portable version does.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn quantize(values: &[f32], quants: &mut [i8]) -> Option<f32> {
    let (sources, _) = values.as_chunks::<32>();
    let (targets, _) = quants.as_chunks_mut::<32>();
    let magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fff_ffff));
    let mut max = _mm256_setzero_ps();
    for eight in values.as_chunks::<8>().0 {
        // SAFETY: `eight` is 32 readable bytes.
        let eight = unsafe { _mm256_loadu_ps(eight.as_ptr()) };
        // A NaN in the first operand gives the second, so NaN does not spread.
        max = _mm256_max_ps(_mm256_and_ps(eight, magnitude), max);
    }
    let max = horizontal_max(max);
    if !is_quantizable(max) {
        return None;
    }
    let inverse = _mm256_set1_ps(127.0 / max);
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    // NaN converts to the smallest integer, and a quant of -128 would break the kernels' bounds.
    let smallest = _mm256_set1_epi8(-127);
    for (source, target) in sources.iter().zip(targets) {
        let rounded = |i: usize| {
            // SAFETY: `source` is 32 values and `i` at most 24.
            let eight = unsafe { _mm256_loadu_ps(source.as_ptr().add(i)) };
            _mm256_cvtps_epi32(_mm256_mul_ps(eight, inverse))
        };
        let low = _mm256_packs_epi32(rounded(0), rounded(8));
        let high = _mm256_packs_epi32(rounded(16), rounded(24));
        let quants = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
        // SAFETY: `target` is 32 writable bytes.
        unsafe { _mm256_storeu_si256(target.as_mut_ptr().cast(), _mm256_max_epi8(quants, smallest)) };
    }
    Some(max / 127.0)
}

#[target_feature(enable = "avx2")]
fn horizontal_max(x: __m256) -> f32 {
    let half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let quarter = _mm_max_ps(half, _mm_movehl_ps(half, half));
    _mm_cvtss_f32(_mm_max_ss(quarter, _mm_shuffle_ps::<1>(quarter, quarter)))
}
