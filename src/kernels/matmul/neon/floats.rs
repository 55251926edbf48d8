//! F32, F16 and BF16 weights with f32 activations: dot products, tiles of 4 rows by up to 4 activation rows.

use std::arch::aarch64::*;

use super::lanes;
use crate::matmul::activations::Activations;
use crate::matmul::formats::{Bf16, F16, F32};
use crate::matmul::shape::ROWS;
use crate::tuning::Tuning;

/// Columns taken at a time, so that the rows of a group and the activations of a tile stay in the caches.
const COLUMNS: usize = 1024;
/// Rows of a tile, of weights and at most of activations.
const TILE: usize = 4;

/// A type of float as the file has it.
pub(in super::super) trait Float {
    const BYTES: usize;

    /// # Safety
    /// NEON; 4 elements are readable.
    unsafe fn load_4(at: *const u8) -> float32x4_t;
}

impl Float for F32 {
    const BYTES: usize = 4;

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn load_4(at: *const u8) -> float32x4_t {
        // SAFETY: the caller's promise.
        vreinterpretq_f32_u8(unsafe { vld1q_u8(at) })
    }
}

impl Float for F16 {
    const BYTES: usize = 2;

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn load_4(at: *const u8) -> float32x4_t {
        // SAFETY: the caller's promise.
        unsafe { lanes::halves(at) }
    }
}

impl Float for Bf16 {
    const BYTES: usize = 2;

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn load_4(at: *const u8) -> float32x4_t {
        // SAFETY: the caller's promise.
        let bits = vreinterpret_u16_u8(unsafe { vld1_u8(at) });
        vreinterpretq_f32_u32(vshll_n_u16::<16>(bits))
    }
}

/// 16 rows as in the file with all activation rows.
///
/// # Safety
/// See [`GroupKernel`](crate::matmul::kernel::GroupKernel).
#[target_feature(enable = "neon")]
pub(in super::super) unsafe fn group<T: Float>(
    weights: &[u8],
    activations: &Activations,
    _: &Tuning,
    sums: &mut [f32],
) {
    let (m, cols) = (activations.m, activations.cols);
    assert!(weights.len() == ROWS * cols * T::BYTES && sums.len() == m * ROWS && activations.values.len() == m * cols);
    for start in (0..cols).step_by(COLUMNS) {
        let width = COLUMNS.min(cols - start);
        for first in (0..m).step_by(TILE) {
            let values = &activations.values[first * cols + start..];
            let sums = &mut sums[first * ROWS..];
            for row in (0..ROWS).step_by(TILE) {
                let weights = &weights[(row * cols + start) * T::BYTES..];
                let sums = &mut sums[row..];
                // SAFETY: `width` columns of 4 rows and of up to 4 activation rows begin at the slices' starts.
                unsafe {
                    match m - first {
                        1 => tile::<T, 1>(weights, values, cols, width, sums),
                        2 => tile::<T, 2>(weights, values, cols, width, sums),
                        3 => tile::<T, 3>(weights, values, cols, width, sums),
                        _ => tile::<T, 4>(weights, values, cols, width, sums),
                    }
                }
            }
        }
    }
}

/// Adds the products of 4 rows with `A` activation rows, over `width` columns, to the first 4 of each 16 `sums`.
///
/// # Safety
/// NEON; `weights` and `values` begin at the tile's first row, their rows are `cols` long.
#[target_feature(enable = "neon")]
unsafe fn tile<T: Float, const A: usize>(weights: &[u8], values: &[f32], cols: usize, width: usize, sums: &mut [f32]) {
    let (weights, values) = (weights.as_ptr(), values.as_ptr());
    let mut acc = [[vdupq_n_f32(0.0); TILE]; A];
    let whole = width - width % 4;
    // SAFETY: the caller's promise.
    unsafe {
        for i in (0..whole).step_by(4) {
            let mut inputs = [vdupq_n_f32(0.0); A];
            for a in 0..A {
                inputs[a] = vld1q_f32(values.add(a * cols + i));
            }
            for row in 0..TILE {
                let weight = T::load_4(weights.add((row * cols + i) * T::BYTES));
                for a in 0..A {
                    acc[a][row] = vfmaq_f32(acc[a][row], weight, inputs[a]);
                }
            }
        }
        if whole < width {
            // The rest of a row, padded with zeros.
            let len = width - whole;
            for row in 0..TILE {
                let mut rest = [0u8; 16];
                let source = std::slice::from_raw_parts(weights.add((row * cols + whole) * T::BYTES), len * T::BYTES);
                rest[..source.len()].copy_from_slice(source);
                let weight = T::load_4(rest.as_ptr());
                for a in 0..A {
                    let mut rest = [0.0; 4];
                    rest[..len].copy_from_slice(std::slice::from_raw_parts(values.add(a * cols + whole), len));
                    acc[a][row] = vfmaq_f32(acc[a][row], weight, vld1q_f32(rest.as_ptr()));
                }
            }
        }
        for a in 0..A {
            let [x, y, z, w] = acc[a];
            let four = vpaddq_f32(vpaddq_f32(x, y), vpaddq_f32(z, w));
            let sums = sums[a * ROWS..][..TILE].as_mut_ptr();
            vst1q_f32(sums, vaddq_f32(vld1q_f32(sums), four));
        }
    }
}
