//! The next edit of a file, suggested from the latest edits by a model made for that.
//!
//! Source of the form and its sizes: `sweep-autocomplete` 0.1.1, which runs Sweep's models.

use std::ops::Range;

use crate::context::{Limits, cost};
use crate::engine::{Candidate, GenerationParams, StopReason};
use crate::model::{FimFile, NextEditParts, Prompt};
use crate::text::{Edit, Rope};
use crate::workspace::Hunk;

/// Lines before and after the cursor's that the model writes once more.
const LINES_BEFORE: usize = 2;
const LINES_AFTER: usize = 5;

/// Changes that the model is shown, of those made last.
const HUNKS: usize = 6;

/// Tokens of an answer at most.
const MAX_TOKENS: usize = 512;

/// What to ask, and where the answer goes.
#[derive(Debug, Clone)]
pub struct NextEditPlan {
    pub prompt: Prompt,
    pub params: GenerationParams,
    /// The bytes of the lines the model writes once more, without the last line break.
    target: Range<usize>,
    lines: String,
}

/// Why there is no edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEdit {
    #[error("the model suggests no edit here")]
    Unchanged,
    #[error("the model's answer was cut off, so it may leave out code")]
    Endless,
}

/// What to ask about the file `name` at `line`, counted from 0, after `hunks`, the newest last. What it is shown of the file
/// costs at most what `context_tokens` allow.
pub fn plan(text: &Rope, name: &str, line: usize, hunks: &[Hunk], context_tokens: usize) -> NextEditPlan {
    let around = lines_around(text, line);
    let (start, end) = (text.line_to_byte(around.start), text.line_to_byte(around.end));
    let block = text.byte_slice(start..end).to_string();
    let lines = block.strip_suffix('\n').unwrap_or(&block).to_owned();
    // At the end of its line.
    let cursor_line =
        text.byte_slice(start..text.line_to_byte((line + 1).min(around.end).max(around.start))).to_string();
    let cursor = cursor_line.trim_end_matches('\n').len().min(lines.len());
    let shown = &hunks[hunks.len().saturating_sub(HUNKS)..];
    let limits = Limits::for_tokens(context_tokens);
    let mut files = vec![FimFile { path: name.to_owned(), text: file_around(text, &around, limits.total_bytes) }];
    files.extend(shown.iter().map(changed));
    let parts = NextEditParts {
        files,
        place: format!("{name}:{}:{}", around.start + 1, around.end),
        original: original(&lines, name, shown),
        current: (lines[..cursor].to_owned(), lines[cursor..].to_owned()),
    };
    NextEditPlan {
        prompt: Prompt { next_edit: Some(parts), ..Prompt::default() },
        params: GenerationParams { max_new_tokens: MAX_TOKENS, ..GenerationParams::default() },
        target: start..start + lines.len(),
        lines,
    }
}

impl NextEditPlan {
    /// The edit in `answer`.
    ///
    /// # Errors
    /// There is none.
    pub fn finish(&self, answer: &Candidate) -> Result<Edit, NoEdit> {
        if answer.stop_reason == StopReason::MaxTokens {
            return Err(NoEdit::Endless);
        }
        let new_text = answer.text.trim_matches('\n');
        if new_text.trim_end() == self.lines.trim_matches('\n').trim_end() || new_text.is_empty() {
            return Err(NoEdit::Unchanged);
        }
        // Blank lines around the code are the file's, not the answer's.
        let leading = self.lines.len() - self.lines.trim_start_matches('\n').len();
        let new_text = format!("{}{new_text}", &self.lines[..leading]);
        Ok(Edit { range: self.target.clone(), new_text })
    }
}

/// The lines around `line`, without blank ones at the ends.
fn lines_around(text: &Rope, line: usize) -> Range<usize> {
    let is_blank = |line: usize| text.line(line).chars().all(char::is_whitespace);
    let mut start = line.saturating_sub(LINES_BEFORE);
    let mut end = (line + LINES_AFTER + 1).min(text.len_lines());
    while start < line && is_blank(start) {
        start += 1;
    }
    while end > line + 1 && is_blank(end - 1) {
        end -= 1;
    }
    start..end
}

/// As many whole lines around `around` as `budget` allows, with as much above as below where there is as much.
fn file_around(text: &Rope, around: &Range<usize>, mut budget: usize) -> String {
    let mut take = |line: usize| {
        let left = budget.checked_sub(cost(&text.line(line).to_string()));
        budget = left.unwrap_or(0);
        left.is_some()
    };
    let (mut start, mut end) = (around.start, around.start);
    let (mut grows_up, mut grows_down) = (true, true);
    while grows_up || grows_down {
        grows_down = grows_down && end < text.len_lines() && take(end);
        end += usize::from(grows_down);
        grows_up = grows_up && start > 0 && take(start - 1);
        start -= usize::from(grows_up);
    }
    let shown = text.byte_slice(text.line_to_byte(start)..text.line_to_byte(end)).to_string();
    shown.trim_end_matches('\n').to_owned()
}

