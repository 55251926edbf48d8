//! Answers as read-only documents, for clients that fetch a document's text from a server: opened when an answer begins,
//! fetched anew while it grows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tower_lsp_server::gen_lsp_types as lsp;
use tower_lsp_server::jsonrpc::{Error, Result};

use super::Session;
use super::asks::Ask;
use super::endings::first_lines;
use crate::lsp::{from_proto, to_proto};
use crate::server::outgoing::Outgoing;

/// How many answers can be fetched.
const KEPT: usize = 8;

/// How often a client is asked to fetch an answer that grows.
const REFRESH_EVERY: Duration = Duration::from_millis(250);

/// The last answers, oldest first.
#[derive(Default)]
pub(super) struct AnswerDocuments {
    kept: VecDeque<AnswerDocument>,
}

struct AnswerDocument {
    /// The number of the question.
    ask: u64,
    uri: lsp::Uri,
    /// Markdown.
    text: String,
    /// When the client was last told that there is something to fetch.
    told: Instant,
    /// The client could not open it.
    refused: bool,
}

impl AnswerDocuments {
    fn add(&mut self, document: AnswerDocument) {
        self.kept.push_back(document);
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    fn find(&mut self, ask: u64) -> Option<&mut AnswerDocument> {
        self.kept.iter_mut().find(|document| document.ask == ask)
    }
}

impl AnswerDocument {
    fn new(ask: &Ask, body: &str, now: Instant) -> Self {
        let uri = to_proto::answer_uri(ask.number, &ask.title);
        Self { ask: ask.number, uri, text: whole_text(&ask.title, body), told: now, refused: false }
    }

    /// Adds `delta`; true if the client is to be told at `now`.
    fn grow(&mut self, delta: &str, now: Instant) -> bool {
        self.text.push_str(delta);
        let due = !self.refused && now.duration_since(self.told) >= REFRESH_EVERY;
        if due {
            self.told = now;
        }
        due
    }
}

/// An answer with its title over it.
pub(super) fn whole_text(title: &str, body: &str) -> String {
    format!("# {}\n\n{body}", title.lines().next().unwrap_or_default())
}

impl Session {
    /// Opens a document for the answer to `ask`, which so far is `body`, where the client takes such documents.
    pub(super) fn open_answer(&mut self, ask: &Ask, body: &str) -> bool {
        if !self.client.text_document_content || self.client.answers {
            return false;
        }
        let document = AnswerDocument::new(ask, body, Instant::now());
        let (uri, session) = (document.uri.clone(), self.sender.clone());
        self.answers.add(document);
        self.tell(Outgoing::OpenAnswer { uri, ask: ask.number, session });
        true
    }

    /// The answer to question `ask` goes on with `delta`.
    pub(super) fn grow_answer(&mut self, ask: u64, delta: &str) {
        let Some(document) = self.answers.find(ask) else { return };
        if document.grow(delta, Instant::now()) {
            let uri = document.uri.clone();
            self.tell(Outgoing::RefreshAnswer(uri));
        }
    }

    /// The answer to `ask` has ended: with `text`, or without any, for `reason`. True if the client shows it as a document.
    pub(super) fn finish_answer(&mut self, ask: &Ask, text: &str, reason: Option<&str>) -> bool {
        let Some(document) = self.answers.find(ask.number) else {
            return !text.is_empty() && self.open_answer(ask, &format!("{text}\n"));
        };
        document.text = match text {
            "" => format!("{}\n\n{}\n", document.text.trim_end(), reason.unwrap_or_default()),
            text => format!("{}\n", whole_text(&ask.title, text)),
        };
        let (uri, refused) = (document.uri.clone(), document.refused);
        if !refused {
            self.tell(Outgoing::RefreshAnswer(uri));
        }
        !refused
    }

    /// The client could not open the document of question `ask`: its answer is shown at its end, as to any other client.
    pub(super) fn answer_refused(&mut self, ask: u64) {
        let has_ended = !self.asks.contains_key(&ask);
        let Some(document) = self.answers.find(ask) else { return };
        document.refused = true;
        if has_ended {
            let (text, message) = (document.text.clone(), first_lines(&document.text));
            self.tell(Outgoing::ShowText { text: Some(text), message });
        }
    }

    /// What the document `uri` holds.
    pub(super) fn answer_text(&mut self, uri: &lsp::Uri, reply: oneshot::Sender<Result<String>>) {
        let document = from_proto::answer_number(uri).and_then(|ask| self.answers.find(ask));
        let text = document.map(|document| document.text.clone());
        let missing = || format!("expected one of the last {KEPT} answers, found {}: ask again", uri.0);
        // Cancelled meanwhile if nobody takes it.
        let _ = reply.send(text.ok_or_else(|| Error::invalid_params(missing())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_of_growth_a_few_times_a_second() {
        let start = Instant::now();
        let mut document =
            AnswerDocument { ask: 1, uri: "phi-ls-answer:/1".into(), text: String::new(), told: start, refused: false };
        let told: Vec<bool> = (1..=6).map(|step| document.grow("x", start + REFRESH_EVERY * step / 3)).collect();
        assert_eq!(told, [false, false, true, false, false, true]);
        assert_eq!(document.text, "xxxxxx");
        document.refused = true;
        assert!(!document.grow("x", start + REFRESH_EVERY * 9));
    }
}
