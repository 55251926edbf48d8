//! The state of one document: at most one running generation, at most one prefill that was not requested, and its
//! latest completions.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::next::Next;
use super::recall::Recall;
use super::running::Running;
use crate::context::Anchor;
use crate::engine::CancelFlag;
use crate::server::event::CompletionRequest;
use crate::text::Rope;

/// How long a generation continues after its request was cancelled: editors cancel at every key and ask again right
/// away.
const KEPT_AFTER_CANCEL: Duration = Duration::from_millis(200);

/// How long a generation that agrees with the typed text continues until the next request. Clients wait up to 200 ms
/// after a key.
const KEPT_AFTER_EDIT: Duration = Duration::from_millis(600);

/// The same for a generation that is partly on the screen. A client that shows the rest by itself does not ask at every
/// key, but when it is notified that there is more.
const KEPT_WHILE_SHOWN: Duration = Duration::from_secs(2);

/// Requests for one place that wait, in case another key is typed.
pub(super) struct Delayed {
    pub requests: Vec<CompletionRequest>,
    pub cursor: usize,
    pub at: Instant,
}

impl Delayed {
    /// Whether `request`, made at `cursor`, asks for the same as these.
    pub(super) fn takes(&self, request: &CompletionRequest, cursor: usize) -> bool {
        // A selection in the popup is a different request.
        let asks_alike = |other: &CompletionRequest| other.selected.is_none() && request.selected.is_none();
        self.cursor == cursor && self.requests.iter().all(asks_alike)
    }
}

/// A prefill that nobody has asked for yet.
pub(super) struct WarmUp {
    pub cancel: CancelFlag,
    /// The cursor of the prompt that is read.
    pub cursor: usize,
    /// Whether it reads the short form of the prompt.
    pub is_short: bool,
}

/// The completions of one document.
#[derive(Default)]
pub(super) struct DocumentState {
    /// Whether the person has turned completions off.
    pub off: bool,
    /// The last reason for having no completions that was sent to the client.
    pub status: Option<String>,
    /// The last reason that was shown to the person after they asked for a completion.
    pub told: Option<String>,
    /// Where the windows of prompts begin, so that one edit does not move them: for whole prompts, and for their short
    /// forms.
    pub anchor: Anchor,
    pub short_anchor: Anchor,
    /// The last known offset of the cursor.
    pub cursor: usize,
    /// The version of the document, and how often its window had been placed, when the window was last kept.
    pub kept_as: Option<(i32, usize)>,
    /// Whether the last prompt was the short form, so that the whole one is still to be read.
    pub is_cold: bool,
    pub recall: Recall,
    pub running: Option<Running>,
    /// Requests that wait, because the person may type on.
    pub delayed: Option<Delayed>,
    /// The window of a visited place, if it differs from the document's.
    pub visited: Option<Anchor>,
    /// The prefill that nobody has asked for yet.
    pub warm_up: Option<WarmUp>,
    /// When and where to begin one.
    pub warm_up_at: Option<(Instant, usize)>,
    /// When, and for which cursor, to check whether the window should be placed again.
    pub settle_at: Option<(Instant, usize)>,
    /// The completion that is being prepared in case the one on the screen is accepted.
    pub next: Option<Next>,
}

impl DocumentState {
    /// Notes that the document, which was `len` bytes long, is edited at `range`.
    pub(super) fn edited(&mut self, range: &Range<usize>, len: usize) {
        self.recall.edited(range, len);
        let running = self.running.as_mut().map(|running| &mut running.base);
        let next = self.next.as_mut().map(|next| &mut next.base);
        running.into_iter().chain(next).for_each(|base| base.edited(range, len));
    }

    /// Handles an edit that left the cursor at one of `cursors` in `text`. Requests that wait were about an older text,
    /// and the generation is kept only if what was typed agrees with it.
    pub(super) fn keep_running_if_fit(&mut self, text: &Rope, cursors: &[usize]) {
        let Some(mut running) = self.running.take() else { return };
        running.dismiss();
        match cursors.iter().find(|cursor| running.fits(text, **cursor)) {
            Some(&cursor) => {
                let kept = if running.is_shown { KEPT_WHILE_SHOWN } else { KEPT_AFTER_EDIT };
                running.asked_at(cursor);
                running.kept_until = Some(Instant::now() + kept);
                self.running = Some(running);
            }
            None => self.give_up(running),
        }
    }

    /// Ends `running`, which ran for this document. Requests that wait are answered with an empty list. A part that was
    /// shown is forgotten, so that it is not the answer to a later request.
    pub(super) fn give_up(&mut self, running: Running) {
        self.recall.forget(running.job);
        running.give_up();
    }

