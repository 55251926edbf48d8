//! One page of attention with AVX2, FMA and F16C.
//!
//! A page is read through [`Keys`] and [`Values`]: as it lies in the cache for few queries, or widened to f32 once for
//! many. Register tiles of queries by vectors (8 positions for the scores, 8 elements of the head for the output) are
//! 6 by 2, 4 by 2, 3 by 4, 2 by 4 and, for a lone query, 1 by 4 and 1 by 12, so that it reads each value row in one go.

#![allow(clippy::needless_range_loop, reason = "loops over registers index several arrays at once")]

use std::arch::x86_64::*;

use super::flash::Tile;
use super::page::{self, BLOCK, GROUP};
use super::{KvShape, KvType, PAGE_LEN};
use crate::kernels::math::{exp, exp8};

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
/// AVX2, FMA and F16C; the head size is a multiple of 8; `head` is one head's block of a page of `shape`.
#[target_feature(enable = "avx2,fma,f16c")]
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
#[target_feature(enable = "avx2,f16c")]
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
/// AVX2 and F16C; the head size is a multiple of 8.
#[target_feature(enable = "avx2,f16c")]
pub(super) unsafe fn store(shape: &KvShape, head: &mut [u8], position: usize, key: &[f32], value: &[f32]) {
    let (keys, values) = head.split_at_mut(page::offsets(shape).values);
    match shape.kv_type {
        KvType::F16 => store_halves(shape.head_dim, keys, values, position, key, value),
        KvType::Q8_0 => store_bytes(shape, keys, values, position, key, value),
    }
}

#[target_feature(enable = "avx2,f16c")]
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

#[target_feature(enable = "avx2,f16c")]
fn store_bytes(shape: &KvShape, keys: &mut [u8], values: &mut [u8], position: usize, key: &[f32], value: &[f32]) {
    let (dim, blocks) = (shape.head_dim, page::blocks(shape));
    let (group, lane) = (position / GROUP, position % GROUP);
    let (keys, key_scales) = keys.split_at_mut(page::offsets(shape).key_scales);
    let (values, value_scales) = values.split_at_mut(PAGE_LEN * dim);
    let key_dwords = &mut keys.as_chunks_mut::<4>().0[group * GROUP * dim / 4..];
    let key_scales = &mut key_scales.as_chunks_mut::<2>().0[group * blocks * GROUP..];
    for (block, key) in key.chunks(BLOCK).enumerate() {
        let scale = block_scale(key);
        key_scales[block * GROUP + lane] = scale.to_le_bytes();
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
        value_scales[block] = scale.to_le_bytes();
        for (eight, value) in value.as_chunks::<8>().0.iter().enumerate() {
            let first = block * BLOCK / 4 + 2 * eight;
            [value_dwords[first], value_dwords[first + 1]] = quants(value, scale);
        }
    }
}

/// The f16 scale of a block, as bits.
#[target_feature(enable = "avx2,f16c")]
fn block_scale(values: &[f32]) -> u16 {
    let magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fff_ffff));
    let mut max = _mm256_setzero_ps();
    for eight in values.as_chunks::<8>().0 {
        // SAFETY: 8 numbers; a NaN in the first operand gives the second.
        max = _mm256_max_ps(_mm256_and_ps(unsafe { _mm256_loadu_ps(eight.as_ptr()) }, magnitude), max);
    }
    let scale = (horizontal(max, |a, b| _mm_max_ps(a, b)) / 127.0).min(65504.0);
    _mm_extract_epi16::<0>(_mm_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm_set_ss(scale))) as u16
}

