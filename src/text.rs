//! Documents as ropes, and the one place where LSP positions, line endings and byte offsets meet.
//!
//! Inside phi-ls every place in a text is a byte offset and every line ends with `\n`; positions and other line endings
//! exist only in the protocol. There, lines end where LSP says they do: at `\n`, `\r\n` and `\r`, nowhere else (ropey's
//! features are chosen for that in `Cargo.toml`).

mod known_names;

use std::borrow::Cow;
use std::ops::Range;

pub use known_names::{FirstName, KnownNames};
pub use ropey::Rope;

/// How a client counts `Position::character` (LSP `positionEncoding`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PositionEncoding {
    Utf8,
    #[default]
    Utf16,
    Utf32,
}

/// What ends the lines of a document as its editor or its file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEnding {
    #[default]
    Lf,
    CrLf,
    Cr,
}

impl LineEnding {
    /// The ending most lines of `text` have; `\n` for a text of one line.
    pub fn of(text: &str) -> Self {
        if !text.contains('\r') {
            return Self::Lf;
        }
        let crlf = text.matches("\r\n").count();
        let (lf, cr) = (text.matches('\n').count() - crlf, text.matches('\r').count() - crlf);
        if crlf >= lf.max(cr) {
            Self::CrLf
        } else if lf >= cr {
            Self::Lf
        } else {
            Self::Cr
        }
    }

    /// `text`, whose lines end with `\n`, with this ending.
    pub fn end_lines(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Lf => text.into(),
            Self::CrLf => text.replace('\n', "\r\n").into(),
            Self::Cr => text.replace('\n', "\r").into(),
        }
    }
}

/// Columns a tab advances to, for comparing indentation only.
const TAB_COLUMNS: usize = 4;

/// Width of the white space `line` begins with, tabs advancing to multiples of four columns.
pub fn indent_columns(line: &str) -> usize {
    let mut columns = 0;
    for character in line.chars() {
        match character {
            '\t' => columns = (columns / TAB_COLUMNS + 1) * TAB_COLUMNS,
            ' ' => columns += 1,
            _ => break,
        }
    }
    columns
}

/// `text` with `\n` at the end of every line: how it is kept and compared, and how a model sees it.
pub fn with_line_feeds(text: String) -> String {
    if !text.contains('\r') {
        return text;
    }
    let text = text.replace("\r\n", "\n");
    if text.contains('\r') { text.replace('\r', "\n") } else { text }
}

/// Within how many bytes a NUL says that a document is binary, as in git; and how far around a place it has to look
/// like text.
const BINARY_HEAD_BYTES: usize = 8000;
const BINARY_NEAR_BYTES: usize = 2 << 10;

/// Whether a document is binary: at its beginning, where it would show, or in and around `range`, which would enter a
/// prompt.
pub fn is_binary_around(text: &Rope, range: Range<usize>) -> bool {
    let bytes = |range: Range<usize>| {
        text.byte_slice(floor_char_boundary(text, range.start)..floor_char_boundary(text, range.end))
    };
    bytes(0..BINARY_HEAD_BYTES).chunks().any(|chunk| chunk.contains('\0'))
        || is_binary(&bytes(range.start.saturating_sub(BINARY_NEAR_BYTES)..range.end + BINARY_NEAR_BYTES).to_string())
}

/// Whether an editor shows binary data as text: it contains a NUL, or many replacement characters.
pub fn is_binary(text: &str) -> bool {
    let is_odd = |c: &char| *c == char::REPLACEMENT_CHARACTER || (c.is_control() && !c.is_whitespace());
    text.contains('\0') || text.chars().filter(is_odd).count() * 10 > text.chars().count()
}

/// A zero-based place as LSP gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: u32,
    pub character: u32,
}

/// One replacement, in byte offsets of the text it applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub range: Range<usize>,
    pub new_text: String,
}

