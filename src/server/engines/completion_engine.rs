//! The completion engine: when it starts, when it makes room for the assistant model, and what is reported to the
//! client about it.

use tower_lsp_server::gen_lsp_types::MessageType;

use super::memory::completion_too_large;
use super::role_engine::{Common, RoleEngine};
use crate::config::{Role, Settings};
use crate::engine::{EngineError, EngineEvent, Generation, Job};
use crate::lsp::status::{State, StatusParams, StatusSharing};
use crate::server::outgoing::{ClientSender, Outgoing};

/// The steps in which the progress of a load is reported.
const FRACTION_STEP: f32 = 0.02;

/// Fewer tokens after the first one say little about how fast a model writes.
const LEAST_TOKENS: usize = 4;

/// Weight of the newest generation among those before it.
const NEWEST: f32 = 0.25;

/// The completion engine, which is started when there is something to complete.
pub(in crate::server) struct CompletionEngine {
    pub(super) engine: RoleEngine,
    to_client: ClientSender,
    /// Whether it has made room for the assistant model, and stays unloaded until [`CompletionEngine::come_back`].
    is_away: bool,
    /// Why there is no model.
    failure: Option<String>,
    told_fraction: f32,
    /// How many tokens per second the model writes.
    speed: Option<f32>,
    /// The last message about the model being too large.
    told_too_large: Option<String>,
    /// The last status that was sent to the client.
    told: Option<StatusParams>,
}

impl CompletionEngine {
    pub(super) fn new(common: Common) -> Self {
        let to_client = common.to_client.clone();
        let engine = RoleEngine::new(common, Role::Completion);
        Self {
            engine,
            to_client,
            is_away: false,
            failure: None,
            told_fraction: 0.0,
            speed: None,
            told_too_large: None,
            told: None,
        }
    }

    /// Applies new settings. An engine that does not match them is stopped.
    pub(super) fn configure(&mut self, settings: &Settings) {
        if self.engine.configure(settings) {
            (self.failure, self.speed) = (None, None);
        }
    }

    /// Starts the engine if it is not running.
    pub(in crate::server) fn start(&mut self) {
        if self.is_away {
            return;
        }
        if !self.engine.is_running() {
            self.tell_too_large();
        }
        if let Err(reason) = self.engine.start().map(drop) {
            self.fail(reason);
        }
    }

    /// Submits `job` to the engine, which is started if necessary.
    pub(in crate::server) fn submit(&mut self, job: Job) {
        self.start();
        if self.engine.is_running() {
            return self.engine.submit(job);
        }
        let away = "the completion model is unloaded while the assistant model answers; ask again afterwards";
        let reason = self.failure.clone().unwrap_or_else(|| away.to_owned());
        (job.on_done)(Err(EngineError::Unavailable(reason)));
    }

    /// Unloads the model because completions are off.
    pub(in crate::server) fn turn_off(&mut self) {
        if self.engine.is_running() {
            self.stop();
            self.tell(State::Ready, "completions are off".to_owned(), None);
        }
    }

    /// Unloads the model to make room for the assistant model. Until it comes back, there are no completions.
    pub(super) fn make_room(&mut self) {
        self.stop();
        self.is_away = true;
        self.tell(State::Ready, "makes room for the assistant model".to_owned(), None);
    }

    /// The opposite of [`CompletionEngine::make_room`]. Returns whether it was away.
    pub(super) fn come_back(&mut self) -> bool {
        std::mem::take(&mut self.is_away)
    }

    fn stop(&mut self) {
        self.failure = None;
        self.engine.stop();
    }

    /// Notes how fast `generation` was written. The client gets the speed with the next status.
    pub(in crate::server) fn note_speed(&mut self, generation: &Generation) {
        let tokens = generation.generated_tokens.saturating_sub(1);
        let time = generation.total.saturating_sub(generation.time_to_first_token).as_secs_f32();
        if tokens >= LEAST_TOKENS && time > 0.0 {
            let measured = tokens as f32 / time;
            self.speed = Some(self.speed.map_or(measured, |before| before + NEWEST * (measured - before)));
        }
    }

    /// Passes the report of the engine with the number `engine` on to the client.
    pub(super) fn on_event(&mut self, engine: u64, event: EngineEvent) {
        let begins = !self.engine.is_loading();
        if !self.engine.on_event(engine, &event) {
            return;
        }
        let is_loaded = self.engine.loaded.is_some();
        match event {
            EngineEvent::Loading(fraction) => self.loading(fraction, begins),
            EngineEvent::Ready { model } => {
                self.failure = None;
                self.tell(State::Ready, format!("{model} is ready"), None);
            }
            EngineEvent::Failed(reason) => self.fail(reason),
            // Without a model, every job fails, so the failure stays visible.
            EngineEvent::Busy if is_loaded => self.tell(State::Busy, "completing".to_owned(), None),
            EngineEvent::Idle if is_loaded => self.tell(State::Ready, "ready".to_owned(), None),
            EngineEvent::Busy | EngineEvent::Idle => {}
            EngineEvent::Shared(_) => self.tell_again(),
            EngineEvent::Unloaded => self.tell(State::Ready, "unloaded until needed".to_owned(), None),
        }
    }

    /// Tells the person once that the model is too large for this machine. It may be slow, or take memory that other
    /// programs need.
    fn tell_too_large(&mut self) {
        let reason = completion_too_large(self.engine.settings());
        if reason != self.told_too_large
            && let Some(reason) = &reason
        {
            self.to_client.message(MessageType::Warning, reason);
        }
        self.told_too_large = reason;
    }

    fn loading(&mut self, fraction: f32, begins: bool) {
        if begins || fraction >= self.told_fraction + FRACTION_STEP {
            self.told_fraction = fraction;
            self.tell(State::Loading, format!("loading {}", self.engine.model()), Some(fraction));
        }
    }

    fn fail(&mut self, reason: String) {
        self.to_client.message(MessageType::Error, &reason);
        self.tell(State::Error, reason.clone(), None);
        self.failure = Some(reason);
    }

    fn tell(&mut self, state: State, message: String, fraction: Option<f32>) {
        let model = self.engine.loaded.as_deref().unwrap_or(self.engine.model()).to_owned();
        let sharing = self.engine.sharing.clone().map(StatusSharing::from);
        let tokens_per_second = self.speed.map(|speed| (speed * 10.0).round() / 10.0);
        let status = StatusParams { state, message, model, fraction, tokens_per_second, sharing };
        self.to_client.send(Outgoing::Status(status.clone()));
        self.told = Some(status);
    }

    /// Sends the status again after a change of who shares the engine.
    fn tell_again(&mut self) {
        if let Some(StatusParams { state, message, fraction, .. }) = self.told.take() {
            self.tell(state, message, fraction);
        }
    }
}
