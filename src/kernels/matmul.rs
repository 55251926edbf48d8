//! Quantised weights, packed for the processor at hand, times f32 activations.

use super::{pool::ThreadPool, quant::QuantType};

/// A weight matrix `(rows, cols)` in the layout its kernel wants, at about the file's own bytes.
pub struct PackedMatrix {
    rows: usize,
    cols: usize,
}

impl PackedMatrix {
    /// Packs `bytes`, `rows` rows of `cols` values in `quant` blocks, in parallel.
    ///
    /// # Panics
    /// If `cols` is not a multiple of the block length or `bytes` is not exactly the matrix.
    pub fn pack(quant: QuantType, rows: usize, cols: usize, bytes: &[u8], pool: &ThreadPool) -> Self {
        let _ = (quant, bytes, pool);
        Self { rows, cols }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        todo!()
    }

    /// Row `row` as f32 into `out` (cols): the embedding look-up.
    pub fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        let _ = (row, out);
        todo!()
    }

    /// `out (m, rows) = activations (m, cols) x self^T`.
    pub fn matmul(&self, pool: &ThreadPool, activations: &Activations, out: &mut [f32]) {
        let _ = (pool, activations, out);
        todo!()
    }
}

/// An `(m, cols)` block of activations in the quantised forms the matrices it meets need; reused between calls so
/// that decoding allocates nothing.
#[derive(Default)]
pub struct Activations {
    m: usize,
    cols: usize,
}

impl Activations {
    /// Takes `values (m, cols)` for products with `matrices`, all of `cols` columns.
    pub fn quantize(&mut self, pool: &ThreadPool, values: &[f32], cols: usize, matrices: &[&PackedMatrix]) {
        let _ = (pool, matrices);
        self.cols = cols;
        self.m = values.len() / cols;
        todo!()
    }
}
