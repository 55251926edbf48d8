//! The engine of one role in a session: created from the settings, started when needed, and replaced when they change,
//! with the last status that it reported.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::{Backend, KvCacheType, Role, Settings};
use crate::engine::embedded::load::kv_budget_bytes;
use crate::engine::embedded::{KeepOptions, kept_prefixes};
use crate::engine::shared::{Setup, Sharing};
use crate::engine::{self, Engine, EngineError, EngineEvent, Gate, Job, StartOptions};
use crate::server::event::{Event, SessionSender};
use crate::server::options::ModelLoader;
use crate::server::outgoing::{ClientSender, Outgoing};

/// The unit of time in the settings.
const MINUTE: Duration = Duration::from_secs(60);

/// What is kept between sessions is written when there has been no request for this part of a minute, ten seconds.
pub(in crate::server) const KEPT_IN_A_MINUTE: u32 = 6;

/// What the engines of a session share.
#[derive(Clone)]
pub(in crate::server) struct Common {
    pub loader: ModelLoader,
    /// Receives their reports.
    pub session: SessionSender,
    pub to_client: ClientSender,
    /// The gate that all engines share, so that questions wait for the completions of any engine.
    pub gate: Gate,
    /// How long a minute in the settings lasts.
    pub minute: Duration,
    /// The program that the engine process for all windows is started from.
    pub engine_program: Option<PathBuf>,
    /// The folder for files that are kept between sessions.
    pub kept: Option<PathBuf>,
}

/// The settings that an engine is created from. If any of them changes, another engine is created.
#[derive(Debug, Clone, PartialEq)]
struct EngineConfig {
    backend: Backend,
    model: String,
    load_at_start: bool,
    /// Unload the model after this long without a job; `None` keeps it.
    idle_unload: Option<Duration>,
    threads: usize,
    memory_budget_mib: u64,
    kv_cache_type: KvCacheType,
    /// Where to keep in files what the model has read for completions.
    keep: Option<KeepOptions>,
    /// The setup of the engine process that it is in.
    setup: Option<Setup>,
}

impl EngineConfig {
    fn new(role: Role, settings: &Settings, common: &Common) -> Self {
        let Settings { completion, assistant, .. } = settings;
        let (model, idle_unload) = match role {
            Role::Completion if completion.enabled => (&completion.model, completion.idle_unload),
            // With completions off, this engine only answers questions in place of the assistant, and is unloaded like
            // it.
            Role::Completion => (&completion.model, assistant.idle_unload),
            Role::Assistant => (&assistant.model, assistant.idle_unload),
        };
        Self {
            backend: settings.backend(role).clone(),
            model: model.clone(),
            load_at_start: role == Role::Completion,
            idle_unload,
            threads: settings.threads,
            memory_budget_mib: settings.memory_budget_mib,
            kv_cache_type: settings.kv_cache_type,
            keep: common.kept.as_ref().filter(|_| role == Role::Completion).map(|folder| KeepOptions {
                folder: folder.join(kept_prefixes::FOLDER),
                limit_bytes: completion.kept_prefixes_mib << 20,
                after: common.minute / KEPT_IN_A_MINUTE,
            }),
            setup: engine::setup_of(settings, common.engine_program.as_deref()),
        }
    }
}

/// The engine of one role, if it is running.
pub(super) struct RoleEngine {
    common: Common,
    role: Role,
    /// Whether the client shows progress.
    pub show_progress: bool,
    settings: Settings,
    config: EngineConfig,
    engine: Option<Engine>,
    /// The number of the engine, which distinguishes the last events of a replaced engine from those of the new one.
    number: u64,
    /// The name that the model has in its file, once it is loaded.
    pub loaded: Option<String>,
    /// Who shares the engine.
    pub sharing: Option<Sharing>,
    /// The progress of loading; dropped at the end.
    load: Option<watch::Sender<f32>>,
}

