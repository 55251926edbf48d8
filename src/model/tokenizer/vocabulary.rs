//! The vocabulary: how each token is spelled, the bytes it stands for, and look-ups by prefix.

use std::collections::HashMap;
use std::ops::Range;

use super::{TokenizerData, TokenizerKind};
use crate::model::ModelError;
use crate::model::fim::formats::is_marker;

/// Several times the longest token there is (o200k has one of 256 bytes), so that finding merges stays linear.
const MAX_PIECE_BYTES: usize = 1024;

/// What a token is for. GGUF numbers them 1 to 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A piece of text.
    Normal,
    /// SPM's `<0x0A>`: one byte.
    Byte,
    /// Unknown, control and user-defined tokens: never made from text, never shown.
    Special,
    /// A user-defined token of one letter, which the tokens made of bytes left no room for: it is what that letter becomes.
    Letter,
    /// Padding.
    Unused,
}

impl TokenKind {
    fn of(number: i64, piece: &str) -> Option<Self> {
        let is_letter = || piece.chars().count() == 1 && !piece.is_ascii();
        match number {
            // Some files call the markers of the middle normal.
            1 | 4 if is_marker(piece) => Some(Self::Special),
            1 => Some(Self::Normal),
            4 if is_letter() => Some(Self::Letter),
            2..=4 => Some(Self::Special),
            5 => Some(Self::Unused),
            6 => Some(Self::Byte),
            _ => None,
        }
    }
}

/// Strings one behind the other: two allocations instead of one for each of 200,000 tokens.
#[derive(Default)]
struct Arena {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Arena {
    fn push(&mut self, bytes: impl IntoIterator<Item = u8>) {
        self.bytes.extend(bytes);
        self.ends.push(self.bytes.len() as u32);
    }

    fn get(&self, index: usize) -> &[u8] {
        let Some(end) = self.ends.get(index) else { return &[] };
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start as usize..*end as usize]
    }
}

/// All tokens of a model.
pub(super) struct Vocabulary {
    pieces: Arena,
    bytes: Arena,
    kinds: Vec<TokenKind>,
    specials: HashMap<String, u32>,
    letters: HashMap<char, u32>,
    /// Ids that have bytes, ordered by them.
    by_bytes: Vec<u32>,
    max_bytes: usize,
}

impl Vocabulary {
    pub(super) fn new(data: &TokenizerData<'_>, kind: TokenizerKind) -> Result<Self, ModelError> {
        let count = data.tokens.len();
        if count == 0 || count > u32::MAX as usize / 2 {
            return Err(data.malformed(format!("tokenizer.ggml.tokens: expected a vocabulary, found {count} tokens")));
        }
        if !data.token_types.is_empty() && data.token_types.len() != count {
            let found = data.token_types.len();
            return Err(data.malformed(format!(
                "tokenizer.ggml.token_type: expected one entry for each of the {count} tokens, found {found}"
            )));
        }
        let from_char = match kind {
            TokenizerKind::Spm => HashMap::new(),
            TokenizerKind::Bpe => (0..=u8::MAX).map(|byte| (byte_char(byte), byte)).collect(),
        };
        let (mut pieces, mut bytes) = (Arena::default(), Arena::default());
        let (mut kinds, mut specials, mut letters) = (Vec::with_capacity(count), HashMap::new(), HashMap::new());
        for (id, piece) in data.tokens.iter().enumerate() {
            if piece.len() > MAX_PIECE_BYTES {
                return Err(data.malformed(format!(
                    "tokenizer.ggml.tokens: expected tokens of at most {MAX_PIECE_BYTES} bytes, found {} in token {id}",
                    piece.len()
                )));
            }
            let number = data.token_types.get(id).copied().unwrap_or(1);
            let token_kind = TokenKind::of(number, piece).ok_or_else(|| {
                data.malformed(format!("tokenizer.ggml.token_type: expected 1 to 6 for token {id}, found {number}"))
            })?;
            match (token_kind, piece.chars().next()) {
                (TokenKind::Special, _) => drop(specials.entry((*piece).to_owned()).or_insert(id as u32)),
                (TokenKind::Letter, Some(letter)) => drop(letters.entry(letter).or_insert(id as u32)),
                _ => {}
            }
            pieces.push(piece.bytes());
            bytes.push(token_bytes(piece, token_kind, kind, &from_char));
            kinds.push(token_kind);
        }
        let by_bytes = sorted_by_bytes(&bytes, count);
        let max_bytes = (0..count).map(|index| bytes.get(index).len()).max().unwrap_or(0);
        Ok(Self { pieces, bytes, kinds, specials, letters, by_bytes, max_bytes })
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    pub(super) fn kind(&self, id: u32) -> TokenKind {
        self.kinds[id as usize]
    }

    pub(super) fn piece(&self, id: u32) -> &str {
        std::str::from_utf8(self.pieces.get(id as usize)).expect("pieces were strings when they were added")
    }

    pub(super) fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize)
    }

    pub(super) fn special(&self, text: &str) -> Option<u32> {
        self.specials.get(text).copied()
    }

    /// The first character of `text` that has a token of its own: where it is, and the token.
    pub(super) fn first_letter(&self, text: &str) -> Option<(usize, char, u32)> {
        if self.letters.is_empty() {
            return None;
        }
        text.char_indices().find_map(|(start, letter)| self.letters.get(&letter).map(|id| (start, letter, *id)))
    }

    /// Ids that begin with all of `required` or are a beginning of it, in ascending order.
    pub(super) fn compatible_ids(&self, required: &[u8]) -> Vec<u32> {
        // Half of the vocabulary can qualify (everything that begins with a space): a bit set orders them in linear time.
        let mut found = vec![0u64; self.len().div_ceil(64)];
        let mut mark = |id: u32| found[id as usize / 64] |= 1 << (id % 64);
        self.by_bytes[self.starting_with(required)].iter().copied().for_each(&mut mark);
        for len in 1..required.len().min(self.max_bytes + 1) {
            let beginning = &required[..len];
            let range = self.starting_with(beginning);
            self.by_bytes[range].iter().copied().take_while(|id| self.bytes(*id) == beginning).for_each(&mut mark);
        }
        let mut ids = Vec::with_capacity(found.iter().map(|word| word.count_ones() as usize).sum());
        for (index, mut word) in found.into_iter().enumerate() {
            while word != 0 {
                ids.push(index as u32 * 64 + word.trailing_zeros());
                word &= word - 1;
            }
        }
        ids
    }

    /// Ids of the tokens all of whose bytes fit, in ascending order. `fitting` says how many of a token's bytes do, from the first
    /// on, which depends on no later byte.
    pub(super) fn fitting_ids(&self, fitting: impl Fn(&[u8]) -> usize) -> Vec<u32> {
        let mut ids = Vec::new();
        let mut at = 0;
        while let Some(id) = self.by_bytes.get(at) {
            let bytes = self.bytes(*id);
            let fit = fitting(bytes);
            at += match bytes.get(..=fit) {
                // No token that begins like this fits.
                Some(wrong) => self.by_bytes[at..].partition_point(|id| self.bytes(*id).starts_with(wrong)),
                None => {
                    ids.push(*id);
                    1
                }
            };
        }
        ids.sort_unstable();
        ids
    }

    /// Whether some token begins with `start` and goes on with more than the end of the line: a cursor waits for text.
    pub(super) fn extends(&self, start: &[u8]) -> bool {
        let ends_line = |rest: &[u8]| rest.iter().all(u8::is_ascii_whitespace) && rest.contains(&b'\n');
        self.by_bytes[self.starting_with(start)]
            .iter()
            .map(|id| &self.bytes(*id)[start.len()..])
            .any(|rest| !rest.is_empty() && !ends_line(rest))
    }

    /// Whether some token holds a line break and then ends in blanks: indentation is then tokenized with the break.
    pub(super) fn line_break_joins_blanks(&self) -> bool {
        self.by_bytes[self.starting_with(b"\n")].iter().any(|id| self.bytes(*id).ends_with(b"\n "))
    }

    fn starting_with(&self, prefix: &[u8]) -> Range<usize> {
        let start = self.by_bytes.partition_point(|id| self.bytes(*id) < prefix);
        let len = self.by_bytes[start..].partition_point(|id| self.bytes(*id).starts_with(prefix));
        start..start + len
    }
}

