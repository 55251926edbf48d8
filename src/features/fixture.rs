//! Test documents, with `$0` at the cursor or at the two ends of a selection.

use std::ops::Range;

use crate::context::Snapshot;
use crate::syntax::{Language, Parsed};
use crate::text::Rope;

/// The document and the selection between its two marks; one mark is a cursor.
pub(super) fn selected(language_id: &str, marked: &str) -> (Snapshot, Range<usize>) {
    let parts: Vec<_> = marked.split("$0").collect();
    assert!(matches!(parts.len(), 2 | 3), "a test text marks its place with one or two $0");
    let start = parts[0].len();
    let end = if parts.len() == 3 { start + parts[1].len() } else { start };
    let text = Rope::from_str(&parts.concat());
    let language = Language::by_id(language_id);
    let parsed = language.and_then(|language| Parsed::parse(language, &text));
    let language_id = language_id.to_owned();
    let (cells, surroundings) = Default::default();
    (Snapshot { text, version: 1, parsed, language, language_id, path: None, cells, surroundings }, start..end)
}

/// The document and its cursor.
pub(super) fn at_cursor(language_id: &str, marked: &str) -> (Snapshot, usize) {
    let (snapshot, selection) = selected(language_id, marked);
    (snapshot, selection.start)
}
