//! Attention kernels against a plain computation in f64.

use super::*;
use crate::random::Random;

/// Keys and values of one sequence as f32 `(positions, num_kv_heads * head_dim)`, and stored in pages.
struct Cached {
    keys: Vec<f32>,
    values: Vec<f32>,
    pages: Vec<Vec<u8>>,
}

impl Cached {
    fn new(shape: &KvShape, positions: usize, random: &mut Random) -> Self {
        let width = shape.num_kv_heads * shape.head_dim;
        let (keys, values) = (random.gaussians(positions * width), random.gaussians(positions * width));
        let mut pages = vec![vec![0; shape.page_layer_bytes()]; positions.div_ceil(PAGE_LEN)];
        for position in 0..positions {
            let row = position * width..(position + 1) * width;
            let page = &mut pages[position / PAGE_LEN];
            shape.store(page, position % PAGE_LEN, &keys[row.clone()], &values[row]);
        }
        Self { keys, values, pages }
    }
}

/// Attention in f64 straight from its definition.
fn definition(
    shape: &KvShape,
    num_heads: usize,
    query: &[f32],
    cached: &Cached,
    (past_len, window): (usize, usize),
    out: &mut [f32],
) {
    let (dim, width) = (shape.head_dim, shape.num_kv_heads * shape.head_dim);
    for (index, (query, out)) in query.chunks_exact(dim).zip(out.chunks_exact_mut(dim)).enumerate() {
        let (row, head) = (index / num_heads, index % num_heads);
        let column = head / (num_heads / shape.num_kv_heads) * dim;
        let element = |of: &[f32], position: usize, i: usize| f64::from(of[position * width + column + i]);
        let first = (past_len + row + 1).saturating_sub(window);
        let weights: Vec<f64> = (first..=past_len + row)
            .map(|position| {
                let dot: f64 = (0..dim).map(|i| f64::from(query[i]) * element(&cached.keys, position, i)).sum();
                (dot / (dim as f64).sqrt()).exp()
            })
            .collect();
        let sum: f64 = weights.iter().sum();
        for (i, out) in out.iter_mut().enumerate() {
            let weighted = weights.iter().enumerate().map(|(p, weight)| weight * element(&cached.values, first + p, i));
            *out = (weighted.sum::<f64>() / sum) as f32;
        }
    }
}

/// Compares [`attend`] with the definition for sequences of `(past_len, rows)`, with and without windows.
fn check(kv_type: KvType, heads: (usize, usize, usize), sequences: &[(usize, usize)]) {
    for window in [usize::MAX, 600, 45, 1] {
        check_window(kv_type, heads, sequences, window);
    }
}

fn check_window(
    kv_type: KvType,
    (num_heads, num_kv_heads, head_dim): (usize, usize, usize),
    sequences: &[(usize, usize)],
    window: usize,
) {
    let shape = KvShape { num_kv_heads, head_dim, kv_type };
    let random = &mut Random::new(7);
    let cached: Vec<Cached> =
        sequences.iter().map(|(past_len, rows)| Cached::new(&shape, past_len + rows, random)).collect();
    let pages: Vec<Vec<&[u8]>> = cached.iter().map(|c| c.pages.iter().map(Vec::as_slice).collect()).collect();
    let inputs: Vec<AttentionInput<'_>> = sequences
        .iter()
        .zip(&pages)
        .map(|(&(past_len, rows), pages)| AttentionInput { pages, past_len, rows, window })
        .collect();
    let row_width = num_heads * head_dim;
    let rows: usize = sequences.iter().map(|(_, rows)| rows).sum();
    let query = random.gaussians(rows * row_width);
    let mut found = vec![f32::NAN; query.len()];
    attend(&ThreadPool::new(2), &shape, num_heads, &query, &inputs, &mut found);
    let mut expected = vec![0.0; query.len()];
    let mut start = 0;
    for (cached, &(past_len, rows)) in cached.iter().zip(sequences) {
        let range = start..start + rows * row_width;
        let seen = (past_len, window);
        definition(&shape, num_heads, &query[range.clone()], cached, seen, &mut expected[range.clone()]);
        start = range.end;
    }
    let mut plain = vec![f32::NAN; query.len()];
    reference::attend(&ThreadPool::new(1), &shape, num_heads, &query, &inputs, &mut plain);
    for (index, (found, plain)) in found.iter().zip(&plain).enumerate() {
        assert!(
            (found - plain).abs() < 5e-4,
            "{kv_type:?} {sequences:?} {window} {index}: {found}, in plain Rust {plain}"
        );
    }
    // Keys and values are unit Gaussians. f16 keeps 11 bits; q8_0 has steps of about 2.5 / 127, which moves the
    // scores and the values by a few per cent of one value each.
    let tolerance = if kv_type == KvType::F16 { 4e-3 } else { 6e-2 };
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!(
            (found - expected).abs() < tolerance,
            "{kv_type:?} {sequences:?} {window} {index}: {found} != {expected}"
        );
    }
}

