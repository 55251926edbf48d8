//! A generation under way: for which place, who waits for it, how long it is kept when nobody does.

use std::time::Instant;

use super::base::Base;
use super::recall::{agrees, typed_since};
use crate::engine::CancelFlag;
use crate::features::inline_completion::{Plan, Trigger};
use crate::server::event::CompletionRequest;
use crate::text::Rope;

/// A generation under way.
pub(super) struct Running {
    pub job: u64,
    pub cancel: CancelFlag,
    pub plan: Plan,
    /// The version of the document it was planned for.
    pub version: i32,
    /// That document's text beside the document as it is.
    pub base: Base,
    pub trigger: Trigger,
    /// What the model has written so far.
    pub produced: String,
    /// Where the cursor was last seen in the document as it is now.
    pub cursor: usize,
    /// The request that waits for it, asked at `cursor` of the document as it is now.
    pub waiting: Option<CompletionRequest>,
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
    pub(super) fn dismiss(&mut self) {
        if let Some(request) = self.waiting.take() {
            request.answer.nothing();
        }
    }

    /// Whether what it writes is still what is wanted at `cursor` of `text`.
    pub(super) fn fits(&mut self, text: &Rope, cursor: usize) -> bool {
        let typed = typed_since(&mut self.base, self.plan.offset, text, cursor);
        typed.is_some_and(|typed| agrees(&self.produced, &typed))
    }

    /// Whether it writes what `request` asks for, if it is at the right place.
    pub(super) fn serves(&self, request: &CompletionRequest) -> bool {
        // Alternatives and what the suggest widget has selected are wishes of their own.
        request.selected.is_none() && (request.trigger == Trigger::Automatic || self.trigger == request.trigger)
    }
}
