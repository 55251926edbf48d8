//! The options that a server is started with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::config::{Problem, Settings, Source, machine};
use crate::engine::Generation;
use crate::engine::embedded::Loader;
use crate::features::inline_completion::{Signals, Variation};

/// Creates the loader of a model from its name in the settings: a path, a short name, or `hf:OWNER/REPO/FILE`.
pub type ModelLoader = Arc<dyn Fn(&str, &Settings) -> Loader + Send + Sync>;

/// Receives what happens in a server, to record or measure it. Must not block.
pub trait Observer: Send + Sync {
    /// A well-formed message of the client, unchanged.
    fn message(&self, _body: &[u8]) {}

    /// A request for a completion was answered from memory, without the model.
    fn recalled(&self) {}

    /// A model continues a completion that was requested.
    fn text(&self, _text: &str) {}

    /// A completion was generated, whether or not it is shown.
    fn completion(&self, _generation: &Generation) {}

    /// The generation of a requested completion was given up.
    fn broken_off(&self) {}

    /// The completion that follows the one on the screen, if that is accepted, was generated ahead.
    fn prepared(&self, _generation: &Generation) {}
    /// The signals for and against the completion that was generated for a request, shown or not.
    fn judged(&self, _signals: &Signals) {}

    /// The files of a workspace have been read into the index.
    fn indexed(&self) {}
}

/// What a server is started with.
#[derive(Clone)]
pub struct ServerOptions {
    pub loader: ModelLoader,
    /// The settings of `config.toml` and of the command line. The editor's settings come between them.
    pub settings: Vec<(Source, Value)>,
    /// What went wrong when they were read; shown to the person like any other problem with settings.
    pub problems: Vec<Problem>,
    /// How long a minute in the settings lasts; tests shorten it.
    pub minute: Duration,
    pub observer: Option<Arc<dyn Observer>>,
    /// The program that the engine process for all windows is started from (see [`crate::engine::shared`]). Without it,
    /// models are in this process, and come from `loader`.
    pub engine_program: Option<PathBuf>,
    /// The file for statistics of completions; without it, there are none.
    pub statistics: Option<PathBuf>,
    /// The folder for what makes the first completion after a restart fast; without it, nothing is kept for that.
    pub kept: Option<PathBuf>,
    /// The folder in which the system describes the machine's power supplies.
    pub power_supplies: PathBuf,
    /// What a measurement changes in the prompts of completions.
    pub variation: Variation,
}

impl ServerOptions {
    /// The options of a server with the settings' defaults.
    pub fn new(loader: ModelLoader) -> Self {
        Self {
            loader,
            settings: Vec::new(),
            problems: Vec::new(),
            minute: Duration::from_secs(60),
            observer: None,
            engine_program: None,
            statistics: None,
            kept: None,
            power_supplies: machine::POWER_SUPPLIES.into(),
            variation: Variation::default(),
        }
    }
}
