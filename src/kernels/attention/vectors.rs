//! One page of attention in vectors of eight, see [`lanes`].
//!
//! A page is read through [`Keys`] and [`Values`]: as it lies in the cache for few queries, or widened to f32 once for
//! many. Register tiles of queries by vectors (8 positions for the scores, 8 elements of the head for the output) are
//! 6 by 2, 4 by 2, 3 by 4, 2 by 4 and, for a lone query, 1 by 4 and 1 by 12, so that it reads each value row in one go.

#![allow(clippy::needless_range_loop, reason = "loops over registers index several arrays at once")]

use super::flash::Tile;
use super::page::{self, BLOCK, GROUP};
use super::{KvShape, KvType, PAGE_LEN};
use crate::kernels::lanes::{self, Lanes};
use crate::kernels::math::exp;

/// From how many queries on a page is widened to f32 once instead of by each tile of them.
fn widen_from(kv_type: KvType) -> usize {
    match kv_type {
        KvType::F16 => 8,
        KvType::Q8_0 => 4,
    }
}

const GROUPS: usize = PAGE_LEN / GROUP;

/// Takes one head's page into the running softmax of `tile`. `visible` tells how many of the page's positions a query
/// sees.
///
/// # Safety
/// The level's instruction sets; the head size is a multiple of 8; `head` is one head's block of a page of `shape`.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
pub(super) unsafe fn attend_page(shape: &KvShape, head: &[u8], visible: &dyn Fn(usize) -> usize, tile: &mut Tile) {
    assert_eq!(head.len(), page::head_bytes(shape));
    let dim = shape.head_dim;
    // SAFETY: the caller's promise; `widen` gives a page of f32.
    unsafe {
        if tile.max.len() >= widen_from(shape.kv_type) {
            let widened = widened(shape, head, tile);
            let (keys, values) = widened.split_at(PAGE_LEN * dim);
            attend_with(dim, &PlainPage { at: keys.as_ptr() }, &PlainPage { at: values.as_ptr() }, visible, tile);
            tile.widened = widened;
        } else {
            let offsets = page::offsets(shape);
            let at = head.as_ptr();
            match shape.kv_type {
                KvType::F16 => {
                    let values = HalfPage { at: at.add(offsets.values) };
                    attend_with(dim, &HalfPage { at }, &values, visible, tile);
                }
                KvType::Q8_0 => {
                    let blocks = page::blocks(shape);
                    let keys = BytePage { at, scales: at.add(offsets.key_scales), blocks };
                    let values = BytePage { at: at.add(offsets.values), scales: at.add(offsets.value_scales), blocks };
                    attend_with(dim, &keys, &values, visible, tile);
                }
            }
        }
    }
}

/// The page as f32, see `widen`, in the memory of `tile.widened`; to be given back there.
///
/// # Safety
/// As for [`attend_page`].
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
pub(super) unsafe fn widened(shape: &KvShape, head: &[u8], tile: &mut Tile) -> Vec<f32> {
    let mut widened = std::mem::take(&mut tile.widened);
    widened.resize(2 * PAGE_LEN * shape.head_dim, 0.0);
    // SAFETY: the caller's promise.
    unsafe { widen(shape, head, &mut widened) };
    widened
}

