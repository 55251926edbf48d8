//! The resident model's engine: when it starts, what the client is told about it.

use tokio::sync::{mpsc, watch};
use tower_lsp_server::gen_lsp_types::MessageType;

use super::{Event, SessionSender};
use crate::config::Settings;
use crate::engine::{Engine, EngineEvent, EngineOptions, Gate, Job};
use crate::lsp::status::{State, StatusParams};
use crate::server::ModelLoader;
use crate::server::outgoing::Outgoing;

/// Steps in which the progress of a load is told.
const FRACTION_STEP: f32 = 0.02;

/// What of the settings the engine is made from; it starts anew when any of it changes.
#[derive(Debug, Clone, PartialEq)]
struct Made {
    model: String,
    threads: usize,
    memory_budget_mib: u64,
    kv_cache_type: crate::config::KvCacheType,
}

/// The engine of completions, started when there is something to complete.
pub(super) struct Resident {
    loader: ModelLoader,
    session: SessionSender,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// The client shows progress.
    pub show_progress: bool,
    settings: Settings,
    engine: Option<Engine>,
    /// Numbers engines, so that the last words of a replaced one are not taken for the new one's.
    number: u64,
    /// Closed while it has completions to work on.
    gate: Gate,
    /// The model's own name, once it is loaded.
    pub loaded: Option<String>,
    /// It has made room for the assistant's model and stays away until [`Resident::come_back`].
    away: bool,
    /// Why there is no model.
    failure: Option<String>,
    /// How far a load is that is shown; dropped at its end.
    load: Option<watch::Sender<f32>>,
    told_fraction: f32,
}

impl Resident {
    pub(super) fn new(
        loader: ModelLoader,
        session: SessionSender,
        outgoing: mpsc::UnboundedSender<Outgoing>,
        gate: Gate,
    ) -> Self {
        Self {
            loader,
            session,
            outgoing,
            show_progress: false,
            settings: Settings::default(),
            engine: None,
            number: 0,
            gate,
            loaded: None,
            away: false,
            failure: None,
            load: None,
            told_fraction: 0.0,
        }
    }

    /// Takes over new settings; an engine they do not fit is stopped.
    pub(super) fn configure(&mut self, settings: &Settings) {
        if made(&self.settings) != made(settings) {
            self.stop();
        }
        self.settings = settings.clone();
    }

    /// Gives the memory back because nobody wants completions.
    pub(super) fn turn_off(&mut self) {
        if self.engine.is_some() {
            self.stop();
            self.tell(State::Ready, "completions are off".to_owned(), None);
        }
    }

    fn stop(&mut self) {
        self.loaded = None;
        self.failure = None;
        self.load = None;
        if let Some(engine) = self.engine.take() {
            drop_elsewhere(engine);
        }
    }

    /// Gives the memory to the assistant's model; until it comes back, nothing is completed.
    pub(super) fn make_room(&mut self) {
        self.stop();
        self.away = true;
        self.tell(State::Ready, "makes room for the assistant's model".to_owned(), None);
    }

    /// The opposite of [`Resident::make_room`]; true if it was away.
    pub(super) fn come_back(&mut self) -> bool {
        std::mem::take(&mut self.away)
    }

    /// Starts the engine if it is not running.
    pub(super) fn start(&mut self) {
        if self.engine.is_some() || self.away {
            return;
        }
        self.number += 1;
        let (engine, session) = (self.number, self.session.clone());
        let loader = (self.loader)(&self.settings.completion.model, &self.settings);
        let options = EngineOptions {
            load_at_start: true,
            idle_unload: None,
            kv_budget_bytes: kv_budget_bytes(&self.settings),
            gate: self.gate.clone(),
        };
        match Engine::start(loader, options, Box::new(move |event| session.send(Event::Engine { engine, event }))) {
            Ok(engine) => self.engine = Some(engine),
            Err(error) => self.fail(format!("the system gives no thread for the model: {error}")),
        }
    }