/// Eight numbers divided by a scale, to the nearest integers of +-127.
#[target_feature(enable = "avx2,f16c")]
fn quants(values: &[f32; 8], scale: u16) -> [[u8; 4]; 2] {
    if scale == 0 {
        return [[0; 4]; 2];
    }
    let scale = _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(scale))));
    // SAFETY: 8 numbers.
    let quotients = _mm256_div_ps(unsafe { _mm256_loadu_ps(values.as_ptr()) }, scale);
    let quants = _mm256_cvtps_epi32(_mm256_min_ps(quotients, _mm256_set1_ps(127.0)));
    let words = _mm256_packs_epi32(quants, quants);
    let bytes = _mm256_max_epi8(_mm256_packs_epi16(words, words), _mm256_set1_epi8(-127));
    [_mm256_extract_epi32::<0>(bytes).to_le_bytes(), _mm256_extract_epi32::<4>(bytes).to_le_bytes()]
}

/// Eight numbers as f16, held within its finite range.
#[target_feature(enable = "avx2,f16c")]
fn halves(values: &[f32; 8]) -> [[u8; 2]; 8] {
    let (least, most) = (_mm256_set1_ps(-65504.0), _mm256_set1_ps(65504.0));
    let mut halves = [[0; 2]; 8];
    // SAFETY: both arrays are as long as the vectors.
    unsafe {
        let values = _mm256_min_ps(_mm256_max_ps(_mm256_loadu_ps(values.as_ptr()), least), most);
        _mm_storeu_si128(halves.as_mut_ptr().cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(values));
    }
    halves
}

#[target_feature(enable = "avx2,fma,f16c")]
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
#[target_feature(enable = "avx2,fma")]
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
#[target_feature(enable = "avx2,fma")]
fn soften(weights: &mut [f32; PAGE_LEN], visible: usize, max: &mut f32, sum: &mut f32) -> f32 {
    weights[visible..].fill(f32::NEG_INFINITY);
    let at = weights.as_mut_ptr();
    // SAFETY: `weights` is 4 vectors.
    let scores = unsafe { [0, 8, 16, 24].map(|i| _mm256_loadu_ps(at.add(i))) };
    let largest = _mm256_max_ps(_mm256_max_ps(scores[0], scores[1]), _mm256_max_ps(scores[2], scores[3]));
    let page_max = horizontal(largest, |a, b| _mm_max_ps(a, b));
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
    let offset = _mm256_set1_ps(*max);
    let mut total = _mm256_setzero_ps();
    for (i, scores) in scores.iter().enumerate() {
        let exponentials = exp8(_mm256_sub_ps(*scores, offset));
        total = _mm256_add_ps(total, exponentials);
        // SAFETY: `weights` is 4 vectors.
        unsafe { _mm256_storeu_ps(at.add(8 * i), exponentials) };
    }
    *sum += horizontal(total, |a, b| _mm_add_ps(a, b));
    shrink
}

/// Combines the 8 lanes to one.
#[target_feature(enable = "avx2")]
fn horizontal(x: __m256, combine: impl Fn(__m128, __m128) -> __m128) -> f32 {
    let half = combine(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let quarter = combine(half, _mm_movehl_ps(half, half));
    _mm_cvtss_f32(combine(quarter, _mm_shuffle_ps::<1>(quarter, quarter)))
}

/// Adds the weighted values to `output`, strip by strip of the head.
#[target_feature(enable = "avx2,fma,f16c")]
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
    /// AVX2, FMA, F16C; the page and both arrays have these sizes; `dim` is a multiple of 8.
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
            #[target_feature(enable = "avx2,f16c")]
            unsafe fn load(&self, $index: usize) -> __m256 {
                let $page = self;
                // SAFETY: the callers stay inside the page.
                unsafe { $load }
            }

            /// The scores of `Q` queries with the positions of groups `first..first + G`.
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn score_groups<const Q: usize, const G: usize>(
                &self,
                dim: usize,
                first: usize,
                query: *const f32,
                scores: *mut f32,
            ) {
                let mut sums = [[_mm256_setzero_ps(); G]; Q];
                // SAFETY: `dim` elements of each query, `G * dim` vectors of 8 keys, `Q` pages of scores.
                unsafe {
                    for i in 0..dim {
                        multiply_add(
                            &mut sums,
                            |q| _mm256_broadcast_ss(&*query.add(q * dim + i)),
                            |g| self.load(((first + g) * dim + i) * GROUP),
                        );
                    }
                    store_strip(PAGE_LEN, first * GROUP, scores, &sums);
                }
            }
        }

        impl Page for $name {
            const LONG_STRIPS: bool = true;

            #[target_feature(enable = "avx2,fma,f16c")]
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

            #[target_feature(enable = "avx2,fma,f16c")]
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
                            |q| _mm256_broadcast_ss(&*weights.add(q * PAGE_LEN + position)),
                            |s| self.load(position * dim + start + 8 * s),
                        );
                    }
                    store_strip(dim, start, output, &sums);
                }
            }
        }
    };
}

