//! The text around the cursor that planning and shaping work on: a few lines, their brackets and indentation.

use std::borrow::Cow;
use std::ops::Range;

use crate::context::Snapshot;
use crate::text::indent_columns;
use crate::text::{Rope, floor_char_boundary, line_content};

use super::brackets::Brackets;
use super::following::{CursorLine, closes_only, following_in_text};
use crate::features::indentation::IndentStyle;
use crate::syntax::{Following, Language, Region, UNKNOWN};

/// Lines with content looked at above and below the cursor.
const LINES_AROUND: usize = 8;
/// Lines looked at, at most, to find them and to learn how the file indents.
const LINES_SEARCHED: usize = 200;
/// Bytes of a line that are looked at; a longer one is data, or many lines of code that a tool has made one.
const MAX_LINE_BYTES: usize = 4 << 10;
/// Bytes of a line that tell how it is indented.
const INDENT_BYTES: usize = 256;

/// The cursor and the text around it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The cursor, clamped to its line's content.
    pub offset: usize,
    /// The cursor's line, left and right of the cursor, without its line break; of what is long, what the cursor is near,
    /// with the line's indentation.
    pub line_prefix: String,
    pub line_suffix: String,
    /// The nearest lines with content, nearest first.
    pub above: Vec<String>,
    pub below: Vec<String>,
    pub indent_style: IndentStyle,
    pub language: &'static Language,
    /// What brackets and strings the line has open at the cursor.
    pub open: Brackets,
    /// The comment or string the cursor is in, in code.
    pub region: Option<Region>,
    /// Whether English is to be expected here: a text document, a comment, a string.
    pub prose: bool,
    /// What stands right of the cursor.
    pub following: Following,
}

impl Place {
    pub(super) fn at(snapshot: &Snapshot, offset: usize) -> Self {
        let text = &snapshot.text;
        let offset = floor_char_boundary(text, offset);
        let line = text.byte_to_line(offset);
        let content = line_content(text, line);
        let offset = offset.min(content.end);
        let line_prefix = line_text(text, content.start..offset);
        let suffix_end = floor_char_boundary(text, content.end.min(offset + MAX_LINE_BYTES));
        let line_suffix = text.byte_slice(offset..suffix_end).to_string();

        let above = || (line.saturating_sub(LINES_SEARCHED)..line).rev();
        let below = || line + 1..text.len_lines().min(line + 1 + LINES_SEARCHED);
        let around = above().chain(below()).map(|line| line_start(text, line));
        let indent_style = IndentStyle::of_lines(std::iter::once(Cow::from(line_prefix.as_str())).chain(around));
        let language = snapshot.language.unwrap_or(&UNKNOWN);
        // Code in a string has brackets of its own.
        let interpolation = snapshot.parsed.as_ref().and_then(|parsed| parsed.interpolation_at(offset));
        let code_start = interpolation.and_then(|code| line_prefix.len().checked_sub(offset - code.start)).unwrap_or(0);
        let open = Brackets::scan(&line_prefix[code_start..], None, language.quotes, language.line_comment());
        let is_text = language.is_prose;
        let region = match &snapshot.parsed {
            _ if is_text => None,
            Some(parsed) => parsed.region_at(offset).map(|(region, _)| region),
            None if is_comment(&line_prefix, language) => Some(Region::Comment),
            None => open.in_string().map(|_| Region::String),
        };
        // Without a tree a quote may be an apostrophe.
        let prose = is_text || region == Some(Region::Comment) || (region.is_some() && snapshot.parsed.is_some());
        let (prefix, suffix) = (line_prefix.as_str(), line_suffix.as_str());
        let by_text = following_in_text(&CursorLine { prefix, suffix, open: &open, language, region, prose });
        let by_syntax = snapshot.parsed.as_ref().and_then(|parsed| parsed.following(offset));
        // Punctuation alone is nothing that a completion could break, whatever the tree says.
        let is_told = |following: &Following| *following != Following::Code || !closes_only(suffix);
        let following = by_syntax.filter(is_told).unwrap_or(by_text);
        Self {
            offset,
            open,
            line_prefix,
            line_suffix,
            above: with_content(text, above()),
            below: with_content(text, below()),
            indent_style,
            language,
            region,
            prose,
            following,
        }
    }

    /// Whether nothing but white space stands left of the cursor.
    pub(super) fn is_line_start(&self) -> bool {
        self.line_prefix.trim().is_empty()
    }

    /// Whether the cursor's line has only white space.
    pub(super) fn is_blank_line(&self) -> bool {
        self.is_line_start() && self.line_suffix.trim().is_empty()
    }

    /// Columns the cursor's line is indented by.
    pub(super) fn indent(&self) -> usize {
        indent_columns(&self.line_prefix)
    }
}

fn with_content(text: &Rope, lines: impl Iterator<Item = usize>) -> Vec<String> {
    let lines = lines.map(|line| line_text(text, line_content(text, line)));
    lines.filter(|line| !line.trim().is_empty()).take(LINES_AROUND).collect()
}

/// `range` of one line; of what is long its beginning, for the indentation, and its end.
fn line_text(text: &Rope, range: Range<usize>) -> String {
    if range.len() <= MAX_LINE_BYTES {
        return text.byte_slice(range).to_string();
    }
    let head = range.start..floor_char_boundary(text, range.start + INDENT_BYTES);
    let tail = floor_char_boundary(text, range.end - MAX_LINE_BYTES + INDENT_BYTES)..range.end;
    format!("{}{}", text.byte_slice(head), text.byte_slice(tail))
}

/// As much of a line as tells how it is indented.
fn line_start(text: &Rope, line: usize) -> Cow<'_, str> {
    let Range { start, end } = line_content(text, line);
    text.byte_slice(start..floor_char_boundary(text, end.min(start + INDENT_BYTES))).into()
}

fn is_comment(line_prefix: &str, language: &Language) -> bool {
    let line = line_prefix.trim_start();
    let goes_on = line.starts_with("* ") && language.block_comments.contains(&"/*");
    goes_on || language.comments().any(|comment| line.starts_with(comment))
}
