//! The engine's thread: loads the model when it is needed, works on the job that goes first, step by step, and gives
//! the memory back when nobody asks any more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use super::decode::{Progress, Run, Scratch};
use super::prefix_cache::PrefixCache;
use super::{EngineOptions, Loader};
use crate::engine::announcer::Announcer;
use crate::engine::queue::{Entry, Queue};
use crate::engine::{EngineError, EngineEvent, Generation, Message, OnEvent, Priority, Submitted};
use crate::model::LoadedModel;

/// A model that failed to load is tried again after this long, since the person may have mended it meanwhile.
const RETRY_LOAD_AFTER: Duration = Duration::from_secs(5);

/// How long background work waits for the gate before it looks at its messages again.
const GATE_POLL: Duration = Duration::from_millis(20);

/// Everything the thread owns.
pub(super) struct Worker {
    loader: Loader,
    options: EngineOptions,
    on_event: OnEvent,
    receiver: Receiver<Message>,
    loaded: Option<Resident>,
    load_failure: Option<LoadFailure>,
    queue: Queue<Run>,
    announcer: Announcer,
    /// What is computed right now is background work.
    in_background: Arc<AtomicBool>,
    /// The engine is to end; set before [`Message::Stop`] is sent.
    ended: Arc<AtomicBool>,
}

/// The model in memory and what belongs to it.
struct Resident {
    model: LoadedModel,
    prefixes: PrefixCache,
    scratch: Scratch,
}

struct LoadFailure {
    at: Instant,
    message: String,
}

impl Worker {
    pub(super) fn new(
        loader: Loader,
        options: EngineOptions,
        on_event: OnEvent,
        receiver: Receiver<Message>,
        ended: Arc<AtomicBool>,
    ) -> Self {
        Self {
            announcer: Announcer::new(Some(options.gate.clone())),
            loader,
            options,
            on_event,
            receiver,
            loaded: None,
            load_failure: None,
            queue: Queue::default(),
            in_background: Arc::default(),
            ended,
        }
    }

    pub(super) fn run(mut self) {
        if self.options.load_at_start {
            // A failure has been reported as an event; jobs are told of it too.
            let _ = self.ensure_loaded();
        }
        while self.receive() {
            for entry in self.queue.take_cancelled() {
                self.finish(entry, Err(EngineError::Cancelled));
            }
            self.announce();
            self.work();
            self.announce();
        }
        for entry in self.queue.take_all() {
            self.finish(entry, Err(EngineError::Cancelled));
        }
        self.announce();
    }

