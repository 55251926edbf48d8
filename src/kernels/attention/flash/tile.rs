//! The state of one thread while it goes through the pages of one KV head: queries, and their softmax so far.

#![allow(clippy::needless_range_loop, reason = "loops over registers index several arrays at once")]

use std::ops::Range;

use super::super::page::{KvShape, KvType, PAGE_LEN};
use crate::lanes;
use crate::math::exp;

/// One head's block of a page.
pub(super) struct HeadPage<'a> {
    pub(super) shape: &'a KvShape,
    pub(super) bytes: &'a [u8],
    /// The block that will be read after this one, to be prefetched meanwhile.
    pub(super) next: &'a [u8],
    /// The position in the sequence at which the page begins.
    pub(super) start: usize,
}

/// Softmaxes not yet divided by their sums.
#[derive(Default)]
pub(super) struct Softmax {
    /// `(queries, head_dim)`.
    pub(super) output: Vec<f32>,
    /// Largest score so far, and the sum of the exponentials relative to it.
    pub(super) max: Vec<f32>,
    pub(super) sum: Vec<f32>,
}

impl Softmax {
    fn reset(&mut self, queries: usize, dim: usize) {
        self.output.clear();
        self.output.resize(queries * dim, 0.0);
        self.max.clear();
        self.max.resize(queries, f32::NEG_INFINITY);
        self.sum.clear();
        self.sum.resize(queries, 0.0);
    }
}

/// The queries of an item: for each of its rows, the query heads that share the KV head.
#[derive(Default)]
pub(super) struct Tile {
    /// `(queries, head_dim)`, scaled by `1 / sqrt(head_dim)`.
    pub(super) queries: Vec<f32>,
    /// The positions of the sequence that each query sees.
    visible: Vec<Range<usize>>,
    /// For cached bytes: the queries as `words * word_scales`, one scale a query.
    pub(super) words: Vec<i16>,
    pub(super) word_scales: Vec<f32>,
    /// `(queries, PAGE_LEN)`: scores of a page, then their exponentials.
    pub(super) weights: Vec<f32>,
    /// The pages of this run.
    pub(super) run: Softmax,
    /// The earlier runs, joined.
    pub(super) joined: Softmax,
    /// A page as f32, see `halves`.
    pub(super) widened: Vec<f32>,
}

impl Tile {
    pub(super) fn len(&self) -> usize {
        self.visible.len()
    }

    pub(super) fn clear(&mut self) {
        self.queries.clear();
        self.visible.clear();
        self.words.clear();
        self.word_scales.clear();
    }

    /// Adds queries (each `head_dim`) that see the positions `visible`.
    pub(super) fn push(&mut self, shape: &KvShape, queries: &[f32], visible: Range<usize>) {
        let scale = 1.0 / (shape.head_dim as f32).sqrt();
        let first = self.queries.len();
        self.queries.extend(queries.iter().map(|x| x * scale));
        for query in self.queries[first..].chunks_exact(shape.head_dim) {
            self.visible.push(visible.clone());
            if shape.kv_type == KvType::Q8_0 {
                let max = query.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
                let inverse = if max < TINY { 0.0 } else { WORD_MAX / max };
                self.words.extend(query.iter().map(|x| (x * inverse).round_ties_even() as i16));
                self.word_scales.push(max / WORD_MAX);
            }
        }
    }

    pub(super) fn begin_run(&mut self, dim: usize) {
        self.weights.resize(self.len() * PAGE_LEN, 0.0);
        self.run.reset(self.visible.len(), dim);
    }

    /// Joins the run to the earlier ones, unless it is the first.
    pub(super) fn end_run(&mut self, dim: usize, first: bool) {
        let (joined, run) = (&mut self.joined, &mut self.run);
        if first {
            std::mem::swap(joined, run);
            return;
        }
        let outputs = joined.output.chunks_exact_mut(dim).zip(run.output.chunks_exact(dim));
        for (q, (output, other)) in outputs.enumerate() {
            join((output, &mut joined.max[q], &mut joined.sum[q]), (other, run.max[q], run.sum[q]));
        }
    }

    /// Turns the scores of the page that begins at position `start` into weights, scales the outputs so far, and
    /// returns the end of its positions that any query sees, within the page.
    ///
    /// # Safety
    /// The level's instruction sets.
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    pub(super) unsafe fn update_softmax(&mut self, dim: usize, start: usize) -> usize {
        let mut most_visible = 0;
        for q in 0..self.len() {
            let weights = self.weights[q * PAGE_LEN..].first_chunk_mut().expect("each query has a page of weights");
            let in_page = |position: usize| position.saturating_sub(start).min(PAGE_LEN);
            let visible = in_page(self.visible[q].start)..in_page(self.visible[q].end);
            most_visible = most_visible.max(visible.end);
            let shrink = exponentials(weights, visible, &mut self.run.max[q], &mut self.run.sum[q]);
            if shrink != 1.0 {
                self.run.output[q * dim..(q + 1) * dim].iter_mut().for_each(|x| *x *= shrink);
            }
        }
        most_visible
    }
}

/// Adds the softmax of a later run to an earlier one. Each consists of output, maximum and sum.
pub(super) fn join(one: (&mut [f32], &mut f32, &mut f32), other: (&[f32], f32, f32)) {
    let max = one.1.max(other.1);
    // A run may lie entirely before a query's window; its maximum is then negative infinity.
    let factor_of = |part: f32| if part == f32::NEG_INFINITY { 0.0 } else { exp(part - max) };
    let (factor, other_factor) = (factor_of(*one.1), factor_of(other.1));
    one.0.iter_mut().zip(other.0).for_each(|(x, other)| *x = factor * *x + other_factor * other);
    *one.2 = factor * *one.2 + other_factor * other.2;
    *one.1 = max;
}

/// The largest 16-bit word. Numbers below `TINY` are too small to divide by.
pub(super) const WORD_MAX: f32 = i16::MAX as f32;
pub(super) const TINY: f32 = 1e-30;

/// Turns the scores of a page into weights relative to the largest score so far, adds them to `sum` and returns the
/// factor by which the sums so far were multiplied.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn exponentials(weights: &mut [f32; PAGE_LEN], visible: Range<usize>, max: &mut f32, sum: &mut f32) -> f32 {
    weights[visible.end..].fill(f32::NEG_INFINITY);
    weights[..visible.start].fill(f32::NEG_INFINITY);
    let at = weights.as_mut_ptr();
    let mut scores = [lanes::splat(0.0); PAGE_LEN / 8];
    for i in 0..scores.len() {
        // SAFETY: `weights` is 4 vectors.
        scores[i] = unsafe { lanes::load(at.add(8 * i)) };
    }
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
    for i in 0..scores.len() {
        let exponentials = lanes::exp(lanes::sub(scores[i], offset));
        total = lanes::add(total, exponentials);
        // SAFETY: `weights` is 4 vectors.
        unsafe { lanes::store(at.add(8 * i), exponentials) };
    }
    *sum += lanes::total(total);
    shrink
}
