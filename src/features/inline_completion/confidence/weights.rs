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
const ROWS: [Fitted; 1] = [Fitted {
    model: None,
    bias: 1.6,
    weights: [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    balanced: 0.5,
    high: 0.75,
}];

impl Fitted {
    /// The row of `model`.
    pub(super) fn of(model: Option<Alias>) -> &'static Self {
        let own = ROWS.iter().find(|row| row.model.is_some() && row.model == model);
        own.unwrap_or(&ROWS[ROWS.len() - 1])
    }

    /// How likely a text with these signals is the right one.
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
        assert!(Fitted::of(None).model.is_none());
        assert!(ROWS.iter().rev().skip(1).all(|row| row.model.is_some()), "only the last row is for any model");
    }

    #[test]
    fn surer_texts_are_likelier_and_who_wants_more_confidence_sees_fewer() {
        for row in &ROWS {
            let with_mean = |mean: f64| {
                let mut signals = Signals::default();
                (signals[0], signals[1], signals[2], signals[3]) = (mean * 4.0, mean, mean * 2.0, mean);
                row.likelihood(&signals)
            };
            assert!(with_mean(-0.1) > with_mean(-1.0) && with_mean(-1.0) > with_mean(-4.0), "{:?}", row.model);
            assert!(row.balanced < row.high && row.high < 1.0, "{:?}", row.model);
        }
    }
}
