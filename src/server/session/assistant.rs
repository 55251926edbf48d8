//! The assistant's engine: a second model beside the resident one, loaded at the first question and given back when idle.

use tokio::sync::{mpsc, watch};

use super::resident::{drop_elsewhere, kv_budget_bytes};
use super::{Event, SessionSender};
use crate::config::{Machine, Settings, WhenItDoesNotFit};
use crate::engine::{Engine, EngineError, EngineEvent, EngineOptions, Gate, Job};
use crate::hub::ModelRef;
use crate::server::ModelLoader;
use crate::server::outgoing::Outgoing;

/// Memory of two models beside their weights: caches and buffers, bytes.
const BESIDE_WEIGHTS: u64 = 1 << 30;

/// Which model works on a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answerer {
    Assistant,
    /// The completion model, behind its completions.
    Resident,
}

/// The engine of questions, started at the first one.
pub(super) struct Assistant {
    loader: ModelLoader,
    session: SessionSender,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// The client shows progress.
    pub show_progress: bool,
    settings: Settings,
    engine: Option<Engine>,
    /// Numbers engines, so that the last words of a replaced one are not taken for the new one's.
    number: u64,
    /// Shared with the resident engine, whose completions go first.
    gate: Gate,
    /// The model's own name, once it is loaded.
    pub loaded: Option<String>,
    /// How far a load is that is shown; dropped at its end.
    load: Option<watch::Sender<f32>>,
}

impl Assistant {
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
            load: None,
        }
    }

    /// Takes over new settings; an engine they do not fit is stopped.
    pub(super) fn configure(&mut self, settings: &Settings) {
        let made = |settings: &Settings| {
            let assistant = &settings.assistant;
            let cache = (settings.memory_budget_mib, settings.kv_cache_type);
            (assistant.model.clone(), assistant.idle_unload, settings.threads, cache)
        };
        if made(&self.settings) != made(settings) {
            self.stop();
        }
        self.settings = settings.clone();
    }

    /// Who is to answer; the error is why the assistant's own model cannot.
    pub(super) fn answerer(&self) -> Result<Answerer, String> {
        let (assistant, completion) = (&self.settings.assistant, &self.settings.completion);
        if assistant.model == completion.model {
            return Ok(Answerer::Resident);
        }
        if self.engine.is_none() {
            self.check_memory()?;
        }
        Ok(Answerer::Assistant)
    }

    /// Whether a question the assistant's model cannot answer goes to the completion model.
    pub(super) fn falls_back(&self) -> bool {
        // With completions off, the machine may well have no other model.
        self.settings.assistant.when_it_does_not_fit != WhenItDoesNotFit::Refuse
    }

    /// Whether the completion model makes room for a model that does not fit beside it.
    pub(super) fn swaps(&self) -> bool {
        self.settings.assistant.when_it_does_not_fit == WhenItDoesNotFit::Swap
    }

    /// Gives the memory back.
    pub(super) fn stop(&mut self) {
        self.loaded = None;
        self.load = None;
        if let Some(engine) = self.engine.take() {
            drop_elsewhere(engine);
        }
    }

    /// Compares the two files with the memory budget. What is not installed or not known is no obstacle here.
    fn check_memory(&self) -> Result<(), String> {
        let bytes = |model: &str| {
            let path = model.parse::<ModelRef>().ok()?.resolve().ok()?;
            Some(std::fs::metadata(path).ok()?.len())
        };
        let (name, completion) = (&self.settings.assistant.model, &self.settings.completion.model);
        let (Some(own), Some(other)) = (bytes(name), bytes(completion)) else { return Ok(()) };
        let needed = own + other + BESIDE_WEIGHTS;
        match self.settings.memory_budget(&Machine::read()) {
            Some(budget) if needed > budget => Err(format!(
                "{name} does not fit into memory beside {completion} ({} MiB of {}); see `phi-ls doctor`",
                needed >> 20,
                budget >> 20
            )),
            _ => Ok(()),
        }
    }

    /// Hands `job` to the engine, starting it if need be.
    pub(super) fn submit(&mut self, job: Job) {
        if self.engine.is_none()
            && let Err(error) = self.start()
        {
            return (job.on_done)(Err(EngineError::Unavailable(format!("the system gives no thread: {error}"))));
        }
        if let Some(engine) = &self.engine {
            engine.submit(job);
        }
    }

    fn start(&mut self) -> std::io::Result<()> {
        self.number += 1;
        let (engine, session) = (self.number, self.session.clone());
        let loader = (self.loader)(&self.settings.assistant.model, &self.settings);
        let options = EngineOptions {
            load_at_start: false,
            idle_unload: self.settings.assistant.idle_unload,
            kv_budget_bytes: kv_budget_bytes(&self.settings),
            gate: self.gate.clone(),
        };
        let on_event = move |event| session.send(Event::AssistantEngine { engine, event });
        self.engine = Some(Engine::start(loader, options, Box::new(on_event))?);
        Ok(())
    }

    /// Takes note of what engine number `engine` says about itself.
    pub(super) fn hear(&mut self, engine: u64, event: EngineEvent) {
        if engine != self.number || self.engine.is_none() {
            return;
        }
        match event {
            EngineEvent::Loading(fraction) => self.loading(fraction),
            EngineEvent::Ready { model } => {
                self.load = None;
                self.loaded = Some(model);
            }
            // The question that needed it hears of it too, and says so.
            EngineEvent::Failed(reason) => {
                tracing::warn!("the assistant's model: {reason}");
                self.load = None;
                self.loaded = None;
            }
            EngineEvent::Unloaded => self.loaded = None,
            EngineEvent::Busy | EngineEvent::Idle => {}
        }
    }

    fn loading(&mut self, fraction: f32) {
        if let Some(load) = &self.load {
            load.send_replace(fraction);
            return;
        }
        let (load, progress) = watch::channel(fraction);
        self.load = Some(load);
        if self.show_progress {
            let title = format!("phi-ls: loading {}", self.settings.assistant.model);
            // A queue that is closed belongs to a client that is gone.
            let _ = self.outgoing.send(Outgoing::Progress { title, fraction: progress });
        }
    }
}
