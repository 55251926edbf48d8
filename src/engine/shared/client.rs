//! The engine's thread in a language server: passes jobs to the engine process and the results to the jobs' owners. It
//! finds the process, starts it, and starts it again if it dies.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use interprocess::local_socket::Stream;
use interprocess::local_socket::prelude::*;

use super::messages::{self, Join, Reply, Request, SentJob};
use super::{Endpoint, Setup, Wishes, endpoint, log};
use crate::engine::announcer::Announcer;
use crate::engine::queue::{Queue, QueuedJob};
use crate::engine::{EngineError, EngineEvent, Gate, Generation, Message, OnEvent, Submitted, TextPiece};

/// How often to look for jobs that nobody waits for any more, to tell the process.
const CANCEL_POLL: Duration = Duration::from_millis(5);

/// How often to look whether the process is running.
const JOIN_POLL: Duration = Duration::from_millis(5);

/// A process that is not running after this long has failed.
const JOIN_LIMIT: Duration = Duration::from_secs(10);

/// A process that could not be started is tried again after this long, since the problem may have been fixed in the
/// meantime.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A process that dies repeatedly is started again after longer and longer waits, up to this one.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A process that reads nothing for this long is given up.
const SEND_LIMIT: Duration = Duration::from_secs(10);

/// A process that sends nothing for this long while a job waits for it is asked whether it is there, and given up if it does
/// not answer that within the same time either.
const PATIENCE: Duration = Duration::from_secs(10);

/// The state of a job at the process.
struct Sent {
    id: u64,
    /// Whether the process has it.
    is_there: bool,
    /// Whether some of its text has been reported.
    reported: bool,
    /// Whether a process has died while it had the job.
    again: bool,
}

/// What the thread waits for.
enum Incoming {
    Message(Message),
    /// A reply on the connection with this number.
    Reply(u64, Reply),
    /// The end of the connection with this number.
    Ended(u64),
}

/// The state of the connection to the process.
enum Link {
    /// The process is not needed.
    Apart,
    /// This client has been looking for the process since this time, and starts it if it holds `starting`.
    Joining {
        since: Instant,
        starting: Option<std::fs::File>,
    },
    Joined(Connection),
    /// The process could not be started, and is not tried again before this time.
    Failing {
        until: Instant,
        reason: String,
    },
}

struct Connection {
    number: u64,
    stream: Arc<Stream>,
    /// When this client began to look for the process.
    since: Instant,
    /// The id of the process, once it has answered.
    pid: Option<u32>,
    /// When it last sent something.
    heard_at: Instant,
    /// When it was asked whether it is there, if it has sent nothing since.
    asked_at: Option<Instant>,
}

/// Everything the thread owns.
pub(super) struct Client {
    endpoint: Endpoint,
    setup: Setup,
    wishes: Wishes,
    program: PathBuf,
    on_event: OnEvent,
    incoming: Receiver<Incoming>,
    sender: Sender<Incoming>,
    link: Link,
    jobs: Queue<Sent>,
    /// The last number given to a job or connection.
    last_number: u64,
    /// How many processes have died since one has done a job.
    deaths: u32,
    /// See [`PATIENCE`].
    patience: Duration,
    /// The last reported reason why there is no process.
    reported: Option<String>,
    /// Closes this process's gate while a completion is pending.
    announcer: Announcer,
}

impl Client {
    pub(super) fn new(
        endpoint: Endpoint,
        setup: Setup,
        wishes: Wishes,
        program: PathBuf,
        gate: Gate,
        on_event: OnEvent,
        receiver: Receiver<Message>,
    ) -> Self {
        let (sender, incoming) = mpsc::channel();
        let pass_on = sender.clone();
        let passing_on = move || pass_on_messages(&receiver, &pass_on);
        if let Err(error) = std::thread::Builder::new().name("engine-jobs".to_owned()).spawn(passing_on) {
            tracing::error!("cannot start a thread for the engine's jobs: {error}");
        }
        Self {
            endpoint,
            setup,
            wishes,
            program,
            on_event,
            incoming,
            sender,
            link: Link::Apart,
            jobs: Queue::default(),
            last_number: 0,
            deaths: 0,
            patience: PATIENCE,
            reported: None,
            announcer: Announcer::new(Some(gate)),
        }
    }

