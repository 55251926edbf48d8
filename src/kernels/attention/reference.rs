//! Plain attention, one query row and head at a time: what the fast kernels are tested against.

use super::input::AttentionInput;
use super::page::{self, KvShape, PAGE_LEN};
use crate::disjoint::DisjointSlice;
use crate::pool::ThreadPool;

pub(super) fn attend(
    pool: &ThreadPool,
    shape: &KvShape,
    num_heads: usize,
    query: &[f32],
    sequences: &[AttentionInput<'_>],
    out: &mut [f32],
) {
    let dim = shape.head_dim;
    let out = DisjointSlice::new(out);
    let mut first_row = 0;
    for sequence in sequences {
        pool.run(sequence.rows * num_heads, &|task| {
            let (row, head) = (task / num_heads, task % num_heads);
            let start = ((first_row + row) * num_heads + head) * dim;
            // SAFETY: each task has its own row and head.
            let out = unsafe { out.slice(start..start + dim) };
            let kv_head = head / (num_heads / shape.num_kv_heads);
            attend_one(shape, kv_head, &query[start..start + dim], sequence.pages, sequence.visible(row), out);
        });
        first_row += sequence.rows;
    }
}

/// One query over the positions `visible` of one KV head.
fn attend_one(
    shape: &KvShape,
    kv_head: usize,
    query: &[f32],
    pages: &[&[u8]],
    visible: std::ops::Range<usize>,
    out: &mut [f32],
) {
    let head_bytes = page::head_bytes(shape);
    let head_of = |position: usize| &pages[position / PAGE_LEN][kv_head * head_bytes..(kv_head + 1) * head_bytes];
    let mut element = vec![0.0; shape.head_dim];
    let scale = 1.0 / (shape.head_dim as f32).sqrt();
    let mut weights: Vec<f32> = visible
        .clone()
        .map(|position| {
            page::load_key(shape, head_of(position), position % PAGE_LEN, &mut element);
            query.iter().zip(&element).map(|(q, k)| q * k).sum::<f32>() * scale
        })
        .collect();
    let max = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for weight in &mut weights {
        *weight = (*weight - max).exp();
        sum += *weight;
    }
    out.fill(0.0);
    for (position, weight) in visible.zip(&weights) {
        page::load_value(shape, head_of(position), position % PAGE_LEN, &mut element);
        for (out, value) in out.iter_mut().zip(&element) {
            *out += weight / sum * value;
        }
    }
}
