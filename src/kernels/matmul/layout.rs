//! The interleaved layout: 16 rows of one block side by side, at exactly the file's bytes.
//!
//! For each group of 16 rows, block after block along the columns, the parts of the 16 native blocks follow one
//! another. Dwords are transposed: the same 4 bytes of all 16 rows lie together in 64 bytes, so a vector holds 4
//! neighbouring columns of 8 (or 16) rows and one activation dword, broadcast, meets them all. Rows are padded to
//! whole groups with zero blocks.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod pack;

use std::ops::Range;

use super::shape::{BLOCK, GROUP, ROWS};
use crate::level::Level;
use crate::quant::QuantType;
use crate::tuning::Tuning;

/// Where row r's byte lies in 16 bytes of scales. In this order, widening to 16 bits and unpacking gives rows 0..8 in
/// the low halves and rows 8..16 in the high halves without crossing vector lanes.
pub(super) const SCALE_ORDER: [usize; ROWS] = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15];

/// Bytes of the packed six-bit scales and mins of 16 rows.
const SIX_BIT_BYTES: usize = 192;

/// One part of a block of 16 rows; the number is its byte offset in the native block.
#[derive(Clone, Copy)]
enum Part {
    /// An f16 (or another two bytes) of each row, in row order.
    Halves(usize),
    /// Bytes in `SCALE_ORDER` order, one vector of 16 per native byte.
    Bytes(Span),
    /// The 12 bytes of six-bit scales and mins of Q4_K and Q5_K, see `pack::pack_six_bits`.
    SixBits(usize),
    /// Dwords, in row order, one vector of 64 bytes per native dword.
    Dwords(Span),
}

/// A range of bytes or dwords in the native block.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    count: usize,
}

const fn halves(start: usize) -> Part {
    Part::Halves(start)
}

const fn bytes(start: usize, count: usize) -> Part {
    Part::Bytes(Span { start, count })
}

const fn dwords(start: usize, count: usize) -> Part {
    Part::Dwords(Span { start, count })
}

/// The parts of a type's block in the order in which they are stored; `None` if the type is kept as in the file.
const fn parts(quant: QuantType) -> Option<&'static [Part]> {
    Some(match quant {
        QuantType::Q4_0 | QuantType::Iq4Nl => const { &[halves(0), dwords(2, 4)] },
        QuantType::Q4_1 => const { &[halves(0), halves(2), dwords(4, 4)] },
        QuantType::Q5_0 => const { &[halves(0), dwords(2, 1), dwords(6, 4)] },
        QuantType::Q5_1 => const { &[halves(0), halves(2), dwords(4, 1), dwords(8, 4)] },
        QuantType::Q8_0 => const { &[halves(0), dwords(2, 8)] },
        QuantType::Q4K => const { &[halves(0), halves(2), Part::SixBits(4), dwords(16, 32)] },
        QuantType::Q5K => const { &[halves(0), halves(2), Part::SixBits(4), dwords(16, 8), dwords(48, 32)] },
        QuantType::Q6K => const { &[halves(208), bytes(192, 16), dwords(0, 32), dwords(128, 16)] },
        QuantType::Q2K => const { &[halves(80), halves(82), bytes(0, 16), dwords(16, 16)] },
        QuantType::Q3K => const { &[halves(108), bytes(96, 12), dwords(0, 8), dwords(32, 16)] },
        QuantType::Iq4Xs => const { &[halves(0), halves(2), dwords(4, 1), dwords(8, 32)] },
        QuantType::F32 | QuantType::F16 | QuantType::Bf16 | QuantType::Q8K => return None,
    })
}

/// The offset, among the packed bytes of 16 blocks, of the part that begins at byte `native` of a native block.
pub(super) const fn part_offset(quant: QuantType, native: usize) -> usize {
    let Some(parts) = parts(quant) else { panic!("the type is kept as in the file") };
    let (mut part, mut offset) = (0, 0);
    while parts[part].start() != native {
        offset += parts[part].packed_bytes();
        part += 1;
    }
    offset
}