    pub(super) fn run(mut self) {
        if self.wishes.load_at_start {
            self.look_for_process();
        }
        while self.receive() {
            for entry in self.jobs.take_cancelled() {
                self.give_up(entry, EngineError::Cancelled);
            }
            self.join();
            self.send_jobs();
            self.watch();
            self.announce();
        }
        for entry in self.jobs.take_all() {
            self.give_up(entry, EngineError::Cancelled);
        }
        self.announce();
        if let Link::Joined(connection) = &self.link {
            // This fails if the process is gone, which is fine.
            let _ = messages::write(&*connection.stream, &Request::Leave);
            endpoint::shut_down(&connection.stream);
        }
    }

    /// Processes what has arrived, and waits if there is nothing to do. Returns false if the engine has to end.
    fn receive(&mut self) -> bool {
        let limit = match self.link {
            Link::Joining { .. } | Link::Joined(Connection { pid: None, .. }) => Some(JOIN_POLL),
            _ if !self.jobs.is_empty() => Some(CANCEL_POLL),
            _ => None,
        };
        let first = match limit {
            None => self.incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(limit) => self.incoming.recv_timeout(limit),
        };
        let mut next = match first {
            Ok(incoming) => Some(incoming),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        while let Some(incoming) = next {
            match incoming {
                Incoming::Message(Message::Job(submitted)) => self.admit(submitted),
                Incoming::Message(Message::UnloadAfter(limit)) => self.unload_after(limit),
                Incoming::Message(Message::Stop) => return false,
                Incoming::Reply(connection, reply) => self.take_reply(connection, reply),
                Incoming::Ended(connection) => self.ended(connection),
            }
            next = self.incoming.try_recv().ok();
        }
        true
    }

    fn admit(&mut self, submitted: Box<Submitted>) {
        if let Link::Failing { until, reason } = &self.link
            && Instant::now() < *until
        {
            return (submitted.job.on_done)(Err(EngineError::Unavailable(reason.clone())));
        }
        for entry in self.jobs.admit(submitted) {
            self.give_up(entry, EngineError::Superseded);
        }
        if !matches!(self.link, Link::Joined(_) | Link::Joining { .. }) {
            self.look_for_process();
        }
    }

    fn unload_after(&mut self, limit: Option<Duration>) {
        self.wishes.idle_unload = limit;
        self.send(&Request::UnloadAfter(limit));
    }

    fn look_for_process(&mut self) {
        self.link = Link::Joining { since: Instant::now(), starting: None };
    }

    /// Does the next step to reach the process.
    fn join(&mut self) {
        let Link::Joining { since, starting } = &mut self.link else { return };
        let since = *since;
        match self.endpoint.connect() {
            Ok(stream) => self.connected(stream, since),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let socket = self.endpoint.socket();
                self.fail(format!(
                    "cannot join the engine process at {}: {error}; remove that file, or set `engine.shared` to false",
                    socket.display()
                ));
            }
            Err(_) if since.elapsed() > JOIN_LIMIT => self.fail(self.never_came()),
            Err(_) if starting.is_some() => {}
            Err(_) => match self.endpoint.try_to_start() {
                Ok(None) => {}
                Ok(Some(lock)) => {
                    *starting = Some(lock);
                    if let Err(error) = self.start_process() {
                        self.fail(format!("cannot start the engine process: {error}"));
                    }
                }
                Err(error) => self.fail(format!("cannot start the engine process: {error}")),
            },
        }
    }

    fn never_came(&self) -> String {
        format!(
            "expected an engine process at {} within {} s, found none (its log is {}); set `engine.shared` to false to \
             do without one",
            self.endpoint.socket().display(),
            JOIN_LIMIT.as_secs(),
            log::file(&self.setup.models_folder).display()
        )
    }

    /// Makes the program start the process as nobody's child, so that it does not end with another process.
    fn start_process(&self) -> std::io::Result<()> {
        let setup = serde_json::to_string(&self.setup)?;
        let status = Command::new(&self.program)
            .args(["engine", "-v", "--detach", "--setup", &setup, "--kernels", &self.setup.kernels, "--folder"])
            .arg(self.endpoint.folder())
            .env("PHI_LS_MODELS", &self.setup.models_folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log::open(&self.setup.models_folder).map_or_else(|_| Stdio::null(), Stdio::from))
            .status()?;
        match status.success() {
            true => Ok(()),
            false => Err(std::io::Error::other(format!("{} ended with {status}", self.program.display()))),
        }
    }

