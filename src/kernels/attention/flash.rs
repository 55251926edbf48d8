//! Attention page by page with a running softmax: no matrix of scores, each page of K and V read once for all the
//! queries that share it (the rows of a tile times the query heads of one KV head).
//!
//! Work is cut into (sequence, KV head, tile of rows, run of pages). Where a sequence is cut into several runs, each
//! leaves its maximum, sum and unnormalised output, and the calling thread joins them.

use std::cell::RefCell;
use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::{AttentionInput, KvShape, PAGE_LEN, page, vectors};
use crate::kernels::disjoint::DisjointSlice;
use crate::kernels::level::Level;
use crate::kernels::math::exp;
use crate::kernels::pool::ThreadPool;

/// Queries that one tile holds at most, unless one row has more.
const TILE_QUERIES: usize = 64;
/// Pages in a run at least: shorter ones are not worth joining.
const MIN_RUN: usize = 8;

/// Whether these kernels can run here on pages of this shape.
pub(super) fn supports(shape: &KvShape) -> bool {
    Level::in_use() != Level::Portable && shape.head_dim.is_multiple_of(8)
}

/// One unit of work.
struct Item {
    sequence: usize,
    kv_head: usize,
    /// Rows of the sequence.
    rows: Range<usize>,
    pages: Range<usize>,
    /// Which run of its sequence this is, of `runs`.
    run: usize,
}

/// How one sequence is cut.
struct Cut {
    /// Index of the sequence's first item.
    first_item: usize,
    /// The sequence's first row among all.
    first_row: usize,
    tile_rows: usize,
    runs: usize,
    /// Where the sequence's partial results begin.
    first_partial: usize,
}

#[derive(Default)]
struct Plan {
    cuts: Vec<Cut>,
    items: usize,
    /// Where the runs of cut sequences leave their results: per query `head_dim` outputs, a maximum, a sum.
    partials: Vec<f32>,
}

/// One thread's state of an item. Queries are its rows, the heads that share a KV head together.
#[derive(Default)]
pub(super) struct Tile {
    /// `(queries, head_dim)`, scaled by `1 / sqrt(head_dim)`.
    pub(super) queries: Vec<f32>,
    /// `(queries, PAGE_LEN)`: scores of a page, then their exponentials.
    pub(super) weights: Vec<f32>,
    /// `(queries, head_dim)`, not yet divided by the sum.
    pub(super) output: Vec<f32>,
    /// Largest score so far, and the sum of the exponentials relative to it.
    pub(super) max: Vec<f32>,
    pub(super) sum: Vec<f32>,
    /// A page as f32, see `vectors`.
    pub(super) widened: Vec<f32>,
}

impl Tile {
    fn reset(&mut self, queries: usize, dim: usize) {
        self.queries.clear();
        self.weights.resize(queries * PAGE_LEN, 0.0);
        self.output.clear();
        self.output.resize(queries * dim, 0.0);
        self.max.clear();
        self.max.resize(queries, f32::NEG_INFINITY);
        self.sum.clear();
        self.sum.resize(queries, 0.0);
    }
}

struct Call<'a> {
    shape: &'a KvShape,
    num_heads: usize,
    query: &'a [f32],
    sequences: &'a [AttentionInput<'a>],
}

