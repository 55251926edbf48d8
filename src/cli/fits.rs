//! Which models this machine can run, and how fast: from its memory and what was measured on it.

use crate::config::{MemoryBudget, Settings};
use crate::engine::embedded::tuning::StoredTuning;
use crate::hub::{KNOWN_FILES, KnownFile};

/// Whether one published file can run here.
pub(super) struct Fit {
    pub(super) known: &'static KnownFile,
    pub(super) needed_bytes: u64,
    /// `None` where the memory is not known.
    pub(super) fits: Option<bool>,
}

/// One row per model and quantisation, whoever publishes it.
pub(super) fn fits(settings: &Settings, budget: MemoryBudget) -> Vec<Fit> {
    let same = |a: &KnownFile, b: &KnownFile| a.alias == b.alias && a.quantisation == b.quantisation;
    let first = |known: &&KnownFile| KNOWN_FILES.iter().find(|other| same(other, known)) == Some(known);
    let fit = |known: &'static KnownFile| {
        let needs = known.size().needs_as(known.alias.main_role(), settings);
        Fit { known, needed_bytes: needs.total(), fits: budget.fits(&[needs]) }
    };
    KNOWN_FILES.iter().filter(first).map(fit).collect()
}

/// A token takes one read of all weights: how many a second the memory allows for a file of `bytes`.
pub(super) fn tokens_per_second(tuning: Option<&StoredTuning>, bytes: u64) -> Option<f64> {
    let tuning = tuning.filter(|_| bytes > 0)?;
    Some((tuning.read_bandwidth / bytes as f64).round())
}