/// Whether the type has an interleaved layout.
pub(super) fn is_interleaved(quant: QuantType) -> bool {
    parts(quant).is_some()
}

/// Whether every 32 columns have a scale of their own, and are multiplied with activations that do, too.
pub(super) fn has_block_scales(quant: QuantType) -> bool {
    is_interleaved(quant) && (quant.block_len() == BLOCK || quant == QuantType::Iq4Xs)
}

/// Bytes of one group of 16 rows of `cols` columns.
pub(super) fn group_bytes(quant: QuantType, cols: usize) -> usize {
    ROWS * (cols / quant.block_len() * quant.block_bytes())
}

/// Interleaves whole rows of native blocks, groups of 16 of which the last may have fewer, into `packed` (whole groups).
pub(super) fn pack(level: Level, quant: QuantType, cols: usize, native: &[u8], packed: &mut [u8]) {
    let parts = parts(quant).expect("only interleaved types are packed");
    let group_bytes = group_bytes(quant, cols);
    for (native, packed) in native.chunks(group_bytes).zip(packed.chunks_exact_mut(group_bytes)) {
        pack_group(level, parts, quant.block_bytes(), native, packed);
    }
}

fn pack_group(level: Level, parts: &[Part], block_bytes: usize, native: &[u8], packed: &mut [u8]) {
    let zeros = [0; 256];
    let row_bytes = packed.len() / ROWS;
    for (block, mut packed) in packed.chunks_exact_mut(ROWS * block_bytes).enumerate() {
        let start = block * block_bytes;
        let mut rows = [&zeros[..block_bytes]; ROWS];
        for (row, native) in rows.iter_mut().zip(native.chunks_exact(row_bytes)) {
            *row = &native[start..start + block_bytes];
        }
        for part in parts {
            let (target, rest) = packed.split_at_mut(part.packed_bytes());
            part.pack(level, &rows, target);
            packed = rest;
        }
    }
}

/// Gathers the native blocks of `row` (of its whole width) out of the packed matrix.
pub(super) fn unpack_row(quant: QuantType, cols: usize, packed: &[u8], row: usize, native: &mut [u8]) {
    let parts = parts(quant).expect("only interleaved types are packed");
    let group_bytes = group_bytes(quant, cols);
    let group = &packed[row / ROWS * group_bytes..(row / ROWS + 1) * group_bytes];
    let block_bytes = quant.block_bytes();
    for (mut packed, native) in group.chunks_exact(ROWS * block_bytes).zip(native.chunks_exact_mut(block_bytes)) {
        for part in parts {
            let (source, rest) = packed.split_at(part.packed_bytes());
            part.unpack(source, row % ROWS, native);
            packed = rest;
        }
    }
}

impl Part {
    /// The part's byte offset in the native block.
    const fn start(self) -> usize {
        match self {
            Self::Halves(start) | Self::SixBits(start) => start,
            Self::Bytes(range) | Self::Dwords(range) => range.start,
        }
    }

    const fn packed_bytes(self) -> usize {
        match self {
            Self::Halves(_) => 2 * ROWS,
            Self::Bytes(range) => range.count * ROWS,
            Self::SixBits(_) => SIX_BIT_BYTES,
            Self::Dwords(range) => range.count * 4 * ROWS,
        }
    }

    fn unpack(self, packed: &[u8], row: usize, native: &mut [u8]) {
        match self {
            Self::Halves(start) => native[start..start + 2].copy_from_slice(&packed[2 * row..2 * row + 2]),
            Self::Bytes(Span { start, count }) => {
                for (byte, vector) in native[start..start + count].iter_mut().zip(packed.chunks_exact(ROWS)) {
                    *byte = vector[SCALE_ORDER[row]];
                }
            }
            Self::SixBits(start) => native[start..start + 12].copy_from_slice(&unpack_six_bits(packed, row)),
            Self::Dwords(Span { start, count }) => {
                let dwords = native[start..start + 4 * count].chunks_exact_mut(4);
                for (dword, vector) in dwords.zip(packed.chunks_exact(4 * ROWS)) {
                    dword.copy_from_slice(&vector[4 * row..4 * row + 4]);
                }
            }
        }
    }
}

