//! How one head's keys and values lie in a page, and how they get there.
//!
//! A page of one layer is one block per KV head after another, so that a thread that owns a head reads one stream:
//!
//! ```text
//! F16   keys    f16 [PAGE_LEN / 8][head_dim][8 positions]
//!       values  f16 [PAGE_LEN][head_dim]
//! Q8_0  keys    i8  [PAGE_LEN / 8][dim4 / 4][8 positions][4 elements]   dim4: head_dim rounded up to 4, zeros behind
//!       scales  f16 [PAGE_LEN / 8][blocks][8 positions]                 blocks: of 32 elements, the last may be shorter
//!       values  i8  [PAGE_LEN][head_dim]
//!       scales  f16 [PAGE_LEN][blocks]
//! ```

use half::f16;

use super::{KvShape, KvType, PAGE_LEN};

/// Positions whose keys are interleaved.
pub(super) const GROUP: usize = 8;
/// Elements that share one scale in Q8_0.
pub(super) const BLOCK: usize = 32;

pub(super) fn blocks(shape: &KvShape) -> usize {
    shape.head_dim.div_ceil(BLOCK)
}

/// Where the parts of one head's block begin, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Offsets {
    pub(super) key_scales: usize,
    pub(super) values: usize,
    pub(super) value_scales: usize,
    pub(super) end: usize,
}

pub(super) fn offsets(shape: &KvShape) -> Offsets {
    let dim = shape.head_dim;
    match shape.kv_type {
        KvType::F16 => {
            let keys = PAGE_LEN * dim * 2;
            Offsets { key_scales: keys, values: keys, value_scales: 2 * keys, end: 2 * keys }
        }
        KvType::Q8_0 => {
            let key_scales = PAGE_LEN * dim.next_multiple_of(4);
            let scales = PAGE_LEN * blocks(shape) * 2;
            let values = key_scales + scales;
            let value_scales = values + PAGE_LEN * dim;
            Offsets { key_scales, values, value_scales, end: value_scales + scales }
        }
    }
}

/// Bytes of one head in a page.
pub(super) fn head_bytes(shape: &KvShape) -> usize {
    offsets(shape).end
}

/// Writes one head's `key` and `value` (`head_dim` each) at `position` of its block `head`.
pub(super) fn store(shape: &KvShape, head: &mut [u8], position: usize, key: &[f32], value: &[f32]) {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if super::flash::supports(shape) {
        // SAFETY: `supports` found the instruction sets, and heads are whole vectors.
        return unsafe { super::vectors::store(shape, head, position, key, value) };
    }
    store_plain(shape, head, position, key, value);
}

/// [`store`] for any processor.
pub(super) fn store_plain(shape: &KvShape, head: &mut [u8], position: usize, key: &[f32], value: &[f32]) {
    let dim = shape.head_dim;
    let offsets = offsets(shape);
    let (group, lane) = (position / GROUP, position % GROUP);
    match shape.kv_type {
        KvType::F16 => {
            for (i, &x) in key.iter().enumerate() {
                put_f16(head, ((group * dim + i) * GROUP + lane) * 2, x);
            }
            for (i, &x) in value.iter().enumerate() {
                put_f16(head, offsets.values + (position * dim + i) * 2, x);
            }
        }
        KvType::Q8_0 => {
            let dim4 = dim.next_multiple_of(4);
            for (block, key) in key.chunks(BLOCK).enumerate() {
                let scale_at = offsets.key_scales + ((group * blocks(shape) + block) * GROUP + lane) * 2;
                let scale = put_f16(head, scale_at, absolute_max(key) / 127.0);
                for (i, &x) in key.iter().enumerate() {
                    let i = block * BLOCK + i;
                    head[group * GROUP * dim4 + (i / 4 * GROUP + lane) * 4 + i % 4] = quantized(x, scale);
                }
            }
            for (block, value) in value.chunks(BLOCK).enumerate() {
                let scale_at = offsets.value_scales + (position * blocks(shape) + block) * 2;
                let scale = put_f16(head, scale_at, absolute_max(value) / 127.0);
                for (i, &x) in value.iter().enumerate() {
                    head[offsets.values + position * dim + block * BLOCK + i] = quantized(x, scale);
                }
            }
        }
    }
}

/// Reads one position's key of one head back into `out` (`head_dim`).
pub(super) fn load_key(shape: &KvShape, head: &[u8], position: usize, out: &mut [f32]) {
    let dim = shape.head_dim;
    let (group, lane) = (position / GROUP, position % GROUP);
    for (i, out) in out.iter_mut().enumerate() {
        *out = match shape.kv_type {
            KvType::F16 => get_f16(head, ((group * dim + i) * GROUP + lane) * 2),
            KvType::Q8_0 => {
                let scales = offsets(shape).key_scales + group * blocks(shape) * GROUP * 2;
                let q = head[group * GROUP * dim.next_multiple_of(4) + (i / 4 * GROUP + lane) * 4 + i % 4];
                get_f16(head, scales + (i / BLOCK * GROUP + lane) * 2) * f32::from(q.cast_signed())
            }
        };
    }
}

/// Reads one position's value of one head back into `out` (`head_dim`).
pub(super) fn load_value(shape: &KvShape, head: &[u8], position: usize, out: &mut [f32]) {
    let dim = shape.head_dim;
    let offsets = offsets(shape);
    for (i, out) in out.iter_mut().enumerate() {
        *out = match shape.kv_type {
            KvType::F16 => get_f16(head, offsets.values + (position * dim + i) * 2),
            KvType::Q8_0 => {
                let scale = get_f16(head, offsets.value_scales + (position * blocks(shape) + i / BLOCK) * 2);
                scale * f32::from(head[offsets.values + position * dim + i].cast_signed())
            }
        };
    }
}

fn absolute_max(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |max, x| max.max(x.abs()))
}

/// `x / scale` to the nearest integer of +-127; the scale is the rounded one that is read back.
fn quantized(x: f32, scale: f32) -> u8 {
    let q = if scale > 0.0 { (x / scale).round_ties_even().clamp(-127.0, 127.0) } else { 0.0 };
    (q as i8).cast_unsigned()
}

/// Stores `x`, held within the finite range of f16, and returns what was stored.
fn put_f16(bytes: &mut [u8], offset: usize, x: f32) -> f32 {
    let x = f16::from_f32(x.clamp(f16::MIN.to_f32_const(), f16::MAX.to_f32_const()));
    bytes[offset..offset + 2].copy_from_slice(&x.to_le_bytes());
    x.to_f32()
}

fn get_f16(bytes: &[u8], offset: usize) -> f32 {
    f16::from_le_bytes([bytes[offset], bytes[offset + 1]]).to_f32()
}