/// Byte offset of `position`. A character past the end of its line is clamped to where the line's break begins, a line
/// past the last one to the end of the text, and a place inside a character to that character's start.
pub fn offset_at(text: &Rope, position: Position, encoding: PositionEncoding) -> usize {
    let line = position.line as usize;
    if line >= text.len_lines() {
        return text.len_bytes();
    }
    let content = line_content(text, line);
    let character = position.character as usize;
    let offset = match encoding {
        PositionEncoding::Utf8 => content.start.saturating_add(character),
        PositionEncoding::Utf16 => {
            let start = text.char_to_utf16_cu(text.byte_to_char(content.start));
            let unit = start.saturating_add(character).min(text.len_utf16_cu());
            text.char_to_byte(text.utf16_cu_to_char(unit))
        }
        PositionEncoding::Utf32 => {
            let index = text.byte_to_char(content.start).saturating_add(character);
            text.char_to_byte(index.min(text.len_chars()))
        }
    };
    floor_char_boundary(text, offset.min(content.end))
}

/// Position of the byte `offset`, which is clamped to the text and to a character boundary. An offset inside a `\r\n`
/// has no position of its own and gets the one before the `\r`.
pub fn position_at(text: &Rope, offset: usize, encoding: PositionEncoding) -> Position {
    let offset = floor_char_boundary(text, offset);
    let line = text.byte_to_line(offset);
    let content = line_content(text, line);
    let offset = offset.min(content.end);
    let character = match encoding {
        PositionEncoding::Utf8 => offset - content.start,
        PositionEncoding::Utf16 => {
            let units = |byte| text.char_to_utf16_cu(text.byte_to_char(byte));
            units(offset) - units(content.start)
        }
        PositionEncoding::Utf32 => text.byte_to_char(offset) - text.byte_to_char(content.start),
    };
    let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: clamp(line), character: clamp(character) }
}

/// Applies `edit` in place, to its [`clamped_range`].
pub fn apply_edit(text: &mut Rope, edit: &Edit) {
    let range = clamped_range(text, edit);
    let start = text.byte_to_char(range.start);
    if !range.is_empty() {
        text.remove(start..text.byte_to_char(range.end));
    }
    if !edit.new_text.is_empty() {
        text.insert(start, &edit.new_text);
    }
}

/// The range of `edit`, put right where it is reversed, outside the text or inside a character: a client's mistake
/// costs one wrong edit and never the server.
pub fn clamped_range(text: &Rope, edit: &Edit) -> Range<usize> {
    let Range { start, end } = edit.range;
    floor_char_boundary(text, start.min(end))..floor_char_boundary(text, start.max(end))
}

/// Start of the line after the one `offset` is on; the text's end after the last.
pub fn next_line_start(text: &Rope, offset: usize) -> usize {
    let line = text.byte_to_line(offset) + 1;
    if line < text.len_lines() { text.line_to_byte(line) } else { text.len_bytes() }
}

/// The bytes of line `line` without its line break. `line` must be less than `text.len_lines()`.
pub fn line_content(text: &Rope, line: usize) -> Range<usize> {
    let start = text.line_to_byte(line);
    let mut end = text.line_to_byte(line + 1);
    if end > start && text.byte(end - 1) == b'\n' {
        end -= 1;
        if end > start && text.byte(end - 1) == b'\r' {
            end -= 1;
        }
    } else if end > start && text.byte(end - 1) == b'\r' {
        end -= 1;
    }
    start..end
}

