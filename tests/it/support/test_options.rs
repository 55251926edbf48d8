//! What a server is tested with: settings, and models that say what a script says, held up where a test wants it.

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

/// What a server is tested with.
pub(crate) struct TestOptions {
    pub(crate) loader: ModelLoader,
    pub(crate) settings: Vec<(Source, Value)>,
    pub(crate) counters: Counters,
    /// Whether the client answers `window/workDoneProgress/create`.
    pub(crate) answers_requests: bool,
    /// Off unless it is what the test is about: it asks the model when the test does not expect it.
    pub(crate) prepare_next: bool,
    /// How long a minute of the settings is.
    pub(crate) minute: Duration,
    /// Where it is kept what becomes of completions.
    pub(crate) statistics: Option<PathBuf>,
    /// Where it is kept what models have read.
    pub(crate) kept: Option<PathBuf>,
    /// Bytes the pipes hold.
    pub(crate) pipe_bytes: usize,
}

impl TestOptions {
    /// A model that goes on with what `script` says after everything it has read.
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

/// What is left of `answer` when `text` already ends with a part of it.
pub(crate) fn rest_of(answer: &str, text: &str) -> String {
    let written = (0..=answer.len()).rev().find(|&len| text.ends_with(&answer[..len])).unwrap_or(0);
    answer[written..].to_owned()
}

/// A model whose pass can be held up: it announces each pass it begins and waits to be let on.
pub(crate) struct Brake {
    pub(crate) begun: mpsc::Receiver<()>,
    pub(crate) go_on: mpsc::Sender<()>,
    /// The last lines of the texts the model was asked to go on with.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

/// Options with a model that always writes `answer` and stops at its first `held` passes that choose a token.
pub(crate) fn braked(answer: &'static str, held: usize) -> (TestOptions, Brake) {
    let (begun_sender, begun) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    let (gate, begun_sender, passes) = (Mutex::new(gate), Mutex::new(begun_sender), AtomicUsize::new(0));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&asked);
    let options = TestOptions::scripted(move |read| {
        record.lock().unwrap().push(read.rsplit('\n').next().unwrap_or_default().to_owned());
        if passes.fetch_add(1, Ordering::SeqCst) < held {
            // A test that is over holds nothing up.
            let _ = begun_sender.lock().unwrap().send(());
            let _ = gate.lock().unwrap().recv();
        }
        rest_of(answer, read)
    });
    (options, Brake { begun, go_on, asked })
}
