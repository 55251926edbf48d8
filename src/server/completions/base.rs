//! The text that a completion was made for, compared with the document as it is now. Whether the two are still the same
//! around a place is checked at every key, so the cost depends on what was edited since, and not on the length of the
//! document.

use std::ops::Range;

use ropey::RopeSlice;

use crate::text::Rope;

/// Bytes at the edge of an edit that are compared first, because an edit that was not taken back differs there.
const EDGE: usize = 64;

/// An earlier text, and what the document is known to have in common with it.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub text: Rope,
    /// Bytes at the beginning and at the end that are the same in the document.
    same_start: usize,
    same_end: usize,
}

impl Base {
    /// The base of a completion for a document as it is.
    pub(super) fn new(text: Rope) -> Self {
        let len = text.len_bytes();
        Self { text, same_start: len, same_end: len }
    }

    /// The base for `text`, which is a document of `len` bytes with another text in place of `range`.
    pub(super) fn with_edit(text: Rope, range: &Range<usize>, len: usize) -> Self {
        let mut base = Self { same_start: usize::MAX, same_end: usize::MAX, text };
        base.edited(range, len);
        base
    }

    /// Notes that the document, which was `len` bytes long, was edited at `range`.
    pub(super) fn edited(&mut self, range: &Range<usize>, len: usize) {
        self.same_start = self.same_start.min(range.start);
        self.same_end = self.same_end.min(len - range.end);
    }

    /// Whether the document, which is `now`, is the same as this text except that it has `now_range` in place of
    /// `range`. False if a range ends beyond its text, since it may be from before a large deletion.
    pub(super) fn is_same_but(&mut self, range: &Range<usize>, now: &Rope, now_range: &Range<usize>) -> bool {
        let (len, now_len) = (self.text.len_bytes(), now.len_bytes());
        let (Some(after), Some(now_after)) = (len.checked_sub(range.end), now_len.checked_sub(now_range.end)) else {
            return false;
        };
        if range.start != now_range.start || after != now_after {
            return false;
        }
        let start = range.start;
        let (known_start, known_after) = (self.same_start.min(start), self.same_end.min(after));
        let edges_are_same =
            same_bytes(self.text.bytes_at(known_start), now.bytes_at(known_start), start - known_start)
                && same_bytes(
                    self.text.bytes_at(len - known_after).reversed(),
                    now.bytes_at(now_len - known_after).reversed(),
                    after - known_after,
                );
        let is_same = edges_are_same
            && same_slices(&self.text, known_start..start, now, known_start..start)
            && same_slices(&self.text, range.end..len - known_after, now, now_range.end..now_len - known_after);
        if is_same {
            // An edit elsewhere has been taken back.
            self.same_start = self.same_start.max(start);
            self.same_end = self.same_end.max(after);
        }
        is_same
    }
}

/// Whether the next `len` bytes are the same. If there are many, only the first ones are compared.
fn same_bytes(a: impl Iterator<Item = u8>, b: impl Iterator<Item = u8>, len: usize) -> bool {
    a.take(len.min(EDGE)).eq(b.take(len.min(EDGE)))
}

/// Slicing fails inside a character, and an offset between two characters of one text may be inside a character of the
/// other.
fn same_slices(a: &Rope, a_range: Range<usize>, b: &Rope, b_range: Range<usize>) -> bool {
    let a: Option<RopeSlice<'_>> = a.get_byte_slice(a_range);
    a.is_some() && a == b.get_byte_slice(b_range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Edit, apply_edit};

    #[test]
    fn it_says_the_same_as_comparing_everything() {
        let pieces = ["", "a", "é", "漢", "\n", "x = 1\n", "😀😀"];
        let mut random = 12_345_usize;
        let mut below = |limit: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % limit
        };
        let mut matches = 0;
        for _ in 0..60 {
            let mut now = Rope::from_str(&"a = 漢字\nb = é\n".repeat(below(40) + 1));
            let mut base = Base::new(now.clone());
            let mut undo = Vec::new();
            for _ in 0..30 {
                let taken_back = if below(3) == 0 { undo.pop() } else { None };
                let edit = match taken_back {
                    Some(edit) => edit,
                    None => {
                        let start = now.char_to_byte(below(now.len_chars() + 1));
                        let end = now.char_to_byte((now.byte_to_char(start) + below(4)).min(now.len_chars()));
                        let new_text = pieces[below(pieces.len())].to_owned();
                        let old_text = now.byte_slice(start..end).to_string();
                        undo.push(Edit { range: start..start + new_text.len(), new_text: old_text });
                        Edit { range: start..end, new_text }
                    }
                };
                base.edited(&edit.range, now.len_bytes());
                apply_edit(&mut now, &edit);
                let at = base.text.char_to_byte(below(base.text.len_chars() + 1));
                for (range, now_range) in [
                    (at..at, at..(at + now.len_bytes()).saturating_sub(base.text.len_bytes())),
                    (edit.range.start..edit.range.start, edit.range.start..edit.range.start),
                ] {
                    let is_inside = range.end <= base.text.len_bytes() && now_range.end <= now.len_bytes();
                    if !is_inside || now_range.end < now_range.start {
                        continue;
                    }
                    let (text, other) = (base.text.to_string(), now.to_string());
                    let expected = text.get(..range.start).is_some()
                        && text.get(..range.start) == other.get(..now_range.start)
                        && text.get(range.end..).is_some()
                        && text.get(range.end..) == other.get(now_range.end..);
                    assert_eq!(base.is_same_but(&range, &now, &now_range), expected, "{text:?} {range:?} {other:?}");
                    matches += usize::from(expected);
                }
            }
        }
        assert!(matches > 50, "only {matches} texts were the same");
    }

    #[test]
    fn a_place_beyond_the_end_is_in_no_text() {
        let mut base = Base::new(Rope::from_str("x = 1\ny\n"));
        let now = Rope::from_str("x\n");
        base.edited(&(1..7), 8);
        assert!(!base.is_same_but(&(7..7), &now, &(7..7)));
        assert!(!base.is_same_but(&(9..9), &now, &(9..9)));
    }

    #[test]
    fn a_text_that_would_be_is_compared_too() {
        let document = Rope::from_str("x = \ny\n");
        let accepted = Rope::from_str("x = f()\ny\n");
        let mut base = Base::with_edit(accepted.clone(), &(4..4), document.len_bytes());
        assert!(!base.is_same_but(&(4..4), &document, &(4..4)));
        assert!(base.is_same_but(&(4..7), &document, &(4..4)));
        base.edited(&(4..4), document.len_bytes());
        assert!(base.is_same_but(&(7..7), &accepted, &(7..7)));
    }
}
