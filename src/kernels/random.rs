//! Repeatable pseudo-random numbers for the kernels' tests.

use super::quant::QuantType;

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1.
    pub(super) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Approximately normal, with mean 0 and variance 1.
    pub(super) fn gaussian(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    pub(super) fn gaussians(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.gaussian()).collect()
    }

    /// `values` values of `quant` with random quants and scales near `scale`.
    pub(super) fn blocks(&mut self, quant: QuantType, values: usize, scale: f32) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..values / quant.block_len() * quant.block_bytes()).map(|_| self.next() as u8).collect();
        for block in bytes.chunks_exact_mut(quant.block_bytes()) {
            match quant {
                QuantType::F32 | QuantType::Q8K => {
                    block[..4].copy_from_slice(&(scale * self.gaussian()).to_le_bytes());
                }
                QuantType::Bf16 => {
                    block.copy_from_slice(&half::bf16::from_f32(scale * self.gaussian()).to_le_bytes());
                }
                _ => {}
            }
            for &offset in Self::f16_offsets(quant) {
                let value = half::f16::from_f32(scale * self.gaussian());
                block[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
            }
        }
        bytes
    }

    /// Where a block's f16 fields are.
    pub(super) fn f16_offsets(quant: QuantType) -> &'static [usize] {
        match quant {
            QuantType::F32 | QuantType::Bf16 | QuantType::Q8K => &[],
            QuantType::F16 | QuantType::Q4_0 | QuantType::Q5_0 | QuantType::Q8_0 => &[0],
            QuantType::Iq4Nl | QuantType::Iq4Xs => &[0],
            QuantType::Q4_1 | QuantType::Q5_1 | QuantType::Q4K | QuantType::Q5K => &[0, 2],
            QuantType::Q2K => &[80, 82],
            QuantType::Q3K => &[108],
            QuantType::Q6K => &[208],
        }
    }
}
