//! Where the bits and the scales of each K-quant are; the layout is that of `avx2::supers`, see there.

use std::arch::x86_64::*;

use super::super::super::avx2::supers::six_bit_vectors;
use super::super::super::layout::{ROWS, SCALE_PLACE, SIX_BIT_BYTES};
use super::super::super::superblock::{SUB_BLOCKS, nibble_place, two_bit_place};
use super::super::{load, load_halves, moved, nibbles};
use super::{Scales, SuperType};

/// Bytes in `SCALE_PLACE` order, brought into row order.
#[target_feature(enable = "avx512f,avx512vl,avx512bw")]
fn in_row_order(bytes: __m128i) -> __m128i {
    const ORDER: [u8; ROWS] = {
        let mut order = [0; ROWS];
        let mut row = 0;
        while row < ROWS {
            order[row] = SCALE_PLACE[row] as u8;
            row += 1;
        }
        order
    };
    // SAFETY: `ORDER` is 16 bytes.
    _mm_shuffle_epi8(bytes, unsafe { _mm_loadu_si128(ORDER.as_ptr().cast()) })
}

/// Unsigned byte scales times the superblock's.
#[target_feature(enable = "avx512f,avx512vl,avx512bw")]
fn unsigned_scale(scale: __m512, bytes: __m128i) -> __m512 {
    _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(in_row_order(bytes))))
}

/// Signed byte scales times the superblock's.
#[target_feature(enable = "avx512f,avx512vl,avx512bw")]
fn signed_scale(scale: __m512, bytes: __m128i) -> __m512 {
    _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(in_row_order(bytes))))
}

/// Two unsigned bytes of each row in the halves of its dword.
#[target_feature(enable = "avx512f,avx512vl,avx512bw")]
fn pair(low: __m128i, high: __m128i) -> __m512i {
    let high = _mm512_slli_epi32::<16>(_mm512_cvtepu8_epi32(in_row_order(high)));
    _mm512_or_si512(_mm512_cvtepu8_epi32(in_row_order(low)), high)
}

/// The six-bit scales and minima of Q4_K and Q5_K.
#[target_feature(enable = "avx2,avx512f,avx512vl,avx512bw")]
unsafe fn six_bit_scales(weights: *const u8, scales: &mut Scales) {
    // SAFETY: the caller passes a superblock, which begins with two f16 of each row.
    let (scale, vectors) = unsafe {
        scales.min = load_halves(weights.add(32));
        (load_halves(weights), six_bit_vectors(weights))
    };
    for v in 0..4 {
        scales.scales[2 * v] = unsigned_scale(scale, _mm256_castsi256_si128(vectors[v]));
        scales.scales[2 * v + 1] = unsigned_scale(scale, _mm256_extracti128_si256::<1>(vectors[v]));
        let minima = vectors[4 + v];
        scales.min_pairs[v] = pair(_mm256_castsi256_si128(minima), _mm256_extracti128_si256::<1>(minima));
    }
}

pub(in super::super) struct Q2K;
pub(in super::super) struct Q3K;
pub(in super::super) struct Q4K;
pub(in super::super) struct Q5K;
pub(in super::super) struct Q6K;

impl SuperType for Q2K {
    const BYTES: usize = 84 * ROWS;
    const PER_SCALE: usize = 1;
    const MIN_PAIRS: usize = SUB_BLOCKS;
    const OFFSET: i16 = 0;

