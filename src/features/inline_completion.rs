//! One inline completion: whether to ask at all, what to ask, and what of the answer to show.

mod brackets;
mod closers;
mod confidence;
mod following;
mod generation;
mod growth;
mod place;
mod shape;
mod skip;

use std::ops::Range;
use std::time::Duration;

use crate::config::{CompletionSettings, Confidence, Enabled, Multiline};
use crate::context::{Anchor, Limits, Part, Reading, Snapshot, completion_context, known_names};
use crate::engine::{Candidate, GenerationParams};
use crate::hub::Alias;
use crate::model::Prompt;
use crate::prompt::{Layout, completion_fence, completion_prompt};
use crate::statistics::Acceptance;
use crate::syntax::{Quotes, names_of};
use crate::text::{Edit, apply_edit, is_binary_around, with_line_feeds};

pub use closers::{closers, cursors_before_closers, is_closer};
pub use confidence::{Origin, SIGNALS, Signals, Thresholds};
pub use growth::Growth;

use brackets::Brackets;
use place::Place;
use shape::{Shaped, Shaping};

/// Why the editor asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The person asked for it.
    Invoked,
    /// The person typed.
    Automatic,
}

/// Where and why, in byte offsets of the snapshot's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineRequest {
    pub offset: usize,
    pub trigger: Trigger,
    /// The item selected in the editor's suggest widget, which a completion must extend: the range it replaces, its text.
    pub selected: Option<(Range<usize>, String)>,
}

/// The options for completions in one document, from the settings.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionOptions {
    /// For the document's language.
    pub enabled: Enabled,
    /// The document may not enter a prompt.
    pub excluded: bool,
    /// While typing in a comment, or in a string.
    pub in_comments: bool,
    pub in_strings: bool,
    pub multiline: Multiline,
    pub layout: Layout,
    /// A part of the context that is left out.
    pub without: Option<Part>,
    /// Tokens of the prompt and of the answer.
    pub context_tokens: usize,
    pub max_tokens: usize,
    pub time_budget: Duration,
    /// How the model reads, as far as it is known.
    pub reading: Reading,
    /// Where all names are known that can stand at a place, only those.
    pub known_names: bool,
    /// The certainty that a completion needs to be shown while the person types; and the model whose certainty it is,
    /// if it has a short name.
    pub confidence: Confidence,
    pub model: Option<Alias>,
    /// What became of its latest completions.
    pub acceptance: Acceptance,
}

impl CompletionOptions {
    /// What `settings` say about a document in the language `language_id`.
    pub fn new(settings: &CompletionSettings, language_id: &str, excluded: bool) -> Self {
        Self {
            enabled: settings.language(names_of(language_id)),
            excluded,
            in_comments: settings.in_comments,
            in_strings: settings.in_strings,
            layout: Layout::of(settings.layout.into()),
            without: None,
            multiline: settings.multiline,
            context_tokens: settings.context_tokens,
            max_tokens: settings.max_tokens,
            time_budget: settings.time_budget,
            reading: Reading::default(),
            known_names: settings.known_names,
            confidence: settings.confidence,
            model: confidence::model_in(settings),
            acceptance: Acceptance::default(),
        }
    }

    /// The same with what `variation` changes.
    pub fn varied(self, variation: Variation) -> Self {
        Self { layout: variation.layout.unwrap_or(self.layout), without: variation.without, ..self }
    }

    /// What a prompt may cost.
    pub fn limits(&self) -> Limits {
        Limits { without: self.without, ..Limits::for_tokens_of(self.context_tokens, self.reading) }
    }
}

/// What a measurement changes in prompts, beside what settings can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Variation {
    /// In place of the one that the settings say.
    pub layout: Option<Layout>,
    /// A part of the context that is left out.
    pub without: Option<Part>,
}

/// Why the model is not asked, as a sentence for the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    #[error("the cursor is inside a word; put it at the end of the word")]
    MidWord,
    #[error("there is code after the cursor; put it at the end of the line")]
    MidLine,
    #[error("the statement on this line is complete; put the cursor on the next line")]
    StatementEnd,
    #[error("completions are off for this language in the settings (`completion.languages`)")]
    Disabled,
    #[error("completions in comments are off in the settings (`completion.inComments`)")]
    InComment,
    #[error("completions in strings are off in the settings (`completion.inStrings`)")]
    InString,
    #[error("this file is excluded from prompts, like files with secrets")]
    Excluded,
    #[error("there is no code before the cursor")]
    Empty,
    #[error("this is binary data, not text")]
    Binary,
}

