//! The K-quants: as in `neon`, from superblocks expanded to pairs of rows.

use std::arch::aarch64::*;

use super::{DOT_UP_TO, PairSums, activation_pairs, by_rows, expanded_offset, multiply_add, put, started};
use crate::matmul::activations::{Activations, row_groups};
use crate::matmul::fetch::fetch_share;
use crate::matmul::neon::k_quants::{self as neon, Input, Scales, Unpack};
use crate::matmul::neon::opaque;
use crate::matmul::shape::{ROWS, SUB_BLOCKS, SUPER};
use crate::matmul::superblock::{Expanded, for_sub_blocks};
use crate::tuning::Tuning;

/// One group of 16 rows with all activation rows.
///
/// # Safety
/// See [`GroupKernel`](crate::matmul::kernel::GroupKernel).
#[target_feature(enable = "neon,dotprod,i8mm")]
pub(super) unsafe fn group<T: Unpack>(weights: &[u8], activations: &Activations, tuning: &Tuning, sums: &mut [f32]) {
    let m = activations.m;
    if m <= DOT_UP_TO {
        // SAFETY: the caller's promise.
        return unsafe { neon::group::<T>(weights, activations, tuning, sums) };
    }
    debug_assert!(weights.len() == activations.cols / SUPER * T::BYTES && sums.len() == m * ROWS);
    let mut expanded = Expanded([0; ROWS * SUPER]);
    for (superblock, weights) in weights.chunks_exact(T::BYTES).enumerate() {
        // SAFETY: `weights` is one superblock.
        let scales = unsafe {
            expand::<T>(weights.as_ptr(), tuning.fetch_ahead, &mut expanded);
            T::scales(weights.as_ptr())
        };
        for (first, rows) in row_groups(m) {
            let input = Input::new(activations, superblock, first, rows);
            let sums = &mut sums[first * ROWS..][..rows * ROWS];
            // SAFETY: an input and sums of `rows` rows.
            unsafe {
                match rows {
                    1 => tile::<T, 1, 1>(&expanded, &scales, &input, sums),
                    2 => tile::<T, 2, 1>(&expanded, &scales, &input, sums),
                    3 => tile::<T, 3, 2>(&expanded, &scales, &input, sums),
                    _ => tile::<T, 4, 2>(&expanded, &scales, &input, sums),
                }
            }
        }
    }
}

#[target_feature(enable = "neon")]
unsafe fn expand<T: Unpack>(weights: *const u8, fetch_ahead: usize, expanded: &mut Expanded) {
    // SAFETY: the caller passes a superblock.
    unsafe {
        for_sub_blocks!(S => {
            let weights = opaque(weights);
            for half in 0..2 {
                for step in 0..2 {
                    fetch_share(weights.wrapping_add(fetch_ahead), T::BYTES, 4 * S + 2 * half + step, 64);
                }
                for g in 0..4 {
                    let even = T::quants::<S>(weights, 2 * half, g);
                    let odd = T::quants::<S>(weights, 2 * half + 1, g);
                    put(expanded, 2 * S + half, g, [even, odd]);
                }
            }
        });
    }
}

/// Adds the product of 16 rows with `A` activation rows to `sums (A, 16)`, 8 rows at a time.
///
/// # Safety
/// The instruction sets of this module; an input of `A` rows, which are `P` pairs, and `A * 16` sums.
#[target_feature(enable = "neon,i8mm")]
unsafe fn tile<T: Unpack, const A: usize, const P: usize>(
    expanded: &Expanded,
    scales: &Scales,
    input: &Input<'_>,
    sums: &mut [f32],
) {
    for half in 0..2 {
        // SAFETY: the caller's promise.
        unsafe {
            let totals = products::<T, A, P>(expanded, scales, input, half);
            neon::finish::<T, A, 2>(scales, &by_rows::<A, P>(&totals), input, 2 * half, sums);
        }
    }
}

/// The sums of rows `8 half..8 half + 8`.
///
/// # Safety
/// As for `tile`; `half < 2`.
#[target_feature(enable = "neon,i8mm")]
unsafe fn products<T: Unpack, const A: usize, const P: usize>(
    expanded: &Expanded,
    scales: &Scales,
    input: &Input<'_>,
    half: usize,
) -> PairSums<P> {
    let mut totals = [[vdupq_n_s32(0); 4]; P];
    for sub_block in (0..SUB_BLOCKS).step_by(T::SCALE_SUB_BLOCKS) {
        let mut sums = [[vdupq_n_s32(0); 4]; P];
        // SAFETY: the input holds `A` rows of 256 columns, and `expanded` as many of 16 rows.
        unsafe {
            if T::OFFSET != 0 {
                sums = started::<A, P>(|i| -i32::from(T::OFFSET) * input.sub_block_sum::<A>(sub_block, i));
            }
            for k in 2 * sub_block..2 * (sub_block + T::SCALE_SUB_BLOCKS) {
                let activations = activation_pairs::<A, P>(input.quants.as_ptr().add(8 * k * A));
                let weights = expanded.0.as_ptr().add(expanded_offset(k) + 64 * half);
                multiply_add(&mut sums, weights, &activations);
            }
        }
        for g in 0..2 {
            let scale = scales.integers[sub_block / T::SCALE_SUB_BLOCKS][2 * half + g];
            let (low, high) = (vzip1q_s32(scale, scale), vzip2q_s32(scale, scale));
            for p in 0..P {
                totals[p][2 * g] = vmlaq_s32(totals[p][2 * g], sums[p][2 * g], low);
                totals[p][2 * g + 1] = vmlaq_s32(totals[p][2 * g + 1], sums[p][2 * g + 1], high);
            }
        }
    }
    totals
}
