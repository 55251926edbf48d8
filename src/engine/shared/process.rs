//! The engine process: owns the models, and works for every language server of this person that joins.
//!
//! Each client has one thread that reads its requests and one that writes its replies, so that a client that reads
//! slowly does not delay others. When a client ends, for whatever reason, only its own jobs are cancelled. The engines
//! are embedded ones, one for each role, which share one gate and one thread pool.

mod clients;
mod models;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use interprocess::local_socket::{Listener, Stream, prelude::*};

use super::messages::{self, Join, Reply, Report, Request, SentJob};
use super::{Endpoint, Setup, Sharing, Wishes, endpoint, log};
use crate::config::Role;
use crate::engine::{CancelFlag, EngineError, Job, TextListener};
use clients::{Client, Outbox};
use models::{Models, Room};

/// How long to wait for a process that is about to end.
const OWN_LIMIT: Duration = Duration::from_secs(5);

/// The most jobs of one client that may be under way or waiting.
const MOST_JOBS: usize = 1000;

/// The most alternatives of one job.
const MOST_CANDIDATES: usize = 16;

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// There is already one.
    NotNeeded,
    /// All of its clients had left.
    Left,
}

/// Runs the engine process for `setup` at `endpoint` until all of its clients have left, or none has come within
/// `patience`.
///
/// # Errors
/// If the process cannot listen there.
pub fn run(endpoint: &Endpoint, setup: Setup, patience: Duration) -> std::io::Result<Ended> {
    let Some(_own) = endpoint.own(OWN_LIMIT)? else { return Ok(Ended::NotNeeded) };
    let listener = endpoint.listen()?;
    tracing::info!(pid = std::process::id(), socket = %endpoint.socket().display(), "the engine process is running");
    let process = Arc::new(Process::new(setup, patience));
    let accepting = Arc::clone(&process);
    std::thread::Builder::new().name("accept".to_owned()).spawn(move || accept(&accepting, &listener))?;
    process.wait_until_left();
    endpoint.hide();
    tracing::info!(pid = std::process::id(), "the engine process is ending");
    Ok(Ended::Left)
}

/// What the threads of the process share.
struct Process {
    setup: Setup,
    log: PathBuf,
    state: Mutex<State>,
    /// Signalled when a client or a model comes or goes.
    changed: Condvar,
}

struct State {
    clients: Vec<Client>,
    models: Models,
    last_number: u64,
    /// When the last client left, and how long the process then stays.
    alone: Option<(Instant, Duration)>,
    /// Whether the process is ending, so that nobody may join any more.
    is_over: bool,
}

