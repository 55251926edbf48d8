//! Attention page by page with a running softmax: no matrix of scores, each page of K and V read once for all the
//! queries that share it (the rows of a tile times the query heads of one KV head).
//!
//! Pages are taken in runs of a fixed length, each from an empty softmax, and the runs of a row are joined in order.
//! The result is therefore the same whichever thread computes a run. If there are few tiles, each of their runs is an
//! item of its own, so that the threads can share them, and the thread that delivers the last run of a tile joins them.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod bytes;
mod halves;
mod tile;

use std::cell::RefCell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::input::AttentionInput;
use super::page::{self, KvShape, KvType, PAGE_LEN};
use crate::disjoint::DisjointSlice;
#[cfg(target_arch = "x86_64")]
use crate::level::Level;
use crate::pool::ThreadPool;
use tile::{HeadPage, Tile, join};

/// The most queries that one tile holds, unless one row has more.
const TILE_QUERIES: usize = 64;
/// Pages in a run, so many that joining costs less than a hundredth of computing them.
const RUN_PAGES: usize = 16;
/// Items per thread, so that a thread that starts late or is suspended leaves its items to the others.
const ITEMS_PER_THREAD: usize = 8;

/// How one sequence is cut into items, and those into tiles of rows and KV heads.
struct Cut {
    /// Index of the sequence's first item.
    first_item: usize,
    /// The sequence's first row among all.
    first_row: usize,
    tile_rows: usize,
    row_tiles: usize,
    runs: usize,
    /// Whether each run is an item of its own.
    split: bool,
    /// Where the sequence's partial results begin, and its counts of runs to come.
    first_partial: usize,
    first_pending: usize,
}

/// One unit of work.
struct Item {
    sequence: usize,
    kv_head: usize,
    /// Rows of the sequence.
    rows: Range<usize>,
    runs: Range<usize>,
    /// Its tile's count of runs to come.
    pending: usize,
}

#[derive(Default)]
struct Schedule {
    cuts: Vec<Cut>,
    items: usize,
    /// Where the runs of split sequences leave their results: per query `head_dim` outputs, a maximum, a sum.
    partials: Vec<f32>,
    /// For each tile of split sequences, the runs not yet delivered.
    pending: Vec<AtomicUsize>,
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
        static PLAN: RefCell<Schedule> = RefCell::default();
        static TILE: RefCell<Tile> = RefCell::default();
    }
    let call = Call { shape, num_heads, query, sequences };
    PLAN.with_borrow_mut(|plan| {
        call.plan(pool.threads(), plan);
        let threads = pool.threads();
        let Schedule { cuts, items, partials, pending } = plan;
        let (out, partials) = (DisjointSlice::new(out), DisjointSlice::new(partials));
        pool.run(*items, &|index| {
            let (cut, item) = call.item(cuts, index);
            TILE.with_borrow_mut(|tile| {
                // Not the next item, but the one that this thread gets if the threads take turns.
                let next = (index + threads < *items).then(|| call.item(cuts, index + threads).1);
                call.attend_item(cut, &item, next.as_ref(), tile);
                if !cut.split {
                    call.deliver(cut, &item, tile, &out);
                } else {
                    call.deliver_part(cut, &item, tile, &partials);
                    // Acquire and release: the thread that delivers the last run sees what the others have delivered.
                    if pending[item.pending].fetch_sub(1, Ordering::AcqRel) == 1 {
                        call.join_parts(cut, &item, &partials, &out);
                    }
                }
            });
        });
    });
}

