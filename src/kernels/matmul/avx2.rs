//! Kernels for x86-64 with AVX2, FMA and F16C, with or without AVX-VNNI. Unsafe to call without these instruction sets.

#![allow(clippy::needless_range_loop, reason = "loops over registers index several arrays at once")]

mod dot;
pub(super) mod floats;
pub(super) mod k_quants;
mod legacy_quants;

use std::arch::x86_64::*;

use super::formats::with_format;
use super::kernel::GroupKernel;
use super::layout::SCALE_ORDER;
use super::shape::ROWS;
use crate::quant::QuantType;
use dot::{Dpbusd, Maddubs};

/// The kernel of an interleaved or float type.
pub(super) fn group_kernel(quant: QuantType) -> GroupKernel {
    with_format!(quant,
        float F => floats::group::<F>,
        legacy F => legacy_quants::group::<F, Maddubs>,
        k_quant F => k_quants::group::<F, Maddubs>
    )
}

/// The same with the dot products of AVX-VNNI.
pub(super) fn vnni_group_kernel(quant: QuantType) -> GroupKernel {
    with_format!(quant,
        float F => floats::group::<F>,
        legacy F => legacy_quants::group::<F, Dpbusd>,
        k_quant F => k_quants::group::<F, Dpbusd>
    )
}

/// Eight f16.
#[target_feature(enable = "avx2,f16c")]
unsafe fn load_halves(at: *const u8) -> __m256 {
    // SAFETY: the caller passes 16 readable bytes.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(at.cast()) })
}

#[target_feature(enable = "avx2")]
unsafe fn load(at: *const u8) -> __m256i {
    // SAFETY: the caller passes 32 readable bytes.
    unsafe { _mm256_loadu_si256(at.cast()) }
}

/// Bytes in `SCALE_ORDER` order, brought into row order.
#[target_feature(enable = "avx2")]
pub(super) fn in_row_order(bytes: __m128i) -> __m128i {
    const ORDER: [u8; ROWS] = {
        let mut order = [0; ROWS];
        let mut row = 0;
        while row < ROWS {
            order[row] = SCALE_ORDER[row] as u8;
            row += 1;
        }
        order
    };
    // SAFETY: `ORDER` is 16 bytes.
    _mm_shuffle_epi8(bytes, unsafe { _mm_loadu_si128(ORDER.as_ptr().cast()) })
}
