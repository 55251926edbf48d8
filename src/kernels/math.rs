//! The exponential function, in a form that the compiler can vectorise. `lanes` has it in vectors.

// Cody and Waite: x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two parts so that r is nearly exact.
pub(super) const LN_2_HIGH: f32 = 0.693_359_4;
pub(super) const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Adding and taking off 1.5 * 2^23 rounds to the nearest integer; the sum's low bits hold that integer.
pub(super) const ROUND: f32 = 12_582_912.0;
/// e^r = 1 + r + r^2 p(r): minimax polynomial, highest power first (Cephes, expf).
pub(super) const POLYNOMIAL: [f32; 6] =
    [1.987_569_2e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 5e-1];
/// Below this the result would not be a normal number.
pub(super) const SMALLEST: f32 = -87.3;

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

    #[test]
    fn exp_has_no_surprises_at_its_ends() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e30), 0.0);
        assert!(exp(1e30).is_finite() && exp(1e30) > 1e38);
    }
}
