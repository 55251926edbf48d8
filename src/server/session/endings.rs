//! How questions end: what is applied, what is shown, and who is told.

use serde_json::json;
use tower_lsp_server::jsonrpc::Error;

use super::Session;
use super::answers::whole_text;
use super::asks::{Ask, Plan};
use crate::context::Snapshot;
use crate::engine::{Candidate, StopReason};
use crate::features::edit::{self, Change, EditPlan};
use crate::features::explain::{self, ExplainPlan};
use crate::features::question::NotAsked;
use crate::lsp::ask::{AnswerParams, Timings};
use crate::lsp::{actions, to_proto};
use crate::prompt::fence;
use crate::server::outgoing::Outgoing;

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
}

impl Session {
    /// Sends `change` to the client, which is not waited for.
    pub(super) fn apply(&self, ask: &Ask, plan: &EditPlan, change: &Change) -> std::result::Result<(), String> {
        let uri = &ask.uri;
        let document = self.documents.get(uri).ok_or("the document was closed meanwhile")?;
        if !self.client.apply_edit {
            return Err("this editor applies no edits of a language server".to_owned());
        }
        let edit = match change {
            Change::Edits(edits) => {
                let Snapshot { text, version, .. } = &document.snapshot;
                let edits = edit::rebased(edits, &plan.target, &ask.snapshot.text, text)
                    .ok_or("this code was edited while the answer was written; ask again")?;
                actions::document_edit(text, uri, *version, &edits, &ask.title, self.client)
            }
            Change::NewFile { path, text } => {
                let name = path.file_name().ok_or("the new file has no name")?;
                let file = document.file.as_ref().ok_or(match uri.0.starts_with("untitled:") {
                    true => "save the document first: the new file goes beside it",
                    false => "the new file goes beside the document, which is no file on this machine",
                })?;
                let file = file.with_file_name(name);
                if !(self.client.create_files && self.client.document_changes) {
                    return Err("this editor creates no files for a language server".to_owned());
                }
                if file.exists() {
                    return Err(format!("{} exists already", name.display()));
                }
                actions::new_file(&to_proto::file_uri(&file), text)
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
        let open = |ask: &Ask| {
            let document = self.documents.get(&ask.uri).filter(|document| document.number == ask.document);
            document.map(|document| document.excluded)
        };
        let pointless = |ask: &Ask| match open(ask) {
            None => Some((ask.number, "the document was closed meanwhile".to_owned())),
            Some(true) => Some((ask.number, NotAsked::Excluded.to_string())),
            Some(false) => None,
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

/// What a person has to know of an answer that is read.
pub(super) fn notes(plan: &ExplainPlan, answer: &Candidate) -> String {
    let mut notes = String::new();
    if answer.stop_reason == StopReason::MaxTokens {
        notes.push_str("\n\n(The answer breaks off here: `assistant.maxTokens` allows no more.)");
    }
    if plan.cut {
        notes.push_str("\n\n(The code was too long to be shown to the model as a whole.)");
    }
    notes
}

/// An answer that is not applied, to be read.
pub(super) fn rejected(plan: &EditPlan, answer: &Candidate, reason: String) -> Ending {
    let text = if plan.fence.is_empty() {
        explain::finish(&answer.text)
    } else {
        // The prompt has opened the block that the answer goes on in.
        let fence = fence("", &answer.text);
        format!("{fence}\n{}\n{fence}", answer.text.trim_end())
    };
    Ending { text, ..Ending::failed(format!("nothing is changed: {reason}")) }
}

pub(super) fn first_lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().take(MESSAGE_LINES + 1).collect();
    if lines.len() > MESSAGE_LINES {
        lines[MESSAGE_LINES] = "…";
    }
    lines.join("\n")
}