/// The inverse of `pack::pack_six_bits`, back into the native 12 bytes of one row.
fn unpack_six_bits(packed: &[u8], row: usize) -> [u8; 12] {
    let value = |v: usize| {
        let (vector, byte) = (v / 2, SCALE_ORDER[row] + v % 2 * ROWS);
        let stored = |v: usize| packed[v * 32 + byte];
        match vector {
            0..6 => stored(vector) & 63,
            _ => (0..3).map(|i| stored((vector - 6) * 3 + i) >> 6 << (2 * i)).sum(),
        }
    };
    let mut native = [0; 12];
    for i in 0..4 {
        let (scale, min, scale_high, min_high) = (value(i), value(8 + i), value(4 + i), value(12 + i));
        native[i] = scale | scale_high >> 4 << 6;
        native[4 + i] = min | min_high >> 4 << 6;
        native[8 + i] = scale_high & 15 | min_high << 4;
    }
    native
}

/// Row groups of one task of a product with `m` activation rows on `threads` threads: enough tasks that threads finish
/// together, few enough that each streams where memory is the limit.
pub(super) fn task_groups(rows: usize, m: usize, threads: usize, tuning: &Tuning) -> usize {
    let tasks_per_thread = if m > GROUP { 32 } else { tuning.tasks_per_thread };
    rows.div_ceil(ROWS).div_ceil(threads * tasks_per_thread).max(1)
}

/// The groups of task `task`, of `per_task` groups each.
pub(super) fn groups_of(task: usize, per_task: usize, rows: usize) -> Range<usize> {
    task * per_task..((task + 1) * per_task).min(rows.div_ceil(ROWS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const INTERLEAVED: [QuantType; 12] = [
        QuantType::Q4_0,
        QuantType::Q4_1,
        QuantType::Q5_0,
        QuantType::Q5_1,
        QuantType::Q8_0,
        QuantType::Iq4Nl,
        QuantType::Iq4Xs,
        QuantType::Q2K,
        QuantType::Q3K,
        QuantType::Q4K,
        QuantType::Q5K,
        QuantType::Q6K,
    ];
    /// Not whole groups.
    const SIZE: (usize, usize) = (37, 512);

    fn native(quant: QuantType) -> Vec<u8> {
        Random::new(1).blocks(quant, SIZE.0 * SIZE.1, 1.0)
    }

    fn packed(level: Level, quant: QuantType, native: &[u8]) -> Vec<u8> {
        let mut packed = vec![0xff; SIZE.0.div_ceil(ROWS) * group_bytes(quant, SIZE.1)];
        pack(level, quant, SIZE.1, native, &mut packed);
        packed
    }

    #[test]
    fn every_row_comes_back_as_it_was() {
        for quant in INTERLEAVED {
            let native = native(quant);
            let packed = packed(Level::Portable, quant, &native);
            let row_bytes = native.len() / SIZE.0;
            let mut row = vec![0; row_bytes];
            for (index, expected) in native.chunks_exact(row_bytes).enumerate() {
                unpack_row(quant, SIZE.1, &packed, index, &mut row);
                assert_eq!(row, expected, "{quant:?} row {index}");
            }
        }
    }

    #[test]
    fn every_level_packs_the_same_bytes() {
        for (quant, level) in INTERLEAVED.into_iter().flat_map(|quant| Level::supported().map(move |l| (quant, l))) {
            let native = native(quant);
            let expected = packed(Level::Portable, quant, &native);
            assert!(packed(level, quant, &native) == expected, "{quant:?} at {level:?}");
        }
    }
}
