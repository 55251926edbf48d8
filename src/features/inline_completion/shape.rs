//! Turns what a model wrote into what is shown: a chain of small steps, each a pure function of the text and the place.
//!
//! Every step only removes text or changes white space; the only thing added is a line break between a block and the
//! closing bracket after it.

use crate::engine::StopReason;

use super::brackets::{Brackets, Unopened};
use super::closers::{closing_tag, unopened_angle, unopened_tags};
use super::place::Place;
use crate::features::indentation::normalize_later_lines;
use crate::model::{PromptForm, chat};
use crate::syntax::Following;
use crate::text::indent_columns;

/// Letters and digits a line needs before it counts as a repetition of its neighbour: `}` and `0,` recur by nature.
const TELLING_CHARACTERS: usize = 3;
/// The number of visible characters that a completion needs to be worth showing.
const USEFUL_CHARACTERS: usize = 2;

/// A completion that lacks only its place in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shaped {
    pub text: String,
    /// Bytes right of the cursor that the text replaces.
    pub replaced: usize,
}

/// What shaping knows apart from the text.
pub(super) struct Shaping<'a> {
    pub place: &'a Place,
    /// Cuts a text at the end of the syntax node it belongs to; gives it back as it is where there is no tree.
    pub cut_at_syntax: &'a dyn Fn(&str) -> usize,
    /// How the model was asked.
    pub form: PromptForm,
}

impl Shaping<'_> {
    /// The whole chain; `None` when nothing useful is left.
    pub(super) fn shape(&self, raw: &str, stop_reason: StopReason) -> Option<Shaped> {
        let place = self.place;
        let text = match self.form {
            PromptForm::Chat => drop_retyped_lines(strip_noise(raw, place), place),
            // What fills a gap is code, and nothing but what belongs there.
            PromptForm::Fim => raw,
        };
        let text = strip_leading_space(text, place);
        let text = whole_lines(text, stop_reason);
        let text = &text[..(self.cut_at_syntax)(text)];
        if repeats_neighbour(text, place) {
            return None;
        }
        let text = drop_lines_below(text, place);
        let (text, replaced) = meet_line_suffix(text, place);
        let text = normalize_later_lines(&trim_line_ends(text, &place.line_suffix[replaced..]), place.indent_style);
        let shaped = break_before_closers(Shaped { text, replaced }, place);
        is_useful(&shaped, place).then_some(shaped)
    }
}

/// Whether `text`, all that a model asked in `form` has written so far, may turn out to begin with what a step of the chain
/// drops: it goes on, and no step has seen its first line whole.
pub(super) fn is_undecided(text: &str, form: PromptForm, place: &Place) -> bool {
    let visible = text.trim_start();
    let first = visible.lines().next().unwrap_or_default().trim_end();
    let is_chat = form == PromptForm::Chat;
    first.is_empty()
        || is_chat && may_be_noise(text, first, place)
        || is_chat && may_be_retyped(text, first, place)
        || may_be_neighbour(text, first, place)
}

/// Whether `first`, the first visible line of `text`, may become a fence, or a sentence in front of the code.
fn may_be_noise(text: &str, first: &str, place: &Place) -> bool {
    if place.prose {
        return false;
    }
    let can_be_sentence = place.is_line_start() || text.starts_with('\n');
    let goes_on = !text.trim_start().contains('\n');
    let lower = first.to_lowercase();
    let opens = |opening: &&str| opening.starts_with(&lower) || lower.starts_with(*opening);
    first.starts_with('`') || (can_be_sentence && goes_on && OPENINGS.iter().any(opens))
}

/// Whether `first`, the first visible line of `text`, may become a line from above the cursor, or what was typed on its own.
fn may_be_retyped(text: &str, first: &str, place: &Place) -> bool {
    let typed = place.line_prefix.trim();
    let is_whole_line = place.is_line_start() || text.contains('\n');
    let from_above = || place.above.iter().any(|line| is_telling(line) && line.trim().starts_with(first));
    (is_telling(typed) && typed.starts_with(text.trim_start())) || (is_whole_line && from_above())
}

