//! What differs between processors of one instruction set: how far ahead to fetch, when unpacking once pays, how finely to
//! divide work, how long to wait for more of it. The defaults suit a common processor; [`Tuning::set`] takes what was
//! measured on this one (see [`measure_tuning`](super::matmul::measure_tuning)).

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::pool::DEFAULT_SPIN;
#[cfg(target_arch = "x86_64")]
use super::quant::QuantType;

/// Choices for the kernels of this processor. None of them changes a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// How far ahead of the weights at hand their successors are fetched, in bytes.
    pub fetch_ahead: usize,
    /// Up to so many activation rows, 4-bit K-quants are unpacked in registers; for more, once to memory.
    pub packed_rows_4_bit: usize,
    /// The same for the other K-quants.
    pub packed_rows: usize,
    /// Tasks for each thread in a product with few rows: enough to end together, few enough to stream.
    pub tasks_per_thread: usize,
    /// How long threads of the pool wait for work before they sleep, in microseconds.
    pub spin_micros: u64,
}

impl Tuning {
    /// Choices that are good on most processors.
    pub const DEFAULT: Self = Self {
        fetch_ahead: 6912,
        packed_rows_4_bit: 8,
        packed_rows: 8,
        tasks_per_thread: 8,
        spin_micros: DEFAULT_SPIN.as_micros() as u64,
    };

    /// The choices of this process.
    pub fn in_use() -> &'static Self {
        IN_USE.get().unwrap_or(&Self::DEFAULT)
    }

    /// Makes these the choices of this process, unless some were made before.
    pub fn set(self) {
        // A second measurement is no better than the first.
        let _ = IN_USE.set(self);
    }

    /// Up to so many activation rows, quants are unpacked in registers.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn packed_rows(&self, quant: QuantType) -> usize {
        if quant == QuantType::Q4K { self.packed_rows_4_bit } else { self.packed_rows }
    }
}

static IN_USE: OnceLock<Tuning> = OnceLock::new();
