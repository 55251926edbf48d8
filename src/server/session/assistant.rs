//! The assistant's engine: a second model beside the resident one, loaded at the first question and given back when idle.

use super::Event;
use super::engine_slot::{EngineSlot, Residence, Wiring};
use crate::config::{Machine, MemoryBudget, Role, Settings, WhenItDoesNotFit};
use crate::engine::embedded::load::{needs, needs_beside};
use crate::engine::{EngineError, EngineEvent, Job};

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
}

impl Assistant {
    pub(super) fn new(wiring: Wiring) -> Self {
        let slot = EngineSlot::new(wiring, Role::Assistant, |engine, event| Event::AssistantEngine { engine, event });
        let mut assistant = Self { slot, settings: Settings::default() };
        assistant.configure(&Settings::default());
        assistant
    }

    /// Takes over new settings; an engine they do not fit is stopped.
    pub(super) fn configure(&mut self, settings: &Settings) {
        let model = settings.assistant.model.clone();
        let idle_unload = settings.assistant.idle_unload;
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

    /// Whether it fits into memory beside the completion model. What is not installed or not known is no obstacle here.
    fn check_memory(&self) -> Result<(), String> {
        let settings = &self.settings;
        let (Some(own), Some(other)) = (needs(Role::Assistant, settings), needs_beside(Role::Assistant, settings))
        else {
            return Ok(());
        };
        let budget = MemoryBudget::new(settings, &Machine::read());
        match (budget.bytes(), budget.fits(&[own, other])) {
            (Some(bytes), Some(false)) => Err(format!(
                "{} does not fit into memory beside {} ({} MiB of {}); see `phi-ls doctor`",
                settings.assistant.model,
                settings.completion.model,
                (own.total() + other.total()) >> 20,
                bytes >> 20
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
