//! The types with blocks of 32: integer sums over a block, scaled in f32.
//!
//! Products of unsigned weights with signed activations are summed in 16 bits as far as they cannot overflow: all 8
//! dwords of a block for 4-bit weights (8 * 2 * 15 * 127 = 30480), 4 for 5-bit ones (4 * 2 * 31 * 127 = 31496), 1 for
//! 8-bit ones (2 * 128 * 127 = 32512).

use std::arch::x86_64::*;

use super::super::activations::{Activations, BLOCK, BlockInput, SUPER, row_groups};
use super::super::layout::ROWS;
use super::{FETCH_AHEAD, fetch, load, load_halves};

/// Sums of one block: 16 rows (two vectors of 8) for each of `A` activation rows.
type Sums<const A: usize> = [[__m256i; 2]; A];

/// A type with blocks of 32.
pub(super) trait BlockType {
    /// Whether an f16 minimum follows the f16 scale; the scaled sum of the activations multiplies it.
    const HAS_MIN: bool;
    /// What is subtracted from every quant.
    const OFFSET: i32;
    /// Bytes of 16 rows of one block.
    const BYTES: usize;

    /// Products of `A` activation rows (32 quants each, interleaved) with 16 rows of unsigned quants, OFFSET not yet
    /// taken off.
    ///
    /// # Safety
    /// AVX2; `weights` is readable for `BYTES`, after the scales; `quants` for `32 * A`.
    unsafe fn dot<const A: usize>(weights: *const u8, quants: *const i8) -> Sums<A>;
}

pub(super) struct Q4_0;
pub(super) struct Q4_1;
pub(super) struct Q5_0;
pub(super) struct Q5_1;
pub(super) struct Q8_0;

impl BlockType for Q4_0 {
    const HAS_MIN: bool = false;
    const OFFSET: i32 = 8;
    const BYTES: usize = 18 * ROWS;

    #[target_feature(enable = "avx2")]
    unsafe fn dot<const A: usize>(weights: *const u8, quants: *const i8) -> Sums<A> {
        // SAFETY: the caller's promise.
        unsafe { dot_nibbles(weights, quants) }
    }
}

impl BlockType for Q4_1 {
    const HAS_MIN: bool = true;
    const OFFSET: i32 = 0;
    const BYTES: usize = 20 * ROWS;

    #[target_feature(enable = "avx2")]
    unsafe fn dot<const A: usize>(weights: *const u8, quants: *const i8) -> Sums<A> {
        // SAFETY: the caller's promise.
        unsafe { dot_nibbles(weights, quants) }
    }
}

impl BlockType for Q5_0 {
    const HAS_MIN: bool = false;
    const OFFSET: i32 = 16;
    const BYTES: usize = 22 * ROWS;

    #[target_feature(enable = "avx2")]
    unsafe fn dot<const A: usize>(weights: *const u8, quants: *const i8) -> Sums<A> {
        // SAFETY: the caller's promise.
        unsafe { dot_five_bits(weights, quants) }
    }
}

impl BlockType for Q5_1 {
    const HAS_MIN: bool = true;
    const OFFSET: i32 = 0;
    const BYTES: usize = 24 * ROWS;

    #[target_feature(enable = "avx2")]
    unsafe fn dot<const A: usize>(weights: *const u8, quants: *const i8) -> Sums<A> {
        // SAFETY: the caller's promise.
        unsafe { dot_five_bits(weights, quants) }
    }
}

impl BlockType for Q8_0 {
    const HAS_MIN: bool = false;
    const OFFSET: i32 = 0;
    const BYTES: usize = 34 * ROWS;

    #[target_feature(enable = "avx2")]
    unsafe fn dot<const A: usize>(weights: *const u8, quants: *const i8) -> Sums<A> {
        // SAFETY: the caller's promise.
        unsafe { dot_bytes(weights, quants) }
    }
}

