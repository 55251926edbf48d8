//! Sequences that are kept for their prefixes: a new prompt starts from the longest cached prefix, whichever job
//! computed it.
//!
//! Sequences share the pages of common beginnings (`KvCache::fork`), so ten variants of one prompt cost one prompt and
//! ten tails. The least recently used one is dropped first when the byte budget is exceeded.
//!
//! The budget is for all keys and values of the model, including those of running jobs. It is compared with the memory
//! that they take from the system, so pages that are free but not returned count, too.
//!
//! What the model has read for completions is also kept in files, while nobody waits ([`KeptPrefixes`]).

use super::kept_prefixes::KeptPrefixes;
use crate::kernels::attention::PAGE_LEN;
use crate::model::KvCache;

/// The sequences, least recently used first.
pub(super) struct PrefixCache {
    sequences: Vec<Cached>,
    budget_bytes: usize,
    /// The prefixes in files; `None` if none are kept.
    kept: Option<KeptPrefixes>,
    /// Whether there may be something to write to files.
    is_to_keep: bool,
}

/// A sequence in memory.
struct Cached {
    sequence: KvCache,
    /// Whether it is worth a file, because prompts of later completions will begin like it.
    lasts: bool,
}

impl PrefixCache {
    pub(super) fn new(budget_bytes: usize, kept: Option<KeptPrefixes>) -> Self {
        Self { sequences: Vec::new(), budget_bytes, kept, is_to_keep: false }
    }

    /// A sequence that holds exactly the longest prefix of `tokens` that is in memory or in files. It is rotated with
    /// the same factors as `empty`, which is returned if nothing begins like `tokens`.
    pub(super) fn longest_prefix(&mut self, tokens: &[u32], empty: KvCache) -> KvCache {
        let mut prefix = self.longest_in_memory(tokens, &empty).unwrap_or(empty);
        let in_files = self.kept.as_ref().map_or(0, |kept| kept.prefix_len(tokens, prefix.factors()));
        if in_files > prefix.tokens().len() {
            self.make_room(&prefix, in_files);
            if let Some(kept) = &mut self.kept {
                kept.extend(&mut prefix, tokens);
            }
        }
        prefix
    }

    fn longest_in_memory(&mut self, tokens: &[u32], empty: &KvCache) -> Option<KvCache> {
        let (index, len) = self
            .sequences
            .iter()
            .enumerate()
            .filter(|(_, cached)| cached.sequence.factors() == empty.factors())
            .map(|(index, cached)| (index, cached.sequence.common_prefix_len(tokens)))
            .max_by_key(|&(_, len)| len)?;
        if len == 0 {
            return None;
        }
        let cached = self.sequences.remove(index);
        let mut prefix = cached.sequence.fork();
        self.sequences.push(cached);
        prefix.truncate(len);
        Some(prefix)
    }

    /// Whether there may be something to write to files.
    pub(super) fn is_to_keep(&self) -> bool {
        self.is_to_keep
    }

    /// Writes one page to a file. Called repeatedly while nobody waits, until there is nothing left to keep.
    pub(super) fn keep_a_page(&mut self) {
        let newest_first = self.sequences.iter().rev().filter(|cached| cached.lasts).map(|cached| &cached.sequence);
        self.is_to_keep = self.kept.as_mut().is_some_and(|kept| kept.keep_a_page(newest_first));
    }

    /// Evicts until a job whose cache is `running` has room to grow to `positions`, or nothing is left to evict.
    /// (Sequences that share pages with `running` are evicted last, because they were used last.)
    pub(super) fn make_room(&mut self, running: &KvCache, positions: usize) {
        // The last page is copied before it is written to, if it is not full.
        let full_pages = running.tokens().len() / PAGE_LEN;
        let pages = positions.div_ceil(PAGE_LEN).saturating_sub(full_pages);
        while !self.sequences.is_empty() && held_bytes(&self.sequences, running, pages) > self.budget_bytes {
            self.sequences.remove(0);
        }
    }

