//! Documents as ropes, and the one place where LSP positions and byte offsets meet.
//!
//! Inside phi-ls every place in a text is a byte offset; positions exist only at the door.

use std::ops::Range;

pub use ropey::Rope;

/// How a client counts `Position::character` (LSP `positionEncoding`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PositionEncoding {
    Utf8,
    #[default]
    Utf16,
    Utf32,
}

/// A zero-based place as LSP gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: u32,
    pub character: u32,
}

/// One replacement, in byte offsets of the text it applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub range: Range<usize>,
    pub new_text: String,
}

/// Byte offset of `position`; a position past the end of its line or of the text is clamped, as LSP asks.
pub fn offset_at(text: &Rope, position: Position, encoding: PositionEncoding) -> usize {
    let _ = (text, position, encoding);
    todo!()
}

/// Position of the byte `offset`, which is clamped to the text and to a character boundary.
pub fn position_at(text: &Rope, offset: usize, encoding: PositionEncoding) -> Position {
    let _ = (text, offset, encoding);
    todo!()
}