/// What to ask, and everything that `finish` needs to know about the place.
#[derive(Debug, Clone)]
pub struct Plan {
    pub prompt: Prompt,
    pub params: GenerationParams,
    /// The request's.
    pub offset: usize,
    pub trigger: Trigger,
    pub selected: Option<(Range<usize>, String)>,
    confidence: Confidence,
    model: Option<Alias>,
    acceptance: Acceptance,
    /// The document it was planned for, with the selected item in it as if it were accepted, and the place in that.
    snapshot: Snapshot,
    place: Place,
}

/// What to show. `range` lies on one line and begins at the cursor (with a selected item: where that begins); what it covers
/// right of the cursor are closers that `insert_text` has too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineItem {
    pub insert_text: String,
    pub range: Range<usize>,
}

/// What to ask the model about `request` in `snapshot`. `anchor` is the document's: it keeps the prompt's beginning the same
/// from one key to the next.
///
/// # Errors
/// Why the model is not asked.
pub fn plan(
    snapshot: &Snapshot,
    request: InlineRequest,
    options: &CompletionOptions,
    anchor: &mut Anchor,
) -> Result<Plan, Skip> {
    let InlineRequest { offset, trigger, selected } = request;
    let (snapshot, cursor) = with_selected(snapshot, offset, selected.as_ref());
    let place = Place::at(&snapshot, cursor);
    skip::check(&place, trigger, options)?;
    if is_binary_around(&snapshot.text, place.offset..place.offset) {
        return Err(Skip::Binary);
    }
    let limits = options.limits();
    let context = match selected {
        None => completion_context(&snapshot, place.offset, limits, anchor),
        // The item is not accepted yet: the document's own window stays where it is.
        Some(_) => completion_context(&snapshot, place.offset, limits, &mut anchor.clone()),
    };
    let fence = completion_fence(&context);
    let mut params = generation::generation_params(&place, &snapshot, trigger, options, &fence);
    params.names = if options.known_names { known_names(&snapshot, place.offset) } else { None };
    Ok(Plan {
        prompt: completion_prompt(options.layout, &context),
        params,
        offset,
        trigger,
        selected,
        confidence: options.confidence,
        model: options.model,
        acceptance: options.acceptance,
        snapshot,
        place,
    })
}

/// The question of `plan` about the code right before the cursor alone, about `tokens` tokens of it: what is read quickly at a
/// place of which nothing has been read. `anchor` is the document's for such questions. `None` where this would not be much
/// shorter, or would have to end otherwise.
pub fn short_prompt(plan: &Plan, options: &CompletionOptions, tokens: usize, anchor: &mut Anchor) -> Option<Prompt> {
    if plan.selected.is_some() || options.context_tokens < 2 * tokens {
        return None;
    }
    let context = completion_context(&plan.snapshot, plan.place.offset, Limits::nearest(tokens), anchor).nearest();
    let ends = generation::ends_of_fence(&completion_fence(&context));
    (plan.params.stop.stop_strings == ends).then(|| completion_prompt(options.layout, &context))
}

/// Shapes what the model wrote at the plan's place; `None` if nothing useful is left, or if the person did not ask and
/// probably wants to write something else.
pub fn finish(plan: &Plan, candidate: &Candidate) -> Option<InlineItem> {
    let place = &plan.place;
    let shaped = shaped(plan, candidate)?;
    // Not every engine can be held to them.
    if plan.params.names.as_ref().is_some_and(|names| !names.admit(&shaped.text)) {
        return None;
    }
    if plan.trigger == Trigger::Automatic && !confidence::is_worth_showing(plan, &shaped, candidate) {
        return None;
    }
    let Shaped { text, replaced } = shaped;
    Some(match &plan.selected {
        Some((range, selected)) => {
            InlineItem { insert_text: format!("{selected}{text}"), range: range.start..range.end + replaced }
        }
        None => InlineItem { insert_text: text, range: place.offset..place.offset + replaced },
    })
}

/// The signals for and against showing what the model wrote at the plan's place; `None` if nothing useful is left of
/// it, or if its certainty is not known.
pub fn signals(plan: &Plan, candidate: &Candidate) -> Option<Signals> {
    confidence::signals(&shaped(plan, candidate)?, candidate)
}

