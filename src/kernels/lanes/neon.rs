//! Eight f32 in two registers.
//!
//! The functions are safe: every aarch64 target of this program has NEON. The standard library's conversions of f16 are
//! newer than the oldest compiler that this project supports, so they are written as assembly.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::math::{LN_2_HIGH, LN_2_LOW, POLYNOMIAL, ROUND, SMALLEST};

#[derive(Clone, Copy)]
pub(in super::super) struct Lanes(float32x4_t, float32x4_t);

/// Sixteen words of 16 bits: eight pairs.
#[derive(Clone, Copy)]
pub(in super::super) struct Words(int16x8_t, int16x8_t);

/// Eight sums of 32 bits.
#[derive(Clone, Copy)]
pub(in super::super) struct Sums(int32x4_t, int32x4_t);

/// Four f16.
///
/// # Safety
/// 8 readable bytes.
#[inline]
pub(in super::super) unsafe fn halves(at: *const u8) -> float32x4_t {
    // SAFETY: the caller's promise; beside the load, registers only.
    unsafe {
        let halves = vld1_u8(at);
        let wide: float32x4_t;
        asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) wide, in(vreg) halves, options(pure, nomem, nostack));
        wide
    }
}

/// The nearest f16 (ties to even).
#[inline]
fn narrow(x: float32x4_t) -> uint16x4_t {
    let halves: uint16x4_t;
    // SAFETY: registers only.
    unsafe { asm!("fcvtn {0:v}.4h, {1:v}.4s", out(vreg) halves, in(vreg) x, options(pure, nomem, nostack)) };
    halves
}

#[inline]
pub(in super::super) fn splat(x: f32) -> Lanes {
    // SAFETY: NEON.
    unsafe { Lanes(vdupq_n_f32(x), vdupq_n_f32(x)) }
}

/// # Safety
/// 8 readable numbers.
#[inline]
pub(in super::super) unsafe fn load(at: *const f32) -> Lanes {
    // SAFETY: the caller's promise.
    unsafe { Lanes(vld1q_f32(at), vld1q_f32(at.add(4))) }
}

/// # Safety
/// 8 writable numbers.
#[inline]
pub(in super::super) unsafe fn store(at: *mut f32, x: Lanes) {
    // SAFETY: the caller's promise.
    unsafe {
        vst1q_f32(at, x.0);
        vst1q_f32(at.add(4), x.1);
    }
}

/// Eight f16.
///
/// # Safety
/// 16 readable bytes.
#[inline]
pub(in super::super) unsafe fn load_halves(at: *const u8) -> Lanes {
    // SAFETY: the caller's promise.
    unsafe { Lanes(halves(at), halves(at.add(8))) }
}

/// One f16.
///
/// # Safety
/// 2 readable bytes.
#[inline]
pub(in super::super) unsafe fn load_half(at: *const u8) -> f32 {
    // SAFETY: the caller's promise; beside the load, registers only.
    unsafe {
        let half = vdup_n_u16(at.cast::<u16>().read_unaligned());
        let wide: f32;
        asm!("fcvt {0:s}, {1:h}", out(vreg) wide, in(vreg) half, options(pure, nomem, nostack));
        wide
    }
}

/// Sixteen signed bytes.
///
/// # Safety
/// 16 readable bytes.
#[inline]
pub(in super::super) unsafe fn load_bytes(at: *const u8) -> Words {
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = vreinterpretq_s8_u8(vld1q_u8(at));
        Words(vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes))
    }
}

/// The pair at `at`, eight times.
///
/// # Safety
/// 2 readable words.
#[inline]
pub(in super::super) unsafe fn splat_pair(at: *const i16) -> Words {
    // SAFETY: the caller's promise.
    let pairs = unsafe { vreinterpretq_s16_s32(vdupq_n_s32(at.cast::<i32>().read_unaligned())) };
    Words(pairs, pairs)
}

#[inline]
pub(in super::super) fn zero_words() -> Words {
    // SAFETY: NEON.
    unsafe { Words(vdupq_n_s16(0), vdupq_n_s16(0)) }
}

#[inline]
pub(in super::super) fn zero_sums() -> Sums {
    // SAFETY: NEON.
    unsafe { Sums(vdupq_n_s32(0), vdupq_n_s32(0)) }
}

/// `sums` plus, for each pair, the two products of `a` and `b`.
#[inline]
pub(in super::super) fn add_products(a: Words, b: Words, sums: Sums) -> Sums {
    // SAFETY: NEON.
    let products = |a, b| unsafe { vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b)) };
    // SAFETY: NEON.
    unsafe { Sums(vaddq_s32(sums.0, products(a.0, b.0)), vaddq_s32(sums.1, products(a.1, b.1))) }
}

#[inline]
pub(in super::super) fn to_floats(sums: Sums) -> Lanes {
    // SAFETY: NEON.
    unsafe { Lanes(vcvtq_f32_s32(sums.0), vcvtq_f32_s32(sums.1)) }
}