    /// Hands `job` to the engine, starting it if need be.
    pub(super) fn submit(&mut self, job: Job) {
        self.start();
        match &self.engine {
            Some(engine) => engine.submit(job),
            None => {
                let reason = self.failure.clone().unwrap_or_else(|| "there is no engine".to_owned());
                (job.on_done)(Err(crate::engine::EngineError::Unavailable(reason)));
            }
        }
    }

    /// Tells the client what engine number `engine` says about itself.
    pub(super) fn hear(&mut self, engine: u64, event: EngineEvent) {
        if engine != self.number || self.engine.is_none() {
            return;
        }
        match event {
            EngineEvent::Loading(fraction) => self.loading(fraction),
            EngineEvent::Ready { model } => {
                self.load = None;
                self.failure = None;
                let message = format!("{model} is ready");
                self.loaded = Some(model);
                self.tell(State::Ready, message, None);
            }
            EngineEvent::Failed(reason) => self.fail(reason),
            // Without a model, being busy means failing at every job: what failed stays on show.
            EngineEvent::Busy if self.loaded.is_some() => self.tell(State::Busy, "completing".to_owned(), None),
            EngineEvent::Idle if self.loaded.is_some() => self.tell(State::Ready, "ready".to_owned(), None),
            EngineEvent::Busy | EngineEvent::Idle => {}
            EngineEvent::Unloaded => {
                self.loaded = None;
                self.tell(State::Ready, "unloaded until it is needed".to_owned(), None);
            }
        }
    }

    fn loading(&mut self, fraction: f32) {
        self.loaded = None;
        let begins = self.load.is_none();
        if begins {
            let (load, progress) = watch::channel(fraction);
            self.load = Some(load);
            if self.show_progress {
                let title = format!("phi-ls: loading {}", self.settings.completion.model);
                self.send(Outgoing::Progress { title, fraction: progress });
            }
        }
        if let Some(load) = &self.load {
            load.send_replace(fraction);
        }
        if begins || fraction >= self.told_fraction + FRACTION_STEP {
            self.told_fraction = fraction;
            self.tell(State::Loading, format!("loading {}", self.settings.completion.model), Some(fraction));
        }
    }

    fn fail(&mut self, reason: String) {
        self.load = None;
        self.loaded = None;
        self.send(Outgoing::Message(MessageType::Error, format!("phi-ls: {reason}")));
        self.tell(State::Error, reason.clone(), None);
        self.failure = Some(reason);
    }

    fn tell(&self, state: State, message: String, fraction: Option<f32>) {
        let model = self.loaded.clone().unwrap_or_else(|| self.settings.completion.model.clone());
        self.send(Outgoing::Status(StatusParams { state, message, model, fraction }));
    }

    fn send(&self, outgoing: Outgoing) {
        // A queue that is closed belongs to a client that is gone.
        let _ = self.outgoing.send(outgoing);
    }
}

/// Drops `engine` on a thread of its own: the last handle waits for the engine's, which may be in the middle of a load.
pub(super) fn drop_elsewhere(engine: Engine) {
    let spawned = std::thread::Builder::new().name("engine-stop".to_owned()).spawn(move || drop(engine));
    if let Err(error) = spawned {
        tracing::warn!("no thread to stop the engine on: {error}");
    }
}

fn made(settings: &Settings) -> Made {
    Made {
        model: settings.completion.model.clone(),
        threads: settings.threads,
        memory_budget_mib: settings.memory_budget_mib,
        kv_cache_type: settings.kv_cache_type,
    }
}

/// Bytes for cached prefixes: an eighth of the memory budget, which leaves the rest to the models; without one, room
/// for a few contexts of a 4-billion-parameter model.
pub(super) fn kv_budget_bytes(settings: &Settings) -> usize {
    const DEFAULT_MIB: u64 = 1024;
    let mib = if settings.memory_budget_mib == 0 { DEFAULT_MIB } else { settings.memory_budget_mib / 8 };
    usize::try_from(mib.saturating_mul(1 << 20)).unwrap_or(usize::MAX)
}
