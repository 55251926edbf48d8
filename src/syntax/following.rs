//! What is to the right of a place on its line: whether something can be inserted there without breaking it.

use tree_sitter::Node;

use super::{Capture, Parsed, Region};
use crate::text::line_content;

/// What follows a place on its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    Nothing,
    /// A comment to the end of the line.
    Comment,
    /// The rest of the string that the place is in.
    String,
    /// What closes a bracket, a list of type arguments, a tag's attributes, a comment.
    Closer,
    /// A closing tag.
    Tag,
    /// A `,` or `;`.
    Separator,
    /// What opens the body of the header before it: `{`, `:`.
    Body,
    /// Anything else, which would become part of what is inserted at the place.
    Code,
}

/// Comments that are looked through on one line.
const MAX_COMMENTS: usize = 8;

impl Parsed {
    /// What follows `offset` on its line; `None` where the tree is too broken to tell.
    pub fn following(&self, offset: usize) -> Option<Following> {
        let offset = offset.min(self.text.len_bytes());
        let end = line_content(&self.text, self.row(offset)).end;
        let Some(next) = self.first_non_blank_in(offset..end) else { return Some(Following::Nothing) };
        match self.region_at(offset) {
            Some((Region::String, _)) => return Some(Following::String),
            Some((Region::Comment, _)) => return None,
            None => {}
        }
        let after_comments = self.after_comments(next, end);
        match self.first_non_blank_in(after_comments..end) {
            None => Some(Following::Comment),
            // What follows a comment in the middle of a line is what matters.
            Some(next) => self.following_token(next, self.opens_line(offset)),
        }
    }

    /// Where the comments end that begin at `next`, on a line that ends at `end`.
    fn after_comments(&self, next: usize, end: usize) -> usize {
        let mut at = next;
        for _ in 0..MAX_COMMENTS {
            let Some(start) = self.first_non_blank_in(at..end) else { break };
            match self.region_at(start + 1) {
                Some((Region::Comment, range)) if range.start == start => at = range.end.min(end),
                _ => break,
            }
        }
        at
    }

    /// The token at `next`; `begins_line`: only white space is left of the place it follows.
    fn following_token(&self, next: usize, begins_line: bool) -> Option<Following> {
        let path = self.path_to(&(next..next + 1));
        let [.., parent, token] = path.as_slice() else { return None };
        if token.is_error() {
            return None;
        }
        let tag = self.text.byte_slice(next..).bytes().take(2).eq(*b"</");
        Some(match token.kind() {
            ")" | "]" | "}" => Following::Closer,
            "," | ";" => Following::Separator,
            _ if tag => Following::Tag,
            ">" | "/>" | "|" | ">>" | "/" if parent.is_error() => return None,
            ">" | "/>" | "|" | ">>" if !is_operation(parent) => Following::Closer,
            "/" if parent.kind().starts_with("jsx_") => Following::Closer,
            "{" | ":" if !begins_line && self.opens_body(next, parent) => Following::Body,
            "{" | ":" if parent.is_error() => return None,
            _ => Following::Code,
        })
    }

    fn opens_body(&self, token: usize, parent: &Node<'_>) -> bool {
        self.opener_ending_at(token + 1) == Some(Capture::BodyOpener) || parent.kind().contains("case")
    }
}

/// Whether `>`, `>>` and `|` in `node` are operators.
fn is_operation(node: &Node<'_>) -> bool {
    ["binary", "comparison", "or_pattern", "union", "shift"].iter().any(|word| node.kind().contains(word))
}
