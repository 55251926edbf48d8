//! The context of a question about code: the item it is about, whole if it fits, and what the item uses.

use std::ops::Range;

use super::Snapshot;
use super::callers::{Caller, callers};
use super::candidates::definitions_elsewhere;
use super::definitions::{definitions_used, uses};
use super::outline::{imports_outside, one_line};
use super::surroundings::{Excerpt, Surroundings};
use crate::syntax::{Item, Parsed};
use crate::text::{Rope, floor_char_boundary, line_content};

/// Bytes of a problem's line that are repeated beside its message.
const MARKED_BYTES: usize = 400;

/// A problem that a tool reported, in byte offsets of the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problem {
    pub range: Range<usize>,
    pub message: String,
    /// The tool (`rustc`, `pyright`), if known.
    pub source: Option<String>,
    /// Further places or hints that came with the message, one sentence each.
    pub related: Vec<String>,
}

/// A problem's place in the code that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// Counted from 1 in [`ItemContext::code`].
    pub line: usize,
    /// The line, without white space around it; of a long one the part around the problem.
    pub text: String,
    pub problem: Problem,
}

/// The size of a context, and what it may take code from.
#[derive(Clone, Copy)]
pub struct ItemOptions<'a> {
    /// Bytes. The code itself gets what it needs first, up to two thirds.
    pub budget: usize,
    pub surroundings: &'a Surroundings,
    /// Whether lines that call the code help to answer.
    pub with_callers: bool,
}

/// The parts of a question about code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemContext {
    pub path: Option<String>,
    /// The language's name after a code fence; empty if unknown.
    pub language: String,
    /// Imports of the file, one a line.
    pub imports: String,
    /// Signatures of the items around the code, outermost first, one a line.
    pub outline: String,
    /// Code of the same file that the code uses; a signature where the whole would be too long.
    pub definitions: Vec<String>,
    /// Code of other files that the code uses; what is of one file stands together.
    pub definitions_elsewhere: Vec<Excerpt>,
    /// Lines that call the code.
    pub callers: Vec<Caller>,
    /// Whole lines of the document, exactly as they are.
    pub code: String,
    /// Their place in the document: what an edit may replace.
    pub code_range: Range<usize>,
    /// The document's line the code begins on, counted from 1.
    pub first_line: usize,
    pub marked: Option<Marked>,
    /// Whether the code is only part of what was asked about, because that did not fit.
    pub cut: bool,
}

/// The context of a question about the item around `range`, or about `problem` in it.
pub fn item_context(
    snapshot: &Snapshot,
    range: Range<usize>,
    problem: Option<&Problem>,
    options: &ItemOptions<'_>,
) -> ItemContext {
    let range = clamped(&snapshot.text, range);
    let code_budget = options.budget * 2 / 3;
    let whole = snapshot.parsed.as_ref().and_then(|parsed| item_around(parsed, &range));
    let (code_range, cut) = match (whole, &snapshot.parsed) {
        (Some(whole), _) if whole.len() <= code_budget => (whole, false),
        (whole, Some(parsed)) => {
            // The lines of a node may have much more on them than the node.
            let part = parsed.largest_node_lines(range.clone(), code_budget).filter(|part| part.len() <= code_budget);
            (part.unwrap_or_else(|| lines_around(&snapshot.text, &range, code_budget)), whole.is_some())
        }
        (_, None) => (lines_around(&snapshot.text, &range, code_budget), false),
    };
    context_of(snapshot, code_range, problem, options, cut)
}

/// The context of a question about exactly the lines of `range`.
pub fn selection_context(snapshot: &Snapshot, range: Range<usize>, options: &ItemOptions<'_>) -> ItemContext {
    let text = &snapshot.text;
    let range = clamped(text, range);
    let lines = whole_lines(text, &range);
    let code_budget = options.budget * 2 / 3;
    let (code_range, cut) =
        if lines.len() <= code_budget { (lines, false) } else { (lines_around(text, &range, code_budget), true) };
    context_of(snapshot, code_range, None, options, cut)
}

fn context_of(
    snapshot: &Snapshot,
    code_range: Range<usize>,
    problem: Option<&Problem>,
    options: &ItemOptions<'_>,
    cut: bool,
) -> ItemContext {
    let text = &snapshot.text;
    let mut context = ItemContext {
        path: snapshot.shown_path(),
        language: snapshot.fence_name().to_string(),
        imports: String::new(),
        outline: String::new(),
        definitions: Vec::new(),
        definitions_elsewhere: Vec::new(),
        callers: Vec::new(),
        code: text.byte_slice(code_range.clone()).to_string(),
        first_line: text.byte_to_line(code_range.start) + 1,
        marked: problem.and_then(|problem| marked(text, &code_range, problem)),
        code_range,
        cut,
    };
    if let Some(parsed) = &snapshot.parsed {
        add_what_it_leans_on(&mut context, snapshot, parsed, options);
    }
    context
}

