//! A running question, and how it ends.

use tower_lsp_server::gen_lsp_types as lsp;

use crate::config::Role;
use crate::engine::Generation;
use crate::features::answering::Plan;
use crate::lsp::ask::Timings;
use crate::server::documents::{Document, Documents};
use crate::server::event::CommandRequest;

/// A question under way.
pub(super) struct Pending {
    /// That of the request.
    pub number: u64,
    /// The document it is about; the message of a commit is about none.
    pub about: Option<About>,
    /// The title of the question.
    pub title: String,
    /// The answer it follows.
    pub follows: Option<u64>,
    pub plan: Plan,
    pub request: CommandRequest,
    /// The role whose model answers; before the question is submitted, the role that answered the one it follows.
    pub by: Role,
    /// What the model has written so far, unchanged.
    pub written: String,
    /// What was sent of it to the client, made safe.
    pub streamed: String,
}

/// A document, by its name and by the number it has while it is open.
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
    /// A question by `request` that follows no other and that nobody has been asked yet; about `document`, if about one.
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
    /// Markdown to read, or empty.
    pub text: String,
    /// Why there is no answer or why it is not applied.
    pub reason: Option<String>,
    pub timings: Option<Timings>,
    pub applied: bool,
}

impl Ending {
    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::default() }
    }

    /// An answer that is to be read.
    pub(super) fn text(text: String) -> Self {
        Self { text, ..Self::default() }
    }

    /// An answer that is applied.
    pub(super) fn applied() -> Self {
        Self { applied: true, ..Self::default() }
    }

    /// An answer that is not applied, to be read as `text`.
    pub(super) fn rejected(text: String, reason: impl std::fmt::Display) -> Self {
        Self { text, ..Self::failed(format!("nothing was changed: {reason}")) }
    }

    /// The same after `generation`.
    pub(super) fn after(self, generation: &Generation) -> Self {
        Self { timings: Some(Timings::from(generation)), ..self }
    }
}
