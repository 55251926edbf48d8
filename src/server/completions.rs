//! Completion requests from arrival to answer. A document has at most one running generation and at most one request
//! waiting for it, or two if the client shows both ghost text and a popup. A request that an edit or a newer request
//! makes pointless is answered with an empty list at once.
//!
//! A client that can show a completion while it is written gets an answer as soon as there is something to read, is
//! notified when there is more, and asks again. Any other client gets the whole completion, or what is written when its
//! time is over, and the rest when it asks again. Either way, the text on the screen only grows.

mod base;
mod document_state;
mod fate;
mod kept_windows;
mod next;
mod planning;
mod power;
mod readings;
mod recall;
mod rhythm;
mod running;
mod status;
mod visit;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::documents::{Document, Documents};
use super::engines::{CompletionEngine, KEPT_IN_A_MINUTE};
use super::event::{Answer, CompletionEvent, CompletionRequest, Event, Outcome, SessionSender};
use super::options::{Observer, ServerOptions};
use super::outgoing::{ClientSender, Outgoing};
use crate::config::{CompletionSettings, Effort, Enabled};
use crate::context::Snapshot;
use crate::engine::{CancelFlag, EngineError, Generation, GenerationParams, Job, Priority, TextPiece};
use crate::features::inline_completion::{Growth, InlineItem, InlineRequest, Trigger, Variation, finish_all, signals};
use crate::lsp::from_proto::{self, Client};
use crate::lsp::growth::CompletionGrewParams;
use crate::lsp::reports::Item;
use crate::lsp::to_proto;
use crate::syntax::names_of;
use crate::text::{LineEnding, line_content};
use crate::workspace::last_line_of_first_change;
use base::Base;
use document_state::{Delayed, DocumentState};
use fate::{Fates, Shown};
use kept_windows::KeptWindows;
use next::{Next, ShownInVain};
use planning::Means;
use power::Power;
use readings::Readings;
use recall::{Completion, Recalled, likely_cursors};
use rhythm::Rhythm;
use running::Running;
use visit::{Visit, VisitedPlace};

/// After an edit without a request, the prompt is prefilled if nothing else happens for this long. Clients that ask at
/// every key do so within about 50 ms.
const WARM_UP_AFTER: Duration = Duration::from_millis(80);

/// If nothing happens for this long after an answer, a new window is placed if other files now have more to contribute
/// or if the window would have to move soon, but only if the model can read it within this many seconds.
const SETTLE_AFTER: Duration = Duration::from_secs(3);
const SETTLE_SECONDS: f64 = 5.0;

/// How long to wait before trying again to read a place that the engine refused to read.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// All completions of a session.
pub(super) struct Completions {
    /// Receives the reports of the engine.
    session: SessionSender,
    to_client: ClientSender,
    observer: Option<Arc<dyn Observer>>,
    client: Client,
    /// `effort` is the one that applies at the moment.
    settings: CompletionSettings,
    wished_effort: Effort,
    power: Power,
    readings: Readings,
    /// The states of open documents, by document number.
    states: HashMap<u64, DocumentState>,
    /// The last number given to a job, which is also the number of its completion.
    last_number: u64,
    shown_in_vain: ShownInVain,
    rhythm: Rhythm,
    fates: Fates,
    kept_windows: KeptWindows,
    /// The place where somebody may write next.
    visit: Option<Visit>,
    /// What a measurement changes in prompts.
    variation: Variation,
}

impl Completions {
    /// Creates the state of a session. Of `options`, it uses the folders and the power supplies.
    pub(super) fn new(session: SessionSender, to_client: ClientSender, options: &ServerOptions) -> Self {
        let settings = CompletionSettings::default();
        let kept_windows = KeptWindows::new(options.kept.clone(), options.minute / KEPT_IN_A_MINUTE);
        Self {
            session,
            to_client,
            observer: options.observer.clone(),
            client: Client::default(),
            readings: kept_windows.readings(model_of(&settings)).unwrap_or_default(),
            wished_effort: settings.effort,
            settings,
            power: Power::new(options.power_supplies.clone()),
            states: HashMap::new(),
            last_number: 0,
            shown_in_vain: ShownInVain::default(),
            rhythm: Rhythm::default(),
            fates: Fates::new(options.statistics.clone()),
            kept_windows,
            visit: None,
            variation: options.variation,
        }
    }

    pub(super) fn set_client(&mut self, client: Client) {
        self.client = client;
    }