    /// Introduces this client.
    fn connected(&mut self, stream: Arc<Stream>, since: Instant) {
        self.last_number += 1;
        let number = self.last_number;
        // On systems without this limit, a process that hangs blocks this thread.
        let _ = stream.set_send_timeout(Some(SEND_LIMIT));
        let (replies, sender) = (Arc::clone(&stream), self.sender.clone());
        let reading = move || read_replies(number, &replies, &sender);
        if let Err(error) = std::thread::Builder::new().name("engine-replies".to_owned()).spawn(reading) {
            return self.fail(format!("cannot start a thread for the engine process: {error}"));
        }
        let join = Join { setup: self.setup.clone(), pid: std::process::id(), wishes: self.wishes.clone() };
        self.link =
            Link::Joined(Connection { number, stream, since, pid: None, heard_at: Instant::now(), asked_at: None });
        self.send(&Request::Join(Box::new(join)));
    }

    /// Sends `request` to the process, if there is one. The reading thread notices if it is gone.
    fn send(&mut self, request: &Request) {
        let Link::Joined(connection) = &self.link else { return };
        if let Err(error) = messages::write(&*connection.stream, request) {
            tracing::debug!("cannot send to the engine process: {error}");
            endpoint::shut_down(&connection.stream);
        }
    }

    /// Sends the jobs that the process does not have.
    fn send_jobs(&mut self) {
        if !matches!(self.link, Link::Joined(_)) {
            return;
        }
        let mut requests = Vec::new();
        for entry in self.jobs.iter_mut() {
            let sent = entry.work.get_or_insert_with(|| {
                self.last_number += 1;
                Sent { id: self.last_number, is_there: false, reported: false, again: false }
            });
            if !std::mem::replace(&mut sent.is_there, true) {
                let job = &entry.submitted.job;
                requests.push(Request::Job(Box::new(SentJob {
                    id: sent.id,
                    priority: job.priority,
                    document: job.document,
                    prompt: job.prompt.clone(),
                    short_prompt: job.short_prompt.clone(),
                    params: job.params.clone(),
                    wants_text: job.on_text.is_some(),
                })));
            }
        }
        requests.iter().for_each(|request| self.send(request));
    }

    /// Gives up a process that stays silent although somebody waits for it. One that hangs does not close its connection.
    fn watch(&mut self) {
        let Link::Joined(connection) = &mut self.link else { return };
        let is_silent = connection.heard_at.elapsed() > self.patience;
        let asked_at = match connection.pid {
            None => Some(connection.heard_at),
            Some(_) => connection.asked_at,
        };
        match asked_at {
            Some(at) if at.elapsed() > self.patience => {
                let pid = connection.pid.or_else(|| endpoint::peer_id(&connection.stream));
                self.fail(match pid {
                    Some(pid) if cfg!(unix) => format!(
                        "the engine process {pid} does not answer; end it (`kill -9 {pid}`), or set `engine.shared` to false"
                    ),
                    _ => "the engine process does not answer; end it, or set `engine.shared` to false".to_owned(),
                });
            }
            None if is_silent && !self.jobs.is_empty() => {
                connection.asked_at = Some(Instant::now());
                self.send(&Request::AreYouThere);
            }
            _ => {}
        }
    }

    /// Answers a job that is given up.
    fn give_up(&mut self, entry: QueuedJob<Sent>, reason: EngineError) {
        if let Some(sent) = entry.work.as_ref().filter(|sent| sent.is_there) {
            self.send(&Request::Cancel(sent.id));
        }
        (entry.submitted.job.on_done)(Err(reason));
    }

    /// Processes what arrives on the connection with the number `connection`.
    fn take_reply(&mut self, connection: u64, reply: Reply) {
        let Link::Joined(joined) = &mut self.link else { return };
        if joined.number != connection {
            return;
        }
        (joined.heard_at, joined.asked_at) = (Instant::now(), None);
        match reply {
            Reply::Welcome { pid } => joined.pid = Some(pid),
            Reply::Refused(reason) => self.fail(reason),
            Reply::Text { id, piece } => self.take_text(id, piece),
            Reply::Done { id, outcome } => self.take_outcome(id, outcome),
            Reply::Event(event) => (self.on_event)(event),
            Reply::Sharing(sharing) => (self.on_event)(EngineEvent::Shared(sharing)),
            Reply::Report(_) | Reply::Here => {}
        }
    }

