//! Questions on their way: what is asked of which model, and the answer as it grows.

use serde_json::{Value, json};
use tower_lsp_server::gen_lsp_types as lsp;

use super::assistant::Answerer;
use super::endings::Ending;
use super::{CommandRequest, Event, Session};
use crate::context::Snapshot;
use crate::engine::{EngineError, Generation, Job, Priority};
use crate::features::answering::{Outcome, Plan};
use crate::features::explain;
use crate::features::question::{AssistantOptions, Question};
use crate::lsp::actions;
use crate::lsp::ask::{AnswerParams, AskArguments, Timings};
use crate::server::outgoing::Outgoing;

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
    pub snapshot: Snapshot,
    pub plan: Plan,
    pub request: CommandRequest,
    /// Who answers; before a question is handed over, who answered the one it follows.
    pub by: Answerer,
    /// What the model has written so far, as it is.
    written: String,
    /// What of it the client has been sent, made safe.
    pub streamed: String,
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
            written: String::new(),
            streamed: String::new(),
        }
    }
}

impl Session {
    /// Begins to answer a question, or says why not.
    pub(super) fn ask(&mut self, mut request: CommandRequest) {
        let arguments = match request.argument::<AskArguments>("a question") {
            Ok(arguments) => arguments,
            Err(error) => return request.answer(Err(error)),
        };
        // Who asks may just have changed what keeps the file out.
        self.look_at(&arguments.uri);
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
        let options = AssistantOptions::new(&self.settings.assistant, document.refusal.clone());
        let plan = Plan::new(snapshot, &self.surroundings(&arguments.uri), &question, &options);
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
        let readable = generation.candidates.first().map(|answer| ask.plan.readable(answer)).unwrap_or_default();
        let ending = match ask.plan.outcome(&ask.snapshot, &generation) {
            Outcome::NoAnswer => Ending::failed("the model gave no answer"),
            Outcome::Text(text) => Ending { text, ..Ending::default() },
            Outcome::Rejected(reason) => Ending::rejected(readable, reason),
            Outcome::Change(change) => match self.apply(&ask, &change) {
                Ok(()) => Ending { applied: true, ..Ending::default() },
                Err(reason) => Ending::rejected(readable, reason),
            },
            Outcome::AskAgain(plan, _) => {
                ask.plan = *plan;
                ask.written.clear();
                self.tell_work(&ask, &json!({"kind": "report", "message": "asking once more"}));
                return self.submit_ask(ask);
            }
        };
        self.end_ask(ask, Ending { timings, ..ending });
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
    pub(super) fn tell_work(&self, ask: &Ask, value: &Value) {
        if let Some(token) = &ask.request.params.work_done_progress_params.work_done_token {
            self.tell(Outgoing::Work(lsp::ProgressParams { token: token.clone(), value: value.clone() }));
        }
    }

    /// `phi-ls/answer`, for clients that know it.
    pub(super) fn tell_answer(&self, ask: &Ask, params: AnswerParams) {
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

fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default()
}
