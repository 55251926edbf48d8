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

/// How long a generation goes on whose request was cancelled: editors cancel at every key and ask again right after.
const KEPT_AFTER_CANCEL: Duration = Duration::from_millis(200);

/// How long a generation continues that the typed text agrees with, until the next request; clients wait up to 200 ms
/// after a key.
const KEPT_AFTER_EDIT: Duration = Duration::from_millis(600);

/// The same for one of which something is on the screen: a client that shows the rest by itself does not ask at every key, but
/// when it is told that there is more.
const KEPT_WHILE_SHOWN: Duration = Duration::from_secs(2);

/// Requests for one place that wait for another key.
pub(super) struct Delayed {
    pub requests: Vec<CompletionRequest>,
    pub cursor: usize,
    pub at: Instant,
}

impl Delayed {
    /// Whether `request`, asked at `cursor`, asks for the same as these.
    pub(super) fn takes(&self, request: &CompletionRequest, cursor: usize) -> bool {
        // A selection in the popup is a different request.
        let asks_alike = |other: &CompletionRequest| other.selected.is_none() && request.selected.is_none();
        self.cursor == cursor && self.requests.iter().all(asks_alike)
    }
}

/// A prefill nobody has asked for yet.
pub(super) struct WarmUp {
    pub cancel: CancelFlag,
    /// The place that is read.
    pub cursor: usize,
    /// It reads the short form of the prompt.
    pub is_short: bool,
}

/// The completions of one document.
#[derive(Default)]
pub(super) struct DocumentState {
    /// The person has turned them off.
    pub off: bool,
    /// The last reason that the client got for having no completions.
    pub status: Option<String>,
    /// The last reason that the person got when they asked for a completion.
    pub told: Option<String>,
    /// Where the prompts begin, so that one edit does not move them; those that are asked, and their short forms.
    pub anchor: Anchor,
    pub short_anchor: Anchor,
    /// Where the cursor was last seen.
    pub cursor: usize,
    /// The version of the document whose window was kept last, and how often it had been placed.
    pub kept_as: Option<(i32, usize)>,
    /// The last prompt was asked in its short form: the whole one is still to be read.
    pub is_cold: bool,
    pub recall: Recall,
    pub running: Option<Running>,
    /// A request that the model is not asked yet: the person may type on.
    pub delayed: Option<Delayed>,
    /// The window of a place that was visited, if that is another one.
    pub visited: Option<Anchor>,
    /// The prefill nobody has asked for yet.
    pub warm_up: Option<WarmUp>,
    /// When to begin one, and where.
    pub warm_up_at: Option<(Instant, usize)>,
    /// When to see, and for which cursor, whether the window still is where it should be.
    pub settle_at: Option<(Instant, usize)>,
    /// The completion that is prepared for the case that the one on screen is accepted.
    pub next: Option<Next>,
}

impl DocumentState {
    /// Notes that the document, `len` bytes long until then, is edited at `range`.
    pub(super) fn edited(&mut self, range: &Range<usize>, len: usize) {
        self.recall.edited(range, len);
        let running = self.running.as_mut().map(|running| &mut running.base);
        let next = self.next.as_mut().map(|next| &mut next.base);
        running.into_iter().chain(next).for_each(|base| base.edited(range, len));
    }

    /// After an edit that left the cursor at one of `cursors` in `text`: who waits asked about an older text, and the
    /// generation is kept only while what was typed agrees with it.
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

    /// Ends `running`, which ran for this document; who waits is answered with an empty list. What was shown of it is not the
    /// completion that a person gets who asks again.
    pub(super) fn give_up(&mut self, running: Running) {
        self.recall.forget(running.job);
        running.give_up();
    }

    /// Ends what runs if nobody has come back for it by `now`.
    pub(super) fn give_up_left_behind(&mut self, now: Instant) {
        let is_left_behind = |running: &mut Running| running.kept_until.is_some_and(|at| at <= now);
        if let Some(running) = self.running.take_if(is_left_behind) {
            self.give_up(running);
        }
    }

    /// The client is about to be told that what runs has grown, or need not be: it is kept for as long as the client may take to
    /// ask.
    pub(super) fn keep_until_asked(&mut self) {
        if let Some(running) = &mut self.running {
            running.is_told = true;
            running.kept_until = Some(Instant::now() + KEPT_WHILE_SHOWN);
        }
    }

    /// A request at `cursor` was answered with what is remembered of completion `id`: if that is still written, somebody wants
    /// it.
    pub(super) fn asked_for(&mut self, id: u64, cursor: usize) {
        if let Some(running) = self.running.as_mut().filter(|running| running.job == id) {
            running.asked_at(cursor);
        }
    }

    /// The client has cancelled `request`, which the library has answered.
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

    /// Answers those who wait for what `newer` asks for, too, with an empty list.
    pub(super) fn dismiss_older(&mut self, newer: &CompletionRequest) {
        let waiting = self.running.as_mut().map(|running| &mut running.waiting);
        let delayed = self.delayed.as_mut().map(|delayed| &mut delayed.requests);
        for requests in waiting.into_iter().chain(delayed) {
            let is_older = |request: &mut CompletionRequest| request.answer.is_popup() == newer.answer.is_popup();
            requests.extract_if(.., is_older).for_each(|request| request.answer.nothing());
        }
        self.delayed.take_if(|delayed| delayed.requests.is_empty());
    }

    /// Whether somebody waits in a popup, or for ghost text.
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

    /// Whether completion `id` is still written.
    pub(super) fn runs_as(&self, id: u64) -> bool {
        self.running.as_ref().is_some_and(|running| running.job == id)
    }

    /// What runs as `job`, if that is still wanted.
    pub(super) fn take_running(&mut self, job: u64) -> Option<Running> {
        self.running.take_if(|running| running.job == job)
    }

    pub(super) fn cancel_next(&mut self) {
        if let Some(next) = self.next.take() {
            next.cancel.cancel();
        }
    }

    /// Cancels the running generation; a waiting request is answered with an empty list.
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

    /// When something is due: the end of a generation that nobody came back for, an answer with what there is, a prefill.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let kept = self.running.as_ref().and_then(|running| running.kept_until);
        let waits = |running: &&Running| !running.waiting.is_empty() && running.growth.item().is_some();
        let answer = self.running.as_ref().filter(waits).and_then(|running| running.due);
        let [warm_up, settle] = [self.warm_up_at, self.settle_at].map(|due| due.map(|(at, _)| at));
        let delayed = self.delayed.as_ref().map(|delayed| delayed.at);
        kept.into_iter().chain(answer).chain(warm_up).chain(settle).chain(delayed).min()
    }
}
