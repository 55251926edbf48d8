//! The session: one thread that owns documents, settings, the engine and everything pending. Events come in over one
//! channel and are handled one after the other; what takes long happens on the engine's thread and comes back as an
//! event.

mod answers;
mod asks;
mod assistant;
mod base;
mod completions;
mod configuration;
mod conversations;
mod documents;
mod endings;
mod engine_slot;
mod event;
mod indexing;
mod next;
mod notebooks;
mod offers;
mod planning;
mod recall;
mod refusals;
mod resident;
mod workspaces;

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tower_lsp_server::gen_lsp_types as lsp;
use tower_lsp_server::jsonrpc::Error;

use super::outgoing::Outgoing;
use super::{Observer, ServerOptions};
use crate::config::Settings;
use crate::engine::Gate;
use crate::lsp::{ACCEPTED_COMMAND, ASK_COMMAND, FOLLOW_UP_COMMAND, from_proto, to_proto};
use crate::workspace::Workspaces;
use answers::AnswerDocuments;
use asks::Ask;
use assistant::Assistant;
use configuration::Configuration;
use conversations::Conversations;
use documents::Document;
use engine_slot::Wiring;
pub(super) use event::{Answer, CommandRequest, CompletionRequest, Event, SessionSender};
use indexing::Indexer;
use next::ShownInVain;
pub(super) use notebooks::NotebookEvent;
use notebooks::Notebooks;
use resident::Resident;

/// Numbers documents, jobs and completions.
#[derive(Debug, Default)]
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// All state of one client's session.
pub(super) struct Session {
    events: Receiver<Event>,
    sender: SessionSender,
    /// Received, not yet handled: a request can be seen to be superseded before any work is done for it.
    backlog: VecDeque<Event>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// Takes the id of the client's process once.
    client_process: Option<oneshot::Sender<u32>>,
    client: from_proto::Client,
    workspaces: Arc<Workspaces>,
    configuration: Configuration,
    settings: Settings,
    documents: HashMap<lsp::Uri, Document>,
    notebooks: Notebooks,
    resident: Resident,
    assistant: Assistant,
    /// Closed while a completion is pending.
    gate: Gate,
    indexer: Option<Indexer>,
    /// The questions under way, by the number of their request.
    asks: HashMap<u64, Ask>,
    conversations: Conversations,
    answers: AnswerDocuments,
    /// Why the completion model answered, as the person was told last.
    fallback_told: Option<String>,
    numbers: Numbers,
    accepted: u64,
    shown_in_vain: ShownInVain,
    observer: Option<Arc<dyn Observer>>,
    /// A failure of our own has been told to the person.
    failure_told: bool,
}

impl Session {
    /// Starts the session's thread.
    pub(super) fn spawn(
        options: ServerOptions,
        outgoing: mpsc::UnboundedSender<Outgoing>,
        client_process: oneshot::Sender<u32>,
    ) -> std::io::Result<SessionSender> {
        let (sender, events) = SessionSender::new();
        let gate = Gate::default();
        let wiring = Wiring {
            loader: options.loader,
            session: sender.clone(),
            outgoing: outgoing.clone(),
            gate: gate.clone(),
            minute: options.minute,
            engine_program: options.engine_program,
        };
        let configuration = Configuration::new(options.settings, options.problems);
        let session = Self {
            events,
            sender: sender.clone(),
            backlog: VecDeque::new(),
            outgoing,
            client_process: Some(client_process),
            client: from_proto::Client::default(),
            workspaces: Arc::default(),
            configuration,
            settings: Settings::default(),
            documents: HashMap::new(),
            notebooks: Notebooks::default(),
            resident: Resident::new(wiring.clone()),
            assistant: Assistant::new(wiring),
            gate,
            indexer: None,
            asks: HashMap::new(),
            conversations: Conversations::default(),
            answers: AnswerDocuments::default(),
            fallback_told: None,
            numbers: Numbers::default(),
            accepted: 0,
            shown_in_vain: ShownInVain::default(),
            observer: options.observer,
            failure_told: false,
        };
        std::thread::Builder::new().name("session".to_owned()).spawn(move || session.run())?;
        Ok(sender)
    }

