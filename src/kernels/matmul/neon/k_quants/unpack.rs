//! Where the scales and quants of each K-quant are, unpacked with NEON.

use std::arch::aarch64::*;

use super::super::{load, nibbles};
use super::{Scales, Unpack};
use crate::matmul::formats::{Q2K, Q3K, Q4K, Q5K, Q6K};
use crate::matmul::shape::SUB_BLOCKS;
use crate::matmul::superblock::plane_indices;

/// 16 bytes of scales in `SCALE_ORDER` order, widened: rows 0..4 and 8..12 are the low half, the others the high one.
#[target_feature(enable = "neon")]
fn minima(bytes: uint8x16_t) -> [int16x4_t; 4] {
    let low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
    let high = vreinterpretq_s16_u16(vmovl_high_u8(bytes));
    [vget_low_s16(low), vget_low_s16(high), vget_high_s16(low), vget_high_s16(high)]
}

/// The same for signed ones, to 32 bits.
#[target_feature(enable = "neon")]
fn integers(bytes: int8x16_t) -> [int32x4_t; 4] {
    let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
    [vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_low_s16(high)), vmovl_high_s16(low), vmovl_high_s16(high)]
}

/// The six-bit scales and minima of Q4_K and Q5_K, see `layout`: of 16 vectors, 12 are stored, and the top two bits of
/// each three of them hold another one.
#[target_feature(enable = "neon")]
unsafe fn six_bit_scales(weights: *const u8, scales_at: usize) -> Scales {
    // SAFETY: the caller passes a superblock, whose scales begin after two f16 of each row.
    unsafe {
        let mut scales = Scales::new(weights, true);
        let stored = |v: usize| load(weights.add(scales_at + 16 * v));
        let six_bits = |v: usize| {
            if v < 12 {
                return vandq_u8(stored(v), vdupq_n_u8(63));
            }
            let first = (v - 12) / 2 * 6 + v % 2;
            let low = vshrq_n_u8::<6>(stored(first));
            let middle = vshlq_n_u8::<2>(vshrq_n_u8::<6>(stored(first + 2)));
            let high = vshlq_n_u8::<4>(vshrq_n_u8::<6>(stored(first + 4)));
            vorrq_u8(vorrq_u8(low, middle), high)
        };
        for b in 0..8 {
            scales.integers[b] = integers(vreinterpretq_s8_u8(six_bits(b)));
            scales.minima[b] = minima(six_bits(8 + b));
        }
        scales
    }
}

/// Each byte's bit `from`, and those above it, moved to bit `to`, under `mask`. With constants, this becomes one shift.
#[target_feature(enable = "neon")]
#[inline]
fn moved(bytes: uint8x16_t, from: usize, to: usize, mask: u8) -> uint8x16_t {
    let shifted = match to as i32 - from as i32 {
        4 => vshlq_n_u8::<4>(bytes),
        3 => vshlq_n_u8::<3>(bytes),
        2 => vshlq_n_u8::<2>(bytes),
        1 => vshlq_n_u8::<1>(bytes),
        0 => bytes,
        -1 => vshrq_n_u8::<1>(bytes),
        -2 => vshrq_n_u8::<2>(bytes),
        -3 => vshrq_n_u8::<3>(bytes),
        -4 => vshrq_n_u8::<4>(bytes),
        -5 => vshrq_n_u8::<5>(bytes),
        -6 => vshrq_n_u8::<6>(bytes),
        _ => unreachable!("no type moves bit {from} to bit {to}"),
    };
    vandq_u8(shifted, vdupq_n_u8(mask))
}

impl Unpack for Q2K {
    #[target_feature(enable = "neon")]
    unsafe fn scales(weights: *const u8) -> Scales {
        // SAFETY: two f16 of each row and 16 vectors of 16 scales begin the superblock.
        unsafe {
            let mut scales = Scales::new(weights, true);
            for s in 0..SUB_BLOCKS {
                let vector = load(weights.add(Self::SCALES + 16 * s));
                scales.integers[s] = integers(vreinterpretq_s8_u8(nibbles(vector, false)));
                scales.minima[s] = minima(nibbles(vector, true));
            }
            scales
        }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize, g: usize) -> int8x16_t {
        let (half, block, dword) = plane_indices(S, chunk);
        // SAFETY: 16 vectors of 64 bytes.
        let bytes = unsafe { load(weights.add(Self::QUANTS + 64 * (8 * half + dword) + 16 * g)) };
        vreinterpretq_s8_u8(moved(bytes, 2 * block, 0, 3))
    }
}

