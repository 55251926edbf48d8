//! The smallest edits that turn one text into another, line by line.

use similar::{DiffOp, TextDiff};

use crate::text::Edit;

/// Edits that turn `old`, which begins at the byte `start` of its document, into `new`; in order, none touching another.
/// Their ranges are all in the old document, as LSP wants them.
pub(super) fn hunks(old: &str, new: &str, start: usize) -> Vec<Edit> {
    let diff = TextDiff::from_lines(old, new);
    let (old_offsets, new_offsets) = (line_offsets(old), line_offsets(new));
    let ops = diff.ops().iter().filter(|op| !matches!(op, DiffOp::Equal { .. }));
    ops.map(|op| {
        let (old_lines, new_lines) = (op.old_range(), op.new_range());
        Edit {
            range: start + old_offsets[old_lines.start]..start + old_offsets[old_lines.end],
            new_text: new[new_offsets[new_lines.start]..new_offsets[new_lines.end]].to_owned(),
        }
    })
    .collect()
}

/// Where each line of `text` begins, and where the last one ends.
fn line_offsets(text: &str) -> Vec<usize> {
    let mut offsets = vec![0];
    for line in text.split_inclusive('\n') {
        offsets.push(offsets[offsets.len() - 1] + line.len());
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, new: &str, expected: &[(std::ops::Range<usize>, &str)]) {
        let edits = hunks(old, new, 100);
        let found: Vec<_> = edits.iter().map(|edit| (edit.range.clone(), edit.new_text.as_str())).collect();
        assert_eq!(found, expected, "{old:?} -> {new:?}");
        let mut text = old.to_owned();
        for edit in edits.iter().rev() {
            text.replace_range(edit.range.start - 100..edit.range.end - 100, &edit.new_text);
        }
        assert_eq!(text, new);
    }

    #[test]
    fn only_lines_that_differ_are_touched() {
        check("a\nb\nc\n", "a\nb\nc\n", &[]);
        check("a\nb\nc\n", "a\nx\nc\n", &[(102..104, "x\n")]);
        check("a\nb\nc", "a\nb\nc\nd", &[(104..105, "c\nd")]);
        check("a\nb\nc\nd\ne\n", "x\nb\nc\nd\n", &[(100..102, "x\n"), (108..110, "")]);
        check("é\nb", "é\nç", &[(103..104, "ç")]);
        check("", "a\n", &[(100..100, "a\n")]);
    }
}
