//! The engines of a session: that of completions, which stays, and that of the assistant, a second model beside it that is
//! loaded at the first question and given back when idle.

mod completion_engine;
mod memory;
mod role_engine;

pub(super) use completion_engine::CompletionEngine;
pub(super) use role_engine::{Common, KEPT_IN_A_MINUTE};

use crate::config::{Backend, Role, Settings};
use crate::engine::{EngineEvent, Job};
use role_engine::RoleEngine;

/// Both engines.
pub(super) struct Engines {
    pub completion: CompletionEngine,
    assistant: RoleEngine,
    settings: Settings,
}

impl Engines {
    pub(super) fn new(common: Common) -> Self {
        Self {
            completion: CompletionEngine::new(common.clone()),
            assistant: RoleEngine::new(common, Role::Assistant),
            settings: Settings::default(),
        }
    }

    /// Whether the client shows progress.
    pub(super) fn show_progress(&mut self, shown: bool) {
        self.completion.engine.show_progress = shown;
        self.assistant.show_progress = shown;
    }

    /// Applies new settings; an engine that does not match them is stopped.
    pub(super) fn configure(&mut self, settings: &Settings) {
        self.completion.configure(settings);
        self.assistant.configure(settings);
        self.settings = settings.clone();
    }

    /// Records what the engine of `role` with the number `engine` reports.
    pub(super) fn on_event(&mut self, role: Role, engine: u64, event: EngineEvent) {
        match role {
            Role::Completion => self.completion.on_event(engine, event),
            // The question that needed it is told of a failure too, and says so.
            Role::Assistant => {
                if self.assistant.on_event(engine, &event)
                    && let EngineEvent::Failed(reason) = event
                {
                    tracing::warn!("the assistant model: {reason}");
                }
            }
        }
    }

    /// Hands `job` to the engine of `role`, starting it if need be.
    pub(super) fn submit(&mut self, role: Role, job: Job) {
        match role {
            Role::Completion => self.completion.submit(job),
            Role::Assistant => self.assistant.submit(job),
        }
    }

    /// The own name of the model of `role`, while it is loaded.
    pub(super) fn model_name(&self, role: Role) -> Option<&str> {
        match role {
            Role::Completion => self.completion.engine.loaded.as_deref(),
            Role::Assistant => self.assistant.loaded.as_deref(),
        }
    }

    /// Which model questions go to; the error is why the assistant's own cannot answer.
    pub(super) fn answerer(&self) -> Result<Role, String> {
        if self.settings.has_one_engine() {
            return Ok(Role::Completion);
        }
        // A fallback for a server loads a model only when the server fails.
        let is_embedded = *self.settings.backend(Role::Assistant) == Backend::Embedded;
        if is_embedded && !self.assistant.is_running() {
            memory::check_assistant_fits(&self.settings)?;
        }
        Ok(Role::Assistant)
    }

    /// Unloads the completion model to make room for the assistant model.
    pub(super) fn swap(&mut self) {
        self.completion.make_room();
    }

    /// The opposite of [`Engines::swap`]; true if they were swapped. The completion model is loaded when it is wanted.
    pub(super) fn swap_back(&mut self) -> bool {
        let were_swapped = self.completion.come_back();
        if were_swapped {
            self.assistant.stop();
        }
        were_swapped
    }
}
