//! How questions end: what is applied, what is shown, and who is told.

use serde_json::json;
use tower_lsp_server::jsonrpc::Error;

use super::Session;
use super::answers::whole_text;
use super::asks::Ask;
use super::documents::Document;
use crate::context::{Snapshot, read_neighbour};
use crate::features::answering::Plan;
use crate::features::edit::{self, Change};
use crate::features::question::NotAsked;
use crate::lsp::ask::{AnswerParams, Timings};
use crate::lsp::{actions, to_proto};
use crate::server::outgoing::Outgoing;
use crate::text::{Edit, LineEnding, Rope, with_line_feeds};

/// Lines of an answer that are shown as a message where nothing better is there.
const MESSAGE_LINES: usize = 12;

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

    /// An answer that is not applied, to be read as `text`.
    pub(super) fn rejected(text: String, reason: impl std::fmt::Display) -> Self {
        Self { text, ..Self::failed(format!("nothing is changed: {reason}")) }
    }
}

impl Session {
    /// Sends `change` to the client, which is not waited for.
    pub(super) fn apply(&self, ask: &Ask, change: &Change) -> std::result::Result<(), String> {
        let (Plan::Edit(plan), uri) = (&ask.plan, &ask.uri) else { return Err("this is to be read".to_owned()) };
        let document = self.documents.get(uri).ok_or("the document was closed meanwhile")?;
        let moved = |edits: &[Edit], target, before, now| {
            edit::rebased(edits, target, before, now)
                .ok_or("this code was edited while the answer was written; ask again")
        };
        if !self.client.apply_edit {
            return Err("this editor applies no edits of a language server".to_owned());
        }
        let line_ending = document.line_ending;
        let edit = match change {
            Change::Edits(edits) => {
                let Snapshot { text, version, .. } = &document.snapshot;
                let edits = moved(edits, &plan.target, &ask.snapshot.text, text)?;
                actions::document_edit((text, line_ending), uri, Some(*version), &edits, &ask.title, self.client)
            }
            Change::OtherFile { path, before, edits } => {
                let open = self.documents.iter().find(|(_, document)| document.file.as_ref() == Some(path));
                let (uri, now, version, line_ending) = match open {
                    Some((uri, Document { snapshot, line_ending, .. })) => {
                        (uri.clone(), snapshot.text.clone(), Some(snapshot.version), *line_ending)
                    }
                    None => {
                        let now = read_neighbour(path)?.ok_or("the file of tests is gone")?;
                        let line_ending = LineEnding::of(&now);
                        (to_proto::file_uri(path), Rope::from_str(&with_line_feeds(now)), None, line_ending)
                    }
                };
                let edits = moved(edits, &(0..0), before, &now)?;
                actions::document_edit((&now, line_ending), &uri, version, &edits, &ask.title, self.client)
            }
            Change::NewFile { path, text } => {
                if document.file.is_none() {
                    return Err(match uri.0.starts_with("untitled:") {
                        true => "save the document first: the new file goes beside it",
                        false => "the new file goes beside the document, which is no file on this machine",
                    }
                    .to_owned());
                }
                if !(self.client.create_files && self.client.document_changes) {
                    return Err("this editor creates no files for a language server".to_owned());
                }
                if path.exists() {
                    return Err(format!("{} exists already", path.display()));
                }
                actions::new_file(&to_proto::file_uri(path), text, line_ending)
            }
        };
        self.tell(Outgoing::ApplyEdit { label: ask.title.clone(), edit });
        Ok(())
    }

    /// Shows what came of a question and answers the request.
    pub(super) fn end_ask(&mut self, ask: Ask, ending: Ending) {
        self.tell_work(&ask, &json!({"kind": "end"}));
        let delta = ending.text.strip_prefix(ask.streamed.as_str()).unwrap_or_default().to_owned();
        let params = AnswerParams {
            delta: if matches!(ask.plan, Plan::Edit(_)) { String::new() } else { delta },
            done: true,
            text: (!ending.text.is_empty()).then(|| ending.text.clone()),
            reason: ending.reason.clone(),
            timings: ending.timings,
            ..AnswerParams::default()
        };
        self.tell_answer(&ask, params);
        let is_document = self.finish_answer(&ask, &ending.text, ending.reason.as_deref());
        let shown_elsewhere = self.client.answers || is_document || ending.text.is_empty();
        if let Some(reason) = &ending.reason {
            let text = if shown_elsewhere || self.client.show_document { "" } else { &ending.text };
            self.tell_warning(&ask.title, &format!("{reason}\n{}", first_lines(text)));
        }
        if !shown_elsewhere && (self.client.show_document || ending.reason.is_none()) {
            let title = ask.title.clone();
            let message = format!("{title}\n{}", first_lines(&ending.text));
            let text = format!("{}\n", whole_text(&title, &ending.text));
            self.tell(Outgoing::ShowText { text: self.client.show_document.then_some(text), message });
        }
        let result = json!({"applied": ending.applied, "text": ending.text, "reason": ending.reason});
        ask.request.answer(Ok(Some(result)));
        self.swap_back();
    }

    /// After the last question, a completion model that has made room takes its place again.
    pub(super) fn swap_back(&mut self) {
        if self.asks.is_empty() && self.resident.come_back() {
            self.assistant.slot.stop();
            self.load_if_wanted();
        }
    }

    /// The client has cancelled the question, which the library has answered.
    pub(super) fn abandon_ask(&mut self, number: u64) {
        if let Some(ask) = self.asks.remove(&number) {
            ask.request.cancel.cancel();
            self.tell_work(&ask, &json!({"kind": "end"}));
            let reason = Some("cancelled".to_owned());
            self.finish_answer(&ask, "", reason.as_deref());
            self.tell_answer(&ask, AnswerParams { done: true, reason, ..AnswerParams::default() });
            self.swap_back();
        }
    }

    /// Ends the questions about documents that are closed or have become excluded.
    pub(super) fn end_pointless_asks(&mut self) {
        self.forget_conversations();
        let pointless = |ask: &Ask| {
            let document = self.documents.get(&ask.uri).filter(|document| document.number == ask.document);
            match document {
                None => Some((ask.number, "the document was closed meanwhile".to_owned())),
                Some(document) => {
                    let refusal = document.refusal.clone()?;
                    Some((ask.number, NotAsked::Excluded(refusal).to_string()))
                }
            }
        };
        let ending: Vec<_> = self.asks.values().filter_map(pointless).collect();
        for (number, reason) in ending {
            if let Some(ask) = self.asks.remove(&number) {
                ask.request.cancel.cancel();
                self.end_ask(ask, Ending::failed(reason));
            }
        }
    }

    /// The client asks for nothing any more.
    pub(super) fn end_asks(&mut self) {
        for (_, ask) in self.asks.drain() {
            ask.request.cancel.cancel();
            ask.request.answer(Err(Error::request_cancelled()));
        }
    }
}

pub(super) fn first_lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().take(MESSAGE_LINES + 1).collect();
    if lines.len() > MESSAGE_LINES {
        lines[MESSAGE_LINES] = "…";
    }
    lines.join("\n")
}
