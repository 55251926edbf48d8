//! Conversations that may go on: the last answers by their ids, and questions that follow one of them.

use std::collections::VecDeque;

use serde_json::json;
use tower_lsp_server::gen_lsp_types as lsp;
use tower_lsp_server::jsonrpc::Error;

use super::asks::Ask;
use super::assistant::Answerer;
use super::{CommandRequest, Session};
use crate::engine::Generation;
use crate::features::answering::Plan;
use crate::features::conversation::Conversation;
use crate::features::question::{AssistantOptions, NotAsked};
use crate::lsp::ask::FollowUpArguments;

/// How many can be gone on with: about what an engine's prefix cache holds.
const KEPT: usize = 8;

/// The last conversations, oldest first.
#[derive(Default)]
pub(super) struct Conversations {
    kept: VecDeque<Kept>,
}

struct Kept {
    /// The `id` of the answer it ends with.
    answer: u64,
    uri: lsp::Uri,
    /// [`super::documents::Document::number`] of the document it is about.
    document: u64,
    /// Whose cache holds it.
    by: Answerer,
    conversation: Conversation,
}

impl Conversations {
    /// Keeps `ask` with its answer, if it has one.
    pub(super) fn keep(&mut self, ask: &Ask, generation: &Generation) {
        let Some(conversation) = Conversation::new(ask.plan.prompt().clone(), generation) else { return };
        let (answer, document) = (ask.number, ask.document);
        // A question that was asked once more has another answer.
        self.kept.retain(|kept| kept.answer != answer);
        self.kept.push_back(Kept { answer, uri: ask.uri.clone(), document, by: ask.by, conversation });
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }
}

impl Session {
    /// Begins to answer a question that follows an answer, or says why not.
    pub(super) fn follow_up(&mut self, mut request: CommandRequest) {
        let arguments = match request.argument::<FollowUpArguments>("a question that follows an answer") {
            Ok(arguments) => arguments,
            Err(error) => return request.answer(Err(error)),
        };
        let Some(kept) = self.conversations.kept.iter().find(|kept| kept.answer == arguments.answer) else {
            let message = "this conversation is not kept any more; ask about the code anew";
            return request.answer(Err(Error::invalid_params(message)));
        };
        // A conversation goes with its document.
        let Some(document) = self.documents.get(&kept.uri) else { return request.answer(Err(Error::internal_error())) };
        let options = AssistantOptions::new(&self.settings.assistant, document.refusal.clone());
        let title = arguments.question.trim().to_owned();
        match kept.conversation.follow_up(&title, &options) {
            Ok(plan) => {
                let place = (kept.uri.clone(), kept.document);
                let mut ask = Ask::new(title, place, document.snapshot.clone(), Plan::Explain(plan), request);
                (ask.follows, ask.by) = (Some(kept.answer), kept.by);
                self.begin_ask(ask);
            }
            Err(reason @ NotAsked::NoQuestion) => request.answer(Err(Error::invalid_params(reason.to_string()))),
            Err(reason) => {
                let reason = reason.to_string();
                self.tell_warning(&title, &reason);
                request.answer(Ok(Some(json!({"applied": false, "reason": reason}))));
            }
        }
    }

    /// Forgets the conversations about documents that are closed or have become excluded.
    pub(super) fn forget_conversations(&mut self) {
        let documents = &self.documents;
        self.conversations.kept.retain(|kept| {
            let document = documents.get(&kept.uri);
            document.is_some_and(|document| document.number == kept.document && !document.is_excluded())
        });
    }
}
