//! The types with blocks of 32: 32-bit sums over a block, scaled in f32.
//!
//! Weights enter as unsigned bytes; what that adds to a signed weight is an offset, taken off by starting a block's sum
//! at minus the offset times the activations' sum.

use std::arch::x86_64::*;

use super::super::activations::{Activations, BLOCK, BlockInput, SUPER, row_groups};
use super::super::avx2::FETCH_AHEAD;
use super::super::layout::ROWS;
use super::super::superblock::fetch;
use super::{broadcast, load, load_halves, nibbles};

/// A type with blocks of 32.
pub(super) trait BlockType {
    /// Whether an f16 minimum follows the f16 scale; the scaled sum of the activations multiplies it.
    const HAS_MIN: bool;
    /// What is subtracted from every quant.
    const OFFSET: i32;
    /// Bytes of 16 rows of one block.
    const BYTES: usize;

    /// Dword `chunk` of 16 rows as unsigned bytes; `weights` begins after the scales.
    ///
    /// # Safety
    /// The instruction sets of this module; the rest of the block is readable, `chunk < 8`.
    unsafe fn quants(weights: *const u8, chunk: usize) -> __m512i;
}

pub(super) struct Q4_0;
pub(super) struct Q4_1;
pub(super) struct Q5_0;
pub(super) struct Q5_1;
pub(super) struct Q8_0;

/// Dword `chunk` of 4 vectors of nibbles: low ones first, then high ones.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn four_bits(weights: *const u8, chunk: usize) -> __m512i {
    // SAFETY: the caller passes 4 vectors.
    nibbles(unsafe { load(weights.add(64 * (chunk % 4))) }, chunk >= 4)
}

/// The same with a vector of fifth bits in front: bit k of a row's dword belongs to column k.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn five_bits(weights: *const u8, chunk: usize) -> __m512i {
    // SAFETY: the caller passes 5 vectors.
    let (fifths, low) = unsafe { (load(weights), four_bits(weights.add(64), chunk)) };
    let spread = _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
    let spread = _mm512_add_epi8(_mm512_broadcast_i32x4(spread), _mm512_set1_epi8((chunk / 2) as i8));
    let bits = _mm512_set1_epi32(if chunk.is_multiple_of(2) { 0x0804_0201 } else { 0x8040_2010u32.cast_signed() });
    let is_set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(fifths, spread), bits);
    _mm512_or_si512(low, _mm512_maskz_set1_epi8(is_set, 16))
}

macro_rules! block_type {
    ($name:ident, $bytes:literal, min $min:literal, offset $offset:literal, |$weights:ident, $chunk:ident| $quants:expr) => {
        impl BlockType for $name {
            const HAS_MIN: bool = $min;
            const OFFSET: i32 = $offset;
            const BYTES: usize = $bytes * ROWS;

            #[target_feature(enable = "avx512f,avx512bw")]
            unsafe fn quants($weights: *const u8, $chunk: usize) -> __m512i {
                // SAFETY: the caller's promise.
                unsafe { $quants }
            }
        }
    };
}

block_type!(Q4_0, 18, min false, offset 8, |weights, chunk| four_bits(weights, chunk));
block_type!(Q4_1, 20, min true, offset 0, |weights, chunk| four_bits(weights, chunk));
block_type!(Q5_0, 22, min false, offset 16, |weights, chunk| five_bits(weights, chunk));
block_type!(Q5_1, 24, min true, offset 0, |weights, chunk| five_bits(weights, chunk));
block_type!(Q8_0, 34, min false, offset 128, |weights, chunk| {
    _mm512_xor_si512(load(weights.add(64 * chunk)), _mm512_set1_epi8(-128))
});

/// One group of 16 rows with all activation rows.
///
/// # Safety
/// See [`super::super::grouped::GroupKernel`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn group<T: BlockType>(weights: &[u8], activations: &Activations, sums: &mut [f32]) {
    let (m, cols) = (activations.m, activations.cols);
    debug_assert!(weights.len() == cols / BLOCK * T::BYTES && sums.len() == m * ROWS);
    for start in (0..cols).step_by(SUPER) {
        let width = SUPER.min(cols - start);
        let blocks = width / BLOCK;
        let weights = &weights[start / BLOCK * T::BYTES..][..blocks * T::BYTES];
        for (first, rows) in row_groups(m) {
            let input = activations.blocks.input(m, start, width, (first, rows));
            let sums = &mut sums[first * ROWS..][..rows * ROWS];
            // SAFETY: the slices have just been cut to the sizes the kernel reads.
            unsafe {
                match rows {
                    1 => superblock::<T, 1>(weights, &input, sums),
                    2 => superblock::<T, 2>(weights, &input, sums),
                    3 => superblock::<T, 3>(weights, &input, sums),
                    _ => superblock::<T, 4>(weights, &input, sums),
                }
            }
        }
    }
}

/// Adds the product of up to 8 blocks of 16 rows with `A` activation rows to `sums (A, 16)`.
///
/// # Safety
/// The instruction sets of this module; the slices fit: whole blocks of weights, as many of the input, `A * 16` sums.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn superblock<T: BlockType, const A: usize>(weights: &[u8], input: &BlockInput<'_>, sums: &mut [f32]) {
    let totals_at = sums.as_mut_ptr();
    let mut totals = [_mm512_setzero_ps(); A];
    // SAFETY: every access lies inside the slices, by the sizes the caller promises.
    unsafe {
        for (i, total) in totals.iter_mut().enumerate() {
            *total = _mm512_loadu_ps(totals_at.add(ROWS * i));
        }
        for block in 0..weights.len() / T::BYTES {
            let weights = weights.as_ptr().add(block * T::BYTES);
            fetch(weights.wrapping_add(FETCH_AHEAD), T::BYTES);
            let quants = input.quants.as_ptr().add(block * BLOCK * A);
            let at = weights.add(if T::HAS_MIN { 4 * ROWS } else { 2 * ROWS });
            let mut dots = [_mm512_setzero_si512(); A];
            if T::OFFSET != 0 {
                for (i, dot) in dots.iter_mut().enumerate() {
                    *dot = _mm512_set1_epi32(-T::OFFSET * *input.sums.as_ptr().add(block * A + i));
                }
            }
            for chunk in 0..8 {
                let weights = T::quants(at, chunk);
                for (i, dot) in dots.iter_mut().enumerate() {
                    *dot = _mm512_dpbusd_epi32(*dot, weights, broadcast(quants.add((chunk * A + i) * 4)));
                }
            }
            let scale = load_halves(weights);
            for i in 0..A {
                let activation_scale = _mm512_set1_ps(*input.scales.as_ptr().add(block * A + i));
                let scale = _mm512_mul_ps(scale, activation_scale);
                totals[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[i]), scale, totals[i]);
                if T::HAS_MIN {
                    let sum = _mm512_set1_ps(*input.scaled_sums.as_ptr().add(block * A + i));
                    totals[i] = _mm512_fmadd_ps(load_halves(weights.add(2 * ROWS)), sum, totals[i]);
                }
            }
        }
        for (i, total) in totals.iter().enumerate() {
            _mm512_storeu_ps(totals_at.add(ROWS * i), *total);
        }
    }
}