impl Unpack for Q3K {
    #[target_feature(enable = "neon")]
    unsafe fn scales(weights: *const u8) -> Scales {
        // SAFETY: one f16 of each row and 12 vectors of 16 bytes of scales begin the superblock.
        unsafe {
            let mut scales = Scales::new(weights, false);
            let vector = |v: usize| load(weights.add(Self::SCALES + 16 * v));
            for s in 0..SUB_BLOCKS {
                let low = nibbles(vector(s % 8), s >= 8);
                let six_bits = vorrq_u8(low, moved(vector(8 + s % 4), s / 4 * 2, 4, 0x30));
                scales.integers[s] = integers(vsubq_s8(vreinterpretq_s8_u8(six_bits), vdupq_n_s8(32)));
            }
            scales
        }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize, g: usize) -> int8x16_t {
        let (half, block, dword) = plane_indices(S, chunk);
        // SAFETY: 8 vectors of third bits, bit b for block b of 8, and 16 of bit pairs, each of 64 bytes.
        unsafe {
            let low = moved(load(weights.add(Self::QUANTS + 64 * (8 * half + dword) + 16 * g)), 2 * block, 0, 3);
            let third = moved(load(weights.add(Self::HIGH + 64 * dword + 16 * g)), S / 2, 2, 4);
            vreinterpretq_s8_u8(vorrq_u8(low, third))
        }
    }
}

impl Unpack for Q4K {
    #[target_feature(enable = "neon")]
    unsafe fn scales(weights: *const u8) -> Scales {
        // SAFETY: the caller's promise.
        unsafe { six_bit_scales(weights, Self::SCALES) }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize, g: usize) -> int8x16_t {
        // SAFETY: 32 vectors of 64 bytes: the nibbles of a vector are of two neighbouring blocks.
        let bytes = unsafe { load(weights.add(Self::QUANTS + 64 * (S / 4 * 8 + S % 2 * 4 + chunk) + 16 * g)) };
        vreinterpretq_s8_u8(nibbles(bytes, S % 4 >= 2))
    }
}

impl Unpack for Q5K {
    #[target_feature(enable = "neon")]
    unsafe fn scales(weights: *const u8) -> Scales {
        // SAFETY: the caller's promise.
        unsafe { six_bit_scales(weights, Self::SCALES) }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize, g: usize) -> int8x16_t {
        let dword = S % 2 * 4 + chunk;
        // SAFETY: 8 vectors of fifth bits, bit b for block b of 8, and 32 of nibbles as those of Q4_K, each of 64 bytes.
        unsafe {
            let low = nibbles(load(weights.add(Self::QUANTS + 64 * (S / 4 * 8 + dword) + 16 * g)), S % 4 >= 2);
            let fifth = moved(load(weights.add(Self::HIGH + 64 * dword + 16 * g)), S / 2, 4, 16);
            vreinterpretq_s8_u8(vorrq_u8(low, fifth))
        }
    }
}

impl Unpack for Q6K {
    #[target_feature(enable = "neon")]
    unsafe fn scales(weights: *const u8) -> Scales {
        // SAFETY: 16 f16 and 16 vectors of 16 scales begin the superblock.
        unsafe {
            let mut scales = Scales::new(weights, false);
            for s in 0..SUB_BLOCKS {
                scales.integers[s] = integers(vreinterpretq_s8_u8(load(weights.add(Self::SCALES + 16 * s))));
            }
            scales
        }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize, g: usize) -> int8x16_t {
        let (half, block, dword) = plane_indices(S, chunk);
        // SAFETY: 32 vectors, whose nibbles are of a block and of that two on, and 16 of bit pairs, each of 64 bytes.
        unsafe {
            let low = load(weights.add(Self::QUANTS + 64 * (16 * half + 8 * (block % 2) + dword) + 16 * g));
            let low = nibbles(low, block >= 2);
            let high = moved(load(weights.add(Self::HIGH + 64 * (8 * half + dword) + 16 * g)), 2 * block, 4, 0x30);
            vreinterpretq_s8_u8(vorrq_u8(low, high))
        }
    }
}
