//! Sequences kept for their beginnings: a new prompt starts from the longest cached prefix, whichever job left it.
//!
//! Sequences share the pages of common beginnings (`KvCache::fork`), so ten variants of one prompt cost one prompt and
//! ten tails. Least recently used goes first when the byte budget is exceeded.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::{KvCache, RopeFactors};

/// The sequences, least recently used first.
pub(super) struct PrefixCache {
    sequences: Vec<KvCache>,
    budget_bytes: usize,
}

impl PrefixCache {
    pub(super) fn new(budget_bytes: usize) -> Self {
        Self { sequences: Vec::new(), budget_bytes }
    }

    /// A sequence that holds the longest cached prefix of `tokens` and nothing else; `None` when no sequence rotated
    /// with the same factors begins like it.
    pub(super) fn longest_prefix(&mut self, tokens: &[u32], factors: RopeFactors) -> Option<KvCache> {
        let (index, len) = self
            .sequences
            .iter()
            .enumerate()
            .filter(|(_, sequence)| sequence.factors() == factors)
            .map(|(index, sequence)| (index, sequence.common_prefix_len(tokens)))
            .max_by_key(|&(_, len)| len)?;
        if len == 0 {
            return None;
        }
        let sequence = self.sequences.remove(index);
        let mut prefix = sequence.fork();
        self.sequences.push(sequence);
        prefix.truncate(len);
        Some(prefix)
    }

    /// Keeps `sequence`, in place of those it contains, and evicts down to the budget.
    pub(super) fn insert(&mut self, sequence: KvCache) {
        if sequence.tokens().is_empty() {
            return;
        }
        self.sequences.retain(|kept| {
            kept.factors() != sequence.factors() || kept.common_prefix_len(sequence.tokens()) < kept.tokens().len()
        });
        self.sequences.push(sequence);
        while self.sequences.len() > 1 && self.bytes() > self.budget_bytes {
            self.sequences.remove(0);
        }
    }

    /// Bytes of all pages held, shared ones once.
    pub(super) fn bytes(&self) -> usize {
        let mut seen = HashSet::new();
        let pages = self.sequences.iter().flat_map(|sequence| sequence.pages());
        pages.filter(|page| seen.insert(Arc::as_ptr(page))).map(|page| page.bytes.as_slice().len()).sum()
    }
}
