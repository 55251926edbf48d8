//! The types with blocks of 32: integer sums over a block, scaled in f32.
//!
//! Without VNNI, products of unsigned weights with signed activations are summed in 16 bits as far as they cannot
//! overflow: all 8 dwords of a block for 4-bit weights (8 * 2 * 15 * 127 = 30480), 4 for 5-bit ones
//! (4 * 2 * 31 * 127 = 31496), 1 for 8-bit ones (2 * 128 * 127 = 32512).

use std::arch::x86_64::*;

use super::dot::Dot;
use super::{load, load_halves};
use crate::matmul::activations::{Activations, BlockInput, for_blocks};
use crate::matmul::fetch::fetch;
use crate::matmul::formats::{Iq4Nl, Iq4Xs, LegacyQuant, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use crate::matmul::shape::{BLOCK, GROUP, ROWS};
use crate::quant::IQ4_VALUES;
use crate::tuning::Tuning;

/// Sums of one block: 16 rows (two vectors of 8) for each of `A` activation rows.
type Sums<const A: usize> = [[__m256i; 2]; A];

/// The quants of a type with blocks of 32.
pub(super) trait Unpack: LegacyQuant {
    /// Whether `quants` are signed bytes.
    const IS_SIGNED: bool;
    /// Whether the products of all 8 dwords fit 16 bits.
    const BLOCK_FITS_16_BITS: bool;

    /// Dword `chunk` (of 8) of rows `8 g..8 g + 8`; `quants` is where they begin.
    ///
    /// # Safety
    /// AVX2; the quants of a block, `chunk < 8`, `g < 2`.
    unsafe fn quants(quants: *const u8, chunk: usize, g: usize) -> __m256i;

    /// The scales of block `block` of 16 rows of a unit.
    ///
    /// # Safety
    /// AVX2 and F16C; a unit of so many blocks.
    unsafe fn scales(unit: *const u8, block: usize) -> [__m256; 2];
}

/// One group of 16 rows with all activation rows.
///
/// # Safety
/// See [`GroupKernel`](crate::matmul::kernel::GroupKernel); the processor has what `D` needs.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn group<T: Unpack, D: Dot>(
    weights: &[u8],
    activations: &Activations,
    tuning: &Tuning,
    sums: &mut [f32],
) {
    for_blocks(activations, weights, T::BYTES, sums, |weights, input, is_first, sums| {
        // The first rows bring the weights into the cache for the others.
        let ahead = if is_first { tuning.fetch_ahead } else { 0 };
        // SAFETY: whole blocks of weights, an input of as many, and sums of its rows.
        unsafe {
            match sums.len() / ROWS {
                1 => superblock::<T, D, 1>(weights, ahead, input, sums),
                2 => superblock::<T, D, 2>(weights, ahead, input, sums),
                3 => superblock::<T, D, 3>(weights, ahead, input, sums),
                _ => superblock::<T, D, GROUP>(weights, ahead, input, sums),
            }
        }
    });
}

