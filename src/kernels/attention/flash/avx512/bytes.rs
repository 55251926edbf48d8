//! A page of Q8_0: the steps of `flash::bytes`, of which VNNI takes two in one.

#![allow(clippy::needless_range_loop, reason = "loops over registers index several arrays at once")]

use std::arch::x86_64::*;

use super::super::super::page::{self, BLOCK, PAGE_LEN};
use super::super::tile::{HeadPage, TINY, Tile, WORD_MAX};
use super::{LANES, query_tiles};
use crate::lanes;

/// Vectors of a page's scores.
const VECTORS: usize = PAGE_LEN / LANES;

/// As `avx512::attend_page`.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vnni")]
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
                1 => keys.scores::<1>(query, scale, scores),
                2 => keys.scores::<2>(query, scale, scores),
                4 => keys.scores::<4>(query, scale, scores),
                _ => keys.scores::<8>(query, scale, scores),
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
                4 => values.accumulate::<4>(weights, visible, output),
                _ => values.accumulate::<8>(weights, visible, output),
            }
        }
    }
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
    /// `scores (Q, PAGE_LEN) = query (Q, dim) x keys^T`, each query times its scale.
    ///
    /// # Safety
    /// The instruction sets; the arrays have these sizes.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn scores<const Q: usize>(&self, query: *const i16, query_scales: *const f32, scores: *mut f32) {
        // SAFETY: `dim / 2` lines of keys and of what is ahead, a line of scales for each block, the caller's promise.
        unsafe {
            for block in (0..self.dim).step_by(BLOCK) {
                lanes::prefetch(self.ahead.add(self.dim * PAGE_LEN + block * 2));
                let mut sums = [[_mm512_setzero_si512(); VECTORS]; Q];
                for i in (block..self.dim.min(block + BLOCK)).step_by(2) {
                    let line = i * PAGE_LEN;
                    lanes::prefetch(self.ahead.add(line));
                    let keys = two_vectors(self.at.add(line));
                    for q in 0..Q {
                        let pair = splat_pair(query.add(q * self.dim + i));
                        for v in 0..VECTORS {
                            sums[q][v] = _mm512_dpwssd_epi32(sums[q][v], keys[v], pair);
                        }
                    }
                }
                for v in 0..VECTORS {
                    let position = LANES * v;
                    let scale = load_halves(self.scales.add(block * 2 * PAGE_LEN / BLOCK + 2 * position));
                    for q in 0..Q {
                        let at = scores.add(q * PAGE_LEN + position);
                        let scale = _mm512_mul_ps(scale, _mm512_set1_ps(*query_scales.add(q)));
                        let before = if block == 0 { _mm512_setzero_ps() } else { _mm512_loadu_ps(at) };
                        _mm512_storeu_ps(at, _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(sums[q][v]), before));
                    }
                }
            }
        }
    }

    /// Adds the weighted values of the first `positions` to `output (Q, dim)`; `weights` is `(Q, PAGE_LEN)`.
    ///
    /// # Safety
    /// As for `scores`; `dim` is a multiple of 16.
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vnni")]
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
                if self.dim - block >= BLOCK {
                    self.accumulate_strip::<Q, 2>(block, &words, &factors, positions, output);
                } else {
                    self.accumulate_strip::<Q, 1>(block, &words, &factors, positions, output);
                }
            }
        }
    }

    /// [`Self::accumulate`] for the columns `start..start + 16 * S`, with weights that are `words * factors`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn accumulate_strip<const Q: usize, const S: usize>(
        &self,
        start: usize,
        words: &[[i16; PAGE_LEN]; Q],
        factors: &[f32; Q],
        positions: usize,
        output: *mut f32,
    ) {
        let mut sums = [[_mm512_setzero_si512(); S]; Q];
        // SAFETY: the strip lies inside the rows of the values and of the output.
        unsafe {
            for pair in 0..positions.div_ceil(2) {
                let at = (pair * self.dim + start) * 2;
                lanes::prefetch(self.ahead.add(at));
                let mut values = [_mm512_setzero_si512(); S];
                for s in 0..S {
                    values[s] = _mm512_cvtepi8_epi16(_mm256_loadu_si256(self.at.add(at + 32 * s).cast()));
                }
                for q in 0..Q {
                    let weights = splat_pair(words[q].as_ptr().add(2 * pair));
                    for s in 0..S {
                        sums[q][s] = _mm512_dpwssd_epi32(sums[q][s], values[s], weights);
                    }
                }
            }
            for q in 0..Q {
                for s in 0..S {
                    let at = output.add(q * self.dim + start + LANES * s);
                    let sum = _mm512_cvtepi32_ps(sums[q][s]);
                    _mm512_storeu_ps(at, _mm512_fmadd_ps(_mm512_set1_ps(factors[q]), sum, _mm512_loadu_ps(at)));
                }
            }
        }
    }
}

/// Writes the weights of a page, times the scales of a block of its values, to `words` as integers. Returns the value
/// of one unit.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn weigh(weights: *const f32, scales: *const u8, words: &mut [i16; PAGE_LEN]) -> f32 {
    let mut products = [_mm512_setzero_ps(); VECTORS];
    // SAFETY: the caller passes a page of weights and as many scales.
    unsafe {
        for v in 0..VECTORS {
            products[v] =
                _mm512_mul_ps(_mm512_loadu_ps(weights.add(LANES * v)), load_halves(scales.add(2 * LANES * v)));
        }
    }
    let largest = _mm512_reduce_max_ps(_mm512_max_ps(products[0], products[1]));
    if largest < TINY {
        return 0.0;
    }
    let inverse = _mm512_set1_ps(WORD_MAX / largest);
    for v in 0..VECTORS {
        let integers = _mm512_cvtps_epi32(_mm512_mul_ps(products[v], inverse));
        // SAFETY: 16 words.
        unsafe {
            _mm256_storeu_si256(words.as_mut_ptr().add(LANES * v).cast(), _mm512_cvtsepi32_epi16(integers));
        }
    }
    largest / WORD_MAX
}

/// 64 bytes as words.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn two_vectors(at: *const u8) -> [__m512i; VECTORS] {
    // SAFETY: the callers stay inside the page.
    let halves = unsafe { [_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(32).cast())] };
    [_mm512_cvtepi8_epi16(halves[0]), _mm512_cvtepi8_epi16(halves[1])]
}

/// The pair of words at `at` in every dword.
#[target_feature(enable = "avx512f")]
unsafe fn splat_pair(at: *const i16) -> __m512i {
    // SAFETY: the callers pass two readable words.
    _mm512_set1_epi32(unsafe { at.cast::<i32>().read_unaligned() })
}

/// Sixteen f16.
#[target_feature(enable = "avx512f")]
unsafe fn load_halves(at: *const u8) -> __m512 {
    // SAFETY: the callers stay inside the page.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(at.cast()) })
}
