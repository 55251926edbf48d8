//! Rotates new queries and keys, and stores keys and values. Each task has some KV heads to itself: their columns of
//! the rows, and their blocks of every page.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vectors;

use std::ops::Range;

use super::page::{self, KvShape, PAGE_LEN};
use crate::disjoint::DisjointSlice;
use crate::ops::{self, RopeStyle};
use crate::pool::ThreadPool;

/// One layer's bytes of a page that new rows are written to.
pub struct LayerPage<'a>(DisjointSlice<'a, u8>);

impl<'a> LayerPage<'a> {
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self(DisjointSlice::new(bytes))
    }
}

/// The new rows of one sequence.
pub struct NewRows {
    /// The page of the first row, among those of all sequences.
    pub first_page: usize,
    /// The first row's position in that page; the others follow there and in the pages after it.
    pub first_position: usize,
    pub rows: usize,
    /// The rows whose queries are wanted.
    pub queries: Range<usize>,
}

/// The rotation of each row.
pub struct Rotation<'a> {
    pub style: RopeStyle,
    /// `(m, rope_dim / 2)` each
    pub cos: &'a [f32],
    pub sin: &'a [f32],
}

impl KvShape {
    /// Writes the (already rotated) `key` and the `value` (each `num_kv_heads * head_dim`) of the position
    /// `position_in_page` into one layer's page bytes.
    pub fn store(&self, page_layer: &mut [u8], position_in_page: usize, key: &[f32], value: &[f32]) {
        assert!(position_in_page < PAGE_LEN, "position {position_in_page} lies outside a page of {PAGE_LEN}");
        assert_eq!(page_layer.len(), self.page_layer_bytes(), "a page of one layer has the wrong size");
        assert!(key.len() == value.len() && key.len() == self.num_kv_heads * self.head_dim, "key or value size");
        let heads = key.chunks_exact(self.head_dim).zip(value.chunks_exact(self.head_dim));
        for (head_page, (key, value)) in page_layer.chunks_exact_mut(page::head_bytes(self)).zip(heads) {
            store_head(self, head_page, position_in_page, key, value);
        }
    }
}

/// Writes one head's `key` and `value` (`head_dim` each) at `position` of its block `head`.
fn store_head(shape: &KvShape, head: &mut [u8], position: usize, key: &[f32], value: &[f32]) {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if shape.fits_vectors() {
        // SAFETY: `fits_vectors` found the instruction sets, and heads are whole vectors.
        return unsafe { vectors::store(shape, head, position, key, value) };
    }
    page::store(shape, head, position, key, value);
}

/// Fewer rows than this are not worth waking another thread for.
const PARALLEL_FROM: usize = 8;

