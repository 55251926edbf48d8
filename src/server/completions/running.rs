//! A running generation: its place, what it has written, which requests wait for it, and how long it is kept if none
//! does. At most two wait, because a client that shows ghost text and a popup asks for both at the same key.

use std::time::{Duration, Instant};

use super::base::Base;
use super::recall::{Completion, agrees, typed_since};
use crate::engine::CancelFlag;
use crate::features::inline_completion::{Growth, InlineItem, Plan, Trigger};
use crate::server::event::CompletionRequest;
use crate::text::Rope;

/// A running generation.
pub(super) struct Running {
    /// The number of the job, and of its completion.
    pub job: u64,
    pub cancel: CancelFlag,
    pub plan: Plan,
    /// The version of the document that it was planned for.
    pub version: i32,
    /// The text of that version, compared with the document as it is.
    pub base: Base,
    pub trigger: Trigger,
    /// What the model has written so far.
    pub growth: Growth,
    /// Whether a part of it has been shown, and is among the completions that the document remembers.
    pub is_shown: bool,
    /// Whether the client has been notified that there is more, and has not asked since.
    pub is_told: bool,
    /// The last known offset of the cursor in the document as it is now.
    pub cursor: usize,
    /// The requests that wait for it, made at `cursor` of the document as it is now: at most one for ghost text and one
    /// for a popup.
    pub waiting: Vec<CompletionRequest>,
    /// When waiting requests get the text so far; `None` once that time has come.
    pub due: Option<Instant>,
    /// When to give it up, unless somebody asks again.
    pub kept_until: Option<Instant>,
}

impl Running {
    /// Ends it, and answers waiting requests with an empty list.
    pub(super) fn give_up(mut self) {
        self.dismiss();
        self.cancel.cancel();
    }

    /// Answers waiting requests with an empty list. The generation continues.
    pub(super) fn dismiss(&mut self) {
        self.waiting.drain(..).for_each(|request| request.answer.nothing());
    }

    /// Lets `request`, made at `cursor`, wait for the completion, or at most for `time` if there is something to show
    /// by then.
    pub(super) fn wait(&mut self, request: CompletionRequest, cursor: usize, time: Duration) {
        if cursor != self.cursor {
            self.dismiss();
        }
        self.asked_at(cursor);
        self.due = Some(request.asked_at + time);
        self.waiting.push(request);
    }

    /// Whether a request for a popup, or one for ghost text, waits for it.
    pub(super) fn is_awaited(&self, in_popup: bool) -> bool {
        self.waiting.iter().any(|request| request.answer.is_popup() == in_popup)
    }

    /// Notes that the client has asked at `cursor`, so it is wanted, and the client has the text so far.
    pub(super) fn asked_at(&mut self, cursor: usize) {
        self.cursor = cursor;
        self.kept_until = None;
        self.is_told = false;
    }

    /// The completion so far, with `items`.
    pub(super) fn completion(&self, items: Vec<InlineItem>) -> Completion {
        Completion { id: self.job, base: self.base.clone(), offset: self.plan.offset, trigger: self.trigger, items }
    }

    /// Whether its text is still wanted at `cursor` of `text`.
    pub(super) fn fits(&mut self, text: &Rope, cursor: usize) -> bool {
        let typed = typed_since(&mut self.base, self.plan.offset, text, cursor);
        // The shown text may differ from the written text, for example by white space that is already in the document.
        let is_shown = |typed: &str| self.growth.item().is_some_and(|item| item.insert_text.starts_with(typed));
        typed.is_some_and(|typed| agrees(self.growth.text(), &typed) || is_shown(&typed))
    }

    /// Whether it is what `request` asks for, if the place is right.
    pub(super) fn serves(&self, request: &CompletionRequest) -> bool {
        // Alternatives, and a selection in the suggest widget, are different requests.
        request.selected.is_none() && (request.trigger == Trigger::Automatic || self.trigger == request.trigger)
    }
}
