//! The lines that a person changed last, in any document: each before and after the change.

use std::collections::VecDeque;
use std::path::PathBuf;

use tower_lsp_server::gen_lsp_types as lsp;

use super::Document;
use crate::context::RecentEdit;
use crate::text::{Rope, line_content};

/// How many edits are remembered.
const REMEMBERED: usize = 8;
/// Longer lines are data, or many lines that a tool has joined.
const LONGEST_LINE: usize = 160;

/// The lines changed last.
#[derive(Default)]
pub(super) struct RecentEdits {
    left: VecDeque<RecentEdit>,
    current: Option<Current>,
}

/// The line that is being changed.
struct Current {
    uri: lsp::Uri,
    path: Option<PathBuf>,
    line: usize,
    before: String,
    /// The document as the last edit left it.
    text: Rope,
}

impl RecentEdits {
    /// Notes that `document` was edited at the offset `start` of its previous text, `before`.
    pub(super) fn note(&mut self, document: &Document, before: &Rope, start: usize) {
        let after = &document.snapshot.text;
        let line = before.byte_to_line(start.min(before.len_bytes()));
        let has_same_lines = before.len_lines() == after.len_lines();
        let goes_on = self
            .current
            .as_ref()
            .is_some_and(|current| current.uri == document.uri && current.line == line && has_same_lines);
        match &mut self.current {
            Some(current) if goes_on => current.text = after.clone(),
            _ => {
                self.leave();
                // Adding or removing lines is not a change of a line, but typing into a new line is.
                self.current = has_same_lines.then(|| Current {
                    uri: document.uri.clone(),
                    path: document.snapshot.path.clone(),
                    line,
                    before: line_of(before, line),
                    text: after.clone(),
                });
            }
        }
    }

    /// Notes that the person has left the current line for another one.
    fn leave(&mut self) {
        let Some(current) = self.current.take() else { return };
        let edit =
            RecentEdit { path: current.path, before: current.before, after: line_of(&current.text, current.line) };
        let is_short = edit.before.len().max(edit.after.len()) <= LONGEST_LINE;
        if is_short && !edit.after.trim().is_empty() && edit.before.trim() != edit.after.trim() {
            self.left.push_back(edit);
            if self.left.len() > REMEMBERED {
                self.left.pop_front();
            }
        }
    }

    /// The finished edits, the newest last.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &RecentEdit> {
        self.left.iter()
    }

    /// Forgets everything, since the changed files may be excluded now.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn line_of(text: &Rope, line: usize) -> String {
    if line < text.len_lines() { text.byte_slice(line_content(text, line)).to_string() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::{Position, PositionEncoding, offset_at};

    /// Checks what is remembered after edits (line, from, to, text) of `text`.
    fn check(text: &str, edits: &[(u32, u32, u32, &str)], expected: &[(&str, &str)]) {
        let item = json!({"uri": "file:///a.rs", "languageId": "rust", "version": 1, "text": text});
        let mut document = Document::open(1, serde_json::from_value(item).expect("a document"));
        let mut recent = RecentEdits::default();
        for (line, from, to, text) in edits {
            let before = document.snapshot.text.clone();
            let at = |character: &u32| json!({"line": line, "character": character});
            let changes = json!([{"range": {"start": at(from), "end": at(to)}, "text": text}]);
            let changes = serde_json::from_value(changes).expect("changes");
            document.apply(2, changes, PositionEncoding::Utf16, |_, _, _| {});
            let start = offset_at(&before, Position { line: *line, character: *from }, PositionEncoding::Utf16);
            recent.note(&document, &before, start);
        }
        let shown: Vec<_> = recent.all().map(|edit| (edit.before.as_str(), edit.after.as_str())).collect();
        assert_eq!(shown, expected, "{edits:?}");
    }

    #[test]
    fn a_line_is_remembered_when_it_is_left_for_another_one() {
        let text = "f(a)\ng(b)\nh(c)\n";
        check(text, &[(0, 3, 3, ","), (0, 4, 4, " 1")], &[]);
        check(text, &[(0, 3, 3, ","), (0, 4, 4, " 1"), (2, 0, 1, "i")], &[("f(a)", "f(a, 1)")]);
        // A change that was taken back, and one of white space only.
        check(text, &[(0, 3, 3, ","), (0, 3, 4, ""), (2, 0, 1, "i")], &[]);
        check(text, &[(0, 0, 0, "    "), (2, 0, 1, "i")], &[]);
        // A new line has had nothing on it.
        check(text, &[(0, 4, 4, "\n"), (1, 0, 0, "x"), (1, 1, 1, "y"), (3, 0, 1, "i")], &[("", "xy")]);
    }

    #[test]
    fn as_many_are_remembered_as_help() {
        let text = "a\n".repeat(20);
        let edits: Vec<_> = (0..20).map(|line| (line, 0, 1, "b")).collect();
        check(&text, &edits, &[("a", "b"); REMEMBERED]);
    }
}
