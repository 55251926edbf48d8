//! The model on this machine that answers while a server does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::link::News;
use crate::engine::{Engine, EngineError, EngineEvent, Job, OnEvent};

/// Starts the engine of that model.
pub(super) type StartStandIn = Box<dyn FnOnce(OnEvent) -> std::io::Result<Engine> + Send>;

/// An engine that is not started before it is needed.
pub struct StandIn {
    waiting: Option<StartStandIn>,
    engine: Option<Engine>,
}

impl StandIn {
    pub fn new(start: StartStandIn) -> Self {
        Self { waiting: Some(start), engine: None }
    }

    /// Unloads the model after `limit` without a job, if there is one.
    pub(super) fn unload_after(&self, limit: Option<Duration>) {
        if let Some(engine) = &self.engine {
            engine.unload_after(limit);
        }
    }

    /// Submits `job`. Events of the engine are passed on only while `is_down`.
    pub(super) fn submit(&mut self, job: Job, news: &News, is_down: &Arc<AtomicBool>) {
        if let Some(start) = self.waiting.take() {
            let (news, is_down) = (news.clone(), Arc::clone(is_down));
            let on_event = move |event: EngineEvent| {
                if is_down.load(Ordering::Relaxed) {
                    news.tell(event);
                }
            };
            match start(Box::new(on_event)) {
                Ok(engine) => self.engine = Some(engine),
                Err(error) => tracing::warn!("cannot start a thread for the fallback model: {error}"),
            }
        }
        match &self.engine {
            Some(engine) => engine.submit(job),
            None => (job.on_done)(Err(EngineError::Unavailable("cannot start a thread for the model".to_owned()))),
        }
    }
}
