//! What differs between processors of one instruction set: how far ahead to prefetch, when unpacking once is
//! worthwhile, how finely to divide work, and how long to wait for more. The defaults suit a common processor;
//! [`Tuning::set`] takes what was measured on this one (see [`measure_tuning`](super::matmul::measure_tuning)).

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::pool::DEFAULT_SPIN;
#[cfg(target_arch = "x86_64")]
use super::quant::QuantType;

/// Choices for the kernels of this processor. None of them changes a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// How far ahead of the weights in use later ones are prefetched, in bytes.
    pub fetch_ahead: usize,
    /// 4-bit K-quants are unpacked in registers for up to this many activation rows, and to memory once for more.
    pub packed_rows_4_bit: usize,
    /// The same for the other K-quants.
    pub packed_rows: usize,
    /// Tasks per thread in a product with few rows: enough that threads finish together, few enough that each streams.
    pub tasks_per_thread: usize,
    /// How long threads of the pool wait for work before they sleep, in microseconds.
    pub spin_micros: u64,
}

impl Tuning {
    /// Suits most processors.
    pub const DEFAULT: Self = Self {
        fetch_ahead: 6912,
        packed_rows_4_bit: 8,
        packed_rows: 8,
        tasks_per_thread: 8,
        spin_micros: DEFAULT_SPIN.as_micros() as u64,
    };

    /// The tuning of this process.
    pub fn in_use() -> &'static Self {
        IN_USE.get().unwrap_or(&Self::DEFAULT)
    }

    /// Makes this the tuning of this process, unless one was set before.
    pub fn set(self) {
        // A second measurement is no better than the first.
        let _ = IN_USE.set(self);
    }

    /// Up to how many activation rows `quant` is unpacked in registers.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn packed_rows(&self, quant: QuantType) -> usize {
        if quant == QuantType::Q4K { self.packed_rows_4_bit } else { self.packed_rows }
    }
}

static IN_USE: OnceLock<Tuning> = OnceLock::new();
