//! Eight-bit quantisation of activations: `x ~ scale * quant`, `scale = max |x| / 127`, rounded with ties to even.
//!
//! Zeros, values too small to have a reciprocal, infinities and NaN give a zero block.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;

use crate::level::Level;
use crate::matmul::shape::{BLOCK, SUPER};

/// A quantised block of 32.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Block {
    pub(in super::super) quants: [i8; BLOCK],
    /// Rounded to f16 if that is finite, as in GGML's products of these formats.
    pub(in super::super) scale: f32,
    /// The unrounded scale times `sum`, rounded to f16.
    pub(in super::super) scaled_sum: f32,
    pub(in super::super) sum: i32,
}

/// A quantised superblock of 256; its sums are as in [`super::SuperForm`].
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Superblock {
    pub(in super::super) quants: [i8; SUPER],
    pub(in super::super) scale: f32,
    pub(in super::super) sums: [i32; 4],
    pub(in super::super) half_sums: [i32; 16],
}

/// Below this the reciprocal of the scale is not finite.
const SMALLEST: f32 = 1e-36;

pub(in super::super) fn quantize_block(level: Level, values: &[f32; BLOCK]) -> Block {
    let mut quants = [0; BLOCK];
    let (scale, sum) = match quantize(level, values, &mut quants) {
        Some(scale) => (scale, quants.iter().map(|&q| i32::from(q)).sum()),
        None => (0.0, 0),
    };
    Block { quants, scale: nearest_f16(level, scale), scaled_sum: nearest_f16(level, scale * sum as f32), sum }
}

pub(in super::super) fn quantize_superblock(level: Level, values: &[f32; SUPER]) -> Superblock {
    let mut quantized = Superblock { quants: [0; SUPER], scale: 0.0, sums: [0; 4], half_sums: [0; 16] };
    let Some(scale) = quantize(level, values, &mut quantized.quants) else { return quantized };
    quantized.scale = scale;
    for (quants, half_sum) in quantized.quants.chunks_exact(16).zip(&mut quantized.half_sums) {
        let (mut low, mut high) = (0, 0);
        for dword in quants.chunks_exact(4) {
            low += i32::from(dword[0]) + i32::from(dword[1]);
            high += i32::from(dword[2]) + i32::from(dword[3]);
        }
        *half_sum = pair(low, high);
    }
    let sums: [i32; 8] = std::array::from_fn(|i| {
        let of = |half_sum: i32| (half_sum << 16 >> 16) + (half_sum >> 16);
        of(quantized.half_sums[2 * i]) + of(quantized.half_sums[2 * i + 1])
    });
    quantized.sums = std::array::from_fn(|i| pair(sums[2 * i], sums[2 * i + 1]));
    quantized
}

/// Two i16 in a dword.
fn pair(low: i32, high: i32) -> i32 {
    low & 0xffff | high << 16
}

/// Quantises a multiple of 32 values with one scale. `None` means that all quants are zero; `quants` is not written
/// then.
fn quantize(level: Level, values: &[f32], quants: &mut [i8]) -> Option<f32> {
    #[cfg(target_arch = "x86_64")]
    if level.has_avx2() {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::quantize(values, quants) };
    }
    #[cfg(target_arch = "aarch64")]
    if level != Level::Portable {
        // SAFETY: the processor has NEON.
        return unsafe { neon::quantize(values, quants) };
    }
    let _ = level;
    let max = values.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    if !is_quantizable(max) {
        return None;
    }
    let inverse = 127.0 / max;
    for (quant, value) in quants.iter_mut().zip(values) {
        *quant = (value * inverse).round_ties_even() as i8;
    }
    Some(max / 127.0)
}

/// Whether a block whose largest magnitude is `max` has a scale.
fn is_quantizable(max: f32) -> bool {
    max > SMALLEST && max.is_finite()
}

fn nearest_f16(level: Level, x: f32) -> f32 {
    let _ = level;
    let nearest = half::f16::from_f32(x);
    if nearest.is_finite() { nearest.to_f32() } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn every_level_gives_the_same_quants() {
        let random = &mut Random::new(5);
        let mut cases: Vec<Vec<f32>> = (0..20).map(|_| random.gaussians(SUPER)).collect();
        cases.push(vec![0.0; SUPER]);
        cases.push(vec![-1e30; SUPER]);
        cases.push(vec![1e-38; SUPER]);
        cases.push((0..SUPER).map(|i| if i == 9 { f32::INFINITY } else { 1.0 }).collect());
        cases.push((0..SUPER).map(|i| (i as f32 - 128.0) * 0.5).collect());
        for values in &cases {
            let superblock = values.first_chunk().expect("256 values");
            let plain = quantize_superblock(Level::Portable, superblock);
            assert_eq!(quantize_superblock(Level::detect(), superblock), plain);
            for block in values.as_chunks::<BLOCK>().0 {
                assert_eq!(quantize_block(Level::detect(), block), quantize_block(Level::Portable, block));
            }
        }
    }

    #[test]
    fn blocks_without_a_scale_are_zero() {
        for bad in [0.0, f32::INFINITY, f32::MIN_POSITIVE / 4.0] {
            let block = quantize_block(Level::detect(), &[bad; BLOCK]);
            assert_eq!(block, Block { quants: [0; BLOCK], scale: 0.0, scaled_sum: 0.0, sum: 0 }, "{bad}");
        }
    }

    #[test]
    fn sums_are_those_of_the_quants() {
        let values: [f32; SUPER] = std::array::from_fn(|i| (i % 9) as f32 - 3.0);
        let Superblock { quants, sums, half_sums, .. } = quantize_superblock(Level::detect(), &values);
        let sum_where = |range: std::ops::Range<usize>, wanted: &dyn Fn(usize) -> bool| {
            range.filter(|i| wanted(*i)).map(|i| i32::from(quants[i])).sum::<i32>()
        };
        for (i, sum) in sums.iter().enumerate() {
            let start = 64 * i;
            assert_eq!(sum << 16 >> 16, sum_where(start..start + 32, &|_| true));
            assert_eq!(sum >> 16, sum_where(start + 32..start + 64, &|_| true));
        }
        for (i, sum) in half_sums.iter().enumerate() {
            let range = 16 * i..16 * i + 16;
            assert_eq!(sum << 16 >> 16, sum_where(range.clone(), &|i| i % 4 < 2));
            assert_eq!(sum >> 16, sum_where(range, &|i| i % 4 >= 2));
        }
    }
}