/// One group of 16 rows with all activation rows.
///
/// # Safety
/// See [`super::super::grouped::GroupKernel`].
#[target_feature(enable = "avx2,fma,f16c")]
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
/// AVX2, FMA, F16C; the slices fit: whole blocks of weights, as many of the input, `A * 16` sums.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn superblock<T: BlockType, const A: usize>(weights: &[u8], input: &BlockInput<'_>, sums: &mut [f32]) {
    // SAFETY: every access below lies inside the slices, by the sizes the caller promises.
    unsafe {
        let total = sums.as_mut_ptr();
        let mut acc = [[_mm256_setzero_ps(); 2]; A];
        for (i, acc) in acc.iter_mut().enumerate() {
            *acc = [_mm256_loadu_ps(total.add(16 * i)), _mm256_loadu_ps(total.add(16 * i + 8))];
        }
        for block in 0..weights.len() / T::BYTES {
            let weights = weights.as_ptr().add(block * T::BYTES);
            fetch(weights.wrapping_add(FETCH_AHEAD), T::BYTES);
            let scales = [load_halves(weights), load_halves(weights.add(16))];
            let quants_at = weights.add(if T::HAS_MIN { 64 } else { 32 });
            let dots = T::dot::<A>(quants_at, input.quants.as_ptr().add(block * BLOCK * A));
            for i in 0..A {
                let place = block * A + i;
                let scale = _mm256_set1_ps(*input.scales.as_ptr().add(place));
                for g in 0..2 {
                    let mut dot = dots[i][g];
                    if T::OFFSET != 0 {
                        dot = _mm256_sub_epi32(dot, _mm256_set1_epi32(T::OFFSET * *input.sums.as_ptr().add(place)));
                    }
                    acc[i][g] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(scales[g], scale), acc[i][g]);
                    if T::HAS_MIN {
                        let min = load_halves(weights.add(32 + 16 * g));
                        let sum = _mm256_set1_ps(*input.scaled_sums.as_ptr().add(place));
                        acc[i][g] = _mm256_fmadd_ps(min, sum, acc[i][g]);
                    }
                }
            }
        }
        for (i, acc) in acc.iter().enumerate() {
            _mm256_storeu_ps(total.add(16 * i), acc[0]);
            _mm256_storeu_ps(total.add(16 * i + 8), acc[1]);
        }
    }
}

/// Dword `chunk` of activation row `i` of `A`, in every lane.
#[target_feature(enable = "avx2")]
unsafe fn broadcast<const A: usize>(quants: *const i8, chunk: usize, i: usize) -> __m256i {
    // SAFETY: the caller passes `chunk * A + i + 1` readable dwords.
    _mm256_set1_epi32(unsafe { quants.add((chunk * A + i) * 4).cast::<i32>().read_unaligned() })
}

#[target_feature(enable = "avx2")]
fn widen(sums: __m256i) -> __m256i {
    _mm256_madd_epi16(sums, _mm256_set1_epi16(1))
}

/// # Safety
/// AVX2; 256 bytes of weights, `32 * A` quants.
#[target_feature(enable = "avx2")]
unsafe fn dot_nibbles<const A: usize>(weights: *const u8, quants: *const i8) -> Sums<A> {
    let nibble = _mm256_set1_epi8(15);
    let mut acc = [[_mm256_setzero_si256(); 2]; A];
    for chunk in 0..4 {
        // SAFETY: 4 chunks of 64 bytes.
        let bytes = unsafe { [load(weights.add(64 * chunk)), load(weights.add(64 * chunk + 32))] };
        for half in 0..2 {
            let mut weights = bytes;
            for weights in &mut weights {
                let shifted = if half == 0 { *weights } else { _mm256_srli_epi16::<4>(*weights) };
                *weights = _mm256_and_si256(shifted, nibble);
            }
            for (i, acc) in acc.iter_mut().enumerate() {
                // SAFETY: 8 chunks of `A` dwords.
                let activation = unsafe { broadcast::<A>(quants, chunk + 4 * half, i) };
                for g in 0..2 {
                    acc[g] = _mm256_add_epi16(acc[g], _mm256_maddubs_epi16(weights[g], activation));
                }
            }
        }
    }
    for acc in acc.as_flattened_mut() {
        *acc = widen(*acc);
    }
    acc
}