float_page!(HalfPage, |page, index| _mm256_cvtph_ps(_mm_loadu_si128(page.at.add(2 * index).cast())));
float_page!(PlainPage, |page, index| _mm256_loadu_ps(page.at.add(index)));

/// `sums[q][v] += factor(q) * vector(v)`, in the order that needs the fewest registers beside the sums: of the fewer
/// kind all, of the other one at a time.
#[target_feature(enable = "avx2,fma")]
fn multiply_add<const Q: usize, const V: usize>(
    sums: &mut [[__m256; V]; Q],
    factor: impl Fn(usize) -> __m256,
    vector: impl Fn(usize) -> __m256,
) {
    if Q <= V {
        let mut factors = [_mm256_setzero_ps(); Q];
        for q in 0..Q {
            factors[q] = factor(q);
        }
        for v in 0..V {
            let vector = vector(v);
            for q in 0..Q {
                sums[q][v] = _mm256_fmadd_ps(factors[q], vector, sums[q][v]);
            }
        }
    } else {
        let mut vectors = [_mm256_setzero_ps(); V];
        for v in 0..V {
            vectors[v] = vector(v);
        }
        for q in 0..Q {
            let factor = factor(q);
            for v in 0..V {
                sums[q][v] = _mm256_fmadd_ps(factor, vectors[v], sums[q][v]);
            }
        }
    }
}

#[target_feature(enable = "avx2")]
unsafe fn load_strip<const Q: usize, const S: usize>(dim: usize, start: usize, at: *const f32) -> [[__m256; S]; Q] {
    let mut strip = [[_mm256_setzero_ps(); S]; Q];
    for q in 0..Q {
        for s in 0..S {
            // SAFETY: the caller's strip lies inside `Q` rows of `dim`.
            strip[q][s] = unsafe { _mm256_loadu_ps(at.add(q * dim + start + 8 * s)) };
        }
    }
    strip
}

#[target_feature(enable = "avx2")]
unsafe fn store_strip<const Q: usize, const S: usize>(
    dim: usize,
    start: usize,
    at: *mut f32,
    strip: &[[__m256; S]; Q],
) {
    for q in 0..Q {
        for s in 0..S {
            // SAFETY: the caller's strip lies inside `Q` rows of `dim`.
            unsafe { _mm256_storeu_ps(at.add(q * dim + start + 8 * s), strip[q][s]) };
        }
    }
}

impl BytePage {
    /// Eight consecutive f16 scales.
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn scales(&self, index: usize) -> __m256 {
        // SAFETY: the callers stay inside the page.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(self.scales.add(2 * index).cast()) })
    }

    /// Element `element` of 4 of the 8 positions whose dwords are in `dwords`, as f32.
    #[target_feature(enable = "avx2")]
    fn widen_element(dwords: __m256i, element: usize) -> __m256 {
        let top = _mm256_sll_epi32(dwords, _mm_cvtsi32_si128(24 - 8 * element as i32));
        _mm256_cvtepi32_ps(_mm256_srai_epi32::<24>(top))
    }

