//! The types with blocks of 32: 32-bit sums over a block, scaled in f32.
//!
//! All quants but those of Q8_0, IQ4_NL and IQ4_XS are unsigned bytes below 32, so they are valid as signed ones, too.
//! An offset is taken off by starting a block's sum at minus the offset times the activations' sum.

use std::arch::aarch64::*;

use super::{Sums, dot, load, load_halves, multiply_add, nibbles};
use crate::matmul::activations::{Activations, BlockInput, for_blocks};
use crate::matmul::fetch::fetch;
use crate::matmul::formats::{Iq4Nl, Iq4Xs, LegacyQuant, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use crate::matmul::shape::{BLOCK, ROWS};
use crate::matmul::superblock::for_four;
use crate::quant::IQ4_VALUES;
use crate::tuning::Tuning;

/// The quants of a type with blocks of 32.
pub(in super::super) trait Unpack: LegacyQuant {
    /// Dword `chunk` of rows `4 g..4 g + 4`, OFFSET not yet taken off; `quants` is where they begin.
    ///
    /// # Safety
    /// NEON; the quants of a block, `chunk < 8`, `g < 4`.
    unsafe fn quants(quants: *const u8, chunk: usize, g: usize) -> int8x16_t;

    /// The scales of block `block` of 16 rows of a unit.
    ///
    /// # Safety
    /// NEON; a unit of so many blocks.
    unsafe fn scales(unit: *const u8, block: usize) -> [float32x4_t; 4];
}

/// Dword `chunk` of 4 vectors of 64 bytes of nibbles: low ones first, then high ones.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn four_bits(weights: *const u8, chunk: usize, g: usize) -> uint8x16_t {
    // SAFETY: the caller passes 4 vectors.
    nibbles(unsafe { load(weights.add(64 * (chunk % 4) + 16 * g)) }, chunk >= 4)
}

/// The same with 64 bytes of fifth bits in front: bit k of a row's dword belongs to column k.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn five_bits(weights: *const u8, chunk: usize, g: usize) -> uint8x16_t {
    // SAFETY: the caller passes 5 vectors.
    let (fifths, low) = unsafe { (load(weights.add(16 * g)), four_bits(weights.add(64), chunk, g)) };
    // SAFETY: 16 bytes of a constant.
    let spread = unsafe { load([0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12].as_ptr()) };
    let spread = vaddq_u8(spread, vdupq_n_u8((chunk / 2) as u8));
    let bits = vdupq_n_u32(if chunk.is_multiple_of(2) { 0x0804_0201 } else { 0x8040_2010 });
    let is_set = vtstq_u8(vqtbl1q_u8(fifths, spread), vreinterpretq_u8_u32(bits));
    vorrq_u8(low, vandq_u8(is_set, vdupq_n_u8(16)))
}

macro_rules! unpack {
    ($name:ident, $quants:expr) => {
        impl Unpack for $name {
            #[target_feature(enable = "neon")]
            #[inline]
            unsafe fn quants(quants: *const u8, chunk: usize, g: usize) -> int8x16_t {
                // SAFETY: the caller's promise.
                vreinterpretq_s8_u8(unsafe { $quants(quants, chunk, g) })
            }

            #[target_feature(enable = "neon")]
            #[inline]
            unsafe fn scales(unit: *const u8, block: usize) -> [float32x4_t; 4] {
                // SAFETY: a block begins with an f16 of each row.
                unsafe { load_halves(unit.add(block * Self::BYTES)) }
            }
        }
    };
}

/// What four bits stand for in IQ4_NL and IQ4_XS.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn looked_up(quants: *const u8, chunk: usize, g: usize) -> uint8x16_t {
    // SAFETY: 16 bytes of a constant; the caller passes 4 vectors.
    unsafe { vqtbl1q_u8(vld1q_u8(IQ4_VALUES.as_ptr().cast()), four_bits(quants, chunk, g)) }
}

unpack!(Q4_0, four_bits);
unpack!(Q4_1, four_bits);
unpack!(Q5_0, five_bits);
unpack!(Q5_1, five_bits);
unpack!(Iq4Nl, looked_up);
unpack!(Q8_0, |quants: *const u8, chunk, g| load(quants.add(64 * chunk + 16 * g)));

impl Unpack for Iq4Xs {
    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn quants(quants: *const u8, chunk: usize, g: usize) -> int8x16_t {
        // SAFETY: the caller's promise.
        vreinterpretq_s8_u8(unsafe { looked_up(quants, chunk, g) })
    }

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn scales(unit: *const u8, block: usize) -> [float32x4_t; 4] {
        // SAFETY: a unit begins with an f16, an u16 and a dword of each of 16 rows.
        unsafe {
            let mut scales = load_halves(unit);
            for (g, scale) in scales.iter_mut().enumerate() {
                let low = vreinterpretq_u32_u8(load(unit.add(Self::LOW + 16 * g)));
                let low = vandq_u32(vshlq_u32(low, vdupq_n_s32(-4 * (block as i32))), vdupq_n_u32(15));
                let high = vmovl_u16(vld1_u16(unit.add(Self::HIGH + 8 * g).cast()));
                let high = vandq_u32(vshlq_u32(high, vdupq_n_s32(-2 * (block as i32))), vdupq_n_u32(3));
                let six_bits = vreinterpretq_s32_u32(vorrq_u32(low, vshlq_n_u32::<4>(high)));
                *scale = vmulq_f32(*scale, vcvtq_f32_s32(vsubq_s32(six_bits, vdupq_n_s32(32))));
            }
            scales
        }
    }
}

