//! The loader for the model with a given name, the memory that a model needs, and loading itself.

use std::path::Path;

use super::{Loader, tuning};
use crate::config::{Machine, MemoryBudget, Needs, Role, Settings};
use crate::hub::ModelRef;
use crate::model::{self, LoadOptions, LoadedModel, ModelError};

/// A loader of `reference`, which is looked up at each load, because it may have been installed in the meantime.
pub fn loader(reference: ModelRef, options: LoadOptions) -> Loader {
    Box::new(move |progress| {
        let path = reference.resolve().map_err(|error| ModelError::Missing(error.to_string()))?;
        load(&path, &options, progress)
    })
}

/// Loads the GGUF file at `path` and tunes the kernels for this processor; `progress` is called with the fraction done.
///
/// # Errors
/// Those of [`model::load`].
pub fn load(path: &Path, options: &LoadOptions, progress: &mut dyn FnMut(f32)) -> Result<LoadedModel, ModelError> {
    let loaded = model::load(path, options, progress)?;
    tuning::apply(&loaded, &options.pool, tuning::file().as_deref());
    Ok(loaded)
}

/// The memory that the model of `role` needs, if it is installed and may be loaded, possibly as a fallback for a
/// server.
pub fn needs(role: Role, settings: &Settings) -> Option<Needs> {
    if !settings.backend(role).may_load_a_model() {
        return None;
    }
    let model = match role {
        Role::Completion => &settings.completion.model,
        Role::Assistant => &settings.assistant.model,
    };
    needs_of(model, role, settings)
}

/// The memory that the other role's model needs; `None` if there is no other model, or it is not installed.
pub fn needs_beside(role: Role, settings: &Settings) -> Option<Needs> {
    match role {
        _ if settings.has_one_engine() => None,
        Role::Completion => needs(Role::Assistant, settings),
        // While completions are off, their model is not in memory.
        Role::Assistant => needs(Role::Completion, settings).filter(|_| settings.completion.enabled),
    }
}

/// Bytes of keys and values that the model of `role` may use.
pub fn kv_budget_bytes(role: Role, settings: &Settings) -> usize {
    // Nothing is known about a model that is not installed; loading it fails.
    let own = needs(role, settings).unwrap_or_default();
    let budget = MemoryBudget::new(settings, &Machine::read());
    usize::try_from(budget.kv_bytes(own, needs_beside(role, settings))).unwrap_or(usize::MAX)
}

/// The memory that `model`, as named in flags and settings, needs in `role`; `None` if it is not installed.
pub fn needs_of(model: &str, role: Role, settings: &Settings) -> Option<Needs> {
    let path = model.parse::<ModelRef>().ok()?.resolve().ok()?;
    Some(model::size(&path).ok()?.needs_as(role, settings))
}