/// Fills in everything that is not the code itself, with what the code leaves of the budget.
fn add_what_it_leans_on(context: &mut ItemContext, snapshot: &Snapshot, parsed: &Parsed, options: &ItemOptions<'_>) {
    let range = context.code_range.clone();
    let whole = options.budget.saturating_sub(range.len());
    context.imports = imports_outside(parsed, &range, whole / 5);
    context.outline = containers(parsed, &range, whole / 5);
    let mut left = whole * 3 / 5;
    let used = uses(parsed, &range);
    context.definitions = definitions_used(parsed, &range, &used, left);
    left -= context.definitions.iter().map(String::len).sum::<usize>().min(left);
    let surroundings = options.surroundings;
    context.definitions_elsewhere = definitions_elsewhere(surroundings, parsed, snapshot.path.as_deref(), &used, left);
    left -= context.definitions_elsewhere.iter().map(Excerpt::len).sum::<usize>().min(left);
    if options.with_callers {
        context.callers = callers(parsed, &range, surroundings, left);
    }
}

fn clamped(text: &Rope, range: Range<usize>) -> Range<usize> {
    let (start, end) = (range.start.min(range.end), range.start.max(range.end));
    floor_char_boundary(text, start)..floor_char_boundary(text, end)
}

fn marked(text: &Rope, code_range: &Range<usize>, problem: &Problem) -> Option<Marked> {
    let at = clamped(text, problem.range.clone()).start;
    if !(code_range.start..=code_range.end).contains(&at) {
        return None;
    }
    let line = text.byte_to_line(at);
    let content = line_content(text, line);
    let near = at.saturating_sub(MARKED_BYTES / 2)..at + MARKED_BYTES / 2;
    let shown = if content.len() <= MARKED_BYTES {
        content
    } else {
        clamped(text, content.start.max(near.start)..content.end.min(near.end))
    };
    let shown = text.byte_slice(shown).to_string().trim().to_string();
    Some(Marked { line: line - text.byte_to_line(code_range.start) + 1, text: shown, problem: problem.clone() })
}

/// Lines of the innermost item that holds all of `range`, with its comments and attributes. A range that begins in those,
/// or in the indentation before them, means their item.
fn item_around(parsed: &Parsed, range: &Range<usize>) -> Option<Range<usize>> {
    let start = parsed.first_code_in(range.start);
    let end = parsed.last_non_blank_before(range.end).map_or(start, |last| (last + 1).max(start));
    let mut around = parsed.enclosing_items(start);
    around.extend(parsed.item_after_comment(start));
    let item = around.into_iter().filter(|item| end <= item.range.end).min_by_key(|item| item.range.len())?;
    Some(whole_lines(parsed.text(), &(parsed.item_start(&item)..item.range.end)))
}

/// Signatures of the items that hold all of `range` and more.
fn containers(parsed: &Parsed, range: &Range<usize>, budget: usize) -> String {
    let mut outline = String::new();
    let around = |item: &Item| item.range.start < range.start && range.end < item.range.end + 2;
    for (depth, item) in parsed.enclosing_items(range.start).into_iter().filter(around).enumerate() {
        let line = format!("{}{}\n", "    ".repeat(depth), one_line(&parsed.slice(item.signature)));
        if outline.len() + line.len() <= budget {
            outline.push_str(&line);
        }
    }
    outline
}

/// The lines `range` touches, without the last one's line break. A range that ends where a line begins does not touch it.
fn whole_lines(text: &Rope, range: &Range<usize>) -> Range<usize> {
    let first = text.byte_to_line(range.start);
    let mut last = text.byte_to_line(range.end);
    if last > first && line_content(text, last).start == range.end {
        last -= 1;
    }
    line_content(text, first).start..line_content(text, last).end
}

/// The line of `range`'s start and as many lines on both sides of it as `budget` bytes allow. Of a line that is too
/// long alone, the part around the place.
fn lines_around(text: &Rope, range: &Range<usize>, budget: usize) -> Range<usize> {
    let line = text.byte_to_line(range.start);
    let mut shown = line_content(text, line);
    if shown.len() > budget {
        let start = range.start.saturating_sub(budget / 2).max(shown.start);
        return floor_char_boundary(text, start)..floor_char_boundary(text, (start + budget).min(shown.end));
    }
    let (mut above, mut below) = (line, line);
    loop {
        let up = above.checked_sub(1).map(|line| line_content(text, line).start..shown.end);
        let grown_up = up.filter(|grown| grown.len() <= budget);
        if let Some(grown) = &grown_up {
            shown = grown.clone();
            above -= 1;
        }
        let down = (below + 1 < text.len_lines()).then(|| shown.start..line_content(text, below + 1).end);
        let grown_down = down.filter(|grown| grown.len() <= budget);
        if let Some(grown) = &grown_down {
            shown = grown.clone();
            below += 1;
        }
        if grown_up.is_none() && grown_down.is_none() {
            return shown;
        }
    }
}