    fn take_text(&mut self, id: u64, piece: TextPiece) {
        let Some(entry) = self.jobs.iter_mut().find(|entry| has_id(entry, id)) else { return };
        if let Some(sent) = &mut entry.work {
            sent.reported = true;
        }
        if let Some(on_text) = &mut entry.submitted.job.on_text {
            on_text(piece);
        }
    }

    fn take_outcome(&mut self, id: u64, outcome: Result<Generation, EngineError>) {
        self.deaths = 0;
        self.reported = None;
        if let Some(entry) = self.jobs.take(|entry| has_id(entry, id)) {
            (entry.submitted.job.on_done)(outcome);
        }
    }

    /// Handles the end of the connection with the number `connection`, when the process ended as planned or died.
    fn ended(&mut self, connection: u64) {
        let Link::Joined(joined) = &self.link else { return };
        if joined.number != connection {
            return;
        }
        let Some(pid) = joined.pid else {
            for sent in self.jobs.iter_mut().filter_map(|entry| entry.work.as_mut()) {
                sent.is_there = false;
            }
            self.link = Link::Joining { since: joined.since, starting: None };
            return;
        };
        self.deaths += 1;
        self.take_back_jobs();
        let reason = format!("the engine process {pid} ended unexpectedly; it will be started again");
        match self.deaths {
            1 if self.wishes.load_at_start || !self.jobs.is_empty() => self.look_for_process(),
            1 => self.link = Link::Apart,
            deaths => {
                let wait = Duration::from_secs(1 << deaths.min(6)).min(LONGEST_WAIT);
                self.wait_before_trying(wait, reason.clone());
            }
        }
        self.report(reason, "the engine process has ended".to_owned());
    }

    /// Keeps the jobs of a dead process that can be sent to another one: each job once, and only if none of its text
    /// was reported.
    fn take_back_jobs(&mut self) {
        while let Some(entry) = self
            .jobs
            .take(|entry| entry.work.as_ref().is_some_and(|sent| sent.is_there && (sent.reported || sent.again)))
        {
            let reason = "the engine process ended while it was answering; ask again";
            (entry.submitted.job.on_done)(Err(EngineError::Failed(reason.to_owned())));
        }
        for sent in self.jobs.iter_mut().filter_map(|entry| entry.work.as_mut()) {
            sent.again |= sent.is_there;
            sent.is_there = false;
        }
    }

    /// Gives up on the process for a while, for `reason`.
    fn fail(&mut self, reason: String) {
        self.wait_before_trying(RETRY_AFTER, reason.clone());
        self.report(reason.clone(), reason);
    }

    fn wait_before_trying(&mut self, wait: Duration, reason: String) {
        if let Link::Joined(connection) = &self.link {
            endpoint::shut_down(&connection.stream);
        }
        for entry in self.jobs.take_all() {
            (entry.submitted.job.on_done)(Err(EngineError::Unavailable(reason.clone())));
        }
        self.link = Link::Failing { until: Instant::now() + wait, reason };
    }

    /// Reports `reason`, unless the last report was of the same `kind` and no job has been done since.
    fn report(&mut self, reason: String, kind: String) {
        if self.reported.as_ref() != Some(&kind) {
            (self.on_event)(EngineEvent::Failed(reason));
        }
        self.reported = Some(kind);
    }

    fn announce(&mut self) {
        self.announcer.announce(&self.jobs, &self.on_event);
    }
}

fn has_id(entry: &QueuedJob<Sent>, id: u64) -> bool {
    entry.work.as_ref().is_some_and(|sent| sent.id == id)
}

/// Passes on messages from the engine's handles until the last one is gone.
fn pass_on_messages(receiver: &Receiver<Message>, sender: &Sender<Incoming>) {
    while let Ok(message) = receiver.recv() {
        if let Err(mpsc::SendError(Incoming::Message(Message::Job(submitted)))) =
            sender.send(Incoming::Message(message))
        {
            (submitted.job.on_done)(Err(EngineError::Failed("its thread has ended; restart phi-ls".to_owned())));
        }
    }
}

