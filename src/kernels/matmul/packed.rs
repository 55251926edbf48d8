//! A packed matrix and which family of kernels multiplies it.

use std::cell::RefCell;

use super::layout;
use crate::buffer::AlignedBytes;
use crate::level::Level;
use crate::quant::{self, QuantType};

/// A weight matrix `(rows, cols)` in the layout of its kernel, about as large as in the file.
pub struct PackedMatrix {
    pub(super) quant: QuantType,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) kernel: Kernel,
    pub(super) bytes: AlignedBytes,
}

/// Which family of kernels multiplies a matrix; it decides the layout and the form of the activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Any processor: rows as in the file, f32 activations.
    Plain,
    /// Rows of floats as in the file, padded to whole groups of 16; f32 activations.
    Floats,
    /// Interleaved rows with a scale per 32 columns, activations likewise.
    Legacy,
    /// Interleaved rows of superblocks of 256, activations with a scale per 256.
    KQuants,
}

impl Kernel {
    pub(super) fn choose(quant: QuantType, level: Level) -> Self {
        match quant {
            _ if level == Level::Portable => Self::Plain,
            QuantType::F32 | QuantType::F16 | QuantType::Bf16 => Self::Floats,
            _ if !layout::is_interleaved(quant) => Self::Plain,
            _ if layout::has_block_scales(quant) => Self::Legacy,
            _ => Self::KQuants,
        }
    }

    /// Whether rows lie as in the file.
    pub(super) fn has_native_rows(self) -> bool {
        matches!(self, Self::Plain | Self::Floats)
    }
}

impl PackedMatrix {
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
}
