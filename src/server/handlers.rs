//! One handler per method. Each turns its parameters into an event at its first poll, and then waits for the session's
//! reply. None holds state or waits for the client.
//!
//! Replies are awaited `unconstrained`: all handlers share one task, and once its budget is spent, tokio wakes the
//! remaining ones in reverse order, which would reverse the order of the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::task::unconstrained;
use tower_lsp_server::LanguageServer;
use tower_lsp_server::gen_lsp_types as lsp;
use tower_lsp_server::jsonrpc::{Error, Result};

use super::event::{Answer, CommandRequest, CompletionRequest, Event, NotebookEvent, SessionSender};
use crate::engine::CancelFlag;
use crate::features::inline_completion::Trigger;
use crate::lsp::from_proto;
use crate::lsp::reports::{DidPartiallyAcceptParams, DidShowParams, DismissedParams};
use crate::lsp::switch::SetCompletionsParams;

/// The protocol library's view of the server.
pub(super) struct Backend {
    session: SessionSender,
    /// The number of the next request, because the library does not give access to request ids.
    next_request: AtomicU64,
    shutdown: ShutdownFlag,
}

/// Whether the client has sent `shutdown`.
#[derive(Debug, Clone, Default)]
pub(super) struct ShutdownFlag(Arc<AtomicBool>);

impl ShutdownFlag {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Cancels a request whose handler is dropped before it has its answer, which is what the library does for
/// `$/cancelRequest`.
struct DropGuard {
    session: SessionSender,
    request: u64,
    cancel: CancelFlag,
    answered: bool,
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if !self.answered {
            self.cancel.cancel();
            self.session.send(Event::Abandoned(self.request));
        }
    }
}

impl Backend {
    pub(super) fn new(session: SessionSender) -> Self {
        Self { session, next_request: AtomicU64::new(1), shutdown: ShutdownFlag::default() }
    }

    pub(super) fn shutdown_flag(&self) -> ShutdownFlag {
        self.shutdown.clone()
    }

    /// Handles `phi-ls/dismissed`.
    pub(super) async fn dismissed(&self, params: DismissedParams) {
        self.session.send(Event::Dismissed(params));
    }

    /// Handles `textDocument/didShowCompletion`.
    pub(super) async fn shown(&self, params: DidShowParams) {
        self.session.send(Event::Shown(params));
    }

    /// Handles `textDocument/didPartiallyAcceptCompletion`.
    pub(super) async fn partly_accepted(&self, params: DidPartiallyAcceptParams) {
        self.session.send(Event::PartlyAccepted(params));
    }

    /// Handles `phi-ls/setCompletions`.
    pub(super) async fn set_completions(&self, params: SetCompletionsParams) {
        self.session.send(Event::SetCompletions(params));
    }

    /// Passes a completion request to the session and waits for its answer; `None` if the session failed.
    async fn complete<T>(
        &self,
        at: lsp::TextDocumentPositionParams,
        trigger: Trigger,
        selected: Option<lsp::SelectedCompletionInfo>,
        answer: impl FnOnce(oneshot::Sender<T>) -> Answer,
    ) -> Option<T> {
        let number = self.next_request.fetch_add(1, Ordering::Relaxed);
        let cancel = CancelFlag::default();
        let (reply, answered) = oneshot::channel();
        let request = CompletionRequest {
            number,
            uri: at.text_document.uri,
            position: at.position,
            trigger,
            selected,
            asked_at: Instant::now(),
            cancel: cancel.clone(),
            answer: answer(reply),
        };
        self.session.send(Event::Complete(Box::new(request)));
        let mut guard = DropGuard { session: self.session.clone(), request: number, cancel, answered: false };
        let answer = unconstrained(answered).await.ok();
        guard.answered = true;
        answer
    }
}

impl LanguageServer for Backend {
    async fn initialize(&self, params: lsp::InitializeParams) -> Result<lsp::InitializeResult> {
        let (reply, answered) = oneshot::channel();
        self.session.send(Event::Initialize { params: Box::new(params), reply });
        unconstrained(answered).await.map_err(|_| Error::internal_error())
    }

    async fn initialized(&self, _: lsp::InitializedParams) {
        self.session.send(Event::Initialized);
    }

    async fn shutdown(&self) -> Result<()> {
        self.shutdown.0.store(true, Ordering::Relaxed);
        self.session.send(Event::Shutdown);
        Ok(())
    }

    async fn did_change_workspace_folders(&self, params: lsp::DidChangeWorkspaceFoldersParams) {
        self.session.send(Event::FoldersChanged(params.event));
    }

    async fn did_open(&self, params: lsp::DidOpenTextDocumentParams) {
        self.session.send(Event::Open(params.text_document));
    }

