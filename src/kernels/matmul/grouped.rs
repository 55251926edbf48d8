//! The walk over a matrix in groups of 16 rows: threads take runs of row groups, each group meets all activation rows.

use std::cell::RefCell;

use super::activations::Activations;
use super::layout::{self, ROWS};
use super::{Kernel, PackedMatrix};
use crate::kernels::disjoint::DisjointSlice;
use crate::kernels::level::Level;
use crate::kernels::pool::ThreadPool;
use crate::kernels::quant::QuantType;

/// Adds the product of one packed group of 16 rows with all activation rows to `sums (m, 16)`.
///
/// # Safety
/// The processor has the level's instruction sets, the weights are a whole group of the type the kernel is for, the
/// activations hold the form it reads, and `sums` is `m * 16` long.
pub(super) type GroupKernel = unsafe fn(weights: &[u8], activations: &Activations, sums: &mut [f32]);

/// Fewer multiplications than this are not worth waking another thread for.
const PARALLEL_FROM: usize = 100_000;

pub(super) fn matmul(
    matrix: &PackedMatrix,
    level: Level,
    pool: &ThreadPool,
    activations: &Activations,
    out: &mut [f32],
) {
    thread_local! {
        static SUMS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    let (rows, m) = (matrix.rows, activations.m);
    assert_form(matrix, activations);
    let kernel = group_kernel(matrix.quant, level);
    let group_bytes = layout::group_bytes(matrix.quant, matrix.cols);
    let out = DisjointSlice::new(out);
    let threads = if rows * matrix.cols * m < PARALLEL_FROM { 1 } else { pool.threads() };
    let per_task = layout::task_groups(rows, threads);
    let task = |task: usize| {
        SUMS.with_borrow_mut(|sums| {
            sums.resize(m * ROWS, 0.0);
            for group in layout::groups_of(task, per_task, rows) {
                let weights = &matrix.bytes.as_slice()[group * group_bytes..(group + 1) * group_bytes];
                sums.fill(0.0);
                // SAFETY: `level` was detected, `assert_form` checked the activations, the slices have these sizes.
                unsafe { kernel(weights, activations, sums) };
                let columns = group * ROWS..rows.min((group + 1) * ROWS);
                for (row, sums) in sums.chunks_exact(ROWS).enumerate() {
                    // SAFETY: each task has its own columns of the output.
                    let out = unsafe { out.slice(row * rows + columns.start..row * rows + columns.end) };
                    out.copy_from_slice(&sums[..columns.len()]);
                }
            }
        });
    };
    let tasks = rows.div_ceil(ROWS).div_ceil(per_task);
    if threads == 1 { (0..tasks).for_each(task) } else { pool.run(tasks, &task) }
}

/// The kernels trust the sizes of the form they read.
fn assert_form(matrix: &PackedMatrix, activations: &Activations) {
    let len = match matrix.kernel {
        Kernel::Blocks => activations.blocks.quants.len(),
        Kernel::Supers => activations.supers.quants.len(),
        Kernel::Floats | Kernel::Plain => activations.values.len(),
    };
    let expected = activations.m * activations.cols;
    assert_eq!(len, expected, "the activations were not quantised for a matrix of {:?}", matrix.quant);
}

#[cfg(target_arch = "x86_64")]
fn group_kernel(quant: QuantType, level: Level) -> GroupKernel {
    match level {
        Level::Portable => unreachable!("the plain kernel needs no groups"),
        Level::Avx2 => super::avx2::group_kernel(quant),
        Level::Avx512 => super::avx512::group_kernel(quant),
    }
}

#[cfg(target_arch = "aarch64")]
fn group_kernel(quant: QuantType, level: Level) -> GroupKernel {
    match level {
        Level::Portable => unreachable!("the plain kernel needs no groups"),
        Level::Neon => super::neon::group_kernel(quant),
        Level::I8mm => super::i8mm::group_kernel(quant),
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn group_kernel(quant: QuantType, level: Level) -> GroupKernel {
    unreachable!("no grouped kernel for {quant:?} at {level:?}")
}
