//! The shape of cached keys and values, and how those of one head lie in a page.
//!
//! One layer of a page consists of one block per KV head, one after another, so that a thread that works on one head
//! reads a single stream. The keys of a block take as many bytes as the values, and 32 positions of an element (of two
//! elements in Q8_0) fill a cache line:
//!
//! ```text
//! F16   keys    f16 [head_dim][PAGE_LEN]
//!       values  f16 [PAGE_LEN][head_dim]
//! Q8_0  keys    i8  [dim2 / 2][PAGE_LEN][2 elements]    dim2: head_dim rounded up to 2, zeros behind
//!       scales  f16 [blocks][PAGE_LEN]                  blocks: of 32 elements, the last may be shorter
//!       values  i8  [PAGE_LEN / 2][dim2][2 positions]
//!       scales  f16 [blocks][PAGE_LEN]
//! ```
//!
//! Bytes lie in pairs because one instruction multiplies and adds pairs, once they are widened to 16 bits.

use half::f16;

use crate::level::Level;

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

/// Elements that share one scale in Q8_0.
pub(super) const BLOCK: usize = 32;

impl KvShape {
    /// Bytes of one page of one layer: keys and values of `PAGE_LEN` positions, in the kernel's own layout.
    pub fn page_layer_bytes(&self) -> usize {
        self.num_kv_heads * head_bytes(self)
    }

    /// Whether this processor can run the kernels with vectors of eight numbers on pages of this shape.
    pub(super) fn fits_vectors(&self) -> bool {
        Level::in_use() != Level::Portable && self.head_dim.is_multiple_of(8)
    }
}

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
    let (numbers, scales) = match shape.kv_type {
        KvType::F16 => (PAGE_LEN * shape.head_dim * 2, 0),
        KvType::Q8_0 => (PAGE_LEN * dim2(shape), PAGE_LEN * blocks(shape) * 2),
    };
    let values = numbers + scales;
    Offsets { key_scales: numbers, values, value_scales: values + numbers, end: 2 * values }
}

/// Bytes of one head in a page.
pub(super) fn head_bytes(shape: &KvShape) -> usize {
    offsets(shape).end
}

fn dim2(shape: &KvShape) -> usize {
    shape.head_dim.next_multiple_of(2)
}

/// Where element `i` of the key of `position` lies in a block, and of its value.
fn key_at(shape: &KvShape, position: usize, i: usize) -> usize {
    match shape.kv_type {
        KvType::F16 => (i * PAGE_LEN + position) * 2,
        KvType::Q8_0 => (i / 2 * PAGE_LEN + position) * 2 + i % 2,
    }
}

fn value_at(shape: &KvShape, position: usize, i: usize) -> usize {
    let values = offsets(shape).values;
    match shape.kv_type {
        KvType::F16 => values + (position * shape.head_dim + i) * 2,
        KvType::Q8_0 => values + (position / 2 * dim2(shape) + i) * 2 + position % 2,
    }
}

/// Where the scale of `block` of a position lies among the scales that begin at `scales`.
fn scale_at(scales: usize, position: usize, block: usize) -> usize {
    scales + (block * PAGE_LEN + position) * 2
}

/// Writes one head's `key` and `value` (`head_dim` each) at `position` of its block `head`, on any processor.
pub(super) fn store(shape: &KvShape, head: &mut [u8], position: usize, key: &[f32], value: &[f32]) {
    let offsets = offsets(shape);
    store_row(shape, head, key, |i| key_at(shape, position, i), |block| scale_at(offsets.key_scales, position, block));
    store_row(
        shape,
        head,
        value,
        |i| value_at(shape, position, i),
        |block| scale_at(offsets.value_scales, position, block),
    );
}

fn store_row(
    shape: &KvShape,
    head: &mut [u8],
    row: &[f32],
    at: impl Fn(usize) -> usize,
    scale_at: impl Fn(usize) -> usize,
) {
    match shape.kv_type {
        KvType::F16 => {
            for (i, &x) in row.iter().enumerate() {
                put_f16(head, at(i), x);
            }
        }
        KvType::Q8_0 => {
            for (block, row) in row.chunks(BLOCK).enumerate() {
                let scale = put_f16(head, scale_at(block), absolute_max(row) / 127.0);
                for (i, &x) in row.iter().enumerate() {
                    head[at(block * BLOCK + i)] = quantized(x, scale);
                }
            }
        }
    }
}

/// Reads one position's key of one head back into `out` (`head_dim`).
pub(super) fn load_key(shape: &KvShape, head: &[u8], position: usize, out: &mut [f32]) {
    let scales = offsets(shape).key_scales;
    for (i, out) in out.iter_mut().enumerate() {
        *out = number(shape, head, key_at(shape, position, i), scale_at(scales, position, i / BLOCK));
    }
}

/// Reads one position's value of one head back into `out` (`head_dim`).
pub(super) fn load_value(shape: &KvShape, head: &[u8], position: usize, out: &mut [f32]) {
    let scales = offsets(shape).value_scales;
    for (i, out) in out.iter_mut().enumerate() {
        *out = number(shape, head, value_at(shape, position, i), scale_at(scales, position, i / BLOCK));
    }
}

fn number(shape: &KvShape, head: &[u8], at: usize, scale_at: usize) -> f32 {
    match shape.kv_type {
        KvType::F16 => get_f16(head, at),
        KvType::Q8_0 => get_f16(head, scale_at) * f32::from(head[at].cast_signed()),
    }
}

fn absolute_max(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |max, x| max.max(x.abs()))
}

/// `x / scale`, rounded and clamped to -127..=127; `scale` is the rounded one that is read back.
fn quantized(x: f32, scale: f32) -> u8 {
    let q = if scale > 0.0 { (x / scale).round_ties_even().clamp(-127.0, 127.0) } else { 0.0 };
    (q as i8).cast_unsigned()
}

/// Stores `x`, clamped to the finite range of f16, and returns what was stored.
fn put_f16(bytes: &mut [u8], offset: usize, x: f32) -> f32 {
    let x = f16::from_f32(x.clamp(f16::MIN.to_f32_const(), f16::MAX.to_f32_const()));
    bytes[offset..offset + 2].copy_from_slice(&x.to_le_bytes());
    x.to_f32()
}

fn get_f16(bytes: &[u8], offset: usize) -> f32 {
    f16::from_le_bytes([bytes[offset], bytes[offset + 1]]).to_f32()
}