    /// Values `index..index + 8`, not yet scaled.
    #[target_feature(enable = "avx2")]
    unsafe fn values(&self, index: usize) -> __m256 {
        // SAFETY: the callers stay inside the page.
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(unsafe { _mm_loadl_epi64(self.at.add(index).cast()) }))
    }

    #[target_feature(enable = "avx2,f16c")]
    unsafe fn value_scale(&self, position: usize, start: usize) -> f32 {
        // SAFETY: the callers stay inside the page.
        let bits =
            unsafe { self.scales.add(2 * (position * self.blocks + start / BLOCK)).cast::<u16>().read_unaligned() };
        _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits))))
    }
}

impl Page for BytePage {
    const LONG_STRIPS: bool = false;

    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn scores<const Q: usize>(&self, dim: usize, query: *const f32, scores: *mut f32) {
        // SAFETY: `dim` elements of each query, `GROUPS * dim / 4` vectors of keys, `Q` pages of scores.
        unsafe {
            for g in 0..GROUPS {
                let mut sums = [_mm256_setzero_ps(); Q];
                for block in 0..self.blocks {
                    let mut block_sums = [_mm256_setzero_ps(); Q];
                    for i in (block * BLOCK..dim.min((block + 1) * BLOCK)).step_by(4) {
                        let dwords = _mm256_loadu_si256(self.at.add((g * dim + i) * GROUP).cast());
                        for element in 0..4 {
                            let key = Self::widen_element(dwords, element);
                            for q in 0..Q {
                                let element = _mm256_broadcast_ss(&*query.add(q * dim + i + element));
                                block_sums[q] = _mm256_fmadd_ps(element, key, block_sums[q]);
                            }
                        }
                    }
                    let scales = self.scales((g * self.blocks + block) * GROUP);
                    for q in 0..Q {
                        sums[q] = _mm256_fmadd_ps(scales, block_sums[q], sums[q]);
                    }
                }
                for q in 0..Q {
                    _mm256_storeu_ps(scores.add(q * PAGE_LEN + g * GROUP), sums[q]);
                }
            }
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
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
                let mut values = [_mm256_setzero_ps(); S];
                for s in 0..S {
                    values[s] = self.values(position * dim + start + 8 * s);
                }
                for q in 0..Q {
                    let weight = _mm256_set1_ps(scale * *weights.add(q * PAGE_LEN + position));
                    for s in 0..S {
                        sums[q][s] = _mm256_fmadd_ps(weight, values[s], sums[q][s]);
                    }
                }
            }
            store_strip(dim, start, output, &sums);
        }
    }
}

/// Writes a page as f32: keys `[PAGE_LEN / 8][dim][8 positions]`, then values `[PAGE_LEN][dim]`.
#[target_feature(enable = "avx2,f16c")]
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
                    _mm256_storeu_ps(out.add(index), page.load(index));
                }
            }
            KvType::Q8_0 => {
                let blocks = page::blocks(shape);
                let keys = BytePage { at, scales: at.add(offsets.key_scales), blocks };
                for (g, i) in (0..GROUPS).flat_map(|g| (0..dim).step_by(4).map(move |i| (g, i))) {
                    let dwords = _mm256_loadu_si256(keys.at.add((g * dim + i) * GROUP).cast());
                    let scales = keys.scales((g * blocks + i / BLOCK) * GROUP);
                    for element in 0..4 {
                        let key = _mm256_mul_ps(scales, BytePage::widen_element(dwords, element));
                        _mm256_storeu_ps(out.add((g * dim + i + element) * GROUP), key);
                    }
                }
                let values = BytePage { at: at.add(offsets.values), scales: at.add(offsets.value_scales), blocks };
                for position in 0..PAGE_LEN {
                    for start in (0..dim).step_by(8) {
                        let scale = _mm256_set1_ps(values.value_scale(position, start));
                        let value = _mm256_mul_ps(scale, values.values(position * dim + start));
                        _mm256_storeu_ps(out.add(half + position * dim + start), value);
                    }
                }
            }
        }
    }
}
