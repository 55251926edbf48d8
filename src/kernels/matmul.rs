//! Quantised weights, packed for the processor at hand, times f32 activations.

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod grouped;
#[cfg(target_arch = "aarch64")]
mod i8mm;
mod layout;
mod load;
#[cfg(target_arch = "aarch64")]
mod neon;
mod reference;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod superblock;

pub use activations::Activations;
pub use load::{ReadAt, Source};

use std::cell::RefCell;

use super::buffer::AlignedBytes;
use super::level::Level;
use super::{pool::ThreadPool, quant, quant::QuantType};

/// A weight matrix `(rows, cols)` in the layout its kernel wants, at about the file's own bytes.
pub struct PackedMatrix {
    quant: QuantType,
    rows: usize,
    cols: usize,
    kernel: Kernel,
    bytes: AlignedBytes,
}

/// Which family of kernels multiplies a matrix; it decides the layout and the form of the activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// Any processor: rows as in the file, f32 activations.
    Plain,
    /// Rows of floats as in the file, padded to whole groups of 16; f32 activations.
    Floats,
    /// Interleaved rows of blocks of 32, activations with a scale per 32.
    Blocks,
    /// Interleaved rows of superblocks of 256, activations with a scale per 256.
    Supers,
}

impl Kernel {
    fn choose(quant: QuantType, level: Level) -> Self {
        match quant {
            _ if level == Level::Portable => Self::Plain,
            QuantType::F32 | QuantType::F16 | QuantType::Bf16 => Self::Floats,
            _ if !layout::is_interleaved(quant) => Self::Plain,
            _ if quant.block_len() == activations::BLOCK => Self::Blocks,
            _ => Self::Supers,
        }
    }

    /// Whether rows lie as in the file.
    fn has_native_rows(self) -> bool {
        matches!(self, Self::Plain | Self::Floats)
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

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.as_slice().len()
    }

    /// Row `row` as f32 into `out` (cols): the embedding look-up.
    pub fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows, "row {row} of a matrix of {} rows", self.rows);
        let row_bytes = self.cols / self.quant.block_len() * self.quant.block_bytes();
        if self.kernel.has_native_rows() {
            let native = &self.bytes.as_slice()[row * row_bytes..(row + 1) * row_bytes];
            quant::dequantize(self.quant, native, out);
        } else {
            thread_local! {
                static NATIVE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
            }
            NATIVE.with_borrow_mut(|native| {
                native.resize(row_bytes, 0);
                layout::unpack_row(self.quant, self.cols, self.bytes.as_slice(), row, native);
                quant::dequantize(self.quant, native, out);
            });
        }
    }

    /// `out (m, rows) = activations (m, cols) x self^T`.
    ///
    /// # Panics
    /// If the activations have other columns, were not quantised for this matrix, or `out` has another size.
    pub fn matmul(&self, pool: &ThreadPool, activations: &Activations, out: &mut [f32]) {
        self.matmul_at(Level::in_use(), pool, activations, out);
    }

    fn matmul_at(&self, level: Level, pool: &ThreadPool, activations: &Activations, out: &mut [f32]) {
        assert_eq!(activations.cols, self.cols, "columns of activations and matrix");
        assert_eq!(out.len(), activations.m * self.rows, "output size");
        match self.kernel {
            Kernel::Plain => reference::matmul(self, pool, activations, out),
            Kernel::Floats | Kernel::Blocks | Kernel::Supers => grouped::matmul(self, level, pool, activations, out),
        }
    }
}

#[cfg(test)]
mod tests;