pub(super) fn attend(
    pool: &ThreadPool,
    shape: &KvShape,
    num_heads: usize,
    query: &[f32],
    sequences: &[AttentionInput<'_>],
    out: &mut [f32],
) {
    thread_local! {
        static PLAN: RefCell<Plan> = RefCell::default();
        static TILE: RefCell<Tile> = RefCell::default();
    }
    let call = Call { shape, num_heads, query, sequences };
    PLAN.with_borrow_mut(|plan| {
        call.plan(pool.threads(), plan);
        let Plan { cuts, items, partials } = plan;
        let shared_out = DisjointSlice::new(out);
        let shared_partials = DisjointSlice::new(partials);
        pool.run(*items, &|index| {
            let (cut, item) = call.item(cuts, index);
            TILE.with_borrow_mut(|tile| {
                call.attend_item(cut, &item, tile);
                call.deliver(cut, &item, tile, &shared_out, &shared_partials);
            });
        });
        call.join(cuts, partials, out);
    });
}

impl Call<'_> {
    fn group(&self) -> usize {
        self.num_heads / self.shape.num_kv_heads
    }

    fn plan(&self, threads: usize, plan: &mut Plan) {
        plan.cuts.clear();
        let (mut items, mut first_row, mut partials) = (0, 0, 0);
        for sequence in self.sequences {
            let tile_rows = (TILE_QUERIES / self.group()).clamp(1, sequence.rows.max(1));
            let tiles = sequence.rows.div_ceil(tile_rows) * self.shape.num_kv_heads;
            let pages = (sequence.past_len + sequence.rows).div_ceil(PAGE_LEN);
            // Joining costs time on one thread: only where the tiles alone would not keep the threads evenly busy.
            let uneven = threads > 1 && tiles < 4 * threads && !tiles.is_multiple_of(threads);
            let wanted = (4 * threads).div_ceil(tiles.max(1));
            let runs = if uneven { wanted.min(pages / MIN_RUN).max(1) } else { 1 };
            plan.cuts.push(Cut { first_item: items, first_row, tile_rows, runs, first_partial: partials });
            items += tiles * runs;
            first_row += sequence.rows;
            if runs > 1 {
                partials += sequence.rows * self.num_heads * runs * (self.shape.head_dim + 2);
            }
        }
        plan.items = items;
        plan.partials.resize(partials, 0.0);
    }

    fn item<'c>(&self, cuts: &'c [Cut], index: usize) -> (&'c Cut, Item) {
        let sequence = cuts.partition_point(|cut| cut.first_item <= index) - 1;
        let cut = &cuts[sequence];
        let input = &self.sequences[sequence];
        let index = index - cut.first_item;
        let (run, index) = (index % cut.runs, index / cut.runs);
        let tiles = input.rows.div_ceil(cut.tile_rows);
        let (tile, kv_head) = (index % tiles, index / tiles);
        // The last tiles see the most keys: begin with them, so that the threads end together.
        let first = (tiles - 1 - tile) * cut.tile_rows;
        let rows = first..input.rows.min(first + cut.tile_rows);
        let pages = (input.past_len + rows.end).div_ceil(PAGE_LEN);
        let pages = run * pages / cut.runs..(run + 1) * pages / cut.runs;
        (cut, Item { sequence, kv_head, rows, pages, run })
    }

    /// Leaves maxima, sums and unnormalised outputs of the item's queries in `tile`.
    fn attend_item(&self, cut: &Cut, item: &Item, tile: &mut Tile) {
        let (dim, group) = (self.shape.head_dim, self.group());
        let input = &self.sequences[item.sequence];
        tile.reset(item.rows.len() * group, dim);
        let scale = 1.0 / (dim as f32).sqrt();
        for row in item.rows.clone() {
            let start = ((cut.first_row + row) * self.num_heads + item.kv_head * group) * dim;
            tile.queries.extend(self.query[start..start + group * dim].iter().map(|x| x * scale));
        }
        let head_bytes = page::head_bytes(self.shape);
        let visible_to_first = input.past_len + item.rows.start + 1;
        for page in item.pages.clone() {
            let head = &input.pages[page][item.kv_head * head_bytes..(item.kv_head + 1) * head_bytes];
            let visible =
                |query: usize| (visible_to_first + query / group).saturating_sub(page * PAGE_LEN).min(PAGE_LEN);
            // SAFETY: the level and `supports` found the instruction sets and the head size; `head` is one head's block of
            // a page.
            unsafe { attend_page(self.shape, head, &visible, tile) };
        }
    }

    /// Writes the item's normalised outputs, or its partial results if its sequence is cut into runs.
    fn deliver(
        &self,
        cut: &Cut,
        item: &Item,
        tile: &Tile,
        out: &DisjointSlice<'_, f32>,
        partials: &DisjointSlice<'_, f32>,
    ) {
        let (dim, group) = (self.shape.head_dim, self.group());
        for (q, output) in tile.output.chunks_exact(dim).enumerate() {
            let row = cut.first_row + item.rows.start + q / group;
            let head = row * self.num_heads + item.kv_head * group + q % group;
            if cut.runs == 1 {
                // SAFETY: each item has its own rows and heads.
                let out = unsafe { out.slice(head * dim..(head + 1) * dim) };
                let scale = 1.0 / tile.sum[q];
                out.iter_mut().zip(output).for_each(|(out, x)| *out = x * scale);
            } else {
                // SAFETY: each item has its own rows, heads and run.
                let partial = unsafe { partials.slice(self.partial(cut, head, item.run)) };
                partial[..dim].copy_from_slice(output);
                (partial[dim], partial[dim + 1]) = (tile.max[q], tile.sum[q]);
            }
        }
    }

    /// The partial result of a run of a query head (counted over all rows): output, maximum, sum.
    fn partial(&self, cut: &Cut, head: usize, run: usize) -> Range<usize> {
        let len = self.shape.head_dim + 2;
        let index = (head - cut.first_row * self.num_heads) * cut.runs + run;
        cut.first_partial + index * len..cut.first_partial + (index + 1) * len
    }

    fn join(&self, cuts: &[Cut], partials: &[f32], out: &mut [f32]) {
        let dim = self.shape.head_dim;
        for (cut, sequence) in cuts.iter().zip(self.sequences).filter(|(cut, _)| cut.runs > 1) {
            for head in cut.first_row * self.num_heads..(cut.first_row + sequence.rows) * self.num_heads {
                let partial = |run: usize| &partials[self.partial(cut, head, run)];
                let max = (0..cut.runs).map(|run| partial(run)[dim]).fold(f32::NEG_INFINITY, f32::max);
                let weight = |run: usize| exp(partial(run)[dim] - max);
                let sum: f32 = (0..cut.runs).map(|run| weight(run) * partial(run)[dim + 1]).sum();
                let out = &mut out[head * dim..(head + 1) * dim];
                out.fill(0.0);
                for run in 0..cut.runs {
                    let weight = weight(run) / sum;
                    out.iter_mut().zip(partial(run)).for_each(|(out, x)| *out += weight * x);
                }
            }
        }
    }
}

/// Takes one head's page into `tile`, see [`vectors::attend_page`].
///
/// # Safety
/// As there.
unsafe fn attend_page(shape: &KvShape, head: &[u8], visible: &dyn Fn(usize) -> usize, tile: &mut Tile) {
    #[cfg(target_arch = "x86_64")]
    if Level::in_use() == Level::Avx512 && avx512::takes(shape, tile.max.len()) {
        // SAFETY: the caller's promise, and the level has AVX-512.
        return unsafe { avx512::attend_page(shape, head, visible, tile) };
    }
    // SAFETY: the caller's promise.
    unsafe { vectors::attend_page(shape, head, visible, tile) };
}
