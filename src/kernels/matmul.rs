//! Quantised weights, packed for this processor, times f32 activations.
//!
//! Files import downwards only: `shape` (sizes), `layout` (the packed bytes), `formats` (what kernels know of a format, and
//! the table of them), `activations`, `kernel` (what one is), a folder for each instruction set, `packed` (the matrix),
//! `grouped` and `reference` (the walk over it), `load`, this file, and `measure`. A new format is a row in `layout` and in `formats`,
//! and its unpacking in one file of each instruction set.

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod fetch;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod formats;
mod grouped;
#[cfg(target_arch = "aarch64")]
mod i8mm;
mod kernel;
mod layout;
mod load;
mod measure;
#[cfg(target_arch = "aarch64")]
mod neon;
mod packed;
mod reference;
mod shape;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod superblock;

pub use activations::Activations;
pub use load::{ReadAt, Source};
pub use measure::{Measured, TRIAL_BYTES, measure_tuning};
pub use packed::PackedMatrix;

use super::level::Level;
use super::tuning::Tuning;
use super::{pool::ThreadPool, quant::QuantType};
use activations::Forms;
use packed::Kernel;

impl Activations {
    /// Quantises `values (m, cols)` for products with `matrices`, which all have `cols` columns.
    ///
    /// # Panics
    /// If `values` is not whole rows, or a matrix has another number of columns.
    pub fn quantize(&mut self, pool: &ThreadPool, values: &[f32], cols: usize, matrices: &[&PackedMatrix]) {
        assert!(matrices.iter().all(|matrix| matrix.cols == cols), "a matrix does not have {cols} columns");
        let mut forms = Forms::default();
        for matrix in matrices {
            match matrix.kernel {
                Kernel::Plain | Kernel::Floats => forms.values = true,
                Kernel::Legacy => forms.blocks = true,
                Kernel::KQuants => forms.supers = true,
            }
        }
        self.fill(pool, values, cols, forms);
    }
}

impl PackedMatrix {
    /// Packs `bytes`, `rows` rows of `cols` values in `quant` blocks, in parallel.
    ///
    /// # Panics
    /// If `cols` is not a multiple of the block length or `bytes` is not exactly the matrix.
    pub fn pack(quant: QuantType, rows: usize, cols: usize, bytes: &[u8], pool: &ThreadPool) -> Self {
        let expected = rows * (cols / quant.block_len() * quant.block_bytes());
        assert_eq!(bytes.len(), expected, "bytes of a {rows} x {cols} matrix of {quant:?}");
        let read = |start: usize, buffer: &mut [u8]| {
            buffer.copy_from_slice(&bytes[start..start + buffer.len()]);
            Ok(())
        };
        let source = Source { quant, rows, cols, read: Box::new(read) };
        let mut packed = Self::load_all(&[source], pool, &mut |_| {}).expect("memory can be read");
        packed.pop().expect("one source gives one matrix")
    }

    /// `out (m, rows) = activations (m, cols) x self^T`.
    ///
    /// # Panics
    /// If the activations have another number of columns or were not quantised for this matrix, or `out` has another
    /// size.
    pub fn matmul(&self, pool: &ThreadPool, activations: &Activations, out: &mut [f32]) {
        self.matmul_with(Level::in_use(), Tuning::in_use(), pool, activations, out);
    }

    /// [`PackedMatrix::matmul`] with this `level` and `tuning` instead of those in use, to compare them.
    pub fn matmul_with(
        &self,
        level: Level,
        tuning: &Tuning,
        pool: &ThreadPool,
        activations: &Activations,
        out: &mut [f32],
    ) {
        assert_eq!(activations.cols, self.cols, "columns of activations and matrix");
        assert_eq!(out.len(), activations.m * self.rows, "output size");
        match self.kernel {
            Kernel::Plain => reference::matmul(self, pool, activations, out),
            Kernel::Floats | Kernel::Legacy | Kernel::KQuants => {
                grouped::matmul(self, level, tuning, pool, activations, out);
            }
        }
    }
}

#[cfg(test)]
mod tests;