/// The character that stands for `byte` in the vocabulary of a byte-level BPE: itself where it is printable, else one
/// from U+0100 on.
pub(super) fn byte_char(byte: u8) -> char {
    match byte {
        0..=32 => char::from_u32(0x100 + u32::from(byte)),
        127..=160 => char::from_u32(0x121 + u32::from(byte - 127)),
        173 => char::from_u32(0x143),
        _ => Some(char::from(byte)),
    }
    .expect("all of these are characters")
}

fn token_bytes(piece: &str, token: TokenKind, tokenizer: TokenizerKind, from_char: &HashMap<char, u8>) -> Vec<u8> {
    match (token, tokenizer) {
        (TokenKind::Special | TokenKind::Unused, _) => Vec::new(),
        (TokenKind::Byte, _) => byte_of(piece).into_iter().collect(),
        (TokenKind::Letter, _) => piece.as_bytes().to_vec(),
        (TokenKind::Normal, TokenizerKind::Spm) => piece.replace('▁', " ").into_bytes(),
        // A piece outside the byte alphabet cannot come from a merge; it stands for nothing.
        (TokenKind::Normal, TokenizerKind::Bpe) => {
            piece.chars().map(|char| from_char.get(&char).copied()).collect::<Option<_>>().unwrap_or_default()
        }
    }
}

/// The byte of an SPM byte token, `<0x0A>`.
fn byte_of(piece: &str) -> Option<u8> {
    u8::from_str_radix(piece.strip_prefix("<0x")?.strip_suffix('>')?, 16).ok()
}

fn sorted_by_bytes(bytes: &Arena, count: usize) -> Vec<u32> {
    // The first eight bytes decide nearly every comparison, without a look into the arena.
    let mut keyed: Vec<(u64, u32)> = (0..count as u32)
        .filter(|id| !bytes.get(*id as usize).is_empty())
        .map(|id| {
            let mut key = [0; 8];
            bytes.get(id as usize).iter().zip(&mut key).for_each(|(byte, slot)| *slot = *byte);
            (u64::from_be_bytes(key), id)
        })
        .collect();
    keyed.sort_unstable_by(|left, right| {
        left.0
            .cmp(&right.0)
            .then_with(|| bytes.get(left.1 as usize).cmp(bytes.get(right.1 as usize)))
            .then_with(|| left.1.cmp(&right.1))
    });
    keyed.into_iter().map(|(_, id)| id).collect()
}