/// Stores the m rows' keys and values in `pages` and leaves the rotated queries in `query (queries, num_heads *
/// head_dim)`. `qkv (m, (num_heads + 2 * num_kv_heads) * head_dim)` has each row's query, key and value; its keys are
/// rotated in place.
///
/// # Panics
/// If a length contradicts the shape, or the pages do not hold a sequence's rows.
pub fn rotate_and_store(
    pool: &ThreadPool,
    shape: &KvShape,
    rotation: &Rotation<'_>,
    sequences: &[NewRows],
    qkv: &mut [f32],
    pages: &mut [LayerPage<'_>],
    query: &mut [f32],
) {
    let (dim, kv_heads) = (shape.head_dim, shape.num_kv_heads);
    let m: usize = sequences.iter().map(|sequence| sequence.rows).sum();
    if m == 0 {
        return;
    }
    let query_rows: usize = sequences.iter().map(|sequence| sequence.queries.len()).sum();
    let width = qkv.len() / m;
    let num_heads = (width / dim).saturating_sub(2 * kv_heads);
    assert!(num_heads.is_multiple_of(kv_heads), "query heads are not a multiple of the KV heads");
    assert_eq!(qkv.len(), m * (num_heads + 2 * kv_heads) * dim, "query, key and value size");
    assert_eq!(query.len(), query_rows * num_heads * dim, "query size");
    let half = rotation.cos.len() / m;
    assert!(rotation.sin.len() == m * half && rotation.cos.len() == m * half, "one angle table for each row");
    let (group, head_bytes) = (num_heads / kv_heads, page::head_bytes(shape));
    let (qkv, query, pages) = (DisjointSlice::new(qkv), DisjointSlice::new(query), &*pages);
    // Several heads per task, because their columns lie side by side, while each row is a cache miss of its own.
    let per_task = kv_heads.div_ceil(2 * pool.threads());
    let task = |task: usize| {
        let heads = task * per_task..kv_heads.min((task + 1) * per_task);
        let mut query_row = 0;
        for (row, (sequence, index)) in rows_of(sequences).enumerate() {
            let angles = row * half..(row + 1) * half;
            let (cos, sin) = (&rotation.cos[angles.clone()], &rotation.sin[angles]);
            let column = |head: usize| row * width + head * dim;
            let (page, position) = page_and_position(sequence, index);
            for kv_head in heads.clone() {
                let (key, value) = (column(num_heads + kv_head), column(num_heads + kv_heads + kv_head));
                // SAFETY: no other task has this head, nor its columns and its block of the page; key and value differ.
                let (key, value, block) = unsafe {
                    (
                        qkv.slice(key..key + dim),
                        qkv.slice(value..value + dim),
                        pages[page].0.slice(kv_head * head_bytes..(kv_head + 1) * head_bytes),
                    )
                };
                ops::rope(rotation.style, key, cos, sin);
                store_head(shape, block, position, key, value);
            }
            if sequence.queries.contains(&index) {
                let (from, len) = (heads.start * group, heads.len() * group * dim);
                let target = (query_row * num_heads + from) * dim;
                // SAFETY: as above, for the query heads that read these KV heads.
                let (source, target) =
                    unsafe { (qkv.slice(column(from)..column(from) + len), query.slice(target..target + len)) };
                target.copy_from_slice(source);
                target.chunks_exact_mut(dim).for_each(|head| ops::rope(rotation.style, head, cos, sin));
                query_row += 1;
            }
        }
    };
    let tasks = kv_heads.div_ceil(per_task);
    if m < PARALLEL_FROM { (0..tasks).for_each(task) } else { pool.run(tasks, &task) }
}

/// All new rows, each as its sequence and its index in that.
fn rows_of(sequences: &[NewRows]) -> impl Iterator<Item = (&NewRows, usize)> {
    sequences.iter().flat_map(|sequence| (0..sequence.rows).map(move |index| (sequence, index)))
}

/// The page of a sequence's row, and the row's position in it.
fn page_and_position(sequence: &NewRows, index: usize) -> (usize, usize) {
    let position = sequence.first_position + index;
    (sequence.first_page + position / PAGE_LEN, position % PAGE_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::KvType;
    use crate::random::Random;

    /// Compares storing all rows at once with storing one after another by the plain functions.
    fn check(kv_type: KvType, m: usize, first_position: usize, queries: Range<usize>) {
        let shape = KvShape { num_kv_heads: 2, head_dim: 16, kv_type };
        let (num_heads, half, style) = (4, 4, RopeStyle::Neox);
        let (query_size, kv_size) = (num_heads * 16, 2 * 16);
        let random = &mut Random::new(3);
        let mut qkv = random.gaussians(m * (query_size + 2 * kv_size));
        let (cos, sin) = (random.gaussians(m * half), random.gaussians(m * half));
        let page_count = (first_position + m).div_ceil(PAGE_LEN);
        let mut expected = vec![vec![0; shape.page_layer_bytes()]; page_count];
        let mut found = expected.clone();
        let mut expected_query = Vec::new();
        for (row, qkv) in qkv.chunks_exact(query_size + 2 * kv_size).enumerate() {
            let (mut query_and_key, value) = (qkv[..query_size + kv_size].to_vec(), &qkv[query_size + kv_size..]);
            let angles = row * half..(row + 1) * half;
            for head in query_and_key.chunks_exact_mut(16) {
                ops::rope(style, head, &cos[angles.clone()], &sin[angles.clone()]);
            }
            let (query, key) = query_and_key.split_at(query_size);
            let position = first_position + row;
            shape.store(&mut expected[position / PAGE_LEN], position % PAGE_LEN, key, value);
            if queries.contains(&row) {
                expected_query.extend_from_slice(query);
            }
        }
        let mut query = vec![0.0; expected_query.len()];
        let mut pages: Vec<LayerPage<'_>> = found.iter_mut().map(|page| LayerPage::new(page)).collect();
        let rows = NewRows { first_page: 0, first_position, rows: m, queries };
        let rotation = Rotation { style, cos: &cos, sin: &sin };
        let pool = ThreadPool::new(2);
        rotate_and_store(&pool, &shape, &rotation, &[rows], &mut qkv, &mut pages, &mut query);
        assert_eq!(query, expected_query, "{m} rows of {kv_type:?}");
        assert!(found == expected, "{m} rows of {kv_type:?}");
    }

    #[test]
    fn rows_at_once_are_stored_as_rows_one_by_one() {
        for kv_type in [KvType::F16, KvType::Q8_0] {
            check(kv_type, 1, 31, 0..1);
            check(kv_type, 40, 30, 0..40);
            check(kv_type, 64, 0, 63..64);
            check(kv_type, 9, 5, 0..0);
        }
    }
}
