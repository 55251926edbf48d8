//! One engine process for all windows: real processes with a miniature model, joined by clients of the library and by
//! real servers.
#![cfg(unix)]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use phi_ls::config::{KvCacheType, Role};
use phi_ls::engine::embedded::KeepOptions;
use phi_ls::engine::shared::process::{self, Found};
use phi_ls::engine::shared::{self, Endpoint, ModelState, Report, Setup, Sharing, Wishes};
use phi_ls::engine::{
    CancelFlag, Engine, EngineError, EngineEvent, Gate, Generation, GenerationParams, Job, Priority, Sampling,
};
use phi_ls::kernels::attention::PAGE_LEN;
use phi_ls::model::Prompt;
use serde_json::{Value, json};

use crate::cli::stdio::Server;
use crate::engine::kept::page_files;
use crate::support::tiny_gguf::TinyModel;

/// Longer than anything takes unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_phi-ls").into()
}

/// A folder with a miniature model, and one for sockets.
struct Machine {
    folder: tempfile::TempDir,
    gate: Gate,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = Self { folder, gate: Gate::default() };
        std::fs::create_dir(machine.path("models")).unwrap();
        std::fs::write(machine.path("models/tiny.gguf"), TinyModel::phi3().bytes()).unwrap();
        std::fs::write(machine.path("models/other.gguf"), TinyModel::llama().bytes()).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn setup(&self) -> Setup {
        let settings = phi_ls::config::Settings { threads: 1, ..Default::default() };
        let name = |file: &str| self.path(file).to_str().unwrap().to_owned();
        Setup {
            models_folder: self.path("models"),
            completion_model: name("models/tiny.gguf"),
            assistant_model: name("models/other.gguf"),
            ..Setup::new(&settings, &program())
        }
    }

    fn endpoint(&self, setup: &Setup) -> Endpoint {
        Endpoint::in_folder(self.path("run"), setup).unwrap()
    }

    fn report(&self) -> Option<Report> {
        match process::ask(&self.endpoint(&self.setup())) {
            Found::Process(report) => Some(*report),
            Found::Nobody | Found::Silent(_) => None,
        }
    }