/// One group of 16 rows with all activation rows.
///
/// # Safety
/// See [`GroupKernel`](crate::matmul::kernel::GroupKernel).
#[target_feature(enable = "neon,dotprod")]
pub(in super::super) unsafe fn group<T: Unpack>(
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
                1 => superblock::<T, 1, 4>(weights, ahead, input, sums),
                2 => superblock::<T, 2, 4>(weights, ahead, input, sums),
                3 => superblock::<T, 3, 2>(weights, ahead, input, sums),
                _ => superblock::<T, 4, 2>(weights, ahead, input, sums),
            }
        }
    });
}

/// Adds the product of up to 8 blocks of 16 rows with `A` activation rows to `sums (A, 16)`, `G` vectors of 4 rows at a
/// time: as many as leave the registers room. Fetches weights `ahead` bytes on, unless that is 0.
///
/// # Safety
/// The instruction sets of this module; the slices fit: whole blocks of weights, as many of the input, `A * 16` sums.
#[target_feature(enable = "neon,dotprod")]
unsafe fn superblock<T: Unpack, const A: usize, const G: usize>(
    weights: &[u8],
    ahead: usize,
    input: &BlockInput<'_>,
    sums: &mut [f32],
) {
    let blocks = weights.len() / T::BYTES;
    for first in (0..4).step_by(G) {
        let mut totals = Totals::<A, G>::load(sums, first);
        for block in 0..blocks {
            // SAFETY: every access lies inside the slices, by the sizes the caller promises.
            unsafe {
                let unit = weights.as_ptr();
                let weights = unit.add(block * T::BYTES);
                let share = T::BYTES * G / 4;
                if ahead != 0 {
                    fetch(weights.wrapping_add(ahead + share * first / G), share);
                }
                let quants = input.quants.as_ptr().add(block * BLOCK * A);
                let at = unit.add(T::QUANTS_AT + block * T::QUANTS_STEP);
                let mut dots: Sums<A, G> = [[vdupq_n_s32(0); G]; A];
                if T::OFFSET != 0 {
                    for (i, dots) in dots.iter_mut().enumerate() {
                        *dots = [vdupq_n_s32(-T::OFFSET * *input.sums.as_ptr().add(block * A + i)); G];
                    }
                }
                multiply_add!(dots, quants, |C, g| T::quants(at, C, first + g));
                multiply_add!(dots, quants.add(16 * A), |C, g| T::quants(at, 4 + C, first + g));
                totals.add_block::<T>(unit, &dots, input, block, first);
            }
        }
        totals.store(sums, first);
    }
}

/// Sums in f32, of `A` activation rows with `G` vectors of 4 rows.
pub(in super::super) struct Totals<const A: usize, const G: usize>([[float32x4_t; G]; A]);

impl<const A: usize, const G: usize> Totals<A, G> {
    /// From `sums (A, 16)`, rows from `4 * first` on.
    #[target_feature(enable = "neon")]
    pub(in super::super) fn load(sums: &[f32], first: usize) -> Self {
        let mut totals = [[vdupq_n_f32(0.0); G]; A];
        for i in 0..A {
            for g in 0..G {
                let four = &sums[ROWS * i + 4 * (first + g)..][..4];
                // SAFETY: 4 numbers.
                totals[i][g] = unsafe { vld1q_f32(four.as_ptr()) };
            }
        }
        Self(totals)
    }

    #[target_feature(enable = "neon")]
    pub(in super::super) fn store(&self, sums: &mut [f32], first: usize) {
        for i in 0..A {
            for g in 0..G {
                let four = &mut sums[ROWS * i + 4 * (first + g)..][..4];
                // SAFETY: 4 numbers.
                unsafe { vst1q_f32(four.as_mut_ptr(), self.0[i][g]) };
            }
        }
    }

    /// Adds the integer sums of block `block` of the unit that begins at `unit`.
    ///
    /// # Safety
    /// NEON; a unit of 16 rows is readable, `input` has the block for `A` rows.
    #[target_feature(enable = "neon")]
    #[inline]
    pub(in super::super) unsafe fn add_block<T: Unpack>(
        &mut self,
        unit: *const u8,
        dots: &Sums<A, G>,
        input: &BlockInput<'_>,
        block: usize,
        first: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let scales = T::scales(unit, block);
            for i in 0..A {
                let scale = *input.scales.as_ptr().add(block * A + i);
                for g in 0..G {
                    let scale = vmulq_n_f32(scales[first + g], scale);
                    self.0[i][g] = vfmaq_f32(self.0[i][g], vcvtq_f32_s32(dots[i][g]), scale);
                }
            }
            if T::HAS_MIN {
                let minima = load_halves(unit.add(block * T::BYTES + 2 * ROWS));
                for i in 0..A {
                    let sum = *input.scaled_sums.as_ptr().add(block * A + i);
                    for g in 0..G {
                        self.0[i][g] = vfmaq_n_f32(self.0[i][g], minima[first + g], sum);
                    }
                }
            }
        }
    }
}
