//! Questions from their arrival to their end: [`Questions::ask`] or [`Questions::follow_up`] plans,
//! [`Questions::begin`] chooses the model that answers, [`Questions::submit`] submits the job, [`Questions::goes_on`]
//! shows the answer as it grows, [`Questions::done`] determines the outcome, and [`Questions::end`] shows that and
//! answers the request.

mod answer_documents;
mod changes;
mod conversations;
mod display;
mod offers;
mod pending;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::oneshot;
use tower_lsp_server::gen_lsp_types as lsp;
use tower_lsp_server::jsonrpc::{self, Error};

use super::documents::{Document, Documents};
use super::engines::Engines;
use super::event::{CommandRequest, Event, Outcome, QuestionEvent, SessionSender};
use super::outgoing::ClientSender;
use crate::config::{AssistantSettings, Role, WhenItDoesNotFit};
use crate::context::Surroundings;
use crate::engine::{EngineError, Job, Priority};
use crate::features::answering::{self, Plan};
use crate::features::commit::{self, CommitPlan};
use crate::features::explain;
use crate::features::question::{AssistantOptions, NotAsked, Question};
use crate::lsp::actions;
use crate::lsp::ask::{AskArguments, FollowUpArguments};
use crate::lsp::from_proto::{self, Client};
use crate::workspace::{NotStaged, Staged, Workspaces};
use conversations::Conversations;
use display::Display;
pub(super) use offers::offers;
use pending::{Ending, Pending};

/// The title of a request for a commit message.
const COMMIT_TITLE: &str = "Commit message";

/// No document has this number.
const NO_DOCUMENT: u64 = 0;

/// All questions of a session.
pub(super) struct Questions {
    /// Receives the reports of the engines.
    session: SessionSender,
    client: Client,
    settings: AssistantSettings,
    /// The running questions, by the numbers of their requests.
    pending: HashMap<u64, Pending>,
    /// Requests for commit messages whose staged changes are being read.
    reading: HashMap<u64, CommandRequest>,
    conversations: Conversations,
    display: Display,
    /// The last reported reason why the completion model answers.
    fallback_told: Option<String>,
}

impl Questions {
    pub(super) fn new(session: SessionSender, to_client: ClientSender) -> Self {
        Self {
            session: session.clone(),
            client: Client::default(),
            settings: AssistantSettings::default(),
            pending: HashMap::new(),
            reading: HashMap::new(),
            conversations: Conversations::default(),
            display: Display::new(session, to_client),
            fallback_told: None,
        }
    }

    pub(super) fn set_client(&mut self, client: Client) {
        self.client = client;
        self.display.set_client(client);
    }

    pub(super) fn configure(&mut self, settings: &AssistantSettings) {
        self.settings = settings.clone();
    }

    pub(super) fn any_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Starts to answer the question in `arguments` about `document`, or reports why not.
    pub(super) fn ask(
        &mut self,
        request: CommandRequest,
        arguments: AskArguments,
        document: Option<&Document>,
        surroundings: &Surroundings,
        engines: &mut Engines,
    ) {
        let planned = document.ok_or_else(|| "the document is not open".to_owned());
        let planned = planned.and_then(|document| Ok((document, self.plan(&arguments, document, surroundings)?)));
        match planned {
            Ok((document, plan)) => {
                self.begin(Pending::new(arguments.title, Some(document), plan, request), engines);
            }
            Err(reason) => self.refuse(request, &arguments.title, &reason),
        }
    }

    /// The plan for the question in `arguments` about `document`.
    fn plan(&self, arguments: &AskArguments, document: &Document, surroundings: &Surroundings) -> Result<Plan, String> {
        let snapshot = &document.snapshot;
        if arguments.version.is_some_and(|version| version != snapshot.version) {
            return Err("the document has changed since this action was offered; choose it again".to_owned());
        }
        let encoding = self.client.encoding;
        let problem = match &arguments.diagnostic {
            None => None,
            Some(diagnostic) => {
                let problem = actions::diagnostic(&snapshot.text, diagnostic, encoding);
                Some(problem.ok_or("the problem is outside the document; choose the action again")?.problem)
            }
        };
        let question = Question {
            action: arguments.action,
            target: from_proto::range(&snapshot.text, &arguments.range, encoding),
            exact: arguments.exact,
            problem,
            instruction: arguments.instruction.clone(),
        };
        let options = AssistantOptions::new(&self.settings, document.refusal.clone());
        Plan::new(snapshot, surroundings, &question, &options).map_err(|reason| reason.to_string())
    }

