//! Questions from the menu to the answer: what is offered, what is asked of which model, and what becomes of the answer.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower_lsp_server::gen_lsp_types as lsp;
use tower_lsp_server::jsonrpc::{Error, Result};

use super::answers::whole_text;
use super::assistant::Answerer;
use super::{CommandRequest, Event, Session};
use crate::context::Snapshot;
use crate::engine::{Candidate, EngineError, Generation, GenerationParams, Job, Priority, StopReason};
use crate::features::code_actions::{self, Diagnostic};
use crate::features::edit::{self, Change, EditPlan};
use crate::features::explain::{self, ExplainPlan};
use crate::features::question::{AssistantOptions, NotAsked, Question};
use crate::lsp::ask::{AnswerParams, AskArguments, Timings};
use crate::lsp::{actions, from_proto, to_proto};
use crate::model::Prompt;
use crate::prompt::fence;
use crate::server::outgoing::Outgoing;

/// Lines of an answer that are shown as a message where nothing better is there.
const MESSAGE_LINES: usize = 12;

/// A question under way.
pub(super) struct Ask {
    pub number: u64,
    /// [`super::documents::Document::number`] of the document it is about.
    pub document: u64,
    pub uri: lsp::Uri,
    /// How the question was put.
    pub title: String,
    /// The answer it follows.
    pub follows: Option<u64>,
    /// The document as it was asked about.
    snapshot: Snapshot,
    pub plan: Plan,
    request: CommandRequest,
    /// Who answers; before a question is handed over, who answered the one it follows.
    pub by: Answerer,
    /// It was asked once more, since the first answer could not be used.
    retried: bool,
    /// What the model has written so far, as it is.
    written: String,
    /// What of it the client has been sent, made safe.
    streamed: String,
}

pub(super) enum Plan {
    Explain(ExplainPlan),
    Edit(EditPlan),
}

impl Plan {
    pub(super) fn prompt(&self) -> &Prompt {
        match self {
            Self::Explain(plan) => &plan.prompt,
            Self::Edit(plan) => &plan.prompt,
        }
    }

    fn params(&self) -> &GenerationParams {
        match self {
            Self::Explain(plan) => &plan.params,
            Self::Edit(plan) => &plan.params,
        }
    }
}

impl Ask {
    /// A question by `request` that follows no other and that nobody has been asked yet.
    pub(super) fn new(
        title: String,
        (uri, document): (lsp::Uri, u64),
        snapshot: Snapshot,
        plan: Plan,
        request: CommandRequest,
    ) -> Self {
        Self {
            number: request.number,
            document,
            uri,
            title,
            follows: None,
            snapshot,
            plan,
            request,
            by: Answerer::Assistant,
            retried: false,
            written: String::new(),
            streamed: String::new(),
        }
    }
}

/// How a question ends.
#[derive(Default)]
struct Ending {
    /// Markdown to read, or empty.
    text: String,
    /// Why there is no answer or why it is not applied.
    reason: Option<String>,
    timings: Option<Timings>,
    applied: bool,
}

impl Ending {
    fn failed(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::default() }
    }
}

impl Session {
    /// The actions for a range, at once: no model is asked.
    pub(super) fn code_actions(
        &self,
        params: &lsp::CodeActionParams,
        reply: oneshot::Sender<Vec<lsp::CodeActionResponse>>,
    ) {
        // Cancelled meanwhile if nobody takes it.
        let _ = reply.send(self.offered(params).unwrap_or_default());
    }

    fn offered(&self, params: &lsp::CodeActionParams) -> Option<Vec<lsp::CodeActionResponse>> {
        let uri = &params.text_document.uri;
        let document = self.documents.get(uri)?;
        let excluded = NotAsked::Excluded.to_string();
        let disabled = document.excluded.then_some(excluded.as_str());
        if document.excluded && !(self.client.disabled_actions && self.client.code_action_literals) {
            return None;
        }
        let snapshot = &document.snapshot;
        let (text, encoding) = (&snapshot.text, self.client.encoding);
        let known = params.context.diagnostics.iter();
        let known = known.filter_map(|found| Some((found.clone(), actions::diagnostic(text, found, encoding)?)));
        let (found, diagnostics): (Vec<lsp::Diagnostic>, Vec<Diagnostic>) = known.unzip();
        let only: Vec<String> = params.context.only.iter().flatten().cloned().map(String::from).collect();
        let mut offers = code_actions::offers(snapshot, self.byte_range(snapshot, &params.range), &diagnostics);
        offers.retain(|offer| offer.action.kind().is_wanted(&only));
        Some(actions::code_actions(offers, snapshot, uri, &found, disabled, self.client))
    }

    fn byte_range(&self, snapshot: &Snapshot, range: &lsp::Range) -> Range<usize> {
        let offset = |position| from_proto::offset(&snapshot.text, position, self.client.encoding);
        let start = offset(range.start);
        start..offset(range.end).max(start)
    }