/// Writes one head's key and value, as `page::store_plain` does.
///
/// # Safety
/// The level's instruction sets; the head size is a multiple of 8.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
pub(super) unsafe fn store(shape: &KvShape, head: &mut [u8], position: usize, key: &[f32], value: &[f32]) {
    let (keys, values) = head.split_at_mut(page::offsets(shape).values);
    match shape.kv_type {
        KvType::F16 => store_halves(shape.head_dim, keys, values, position, key, value),
        KvType::Q8_0 => store_bytes(shape, keys, values, position, key, value),
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn store_halves(dim: usize, keys: &mut [u8], values: &mut [u8], position: usize, key: &[f32], value: &[f32]) {
    let group = &mut keys.as_chunks_mut::<2>().0[position / GROUP * GROUP * dim..][..GROUP * dim];
    for (key, columns) in key.as_chunks::<8>().0.iter().zip(group.chunks_exact_mut(8 * GROUP)) {
        for (half, column) in halves(key).iter().zip(columns.chunks_exact_mut(GROUP)) {
            column[position % GROUP] = *half;
        }
    }
    let row = &mut values.as_chunks_mut::<2>().0[position * dim..][..dim];
    for (value, target) in value.as_chunks::<8>().0.iter().zip(row.as_chunks_mut::<8>().0) {
        *target = halves(value);
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn store_bytes(shape: &KvShape, keys: &mut [u8], values: &mut [u8], position: usize, key: &[f32], value: &[f32]) {
    let (dim, blocks) = (shape.head_dim, page::blocks(shape));
    let (group, lane) = (position / GROUP, position % GROUP);
    let (keys, key_scales) = keys.split_at_mut(page::offsets(shape).key_scales);
    let (values, value_scales) = values.split_at_mut(PAGE_LEN * dim);
    let key_dwords = &mut keys.as_chunks_mut::<4>().0[group * GROUP * dim / 4..];
    let key_scales = &mut key_scales.as_chunks_mut::<2>().0[group * blocks * GROUP..];
    for (block, key) in key.chunks(BLOCK).enumerate() {
        let scale = block_scale(key);
        key_scales[block * GROUP + lane] = scale;
        for (eight, key) in key.as_chunks::<8>().0.iter().enumerate() {
            let [low, high] = quants(key, scale);
            let first = (block * BLOCK / 4 + 2 * eight) * GROUP + lane;
            (key_dwords[first], key_dwords[first + GROUP]) = (low, high);
        }
    }
    let value_dwords = &mut values.as_chunks_mut::<4>().0[position * dim / 4..];
    let value_scales = &mut value_scales.as_chunks_mut::<2>().0[position * blocks..];
    for (block, value) in value.chunks(BLOCK).enumerate() {
        let scale = block_scale(value);
        value_scales[block] = scale;
        for (eight, value) in value.as_chunks::<8>().0.iter().enumerate() {
            let first = block * BLOCK / 4 + 2 * eight;
            [value_dwords[first], value_dwords[first + 1]] = quants(value, scale);
        }
    }
}

/// The f16 scale of a block, as bytes.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn block_scale(values: &[f32]) -> [u8; 2] {
    let mut max = lanes::splat(0.0);
    for eight in values.as_chunks::<8>().0 {
        // SAFETY: 8 numbers; a NaN in the first operand gives the second.
        max = lanes::max(lanes::abs(unsafe { lanes::load(eight.as_ptr()) }), max);
    }
    let scale = (lanes::greatest(max) / 127.0).min(65504.0);
    lanes::to_halves(lanes::splat(scale))[0]
}

/// Eight numbers divided by a scale, to the nearest integers of +-127.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn quants(values: &[f32; 8], scale: [u8; 2]) -> [[u8; 4]; 2] {
    if scale == [0, 0] {
        return [[0; 4]; 2];
    }
    // SAFETY: 2 bytes, and 8 numbers.
    let (scale, values) = unsafe { (lanes::load_half(scale.as_ptr()), lanes::load(values.as_ptr())) };
    lanes::to_bytes(lanes::div(values, lanes::splat(scale)))
}

/// Eight numbers as f16, held within its finite range.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn halves(values: &[f32; 8]) -> [[u8; 2]; 8] {
    // SAFETY: 8 numbers.
    let values = unsafe { lanes::load(values.as_ptr()) };
    lanes::to_halves(lanes::min(lanes::max(values, lanes::splat(-65504.0)), lanes::splat(65504.0)))
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
unsafe fn attend_with<P: Page>(dim: usize, keys: &P, values: &P, visible: &dyn Fn(usize) -> usize, tile: &mut Tile) {
    let queries = tile.max.len();
    // SAFETY: the tile holds `queries` rows of each of its parts; the pages are whole.
    unsafe {
        for (first, count) in query_tiles(queries) {
            let query = tile.queries.as_ptr().add(first * dim);
            let weights = tile.weights.as_mut_ptr().add(first * PAGE_LEN);
            match count {
                1 => keys.scores::<1>(dim, query, weights),
                2 => keys.scores::<2>(dim, query, weights),
                3 => keys.scores::<3>(dim, query, weights),
                4 => keys.scores::<4>(dim, query, weights),
                _ => keys.scores::<6>(dim, query, weights),
            }
        }
        let most_visible = soften_tile(dim, visible, tile);
        for (first, count) in query_tiles(queries) {
            let weights = tile.weights.as_ptr().add(first * PAGE_LEN);
            let output = tile.output.as_mut_ptr().add(first * dim);
            match count {
                1 => accumulate_strips::<P, 1>(values, dim, weights, most_visible, output),
                2 => accumulate_strips::<P, 2>(values, dim, weights, most_visible, output),
                3 => accumulate_strips::<P, 3>(values, dim, weights, most_visible, output),
                4 => accumulate_strips::<P, 4>(values, dim, weights, most_visible, output),
                _ => accumulate_strips::<P, 6>(values, dim, weights, most_visible, output),
            }
        }
    }
}

/// [`soften`]s the scores of every query of a tile, scales its output so far, and returns how many positions the query
/// that sees most of them sees.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
pub(super) fn soften_tile(dim: usize, visible: &dyn Fn(usize) -> usize, tile: &mut Tile) -> usize {
    let mut most_visible = 0;
    for q in 0..tile.max.len() {
        let weights = tile.weights[q * PAGE_LEN..].first_chunk_mut().expect("each query has a page of weights");
        let visible = visible(q);
        most_visible = most_visible.max(visible);
        let shrink = soften(weights, visible, &mut tile.max[q], &mut tile.sum[q]);
        if shrink != 1.0 {
            tile.output[q * dim..(q + 1) * dim].iter_mut().for_each(|x| *x *= shrink);
        }
    }
    most_visible
}

/// Cuts `queries` into tiles of 6 and the rest into one or two: (first, count).
fn query_tiles(queries: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let count = match queries - first {
            0 => return None,
            6.. => 6,
            5 => 3,
            few => few,
        };
        first += count;
        Some((first - count, count))
    })
}