/// Whether the line that the completion makes, `first` of it so far, may become the one above or below it.
fn may_be_neighbour(text: &str, first: &str, place: &Place) -> bool {
    if text.contains('\n') {
        return false;
    }
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = words(&format!("{}{text}", place.line_prefix));
    let mut neighbours = place.above.first().into_iter().chain(place.below.first());
    let is_below = || place.below.first().is_some_and(|below| below.trim().starts_with(first));
    neighbours.any(|neighbour| is_telling(neighbour) && words(neighbour).starts_with(&line))
        || (place.is_blank_line() && is_below())
}

/// Drops the last line where the text breaks off within it: it ran out of tokens, or in circles.
fn whole_lines(text: &str, stop_reason: StopReason) -> &str {
    let broken_off = match stop_reason {
        // One line that is cut is still a line's beginning.
        StopReason::MaxTokens => text.contains('\n'),
        StopReason::RepeatedText => true,
        _ => false,
    };
    if broken_off { &text[..text.rfind('\n').unwrap_or(0)] } else { text }
}

/// Removes what a chat model puts around code: role tags, fences, sentences before and after.
fn strip_noise<'t>(text: &'t str, place: &Place) -> &'t str {
    let text = strip_role_tags(text);
    if place.prose {
        return text;
    }
    strip_closing_prose(strip_fence(strip_opening_prose(text, place)))
}

/// Cuts at the first role tag; one that opens the text is skipped.
fn strip_role_tags(text: &str) -> &str {
    let mut text = text;
    while let Some(tag) = chat::tags().find(|tag| text.trim_start().starts_with(tag)) {
        text = text.trim_start()[tag.len()..].trim_start_matches('\n');
    }
    &text[..chat::tags().filter_map(|tag| text.find(tag)).min().unwrap_or(text.len())]
}

/// The inside of the fence that opens the text; without one, the text before the fence that ends it.
fn strip_fence(text: &str) -> &str {
    let mut inside = text;
    if let Some(opened) = text.trim_start().strip_prefix("```") {
        inside = opened.split_once('\n').map_or("", |(_, inside)| inside);
    }
    let end = match inside.starts_with("```") {
        true => 0,
        false => inside.find("\n```").unwrap_or(inside.len()),
    };
    let inside = &inside[..end];
    inside.trim_end().strip_suffix("```").unwrap_or(inside)
}

/// How sentences begin that a chat model puts in front of code, in lower case.
const OPENINGS: [&str; 14] = [
    "sure",
    "certainly",
    "of course",
    "okay",
    "here is",
    "here's",
    "here are",
    "below is",
    "the completed",
    "the code",
    "the following",
    "to complete",
    "as an ai",
    "i'm sorry",
];

/// Skips a sentence like `Sure, here is the code:` in front of the code.
fn strip_opening_prose<'t>(text: &'t str, place: &Place) -> &'t str {
    if !place.is_line_start() && !text.starts_with('\n') {
        return text;
    }
    let line = text.trim_start().lines().next().unwrap_or("");
    let lower = line.to_lowercase();
    let is_sentence = line.trim_end().ends_with([':', '.', '!']) && line.split_whitespace().count() >= 3;
    if !is_sentence || !OPENINGS.iter().any(|opening| lower.starts_with(opening)) {
        return text;
    }
    let after = text.trim_start()[line.len()..].trim_start_matches(['\n', '\r']);
    // A second sentence may follow before the code does.
    match after.find("```") {
        Some(fence) if looks_like_sentence(after.lines().next().unwrap_or("")) => &after[fence..],
        _ => after,
    }
}

/// Cuts at a paragraph of English after the code.
fn strip_closing_prose(text: &str) -> &str {
    let mut end = 0;
    let mut blank_before = false;
    for line in text.split_inclusive('\n') {
        if blank_before && looks_like_sentence(line) {
            return text[..end].trim_end();
        }
        blank_before = line.trim().is_empty();
        end += line.len();
    }
    text
}

