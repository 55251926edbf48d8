//! Positions and edits against a plain implementation on strings, over random texts.

use phi_ls::text::{Edit, Position, PositionEncoding, Rope, apply_edit, offset_at, position_at};

const ENCODINGS: [PositionEncoding; 3] = [PositionEncoding::Utf8, PositionEncoding::Utf16, PositionEncoding::Utf32];

/// Pieces of random texts: characters of every width, every line break, and characters that only look like one.
const PIECES: [&str; 16] = [
    "a", "let x", " ", "\t", "é", "ß", "漢", "😀", "e\u{301}", "\n", "\r\n", "\r", "\u{2028}", "\u{85}", "\u{b}",
    "\u{c}",
];

/// xorshift64*: random enough for a test, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }

    fn text(&mut self, max_pieces: usize) -> String {
        (0..self.below(max_pieces + 1)).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }

    fn boundary(&mut self, text: &str) -> usize {
        let at = self.below(text.len() + 1);
        (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
    }
}

/// Start and end of the content of every line, computed in the obvious way.
fn naive_lines(text: &str) -> Vec<(usize, usize)> {
    let (mut lines, mut start, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        let rest = &text[at..];
        let break_len = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with(['\n', '\r'])) };
        if break_len == 0 {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        lines.push((start, at));
        at += break_len;
        start = at;
    }
    lines.push((start, text.len()));
    lines
}

fn width(c: char, encoding: PositionEncoding) -> usize {
    match encoding {
        PositionEncoding::Utf8 => c.len_utf8(),
        PositionEncoding::Utf16 => c.len_utf16(),
        PositionEncoding::Utf32 => 1,
    }
}

fn naive_offset(text: &str, line: usize, character: usize, encoding: PositionEncoding) -> usize {
    let lines = naive_lines(text);
    let Some(&(start, end)) = lines.get(line) else { return text.len() };
    let (mut offset, mut used) = (start, 0);
    for c in text[start..end].chars() {
        used += width(c, encoding);
        if used > character {
            break;
        }
        offset += c.len_utf8();
    }
    offset
}

fn naive_position(text: &str, offset: usize, encoding: PositionEncoding) -> (usize, usize) {
    let offset = (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let lines = naive_lines(text);
    let line = lines.iter().rposition(|&(start, _)| start <= offset).unwrap_or(0);
    let (start, end) = lines[line];
    (line, text[start..offset.min(end)].chars().map(|c| width(c, encoding)).sum())
}

fn assert_agrees(text: &str, rope: &Rope) {
    for encoding in ENCODINGS {
        for offset in 0..=text.len() + 2 {
            let got = position_at(rope, offset, encoding);
            let expected = naive_position(text, offset, encoding);
            assert_eq!((got.line as usize, got.character as usize), expected, "{text:?} at {offset} {encoding:?}");
        }
        for line in 0..naive_lines(text).len() + 2 {
            for character in 0..12 {
                let position = Position { line: line as u32, character: character as u32 };
                let expected = naive_offset(text, line, character, encoding);
                assert_eq!(offset_at(rope, position, encoding), expected, "{text:?} at {position:?} {encoding:?}");
            }
        }
    }
}

#[test]
fn positions_agree_with_a_plain_implementation() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..400 {
        let text = random.text(16);
        assert_agrees(&text, &Rope::from_str(&text));
    }
}

#[test]
fn every_boundary_survives_the_round_trip() {
    let mut random = Random(7);
    for _ in 0..200 {
        let text = random.text(40);
        let rope = Rope::from_str(&text);
        let inside_crlf = |at: usize| at > 0 && text.as_bytes()[at - 1] == b'\r' && text[at..].starts_with('\n');
        for at in (0..=text.len()).filter(|&at| text.is_char_boundary(at) && !inside_crlf(at)) {
            for encoding in ENCODINGS {
                assert_eq!(offset_at(&rope, position_at(&rope, at, encoding), encoding), at, "{text:?} {encoding:?}");
            }
        }
    }
}

#[test]
fn edits_agree_with_string_replacement() {
    let mut random = Random(42);
    for _ in 0..8 {
        // Longer than a leaf of the rope, so that edits cross chunk borders.
        let mut text = random.text(1500);
        let mut rope = Rope::from_str(&text);
        for _ in 0..60 {
            let (a, b) = (random.boundary(&text), random.boundary(&text));
            let end = a.max(b).min(a.min(b) + 40);
            let end = (0..=end).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            let edit = Edit { range: a.min(b)..end.max(a.min(b)), new_text: random.text(6) };
            text.replace_range(edit.range.clone(), &edit.new_text);
            apply_edit(&mut rope, &edit);
            assert_eq!(rope.to_string(), text);
        }
        assert_agrees(&text, &rope);
    }
}
