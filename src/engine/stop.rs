//! Where a generation ends before the model ends it, decided character by character while the text grows.
//!
//! The text arrives in pieces that depend on the vocabulary, but a decision never depends on where one piece ends and
//! the next begins. This module sees only text: no tokens, no documents.

use std::time::Duration;

use super::{StopReason, StopRules};
use crate::text::indent_columns;

/// Repetition inside one line: a unit of at least `.0` characters, `.1` times in a row.
const SHORT_UNIT: (usize, usize) = (3, 5);
const LONG_UNIT: (usize, usize) = (10, 3);
/// Longest unit looked for inside one line, in characters.
const LONGEST_UNIT: usize = 128;
/// A run of one character (a ruler of dashes, padding) is repetition only from here on.
const LONGEST_RUN: usize = 120;
/// A single line is repetition the third time in a row, a block of 2 to this many lines the second time.
const LONGEST_BLOCK: usize = 4;

/// A line of the text that has content, in the form in which repetition is looked for.
struct ContentLine {
    /// The byte range that is compared. Indentation is part of it only if nothing else distinguishes two lines.
    key: std::ops::Range<usize>,
    /// Where the text would end if this line and all after it were dropped.
    cut: usize,
}

/// Follows one candidate's text and says when to stop and how much of it to keep.
pub(super) struct StopChecker {
    rules: StopRules,
    text: String,
    /// Complete lines with content.
    lines: Vec<ContentLine>,
    /// First byte of the line being written.
    line_start: usize,
    /// End of the last character that is not white space before `line_start`.
    line_cut: usize,
    /// End of the last character that is not white space.
    content_end: usize,
    /// Whether the line being written has a character that is not white space.
    line_has_content: bool,
    /// `matched[unit]`: how many characters at the end of the line equal the one `unit` characters before.
    matched: [usize; LONGEST_UNIT + 1],
    line_chars: Vec<char>,
    stopped: Option<(StopReason, usize)>,
    finished: bool,
}

impl StopChecker {
    pub(super) fn new(rules: &StopRules) -> Self {
        Self {
            rules: rules.clone(),
            text: String::new(),
            lines: Vec::new(),
            line_start: 0,
            line_cut: 0,
            content_end: 0,
            line_has_content: false,
            matched: [0; LONGEST_UNIT + 1],
            line_chars: Vec::new(),
            stopped: None,
            finished: false,
        }
    }

    /// All text seen up to the stop, including what is cut off.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Adds what the model wrote, `elapsed` after the generation began. Returns why to stop and how many bytes of the
    /// whole text to keep, if a rule says so; after that, calls have no effect.
    pub(super) fn push(&mut self, new_text: &str, elapsed: Duration) -> Option<(StopReason, usize)> {
        for character in new_text.chars() {
            if self.stopped.is_some() {
                break;
            }
            self.stopped = self.push_char(character, elapsed);
        }
        self.stopped
    }

    /// Ends the text, since the model ended it or may not write more; the last line counts as complete. Returns why to
    /// stop and how many bytes to keep, if a rule says so.
    pub(super) fn finish(&mut self) -> Option<(StopReason, usize)> {
        self.finished = true;
        if self.stopped.is_none() {
            self.stopped = self.line_ended();
        }
        self.stopped
    }

    /// Bytes at the start of the text that no later stop can take back, and that may therefore be shown already.
    pub(super) fn releasable(&self) -> usize {
        if let Some((_, keep)) = self.stopped {
            return keep;
        }
        if self.finished {
            return self.text.len();
        }
        let mut end = self.content_end.min(self.stop_string_start());
        if self.may_become_stop_line() {
            end = end.min(self.line_cut);
        }
        if self.rules.repetition {
            end = end.min(self.repeated_lines_start()).min(self.repeated_unit_start());
        }
        end
    }