    /// Begins to answer a question, or says why not.
    pub(super) fn ask(&mut self, mut request: CommandRequest) {
        let arguments = match request.argument::<AskArguments>("a question") {
            Ok(arguments) => arguments,
            Err(error) => return request.answer(Err(error)),
        };
        match self.planned(&arguments) {
            Ok((document, snapshot, plan)) => {
                let place = (arguments.uri, document);
                self.begin_ask(Ask::new(arguments.title, place, snapshot, plan, request));
            }
            Err(reason) => {
                self.tell_warning(&arguments.title, &reason);
                request.answer(Ok(Some(json!({"applied": false, "reason": reason}))));
            }
        }
    }

    /// The document, as it is, and what to ask about it.
    fn planned(&self, arguments: &AskArguments) -> std::result::Result<(u64, Snapshot, Plan), String> {
        let document = self.documents.get(&arguments.uri).ok_or("the document is not open")?;
        let snapshot = &document.snapshot;
        if arguments.version.is_some_and(|version| version != snapshot.version) {
            return Err("the document has changed since this was offered; choose it again".to_owned());
        }
        let problem = match &arguments.diagnostic {
            None => None,
            Some(diagnostic) => {
                let problem = actions::diagnostic(&snapshot.text, diagnostic, self.client.encoding);
                Some(problem.ok_or("the problem is outside of the document; choose it again")?.problem)
            }
        };
        let question = Question {
            action: arguments.action,
            target: self.byte_range(snapshot, &arguments.range),
            exact: arguments.exact,
            problem,
            instruction: arguments.instruction.clone(),
        };
        let options = AssistantOptions::new(&self.settings.assistant, document.excluded);
        let surroundings = self.surroundings(&arguments.uri);
        let plan = match arguments.action.is_edit() {
            true => edit::plan(snapshot, &surroundings, &question, &options).map(Plan::Edit),
            false => explain::plan(snapshot, &surroundings, &question, &options).map(Plan::Explain),
        };
        self.refresh_stale();
        Ok((document.number, snapshot.clone(), plan.map_err(|reason| reason.to_string())?))
    }

    /// Chooses who answers and hands the question over.
    pub(super) fn begin_ask(&mut self, mut ask: Ask) {
        match self.assistant.answerer() {
            // The cache of what was said is where it was.
            Ok(_) if ask.follows.is_some() && ask.by == Answerer::Resident => {}
            Ok(answerer) => ask.by = answerer,
            Err(_) if self.assistant.swaps() => self.resident.make_room(),
            Err(reason) if self.assistant.falls_back() => {
                self.tell_fallback(&reason);
                ask.by = Answerer::Resident;
            }
            Err(reason) => return self.end_ask(ask, Ending::failed(reason)),
        }
        let title = format!("phi-ls: {}", ask.title);
        self.tell_work(&ask, &json!({"kind": "begin", "title": title, "cancellable": false}));
        self.tell_answer(&ask, AnswerParams::default());
        if let Plan::Explain(_) = ask.plan {
            self.open_answer(&ask, "");
        }
        self.submit_ask(ask);
    }

    fn submit_ask(&mut self, ask: Ask) {
        let (number, by) = (ask.number, ask.by);
        let (text_sender, done_sender) = (self.sender.clone(), self.sender.clone());
        let job = Job {
            priority: Priority::Background,
            document: ask.document,
            prompt: ask.plan.prompt().clone(),
            params: ask.plan.params().clone(),
            cancel: ask.request.cancel.clone(),
            on_text: Some(Box::new(move |text| {
                text_sender.send(Event::AskText { ask: number, text: text.to_owned() });
            })),
            on_done: Box::new(move |outcome| done_sender.send(Event::AskDone { ask: number, outcome })),
        };
        self.asks.insert(number, ask);
        match by {
            Answerer::Assistant => self.assistant.submit(job),
            Answerer::Resident => self.resident.submit(job),
        }
    }

    /// An answer grows.
    pub(super) fn ask_text(&mut self, number: u64, text: &str) {
        let Some(mut ask) = self.asks.remove(&number) else { return };
        ask.written.push_str(text);
        match &ask.plan {
            Plan::Explain(_) => {
                let safe = explain::finished_so_far(&ask.written);
                let delta = safe.strip_prefix(ask.streamed.as_str()).unwrap_or_default().to_owned();
                if !delta.is_empty() {
                    self.tell_work(&ask, &json!({"kind": "report", "message": last_line(&safe)}));
                    self.grow_answer(number, &delta);
                    self.tell_answer(&ask, AnswerParams { delta, ..AnswerParams::default() });
                    ask.streamed = safe;
                }
            }
            // Code that may yet be rejected is not shown; how far it is, is.
            Plan::Edit(_) if text.contains('\n') => {
                let message = format!("{} lines", ask.written.lines().count());
                self.tell_work(&ask, &json!({"kind": "report", "message": message}));
            }
            Plan::Edit(_) => {}
        }
        self.asks.insert(number, ask);
    }

