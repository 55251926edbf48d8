//! Completion requests from arrival to answer. A document has at most one generation running and at most one request
//! waiting for it; whatever an edit or a newer request makes pointless is answered with an empty list at once.

use std::time::{Duration, Instant};

use tower_lsp_server::gen_lsp_types as lsp;

use super::base::Base;
use super::documents::Document;
use super::planning;
use super::recall::{Completion, Recalled, agrees, typed_since};
use super::{Answer, CompletionRequest, Event, Session};
use crate::context::Snapshot;
use crate::engine::{CancelFlag, EngineError, Generation, Job, Priority};
use crate::features::inline_completion::{InlineItem, InlineRequest, Plan, Trigger, finish_all};
use crate::lsp::{from_proto, to_proto};
use crate::text::LineEnding;

/// How long a generation goes on whose request was cancelled: editors cancel at every key and ask again right after.
const KEPT_AFTER_CANCEL: Duration = Duration::from_millis(200);

/// How long a generation goes on that the typed text agrees with, until somebody asks again; clients wait up to 200 ms
/// after a key.
const KEPT_AFTER_EDIT: Duration = Duration::from_millis(600);

/// A generation under way.
pub(super) struct Running {
    job: u64,
    cancel: CancelFlag,
    plan: Plan,
    /// The document as it was planned for.
    snapshot: Snapshot,
    /// Its text beside the document as it is.
    pub base: Base,
    trigger: Trigger,
    /// What the model has written so far.
    produced: String,
    /// Where the cursor was last seen in the document as it is now.
    cursor: usize,
    /// The request that waits for it, asked at `cursor` of the document as it is now.
    waiting: Option<CompletionRequest>,
    /// When to give up, unless somebody waits again.
    pub kept_until: Option<Instant>,
}

impl Running {
    /// Ends it; who waits is answered with an empty list.
    pub(super) fn give_up(mut self) {
        self.dismiss();
        self.cancel.cancel();
    }

    /// Answers who waits with an empty list; the generation goes on.
    fn dismiss(&mut self) {
        if let Some(request) = self.waiting.take() {
            request.answer.nothing();
        }
    }

    /// Whether what it writes is still what is wanted at `cursor` of `snapshot`.
    fn fits(&mut self, snapshot: &Snapshot, cursor: usize) -> bool {
        let typed = typed_since(&mut self.base, self.plan.offset, &snapshot.text, cursor);
        typed.is_some_and(|typed| agrees(&self.produced, &typed))
    }

    /// Whether it writes what `request` asks for, if it is at the right place.
    fn serves(&self, request: &CompletionRequest) -> bool {
        // Alternatives and what the suggest widget has selected are wishes of their own.
        request.selected.is_none() && (request.trigger == Trigger::Automatic || self.trigger == request.trigger)
    }
}

impl Document {
    /// After an edit that left the cursor at one of `cursors`: who waits asked about an older text, and the generation
    /// is kept only while what was typed agrees with it.
    pub(super) fn running_after_edit(&mut self, cursors: &[usize]) {
        let Some(mut running) = self.running.take() else { return };
        running.dismiss();
        match cursors.iter().find(|cursor| running.fits(&self.snapshot, **cursor)) {
            Some(&cursor) => {
                running.cursor = cursor;
                running.kept_until = Some(Instant::now() + KEPT_AFTER_EDIT);
                self.running = Some(running);
            }
            None => running.give_up(),
        }
    }
}

