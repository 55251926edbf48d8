//! The events of a session, and the channel that they come through.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::oneshot;
use tower_lsp_server::gen_lsp_types as lsp;
use tower_lsp_server::jsonrpc::{Error, Result};

use crate::config::Role;
use crate::engine::{CancelFlag, EngineError, EngineEvent, Generation, TextPiece};
use crate::features::inline_completion::Trigger;
use crate::lsp::reports::{DidPartiallyAcceptParams, DidShowParams, DismissedParams};
use crate::lsp::switch::SetCompletionsParams;
use crate::workspace::{NotStaged, Staged};

/// Everything that can happen to a session.
#[derive(Debug)]
pub(super) enum Event {
    Initialize {
        params: Box<lsp::InitializeParams>,
        reply: oneshot::Sender<lsp::InitializeResult>,
    },
    Initialized,
    Open(lsp::TextDocumentItem),
    Change(lsp::DidChangeTextDocumentParams),
    Close(lsp::Uri),
    /// Workspaces were added or removed.
    FoldersChanged(lsp::WorkspaceFoldersChangeEvent),
    Notebook(NotebookEvent),
    SetCompletions(SetCompletionsParams),
    Dismissed(DismissedParams),
    Shown(DidShowParams),
    PartlyAccepted(DidPartiallyAcceptParams),
    /// Files were saved, or changed outside of the editor.
    FilesChanged(Vec<lsp::Uri>),
    /// The parameters of `workspace/didChangeConfiguration`.
    ConfigurationChanged(Value),
    /// The client's answer to `workspace/configuration`.
    Configuration(Value),
    Complete(Box<CompletionRequest>),
    /// The client has cancelled this request.
    Abandoned(u64),
    CodeActions {
        params: Box<lsp::CodeActionParams>,
        reply: oneshot::Sender<Vec<lsp::CodeActionResponse>>,
    },
    ExecuteCommand(Box<CommandRequest>),
    /// An event of the engine of `role` that was started with the number `engine`.
    Engine {
        role: Role,
        engine: u64,
        event: EngineEvent,
    },
    /// An event of a completion for the document with this number.
    Completion {
        document: u64,
        event: CompletionEvent,
    },
    /// An event of the question in the request with this number.
    Question {
        number: u64,
        event: QuestionEvent,
    },
    /// The client fetches an answer.
    AnswerText {
        uri: lsp::Uri,
        reply: oneshot::Sender<Result<String>>,
    },
    Shutdown,
    InputClosed,
    Stop,
}

/// What happens to a notebook. Its cells are documents, whose texts have the usual events.
#[derive(Debug)]
pub(super) enum NotebookEvent {
    Open(lsp::NotebookDocument),
    /// Cells were added, removed or moved.
    Rearrange {
        notebook: lsp::Uri,
        change: lsp::NotebookCellArrayChange,
    },
    Close(lsp::Uri),
}

/// What the engine reports about a completion's job.
#[derive(Debug)]
pub(super) enum CompletionEvent {
    /// The generation goes on.
    Text {
        job: u64,
        piece: TextPiece,
    },
    Done {
        job: u64,
        outcome: Outcome,
    },
    /// The last line of the first change in the document, according to git.
    Changed {
        line: usize,
    },
    /// A prompt that was not requested yet was read.
    WarmedUp(Outcome),
    /// The completion that was prepared in case the one on the screen is accepted.
    Prepared {
        job: u64,
        outcome: Outcome,
    },
}

impl CompletionEvent {
    /// The result of a job that was successful.
    pub(super) fn generation(&self) -> Option<&Generation> {
        match self {
            Self::Done { outcome, .. } | Self::WarmedUp(outcome) | Self::Prepared { outcome, .. } => {
                outcome.as_ref().ok()
            }
            Self::Text { .. } | Self::Changed { .. } => None,
        }
    }
}

/// What happens to a question: reports of the engine about its job, of the client about its answer, and of git.
#[derive(Debug)]
pub(super) enum QuestionEvent {
    /// The staged changes that a commit message was requested for.
    Staged(std::result::Result<Staged, NotStaged>),
    /// The answer goes on.
    Text(String),
    Done(Outcome),
    /// The client did not open the document of the answer.
    NotOpened,
}

/// How a job ended.
pub(super) type Outcome = std::result::Result<Generation, EngineError>;

/// A request for a completion, inline or in a popup.
#[derive(Debug)]
pub(super) struct CompletionRequest {
    pub number: u64,
    pub uri: lsp::Uri,
    pub position: lsp::Position,
    pub trigger: Trigger,
    pub selected: Option<lsp::SelectedCompletionInfo>,
    pub asked_at: Instant,
    /// Set when the client has cancelled it.
    pub cancel: CancelFlag,
    pub answer: Answer,
}

/// A request to run a command.
#[derive(Debug)]
pub(super) struct CommandRequest {
    pub number: u64,
    pub params: lsp::ExecuteCommandParams,
    /// Set when the client has cancelled it.
    pub cancel: CancelFlag,
    pub reply: oneshot::Sender<Result<Option<Value>>>,
}

impl CommandRequest {
    /// The only argument, which should be `expected`.
    pub(super) fn argument<T: DeserializeOwned>(&mut self, expected: &str) -> Result<T> {
        let first = self.params.arguments.take().and_then(|arguments| arguments.into_iter().next());
        serde_json::from_value(first.unwrap_or_default())
            .map_err(|error| Error::invalid_params(format!("expected {expected}: {error}")))
    }

    /// Answers the request. If the receiver is gone, the library has cancelled and answered it.
    pub(super) fn answer(self, result: Result<Option<Value>>) {
        let _ = self.reply.send(result);
    }
}

/// Where the answer to a completion request goes.
#[derive(Debug)]
pub(super) enum Answer {
    Inline(oneshot::Sender<Vec<lsp::InlineCompletionItem>>),
    Popup(oneshot::Sender<lsp::CompletionList>),
}

impl Answer {
    /// Whether it is for a popup.
    pub(super) fn is_popup(&self) -> bool {
        matches!(self, Self::Popup(_))
    }

    /// Answers with an empty list.
    pub(super) fn nothing(self) {
        // If the receiver is gone, the library has cancelled and answered the request.
        let _ = match self {
            Self::Inline(reply) => reply.send(Vec::new()).is_ok(),
            Self::Popup(reply) => {
                reply.send(lsp::CompletionList { is_incomplete: true, ..lsp::CompletionList::default() }).is_ok()
            }
        };
    }
}

/// The sender of a session's channel.
#[derive(Debug, Clone)]
pub(super) struct SessionSender(Sender<Event>);

impl SessionSender {
    /// A sender and its receiver.
    pub(super) fn new() -> (Self, Receiver<Event>) {
        let (sender, events) = channel();
        (Self(sender), events)
    }

    /// Sends an event. Never blocks; after the end of the session, events are dropped.
    pub(super) fn send(&self, event: Event) {
        let _ = self.0.send(event);
    }
}
