//! Where the bits and the integer scales of each K-quant are, unpacked with AVX2.

use std::arch::x86_64::*;

use super::super::load;
use crate::matmul::formats::{KQuant, Q2K, Q3K, Q4K, Q5K, Q6K};
use crate::matmul::shape::{BLOCK, SUB_BLOCKS, SUPER};

/// The integer scales of 16 rows of a superblock as bytes, in `SCALE_ORDER` order: for all instruction sets of x86-64.
pub(in crate::matmul) trait ScaleBytes: KQuant {
    /// Dwords of two 16-bit minima that each row has. Minima of 32 columns: those of blocks 2 p and 2 p + 1 are a pair, to
    /// meet the pair of sums of those columns. Minima of 16 columns: each is a pair with itself, to meet the two half sums
    /// of its sub-block.
    const MIN_PAIRS: usize = match Self::MIN_COLUMNS {
        0 => 0,
        32 => SUPER / BLOCK / 2,
        _ => SUB_BLOCKS,
    };

    /// Scale `s`, of `SCALE_COLUMNS` columns, as signed bytes.
    ///
    /// # Safety
    /// AVX2; a superblock of weights, `s` of its scales.
    unsafe fn scale(weights: *const u8, s: usize) -> __m128i;

    /// Minima 2 p (in the low half) and 2 p + 1, of `MIN_COLUMNS` columns each.
    ///
    /// # Safety
    /// As for `scale`; a type with minima.
    unsafe fn minima(weights: *const u8, p: usize) -> __m256i;
}

/// Pairs of the 8 blocks of 32 columns: blocks 2 p and 2 p + 1, whose quants are the low and the high nibbles of the same
/// bytes.
const NEIGHBOURS: [[usize; 2]; 4] = [[0, 1], [2, 3], [4, 5], [6, 7]];
/// Pairs of the 8 blocks of 32 columns: of each four the first with the third and the second with the fourth.
const ALTERNATING: [[usize; 2]; 4] = [[0, 2], [1, 3], [4, 6], [5, 7]];

/// The quants of a K-quant.
pub(in super::super) trait Unpack: ScaleBytes {
    /// The pairs of blocks of 32 columns whose quants lie in the same bytes.
    const PAIRS: [[usize; 2]; 4];
    /// Whether the products of 8 dwords fit 16 bits.
    const BLOCK_FITS_16_BITS: bool;

    /// Dword `chunk` (of 8) of the two blocks `PAIRS[P]` of rows `8 g..8 g + 8`, as unsigned bytes.
    ///
    /// # Safety
    /// AVX2; a superblock of weights, `P < 4`, `chunk < 8`, `g < 2`.
    unsafe fn quants<const P: usize>(weights: *const u8, chunk: usize, g: usize) -> [__m256i; 2];
}

/// Vector `index` of 64 bytes from `at` on: its half `g`.
#[target_feature(enable = "avx2")]
unsafe fn half_vector(at: *const u8, index: usize, g: usize) -> __m256i {
    // SAFETY: the caller passes so many vectors.
    unsafe { load(at.add(64 * index + 32 * g)) }
}

#[target_feature(enable = "avx2")]
unsafe fn load_16(at: *const u8) -> __m128i {
    // SAFETY: the caller passes 16 readable bytes.
    unsafe { _mm_loadu_si128(at.cast()) }
}

/// Low and high nibbles.
#[target_feature(enable = "avx2")]
fn nibbles(bytes: __m256i) -> [__m256i; 2] {
    let low = _mm256_set1_epi8(15);
    [_mm256_and_si256(bytes, low), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low)]
}

/// Each byte's bit `from`, and those above it, moved to bit `to`, under `mask`. With constants, this becomes one shift.
#[target_feature(enable = "avx2")]
#[inline]
fn moved(bytes: __m256i, from: usize, to: usize, mask: i8) -> __m256i {
    let shifted = match to as i32 - from as i32 {
        4 => _mm256_slli_epi16::<4>(bytes),
        3 => _mm256_slli_epi16::<3>(bytes),
        2 => _mm256_slli_epi16::<2>(bytes),
        1 => _mm256_slli_epi16::<1>(bytes),
        0 => bytes,
        -1 => _mm256_srli_epi16::<1>(bytes),
        -2 => _mm256_srli_epi16::<2>(bytes),
        -3 => _mm256_srli_epi16::<3>(bytes),
        -4 => _mm256_srli_epi16::<4>(bytes),
        -5 => _mm256_srli_epi16::<5>(bytes),
        -6 => _mm256_srli_epi16::<6>(bytes),
        _ => unreachable!("no type moves bit {from} to bit {to}"),
    };
    _mm256_and_si256(shifted, _mm256_set1_epi8(mask))
}