    /// Adds `sequence`, which replaces those that it contains, and evicts down to the budget. If it `lasts`, it is
    /// worth a file.
    pub(super) fn insert(&mut self, sequence: KvCache, lasts: bool) {
        if sequence.tokens().is_empty() {
            return;
        }
        self.sequences.retain(|Cached { sequence: older, .. }| {
            older.factors() != sequence.factors() || older.common_prefix_len(sequence.tokens()) < older.tokens().len()
        });
        self.is_to_keep |= lasts && self.kept.is_some();
        self.sequences.push(Cached { sequence, lasts });
        while let [_, .., newest] = self.sequences.as_slice()
            && held_bytes(&self.sequences, &newest.sequence, 0) > self.budget_bytes
        {
            self.sequences.remove(0);
        }
    }
}

/// Bytes that the keys and values of the model of `running` would take with `pages` more pages. On a GPU it is not
/// known what tensors share, so each of `sequences` counts in full.
fn held_bytes(sequences: &[Cached], running: &KvCache, pages: usize) -> usize {
    match running.pool() {
        Some(pool) => pool.mapped_bytes_with(pages),
        None => sequences.iter().map(|cached| cached.sequence.bytes()).sum::<usize>() + pages * running.page_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::attention::{KvShape, KvType};
    use crate::model::{KvStore, RopeFactors};

    /// A store for sequences of a model with pages of 4 KiB, cut from slabs of 64 KiB.
    fn store() -> KvStore {
        KvStore::new(KvShape { num_kv_heads: 1, head_dim: 32, kv_type: KvType::F16 }, 1)
    }

    /// `cache`, extended to a sequence of `tokens`.
    fn computed(mut cache: KvCache, tokens: &[u32]) -> KvCache {
        let new = &tokens[cache.tokens().len()..];
        cache.reserve(new.len());
        cache.commit(new);
        cache
    }

    /// 1000 tokens, 32 pages, that begin with `first`.
    fn prompt(first: u32) -> Vec<u32> {
        (0..1000).map(|token| token + first).collect()
    }

    fn held(cache: &KvCache) -> usize {
        cache.pool().expect("no device").mapped_bytes()
    }

    #[test]
    fn the_budget_holds_for_what_runs_and_what_is_kept() {
        let (store, budget) = (store(), 512 << 10);
        let mut prefixes = PrefixCache::new(budget, None);
        for first in 0..50 {
            let empty = store.new_cache(RopeFactors::Short);
            prefixes.make_room(&empty, 1000);
            let sequence = computed(empty, &prompt(first));
            assert!(held(&sequence) <= budget, "{first}");
            prefixes.insert(sequence, true);
        }
        // 32 pages each: two slabs.
        assert_eq!(prefixes.sequences.len(), 4);
        let mut known =
            |first| prefixes.longest_prefix(&prompt(first), store.new_cache(RopeFactors::Short)).tokens().len();
        assert_eq!((known(46), known(45)), (1000, 0));
    }

    #[test]
    fn variants_of_one_prompt_cost_their_tails() {
        let store = store();
        let mut prefixes = PrefixCache::new(512 << 10, None);
        prefixes.insert(computed(store.new_cache(RopeFactors::Short), &prompt(0)), true);
        for variant in 0..20 {
            let mut tokens = prompt(0);
            tokens.truncate(900);
            tokens.push(5000 + variant);
            let prefix = prefixes.longest_prefix(&tokens, store.new_cache(RopeFactors::Short));
            assert_eq!(prefix.tokens().len(), 900);
            prefixes.make_room(&prefix, tokens.len());
            prefixes.insert(computed(prefix, &tokens), true);
        }
        assert_eq!(prefixes.sequences.len(), 21);
    }

    #[test]
    fn one_sequence_stays_however_small_the_budget() {
        let mut prefixes = PrefixCache::new(1, None);
        let store = store();
        for first in 0..3 {
            let empty = store.new_cache(RopeFactors::Short);
            prefixes.make_room(&empty, 1000);
            prefixes.insert(computed(empty, &prompt(first)), true);
        }
        assert_eq!(prefixes.sequences.len(), 1);
    }
}