    /// Ends the generation if nobody has come back for it by `now`.
    pub(super) fn give_up_left_behind(&mut self, now: Instant) {
        let is_left_behind = |running: &mut Running| running.kept_until.is_some_and(|at| at <= now);
        if let Some(running) = self.running.take_if(is_left_behind) {
            self.give_up(running);
        }
    }

    /// Keeps the generation for as long as the client may take to ask, after a notification that it has grown.
    pub(super) fn keep_until_asked(&mut self) {
        if let Some(running) = &mut self.running {
            running.is_told = true;
            running.kept_until = Some(Instant::now() + KEPT_WHILE_SHOWN);
        }
    }

    /// Notes that a request at `cursor` was answered with the remembered part of completion `id`. If that is still
    /// being written, it is wanted.
    pub(super) fn asked_for(&mut self, id: u64, cursor: usize) {
        if let Some(running) = self.running.as_mut().filter(|running| running.job == id) {
            running.asked_at(cursor);
        }
    }

    /// Forgets `request`, which the client has cancelled and the library has answered.
    pub(super) fn abandon(&mut self, request: u64) {
        if let Some(running) = &mut self.running {
            let waited = running.waiting.len();
            running.waiting.retain(|waiting| waiting.number != request);
            if waited > 0 && running.waiting.is_empty() {
                running.kept_until = Some(Instant::now() + KEPT_AFTER_CANCEL);
            }
        }
        if let Some(delayed) = &mut self.delayed {
            delayed.requests.retain(|delayed| delayed.number != request);
        }
        self.delayed.take_if(|delayed| delayed.requests.is_empty());
    }

    /// Answers waiting requests with an empty list if `newer` asks for the same.
    pub(super) fn dismiss_older(&mut self, newer: &CompletionRequest) {
        let waiting = self.running.as_mut().map(|running| &mut running.waiting);
        let delayed = self.delayed.as_mut().map(|delayed| &mut delayed.requests);
        for requests in waiting.into_iter().chain(delayed) {
            let is_older = |request: &mut CompletionRequest| request.answer.is_popup() == newer.answer.is_popup();
            requests.extract_if(.., is_older).for_each(|request| request.answer.nothing());
        }
        self.delayed.take_if(|delayed| delayed.requests.is_empty());
    }

    /// Whether a request for a popup, or one for ghost text, waits.
    pub(super) fn is_awaited(&self, in_popup: bool) -> bool {
        let delayed = self.delayed.iter().flat_map(|delayed| &delayed.requests);
        self.running.as_ref().is_some_and(|running| running.is_awaited(in_popup))
            || delayed.into_iter().any(|request| request.answer.is_popup() == in_popup)
    }

    /// Answers the requests that wait for another key with an empty list.
    pub(super) fn dismiss_delayed(&mut self) {
        if let Some(delayed) = self.delayed.take() {
            delayed.requests.into_iter().for_each(|request| request.answer.nothing());
        }
    }

    /// Whether completion `id` is still being written.
    pub(super) fn runs_as(&self, id: u64) -> bool {
        self.running.as_ref().is_some_and(|running| running.job == id)
    }

    /// Takes the generation of `job`, if it is still wanted.
    pub(super) fn take_running(&mut self, job: u64) -> Option<Running> {
        self.running.take_if(|running| running.job == job)
    }

    pub(super) fn cancel_next(&mut self) {
        if let Some(next) = self.next.take() {
            next.cancel.cancel();
        }
    }

    /// Cancels the running generation, and answers waiting requests with an empty list.
    pub(super) fn cancel_jobs(&mut self) {
        self.warm_up_at = None;
        self.settle_at = None;
        if let Some(warm_up) = self.warm_up.take() {
            warm_up.cancel.cancel();
        }
        self.cancel_next();
        self.dismiss_delayed();
        if let Some(running) = self.running.take() {
            self.give_up(running);
        }
    }

    /// When something is due: the end of a generation that nobody has come back for, an answer with the text so far, or
    /// a prefill.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let kept = self.running.as_ref().and_then(|running| running.kept_until);
        let waits = |running: &&Running| !running.waiting.is_empty() && running.growth.item().is_some();
        let answer = self.running.as_ref().filter(waits).and_then(|running| running.due);
        let [warm_up, settle] = [self.warm_up_at, self.settle_at].map(|due| due.map(|(at, _)| at));
        let delayed = self.delayed.as_ref().map(|delayed| delayed.at);
        kept.into_iter().chain(answer).chain(warm_up).chain(settle).chain(delayed).min()
    }
}