/// Whether `line` is English rather than code: several plain words at the left margin, and a full stop or colon.
fn looks_like_sentence(line: &str) -> bool {
    let line = line.trim_end();
    line.starts_with(|first: char| first.is_ascii_uppercase())
        && line.ends_with(['.', ':', '!'])
        && line.split_whitespace().count() >= 4
        && !line.contains(['{', '}', ';', '='])
}

/// Skips what the model wrote again from above the cursor: whole lines, and the cursor's line up to the cursor.
fn drop_retyped_lines<'t>(text: &'t str, place: &Place) -> &'t str {
    let text = &text[retyped_lines_end(text, place)..];
    let typed = place.line_prefix.trim();
    if !is_telling(typed) {
        return text;
    }
    match text.trim_start().strip_prefix(typed) {
        Some(rest) if place.line_prefix.ends_with(' ') => rest.trim_start_matches(' '),
        Some(rest) => rest,
        None => text,
    }
}

/// Where the lines at the start of `text` end that are the lines above the cursor, in the same order.
fn retyped_lines_end(text: &str, place: &Place) -> usize {
    let mut ends = Vec::new();
    let mut lines = Vec::new();
    let mut end = 0;
    for line in text.split_inclusive('\n').take_while(|line| line.ends_with('\n')) {
        end += line.len();
        if !line.trim().is_empty() {
            lines.push(line.trim());
            ends.push(end);
        }
    }
    let retyped = (1..=lines.len().min(place.above.len())).rev().find(|count| {
        let above = place.above[..*count].iter().rev().map(|line| line.trim());
        is_telling(lines[0]) && lines[..*count].iter().copied().eq(above)
    });
    retyped.map_or(0, |count| ends[count - 1])
}

/// Drops blank lines and indentation that are on the screen already.
fn strip_leading_space<'t>(text: &'t str, place: &Place) -> &'t str {
    if !place.is_line_start() {
        let spaced = place.line_prefix.ends_with([' ', '\t']);
        return if spaced { text.trim_start_matches([' ', '\t']) } else { text };
    }
    let content = text.len() - text.trim_start().len();
    let line_start = text[..content].rfind('\n').map_or(0, |end| end + 1);
    let text = &text[line_start..];
    let expected = expected_indent(place);
    let wanted = if line_start == 0 { place.indent() + indent_columns(text) } else { indent_columns(text) };
    // Indentation is there twice only if it is there already, and not on its way.
    let level = place.indent_style.level_columns();
    let is_there = place.indent() > 0 && place.indent().is_multiple_of(level) && place.indent() >= expected;
    if is_there || wanted <= place.indent() {
        return text.trim_start_matches([' ', '\t']);
    }
    // On its way to a deeper level: what is missing, counted from the cursor.
    match line_start {
        0 => text,
        _ => &text[place.line_prefix.len().min(text.len() - text.trim_start().len())..],
    }
}

/// Columns a new line at the cursor would be indented by.
fn expected_indent(place: &Place) -> usize {
    let Some(above) = place.above.first() else { return 0 };
    indent_columns(above) + if place.language.opens_block(above) { place.indent_style.level_columns() } else { 0 }
}

fn is_telling(line: &str) -> bool {
    line.chars().filter(|character| character.is_alphanumeric()).count() >= TELLING_CHARACTERS
}

/// Whether the line the completion makes stands directly above or below already.
fn repeats_neighbour(text: &str, place: &Place) -> bool {
    let first = text.lines().next().unwrap_or("");
    let line = format!("{}{first}", place.line_prefix);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let neighbours = place.above.first().into_iter().chain(place.below.first());
    is_telling(&line) && neighbours.into_iter().any(|neighbour| words(neighbour) == words(&line))
}

