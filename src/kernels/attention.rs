//! Causal attention over the paged KV cache, grouped-query heads without copying K or V.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod flash;
mod input;
mod page;
mod reference;
mod store;

pub use input::AttentionInput;
pub use page::{KvShape, KvType, PAGE_LEN};
pub use store::{LayerPage, NewRows, Rotation, rotate_and_store};

use super::pool::ThreadPool;

/// Writes softmax(q k^T / sqrt(head_dim)) v to `out (m, num_heads * head_dim)`. The m rows of `query (m, num_heads *
/// head_dim)` are those of `sequences`, one after another.
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
    if shape.fits_vectors() {
        return flash::attend(pool, shape, num_heads, query, sequences, out);
    }
    reference::attend(pool, shape, num_heads, query, sequences, out);
}

#[cfg(test)]
mod tests;
