//! The engine's thread: every job is a task that asks the server, all at the same time, and the server decides which
//! ones wait. Only one question is sent at a time, beside completions, so that one person does not fill a server that
//! others use, too. If the server is slow to notice that a completion is no longer wanted, completions are sent one at
//! a time as well.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::Patience;
use super::fault::Fault;
use super::generate::{Question, generate};
use super::link::{Link, News};
use super::stand_in::StandIn;
use crate::config::RemoteServer;
use crate::engine::announcer::Announcer;
use crate::engine::queue::{Queue, QueuedJob};
use crate::engine::{EngineError, Gate, Generation, Message, OnEvent, Priority, Submitted};

/// Works until the engine is to end.
pub(super) fn run(runtime: Runtime, worker: Worker, receiver: Receiver<Message>) {
    let (sender, messages) = mpsc::unbounded_channel();
    // A thread waits for messages, because the channel cannot be awaited.
    runtime.spawn_blocking(move || {
        for message in receiver {
            let is_last = matches!(message, Message::Stop);
            if sender.send(message).is_err() || is_last {
                return;
            }
        }
    });
    runtime.block_on(worker.run(messages));
    // A running name look-up cannot be cancelled, and is not waited for.
    runtime.shutdown_background();
}

/// Everything the thread owns.
pub(super) struct Worker {
    link: Arc<Link>,
    news: News,
    queue: Queue<AbortHandle>,
    tasks: JoinSet<Answered>,
    turns: Turns,
    announcer: Announcer,
    stand_in: Option<StandIn>,
}

/// Held by the job of each kind that is being asked.
#[derive(Clone)]
struct Turns {
    question: Arc<Semaphore>,
    completion: Arc<Semaphore>,
}

/// The result of a task.
struct Answered {
    question: Question,
    outcome: Result<Generation, Failure>,
}

enum Failure {
    Cancelled,
    Fault(Fault),
}

impl Worker {
    pub(super) fn new(
        server: RemoteServer,
        patience: Patience,
        gate: Option<Gate>,
        stand_in: Option<StandIn>,
        on_event: OnEvent,
    ) -> Self {
        let news = News::new(on_event);
        Self {
            link: Arc::new(Link::new(server, patience, news.clone())),
            news,
            queue: Queue::default(),
            tasks: JoinSet::new(),
            turns: Turns { question: Arc::new(Semaphore::new(1)), completion: Arc::new(Semaphore::new(1)) },
            announcer: Announcer::new(gate),
            stand_in,
        }
    }

    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        // Finds out what the server can do before the first job, as an embedded engine loads its model.
        let link = Arc::clone(&self.link);
        tokio::spawn(async move { link.connection().await.is_ok() });
        loop {
            self.announce();
            tokio::select! {
                message = messages.recv() => match message {
                    Some(Message::Job(submitted)) => self.begin(submitted),
                    Some(Message::UnloadAfter(limit)) => self.unload_after(limit),
                    Some(Message::Stop) | None => break,
                },
                Some(joined) = self.tasks.join_next_with_id() => self.joined(joined),
            }
        }
        for entry in self.queue.take_all() {
            end(entry, Err(EngineError::Cancelled));
        }
        self.announce();
    }

    /// Only the model that stands in can be unloaded; the server decides about its own.
    fn unload_after(&self, limit: Option<Duration>) {
        if let Some(stand_in) = &self.stand_in {
            stand_in.unload_after(limit);
        }
    }

    fn announce(&mut self) {
        let news = &self.news;
        self.announcer.announce(&self.queue, &|event| news.tell(event));
    }

    /// Starts a task for the job, and gives up the jobs that it supersedes.
    fn begin(&mut self, mut submitted: Box<Submitted>) {
        let question = Question {
            prompt: submitted.job.prompt.clone(),
            params: submitted.job.params.clone(),
            priority: submitted.job.priority,
            submitted_at: submitted.at,
            on_text: submitted.job.on_text.take(),
            has_told: false,
        };
        let cancel = submitted.job.cancel.clone();
        let link = Arc::clone(&self.link);
        let turns = self.turns.clone();
        let task = async move {
            let mut question = question;
            let outcome = tokio::select! {
                () = cancel.cancelled() => Err(Failure::Cancelled),
                outcome = ask(&link, turns, &mut question) => outcome.map_err(Failure::Fault),
            };
            Answered { question, outcome }
        };
        for entry in self.queue.admit(submitted) {
            if let Some(task) = &entry.work {
                task.abort();
            }
            end(entry, Err(EngineError::Superseded));
        }
        let task = self.tasks.spawn(task);
        self.queue.newest_mut().expect("it was just admitted").work = Some(task);
    }

    /// Processes the end of a task.
    fn joined(&mut self, joined: Result<(tokio::task::Id, Answered), JoinError>) {
        let (id, answered) = match joined {
            Ok((id, answered)) => (id, Ok(answered)),
            Err(error) => (error.id(), Err(error)),
        };
        let is_it = |entry: &QueuedJob<AbortHandle>| entry.work.as_ref().is_some_and(|task| task.id() == id);
        // If the job is gone, it was superseded and has been answered.
        let Some(mut entry) = self.queue.take(is_it) else { return };
        let outcome = match answered {
            Err(error) => Err(EngineError::Failed(error.to_string())),
            Ok(Answered { outcome: Ok(generation), .. }) => Ok(generation),
            Ok(Answered { outcome: Err(Failure::Cancelled), .. }) => Err(EngineError::Cancelled),
            Ok(Answered { question, outcome: Err(Failure::Fault(fault)) }) => match &mut self.stand_in {
                // An owner that has seen the beginning of one answer cannot be given another.
                Some(stand_in) if !question.has_told => {
                    entry.submitted.job.on_text = question.on_text;
                    return stand_in.submit(entry.submitted.job, &self.news, &self.link.is_down());
                }
                _ => Err(EngineError::Unavailable(fault.to_string())),
            },
        };
        end(entry, outcome);
    }
}

/// Asks the server once it is the job's turn.
async fn ask(link: &Link, turns: Turns, question: &mut Question) -> Result<Generation, Fault> {
    let is_question = question.priority == Priority::Background;
    // The semaphores are never closed, so this does not fail.
    let _turn = if is_question { turns.question.acquire_owned().await.ok() } else { None };
    let connection = link.connection().await?;
    let turn = match connection.abilities.software.is_slow_to_leave() && !is_question {
        true => turns.completion.acquire_owned().await.ok().map(Arc::new),
        false => None,
    };
    let outcome = generate(&connection, question, turn).await;
    match &outcome {
        Ok(_) => link.succeeded(&connection),
        Err(fault) => link.failed(fault),
    }
    outcome
}

fn end(entry: QueuedJob<AbortHandle>, outcome: Result<Generation, EngineError>) {
    (entry.submitted.job.on_done)(outcome);
}
