//! The other cells of a notebook, which stand around a cell as if the notebook were one file.

use std::fmt;
use std::sync::Arc;

use super::outline::imports_outside;
use crate::syntax::Parsed;
use crate::text::{Rope, next_line_start};

/// One cell, as a value.
#[derive(Clone)]
pub struct Cell {
    pub text: Rope,
    /// `None` for a language without a grammar.
    pub parsed: Option<Parsed>,
}

/// The other cells of the notebook that a document is a cell of: those in its language, in the notebook's order. None for
/// a document that is no cell.
#[derive(Clone, Default)]
pub struct OtherCells {
    pub before: Vec<Cell>,
    pub after: Vec<Cell>,
}

impl fmt::Debug for OtherCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cells before, {} after", self.before.len(), self.after.len())
    }
}

impl OtherCells {
    /// Whether both hold the same texts; at no cost where nothing was edited.
    pub(super) fn is_same(this: &Arc<Self>, that: &Arc<Self>) -> bool {
        let same_texts = |a: &[Cell], b: &[Cell]| {
            let mut pairs = a.iter().zip(b);
            a.len() == b.len() && pairs.all(|(a, b)| a.text.is_instance(&b.text) || a.text == b.text)
        };
        Arc::ptr_eq(this, that) || (same_texts(&this.before, &that.before) && same_texts(&this.after, &that.after))
    }

    /// The cells right before, each with a blank line behind it, and the imports of those that are not shown whole, one a
    /// line. Of the first cell that does not fit into `budget` bytes, the last lines are taken.
    pub(super) fn text_before(&self, budget: usize, imports_budget: usize) -> (String, String) {
        let mut parts = Vec::new();
        let mut left = budget;
        let mut shown_whole = 0;
        for cell in self.before.iter().rev() {
            let start = start_of_last_lines(&cell.text, left.saturating_sub(BLANK_LINE.len()));
            let lines = cell.text.byte_slice(start..).to_string();
            if !lines.trim().is_empty() {
                left = left.saturating_sub(lines.trim_end().len() + BLANK_LINE.len());
                parts.push(format!("{}{BLANK_LINE}", lines.trim_end()));
            }
            if start > 0 {
                break;
            }
            shown_whole += 1;
        }
        let hidden = &self.before[..self.before.len() - shown_whole];
        let mut imports = String::new();
        for parsed in hidden.iter().filter_map(|cell| cell.parsed.as_ref()) {
            imports.push_str(&imports_outside(parsed, &(0..0), imports_budget.saturating_sub(imports.len())));
        }
        (parts.into_iter().rev().collect(), imports)
    }

    /// The cells right after, each with a blank line before it, as many whole lines as `budget` bytes allow.
    pub(super) fn text_after(&self, budget: usize) -> String {
        let mut text = String::new();
        for cell in &self.after {
            let left = budget.saturating_sub(text.len() + BLANK_LINE.len());
            let end = end_of_first_lines(&cell.text, left);
            let lines = cell.text.byte_slice(..end).to_string();
            if !lines.trim().is_empty() {
                text.push_str(&format!("{BLANK_LINE}{}", lines.trim_end()));
            }
            if end < cell.text.len_bytes() {
                break;
            }
        }
        text
    }
}

/// Between two cells: the end of a line, and an empty one.
const BLANK_LINE: &str = "\n\n";

/// Where the last whole lines of `text` begin that `budget` bytes hold.
fn start_of_last_lines(text: &Rope, budget: usize) -> usize {
    match text.len_bytes().checked_sub(budget) {
        None | Some(0) => 0,
        Some(cut) => next_line_start(text, cut - 1),
    }
}

/// Where the first whole lines of `text` end that `budget` bytes hold.
fn end_of_first_lines(text: &Rope, budget: usize) -> usize {
    match text.len_bytes() <= budget {
        true => text.len_bytes(),
        false => text.line_to_byte(text.byte_to_line(budget)),
    }
}
