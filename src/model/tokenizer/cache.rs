//! Ids of pieces of text that were encoded before: a prompt differs from the last one in a few pieces only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Pieces remembered before the older half is dropped; a long prompt has about 2,000.
const PIECES_PER_GENERATION: usize = 16_384;
/// Longer pieces are rare and would make the cache's size unpredictable.
const MAX_PIECE_BYTES: usize = 512;

type Pieces = HashMap<Box<str>, Box<[u32]>>;

/// Two generations of pieces: when the young one is full it becomes the old one, and what was old and unused is gone.
#[derive(Default)]
pub(super) struct EncodingCache {
    generations: Mutex<(Pieces, Pieces)>,
}

impl EncodingCache {
    /// Appends the ids of `piece` to `ids`, from memory or through `encode`.
    pub(super) fn get_or_encode(&self, piece: &str, ids: &mut Vec<u32>, encode: impl FnOnce(&mut Vec<u32>)) {
        if piece.len() > MAX_PIECE_BYTES {
            return encode(ids);
        }
        // The maps are whole between any two statements, so a panic elsewhere does not spoil them.
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let (young, old) = &mut *generations;
        if let Some(known) = young.get(piece) {
            return ids.extend_from_slice(known);
        }
        let start = ids.len();
        let piece: Box<str> = match old.remove_entry(piece) {
            Some((piece, known)) => {
                ids.extend_from_slice(&known);
                piece
            }
            None => {
                encode(ids);
                piece.into()
            }
        };
        if young.len() >= PIECES_PER_GENERATION {
            *old = std::mem::take(young);
        }
        young.insert(piece, ids[start..].into());
    }
}
