//! The text around the cursor as the gate, the plan and shaping look at it: a few lines, their brackets and indentation.

use crate::context::Snapshot;
use crate::engine::stop::indent_columns;
use crate::text::{floor_char_boundary, line_content};

use super::brackets::{Brackets, Quotes};
use crate::features::indentation::IndentStyle;

/// Lines with content looked at above and below the cursor.
const LINES_AROUND: usize = 8;
/// Lines looked at, at most, to find them and to learn how the file indents.
const LINES_SEARCHED: usize = 200;

/// Where the cursor stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The cursor, clamped to its line's content.
    pub offset: usize,
    /// The cursor's line, left and right of the cursor, without its line break.
    pub line_prefix: String,
    pub line_suffix: String,
    /// The nearest lines with content, nearest first.
    pub above: Vec<String>,
    pub below: Vec<String>,
    pub indent_style: IndentStyle,
    pub quotes: Quotes,
    /// What brackets and strings the line has open at the cursor.
    pub open: Brackets,
    pub line_comment: Option<&'static str>,
    /// Whether English is to be expected here: a text document, a comment, a string.
    pub prose: bool,
    /// The language's name after a code fence.
    pub fence_name: String,
    pub python_like: bool,
}

impl Place {
    pub(super) fn at(snapshot: &Snapshot, offset: usize) -> Self {
        let text = &snapshot.text;
        let offset = floor_char_boundary(text, offset);
        let line = text.byte_to_line(offset);
        let content = line_content(text, line);
        let offset = offset.min(content.end);
        let line_prefix = text.byte_slice(content.start..offset).to_string();
        let line_suffix = text.byte_slice(offset..content.end).to_string();

        let line_at = |line: usize| text.byte_slice(line_content(text, line)).to_string();
        let above: Vec<_> = (line.saturating_sub(LINES_SEARCHED)..line).rev().map(line_at).collect();
        let below: Vec<_> = (line + 1..text.len_lines().min(line + 1 + LINES_SEARCHED)).map(line_at).collect();
        let mut around = above.iter().chain(&below).map(String::as_str).collect::<Vec<_>>();
        around.insert(0, &line_prefix);
        let indent_style = IndentStyle::of_lines(around);
        let line_comment =
            snapshot.language.map(|language| language.line_comment).filter(|comment| !comment.is_empty());
        let quotes = Quotes::of_language(&snapshot.language_id);
        let prose = is_text_language(&snapshot.language_id)
            || match &snapshot.parsed {
                Some(parsed) => parsed.region_at(offset).is_some(),
                None => is_comment(&line_prefix, line_comment),
            };
        Self {
            offset,
            open: Brackets::scan(&line_prefix, None, quotes, line_comment),
            line_prefix,
            line_suffix,
            above: with_content(above),
            below: with_content(below),
            indent_style,
            quotes,
            line_comment,
            prose,
            fence_name: snapshot.fence_name().to_owned(),
            python_like: snapshot.language_id == "python",
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

fn with_content(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| !line.trim().is_empty()).take(LINES_AROUND).collect()
}

fn is_text_language(language_id: &str) -> bool {
    matches!(
        language_id,
        "markdown" | "plaintext" | "latex" | "tex" | "restructuredtext" | "asciidoc" | "git-commit" | "scminput"
    )
}

fn is_comment(line_prefix: &str, line_comment: Option<&str>) -> bool {
    let line = line_prefix.trim_start();
    line_comment.is_some_and(|comment| line.starts_with(comment)) || line.starts_with("/*") || line.starts_with("* ")
}

/// Whether `line` ends by opening a block: its body belongs on the next line.
pub(super) fn opens_block(line: &str, python_like: bool) -> bool {
    let line = line.trim_end();
    line.ends_with(['{', '(', '['])
        || line.ends_with("=>")
        || line.ends_with("->")
        || (python_like && line.ends_with(':'))
}
