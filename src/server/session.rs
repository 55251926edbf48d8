//! The session: one thread that owns documents and settings, and passes each event to completions or questions, with
//! what they need. Events arrive over one channel and are handled one after the other. Long work is done on the
//! engines' threads, and its results arrive as events.

mod configuration;
mod documents;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use tokio::sync::oneshot;
use tower_lsp_server::gen_lsp_types as lsp;
use tower_lsp_server::jsonrpc::Error;

use super::completions::{Completions, in_popup};
use super::documents::Documents;
use super::engines::{Common, Engines};
use super::event::{CommandRequest, CompletionRequest, Event, SessionSender};
use super::index::Indexer;
use super::options::{Observer, ServerOptions};
use super::outgoing::ClientSender;
use super::questions::{Questions, offers};
use crate::config::{Enabled, Settings};
use crate::engine::Gate;
use crate::features::inline_completion::Trigger;
use crate::lsp::ask::{AskArguments, CommitArguments};
use crate::lsp::reports::completion_in;
use crate::lsp::{ACCEPTED_COMMAND, ASK_COMMAND, COMMIT_COMMAND, FOLLOW_UP_COMMAND, from_proto, to_proto};
use crate::workspace::Workspaces;
use configuration::Configuration;

/// All state of one client's session.
pub(super) struct Session {
    events: Receiver<Event>,
    sender: SessionSender,
    /// Events that were received but not handled yet, so that a superseded request is noticed before any work is done
    /// for it.
    backlog: VecDeque<Event>,
    to_client: ClientSender,
    /// Used once, to send the id of the client's process.
    client_process: Option<oneshot::Sender<u32>>,
    client: from_proto::Client,
    /// Whether the client has been told that there are completions for its popup.
    is_in_popup: bool,
    configuration: Configuration,
    settings: Settings,
    workspaces: Arc<Workspaces>,
    documents: Documents,
    indexer: Option<Indexer>,
    observer: Option<Arc<dyn Observer>>,
    /// Closed while a completion is pending.
    gate: Gate,
    engines: Engines,
    completions: Completions,
    questions: Questions,
    /// Whether the person has been told about an internal error.
    failure_told: bool,
}

