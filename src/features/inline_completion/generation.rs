//! What to ask the model for: how many lines, where to stop, how sure to be. What the prompt says is decided in `context`
//! and `prompt`.

use crate::config::Multiline;
use crate::context::Snapshot;
use crate::engine::{GenerationParams, Sampling, StopRules};
use crate::syntax::Following;
use crate::text::indent_columns;

use super::following::closes_only;
use super::place::Place;
use super::{CompletionOptions, Trigger};

/// How many alternatives a person who asks can choose from, and how far they differ from the likeliest text. The seed
/// is fixed, so that the same question has the same answers.
const ALTERNATIVES: usize = 3;
const ALTERNATIVES_SAMPLING: Sampling = Sampling::Random { temperature: 0.6, top_p: 0.95, seed: 20_260 };
/// Tokens of a completion of one line: a longer line is not one a person reads while typing.
const MAX_LINE_TOKENS: usize = 64;

/// How the engine is to generate at `place`, inside a code block that the prompt has opened with `fence`.
pub(super) fn generation_params(
    place: &Place,
    snapshot: &Snapshot,
    trigger: Trigger,
    options: &CompletionOptions,
    fence: &str,
) -> GenerationParams {
    let multi_line = is_multi_line(place, snapshot, trigger, options.multiline);
    let (candidates, sampling) = match trigger {
        Trigger::Automatic => (1, Sampling::Greedy),
        Trigger::Invoked => (ALTERNATIVES, ALTERNATIVES_SAMPLING),
    };
    let max_new_tokens = if multi_line { options.max_tokens } else { options.max_tokens.min(MAX_LINE_TOKENS) };
    let stop = stop_rules(place, multi_line, options, fence);
    GenerationParams { max_new_tokens, sampling, heal: true, stop, candidates, ..GenerationParams::default() }
}

/// Whether the completion may have several lines.
fn is_multi_line(place: &Place, snapshot: &Snapshot, trigger: Trigger, setting: Multiline) -> bool {
    if !may_break_line(place) {
        return false;
    }
    match setting {
        Multiline::Never => false,
        Multiline::Always => true,
        Multiline::Auto if place.open.in_string().is_some() => false,
        Multiline::Auto if trigger == Trigger::Invoked => true,
        Multiline::Auto => match &snapshot.parsed {
            Some(parsed) => parsed.block_begins_at(place.offset) || follows_comment(place),
            None => block_begins(place) || follows_comment(place),
        },
    }
}

/// Whether lines can go in front of what follows: a block's end, a closing tag, closers alone.
fn may_break_line(place: &Place) -> bool {
    let rest = place.line_suffix.trim_start();
    // Brackets that open belong to what is before them: `name|()`.
    if rest.starts_with(['(', '[']) {
        return false;
    }
    match place.following {
        Following::Nothing | Following::Tag => true,
        Following::Closer => rest.starts_with('}') || closes_only(rest),
        Following::Separator | Following::String => closes_only(rest),
        Following::Comment | Following::Body | Following::Code => false,
    }
}

/// An estimate from the lines alone of what the syntax would say: a block was opened here or on the line above, and has
/// no body yet.
fn block_begins(place: &Place) -> bool {
    let (opener, indent) = match place.above.first() {
        Some(above) if place.is_blank_line() => (above.as_str(), indent_columns(above)),
        _ => (place.line_prefix.as_str(), place.indent()),
    };
    place.language.opens_block(opener) && place.below.first().is_none_or(|below| indent_columns(below) <= indent)
}

/// On a blank line under a comment: the comment says what the next lines do.
fn follows_comment(place: &Place) -> bool {
    let comment =
        |line: &String| place.language.line_comment().is_some_and(|comment| line.trim_start().starts_with(comment));
    place.is_blank_line() && !place.line_prefix.is_empty() && place.above.first().is_some_and(comment)
}

/// Where a completion ends.
fn stop_rules(place: &Place, multi_line: bool, options: &CompletionOptions, fence: &str) -> StopRules {
    StopRules {
        single_line: !multi_line,
        min_indent: multi_line.then(|| min_indent(place)).filter(|_| !place.prose),
        stop_lines: place.below.first().cloned().into_iter().collect(),
        stop_strings: ends_of_fence(fence),
        repetition: true,
        time_budget: Some(options.time_budget),
    }
}

/// What ends the code block that `fence` has opened.
pub(super) fn ends_of_fence(fence: &str) -> Vec<String> {
    vec![format!("\n{fence}")]
}

/// Columns a later line has to be indented by to belong to what the cursor is in.
fn min_indent(place: &Place) -> usize {
    if !place.is_blank_line() {
        let opens = !place.open.due.is_empty() || place.language.opens_block(&place.line_prefix);
        return place.indent() + usize::from(opens);
    }
    if !place.line_prefix.is_empty() {
        return place.indent();
    }
    match (place.above.first(), place.below.first()) {
        (Some(above), _) if place.language.opens_block(above) => indent_columns(above) + 1,
        (Some(above), Some(below)) => indent_columns(above).min(indent_columns(below)),
        _ => 0,
    }
}
