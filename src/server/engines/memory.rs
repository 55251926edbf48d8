//! Whether the models of a session fit into memory together.

use crate::config::{Machine, MemoryBudget, Role, Settings};
use crate::engine::embedded::load::{needs, needs_beside};

/// Why the completion model is too large for this machine, even alone; it is loaded anyway.
pub(super) fn completion_too_large(settings: &Settings) -> Option<String> {
    let needed = needs(Role::Completion, settings)?;
    MemoryBudget::new(settings, &Machine::read()).excess(&settings.completion.model, needed)
}

/// Checks that the assistant's model fits into memory beside the completion model. A model that is not installed or not
/// known counts as fitting.
///
/// # Errors
/// A message for the person.
pub(super) fn check_assistant_fits(settings: &Settings) -> Result<(), String> {
    let (Some(own), Some(other)) = (needs(Role::Assistant, settings), needs_beside(Role::Assistant, settings)) else {
        return Ok(());
    };
    let budget = MemoryBudget::new(settings, &Machine::read());
    match (budget.bytes(), budget.fits(&[own, other])) {
        (Some(bytes), Some(false)) => Err(format!(
            "{} does not fit into memory beside {}: they need {} MiB of {}; `phi-ls doctor` lists what fits",
            settings.assistant.model,
            settings.completion.model,
            (own.total() + other.total()) >> 20,
            bytes >> 20
        )),
        _ => Ok(()),
    }
}
