//! The types with blocks of 32: 32-bit sums over a block, scaled in f32.
//!
//! Weights enter as unsigned bytes; what that adds to a signed weight is an offset, taken off by starting a block's sum
//! at minus the offset times the activations' sum.

use std::arch::x86_64::*;

use super::{broadcast, load, load_halves, nibbles};
use crate::matmul::activations::{Activations, BlockInput, for_blocks};
use crate::matmul::fetch::fetch;
use crate::matmul::formats::{Iq4Nl, Iq4Xs, LegacyQuant, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use crate::matmul::shape::{BLOCK, GROUP, ROWS};
use crate::quant::IQ4_VALUES;
use crate::tuning::Tuning;

/// The quants of a type with blocks of 32.
pub(super) trait Unpack: LegacyQuant {
    /// What `quants` adds to every quant, beside the format's own offset.
    const RAISED_BY: i32;

    /// Dword `chunk` (of 8) of 16 rows as unsigned bytes; `quants` is where they begin.
    ///
    /// # Safety
    /// The instruction sets of this module; the quants of a block, `chunk < 8`.
    unsafe fn quants(quants: *const u8, chunk: usize) -> __m512i;

    /// The scales of block `block` of 16 rows of a unit.
    ///
    /// # Safety
    /// The instruction sets of this module; a unit of so many blocks.
    unsafe fn scales(unit: *const u8, block: usize) -> __m512;
}

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

/// What four bits stand for in IQ4_NL and IQ4_XS, raised by 128.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn looked_up(quants: *const u8, chunk: usize) -> __m512i {
    // SAFETY: 16 bytes of a constant; the caller passes 4 vectors.
    unsafe {
        let values = _mm512_broadcast_i32x4(_mm_loadu_si128(IQ4_VALUES.as_ptr().cast()));
        _mm512_xor_si512(_mm512_shuffle_epi8(values, four_bits(quants, chunk)), _mm512_set1_epi8(-128))
    }
}

macro_rules! unpack {
    ($name:ident, raised by $raised:literal, |$quants:ident, $chunk:ident| $vector:expr) => {
        impl Unpack for $name {
            const RAISED_BY: i32 = $raised;

            #[target_feature(enable = "avx512f,avx512bw")]
            #[inline]
            unsafe fn quants($quants: *const u8, $chunk: usize) -> __m512i {
                // SAFETY: the caller's promise.
                unsafe { $vector }
            }

            #[target_feature(enable = "avx512f")]
            #[inline]
            unsafe fn scales(unit: *const u8, block: usize) -> __m512 {
                // SAFETY: a block begins with an f16 of each row.
                unsafe { load_halves(unit.add(block * Self::BYTES)) }
            }
        }
    };
}

unpack!(Q4_0, raised by 0, |quants, chunk| four_bits(quants, chunk));
unpack!(Q4_1, raised by 0, |quants, chunk| four_bits(quants, chunk));
unpack!(Q5_0, raised by 0, |quants, chunk| five_bits(quants, chunk));
unpack!(Q5_1, raised by 0, |quants, chunk| five_bits(quants, chunk));
unpack!(Iq4Nl, raised by 128, |quants, chunk| looked_up(quants, chunk));
unpack!(Q8_0, raised by 128, |quants, chunk| {
    _mm512_xor_si512(load(quants.add(64 * chunk)), _mm512_set1_epi8(-128))
});

impl Unpack for Iq4Xs {
    const RAISED_BY: i32 = 128;

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn quants(quants: *const u8, chunk: usize) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { looked_up(quants, chunk) }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn scales(unit: *const u8, block: usize) -> __m512 {
        // SAFETY: a unit begins with an f16, an u16 and a dword of each of 16 rows.
        unsafe {
            let low = _mm512_srl_epi32(load(unit.add(Self::LOW)), _mm_cvtsi32_si128(4 * block as i32));
            let high = _mm512_cvtepu16_epi32(_mm256_loadu_si256(unit.add(Self::HIGH).cast()));
            let high = _mm512_srl_epi32(high, _mm_cvtsi32_si128(2 * block as i32));
            let high = _mm512_slli_epi32::<4>(_mm512_and_si512(high, _mm512_set1_epi32(3)));
            let six_bits = _mm512_or_si512(_mm512_and_si512(low, _mm512_set1_epi32(15)), high);
            let integer = _mm512_sub_epi32(six_bits, _mm512_set1_epi32(32));
            _mm512_mul_ps(load_halves(unit), _mm512_cvtepi32_ps(integer))
        }
    }
}

/// One group of 16 rows with all activation rows.
///
/// # Safety
/// See [`GroupKernel`](crate::matmul::kernel::GroupKernel).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn group<T: Unpack>(weights: &[u8], activations: &Activations, tuning: &Tuning, sums: &mut [f32]) {
    for_blocks(activations, weights, T::BYTES, sums, |weights, input, is_first, sums| {
        // The first rows bring the weights into the cache for the others.
        let ahead = if is_first { tuning.fetch_ahead } else { 0 };
        // SAFETY: whole blocks of weights, an input of as many, and sums of its rows.
        unsafe {
            match sums.len() / ROWS {
                1 => superblock::<T, 1>(weights, ahead, input, sums),
                2 => superblock::<T, 2>(weights, ahead, input, sums),
                3 => superblock::<T, 3>(weights, ahead, input, sums),
                _ => superblock::<T, GROUP>(weights, ahead, input, sums),
            }
        }
    });
}

/// Adds the product of up to 8 blocks of 16 rows with `A` activation rows to `sums (A, 16)`; fetches weights `ahead` bytes
/// on, unless that is 0.
///
/// # Safety
/// The instruction sets of this module; the slices fit: whole blocks of weights, as many of the input, `A * 16` sums.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn superblock<T: Unpack, const A: usize>(
    weights: &[u8],
    ahead: usize,
    input: &BlockInput<'_>,
    sums: &mut [f32],
) {
    let offset = T::OFFSET + T::RAISED_BY;
    let totals_at = sums.as_mut_ptr();
    let mut totals = [_mm512_setzero_ps(); A];
    // SAFETY: every access lies inside the slices, by the sizes the caller promises.
    unsafe {
        for (i, total) in totals.iter_mut().enumerate() {
            *total = _mm512_loadu_ps(totals_at.add(ROWS * i));
        }
        for block in 0..weights.len() / T::BYTES {
            let unit = weights.as_ptr();
            let weights = unit.add(block * T::BYTES);
            if ahead != 0 {
                fetch(weights.wrapping_add(ahead), T::BYTES);
            }
            let quants = input.quants.as_ptr().add(block * BLOCK * A);
            let at = unit.add(T::QUANTS_AT + block * T::QUANTS_STEP);
            let mut dots = [_mm512_setzero_si512(); A];
            if offset != 0 {
                for (i, dot) in dots.iter_mut().enumerate() {
                    *dot = _mm512_set1_epi32(-offset * *input.sums.as_ptr().add(block * A + i));
                }
            }
            for chunk in 0..8 {
                let weights = T::quants(at, chunk);
                for (i, dot) in dots.iter_mut().enumerate() {
                    *dot = _mm512_dpbusd_epi32(*dot, weights, broadcast(quants.add((chunk * A + i) * 4)));
                }
            }
            let scale = T::scales(unit, block);
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