/// Adds the product of up to 8 blocks of 16 rows with `A` activation rows to `sums (A, 16)`; fetches weights `ahead` bytes
/// on, unless that is 0.
///
/// # Safety
/// AVX2, FMA, F16C and what `D` needs; the slices fit: whole blocks of weights, as many of the input, `A * 16` sums.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn superblock<T: Unpack, D: Dot, const A: usize>(
    weights: &[u8],
    ahead: usize,
    input: &BlockInput<'_>,
    sums: &mut [f32],
) {
    let offset = T::OFFSET + if T::IS_SIGNED { D::SIGNED_OFFSET } else { 0 };
    // SAFETY: every access below lies inside the slices, by the sizes the caller promises.
    unsafe {
        let total = sums.as_mut_ptr();
        let mut acc = [[_mm256_setzero_ps(); 2]; A];
        for (i, acc) in acc.iter_mut().enumerate() {
            *acc = [_mm256_loadu_ps(total.add(16 * i)), _mm256_loadu_ps(total.add(16 * i + 8))];
        }
        for block in 0..weights.len() / T::BYTES {
            let unit = weights.as_ptr();
            let weights = unit.add(block * T::BYTES);
            if ahead != 0 {
                fetch(weights.wrapping_add(ahead), T::BYTES);
            }
            let scales = T::scales(unit, block);
            let quants = unit.add(T::QUANTS_AT + block * T::QUANTS_STEP);
            let dots = dot::<T, D, A>(quants, input.quants.as_ptr().add(block * BLOCK * A));
            for i in 0..A {
                let index = block * A + i;
                let scale = _mm256_set1_ps(*input.scales.as_ptr().add(index));
                for g in 0..2 {
                    let mut dot = dots[i][g];
                    if offset != 0 {
                        dot = _mm256_sub_epi32(dot, _mm256_set1_epi32(offset * *input.sums.as_ptr().add(index)));
                    }
                    acc[i][g] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(scales[g], scale), acc[i][g]);
                    if T::HAS_MIN {
                        let min = load_halves(weights.add(2 * ROWS + ROWS * g));
                        let sum = _mm256_set1_ps(*input.scaled_sums.as_ptr().add(index));
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

/// Products of `A` activation rows (32 quants each, interleaved) with 16 rows of quants, offsets not yet taken off.
///
/// # Safety
/// AVX2 and what `D` needs; `weights` are the quants of a block, `quants` is readable for `32 * A`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn dot<T: Unpack, D: Dot, const A: usize>(weights: *const u8, quants: *const i8) -> Sums<A> {
    let zero = _mm256_setzero_si256();
    let mut sums = [[zero; 2]; A];
    let narrow_dwords = if T::BLOCK_FITS_16_BITS { 8 } else { 4 };
    let mut narrow = [[zero; 2]; A];
    for chunk in 0..8 {
        // SAFETY: the caller's promise.
        let weights = unsafe { [T::quants(weights, chunk, 0), T::quants(weights, chunk, 1)] };
        for i in 0..A {
            // SAFETY: 8 chunks of `A` dwords.
            let activation = _mm256_set1_epi32(unsafe { quants.cast::<i32>().add(chunk * A + i).read_unaligned() });
            for g in 0..2 {
                // SAFETY: the caller's promise.
                unsafe {
                    if T::IS_SIGNED {
                        sums[i][g] = D::multiply_add_signed(sums[i][g], weights[g], activation);
                    } else if D::IS_WIDE {
                        sums[i][g] = D::multiply_add(sums[i][g], weights[g], activation);
                    } else {
                        narrow[i][g] = D::multiply_add(narrow[i][g], weights[g], activation);
                    }
                }
            }
        }
        if !T::IS_SIGNED && !D::IS_WIDE && (chunk + 1) % narrow_dwords == 0 {
            for (sums, narrow) in sums.as_flattened_mut().iter_mut().zip(narrow.as_flattened_mut()) {
                // SAFETY: the caller's promise.
                *sums = _mm256_add_epi32(*sums, unsafe { D::widened(*narrow) });
                *narrow = zero;
            }
        }
    }
    sums
}

/// Dword `chunk` of 4 vectors of nibbles: low ones first, then high ones.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn four_bits(quants: *const u8, chunk: usize, g: usize) -> __m256i {
    // SAFETY: the caller passes 4 vectors of 64 bytes.
    let bytes = unsafe { load(quants.add(64 * (chunk % 4) + 32 * g)) };
    let bytes = if chunk < 4 { bytes } else { _mm256_srli_epi16::<4>(bytes) };
    _mm256_and_si256(bytes, _mm256_set1_epi8(15))
}

/// The same with a vector of fifth bits in front: bit k of a row's dword belongs to column k.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn five_bits(quants: *const u8, chunk: usize, g: usize) -> __m256i {
    // SAFETY: the caller passes 5 vectors of 64 bytes.
    let (fifths, low) = unsafe { (load(quants.add(32 * g)), four_bits(quants.add(64), chunk, g)) };
    let spread = _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
    let spread = _mm256_add_epi8(_mm256_broadcastsi128_si256(spread), _mm256_set1_epi8((chunk / 2) as i8));
    let bits = _mm256_set1_epi32(if chunk.is_multiple_of(2) { 0x0804_0201 } else { 0x8040_2010u32.cast_signed() });
    let here = _mm256_and_si256(_mm256_shuffle_epi8(fifths, spread), bits);
    _mm256_or_si256(low, _mm256_and_si256(_mm256_cmpeq_epi8(here, bits), _mm256_set1_epi8(16)))
}

/// What four bits stand for in IQ4_NL and IQ4_XS.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn looked_up(quants: *const u8, chunk: usize, g: usize) -> __m256i {
    // SAFETY: 16 bytes of a constant; the caller passes 4 vectors.
    unsafe {
        let values = _mm256_broadcastsi128_si256(_mm_loadu_si128(IQ4_VALUES.as_ptr().cast()));
        _mm256_shuffle_epi8(values, four_bits(quants, chunk, g))
    }
}

macro_rules! unpack {
    ($name:ident, signed $signed:literal, fits $fits:literal, |$quants:ident, $chunk:ident, $g:ident| $vector:expr) => {
        impl Unpack for $name {
            const IS_SIGNED: bool = $signed;
            const BLOCK_FITS_16_BITS: bool = $fits;

            #[target_feature(enable = "avx2")]
            #[inline]
            unsafe fn quants($quants: *const u8, $chunk: usize, $g: usize) -> __m256i {
                // SAFETY: the caller's promise.
                unsafe { $vector }
            }

            #[target_feature(enable = "avx2,f16c")]
            #[inline]
            unsafe fn scales(unit: *const u8, block: usize) -> [__m256; 2] {
                // SAFETY: a block begins with an f16 of each row.
                unsafe {
                    let block = unit.add(block * Self::BYTES);
                    [load_halves(block), load_halves(block.add(ROWS))]
                }
            }
        }
    };
}

unpack!(Q4_0, signed false, fits true, |quants, chunk, g| four_bits(quants, chunk, g));
unpack!(Q4_1, signed false, fits true, |quants, chunk, g| four_bits(quants, chunk, g));
unpack!(Q5_0, signed false, fits false, |quants, chunk, g| five_bits(quants, chunk, g));
unpack!(Q5_1, signed false, fits false, |quants, chunk, g| five_bits(quants, chunk, g));
unpack!(Iq4Nl, signed true, fits false, |quants, chunk, g| looked_up(quants, chunk, g));
unpack!(Q8_0, signed true, fits false, |quants, chunk, g| load(quants.add(64 * chunk + 32 * g)));

impl Unpack for Iq4Xs {
    const IS_SIGNED: bool = true;
    const BLOCK_FITS_16_BITS: bool = false;

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn quants(quants: *const u8, chunk: usize, g: usize) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { looked_up(quants, chunk, g) }
    }

    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    unsafe fn scales(unit: *const u8, block: usize) -> [__m256; 2] {
        let mut scales = [_mm256_setzero_ps(); 2];
        for (g, scale) in scales.iter_mut().enumerate() {
            // SAFETY: a unit begins with an f16, an u16 and a dword of each of 16 rows.
            unsafe {
                let low = load(unit.add(Self::LOW + 32 * g));
                let low = _mm256_srl_epi32(low, _mm_cvtsi32_si128(4 * block as i32));
                let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(unit.add(Self::HIGH + 16 * g).cast()));
                let high = _mm256_srl_epi32(high, _mm_cvtsi32_si128(2 * block as i32));
                let high = _mm256_slli_epi32::<4>(_mm256_and_si256(high, _mm256_set1_epi32(3)));
                let six_bits = _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)), high);
                let integer = _mm256_sub_epi32(six_bits, _mm256_set1_epi32(32));
                *scale = _mm256_mul_ps(load_halves(unit.add(ROWS * g)), _mm256_cvtepi32_ps(integer));
            }
        }
        scales
    }
}