/// Cuts the lines at the end that are the next lines of the document.
fn drop_lines_below<'t>(text: &'t str, place: &Place) -> &'t str {
    let mut lines = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if !line.trim().is_empty() && (offset > 0 || place.is_blank_line()) {
            lines.push((offset, line));
        }
        offset += line.len();
    }
    let same = |(offset, line): &(usize, &str), below: &String| {
        let indent = indent_columns(line) + if *offset == 0 { place.indent() } else { 0 };
        line.trim() == below.trim() && (is_telling(line) || indent == indent_columns(below))
    };
    let longest = (1..=lines.len().min(place.below.len())).rev().find(|count| {
        let tail = &lines[lines.len() - count..];
        tail.iter().zip(&place.below).all(|(line, below)| same(line, below))
    });
    match longest {
        Some(count) => text[..lines[lines.len() - count].0].trim_end(),
        None => text,
    }
}

/// Settles what of `text` is on the line already. What the text shares with the rest of the line replaces that; where it goes
/// beyond the gap it is written into, it is cut. Returns the text and the bytes of the rest of the line it replaces.
fn meet_line_suffix<'t>(text: &'t str, place: &Place) -> (&'t str, usize) {
    let text = text.trim_end();
    let suffix = place.line_suffix.trim_end();
    let scan = |text: &str| {
        Brackets::scan(text, place.open.in_string(), place.language.quotes, place.language.line_comment()).unopened
    };
    let closers = |unopened: &[Unopened]| unopened.iter().map(|unopened| unopened.closer).collect::<Vec<_>>();
    let whole = suffix.trim_start();
    if !whole.is_empty() && text.ends_with(whole) {
        let unopened = scan(text);
        let in_tail = unopened.partition_point(|unopened| unopened.offset < text.len() - whole.len());
        // `bar()` does not end with the `)` that follows in `foo($0)`: its own one is spoken for.
        if closers(&unopened[in_tail..]) == closers(&scan(whole)) {
            return (text, suffix.len());
        }
    }

    let text = within_gap(text, place);
    let (text, replaced) = meet_closers(text, &scan(text), suffix, &scan(suffix), place);
    let rest = suffix[replaced..].trim_start();
    if !rest.is_empty() && !rest.contains([')', ']', '}', '"', '\'', '`']) && text.ends_with(rest) {
        return (text, suffix.len());
    }
    (&text[..text.len() - words_shared(text, rest)], replaced)
}

/// `text` up to where it writes again what ends the gap: the separator, the body's opener, the comment, the tag that follows.
fn within_gap<'t>(text: &'t str, place: &Place) -> &'t str {
    let first_outside =
        |mark| Brackets::first_outside(text, mark, place.language.quotes, place.language.line_comment());
    let rest = place.line_suffix.trim_start();
    let end = match (place.following, rest.chars().next()) {
        (Following::Separator | Following::Body, Some(mark)) => first_outside(mark),
        (Following::Comment, _) => {
            let markers = place.language.comments();
            let outside = |marker: &str| {
                let in_string = |end: &usize| {
                    Brackets::scan(&text[..*end], None, place.language.quotes, None).in_string().is_some()
                };
                text.match_indices(marker).map(|(start, _)| start).find(|start| !in_string(start))
            };
            markers.filter_map(outside).min()
        }
        (Following::Tag, _) => unopened_tags(text).first().map(|(start, _)| *start),
        (Following::Closer, Some('>' | '/')) => unopened_angle(text),
        _ => None,
    };
    end.map_or(text, |end| text[..end].trim_end())
}

