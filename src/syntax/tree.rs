//! A text with its syntax tree, parsed once and then kept up to date edit by edit.

use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use tree_sitter::{InputEdit, ParseOptions, ParseState, Parser, Point, Tree};

use super::Language;
use crate::text::{Edit, Rope, apply_edit, clamped_range};

/// Larger texts are not parsed: they are data more often than code, and their trees take a multiple of their size.
pub const MAX_PARSE_BYTES: usize = 2 << 20;

/// A parse that takes longer is given up: of a whole text, and of what an edit touched, for which somebody waits at every
/// key. Ordinary files take milliseconds; what runs into this is generated or broken, or the machine is busy.
const MAX_PARSE_TIME: Duration = Duration::from_millis(400);
const MAX_EDIT_TIME: Duration = Duration::from_millis(100);

/// A document's syntax tree, together with the text it is the tree of. A clone costs two reference counts.
#[derive(Clone)]
pub struct Parsed {
    pub language: &'static Language,
    pub(super) tree: Tree,
    pub(super) text: Rope,
}

impl Parsed {
    /// Parses `text`. `None` if its language has no grammar, or if it is larger than [`MAX_PARSE_BYTES`] or takes too long; do
    /// not try again at the next keystroke then, but at a pause.
    pub fn parse(language: &'static Language, text: &Rope) -> Option<Parsed> {
        Self::parse_from(language, text, None, MAX_PARSE_TIME)
    }

    /// The tree of `after`, which is this text after `edits`; each edit is in the bytes the edits before it left. Only
    /// what the edits touched is parsed again. `None` as for [`Parsed::parse`].
    pub fn edit(&self, edits: &[Edit], after: &Rope) -> Option<Parsed> {
        self.edit_within(edits, after, MAX_EDIT_TIME)
    }

    fn edit_within(&self, edits: &[Edit], after: &Rope, time: Duration) -> Option<Parsed> {
        let mut tree = self.tree.clone();
        let mut text = self.text.clone();
        for edit in edits {
            let range = clamped_range(&text, edit);
            let start_position = point_at(&text, range.start);
            let old_end_position = point_at(&text, range.end);
            apply_edit(&mut text, edit);
            let new_end_byte = range.start + edit.new_text.len();
            tree.edit(&InputEdit {
                start_byte: range.start,
                old_end_byte: range.end,
                new_end_byte,
                start_position,
                old_end_position,
                new_end_position: point_at(&text, new_end_byte),
            });
        }
        // A caller whose edits do not lead to `after` would get a tree of neither text.
        let old_tree = (text.len_bytes() == after.len_bytes()).then_some(&tree);
        Self::parse_from(self.language, after, old_tree, time)
    }

    /// The tree of this text with `new_text` in the place of `range`: what a completion would make of it.
    pub fn with_replacement(&self, range: Range<usize>, new_text: &str) -> Option<Parsed> {
        let edit = Edit { range, new_text: new_text.to_string() };
        let mut after = self.text.clone();
        apply_edit(&mut after, &edit);
        self.edit(std::slice::from_ref(&edit), &after)
    }

    /// The text this is the tree of.
    pub fn text(&self) -> &Rope {
        &self.text
    }

