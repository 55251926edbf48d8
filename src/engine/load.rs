//! From a model's name to a loader the engine's thread can call, and loading itself.

use std::path::Path;

use super::{Loader, tuning};
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
    tuning::apply(loaded.model.as_ref(), &options.pool, tuning::file().as_deref());
    Ok(loaded)
}
