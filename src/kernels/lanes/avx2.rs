//! Eight f32 in one register. Everything here is unsafe to call without AVX2, FMA and F16C.

use std::arch::x86_64::*;

use crate::math::{LN_2_HIGH, LN_2_LOW, POLYNOMIAL, ROUND, SMALLEST};

pub(in super::super) type Lanes = __m256;

/// Sixteen words of 16 bits: eight pairs.
pub(in super::super) type Words = __m256i;

/// Eight sums of 32 bits.
pub(in super::super) type Sums = __m256i;

#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn splat(x: f32) -> Lanes {
    _mm256_set1_ps(x)
}

/// # Safety
/// 8 readable numbers.
#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) unsafe fn load(at: *const f32) -> Lanes {
    // SAFETY: the caller's promise.
    unsafe { _mm256_loadu_ps(at) }
}

/// # Safety
/// 8 writable numbers.
#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) unsafe fn store(at: *mut f32, x: Lanes) {
    // SAFETY: the caller's promise.
    unsafe { _mm256_storeu_ps(at, x) }
}

/// Eight f16.
///
/// # Safety
/// 16 readable bytes.
#[target_feature(enable = "avx2,f16c")]
#[inline]
pub(in super::super) unsafe fn load_halves(at: *const u8) -> Lanes {
    // SAFETY: the caller's promise.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(at.cast()) })
}

/// One f16.
///
/// # Safety
/// 2 readable bytes.
#[target_feature(enable = "avx2,f16c")]
#[inline]
pub(in super::super) unsafe fn load_half(at: *const u8) -> f32 {
    // SAFETY: the caller's promise.
    let bits = unsafe { at.cast::<u16>().read_unaligned() };
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits))))
}

/// Sixteen signed bytes.
///
/// # Safety
/// 16 readable bytes.
#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) unsafe fn load_bytes(at: *const u8) -> Words {
    // SAFETY: the caller's promise.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(at.cast()) })
}

/// The pair at `at`, eight times.
///
/// # Safety
/// 2 readable words.
#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) unsafe fn splat_pair(at: *const i16) -> Words {
    // SAFETY: the caller's promise.
    _mm256_set1_epi32(unsafe { at.cast::<i32>().read_unaligned() })
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn zero_words() -> Words {
    _mm256_setzero_si256()
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn zero_sums() -> Sums {
    _mm256_setzero_si256()
}

/// `sums` plus, for each pair, the two products of `a` and `b`.
#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn add_products(a: Words, b: Words, sums: Sums) -> Sums {
    _mm256_add_epi32(sums, _mm256_madd_epi16(a, b))
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn to_floats(sums: Sums) -> Lanes {
    _mm256_cvtepi32_ps(sums)
}

/// The nearest integers (ties to even) of numbers within the range of 16 bits.
#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn to_words(x: Lanes) -> [i16; 8] {
    let integers = _mm256_cvtps_epi32(x);
    let mut words = [0; 8];
    let packed = _mm_packs_epi32(_mm256_castsi256_si128(integers), _mm256_extracti128_si256::<1>(integers));
    // SAFETY: 16 bytes.
    unsafe { _mm_storeu_si128(words.as_mut_ptr().cast(), packed) };
    words
}

/// Prefetches the cache line of `at`, which may be any address, into the second-level cache: the first-level cache can
/// wait for far fewer lines at a time than memory can deliver.
#[inline]
pub(in super::super) fn prefetch(at: *const u8) {
    // SAFETY: a prefetch does not fault, and every x86-64 processor has the instruction. With an intrinsic, the
    // compiler would move several of them to one place.
    unsafe { std::arch::asm!("prefetcht1 [{}]", in(reg) at, options(nostack, preserves_flags)) };
}

