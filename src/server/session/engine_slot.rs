//! One engine as the session has it: made from the settings, started when it is needed, replaced when they change, and
//! what it has said about itself. What a person is told of that is up to whoever owns the slot.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::{Event, SessionSender};
use crate::config::{KvCacheType, Role, Settings};
use crate::engine::shared::{Setup, Sharing};
use crate::engine::{self, Engine, EngineEvent, Gate, StartOptions};
use crate::server::ModelLoader;
use crate::server::outgoing::Outgoing;

/// What every engine of a session is connected to.
#[derive(Clone)]
pub(super) struct Wiring {
    pub loader: ModelLoader,
    pub session: SessionSender,
    pub outgoing: mpsc::UnboundedSender<Outgoing>,
    /// Completions of one engine hold up the questions of all.
    pub gate: Gate,
    /// How long what the settings call a minute is.
    pub minute: Duration,
    /// What becomes the engine process for all windows.
    pub engine_program: Option<PathBuf>,
}

/// What settings count in.
const MINUTE: Duration = Duration::from_secs(60);

/// Which model, and when it is in memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Residence {
    pub model: String,
    pub load_at_start: bool,
    /// Given back after this long without a job; `None` keeps it.
    pub idle_unload: Option<Duration>,
}

/// What an engine is made from; it starts anew when any of it changes.
#[derive(Debug, Clone, PartialEq)]
struct Made {
    residence: Residence,
    threads: usize,
    memory_budget_mib: u64,
    kv_cache_type: KvCacheType,
    /// Which engine process it is in.
    setup: Option<Setup>,
}

/// The place of one engine.
pub(super) struct EngineSlot {
    wiring: Wiring,
    role: Role,
    /// The event that brings the session the news of engine number so-and-so.
    news: fn(u64, EngineEvent) -> Event,
    /// The client shows progress.
    pub show_progress: bool,
    settings: Settings,
    residence: Residence,
    engine: Option<Engine>,
    /// Numbers engines, so that the last words of a replaced one are not taken for the new one's.
    number: u64,
    /// The model's own name, once it is loaded.
    pub loaded: Option<String>,
    /// Who shares it.
    pub sharing: Option<Sharing>,
    /// How far a load is; dropped at its end.
    load: Option<watch::Sender<f32>>,
}

impl EngineSlot {
    pub(super) fn new(wiring: Wiring, role: Role, news: fn(u64, EngineEvent) -> Event) -> Self {
        Self {
            wiring,
            role,
            news,
            show_progress: false,
            settings: Settings::default(),
            residence: Residence::default(),
            engine: None,
            number: 0,
            loaded: None,
            sharing: None,
            load: None,
        }
    }

    /// Takes over new settings; true if they stop an engine that was made from others.
    pub(super) fn configure(&mut self, settings: &Settings, residence: Residence) -> bool {
        let stops = self.made(&self.settings, &self.residence) != self.made(settings, &residence);
        if stops {
            self.stop();
        }
        self.settings = settings.clone();
        self.residence = residence;
        stops
    }

    fn made(&self, settings: &Settings, residence: &Residence) -> Made {
        Made {
            residence: residence.clone(),
            threads: settings.threads,
            memory_budget_mib: settings.memory_budget_mib,
            kv_cache_type: settings.kv_cache_type,
            setup: engine::setup_of(settings, self.wiring.engine_program.as_deref()),
        }
    }

    /// The engine, if it is running.
    pub(super) fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    pub(super) fn is_loading(&self) -> bool {
        self.load.is_some()
    }

    /// Starts the engine if it is not running.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(&mut self) -> std::io::Result<&Engine> {
        let engine = match self.engine.take() {
            Some(engine) => engine,
            None => self.started()?,
        };
        Ok(self.engine.insert(engine))
    }

    fn started(&mut self) -> std::io::Result<Engine> {
        self.number += 1;
        let (number, news, session) = (self.number, self.news, self.wiring.session.clone());
        let minutes = self.wiring.minute.div_duration_f64(MINUTE);
        let options = StartOptions {
            load_at_start: self.residence.load_at_start,
            idle_unload: self.residence.idle_unload.map(|idle| idle.mul_f64(minutes)),
            minute: self.wiring.minute,
            gate: self.wiring.gate.clone(),
            program: self.wiring.engine_program.clone(),
        };
        let loader = || (self.wiring.loader)(&self.residence.model, &self.settings);
        let on_event = move |event| session.send(news(number, event));
        engine::start_for(self.role, &self.settings, options, loader, Box::new(on_event))
    }

    /// Gives the memory back.
    pub(super) fn stop(&mut self) {
        self.loaded = None;
        self.load = None;
        self.sharing = None;
        if let Some(engine) = self.engine.take() {
            // Of a model that others use, too, only this handle goes.
            engine.unload_after(Some(Duration::ZERO));
            drop_elsewhere(engine);
        }
    }

    /// Takes note of what engine number `engine` says; false if that engine has been replaced.
    pub(super) fn hear(&mut self, engine: u64, event: &EngineEvent) -> bool {
        if engine != self.number || self.engine.is_none() {
            return false;
        }
        match event {
            EngineEvent::Loading(fraction) => self.loading(*fraction),
            EngineEvent::Ready { model } => {
                self.load = None;
                self.loaded = Some(model.clone());
            }
            EngineEvent::Failed(_) | EngineEvent::Unloaded => {
                self.load = None;
                self.loaded = None;
            }
            EngineEvent::Shared(sharing) => self.sharing = Some(sharing.clone()),
            EngineEvent::Busy | EngineEvent::Idle => {}
        }
        true
    }

    fn loading(&mut self, fraction: f32) {
        self.loaded = None;
        if let Some(load) = &self.load {
            load.send_replace(fraction);
            return;
        }
        let (load, progress) = watch::channel(fraction);
        self.load = Some(load);
        if self.show_progress {
            let title = format!("phi-ls: loading {}", self.residence.model);
            self.tell(Outgoing::Progress { title, fraction: progress });
        }
    }

    pub(super) fn tell(&self, outgoing: Outgoing) {
        // A queue that is closed belongs to a client that is gone.
        let _ = self.wiring.outgoing.send(outgoing);
    }
}

/// Drops `engine` on a thread of its own: the last handle waits for the engine's, which may be in the middle of a load.
fn drop_elsewhere(engine: Engine) {
    let spawned = std::thread::Builder::new().name("engine-stop".to_owned()).spawn(move || drop(engine));
    if let Err(error) = spawned {
        tracing::warn!("no thread to stop the engine on: {error}");
    }
}
