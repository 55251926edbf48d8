//! What pages were computed with. Pages of another model, format or version hold other numbers, so they are in a folder
//! of their own. They are removed when nobody can use them any more.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::kernels::level::Level;
use crate::model::KvCache;
use crate::private;

/// The file in a folder that says what its pages were computed with.
const ABOUT: &str = "about.json";

/// Everything that pages depend on beside their tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Origin {
    version: String,
    kernels: String,
    model: PathBuf,
    model_bytes: u64,
    /// When the model's file was written, as time since 1970.
    model_written: Duration,
    kv_type: String,
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Origin {
    /// The origin of pages of caches like `cache`, computed by the model in the file at `path`; `None` if there is no
    /// such file.
    pub(super) fn of(path: &Path, cache: &KvCache) -> Option<Self> {
        let model = std::fs::canonicalize(path).ok()?;
        let (model_bytes, model_written) = length_and_time(&model)?;
        let shape = cache.shape();
        Some(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernels: Level::in_use().to_string(),
            model,
            model_bytes,
            model_written,
            kv_type: format!("{:?}", shape.kv_type),
            layers: cache.num_layers(),
            kv_heads: shape.num_kv_heads,
            head_dim: shape.head_dim,
        })
    }

    /// Its folder below `root`.
    pub(super) fn folder(&self, root: &Path) -> PathBuf {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let digest: String = Sha256::digest(json).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        root.join(digest)
    }

    /// Creates its folder below `root`, with a description.
    pub(super) fn create_folder(&self, root: &Path) -> std::io::Result<PathBuf> {
        private::create_folder(root)?;
        let folder = self.folder(root);
        private::create_folder(&folder)?;
        private::write(&folder.join(ABOUT), &[&serde_json::to_vec_pretty(self)?])?;
        Ok(folder)
    }

    /// Why nobody can use such pages any more, if that is so.
    fn why_stale(&self) -> Option<String> {
        let version = env!("CARGO_PKG_VERSION");
        if self.version != version {
            return Some(format!("expected phi-ls {version}, found {}", self.version));
        }
        let is_there = length_and_time(&self.model) == Some((self.model_bytes, self.model_written));
        (!is_there).then(|| format!("{} is not the model it was", self.model.display()))
    }
}

fn length_and_time(model: &Path) -> Option<(u64, Duration)> {
    let metadata = std::fs::metadata(model).ok()?;
    Some((metadata.len(), metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?))
}

/// Removes the folders below `root` whose pages nobody can use any more.
pub(super) fn remove_stale(root: &Path) {
    for folder in folders(root) {
        let about = std::fs::read(folder.join(ABOUT)).map_err(|error| error.to_string());
        let origin = about.and_then(|about| {
            serde_json::from_slice::<Origin>(&about).map_err(|error| format!("{ABOUT} is damaged: {error}"))
        });
        if let Some(reason) = origin.map_or_else(Some, |origin| origin.why_stale()) {
            tracing::info!("{}, which models have read, is deleted: {reason}", folder.display());
            // A process that wants to write there creates it again.
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
}

/// The folders below `root`, one per origin.
pub(super) fn folders(root: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir())
}
