//! The context of a question about code: the item it is about, whole where that fits, and what the item leans on.

use std::ops::Range;

use super::Snapshot;
use super::outline::{imports_outside, one_line};
use crate::syntax::{Item, Parsed, ReferenceKind};
use crate::text::{Rope, floor_char_boundary, line_content};

/// What a tool said is wrong, in byte offsets of the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problem {
    pub range: Range<usize>,
    pub message: String,
    /// Who says so (`rustc`, `pyright`), if known.
    pub source: Option<String>,
    /// Further places or hints that came with the message, one sentence each.
    pub related: Vec<String>,
}

/// A problem's place in the code that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// Counted from 1 in [`ItemContext::code`].
    pub line: usize,
    /// The line, without white space around it.
    pub text: String,
    pub problem: Problem,
}

/// What a question about code is made from.
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
    /// Whole lines of the document, exactly as they are.
    pub code: String,
    /// Their place in the document: what an edit may replace.
    pub code_range: Range<usize>,
    /// The document's line the code begins on, counted from 1.
    pub first_line: usize,
    pub marked: Option<Marked>,
    /// Whether the code is less than what was asked about, because that did not fit.
    pub cut: bool,
}

/// The context of a question about the item around `range`, or about `problem` in it. At most about `budget` bytes, of
/// which the code itself gets what it needs first, up to two thirds.
pub fn item_context(snapshot: &Snapshot, range: Range<usize>, problem: Option<&Problem>, budget: usize) -> ItemContext {
    let range = clamped(&snapshot.text, range);
    let code_budget = budget * 2 / 3;
    let whole = snapshot.parsed.as_ref().and_then(|parsed| item_around(parsed, &range));
    let (code_range, cut) = match (whole, &snapshot.parsed) {
        (Some(whole), _) if whole.len() <= code_budget => (whole, false),
        (whole, Some(parsed)) => {
            let part = parsed.largest_node_lines(range.clone(), code_budget);
            (part.unwrap_or_else(|| lines_around(&snapshot.text, &range, code_budget)), whole.is_some())
        }
        (_, None) => (lines_around(&snapshot.text, &range, code_budget), false),
    };
    context_of(snapshot, code_range, problem, budget, cut)
}

/// The context of a question about exactly the lines of `range`, as far as two thirds of `budget` bytes go.
pub fn selection_context(snapshot: &Snapshot, range: Range<usize>, budget: usize) -> ItemContext {
    let text = &snapshot.text;
    let range = clamped(text, range);
    let lines = whole_lines(text, &range);
    let (code_range, cut) =
        if lines.len() <= budget * 2 / 3 { (lines, false) } else { (lines_around(text, &range, budget * 2 / 3), true) };
    context_of(snapshot, code_range, None, budget, cut)
}

fn context_of(
    snapshot: &Snapshot,
    code_range: Range<usize>,
    problem: Option<&Problem>,
    budget: usize,
    cut: bool,
) -> ItemContext {
    let text = &snapshot.text;
    let left = budget.saturating_sub(code_range.len());
    let (imports, outline, definitions) = match &snapshot.parsed {
        Some(parsed) => (
            imports_outside(parsed, &code_range, left / 5),
            containers(parsed, &code_range, left / 5),
            definitions_used(parsed, &code_range, left * 3 / 5),
        ),
        None => Default::default(),
    };
    ItemContext {
        path: snapshot.shown_path(),
        language: snapshot.fence_name().to_string(),
        imports,
        outline,
        definitions,
        code: text.byte_slice(code_range.clone()).to_string(),
        first_line: text.byte_to_line(code_range.start) + 1,
        marked: problem.and_then(|problem| marked(text, &code_range, problem)),
        code_range,
        cut,
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
    let shown = text.byte_slice(line_content(text, line)).to_string().trim().to_string();
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

/// Items of the same file that the code in `range` refers to, in the order of first use.
fn definitions_used(parsed: &Parsed, range: &Range<usize>, budget: usize) -> Vec<String> {
    let items = parsed.items(0..parsed.text().len_bytes());
    let elsewhere: Vec<(String, &Item)> = items
        .iter()
        .filter(|item| item.range.end <= range.start || range.end <= item.range.start)
        .map(|item| (plain_name(parsed, item), item))
        .collect();
    let mut definitions: Vec<(usize, String)> = Vec::new();
    let mut left = budget;
    let mut references = parsed.references(range.clone());
    // What a method is a method of matters as much as what it calls.
    references
        .extend(parsed.enclosing_items(range.start).iter().flat_map(|item| parsed.references(item.signature.clone())));
    for reference in references {
        let name = parsed.slice(reference.name);
        let found = elsewhere
            .iter()
            .find(|(known, item)| *known == name && item.kind.is_callable() == (reference.kind == ReferenceKind::Call));
        let Some((_, item)) = found else { continue };
        if definitions.iter().any(|(start, _)| *start == item.range.start) {
            continue;
        }
        let whole = parsed.item_start(item)..item.range.end;
        // One long definition must not crowd out the others.
        let shown = if whole.len() <= left.min(budget / 2) { whole } else { item.signature.clone() };
        if shown.len() <= left {
            left -= shown.len();
            definitions.push((item.range.start, dedented(&parsed.slice(shown))));
        }
    }
    definitions.into_iter().map(|(_, code)| code).collect()
}

/// An item's name without what qualifies it.
fn plain_name(parsed: &Parsed, item: &Item) -> String {
    let name = parsed.slice(item.name.clone());
    name.rsplit("::").next().unwrap_or_default().to_string()
}

/// `code`, whose first line has lost its indentation already, with that of its last line taken off the others.
fn dedented(code: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let common = code.lines().skip(1).filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    let mut lines = code.lines();
    let mut dedented = lines.next().unwrap_or_default().to_string();
    for line in lines {
        dedented.push('\n');
        dedented.push_str(line.get(common..).unwrap_or_default());
    }
    dedented
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