    /// Applies new settings; completions made with the old ones are dropped.
    pub(super) fn configure(&mut self, settings: &CompletionSettings) {
        self.kept_windows.set_enabled(settings.kept_prefixes_mib > 0);
        let (known, model) = (model_of(&self.settings), model_of(settings));
        if model != known {
            self.readings = self.kept_windows.readings(model).unwrap_or_default();
        }
        self.settings = settings.clone();
        self.wished_effort = settings.effort;
        self.settings.effort = self.power.effort(settings.effort, Instant::now());
        self.fates.configure(settings.statistics, model);
        self.states.values_mut().for_each(|state| {
            state.cancel_jobs();
            state.recall.clear();
        });
    }

    /// Prepares for completions in `document`, which was opened. Its window is placed as in the last session, if all
    /// other files in it are `allowed`. The person may write next at the cursor of that session, where it was `edited`
    /// last, or at the last change according to git.
    pub(super) fn opened(&mut self, document: &Document, edited: Option<usize>, allowed: impl Fn(&Path) -> bool) {
        let state = self.states.entry(document.number).or_default();
        if !document.is_excluded() && !state.anchor.is_placed() {
            let allowed = |file: &Path| self.settings.other_files && allowed(file);
            if let Some((anchor, cursor)) = self.kept_windows.window(document, allowed) {
                // The model has kept in files what it read.
                (state.anchor, state.is_cold) = (anchor, true);
                return self.visit(document, VisitedPlace::Offset(cursor));
            }
        }
        let changed = || document.file.clone().map(VisitedPlace::Changed);
        if let Some(place) = edited.map(VisitedPlace::Offset).or_else(changed) {
            self.visit(document, place);
        }
    }

    /// Notes that the cursor is at `offset` of `document`, or that the document was changed there: the person may write
    /// there.
    pub(super) fn visited(&mut self, document: &Document, offset: usize) {
        self.visit(document, VisitedPlace::Offset(offset));
    }

    fn visit(&mut self, document: &Document, place: VisitedPlace) {
        let is_off = self.states.get(&document.number).is_some_and(|state| state.off);
        if enabled(document, is_off, &self.settings) == Enabled::On && self.settings.effort != Effort::Eco {
            self.visit = Some(Visit::new(document.number, place));
        }
    }