    fn push_char(&mut self, character: char, elapsed: Duration) -> Option<(StopReason, usize)> {
        if character == '\n' {
            if self.rules.single_line {
                return Some((StopReason::LineEnd, self.text.len()));
            }
            if let Some(stop) = self.line_ended() {
                return Some(stop);
            }
            if self.content_end > 0 && self.rules.time_budget.is_some_and(|budget| elapsed >= budget) {
                return Some((StopReason::TimeBudget, self.content_end));
            }
        }
        let first_of_line = !self.line_has_content && !character.is_whitespace();
        if first_of_line && self.is_dedent(character) {
            return Some((StopReason::Dedent, self.line_cut));
        }

        self.text.push(character);
        if let Some(start) = self.stop_string_found() {
            return Some((StopReason::StopString, start));
        }
        if character == '\n' {
            self.begin_line();
            return None;
        }
        if !character.is_whitespace() {
            self.line_has_content = true;
            self.content_end = self.text.len();
        }
        self.line_chars.push(character);
        self.repeated_unit().map(|keep| (StopReason::RepeatedText, keep))
    }

    fn line(&self) -> &str {
        &self.text[self.line_start..]
    }

    fn begin_line(&mut self) {
        if self.line_has_content {
            self.lines.push(ContentLine { key: self.line_key(), cut: self.line_cut });
        }
        self.line_start = self.text.len();
        self.line_cut = self.content_end;
        self.line_has_content = false;
        self.line_chars.clear();
        self.matched = [0; LONGEST_UNIT + 1];
    }

    /// Applies the rules for whole lines to the line that has just become complete.
    fn line_ended(&self) -> Option<(StopReason, usize)> {
        if !self.line_has_content {
            return None;
        }
        // The text's first line continues the cursor's line, so it is not a whole line of the file.
        if self.line_start > 0 && self.rules.stop_lines.iter().any(|stop| same_line(stop, self.line())) {
            return Some((StopReason::StopLine, self.line_cut));
        }
        if self.rules.repetition
            && let Some(keep) = self.repeated_lines()
        {
            return Some((StopReason::RepeatedLines, keep));
        }
        let closed = self.line_start > 0
            && self.rules.min_indent.is_some_and(|min_indent| indent_columns(self.line()) < min_indent)
            && self.line().trim().chars().all(|character| ")]};,".contains(character));
        // Only a closing bracket may stand left of the minimum indentation. A line of nothing else ends the block that
        // the cursor was in.
        closed.then_some((StopReason::Dedent, self.content_end))
    }

    /// Whether `first`, the first visible character of the line being written, stands too far left.
    fn is_dedent(&self, first: char) -> bool {
        let Some(min_indent) = self.rules.min_indent else { return false };
        if self.line_start == 0 {
            return false;
        }
        let indent = indent_columns(self.line());
        let closes = matches!(first, ')' | ']' | '}') && indent + 1 == min_indent;
        indent < min_indent && !closes
    }

    /// Start of the stop string the text ends with.
    fn stop_string_found(&self) -> Option<usize> {
        let strings = self.rules.stop_strings.iter().filter(|stop| !stop.is_empty());
        strings.filter(|stop| self.text.ends_with(stop.as_str())).map(|stop| self.text.len() - stop.len()).min()
    }

    /// Start of text that could become a stop string, or the text's length if there is none.
    fn stop_string_start(&self) -> usize {
        let longest = |stop: &String| {
            stop.char_indices().rev().map(|(end, _)| end).find(|end| self.text.ends_with(&stop[..*end])).unwrap_or(0)
        };
        self.text.len() - self.rules.stop_strings.iter().map(longest).max().unwrap_or(0)
    }

    fn may_become_stop_line(&self) -> bool {
        self.line_start > 0
            && self.line_has_content
            && self.rules.stop_lines.iter().any(|stop| {
                indent_columns(stop) == indent_columns(self.line()) && stop.trim().starts_with(self.line().trim())
            })
    }

    /// The part of the line being written (without white space at its end) that is compared with other lines.
    fn line_key(&self) -> std::ops::Range<usize> {
        let line = self.text[self.line_start..self.content_end.max(self.line_start)].trim_end();
        let end = self.line_start + line.len();
        let has_word = line.contains(|character: char| character.is_alphanumeric());
        let start = if has_word { end - line.trim_start().len() } else { self.line_start };
        start..end
    }

    fn key(&self, line: usize) -> &str {
        &self.text[self.lines[line].key.clone()]
    }

    /// How many complete lines at the end equal the lines `distance` before them, given that the line being written
    /// does.
    fn lines_matched(&self, distance: usize) -> usize {
        let count = self.lines.len();
        (0..count.saturating_sub(distance))
            .take_while(|back| self.key(count - 1 - back) == self.key(count - 1 - back - distance))
            .count()
    }