/// Turns the scores of a page into weights relative to the largest score so far, adds them to `sum` and returns what
/// the sums so far were multiplied with.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn soften(weights: &mut [f32; PAGE_LEN], visible: usize, max: &mut f32, sum: &mut f32) -> f32 {
    weights[visible..].fill(f32::NEG_INFINITY);
    let at = weights.as_mut_ptr();
    // SAFETY: `weights` is 4 vectors.
    let scores = unsafe { [0, 8, 16, 24].map(|i| lanes::load(at.add(i))) };
    let largest = lanes::max(lanes::max(scores[0], scores[1]), lanes::max(scores[2], scores[3]));
    let page_max = lanes::greatest(largest);
    let mut shrink = 1.0;
    if page_max > *max {
        shrink = exp(*max - page_max);
        *max = page_max;
        *sum *= shrink;
    }
    if *max == f32::NEG_INFINITY {
        weights.fill(0.0);
        return shrink;
    }
    let offset = lanes::splat(*max);
    let mut total = lanes::splat(0.0);
    for (i, scores) in scores.iter().enumerate() {
        let exponentials = lanes::exp(lanes::sub(*scores, offset));
        total = lanes::add(total, exponentials);
        // SAFETY: `weights` is 4 vectors.
        unsafe { lanes::store(at.add(8 * i), exponentials) };
    }
    *sum += lanes::total(total);
    shrink
}

