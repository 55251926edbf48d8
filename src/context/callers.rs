//! Lines that call the code in question, where they are cheap to find: in its own file and in open documents.

use std::ops::Range;

use super::declared::plain_name;
use super::outline::cut;
use super::surroundings::Surroundings;
use crate::syntax::{ItemKind, Parsed, ReferenceKind};
use crate::text::line_content;

/// How many callers are shown, in all and of one file.
const MAX_CALLERS: usize = 3;
const MAX_CALLERS_PER_FILE: usize = 2;
/// How many occurrences of the name are checked in one file.
const MAX_HITS: usize = 200;
/// Larger files are not searched.
const MAX_SEARCHED_BYTES: usize = 512 << 10;
/// Open documents that are searched.
const MAX_OPEN_FILES: usize = 24;

/// A line that calls the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// `None` for the file of the code itself.
    pub path: Option<String>,
    /// The name of the item the line is in.
    pub within: Option<String>,
    /// Counted from 1.
    pub line: usize,
    /// The line, without white space around it.
    pub text: String,
}

/// What the code is called by.
struct Callee {
    name: String,
    /// For a method, the name of what it is a member of.
    container: Option<String>,
}

/// Callers of the first item in `range`: those of the same file, then those of open documents, within `budget` bytes.
pub(super) fn callers(
    parsed: &Parsed,
    range: &Range<usize>,
    surroundings: &Surroundings,
    budget: usize,
) -> Vec<Caller> {
    let Some(callee) = callee(parsed, range) else { return Vec::new() };
    let mut found = calls_in(parsed, &callee, Some(range), None);
    for open in surroundings.open.iter().take(MAX_OPEN_FILES) {
        let other = open.snapshot.parsed.as_ref().filter(|other| other.language.family == parsed.language.family);
        if let Some(other) = other {
            found.extend(calls_in(other, &callee, None, open.snapshot.shown_path()));
        }
    }
    let mut left = budget;
    let len = |caller: &Caller| {
        caller.text.len() + [&caller.path, &caller.within].into_iter().flatten().map(String::len).sum::<usize>()
    };
    found.retain(|caller| {
        let fits = len(caller) <= left;
        left -= if fits { len(caller) } else { 0 };
        fits
    });
    found.truncate(MAX_CALLERS);
    found
}

fn callee(parsed: &Parsed, range: &Range<usize>) -> Option<Callee> {
    let items = parsed.items(range.clone());
    let item = items.iter().find(|item| range.start <= item.name.start && item.name.end <= range.end)?;
    let around = parsed.enclosing_items(item.name.start);
    let container = around.iter().rev().find(|outer| outer.range != item.range && outer.kind.is_container());
    let container = container.filter(|_| item.kind == ItemKind::Method).map(|outer| plain_name(parsed, outer));
    Some(Callee { name: plain_name(parsed, item), container }).filter(|callee| !callee.name.is_empty())
}

/// Calls in one file; those in `own`, the code itself, do not count.
fn calls_in(parsed: &Parsed, callee: &Callee, own: Option<&Range<usize>>, path: Option<String>) -> Vec<Caller> {
    if parsed.text().len_bytes() > MAX_SEARCHED_BYTES {
        return Vec::new();
    }
    let text = parsed.text().to_string();
    // A file that never names the container means something else by that name.
    let speaks_of_it = callee.container.as_ref().is_none_or(|container| text.contains(container.as_str()));
    if own.is_none() && !speaks_of_it {
        return Vec::new();
    }
    let mut found: Vec<Caller> = Vec::new();
    for (start, name) in text.match_indices(&callee.name).take(MAX_HITS) {
        let hit = start..start + name.len();
        if own.is_some_and(|own| own.contains(&start)) {
            continue;
        }
        let is_call = |reference: &crate::syntax::Reference| reference.kind == ReferenceKind::Call;
        if !parsed.references(hit.clone()).iter().any(|reference| reference.name == hit && is_call(reference)) {
            continue;
        }
        let line = parsed.text().byte_to_line(start);
        if found.iter().any(|caller| caller.line == line + 1) {
            continue;
        }
        let within = parsed.enclosing_items(start).last().map(|item| plain_name(parsed, item));
        let shown = text[line_content(parsed.text(), line)].trim().to_string();
        found.push(Caller { path: path.clone(), within, line: line + 1, text: cut(shown) });
        if found.len() == MAX_CALLERS_PER_FILE {
            break;
        }
    }
    found
}