impl RoleEngine {
    pub(super) fn new(common: Common, role: Role) -> Self {
        let settings = Settings::default();
        let config = EngineConfig::new(role, &settings, &common);
        Self {
            common,
            role,
            show_progress: false,
            config,
            settings,
            engine: None,
            number: 0,
            loaded: None,
            sharing: None,
            load: None,
        }
    }

    /// Applies new settings. Returns whether they stop an engine that was created from others.
    pub(super) fn configure(&mut self, settings: &Settings) -> bool {
        let config = EngineConfig::new(self.role, settings, &self.common);
        let stops = config != self.config;
        if stops {
            self.stop();
        }
        self.settings = settings.clone();
        self.config = config;
        stops
    }

    pub(super) fn is_running(&self) -> bool {
        self.engine.is_some()
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn is_loading(&self) -> bool {
        self.load.is_some()
    }

    /// The name in the settings of the model or of the model server.
    pub(super) fn model(&self) -> &str {
        self.config.backend.server().map_or(&self.config.model, |server| &server.base_url)
    }

    /// Starts the engine if it is not running.
    ///
    /// # Errors
    /// A message for the person, if it cannot be started.
    pub(super) fn start(&mut self) -> Result<&Engine, String> {
        let engine = match self.engine.take() {
            Some(engine) => engine,
            None => {
                self.number += 1;
                let no_thread = |error| format!("cannot start a thread for the model: {error}");
                self.new_engine().map_err(no_thread)?
            }
        };
        Ok(self.engine.insert(engine))
    }

    /// Submits `job` to the engine, which is started if necessary.
    pub(super) fn submit(&mut self, job: Job) {
        match self.start() {
            Ok(engine) => engine.submit(job),
            Err(reason) => (job.on_done)(Err(EngineError::Unavailable(reason))),
        }
    }

    /// Creates the engine of the role from the settings.
    fn new_engine(&self) -> std::io::Result<Engine> {
        let minutes = self.common.minute.div_duration_f64(MINUTE);
        let options = StartOptions {
            load_at_start: self.config.load_at_start,
            idle_unload: self.config.idle_unload.map(|idle| idle.mul_f64(minutes)),
            kv_budget_bytes: kv_budget_bytes(self.role, &self.settings),
            keep: self.config.keep.clone(),
            minute: self.common.minute,
            gate: self.common.gate.clone(),
            program: self.common.engine_program.clone(),
        };
        let (make, model) = (self.common.loader.clone(), self.config.model.clone());
        let settings = self.settings.clone();
        let loader = Box::new(move || make(&model, &settings));
        let (role, number, session) = (self.role, self.number, self.common.session.clone());
        let on_event = move |event| session.send(Event::Engine { role, engine: number, event });
        engine::start_for(role, &self.settings, options, loader, Box::new(on_event))
    }

    /// Unloads the model.
    pub(super) fn stop(&mut self) {
        self.loaded = None;
        self.load = None;
        self.sharing = None;
        if let Some(engine) = self.engine.take() {
            // If other clients use the model as well, it stays, and only this handle is dropped.
            engine.unload_after(Some(Duration::ZERO));
            drop_elsewhere(engine);
        }
    }

    /// Records the report of the engine with the number `engine`. Returns false if that engine has been replaced.
    pub(super) fn on_event(&mut self, engine: u64, event: &EngineEvent) -> bool {
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
            let title = format!("phi-ls: loading {}", self.config.model);
            self.common.to_client.send(Outgoing::Progress { title, fraction: progress });
        }
    }
}

/// Drops `engine` on a thread of its own, because the last handle waits for the engine's thread, which may be loading a
/// model.
fn drop_elsewhere(engine: Engine) {
    let spawned = std::thread::Builder::new().name("engine-stop".to_owned()).spawn(move || drop(engine));
    if let Err(error) = spawned {
        tracing::warn!("cannot start a thread to stop the engine: {error}");
    }
}
