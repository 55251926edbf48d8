//! What was measured on this processor, kept in a file: the first model that is loaded measures, later ones read.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::hub;
use crate::kernels::level::{Level, processor_name};
use crate::kernels::matmul::Measured;
use crate::kernels::pool::ThreadPool;
use crate::kernels::tuning::Tuning;
use crate::model::LanguageModel;

/// A measurement and for what it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredTuning {
    processor: String,
    kernels: String,
    threads: usize,
    version: String,
    /// Bytes that all threads together read in a second.
    pub read_bandwidth: f64,
    pub tuning: Tuning,
}

impl StoredTuning {
    fn new(threads: usize, measured: Measured) -> Self {
        let Measured { tuning, read_bandwidth } = measured;
        Self {
            processor: processor_name(),
            kernels: Level::in_use().to_string(),
            threads,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            read_bandwidth,
            tuning,
        }
    }

    /// The one in `file`, if it was measured for this processor, these kernels, this version and so many threads.
    pub fn read(file: &Path, threads: usize) -> Option<Self> {
        let stored: Self = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        let here = Self::new(threads, Measured { tuning: stored.tuning, read_bandwidth: stored.read_bandwidth });
        (stored == here).then_some(stored)
    }

    /// Replaces `file` in one step: several processes may load a model at a time.
    fn write(&self, file: &Path) -> std::io::Result<()> {
        let partial = file.with_extension(format!("{}.part", std::process::id()));
        std::fs::write(&partial, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&partial, file)
    }
}

/// Where it is kept: beside the models.
pub fn file() -> Option<PathBuf> {
    Some(hub::models_folder()?.join("tuning.json"))
}

/// Has the kernels run as suits this processor: as `file` says, or else as measured now with `model` and kept there.
pub(super) fn apply(model: &dyn LanguageModel, pool: &ThreadPool, file: Option<&Path>) {
    let Some(file) = file else { return };
    if let Some(stored) = StoredTuning::read(file, pool.threads()) {
        return stored.tuning.set();
    }
    let Some(measured) = model.measure_tuning() else { return };
    measured.tuning.set();
    let stored = StoredTuning::new(pool.threads(), measured);
    tracing::debug!(?stored, "measured what suits this processor");
    if let Err(error) = stored.write(file) {
        tracing::debug!("the measurement is not kept: {}: {error}", file.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        Measured { tuning: Tuning { fetch_ahead: 1, ..Tuning::DEFAULT }, read_bandwidth: 2e9 }
    }

    #[test]
    fn a_measurement_comes_back_for_the_same_processor_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tuning.json");
        assert_eq!(StoredTuning::read(&file, 2), None);
        let stored = StoredTuning::new(2, measured());
        stored.write(&file).unwrap();
        assert_eq!(StoredTuning::read(&file, 2), Some(stored.clone()));
        assert_eq!(StoredTuning::read(&file, 3), None, "other threads");
        StoredTuning { processor: "another".to_owned(), ..stored }.write(&file).unwrap();
        assert_eq!(StoredTuning::read(&file, 2), None, "another processor");
        std::fs::write(&file, "{").unwrap();
        assert_eq!(StoredTuning::read(&file, 2), None, "half a file");
    }
}