impl Session {
    /// Answers a request from memory, lets it wait for the generation that runs, or begins one.
    pub(super) fn complete(&mut self, request: CompletionRequest) {
        if request.cancel.is_cancelled() {
            return;
        }
        let superseded = self.is_superseded(&request.uri);
        if request.trigger == Trigger::Invoked {
            // Who asks by hand may just have changed what keeps the file out.
            self.look_at(&request.uri);
        }
        self.update_cells(&request.uri);
        let Some(document) = self.documents.get_mut(&request.uri) else {
            tracing::debug!(uri = request.uri.0, "a completion was asked for a document that is not open");
            return request.answer.nothing();
        };
        if document.off {
            tracing::debug!(uri = request.uri.0, "a completion was asked where they are off");
            return request.answer.nothing();
        }
        document.warm_up_at = None;
        // The older request is answered before the newer one can be.
        if let Some(running) = &mut document.running {
            running.dismiss();
        }
        if superseded {
            return request.answer.nothing();
        }
        let cursor = from_proto::offset(&document.snapshot.text, request.position, self.client.encoding);
        if request.selected.is_none() {
            match document.recall.recall(&document.snapshot.text, cursor, request.trigger) {
                Recalled::Items { id, items } => return self.answer(request, cursor, id, &items),
                Recalled::Nothing => return request.answer.nothing(),
                Recalled::Unknown => {}
            }
        }
        let mut running = document.running.take();
        let serves = |running: &mut Running| running.serves(&request) && running.fits(&document.snapshot, cursor);
        let serves = running.as_mut().is_some_and(serves);
        match running {
            Some(mut running) if serves => {
                running.cursor = cursor;
                running.kept_until = None;
                running.waiting = Some(request);
                document.running = Some(running);
            }
            unfit => {
                if let Some(running) = unfit {
                    running.give_up();
                }
                self.begin(request, cursor);
            }
        }
    }

    /// Answers `request` with the `items` of completion `id`, made for `cursor` of the document as it is now.
    fn answer(&mut self, request: CompletionRequest, cursor: usize, id: u64, items: &[InlineItem]) {
        let Some(document) = self.documents.get(&request.uri) else { return request.answer.nothing() };
        let Snapshot { text, language_id, .. } = &document.snapshot;
        let (encoding, own) = (self.client.encoding, document.line_ending);
        let taken = match request.answer {
            Answer::Inline(reply) => {
                let line_ending = if self.client.keeps_carriage_returns { LineEnding::Lf } else { own };
                reply.send(to_proto::inline_items(text, items, id, encoding, line_ending)).is_ok()
            }
            Answer::Popup(reply) => {
                reply.send(to_proto::completion_list(text, cursor, items, id, encoding, own, language_id)).is_ok()
            }
        };
        // A receiver that is gone has been cancelled and answered by the library: nothing is on screen.
        if let (true, Some(item)) = (taken, items.first())
            && self.shown_in_vain.shown(id)
        {
            self.prepare_next(&request.uri, item);
        }
    }

    /// Whether a message that has already come makes an answer for `uri` pointless: a newer request or an edit.
    fn is_superseded(&self, uri: &lsp::Uri) -> bool {
        self.backlog.iter().any(|event| match event {
            Event::Complete(newer) => newer.uri == *uri,
            Event::Change(change) => change.text_document.text_document_identifier.uri == *uri,
            Event::Close(closed) => closed == uri,
            _ => false,
        })
    }

    /// Begins a generation for `request` at `cursor`. No other runs for the document.
    fn begin(&mut self, request: CompletionRequest, cursor: usize) {
        let Some(document) = self.documents.get_mut(&request.uri) else { return request.answer.nothing() };
        let text = &document.snapshot.text;
        let selected = request.selected.as_ref().map(|selected| {
            let offset = |position| from_proto::offset(text, position, self.client.encoding);
            (offset(selected.range.start)..offset(selected.range.end), selected.text.clone())
        });
        let inline = InlineRequest { offset: cursor, trigger: request.trigger, selected };
        let plan = match planning::plan(document, inline, &self.settings.completion) {
            Ok(plan) => plan,
            Err(skip) => {
                tracing::debug!(?skip, "nothing to complete");
                if request.trigger == Trigger::Invoked {
                    self.tell_skip(&request.uri, skip);
                }
                return request.answer.nothing();
            }
        };
        let (job, cancel) = (self.numbers.next(), CancelFlag::default());
        document.running = Some(Running {
            job,
            cancel: cancel.clone(),
            plan: plan.clone(),
            snapshot: document.snapshot.clone(),
            base: Base::new(document.snapshot.text.clone()),
            trigger: request.trigger,
            produced: String::new(),
            cursor,
            waiting: Some(request),
            kept_until: None,
        });
        let document = document.number;
        let (text_sender, done_sender) = (self.sender.clone(), self.sender.clone());
        self.resident.submit(Job {
            priority: Priority::Interactive,
            document,
            prompt: plan.prompt,
            params: plan.params,
            cancel,
            on_text: Some(Box::new(move |text| {
                text_sender.send(Event::JobText { document, job, text: text.to_owned() });
            })),
            on_done: Box::new(move |outcome| done_sender.send(Event::JobDone { document, job, outcome })),
        });
    }

