//! Kernels for x86-64 with AVX2, FMA and F16C. Everything here is unsafe to call without them.

#![allow(clippy::needless_range_loop, reason = "loops over registers index several arrays at once")]

mod blocks;
mod floats;
pub(super) mod supers;

use std::arch::x86_64::*;

use super::activations::quantize::is_quantizable;
use super::grouped::GroupKernel;
pub(super) use super::superblock::fetch;
use crate::kernels::quant::QuantType;

/// The kernel of a type that has one.
pub(super) fn group_kernel(quant: QuantType) -> GroupKernel {
    match quant {
        QuantType::F32 => floats::group::<floats::F32>,
        QuantType::F16 => floats::group::<floats::F16>,
        QuantType::Bf16 => floats::group::<floats::Bf16>,
        QuantType::Q4_0 => blocks::group::<blocks::Q4_0>,
        QuantType::Q4_1 => blocks::group::<blocks::Q4_1>,
        QuantType::Q5_0 => blocks::group::<blocks::Q5_0>,
        QuantType::Q5_1 => blocks::group::<blocks::Q5_1>,
        QuantType::Q8_0 => blocks::group::<blocks::Q8_0>,
        QuantType::Q2K => supers::group::<supers::Q2K>,
        QuantType::Q3K => supers::group::<supers::Q3K>,
        QuantType::Q4K => supers::group::<supers::Q4K>,
        QuantType::Q5K => supers::group::<supers::Q5K>,
        QuantType::Q6K => supers::group::<supers::Q6K>,
        QuantType::Q8K => unreachable!("{quant:?} has only the plain kernel"),
    }
}

/// How far ahead of the weights at hand their successors are fetched, in bytes: far enough for memory's latency.
pub(super) const FETCH_AHEAD: usize = 6912;

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

/// Eight f16.
#[target_feature(enable = "avx2,f16c")]
unsafe fn load_halves(at: *const u8) -> __m256 {
    // SAFETY: the caller passes 16 readable bytes.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(at.cast()) })
}

#[target_feature(enable = "avx2")]
unsafe fn load(at: *const u8) -> __m256i {
    // SAFETY: the caller passes 32 readable bytes.
    unsafe { _mm256_loadu_si256(at.cast()) }
}
