//! A page of Q8_0 in vectors of eight: integer products of the cached bytes with queries and weights of 16 bits.
//!
//! Each query has one scale and keeps 15 bits and a sign, and so do the weights of a block, multiplied by the scales of
//! its values: far more than the 8 bits of the cache, so that precision is not lost twice. Two elements of a key, or
//! two positions of a value, lie side by side and are multiplied and added by one instruction. Each query goes through
//! the same steps, however many there are, so that batches give the same results as single rows.
//!
//! Register tiles are 1 or 2 queries by 4 vectors, 3 or 4 by 2.

#![allow(clippy::needless_range_loop, reason = "loops over registers index several arrays at once")]

use super::super::page::{self, BLOCK, PAGE_LEN};
use super::tile::{HeadPage, TINY, Tile, WORD_MAX};
use crate::lanes;

/// Vectors of a page's scores.
const VECTORS: usize = PAGE_LEN / 8;

/// Adds one head's page to the softmax of `tile`.
///
/// # Safety
/// The level's instruction sets; the head size is a multiple of 8; `page` and `tile` are of one shape.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
pub(super) unsafe fn attend_page(page: &HeadPage<'_>, tile: &mut Tile) {
    let (dim, offsets) = (page.shape.head_dim, page::offsets(page.shape));
    let (at, next) = (page.bytes.as_ptr(), page.next.as_ptr());
    assert!(page.bytes.len() == offsets.end && page.next.len() == offsets.end);
    // SAFETY: the offsets lie in the block; the tile holds as many queries as its parts say.
    unsafe {
        let (values, value_scales) = (at.add(offsets.values), at.add(offsets.value_scales));
        for (first, count) in query_tiles(tile.len()) {
            let keys = Bytes { dim, at, scales: at.add(offsets.key_scales), ahead: if first == 0 { next } else { at } };
            let (query, scale) = (tile.words.as_ptr().add(first * dim), tile.word_scales.as_ptr().add(first));
            let scores = tile.weights.as_mut_ptr().add(first * PAGE_LEN);
            match count {
                1 => keys.scores::<1, 4>(query, scale, scores),
                2 => keys.scores::<2, 4>(query, scale, scores),
                3 => keys.scores::<3, 2>(query, scale, scores),
                _ => keys.scores::<4, 2>(query, scale, scores),
            }
        }
        let visible = tile.update_softmax(dim, page.start);
        for (first, count) in query_tiles(tile.len()) {
            let ahead = if first == 0 { next.add(offsets.values) } else { values };
            let values = Bytes { dim, at: values, scales: value_scales, ahead };
            let weights = tile.weights.as_ptr().add(first * PAGE_LEN);
            let output = tile.run.output.as_mut_ptr().add(first * dim);
            match count {
                1 => values.accumulate::<1>(weights, visible, output),
                2 => values.accumulate::<2>(weights, visible, output),
                3 => values.accumulate::<3>(weights, visible, output),
                _ => values.accumulate::<4>(weights, visible, output),
            }
        }
    }
}

/// Cuts `queries` into tiles of 4 and the rest: (first, count).
fn query_tiles(queries: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..queries).step_by(4).map(move |first| (first, (queries - first).min(4)))
}

/// The keys or the values of one head in a page.
struct Bytes {
    dim: usize,
    at: *const u8,
    scales: *const u8,
    /// The keys or values of the block that is read next.
    ahead: *const u8,
}

impl Bytes {
    /// `scores (Q, PAGE_LEN) = query (Q, dim) x keys^T`, each query times its scale; `V` vectors of positions at a time.
    ///
    /// # Safety
    /// The level's instruction sets; the arrays have these sizes.
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    unsafe fn scores<const Q: usize, const V: usize>(
        &self,
        query: *const i16,
        query_scales: *const f32,
        scores: *mut f32,
    ) {
        // SAFETY: `dim / 2` lines of keys and of what is ahead, a line of scales for each block, the caller's promise.
        unsafe {
            for block in (0..self.dim).step_by(BLOCK) {
                lanes::prefetch(self.ahead.add(self.dim * PAGE_LEN + block * 2));
                for first in (0..VECTORS).step_by(V) {
                    let mut sums = [[lanes::zero_sums(); V]; Q];
                    for i in (block..self.dim.min(block + BLOCK)).step_by(2) {
                        let line = i * PAGE_LEN;
                        if first == 0 {
                            lanes::prefetch(self.ahead.add(line));
                        }
                        let mut keys = [lanes::zero_words(); V];
                        for v in 0..V {
                            keys[v] = lanes::load_bytes(self.at.add(line + 16 * (first + v)));
                        }
                        for q in 0..Q {
                            let pair = lanes::splat_pair(query.add(q * self.dim + i));
                            for v in 0..V {
                                sums[q][v] = lanes::add_products(keys[v], pair, sums[q][v]);
                            }
                        }
                    }
                    for v in 0..V {
                        let position = 8 * (first + v);
                        let scale = lanes::load_halves(self.scales.add(block * 2 * PAGE_LEN / BLOCK + 2 * position));
                        for q in 0..Q {
                            let at = scores.add(q * PAGE_LEN + position);
                            let scale = lanes::mul(scale, lanes::splat(*query_scales.add(q)));
                            let before = if block == 0 { lanes::splat(0.0) } else { lanes::load(at) };
                            lanes::store(at, lanes::multiply_add(scale, lanes::to_floats(sums[q][v]), before));
                        }
                    }
                }
            }
        }
    }

