//! Where the bits of each K-quant are, unpacked with AVX-512; the integer scales are unpacked as for AVX2.

use std::arch::x86_64::*;

use super::super::{load, load_halves, moved, nibbles};
use super::Scales;
use crate::matmul::avx2::in_row_order;
use crate::matmul::avx2::k_quants::ScaleBytes;
use crate::matmul::formats::{Q2K, Q3K, Q4K, Q5K, Q6K};
use crate::matmul::shape::{ROWS, SUB_BLOCKS};
use crate::matmul::superblock::plane_indices;

/// The quants of a K-quant.
pub(in super::super) trait Unpack: ScaleBytes {
    /// Dword `chunk` of sub-block `S` of 16 rows, as unsigned bytes.
    ///
    /// # Safety
    /// The instruction sets of this module; a superblock of weights, `S < 16`, `chunk < 4`.
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i;
}

/// Unpacks the scales and minima of a superblock.
///
/// # Safety
/// The instruction sets of this module; a superblock of weights.
#[target_feature(enable = "avx2,avx512f,avx512vl,avx512bw")]
pub(super) unsafe fn scales<T: ScaleBytes>(weights: *const u8, scales: &mut Scales) {
    // SAFETY: the caller's promise; a superblock begins with an f16 of each row, and another one where there are minima.
    unsafe {
        let scale = load_halves(weights);
        for s in 0..SUB_BLOCKS / T::SCALE_SUB_BLOCKS {
            let integers = _mm512_cvtepi8_epi32(in_row_order(T::scale(weights, s)));
            scales.scales[s] = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(integers));
        }
        if T::MIN_COLUMNS == 0 {
            return;
        }
        scales.min = load_halves(weights.add(2 * ROWS));
        for p in 0..T::MIN_PAIRS / (32 / T::MIN_COLUMNS) {
            let two = T::minima(weights, p);
            let (even, odd) = (_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two));
            if T::MIN_COLUMNS == 16 {
                scales.min_pairs[2 * p] = pair(even, even);
                scales.min_pairs[2 * p + 1] = pair(odd, odd);
            } else {
                scales.min_pairs[p] = pair(even, odd);
            }
        }
    }
}

/// Two unsigned bytes of each row in the halves of its dword.
#[target_feature(enable = "avx2,avx512f,avx512vl,avx512bw")]
fn pair(low: __m128i, high: __m128i) -> __m512i {
    let high = _mm512_slli_epi32::<16>(_mm512_cvtepu8_epi32(in_row_order(high)));
    _mm512_or_si512(_mm512_cvtepu8_epi32(in_row_order(low)), high)
}

/// Vector `index` of 64 bytes from `at` on.
#[target_feature(enable = "avx512f")]
unsafe fn vector(at: *const u8, index: usize) -> __m512i {
    // SAFETY: the caller passes so many vectors.
    unsafe { load(at.add(64 * index)) }
}

impl Unpack for Q2K {
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let (half, block, dword) = plane_indices(S, chunk);
        // SAFETY: 16 vectors.
        moved(unsafe { vector(weights.add(Self::QUANTS), 8 * half + dword) }, 2 * block, 0, 3)
    }
}

impl Unpack for Q3K {
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let (half, block, dword) = plane_indices(S, chunk);
        // SAFETY: 8 vectors of third bits, bit b for block b of 8, and 16 of bit pairs.
        let (thirds, low) =
            unsafe { (vector(weights.add(Self::HIGH), dword), vector(weights.add(Self::QUANTS), 8 * half + dword)) };
        _mm512_or_si512(moved(low, 2 * block, 0, 3), moved(thirds, S / 2, 2, 4))
    }
}

impl Unpack for Q4K {
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        // SAFETY: 32 vectors: the nibbles of a vector are of two neighbouring blocks.
        nibbles(unsafe { vector(weights.add(Self::QUANTS), S / 4 * 8 + S % 2 * 4 + chunk) }, S % 4 >= 2)
    }
}

impl Unpack for Q5K {
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let dword = S % 2 * 4 + chunk;
        // SAFETY: 8 vectors of fifth bits, bit b for block b of 8, and 32 of nibbles as those of Q4_K.
        let (fifths, low) =
            unsafe { (vector(weights.add(Self::HIGH), dword), vector(weights.add(Self::QUANTS), S / 4 * 8 + dword)) };
        _mm512_or_si512(nibbles(low, S % 4 >= 2), moved(fifths, S / 2, 4, 16))
    }
}

impl Unpack for Q6K {
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let (half, block, dword) = plane_indices(S, chunk);
        // SAFETY: 32 vectors, whose nibbles are of a block and of that two on, and 16 of bit pairs.
        let (low, high) = unsafe {
            (
                vector(weights.add(Self::QUANTS), 16 * half + 8 * (block % 2) + dword),
                vector(weights.add(Self::HIGH), 8 * half + dword),
            )
        };
        _mm512_or_si512(nibbles(low, block >= 2), moved(high, 2 * block, 4, 0x30))
    }
}