    /// Keeps the windows of `documents` for the next session.
    fn keep_windows<'a>(&mut self, documents: impl Iterator<Item = &'a Document>) {
        for document in documents {
            self.keep_window(document);
        }
        self.kept_windows.keep_readings(model_of(&self.settings), &self.readings);
    }

    /// Keeps the window of `document` for the next session.
    pub(super) fn keep_window(&mut self, document: &Document) {
        let Some(state) = self.states.get_mut(&document.number) else { return };
        let as_it_is = (document.snapshot.version, state.anchor.moves());
        if state.kept_as.replace(as_it_is) != Some(as_it_is) {
            self.kept_windows.keep(document, &state.anchor, state.cursor);
        }
    }

    /// Whether `document` gets completions.
    pub(super) fn enabled(&self, document: &Document) -> Enabled {
        let is_off = self.states.get(&document.number).is_some_and(|state| state.off);
        enabled(document, is_off, &self.settings)
    }

    /// Turns completions off or on in `document`. While they are off, nothing is computed.
    pub(super) fn set_enabled(&mut self, document: &Document, enabled: bool) {
        let state = self.states.entry(document.number).or_default();
        state.off = !enabled;
        if !enabled {
            state.cancel_jobs();
        }
    }

    /// Notes that `document` may now enter a prompt, or may not any more.
    pub(super) fn refusal_changed(&mut self, document: &Document) {
        let state = self.states.entry(document.number).or_default();
        state.cancel_jobs();
        state.recall.clear();
        if document.is_excluded() {
            self.kept_windows.forget(document);
        }
    }

    /// Drops the windows of all prompts, because they may contain code of files that must not be read any more.
    pub(super) fn forget_windows(&mut self) {
        self.states.values_mut().for_each(|state| (state.anchor, state.visited) = Default::default());
    }

    /// Tells a client that can show it why there are no completions in `document`, whenever that changes.
    pub(super) fn tell_status(&mut self, document: &Document) {
        let state = self.states.entry(document.number).or_default();
        let status = state.new_status(document, &self.settings).filter(|_| self.client.document_status);
        if let Some(status) = status {
            self.to_client.send(Outgoing::DocumentStatus(status));
        }
    }

    /// Notes that in the document with this number, which was `len` bytes long, `inserted` bytes replace `range`.
    pub(super) fn note_edit(&mut self, document: u64, range: &Range<usize>, len: usize, inserted: usize) {
        self.fates.edited(document, range, inserted);
        if let Some(state) = self.states.get_mut(&document) {
            state.edited(range, len);
        }
    }

    /// Notes that `document` was edited. The last of the edits inserted `inserted` bytes before `end`.
    pub(super) fn edited(&mut self, document: &Document, end: usize, inserted: usize) {
        self.kept_windows.note();
        if inserted > 0 {
            self.fates.typed(&document.snapshot.language_id, Instant::now());
            self.rhythm.typed(Instant::now());
        }
        let text = &document.snapshot.text;
        let state = self.states.entry(document.number).or_default();
        let cursors = likely_cursors(text, end, inserted);
        if inserted > 0 {
            if state.recall.note_inserted(text, &cursors, inserted) {
                state.cancel_next();
            } else if inserted == 1 && state.recall.knows(text, cursors[0]) {
                self.shown_in_vain.typed_along();
            }
            // If several characters were inserted at once and a completion continues after them, a word or a line of it
            // was accepted.
            if inserted > 1 && state.recall.knows(text, cursors[0]) {
                self.shown_in_vain.accepted();
                let part = text.byte_slice(end - inserted..end);
                self.fates.saw_part(document.number, part.len_chars());
            }
            // If completions are offered only on request, nothing is computed in advance.
            let is_wanted = enabled(document, state.off, &self.settings) == Enabled::On;
            if is_wanted && self.settings.effort != Effort::Eco {
                state.warm_up_at = Some((Instant::now() + WARM_UP_AFTER, cursors[0]));
            }
        }
        state.settle_at = None;
        state.dismiss_delayed();
        state.cursor = cursors[0];
        self.visit.take_if(|visit| visit.document == document.number);
        state.keep_running_if_fit(text, &cursors);
    }

    /// Forgets the document with this number, which was closed.
    pub(super) fn close(&mut self, document: u64) {
        self.fates.closed(document);
        if let Some(mut closed) = self.states.remove(&document) {
            closed.cancel_jobs();
        }
    }

    /// Answers a request for `document` from memory, lets it wait for the running generation, or starts one. The
    /// request is `superseded` if a message that has already arrived makes its answer pointless.
    pub(super) fn complete(
        &mut self,
        request: CompletionRequest,
        document: &Document,
        superseded: bool,
        engine: &mut CompletionEngine,
    ) {
        let text = &document.snapshot.text;
        let state = self.states.entry(document.number).or_default();
        let is_popup = request.answer.is_popup();
        if state.off || (is_popup && !in_popup(self.client, &self.settings)) {
            tracing::debug!(uri = request.uri.0, is_popup, "a completion was requested where completions are off");
            return request.answer.nothing();
        }
        state.warm_up_at = None;
        // The older request must be answered before the newer one.
        state.dismiss_older(&request);
        // A completion that follows the item selected in a popup has to wait for the completion that the popup itself
        // waits for.
        let is_premature = request.selected.is_some() && state.is_awaited(true);
        if superseded || is_premature {
            return request.answer.nothing();
        }
        let cursor = from_proto::offset(text, request.position, self.client.encoding);
        state.cursor = cursor;
        if state.delayed.as_ref().is_some_and(|delayed| !delayed.takes(&request, cursor)) {
            state.dismiss_delayed();
        }
        if self.settings.effort != Effort::Eco {
            state.settle_at = Some((Instant::now() + SETTLE_AFTER, cursor));
        }
        if request.selected.is_none() {
            match state.recall.recall(text, cursor, request.trigger) {
                // A popup does not grow. If the client shows the text written so far as ghost text, its popup waits for
                // the whole completion.
                Recalled::Items { id, .. } if is_popup && self.client.completion_grew && state.runs_as(id) => {}
                Recalled::Items { id, items } => {
                    if let Some(observer) = &self.observer {
                        observer.recalled();
                    }
                    state.asked_for(id, cursor);
                    return self.answer(request, document, cursor, id, &items, engine);
                }
                Recalled::Nothing => return request.answer.nothing(),
                Recalled::Unknown => {}
            }
        }
        let mut running = state.running.take();
        let serves = |running: &mut Running| running.serves(&request) && running.fits(text, cursor);
        let serves = running.as_mut().is_some_and(serves);
        match running {
            Some(mut running) if serves => {
                running.wait(request, cursor, self.settings.time_budget);
                state.running = Some(running);
                self.offer(document, engine);
            }
            unfit => {
                if let Some(running) = unfit {
                    state.give_up(running);
                }
                self.begin_in_time(request, document, cursor, engine);
            }
        }
    }

    /// Begins a generation for `request` and for those that wait at the same place, or waits for another key first.
    fn begin_in_time(
        &mut self,
        request: CompletionRequest,
        document: &Document,
        cursor: usize,
        engine: &mut CompletionEngine,
    ) {
        let now = Instant::now();
        let is_urgent = request.trigger == Trigger::Invoked || self.settings.effort == Effort::Eager;
        let delay = if is_urgent { Duration::ZERO } else { self.rhythm.delay(self.shown_in_vain.is_used(), now) };
        let state = self.states.entry(document.number).or_default();
        let earlier = state.delayed.take();
        let at = earlier.as_ref().map_or(now + delay, |earlier| earlier.at.min(now + delay));
        let mut requests = earlier.map(|earlier| earlier.requests).unwrap_or_default();
        requests.push(request);
        if at <= now {
            return self.begin(requests, document, cursor, engine);
        }
        state.delayed = Some(Delayed { requests, cursor, at });
    }

    /// Begins a generation for `requests` at `cursor`, which all ask for the same. No other generation is running for
    /// the document.
    fn begin(
        &mut self,
        requests: Vec<CompletionRequest>,
        document: &Document,
        cursor: usize,
        engine: &mut CompletionEngine,
    ) {
        self.kept_windows.note();
        let Snapshot { text, version, .. } = &document.snapshot;
        let state = self.states.entry(document.number).or_default();
        // A person who asks explicitly wants alternatives.
        let request = requests.iter().find(|request| request.trigger == Trigger::Invoked).or(requests.first());
        let Some(request) = request else { return };
        let selected = request
            .selected
            .as_ref()
            .map(|selected| (from_proto::range(text, &selected.range, self.client.encoding), selected.text.clone()));
        let inline = InlineRequest { offset: cursor, trigger: request.trigger, selected };
        let reading = self.readings.of(&document.snapshot.language_id);
        let options = planning::options(document, &self.settings, reading, self.fates.acceptance(), self.variation);
        planning::choose_window(document, state, cursor, &options);
        let plan = match planning::plan(document, &mut state.anchor, inline, &options) {
            Ok(plan) => plan,
            Err(skip) => {
                tracing::debug!(?skip, "nothing to complete");
                if request.trigger == Trigger::Invoked {
                    state.tell_skip(skip, &self.to_client);
                }
                return requests.into_iter().for_each(|request| request.answer.nothing());
            }
        };
        let (anchor, tokens) = (&mut state.short_anchor, self.readings.short_tokens());
        let short_prompt = planning::short_prompt(&self.settings.backend, anchor, &plan, tokens, &options);
        self.last_number += 1;
        let (job, cancel) = (self.last_number, CancelFlag::default());
        state.running = Some(Running {
            job,
            cancel: cancel.clone(),
            plan: plan.clone(),
            version: *version,
            base: Base::new(text.clone()),
            trigger: request.trigger,
            growth: Growth::default(),
            is_shown: false,
            is_told: false,
            cursor,
            due: Some(request.asked_at + self.settings.time_budget),
            waiting: requests,
            kept_until: None,
        });
        let document = document.number;
        let (text_sender, done_sender) = (self.session.clone(), self.session.clone());
        engine.submit(Job {
            priority: Priority::Interactive,
            document,
            prompt: plan.prompt,
            short_prompt,
            params: plan.params,
            cancel,
            on_text: Some(Box::new(move |piece| {
                let event = CompletionEvent::Text { job, piece };
                text_sender.send(Event::Completion { document, event });
            })),
            on_done: Box::new(move |outcome| {
                done_sender.send(Event::Completion { document, event: CompletionEvent::Done { job, outcome } });
            }),
        });
    }

    /// Handles an event of a job for `document`, which is `None` if it has been closed in the meantime.
    pub(super) fn on_event(
        &mut self,
        event: CompletionEvent,
        document: Option<&Document>,
        engine: &mut CompletionEngine,
    ) {
        if let Some(observer) = &self.observer {
            tell_observer(observer.as_ref(), &event);
        }
        if let CompletionEvent::Done { outcome: Ok(generation), .. }
        | CompletionEvent::Prepared { outcome: Ok(generation), .. } = &event
        {
            engine.note_speed(generation);
        }
        let Some(document) = document else { return };
        if let Some(generation) = event.generation() {
            self.fates.worked(&document.snapshot.language_id, generation.processor);
        }
        match event {
            CompletionEvent::Text { job, piece } => self.goes_on(job, piece, document, engine),
            CompletionEvent::Done { job, outcome } => self.done(job, outcome, document, engine),
            CompletionEvent::Changed { line } => self.changed(line, document),
            CompletionEvent::WarmedUp(outcome) => self.warmed_up(outcome, document),
            CompletionEvent::Prepared { job, outcome } => self.prepared(job, outcome, document),
        }
    }

    /// Continues a generation. If it now disagrees with what was typed meanwhile, it ends and a new one begins.
    fn goes_on(&mut self, job: u64, piece: TextPiece, document: &Document, engine: &mut CompletionEngine) {
        let state = self.states.entry(document.number).or_default();
        let Some(mut running) = state.take_running(job) else { return };
        let grew = running.growth.push(&running.plan, piece);
        if running.fits(&document.snapshot.text, running.cursor) {
            state.running = Some(running);
            if grew {
                self.grew(document, engine);
            }
            return;
        }
        let (waiting, cursor) = (std::mem::take(&mut running.waiting), running.cursor);
        state.give_up(running);
        self.begin(waiting, document, cursor, engine);
    }

    /// Shows more of the running generation for `document`: a waiting request may get it, and a client that shows
    /// growing completions is notified.
    fn grew(&mut self, document: &Document, engine: &mut CompletionEngine) {
        let Some(state) = self.states.get_mut(&document.number) else { return };
        if let Some(running) = state.running.as_ref().filter(|running| running.is_shown) {
            let (is_told, cursor) = (running.is_told || running.is_awaited(false), running.cursor);
            state.recall.remember(running.completion(running.growth.item().into_iter().cloned().collect()));
            if self.client.completion_grew && !is_told {
                state.keep_until_asked();
                self.tell_more(document, cursor);
            }
        }
        self.offer(document, engine);
    }

    /// Tells the client that there is more to ask for at `cursor`.
    fn tell_more(&self, document: &Document, cursor: usize) {
        let Snapshot { text, version, .. } = &document.snapshot;
        let position = to_proto::position(text, cursor, self.client.encoding);
        let params = CompletionGrewParams { uri: document.uri.clone(), version: *version, position };
        self.to_client.send(Outgoing::CompletionGrew(params));
    }

    /// Answers the request that waits for the running generation of `document` with what can be shown so far, if there
    /// is something to show and it is time.
    fn offer(&mut self, document: &Document, engine: &mut CompletionEngine) {
        let Some(state) = self.states.get_mut(&document.number) else { return };
        let Some(running) = &mut state.running else { return };
        running.due = running.due.filter(|due| *due > Instant::now());
        let (is_over, is_shown, grows) = (running.due.is_none(), running.is_shown, self.client.completion_grew);
        let is_time = |request: &mut CompletionRequest| match request.answer.is_popup() {
            true => is_over || (is_shown && !grows),
            false => is_over || is_shown || grows,
        };
        let Some(item) = running.growth.item().cloned() else { return };
        let requests: Vec<CompletionRequest> = running.waiting.extract_if(.., is_time).collect();
        let Some(trigger) = requests.first().map(|request| request.trigger) else { return };
        let cursor = running.cursor;
        running.is_shown = true;
        state.recall.remember(running.completion(vec![item]));
        match state.recall.recall(&document.snapshot.text, cursor, trigger) {
            Recalled::Items { id, items } => {
                for request in requests {
                    self.answer(request, document, cursor, id, &items, engine);
                }
            }
            // All of it has been typed already, but there will be more.
            Recalled::Nothing | Recalled::Unknown => running.waiting.extend(requests),
        }
    }

    fn done(&mut self, job: u64, outcome: Outcome, document: &Document, engine: &mut CompletionEngine) {
        let Snapshot { text, version, .. } = &document.snapshot;
        let state = self.states.entry(document.number).or_default();
        let Some(mut running) = state.take_running(job) else { return };
        let generation = match outcome {
            Ok(generation) => generation,
            Err(error) => {
                tracing::debug!("no completion: {error}");
                state.recall.forget(job);
                return running.dismiss();
            }
        };
        self.readings.note(&document.snapshot.language_id, &running.plan.prompt, &generation);
        state.is_cold = generation.is_short;
        if state.is_cold && self.settings.effort != Effort::Eco {
            // Reading the prompt while nobody waits prepares for the next request.
            state.warm_up_at = Some((Instant::now(), running.cursor));
        }
        if let (Some(observer), Some(best)) = (&self.observer, generation.candidates.first())
            && let Some(signals) = signals(&running.plan, best)
        {
            observer.judged(&signals);
        }
        let items = running.growth.finish(&running.plan, &generation.candidates, running.is_shown);
        log_completion(&generation, items.len());
        self.rhythm.answered(generation.time_to_first_token);
        let (id, offset) = (job, running.plan.offset);
        let at_base = running.cursor == offset && *version == running.version;
        state.recall.remember(running.completion(items.clone()));
        let requests = std::mem::take(&mut running.waiting);
        let is_awaited = requests.iter().any(|request| !(request.answer.is_popup() && self.client.completion_grew));
        if !is_awaited {
            self.done_after_all(&running, &items, document, engine);
        }
        let Some(trigger) = requests.first().map(|request| request.trigger) else { return };
        let cursor = running.cursor;
        let state = self.states.entry(document.number).or_default();
        let recalled = match at_base {
            true => {
                state.recall.mark_shown(id);
                Recalled::Items { id, items }
            }
            false => state.recall.recall(text, cursor, trigger),
        };
        match recalled {
            Recalled::Items { id, items } => {
                for request in requests {
                    self.answer(request, document, cursor, id, &items, engine);
                }
            }
            Recalled::Nothing => requests.into_iter().for_each(|request| request.answer.nothing()),
            // All of its text has been typed already.
            Recalled::Unknown => self.begin(requests, document, cursor, engine),
        }
    }

    /// Handles the end of a generation with `items` for which no request waits. Perhaps only a part of it has been
    /// shown.
    fn done_after_all(
        &mut self,
        running: &Running,
        items: &[InlineItem],
        document: &Document,
        engine: &mut CompletionEngine,
    ) {
        // A client that was notified asks again, and continues from there.
        if !running.is_shown || running.is_told {
            return;
        }
        if self.client.completion_grew && running.growth.item().into_iter().ne(items) {
            return self.tell_more(document, running.cursor);
        }
        let state = self.states.entry(document.number).or_default();
        let recalled = state.recall.recall(&document.snapshot.text, running.cursor, Trigger::Automatic);
        if let Recalled::Items { id, items } = recalled {
            self.shown(document, id, &items, engine);
        }
    }

    /// Answers `request` with the `items` of completion `id`, which are for `cursor` in the document as it is now.
    fn answer(
        &mut self,
        request: CompletionRequest,
        document: &Document,
        cursor: usize,
        id: u64,
        items: &[InlineItem],
        engine: &mut CompletionEngine,
    ) {
        let Snapshot { text, language_id, .. } = &document.snapshot;
        let (encoding, own) = (self.client.encoding, document.line_ending);
        let latency = request.asked_at.elapsed();
        let taken = match request.answer {
            Answer::Inline(reply) => {
                let line_ending = if self.client.keeps_carriage_returns { LineEnding::Lf } else { own };
                reply.send(to_proto::inline_items(text, items, id, encoding, line_ending)).is_ok()
            }
            Answer::Popup(reply) => {
                reply.send(to_proto::completion_list(text, cursor, items, id, encoding, own, language_id)).is_ok()
            }
        };
        if taken && !items.is_empty() {
            let (document, language, items) = (document.number, language_id.clone(), items.to_vec());
            self.fates.answered(Shown { id, document, language, latency, items });
        }
        // If the receiver is gone, the library has cancelled and answered the request, and nothing is on the screen.
        if taken {
            self.shown(document, id, items, engine);
        }
    }

    /// Notes that the `items` of completion `id` are on the screen.
    fn shown(&mut self, document: &Document, id: u64, items: &[InlineItem], engine: &mut CompletionEngine) {
        if let Some(item) = items.first()
            && self.shown_in_vain.shown(id)
        {
            self.prepare_next(document, item, engine);
        }
    }

    /// Notes that item `index` of completion `id` was accepted. `documents` already contain it.
    pub(super) fn accepted(&mut self, id: u64, index: usize, documents: &Documents) {
        self.shown_in_vain.accepted();
        self.fates.accepted(id, index, |number| Some(&documents.numbered(number)?.snapshot.text));
        tracing::debug!(id, index, "a completion was accepted");
    }

    /// Notes that the client has reported `item` as shown.
    pub(super) fn told_shown(&mut self, item: &Item) {
        if let Some((id, _)) = item.completion() {
            self.fates.told_shown(id);
        }
    }

    /// Notes that the client has reported that `length` UTF-16 units of the text of `item` were accepted.
    pub(super) fn told_part(&mut self, item: &Item, length: usize) {
        if let Some((id, _)) = item.completion() {
            self.shown_in_vain.accepted();
            self.fates.told_part(id, &item.insert_text, length);
        }
    }

    /// Notes that the person has dismissed what was shown in the document with this number.
    pub(super) fn dismissed(&mut self, document: u64) {
        self.fates.dismissed(document);
        if let Some(state) = self.states.get_mut(&document) {
            state.recall.dismiss(state.cursor);
            // The client is not notified about a completion that was dismissed.
            state.keep_until_asked();
        }
    }

    /// Begins to prepare the completion that follows `item`, which is on the screen for `document`, unless it is known
    /// or under way.
    fn prepare_next(&mut self, document: &Document, item: &InlineItem, engine: &mut CompletionEngine) {
        let (settings, number) = (&self.settings, document.number);
        let state = self.states.entry(number).or_default();
        // The engine keeps one job per document. A job that somebody waits for must not be replaced, nor one that reads
        // the place.
        let is_wanted = settings.prepare_next
            && settings.effort != Effort::Eco
            && enabled(document, state.off, settings) == Enabled::On;
        if !is_wanted || state.running.is_some() || state.is_cold {
            return;
        }
        let accepted = next::accepted(&document.snapshot, item, state.next.as_ref(), &state.recall);
        let Some((snapshot, base, offset)) = accepted else { return };
        let reading = self.readings.of(&snapshot.language_id);
        let options = planning::options(document, settings, reading, self.fates.acceptance(), self.variation);
        let plan = planning::plan_accepted(&state.anchor, &snapshot, offset, &options);
        let Some(plan) = plan else { return };
        self.last_number += 1;
        let (job, cancel) = (self.last_number, CancelFlag::default());
        state.cancel_next();
        state.next = Some(Next { job, cancel: cancel.clone(), plan: plan.clone(), base });
        let session = self.session.clone();
        engine.submit(Job {
            priority: Priority::WarmUp,
            document: number,
            prompt: plan.prompt,
            short_prompt: None,
            params: GenerationParams { effort: settings.effort, ..plan.params },
            cancel,
            on_text: None,
            on_done: Box::new(move |outcome| {
                let event = CompletionEvent::Prepared { job, outcome };
                session.send(Event::Completion { document: number, event });
            }),
        });
    }

    /// Handles the end of reading a prompt ahead, which may have failed.
    fn warmed_up(&mut self, outcome: Outcome, document: &Document) {
        match outcome {
            Ok(generation) => {
                tracing::trace!(prompt_tokens = generation.prompt_tokens, "warmed up");
                self.readings.note_length(&generation);
                let state = self.states.entry(document.number).or_default();
                match state.warm_up.take().filter(|warm_up| warm_up.is_short) {
                    Some(short) if self.visit.is_none() => {
                        self.visit = Some(Visit::rest(document.number, short.cursor));
                    }
                    Some(_) => {}
                    None => state.is_cold = false,
                }
            }
            Err(error) => {
                tracing::trace!("not warmed up: {error}");
                let state = self.states.entry(document.number).or_default();
                // Reading goes on from where it is, when the engine allows it again.
                if let Some(warm_up) = state.warm_up.as_ref().filter(|_| error == EngineError::NotNow && state.is_cold)
                {
                    state.warm_up_at = state.warm_up_at.or(Some((Instant::now() + TRY_AGAIN_AFTER, warm_up.cursor)));
                }
            }
        }
    }

    /// Remembers what was prepared until the person gets there.
    fn prepared(&mut self, job: u64, outcome: Outcome, document: &Document) {
        let state = self.states.entry(document.number).or_default();
        let Some(next) = state.next.take_if(|next| next.job == job) else { return };
        let Ok(generation) = outcome else { return };
        let items = finish_all(&next.plan, &generation.candidates);
        tracing::debug!(
            items = items.len(),
            generated_tokens = generation.generated_tokens,
            "prepared the next \
            completion"
        );
        let (base, offset) = (next.base, next.plan.offset);
        state.recall.remember(Completion { id: job, base, offset, trigger: Trigger::Automatic, items });
    }

    /// Forgets a request that the client has cancelled and the library has answered.
    pub(super) fn abandon(&mut self, request: u64) {
        self.states.values_mut().for_each(|state| state.abandon(request));
    }

    /// Cancels running generations, and answers waiting requests with an empty list. Keeps the windows of `documents`.
    pub(super) fn end<'a>(&mut self, documents: impl Iterator<Item = &'a Document>) {
        self.keep_windows(documents);
        self.fates.write_work();
        self.states.values_mut().for_each(DocumentState::cancel_jobs);
    }

    /// When [`Completions::handle_due`] has something to do next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let of_documents = self.states.values().filter_map(DocumentState::due_at);
        let visit = self.visit.as_ref().map(|visit| visit.at);
        of_documents.chain(self.fates.next_deadline()).chain(self.kept_windows.next_deadline()).chain(visit).min()
    }

    /// Gives up generations that nobody has come back for, answers requests that have waited long enough, begins
    /// prefills that nobody has asked for yet, and checks what is left of accepted text.
    pub(super) fn handle_due<'a>(
        &mut self,
        now: Instant,
        documents: impl Iterator<Item = &'a Document> + Clone,
        engine: &mut CompletionEngine,
    ) {
        self.fates.handle_due(now);
        self.settings.effort = self.power.effort(self.wished_effort, now);
        if self.kept_windows.take_due(now) {
            self.keep_windows(documents.clone());
        }
        for document in documents {
            self.offer(document, engine);
            let Some(state) = self.states.get_mut(&document.number) else { continue };
            if let Some(Delayed { requests, cursor, .. }) = state.delayed.take_if(|delayed| delayed.at <= now) {
                self.begin(requests, document, cursor, engine);
            }
            let Some(state) = self.states.get_mut(&document.number) else { continue };
            state.give_up_left_behind(now);
            let reading = self.readings.of(&document.snapshot.language_id);
            let options =
                || planning::options(document, &self.settings, reading, self.fates.acceptance(), self.variation);
            let means = Means {
                options: &options,
                short_tokens: self.readings.short_tokens(),
                settings: &self.settings,
                session: &self.session,
            };
            let is_idle = state.running.is_none() && state.next.is_none();
            if let Some((_, cursor)) = state.settle_at.take_if(|(at, _)| *at <= now)
                && is_idle
                && reading.reads_within(self.settings.context_tokens, SETTLE_SECONDS)
                && let Some(job) = planning::settle(document, state, cursor, &means)
            {
                engine.submit(job);
            }
            if let Some((_, cursor)) = state.warm_up_at.take_if(|(at, _)| *at <= now)
                && state.running.is_none()
                && (state.is_cold || !state.recall.knows(&document.snapshot.text, cursor))
                && let Some(job) = planning::warm_up(document, state, cursor, &means)
            {
                engine.submit(job);
            }
            if let Some(visit) = self.visit.take_if(|visit| visit.document == document.number && visit.at <= now) {
                self.begin_visit(visit, document, engine);
            }
        }
        // Otherwise its document is closed.
        self.visit.take_if(|visit| visit.at <= now);
    }

    /// Makes the model read the place of `visit`, or finds out where that is.
    fn begin_visit(&mut self, visit: Visit, document: &Document, engine: &mut CompletionEngine) {
        let cursor = match visit.place {
            VisitedPlace::Offset(cursor) => cursor,
            VisitedPlace::Changed(file) => return self.look_for_changes(visit.document, file),
        };
        let state = self.states.entry(document.number).or_default();
        if state.running.is_some() || state.next.is_some() || state.warm_up_at.is_some() {
            return;
        }
        let reading = self.readings.of(&document.snapshot.language_id);
        let means = Means {
            options: &|| planning::options(document, &self.settings, reading, self.fates.acceptance(), self.variation),
            short_tokens: self.readings.short_tokens(),
            settings: &self.settings,
            session: &self.session,
        };
        if let Some(job) = planning::visit(document, state, cursor, visit.is_first, &means) {
            engine.submit(job);
        }
    }

    /// Asks git what was changed in `file`, which belongs to the document with this number.
    fn look_for_changes(&self, document: u64, file: PathBuf) {
        let session = self.session.clone();
        let look = move || {
            if let Some(line) = last_line_of_first_change(&file) {
                session.send(Event::Completion { document, event: CompletionEvent::Changed { line } });
            }
        };
        if let Err(error) = std::thread::Builder::new().name("changes".to_owned()).spawn(look) {
            tracing::debug!("cannot start a thread to ask git what was changed: {error}");
        }
    }

    /// Visits the end of `line` (counted from 0), where the first uncommitted change of `document` ends.
    fn changed(&mut self, line: usize, document: &Document) {
        let text = &document.snapshot.text;
        if line < text.len_lines() {
            self.visited(document, line_content(text, line).end);
        }
    }
}

