//! Whether a completion that nobody asked for is worth showing: how likely it is what the person is about to write, as far as the
//! model and the text tell.
//!
//! The likelihood is a logistic function of some signals. Its weights were fitted on holes in code (`phi-ls eval --fit` does it
//! again), for the models that were at hand; for any other, those signals count that mean the same whatever the model.

mod weights;

use super::Plan;
use super::shape::Shaped;
use crate::config::{CompletionSettings, Confidence};
use crate::engine::{Candidate, StopReason};
use crate::hub::Alias;
use crate::syntax::Parsed;
use crate::text::floor_char_boundary;
use weights::Fitted;

/// What a likelihood is made of, in the order of [`Signals`].
pub const SIGNALS: [&str; 15] = [
    "log-probability of the text",
    "mean of a token",
    "least of a token",
    "first token",
    "tokens",
    "characters",
    "on a blank line",
    "within a word",
    "after a dot",
    "in prose",
    "several lines",
    "new syntax errors",
    "cut off",
    "says a line again",
    "names found nowhere",
];

/// A value of each of [`SIGNALS`].
pub type Signals = [f64; SIGNALS.len()];

/// Log-probabilities below these say no more.
const LEAST_SUM: f32 = -20.0;
const LEAST_OF_TOKEN: f32 = -8.0;
/// Names are looked for this far around the cursor, and syntax errors in texts that are no larger than what is parsed at a key.
const NAMES_WITHIN: usize = 32 << 10;
const LARGEST_PARSED: usize = 128 << 10;
/// Shorter names are found anywhere.
const SHORTEST_NAME: usize = 3;

/// Whether to show what the model made of `plan`.
pub(super) fn is_worth_showing(plan: &Plan, shaped: &Shaped, candidate: &Candidate) -> bool {
    let fitted = Fitted::of(plan.model);
    let least = match plan.confidence {
        Confidence::Low => return true,
        Confidence::Balanced => fitted.balanced,
        Confidence::High => fitted.high,
    };
    // A text whose writer says nothing of its certainty is shown.
    signals(plan, shaped, candidate).is_none_or(|signals| fitted.likelihood(&signals) >= least)
}

/// What speaks for and against what is `shaped` of the candidate; nothing where its writer did not say how sure it was.
pub(super) fn signals(plan: &Plan, shaped: &Shaped, candidate: &Candidate) -> Option<Signals> {
    let certainty = candidate.certainty?;
    let (place, text) = (&plan.place, shaped.text.as_str());
    let flag = |is_so: bool| f64::from(u8::from(is_so));
    let is_cut_off =
        matches!(candidate.stop_reason, StopReason::MaxTokens | StopReason::TimeBudget | StopReason::RepeatedText);
    let line = place.line_prefix.trim_end();
    Some([
        f64::from(certainty.sum.max(LEAST_SUM)),
        f64::from(certainty.mean().max(LEAST_OF_TOKEN)),
        f64::from(certainty.least.max(LEAST_OF_TOKEN)),
        f64::from(certainty.first.max(LEAST_OF_TOKEN)),
        (certainty.tokens as f64).ln_1p(),
        (text.chars().count() as f64).ln_1p(),
        flag(place.is_blank_line()),
        flag(place.line_prefix.ends_with(is_word)),
        flag([".", "->", "::"].iter().any(|member| line.ends_with(member))),
        flag(place.prose),
        flag(text.trim().contains('\n')),
        new_errors(plan, shaped),
        flag(is_cut_off),
        flag(says_a_line_again(plan, text)),
        unknown_names(plan, text),
    ])
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Syntax errors that the text adds, or takes away; two say as much as more.
fn new_errors(plan: &Plan, shaped: &Shaped) -> f64 {
    let parsed = plan.snapshot.parsed.as_ref().filter(|parsed| parsed.text().len_bytes() <= LARGEST_PARSED);
    let Some(parsed) = parsed else { return 0.0 };
    let offset = plan.place.offset;
    let written = parsed.with_replacement(offset..offset + shaped.replaced, &shaped.text);
    let errors = |parsed: &Parsed| parsed.error_count() as f64;
    written.map_or(0.0, |written| (errors(&written) - errors(parsed)).clamp(-2.0, 2.0))
}

/// Whether the line is one of those around it: small models like to say what they have just read.
fn says_a_line_again(plan: &Plan, text: &str) -> bool {
    let place = &plan.place;
    let line = format!("{}{}", place.line_prefix, text.lines().next().unwrap_or_default());
    place.above.iter().chain(&place.below).any(|other| other.trim() == line.trim())
}

/// How many of the text's names are nowhere around it, as a share.
fn unknown_names(plan: &Plan, text: &str) -> f64 {
    let document = &plan.snapshot.text;
    let start = floor_char_boundary(document, plan.place.offset.saturating_sub(NAMES_WITHIN));
    let end = floor_char_boundary(document, plan.place.offset + NAMES_WITHIN);
    let around = document.byte_slice(start..end).to_string();
    // What stands left of the cursor may be the beginning of the first name.
    let begun: String = plan.place.line_prefix.chars().rev().take_while(|c| is_word(*c)).collect();
    let text = format!("{}{text}", begun.chars().rev().collect::<String>());
    let is_name = |word: &&str| word.len() >= SHORTEST_NAME && !word.starts_with(|first: char| first.is_numeric());
    let names: Vec<&str> = text.split(|c| !is_word(c)).filter(is_name).collect();
    let unknown = names.iter().filter(|name| !around.contains(**name)).count();
    if names.is_empty() { 0.0 } else { unknown as f64 / names.len() as f64 }
}

/// The model that `settings` name, if it is one that has a name here.
pub(super) fn model_in(settings: &CompletionSettings) -> Option<Alias> {
    match settings.backend.server() {
        Some(_) => None,
        None => Alias::of_model(&settings.model),
    }
}