/// Six-bit scale `s` of a superblock whose scales begin at `scales`, see `layout::pack`.
#[target_feature(enable = "avx2")]
unsafe fn six_bit_scale(scales: *const u8, s: usize) -> __m128i {
    // SAFETY: the first 8 of 12 vectors of 16 bytes.
    unsafe { _mm_and_si128(load_16(scales.add(16 * s)), _mm_set1_epi8(63)) }
}

/// Six-bit minima 2 p and 2 p + 1: the last 4 of the 16 vectors lie in the top two bits of the others.
#[target_feature(enable = "avx2")]
unsafe fn six_bit_minima(scales: *const u8, p: usize) -> __m256i {
    // SAFETY: 6 vectors of 32 bytes, of which the first 4 hold the scales.
    unsafe {
        let stored = |v: usize| load(scales.add(32 * v));
        if p < 2 {
            return _mm256_and_si256(stored(4 + p), _mm256_set1_epi8(63));
        }
        let split = 3 * (p - 2);
        let two = _mm256_set1_epi8(3);
        let low = _mm256_and_si256(_mm256_srli_epi16::<6>(stored(split)), two);
        let middle = _mm256_and_si256(_mm256_srli_epi16::<4>(stored(split + 1)), _mm256_slli_epi16::<2>(two));
        let high = _mm256_and_si256(_mm256_srli_epi16::<2>(stored(split + 2)), _mm256_slli_epi16::<4>(two));
        _mm256_or_si256(_mm256_or_si256(low, middle), high)
    }
}

impl ScaleBytes for Q2K {
    #[target_feature(enable = "avx2")]
    unsafe fn scale(weights: *const u8, s: usize) -> __m128i {
        // SAFETY: 16 vectors of 16 bytes: scales in the low nibbles.
        unsafe { _mm_and_si128(load_16(weights.add(Self::SCALES + 16 * s)), _mm_set1_epi8(15)) }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn minima(weights: *const u8, p: usize) -> __m256i {
        // SAFETY: as above: minima in the high nibbles.
        nibbles(unsafe { load(weights.add(Self::SCALES + 32 * p)) })[1]
    }
}

impl Unpack for Q2K {
    const PAIRS: [[usize; 2]; 4] = ALTERNATING;
    const BLOCK_FITS_16_BITS: bool = true;

    #[target_feature(enable = "avx2")]
    unsafe fn quants<const P: usize>(weights: *const u8, chunk: usize, g: usize) -> [__m256i; 2] {
        // SAFETY: 16 vectors; bits 2 b of vector 8 h + chunk belong to block 4 h + b.
        let bytes = unsafe { half_vector(weights.add(Self::QUANTS), P / 2 * 8 + chunk, g) };
        [moved(bytes, P % 2 * 2, 0, 3), moved(bytes, P % 2 * 2 + 4, 0, 3)]
    }
}

impl ScaleBytes for Q3K {
    #[target_feature(enable = "avx2")]
    unsafe fn scale(weights: *const u8, s: usize) -> __m128i {
        // SAFETY: 12 vectors of 16 bytes: 8 with the low four bits of two scales, 4 with the high two bits of four.
        let vector = |v: usize| unsafe { load_16(weights.add(Self::SCALES + 16 * v)) };
        let shift = |bits: usize| _mm_cvtsi32_si128(bits as i32);
        let low = _mm_and_si128(_mm_srl_epi16(vector(s % 8), shift(s / 8 * 4)), _mm_set1_epi8(15));
        let high = _mm_and_si128(_mm_srl_epi16(vector(8 + s % 4), shift(s / 4 * 2)), _mm_set1_epi8(3));
        _mm_sub_epi8(_mm_or_si128(low, _mm_slli_epi16::<4>(high)), _mm_set1_epi8(32))
    }

    unsafe fn minima(_: *const u8, _: usize) -> __m256i {
        unreachable!("Q3_K has no minima")
    }
}

impl Unpack for Q3K {
    const PAIRS: [[usize; 2]; 4] = ALTERNATING;
    const BLOCK_FITS_16_BITS: bool = true;