#[test]
fn attention_matches_its_definition() {
    for kv_type in [KvType::F16, KvType::Q8_0] {
        for heads in [(2, 2, 96), (6, 2, 128), (9, 3, 64), (8, 1, 40), (3, 1, 16), (1, 1, 6)] {
            check(kv_type, heads, &[(0, 1)]);
            check(kv_type, heads, &[(70, 1)]);
            check(kv_type, heads, &[(0, 37)]);
            check(kv_type, heads, &[(33, 5), (0, 3), (64, 1)]);
            check(kv_type, heads, &[(700, 2), (900, 1), (31, 60)]);
        }
    }
}

#[test]
fn neither_batches_nor_threads_change_a_bit() {
    for kv_type in [KvType::F16, KvType::Q8_0] {
        for (num_heads, num_kv_heads, head_dim) in [(2, 2, 96), (6, 2, 128), (9, 3, 64), (1, 1, 40)] {
            let shape = KvShape { num_kv_heads, head_dim, kv_type };
            let (past_len, rows, row_width) = (1100, 13, num_heads * head_dim);
            let random = &mut Random::new(5);
            let cached = Cached::new(&shape, past_len + rows, random);
            let pages: Vec<&[u8]> = cached.pages.iter().map(Vec::as_slice).collect();
            let query = random.gaussians(rows * row_width);
            let attend_from = |pool: &ThreadPool, window: usize, first: usize, rows: usize| {
                let query = &query[first * row_width..(first + rows) * row_width];
                let mut out = vec![f32::NAN; query.len()];
                let input = AttentionInput { pages: &pages, past_len: past_len + first, rows, window };
                attend(pool, &shape, num_heads, query, &[input], &mut out);
                out
            };
            for window in [usize::MAX, 70] {
                let expected = attend_from(&ThreadPool::new(1), window, 0, rows);
                let pool = ThreadPool::new(3);
                assert!(attend_from(&pool, window, 0, rows) == expected, "{shape:?} on three threads");
                for batch in [1, 2, 3, 5] {
                    let firsts = (0..rows).step_by(batch);
                    let found: Vec<f32> =
                        firsts.flat_map(|first| attend_from(&pool, window, first, batch.min(rows - first))).collect();
                    assert!(found == expected, "{shape:?}, {batch} rows at a time, a window of {window}");
                }
            }
        }
    }
}

#[test]
fn every_way_to_store_gives_the_same_bytes() {
    for kv_type in [KvType::F16, KvType::Q8_0] {
        for head_dim in [8, 40, 96, 128] {
            let shape = KvShape { num_kv_heads: 1, head_dim, kv_type };
            let random = &mut Random::new(head_dim as u64);
            let (mut found, mut expected) = (vec![0; shape.page_layer_bytes()], vec![0; shape.page_layer_bytes()]);
            for position in 0..PAGE_LEN {
                let (mut key, mut value) = (random.gaussians(head_dim), random.gaussians(head_dim));
                match position {
                    3 => key.fill(0.0),
                    4 => value.fill(1e-9),
                    5 => key[2] = 1e30,
                    _ => {}
                }
                shape.store(&mut found, position, &key, &value);
                page::store(&shape, &mut expected, position, &key, &value);
            }
            assert_eq!(found, expected, "{kv_type:?} {head_dim}");
        }
    }
}

#[test]
fn huge_scores_do_not_overflow() {
    let shape = KvShape { num_kv_heads: 1, head_dim: 8, kv_type: KvType::F16 };
    let mut page = vec![0; shape.page_layer_bytes()];
    shape.store(&mut page, 0, &[1e9; 8], &[1.0; 8]);
    shape.store(&mut page, 1, &[-1e9; 8], &[2.0; 8]);
    let mut out = [0.0; 8];
    let input = AttentionInput { pages: &[&page], past_len: 1, rows: 1, window: usize::MAX };
    attend(&ThreadPool::new(1), &shape, 1, &[100.0; 8], &[input], &mut out);
    assert_eq!(out, [1.0; 8]);
}