    /// Starts to answer a follow-up question, or reports why not.
    pub(super) fn follow_up(
        &mut self,
        request: CommandRequest,
        arguments: &FollowUpArguments,
        documents: &Documents,
        engines: &mut Engines,
    ) {
        let Some(kept) = self.conversations.find(arguments.answer) else {
            let message = "this conversation is no longer available; ask about the code again";
            return request.answer(Err(Error::invalid_params(message)));
        };
        let Some(document) = kept.document(documents) else { return request.answer(Err(Error::internal_error())) };
        let options = AssistantOptions::new(&self.settings, document.refusal.clone());
        let title = arguments.question.trim().to_owned();
        match kept.conversation.follow_up(&title, &options) {
            Ok(plan) => {
                let question = Pending::new(title, Some(document), Plan::Explain(plan), request);
                let question = Pending { follows: Some(kept.answer), by: kept.by, ..question };
                self.begin(question, engines);
            }
            Err(reason @ NotAsked::NoQuestion) => request.answer(Err(Error::invalid_params(reason.to_string()))),
            Err(reason) => self.refuse(request, &title, &reason.to_string()),
        }
    }

    /// Starts to write a commit message for the repository around `path`. A separate thread reads the staged changes,
    /// because git may be slow.
    pub(super) fn write_commit(&mut self, request: CommandRequest, path: PathBuf, workspaces: Arc<Workspaces>) {
        let (number, session) = (request.number, self.session.clone());
        let read = move || {
            let event = QuestionEvent::Staged(workspaces.staged(&path));
            session.send(Event::Question { number, event });
        };
        match std::thread::Builder::new().name("staged".to_owned()).spawn(read) {
            Ok(_) => drop(self.reading.insert(number, request)),
            Err(error) => {
                self.refuse(request, COMMIT_TITLE, &format!("cannot start a thread to read what is staged: {error}"));
            }
        }
    }

    /// Continues a request for a commit message, whose staged changes have been read.
    fn commit(&mut self, number: u64, staged: Result<Staged, NotStaged>, engines: &mut Engines) {
        let Some(request) = self.reading.remove(&number) else { return };
        match staged {
            Ok(staged) => {
                let plan = commit::plan(&staged, &AssistantOptions::new(&self.settings, None));
                self.begin(Pending::new(COMMIT_TITLE.to_owned(), None, Plan::Commit(plan), request), engines);
            }
            Err(reason) => self.refuse(request, COMMIT_TITLE, &reason.to_string()),
        }
    }

    /// Reports why the question is not asked.
    fn refuse(&self, request: CommandRequest, title: &str, reason: &str) {
        self.display.warn(title, reason);
        request.answer(Ok(Some(json!({"applied": false, "reason": reason}))));
    }

    /// Chooses the model that answers, and submits the question.
    fn begin(&mut self, mut question: Pending, engines: &mut Engines) {
        match engines.answerer() {
            // The model that wrote the conversation has it in its cache.
            Ok(_) if question.follows.is_some() && question.by == Role::Completion => {}
            Ok(role) => question.by = role,
            Err(_) if self.settings.when_it_does_not_fit == WhenItDoesNotFit::Swap => {
                engines.swap();
                question.by = Role::Assistant;
            }
            Err(reason) if self.falls_back() => {
                self.tell_fallback(&reason);
                question.by = Role::Completion;
            }
            Err(reason) => return self.end(question, Ending::failed(reason), engines),
        }
        self.display.begin(&question, engines.model_name(question.by));
        self.submit(question, engines);
    }

    /// Whether the completion model answers questions that the assistant model cannot.
    fn falls_back(&self) -> bool {
        // With completions off, there may be no other model. If only a server is allowed to answer, no other model
        // does.
        self.settings.when_it_does_not_fit != WhenItDoesNotFit::Refuse && self.settings.backend.may_load_a_model()
    }

    /// Reports that the completion model answers, once per reason.
    fn tell_fallback(&mut self, reason: &str) {
        if self.fallback_told.as_deref() != Some(reason) {
            self.fallback_told = Some(reason.to_owned());
            self.display.inform(&format!("{reason}; until then, the completion model answers"));
        }
    }

    fn submit(&mut self, question: Pending, engines: &mut Engines) {
        let (number, by) = (question.number, question.by);
        let (text_sender, done_sender) = (self.session.clone(), self.session.clone());
        let job = Job {
            priority: Priority::Background,
            document: question.about.as_ref().map_or(NO_DOCUMENT, |about| about.document),
            prompt: question.plan.prompt().clone(),
            short_prompt: None,
            params: question.plan.params().clone(),
            cancel: question.request.cancel.clone(),
            on_text: Some(Box::new(move |piece| {
                text_sender.send(Event::Question { number, event: QuestionEvent::Text(piece.text) });
            })),
            on_done: Box::new(move |outcome| {
                done_sender.send(Event::Question { number, event: QuestionEvent::Done(outcome) });
            }),
        };
        self.pending.insert(number, question);
        engines.submit(by, job);
    }

    /// Handles an event of the question with this number.
    pub(super) fn on_event(&mut self, number: u64, event: QuestionEvent, documents: &Documents, engines: &mut Engines) {
        match event {
            QuestionEvent::Staged(staged) => self.commit(number, staged, engines),
            QuestionEvent::Text(text) => self.goes_on(number, &text, engines),
            QuestionEvent::Done(outcome) => self.done(number, outcome, documents, engines),
            QuestionEvent::NotOpened => {
                self.display.document_not_opened(number, !self.pending.contains_key(&number));
            }
        }
    }

