//! Multiplies a matrix in groups of 16 rows: threads take runs of row groups, and each group is multiplied with all
//! activation rows.

use std::cell::RefCell;
use std::ops::Range;

use super::activations::Activations;
use super::kernel::{GroupKernel, WideKernel};
use super::layout;
use super::packed::{Kernel, PackedMatrix};
use super::shape::ROWS;
use crate::disjoint::DisjointSlice;
use crate::level::Level;
use crate::pool::ThreadPool;
use crate::quant::QuantType;
use crate::tuning::Tuning;

/// Fewer multiplications than this are not worth waking another thread.
const PARALLEL_FROM: usize = 100_000;

pub(super) fn matmul(
    matrix: &PackedMatrix,
    level: Level,
    tuning: &Tuning,
    pool: &ThreadPool,
    activations: &Activations,
    out: &mut [f32],
) {
    thread_local! {
        static SUMS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    let (rows, m) = (matrix.rows, activations.m);
    assert_form(matrix, activations);
    let (kernel, wide) = kernels(matrix.quant, level);
    let wide = wide.filter(|wide| m >= wide.min_rows);
    let threads = if rows * matrix.cols * m < PARALLEL_FROM { 1 } else { pool.threads() };
    let per_task =
        layout::task_groups(rows, m, threads, tuning).next_multiple_of(wide.as_ref().map_or(1, |wide| wide.groups));
    let walk = Walk { matrix, activations, tuning, kernel, wide, out: DisjointSlice::new(out) };
    let task = |task: usize| {
        SUMS.with_borrow_mut(|sums| walk.multiply(layout::groups_of(task, per_task, rows), sums));
    };
    let tasks = rows.div_ceil(ROWS).div_ceil(per_task);
    if threads == 1 { (0..tasks).for_each(task) } else { pool.run(tasks, &task) }
}

struct Walk<'a> {
    matrix: &'a PackedMatrix,
    activations: &'a Activations,
    tuning: &'a Tuning,
    kernel: GroupKernel,
    wide: Option<WideKernel>,
    /// `(m, rows)`
    out: DisjointSlice<'a, f32>,
}

impl Walk<'_> {
    /// Multiplies a run of groups that no other task has; `sums` is scratch.
    fn multiply(&self, mut groups: Range<usize>, sums: &mut Vec<f32>) {
        let group_bytes = layout::group_bytes(self.matrix.quant, self.matrix.cols);
        while !groups.is_empty() {
            let (kernel, taken) = match &self.wide {
                Some(wide) if groups.len() >= wide.groups => (wide.kernel, wide.groups),
                _ => (self.kernel, 1),
            };
            let weights = &self.matrix.bytes.as_slice()[groups.start * group_bytes..][..taken * group_bytes];
            sums.clear();
            sums.resize(self.activations.m * taken * ROWS, 0.0);
            // SAFETY: the level was detected, `assert_form` checked the activations, the slices have these sizes.
            unsafe { kernel(weights, self.activations, self.tuning, sums) };
            self.deliver(groups.start..groups.start + taken, sums);
            groups.start += taken;
        }
    }

    /// Writes `sums (m, groups * 16)` to the groups' columns of the output.
    fn deliver(&self, groups: Range<usize>, sums: &[f32]) {
        let rows = self.matrix.rows;
        let columns = groups.start * ROWS..rows.min(groups.end * ROWS);
        for (row, sums) in sums.chunks_exact(groups.len() * ROWS).enumerate() {
            // SAFETY: each task has its own columns of the output.
            let out = unsafe { self.out.slice(row * rows + columns.start..row * rows + columns.end) };
            let (whole, rest) = out.as_chunks_mut::<ROWS>();
            let (sums, rest_sums) = sums[..columns.len()].as_chunks::<ROWS>();
            // The copy has a constant size, so that it is inlined: a call for every few cache lines would cost
            // noticeable time.
            whole.iter_mut().zip(sums).for_each(|(out, sums)| *out = *sums);
            rest.copy_from_slice(rest_sums);
        }
    }
}

/// Checks the sizes of the form that the kernel reads, which kernels rely on.
fn assert_form(matrix: &PackedMatrix, activations: &Activations) {
    let len = match matrix.kernel {
        Kernel::Legacy => activations.blocks.quants.len(),
        Kernel::KQuants => activations.supers.quants.len(),
        Kernel::Floats | Kernel::Plain => activations.values.len(),
    };
    let expected = activations.m * activations.cols;
    assert_eq!(len, expected, "the activations were not quantised for a matrix of {:?}", matrix.quant);
}

/// The kernel of one group, and that of several where there is one.
#[cfg(target_arch = "x86_64")]
fn kernels(quant: QuantType, level: Level) -> (GroupKernel, Option<WideKernel>) {
    match level {
        Level::Portable => unreachable!("the plain kernel needs no groups"),
        Level::Avx2 => (super::avx2::group_kernel(quant), None),
        Level::AvxVnni => (super::avx2::vnni_group_kernel(quant), None),
        Level::Avx512 => (super::avx512::group_kernel(quant), super::avx512::wide_kernel(quant)),
    }
}

#[cfg(target_arch = "aarch64")]
fn kernels(quant: QuantType, level: Level) -> (GroupKernel, Option<WideKernel>) {
    match level {
        Level::Portable => unreachable!("the plain kernel needs no groups"),
        Level::Neon => (super::neon::group_kernel(quant), None),
        Level::I8mm => (super::i8mm::group_kernel(quant), None),
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn kernels(quant: QuantType, level: Level) -> (GroupKernel, Option<WideKernel>) {
    unreachable!("no grouped kernel for {quant:?} at {level:?}")
}
