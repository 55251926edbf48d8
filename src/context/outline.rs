//! Imports and signatures: what stands for the parts of a document that an excerpt leaves out.

use std::ops::Range;

use super::cost::cost;
use crate::syntax::{Item, Parsed};

/// A longer signature is cut: it says enough, and leaves room for others.
const MAX_SIGNATURE_BYTES: usize = 200;

/// Items are listed up to this distance from the cursor; the outline is usually full long before.
const OUTLINED_BYTES: usize = 16 << 10;

/// The imports outside `shown`, one a line, in order, as many as `budget` allows.
pub(super) fn imports_outside(parsed: &Parsed, shown: &Range<usize>, budget: usize) -> String {
    let (mut imports, mut left) = (String::new(), budget);
    for range in parsed.imports() {
        if shown.start <= range.start && range.end <= shown.end {
            continue;
        }
        let line = one_line(&parsed.slice(range)) + "\n";
        if let Some(rest) = left.checked_sub(cost(&line)) {
            imports.push_str(&line);
            left = rest;
        }
    }
    imports
}

/// Signatures of items outside `shown`, in the order of the text and indented by nesting, within `budget`: those
/// around `offset` first, then the others by their distance from it. Members of containers that do not enclose
/// `offset` are left out, what is inside functions too.
pub(super) fn outline_outside(parsed: &Parsed, offset: usize, shown: &Range<usize>, budget: usize) -> String {
    let items = parsed.items(offset.saturating_sub(OUTLINED_BYTES)..offset + OUTLINED_BYTES);
    let entries = nested(&items, offset);
    let mut order: Vec<&OutlineItem<'_>> =
        entries.iter().filter(|entry| !shown.contains(&entry.item.signature.start)).collect();
    order.sort_by_key(|entry| (!entry.encloses, distance(&entry.item.range, offset)));
    let mut used = 0;
    let mut chosen = Vec::new();
    for entry in order {
        let mut line = "    ".repeat(entry.depth);
        line.push_str(&cut(one_line(&parsed.slice(entry.item.signature.clone()))));
        line.push('\n');
        let cost = cost(&line);
        if used + cost <= budget {
            used += cost;
            chosen.push((entry.item.range.start, line));
        }
    }
    chosen.sort();
    chosen.into_iter().map(|(_, line)| line).collect()
}

struct OutlineItem<'a> {
    item: &'a Item,
    depth: usize,
    encloses: bool,
}

/// The items a reader of an outline expects: top-level ones, and members of the containers around `offset`.
fn nested(items: &[Item], offset: usize) -> Vec<OutlineItem<'_>> {
    let mut around: Vec<&Item> = Vec::new();
    let mut entries: Vec<OutlineItem<'_>> = Vec::new();
    let mut hidden_until = 0;
    for item in items {
        around.retain(|outer| item.range.start < outer.range.end);
        if item.range.start < hidden_until {
            continue;
        }
        // Several names may share one item (`type ( A ..; B .. )`).
        if entries.last().is_some_and(|last| last.item.range == item.range) {
            continue;
        }
        let encloses = item.range.start <= offset && offset <= item.range.end;
        entries.push(OutlineItem { item, depth: around.len(), encloses });
        if encloses && item.kind.is_container() {
            around.push(item);
        } else {
            hidden_until = item.range.end;
        }
    }
    entries
}

fn distance(range: &Range<usize>, offset: usize) -> usize {
    range.start.saturating_sub(offset).max(offset.saturating_sub(range.end))
}

/// `text` with every stretch of white space made one blank.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `signature`, cut if it is long.
pub(super) fn cut(mut signature: String) -> String {
    if signature.len() > MAX_SIGNATURE_BYTES {
        let end = (0..=MAX_SIGNATURE_BYTES).rev().find(|&end| signature.is_char_boundary(end)).unwrap_or(0);
        signature.truncate(end);
        signature.push_str(" ..");
    }
    signature
}
