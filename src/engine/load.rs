//! From a model's name to a loader the engine's thread can call, and to the memory it needs.

use super::Loader;
use crate::config::{Needs, Role, Settings};
use crate::hub::ModelRef;
use crate::model::{self, LoadOptions, ModelError};

/// A loader of `reference`, which is looked up anew at each load: the person may have installed it meanwhile.
pub fn loader(reference: ModelRef, options: LoadOptions) -> Loader {
    Box::new(move |progress| {
        let path = reference.resolve().map_err(|error| ModelError::Missing(error.to_string()))?;
        model::load(&path, &options, progress)
    })
}

/// What `model`, as flags and settings name it, needs in `role`; `None` where it is not installed.
pub fn needs(model: &str, role: Role, settings: &Settings) -> Option<Needs> {
    let path = model.parse::<ModelRef>().ok()?.resolve().ok()?;
    Some(model::size(&path).ok()?.needs_as(role, settings))
}