    pub(super) fn ask_done(&mut self, number: u64, outcome: std::result::Result<Generation, EngineError>) {
        let Some(mut ask) = self.asks.remove(&number) else { return };
        let generation = match outcome {
            Ok(generation) => generation,
            Err(EngineError::Unavailable(reason)) if ask.by == Answerer::Assistant && self.assistant.falls_back() => {
                self.tell_fallback(&reason);
                self.swap_back();
                ask.by = Answerer::Resident;
                return self.submit_ask(ask);
            }
            Err(error) => return self.end_ask(ask, Ending::failed(error.to_string())),
        };
        self.conversations.keep(&ask, &generation);
        let timings = Some(Timings::from(&generation));
        let answer = generation.candidates.into_iter().next().filter(|answer| !answer.text.trim().is_empty());
        let Some(answer) = answer else {
            return self.end_ask(ask, Ending { timings, ..Ending::failed("the model gave no answer") });
        };
        match &ask.plan {
            Plan::Explain(plan) => {
                let mut text = explain::finish(&answer.text);
                text.push_str(&notes(plan, &answer));
                self.end_ask(ask, Ending { text, timings, ..Ending::default() });
            }
            Plan::Edit(plan) => match edit::finish(plan, &ask.snapshot, &answer) {
                Err(reason) if reason.is_retryable() && !ask.retried => {
                    ask.plan = Plan::Edit(edit::retry(plan, &answer.text, &reason));
                    ask.retried = true;
                    ask.written.clear();
                    self.tell_work(&ask, &json!({"kind": "report", "message": "asking once more"}));
                    self.submit_ask(ask);
                }
                Err(reason) => {
                    let ending = rejected(plan, &answer, reason.to_string());
                    self.end_ask(ask, Ending { timings, ..ending });
                }
                Ok(change) => {
                    let ending = match self.apply(&ask, plan, &change) {
                        Ok(()) => Ending { applied: true, ..Ending::default() },
                        Err(reason) => rejected(plan, &answer, reason),
                    };
                    self.end_ask(ask, Ending { timings, ..ending });
                }
            },
        }
    }

    /// Sends `change` to the client, which is not waited for.
    fn apply(&self, ask: &Ask, plan: &EditPlan, change: &Change) -> std::result::Result<(), String> {
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
                let file = document.file.as_ref().ok_or("save the document first: the new file goes beside it")?;
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
    fn end_ask(&mut self, ask: Ask, ending: Ending) {
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
    fn swap_back(&mut self) {
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

    pub(super) fn tell_warning(&self, title: &str, reason: &str) {
        let message = format!("phi-ls: {title}: {}", reason.trim_end());
        self.tell(Outgoing::Message(lsp::MessageType::Warning, message));
    }

    /// Says once per reason that the completion model answers.
    fn tell_fallback(&mut self, reason: &str) {
        if self.fallback_told.as_deref() != Some(reason) {
            self.fallback_told = Some(reason.to_owned());
            let message = format!("phi-ls: {reason}; until then the completion model answers");
            self.tell(Outgoing::Message(lsp::MessageType::Info, message));
        }
    }

    /// Progress under the token that came with the request.
    fn tell_work(&self, ask: &Ask, value: &Value) {
        if let Some(token) = &ask.request.params.work_done_progress_params.work_done_token {
            self.tell(Outgoing::Work(lsp::ProgressParams { token: token.clone(), value: value.clone() }));
        }
    }

    /// `phi-ls/answer`, for clients that know it.
    fn tell_answer(&self, ask: &Ask, params: AnswerParams) {
        if self.client.answers {
            let model = match ask.by {
                Answerer::Assistant => self.assistant.slot.loaded.clone(),
                Answerer::Resident => self.resident.slot.loaded.clone(),
            };
            let (id, follows, uri) = (ask.number, ask.follows, ask.uri.0.clone());
            let (title, model) = (ask.title.clone(), model.unwrap_or_default());
            self.tell(Outgoing::Answer(AnswerParams { id, follows, uri, title, model, ..params }));
        }
    }
}

impl CommandRequest {
    /// Its only argument, which is `expected`.
    pub(super) fn argument<T: DeserializeOwned>(&mut self, expected: &str) -> Result<T> {
        let first = self.params.arguments.take().and_then(|arguments| arguments.into_iter().next());
        serde_json::from_value(first.unwrap_or_default())
            .map_err(|error| Error::invalid_params(format!("expected {expected}: {error}")))
    }

    /// Answers it. A receiver that is gone has been cancelled and answered by the library.
    pub(super) fn answer(self, result: Result<Option<Value>>) {
        let _ = self.reply.send(result);
    }
}

/// What a person has to know of an answer that is read.
fn notes(plan: &ExplainPlan, answer: &Candidate) -> String {
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
fn rejected(plan: &EditPlan, answer: &Candidate, reason: String) -> Ending {
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

fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default()
}
