//! Sequences kept for their beginnings: a new prompt starts from the longest cached prefix, whichever job left it.
//!
//! Sequences share the pages of common beginnings (`KvCache::fork`), so ten variants of one prompt cost one prompt and
//! ten tails. Least recently used goes first when the byte budget is exceeded.
//!
//! The budget is one for all keys and values of the model, those of running jobs included, and it is compared with what
//! their memory takes from the system: pages that are free but not given back count too.

use crate::kernels::attention::PAGE_LEN;
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

    /// Evicts until a job whose cache is `running` has room to grow to `positions`, or nothing is left to evict. (What
    /// shares the pages of `running` goes last, since that was used last.)
    pub(super) fn make_room(&mut self, running: &KvCache, positions: usize) {
        // A last page that is not full is copied before it is written to.
        let full_pages = running.tokens().len() / PAGE_LEN;
        let pages = positions.div_ceil(PAGE_LEN).saturating_sub(full_pages);
        while !self.sequences.is_empty() && held_bytes(&self.sequences, running, pages) > self.budget_bytes {
            self.sequences.remove(0);
        }
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
        while let [_, .., newest] = self.sequences.as_slice()
            && held_bytes(&self.sequences, newest, 0) > self.budget_bytes
        {
            self.sequences.remove(0);
        }
    }
}

/// Bytes that the keys and values of the model whose sequence is `running` would hold with `pages` pages more. On a device
/// nobody knows what tensors share: those of each of `sequences` count in full.
fn held_bytes(sequences: &[KvCache], running: &KvCache, pages: usize) -> usize {
    match running.pool() {
        Some(pool) => pool.mapped_bytes_with(pages),
        None => sequences.iter().map(KvCache::bytes).sum::<usize>() + pages * running.page_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::attention::{KvShape, KvType};
    use crate::model::KvStore;

    /// Sequences of a model with pages of 4 KiB, cut from slabs of 64 KiB.
    fn store() -> KvStore {
        KvStore::new(KvShape { num_kv_heads: 1, head_dim: 32, kv_type: KvType::F16 }, 1)
    }

    /// A sequence of `tokens`, which goes on from `cache`.
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
        let mut prefixes = PrefixCache::new(budget);
        for first in 0..50 {
            let empty = store.new_cache(RopeFactors::Short);
            prefixes.make_room(&empty, 1000);
            let sequence = computed(empty, &prompt(first));
            assert!(held(&sequence) <= budget, "{first}");
            prefixes.insert(sequence);
        }
        // 32 pages each: two slabs.
        assert_eq!(prefixes.sequences.len(), 4);
        assert!(
            prefixes.longest_prefix(&prompt(46), RopeFactors::Short).is_some_and(|kept| kept.tokens().len() == 1000)
        );
        assert!(prefixes.longest_prefix(&prompt(45), RopeFactors::Short).is_none());
    }

    #[test]
    fn variants_of_one_prompt_cost_their_tails() {
        let store = store();
        let mut prefixes = PrefixCache::new(512 << 10);
        prefixes.insert(computed(store.new_cache(RopeFactors::Short), &prompt(0)));
        for variant in 0..20 {
            let mut tokens = prompt(0);
            tokens.truncate(900);
            tokens.push(5000 + variant);
            let prefix = prefixes.longest_prefix(&tokens, RopeFactors::Short).expect("the common beginning");
            assert_eq!(prefix.tokens().len(), 900);
            prefixes.make_room(&prefix, tokens.len());
            prefixes.insert(computed(prefix, &tokens));
        }
        assert_eq!(prefixes.sequences.len(), 21);
    }

    #[test]
    fn one_sequence_stays_however_small_the_budget() {
        let mut prefixes = PrefixCache::new(1);
        let store = store();
        for first in 0..3 {
            let empty = store.new_cache(RopeFactors::Short);
            prefixes.make_room(&empty, 1000);
            prefixes.insert(computed(empty, &prompt(first)));
        }
        assert_eq!(prefixes.sequences.len(), 1);
    }
}
