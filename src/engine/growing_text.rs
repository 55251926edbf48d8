//! One candidate's text while it is written, by whatever kind of engine: where the stop rules end it, and what of it has been
//! told. The one place where stop rules are applied.

use std::time::Duration;

use super::stop::StopChecker;
use super::{Certainty, StopReason, StopRules, TextPiece};
use crate::model::PromptForm;

/// A text that grows until a rule ends it.
pub(crate) struct GrowingText {
    stop: StopChecker,
    /// Bytes that the job's owner has been told.
    told: usize,
}

impl GrowingText {
    pub(super) fn new(rules: &StopRules) -> Self {
        Self { stop: StopChecker::new(rules), told: 0 }
    }

    /// Adds what the model wrote, `elapsed` after its first token; says why the text ends there, if it does.
    pub(super) fn push(&mut self, new_text: &str, elapsed: Duration) -> Option<StopReason> {
        self.stop.push(new_text, elapsed).map(|(reason, _)| reason)
    }

    /// The model writes no more, for `reason`; the last line may still meet a rule. Says why the text ends.
    pub(super) fn finish(&mut self, reason: StopReason) -> StopReason {
        self.stop.finish().map_or(reason, |(stopped_by, _)| stopped_by)
    }

    /// Where `rules` end `text` that a model wrote as a whole before it ended for `reason`; and why there.
    #[cfg(test)]
    pub(crate) fn end_of(rules: &StopRules, text: &str, reason: StopReason) -> (String, StopReason) {
        let mut growing = Self::new(rules);
        let stopped = growing.push(text, Duration::ZERO);
        let reason = stopped.unwrap_or_else(|| growing.finish(reason));
        (growing.kept().to_owned(), reason)
    }

    /// What no rule can take back any more; all that is kept, once the text has ended.
    pub(super) fn kept(&self) -> &str {
        &self.stop.text()[..self.stop.releasable()]
    }

    /// What is certain and has not been told yet, if anything; it counts as told. How sure the model is so far, and how it was
    /// asked, goes with it.
    pub(super) fn next_piece(&mut self, certainty: Option<Certainty>, form: PromptForm) -> Option<TextPiece> {
        let certain = self.stop.releasable();
        if certain <= self.told {
            return None;
        }
        let text = self.stop.text()[self.told..certain].to_owned();
        self.told = certain;
        Some(TextPiece { text, certainty, form })
    }
}
