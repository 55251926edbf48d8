//! Writes one head's key and value into a page with vectors of eight, byte for byte as [`page::store`] does.

use super::super::page::{self, BLOCK, KvShape, KvType, PAGE_LEN};
use crate::lanes;

/// Writes one head's `key` and `value` at `position` of its block `head`.
///
/// # Safety
/// The level's instruction sets; the head size is a multiple of 8.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
pub(super) unsafe fn store(shape: &KvShape, head: &mut [u8], position: usize, key: &[f32], value: &[f32]) {
    let (keys, values) = head.split_at_mut(page::offsets(shape).values);
    match shape.kv_type {
        KvType::F16 => store_halves(shape.head_dim, keys, values, position, key, value),
        KvType::Q8_0 => store_bytes(shape.head_dim, keys, values, position, key, value),
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn store_halves(dim: usize, keys: &mut [u8], values: &mut [u8], position: usize, key: &[f32], value: &[f32]) {
    let elements = keys.as_chunks_mut::<2>().0.chunks_exact_mut(8 * PAGE_LEN);
    for (key, elements) in key.as_chunks::<8>().0.iter().zip(elements) {
        for (half, element) in halves(key).iter().zip(elements.chunks_exact_mut(PAGE_LEN)) {
            element[position] = *half;
        }
    }
    let row = &mut values.as_chunks_mut::<2>().0[position * dim..][..dim];
    for (value, target) in value.as_chunks::<8>().0.iter().zip(row.as_chunks_mut::<8>().0) {
        *target = halves(value);
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn store_bytes(dim: usize, keys: &mut [u8], values: &mut [u8], position: usize, key: &[f32], value: &[f32]) {
    let (keys, key_scales) = keys.split_at_mut(PAGE_LEN * dim);
    let pairs = keys.as_chunks_mut::<2>().0;
    let scales = key_scales.as_chunks_mut::<2>().0;
    for (block, key) in key.chunks(BLOCK).enumerate() {
        let scale = block_scale(key);
        scales[block * PAGE_LEN + position] = scale;
        for (eight, key) in key.as_chunks::<8>().0.iter().enumerate() {
            let first = (block * BLOCK / 2 + 4 * eight) * PAGE_LEN + position;
            for (i, pair) in quants(key, scale).iter().enumerate() {
                pairs[first + i * PAGE_LEN] = *pair;
            }
        }
    }
    let (values, value_scales) = values.split_at_mut(PAGE_LEN * dim);
    let row = &mut values.as_chunks_mut::<2>().0[position / 2 * dim..][..dim];
    let scales = value_scales.as_chunks_mut::<2>().0;
    for (block, (value, row)) in value.chunks(BLOCK).zip(row.chunks_mut(BLOCK)).enumerate() {
        let scale = block_scale(value);
        scales[block * PAGE_LEN + position] = scale;
        for (value, row) in value.as_chunks::<8>().0.iter().zip(row.as_chunks_mut::<8>().0) {
            for (target, byte) in row.iter_mut().zip(quants(value, scale).as_flattened()) {
                target[position % 2] = *byte;
            }
        }
    }
}

/// The f16 scale of a block, as bytes.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn block_scale(values: &[f32]) -> [u8; 2] {
    let mut max = lanes::splat(0.0);
    for eight in values.as_chunks::<8>().0 {
        // SAFETY: 8 numbers; a NaN in the first operand gives the second.
        max = lanes::max(lanes::abs(unsafe { lanes::load(eight.as_ptr()) }), max);
    }
    let scale = (lanes::greatest(max) / 127.0).min(65504.0);
    lanes::to_halves(lanes::splat(scale))[0]
}

/// Eight numbers divided by a scale, rounded and clamped to -127..=127, in pairs.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn quants(values: &[f32; 8], scale: [u8; 2]) -> [[u8; 2]; 4] {
    if scale == [0, 0] {
        return [[0; 2]; 4];
    }
    // SAFETY: 2 bytes, and 8 numbers.
    let (scale, values) = unsafe { (lanes::load_half(scale.as_ptr()), lanes::load(values.as_ptr())) };
    lanes::to_bytes(lanes::div(values, lanes::splat(scale)))
}

/// Eight numbers as f16, clamped to its finite range.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn halves(values: &[f32; 8]) -> [[u8; 2]; 8] {
    // SAFETY: 8 numbers.
    let values = unsafe { lanes::load(values.as_ptr()) };
    lanes::to_halves(lanes::min(lanes::max(values, lanes::splat(-65504.0)), lanes::splat(65504.0)))
}