    /// Adds the weighted values of the first `positions` to `output (Q, dim)`; `weights` is `(Q, PAGE_LEN)`.
    ///
    /// # Safety
    /// As for `scores`.
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    unsafe fn accumulate<const Q: usize>(&self, weights: *const f32, positions: usize, output: *mut f32) {
        // SAFETY: the strips lie inside the rows; the caller's promise.
        unsafe {
            for block in (0..self.dim).step_by(BLOCK) {
                let scales = self.scales.add(block * 2 * PAGE_LEN / BLOCK);
                lanes::prefetch(self.ahead.add(self.dim * PAGE_LEN + block * 2));
                let mut words = [[0; PAGE_LEN]; Q];
                let mut factors = [0.0; Q];
                for q in 0..Q {
                    factors[q] = weigh(weights.add(q * PAGE_LEN), scales, &mut words[q]);
                }
                let end = self.dim.min(block + BLOCK);
                let mut start = block;
                while start < end {
                    let strip = match (end - start, Q) {
                        (32, 1 | 2) => 4,
                        (16.., _) => 2,
                        _ => 1,
                    };
                    match strip {
                        4 => self.accumulate_strip::<Q, 4>(start, &words, &factors, positions, output),
                        2 => self.accumulate_strip::<Q, 2>(start, &words, &factors, positions, output),
                        _ => self.accumulate_strip::<Q, 1>(start, &words, &factors, positions, output),
                    }
                    start += 8 * strip;
                }
            }
        }
    }

    /// [`Self::accumulate`] for the columns `start..start + 8 * S`, with weights that are `words * factors`.
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    unsafe fn accumulate_strip<const Q: usize, const S: usize>(
        &self,
        start: usize,
        words: &[[i16; PAGE_LEN]; Q],
        factors: &[f32; Q],
        positions: usize,
        output: *mut f32,
    ) {
        let mut sums = [[lanes::zero_sums(); S]; Q];
        // SAFETY: the strip lies inside the rows of the values and of the output.
        unsafe {
            for pair in 0..positions.div_ceil(2) {
                let at = (pair * self.dim + start) * 2;
                lanes::prefetch(self.ahead.add(at));
                let mut values = [lanes::zero_words(); S];
                for s in 0..S {
                    values[s] = lanes::load_bytes(self.at.add(at + 16 * s));
                }
                for q in 0..Q {
                    let weights = lanes::splat_pair(words[q].as_ptr().add(2 * pair));
                    for s in 0..S {
                        sums[q][s] = lanes::add_products(values[s], weights, sums[q][s]);
                    }
                }
            }
            for q in 0..Q {
                for s in 0..S {
                    let at = output.add(q * self.dim + start + 8 * s);
                    let sum = lanes::to_floats(sums[q][s]);
                    lanes::store(at, lanes::multiply_add(lanes::splat(factors[q]), sum, lanes::load(at)));
                }
            }
        }
    }
}

/// Writes the weights of a page, times the scales of a block of its values, to `words` as integers. Returns the value
/// of one unit.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
unsafe fn weigh(weights: *const f32, scales: *const u8, words: &mut [i16; PAGE_LEN]) -> f32 {
    let mut products = [lanes::splat(0.0); VECTORS];
    // SAFETY: the caller passes a page of weights and as many scales.
    unsafe {
        for v in 0..VECTORS {
            products[v] = lanes::mul(lanes::load(weights.add(8 * v)), lanes::load_halves(scales.add(16 * v)));
        }
    }
    let largest =
        lanes::greatest(lanes::max(lanes::max(products[0], products[1]), lanes::max(products[2], products[3])));
    if largest < TINY {
        return 0.0;
    }
    let inverse = lanes::splat(WORD_MAX / largest);
    for (words, products) in words.as_chunks_mut::<8>().0.iter_mut().zip(products) {
        *words = lanes::to_words(lanes::mul(products, inverse));
    }
    largest / WORD_MAX
}
