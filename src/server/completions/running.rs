//! A running generation: for which place, what it has written, which requests wait for it, and how long it is kept when
//! none does. At most two wait: a client that shows ghost text and a popup asks for both at the same key.

use std::time::{Duration, Instant};

use super::base::Base;
use super::recall::{Completion, agrees, typed_since};
use crate::engine::CancelFlag;
use crate::features::inline_completion::{Growth, InlineItem, Plan, Trigger};
use crate::server::event::CompletionRequest;
use crate::text::Rope;

/// A running generation.
pub(super) struct Running {
    /// Names the completion, too.
    pub job: u64,
    pub cancel: CancelFlag,
    pub plan: Plan,
    /// The version of the document it was planned for.
    pub version: i32,
    /// That document's text beside the document as it is.
    pub base: Base,
    pub trigger: Trigger,
    /// What the model has written so far.
    pub growth: Growth,
    /// What can be shown of it is among the completions that the document remembers: a person has seen it.
    pub is_shown: bool,
    /// The client has been told that there is more than it has, and has not asked since.
    pub is_told: bool,
    /// Where the cursor was last seen in the document as it is now.
    pub cursor: usize,
    /// The requests that wait for it, asked at `cursor` of the document as it is now: one for ghost text, one for a popup.
    pub waiting: Vec<CompletionRequest>,
    /// When who waits gets what there is by then; nothing once that time has come.
    pub due: Option<Instant>,
    /// When to give up, unless somebody asks again.
    pub kept_until: Option<Instant>,
}

impl Running {
    /// Ends it; a waiting request is answered with an empty list.
    pub(super) fn give_up(mut self) {
        self.dismiss();
        self.cancel.cancel();
    }

    /// Answers the waiting request with an empty list; the generation continues.
    pub(super) fn dismiss(&mut self) {
        self.waiting.drain(..).for_each(|request| request.answer.nothing());
    }

    /// Lets `request`, asked at `cursor`, wait until the completion is there, for `time` at most if there is something by then.
    pub(super) fn wait(&mut self, request: CompletionRequest, cursor: usize, time: Duration) {
        if cursor != self.cursor {
            self.dismiss();
        }
        self.asked_at(cursor);
        self.due = Some(request.asked_at + time);
        self.waiting.push(request);
    }

    /// Whether somebody waits for it in a popup, or for ghost text.
    pub(super) fn is_awaited(&self, in_popup: bool) -> bool {
        self.waiting.iter().any(|request| request.answer.is_popup() == in_popup)
    }

    /// The client has asked at `cursor`: somebody wants it, and knows what there is.
    pub(super) fn asked_at(&mut self, cursor: usize) {
        self.cursor = cursor;
        self.kept_until = None;
        self.is_told = false;
    }

    /// The completion as far as it is known, which is `items`.
    pub(super) fn completion(&self, items: Vec<InlineItem>) -> Completion {
        Completion { id: self.job, base: self.base.clone(), offset: self.plan.offset, trigger: self.trigger, items }
    }

    /// Whether what it writes is still what is wanted at `cursor` of `text`.
    pub(super) fn fits(&mut self, text: &Rope, cursor: usize) -> bool {
        let typed = typed_since(&mut self.base, self.plan.offset, text, cursor);
        // What is shown is not always what is written: white space that is there already, for one.
        let is_shown = |typed: &str| self.growth.item().is_some_and(|item| item.insert_text.starts_with(typed));
        typed.is_some_and(|typed| agrees(self.growth.text(), &typed) || is_shown(&typed))
    }

    /// Whether it writes what `request` asks for, if it is at the right place.
    pub(super) fn serves(&self, request: &CompletionRequest) -> bool {
        // Alternatives, and a selection in the suggest widget, are different requests.
        request.selected.is_none() && (request.trigger == Trigger::Automatic || self.trigger == request.trigger)
    }
}
