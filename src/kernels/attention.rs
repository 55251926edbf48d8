//! Causal attention over the paged KV cache, grouped-query heads without copying K or V.

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
        todo!()
    }

    /// Writes the (already rotated) `key` and the `value` (each `num_kv_heads * head_dim`) of the position
    /// `position_in_page` into one layer's page bytes.
    pub fn store(&self, page_layer: &mut [u8], position_in_page: usize, key: &[f32], value: &[f32]) {
        let _ = (page_layer, position_in_page, key, value);
        todo!()
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
pub fn attend(
    pool: &ThreadPool,
    shape: &KvShape,
    num_heads: usize,
    query: &[f32],
    sequences: &[AttentionInput<'_>],
    out: &mut [f32],
) {
    let _ = (pool, shape, num_heads, query, sequences, out);
    todo!()
}
