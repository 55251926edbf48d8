//! The engine's thread: loads the model when it is needed, works on the most urgent job step by step, and unloads the
//! model when it is no longer used.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use super::decode::{Progress, Run, Scratch};
use super::kept_prefixes::KeptPrefixes;
use super::prefix_cache::PrefixCache;
use super::spending::Spending;
use super::{EngineOptions, Loader};
use crate::config::machine::processor_time;
use crate::engine::announcer::Announcer;
use crate::engine::queue::{Queue, QueuedJob};
use crate::engine::{EngineError, EngineEvent, Generation, Message, OnEvent, Priority, Submitted};
use crate::model::LoadedModel;

/// A model that failed to load is tried again after this long, since the problem may have been fixed in the meantime.
const RETRY_LOAD_AFTER: Duration = Duration::from_secs(5);

/// How long background work waits for the gate before it checks its messages again.
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
    /// When there was work for the last time.
    worked_at: Instant,
    announcer: Announcer,
    /// Work that nobody had asked for.
    spending: Spending,
    /// The processor time of completions that has not been reported yet, by client.
    untold: HashMap<u64, Duration>,
    /// Whether the current step is background work.
    in_background: Arc<AtomicBool>,
    /// Whether the engine has to end; set before [`Message::Stop`] is sent.
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
            worked_at: Instant::now(),
            spending: Spending::default(),
            untold: HashMap::new(),
            in_background: Arc::default(),
            ended,
        }
    }

    pub(super) fn run(mut self) {
        if self.options.load_at_start {
            // The failure has been reported as an event, and jobs will get it as well.
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

    /// Processes the messages that have arrived, and waits if there is nothing to do. Returns false if the engine has
    /// to end.
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

    /// Waits for the next message. `None` if something that was due while idle has been done instead.
    fn wait(&mut self) -> Option<Message> {
        let [unload_at, keep_at] = self.due_when_idle();
        let Some(due) = unload_at.into_iter().chain(keep_at).min() else {
            return Some(self.receiver.recv().unwrap_or(Message::Stop));
        };
        match self.receiver.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(message) => return Some(message),
            Err(RecvTimeoutError::Disconnected) => return Some(Message::Stop),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if unload_at.is_some_and(|at| at <= Instant::now()) {
            self.unload();
        } else if self.options.gate.wait_open(GATE_POLL) {
            self.keep_a_page();
        }
        None
    }

    /// When the model is unloaded, and when what it has read is kept, if no job arrives.
    fn due_when_idle(&self) -> [Option<Instant>; 2] {
        let unload = self.options.idle_unload.filter(|_| self.loaded.is_some());
        let is_to_keep = self.loaded.as_ref().is_some_and(|resident| resident.prefixes.is_to_keep());
        let keep = self.options.keep.as_ref().filter(|_| is_to_keep).map(|keep| keep.after);
        [unload, keep].map(|after| after.and_then(|after| self.worked_at.checked_add(after)))
    }

    /// Writes one page of what the model has read to a file. Returns false once everything is kept.
    fn keep_a_page(&mut self) -> bool {
        let Some(resident) = &mut self.loaded else { return false };
        resident.prefixes.keep_a_page();
        resident.prefixes.is_to_keep()
    }

    /// Unloads the model. What it has read is kept first, unless the engine ends.
    fn unload(&mut self) {
        while !self.ended.load(Ordering::Relaxed) && self.keep_a_page() {}
        self.loaded = None;
        (self.on_event)(EngineEvent::Unloaded);
    }

    fn admit(&mut self, submitted: Box<Submitted>) {
        for entry in self.queue.admit(submitted) {
            self.finish(entry, Err(EngineError::Superseded));
        }
    }

    /// Does one step of the most urgent job.
    fn work(&mut self) {
        let Some(mut entry) = self.queue.take_next() else { return };
        self.worked_at = Instant::now();
        let background = entry.submitted.job.priority == Priority::Background;
        if background && !self.options.gate.wait_open(GATE_POLL) {
            self.queue.put_back(entry);
            return;
        }
        let is_unasked = entry.submitted.job.priority == Priority::WarmUp;
        if is_unasked && !self.spending.allows(entry.submitted.job.params.effort, Instant::now()) {
            return self.finish(entry, Err(EngineError::NotNow));
        }
        self.in_background.store(background, Ordering::Relaxed);
        let resident = match self.ensure_loaded() {
            Ok(resident) => resident,
            Err(error) => return self.finish(entry, Err(error)),
        };
        let (began, before) = (Instant::now(), processor_time());
        let stepped = catch_unwind(AssertUnwindSafe(|| step(&mut entry, resident)));
        self.count(&entry.submitted, began, before);
        match stepped {
            Ok(Ok(Progress::More)) => self.queue.put_back(entry),
            Ok(Ok(Progress::Done)) => {
                let generation = self.generation(&entry);
                self.finish(entry, generation.ok_or_else(|| EngineError::Failed("the job never started".to_owned())));
            }
            Ok(Err(error)) => self.finish(entry, Err(error)),
            Err(panic) => self.recover(entry, &panic_message(panic.as_ref())),
        }
    }

    /// Counts the cost of a step of `submitted`, which began at `began`, when this process had used `before` of
    /// processor time.
    fn count(&mut self, submitted: &Submitted, began: Instant, before: Option<Duration>) {
        if submitted.job.priority == Priority::WarmUp {
            self.spending.record(began, began.elapsed());
        }
        if submitted.job.priority != Priority::Background
            && let Some((before, after)) = before.zip(processor_time())
        {
            *self.untold.entry(submitted.client).or_default() += after.saturating_sub(before);
        }
    }

    /// The result of the job of `entry`, with the cost that has not been reported yet.
    fn generation(&mut self, entry: &QueuedJob<Run>) -> Option<Generation> {
        let pace = &self.loaded.as_ref()?.scratch.pace;
        let mut generation = entry.work.as_ref()?.generation(pace);
        if entry.submitted.job.priority != Priority::Background {
            generation.processor = self.untold.remove(&entry.submitted.client).unwrap_or_default();
        }
        Some(generation)
    }

    /// Answers the job and keeps its caches.
    fn finish(&mut self, mut entry: QueuedJob<Run>, outcome: Result<Generation, EngineError>) {
        if let (Some(run), Some(resident)) = (entry.work.take(), self.loaded.as_mut()) {
            // Prompts of questions do not come again on another day.
            let lasts = entry.submitted.job.priority != Priority::Background;
            run.leave_caches(&mut resident.prefixes, lasts);
        }
        (entry.submitted.job.on_done)(outcome);
    }

    /// After a panic, nothing that the job used can be trusted: the model is loaded again, and other jobs begin again.
    fn recover(&mut self, mut entry: QueuedJob<Run>, message: &str) {
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
            let kept = self.options.keep.as_ref().and_then(|keep| KeptPrefixes::open(keep, &model));
            let prefixes = PrefixCache::new(self.options.kv_budget_bytes, kept);
            let scratch = Scratch::new(&model);
            self.loaded = Some(Resident { model, prefixes, scratch });
            self.worked_at = Instant::now();
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
        // Reported once, not at every key.
        if !known {
            on_event(EngineEvent::Failed(message.clone()));
        }
        Err(EngineError::Unavailable(message))
    }

    /// Returns a function that waits, in the middle of background work, while anybody's interactive work goes on.
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

/// Starts the job, or does its next step.
fn step(entry: &mut QueuedJob<Run>, resident: &mut Resident) -> Result<Progress, EngineError> {
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