/// The largest character boundary that is not after `offset`; past the end, the end.
pub fn floor_char_boundary(text: &Rope, offset: usize) -> usize {
    if offset >= text.len_bytes() { text.len_bytes() } else { text.char_to_byte(text.byte_to_char(offset)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `0:1` positions of `|` in UTF-8, UTF-16 and UTF-32, checked in both directions.
    fn check(marked: &str, expected: [(u32, u32); 3]) {
        let offset = marked.find('|').expect("a test text marks its place with |");
        let text = Rope::from_str(&marked.replacen('|', "", 1));
        let encodings = [PositionEncoding::Utf8, PositionEncoding::Utf16, PositionEncoding::Utf32];
        for (encoding, (line, character)) in encodings.into_iter().zip(expected) {
            let position = Position { line, character };
            assert_eq!(position_at(&text, offset, encoding), position, "{marked:?} {encoding:?}");
            assert_eq!(offset_at(&text, position, encoding), offset, "{marked:?} {encoding:?}");
        }
    }

    #[test]
    fn characters_are_counted_in_the_clients_units() {
        check("|", [(0, 0), (0, 0), (0, 0)]);
        check("ab|c", [(0, 2), (0, 2), (0, 2)]);
        check("é|", [(0, 2), (0, 1), (0, 1)]);
        check("漢字|かな", [(0, 6), (0, 2), (0, 2)]);
        check("a😀|b", [(0, 5), (0, 3), (0, 2)]);
        check("👩‍👩‍👧|", [(0, 18), (0, 8), (0, 5)]);
        check("x\n😀y|\n", [(1, 5), (1, 3), (1, 2)]);
    }

    #[test]
    fn only_lsp_line_breaks_end_a_line() {
        check("a\r\nb|\r\n", [(1, 1), (1, 1), (1, 1)]);
        check("a\rb|", [(1, 1), (1, 1), (1, 1)]);
        check("a\r\r\n|b", [(2, 0), (2, 0), (2, 0)]);
        check("a\u{2028}b|", [(0, 5), (0, 3), (0, 3)]);
        check("a\u{b}b\u{c}c\u{85}|", [(0, 7), (0, 6), (0, 6)]);
    }

    #[test]
    fn positions_outside_the_text_are_clamped() {
        let text = Rope::from_str("ab\r\n😀\ncd");
        for encoding in [PositionEncoding::Utf8, PositionEncoding::Utf16, PositionEncoding::Utf32] {
            let at = |line, character| offset_at(&text, Position { line, character }, encoding);
            assert_eq!(at(0, 3), 2, "before the line break, not after it");
            assert_eq!(at(0, u32::MAX), 2);
            assert_eq!(at(1, 99), 8);
            assert_eq!(at(2, 99), 11);
            assert_eq!(at(3, 0), 11);
            assert_eq!(at(u32::MAX, u32::MAX), 11);
            assert_eq!(position_at(&text, 3, encoding), position_at(&text, 2, encoding), "inside \\r\\n");
            assert_eq!(position_at(&text, 1000, encoding).line, 2);
        }
        let inside_emoji = |character, encoding| offset_at(&text, Position { line: 1, character }, encoding);
        assert_eq!(inside_emoji(2, PositionEncoding::Utf8), 4);
        assert_eq!(inside_emoji(1, PositionEncoding::Utf16), 4);
        assert_eq!(position_at(&text, 6, PositionEncoding::Utf8), Position { line: 1, character: 0 });
    }

    #[test]
    fn the_line_ending_is_that_of_most_lines() {
        let check = |text: &str, expected: LineEnding| assert_eq!(LineEnding::of(text), expected, "{text:?}");
        check("", LineEnding::Lf);
        check("a\nb\n", LineEnding::Lf);
        check("a\r\nb\r\n", LineEnding::CrLf);
        check("a\r\nb\nc\n", LineEnding::Lf);
        check("a\r\nb\r\nc\n", LineEnding::CrLf);
        check("a\rb\rc", LineEnding::Cr);
        check("a\nb\rc", LineEnding::Lf);
    }

    #[test]
    fn line_endings_come_and_go_without_a_trace() {
        for ending in [LineEnding::Lf, LineEnding::CrLf, LineEnding::Cr] {
            let inside = "a\n\n  b\n";
            let outside = ending.end_lines(inside).into_owned();
            assert_eq!(LineEnding::of(&outside), ending);
            assert_eq!(with_line_feeds(outside), inside);
        }
        assert_eq!(with_line_feeds("a\r\r\nb\n\rc".to_owned()), "a\n\nb\n\nc");
    }

    #[test]
    fn binary_data_is_told_from_text() {
        let check = |text: &str, expected: bool| assert_eq!(is_binary(text), expected, "{text:?}");
        check("", false);
        check("fn f() {\n\tlet é = \"\u{FFFD}\";\u{c}}", false);
        check("let escape = \"\u{1b}[0m\"; // and so on", false);
        check("ELF\0", true);
        check("\u{FFFD}PNG\u{1a}IHDR", true);
    }

    #[test]
    fn edits_with_bad_ranges_are_put_right() {
        let edited = |start, end, new_text: &str| {
            let mut text = Rope::from_str("a😀b");
            apply_edit(&mut text, &Edit { range: start..end, new_text: new_text.to_string() });
            text.to_string()
        };
        assert_eq!(edited(1, 5, ""), "ab");
        assert_eq!(edited(5, 1, "x"), "axb");
        assert_eq!(edited(3, 3, "x"), "ax😀b");
        assert_eq!(edited(99, 100, "x"), "a😀bx");
    }
}
