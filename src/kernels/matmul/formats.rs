//! What the kernels of all instruction sets know about a quantised format: sizes and offsets, derived from the layout.
//! Each format is a type, for which an instruction set implements how its bits are unpacked.

use super::layout;
use super::shape::{BLOCK, ROWS};
use crate::quant::QuantType;

/// A format with a scale per block of 32 columns. A unit is 8 blocks, which are 256 columns, or fewer at the end of a
/// row.
pub(super) trait LegacyQuant {
    const QUANT: QuantType;
    /// What is subtracted from every quant, as unsigned bits.
    const OFFSET: i32;
    /// Whether an f16 minimum follows the f16 scale; the scaled sum of the activations multiplies it.
    const HAS_MIN: bool;

    /// Bytes of 16 rows of one block.
    const BYTES: usize = ROWS * Self::QUANT.block_bytes() / (Self::QUANT.block_len() / BLOCK);
    /// Where the quants of 16 rows begin in a unit, after the scales and minima of the first block or of all.
    const QUANTS_AT: usize = 2 * ROWS * (1 + Self::HAS_MIN as usize);
    /// Distance in bytes between the quants of one block and those of the next.
    const QUANTS_STEP: usize = Self::BYTES;
}

/// A K-quant: integer scales of sub-blocks in a superblock of 256 columns.
pub(super) trait KQuant {
    const QUANT: QuantType;
    /// Columns that have one integer scale.
    const SCALE_COLUMNS: usize;
    /// Columns that have one integer minimum; 0 without minima.
    const MIN_COLUMNS: usize;
    /// What is subtracted from every quant, as unsigned bits.
    const OFFSET: i16;

    /// Bytes of 16 rows of one superblock.
    const BYTES: usize = ROWS * Self::QUANT.block_bytes();
    /// Sub-blocks of 16 columns that have one integer scale.
    const SCALE_SUB_BLOCKS: usize = Self::SCALE_COLUMNS / 16;
}

macro_rules! legacy_quant {
    ($name:ident, offset $offset:literal, min $min:literal) => {
        pub(super) struct $name;

        impl LegacyQuant for $name {
            const QUANT: QuantType = QuantType::$name;
            const OFFSET: i32 = $offset;
            const HAS_MIN: bool = $min;
        }
    };
}

legacy_quant!(Q4_0, offset 8, min false);
legacy_quant!(Q4_1, offset 0, min true);
legacy_quant!(Q5_0, offset 16, min false);
legacy_quant!(Q5_1, offset 0, min true);
legacy_quant!(Q8_0, offset 0, min false);
legacy_quant!(Iq4Nl, offset 0, min false);

/// Eight blocks behind an f16 and their six-bit scales.
pub(super) struct Iq4Xs;

impl LegacyQuant for Iq4Xs {
    const QUANT: QuantType = QuantType::Iq4Xs;
    const OFFSET: i32 = 0;
    const HAS_MIN: bool = false;
    const QUANTS_AT: usize = layout::part_offset(QuantType::Iq4Xs, 8);
    const QUANTS_STEP: usize = ROWS * BLOCK / 2;
}

impl Iq4Xs {
    /// Where the top two bits of the scales of 16 rows begin: a u16 per row, with bits 2 b and 2 b + 1 for block b.
    pub(super) const HIGH: usize = layout::part_offset(QuantType::Iq4Xs, 2);
    /// Where their low four bits begin: a dword per row, with nibble b for block b.
    pub(super) const LOW: usize = layout::part_offset(QuantType::Iq4Xs, 4);
}

macro_rules! k_quant {
    ($name:ident, scale of $scale:literal, min of $min:literal, offset $offset:literal, { $($part:ident: $byte:literal,)* }) => {
        pub(super) struct $name;

        impl KQuant for $name {
            const QUANT: QuantType = QuantType::$name;
            const SCALE_COLUMNS: usize = $scale;
            const MIN_COLUMNS: usize = $min;
            const OFFSET: i16 = $offset;
        }

        impl $name {
            $(
                /// Where this part of 16 rows begins in their superblock.
                pub(super) const $part: usize = layout::part_offset(QuantType::$name, $byte);
            )*
        }
    };
}

// The number of a part is where it begins in the native block.
k_quant!(Q2K, scale of 16, min of 16, offset 0, { SCALES: 0, QUANTS: 16, });
k_quant!(Q3K, scale of 16, min of 0, offset 4, { SCALES: 96, HIGH: 0, QUANTS: 32, });
k_quant!(Q4K, scale of 32, min of 32, offset 0, { SCALES: 4, QUANTS: 16, });
k_quant!(Q5K, scale of 32, min of 32, offset 0, { SCALES: 4, HIGH: 16, QUANTS: 48, });
k_quant!(Q6K, scale of 16, min of 0, offset 32, { SCALES: 192, QUANTS: 0, HIGH: 128, });

/// The floats, as the file has them.
pub(super) struct F32;
pub(super) struct F16;
pub(super) struct Bf16;

/// The only table from a quantised type to code that is generic over its format. Each arm is an expression that may use
/// the given name for the format.
///
/// ```ignore
/// with_format!(quant, float F => floats::group::<F>, legacy F => legacy::group::<F>, k_quant F => k_quants::group::<F>)
/// ```
macro_rules! with_format {
    ($quant:expr, float $f:ident => $float:expr, legacy $l:ident => $legacy:expr, k_quant $k:ident => $k_quant:expr) => {
        with_format!(@ $quant,
            [$f $float] [F32 F16 Bf16],
            [$l $legacy] [Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Iq4Nl Iq4Xs],
            [$k $k_quant] [Q2K Q3K Q4K Q5K Q6K]
        )
    };
    (@ $quant:expr, $($with:tt [$($format:ident)*]),*) => {
        match $quant {
            $($(QuantType::$format => with_format!(@arm $format $with),)*)*
            QuantType::Q8K => unreachable!("Q8_K has only the plain kernel"),
        }
    };
    (@arm $format:ident [$name:ident $value:expr]) => {{
        #[allow(dead_code, reason = "not every expression is of the format")]
        type $name = $crate::matmul::formats::$format;
        $value
    }};
}
pub(super) use with_format;
