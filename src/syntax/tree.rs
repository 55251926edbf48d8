//! A text with its syntax tree, parsed once and then kept up to date edit by edit.

use std::ops::{ControlFlow, Range};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tree_sitter::{InputEdit, Node, ParseOptions, ParseState, Parser, Point, Tree};

use super::Language;
use super::items::MAX_IMPORTS_BYTES;
use crate::text::{Edit, Rope, apply_edit, clamped_range};

/// Larger texts are not parsed: they are data more often than code, and their trees take a multiple of their size.
pub const MAX_PARSE_BYTES: usize = 2 << 20;

/// The time limits for parsing a whole text, and for parsing what an edit touched, which a person waits for at every
/// key. Ordinary files take milliseconds; only generated or broken code, or a busy machine, takes longer.
const MAX_PARSE_TIME: Duration = Duration::from_millis(400);
const MAX_EDIT_TIME: Duration = Duration::from_millis(100);

/// After an edit of a text larger than this only the edit's surroundings are parsed again, and the rest when it is asked
/// for: tree-sitter looks at every top-level node again, so that a key would cost more the longer the text is.
const LARGE_BYTES: usize = 128 << 10;

/// How far the surroundings go at least: further than what is asked about at every key, and than an outline.
const SURROUNDING_BYTES: usize = 24 << 10;

/// A document's syntax tree, together with the text it is the tree of. A clone costs two reference counts.
#[derive(Clone)]
pub struct Parsed {
    pub language: &'static Language,
    /// Of the whole text, or of what `partial` says.
    tree: Tree,
    pub(super) text: Rope,
    partial: Option<Arc<Partial>>,
}

/// The rest of a large text while `tree` is of the surroundings of an edit.
struct Partial {
    /// The bytes `tree` is of.
    range: Range<usize>,
    /// The last tree of the whole text, adjusted to the edits since, but not parsed again.
    moved: Tree,
    /// The tree of the whole text, once somebody has asked for it.
    whole: OnceLock<Tree>,
    /// The tree of the text's beginning, likewise.
    head: OnceLock<Tree>,
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
        let mut tree = self.last_whole().clone();
        let mut text = self.text.clone();
        let mut edited: Option<Range<usize>> = None;
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
            let here = range.start..new_end_byte;
            edited = Some(edited.map_or(here.clone(), |all| all.start.min(here.start)..all.end.max(here.end)));
        }
        // A caller whose edits do not lead to `after` would get a tree of neither text.
        let fits = text.len_bytes() == after.len_bytes();
        let around = edited.filter(|_| fits).and_then(|edited| surroundings(&tree, after, &edited));
        let parts = around.as_slice();
        let parsed = parse_tree(self.language, after, fits.then_some(&tree), parts, time)?;
        let partial = around.map(|range| Partial { range, moved: tree, whole: OnceLock::new(), head: OnceLock::new() });
        Some(Parsed { language: self.language, tree: parsed, text: after.clone(), partial: partial.map(Arc::new) })
    }

    /// The last tree of the whole text, with the edits since.
    fn last_whole(&self) -> &Tree {
        self.partial.as_ref().map_or(&self.tree, |partial| partial.whole.get().unwrap_or(&partial.moved))
    }

    /// The tree of the whole text. In a large text that has just been edited it is parsed now.
    pub(super) fn whole_tree(&self) -> &Tree {
        let Some(partial) = &self.partial else { return &self.tree };
        partial.whole.get_or_init(|| {
            parse_tree(self.language, &self.text, Some(&partial.moved), &[], MAX_PARSE_TIME)
                .unwrap_or_else(|| partial.moved.clone())
        })
    }

    /// A tree that knows `range`: the whole one, unless a smaller one will do.
    pub(super) fn tree_of(&self, range: &Range<usize>) -> &Tree {
        let Some(partial) = &self.partial else { return &self.tree };
        let end = range.end.min(self.text.len_bytes());
        match partial.whole.get() {
            Some(whole) => whole,
            None if partial.range.start <= range.start && end <= partial.range.end => &self.tree,
            None if end <= MAX_IMPORTS_BYTES => partial.head.get_or_init(|| {
                let head = whole_lines(&partial.moved, &self.text, 0..MAX_IMPORTS_BYTES);
                head.and_then(|head| {
                    parse_tree(self.language, &self.text, Some(&partial.moved), &[head], MAX_EDIT_TIME)
                })
                .unwrap_or_else(|| self.whole_tree().clone())
            }),
            None => self.whole_tree(),
        }
    }

    /// The tree of this text with `new_text` in place of `range`: the text with a completion.
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
        let tree = parse_tree(language, text, old_tree, &[], time)?;
        Some(Parsed { language, tree, text: text.clone(), partial: None })
    }
}

/// The tree of `text`, or of `parts` of it, with offsets in `text`.
fn parse_tree(
    language: &'static Language,
    text: &Rope,
    old_tree: Option<&Tree>,
    parts: &[Range<usize>],
    time: Duration,
) -> Option<Tree> {
    if text.len_bytes() > MAX_PARSE_BYTES {
        return None;
    }
    let grammar = language.grammar?;
    let mut parser = Parser::new();
    if let Err(error) = parser.set_language(&grammar.parser()) {
        tracing::error!("the grammar for {} does not match this version of tree-sitter: {error}", language.id);
        return None;
    }
    let parts: Vec<_> = parts
        .iter()
        .map(|part| tree_sitter::Range {
            start_byte: part.start,
            end_byte: part.end,
            start_point: point_at(text, part.start),
            end_point: point_at(text, part.end),
        })
        .collect();
    parser.set_included_ranges(&parts).ok()?;
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
    parser.parse_with_options(&mut read, old_tree, Some(options))
}

