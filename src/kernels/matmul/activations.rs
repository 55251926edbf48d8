//! Activations in the quantised forms that the integer kernels read.
//!
//! Columns are taken in superblocks of 256 (the last may be shorter), rows in groups of [`GROUP`] (the last may be
//! smaller). The quants of superblock s lie at `256 * s * m`, group after group, each as `[columns / 4][rows of the
//! group][4]`, so that the dwords which meet one weight vector are neighbours.

pub(super) mod quantize;

use super::shape::{BLOCK, GROUP, ROWS, SUPER};
use crate::disjoint::DisjointSlice;
use crate::level::Level;
use crate::pool::ThreadPool;
use quantize::{Block, quantize_block, quantize_superblock};

/// Activations `(m, cols)` in the quantised forms that their matrices need. Reused between calls, so that decoding does
/// not allocate.
#[derive(Default)]
pub struct Activations {
    pub(super) m: usize,
    pub(super) cols: usize,
    /// `(m, cols)`, for the kernels that compute in f32.
    pub(super) values: Vec<f32>,
    pub(super) blocks: BlockForm,
    pub(super) supers: SuperForm,
}

/// One scale per 32 columns: for the types with blocks of 32. Per-block fields are in the order
/// `[superblock][group][block][row of the group]`.
#[derive(Default)]
pub(super) struct BlockForm {
    pub(super) quants: Vec<i8>,
    pub(super) scales: Vec<f32>,
    /// `scale * sum of the quants`, rounded to f16 as the types with a minimum have it.
    pub(super) scaled_sums: Vec<f32>,
    pub(super) sums: Vec<i32>,
}

/// The blocks of one superblock and one group of rows.
pub(super) struct BlockInput<'a> {
    pub(super) quants: &'a [i8],
    pub(super) scales: &'a [f32],
    pub(super) scaled_sums: &'a [f32],
    pub(super) sums: &'a [i32],
}

impl BlockForm {
    /// The blocks of the superblock of `width` columns that begins at column `start`, of `rows` rows from `first` on.
    pub(super) fn input(&self, m: usize, start: usize, width: usize, (first, rows): (usize, usize)) -> BlockInput<'_> {
        let (offset, len) = (start * m + first * width, rows * width);
        let blocks = offset / BLOCK..(offset + len) / BLOCK;
        BlockInput {
            quants: &self.quants[offset..offset + len],
            scales: &self.scales[blocks.clone()],
            scaled_sums: &self.scaled_sums[blocks.clone()],
            sums: &self.sums[blocks],
        }
    }
}

/// One scale per 256 columns: for the K-quants.
#[derive(Default)]
pub(super) struct SuperForm {
    pub(super) quants: Vec<i8>,
    /// `[superblock][row]`.
    pub(super) scales: Vec<f32>,
    /// Sums of 32 quants, two i16 in each dword: `[superblock][row][4]`.
    pub(super) sums: Vec<i32>,
    /// Sums over the 16 quants of a sub-block, of those with column % 4 < 2 in the low and the others in the high i16:
    /// `[superblock][group][sub-block 0..16][row of the group]`.
    pub(super) half_sums: Vec<i32>,
}

/// Which forms a set of matrices reads.
#[derive(Clone, Copy, Default)]
pub(super) struct Forms {
    pub(super) values: bool,
    pub(super) blocks: bool,
    pub(super) supers: bool,
}

/// Fewer values than this are quantised on the calling thread alone.
const PARALLEL_FROM: usize = 16 * 1024;

impl Activations {
    /// Fills the requested forms with `values (m, cols)`.
    pub(super) fn fill(&mut self, pool: &ThreadPool, values: &[f32], cols: usize, forms: Forms) {
        assert!(values.len().is_multiple_of(cols), "{} values are not rows of {cols}", values.len());
        self.cols = cols;
        self.m = values.len() / cols;
        self.values.clear();
        if forms.values {
            self.values.extend_from_slice(values);
        }
        let level = Level::in_use();
        if forms.blocks {
            self.blocks.resize(self.m, cols);
            self.blocks.fill(level, pool, values, self.m, cols);
        }
        if forms.supers {
            self.supers.resize(self.m, cols);
            self.supers.fill(level, pool, values, self.m, cols);
        }
    }
}

/// Runs `task` for every superblock of an `(m, cols)` matrix.
fn for_superblocks(pool: &ThreadPool, m: usize, cols: usize, task: &(dyn Fn(usize) + Sync)) {
    let superblocks = cols.div_ceil(SUPER);
    if m * cols < PARALLEL_FROM {
        (0..superblocks).for_each(task);
    } else {
        pool.run(superblocks, task);
    }
}

/// The groups of `m` rows, as (first row, rows).
pub(super) fn row_groups(m: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..m).step_by(GROUP).map(move |first| (first, GROUP.min(m - first)))
}

