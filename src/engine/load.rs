//! From a model's name to a loader the engine's thread can call.

use super::Loader;
use crate::hub::ModelRef;
use crate::model::{self, LoadOptions, ModelError};

/// A loader of `reference`, which is looked up anew at each load: the person may have installed it meanwhile.
pub fn loader(reference: ModelRef, options: LoadOptions) -> Loader {
    Box::new(move |progress| {
        let path = reference.resolve().map_err(|error| ModelError::Missing(error.to_string()))?;
        model::load(&path, &options, progress)
    })
}
