//! A page of f16 for many queries: the page, widened to f32 once, meets tiles of 8 queries.
//!
//! Scores take all 32 positions of a page in two vectors, outputs three vectors of the head at a time.

#![allow(clippy::needless_range_loop, reason = "loops over registers index several arrays at once")]

use std::arch::x86_64::*;

use super::super::super::page::PAGE_LEN;
use super::super::halves::widened;
use super::super::tile::{HeadPage, Tile};
use super::{LANES, query_tiles};

/// Vectors of a page's scores.
const SCORES: usize = PAGE_LEN / LANES;
/// From how many queries on these kernels are faster than those of `flash::halves`.
pub(super) const MIN_QUERIES: usize = 8;

/// As `avx512::attend_page`.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c,avx512f")]
pub(super) unsafe fn attend_page(page: &HeadPage<'_>, tile: &mut Tile) {
    let dim = page.shape.head_dim;
    // SAFETY: the caller's promise.
    let wide = unsafe { widened(page, tile) };
    let (keys, values) = (wide.as_ptr(), wide[PAGE_LEN * dim..].as_ptr());
    // SAFETY: the tile holds as many rows of each of its parts, the page `PAGE_LEN * dim` keys and as many values.
    unsafe {
        for (first, count) in query_tiles(tile.len()) {
            let query = tile.queries.as_ptr().add(first * dim);
            let weights = tile.weights.as_mut_ptr().add(first * PAGE_LEN);
            match count {
                1 => scores::<1>(keys, dim, query, weights),
                2 => scores::<2>(keys, dim, query, weights),
                4 => scores::<4>(keys, dim, query, weights),
                _ => scores::<8>(keys, dim, query, weights),
            }
        }
        let positions = tile.update_softmax(dim, page.start);
        for (first, count) in query_tiles(tile.len()) {
            let weights = tile.weights.as_ptr().add(first * PAGE_LEN);
            let output = tile.run.output.as_mut_ptr().add(first * dim);
            match count {
                1 => accumulate_strips::<1>(values, dim, weights, positions, output),
                2 => accumulate_strips::<2>(values, dim, weights, positions, output),
                4 => accumulate_strips::<4>(values, dim, weights, positions, output),
                _ => accumulate_strips::<8>(values, dim, weights, positions, output),
            }
        }
    }
    tile.widened = wide;
}

/// `scores (Q, PAGE_LEN) = query (Q, dim) x keys^T`.
///
/// # Safety
/// AVX-512; the arrays have these sizes.
#[target_feature(enable = "avx512f")]
unsafe fn scores<const Q: usize>(keys: *const f32, dim: usize, query: *const f32, scores: *mut f32) {
    let mut sums = [[_mm512_setzero_ps(); SCORES]; Q];
    // SAFETY: `dim` elements of each query, `dim` times 32 keys, `Q` pages of scores.
    unsafe {
        for i in 0..dim {
            let mut vectors = [_mm512_setzero_ps(); SCORES];
            for v in 0..SCORES {
                vectors[v] = _mm512_loadu_ps(keys.add(i * PAGE_LEN + v * LANES));
            }
            for q in 0..Q {
                let element = _mm512_set1_ps(*query.add(q * dim + i));
                for v in 0..SCORES {
                    sums[q][v] = _mm512_fmadd_ps(element, vectors[v], sums[q][v]);
                }
            }
        }
        for q in 0..Q {
            for v in 0..SCORES {
                _mm512_storeu_ps(scores.add(q * PAGE_LEN + v * LANES), sums[q][v]);
            }
        }
    }
}

/// Adds the weighted values of the first `positions` to `output (Q, dim)`.
///
/// # Safety
/// AVX-512; `dim` is a multiple of 16; weights and outputs are those of `Q` queries.
#[target_feature(enable = "avx512f")]
unsafe fn accumulate_strips<const Q: usize>(
    values: *const f32,
    dim: usize,
    weights: *const f32,
    positions: usize,
    output: *mut f32,
) {
    let mut start = 0;
    // SAFETY: strips lie inside the head.
    unsafe {
        while start < dim {
            let strip = match (dim - start) / LANES {
                3 | 5.. => 3,
                2 | 4 => 2,
                _ => 1,
            };
            match strip {
                3 => accumulate::<Q, 3>(values.add(start), dim, weights, positions, output.add(start)),
                2 => accumulate::<Q, 2>(values.add(start), dim, weights, positions, output.add(start)),
                _ => accumulate::<Q, 1>(values.add(start), dim, weights, positions, output.add(start)),
            }
            start += LANES * strip;
        }
    }
}

/// [`accumulate_strips`] for the first `S` vectors of each row.
#[target_feature(enable = "avx512f")]
unsafe fn accumulate<const Q: usize, const S: usize>(
    values: *const f32,
    dim: usize,
    weights: *const f32,
    positions: usize,
    output: *mut f32,
) {
    let mut sums = [[_mm512_setzero_ps(); S]; Q];
    // SAFETY: the caller's strip lies inside the rows of the values and of the output.
    unsafe {
        for q in 0..Q {
            for s in 0..S {
                sums[q][s] = _mm512_loadu_ps(output.add(q * dim + LANES * s));
            }
        }
        for position in 0..positions {
            let mut vectors = [_mm512_setzero_ps(); S];
            for s in 0..S {
                vectors[s] = _mm512_loadu_ps(values.add(position * dim + LANES * s));
            }
            for q in 0..Q {
                let weight = _mm512_set1_ps(*weights.add(q * PAGE_LEN + position));
                for s in 0..S {
                    sums[q][s] = _mm512_fmadd_ps(weight, vectors[s], sums[q][s]);
                }
            }
        }
        for q in 0..Q {
            for s in 0..S {
                _mm512_storeu_ps(output.add(q * dim + LANES * s), sums[q][s]);
            }
        }
    }
}
