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
use super::stop_point::{Hold, stop_point};

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

    /// The same, with a record of when the model is loaded and given back.
    pub(crate) fn recording_loads(script: impl Fn(&str) -> String + Send + Sync + 'static) -> (Self, Loads) {
        let (script, count) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
        let (sender, given_back) = mpsc::channel();
        let (sender, counted) = (Mutex::new(sender), Arc::clone(&count));
        let options = Self::loading(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let guard = GivenBack(Mutex::new(sender.lock().unwrap().clone()));
            let script = Arc::clone(&script);
            let guarded = move |read: &str| {
                let _belongs_to_the_model = &guard;
                script(read)
            };
            Ok(scripted(Arc::new(guarded), Counters::default()))
        });
        (options, Loads { count, given_back })
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

/// When a model is loaded and given back.
pub(crate) struct Loads {
    count: Arc<AtomicUsize>,
    given_back: mpsc::Receiver<()>,
}

impl Loads {
    /// Waits until the model's memory is given back.
    pub(crate) fn wait_until_given_back(&self) {
        self.given_back.recv_timeout(Duration::from_secs(60)).expect("the memory is given back");
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// Reports when the model that it belongs to is dropped.
struct GivenBack(Mutex<mpsc::Sender<()>>);

impl Drop for GivenBack {
    fn drop(&mut self) {
        // This fails if the test is over.
        let _ = self.0.lock().unwrap().send(());
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
    let (point, Hold { begun, go_on }) = stop_point();
    let passes = AtomicUsize::new(0);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&asked);
    let options = TestOptions::scripted(move |read| {
        record.lock().unwrap().push(read.rsplit('\n').next().unwrap_or_default().to_owned());
        if passes.fetch_add(1, Ordering::SeqCst) < held {
            point.stop();
        }
        rest_of(answer, read)
    });
    (options, Brake { begun, go_on, asked })
}

/// Options with a model that writes `first(1)` after `x = ` and `second(2)` on other lines, where the next completion is
/// prepared. The receiver gets a message whenever `second(2)` is written.
pub(crate) fn preparing_next() -> (TestOptions, mpsc::Receiver<()>) {
    let (sender, written) = mpsc::channel();
    let sender = Mutex::new(sender);
    let script = move |read: &str| {
        let line = read.rsplit('\n').next().unwrap_or_default();
        if line == "second(2)" {
            // This fails if the test is over.
            let _ = sender.lock().unwrap().send(());
        }
        rest_of(if line.starts_with("x = ") { "first(1)\n" } else { "second(2)" }, read)
    };
    (TestOptions { prepare_next: true, ..TestOptions::scripted(script) }, written)
}
