//! The plain product, which works for every type: each row is dequantised once, then multiplied with each activation
//! row in f32.

use std::cell::RefCell;

use super::activations::Activations;
use super::packed::PackedMatrix;
use crate::disjoint::DisjointSlice;
use crate::pool::ThreadPool;

/// Matrix rows in one task.
const ROWS_PER_TASK: usize = 16;

pub(super) fn matmul(matrix: &PackedMatrix, pool: &ThreadPool, activations: &Activations, out: &mut [f32]) {
    thread_local! {
        static ROW: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    let (rows, cols) = (matrix.rows, matrix.cols);
    let out = DisjointSlice::new(out);
    pool.run(rows.div_ceil(ROWS_PER_TASK), &|task| {
        ROW.with_borrow_mut(|weights| {
            weights.resize(cols, 0.0);
            for row in task * ROWS_PER_TASK..rows.min((task + 1) * ROWS_PER_TASK) {
                matrix.dequantize_row(row, weights);
                for (m, activations) in activations.values.chunks_exact(cols).enumerate() {
                    // SAFETY: each task has its own columns of the output.
                    let out = unsafe { out.slice(m * rows + row..m * rows + row + 1) };
                    out[0] = dot(weights, activations);
                }
            }
        });
    });
}

/// Uses eight partial sums, so that the compiler can vectorise.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}