impl Process {
    fn new(setup: Setup, patience: Duration) -> Self {
        let models = Models::new(&setup);
        let alone = Some((Instant::now(), patience));
        let state = State { clients: Vec::new(), models, last_number: 0, alone, is_over: false };
        Self { log: log::file(&setup.models_folder), setup, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent even after a panic: no step leaves it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there has been no client for long enough.
    fn wait_until_left(&self) {
        let mut state = self.state();
        loop {
            let left = state.left();
            state = match left {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        state.is_over = true;
    }

    /// Reports to every client who shares the process.
    fn tell_sharing(&self) {
        let state = self.state();
        let sharing = state.sharing();
        state.clients.iter().for_each(|client| client.outbox.send(&Reply::Sharing(sharing.clone())));
    }

    fn report(&self) -> Report {
        let state = self.state();
        Report {
            pid: std::process::id(),
            setup: self.setup.clone(),
            clients: state.clients.iter().map(Client::report).collect(),
            models: state.models.reports(&self.setup),
            log: self.log.clone(),
        }
    }
}

impl State {
    fn sharing(&self) -> Sharing {
        let mut pids: Vec<_> = self.clients.iter().map(|client| client.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        Sharing { pid: std::process::id(), clients: pids.len(), models: self.models.loaded() }
    }

    /// How long the process still stays; `None` while it has clients.
    fn left(&self) -> Option<Duration> {
        let (since, stays) = self.alone?;
        // Without a model, there is nothing to keep for a client that comes back.
        let has_served = self.last_number > 0;
        let stays = if has_served && self.models.is_empty() { Duration::ZERO } else { stays };
        Some(stays.saturating_sub(since.elapsed()))
    }

    /// How long the model of `role` stays without a job: the longest time that a client wants; `None` means for ever.
    fn idle_unload(&self, role: Role) -> Option<Duration> {
        let limits = self.clients.iter().filter(|client| client.wishes.role == role);
        limits.map(|client| client.wishes.idle_unload).try_fold(Duration::ZERO, |most, limit| Some(most.max(limit?)))
    }
}

/// Accepts clients, each on a thread of its own.
fn accept(process: &Arc<Process>, listener: &Listener) {
    loop {
        let stream = match listener.accept() {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!("cannot accept a client: {error}");
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        log::bound(&process.log);
        if let Err(error) = endpoint::check_peer(&stream) {
            tracing::warn!("refused a client: {error}");
            continue;
        }
        let process = Arc::clone(process);
        let serving = move || serve(&process, &Arc::new(stream));
        if let Err(error) = std::thread::Builder::new().name("client".to_owned()).spawn(serving) {
            tracing::warn!("cannot start a thread for a client: {error}");
        }
    }
}

/// Serves one client until it leaves, dies, or sends something that is not a message.
fn serve(process: &Arc<Process>, stream: &Arc<Stream>) {
    let mut input = std::io::BufReader::new(&**stream);
    match messages::read(&mut input) {
        Ok(Some(Request::Join(join))) => {
            if join.setup != process.setup {
                let reason =
                    "expected a client with the same setup as this engine process, found another; restart the editor";
                let _ = messages::write(&**stream, &Reply::Refused(reason.to_owned()));
                return;
            }
            let Some(member) = Member::join(process, stream, *join) else { return };
            member.serve(&mut input);
        }
        Ok(Some(Request::Report)) => {
            // The client may have gone.
            let _ = messages::write(&**stream, &Reply::Report(Box::new(process.report())));
        }
        Ok(other) => tracing::warn!("refused a client: expected it to join, found {other:?}"),
        Err(error) => tracing::warn!("refused a client: {error}"),
    }
    endpoint::shut_down(stream);
}

/// One client that has joined. Dropping it makes the client leave.
struct Member<'a> {
    process: &'a Arc<Process>,
    number: u64,
    pid: u32,
    wishes: Wishes,
    outbox: Outbox,
    jobs: clients::Jobs,
}

impl<'a> Member<'a> {
    /// Lets the client join; `None` if the process is about to end.
    fn join(process: &'a Arc<Process>, stream: &Arc<Stream>, join: Join) -> Option<Self> {
        let outbox = Outbox::new(stream)
            .inspect_err(|error| {
                tracing::warn!(
                    "cannot start a thread for a client: \
            {error}"
                )
            })
            .ok()?;
        let Join { pid, wishes, .. } = join;
        let jobs = clients::Jobs::default();
        let mut state = process.state();
        if state.is_over {
            return None;
        }
        state.last_number += 1;
        state.alone = None;
        let number = state.last_number;
        outbox.send(&Reply::Welcome { pid: std::process::id() });
        state.models.events_so_far(wishes.role).into_iter().for_each(|event| outbox.send(&Reply::Event(event)));
        let (outbox_, jobs_) = (outbox.clone(), jobs.clone());
        state.clients.push(Client { number, pid, wishes: wishes.clone(), outbox: outbox_, jobs: jobs_ });
        drop(state);
        tracing::info!(number, pid, role = ?wishes.role, "a client has joined");
        process.changed.notify_all();
        process.tell_sharing();
        Some(Self { process, number, pid, wishes, outbox, jobs })
    }

    fn serve(mut self, mut input: impl std::io::Read) {
        self.set_idle_unload();
        if self.wishes.load_at_start {
            self.load();
        }
        loop {
            match messages::read(&mut input) {
                Ok(Some(Request::Job(job))) => self.work_on(*job),
                Ok(Some(Request::Cancel(id))) => self.jobs.cancel(id),
                Ok(Some(Request::AreYouThere)) => self.outbox.send(&Reply::Here),
                Ok(Some(Request::UnloadAfter(limit))) => {
                    self.wishes.idle_unload = limit;
                    let mut state = self.process.state();
                    if let Some(client) = state.clients.iter_mut().find(|client| client.number == self.number) {
                        client.wishes.idle_unload = limit;
                    }
                    drop(state);
                    self.set_idle_unload();
                }
                Ok(Some(Request::Leave) | None) => return,
                Ok(Some(other)) => return tracing::warn!(pid = self.pid, "expected a job, found {other:?}"),
                Err(error) => return tracing::debug!(pid = self.pid, "a client disconnected: {error}"),
            }
        }
    }

    fn set_idle_unload(&self) {
        let mut state = self.process.state();
        let limit = state.idle_unload(self.wishes.role);
        state.models.unload_after(self.wishes.role, limit);
    }

    /// Loads the model, unless another one takes its memory.
    fn load(&self) {
        if let Ok(Room::Free) = models::make_room(self.process, &self.wishes, false)
            && let Err(error) = models::engine(self.process, &self.wishes, true)
        {
            tracing::warn!("cannot start a thread for a model: {error}");
        }
    }

    fn work_on(&self, job: SentJob) {
        let id = job.id;
        let refuse = |reason: EngineError| self.outbox.send(&Reply::Done { id, outcome: Err(reason) });
        if let Err(reason) = self.check(&job) {
            return refuse(EngineError::Failed(reason));
        }
        if let Err(reason) = models::make_room(self.process, &self.wishes, true) {
            return refuse(EngineError::Unavailable(reason));
        }
        match models::engine(self.process, &self.wishes, false) {
            Ok(engine) => engine.for_client(self.number).submit(self.job(job)),
            Err(error) => refuse(EngineError::Unavailable(format!("cannot start a thread for the model: {error}"))),
        }
    }

    /// Checks that `job` is one that a language server sends.
    fn check(&self, job: &SentJob) -> Result<(), String> {
        let candidates = job.params.candidates;
        if !(1..=MOST_CANDIDATES).contains(&candidates) {
            return Err(format!("expected 1 to {MOST_CANDIDATES} candidates, found {candidates}"));
        }
        match self.jobs.len() {
            most if most >= MOST_JOBS => Err(format!(
                "expected at most {MOST_JOBS} jobs from one client at a time, \
                                                      found more"
            )),
            _ => Ok(()),
        }
    }

    /// `sent` as a job for the engine.
    fn job(&self, sent: SentJob) -> Job {
        let SentJob { id, priority, document, prompt, short_prompt, params, wants_text } = sent;
        let cancel = CancelFlag::default();
        let under_way = models::UnderWay::begin(self.process, self.wishes.role);
        self.jobs.insert(id, cancel.clone());
        let (outbox, jobs) = (self.outbox.clone(), self.jobs.clone());
        let text_outbox = self.outbox.clone();
        let on_text: TextListener = Box::new(move |piece| text_outbox.send(&Reply::Text { id, piece }));
        Job {
            priority,
            document,
            prompt,
            short_prompt,
            params,
            cancel,
            on_text: wants_text.then_some(on_text),
            on_done: Box::new(move |outcome| {
                drop(under_way);
                jobs.remove(id);
                outbox.send(&Reply::Done { id, outcome });
            }),
        }
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.jobs.cancel_all();
        let mut state = self.process.state();
        let role = self.wishes.role;
        let before = state.idle_unload(role);
        state.clients.retain(|client| client.number != self.number);
        // A model that nobody uses stays for clients that come back, unless its last client has asked to unload it.
        let others = state.clients.iter().any(|client| client.wishes.role == role);
        let after = if others { state.idle_unload(role) } else { before };
        state.models.unload_after(role, after);
        if state.clients.is_empty() {
            state.alone = Some((Instant::now(), self.wishes.linger));
        }
        drop(state);
        tracing::info!(number = self.number, pid = self.pid, "a client has left");
        self.process.changed.notify_all();
        self.process.tell_sharing();
    }
}

/// What is found at an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    Nobody,
    Process(Box<Report>),
    /// A process that does not answer, with its id where the system tells.
    Silent(Option<u32>),
}

/// Asks the process at `endpoint` for a report.
pub fn ask(endpoint: &Endpoint) -> Found {
    let Ok(stream) = endpoint.connect() else { return Found::Nobody };
    let silent = Found::Silent(endpoint::peer_id(&stream));
    // Where the system has no such limits, a process that hangs is not waited for any longer either.
    let limit = Duration::from_secs(2);
    let _ = stream.set_recv_timeout(Some(limit)).and_then(|()| stream.set_send_timeout(Some(limit)));
    let (sender, receiver): (_, Receiver<Found>) = mpsc::channel();
    let unanswered = silent.clone();
    let read = move || {
        let answer = messages::write(&*stream, &Request::Report)
            .and_then(|()| messages::read(std::io::BufReader::new(&*stream)));
        let found = match answer {
            Ok(Some(Reply::Report(report))) => Found::Process(report),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => unanswered,
            // It was about to end.
            Ok(_) | Err(_) => Found::Nobody,
        };
        // Nobody waits for it any more, perhaps.
        let _ = sender.send(found);
    };
    match std::thread::Builder::new().spawn(read) {
        Ok(_) => receiver.recv_timeout(limit + Duration::from_secs(1)).unwrap_or(silent),
        Err(_) => silent,
    }
}