/// Calls `tile` for each superblock of a group of 16 weight rows and each group of activation rows. It gets the
/// superblock's blocks (of `block_bytes`), the activations, whether they are the first rows, and their rows of `sums
/// (m, 16)`.
pub(super) fn for_blocks(
    activations: &Activations,
    weights: &[u8],
    block_bytes: usize,
    sums: &mut [f32],
    mut tile: impl FnMut(&[u8], &BlockInput<'_>, bool, &mut [f32]),
) {
    let (m, cols) = (activations.m, activations.cols);
    debug_assert!(weights.len() == cols / BLOCK * block_bytes && sums.len() == m * ROWS);
    for start in (0..cols).step_by(SUPER) {
        let width = SUPER.min(cols - start);
        let weights = &weights[start / BLOCK * block_bytes..][..width / BLOCK * block_bytes];
        for (first, rows) in row_groups(m) {
            let input = activations.blocks.input(m, start, width, (first, rows));
            tile(weights, &input, first == 0, &mut sums[first * ROWS..][..rows * ROWS]);
        }
    }
}

impl BlockForm {
    fn resize(&mut self, m: usize, cols: usize) {
        self.quants.resize(m * cols, 0);
        self.scales.resize(m * cols / BLOCK, 0.0);
        self.scaled_sums.resize(m * cols / BLOCK, 0.0);
        self.sums.resize(m * cols / BLOCK, 0);
    }

    fn fill(&mut self, level: Level, pool: &ThreadPool, values: &[f32], m: usize, cols: usize) {
        let quants = DisjointSlice::new(&mut self.quants);
        let scales = DisjointSlice::new(&mut self.scales);
        let scaled_sums = DisjointSlice::new(&mut self.scaled_sums);
        let sums = DisjointSlice::new(&mut self.sums);
        for_superblocks(pool, m, cols, &|superblock| {
            let start = superblock * SUPER;
            let width = SUPER.min(cols - start);
            let blocks = width / BLOCK;
            let span = start * m..(start + width) * m;
            let block_span = span.start / BLOCK..span.end / BLOCK;
            // SAFETY: each task has its own superblock, and so its own span of every field.
            let (quants, scales, scaled_sums, sums) = unsafe {
                (
                    quants.slice(span),
                    scales.slice(block_span.clone()),
                    scaled_sums.slice(block_span.clone()),
                    sums.slice(block_span),
                )
            };
            for (first, rows) in row_groups(m) {
                let group = &mut quants[first * width..(first + rows) * width];
                for (row, block) in (0..rows).flat_map(|row| (0..blocks).map(move |block| (row, block))) {
                    let from = (first + row) * cols + start + block * BLOCK;
                    let source = values[from..].first_chunk().expect("a whole block follows");
                    let Block { quants, scale, scaled_sum, sum } = quantize_block(level, source);
                    scatter(&quants, &mut group[block * BLOCK * rows..(block + 1) * BLOCK * rows], rows, row);
                    let index = first * blocks + block * rows + row;
                    (scales[index], scaled_sums[index], sums[index]) = (scale, scaled_sum, sum);
                }
            }
        });
    }
}

impl SuperForm {
    fn resize(&mut self, m: usize, cols: usize) {
        self.quants.resize(m * cols, 0);
        self.scales.resize(m * cols / SUPER, 0.0);
        self.sums.resize(m * cols / SUPER * 4, 0);
        self.half_sums.resize(m * cols / SUPER * 16, 0);
    }

    fn fill(&mut self, level: Level, pool: &ThreadPool, values: &[f32], m: usize, cols: usize) {
        let quants = DisjointSlice::new(&mut self.quants);
        let scales = DisjointSlice::new(&mut self.scales);
        let sums = DisjointSlice::new(&mut self.sums);
        let half_sums = DisjointSlice::new(&mut self.half_sums);
        for_superblocks(pool, m, cols, &|superblock| {
            let start = superblock * m;
            // SAFETY: each task has its own superblock, and so its own span of every field.
            let (quants, scales, sums, half_sums) = unsafe {
                (
                    quants.slice(start * SUPER..(start + m) * SUPER),
                    scales.slice(start..start + m),
                    sums.slice(start * 4..(start + m) * 4),
                    half_sums.slice(start * 16..(start + m) * 16),
                )
            };
            for (first, rows) in row_groups(m) {
                for row in 0..rows {
                    let from = (first + row) * cols + superblock * SUPER;
                    let source = values[from..].first_chunk().expect("a whole superblock follows");
                    let quantized = quantize_superblock(level, source);
                    scatter(&quantized.quants, &mut quants[first * SUPER..(first + rows) * SUPER], rows, row);
                    scales[first + row] = quantized.scale;
                    sums[(first + row) * 4..(first + row + 1) * 4].copy_from_slice(&quantized.sums);
                    for (sub_block, sum) in quantized.half_sums.iter().enumerate() {
                        half_sums[first * 16 + sub_block * rows + row] = *sum;
                    }
                }
            }
        });
    }
}

/// Writes one row's quants to its dwords among those of `rows` rows.
fn scatter(row_quants: &[i8], group: &mut [i8], rows: usize, row: usize) {
    if rows == 1 {
        group.copy_from_slice(row_quants);
        return;
    }
    let (dwords, _) = row_quants.as_chunks::<4>();
    for (target, dword) in group.chunks_exact_mut(4 * rows).zip(dwords) {
        target[4 * row..4 * row + 4].copy_from_slice(dword);
    }
}