/// What can be shown of what the model wrote; `None` when nothing useful is left.
fn shaped(plan: &Plan, candidate: &Candidate) -> Option<Shaped> {
    let place = &plan.place;
    let cut_at_syntax = |text: &str| statement_end(&plan.snapshot, place, text);
    let shaping = Shaping { place, cut_at_syntax: &cut_at_syntax, form: candidate.form };
    shaping.shape(&with_line_feeds(candidate.text.clone()), candidate.stop_reason)
}

/// The items of several candidates, best first, without duplicates.
pub fn finish_all(plan: &Plan, candidates: &[Candidate]) -> Vec<InlineItem> {
    let mut items = Vec::new();
    for item in candidates.iter().filter_map(|candidate| finish(plan, candidate)) {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    items
}

/// What is left of `item` after the person typed `typed` at its place, if they typed what it says; `None` if they did not, or
/// if nothing is left. `closed` is what the editor put right of the cursor meanwhile: the [`closers()`] of brackets and tags in
/// `typed`. Only for items whose range begins at the cursor.
pub fn type_through(item: &InlineItem, typed: &str, closed: &str) -> Option<InlineItem> {
    let rest = item.insert_text.strip_prefix(typed)?;
    let offset = item.range.start + typed.len();
    // The closers the editor added are replaced if the item has them too; else they stay right of it.
    let in_string = closed.chars().next().filter(|closer| matches!(closer, '"' | '\'' | '`'));
    let closed_in_rest = unopened_closers(rest, in_string);
    let has_closers = closers(closed).is_some_and(|closed| {
        closed.len() <= closed_in_rest.len()
            && closed.iter().zip(&closed_in_rest).all(|(closer, in_rest)| closer == in_rest)
    });
    let replaced = match (has_closers, item.range.is_empty()) {
        (true, _) => closed.len() + item.range.len(),
        (false, true) => 0,
        (false, false) => return None,
    };
    let visible = |text: &str| text.chars().any(|character| !character.is_whitespace());
    (visible(rest) && rest.trim() != closed)
        .then(|| InlineItem { insert_text: rest.to_owned(), range: offset..offset + replaced })
}

/// The closers and closing tags of `text` that close what was opened before it, in order.
fn unopened_closers(text: &str, in_string: Option<char>) -> Vec<&str> {
    let unopened = Brackets::scan(text, in_string, Quotes::default(), None).unopened;
    let brackets =
        unopened.iter().map(|unopened| (unopened.offset, &text[unopened.offset..][..unopened.closer.len_utf8()]));
    let mut closers: Vec<_> = brackets.chain(closers::unopened_tags(text)).collect();
    closers.sort_by_key(|(offset, _)| *offset);
    closers.into_iter().map(|(_, closer)| closer).collect()
}

/// The document as if the item selected in the suggest widget were accepted, and the cursor in it.
fn with_selected(snapshot: &Snapshot, offset: usize, selected: Option<&(Range<usize>, String)>) -> (Snapshot, usize) {
    let Some((range, selected)) = selected else { return (snapshot.clone(), offset) };
    let edit = Edit { range: range.clone(), new_text: selected.clone() };
    let mut accepted = snapshot.clone();
    apply_edit(&mut accepted.text, &edit);
    accepted.parsed = snapshot.parsed.as_ref().and_then(|parsed| parsed.edit(&[edit], &accepted.text));
    (accepted, range.start + selected.len())
}

/// Bytes of `text`, written at `place`, up to the end of the statement it belongs to; all of them without a tree.
fn statement_end(snapshot: &Snapshot, place: &Place, text: &str) -> usize {
    // Within one line there is nothing to leave out: what follows on it was written on purpose.
    let parsed = snapshot.parsed.as_ref().filter(|_| text.contains('\n'));
    let written = parsed.and_then(|parsed| parsed.with_replacement(place.offset..place.offset, text));
    let Some(written) = written else { return text.len() };
    let end = written.truncation_end(place.offset..place.offset + text.len()) - place.offset;
    let end = (0..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    // Plain statements inside a body go on to its end; a block is a whole, and so is one statement at the top level.
    let is_plain = place.is_blank_line() && place.indent() > 0 && !text[..end].contains('\n');
    if is_plain { text.len() } else { end }
}

#[cfg(test)]
mod tests;