/// Meets the closers of `text` that it does not open with those of `suffix`, pair by pair. Between two pairs both have to say
/// the same, or the text ends before. Closers that belong to neither end it too.
fn meet_closers<'t>(
    text: &'t str,
    closers: &[Unopened],
    suffix: &str,
    suffix_closers: &[Unopened],
    place: &Place,
) -> (&'t str, usize) {
    let mut due = place.open.due.clone();
    let mut expected = suffix_closers.iter().peekable();
    // What is left of text and suffix after the last pair that met; where to go back to if what follows it differs.
    let (mut text_from, mut replaced) = (0, 0);
    let mut before_last = None;
    for closer in closers {
        // Sentences close their brackets as they like.
        let opened_here = due.last() == Some(&closer.closer) || place.prose;
        match expected.next_if(|met| met.closer == closer.closer) {
            Some(met) => {
                let (written, there) = (&text[text_from..closer.offset], &suffix[replaced..met.offset]);
                let agrees = match before_last {
                    None => ends_with_words(written.trim_end(), there.trim()),
                    Some(_) => there.trim().is_empty() || written.trim() == there.trim(),
                };
                if !agrees {
                    return before_last.unwrap_or((text[..closer.offset].trim_end(), 0));
                }
                let kept_until = if there.trim().is_empty() { replaced } else { met.offset };
                before_last = Some((text[..closer.offset].trim_end(), kept_until));
                replaced = met.offset + met.closer.len_utf8();
                text_from = closer.offset + closer.closer.len_utf8();
            }
            None if !opened_here => return (text[..closer.offset].trim_end(), replaced),
            None => {}
        }
        if opened_here {
            due.pop();
        }
    }
    let (tail, rest) = (&text[text_from..], suffix[replaced..].trim_start());
    if let Some(before_last) = before_last
        && rest.contains(char::is_alphanumeric)
        && !tail.trim().is_empty()
    {
        // `.bar().baz();` goes on with `.bar();`
        let (core, end) = rest.split_at(rest.trim_end_matches([';', ',']).len());
        let agrees = tail.trim_start().starts_with(core) && tail.ends_with(end);
        return if agrees { (text, suffix.len()) } else { before_last };
    }
    // No statement ends in parentheses.
    let in_parentheses = expected.peek().is_some_and(|due| matches!(due.closer, ')' | ']')) && !place.prose;
    let end = if in_parentheses {
        Brackets::first_outside(tail, ';', place.language.quotes, place.language.line_comment())
    } else {
        None
    };
    (end.map_or(text, |end| &text[..text_from + end]), replaced)
}

/// Whether `text` ends with `words`, and with no word that only ends like them.
fn ends_with_words(text: &str, words: &str) -> bool {
    let is_word = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let splits_word = |before: &str| is_word(before.chars().last()) && is_word(words.chars().next());
    words.is_empty() || text.strip_suffix(words).is_some_and(|before| !splits_word(before))
}

/// Bytes at the end of `text` that are whole words at the start of `rest`.
fn words_shared(text: &str, rest: &str) -> usize {
    let is_word = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let splits_word = |left: &str, right: &str| is_word(left.chars().last()) && is_word(right.chars().next());
    let ends = rest.char_indices().map(|(end, _)| end).chain([rest.len()]).rev();
    let shares = |end: &usize| {
        let (shared, after) = rest.split_at(*end);
        let before = text.strip_suffix(shared);
        shared.contains(char::is_alphanumeric)
            && before.is_some_and(|before| !splits_word(before, shared) && !splits_word(shared, after))
    };
    ends.take_while(|end| *end > 1).find(shares).unwrap_or(0)
}

/// Takes white space from the ends of lines, but for a space between the text and a word that follows.
fn trim_line_ends(text: &str, rest: &str) -> String {
    let lines: Vec<_> = text.trim_end().split('\n').map(str::trim_end).collect();
    let mut trimmed = lines.join("\n");
    if text.ends_with(' ') && rest.starts_with(char::is_alphanumeric) {
        trimmed.push(' ');
    }
    trimmed
}

/// A block written in front of a closer (`{$0}`) leaves the closer on a line of its own.
fn break_before_closers(mut shaped: Shaped, place: &Place) -> Shaped {
    let rest = place.line_suffix[shaped.replaced..].trim_start();
    let closes = rest.starts_with([')', ']', '}']) || closing_tag(rest).is_some();
    if shaped.text.contains('\n') && closes {
        let indent = place.line_prefix.len() - place.line_prefix.trim_start().len();
        shaped.text.push('\n');
        shaped.text.push_str(&place.line_prefix[..indent]);
    }
    shaped
}

/// Whether there is anything in the text that is not on the screen already.
fn is_useful(shaped: &Shaped, place: &Place) -> bool {
    let visible = |text: &str| text.chars().filter(|character| !character.is_whitespace()).count();
    visible(&shaped.text) >= visible(&place.line_suffix[..shaped.replaced]) + USEFUL_CHARACTERS
}