    fn parse_from(language: &'static Language, text: &Rope, old_tree: Option<&Tree>, time: Duration) -> Option<Parsed> {
        if text.len_bytes() > MAX_PARSE_BYTES {
            return None;
        }
        let grammar = language.grammar?;
        let mut parser = Parser::new();
        if let Err(error) = parser.set_language(&grammar.parser()) {
            tracing::error!("the grammar of {} does not fit this tree-sitter: {error}", language.id);
            return None;
        }
        let mut read = |offset: usize, _: Point| {
            if offset >= text.len_bytes() {
                return &[][..];
            }
            let (chunk, chunk_start, ..) = text.chunk_at_byte(offset);
            &chunk.as_bytes()[offset - chunk_start..]
        };
        let deadline = Instant::now() + time;
        let mut in_time = |_: &ParseState| {
            if Instant::now() < deadline { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let options = ParseOptions::new().progress_callback(&mut in_time);
        let tree = parser.parse_with_options(&mut read, old_tree, Some(options))?;
        Some(Parsed { language, tree, text: text.clone() })
    }
}

fn point_at(text: &Rope, offset: usize) -> Point {
    let row = text.byte_to_line(offset);
    Point { row, column: offset - text.line_to_byte(row) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "use std::fmt;\n\nstruct Größe(u32);\n\nimpl Größe {\n    fn f(&self) -> u32 {\n        self.0 + 1 // 漢字\n    }\n}\n";

    fn rust() -> &'static Language {
        Language::by_id("rust").expect("rust is in the table")
    }

    #[test]
    fn an_edited_tree_equals_a_fresh_one() {
        let mut text = Rope::from_str(&TEXT.repeat(40));
        let mut parsed = Parsed::parse(rust(), &text).expect("a small text parses");
        let pieces = ["{", "}", "\n", "\n\n", "fn g() {}\n", "ä", "\"", "", "x"];
        for step in 0..120_usize {
            let start = (step * 7919) % text.len_bytes();
            let mut edits = Vec::new();
            for (nth, piece) in pieces.iter().cycle().skip(step).take(1 + step % 3).enumerate() {
                let range = start + nth..start + nth + (step + nth) % 4;
                let edit = Edit { range, new_text: (*piece).to_string() };
                apply_edit(&mut text, &edit);
                edits.push(edit);
            }
            parsed = parsed.edit(&edits, &text).expect("a small text parses");
            assert_eq!(parsed.text, text);
        }
        // Recovery from errors may differ between an edited and a fresh tree; sound text may not.
        let whole = Edit { range: 0..text.len_bytes(), new_text: TEXT.repeat(3) };
        let parsed = {
            let mut after = text.clone();
            apply_edit(&mut after, &whole);
            parsed.edit(&[whole], &after).expect("a small text parses")
        };
        let fresh = Parsed::parse(rust(), &parsed.text).expect("a small text parses");
        assert_eq!(parsed.tree.root_node().to_sexp(), fresh.tree.root_node().to_sexp());
        assert_eq!(parsed.error_count(), 0);
    }

    #[test]
    fn typing_leads_to_the_tree_of_the_result() {
        let mut text = Rope::from_str("");
        let mut parsed = Parsed::parse(rust(), &text).expect("a small text parses");
        for (at, c) in TEXT.char_indices() {
            let edit = Edit { range: at..at, new_text: c.to_string() };
            apply_edit(&mut text, &edit);
            parsed = parsed.edit(&[edit], &text).expect("a small text parses");
        }
        let fresh = Parsed::parse(rust(), &text).expect("a small text parses");
        assert_eq!(parsed.tree.root_node().to_sexp(), fresh.tree.root_node().to_sexp());
    }

    #[test]
    fn edits_that_do_not_fit_cost_a_fresh_parse() {
        let parsed = Parsed::parse(rust(), &Rope::from_str(TEXT)).expect("a small text parses");
        let other = Rope::from_str("fn other() {}\n");
        let edited = parsed.edit(&[], &other).expect("a small text parses");
        assert_eq!(edited.error_count(), 0);
        assert_eq!(edited.text, other);
    }

    #[test]
    fn a_parse_that_takes_too_long_is_given_up() {
        let text = Rope::from_str(&TEXT.repeat(200));
        assert!(Parsed::parse_from(rust(), &text, None, Duration::ZERO).is_none());
        let parsed = Parsed::parse(rust(), &text).expect("it can be parsed");
        let whole = Edit { range: 0..text.len_bytes(), new_text: TEXT.repeat(100) };
        let after = Rope::from_str(&whole.new_text);
        assert!(parsed.edit_within(&[whole], &after, Duration::ZERO).is_none());
    }

    #[test]
    fn huge_texts_have_no_tree() {
        let text = Rope::from_str(&"a".repeat(MAX_PARSE_BYTES + 1));
        assert!(Parsed::parse(rust(), &text).is_none());
    }
}