impl Call<'_> {
    fn group(&self) -> usize {
        self.num_heads / self.shape.num_kv_heads
    }

    fn plan(&self, threads: usize, plan: &mut Schedule) {
        plan.cuts.clear();
        plan.pending.clear();
        let (mut items, mut first_row, mut partials) = (0, 0, 0);
        for sequence in self.sequences {
            let tile_rows = (TILE_QUERIES / self.group()).clamp(1, sequence.rows.max(1));
            let row_tiles = sequence.rows.div_ceil(tile_rows);
            let tiles = row_tiles * self.shape.num_kv_heads;
            let runs = (sequence.past_len + sequence.rows).div_ceil(RUN_PAGES * PAGE_LEN);
            let split = threads > 1 && runs > 1 && tiles < ITEMS_PER_THREAD * threads;
            let (first_partial, first_pending) = (partials, plan.pending.len());
            plan.cuts.push(Cut {
                first_item: items,
                first_row,
                tile_rows,
                row_tiles,
                runs,
                split,
                first_partial,
                first_pending,
            });
            first_row += sequence.rows;
            if split {
                items += tiles * runs;
                partials += sequence.rows * self.num_heads * runs * self.partial_len();
                plan.pending.extend((0..tiles).map(|_| AtomicUsize::new(runs)));
            } else {
                items += tiles;
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
        let (tile, runs) =
            if cut.split { (index / cut.runs, index % cut.runs..index % cut.runs + 1) } else { (index, 0..cut.runs) };
        let (row_tile, kv_head) = (tile % cut.row_tiles, tile / cut.row_tiles);
        // The last tiles see the most keys: begin with them, so that the threads finish together.
        let first = (cut.row_tiles - 1 - row_tile) * cut.tile_rows;
        let rows = first..input.rows.min(first + cut.tile_rows);
        (cut, Item { sequence, kv_head, rows, runs, pending: cut.first_pending + tile })
    }

    /// Computes the softmaxes of the item's runs, joins them in `tile`, and prefetches the beginning of `next`.
    fn attend_item(&self, cut: &Cut, item: &Item, next: Option<&Item>, tile: &mut Tile) {
        let (dim, group) = (self.shape.head_dim, self.group());
        let input = &self.sequences[item.sequence];
        tile.clear();
        for row in item.rows.clone() {
            let start = ((cut.first_row + row) * self.num_heads + item.kv_head * group) * dim;
            tile.push(self.shape, &self.query[start..start + group * dim], input.visible(row));
        }
        let pages = (input.past_len + item.rows.end).div_ceil(PAGE_LEN);
        // Positions that the first row no longer sees are out of sight for the others, too.
        let first_page = input.visible(item.rows.start).start / PAGE_LEN;
        let last_page = pages.min(item.runs.end * RUN_PAGES).saturating_sub(1);
        for run in item.runs.clone() {
            tile.begin_run(dim);
            for page in first_page.max(run * RUN_PAGES)..pages.min((run + 1) * RUN_PAGES) {
                let bytes = self.block(item, page);
                let next = match next {
                    _ if page < last_page => self.block(item, page + 1),
                    Some(next) => self.block(next, next.runs.start * RUN_PAGES),
                    None => bytes,
                };
                let page = HeadPage { shape: self.shape, bytes, next, start: page * PAGE_LEN };
                // SAFETY: the level and `fits_vectors` found the instruction sets and the head size; the tile is of
                // this shape.
                unsafe { attend_page(&page, tile) };
            }
            tile.end_run(dim, run == item.runs.start);
        }
    }

    /// The block of the item's KV head in a page of its sequence.
    fn block(&self, item: &Item, page: usize) -> &[u8] {
        let head_bytes = page::head_bytes(self.shape);
        &self.sequences[item.sequence].pages[page][item.kv_head * head_bytes..(item.kv_head + 1) * head_bytes]
    }

    /// The query heads of an item, counted over all rows, in the order of its tile.
    fn heads(&self, cut: &Cut, item: &Item) -> impl Iterator<Item = usize> {
        let (group, num_heads) = (self.group(), self.num_heads);
        let first = (cut.first_row + item.rows.start) * num_heads + item.kv_head * group;
        (0..item.rows.len() * group).map(move |q| first + q / group * num_heads + q % group)
    }

    /// Writes the item's outputs.
    fn deliver(&self, cut: &Cut, item: &Item, tile: &Tile, out: &DisjointSlice<'_, f32>) {
        let dim = self.shape.head_dim;
        for (q, head) in self.heads(cut, item).enumerate() {
            // SAFETY: each item has its own rows and heads.
            let out = unsafe { out.slice(head * dim..(head + 1) * dim) };
            divide(&tile.joined.output[q * dim..(q + 1) * dim], tile.joined.sum[q], out);
        }
    }

    /// Writes the softmaxes of the item's one run.
    fn deliver_part(&self, cut: &Cut, item: &Item, tile: &Tile, partials: &DisjointSlice<'_, f32>) {
        let dim = self.shape.head_dim;
        for (q, head) in self.heads(cut, item).enumerate() {
            // SAFETY: each item has its own rows, heads and run.
            let partial = unsafe { partials.slice(self.partial(cut, head, item.runs.start)) };
            partial[..dim].copy_from_slice(&tile.joined.output[q * dim..(q + 1) * dim]);
            (partial[dim], partial[dim + 1]) = (tile.joined.max[q], tile.joined.sum[q]);
        }
    }

    /// Joins the runs of the item's tile, all of them delivered, and writes its outputs.
    fn join_parts(&self, cut: &Cut, item: &Item, partials: &DisjointSlice<'_, f32>, out: &DisjointSlice<'_, f32>) {
        let dim = self.shape.head_dim;
        for head in self.heads(cut, item) {
            // SAFETY: this is the last of the tile's items to finish, no other tile has its rows and heads, and each
            // run of a head has its own range.
            let (first, out) =
                unsafe { (partials.slice(self.partial(cut, head, 0)), out.slice(head * dim..(head + 1) * dim)) };
            let (output, rest) = first.split_at_mut(dim);
            let (max, sum) = rest.split_at_mut(1);
            for run in 1..cut.runs {
                // SAFETY: as above.
                let other = unsafe { partials.slice(self.partial(cut, head, run)) };
                join((&mut *output, &mut max[0], &mut sum[0]), (&other[..dim], other[dim], other[dim + 1]));
            }
            divide(output, sum[0], out);
        }
    }

    fn partial_len(&self) -> usize {
        self.shape.head_dim + 2
    }

    /// The partial result of a run of a query head (counted over all rows): output, maximum, sum.
    fn partial(&self, cut: &Cut, head: usize, run: usize) -> Range<usize> {
        let len = self.partial_len();
        let index = (head - cut.first_row * self.num_heads) * cut.runs + run;
        cut.first_partial + index * len..cut.first_partial + (index + 1) * len
    }
}

fn divide(output: &[f32], sum: f32, out: &mut [f32]) {
    let scale = 1.0 / sum;
    out.iter_mut().zip(output).for_each(|(out, x)| *out = x * scale);
}

/// Adds one head's page to the softmax of `tile`.
///
/// # Safety
/// The level's instruction sets; the head size is a multiple of 8; `page` and `tile` are of one shape.
unsafe fn attend_page(page: &HeadPage<'_>, tile: &mut Tile) {
    #[cfg(target_arch = "x86_64")]
    if Level::in_use() == Level::Avx512 && avx512::takes(page.shape, tile.len()) {
        // SAFETY: the caller's promise, and the level has AVX-512.
        return unsafe { avx512::attend_page(page, tile) };
    }
    // SAFETY: the caller's promise.
    unsafe {
        match page.shape.kv_type {
            KvType::F16 => halves::attend_page(page, tile),
            KvType::Q8_0 => bytes::attend_page(page, tile),
        }
    }
}
