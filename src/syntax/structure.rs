//! Questions about the shape of the code around a place: does a body begin here, where does a completion's statement
//! end, did the text break.

use std::ops::Range;

use tree_sitter::Node;

use super::queries::Scope;
use super::{Capture, Parsed, QueryKind};
use crate::text::{floor_char_boundary, line_content};

/// What is not code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    Comment,
    String,
}

/// How far back a body's opener is looked for, and through how many comments: a few screens, never a whole file.
const MAX_LOOK_BACK: usize = 8 << 10;
const MAX_COMMENTS: usize = 40;

/// Columns a tab is counted as when two indentations are compared.
const TAB_WIDTH: usize = 4;

impl Parsed {
    /// The comment or string `offset` lies in. The end of a line comment lies in it, the end of a string does not.
    pub fn region_at(&self, offset: usize) -> Option<(Region, Range<usize>)> {
        let offset = offset.min(self.text.len_bytes());
        let mut found = None;
        let scope = Scope { range: Some(offset.saturating_sub(1)..offset + 1), max_depth: None };
        self.for_each_match(QueryKind::Regions, scope, |matched| {
            for (capture, node) in matched.captures {
                let region = match capture {
                    Capture::Comment => Region::Comment,
                    Capture::String => Region::String,
                    _ => continue,
                };
                let range = node.byte_range();
                let inside = range.start < offset && offset < range.end;
                if inside || (region == Region::Comment && range.end == offset && self.is_line_comment(&range)) {
                    found = Some((region, range));
                }
            }
        });
        found
    }

    fn is_line_comment(&self, range: &Range<usize>) -> bool {
        let marker = self.language.line_comment.bytes();
        let ends_line = range.end > 0 && self.text.byte(range.end - 1) == b'\n';
        !ends_line && self.text.bytes_at(range.start).take(marker.len()).eq(marker)
    }

    /// Whether syntax says that several lines may follow at `offset`: a body that is still empty has just been opened,
    /// or a literal whose first line is broken already.
    pub fn block_begins_at(&self, offset: usize) -> bool {
        let offset = floor_char_boundary(&self.text, offset);
        let Some(opener) = self.opener_before(offset) else { return false };
        let rest = self.rest_of_line(offset);
        if !rest.trim().is_empty() {
            // Only what closes the body may follow, or the line is code of its own.
            return rest.trim().chars().all(|c| matches!(c, ')' | ']' | '}' | ';' | ','));
        }
        let opener_indent = self.indent_of_row(self.row(opener));
        self.next_code_row(self.row(offset) + 1).is_none_or(|row| self.indent_of_row(row) <= opener_indent)
    }

    /// Where text at `inserted` should be cut so that it ends with the statement it belongs to: at the end of the last
    /// node that begins on the line of the cursor (or of the body's opener). This is the tree of the text with the
    /// completion in it; the answer lies in `inserted`.
    pub fn truncation_end(&self, inserted: Range<usize>) -> usize {
        let len = self.text.len_bytes();
        let inserted = inserted.start.min(len)..inserted.end.min(len);
        let opener = self.opener_before(inserted.start);
        let line_start = self.text.line_to_byte(self.row(inserted.start));
        let before = opener.or_else(|| self.last_non_blank_before(inserted.start).filter(|last| *last >= line_start));
        let first_inside = || self.first_non_blank_in(inserted.clone());
        let end = before
            .and_then(|offset| self.statement_end(offset))
            .filter(|end| *end > inserted.start)
            .or_else(|| first_inside().and_then(|offset| self.statement_end(offset)));
        match end {
            Some(end) if end < inserted.end => self.with_separator(end).min(inserted.end),
            _ => inserted.end,
        }
    }

    /// End of the largest node that begins on the row of the leaf at `offset`; `None` where the tree is broken.
    fn statement_end(&self, offset: usize) -> Option<usize> {
        let leaf = self.tree.root_node().descendant_for_byte_range(offset, offset + 1)?;
        let row = self.row(leaf.start_byte());
        let mut node = leaf;
        while let Some(parent) = node.parent().filter(|parent| parent.parent().is_some()) {
            if self.row(parent.start_byte()) != row {
                break;
            }
            node = parent;
        }
        let is_root = node.parent().is_none();
        (!is_root && !node.is_error() && !node.is_missing()).then(|| node.end_byte())
    }

    /// A separator right after a node belongs to it.
    fn with_separator(&self, end: usize) -> usize {
        let separated = matches!(self.text.get_byte(end), Some(b';' | b','));
        end + usize::from(separated)
    }

