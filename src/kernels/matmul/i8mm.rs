//! Kernels for aarch64 with the 8-bit matrix instructions beside NEON and the dot products: one instruction multiplies
//! 8 columns of 2 rows with those of 2 activation rows. They are faster from a few activation rows on; for fewer, the
//! kernels of `neon` run. Unsafe to call without these instruction sets.

#![allow(clippy::needless_range_loop, reason = "loops over registers index several arrays at once")]

mod k_quants;
mod legacy_quants;

use std::arch::aarch64::*;
use std::arch::asm;

use super::formats::with_format;
use super::kernel::GroupKernel;
use super::neon::{self, Sums};
use super::shape::GROUP;
use super::superblock::Expanded;
use crate::quant::QuantType;

/// Up to this many activation rows, the dot products of `neon`, which unpack in registers, are less work.
const DOT_UP_TO: usize = GROUP;

/// The kernel of an interleaved or float type.
pub(super) fn group_kernel(quant: QuantType) -> GroupKernel {
    with_format!(quant,
        float F => neon::floats::group::<F>,
        legacy F => legacy_quants::group::<F>,
        k_quant F => k_quants::group::<F>
    )
}

/// Sums of 8 rows for `P` pairs of activation rows: of weight rows 2 r, 2 r + 1 and activation rows 2 p, 2 p + 1,
/// `[p][r]` is `[w0 a0, w0 a1, w1 a0, w1 a1]`.
type PairSums<const P: usize> = [[int32x4_t; 4]; P];

/// Adds to `sums` the products of 8 columns of 2 rows with those of 2 activation rows.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn multiply_pairs(sums: int32x4_t, weights: int8x16_t, activations: int8x16_t) -> int32x4_t {
    let mut sums = sums;
    // SAFETY: registers only; the processor has the instruction.
    unsafe {
        asm!(
            "smmla {sums:v}.4s, {weights:v}.16b, {activations:v}.16b",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            activations = in(vreg) activations,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// Where the bytes of columns `8 k..8 k + 8` begin in an [`Expanded`], which is `[32][8 pairs of rows][2 rows][8]` here.
const fn expanded_offset(k: usize) -> usize {
    128 * k
}

/// Writes two neighbouring dwords of rows `4 g..4 g + 4`: dwords 2 k and 2 k + 1.
#[target_feature(enable = "neon")]
#[inline]
fn put(expanded: &mut Expanded, k: usize, g: usize, dwords: [int8x16_t; 2]) {
    let [even, odd] = dwords.map(|dword| vreinterpretq_s32_s8(dword));
    let target = &mut expanded.0[expanded_offset(k) + 32 * g..][..32];
    // SAFETY: 32 writable bytes.
    unsafe {
        vst1q_u8(target.as_mut_ptr(), vreinterpretq_u8_s32(vzip1q_s32(even, odd)));
        vst1q_u8(target.as_mut_ptr().add(16), vreinterpretq_u8_s32(vzip2q_s32(even, odd)));
    }
}

/// Eight columns of `A` activation rows as `P` pairs of rows, from two neighbouring dwords of each. If `A` is odd, the
/// last row is paired with arbitrary values, whose sums are not read.
///
/// # Safety
/// NEON; `2 * A` readable dwords, `P` is half of `A`, rounded up.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn activation_pairs<const A: usize, const P: usize>(quants: *const i8) -> [int8x16_t; P] {
    let mut pairs = [vdupq_n_s8(0); P];
    // SAFETY: the caller's promise: 8 bytes of each row.
    unsafe {
        match A {
            1 => {
                let row = vld1_s8(quants);
                pairs[0] = vcombine_s8(row, row);
            }
            2 => {
                // a0 b0 a1 b1 to a0 a1 b0 b1.
                let dwords = vreinterpretq_s32_s8(vld1q_s8(quants));
                let swapped = vextq_s32::<2>(dwords, dwords);
                pairs[0] = vreinterpretq_s8_s32(vzip1q_s32(dwords, swapped));
            }
            3 => {
                // a0 b0 c0 a1, c0 a1 b1 c1 to a0 a1 b0 b1, c0 c1 and two that are not read.
                let low = vreinterpretq_s32_s8(vld1q_s8(quants));
                let high = vreinterpretq_s32_s8(vld1q_s8(quants.add(8)));
                pairs[0] = vreinterpretq_s8_s32(vzip1q_s32(low, vextq_s32::<1>(high, high)));
                let last = vzip1q_s32(high, vextq_s32::<3>(high, high));
                pairs[P - 1] = vreinterpretq_s8_s32(last);
            }
            _ => {
                // a0 b0 c0 d0, a1 b1 c1 d1 to a0 a1 b0 b1, c0 c1 d0 d1.
                let even = vreinterpretq_s32_s8(vld1q_s8(quants));
                let odd = vreinterpretq_s32_s8(vld1q_s8(quants.add(16)));
                pairs[0] = vreinterpretq_s8_s32(vzip1q_s32(even, odd));
                pairs[P - 1] = vreinterpretq_s8_s32(vzip2q_s32(even, odd));
            }
        }
    }
    pairs
}

/// Adds the products of 8 columns of `P` pairs of activation rows with those of 8 rows, whose 4 pairs begin at `weights`.
///
/// # Safety
/// The instruction sets of this module; 64 readable bytes.
#[target_feature(enable = "neon,i8mm")]
#[inline]
unsafe fn multiply_add<const P: usize>(sums: &mut PairSums<P>, weights: *const u8, activations: &[int8x16_t; P]) {
    for r in 0..4 {
        // SAFETY: the caller's promise.
        let weights = vreinterpretq_s8_u8(unsafe { vld1q_u8(weights.add(16 * r)) });
        for p in 0..P {
            sums[p][r] = multiply_pairs(sums[p][r], weights, activations[p]);
        }
    }
}

/// Initial sums: `start(i)` for activation row `i` of `A`.
#[target_feature(enable = "neon")]
#[inline]
fn started<const A: usize, const P: usize>(start: impl Fn(usize) -> i32) -> PairSums<P> {
    let mut sums = [[vdupq_n_s32(0); 4]; P];
    for p in 0..P {
        let (even, odd) = (vdupq_n_s32(start(2 * p)), vdupq_n_s32(start((2 * p + 1).min(A - 1))));
        sums[p] = [vzip1q_s32(even, odd); 4];
    }
    sums
}

/// The sums row by row, as `neon` has them.
#[target_feature(enable = "neon")]
#[inline]
fn by_rows<const A: usize, const P: usize>(sums: &PairSums<P>) -> Sums<A, 2> {
    let mut rows = [[vdupq_n_s32(0); 2]; A];
    for i in 0..A {
        for g in 0..2 {
            let (low, high) = (sums[i / 2][2 * g], sums[i / 2][2 * g + 1]);
            rows[i][g] = if i % 2 == 0 { vuzp1q_s32(low, high) } else { vuzp2q_s32(low, high) };
        }
    }
    rows
}
