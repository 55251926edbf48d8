//! The weights of the signals, one row for each model they were fitted for.

use super::Signals;
use crate::hub::Alias;

/// What was fitted for a model.
pub(super) struct Fitted {
    /// `None`: for every model without a row.
    model: Option<Alias>,
    bias: f64,
    /// In the order of the signals.
    weights: Signals,
    /// The likelihoods from which a completion is shown.
    pub(super) balanced: f64,
    pub(super) high: f64,
}

/// The last row stands for every other model. There only the mean log-probability counts, as it always did: e^-1.6, a fifth, is about
/// where a greedy text has left what the model knows.
///
/// The starter's: 252 holes in 25 packages of seven languages, a quarter each of the rest of a line, whole lines, from within an
/// identifier, and names of other files (`phi-ls eval --packages FOLDER --model starter --kinds
/// rest,whole-line,mid-identifier,cross-file --fit`, seeds 1 to 3 with 56 holes and 11 with 84, put together with `--report`); 229 had
/// a completion, 53 of them right. On packages that it was not fitted on, `balanced` shows 41 of 100 completions, 89 of 100 right ones
/// among them, and 50 of 100 that are shown are right; `high` shows half of the right ones, and 74 of 100 are right. Before, 23 were.
/// The levels are rounded, so that 85 of 100 and about a half of the right ones stay there.
const ROWS: [Fitted; 2] = [
    Fitted {
        model: Some(Alias::Starter),
        bias: 2.2105,
        weights: [4.0026, 0.8214, 0.5334, -0.8463, 0.321],
        balanced: 0.2,
        high: 0.55,
    },
    Fitted { model: None, bias: 1.6, weights: [1.0, 0.0, 0.0, 0.0, 0.0], balanced: 0.5, high: 0.75 },
];

impl Fitted {
    /// The row of `model`.
    pub(super) fn of(model: Option<Alias>) -> &'static Self {
        let own = ROWS.iter().find(|row| row.model.is_some() && row.model == model);
        own.unwrap_or(&ROWS[ROWS.len() - 1])
    }

    /// Whether it was fitted for one model.
    pub(super) fn is_for_one_model(&self) -> bool {
        self.model.is_some()
    }

    /// The probability that a text with these signals is the right one.
    pub(super) fn likelihood(&self, signals: &Signals) -> f64 {
        let sum = self.weights.iter().zip(signals).map(|(weight, signal)| weight * signal).sum::<f64>();
        1.0 / (1.0 + (-(self.bias + sum)).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_without_a_row_has_the_last_one() {
        assert!(Fitted::of(None).model.is_none() && Fitted::of(Some(Alias::Phi35Mini)).model.is_none());
        assert_eq!(Fitted::of(Some(Alias::Starter)).model, Some(Alias::Starter));
        assert!(ROWS.iter().rev().skip(1).all(|row| row.model.is_some()), "only the last row is for any model");
    }

    #[test]
    fn surer_texts_are_likelier_and_who_wants_more_confidence_sees_fewer() {
        for row in &ROWS {
            let with_mean = |mean: f64| row.likelihood(&[mean, mean * 2.0, mean, 1.6, 2.4]);
            assert!(with_mean(-0.1) > with_mean(-1.0) && with_mean(-1.0) > with_mean(-4.0), "{:?}", row.model);
            assert!(row.balanced < row.high && row.high < 1.0, "{:?}", row.model);
        }
    }
}
