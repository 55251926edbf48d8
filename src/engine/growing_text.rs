//! One candidate's text while any kind of engine writes it: where the stop rules end it, and how much of it has been
//! reported. The only place where stop rules are applied.

use std::time::Duration;

use super::stop::StopChecker;
use super::{Certainty, StopReason, StopRules, TextPiece};
use crate::model::PromptForm;

/// A text that grows until a rule ends it.
pub(crate) struct GrowingText {
    stop: StopChecker,
    /// Bytes that have been reported to the job's owner.
    told: usize,
}

impl GrowingText {
    pub(super) fn new(rules: &StopRules) -> Self {
        Self { stop: StopChecker::new(rules), told: 0 }
    }

    /// Adds what the model wrote, `elapsed` after its first token. Returns why the text ends there, if it does.
    pub(super) fn push(&mut self, new_text: &str, elapsed: Duration) -> Option<StopReason> {
        self.stop.push(new_text, elapsed).map(|(reason, _)| reason)
    }

    /// Ends the text, since the model writes no more, for `reason`. The last line may still meet a rule. Returns why
    /// the text ends.
    pub(super) fn finish(&mut self, reason: StopReason) -> StopReason {
        self.stop.finish().map_or(reason, |(stopped_by, _)| stopped_by)
    }

    /// The part of `text` before the point where `rules` end it, and why it ends there. The model had written all of
    /// `text` when it ended for `reason`.
    #[cfg(test)]
    pub(crate) fn end_of(rules: &StopRules, text: &str, reason: StopReason) -> (String, StopReason) {
        let mut growing = Self::new(rules);
        let stopped = growing.push(text, Duration::ZERO);
        let reason = stopped.unwrap_or_else(|| growing.finish(reason));
        (growing.kept().to_owned(), reason)
    }

    /// The part that no rule can take back any more. Once the text has ended, this is all that is kept of it.
    pub(super) fn kept(&self) -> &str {
        &self.stop.text()[..self.stop.releasable()]
    }

    /// The text that is certain and has not been reported yet, if any; from now on it counts as reported. It comes with
    /// how sure the model is so far, and with the form of the prompt.
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
