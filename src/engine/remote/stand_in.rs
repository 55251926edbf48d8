//! The embedded model that answers while a server does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::link::News;
use crate::engine::embedded::{self, EngineOptions, MakeLoader};
use crate::engine::{Engine, EngineError, EngineEvent, Job};

/// A model that has nothing to do since the server is back keeps its memory for this long.
const IDLE_UNLOAD: Duration = Duration::from_secs(5 * 60);

/// An embedded engine that is not started before somebody needs it.
pub struct StandIn {
    waiting: Option<(MakeLoader, EngineOptions)>,
    engine: Option<Engine>,
}

impl StandIn {
    pub fn new(loader: MakeLoader, options: EngineOptions) -> Self {
        let idle_unload = Some(options.idle_unload.unwrap_or(IDLE_UNLOAD).min(IDLE_UNLOAD));
        let options = EngineOptions { load_at_start: false, idle_unload, ..options };
        Self { waiting: Some((loader, options)), engine: None }
    }

    /// Hands over `job`. The owner hears of the engine only while `is_down`.
    pub(super) fn submit(&mut self, job: Job, news: &News, is_down: &Arc<AtomicBool>) {
        if let Some((loader, options)) = self.waiting.take() {
            let (news, is_down) = (news.clone(), Arc::clone(is_down));
            let on_event = move |event: EngineEvent| {
                if is_down.load(Ordering::Relaxed) {
                    news.tell(event);
                }
            };
            match embedded::start(loader(), options, Box::new(on_event)) {
                Ok(engine) => self.engine = Some(engine),
                Err(error) => tracing::warn!("no thread for the model that stands in: {error}"),
            }
        }
        match &self.engine {
            Some(engine) => engine.submit(job),
            None => (job.on_done)(Err(EngineError::Unavailable("the system gives no thread for the model".to_owned()))),
        }
    }
}
