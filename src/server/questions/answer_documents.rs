//! Answers as read-only documents, for clients that fetch a document's text from the server: opened when an answer
//! begins, and fetched again while it grows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tower_lsp_server::gen_lsp_types as lsp;
use tower_lsp_server::jsonrpc::{Error, Result};

use crate::lsp::{from_proto, to_proto};

/// How many answers can be fetched.
const KEPT: usize = 8;

/// How often a client is asked to fetch a growing answer again.
const REFRESH_EVERY: Duration = Duration::from_millis(250);

/// The last answers, oldest first.
#[derive(Default)]
pub(super) struct AnswerDocuments {
    kept: VecDeque<AnswerDocument>,
}

struct AnswerDocument {
    /// The number of the question.
    question: u64,
    uri: lsp::Uri,
    /// Markdown.
    text: String,
    /// When the client was last told that it can fetch more.
    told: Instant,
    /// Whether the client could not open it.
    refused: bool,
}

impl AnswerDocuments {
    /// Creates a document for the answer to `question` with this `title`, which so far is `body`.
    pub(super) fn open(&mut self, question: u64, title: &str, body: &str, now: Instant) -> lsp::Uri {
        let (uri, text) = (to_proto::answer_uri(question, title), whole_text(title, body));
        self.kept.push_back(AnswerDocument { question, uri: uri.clone(), text, told: now, refused: false });
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
        uri
    }

    pub(super) fn has(&self, question: u64) -> bool {
        self.kept.iter().any(|document| document.question == question)
    }

    /// Adds `delta`. Returns the document's URI if the client should fetch it at `now`.
    pub(super) fn grow(&mut self, question: u64, delta: &str, now: Instant) -> Option<lsp::Uri> {
        let document = self.find(question)?;
        document.grow(delta, now).then(|| document.uri.clone())
    }

    /// Ends the answer, with `text`, or without any for `reason`. Returns the document's URI if the client shows it.
    pub(super) fn end(&mut self, question: u64, title: &str, text: &str, reason: Option<&str>) -> Option<lsp::Uri> {
        let document = self.find(question)?;
        document.text = match text {
            "" => format!("{}\n\n{}\n", document.text.trim_end(), reason.unwrap_or_default()),
            text => format!("{}\n", whole_text(title, text)),
        };
        (!document.refused).then(|| document.uri.clone())
    }

    /// Notes that the client could not open the answer to `question`. Returns the text so far.
    pub(super) fn refuse(&mut self, question: u64) -> Option<String> {
        let document = self.find(question)?;
        document.refused = true;
        Some(document.text.clone())
    }

    /// The text of the document `uri`.
    ///
    /// # Errors
    /// If it is no longer kept.
    pub(super) fn text(&mut self, uri: &lsp::Uri) -> Result<String> {
        let document = from_proto::answer_number(uri).and_then(|question| self.find(question));
        let missing = || format!("expected one of the last {KEPT} answers, found {}; ask again", uri.0);
        document.map(|document| document.text.clone()).ok_or_else(|| Error::invalid_params(missing()))
    }

    fn find(&mut self, question: u64) -> Option<&mut AnswerDocument> {
        self.kept.iter_mut().find(|document| document.question == question)
    }
}

impl AnswerDocument {
    /// Adds `delta`. Returns whether the client should fetch the document at `now`.
    fn grow(&mut self, delta: &str, now: Instant) -> bool {
        self.text.push_str(delta);
        let due = !self.refused && now.duration_since(self.told) >= REFRESH_EVERY;
        if due {
            self.told = now;
        }
        due
    }
}

/// An answer with its title above it.
pub(super) fn whole_text(title: &str, body: &str) -> String {
    format!("# {}\n\n{body}", title.lines().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_of_growth_a_few_times_a_second() {
        let start = Instant::now();
        let mut document = AnswerDocument {
            question: 1,
            uri: "phi-ls-answer:/1".into(),
            text: String::new(),
            told: start,
            refused: false,
        };
        let told: Vec<bool> = (1..=6).map(|step| document.grow("x", start + REFRESH_EVERY * step / 3)).collect();
        assert_eq!(told, [false, false, true, false, false, true]);
        assert_eq!(document.text, "xxxxxx");
        document.refused = true;
        assert!(!document.grow("x", start + REFRESH_EVERY * 9));
    }
}