    /// The document that waits for `job`.
    fn document_of(&mut self, document: u64, job: u64) -> Option<&mut Document> {
        let document = self.documents.values_mut().find(|open| open.number == document)?;
        document.running.as_ref().is_some_and(|running| running.job == job).then_some(document)
    }

    /// A generation goes on; if it now disagrees with what was typed meanwhile, it ends and a new one begins.
    pub(super) fn job_text(&mut self, document: u64, job: u64, text: &str) {
        let Some(document) = self.document_of(document, job) else { return };
        let Some(mut running) = document.running.take() else { return };
        running.produced.push_str(text);
        if running.fits(&document.snapshot, running.cursor) {
            document.running = Some(running);
            return;
        }
        let (waiting, cursor) = (running.waiting.take(), running.cursor);
        running.give_up();
        if let Some(request) = waiting {
            self.begin(request, cursor);
        }
    }

    pub(super) fn job_done(&mut self, document: u64, job: u64, outcome: Result<Generation, EngineError>) {
        let id = self.numbers.next();
        if let (Some(observer), Ok(generation)) = (&self.observer, &outcome) {
            observer.completion(generation);
        }
        let Some(document) = self.document_of(document, job) else { return };
        let Some(mut running) = document.running.take() else { return };
        let generation = match outcome {
            Ok(generation) => generation,
            Err(error) => {
                tracing::debug!("no completion: {error}");
                return running.dismiss();
            }
        };
        let items = finish_all(&running.plan, &running.snapshot, &generation.candidates);
        log_completion(&generation, items.len());
        let waiting = running.waiting.take();
        let (base, offset) = (running.base, running.plan.offset);
        let at_base = running.cursor == offset && document.snapshot.version == running.snapshot.version;
        document.recall.remember(Completion { id, base, offset, trigger: running.trigger, items: items.clone() });
        let Some(request) = waiting else { return };
        if at_base {
            document.recall.mark_shown(id);
            return self.answer(request, offset, id, &items);
        }
        match document.recall.recall(&document.snapshot.text, running.cursor, request.trigger) {
            Recalled::Items { id, items } => self.answer(request, running.cursor, id, &items),
            Recalled::Nothing => request.answer.nothing(),
            // Everything it says is typed already.
            Recalled::Unknown => self.begin(request, running.cursor),
        }
    }

    /// The client has cancelled a request, which the library has answered.
    pub(super) fn abandon(&mut self, request: u64) {
        let running = self.documents.values_mut().filter_map(|document| document.running.as_mut());
        for running in running {
            if running.waiting.as_ref().is_some_and(|waiting| waiting.number == request) {
                running.waiting = None;
                running.kept_until = Some(Instant::now() + KEPT_AFTER_CANCEL);
            }
        }
    }

    /// When [`Session::handle_due`] has something to do next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let kept = |document: &Document| document.running.as_ref().and_then(|running| running.kept_until);
        let warm_up = |document: &Document| document.warm_up_at.map(|(at, _)| at);
        let parse = |document: &Document| document.parse_later.due_at();
        self.documents
            .values()
            .flat_map(|document| [kept(document), warm_up(document), parse(document)])
            .flatten()
            .min()
    }

    /// Gives up generations nobody came back for, parses what was too much to parse at a key, and begins prefills nobody
    /// has asked for yet.
    pub(super) fn handle_due(&mut self, now: Instant) {
        for document in self.documents.values_mut() {
            document.parse_if_due(now);
            if let Some(running) = document.running.take_if(|running| running.kept_until.is_some_and(|at| at <= now)) {
                running.give_up();
            }
            if let Some((_, cursor)) = document.warm_up_at.take_if(|(at, _)| *at <= now)
                && document.running.is_none()
                && !document.recall.knows(&document.snapshot.text, cursor)
                && let Some(job) = planning::warm_up(document, cursor, &self.settings.completion)
            {
                self.resident.submit(job);
            }
        }
    }
}

fn log_completion(generation: &Generation, items: usize) {
    tracing::debug!(
        items,
        prompt_tokens = generation.prompt_tokens,
        cached_tokens = generation.cached_tokens,
        generated_tokens = generation.generated_tokens,
        ttft_ms = generation.time_to_first_token.as_millis() as u64,
        total_ms = generation.total.as_millis() as u64,
        "completion done"
    );
}