/// What is parsed again after an edit in `edited`. `None` for the whole text.
fn surroundings(tree: &Tree, text: &Rope, edited: &Range<usize>) -> Option<Range<usize>> {
    if text.len_bytes() <= LARGE_BYTES || edited.len() > SURROUNDING_BYTES || tree.root_node().is_error() {
        return None;
    }
    let start = edited.start.saturating_sub(SURROUNDING_BYTES);
    whole_lines(tree, text, start..edited.end + SURROUNDING_BYTES).filter(|lines| lines.len() <= LARGE_BYTES)
}

/// The lines of the top-level nodes that `range` touches; `None` if such a node does not begin its line or is broken.
fn whole_lines(tree: &Tree, text: &Rope, range: Range<usize>) -> Option<Range<usize>> {
    let line_of = |node: Node<'_>| {
        let start = text.line_to_byte(text.byte_to_line(node.start_byte()));
        let opens_line = text.byte_slice(start..node.start_byte()).chars().all(char::is_whitespace);
        (opens_line && !node.is_error()).then_some(start)
    };
    let mut cursor = tree.walk();
    let mut start = 0;
    if range.start > 0 {
        cursor.goto_first_child_for_byte(range.start)?;
        // It may be the node behind blank lines that hold the start of the range.
        start = line_of(cursor.node())?.min(text.line_to_byte(text.byte_to_line(range.start)));
        cursor.goto_parent();
    }
    let mut end = text.len_bytes();
    if range.end < end && cursor.goto_first_child_for_byte(range.end).is_some() && cursor.goto_next_sibling() {
        end = line_of(cursor.node())?;
    }
    Some(start..end)
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
        assert_eq!(parsed.whole_tree().root_node().to_sexp(), fresh.tree.root_node().to_sexp());
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
        assert_eq!(parsed.whole_tree().root_node().to_sexp(), fresh.tree.root_node().to_sexp());
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

    /// About 400 KB of `function` again and again, each with its number for `NR`.
    fn functions(function: &str) -> String {
        (0..).map(|n: usize| function.replace("NR", &n.to_string())).take((400 << 10) / function.len()).collect()
    }

    #[test]
    fn what_is_asked_at_a_key_of_a_large_text_needs_no_tree_of_the_whole() {
        for (language, function, typed) in [
            (
                "rust",
                "/// Doc NR.\n#[inline]\nfn f_NR(a: u32) -> u32 {\n    let s = \"NR\"; // c\n    a\n}\n\n",
                "    g({ 1 });\n",
            ),
            (
                "python",
                "# Doc NR.\ndef f_NR(a):\n    \"\"\"D.\"\"\"\n    s = f\"{a}\"  # c\n    return a\n\n\n",
                "    g([1])\n",
            ),
            ("javascript", "// Doc NR.\nfunction f_NR(a) {\n  const s = `${a}`;\n  return a;\n}\n\n", "  g({});\n"),
        ] {
            let language = Language::by_id(language).expect("a known language");
            let mut text = Rope::from_str(&functions(function));
            let mut parsed = Parsed::parse_from(language, &text, None, Duration::from_secs(60)).expect("it parses");
            for step in 1..16_usize {
                let function_start = (step * 7919 % (300 << 10)) + (step % 2) * 2000;
                let string = text.byte_slice(function_start..).to_string();
                let start = function_start + string.find(" a\n").or(string.find(" a;\n")).expect("a last line");
                let line = text.line_to_byte(text.byte_to_line(start));
                let edit = Edit { range: line..line, new_text: typed.to_owned() };
                apply_edit(&mut text, &edit);
                parsed = parsed.edit_within(&[edit], &text, Duration::from_secs(60)).expect("it parses");
                let fresh = Parsed::parse_from(language, &text, None, Duration::from_secs(60)).expect("it parses");
                for offset in [line - 1, line, line + 3, line + 6, line + typed.len(), line + typed.len() + 200] {
                    let asked = |parsed: &Parsed| {
                        let line = parsed.text.line_to_byte(parsed.row(offset));
                        let near = offset - offset.min(9000)..offset;
                        format!(
                            "{:?} {:?} {:?} {:?} {:?} {:?} {} {:?}",
                            parsed.region_at(offset),
                            parsed.interpolation_at(offset),
                            parsed.following(offset),
                            parsed.block_begins_at(offset),
                            parsed.enclosing_items(offset),
                            parsed.boundary_in(near),
                            parsed.truncation_end(line..offset),
                            parsed.items(offset.saturating_sub(16 << 10)..offset + (16 << 10)),
                        )
                    };
                    assert_eq!(asked(&parsed), asked(&fresh), "{} at {offset}", language.id);
                }
                let partial = parsed.partial.as_ref().expect("a large text is parsed in part");
                assert!(partial.range.len() < LARGE_BYTES, "{:?}", partial.range);
                assert!(partial.whole.get().is_none(), "nothing asked needs the whole");
                assert_eq!(parsed.imports(), fresh.imports());
            }
            let fresh = Parsed::parse_from(language, &text, None, Duration::from_secs(60)).expect("it parses");
            assert_eq!(parsed.items(0..text.len_bytes()), fresh.items(0..text.len_bytes()));
            assert_eq!(parsed.error_count(), 0);
            assert!(parsed.partial.as_ref().is_some_and(|partial| partial.whole.get().is_some()));
        }
    }

    #[test]
    fn huge_texts_have_no_tree() {
        let text = Rope::from_str(&"a".repeat(MAX_PARSE_BYTES + 1));
        assert!(Parsed::parse(rust(), &text).is_none());
    }
}
