//! Quantised weights, packed for the processor at hand, times f32 activations.

mod reference;

use super::{pool::ThreadPool, quant, quant::QuantType};

/// A weight matrix `(rows, cols)` in the layout its kernel wants, at about the file's own bytes.
pub struct PackedMatrix {
    quant: QuantType,
    rows: usize,
    cols: usize,
    /// Rows of blocks as in the file.
    bytes: Vec<u8>,
}

impl PackedMatrix {
    /// Packs `bytes`, `rows` rows of `cols` values in `quant` blocks, in parallel.
    ///
    /// # Panics
    /// If `cols` is not a multiple of the block length or `bytes` is not exactly the matrix.
    pub fn pack(quant: QuantType, rows: usize, cols: usize, bytes: &[u8], pool: &ThreadPool) -> Self {
        let _ = pool;
        assert!(cols.is_multiple_of(quant.block_len()), "{cols} columns are not whole blocks of {quant:?}");
        let expected = rows * (cols / quant.block_len() * quant.block_bytes());
        assert_eq!(bytes.len(), expected, "bytes of a {rows} x {cols} matrix of {quant:?}");
        Self { quant, rows, cols, bytes: bytes.to_vec() }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Row `row` as f32 into `out` (cols): the embedding look-up.
    pub fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        let row_bytes = self.cols / self.quant.block_len() * self.quant.block_bytes();
        quant::dequantize(self.quant, &self.bytes[row * row_bytes..(row + 1) * row_bytes], out);
    }

    /// `out (m, rows) = activations (m, cols) x self^T`.
    ///
    /// # Panics
    /// If the activations have other columns, or `out` another size.
    pub fn matmul(&self, pool: &ThreadPool, activations: &Activations, out: &mut [f32]) {
        assert_eq!(activations.cols, self.cols, "columns of activations and matrix");
        assert_eq!(out.len(), activations.m * self.rows, "output size");
        reference::matmul(self, pool, activations, out);
    }
}

/// An `(m, cols)` block of activations in the quantised forms the matrices it meets need; reused between calls so
/// that decoding allocates nothing.
#[derive(Default)]
pub struct Activations {
    m: usize,
    cols: usize,
    values: Vec<f32>,
}

impl Activations {
    /// Takes `values (m, cols)` for products with `matrices`, all of `cols` columns.
    ///
    /// # Panics
    /// If `values` is not whole rows, or a matrix has other columns.
    pub fn quantize(&mut self, pool: &ThreadPool, values: &[f32], cols: usize, matrices: &[&PackedMatrix]) {
        let _ = pool;
        assert!(values.len().is_multiple_of(cols), "{} values are not rows of {cols}", values.len());
        assert!(matrices.iter().all(|matrix| matrix.cols == cols), "a matrix does not have {cols} columns");
        self.cols = cols;
        self.m = values.len() / cols;
        self.values.clear();
        self.values.extend_from_slice(values);
    }
}

#[cfg(test)]
mod tests;
