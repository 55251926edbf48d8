//! How sure a model was of what it wrote, as far as its tokens' probabilities tell.

use serde::{Deserialize, Serialize};

/// As little as a log-probability counts; also what one that is no number is taken for.
const LEAST: f32 = -100.0;

/// Natural logs of the probabilities of a text's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Certainty {
    /// Of all tokens together: the log of the text's probability.
    pub sum: f32,
    pub first: f32,
    /// Of the token the model was least sure of.
    pub least: f32,
    pub tokens: usize,
}

impl Certainty {
    /// Of a text of one token.
    pub fn of(logprob: f32) -> Self {
        // A comparison with what is no number leaves the other.
        let logprob = logprob.max(LEAST);
        Self { sum: logprob, first: logprob, least: logprob, tokens: 1 }
    }

    /// Of the text with one token more.
    #[must_use]
    pub fn and(self, logprob: f32) -> Self {
        let logprob = logprob.max(LEAST);
        Self { sum: self.sum + logprob, least: self.least.min(logprob), tokens: self.tokens + 1, ..self }
    }

    /// Of `so_far`, where there is something, with one token more.
    pub(super) fn grown(so_far: Option<Self>, logprob: f32) -> Self {
        so_far.map_or_else(|| Self::of(logprob), |certainty| certainty.and(logprob))
    }

    /// The mean of a token.
    pub fn mean(&self) -> f32 {
        self.sum / self.tokens.max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_sure_as_its_tokens() {
        let certainty = Certainty::of(-1.0).and(-3.0).and(-0.5);
        assert_eq!((certainty.sum, certainty.first, certainty.least, certainty.tokens), (-4.5, -1.0, -3.0, 3));
        assert_eq!(certainty.mean(), -1.5);
        assert_eq!(Certainty::grown(None, -1.0), Certainty::of(-1.0));
        assert_eq!(Certainty::grown(Some(Certainty::of(-1.0)), -2.0), Certainty::of(-1.0).and(-2.0));
    }

    #[test]
    fn what_is_no_number_is_unsure() {
        for odd in [f32::NAN, f32::NEG_INFINITY] {
            assert_eq!(Certainty::of(odd), Certainty::of(LEAST));
            assert_eq!(Certainty::of(-1.0).and(odd).least, LEAST);
        }
    }
}
