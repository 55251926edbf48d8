//! Conversations that can be continued, by the id of their last answer.

use std::collections::VecDeque;

use super::pending::{About, Pending};
use crate::config::Role;
use crate::engine::Generation;
use crate::features::conversation::Conversation;
use crate::server::documents::{Document, Documents};

/// How many are kept: about as many as an engine's prefix cache holds.
const KEPT: usize = 8;

/// The last conversations, oldest first.
#[derive(Default)]
pub(super) struct Conversations {
    kept: VecDeque<Kept>,
}

/// A conversation that can be continued.
pub(super) struct Kept {
    /// The `id` of its last answer.
    pub answer: u64,
    about: About,
    /// The role of the model that has it in its cache.
    pub by: Role,
    pub conversation: Conversation,
}

impl Kept {
    /// The document that it is about, if that is still open and may be read. Without the document, there is no
    /// conversation.
    pub(super) fn document<'a>(&self, documents: &'a Documents) -> Option<&'a Document> {
        self.about.document(documents).filter(|document| !document.is_excluded())
    }
}

impl Conversations {
    /// Keeps `question` with its answer, if it has one and is about a document.
    pub(super) fn keep(&mut self, question: &Pending, generation: &Generation) {
        let Some(about) = question.about.clone() else { return };
        let Some(conversation) = Conversation::new(question.plan.prompt().clone(), generation) else { return };
        let (answer, by) = (question.number, question.by);
        // A question that was asked again has another answer.
        self.kept.retain(|kept| kept.answer != answer);
        self.kept.push_back(Kept { answer, about, by, conversation });
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// The conversation that ends with `answer`.
    pub(super) fn find(&self, answer: u64) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.answer == answer)
    }

    /// Forgets the conversations about documents that are closed or have become excluded.
    pub(super) fn forget_pointless(&mut self, documents: &Documents) {
        self.kept.retain(|kept| kept.document(documents).is_some());
    }
}
