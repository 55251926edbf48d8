//! Causal attention over the paged KV cache, grouped-query heads without copying K or V.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod flash;
mod page;
mod reference;
mod store;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vectors;

pub use store::{LayerPage, NewRows, Rotation, rotate_and_store};

use super::pool::ThreadPool;

/// Number format of cached keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KvType {
    #[default]
    F16,
    Q8_0,
}

/// Positions in one page of the KV cache.
pub const PAGE_LEN: usize = 32;

/// Shape of the keys and values of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KvShape {
    pub num_kv_heads: usize,
    pub head_dim: usize,
    pub kv_type: KvType,
}

impl KvShape {
    /// Bytes of one page of one layer: keys and values of `PAGE_LEN` positions, in the kernel's own layout.
    pub fn page_layer_bytes(&self) -> usize {
        self.num_kv_heads * page::head_bytes(self)
    }

    /// Writes the (already rotated) `key` and the `value` (each `num_kv_heads * head_dim`) of the position
    /// `position_in_page` into one layer's page bytes.
    pub fn store(&self, page_layer: &mut [u8], position_in_page: usize, key: &[f32], value: &[f32]) {
        assert!(position_in_page < PAGE_LEN, "position {position_in_page} lies outside a page of {PAGE_LEN}");
        assert_eq!(page_layer.len(), self.page_layer_bytes(), "a page of one layer has the wrong size");
        assert!(key.len() == value.len() && key.len() == self.num_kv_heads * self.head_dim, "key or value size");
        let heads = key.chunks_exact(self.head_dim).zip(value.chunks_exact(self.head_dim));
        for (head_page, (key, value)) in page_layer.chunks_exact_mut(page::head_bytes(self)).zip(heads) {
            page::store(self, head_page, position_in_page, key, value);
        }
    }
}

/// One sequence's rows for [`attend`].
pub struct AttentionInput<'a> {
    /// One layer's page bytes, in order; they hold `past_len + rows` positions.
    pub pages: &'a [&'a [u8]],
    /// Positions before the first row.
    pub past_len: usize,
    /// Rows of queries this sequence has; row `r` sees positions `0..=past_len + r`.
    pub rows: usize,
}

/// `out (m, num_heads * head_dim)`: softmax(q k^T / sqrt(head_dim)) v for `query (m, num_heads * head_dim)`, where the
/// m rows are those of `sequences` one after another.
///
/// # Panics
/// If a length contradicts the shape, or a sequence's pages do not hold its positions.
pub fn attend(
    pool: &ThreadPool,
    shape: &KvShape,
    num_heads: usize,
    query: &[f32],
    sequences: &[AttentionInput<'_>],
    out: &mut [f32],
) {
    let rows: usize = sequences.iter().map(|sequence| sequence.rows).sum();
    assert!(num_heads.is_multiple_of(shape.num_kv_heads), "query heads are not a multiple of the KV heads");
    assert_eq!(query.len(), rows * num_heads * shape.head_dim, "query size");
    assert_eq!(query.len(), out.len(), "query and output sizes differ");
    for sequence in sequences {
        assert!(sequence.pages.len() * PAGE_LEN >= sequence.past_len + sequence.rows, "a sequence lacks pages");
        let sized = sequence.pages.iter().all(|page| page.len() == shape.page_layer_bytes());
        assert!(sized, "a page of one layer has the wrong size");
    }
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if flash::supports(shape) {
        return flash::attend(pool, shape, num_heads, query, sequences, out);
    }
    reference::attend(pool, shape, num_heads, query, sequences, out);
}

#[cfg(test)]
mod tests;