/// The name in `settings` of the model or of the model server.
fn model_of(settings: &CompletionSettings) -> &str {
    settings.backend.server().map_or(&settings.model, |server| &server.base_url)
}

/// Whether `document` gets completions, given whether the person has turned them off there.
fn enabled(document: &Document, is_off: bool, settings: &CompletionSettings) -> Enabled {
    match is_off || document.is_excluded() {
        true => Enabled::Off,
        false => settings.language(names_of(&document.snapshot.language_id)),
    }
}

/// Whether `client` gets completions in its popup. Clients with ghost text get them there only if the settings ask for
/// it.
pub(super) fn in_popup(client: Client, settings: &CompletionSettings) -> bool {
    settings.popup || !client.inline_completion
}

fn tell_observer(observer: &dyn Observer, event: &CompletionEvent) {
    match event {
        CompletionEvent::Text { piece, .. } => observer.text(&piece.text),
        CompletionEvent::Done { outcome: Ok(generation), .. } => observer.completion(generation),
        CompletionEvent::Done { outcome: Err(_), .. } => observer.broken_off(),
        CompletionEvent::Prepared { outcome: Ok(generation), .. } => observer.prepared(generation),
        CompletionEvent::Prepared { .. } | CompletionEvent::WarmedUp(_) | CompletionEvent::Changed { .. } => {}
    }
}

fn log_completion(generation: &Generation, items: usize) {
    tracing::debug!(
        items,
        is_short = generation.is_short,
        is_corrected = ?generation.is_corrected,
        prompt_tokens = generation.prompt_tokens,
        cached_tokens = generation.cached_tokens,
        generated_tokens = generation.generated_tokens,
        ttft_ms = generation.time_to_first_token.as_millis() as u64,
        total_ms = generation.total.as_millis() as u64,
        "completion done"
    );
}
