//! Whether a completion is worth showing while the person types: how likely it is what they are about to write, judged
//! by the model and the text.
//!
//! The likelihood is a logistic function of some signals. Its weights were fitted on holes in code (`phi-ls eval --fit` does it
//! again), for the models that were at hand; for any other, the mean log-probability counts alone, and how high it has to be
//! follows from what became of the latest completions.

mod thresholds;
mod weights;

use super::Plan;
use super::shape::Shaped;
use crate::config::CompletionSettings;
use crate::engine::Candidate;
use crate::hub::Alias;
use weights::Fitted;

pub use thresholds::{Origin, Thresholds};

/// The signals that a likelihood is computed from, in the order of [`Signals`]. What was tried besides and told nothing
/// more: the kind of place, whether the text parses, whether it says a line again, and names that are nowhere in the
/// file.
pub const SIGNALS: [&str; 5] =
    ["mean of a token", "least of a token", "first token", "tokens, as a logarithm", "characters, as a logarithm"];

/// A value of each of [`SIGNALS`].
pub type Signals = [f64; SIGNALS.len()];

/// A log-probability below this says no more.
const LEAST_OF_TOKEN: f32 = -8.0;

/// Whether to show what the model made of `plan`.
pub(super) fn is_worth_showing(plan: &Plan, shaped: &Shaped, candidate: &Candidate) -> bool {
    let Some(least) = Thresholds::of(plan.model, plan.acceptance).at(plan.confidence) else { return true };
    // A text of unknown certainty is shown.
    signals(shaped, candidate).is_none_or(|signals| Fitted::of(plan.model).likelihood(&signals) >= least)
}

/// The signals for and against the `shaped` text of the candidate; `None` if its certainty is not known.
pub(super) fn signals(shaped: &Shaped, candidate: &Candidate) -> Option<Signals> {
    let certainty = candidate.certainty?;
    let logprob = |logprob: f32| f64::from(logprob.max(LEAST_OF_TOKEN));
    let count = |count: usize| (count as f64).ln_1p();
    Some([
        logprob(certainty.mean()),
        logprob(certainty.least),
        logprob(certainty.first),
        count(certainty.tokens),
        count(shaped.text.chars().count()),
    ])
}

/// The model that `settings` name, if it is one that has a name here.
pub(super) fn model_in(settings: &CompletionSettings) -> Option<Alias> {
    match settings.backend.server() {
        Some(_) => None,
        None => Alias::of_model(&settings.model),
    }
}
