//! The options of a test server: settings, and scripted models that can stop where a test wants it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use phi_ls::config::{Settings, Source};
use phi_ls::engine::embedded::Loader;
use phi_ls::model::{LoadedModel, ModelError};
use phi_ls::server::ModelLoader;
use serde_json::Value;

use super::scripted_model::{Counters, Script, scripted};

/// The options of a test server.
pub(crate) struct TestOptions {
    pub(crate) loader: ModelLoader,
    pub(crate) settings: Vec<(Source, Value)>,
    pub(crate) counters: Counters,
    /// Whether the client answers `window/workDoneProgress/create`.
    pub(crate) answers_requests: bool,
    /// Off unless the test is about it, because it asks the model when a test does not expect it.
    pub(crate) prepare_next: bool,
    /// How long a minute in the settings lasts.
    pub(crate) minute: Duration,
    /// The file for statistics of completions.
    pub(crate) statistics: Option<PathBuf>,
    /// The folder for what models have read.
    pub(crate) kept: Option<PathBuf>,
    /// The size of the pipes in bytes.
    pub(crate) pipe_bytes: usize,
}

impl TestOptions {
    /// A model that continues with what `script` returns for all text read so far.
    pub(crate) fn scripted(script: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let (script, counters): (Script, _) = (Arc::new(script), Counters::default());
        let counted = counters.clone();
        Self { counters, ..Self::loading(move || Ok(scripted(Arc::clone(&script), counted.clone()))) }
    }

    /// A model that comes from `load`.
    pub(crate) fn loading(load: impl Fn() -> Result<LoadedModel, ModelError> + Send + Sync + 'static) -> Self {
        let load = Arc::new(load);
        let loader = move |_: &str, _: &Settings| -> Loader {
            let load = Arc::clone(&load);
            Box::new(move |progress| {
                progress(0.5);
                load()
            })
        };
        Self {
            loader: Arc::new(loader),
            settings: Vec::new(),
            counters: Counters::default(),
            answers_requests: true,
            prepare_next: false,
            statistics: None,
            kept: None,
            minute: Duration::from_secs(60),
            pipe_bytes: 1 << 20,
        }
    }
}

/// The rest of `answer`, if `text` already ends with a part of it.
pub(crate) fn rest_of(answer: &str, text: &str) -> String {
    let written = (0..=answer.len()).rev().find(|&len| text.ends_with(&answer[..len])).unwrap_or(0);
    answer[written..].to_owned()
}

/// Controls a model that announces the beginning of each pass and waits until it is let on.
pub(crate) struct Brake {
    pub(crate) begun: mpsc::Receiver<()>,
    pub(crate) go_on: mpsc::Sender<()>,
    /// The last lines of the texts that the model was asked to continue.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

/// Options with a model that always writes `answer`, and stops in its first `held` passes that choose a token.
pub(crate) fn braked(answer: &'static str, held: usize) -> (TestOptions, Brake) {
    let (begun_sender, begun) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    let (gate, begun_sender, passes) = (Mutex::new(gate), Mutex::new(begun_sender), AtomicUsize::new(0));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&asked);
    let options = TestOptions::scripted(move |read| {
        record.lock().unwrap().push(read.rsplit('\n').next().unwrap_or_default().to_owned());
        if passes.fetch_add(1, Ordering::SeqCst) < held {
            // This fails if the test is over.
            let _ = begun_sender.lock().unwrap().send(());
            let _ = gate.lock().unwrap().recv();
        }
        rest_of(answer, read)
    });
    (options, Brake { begun, go_on, asked })
}
