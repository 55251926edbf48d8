//! Packing the parts of 16 native blocks, for any processor.

use super::{Part, SCALE_ORDER, Span};
use crate::level::Level;
use crate::matmul::shape::ROWS;
use crate::quant::k_scale_min;

impl Part {
    /// Packs this part of 16 native blocks into `packed`, with the instruction sets of `level`.
    pub(super) fn pack(self, level: Level, rows: &[&[u8]; ROWS], packed: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if level.has_avx2() {
            // SAFETY: the processor has AVX2.
            return unsafe { super::avx2::pack(self, rows, packed) };
        }
        let _ = level;
        self.pack_plain(rows, packed);
    }

    /// [`Part::pack`] for any processor.
    pub(super) fn pack_plain(self, rows: &[&[u8]; ROWS], packed: &mut [u8]) {
        match self {
            Self::Halves(start) => {
                for (packed, row) in packed.chunks_exact_mut(2).zip(rows) {
                    packed.copy_from_slice(&row[start..start + 2]);
                }
            }
            Self::Bytes(Span { start, count }) => {
                for (r, row) in rows.iter().enumerate() {
                    for (vector, byte) in packed.chunks_exact_mut(ROWS).zip(&row[start..start + count]) {
                        vector[SCALE_ORDER[r]] = *byte;
                    }
                }
            }
            Self::SixBits(start) => pack_six_bits(&rows.map(|row| &row[start..start + 12]), packed),
            Self::Dwords(Span { start, count }) => {
                for (r, row) in rows.iter().enumerate() {
                    let (dwords, _) = row[start..start + 4 * count].as_chunks::<4>();
                    let (vectors, _) = packed.as_chunks_mut::<64>();
                    for (vector, dword) in vectors.iter_mut().zip(dwords) {
                        vector[4 * r..4 * r + 4].copy_from_slice(dword);
                    }
                }
            }
        }
    }
}

/// Six-bit values 0..8 of a row are its scales, 8..16 its mins; value v of row r is byte `SCALE_ORDER[r] + 16 (v % 2)` of
/// vector v / 2 of 8. Six vectors are stored: their low six bits are vectors 0..6; the top two bits of stored vectors 0,
/// 1, 2 are bits 0-1, 2-3, 4-5 of vector 6, and those of stored vectors 3, 4, 5 the same of vector 7.
fn pack_six_bits(scales: &[&[u8]; ROWS], packed: &mut [u8]) {
    let mut vectors = [[0u8; 32]; 8];
    for (r, scales) in scales.iter().enumerate() {
        for sub_block in 0..8 {
            let (scale, min) = k_scale_min(scales, sub_block);
            let byte = SCALE_ORDER[r] + sub_block % 2 * ROWS;
            vectors[sub_block / 2][byte] = scale;
            vectors[4 + sub_block / 2][byte] = min;
        }
    }
    for (v, stored) in packed.chunks_exact_mut(32).enumerate() {
        for (byte, stored) in stored.iter_mut().enumerate() {
            *stored = vectors[v][byte] | (vectors[6 + v / 3][byte] >> (v % 3 * 2) & 3) << 6;
        }
    }
}
