//! From which likelihood completions are shown that nobody asked for. Where that was fitted for the model, it is what was fitted.
//! For any other it moves with what people make of the latest ones: the more they take, the less sure the model has to be.

use super::weights::Fitted;
use crate::config::Confidence;
use crate::hub::Alias;
use crate::statistics::Acceptance;

/// With fewer completions, nothing is adjusted.
const FEWEST: usize = 40;
/// The share of completions that is accepted where it is right how many are shown. With more, right ones are held back; with
/// less, most of what is shown is in the way.
const WANTED: f64 = 0.15;
/// How many completions of which that share was accepted are counted besides: chance moves nothing far.
const STEADY: f64 = 40.0;
/// A dismissed completion was in the way, and counts as this many ignored ones.
const DISMISSED: f64 = 2.0;
/// How far a level moves at most, in units of the logistic function: from 0.5 down to 0.31 or up to 0.69.
const FURTHEST: f64 = 0.8;

/// The likelihoods from which completions are shown, and where they come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    pub balanced: f64,
    pub high: f64,
    pub origin: Origin,
}

/// Where thresholds come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// They were fitted for the model.
    Fitted,
    /// They are those of any model.
    General,
    /// They are those of any model, moved by what became of so many completions.
    Moved(usize),
}

impl Thresholds {
    /// Those of `model`, of which this became of the latest completions.
    pub fn of(model: Option<Alias>, acceptance: Acceptance) -> Self {
        let fitted = Fitted::of(model);
        let Acceptance { accepted, dismissed, ignored } = acceptance;
        let counted = accepted + dismissed + ignored;
        let (balanced, high) = (fitted.balanced, fitted.high);
        if fitted.is_for_one_model() {
            return Self { balanced, high, origin: Origin::Fitted };
        }
        if counted < FEWEST {
            return Self { balanced, high, origin: Origin::General };
        }
        let weight = accepted as f64 + ignored as f64 + DISMISSED * dismissed as f64;
        let share = (accepted as f64 + STEADY * WANTED) / (weight + STEADY);
        let shift = (logit(WANTED) - logit(share)).clamp(-FURTHEST, FURTHEST);
        let moved = |level: f64| 1.0 / (1.0 + (-(logit(level) + shift)).exp());
        Self { balanced: moved(balanced), high: moved(high), origin: Origin::Moved(counted) }
    }

    /// The one for `confidence`; nothing where everything is shown.
    pub(super) fn at(self, confidence: Confidence) -> Option<f64> {
        match confidence {
            Confidence::Low => None,
            Confidence::Balanced => Some(self.balanced),
            Confidence::High => Some(self.high),
        }
    }
}

fn logit(likelihood: f64) -> f64 {
    (likelihood / (1.0 - likelihood)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(model: Option<Alias>, accepted: usize, dismissed: usize, ignored: usize) -> Thresholds {
        Thresholds::of(model, Acceptance { accepted, dismissed, ignored })
    }

    #[test]
    fn what_is_sent_away_raises_them_and_what_is_taken_lowers_them() {
        let general = of(None, 0, 0, 0);
        let (sent_away, passed_over, taken) = (of(None, 8, 40, 52), of(None, 8, 0, 92), of(None, 60, 0, 40));
        assert!(sent_away.balanced > passed_over.balanced && passed_over.balanced > general.balanced);
        assert!(sent_away.high > general.high && taken.high < general.high);
        assert!(taken.balanced < general.balanced);
        assert_eq!(sent_away.origin, Origin::Moved(100));
        // As many as wanted: nothing moves.
        let usual = of(None, 15, 0, 85);
        assert!((usual.balanced - general.balanced).abs() < 1e-9, "{usual:?}");
    }

    #[test]
    fn they_stay_within_bounds_and_in_order() {
        for (accepted, dismissed, ignored) in [(200, 0, 0), (0, 200, 0), (0, 0, 200), (100, 100, 0)] {
            let Thresholds { balanced, high, .. } = of(None, accepted, dismissed, ignored);
            assert!((0.3..=0.7).contains(&balanced) && balanced < high && high < 0.9, "{balanced} {high}");
        }
    }

    #[test]
    fn few_say_nothing_and_what_was_fitted_stays() {
        assert_eq!(of(None, 0, FEWEST - 1, 0), of(None, 0, 0, 0));
        assert_eq!(of(Some(Alias::Phi35Mini), 0, FEWEST - 1, 0).origin, Origin::General);
        assert_eq!(of(Some(Alias::Starter), 0, 200, 0), of(Some(Alias::Starter), 0, 0, 0));
        assert_eq!(of(Some(Alias::Starter), 0, 0, 0).origin, Origin::Fitted);
    }
}
