//! Shows questions and their answers in the best way that the client supports: progress under the request's token,
//! `phi-ls/answer`, a document that it fetches, a file that it opens, or messages.

use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower_lsp_server::gen_lsp_types as lsp;
use tower_lsp_server::jsonrpc::Result;

use super::answer_documents::{AnswerDocuments, whole_text};
use super::pending::{Ending, Pending};
use crate::features::answering::Plan;
use crate::lsp::ask::AnswerParams;
use crate::lsp::from_proto::Client;
use crate::server::event::SessionSender;
use crate::server::outgoing::{ClientSender, Outgoing};

/// How many lines of an answer are shown if it can only be shown as a message.
const MESSAGE_LINES: usize = 12;

/// Shows questions and answers to the client, and keeps the answers that it can fetch.
pub(super) struct Display {
    client: Client,
    to_client: ClientSender,
    /// Receives an event if the client does not open a document.
    session: SessionSender,
    documents: AnswerDocuments,
}

impl Display {
    pub(super) fn new(session: SessionSender, to_client: ClientSender) -> Self {
        Self { client: Client::default(), to_client, session, documents: AnswerDocuments::default() }
    }

    pub(super) fn set_client(&mut self, client: Client) {
        self.client = client;
    }

    /// Shows that a question is about to be submitted to a model, which is called `model` if it is loaded.
    pub(super) fn begin(&mut self, question: &Pending, model: Option<&str>) {
        let title = format!("phi-ls: {}", question.title);
        self.work(question, &json!({"kind": "begin", "title": title, "cancellable": false}));
        self.answer(question, model, AnswerParams::default());
        if let Plan::Explain(_) = question.plan {
            self.open_document(question, "");
        }
    }

    /// Shows the progress of an answer.
    pub(super) fn report(&self, question: &Pending, message: &str) {
        self.work(question, &json!({"kind": "report", "message": message}));
    }

    /// Shows that the answer continues with `delta`.
    pub(super) fn grow(&mut self, question: &Pending, delta: String, model: Option<&str>) {
        if let Some(uri) = self.documents.grow(question.number, &delta, Instant::now()) {
            self.to_client.send(Outgoing::RefreshAnswer(uri));
        }
        self.answer(question, model, AnswerParams { delta, ..AnswerParams::default() });
    }

    /// Shows how the question ended.
    pub(super) fn end(&mut self, question: &Pending, ending: &Ending, model: Option<&str>) {
        let Ending { text, reason, timings, .. } = ending;
        self.work(question, &json!({"kind": "end"}));
        let delta = match question.plan {
            Plan::Explain(_) => text.strip_prefix(question.streamed.as_str()).unwrap_or_default().to_owned(),
            Plan::Edit(..) | Plan::Commit(_) => String::new(),
        };
        let (whole, reason, timings) = ((!text.is_empty()).then(|| text.clone()), reason.as_deref(), *timings);
        let params = AnswerParams {
            delta,
            done: true,
            text: whole,
            reason: reason.map(str::to_owned),
            timings,
            ..Default::default()
        };
        self.answer(question, model, params);
        let is_document = self.end_document(question, text, reason);
        // A client that asks for a commit message inserts it by itself.
        let is_for_client = question.about.is_none();
        let shown_elsewhere = self.client.answers || is_document || is_for_client || text.is_empty();
        if let Some(reason) = reason {
            let text = if shown_elsewhere || self.client.show_document { "" } else { text };
            self.warn(&question.title, &format!("{reason}\n{}", first_lines(text)));
        }
        if !shown_elsewhere && (self.client.show_document || reason.is_none()) {
            let message = format!("{}\n{}", question.title, first_lines(text));
            let text = format!("{}\n", whole_text(&question.title, text));
            self.to_client.send(Outgoing::ShowText { text: self.client.show_document.then_some(text), message });
        }
    }

    /// Shows the end of a question that the client has cancelled.
    pub(super) fn cancel(&mut self, question: &Pending, model: Option<&str>) {
        self.work(question, &json!({"kind": "end"}));
        let reason = "cancelled";
        self.end_document(question, "", Some(reason));
        let reason = Some(reason.to_owned());
        self.answer(question, model, AnswerParams { done: true, reason, ..AnswerParams::default() });
    }

    /// Shows why the question with this `title` has no answer, or why the answer is not applied.
    pub(super) fn warn(&self, title: &str, reason: &str) {
        self.to_client.message(lsp::MessageType::Warning, &format!("{title}: {}", reason.trim_end()));
    }

    pub(super) fn inform(&self, message: &str) {
        self.to_client.message(lsp::MessageType::Info, message);
    }

    /// Sends an edit to the client, without waiting for its answer.
    pub(super) fn apply(&self, question: &Pending, edit: lsp::WorkspaceEdit) {
        self.to_client.send(Outgoing::ApplyEdit { label: question.title.clone(), edit });
    }

    /// Notes that the client could not open the document of question `number`. Its answer is shown when it is complete,
    /// as to clients without such documents.
    pub(super) fn document_not_opened(&mut self, number: u64, has_ended: bool) {
        let Some(text) = self.documents.refuse(number) else { return };
        if has_ended {
            let message = first_lines(&text);
            self.to_client.send(Outgoing::ShowText { text: Some(text), message });
        }
    }

    /// Replies with the text of the document `uri`.
    pub(super) fn document_text(&mut self, uri: &lsp::Uri, reply: oneshot::Sender<Result<String>>) {
        // If nobody receives this, the request has been cancelled in the meantime.
        let _ = reply.send(self.documents.text(uri));
    }

    /// Opens a document for the answer, which so far is `body`, if the client supports such documents.
    fn open_document(&mut self, question: &Pending, body: &str) -> bool {
        if !self.client.text_document_content || self.client.answers {
            return false;
        }
        let uri = self.documents.open(question.number, &question.title, body, Instant::now());
        let (question, session) = (question.number, self.session.clone());
        self.to_client.send(Outgoing::OpenAnswer { uri, question, session });
        true
    }

    /// Ends the answer, with `text`, or without any for `reason`. Returns whether the client shows it as a document.
    fn end_document(&mut self, question: &Pending, text: &str, reason: Option<&str>) -> bool {
        if !self.documents.has(question.number) {
            let is_to_open = !text.is_empty() && question.about.is_some();
            return is_to_open && self.open_document(question, &format!("{text}\n"));
        }
        let shown = self.documents.end(question.number, &question.title, text, reason);
        let is_shown = shown.is_some();
        if let Some(uri) = shown {
            self.to_client.send(Outgoing::RefreshAnswer(uri));
        }
        is_shown
    }

    /// Progress under the token that came with the request.
    fn work(&self, question: &Pending, value: &Value) {
        if let Some(token) = &question.request.params.work_done_progress_params.work_done_token {
            self.to_client.send(Outgoing::Work(lsp::ProgressParams { token: token.clone(), value: value.clone() }));
        }
    }

    /// Sends `phi-ls/answer` to clients that support it.
    fn answer(&self, question: &Pending, model: Option<&str>, params: AnswerParams) {
        if let Some(about) = question.about.as_ref().filter(|_| self.client.answers) {
            let (id, follows, uri) = (question.number, question.follows, about.uri.0.clone());
            let (title, model) = (question.title.clone(), model.unwrap_or_default().to_owned());
            self.to_client.send(Outgoing::Answer(AnswerParams { id, follows, uri, title, model, ..params }));
        }
    }
}

fn first_lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().take(MESSAGE_LINES + 1).collect();
    if lines.len() > MESSAGE_LINES {
        lines[MESSAGE_LINES] = "…";
    }
    lines.join("\n")
}
