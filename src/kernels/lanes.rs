//! Vectors of eight f32: one register of 256 bits with AVX2, FMA and F16C, two of 128 bits with NEON. Both offer the
//! same names, so that a kernel is written once for both, and both have registers for 16 such vectors.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::*;
#[cfg(target_arch = "aarch64")]
pub(super) use neon::*;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::math;

    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    fn exponentials(numbers: [f32; 8]) -> [f32; 8] {
        let mut found = [f32::NAN; 8];
        // SAFETY: the arrays are 8 numbers.
        unsafe { store(found.as_mut_ptr(), exp(load(numbers.as_ptr()))) };
        found
    }

    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    fn by_way_of_halves(numbers: [f32; 8]) -> [f32; 8] {
        let mut found = [f32::NAN; 8];
        // SAFETY: the arrays are 8 numbers, and 8 halves are 16 bytes.
        unsafe {
            let halves = to_halves(load(numbers.as_ptr()));
            store(found.as_mut_ptr(), load_halves(halves.as_ptr().cast()));
        }
        found
    }

    #[test]
    #[allow(unused_unsafe, reason = "the functions are unsafe to call on one of the architectures")]
    fn eight_exponentials_agree_with_one() {
        if Level::detect() == Level::Portable {
            return;
        }
        let numbers = [0.0, f32::NEG_INFINITY, -1e30, 1e30, 1.5, -87.31, -20.25, 80.0];
        // SAFETY: the processor has the instruction sets.
        let found = unsafe { exponentials(numbers) };
        for (found, x) in found.iter().zip(numbers) {
            let expected = math::exp(x);
            assert!((found - expected).abs() <= 3e-7 * expected, "{x}: {found} != {expected}");
        }
    }

    #[test]
    #[allow(unused_unsafe, reason = "the functions are unsafe to call on one of the architectures")]
    fn halves_are_the_nearest_and_come_back() {
        if Level::detect() == Level::Portable {
            return;
        }
        let numbers = [0.0, -1.5, 65504.0, 6e-8, 1e-9, 2049.0, 2051.0, -0.1];
        // SAFETY: the processor has the instruction sets.
        let found = unsafe { by_way_of_halves(numbers) };
        assert_eq!(found, numbers.map(|x| half::f16::from_f32(x).to_f32()));
    }
}
