//! How AVX2 multiplies unsigned bytes with signed ones, without and with the VNNI instructions in 256 bits.
//!
//! Both take the same operands: a vector holds a dword (4 columns) of 8 rows, and one dword of an activation row in every
//! lane. `Maddubs` sums in 16 bits and widens when it applies a scale; `Dpbusd` sums in 32 bits.
//!
//! Products are written as assembly that, as far as the compiler knows, touches memory. It therefore keeps them, and
//! the loads between them, in program order; otherwise it would load everything first and spill it to the stack. This
//! also lets both instructions share one set of kernels.

use std::arch::asm;
use std::arch::x86_64::*;

use super::in_row_order;

/// Sums of products of bytes in the lanes of a vector, and integer scales for them.
pub(super) trait Dot {
    /// Whether sums have 32 bits, so that any number of products fits.
    const IS_WIDE: bool;
    /// What [`Dot::multiply_add_signed`] adds to every weight.
    const SIGNED_OFFSET: i32;

    /// Sums that start at `-offset` times the sums of the activations, given as two halves in every lane.
    ///
    /// # Safety
    /// AVX2.
    unsafe fn start(half_sums: __m256i, offset: i16) -> __m256i;

    /// Adds the products of unsigned `weights` with `activation`.
    ///
    /// # Safety
    /// The instruction sets of the implementing type.
    unsafe fn multiply_add(sums: __m256i, weights: __m256i, activation: __m256i) -> __m256i;

    /// Adds the products of signed `weights`, each of which it may raise by `SIGNED_OFFSET`, to sums of 32 bits.
    ///
    /// # Safety
    /// The instruction sets of the implementing type.
    unsafe fn multiply_add_signed(sums: __m256i, weights: __m256i, activation: __m256i) -> __m256i;

    /// The sums as 32 bits per row.
    ///
    /// # Safety
    /// AVX2.
    unsafe fn widened(sums: __m256i) -> __m256i;

    /// 16 signed bytes in `SCALE_ORDER` order, as factors for rows 0..8 and 8..16.
    ///
    /// # Safety
    /// AVX2.
    unsafe fn factors(scales: __m128i) -> [__m256i; 2];

    /// Adds `sums` times `factors` to the 32-bit `totals`.
    ///
    /// # Safety
    /// AVX2.
    unsafe fn scale_add(totals: __m256i, sums: __m256i, factors: __m256i) -> __m256i;
}

/// Pairs of products in 16 bits.
pub(super) struct Maddubs;

impl Dot for Maddubs {
    const IS_WIDE: bool = false;
    const SIGNED_OFFSET: i32 = 0;

    #[target_feature(enable = "avx2")]
    unsafe fn start(half_sums: __m256i, offset: i16) -> __m256i {
        _mm256_mullo_epi16(half_sums, _mm256_set1_epi16(-offset))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn multiply_add(sums: __m256i, weights: __m256i, activation: __m256i) -> __m256i {
        let mut sums = sums;
        // SAFETY: registers only; the processor has the instructions.
        unsafe {
            asm!(
                "vpmaddubsw {products}, {weights}, {activation}",
                "vpaddw {sums}, {sums}, {products}",
                sums = inout(ymm_reg) sums,
                products = out(ymm_reg) _,
                weights = in(ymm_reg) weights,
                activation = in(ymm_reg) activation,
                options(nostack, preserves_flags)
            );
        }
        sums
    }

    /// The magnitude of a weight is the unsigned operand; its sign moves to the activation.
    #[target_feature(enable = "avx2")]
    unsafe fn multiply_add_signed(sums: __m256i, weights: __m256i, activation: __m256i) -> __m256i {
        let products = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(activation, weights));
        _mm256_add_epi32(sums, _mm256_madd_epi16(products, _mm256_set1_epi16(1)))
    }

    #[target_feature(enable = "avx2")]
    unsafe fn widened(sums: __m256i) -> __m256i {
        _mm256_madd_epi16(sums, _mm256_set1_epi16(1))
    }

    /// Each row's factor twice in its dword.
    #[target_feature(enable = "avx2")]
    unsafe fn factors(scales: __m128i) -> [__m256i; 2] {
        let wide = _mm256_cvtepi8_epi16(scales);
        [_mm256_unpacklo_epi16(wide, wide), _mm256_unpackhi_epi16(wide, wide)]
    }

    #[target_feature(enable = "avx2")]
    unsafe fn scale_add(totals: __m256i, sums: __m256i, factors: __m256i) -> __m256i {
        _mm256_add_epi32(totals, _mm256_madd_epi16(sums, factors))
    }
}

/// The dot product instruction of AVX-VNNI. Whoever chooses it has checked that the processor supports it.
pub(super) struct Dpbusd;

impl Dot for Dpbusd {
    const IS_WIDE: bool = true;
    const SIGNED_OFFSET: i32 = 128;

    #[target_feature(enable = "avx2")]
    unsafe fn start(half_sums: __m256i, offset: i16) -> __m256i {
        _mm256_madd_epi16(half_sums, _mm256_set1_epi16(-offset))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn multiply_add(sums: __m256i, weights: __m256i, activation: __m256i) -> __m256i {
        let mut sums = sums;
        // SAFETY: registers only; the processor has the instruction.
        unsafe {
            asm!(
                "{{vex}} vpdpbusd {sums}, {weights}, {activation}",
                sums = inout(ymm_reg) sums,
                weights = in(ymm_reg) weights,
                activation = in(ymm_reg) activation,
                options(nostack, preserves_flags)
            );
        }
        sums
    }

    #[target_feature(enable = "avx2")]
    unsafe fn multiply_add_signed(sums: __m256i, weights: __m256i, activation: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { Self::multiply_add(sums, _mm256_xor_si256(weights, _mm256_set1_epi8(-128)), activation) }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn widened(sums: __m256i) -> __m256i {
        sums
    }

    #[target_feature(enable = "avx2")]
    unsafe fn factors(scales: __m128i) -> [__m256i; 2] {
        let scales = in_row_order(scales);
        [_mm256_cvtepi8_epi32(scales), _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(scales, scales))]
    }

    #[target_feature(enable = "avx2")]
    unsafe fn scale_add(totals: __m256i, sums: __m256i, factors: __m256i) -> __m256i {
        _mm256_add_epi32(totals, _mm256_mullo_epi32(sums, factors))
    }
}