    /// Adds text to the answer of a question.
    fn goes_on(&mut self, number: u64, text: &str, engines: &Engines) {
        let Some(question) = self.pending.get_mut(&number) else { return };
        question.written.push_str(text);
        match &question.plan {
            Plan::Explain(_) => {
                let safe = explain::finished_so_far(&question.written);
                let delta = safe.strip_prefix(question.streamed.as_str()).unwrap_or_default().to_owned();
                if !delta.is_empty() {
                    self.display.report(question, last_line(&safe));
                    self.display.grow(question, delta, engines.model_name(question.by));
                    question.streamed = safe;
                }
            }
            // Code that may still be rejected is not shown, only the progress.
            Plan::Edit(..) if text.contains('\n') => {
                self.display.report(question, &format!("{} lines", question.written.lines().count()));
            }
            Plan::Edit(..) => {}
            Plan::Commit(_) => self.display.report(question, last_line(&question.written)),
        }
    }

    /// Handles the end of a question's job.
    fn done(&mut self, number: u64, outcome: Outcome, documents: &Documents, engines: &mut Engines) {
        let Some(mut question) = self.pending.remove(&number) else { return };
        let generation = match outcome {
            Ok(generation) => generation,
            Err(EngineError::Unavailable(reason)) if question.by == Role::Assistant && self.falls_back() => {
                return self.fall_back(question, &reason, engines);
            }
            Err(error) => return self.end(question, Ending::failed(error.to_string()), engines),
        };
        self.conversations.keep(&question, &generation);
        let readable = generation.candidates.first().map(|answer| question.plan.readable(answer)).unwrap_or_default();
        if let Plan::Commit(CommitPlan { left_out: Some(left_out), .. }) = &question.plan {
            self.display.inform(left_out);
        }
        let ending = match question.plan.outcome(&generation) {
            answering::Outcome::NoAnswer => Ending::failed("the model gave no answer"),
            answering::Outcome::Text(text) => Ending::text(text),
            answering::Outcome::Rejected(reason) => Ending::rejected(readable, reason),
            answering::Outcome::Change(change) => {
                match changes::workspace_edit(&question, &change, documents, self.client) {
                    Ok(edit) => {
                        self.display.apply(&question, edit);
                        Ending::applied()
                    }
                    Err(reason) => Ending::rejected(readable, reason),
                }
            }
            answering::Outcome::AskAgain(plan, _) => {
                question.plan = *plan;
                question.written.clear();
                self.display.report(&question, "asking once more");
                return self.submit(question, engines);
            }
        };
        self.end(question, ending.after(&generation), engines);
    }

    /// Lets the completion model answer, since the assistant model cannot be loaded for `reason`.
    fn fall_back(&mut self, mut question: Pending, reason: &str, engines: &mut Engines) {
        self.tell_fallback(reason);
        // If no other question is pending, nothing needs the memory that the completion model may have freed.
        if self.pending.is_empty() {
            engines.swap_back();
        }
        question.by = Role::Completion;
        self.submit(question, engines);
    }

    /// Shows the outcome of a question and answers the request.
    fn end(&mut self, question: Pending, ending: Ending, engines: &Engines) {
        self.display.end(&question, &ending, engines.model_name(question.by));
        let result = json!({"applied": ending.applied, "text": ending.text, "reason": ending.reason});
        question.request.answer(Ok(Some(result)));
    }

    /// Ends a question that the client has cancelled and the library has answered.
    pub(super) fn abandon(&mut self, request: u64, engines: &Engines) {
        self.reading.remove(&request);
        if let Some(question) = self.pending.remove(&request) {
            question.request.cancel.cancel();
            self.display.cancel(&question, engines.model_name(question.by));
        }
    }

    /// Ends the questions about documents that are closed or have become excluded, and forgets the conversations.
    pub(super) fn end_pointless(&mut self, documents: &Documents, engines: &Engines) {
        self.conversations.forget_pointless(documents);
        let pointless = |question: &Pending| match question.about.as_ref()?.document(documents) {
            None => Some((question.number, "the document was closed in the meantime".to_owned())),
            Some(document) => {
                let refusal = document.refusal.clone()?;
                Some((question.number, NotAsked::Excluded(refusal).to_string()))
            }
        };
        let ending: Vec<_> = self.pending.values().filter_map(pointless).collect();
        for (number, reason) in ending {
            if let Some(question) = self.pending.remove(&number) {
                question.request.cancel.cancel();
                self.end(question, Ending::failed(reason), engines);
            }
        }
    }

    /// Ends all questions, since the client is shutting down.
    pub(super) fn end_all(&mut self) {
        let pending = self.pending.drain().map(|(_, question)| question.request);
        for request in pending.chain(self.reading.drain().map(|(_, request)| request)) {
            request.cancel.cancel();
            request.answer(Err(Error::request_cancelled()));
        }
    }

    /// Replies with the text of the document `uri`, which is an answer.
    pub(super) fn answer_text(&mut self, uri: &lsp::Uri, reply: oneshot::Sender<jsonrpc::Result<String>>) {
        self.display.document_text(uri, reply);
    }
}

fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default()
}