    fn run(mut self) {
        while let Some(event) = self.next_event() {
            if matches!(event, Event::Stop) {
                return;
            }
            // A request's reply is dropped by the unwinding, which its handler answers with an empty list.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.handle(event))) {
                self.tell_failure(&*panic);
            }
        }
    }

    /// The next event; handles what is due meanwhile.
    fn next_event(&mut self) -> Option<Event> {
        loop {
            self.backlog.extend(self.events.try_iter());
            self.handle_due(Instant::now());
            if let Some(event) = self.backlog.pop_front() {
                return Some(event);
            }
            let received = match self.next_deadline() {
                None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self.events.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match received {
                Ok(event) => self.backlog.push_back(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Initialize { params, reply } => self.initialize(&params, reply),
            Event::Initialized => {
                self.tell_problems();
                self.watch_files();
            }
            Event::FoldersChanged(event) => self.folders_changed(&event),
            Event::Open(item) => self.open(item),
            Event::Change(params) => self.change(params),
            Event::Close(uri) => self.close(&uri),
            Event::Notebook(event) => self.notebook(event),
            Event::SetCompletions(params) => self.set_completions(&params),
            Event::FilesChanged(uris) => self.files_changed(&uris),
            Event::ConfigurationChanged(value) => self.configuration_changed(value),
            Event::Configuration(value) => self.configure(value),
            Event::Complete(request) => self.complete(*request),
            Event::Abandoned(request) => {
                self.abandon(request);
                self.abandon_ask(request);
            }
            Event::CodeActions { params, reply } => {
                self.code_actions(&params, reply);
                self.index_workspace();
            }
            Event::ExecuteCommand(request) => self.execute_command(*request),
            Event::AssistantEngine { engine, event } => self.assistant.hear(engine, &event),
            Event::AskText { ask, text } => self.ask_text(ask, &text),
            Event::AskDone { ask, outcome } => self.ask_done(ask, outcome),
            Event::AnswerRefused { ask } => self.answer_refused(ask),
            Event::AnswerText { uri, reply } => self.answer_text(&uri, reply),
            Event::Engine { engine, event } => self.resident.hear(engine, event),
            Event::JobText { document, job, text } => self.job_text(document, job, &text),
            Event::JobDone { document, job, outcome } => self.job_done(document, job, outcome),
            Event::Prepared { document, job, outcome } => self.prepared(document, job, outcome),
            Event::Shutdown | Event::InputClosed => self.end(),
            Event::Stop => {}
        }
    }

    fn initialize(&mut self, params: &lsp::InitializeParams, reply: oneshot::Sender<lsp::InitializeResult>) {
        self.client = from_proto::client(params);
        self.workspaces = Arc::new(Workspaces::new(&from_proto::workspace_roots(params), &self.settings.exclude));
        self.resident.slot.show_progress = self.client.work_done_progress;
        self.assistant.slot.show_progress = self.client.work_done_progress;
        self.configuration.set_initial(params.initialization_options.clone().unwrap_or_default());
        self.apply_settings();
        let process_id = params.process_id.and_then(|id| u32::try_from(id).ok());
        if let (Some(id), Some(watch)) = (process_id, self.client_process.take()) {
            // Nobody watches any more when the server is about to end.
            let _ = watch.send(id);
        }
        if let Some(info) = &params.client_info {
            tracing::info!(name = info.name, version = info.version, encoding = ?self.client.encoding, "client");
        }
        let result = lsp::InitializeResult {
            capabilities: to_proto::server_capabilities(self.client),
            server_info: Some(lsp::ServerInfo {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
        };
        let _ = reply.send(result);
    }

    fn execute_command(&mut self, request: CommandRequest) {
        match request.params.command.as_str() {
            ACCEPTED_COMMAND => {
                self.accepted += 1;
                self.shown_in_vain.accepted();
                tracing::debug!(accepted = self.accepted, "a completion was accepted");
                request.answer(Ok(None));
            }
            ASK_COMMAND => self.ask(request),
            FOLLOW_UP_COMMAND => self.follow_up(request),
            other => {
                let known = [ASK_COMMAND, FOLLOW_UP_COMMAND, ACCEPTED_COMMAND].join("`, `");
                let message = format!("expected one of the commands `{known}`, found `{other}`");
                request.answer(Err(Error::invalid_params(message)));
            }
        }
    }

    /// The client asks for nothing any more: what runs is cancelled, what waits is answered.
    fn end(&mut self) {
        for document in self.documents.values_mut() {
            document.cancel_jobs();
        }
        self.end_asks();
    }

    /// Tells the person once that something in this program is broken; the log has the rest.
    fn tell_failure(&mut self, panic: &(dyn std::any::Any + Send)) {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned());
        tracing::error!("a fault in phi-ls: {text}");
        if !std::mem::replace(&mut self.failure_told, true) {
            let message = format!("phi-ls: something went wrong inside and was put aside; please report it: {text}");
            self.tell(Outgoing::Message(lsp::MessageType::Error, message));
        }
    }

    fn tell(&self, outgoing: Outgoing) {
        // A queue that is closed belongs to a client that is gone.
        let _ = self.outgoing.send(outgoing);
    }
}