/// # Safety
/// AVX2; 64 bytes of fifth bits and 256 of nibbles, `32 * A` quants.
#[target_feature(enable = "avx2")]
unsafe fn dot_five_bits<const A: usize>(weights: *const u8, quants: *const i8) -> Sums<A> {
    let nibble = _mm256_set1_epi8(15);
    // SAFETY: 64 bytes: one dword of each row.
    let fifths = unsafe { [load(weights), load(weights.add(32))] };
    let mut acc = [[_mm256_setzero_si256(); 2]; A];
    for half in 0..2 {
        let mut partial = [[_mm256_setzero_si256(); 2]; A];
        for chunk in 0..4 {
            let mut values = [_mm256_setzero_si256(); 2];
            for g in 0..2 {
                // SAFETY: 4 chunks of 64 bytes after the fifth bits.
                let bytes = unsafe { load(weights.add(64 + 64 * chunk + 32 * g)) };
                let low = if half == 0 { bytes } else { _mm256_srli_epi16::<4>(bytes) };
                let high = fifth_bits(fifths[g], 4 * half + chunk);
                values[g] = _mm256_or_si256(_mm256_and_si256(low, nibble), high);
            }
            for (i, partial) in partial.iter_mut().enumerate() {
                // SAFETY: 8 chunks of `A` dwords.
                let activation = unsafe { broadcast::<A>(quants, 4 * half + chunk, i) };
                for g in 0..2 {
                    partial[g] = _mm256_add_epi16(partial[g], _mm256_maddubs_epi16(values[g], activation));
                }
            }
        }
        for (acc, partial) in acc.iter_mut().zip(partial) {
            for g in 0..2 {
                acc[g] = _mm256_add_epi32(acc[g], widen(partial[g]));
            }
        }
    }
    acc
}

/// Bits `4 chunk..4 chunk + 4` of each dword as 16s in its four bytes.
#[target_feature(enable = "avx2")]
fn fifth_bits(dwords: __m256i, chunk: usize) -> __m256i {
    let byte = (chunk / 2) as i8;
    let spread = _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
    let spread = _mm256_add_epi8(_mm256_broadcastsi128_si256(spread), _mm256_set1_epi8(byte));
    let bits = _mm256_set1_epi32(if chunk.is_multiple_of(2) { 0x0804_0201 } else { 0x8040_2010u32.cast_signed() });
    let here = _mm256_and_si256(_mm256_shuffle_epi8(dwords, spread), bits);
    _mm256_and_si256(_mm256_cmpeq_epi8(here, bits), _mm256_set1_epi8(16))
}

/// Signed weights: their magnitude as the unsigned operand, their sign moved to the activation.
///
/// # Safety
/// AVX2; 512 bytes of weights, `32 * A` quants.
#[target_feature(enable = "avx2")]
unsafe fn dot_bytes<const A: usize>(weights: *const u8, quants: *const i8) -> Sums<A> {
    let mut acc = [[_mm256_setzero_si256(); 2]; A];
    for chunk in 0..8 {
        // SAFETY: 8 chunks of 64 bytes.
        let signed = unsafe { [load(weights.add(64 * chunk)), load(weights.add(64 * chunk + 32))] };
        let magnitudes = [_mm256_abs_epi8(signed[0]), _mm256_abs_epi8(signed[1])];
        for (i, acc) in acc.iter_mut().enumerate() {
            // SAFETY: 8 chunks of `A` dwords.
            let activation = unsafe { broadcast::<A>(quants, chunk, i) };
            for g in 0..2 {
                let products = _mm256_maddubs_epi16(magnitudes[g], _mm256_sign_epi8(activation, signed[g]));
                acc[g] = _mm256_add_epi32(acc[g], widen(products));
            }
        }
    }
    acc
}