    /// How many bytes to keep if the line being written completes a repetition, which is up to the end of its first
    /// round.
    fn repeated_lines(&self) -> Option<usize> {
        let key = &self.text[self.line_key()];
        (1..=LONGEST_BLOCK.min(self.lines.len())).find_map(|distance| {
            let needed = if distance == 1 { 2 } else { distance };
            if key != self.key(self.lines.len() - distance) || self.lines_matched(distance) + 1 < needed {
                return None;
            }
            Some(self.lines[self.lines.len() + 1 - needed].cut)
        })
    }

    /// Start of the lines at the end that could become a repetition, or the text's length if there are none.
    fn repeated_lines_start(&self) -> usize {
        let line = self.line().trim();
        let starts = (1..=LONGEST_BLOCK.min(self.lines.len())).map(|distance| {
            if !self.key(self.lines.len() - distance).trim_start().starts_with(line) {
                return self.text.len();
            }
            match self.lines_matched(distance) {
                0 => self.line_cut,
                matched => self.lines[self.lines.len() - matched].cut,
            }
        });
        starts.min().unwrap_or(self.text.len())
    }

    /// Updates what repeats inside the line after a character was added. Returns how many bytes to keep if it is a
    /// repetition.
    fn repeated_unit(&mut self) -> Option<usize> {
        let count = self.line_chars.len();
        let last = self.line_chars[count - 1];
        let mut found = None;
        for unit in 1..=LONGEST_UNIT.min(count - 1) {
            let repeats = self.line_chars[count - 1 - unit] == last;
            self.matched[unit] = if repeats { self.matched[unit] + 1 } else { 0 };
            let enough = |(length, times): (usize, usize)| unit >= length && self.matched[unit] >= (times - 1) * unit;
            let is_run = self.matched[1] + 1 >= unit;
            let repeated =
                if is_run { self.matched[1] >= LONGEST_RUN } else { enough(SHORT_UNIT) || enough(LONG_UNIT) };
            if self.rules.repetition && repeated && found.is_none() {
                found = Some(self.offset_before_last(self.matched[if is_run { 1 } else { unit }]));
            }
        }
        found
    }

    /// Start of text that could become a repetition inside the line, or the text's length if there is none.
    fn repeated_unit_start(&self) -> usize {
        self.offset_before_last(self.matched.iter().copied().max().unwrap_or(0))
    }

    /// Offset of the last `count` characters of the line being written.
    fn offset_before_last(&self, count: usize) -> usize {
        let tail = &self.line_chars[self.line_chars.len() - count..];
        self.text.len() - tail.iter().map(|character| character.len_utf8()).sum::<usize>()
    }
}