    #[target_feature(enable = "avx2")]
    unsafe fn quants<const P: usize>(weights: *const u8, chunk: usize, g: usize) -> [__m256i; 2] {
        // SAFETY: 8 vectors of third bits, bit b for block b, and 16 of bit pairs as those of Q2_K.
        let (thirds, bytes) = unsafe {
            (
                half_vector(weights.add(Self::HIGH), chunk, g),
                half_vector(weights.add(Self::QUANTS), P / 2 * 8 + chunk, g),
            )
        };
        let quants = |v: usize| {
            let high = moved(thirds, Self::PAIRS[P][v], 2, 4);
            _mm256_or_si256(moved(bytes, P % 2 * 2 + 4 * v, 0, 3), high)
        };
        [quants(0), quants(1)]
    }
}

impl ScaleBytes for Q4K {
    #[target_feature(enable = "avx2")]
    unsafe fn scale(weights: *const u8, s: usize) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { six_bit_scale(weights.add(Self::SCALES), s) }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn minima(weights: *const u8, p: usize) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { six_bit_minima(weights.add(Self::SCALES), p) }
    }
}

impl Unpack for Q4K {
    const PAIRS: [[usize; 2]; 4] = NEIGHBOURS;
    const BLOCK_FITS_16_BITS: bool = true;

    #[target_feature(enable = "avx2")]
    unsafe fn quants<const P: usize>(weights: *const u8, chunk: usize, g: usize) -> [__m256i; 2] {
        // SAFETY: 32 vectors.
        nibbles(unsafe { half_vector(weights.add(Self::QUANTS), 8 * P + chunk, g) })
    }
}

impl ScaleBytes for Q5K {
    #[target_feature(enable = "avx2")]
    unsafe fn scale(weights: *const u8, s: usize) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { six_bit_scale(weights.add(Self::SCALES), s) }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn minima(weights: *const u8, p: usize) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { six_bit_minima(weights.add(Self::SCALES), p) }
    }
}

impl Unpack for Q5K {
    const PAIRS: [[usize; 2]; 4] = NEIGHBOURS;
    const BLOCK_FITS_16_BITS: bool = false;

    #[target_feature(enable = "avx2")]
    unsafe fn quants<const P: usize>(weights: *const u8, chunk: usize, g: usize) -> [__m256i; 2] {
        // SAFETY: 8 vectors of fifth bits, bit b for block b, and 32 of nibbles.
        let (fifths, bytes) = unsafe {
            (half_vector(weights.add(Self::HIGH), chunk, g), half_vector(weights.add(Self::QUANTS), 8 * P + chunk, g))
        };
        let [low, high] = nibbles(bytes);
        [_mm256_or_si256(low, moved(fifths, 2 * P, 4, 16)), _mm256_or_si256(high, moved(fifths, 2 * P + 1, 4, 16))]
    }
}

impl ScaleBytes for Q6K {
    #[target_feature(enable = "avx2")]
    unsafe fn scale(weights: *const u8, s: usize) -> __m128i {
        // SAFETY: 16 vectors of 16 bytes.
        unsafe { load_16(weights.add(Self::SCALES + 16 * s)) }
    }

    unsafe fn minima(_: *const u8, _: usize) -> __m256i {
        unreachable!("Q6_K has no minima")
    }
}

impl Unpack for Q6K {
    const PAIRS: [[usize; 2]; 4] = ALTERNATING;
    const BLOCK_FITS_16_BITS: bool = false;

    #[target_feature(enable = "avx2")]
    unsafe fn quants<const P: usize>(weights: *const u8, chunk: usize, g: usize) -> [__m256i; 2] {
        // SAFETY: 32 vectors of nibbles, vector 8 P + chunk for the two blocks, and 16 of bit pairs, bits 2 b of vector
        // 8 h + chunk for block 4 h + b.
        let (bytes, high) = unsafe {
            (
                half_vector(weights.add(Self::QUANTS), 8 * P + chunk, g),
                half_vector(weights.add(Self::HIGH), P / 2 * 8 + chunk, g),
            )
        };
        let [first, third] = nibbles(bytes);
        [
            _mm256_or_si256(first, moved(high, P % 2 * 2, 4, 0x30)),
            _mm256_or_si256(third, moved(high, P % 2 * 2 + 4, 4, 0x30)),
        ]
    }
}
