//! From a model's name to a loader the engine's thread can call, to the memory it needs, and loading itself.

use std::path::Path;

use super::{Loader, tuning};
use crate::config::{Needs, Role, Settings};
use crate::hub::ModelRef;
use crate::model::{self, LoadOptions, LoadedModel, ModelError};

/// A loader of `reference`, which is looked up at each load: the person may have installed it meanwhile.
pub fn loader(reference: ModelRef, options: LoadOptions) -> Loader {
    Box::new(move |progress| {
        let path = reference.resolve().map_err(|error| ModelError::Missing(error.to_string()))?;
        load(&path, &options, progress)
    })
}

/// Loads the GGUF file at `path` and sees to it that the kernels suit the processor; `progress` hears the fraction done.
///
/// # Errors
/// As [`model::load`].
pub fn load(path: &Path, options: &LoadOptions, progress: &mut dyn FnMut(f32)) -> Result<LoadedModel, ModelError> {
    let loaded = model::load(path, options, progress)?;
    tuning::apply(&loaded, &options.pool, tuning::file().as_deref());
    Ok(loaded)
}

/// What `model`, as flags and settings name it, needs in `role`; `None` where it is not installed.
pub fn needs(model: &str, role: Role, settings: &Settings) -> Option<Needs> {
    let path = model.parse::<ModelRef>().ok()?.resolve().ok()?;
    Some(model::size(&path).ok()?.needs_as(role, settings))
}