/// Passes on replies from the process until it ends.
fn read_replies(number: u64, stream: &Stream, sender: &Sender<Incoming>) {
    let mut buffered = std::io::BufReader::new(stream);
    loop {
        match messages::read(&mut buffered) {
            Ok(Some(reply)) => {
                if sender.send(Incoming::Reply(number, reply)).is_err() {
                    return;
                }
            }
            Ok(None) => break,
            Err(error) => {
                tracing::debug!("cannot understand the engine process: {error}");
                break;
            }
        }
    }
    // This fails if the client is gone, which is fine.
    let _ = sender.send(Incoming::Ended(number));
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::config::{Role, Settings};
    use crate::engine::{CancelFlag, Engine, GenerationParams, Job, Priority};
    use crate::model::Prompt;

    /// What becomes of a job at a process that behaves like `process`, and what the owner is told.
    fn outcome(
        patience: Duration,
        process: impl FnOnce(Arc<Stream>) + Send + 'static,
    ) -> (Result<Generation, EngineError>, Vec<EngineEvent>) {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::new(&Settings::default(), std::path::Path::new("phi-ls"));
        let endpoint = Endpoint::in_folder(folder.path().join("run"), &setup).unwrap();
        let listener = endpoint.listen().unwrap();
        std::thread::spawn(move || process(Arc::new(listener.accept().unwrap())));
        let wishes = Wishes {
            role: Role::Completion,
            load_at_start: false,
            idle_unload: None,
            kv_budget_bytes: 0,
            keep: None,
            fits_beside_the_other: true,
            linger: Duration::ZERO,
        };
        let (events, told) = mpsc::channel();
        // Events are told until the end of the engine, which may be after that of the test.
        let on_event = Box::new(move |event| drop(events.send(event)));
        let start = move |receiver, _| {
            let mut client = Client::new(endpoint, setup, wishes, "phi-ls".into(), Gate::default(), on_event, receiver);
            client.patience = patience;
            client.run();
        };
        let engine = Engine::spawn(start).unwrap();
        let (sender, outcome) = mpsc::channel();
        engine.submit(Job {
            priority: Priority::Interactive,
            document: 0,
            prompt: Prompt::default(),
            short_prompt: None,
            params: GenerationParams::default(),
            cancel: CancelFlag::default(),
            on_text: None,
            on_done: Box::new(move |outcome| drop(sender.send(outcome))),
        });
        (outcome.recv().unwrap(), told.try_iter().collect())
    }

    fn say(stream: &Stream, reply: &Reply) {
        messages::write(stream, reply).unwrap();
    }

    fn welcome(stream: &Stream) {
        say(stream, &Reply::Welcome { pid: 7 });
    }

    /// Takes in what comes until the client is gone, and answers with what `reply` gives.
    fn serve(stream: &Stream, mut reply: impl FnMut(Request) -> Option<Reply>) {
        let mut input = std::io::BufReader::new(stream);
        while let Ok(Some(request)) = messages::read(&mut input) {
            if let Some(reply) = reply(request) {
                say(stream, &reply);
            }
        }
    }

    #[test]
    fn a_process_that_hangs_is_given_up_with_a_word() {
        let own = std::process::id();
        let silent = |stream: Arc<Stream>| serve(&stream, |_| None);
        let hangs_later = |stream: Arc<Stream>| {
            welcome(&stream);
            serve(&stream, |_| None);
        };
        let short = Duration::from_millis(50);
        for (pid, (outcome, told)) in [(own, outcome(short, silent)), (7, outcome(short, hangs_later))] {
            let expected = format!(
                "the engine process {pid} does not answer; end it (`kill -9 {pid}`), or set `engine.shared` to false"
            );
            assert_eq!(outcome, Err(EngineError::Unavailable(expected.clone())));
            assert!(told.contains(&EngineEvent::Failed(expected)), "{told:?}");
        }
    }

    #[test]
    fn a_process_that_says_that_it_is_there_has_time() {
        let works = |stream: Arc<Stream>| {
            welcome(&stream);
            let (mut job, mut asked) = (None, 0);
            serve(&stream, |request| match request {
                Request::Job(sent) => {
                    job = Some(sent.id);
                    None
                }
                Request::AreYouThere if asked < 2 => {
                    asked += 1;
                    Some(Reply::Here)
                }
                Request::AreYouThere => {
                    let outcome = Err(EngineError::Failed("enough".to_owned()));
                    Some(Reply::Done { id: job.unwrap(), outcome })
                }
                _ => None,
            });
        };
        let (outcome, told) = outcome(Duration::from_millis(500), works);
        assert_eq!(outcome, Err(EngineError::Failed("enough".to_owned())));
        assert!(!told.iter().any(|event| matches!(event, EngineEvent::Failed(_))), "{told:?}");
    }
}