/// The nearest f16 (ties to even) of numbers within their range.
#[target_feature(enable = "avx2,f16c")]
#[inline]
pub(in super::super) fn to_halves(x: Lanes) -> [[u8; 2]; 8] {
    let mut halves = [[0; 2]; 8];
    // SAFETY: 16 bytes.
    unsafe { _mm_storeu_si128(halves.as_mut_ptr().cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)) };
    halves
}

/// The nearest integers (ties to even), clamped to -127..=127, as pairs of bytes.
#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn to_bytes(x: Lanes) -> [[u8; 2]; 4] {
    let integers = _mm256_cvtps_epi32(min(x, splat(127.0)));
    let words = _mm_packs_epi32(_mm256_castsi256_si128(integers), _mm256_extracti128_si256::<1>(integers));
    let held = _mm_max_epi8(_mm_packs_epi16(words, words), _mm_set1_epi8(-127));
    let mut bytes = [[0; 2]; 4];
    // SAFETY: 8 bytes.
    unsafe { _mm_storel_epi64(bytes.as_mut_ptr().cast(), held) };
    bytes
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn add(a: Lanes, b: Lanes) -> Lanes {
    _mm256_add_ps(a, b)
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn sub(a: Lanes, b: Lanes) -> Lanes {
    _mm256_sub_ps(a, b)
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn mul(a: Lanes, b: Lanes) -> Lanes {
    _mm256_mul_ps(a, b)
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn div(a: Lanes, b: Lanes) -> Lanes {
    _mm256_div_ps(a, b)
}

/// `a * b + c`.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub(in super::super) fn multiply_add(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
    _mm256_fmadd_ps(a, b, c)
}

/// The lesser; `b` where `a` is NaN.
#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn min(a: Lanes, b: Lanes) -> Lanes {
    _mm256_min_ps(a, b)
}

/// The greater; `b` where `a` is NaN.
#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn max(a: Lanes, b: Lanes) -> Lanes {
    _mm256_max_ps(a, b)
}

#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn abs(x: Lanes) -> Lanes {
    _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fff_ffff)))
}

/// The greatest of the eight.
#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn greatest(x: Lanes) -> f32 {
    horizontal(x, |a, b| _mm_max_ps(a, b))
}

/// The sum of the eight.
#[target_feature(enable = "avx2")]
#[inline]
pub(in super::super) fn total(x: Lanes) -> f32 {
    horizontal(x, |a, b| _mm_add_ps(a, b))
}

/// Combines the 8 lanes to one.
#[target_feature(enable = "avx2")]
#[inline]
fn horizontal(x: Lanes, combine: impl Fn(__m128, __m128) -> __m128) -> f32 {
    let half = combine(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let quarter = combine(half, _mm_movehl_ps(half, half));
    _mm_cvtss_f32(combine(quarter, _mm_shuffle_ps::<1>(quarter, quarter)))
}

/// `math::exp` of each.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub(in super::super) fn exp(x: Lanes) -> Lanes {
    let clamped = _mm256_max_ps(_mm256_min_ps(x, _mm256_set1_ps(88.0)), _mm256_set1_ps(-88.0));
    let shifted = _mm256_fmadd_ps(clamped, _mm256_set1_ps(std::f32::consts::LOG2_E), _mm256_set1_ps(ROUND));
    let n = _mm256_sub_ps(shifted, _mm256_set1_ps(ROUND));
    let r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN_2_HIGH), clamped);
    let r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN_2_LOW), r);
    let mut p = _mm256_set1_ps(POLYNOMIAL[0]);
    for coefficient in &POLYNOMIAL[1..] {
        p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(*coefficient));
    }
    let p = _mm256_fmadd_ps(_mm256_mul_ps(p, r), r, _mm256_add_ps(r, _mm256_set1_ps(1.0)));
    let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(shifted));
    let power_of_two = _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(127 << 23)));
    let normal = _mm256_cmp_ps::<_CMP_GE_OQ>(x, _mm256_set1_ps(SMALLEST));
    _mm256_and_ps(normal, _mm256_mul_ps(p, power_of_two))
}
