//! The assistant's engine: a second model beside the resident one, loaded at the first question and given back when idle.

use std::time::Duration;

use super::Event;
use super::engine_slot::{EngineSlot, Residence, Wiring};
use crate::config::{Machine, Settings, WhenItDoesNotFit};
use crate::engine::{EngineError, EngineEvent, Job};
use crate::hub::ModelRef;

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
    pub slot: EngineSlot,
    settings: Settings,
    /// How long what the settings call a minute is.
    minute: Duration,
}

/// What settings count in.
const MINUTE: Duration = Duration::from_secs(60);

impl Assistant {
    pub(super) fn new(wiring: Wiring, minute: Duration) -> Self {
        let slot = EngineSlot::new(wiring, |engine, event| Event::AssistantEngine { engine, event });
        let mut assistant = Self { slot, settings: Settings::default(), minute };
        assistant.configure(&Settings::default());
        assistant
    }

    /// Takes over new settings; an engine they do not fit is stopped.
    pub(super) fn configure(&mut self, settings: &Settings) {
        let model = settings.assistant.model.clone();
        let idle_unload = settings.assistant.idle_unload.map(|idle| idle.mul_f64(self.minute.div_duration_f64(MINUTE)));
        self.slot.configure(settings, Residence { model, load_at_start: false, idle_unload });
        self.settings = settings.clone();
    }

    /// Who is to answer; the error is why the assistant's own model cannot.
    pub(super) fn answerer(&self) -> Result<Answerer, String> {
        let (assistant, completion) = (&self.settings.assistant, &self.settings.completion);
        if assistant.model == completion.model {
            return Ok(Answerer::Resident);
        }
        if self.slot.engine().is_none() {
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
        match self.slot.start() {
            Ok(engine) => engine.submit(job),
            Err(error) => {
                let reason = format!("the system gives no thread for the model: {error}");
                (job.on_done)(Err(EngineError::Unavailable(reason)));
            }
        }
    }

    /// Takes note of what engine number `engine` says about itself.
    pub(super) fn hear(&mut self, engine: u64, event: &EngineEvent) {
        // The question that needed it hears of a failure too, and says so.
        if self.slot.hear(engine, event)
            && let EngineEvent::Failed(reason) = event
        {
            tracing::warn!("the assistant's model: {reason}");
        }
    }
}
