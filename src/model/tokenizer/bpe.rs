//! The merge tables of both tokenizer families as one `tokenizers` BPE model.

use std::collections::HashSet;

use tokenizers::Model;
use tokenizers::models::bpe::{BPE, Vocab};

use super::vocabulary::{TokenKind, Vocabulary, byte_char};
use super::{TokenizerData, TokenizerKind};
use crate::model::ModelError;

/// Merges within a piece of text.
pub(super) struct Bpe {
    merges: BPE,
    kind: TokenizerKind,
}

impl Bpe {
    /// SPM keeps no merges, but scores: of all pairs of pieces that form a piece, the best-scored one goes first. Ties
    /// (the same piece from different halves) are ordered as Hugging Face's conversion does: longer left half first.
    pub(super) fn from_scores(data: &TokenizerData<'_>, vocabulary: &Vocabulary) -> Result<Self, ModelError> {
        let (scores, count) = (data.scores, vocabulary.len());
        if scores.len() != count {
            let found = scores.len();
            return Err(data.malformed(format!(
                "tokenizer.ggml.scores: expected one for each of the {count} tokens, found {found}"
            )));
        }
        let normal = |id: &u32| vocabulary.kind(*id) == TokenKind::Normal;
        let pieces: HashSet<&str> = (0..count as u32).filter(normal).map(|id| vocabulary.piece(id)).collect();
        let mut merges = Vec::new();
        for id in (0..count as u32).filter(normal) {
            let piece = vocabulary.piece(id);
            for (middle, _) in piece.char_indices().skip(1) {
                let (left, right) = piece.split_at(middle);
                if pieces.contains(left) && pieces.contains(right) {
                    merges.push((scores[id as usize], left.chars().count(), left, right));
                }
            }
        }
        merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        let merges = merges.into_iter().map(|(_, _, left, right)| (left.to_owned(), right.to_owned())).collect();
        let bytes: HashSet<&[u8]> = (0..count as u32)
            .filter(|id| vocabulary.kind(*id) == TokenKind::Byte)
            .map(|id| vocabulary.bytes(id))
            .filter(|bytes| !bytes.is_empty())
            .collect();
        if bytes.len() != 256 {
            let found = bytes.len();
            return Err(data
                .unsupported(format!("tokenizer.ggml.tokens: expected byte tokens for all 256 bytes, found {found}")));
        }
        Self::build(data, vocabulary, merges, TokenizerKind::Spm, false)
    }

    /// BPE files list their merges as `left right`, best first.
    /// With `whole_pieces`, a piece that is a token is that token, whatever merges would make of it.
    pub(super) fn from_merges(
        data: &TokenizerData<'_>,
        vocabulary: &Vocabulary,
        whole_pieces: bool,
    ) -> Result<Self, ModelError> {
        let longest = (0..vocabulary.len() as u32).map(|id| vocabulary.piece(id).len()).max().unwrap_or(0);
        let merges = data
            .merges
            .iter()
            .map(|merge| {
                // The halves hold no space of their own (it is spelled `Ġ`), and what they form is a token.
                let halves = merge.split_once(' ').filter(|(left, right)| {
                    !left.is_empty() && !right.is_empty() && left.len() + right.len() <= longest
                });
                halves.map(|(left, right)| (left.to_owned(), right.to_owned())).ok_or_else(|| {
                    data.malformed(format!("tokenizer.ggml.merges: expected two pieces of a token, found {merge:?}"))
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::build(data, vocabulary, merges, TokenizerKind::Bpe, whole_pieces)
    }

    fn build(
        data: &TokenizerData<'_>,
        vocabulary: &Vocabulary,
        merges: Vec<(String, String)>,
        kind: TokenizerKind,
        whole_pieces: bool,
    ) -> Result<Self, ModelError> {
        let ids: Vocab = (0..vocabulary.len() as u32)
            .filter(|id| matches!(vocabulary.kind(*id), TokenKind::Normal | TokenKind::Byte))
            .map(|id| (vocabulary.piece(id).to_owned(), id))
            .collect();
        let merges = BPE::builder()
            .vocab_and_merges(ids, merges)
            .byte_fallback(kind == TokenizerKind::Spm)
            .ignore_merges(whole_pieces)
            .cache_capacity(0)
            .build()
            .map_err(|error| data.malformed(format!("tokenizer.ggml.merges: {error}")))?;
        Ok(Self { merges, kind })
    }

    /// Appends the ids of `piece`, which is taken as one word. Bytes that a BPE vocabulary has no token for (some of the
    /// starter's control characters) are left out, as the reference implementations do.
    pub(super) fn encode(&self, piece: &str, ids: &mut Vec<u32>) {
        let word = match self.kind {
            TokenizerKind::Spm => piece.replace(' ', "▁"),
            TokenizerKind::Bpe => piece.bytes().map(byte_char).collect(),
        };
        let tokens =
            self.merges.tokenize(&word).expect("only an unknown token or a dropout can fail, and neither is set");
        ids.extend(tokens.iter().map(|token| token.id));
    }
}