/// The nearest integers (ties to even) of numbers within the range of 16 bits.
#[inline]
pub(in super::super) fn to_words(x: Lanes) -> [i16; 8] {
    let mut words = [0; 8];
    // SAFETY: NEON; 16 bytes.
    unsafe {
        let packed = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(x.0)), vqmovn_s32(vcvtnq_s32_f32(x.1)));
        vst1q_s16(words.as_mut_ptr(), packed);
    }
    words
}

/// Prefetches the cache line of `at`, which may be any address, into the second-level cache: the first-level cache can
/// wait for far fewer lines at a time than memory can deliver.
#[inline]
pub(in super::super) fn prefetch(at: *const u8) {
    // SAFETY: a prefetch does not fault.
    unsafe { asm!("prfm pldl2keep, [{}]", in(reg) at, options(nostack, preserves_flags, readonly)) };
}

/// The nearest f16 (ties to even) of numbers within their range.
#[inline]
pub(in super::super) fn to_halves(x: Lanes) -> [[u8; 2]; 8] {
    let mut halves = [[0; 2]; 8];
    // SAFETY: 16 bytes.
    unsafe {
        let narrowed = vcombine_u16(narrow(x.0), narrow(x.1));
        vst1q_u8(halves.as_mut_ptr().cast(), vreinterpretq_u8_u16(narrowed));
    }
    halves
}

/// The nearest integers (ties to even), clamped to -127..=127, as pairs of bytes.
#[inline]
pub(in super::super) fn to_bytes(x: Lanes) -> [[u8; 2]; 4] {
    let mut bytes = [[0; 2]; 4];
    // SAFETY: NEON; 8 bytes.
    unsafe {
        let words = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(x.0)), vqmovn_s32(vcvtnq_s32_f32(x.1)));
        let held = vmax_s8(vqmovn_s16(words), vdup_n_s8(-127));
        vst1_s8(bytes.as_mut_ptr().cast(), held);
    }
    bytes
}

macro_rules! lane_by_lane {
    ($(#[$doc:meta])* $name:ident, $instruction:ident) => {
        $(#[$doc])*
        #[inline]
        pub(in super::super) fn $name(a: Lanes, b: Lanes) -> Lanes {
            // SAFETY: NEON.
            unsafe { Lanes($instruction(a.0, b.0), $instruction(a.1, b.1)) }
        }
    };
}

lane_by_lane!(add, vaddq_f32);
lane_by_lane!(sub, vsubq_f32);
lane_by_lane!(mul, vmulq_f32);
lane_by_lane!(div, vdivq_f32);
lane_by_lane!(
    /// The lesser; `b` where `a` is NaN.
    min,
    vminnmq_f32
);
lane_by_lane!(
    /// The greater; `b` where `a` is NaN.
    max,
    vmaxnmq_f32
);

/// `a * b + c`.
#[inline]
pub(in super::super) fn multiply_add(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
    // SAFETY: NEON.
    unsafe { Lanes(vfmaq_f32(c.0, a.0, b.0), vfmaq_f32(c.1, a.1, b.1)) }
}

#[inline]
pub(in super::super) fn abs(x: Lanes) -> Lanes {
    // SAFETY: NEON.
    unsafe { Lanes(vabsq_f32(x.0), vabsq_f32(x.1)) }
}

/// The greatest of the eight.
#[inline]
pub(in super::super) fn greatest(x: Lanes) -> f32 {
    // SAFETY: NEON.
    unsafe { vmaxnmvq_f32(vmaxnmq_f32(x.0, x.1)) }
}

/// The sum of the eight.
#[inline]
pub(in super::super) fn total(x: Lanes) -> f32 {
    // SAFETY: NEON.
    unsafe { vaddvq_f32(vaddq_f32(x.0, x.1)) }
}

/// `math::exp` of each.
#[inline]
pub(in super::super) fn exp(x: Lanes) -> Lanes {
    Lanes(exp4(x.0), exp4(x.1))
}

#[inline]
fn exp4(x: float32x4_t) -> float32x4_t {
    // SAFETY: NEON.
    unsafe {
        let clamped = vmaxnmq_f32(vminnmq_f32(x, vdupq_n_f32(88.0)), vdupq_n_f32(-88.0));
        let shifted = vfmaq_n_f32(vdupq_n_f32(ROUND), clamped, std::f32::consts::LOG2_E);
        let n = vsubq_f32(shifted, vdupq_n_f32(ROUND));
        let r = vfmsq_n_f32(clamped, n, LN_2_HIGH);
        let r = vfmsq_n_f32(r, n, LN_2_LOW);
        let mut p = vdupq_n_f32(POLYNOMIAL[0]);
        for coefficient in &POLYNOMIAL[1..] {
            p = vfmaq_f32(vdupq_n_f32(*coefficient), p, r);
        }
        let p = vfmaq_f32(vaddq_f32(r, vdupq_n_f32(1.0)), vmulq_f32(p, r), r);
        let exponent = vshlq_n_u32::<23>(vreinterpretq_u32_f32(shifted));
        let power_of_two = vreinterpretq_f32_u32(vaddq_u32(exponent, vdupq_n_u32(127 << 23)));
        let normal = vcgeq_f32(x, vdupq_n_f32(SMALLEST));
        vreinterpretq_f32_u32(vandq_u32(normal, vreinterpretq_u32_f32(vmulq_f32(p, power_of_two))))
    }
}
