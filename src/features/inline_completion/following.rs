//! What follows the cursor on its line, judged by the text alone: for languages without a grammar, and for code that
//! does not parse.

use crate::syntax::{Following, Language, Region};

use super::brackets::Brackets;
use super::closers::closing_tag;

/// What ends a part of a template.
const TEMPLATE_CLOSERS: [&str; 5] = ["%>", "?>", "%}", "-->", "*/"];

/// The cursor's line, and what is known of where on it the cursor stands.
pub(super) struct CursorLine<'a> {
    /// Left and right of the cursor.
    pub prefix: &'a str,
    pub suffix: &'a str,
    /// What brackets and strings are open at the cursor.
    pub open: &'a Brackets,
    pub language: &'static Language,
    pub region: Option<Region>,
    /// Whether English is to be expected here.
    pub prose: bool,
}

/// What follows the cursor on `line`.
pub(super) fn following_in_text(line: &CursorLine<'_>) -> Following {
    let rest = line.suffix.trim();
    let quote = line.open.in_string();
    if rest.is_empty() {
        Following::Nothing
    } else if line.prose || line.region == Some(Region::Comment) {
        // Sentences go on however they are punctuated, but for what stands in brackets.
        if closes_only(rest) || rest.starts_with([')', ']', '}']) { Following::Closer } else { Following::Code }
    } else if quote.is_some_and(|quote| rest.contains(quote)) {
        Following::String
    } else if line.language.comments().any(|comment| rest.starts_with(comment)) {
        Following::Comment
    } else if closing_tag(rest).is_some() {
        Following::Tag
    } else if rest.starts_with([')', ']', '}']) || TEMPLATE_CLOSERS.iter().any(|closer| rest.starts_with(closer)) {
        Following::Closer
    } else if rest.starts_with('>') || rest.starts_with("/>") {
        if has_open_angle(line.prefix) { Following::Closer } else { Following::Code }
    } else if rest.starts_with([',', ';']) {
        Following::Separator
    } else if matches!(rest, "{" | ":") && !line.prefix.trim().is_empty() && !line.prefix.trim_end().ends_with('=') {
        Following::Body
    } else if closes_only(rest) {
        Following::Closer
    } else {
        Following::Code
    }
}

/// Whether `rest` has nothing in it that a completion could not replace or stand in front of.
pub(super) fn closes_only(rest: &str) -> bool {
    let mut rest = rest.trim_start();
    while let Some(character) = rest.chars().next() {
        let length = closing_tag(rest).unwrap_or(character.len_utf8());
        if length == character.len_utf8() && (character.is_alphanumeric() || character == '_') {
            return false;
        }
        rest = &rest[length..];
    }
    true
}

/// Whether a `<` of `line` is not closed yet that can begin a tag or a list of types.
fn has_open_angle(line: &str) -> bool {
    let opened = line.rfind('<').filter(|open| !line[open + 1..].starts_with([' ', '=']));
    opened.is_some_and(|open| !line[open..].replace("=>", "").replace("->", "").contains('>'))
}
