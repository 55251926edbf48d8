//! What the models of a session may take of the memory, each beside the other.

use crate::config::{Machine, MemoryBudget, Needs, Role, Settings};
use crate::engine::embedded;

/// Checks that the assistant's model fits into memory beside the completion model. What is not installed or not known is no
/// obstacle here.
///
/// # Errors
/// The sentence a person needs.
pub(super) fn check_assistant_fits(settings: &Settings) -> Result<(), String> {
    let (Some(own), Some(other)) = (needs(Role::Assistant, settings), needs_beside(Role::Assistant, settings)) else {
        return Ok(());
    };
    let budget = MemoryBudget::new(settings, &Machine::read());
    match (budget.bytes(), budget.fits(&[own, other])) {
        (Some(bytes), Some(false)) => Err(format!(
            "{} does not fit into memory beside {} ({} MiB of {}); see `phi-ls doctor`",
            settings.assistant.model,
            settings.completion.model,
            (own.total() + other.total()) >> 20,
            bytes >> 20
        )),
        _ => Ok(()),
    }
}

/// Bytes of keys and values that the model of `role` may hold.
pub(super) fn kv_budget_bytes(role: Role, settings: &Settings) -> usize {
    // Of a model that is not installed nothing is known; loading it fails.
    let own = needs(role, settings).unwrap_or_default();
    let budget = MemoryBudget::new(settings, &Machine::read());
    usize::try_from(budget.kv_bytes(own, needs_beside(role, settings))).unwrap_or(usize::MAX)
}

/// What the model of `role` needs, if it is installed and may be loaded: for a server it may have to stand in.
fn needs(role: Role, settings: &Settings) -> Option<Needs> {
    if !settings.backend(role).may_load_a_model() {
        return None;
    }
    let model = match role {
        Role::Completion => &settings.completion.model,
        Role::Assistant => &settings.assistant.model,
    };
    embedded::load::needs(model, role, settings)
}

/// What the other role's model needs beside that of `role`; `None` where there is no other one, or it is not installed.
fn needs_beside(role: Role, settings: &Settings) -> Option<Needs> {
    match role {
        _ if settings.has_one_engine() => None,
        Role::Completion => needs(Role::Assistant, settings),
        // While completions are off, their model is not in memory.
        Role::Assistant => needs(Role::Completion, settings).filter(|_| settings.completion.enabled),
    }
}
