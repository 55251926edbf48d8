//! The exponential function, in a form that the compiler can vectorise and in vectors.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

// Cody and Waite: x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two parts so that r is nearly exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Adding and taking off 1.5 * 2^23 rounds to the nearest integer; the sum's low bits hold that integer.
const ROUND: f32 = 12_582_912.0;
/// e^r = 1 + r + r^2 p(r): minimax polynomial, highest power first (Cephes, expf).
const POLYNOMIAL: [f32; 6] = [1.987_569_2e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 5e-1];
/// Below this the result would not be a normal number.
const SMALLEST: f32 = -87.3;

/// `e^x` within 2 units in the last place, without branches. Beyond the range of f32 it gives 0 or a huge number,
/// never NaN; smaller results than the least normal number are 0.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-88.0, 88.0);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut p = POLYNOMIAL[0];
    for coefficient in &POLYNOMIAL[1..] {
        p = p * r + coefficient;
    }
    p = p * r * r + r + 1.0;
    let power_of_two = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < SMALLEST { 0.0 } else { p * power_of_two }
}

/// [`exp`] of eight numbers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(super) fn exp8(x: __m256) -> __m256 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for step in -8700..8800 {
            let x = step as f32 * 0.01 + 0.003;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found - expected).abs() <= 2.4e-7 * expected, "{x}: {found} != {expected}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn eight_at_once_agree_with_one() {
        if !is_x86_feature_detected!("avx2") || !is_x86_feature_detected!("fma") {
            return;
        }
        let lanes = [0.0, f32::NEG_INFINITY, -1e30, 1e30, 1.5, -87.31, -20.25, 80.0];
        let mut found = [f32::NAN; 8];
        // SAFETY: the processor has AVX2 and FMA, the arrays are 8 numbers.
        unsafe { _mm256_storeu_ps(found.as_mut_ptr(), exp8(_mm256_loadu_ps(lanes.as_ptr()))) };
        for (found, x) in found.iter().zip(lanes) {
            assert!((found - exp(x)).abs() <= 3e-7 * exp(x), "{x}: {found} != {}", exp(x));
        }
    }

    #[test]
    fn exp_has_no_surprises_at_its_ends() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e30), 0.0);
        assert!(exp(1e30).is_finite() && exp(1e30) > 1e38);
    }
}
