//! F32, F16 and BF16 weights with f32 activations: dot products, tiles of 4 rows by up to 3 activation rows.

use std::arch::x86_64::*;

use crate::matmul::activations::Activations;
use crate::matmul::formats::{Bf16, F16, F32};
use crate::matmul::shape::ROWS;
use crate::tuning::Tuning;

/// Columns taken at a time, so that the rows of a group and the activations of a tile stay in the caches.
const COLUMNS: usize = 1024;
/// Weight rows of a tile.
const TILE_ROWS: usize = 4;

/// A type of float as the file has it.
pub(in super::super) trait Float {
    const BYTES: usize;

    /// # Safety
    /// AVX2 and F16C; 8 elements are readable.
    unsafe fn load_8(at: *const u8) -> __m256;

    /// # Safety
    /// F16C; one element is readable.
    unsafe fn load_1(at: *const u8) -> f32;
}

impl Float for F32 {
    const BYTES: usize = 4;

    #[target_feature(enable = "avx2")]
    unsafe fn load_8(at: *const u8) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_ps(at.cast()) }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn load_1(at: *const u8) -> f32 {
        // SAFETY: the caller's promise.
        unsafe { at.cast::<f32>().read_unaligned() }
    }
}

impl Float for F16 {
    const BYTES: usize = 2;

    #[target_feature(enable = "avx2,f16c")]
    unsafe fn load_8(at: *const u8) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { super::load_halves(at) }
    }

    #[target_feature(enable = "avx2,f16c")]
    unsafe fn load_1(at: *const u8) -> f32 {
        // SAFETY: the caller's promise.
        let bits = unsafe { at.cast::<u16>().read_unaligned() };
        _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits))))
    }
}

impl Float for Bf16 {
    const BYTES: usize = 2;

    #[target_feature(enable = "avx2")]
    unsafe fn load_8(at: *const u8) -> __m256 {
        // SAFETY: the caller's promise.
        let bits = _mm256_cvtepu16_epi32(unsafe { _mm_loadu_si128(at.cast()) });
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
    }

    #[target_feature(enable = "avx2")]
    unsafe fn load_1(at: *const u8) -> f32 {
        // SAFETY: the caller's promise.
        f32::from_bits(u32::from(unsafe { at.cast::<u16>().read_unaligned() }) << 16)
    }
}

/// 16 rows as in the file with all activation rows.
///
/// # Safety
/// See [`GroupKernel`](crate::matmul::kernel::GroupKernel).
#[target_feature(enable = "avx2,fma,f16c")]
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
        for first in (0..m).step_by(3) {
            let values = &activations.values[first * cols + start..];
            let sums = &mut sums[first * ROWS..];
            for row in (0..ROWS).step_by(TILE_ROWS) {
                let weights = &weights[(row * cols + start) * T::BYTES..];
                let sums = &mut sums[row..];
                // SAFETY: `width` columns of 4 rows and of up to 3 activation rows begin at the slices' starts.
                unsafe {
                    match m - first {
                        1 => tile::<T, 1>(weights, values, cols, width, sums),
                        2 => tile::<T, 2>(weights, values, cols, width, sums),
                        _ => tile::<T, 3>(weights, values, cols, width, sums),
                    }
                }
            }
        }
    }
}

/// Adds the products of 4 rows with `A` activation rows, over `width` columns, to the first 4 of each 16 `sums`.
///
/// # Safety
/// AVX2, FMA, F16C; `weights` and `values` begin at the tile's first row, their rows are `cols` long.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile<T: Float, const A: usize>(weights: &[u8], values: &[f32], cols: usize, width: usize, sums: &mut [f32]) {
    let (weights, values) = (weights.as_ptr(), values.as_ptr());
    let mut acc = [[_mm256_setzero_ps(); TILE_ROWS]; A];
    let whole = width - width % 8;
    // SAFETY: the caller's promise.
    unsafe {
        for i in (0..whole).step_by(8) {
            let mut inputs = [_mm256_setzero_ps(); A];
            for a in 0..A {
                inputs[a] = _mm256_loadu_ps(values.add(a * cols + i));
            }
            for row in 0..TILE_ROWS {
                let weight = T::load_8(weights.add((row * cols + i) * T::BYTES));
                for a in 0..A {
                    acc[a][row] = _mm256_fmadd_ps(weight, inputs[a], acc[a][row]);
                }
            }
        }
        for a in 0..A {
            let mut tail = [0.0; TILE_ROWS];
            for (row, tail) in tail.iter_mut().enumerate() {
                for i in whole..width {
                    *tail += T::load_1(weights.add((row * cols + i) * T::BYTES)) * *values.add(a * cols + i);
                }
            }
            let [x, y, z, w] = acc[a];
            let halves = _mm256_hadd_ps(_mm256_hadd_ps(x, y), _mm256_hadd_ps(z, w));
            let four = _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps::<1>(halves));
            let four = _mm_add_ps(four, _mm_loadu_ps(tail.as_ptr()));
            let sums = sums[a * ROWS..][..TILE_ROWS].as_mut_ptr();
            _mm_storeu_ps(sums, _mm_add_ps(_mm_loadu_ps(sums), four));
        }
    }
}