/// Adds the weighted values to `output`, strip by strip of the head.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
unsafe fn accumulate_strips<P: Page, const Q: usize>(
    values: &P,
    dim: usize,
    weights: *const f32,
    positions: usize,
    output: *mut f32,
) {
    let mut start = 0;
    // SAFETY: strips lie inside the head; the caller passes whole pages, weights and outputs of `Q` queries.
    unsafe {
        while start < dim {
            let strip = match ((dim - start) / 8, Q) {
                (12.., 1) if P::LONG_STRIPS => 12,
                (8.., 1) if P::LONG_STRIPS => 8,
                (4.., 1..=3) => 4,
                (2.., _) => 2,
                _ => 1,
            };
            match strip {
                12 => values.accumulate::<Q, 12>(dim, start, weights, positions, output),
                8 => values.accumulate::<Q, 8>(dim, start, weights, positions, output),
                4 => values.accumulate::<Q, 4>(dim, start, weights, positions, output),
                2 => values.accumulate::<Q, 2>(dim, start, weights, positions, output),
                _ => values.accumulate::<Q, 1>(dim, start, weights, positions, output),
            }
            start += 8 * strip;
        }
    }
}

/// The keys or the values of one head in a page, in one number format.
trait Page {
    /// Whether a lone query may take more than a block of 32 elements at once.
    const LONG_STRIPS: bool;

    /// `scores (Q, PAGE_LEN) = query (Q, dim) x keys^T`.
    ///
    /// # Safety
    /// The level's instruction sets; the page and both arrays have these sizes; `dim` is a multiple of 8.
    unsafe fn scores<const Q: usize>(&self, dim: usize, query: *const f32, scores: *mut f32);

    /// `output (Q, dim)` at columns `start..start + 8 * S` gains `weights (Q, PAGE_LEN) x values` over the first
    /// `positions`. With scales, a strip lies in one block of 32.
    ///
    /// # Safety
    /// As for `scores`.
    unsafe fn accumulate<const Q: usize, const S: usize>(
        &self,
        dim: usize,
        start: usize,
        weights: *const f32,
        positions: usize,
        output: *mut f32,
    );
}

/// f16 as in the cache.
struct HalfPage {
    at: *const u8,
}

/// The same layout in f32.
struct PlainPage {
    at: *const f32,
}

/// Bytes with f16 scales as in the cache.
struct BytePage {
    at: *const u8,
    scales: *const u8,
    blocks: usize,
}

macro_rules! float_page {
    ($name:ident, |$page:ident, $index:ident| $load:expr) => {
        impl $name {
            /// Elements `index..index + 8`.
            #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
            unsafe fn load(&self, $index: usize) -> Lanes {
                let $page = self;
                // SAFETY: the callers stay inside the page.
                unsafe { $load }
            }

            /// The scores of `Q` queries with the positions of groups `first..first + G`.
            #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
            unsafe fn score_groups<const Q: usize, const G: usize>(
                &self,
                dim: usize,
                first: usize,
                query: *const f32,
                scores: *mut f32,
            ) {
                let mut sums = [[lanes::splat(0.0); G]; Q];
                // SAFETY: `dim` elements of each query, `G * dim` vectors of 8 keys, `Q` pages of scores.
                unsafe {
                    for i in 0..dim {
                        multiply_add(
                            &mut sums,
                            |q| lanes::splat(*query.add(q * dim + i)),
                            |g| self.load(((first + g) * dim + i) * GROUP),
                        );
                    }
                    store_strip(PAGE_LEN, first * GROUP, scores, &sums);
                }
            }
        }

        impl Page for $name {
            const LONG_STRIPS: bool = true;

            #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
            unsafe fn scores<const Q: usize>(&self, dim: usize, query: *const f32, scores: *mut f32) {
                // SAFETY: the groups lie inside the page.
                unsafe {
                    if Q > 3 {
                        self.score_groups::<Q, 2>(dim, 0, query, scores);
                        self.score_groups::<Q, 2>(dim, 2, query, scores);
                    } else {
                        self.score_groups::<Q, GROUPS>(dim, 0, query, scores);
                    }
                }
            }

            #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
            unsafe fn accumulate<const Q: usize, const S: usize>(
                &self,
                dim: usize,
                start: usize,
                weights: *const f32,
                positions: usize,
                output: *mut f32,
            ) {
                // SAFETY: the strip lies inside the rows of the page and of the output.
                unsafe {
                    let mut sums = load_strip::<Q, S>(dim, start, output);
                    for position in 0..positions {
                        multiply_add(
                            &mut sums,
                            |q| lanes::splat(*weights.add(q * PAGE_LEN + position)),
                            |s| self.load(position * dim + start + 8 * s),
                        );
                    }
                    store_strip(dim, start, output, &sums);
                }
            }
        }
    };
}