/// One change, as the model was trained to read it.
fn changed(hunk: &Hunk) -> FimFile {
    FimFile {
        path: format!("{}:{}:{}", hunk.name, hunk.first, hunk.last()),
        text: format!("original:\n{}\nupdated:\n{}", hunk.old.trim_matches('\n'), hunk.new.trim_matches('\n')),
    }
}

/// `lines` of the file `name` before those of `hunks` that they hold.
fn original(lines: &str, name: &str, hunks: &[Hunk]) -> String {
    let mut original = lines.to_owned();
    for hunk in hunks.iter().rev().filter(|hunk| hunk.name == name) {
        let (old, new) = differing_lines(&hunk.old, &hunk.new);
        // What was only taken out has no place to be put back to but by the lines around it.
        let (old, new) = if new.is_empty() { (hunk.old.as_str(), hunk.new.as_str()) } else { (old, new) };
        let new = new.trim_end_matches('\n');
        if !new.trim().is_empty() && original.contains(new) {
            original = original.replacen(new, old.trim_end_matches('\n'), 1);
        }
    }
    original
}

/// Both texts without the lines that they begin and end with alike.
fn differing_lines<'a>(old: &'a str, new: &'a str) -> (&'a str, &'a str) {
    let first = |text: &'a str| text.split_inclusive('\n').next().unwrap_or_default();
    let last = |text: &'a str| text.split_inclusive('\n').next_back().unwrap_or_default();
    let (mut old, mut new) = (old, new);
    while !old.is_empty() && first(old) == first(new) {
        (old, new) = (&old[first(old).len()..], &new[first(new).len()..]);
    }
    while !old.is_empty() && last(old) == last(new) {
        (old, new) = (&old[..old.len() - last(old).len()], &new[..new.len() - last(new).len()]);
    }
    (old, new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PromptForm;

    const TEXT: &str = "import os\n\ndef area(width, height):\n    return width * height\n\n\ndef volume(width, height, depth):\n    return area(w, height) * depth\n";

    fn hunk() -> Hunk {
        let (old, new) = ("def area(w, height):\n", "def area(width, height):\n");
        let end = "    return width * height\n";
        Hunk { name: "shapes.py".to_owned(), first: 2, old: format!("\n{old}{end}"), new: format!("\n{new}{end}") }
    }

    fn answer(text: &str, stop_reason: StopReason) -> Candidate {
        Candidate { text: text.to_owned(), stop_reason, certainty: None, form: PromptForm::Fim }
    }

    fn at(line: usize) -> NextEditPlan {
        plan(&Rope::from_str(TEXT), "shapes.py", line, &[hunk()], 1000)
    }

    #[test]
    fn the_model_sees_the_lines_before_and_now_and_what_changed() {
        let parts = at(3).prompt.next_edit.unwrap();
        assert_eq!(parts.place, "shapes.py:3:8");
        assert_eq!(parts.files[0].text, TEXT.trim_end());
        assert_eq!((parts.files[1].path.as_str(), parts.files.len()), ("shapes.py:2:4", 2));
        assert!(parts.files[1].text.starts_with("original:\ndef area(w, height):\n"), "{}", parts.files[1].text);
        assert!(parts.original.starts_with("def area(w, height):\n"), "{}", parts.original);
        let (before, after) = parts.current;
        assert_eq!(before, "def area(width, height):\n    return width * height");
        assert_eq!(format!("{before}{after}"), TEXT[11..].trim_end());
    }

    #[test]
    fn a_large_file_is_shown_around_the_lines() {
        let text: String = (0..1000).map(|line| format!("line_{line} = {line}\n")).collect();
        let parts = plan(&Rope::from_str(&text), "a.py", 500, &[], 500).prompt.next_edit.unwrap();
        let shown = &parts.files[0].text;
        assert!(shown.contains("line_490") && shown.contains("line_505") && shown.len() < 2000, "{shown}");
        assert!(shown.starts_with("line_") && !shown.ends_with('\n'));
    }

    #[test]
    fn an_answer_is_an_edit_of_the_lines() {
        let plan = at(7);
        let (before, after) = plan.prompt.next_edit.clone().unwrap().current;
        let lines = format!("{before}{after}");
        assert_eq!(plan.finish(&answer(&format!("{lines}\n"), StopReason::EndOfTurn)), Err(NoEdit::Unchanged));
        assert_eq!(plan.finish(&answer("def volume", StopReason::MaxTokens)), Err(NoEdit::Endless));
        let edit = plan.finish(&answer(&lines.replace("area(w,", "area(width,"), StopReason::EndOfTurn)).unwrap();
        let mut text = TEXT.to_owned();
        text.replace_range(edit.range, &edit.new_text);
        assert_eq!(text, TEXT.replace("area(w,", "area(width,"));
    }

    #[test]
    fn lines_that_were_taken_out_are_put_back() {
        let hunk = Hunk { name: "a.py".to_owned(), first: 1, old: "a\nb\nc\n".to_owned(), new: "a\nc\n".to_owned() };
        assert_eq!(original("a\nc\nd", "a.py", std::slice::from_ref(&hunk)), "a\nb\nc\nd");
        assert_eq!(original("a\nc\nd", "b.py", &[hunk]), "a\nc\nd");
    }
}
