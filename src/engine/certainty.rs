//! How sure a model was of what it wrote, judged by the probabilities of its tokens.

use serde::{Deserialize, Serialize};

/// The least value of a log-probability; also used in place of NaN.
const LEAST: f32 = -100.0;

/// Natural logarithms of the probabilities of a text's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Certainty {
    /// The sum over all tokens, which is the logarithm of the text's probability.
    pub sum: f32,
    pub first: f32,
    /// That of the token which the model was least sure of.
    pub least: f32,
    pub tokens: usize,
}

impl Certainty {
    /// The certainty of a text of one token.
    pub fn of(logprob: f32) -> Self {
        // The maximum of NaN and a number is the number.
        let logprob = logprob.max(LEAST);
        Self { sum: logprob, first: logprob, least: logprob, tokens: 1 }
    }

    /// The certainty of the text with one more token.
    #[must_use]
    pub fn and(self, logprob: f32) -> Self {
        let logprob = logprob.max(LEAST);
        Self { sum: self.sum + logprob, least: self.least.min(logprob), tokens: self.tokens + 1, ..self }
    }

    /// The certainty of the text so far, if there is one, with one more token.
    pub(super) fn grown(so_far: Option<Self>, logprob: f32) -> Self {
        so_far.map_or_else(|| Self::of(logprob), |certainty| certainty.and(logprob))
    }

    /// The mean per token.
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
