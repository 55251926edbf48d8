//! A running question, and how it ends.

use tower_lsp_server::gen_lsp_types as lsp;

use crate::config::Role;
use crate::engine::Generation;
use crate::features::answering::Plan;
use crate::lsp::ask::Timings;
use crate::server::documents::{Document, Documents};
use crate::server::event::CommandRequest;

/// A question that is under way.
pub(super) struct Pending {
    /// The number of the request.
    pub number: u64,
    /// The document that it is about; `None` for a commit message.
    pub about: Option<About>,
    /// The title of the question.
    pub title: String,
    /// The answer that it follows.
    pub follows: Option<u64>,
    pub plan: Plan,
    pub request: CommandRequest,
    /// The role of the model that answers. Before the question is submitted, the role that answered the previous
    /// question.
    pub by: Role,
    /// The model's text so far, unchanged.
    pub written: String,
    /// The part that was sent to the client, made safe.
    pub streamed: String,
}

/// A document, by its URI and by the number that it has while it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub uri: lsp::Uri,
    pub document: u64,
}

impl About {
    /// The document, if it is still open.
    pub(super) fn document<'a>(&self, documents: &'a Documents) -> Option<&'a Document> {
        documents.get(&self.uri).filter(|document| document.number == self.document)
    }
}

impl Pending {
    /// A new question by `request`, about `document` if there is one, which follows no other and has not been
    /// submitted.
    pub(super) fn new(title: String, document: Option<&Document>, plan: Plan, request: CommandRequest) -> Self {
        let about = |document: &Document| About { uri: document.uri.clone(), document: document.number };
        Self {
            number: request.number,
            about: document.map(about),
            title,
            follows: None,
            plan,
            request,
            by: Role::Assistant,
            written: String::new(),
            streamed: String::new(),
        }
    }
}

/// How a question ends.
#[derive(Default)]
pub(super) struct Ending {
    /// Markdown to read; may be empty.
    pub text: String,
    /// Why there is no answer, or why it is not applied.
    pub reason: Option<String>,
    pub timings: Option<Timings>,
    pub applied: bool,
}

impl Ending {
    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::default() }
    }

    /// An answer to read.
    pub(super) fn text(text: String) -> Self {
        Self { text, ..Self::default() }
    }

    /// An answer that was applied.
    pub(super) fn applied() -> Self {
        Self { applied: true, ..Self::default() }
    }

    /// An answer that was not applied, with `text` to read.
    pub(super) fn rejected(text: String, reason: impl std::fmt::Display) -> Self {
        Self { text, ..Self::failed(format!("nothing was changed: {reason}")) }
    }

    /// The same ending, with the figures of `generation`.
    pub(super) fn after(self, generation: &Generation) -> Self {
        Self { timings: Some(Timings::from(generation)), ..self }
    }
}
