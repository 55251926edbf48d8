//! The resident model's engine: when it starts, what the client is told about it.

use tower_lsp_server::gen_lsp_types::MessageType;

use super::Event;
use super::engine_slot::{EngineSlot, Residence, Wiring};
use crate::config::{Role, Settings};
use crate::engine::{EngineError, EngineEvent, Job};
use crate::lsp::status::{State, StatusParams, StatusSharing};
use crate::server::outgoing::Outgoing;

/// Steps in which the progress of a load is told.
const FRACTION_STEP: f32 = 0.02;

/// The engine of completions, started when there is something to complete.
pub(super) struct Resident {
    pub slot: EngineSlot,
    /// The model as the settings name it.
    model: String,
    /// It has made room for the assistant's model and stays away until [`Resident::come_back`].
    away: bool,
    /// Why there is no model.
    failure: Option<String>,
    told_fraction: f32,
    /// What the client was told last.
    told: Option<StatusParams>,
}

impl Resident {
    pub(super) fn new(wiring: Wiring) -> Self {
        let slot = EngineSlot::new(wiring, Role::Completion, |engine, event| Event::Engine { engine, event });
        let mut resident =
            Self { slot, model: String::new(), away: false, failure: None, told_fraction: 0.0, told: None };
        resident.configure(&Settings::default());
        resident
    }

    /// Takes over new settings; an engine they do not fit is stopped.
    pub(super) fn configure(&mut self, settings: &Settings) {
        self.model.clone_from(&settings.completion.model);
        // With completions off it only answers questions in the assistant's place, and goes as that would.
        let idle_unload = match settings.completion.enabled {
            true => settings.completion.idle_unload,
            false => settings.assistant.idle_unload,
        };
        let residence = Residence { model: self.model.clone(), load_at_start: true, idle_unload };
        if self.slot.configure(settings, residence) {
            self.failure = None;
        }
    }

    /// Gives the memory back because nobody wants completions.
    pub(super) fn turn_off(&mut self) {
        if self.slot.engine().is_some() {
            self.stop();
            self.tell(State::Ready, "completions are off".to_owned(), None);
        }
    }

    fn stop(&mut self) {
        self.failure = None;
        self.slot.stop();
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
        if self.away {
            return;
        }
        if let Err(error) = self.slot.start() {
            self.fail(format!("the system gives no thread for the model: {error}"));
        }
    }

    /// Hands `job` to the engine, starting it if need be.
    pub(super) fn submit(&mut self, job: Job) {
        self.start();
        match self.slot.engine() {
            Some(engine) => engine.submit(job),
            None => {
                let away = "the completion model has made room for the assistant's; ask again when that has answered";
                let reason = self.failure.clone().unwrap_or_else(|| away.to_owned());
                (job.on_done)(Err(EngineError::Unavailable(reason)));
            }
        }
    }

    /// Tells the client what engine number `engine` says about itself.
    pub(super) fn hear(&mut self, engine: u64, event: EngineEvent) {
        let begins = !self.slot.is_loading();
        if !self.slot.hear(engine, &event) {
            return;
        }
        let is_loaded = self.slot.loaded.is_some();
        match event {
            EngineEvent::Loading(fraction) => self.loading(fraction, begins),
            EngineEvent::Ready { model } => {
                self.failure = None;
                self.tell(State::Ready, format!("{model} is ready"), None);
            }
            EngineEvent::Failed(reason) => self.fail(reason),
            // Without a model, being busy means failing at every job: what failed stays on show.
            EngineEvent::Busy if is_loaded => self.tell(State::Busy, "completing".to_owned(), None),
            EngineEvent::Idle if is_loaded => self.tell(State::Ready, "ready".to_owned(), None),
            EngineEvent::Busy | EngineEvent::Idle => {}
            EngineEvent::Shared(_) => self.tell_again(),
            EngineEvent::Unloaded => self.tell(State::Ready, "unloaded until it is needed".to_owned(), None),
        }
    }

    fn loading(&mut self, fraction: f32, begins: bool) {
        if begins || fraction >= self.told_fraction + FRACTION_STEP {
            self.told_fraction = fraction;
            self.tell(State::Loading, format!("loading {}", self.model), Some(fraction));
        }
    }

    fn fail(&mut self, reason: String) {
        self.slot.tell(Outgoing::Message(MessageType::Error, format!("phi-ls: {reason}")));
        self.tell(State::Error, reason.clone(), None);
        self.failure = Some(reason);
    }

    fn tell(&mut self, state: State, message: String, fraction: Option<f32>) {
        let model = self.slot.loaded.clone().unwrap_or_else(|| self.model.clone());
        let sharing = self.slot.sharing.clone().map(StatusSharing::from);
        let status = StatusParams { state, message, model, fraction, sharing };
        self.slot.tell(Outgoing::Status(status.clone()));
        self.told = Some(status);
    }

    /// Who shares the engine has changed, and nothing else.
    fn tell_again(&mut self) {
        if let Some(StatusParams { state, message, fraction, .. }) = self.told.take() {
            self.tell(state, message, fraction);
        }
    }
}
