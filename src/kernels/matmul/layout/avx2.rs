//! Packing with AVX2, which transposes registers where the portable version moves single dwords and bytes.

use std::arch::x86_64::*;

use super::{Part, SIX_BIT_BYTES, Span};
use crate::matmul::shape::ROWS;

/// As `Part::pack_plain`.
#[target_feature(enable = "avx2")]
pub(super) fn pack(part: Part, rows: &[&[u8]; ROWS], packed: &mut [u8]) {
    match part {
        Part::Dwords(Span { start, count }) if count % 4 == 0 => pack_dwords(rows, start, count, packed),
        Part::Bytes(Span { start, count: 16 }) => {
            for (target, bytes) in packed.chunks_exact_mut(ROWS).zip(transposed_bytes(rows, start)) {
                store(target, bytes);
            }
        }
        Part::SixBits(start) => pack_six_bits(&transposed_bytes(rows, start), packed),
        Part::Halves(_) | Part::Bytes(_) | Part::Dwords(_) => part.pack_plain(rows, packed),
    }
}

/// Four dwords of eight rows at a time: rows r and r + 4 share a register.
#[target_feature(enable = "avx2")]
fn pack_dwords(rows: &[&[u8]; ROWS], start: usize, count: usize, packed: &mut [u8]) {
    for (quad, vectors) in packed[..count * 4 * ROWS].chunks_exact_mut(16 * ROWS).enumerate() {
        let row = |row: usize| load(rows[row], start + 16 * quad);
        for half in 0..2 {
            let pair = |r: usize| _mm256_set_m128i(row(8 * half + r + 4), row(8 * half + r));
            let (a, b, c, d) = (pair(0), pair(1), pair(2), pair(3));
            let (ab_low, ab_high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
            let (cd_low, cd_high) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
            let dwords = [
                _mm256_unpacklo_epi64(ab_low, cd_low),
                _mm256_unpackhi_epi64(ab_low, cd_low),
                _mm256_unpacklo_epi64(ab_high, cd_high),
                _mm256_unpackhi_epi64(ab_high, cd_high),
            ];
            for (vector, dwords) in vectors.chunks_exact_mut(4 * ROWS).zip(dwords) {
                let target: &mut [u8; 32] = vector[32 * half..].first_chunk_mut().expect("half of a vector is left");
                // SAFETY: the array has the register's 32 bytes.
                unsafe { _mm256_storeu_si256(target.as_mut_ptr().cast(), dwords) };
            }
        }
    }
}

/// Bytes `start..start + 16` of the rows: vector i is byte i of all of them, in `SCALE_ORDER` order.
#[target_feature(enable = "avx2")]
fn transposed_bytes(rows: &[&[u8]; ROWS], start: usize) -> [__m128i; 16] {
    let by_byte = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let mut fours = [[_mm_setzero_si128(); 4]; 4];
    for (r, four) in fours.iter_mut().enumerate() {
        let row = |row: usize| load(rows[4 * r + row], start);
        // Dword d of four rows, then byte by byte.
        *four = transposed([row(0), row(1), row(2), row(3)]).map(|dwords| _mm_shuffle_epi8(dwords, by_byte));
    }
    let mut bytes = [_mm_setzero_si128(); 16];
    for (d, bytes) in bytes.chunks_exact_mut(4).enumerate() {
        bytes.copy_from_slice(&transposed([fours[0][d], fours[2][d], fours[1][d], fours[3][d]]));
    }
    bytes
}

/// Transposes 4 x 4 dwords.
#[target_feature(enable = "avx2")]
fn transposed([a, b, c, d]: [__m128i; 4]) -> [__m128i; 4] {
    let (ab_low, ab_high) = (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
    [
        _mm_unpacklo_epi64(ab_low, cd_low),
        _mm_unpackhi_epi64(ab_low, cd_low),
        _mm_unpacklo_epi64(ab_high, cd_high),
        _mm_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// As the portable `pack_six_bits`; byte i of the twelve of all rows is `bytes[i]`.
#[target_feature(enable = "avx2")]
fn pack_six_bits(bytes: &[__m128i; 16], packed: &mut [u8]) {
    let mask = |bits: i8| _mm_set1_epi8(bits);
    // Shifts are of 16 bits; the masks clear the bits that cross into the other byte.
    let mut values = [_mm_setzero_si128(); 16];
    for i in 0..4 {
        let (low_scale, low_min, high) = (bytes[i], bytes[4 + i], bytes[8 + i]);
        let top = |low: __m128i| _mm_and_si128(_mm_srli_epi16::<2>(low), mask(0x30));
        values[i] = _mm_and_si128(low_scale, mask(0x3f));
        values[8 + i] = _mm_and_si128(low_min, mask(0x3f));
        values[4 + i] = _mm_or_si128(_mm_and_si128(high, mask(0x0f)), top(low_scale));
        values[12 + i] = _mm_or_si128(_mm_and_si128(_mm_srli_epi16::<4>(high), mask(0x0f)), top(low_min));
    }
    for (index, stored) in packed[..SIX_BIT_BYTES].chunks_exact_mut(ROWS).enumerate() {
        let vector = index / 2;
        let split = values[12 + vector / 3 * 2 + index % 2];
        let top = match vector % 3 {
            0 => _mm_slli_epi16::<6>(split),
            1 => _mm_slli_epi16::<4>(split),
            _ => _mm_slli_epi16::<2>(split),
        };
        store(stored, _mm_or_si128(values[index], _mm_and_si128(top, mask(0xc0_u8.cast_signed()))));
    }
}

#[target_feature(enable = "avx2")]
fn load(row: &[u8], at: usize) -> __m128i {
    let source: &[u8; 16] = row[at..].first_chunk().expect("16 bytes of the block are left");
    // SAFETY: the array has the register's 16 bytes.
    unsafe { _mm_loadu_si128(source.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn store(target: &mut [u8], value: __m128i) {
    let target: &mut [u8; 16] = target.first_chunk_mut().expect("room for 16 bytes");
    // SAFETY: the array has the register's 16 bytes.
    unsafe { _mm_storeu_si128(target.as_mut_ptr().cast(), value) };
}