impl Session {
    /// Starts the session's thread.
    pub(super) fn spawn(
        options: ServerOptions,
        to_client: ClientSender,
        client_process: oneshot::Sender<u32>,
    ) -> std::io::Result<SessionSender> {
        let (sender, events) = SessionSender::new();
        let gate = Gate::default();
        let completions = Completions::new(sender.clone(), to_client.clone(), &options);
        let common = Common {
            loader: options.loader,
            session: sender.clone(),
            to_client: to_client.clone(),
            gate: gate.clone(),
            minute: options.minute,
            engine_program: options.engine_program,
            kept: options.kept,
        };
        let session = Self {
            events,
            sender: sender.clone(),
            backlog: VecDeque::new(),
            client_process: Some(client_process),
            client: from_proto::Client::default(),
            is_in_popup: false,
            configuration: Configuration::new(options.settings, options.problems),
            settings: Settings::default(),
            workspaces: Arc::default(),
            documents: Documents::default(),
            indexer: None,
            observer: options.observer,
            gate,
            engines: Engines::new(common),
            completions,
            questions: Questions::new(sender.clone(), to_client.clone()),
            to_client,
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
            // Unwinding drops the request's reply channel, and its handler then answers with an empty list.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.handle(event))) {
                self.tell_failure(&*panic);
            }
        }
    }

    /// Waits for the next event, and handles what becomes due meanwhile.
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
            Event::Notebook(event) => self.documents.notebook(event),
            Event::FilesChanged(uris) => self.files_changed(&uris),
            Event::ConfigurationChanged(value) => self.configuration_changed(value),
            Event::Configuration(value) => self.configure(value),
            Event::SetCompletions(params) => self.set_completions(&params),
            Event::Dismissed(params) => self.dismissed(&params),
            Event::Shown(params) => self.completions.told_shown(&params.item),
            Event::PartlyAccepted(params) => self.completions.told_part(&params.item, params.accepted_length),
            Event::Complete(request) => self.complete(*request),
            Event::Completion { document, event } => {
                let document = self.documents.numbered(document);
                self.completions.on_event(event, document, &mut self.engines.completion);
            }
            Event::CodeActions { params, reply } => self.code_actions(&params, reply),
            Event::ExecuteCommand(request) => self.execute_command(*request),
            Event::Question { number, event } => {
                self.questions.on_event(number, event, &self.documents, &mut self.engines);
                self.after_questions();
            }
            Event::AnswerText { uri, reply } => self.questions.answer_text(&uri, reply),
            Event::Engine { role, engine, event } => self.engines.on_event(role, engine, event),
            Event::Abandoned(request) => {
                self.completions.abandon(request);
                self.questions.abandon(request, &self.engines);
                self.after_questions();
            }
            Event::Shutdown | Event::InputClosed => {
                self.completions.end(self.documents.iter());
                self.questions.end_all();
            }
            Event::Stop => {}
        }
    }

    fn initialize(&mut self, params: &lsp::InitializeParams, reply: oneshot::Sender<lsp::InitializeResult>) {
        self.client = from_proto::client(params);
        self.workspaces = Arc::new(Workspaces::new(&from_proto::workspace_roots(params), &self.settings.exclude));
        self.engines.show_progress(self.client.work_done_progress);
        self.completions.set_client(self.client);
        self.questions.set_client(self.client);
        self.configuration.set_initial(params.initialization_options.clone().unwrap_or_default());
        self.apply_settings();
        self.is_in_popup = in_popup(self.client, &self.settings.completion);
        let process_id = params.process_id.and_then(|id| u32::try_from(id).ok());
        if let (Some(id), Some(watch)) = (process_id, self.client_process.take()) {
            // If the server is about to end, nobody receives this.
            let _ = watch.send(id);
        }
        if let Some(info) = &params.client_info {
            tracing::info!(name = info.name, version = info.version, encoding = ?self.client.encoding, "client");
        }
        let result = lsp::InitializeResult {
            capabilities: to_proto::server_capabilities(self.client, self.is_in_popup),
            server_info: Some(lsp::ServerInfo {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
        };
        let _ = reply.send(result);
    }

    fn complete(&mut self, request: CompletionRequest) {
        if request.cancel.is_cancelled() {
            return;
        }
        let superseded = self.is_superseded(&request);
        let is_refused = self.documents.get(&request.uri).is_some_and(|document| document.refusal.is_some());
        // The rules that exclude the file may just have changed without notice, for example by `git add -f`.
        if is_refused || request.trigger == Trigger::Invoked {
            self.look_at(&request.uri);
        }
        self.documents.update_cells(&request.uri);
        self.update_surroundings(&request.uri);
        let Some(document) = self.documents.get(&request.uri) else {
            tracing::debug!(uri = request.uri.0, "a completion was requested for a document that is not open");
            return request.answer.nothing();
        };
        self.completions.complete(request, document, superseded, &mut self.engines.completion);
        if let Some(indexer) = &self.indexer {
            indexer.refresh_stale();
        }
    }

    /// Whether a message that has already arrived makes an answer to `request` pointless: a newer request of its kind,
    /// or an edit.
    fn is_superseded(&self, request: &CompletionRequest) -> bool {
        let CompletionRequest { uri, answer, .. } = request;
        self.backlog.iter().any(|event| match event {
            Event::Complete(newer) => newer.uri == *uri && newer.answer.is_popup() == answer.is_popup(),
            Event::Change(change) => change.text_document.text_document_identifier.uri == *uri,
            Event::Close(closed) => closed == uri,
            _ => false,
        })
    }

    /// Replies with the actions for a range, without asking a model.
    fn code_actions(&mut self, params: &lsp::CodeActionParams, reply: oneshot::Sender<Vec<lsp::CodeActionResponse>>) {
        let document = self.documents.get(&params.text_document.uri);
        // Editors ask for actions wherever the cursor goes.
        if let Some(document) = document.filter(|_| params.range.start == params.range.end) {
            let offset = from_proto::offset(&document.snapshot.text, params.range.start, self.client.encoding);
            self.completions.visited(document, offset);
        }
        let offered = document.map(|document| offers(document, params, self.client));
        // If nobody receives this, the request has been cancelled in the meantime.
        let _ = reply.send(offered.unwrap_or_default());
    }

    fn execute_command(&mut self, mut request: CommandRequest) {
        match request.params.command.as_str() {
            ACCEPTED_COMMAND => match request.params.arguments.as_deref().and_then(completion_in) {
                Some((id, index)) => {
                    self.completions.accepted(id, index, &self.documents);
                    request.answer(Ok(None));
                }
                None => {
                    let message = "expected the number of a completion and of one of its items";
                    request.answer(Err(Error::invalid_params(message)));
                }
            },
            ASK_COMMAND => match request.argument("a question") {
                Ok(arguments) => self.ask(request, arguments),
                Err(error) => request.answer(Err(error)),
            },
            FOLLOW_UP_COMMAND => match request.argument("a question that follows an answer") {
                Ok(arguments) => {
                    self.questions.follow_up(request, &arguments, &self.documents, &mut self.engines);
                    self.after_questions();
                }
                Err(error) => request.answer(Err(error)),
            },
            COMMIT_COMMAND => match request.argument("a folder of a repository") {
                Ok(arguments) => self.write_commit(request, &arguments),
                Err(error) => request.answer(Err(error)),
            },
            other => {
                let known = [ASK_COMMAND, FOLLOW_UP_COMMAND, COMMIT_COMMAND, ACCEPTED_COMMAND].join("`, `");
                let message = format!("expected one of the commands `{known}`, found `{other}`");
                request.answer(Err(Error::invalid_params(message)));
            }
        }
    }

    fn ask(&mut self, request: CommandRequest, arguments: AskArguments) {
        // The person may just have changed the rules that exclude the file.
        self.look_at(&arguments.uri);
        let surroundings = self.documents.surroundings(&arguments.uri, self.indexer.as_ref().map(Indexer::index));
        let document = self.documents.get(&arguments.uri);
        self.questions.ask(request, arguments, document, &surroundings, &mut self.engines);
        if let Some(indexer) = &self.indexer {
            indexer.refresh_stale();
        }
        self.after_questions();
    }

    fn write_commit(&mut self, request: CommandRequest, arguments: &CommitArguments) {
        match from_proto::file_path(&arguments.uri) {
            Some(path) => self.questions.write_commit(request, path, Arc::clone(&self.workspaces)),
            None => {
                let message =
                    format!("expected the URI of a file or folder on this machine, found {}", arguments.uri.0);
                request.answer(Err(Error::invalid_params(message)));
            }
        }
    }

    /// After the last question, loads the completion model again if it was unloaded to make room.
    fn after_questions(&mut self) {
        if !self.questions.any_pending() && self.engines.swap_back() {
            self.load_if_wanted();
        }
    }

    /// Starts the completion engine once a document is open that can have completions.
    fn load_if_wanted(&mut self) {
        if self.wants_completions() {
            self.engines.completion.start();
        }
    }

    /// Whether a document is open that can have completions.
    fn wants_completions(&self) -> bool {
        self.documents.iter().any(|document| self.completions.enabled(document) != Enabled::Off)
    }

    /// When [`Session::handle_due`] has something to do next.
    fn next_deadline(&self) -> Option<Instant> {
        self.documents.next_deadline().into_iter().chain(self.completions.next_deadline()).min()
    }

    fn handle_due(&mut self, now: Instant) {
        self.documents.parse_due(now);
        self.completions.handle_due(now, self.documents.iter(), &mut self.engines.completion);
    }

    /// Tells the person once that there is a bug in phi-ls. The log has the details.
    fn tell_failure(&mut self, panic: &(dyn std::any::Any + Send)) {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned());
        tracing::error!("a bug in phi-ls: {text}");
        if !std::mem::replace(&mut self.failure_told, true) {
            let message = format!("an internal error occurred and the request was dropped; please report it: {text}");
            self.to_client.message(lsp::MessageType::Error, &message);
        }
    }
}
