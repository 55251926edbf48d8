//! How much of a budget a text takes. Budgets are bytes of ASCII, as code mostly is; other scripts take more tokens per
//! byte, and count more.

use std::ops::Range;

use crate::text::{Rope, floor_char_boundary};

/// The bytes of ASCII code that take as many tokens as `text`.
pub fn cost(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(cost_of).sum() }
}

/// Measured on technical prose with the vocabulary of Phi-3.5, where ASCII code has 2.6 bytes a token: Chinese, Japanese,
/// Hindi and Thai take 1.1 to 1.3 tokens a character, Korean 1.8, Greek, Hebrew and Arabic 1.0 to 1.2, Russian 0.4, emoji
/// 3.4. Rare characters of a script take more than its common ones.
fn cost_of(character: char) -> usize {
    match character {
        '\0'..='\u{7f}' => 1,
        // Latin with marks, Cyrillic.
        '\u{80}'..='\u{24f}' | '\u{400}'..='\u{52f}' => 2,
        '\u{250}'..='\u{7ff}' => 3,
        '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7ff}' => 5,
        '\u{800}'..='\u{ffff}' => 4,
        '\u{10000}'.. => 9,
    }
}

/// The offset up to which the text from `start` on costs at most `budget`.
pub(super) fn end_within(text: &Rope, start: usize, budget: usize) -> usize {
    let (mut end, mut left) = (start, budget);
    for character in text.chars_at(text.byte_to_char(start)) {
        let Some(rest) = left.checked_sub(cost_of(character)) else { break };
        (end, left) = (end + character.len_utf8(), rest);
    }
    end
}

/// The offset from which on the text up to `end` costs at most `budget`.
pub(super) fn start_within(text: &Rope, end: usize, budget: usize) -> usize {
    let (mut start, mut left) = (end, budget);
    for character in text.chars_at(text.byte_to_char(end)).reversed() {
        let Some(rest) = left.checked_sub(cost_of(character)) else { break };
        (start, left) = (start - character.len_utf8(), rest);
    }
    start
}

/// How many bytes of code like that around `range` cost `budget`.
pub fn bytes_like(text: &Rope, range: &Range<usize>, budget: usize) -> usize {
    let middle = floor_char_boundary(text, range.start + range.len() / 2);
    let around = start_within(text, middle, budget / 2)..end_within(text, middle, budget / 2);
    let cost: usize = text.byte_slice(around.clone()).chars().map(cost_of).sum();
    (budget * around.len()).checked_div(cost).unwrap_or(budget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_costs_its_bytes_and_other_scripts_more() {
        assert_eq!(cost("fn f() {}\n"), 10);
        assert_eq!((cost("größe"), cost("привет")), (7, 12));
        assert_eq!((cost("λ"), cost("漢字"), cost("한"), cost("😀")), (3, 8, 5, 9));
    }

    #[test]
    fn budgets_end_between_characters() {
        let text = Rope::from_str("ab漢字cd");
        let ends: Vec<_> = (0..=12).map(|budget| end_within(&text, 1, budget)).collect();
        assert_eq!(ends, [1, 2, 2, 2, 2, 5, 5, 5, 5, 8, 9, 10, 10]);
        let starts: Vec<_> = (0..=12).map(|budget| start_within(&text, 9, budget)).collect();
        assert_eq!(starts, [9, 8, 8, 8, 8, 5, 5, 5, 5, 2, 1, 0, 0]);
    }

    #[test]
    fn bytes_are_counted_out_by_the_code_around() {
        let of = |text: &str| bytes_like(&Rope::from_str(text), &(0..text.len()), 1000);
        assert_eq!(of(""), 1000);
        assert_eq!(of(&"x = 1\n".repeat(400)), 1000);
        assert_eq!(of(&"漢字".repeat(400)), 750);
    }
}
