//! Which models this machine can run, and how fast: from its memory and what was measured on it.

use std::path::Path;

use crate::config::{MemoryBudget, Needs, Role, Settings};
use crate::engine::embedded::tuning::StoredTuning;
use crate::hub::{KNOWN_FILES, KnownFile, ModelRef};
use crate::model;

/// Whether one published file can run here.
pub(super) struct Fit {
    pub(super) known: &'static KnownFile,
    pub(super) needed_bytes: u64,
    /// `None` if the memory is not known.
    pub(super) fits: Option<bool>,
    /// Whether it fits together with the model that the settings name for the other role.
    pub(super) fits_beside: Option<bool>,
}

/// One row per model and quantisation, whoever publishes it. `needs_of` gives the memory that the model of a role
/// needs.
pub(super) fn fits(settings: &Settings, budget: MemoryBudget, needs_of: impl Fn(Role) -> Option<Needs>) -> Vec<Fit> {
    let same = |a: &KnownFile, b: &KnownFile| a.alias == b.alias && a.quantisation == b.quantisation;
    let first = |known: &&KnownFile| KNOWN_FILES.iter().find(|other| same(other, known)) == Some(known);
    let fit = |known: &'static KnownFile| {
        let role = known.alias.main_role();
        let needs = known.size().needs_as(role, settings);
        let beside: Vec<_> = needs_of(role.other()).into_iter().chain([needs]).collect();
        let (fits, fits_beside) = (budget.fits(&[needs]), budget.fits(&beside));
        Fit { known, needed_bytes: needs.total(), fits, fits_beside }
    };
    KNOWN_FILES.iter().filter(first).map(fit).collect()
}

/// The memory that the model of `role` in the settings needs: the file at `installed`, or else the file that `pull`
/// downloads. `None` if the role has a server without a fallback, or the file is not known.
pub(super) fn needs(role: Role, settings: &Settings, installed: Option<&Path>) -> Option<Needs> {
    if !settings.backend(role).may_load_a_model() {
        return None;
    }
    let size = match (installed, super::model_of(role, settings).1.parse()) {
        (Some(path), _) => model::size(path).ok()?,
        (None, Ok(ModelRef::Alias(alias))) => alias.preferred_file().size(),
        _ => return None,
    };
    Some(size.needs_as(role, settings))
}

/// How many tokens per second the memory allows for a file of `bytes`, since each token takes one read of all weights.
pub(super) fn tokens_per_second(tuning: Option<&StoredTuning>, bytes: u64) -> Option<f64> {
    let tuning = tuning.filter(|_| bytes > 0)?;
    Some((tuning.read_bandwidth / bytes as f64).round())
}