    async fn did_change(&self, params: lsp::DidChangeTextDocumentParams) {
        self.session.send(Event::Change(params));
    }

    async fn did_save(&self, params: lsp::DidSaveTextDocumentParams) {
        self.session.send(Event::FilesChanged(vec![params.text_document.uri]));
    }

    async fn did_change_watched_files(&self, params: lsp::DidChangeWatchedFilesParams) {
        let uris = params.changes.into_iter().map(|change| change.uri).collect();
        self.session.send(Event::FilesChanged(uris));
    }

    async fn did_close(&self, params: lsp::DidCloseTextDocumentParams) {
        self.session.send(Event::Close(params.text_document.uri));
    }

    async fn notebook_did_open(&self, params: lsp::DidOpenNotebookDocumentParams) {
        params.cell_text_documents.into_iter().for_each(|cell| self.session.send(Event::Open(cell)));
        self.session.send(Event::Notebook(NotebookEvent::Open(params.notebook_document)));
    }

    async fn notebook_did_change(&self, params: lsp::DidChangeNotebookDocumentParams) {
        let Some(cells) = params.change.cells else { return };
        if let Some(structure) = cells.structure {
            structure.did_close.into_iter().flatten().for_each(|cell| self.session.send(Event::Close(cell.uri)));
            structure.did_open.into_iter().flatten().for_each(|cell| self.session.send(Event::Open(cell)));
            let (notebook, change) = (params.notebook_document.uri, structure.array);
            self.session.send(Event::Notebook(NotebookEvent::Rearrange { notebook, change }));
        }
        for cell in cells.text_content.into_iter().flatten() {
            let change = lsp::DidChangeTextDocumentParams::new(cell.document, cell.changes);
            self.session.send(Event::Change(change));
        }
    }

    async fn notebook_did_close(&self, params: lsp::DidCloseNotebookDocumentParams) {
        params.cell_text_documents.into_iter().for_each(|cell| self.session.send(Event::Close(cell.uri)));
        self.session.send(Event::Notebook(NotebookEvent::Close(params.notebook_document.uri)));
    }

    async fn did_change_configuration(&self, params: lsp::DidChangeConfigurationParams) {
        self.session.send(Event::ConfigurationChanged(params.settings));
    }

    async fn inline_completion(
        &self,
        params: lsp::InlineCompletionParams,
    ) -> Result<Option<lsp::InlineCompletionResponse>> {
        let trigger = from_proto::trigger(params.context.trigger_kind);
        let selected = params.context.selected_completion_info;
        let items = self.complete(params.text_document_position_params, trigger, selected, Answer::Inline).await;
        // Never null, because a client would then keep its old ghost text on the screen.
        let items = items.unwrap_or_default();
        Ok(Some(lsp::InlineCompletionList { items }.into()))
    }

    async fn completion(&self, params: lsp::CompletionParams) -> Result<Option<lsp::CompletionResponse>> {
        // Clients send `Invoked` at every key. A popup shows one text, so alternatives are never wanted.
        let list = self.complete(params.text_document_position_params, Trigger::Automatic, None, Answer::Popup).await;
        let list = list.unwrap_or_else(|| lsp::CompletionList { is_incomplete: true, ..Default::default() });
        Ok(Some(list.into()))
    }

    async fn code_action(&self, params: lsp::CodeActionParams) -> Result<Option<Vec<lsp::CodeActionResponse>>> {
        let (reply, answered) = oneshot::channel();
        self.session.send(Event::CodeActions { params: Box::new(params), reply });
        Ok(Some(unconstrained(answered).await.unwrap_or_default()))
    }

    async fn text_document_content(
        &self,
        params: lsp::TextDocumentContentParams,
    ) -> Result<lsp::TextDocumentContentResult> {
        let (reply, answered) = oneshot::channel();
        self.session.send(Event::AnswerText { uri: params.uri, reply });
        let text = unconstrained(answered).await.map_err(|_| Error::internal_error())??;
        Ok(lsp::TextDocumentContentResult { text })
    }

    async fn execute_command(&self, params: lsp::ExecuteCommandParams) -> Result<Option<lsp::LspAny>> {
        let (number, cancel) = (self.next_request.fetch_add(1, Ordering::Relaxed), CancelFlag::default());
        let (reply, answered) = oneshot::channel();
        let request = CommandRequest { number, params, cancel: cancel.clone(), reply };
        self.session.send(Event::ExecuteCommand(Box::new(request)));
        let mut guard = DropGuard { session: self.session.clone(), request: number, cancel, answered: false };
        let answer = unconstrained(answered).await;
        guard.answered = true;
        answer.map_err(|_| Error::internal_error())?
    }
}