    #[target_feature(enable = "avx512f,avx512vl,avx512bw")]
    unsafe fn scales(weights: *const u8, scales: &mut Scales) {
        let nibble = _mm_set1_epi8(15);
        // SAFETY: two f16 of each row and 16 vectors of 16 scales begin the superblock.
        unsafe {
            let scale = load_halves(weights);
            scales.min = load_halves(weights.add(32));
            for s in 0..SUB_BLOCKS {
                let both = _mm_loadu_si128(weights.add(64 + 16 * s).cast());
                let minima = _mm_and_si128(_mm_srli_epi16::<4>(both), nibble);
                scales.scales[s] = unsigned_scale(scale, _mm_and_si128(both, nibble));
                scales.min_pairs[s] = pair(minima, minima);
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let (place, bit) = two_bit_place(S, chunk);
        // SAFETY: 16 vectors follow the scales.
        moved(unsafe { load(weights.add(64 + 256 + 64 * place)) }, bit, 0, 3)
    }
}

impl SuperType for Q3K {
    const BYTES: usize = 110 * ROWS;
    const PER_SCALE: usize = 1;
    const MIN_PAIRS: usize = 0;
    const OFFSET: i16 = 4;

    #[target_feature(enable = "avx512f,avx512vl,avx512bw")]
    unsafe fn scales(weights: *const u8, scales: &mut Scales) {
        // SAFETY: one f16 of each row and 12 vectors of 16 bytes of scales begin the superblock.
        unsafe {
            let scale = load_halves(weights);
            let vector = |v: usize| _mm_loadu_si128(weights.add(32 + 16 * v).cast());
            let shift = |bits: usize| _mm_cvtsi32_si128(bits as i32);
            for s in 0..SUB_BLOCKS {
                let low = _mm_and_si128(_mm_srl_epi16(vector(s % 8), shift(s / 8 * 4)), _mm_set1_epi8(15));
                let high = _mm_and_si128(_mm_srl_epi16(vector(8 + s % 4), shift(s / 4 * 2)), _mm_set1_epi8(3));
                let six_bits = _mm_or_si128(low, _mm_slli_epi16::<4>(high));
                scales.scales[s] = signed_scale(scale, _mm_sub_epi8(six_bits, _mm_set1_epi8(32)));
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let (place, bit) = two_bit_place(S, chunk);
        // SAFETY: 8 vectors of third bits and 16 of bit pairs follow the scales.
        unsafe {
            let planes = weights.add(32 + 192);
            let low = moved(load(planes.add(64 * (8 + place))), bit, 0, 3);
            _mm512_or_si512(low, moved(load(planes.add(64 * (S % 2 * 4 + chunk))), S / 2, 2, 4))
        }
    }
}

impl SuperType for Q4K {
    const BYTES: usize = 144 * ROWS;
    const PER_SCALE: usize = 2;
    const MIN_PAIRS: usize = 4;
    const OFFSET: i16 = 0;

    #[target_feature(enable = "avx2,avx512f,avx512vl,avx512bw")]
    unsafe fn scales(weights: *const u8, scales: &mut Scales) {
        // SAFETY: the caller's promise.
        unsafe { six_bit_scales(weights, scales) }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let (place, high) = nibble_place(S, chunk);
        // SAFETY: 32 vectors follow the scales.
        nibbles(unsafe { load(weights.add(64 + SIX_BIT_BYTES + 64 * place)) }, high)
    }
}

impl SuperType for Q5K {
    const BYTES: usize = 176 * ROWS;
    const PER_SCALE: usize = 2;
    const MIN_PAIRS: usize = 4;
    const OFFSET: i16 = 0;

    #[target_feature(enable = "avx2,avx512f,avx512vl,avx512bw")]
    unsafe fn scales(weights: *const u8, scales: &mut Scales) {
        // SAFETY: the caller's promise.
        unsafe { six_bit_scales(weights, scales) }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let (place, high) = nibble_place(S, chunk);
        // SAFETY: 8 vectors of fifth bits and 32 of nibbles follow the scales.
        unsafe {
            let planes = weights.add(64 + SIX_BIT_BYTES);
            let fifths = load(planes.add(64 * (S % 2 * 4 + chunk)));
            _mm512_or_si512(nibbles(load(planes.add(64 * (8 + place))), high), moved(fifths, S / 2, 4, 16))
        }
    }
}

impl SuperType for Q6K {
    const BYTES: usize = 210 * ROWS;
    const PER_SCALE: usize = 1;
    const MIN_PAIRS: usize = 0;
    const OFFSET: i16 = 32;

    #[target_feature(enable = "avx512f,avx512vl,avx512bw")]
    unsafe fn scales(weights: *const u8, scales: &mut Scales) {
        // SAFETY: 16 f16 and 16 vectors of 16 scales begin the superblock.
        unsafe {
            let scale = load_halves(weights);
            for s in 0..SUB_BLOCKS {
                scales.scales[s] = signed_scale(scale, _mm_loadu_si128(weights.add(32 + 16 * s).cast()));
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let (h, w, column) = (S / 8, S % 8 / 2, S % 2 * 4 + chunk);
        // SAFETY: 32 vectors of nibbles and 16 of bit pairs follow the scales.
        unsafe {
            let planes = weights.add(32 + 256);
            let low = nibbles(load(planes.add(64 * (16 * h + 8 * (w % 2) + column))), w >= 2);
            let high = load(planes.add(64 * (32 + 8 * h + column)));
            _mm512_or_si512(low, moved(high, 2 * w, 4, 0x30))
        }
    }
}