/// Whether two lines are the same except for white space at the end and the kind of white space at the start.
fn same_line(left: &str, right: &str) -> bool {
    left.trim() == right.trim() && indent_columns(left) == indent_columns(right)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Adds `text` in pieces of `piece` characters. Returns the reason and the text that is kept, and checks that
    /// released text stayed.
    fn run(rules: &StopRules, text: &str, piece: usize) -> (Option<StopReason>, String) {
        let mut checker = StopChecker::new(rules);
        let characters: Vec<char> = text.chars().collect();
        let mut released = 0;
        for chunk in characters.chunks(piece) {
            let stop = checker.push(&chunk.iter().collect::<String>(), Duration::from_secs(1));
            assert!(checker.releasable() >= released, "released text was taken back in {text:?}");
            released = checker.releasable();
            if stop.is_some() {
                break;
            }
        }
        checker.finish();
        assert!(checker.releasable() >= released, "released text was taken back at the end of {text:?}");
        match checker.stopped {
            Some((reason, keep)) => (Some(reason), checker.text()[..keep].to_owned()),
            None => (None, checker.text().to_owned()),
        }
    }

    fn check(rules: &StopRules, text: &str, expect: Expect) {
        let (reason, kept) = run(rules, text, 1);
        for piece in [2, 3, 5, 8, 1000] {
            assert_eq!(run(rules, text, piece), (reason, kept.clone()), "pieces of {piece} characters");
        }
        let reason = reason.map_or("goes on".to_owned(), |reason| format!("{reason:?}"));
        expect.assert_eq(&format!("{reason}: {kept:?}"));
    }

    fn single_line() -> StopRules {
        StopRules { single_line: true, ..StopRules::default() }
    }

    fn min_indent(columns: usize) -> StopRules {
        StopRules { min_indent: Some(columns), ..StopRules::default() }
    }

    fn stop_line(line: &str) -> StopRules {
        StopRules { stop_lines: vec![line.to_owned()], ..StopRules::default() }
    }

    fn stop_string(string: &str) -> StopRules {
        StopRules { stop_strings: vec![string.to_owned()], ..StopRules::default() }
    }

    fn repetition() -> StopRules {
        StopRules { repetition: true, ..StopRules::default() }
    }

    #[test]
    fn no_rule_keeps_everything() {
        check(&StopRules::default(), "a\n\nb \n", expect![[r#"goes on: "a\n\nb \n""#]]);
        check(&StopRules::default(), "", expect![[r#"goes on: """#]]);
    }

    #[test]
    fn single_line_ends_at_the_first_line_break() {
        check(&single_line(), "a + b;\nc", expect![[r#"LineEnd: "a + b;""#]]);
        check(&single_line(), "a + b;", expect![[r#"goes on: "a + b;""#]]);
        check(&single_line(), "\n    a", expect![[r#"LineEnd: """#]]);
    }

    #[test]
    fn a_later_line_further_left_ends_the_text() {
        check(&min_indent(4), "a = 1\n    b = 2\n\ndef f():", expect![[r#"Dedent: "a = 1\n    b = 2""#]]);
        check(&min_indent(4), "a = 1\n        b\n    c", expect![[r#"goes on: "a = 1\n        b\n    c""#]]);
        check(&min_indent(8), "a\n\tb", expect![[r#"Dedent: "a""#]]);
        check(&min_indent(8), "a\n\t\tb", expect![[r#"goes on: "a\n\t\tb""#]]);
        check(&min_indent(4), "a\n  \n \n    b", expect![[r#"goes on: "a\n  \n \n    b""#]]);
    }

    #[test]
    fn closers_one_column_left_are_kept_and_end_the_text_when_alone() {
        check(&min_indent(1), "\n    a\n}\n\nfn g() {", expect![[r#"Dedent: "\n    a\n}""#]]);
        check(&min_indent(1), "\n    a\n} else {\n    b\n}\nc", expect![[r#"Dedent: "\n    a\n} else {\n    b\n}""#]]);
        check(&min_indent(5), "\n        a\n    });\n    b", expect![[r#"Dedent: "\n        a\n    });""#]]);
        check(&min_indent(5), "\n        a\n}\n    b", expect![[r#"Dedent: "\n        a""#]]);
        check(&min_indent(1), "\n    a\n}", expect![[r#"Dedent: "\n    a\n}""#]]);
    }

    #[test]
    fn a_stop_line_ends_the_text_before_it() {
        check(&stop_line("    return a"), "b\n\n    return a\nc", expect![[r#"StopLine: "b""#]]);
        check(&stop_line("    return a"), "b\n    return a + 1\nc", expect![[r#"goes on: "b\n    return a + 1\nc""#]]);
        check(
            &stop_line("    return a"),
            "b\n    if c:\n        return a\n",
            expect![[r#"goes on: "b\n    if c:\n        return a\n""#]],
        );
        check(&stop_line("\treturn a"), "b\n    return a  ", expect![[r#"StopLine: "b""#]]);
        check(&stop_line("return a"), "return a\nb", expect![[r#"goes on: "return a\nb""#]]);
        check(&stop_line("```"), "a\n```\nHere", expect![[r#"StopLine: "a""#]]);
    }

    #[test]
    fn a_stop_string_ends_the_text_before_it() {
        check(&stop_string("\n```"), "a\n```\nHere", expect![[r#"StopString: "a""#]]);
        check(&stop_string("\n```"), "a ``` b\n``", expect![[r#"goes on: "a ``` b\n``""#]]);
        check(&stop_string("aab"), "xaaab", expect![[r#"StopString: "xa""#]]);
        check(&stop_string("é!"), "caféé!", expect![[r#"StopString: "café""#]]);
    }

    #[test]
    fn repeated_lines_end_the_text_after_their_first_round() {
        check(&repetition(), "a();\nb();\nb();\nb();\nb();", expect![[r#"RepeatedLines: "a();\nb();""#]]);
        check(&repetition(), "a();\nb();\nb();\nc();", expect![[r#"goes on: "a();\nb();\nb();\nc();""#]]);
        check(
            &repetition(),
            "x\n    a();\n\n    b();\n    a();\n    b();\n",
            expect![[r#"RepeatedLines: "x\n    a();\n\n    b();""#]],
        );
        check(&repetition(), "a\nb\nc\nd\na\nb\nc\nd", expect![[r#"RepeatedLines: "a\nb\nc\nd""#]]);
        check(&repetition(), "a\nb\na\nc\na\nd", expect![[r#"goes on: "a\nb\na\nc\na\nd""#]]);
        check(&repetition(), "a\n        }\n    }\n}\n", expect![[r#"goes on: "a\n        }\n    }\n}\n""#]]);
    }

    #[test]
    fn a_repeated_unit_inside_a_line_ends_the_text_after_its_first_round() {
        check(&repetition(), "x = a.b.a.b.a.b.a.b.a.b.a.b", expect![[r#"RepeatedText: "x = a.b.""#]]);
        check(
            &repetition(),
            "the quick and the quick and the quick and the",
            expect![[r#"RepeatedText: "the quick and ""#]],
        );
        check(
            &repetition(),
            "// ------------------------------\nx",
            expect![[r#"goes on: "// ------------------------------\nx""#]],
        );
        check(&repetition(), "f(1, 2, 3, 4); g(1, 2)", expect![[r#"goes on: "f(1, 2, 3, 4); g(1, 2)""#]]);
        let sentence = "It is in the imperative, as it is a command that is used to make a file of that name. ";
        check(
            &repetition(),
            &sentence.repeat(4),
            expect![[
                r#"RepeatedText: "It is in the imperative, as it is a command that is used to make a file of that name. ""#
            ]],
        );
        check(&repetition(), &"-".repeat(400), expect![[r#"RepeatedText: "-""#]]);
    }

    #[test]
    fn a_spent_time_budget_ends_the_text_at_a_line_break() {
        let rules = StopRules { time_budget: Some(Duration::from_millis(500)), ..StopRules::default() };
        check(&rules, "a + b\nc", expect![[r#"TimeBudget: "a + b""#]]);
        check(&rules, "\n  a + b\nc", expect![[r#"TimeBudget: "\n  a + b""#]]);
        let rules = StopRules { time_budget: Some(Duration::from_secs(2)), ..StopRules::default() };
        check(&rules, "a + b\nc", expect![[r#"goes on: "a + b\nc""#]]);
    }

    #[test]
    fn what_may_still_be_cut_is_not_released() {
        let mut checker = StopChecker::new(&StopRules {
            stop_strings: vec!["</end>".to_owned()],
            stop_lines: vec!["}".to_owned()],
            ..StopRules::default()
        });
        let mut released = String::new();
        for piece in ["a <", "/e", " b ", "\n", "}", ".c", "\n}\n"] {
            checker.push(piece, Duration::ZERO);
            released.push_str(&format!("{:?}\n", &checker.text()[..checker.releasable()]));
        }
        expect![[r#"
            "a "
            "a "
            "a </e b"
            "a </e b"
            "a </e b"
            "a </e b \n}.c"
            "a </e b \n}.c"
        "#]]
        .assert_eq(&released);
    }

    /// Texts from a small linear congruential generator, so that they are the same on every run.
    fn random_texts(count: usize) -> impl Iterator<Item = String> {
        let parts = ["a", "b", " ", "  ", "    ", "\t", "\n", "\n", "}", "ab", "```", "é", "--", "return a"];
        let mut state = 7_u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        (0..count).map(move |_| (0..next() % 40).map(|_| parts[next() % parts.len()]).collect())
    }

    #[test]
    fn where_pieces_end_never_matters() {
        let rules = [
            single_line(),
            min_indent(4),
            StopRules {
                min_indent: Some(1),
                stop_lines: vec!["return a".to_owned(), "    ab".to_owned()],
                stop_strings: vec!["\n```".to_owned(), "aba".to_owned()],
                repetition: true,
                ..StopRules::default()
            },
        ];
        for text in random_texts(2000) {
            for rules in &rules {
                let whole = run(rules, &text, 1000);
                for piece in [1, 2, 3, 7] {
                    assert_eq!(run(rules, &text, piece), whole, "{text:?} in pieces of {piece} under {rules:?}");
                }
            }
        }
    }
}
