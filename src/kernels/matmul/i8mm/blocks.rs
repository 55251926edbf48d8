//! The types with blocks of 32: as in `neon`, from up to 8 blocks expanded to pairs of rows.

use std::arch::aarch64::*;

use super::super::activations::{Activations, BLOCK, BlockInput, SUPER, row_groups};
use super::super::layout::ROWS;
use super::super::neon::blocks::{self as neon, BlockType, Totals};
use super::super::neon::{FETCH_AHEAD, for_four};
use super::super::superblock::{Expanded, fetch};
use super::{DOT_UP_TO, activation_pairs, by_rows, expanded_place, multiply_add, put, started};

/// One group of 16 rows with all activation rows.
///
/// # Safety
/// See [`super::super::grouped::GroupKernel`].
#[target_feature(enable = "neon,dotprod,i8mm")]
pub(super) unsafe fn group<T: BlockType>(weights: &[u8], activations: &Activations, sums: &mut [f32]) {
    let (m, cols) = (activations.m, activations.cols);
    if m <= DOT_UP_TO {
        // SAFETY: the caller's promise.
        return unsafe { neon::group::<T>(weights, activations, sums) };
    }
    debug_assert!(weights.len() == cols / BLOCK * T::BYTES && sums.len() == m * ROWS);
    let mut expanded = Expanded([0; ROWS * SUPER]);
    for start in (0..cols).step_by(SUPER) {
        let width = SUPER.min(cols - start);
        let weights = &weights[start / BLOCK * T::BYTES..][..width / BLOCK * T::BYTES];
        // SAFETY: whole blocks, at most 8.
        unsafe { expand::<T>(weights, &mut expanded) };
        for (first, rows) in row_groups(m) {
            let input = activations.blocks.input(m, start, width, (first, rows));
            let sums = &mut sums[first * ROWS..][..rows * ROWS];
            // SAFETY: the slices have just been cut to the sizes the kernel reads.
            unsafe {
                match rows {
                    1 => superblock::<T, 1, 1>(weights, &expanded, &input, sums),
                    2 => superblock::<T, 2, 1>(weights, &expanded, &input, sums),
                    3 => superblock::<T, 3, 2>(weights, &expanded, &input, sums),
                    _ => superblock::<T, 4, 2>(weights, &expanded, &input, sums),
                }
            }
        }
    }
}

#[target_feature(enable = "neon")]
unsafe fn expand<T: BlockType>(weights: &[u8], expanded: &mut Expanded) {
    for (block, weights) in weights.chunks_exact(T::BYTES).enumerate() {
        fetch(weights.as_ptr().wrapping_add(FETCH_AHEAD), T::BYTES);
        for_four!(K => {
            for g in 0..4 {
                // SAFETY: `weights` is one block.
                let dwords = unsafe {
                    let at = weights.as_ptr().add(T::SCALE_BYTES);
                    [T::quants(at, 2 * K, g), T::quants(at, 2 * K + 1, g)]
                };
                put(expanded, 4 * block + K, g, dwords);
            }
        });
    }
}

/// Adds the product of up to 8 blocks of 16 rows with `A` activation rows to `sums (A, 16)`, 8 rows at a time.
///
/// # Safety
/// The instruction sets of this module; whole blocks of weights, and expanded; as many of the input, of `A` rows, which
/// are `P` pairs; `A * 16` sums.
#[target_feature(enable = "neon,i8mm")]
unsafe fn superblock<T: BlockType, const A: usize, const P: usize>(
    weights: &[u8],
    expanded: &Expanded,
    input: &BlockInput<'_>,
    sums: &mut [f32],
) {
    for half in 0..2 {
        let mut totals = Totals::<A, 2>::load(sums, 2 * half);
        for (block, weights) in weights.chunks_exact(T::BYTES).enumerate() {
            let mut dots = [[vdupq_n_s32(0); 4]; P];
            // SAFETY: the input holds block `block` of `A` rows, `expanded` that of 16 rows.
            unsafe {
                if T::OFFSET != 0 {
                    dots = started::<A, P>(|i| -T::OFFSET * *input.sums.as_ptr().add(block * A + i));
                }
                for k in 4 * block..4 * block + 4 {
                    let activations = activation_pairs::<A, P>(input.quants.as_ptr().add(8 * k * A));
                    multiply_add(&mut dots, expanded.0.as_ptr().add(expanded_place(k) + 64 * half), &activations);
                }
                totals.add_block::<T>(weights.as_ptr(), &by_rows::<A, P>(&dots), input, block, 2 * half);
            }
        }
        totals.store(sums, 2 * half);
    }
}
