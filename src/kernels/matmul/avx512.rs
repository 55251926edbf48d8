//! Kernels for x86-64 with AVX-512 (F, BW, VL, VNNI): a vector holds a dword of all 16 rows of a group, and one
//! instruction multiplies it with an activation dword into 32-bit sums. Unsafe to call without these instruction sets.

#![allow(clippy::needless_range_loop, reason = "loops over registers index several arrays at once")]

mod k_quants;
mod legacy_quants;

use std::arch::x86_64::*;

use super::avx2;
use super::formats::with_format;
use super::kernel::{GroupKernel, WideKernel};
use super::shape::GROUP;
use crate::quant::QuantType;

/// Groups of a wide kernel: with 4 activation rows, 12 sums and as many totals fit the 32 registers.
const WIDE: usize = 3;

/// The kernel of an interleaved or float type. Floats use that of AVX2: few rows are limited by memory, and for many
/// rows the integer types matter more.
pub(super) fn group_kernel(quant: QuantType) -> GroupKernel {
    with_format!(quant,
        float F => avx2::floats::group::<F>,
        legacy F => legacy_quants::group::<F>,
        k_quant F => k_quants::groups::<F, 1>
    )
}

/// The kernel of several groups, for a type that has one: more products per load, and enough independent sums to hide
/// the latency of an addition.
pub(super) fn wide_kernel(quant: QuantType) -> Option<WideKernel> {
    let wide = |kernel: GroupKernel| Some(WideKernel { kernel, groups: WIDE, min_rows: GROUP + 1 });
    with_format!(quant, float F => None, legacy F => None, k_quant F => wide(k_quants::groups::<F, WIDE>))
}

#[target_feature(enable = "avx512f")]
unsafe fn load(at: *const u8) -> __m512i {
    // SAFETY: the caller passes 64 readable bytes.
    unsafe { _mm512_loadu_si512(at.cast()) }
}

/// Sixteen f16.
#[target_feature(enable = "avx512f")]
unsafe fn load_halves(at: *const u8) -> __m512 {
    // SAFETY: the caller passes 32 readable bytes.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(at.cast()) })
}

/// A dword in every lane.
#[target_feature(enable = "avx512f")]
unsafe fn broadcast(at: *const i8) -> __m512i {
    // SAFETY: the caller passes 4 readable bytes.
    _mm512_set1_epi32(unsafe { at.cast::<i32>().read_unaligned() })
}

/// Nibbles, high if `high`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn nibbles(bytes: __m512i, high: bool) -> __m512i {
    moved(bytes, if high { 4 } else { 0 }, 0, 15)
}

/// Each byte's bit `from`, and those above it, moved to bit `to`, under `mask`. With constants, this becomes one shift.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn moved(bytes: __m512i, from: usize, to: usize, mask: i8) -> __m512i {
    let shifted = match to as i32 - from as i32 {
        0 => bytes,
        left @ 1.. => _mm512_sll_epi16(bytes, _mm_cvtsi32_si128(left)),
        right => _mm512_srl_epi16(bytes, _mm_cvtsi32_si128(-right)),
    };
    _mm512_and_si512(shifted, _mm512_set1_epi8(mask))
}
