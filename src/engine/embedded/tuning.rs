//! Measurements of this processor, stored in a file: loading the first model measures, loading later ones reads them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Machine;
use crate::hub;
use crate::kernels::level::{Level, processor_name};
use crate::kernels::matmul::{Measured, TRIAL_BYTES};
use crate::kernels::pool::ThreadPool;
use crate::kernels::tuning::Tuning;
use crate::model::LoadedModel;

/// A measurement, and what it is valid for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredTuning {
    processor: String,
    kernels: String,
    threads: usize,
    version: String,
    /// Bytes per second that all threads together read.
    pub read_bandwidth: f64,
    /// Bytes of weights that were measured.
    bytes: usize,
    /// Whether other programs were busy at the same time. It is measured again when the machine is quiet.
    #[serde(default)]
    pub was_busy: bool,
    pub tuning: Tuning,
}

impl StoredTuning {
    fn new(threads: usize, measured: Measured) -> Self {
        let Measured { tuning, read_bandwidth, bytes } = measured;
        Self {
            processor: processor_name(),
            kernels: Level::in_use().to_string(),
            threads,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            read_bandwidth,
            bytes,
            was_busy: false,
            tuning,
        }
    }

    /// Reads `file`, if it was measured for this processor, these kernels, this version and `threads` threads.
    pub fn read(file: &Path, threads: usize) -> Option<Self> {
        let stored: Self = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        let Self { tuning, read_bandwidth, bytes, was_busy, .. } = stored;
        let here = Self { was_busy, ..Self::new(threads, Measured { tuning, read_bandwidth, bytes }) };
        (stored == here).then_some(stored)
    }

    /// Replaces `file` atomically, because several processes may load a model at the same time.
    fn write(&self, file: &Path) -> std::io::Result<()> {
        let partial = file.with_extension(format!("{}.part", std::process::id()));
        std::fs::write(&partial, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&partial, file)
    }
}

/// The file, which is beside the models.
pub fn file() -> Option<PathBuf> {
    Some(hub::models_folder()?.join("tuning.json"))
}

/// Tunes the kernels for this processor as `file` says, or measures them now with the model and stores the result
/// there. A measurement with a small model is repeated with a larger one, and one on a busy machine is repeated on a
/// quiet one.
pub(super) fn apply(loaded: &LoadedModel, pool: &ThreadPool, file: Option<&Path>) {
    let Some(file) = file else { return };
    let enough = TRIAL_BYTES.min(usize::try_from(loaded.weight_bytes).unwrap_or(usize::MAX)) / 10 * 9;
    let is_busy = Machine::is_busy();
    let holds = |stored: &StoredTuning| stored.bytes >= enough && (!stored.was_busy || is_busy);
    if let Some(stored) = StoredTuning::read(file, pool.threads()).filter(holds) {
        return use_tuning(stored.tuning, pool);
    }
    let Some(measured) = loaded.model.measure_tuning() else { return };
    use_tuning(measured.tuning, pool);
    let stored = StoredTuning { was_busy: is_busy, ..StoredTuning::new(pool.threads(), measured) };
    tracing::debug!(?stored, "measured this processor");
    if let Err(error) = stored.write(file) {
        tracing::debug!("cannot save the measurements of this processor to {}: {error}", file.display());
    }
}

fn use_tuning(tuning: Tuning, pool: &ThreadPool) {
    tuning.set();
    pool.set_spin(Duration::from_micros(tuning.spin_micros));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        Measured { tuning: Tuning { fetch_ahead: 1, ..Tuning::DEFAULT }, read_bandwidth: 2e9, bytes: 3 }
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
        StoredTuning { processor: "another".to_owned(), ..stored.clone() }.write(&file).unwrap();
        assert_eq!(StoredTuning::read(&file, 2), None, "another processor");
        let busy = StoredTuning { was_busy: true, ..stored };
        busy.write(&file).unwrap();
        assert_eq!(StoredTuning::read(&file, 2), Some(busy));
        std::fs::write(&file, "{").unwrap();
        assert_eq!(StoredTuning::read(&file, 2), None, "half a file");
    }
}