    /// How many lines of the processes' log contain `text`.
    fn logged(&self, text: &str) -> usize {
        let log = std::fs::read_to_string(self.path("models/engine.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(text)).count()
    }

    fn client(&self, wishes: Wishes) -> Client {
        self.client_with(self.setup(), wishes)
    }

    fn client_with(&self, setup: Setup, wishes: Wishes) -> Client {
        let (sender, events) = mpsc::channel();
        // This fails if the test is over.
        let on_event = Box::new(move |event| drop(sender.send(event)));
        let engine =
            shared::start(self.endpoint(&setup), setup, wishes, program(), self.gate.clone(), on_event).unwrap();
        Client { engine, events }
    }
}

/// Ends the processes of a test, even if it fails.
impl Drop for Machine {
    fn drop(&mut self) {
        for socket in std::fs::read_dir(self.path("run")).into_iter().flatten().flatten() {
            if let Ok(stream) = UnixStream::connect(socket.path()) {
                let peer = rustix::net::sockopt::socket_peercred(&stream).unwrap();
                let _ = rustix::process::kill_process(peer.pid, rustix::process::Signal::KILL);
            }
        }
    }
}

fn wishes() -> Wishes {
    Wishes {
        role: Role::Completion,
        load_at_start: false,
        idle_unload: None,
        kv_budget_bytes: 16 << 20,
        keep: None,
        fits_beside_the_other: true,
        linger: Duration::ZERO,
    }
}

struct Client {
    engine: Engine,
    events: Receiver<EngineEvent>,
}

impl Client {
    /// The next event for which `wanted` returns a value.
    fn event<T>(&self, wanted: impl Fn(&EngineEvent) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let event = self.events.recv_timeout(until.saturating_duration_since(Instant::now())).expect("an event");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    }

    fn sharing(&self, wanted: impl Fn(&Sharing) -> bool) -> Sharing {
        self.event(|event| match event {
            EngineEvent::Shared(sharing) if wanted(sharing) => Some(sharing.clone()),
            _ => None,
        })
    }

    fn pid(&self) -> u32 {
        self.sharing(|_| true).pid
    }

    fn failure(&self) -> String {
        self.event(|event| match event {
            EngineEvent::Failed(reason) => Some(reason.clone()),
            _ => None,
        })
    }

    fn submit(&self, work: Work) -> Submitted {
        self.submit_given(work, 100)
    }

    /// Submits a job that writes `token` repeatedly.
    fn submit_given(&self, work: Work, token: u32) -> Submitted {
        let (sender, outcome) = mpsc::channel();
        let (text_sender, text) = mpsc::channel();
        let cancel = CancelFlag::default();
        let on_text: phi_ls::engine::TextListener = Box::new(move |piece| drop(text_sender.send(piece.text)));
        self.engine.submit(Job {
            priority: work.priority,
            document: work.document,
            prompt: Prompt { prefill: work.prompt, ..Prompt::default() },
            short_prompt: None,
            params: GenerationParams {
                max_new_tokens: work.tokens,
                sampling: Sampling::Given(vec![token; work.tokens]),
                ..GenerationParams::default()
            },
            cancel: cancel.clone(),
            on_text: work.wants_text.then_some(on_text),
            on_done: Box::new(move |outcome| drop(sender.send(outcome))),
        });
        Submitted { outcome, text, cancel }
    }

    fn run(&self) -> Result<Generation, EngineError> {
        self.submit(Work::default()).outcome()
    }
}

/// A job that writes a number of given tokens, whatever the model computes.
struct Work {
    priority: Priority,
    document: u64,
    prompt: String,
    tokens: usize,
    wants_text: bool,
}

/// How many tokens a miniature writes in some seconds.
const LONG: usize = 12_000;

impl Default for Work {
    fn default() -> Self {
        let prompt = "let name".to_owned();
        Self { priority: Priority::Interactive, document: 1, prompt, tokens: 4, wants_text: false }
    }
}

struct Submitted {
    outcome: Receiver<Result<Generation, EngineError>>,
    text: Receiver<String>,
    cancel: CancelFlag,
}

impl Submitted {
    fn outcome(&self) -> Result<Generation, EngineError> {
        self.outcome.recv_timeout(PATIENCE).expect("every job is answered")
    }

    /// Waits until the job has begun.
    fn begun(&self) {
        self.text.recv_timeout(PATIENCE).expect("some text");
    }
}

/// Waits until `happens`.
pub(crate) fn until(what: &str, mut happens: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happens() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

pub(crate) fn is_alive(pid: u32) -> bool {
    // A process that has ended exists until its parent, the system's first process, waits for it.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::test_kill_process(pid).is_ok() && !stat.contains(") Z")
}

#[test]
fn ten_clients_at_once_have_one_process_that_loads_one_model() {
    let machine = Machine::new();
    let pids = std::thread::scope(|scope| {
        let start = || {
            let client = machine.client(Wishes { load_at_start: true, linger: PATIENCE, ..wishes() });
            client.run().unwrap();
            client.pid()
        };
        let threads: Vec<_> = (0..10).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    assert_eq!(machine.logged("the engine process is running"), 1);
    assert_eq!(machine.logged("Ready"), 1);
}

#[test]
fn a_client_that_comes_later_finds_the_model_and_the_prefix_in_memory() {
    let machine = Machine::new();
    let prompt = "return the name ".repeat(40);
    let work = || Work { prompt: prompt.clone(), ..Work::default() };
    let first = machine.client(Wishes { linger: PATIENCE, ..wishes() });
    let generation = first.submit(work()).outcome().unwrap();
    assert_eq!(generation.cached_tokens, 0);
    // The editor is closed and opened again.
    drop(first);
    let second = machine.client(Wishes { load_at_start: true, ..wishes() });
    let generation = second.submit(work()).outcome().unwrap();
    assert_eq!(generation.cached_tokens, generation.prompt_tokens);
    let loads = second.events.try_iter().any(|event| matches!(event, EngineEvent::Loading(_)));
    assert!(!loads, "it was loaded again");
    assert_eq!(machine.logged("Ready"), 1);
}

#[test]
fn a_process_goes_on_with_what_the_one_before_has_read() {
    let machine = Machine::new();
    let folder = machine.path("prefixes");
    let keep = KeepOptions { folder: folder.clone(), limit_bytes: 64 << 20, after: Duration::ZERO };
    let wishes = || Wishes { keep: Some(keep.clone()), ..wishes() };
    let work = || Work { prompt: "return the name ".repeat(40), ..Work::default() };
    let first = machine.client(wishes());
    let generation = first.submit(work()).outcome().unwrap();
    until("what was read is kept", || page_files(&folder).len() * PAGE_LEN >= generation.prompt_tokens);
    let pid = first.pid();
    drop(first);
    until("the process leaves", || !is_alive(pid));
    let again = machine.client(wishes()).submit(work()).outcome().unwrap();
    assert_eq!(again.cached_tokens, generation.prompt_tokens);
}

#[test]
fn the_process_stays_while_a_client_is_there_and_leaves_after_the_last() {
    let machine = Machine::new();
    let (first, second) = (machine.client(wishes()), machine.client(wishes()));
    first.run().unwrap();
    second.run().unwrap();
    let pid = first.pid();
    drop(first);
    second.run().unwrap();
    assert!(is_alive(pid));
    drop(second);
    until("the process leaves", || !is_alive(pid));
    assert!(!machine.endpoint(&machine.setup()).socket().exists());
    // The model is loaded again for a client that needs it.
    machine.client(wishes()).run().unwrap();
    assert_eq!(machine.logged("the engine process is running"), 2);
}

#[test]
fn who_wants_something_else_has_a_process_of_its_own() {
    let machine = Machine::new();
    let pid = |setup: Setup, wishes: Wishes| {
        let client = machine.client_with(setup, wishes);
        client.run().unwrap();
        (client.pid(), client)
    };
    let (own, _first) = pid(machine.setup(), wishes());
    let check = |setup: Setup| assert_ne!(pid(setup, wishes()).0, own);
    check(Setup { kv_cache_type: KvCacheType::Q8_0, ..machine.setup() });
    check(Setup { threads: 2, ..machine.setup() });
    check(Setup { kernels: "portable".to_owned(), ..machine.setup() });
    check(Setup { completion_model: machine.setup().assistant_model, ..machine.setup() });
    // Another role and other times still share one process.
    let other = Wishes { role: Role::Assistant, idle_unload: Some(PATIENCE), linger: PATIENCE, ..wishes() };
    let (shared, _second) = pid(machine.setup(), other);
    assert_eq!(shared, own);
    let report = machine.report().unwrap();
    assert_eq!((report.pid, report.clients.len(), report.models.len()), (own, 2, 2), "{report:?}");
    assert!(report.models.iter().all(|model| matches!(model.state, ModelState::Loaded(_))), "{report:?}");
}

#[test]
fn a_program_of_another_version_does_not_take_part() {
    let machine = Machine::new();
    let setup = Setup { version: "0.0.1".to_owned(), ..machine.setup() };
    let output = std::process::Command::new(program())
        .args(["engine", "--setup", &serde_json::to_string(&setup).unwrap(), "--folder"])
        .arg(machine.path("run"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("expected phi-ls 0.0.1"), "{stderr}");
}

#[test]
fn a_process_that_dies_is_said_once_and_started_again() {
    let machine = Machine::new();
    let (first, second) = (machine.client(wishes()), machine.client(Wishes { load_at_start: true, ..wishes() }));
    first.run().unwrap();
    second.run().unwrap();
    let pid = first.pid();
    kill(pid);
    for client in [&first, &second] {
        assert_eq!(client.failure(), format!("the engine process {pid} ended unexpectedly; it will be started again"));
        client.run().unwrap();
        client.sharing(|sharing| sharing.pid != pid);
        let again = client.events.try_iter().any(|event| matches!(event, EngineEvent::Failed(_)));
        assert!(!again, "it was said twice");
    }
}

#[test]
fn a_job_under_way_when_the_process_dies_is_sent_again_or_answered_with_a_sentence() {
    let machine = Machine::new();
    let client = machine.client(wishes());
    let work = |wants_text, document| Work { document, tokens: LONG, wants_text, ..Work::default() };
    let (told, silent) = (client.submit(work(true, 1)), client.submit(work(false, 2)));
    told.begun();
    let pid = client.pid();
    kill(pid);
    // Half of an answer is on the screen, so the job cannot begin again.
    let error = told.outcome().unwrap_err();
    assert_eq!(error.to_string(), "the engine failed: the engine process ended while it was answering; ask again");
    // No text of the other job was reported.
    assert_eq!(silent.outcome().unwrap().generated_tokens, LONG);
}

#[test]
fn a_job_over_which_two_processes_die_is_not_sent_a_third_time() {
    let machine = Machine::new();
    let client = machine.client(wishes());
    let silent = client.submit(Work { tokens: LONG, ..Work::default() });
    let mut last = 0;
    for _ in 0..2 {
        let pid = client.sharing(|sharing| sharing.pid != last).pid;
        last = pid;
        until("the job is there", || {
            machine.report().is_some_and(|report| report.clients.iter().any(|client| client.jobs > 0))
        });
        kill(pid);
    }
    let error = silent.outcome().unwrap_err().to_string();
    assert!(error.starts_with("the engine failed: the engine process ended"), "{error}");
    // A process that dies repeatedly is not started again at once, and jobs fail with the reason.
    let error = client.run().unwrap_err();
    assert!(matches!(&error, EngineError::Unavailable(reason) if reason.contains("ended unexpectedly")), "{error}");
}

#[test]
fn a_killed_server_ends_its_own_jobs_only() {
    let machine = Machine::new();
    let client = machine.client(Wishes { linger: PATIENCE, ..wishes() });
    client.run().unwrap();
    // Another client, which speaks the protocol itself, has joined and submitted a long job.
    let mut other = Raw::join(&machine);
    other.job(7, LONG);
    other.stream.read_exact(&mut [0; 64]).unwrap();
    let waiting = client.submit(Work { document: 9, ..Work::default() });
    drop(other);
    waiting.outcome().unwrap();
    until("its job is gone", || {
        machine.report().is_some_and(|report| report.clients.len() == 1 && report.clients[0].jobs == 0)
    });
}

#[test]
fn garbage_and_silence_hold_nobody_up() {
    let machine = Machine::new();
    let client = machine.client(wishes());
    client.run().unwrap();
    let socket = machine.endpoint(&machine.setup()).socket();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[255; 4096], b"\x02\0\0\0{}", b"\x07\0\0\0\"Leave\"", b"\x09"] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(garbage).unwrap();
        client.run().unwrap();
    }
    // One client sends nothing, and one joins but never reads.
    let _silent = UnixStream::connect(&socket).unwrap();
    let mut deaf = Raw::join(&machine);
    for id in 0..20 {
        deaf.job(id, 500);
    }
    deaf.message(&json!({"Job": {"id": 1}}));
    for _ in 0..20 {
        client.run().unwrap();
    }
    let report = machine.report().unwrap();
    assert!(report.clients.iter().any(|client| client.pid == std::process::id()), "{report:?}");
}

#[test]
fn a_process_that_hangs_is_told_from_none() {
    let machine = Machine::new();
    let endpoint = machine.endpoint(&machine.setup());
    assert_eq!(process::ask(&endpoint), Found::Nobody);
    let client = machine.client(wishes());
    client.run().unwrap();
    let pid = machine.report().unwrap().pid;
    let process = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    assert_eq!(process::ask(&endpoint), Found::Silent(Some(pid)));
    rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
    client.run().unwrap();
}

#[test]
fn documents_of_different_clients_never_supersede_each_other_and_a_clients_own_do() {
    let machine = Machine::new();
    let (first, second) = (machine.client(wishes()), machine.client(wishes()));
    let long = first.submit(Work { tokens: LONG, wants_text: true, ..Work::default() });
    long.begun();
    // A job with the same document number is done while the other one waits, because somebody types in that window now.
    second.run().unwrap();
    assert!(long.outcome.try_recv().is_err(), "it has ended");
    let newer = first.submit(Work::default());
    assert_eq!(long.outcome(), Err(EngineError::Superseded));
    newer.outcome().unwrap();
}

#[test]
fn the_window_where_somebody_types_goes_before_the_questions_of_another() {
    let machine = Machine::new();
    let (asking, typing) = (machine.client(wishes()), machine.client(wishes()));
    let question = Work { priority: Priority::Background, tokens: LONG, wants_text: true, ..Work::default() };
    let question = asking.submit(question);
    question.begun();
    for document in 0..5 {
        typing.submit(Work { document, ..Work::default() }).outcome().unwrap();
    }
    assert!(question.outcome.try_recv().is_err(), "the question was first");
    question.cancel.cancel();
    assert_eq!(question.outcome(), Err(EngineError::Cancelled));
}

#[test]
fn the_questions_of_two_windows_take_turns() {
    let machine = Machine::new();
    let clients = [machine.client(wishes()), machine.client(wishes())];
    let question = |tokens| Work { priority: Priority::Background, tokens, wants_text: true, ..Work::default() };
    let long = clients[0].submit(question(LONG));
    long.begun();
    clients[1].submit(question(20)).outcome().unwrap();
    assert!(long.outcome.try_recv().is_err(), "the other one had to wait for its end");
}

#[test]
fn a_job_that_no_server_sends_is_refused() {
    let machine = Machine::new();
    let client = machine.client(wishes());
    let (sender, outcome) = mpsc::channel();
    client.engine.submit(Job {
        priority: Priority::Interactive,
        document: 1,
        prompt: Prompt::default(),
        short_prompt: None,
        params: GenerationParams { candidates: 1_000_000_000, ..GenerationParams::default() },
        cancel: CancelFlag::default(),
        on_text: None,
        on_done: Box::new(move |outcome| drop(sender.send(outcome))),
    });
    let error = outcome.recv_timeout(PATIENCE).unwrap().unwrap_err().to_string();
    assert!(error.contains("expected 1 to 16 candidates, found 1000000000"), "{error}");
}

#[test]
fn a_token_that_no_model_has_fails_its_job_and_no_model() {
    let machine = Machine::new();
    let client = machine.client(wishes());
    let error = client.submit_given(Work::default(), 1_000_000).outcome().unwrap_err().to_string();
    assert!(error.contains("found token 1000000"), "{error}");
    client.run().unwrap();
    assert_eq!(machine.logged("Ready"), 1);
}

#[test]
fn models_that_do_not_fit_together_are_in_memory_one_at_a_time() {
    let machine = Machine::new();
    let wishes = |role| Wishes { role, fits_beside_the_other: false, linger: PATIENCE, ..wishes() };
    let (completing, asking) = (machine.client(wishes(Role::Completion)), machine.client(wishes(Role::Assistant)));
    completing.run().unwrap();
    // The model takes 4096 tokens.
    let question = Work { priority: Priority::Background, tokens: 4000, wants_text: true, ..Work::default() };
    let question = asking.submit(question);
    question.begun();
    completing.event(|event| matches!(event, EngineEvent::Unloaded).then_some(()));
    let error = completing.run().unwrap_err().to_string();
    assert!(error.contains("is unloaded while the assistant model answers"), "{error}");
    question.cancel.cancel();
    question.outcome().unwrap_err();
    // The process gets to know a moment later.
    until("there is room", || completing.run().is_ok());
    let report = machine.report().unwrap();
    let loaded = report.models.iter().filter(|model| matches!(model.state, ModelState::Loaded(_))).count();
    assert_eq!(loaded, 1, "{report:?}");
}

#[test]
fn a_model_goes_when_the_last_who_wants_it_gives_it_up() {
    let machine = Machine::new();
    let (first, second) = (machine.client(wishes()), machine.client(wishes()));
    first.run().unwrap();
    second.run().unwrap();
    first.engine.unload_after(Some(Duration::ZERO));
    second.run().unwrap();
    assert_eq!(machine.logged("Unloaded"), 0);
    second.engine.unload_after(Some(Duration::ZERO));
    second.event(|event| matches!(event, EngineEvent::Unloaded).then_some(()));
}

/// Windows of one person, with the starter. Prints if it is missing.
fn windows<const COUNT: usize>(home: &Path, settings: &str) -> Option<[Server; COUNT]> {
    let model = crate::support::starter()?;
    let arguments = ["serve", "--completion-model", model.to_str().unwrap(), "--threads", "1"];
    Some(std::array::from_fn(|_| {
        let mut server = Server::start_in(home, settings, &arguments, &home.join("models"));
        server.open_with_a_hole();
        server
    }))
}

/// Waits until the status about who shares the engine is as `wanted`.
fn sharing(server: &mut Server, wanted: impl Fn(&Value) -> bool) -> Value {
    let is_status = |message: &Value| message["method"] == "phi-ls/status" && wanted(&message["params"]["sharing"]);
    server.read_until(is_status).expect("a status")["params"]["sharing"].clone()
}

fn engine_of(server: &mut Server, wanted: impl Fn(&Value) -> bool) -> u32 {
    u32::try_from(sharing(server, wanted)["processId"].as_u64().unwrap()).unwrap()
}

#[test]
fn windows_share_a_model_and_survive_each_other() {
    let home = tempfile::tempdir().unwrap();
    let Some([mut first, mut second, third]) = windows(home.path(), "engine.lingerMinutes = 0\n") else { return };
    let found = sharing(&mut first, |sharing| sharing["clients"] == 3 && sharing["models"][0].is_string());
    assert_eq!(sharing(&mut second, |sharing| sharing["clients"] == 3)["processId"], found["processId"]);
    kill(third.process_id());
    assert_eq!(sharing(&mut first, |sharing| sharing["clients"] == 2)["processId"], found["processId"]);
    for server in [&mut first, &mut second] {
        assert_ne!(server.complete(2), json!([]));
    }
    // `end` also looks for anything but protocol on standard output.
    assert_eq!((first.end(), second.end()), (Some(0), Some(0)));
    let pid = u32::try_from(found["processId"].as_u64().unwrap()).unwrap();
    until("the process leaves", || !is_alive(pid));
}

#[test]
fn a_server_whose_engine_process_is_killed_between_two_completions_completes_again() {
    let home = tempfile::tempdir().unwrap();
    let Some([mut server, mut other]) = windows(home.path(), "engine.lingerMinutes = 0\n") else { return };
    assert_ne!(server.complete(2), json!([]));
    let pid = engine_of(&mut other, |sharing| sharing["models"][0].is_string());
    kill(pid);
    for server in [&mut server, &mut other] {
        server.retype();
        assert_ne!(server.complete(3), json!([]));
    }
    assert_eq!((server.end(), other.end()), (Some(0), Some(0)));
}

#[test]
fn a_model_has_all_its_names_where_windows_share_it() {
    let home = tempfile::tempdir().unwrap();
    let models = home.path().join("models");
    std::fs::create_dir(&models).unwrap();
    for file in [home.path().join("own.gguf"), models.join("tiny.gguf")] {
        std::fs::write(file, TinyModel::phi3().bytes()).unwrap();
    }
    for name in ["~/own.gguf", "tiny.gguf"] {
        let arguments = ["serve", "--completion-model", name, "--threads", "1"];
        let mut server = Server::start_in(home.path(), "engine.lingerMinutes = 0\n", &arguments, &models);
        server.open_with_a_hole();
        let settled = |message: &Value| {
            let status = &message["params"];
            message["method"] == "phi-ls/status"
                && (status["state"] == "error" || status["sharing"]["models"][0].is_string())
        };
        let status = server.read_until(settled).unwrap()["params"].clone();
        assert_ne!(status["state"], "error", "{name}: {status}");
        assert_eq!(server.end(), Some(0));
    }
}

#[test]
fn without_a_folder_of_its_own_a_server_has_the_model_to_itself() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("run/phi-ls")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(home.path().join("run/phi-ls"), mode).unwrap();
    let Some([mut server]) = windows(home.path(), "") else { return };
    let ready = |message: &Value| message["method"] == "phi-ls/status" && message["params"]["state"] == "ready";
    assert_eq!(server.read_until(ready).unwrap()["params"]["sharing"], Value::Null);
    assert_ne!(server.complete(2), json!([]));
    assert_eq!(server.end(), Some(0));
    assert_eq!(std::fs::read_dir(home.path().join("run/phi-ls")).unwrap().count(), 0);
}

#[test]
#[ignore = "a measurement: cargo nextest run --release --run-ignored only --no-capture -E 'test(overhead)'"]
fn overhead_of_the_socket() {
    let machine = Machine::new();
    let alone = {
        let loader = phi_ls::engine::embedded::load::loader(
            machine.setup().completion_model.parse().unwrap(),
            phi_ls::model::LoadOptions {
                pool: std::sync::Arc::new(phi_ls::kernels::pool::ThreadPool::new(1)),
                kv_type: Default::default(),
            },
        );
        let options = phi_ls::engine::embedded::EngineOptions {
            load_at_start: true,
            idle_unload: None,
            kv_budget_bytes: 16 << 20,
            keep: None,
            gate: Default::default(),
        };
        let (_, events) = mpsc::channel();
        let engine = phi_ls::engine::embedded::start(loader, options, Box::new(|_| {})).unwrap();
        Client { engine, events }
    };
    let shared = machine.client(wishes());
    // As long as usual prompts, and cached after the first round, so that only the communication is measured.
    let prompt = "return the name ".repeat(400);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..500 {
        for (client, times) in [&alone, &shared].into_iter().zip(&mut times) {
            let began = Instant::now();
            client.submit(Work { prompt: prompt.clone(), tokens: 1, ..Work::default() }).outcome().unwrap();
            times.push(began.elapsed());
        }
    }
    let [alone, shared] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    println!("a job of {} bytes: {alone:?} in the process, {shared:?} through the socket", prompt.len());
}

/// A client that sends and reads messages itself.
struct Raw {
    stream: UnixStream,
}

impl Raw {
    fn join(machine: &Machine) -> Self {
        let stream = UnixStream::connect(machine.endpoint(&machine.setup()).socket()).unwrap();
        let mut raw = Self { stream };
        raw.message(&json!({"Join": {"setup": machine.setup(), "pid": 1, "wishes": wishes()}}));
        raw
    }

    fn message(&mut self, message: &serde_json::Value) {
        let body = message.to_string();
        self.stream.write_all(&(body.len() as u32).to_le_bytes()).unwrap();
        self.stream.write_all(body.as_bytes()).unwrap();
    }

    fn job(&mut self, id: u64, tokens: usize) {
        let params = GenerationParams {
            max_new_tokens: tokens,
            sampling: Sampling::Given(vec![100; tokens]),
            ..GenerationParams::default()
        };
        let prompt = Prompt { prefill: "let".to_owned(), ..Prompt::default() };
        self.message(&json!({"Job": {
            "id": id, "priority": Priority::Interactive, "document": id, "prompt": prompt, "params": params,
            "wants_text": true,
        }}));
    }
}
