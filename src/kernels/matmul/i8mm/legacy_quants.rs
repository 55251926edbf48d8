//! The types with blocks of 32: as in `neon`, from up to 8 blocks expanded to pairs of rows.

use std::arch::aarch64::*;

use super::{DOT_UP_TO, activation_pairs, by_rows, expanded_offset, multiply_add, put, started};
use crate::matmul::activations::{Activations, BlockInput, for_blocks};
use crate::matmul::fetch::fetch;
use crate::matmul::neon::legacy_quants::{self as neon, Totals, Unpack};
use crate::matmul::shape::{ROWS, SUPER};
use crate::matmul::superblock::{Expanded, for_four};
use crate::tuning::Tuning;

/// One group of 16 rows with all activation rows.
///
/// # Safety
/// See [`GroupKernel`](crate::matmul::kernel::GroupKernel).
#[target_feature(enable = "neon,dotprod,i8mm")]
pub(super) unsafe fn group<T: Unpack>(weights: &[u8], activations: &Activations, tuning: &Tuning, sums: &mut [f32]) {
    if activations.m <= DOT_UP_TO {
        // SAFETY: the caller's promise.
        return unsafe { neon::group::<T>(weights, activations, tuning, sums) };
    }
    let mut expanded = Expanded([0; ROWS * SUPER]);
    for_blocks(activations, weights, T::BYTES, sums, |weights, input, is_first, sums| {
        // SAFETY: whole blocks of weights, at most 8, an input of as many, and sums of its rows.
        unsafe {
            if is_first {
                expand::<T>(weights, tuning.fetch_ahead, &mut expanded);
            }
            match sums.len() / ROWS {
                1 => superblock::<T, 1, 1>(weights, &expanded, input, sums),
                2 => superblock::<T, 2, 1>(weights, &expanded, input, sums),
                3 => superblock::<T, 3, 2>(weights, &expanded, input, sums),
                _ => superblock::<T, 4, 2>(weights, &expanded, input, sums),
            }
        }
    });
}

#[target_feature(enable = "neon")]
unsafe fn expand<T: Unpack>(weights: &[u8], fetch_ahead: usize, expanded: &mut Expanded) {
    let unit = weights.as_ptr();
    for (block, weights) in weights.chunks_exact(T::BYTES).enumerate() {
        fetch(weights.as_ptr().wrapping_add(fetch_ahead), T::BYTES);
        for_four!(K => {
            for g in 0..4 {
                // SAFETY: the unit has the block.
                let dwords = unsafe {
                    let at = unit.add(T::QUANTS_AT + block * T::QUANTS_STEP);
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
unsafe fn superblock<T: Unpack, const A: usize, const P: usize>(
    weights: &[u8],
    expanded: &Expanded,
    input: &BlockInput<'_>,
    sums: &mut [f32],
) {
    for half in 0..2 {
        let mut totals = Totals::<A, 2>::load(sums, 2 * half);
        for block in 0..weights.len() / T::BYTES {
            let mut dots = [[vdupq_n_s32(0); 4]; P];
            // SAFETY: the input holds block `block` of `A` rows, `expanded` that of 16 rows.
            unsafe {
                if T::OFFSET != 0 {
                    dots = started::<A, P>(|i| -T::OFFSET * *input.sums.as_ptr().add(block * A + i));
                }
                for k in 4 * block..4 * block + 4 {
                    let activations = activation_pairs::<A, P>(input.quants.as_ptr().add(8 * k * A));
                    multiply_add(&mut dots, expanded.0.as_ptr().add(expanded_offset(k) + 64 * half), &activations);
                }
                totals.add_block::<T>(weights.as_ptr(), &by_rows::<A, P>(&dots), input, block, 2 * half);
            }
        }
        totals.store(sums, 2 * half);
    }
}
