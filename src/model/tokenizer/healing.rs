//! Token healing: the cursor cuts words where a tokenizer would not. The last tokens before it are dropped, and the
//! model writes their bytes again, with whatever token carries on from them.

use super::Tokenizer;

/// Tokens a prompt may lose at its end. One is enough at 87 of 100 misaligned cursors, three at all but a few in 1,000.
const MAX_DROPPED: usize = 3;

/// The bytes that generated tokens have still to reproduce.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healing {
    required: Vec<u8>,
}

impl Healing {
    /// How many of `tokens` to keep, and what has to be generated again. Tokens before `prefill_start` stay.
    ///
    /// A token goes if the vocabulary has one that begins inside or before it, agrees with the text up to the cursor and
    /// goes on: with more text, that one could have been chosen. Right after a line break nothing goes, unless the
    /// tokenizer joins line breaks with the indentation after them.
    pub fn at(tokenizer: &Tokenizer, tokens: &[u32], prefill_start: usize) -> (usize, Self) {
        let (mut text, mut starts) = (Vec::new(), Vec::new());
        for (index, token) in
            tokens.iter().enumerate().skip(prefill_start.max(tokens.len().saturating_sub(MAX_DROPPED)))
        {
            let bytes = tokenizer.bytes(*token);
            if bytes.is_empty() {
                // A special token: nothing spans it.
                text.clear();
                starts.clear();
            } else {
                starts.push((index, text.len()));
                text.extend_from_slice(bytes);
            }
        }
        let after_line_break = text.ends_with(b"\n") && !tokenizer.line_break_joins_blanks;
        let spanned = (0..text.len()).find(|start| tokenizer.vocabulary.extends(&text[*start..]));
        match spanned.filter(|_| !after_line_break) {
            Some(spanned) => {
                let (keep, start) = starts[starts.partition_point(|(_, start)| *start <= spanned) - 1];
                (keep, Self { required: text.split_off(start) })
            }
            None => (tokens.len(), Self::default()),
        }
    }

    /// The ids that may come next, sorted; `None` once everything is reproduced and any may.
    pub fn allowed(&self, tokenizer: &Tokenizer) -> Option<Vec<u32>> {
        (!self.required.is_empty()).then(|| tokenizer.healing_ids(&self.required))
    }

    /// Takes the bytes of the token chosen next; returns how many bytes at their end are new text.
    pub fn advance(&mut self, bytes: &[u8]) -> usize {
        let reproduced = self.required.len().min(bytes.len());
        debug_assert_eq!(self.required[..reproduced], bytes[..reproduced], "a token that was not allowed");
        self.required.drain(..reproduced);
        bytes.len() - reproduced
    }

    /// What is still to be reproduced.
    pub fn required(&self) -> &[u8] {
        &self.required
    }
}