    /// Takes in what has come; waits when there is nothing to do. False when the engine is to end.
    fn receive(&mut self) -> bool {
        if self.queue.is_empty() {
            match self.wait() {
                Some(Message::Job(submitted)) => self.admit(submitted),
                Some(Message::UnloadAfter(limit)) => self.options.idle_unload = limit,
                Some(Message::Stop) => return false,
                None => {}
            }
        }
        loop {
            match self.receiver.try_recv() {
                Ok(Message::Job(submitted)) => self.admit(submitted),
                Ok(Message::UnloadAfter(limit)) => self.options.idle_unload = limit,
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    /// The next message; `None` after an idle unload.
    fn wait(&mut self) -> Option<Message> {
        let limit = self.options.idle_unload.filter(|_| self.loaded.is_some());
        let Some(limit) = limit else { return Some(self.receiver.recv().unwrap_or(Message::Stop)) };
        match self.receiver.recv_timeout(limit) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Disconnected) => Some(Message::Stop),
            Err(RecvTimeoutError::Timeout) => {
                self.loaded = None;
                (self.on_event)(EngineEvent::Unloaded);
                None
            }
        }
    }

    fn admit(&mut self, submitted: Box<Submitted>) {
        for entry in self.queue.admit(submitted) {
            self.finish(entry, Err(EngineError::Superseded));
        }
    }

    /// One step of the job that goes first.
    fn work(&mut self) {
        let Some(mut entry) = self.queue.take_next() else { return };
        let background = entry.submitted.job.priority == Priority::Background;
        if background && !self.options.gate.wait_open(GATE_POLL) {
            self.queue.put_back(entry);
            return;
        }
        self.in_background.store(background, Ordering::Relaxed);
        let resident = match self.ensure_loaded() {
            Ok(resident) => resident,
            Err(error) => return self.finish(entry, Err(error)),
        };
        match catch_unwind(AssertUnwindSafe(|| step(&mut entry, resident))) {
            Ok(Ok(Progress::More)) => self.queue.put_back(entry),
            Ok(Ok(Progress::Done)) => {
                let pace = &resident.scratch.pace;
                let generation = entry.work.as_ref().map(|run| run.generation(pace));
                self.finish(entry, generation.ok_or_else(|| EngineError::Failed("the job never started".to_owned())));
            }
            Ok(Err(error)) => self.finish(entry, Err(error)),
            Err(panic) => self.recover(entry, &panic_message(panic.as_ref())),
        }
    }

    /// Answers the job and keeps its caches.
    fn finish(&mut self, mut entry: Entry<Run>, outcome: Result<Generation, EngineError>) {
        if let (Some(run), Some(resident)) = (entry.work.take(), self.loaded.as_mut()) {
            run.leave_caches(&mut resident.prefixes);
        }
        (entry.submitted.job.on_done)(outcome);
    }

    /// After a panic nothing the job touched can be trusted: the model is loaded again, other jobs begin again.
    fn recover(&mut self, mut entry: Entry<Run>, message: &str) {
        tracing::error!(message, "a job panicked; the model will be loaded again");
        self.loaded = None;
        self.queue.restart_all();
        (self.on_event)(EngineEvent::Failed(format!("the engine failed and is restarting: {message}")));
        entry.work = None;
        self.finish(entry, Err(EngineError::Failed(message.to_owned())));
    }

    fn ensure_loaded(&mut self) -> Result<&mut Resident, EngineError> {
        if self.loaded.is_none() {
            let model = self.load()?;
            let prefixes = PrefixCache::new(self.options.kv_budget_bytes);
            let scratch = Scratch::new(&model);
            self.loaded = Some(Resident { model, prefixes, scratch });
        }
        Ok(self.loaded.as_mut().expect("just loaded"))
    }

    fn load(&mut self) -> Result<LoadedModel, EngineError> {
        if let Some(failure) = &self.load_failure
            && failure.at.elapsed() < RETRY_LOAD_AFTER
        {
            return Err(EngineError::Unavailable(failure.message.clone()));
        }
        let on_event = &self.on_event;
        on_event(EngineEvent::Loading(0.0));
        let loader = &mut self.loader;
        let mut progress = |fraction| on_event(EngineEvent::Loading(fraction));
        let message = match catch_unwind(AssertUnwindSafe(|| loader(&mut progress))) {
            Ok(Ok(mut model)) => {
                self.load_failure = None;
                on_event(EngineEvent::Ready { model: model.name.clone() });
                model.model.pause_between_layers(self.pause());
                return Ok(model);
            }
            Ok(Err(error)) => error.to_string(),
            Err(panic) => format!("cannot load the model: {}", panic_message(panic.as_ref())),
        };
        let known = self.load_failure.as_ref().is_some_and(|failure| failure.message == message);
        self.load_failure = Some(LoadFailure { at: Instant::now(), message: message.clone() });
        // Said once, not at every key.
        if !known {
            on_event(EngineEvent::Failed(message.clone()));
        }
        Err(EngineError::Unavailable(message))
    }

    /// Waits in the middle of background work for as long as anybody's interactive work goes on.
    fn pause(&self) -> Box<dyn Fn() + Send> {
        let (in_background, ended) = (Arc::clone(&self.in_background), Arc::clone(&self.ended));
        let gate = self.options.gate.clone();
        Box::new(move || {
            while in_background.load(Ordering::Relaxed) && !ended.load(Ordering::Relaxed) && !gate.wait_open(GATE_POLL)
            {
            }
        })
    }

    fn announce(&mut self) {
        self.announcer.announce(&self.queue, &self.on_event);
    }
}

/// Begins the job if it has not begun, else takes it one step further.
fn step(entry: &mut Entry<Run>, resident: &mut Resident) -> Result<Progress, EngineError> {
    let Submitted { job, at, .. } = entry.submitted.as_mut();
    let Resident { model, prefixes, scratch } = resident;
    let run = match &mut entry.work {
        Some(run) => run,
        None => entry.work.insert(Run::start(job, *at, model, prefixes, &scratch.pace)?),
    };
    run.step(job, model, scratch).map_err(|error| EngineError::Failed(error.to_string()))
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