float_page!(HalfPage, |page, index| lanes::load_halves(page.at.add(2 * index)));
float_page!(PlainPage, |page, index| lanes::load(page.at.add(index)));

/// `sums[q][v] += factor(q) * vector(v)`, in the order that needs the fewest registers beside the sums: of the fewer
/// kind all, of the other one at a time.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn multiply_add<const Q: usize, const V: usize>(
    sums: &mut [[Lanes; V]; Q],
    factor: impl Fn(usize) -> Lanes,
    vector: impl Fn(usize) -> Lanes,
) {
    if Q <= V {
        let mut factors = [lanes::splat(0.0); Q];
        for q in 0..Q {
            factors[q] = factor(q);
        }
        for v in 0..V {
            let vector = vector(v);
            for q in 0..Q {
                sums[q][v] = lanes::multiply_add(factors[q], vector, sums[q][v]);
            }
        }
    } else {
        let mut vectors = [lanes::splat(0.0); V];
        for v in 0..V {
            vectors[v] = vector(v);
        }
        for q in 0..Q {
            let factor = factor(q);
            for v in 0..V {
                sums[q][v] = lanes::multiply_add(factor, vectors[v], sums[q][v]);
            }
        }
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
unsafe fn load_strip<const Q: usize, const S: usize>(dim: usize, start: usize, at: *const f32) -> [[Lanes; S]; Q] {
    let mut strip = [[lanes::splat(0.0); S]; Q];
    for q in 0..Q {
        for s in 0..S {
            // SAFETY: the caller's strip lies inside `Q` rows of `dim`.
            strip[q][s] = unsafe { lanes::load(at.add(q * dim + start + 8 * s)) };
        }
    }
    strip
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
unsafe fn store_strip<const Q: usize, const S: usize>(dim: usize, start: usize, at: *mut f32, strip: &[[Lanes; S]; Q]) {
    for q in 0..Q {
        for s in 0..S {
            // SAFETY: the caller's strip lies inside `Q` rows of `dim`.
            unsafe { lanes::store(at.add(q * dim + start + 8 * s), strip[q][s]) };
        }
    }
}

impl BytePage {
    /// Eight consecutive f16 scales.
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    unsafe fn scales(&self, index: usize) -> Lanes {
        // SAFETY: the callers stay inside the page.
        unsafe { lanes::load_halves(self.scales.add(2 * index)) }
    }

    /// Values `index..index + 8`, not yet scaled.
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    unsafe fn values(&self, index: usize) -> Lanes {
        // SAFETY: the callers stay inside the page.
        unsafe { lanes::load_bytes(self.at.add(index)) }
    }

    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    unsafe fn value_scale(&self, position: usize, start: usize) -> f32 {
        // SAFETY: the callers stay inside the page.
        unsafe { lanes::load_half(self.scales.add(2 * (position * self.blocks + start / BLOCK))) }
    }
}

impl Page for BytePage {
    const LONG_STRIPS: bool = false;

    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    unsafe fn scores<const Q: usize>(&self, dim: usize, query: *const f32, scores: *mut f32) {
        // SAFETY: `dim` elements of each query, `GROUPS * dim / 4` vectors of keys, `Q` pages of scores.
        unsafe {
            for g in 0..GROUPS {
                let mut sums = [lanes::splat(0.0); Q];
                for block in 0..self.blocks {
                    let mut block_sums = [lanes::splat(0.0); Q];
                    for i in (block * BLOCK..dim.min((block + 1) * BLOCK)).step_by(4) {
                        let dwords = lanes::load_dwords(self.at.add((g * dim + i) * GROUP));
                        for element in 0..4 {
                            let key = lanes::byte_of(dwords, element);
                            for q in 0..Q {
                                let element = lanes::splat(*query.add(q * dim + i + element));
                                block_sums[q] = lanes::multiply_add(element, key, block_sums[q]);
                            }
                        }
                    }
                    let scales = self.scales((g * self.blocks + block) * GROUP);
                    for q in 0..Q {
                        sums[q] = lanes::multiply_add(scales, block_sums[q], sums[q]);
                    }
                }
                for q in 0..Q {
                    lanes::store(scores.add(q * PAGE_LEN + g * GROUP), sums[q]);
                }
            }
        }
    }

    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    unsafe fn accumulate<const Q: usize, const S: usize>(
        &self,
        dim: usize,
        start: usize,
        weights: *const f32,
        positions: usize,
        output: *mut f32,
    ) {
        // SAFETY: the strip lies inside the rows of the page and of the output.
        unsafe {
            let mut sums = load_strip::<Q, S>(dim, start, output);
            for position in 0..positions {
                let scale = self.value_scale(position, start);
                let mut values = [lanes::splat(0.0); S];
                for s in 0..S {
                    values[s] = self.values(position * dim + start + 8 * s);
                }
                for q in 0..Q {
                    let weight = lanes::splat(scale * *weights.add(q * PAGE_LEN + position));
                    for s in 0..S {
                        sums[q][s] = lanes::multiply_add(weight, values[s], sums[q][s]);
                    }
                }
            }
            store_strip(dim, start, output, &sums);
        }
    }
}

/// Writes a page as f32: keys `[PAGE_LEN / 8][dim][8 positions]`, then values `[PAGE_LEN][dim]`.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
unsafe fn widen(shape: &KvShape, head: &[u8], widened: &mut [f32]) {
    let (dim, offsets, at) = (shape.head_dim, page::offsets(shape), head.as_ptr());
    let half = PAGE_LEN * dim;
    assert_eq!(widened.len(), 2 * half);
    let out = widened.as_mut_ptr();
    // SAFETY: `head` is a whole page of one head (the caller's promise), `widened` a page of f32 (checked).
    unsafe {
        match shape.kv_type {
            KvType::F16 => {
                let page = HalfPage { at };
                for index in (0..2 * half).step_by(8) {
                    lanes::store(out.add(index), page.load(index));
                }
            }
            KvType::Q8_0 => {
                let blocks = page::blocks(shape);
                let keys = BytePage { at, scales: at.add(offsets.key_scales), blocks };
                for (g, i) in (0..GROUPS).flat_map(|g| (0..dim).step_by(4).map(move |i| (g, i))) {
                    let dwords = lanes::load_dwords(keys.at.add((g * dim + i) * GROUP));
                    let scales = keys.scales((g * blocks + i / BLOCK) * GROUP);
                    for element in 0..4 {
                        let key = lanes::mul(scales, lanes::byte_of(dwords, element));
                        lanes::store(out.add((g * dim + i + element) * GROUP), key);
                    }
                }
                let values = BytePage { at: at.add(offsets.values), scales: at.add(offsets.value_scales), blocks };
                for position in 0..PAGE_LEN {
                    for start in (0..dim).step_by(8) {
                        let scale = lanes::splat(values.value_scale(position, start));
                        let value = lanes::mul(scale, values.values(position * dim + start));
                        lanes::store(out.add(half + position * dim + start), value);
                    }
                }
            }
        }
    }
}
