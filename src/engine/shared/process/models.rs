//! The models of an engine process: an embedded engine for each role that a client has asked for.

use std::sync::Arc;
use std::time::Duration;

use super::super::messages::{ModelReport, ModelState, Reply};
use super::super::{Setup, Wishes};
use super::Process;
use crate::config::Role;
use crate::engine::embedded::{self, EngineOptions, Loader};
use crate::engine::{Engine, EngineEvent, Gate};
use crate::hub::ModelRef;
use crate::kernels::pool::ThreadPool;
use crate::model::{LoadOptions, ModelError};

/// The engines and what they share.
pub(super) struct Models {
    held: Vec<Held>,
    gate: Gate,
    options: LoadOptions,
}

/// The engine of one role.
struct Held {
    role: Role,
    engine: Engine,
    state: ModelState,
    /// How many jobs are under way or waiting.
    jobs: usize,
    idle_unload: Option<Duration>,
}

/// Whether a model may be in memory now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// Another model takes the memory.
    Taken,
}

impl Models {
    pub(super) fn new(setup: &Setup) -> Self {
        let pool = Arc::new(ThreadPool::new(setup.threads));
        let options = LoadOptions { pool, kv_type: setup.kv_cache_type.into() };
        Self { held: Vec::new(), gate: Gate::default(), options }
    }

    fn of(&self, role: Role) -> Option<&Held> {
        self.held.iter().find(|held| held.role == role)
    }

    fn of_mut(&mut self, role: Role) -> Option<&mut Held> {
        self.held.iter_mut().find(|held| held.role == role)
    }

    /// Whether no model is in memory or about to be.
    pub(super) fn is_empty(&self) -> bool {
        !self.held.iter().any(|held| matches!(held.state, ModelState::Loaded(_) | ModelState::Loading(_)))
    }

    /// The names of the models in memory.
    pub(super) fn loaded(&self) -> Vec<String> {
        let name = |held: &Held| match &held.state {
            ModelState::Loaded(name) => Some(name.clone()),
            _ => None,
        };
        self.held.iter().filter_map(name).collect()
    }

    pub(super) fn reports(&self, setup: &Setup) -> Vec<ModelReport> {
        let report = |held: &Held| ModelReport {
            role: held.role,
            model: name(held.role, setup).to_owned(),
            state: held.state.clone(),
        };
        self.held.iter().map(report).collect()
    }

    /// The events that a new client has missed.
    pub(super) fn events_so_far(&self, role: Role) -> Vec<EngineEvent> {
        match self.of(role).map(|held| &held.state) {
            None | Some(ModelState::Unloaded) => Vec::new(),
            Some(ModelState::Loading(fraction)) => vec![EngineEvent::Loading(*fraction)],
            Some(ModelState::Loaded(model)) => vec![EngineEvent::Ready { model: model.clone() }],
            Some(ModelState::Failed(reason)) => vec![EngineEvent::Failed(reason.clone())],
        }
    }

    /// Unloads the model of `role` after `limit` without a job.
    pub(super) fn unload_after(&mut self, role: Role, limit: Option<Duration>) {
        if let Some(held) = self.of_mut(role).filter(|held| held.idle_unload != limit) {
            held.idle_unload = limit;
            held.engine.unload_after(limit);
        }
    }
}

/// The name of the model of `role`.
fn name(role: Role, setup: &Setup) -> &str {
    match role {
        Role::Completion => &setup.completion_model,
        Role::Assistant => &setup.assistant_model,
    }
}

/// The engine that `wishes` ask for, started if it is not running.
pub(super) fn engine(process: &Arc<Process>, wishes: &Wishes, load_at_start: bool) -> std::io::Result<Engine> {
    let mut state = process.state();
    if let Some(held) = state.models.of(wishes.role) {
        return Ok(held.engine.clone());
    }
    let role = wishes.role;
    let idle_unload = state.idle_unload(role);
    let options = EngineOptions {
        load_at_start,
        idle_unload,
        kv_budget_bytes: wishes.kv_budget_bytes,
        keep: wishes.keep.clone(),
        gate: state.models.gate.clone(),
    };
    let loader = loader(name(role, &process.setup), &state.models.options);
    let receiver = Arc::clone(process);
    let engine = embedded::start(loader, options, Box::new(move |event| receive(&receiver, role, event)))?;
    let held = Held { role, engine: engine.clone(), state: ModelState::Unloaded, jobs: 0, idle_unload };
    state.models.held.push(held);
    Ok(engine)
}

fn loader(name: &str, options: &LoadOptions) -> Loader {
    match name.parse::<ModelRef>() {
        Ok(reference) => embedded::load::loader(reference, options.clone()),
        Err(error) => {
            let message = error.to_string();
            Box::new(move |_| Err(ModelError::Missing(message.clone())))
        }
    }
}

/// Records what the engine of `role` reports, and tells its clients.
fn receive(process: &Process, role: Role, event: EngineEvent) {
    let new_state = match &event {
        EngineEvent::Loading(fraction) => ModelState::Loading(*fraction),
        EngineEvent::Ready { model } => ModelState::Loaded(model.clone()),
        EngineEvent::Failed(reason) => ModelState::Failed(reason.clone()),
        EngineEvent::Unloaded => ModelState::Unloaded,
        // Each client knows by itself whether it has jobs.
        EngineEvent::Busy | EngineEvent::Idle | EngineEvent::Shared(_) => return,
    };
    let is_news = !matches!(new_state, ModelState::Loading(_));
    let mut state = process.state();
    if let Some(held) = state.models.of_mut(role) {
        held.state = new_state;
    }
    let clients = state.clients.iter().filter(|client| client.wishes.role == role);
    clients.for_each(|client| client.outbox.tell(&Reply::Event(event.clone())));
    drop(state);
    if is_news {
        tracing::info!(?role, ?event, "a model");
        process.tell_sharing();
        process.changed.notify_all();
    }
}

/// Makes room for the model of `wishes` if it does not fit beside the other one, which is unloaded if `insist` is set.
/// It is an error if the other one is answering a question.
pub(super) fn make_room(process: &Process, wishes: &Wishes, insist: bool) -> Result<Room, String> {
    if wishes.fits_beside_the_other {
        return Ok(Room::Free);
    }
    let mut state = process.state();
    let in_the_way = |held: &Held| held.role != wishes.role && !matches!(held.state, ModelState::Unloaded);
    let Some(at) = state.models.held.iter().position(in_the_way) else { return Ok(Room::Free) };
    if !insist {
        return Ok(Room::Taken);
    }
    let other = &state.models.held[at];
    if other.role == Role::Assistant && other.jobs > 0 {
        return Err(
            "the completion model is unloaded while the assistant model answers; ask again afterwards".to_owned()
        );
    }
    let other = state.models.held.remove(at);
    let unloaded = Reply::Event(EngineEvent::Unloaded);
    let clients = state.clients.iter().filter(|client| client.wishes.role == other.role);
    clients.for_each(|client| client.outbox.tell(&unloaded));
    drop(state);
    // Waits for the engine's thread, which owns the memory.
    drop(other);
    Ok(Room::Free)
}

/// Counts a job that is under way or waiting, until it is dropped.
pub(super) struct UnderWay {
    process: Arc<Process>,
    role: Role,
}

impl UnderWay {
    pub(super) fn begin(process: &Arc<Process>, role: Role) -> Self {
        if let Some(held) = process.state().models.of_mut(role) {
            held.jobs += 1;
        }
        Self { process: Arc::clone(process), role }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(held) = self.process.state().models.of_mut(self.role) {
            held.jobs = held.jobs.saturating_sub(1);
        }
    }
}
