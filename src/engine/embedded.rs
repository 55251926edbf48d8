//! The engine in the process: one OS thread that owns a model and its caches and works on jobs step by step.
//!
//! It sees prompts, token ids and the model; never a document or a request.

mod decode;
mod draft;
pub mod kept_prefixes;
pub mod load;
mod pace;
mod prefix_cache;
mod sampler;
mod spending;
pub mod tuning;
mod worker;

use std::time::Duration;

pub use kept_prefixes::KeepOptions;
pub use pace::PREFILL_CHUNK;

use super::{Engine, Gate, OnEvent};

/// Loads the model on the engine's thread, and calls the callback with the fraction done.
pub type Loader =
    Box<dyn FnMut(&mut dyn FnMut(f32)) -> Result<crate::model::LoadedModel, crate::model::ModelError> + Send>;

/// Creates the loader of a model when it is needed.
pub type MakeLoader = Box<dyn FnOnce() -> Loader + Send>;

/// How an engine behaves when it has nothing to do, and how much memory it may use.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Load at once instead of at the first job.
    pub load_at_start: bool,
    /// Unload the model after this long without a job; `None` keeps it loaded.
    pub idle_unload: Option<Duration>,
    /// Bytes of keys and values, in use and cached for later prompts: see [`crate::config::MemoryBudget`].
    pub kv_budget_bytes: usize,
    /// Where to keep in files what the model has read for completions; `None` keeps nothing.
    pub keep: Option<KeepOptions>,
    /// Shared with the other engines on this machine: background work waits while any of them does interactive work.
    pub gate: Gate,
}

/// Starts an engine that loads its model by `loader`.
///
/// # Errors
/// If the thread cannot be started.
pub fn start(loader: Loader, options: EngineOptions, on_event: OnEvent) -> std::io::Result<Engine> {
    Engine::spawn(move |receiver, ended| worker::Worker::new(loader, options, on_event, receiver, ended).run())
}
