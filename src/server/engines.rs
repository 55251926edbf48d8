//! The engines of a session: the one for completions, which stays loaded, and the assistant's, a second model that is
//! loaded at the first question and unloaded when idle.

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

    /// Applies new settings. An engine that does not match them is stopped.
    pub(super) fn configure(&mut self, settings: &Settings) {
        self.completion.configure(settings);
        self.assistant.configure(settings);
        self.settings = settings.clone();
    }

    /// Records what the engine of `role` with the number `engine` reports.
    pub(super) fn on_event(&mut self, role: Role, engine: u64, event: EngineEvent) {
        match role {
            Role::Completion => self.completion.on_event(engine, event),
            // The question that needs the model gets the failure as well, and reports it.
            Role::Assistant => {
                if self.assistant.on_event(engine, &event)
                    && let EngineEvent::Failed(reason) = event
                {
                    tracing::warn!("the assistant model: {reason}");
                }
            }
        }
    }

    /// Submits `job` to the engine of `role`, which is started if necessary.
    pub(super) fn submit(&mut self, role: Role, job: Job) {
        match role {
            Role::Completion => self.completion.submit(job),
            Role::Assistant => self.assistant.submit(job),
        }
    }

    /// The name that the model of `role` has in its file, while it is loaded.
    pub(super) fn model_name(&self, role: Role) -> Option<&str> {
        match role {
            Role::Completion => self.completion.engine.loaded.as_deref(),
            Role::Assistant => self.assistant.loaded.as_deref(),
        }
    }

    /// Which model answers questions. The error says why the assistant model cannot.
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

    /// The opposite of [`Engines::swap`]. Returns whether they were swapped. The completion model is loaded again when
    /// it is needed.
    pub(super) fn swap_back(&mut self) -> bool {
        let were_swapped = self.completion.come_back();
        if were_swapped {
            self.assistant.stop();
        }
        were_swapped
    }
}