    /// Number of errors in the tree: stretches that fit no rule, and tokens that are missing.
    pub fn error_count(&self) -> usize {
        let mut cursor = self.tree.walk();
        let mut count = 0;
        loop {
            let node = cursor.node();
            count += usize::from(node.is_error() || node.is_missing());
            if node.has_error() && cursor.goto_first_child() {
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return count;
                }
            }
        }
    }

    /// Whether this text has more errors than `before` had.
    pub fn has_new_errors(&self, before: &Parsed) -> bool {
        self.error_count() > before.error_count()
    }

    /// The first offset in `range` at which something begins on a line of its own, from as high in the tree as there is
    /// one: an item rather than a statement, a statement rather than an argument. A good place to begin an excerpt.
    pub fn boundary_in(&self, range: Range<usize>) -> Option<usize> {
        let mut node = self.tree.root_node();
        loop {
            let mut child = node.first_child_for_byte(range.start);
            let around = child.filter(|child| child.start_byte() < range.start);
            while let Some(candidate) = child.filter(|child| child.start_byte() < range.end) {
                if candidate.start_byte() >= range.start && self.opens_line(candidate.start_byte()) {
                    return Some(candidate.start_byte());
                }
                child = candidate.next_sibling();
            }
            node = around?;
        }
    }

    /// The opening token of the body or literal that `offset` is at the very beginning of; comments may lie between.
    fn opener_before(&self, offset: usize) -> Option<usize> {
        let lowest = offset.saturating_sub(MAX_LOOK_BACK);
        let mut at = offset;
        for _ in 0..MAX_COMMENTS {
            let last = self.last_non_blank_before(at).filter(|last| *last >= lowest)?;
            if let Some(capture) = self.opener_ending_at(last + 1) {
                let same_line = self.row(last) == self.row(offset);
                return (capture == Capture::BodyOpener || !same_line).then_some(last);
            }
            // A comment, or a string that is a statement (a docstring), is not yet a body.
            let (_, range) = self.region_ending_at(last + 1).filter(|(_, range)| self.opens_line(range.start))?;
            at = range.start;
        }
        None
    }

    fn opener_ending_at(&self, end: usize) -> Option<Capture> {
        let mut found = None;
        let scope = Scope { range: Some(end - 1..end), max_depth: None };
        self.for_each_match(QueryKind::Blocks, scope, |matched| {
            let here = |node: &Node<'_>| node.end_byte() == end;
            found = found.or(matched.captures.iter().find(|(_, node)| here(node)).map(|(capture, _)| *capture));
        });
        found
    }

    fn region_ending_at(&self, end: usize) -> Option<(Capture, Range<usize>)> {
        let mut found = None;
        let scope = Scope { range: Some(end - 1..end), max_depth: None };
        self.for_each_match(QueryKind::Regions, scope, |matched| {
            for (capture, node) in matched.captures {
                let range = node.byte_range();
                // Some grammars count the line break as part of a comment.
                if range.start < end && range.end >= end && range.end <= end + 2 {
                    found = Some((*capture, range));
                }
            }
        });
        found
    }

    pub(super) fn row(&self, offset: usize) -> usize {
        self.text.byte_to_line(offset.min(self.text.len_bytes()))
    }

    /// Columns of white space `row` begins with.
    pub(super) fn indent_of_row(&self, row: usize) -> usize {
        self.text.line(row).chars().take_while(|c| matches!(c, ' ' | '\t')).map(columns).sum()
    }

    /// Columns before `offset` on its line.
    pub(super) fn column(&self, offset: usize) -> usize {
        let start = self.text.line_to_byte(self.row(offset));
        self.text.byte_slice(start..offset).chars().map(columns).sum()
    }

    /// Whether only white space precedes `offset` on its line.
    pub(super) fn opens_line(&self, offset: usize) -> bool {
        let start = self.text.line_to_byte(self.row(offset));
        self.last_non_blank_before(offset).is_none_or(|last| last < start)
    }

    /// Offset of the last byte before `offset` that is not white space.
    pub(super) fn last_non_blank_before(&self, offset: usize) -> Option<usize> {
        let mut bytes = self.text.bytes_at(offset);
        let mut at = offset;
        while let Some(byte) = bytes.prev() {
            at -= 1;
            if !byte.is_ascii_whitespace() {
                return Some(at);
            }
        }
        None
    }

    fn first_non_blank_in(&self, range: Range<usize>) -> Option<usize> {
        let mut bytes = self.text.bytes_at(range.start).take(range.len());
        bytes.position(|byte| !byte.is_ascii_whitespace()).map(|at| range.start + at)
    }

    fn rest_of_line(&self, offset: usize) -> String {
        let end = line_content(&self.text, self.row(offset)).end;
        self.slice(offset..floor_char_boundary(&self.text, end.max(offset).min(offset + MAX_LOOK_BACK)))
    }

    fn next_code_row(&self, from: usize) -> Option<usize> {
        let blank = |row: &usize| self.text.line(*row).chars().all(char::is_whitespace);
        (from..self.text.len_lines()).take(MAX_LOOK_BACK).find(|row| !blank(row))
    }
}

fn columns(c: char) -> usize {
    if c == '\t' { TAB_WIDTH } else { 1 }
}
