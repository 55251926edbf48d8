//! The K-quants: 32-bit sums over a sub-block, times its integer scale into the sums of a superblock of 256.
//!
//! Quants are unsigned bytes below 64, so they serve as signed ones too; an offset is taken off by starting a sub-block's
//! sum at minus the offset times the activations' sum. A superblock's sums stay below 256 * 32 * 127 * 128 = 133 million.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{Sums, dot, load, load_halves, multiply_add, opaque};
use crate::matmul::activations::{Activations, row_groups};
use crate::matmul::fetch::fetch_share;
use crate::matmul::formats::KQuant;
use crate::matmul::shape::{GROUP, ROWS, SUB_BLOCKS, SUPER};
use crate::matmul::superblock::{Expanded, for_four, for_sub_blocks};
use crate::tuning::Tuning;

mod unpack;

/// A K-quant, packed by 16 rows.
pub(in super::super) trait Unpack: KQuant {
    /// Unpacks the scales of a superblock.
    ///
    /// # Safety
    /// NEON; a superblock of weights.
    unsafe fn scales(weights: *const u8) -> Scales;

    /// Dword `chunk` of sub-block `S`, rows `4 g..4 g + 4`, OFFSET not yet taken off.
    ///
    /// # Safety
    /// NEON; a superblock of weights, `S < 16`, `chunk < 4`, `g < 4`.
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize, g: usize) -> int8x16_t;
}

/// The scales of 16 rows of a superblock, ready for use. Vectors come in fours, of 4 rows each.
pub(in super::super) struct Scales {
    scale: [float32x4_t; 4],
    min: [float32x4_t; 4],
    /// Integer scales of the sub-blocks (or of twos of them).
    pub(in super::super) integers: [[int32x4_t; 4]; SUB_BLOCKS],
    /// Integer minima, of `MIN_COLUMNS` columns each.
    minima: [[int16x4_t; 4]; SUB_BLOCKS],
}

impl Scales {
    /// The f16 scales of 16 rows and, 32 bytes on, their minima; no integers yet.
    #[target_feature(enable = "neon")]
    unsafe fn new(weights: *const u8, has_minima: bool) -> Self {
        let mut scales = Self {
            scale: [vdupq_n_f32(0.0); 4],
            min: [vdupq_n_f32(0.0); 4],
            integers: [[vdupq_n_s32(0); 4]; SUB_BLOCKS],
            minima: [[vdup_n_s16(0); 4]; SUB_BLOCKS],
        };
        // SAFETY: the caller passes a superblock, which begins with its f16.
        unsafe {
            scales.scale = load_halves(weights);
            if has_minima {
                scales.min = load_halves(weights.add(32));
            }
        }
        scales
    }
}

/// A superblock of one group of activation rows, see `SuperForm`.
pub(in super::super) struct Input<'a> {
    pub(in super::super) quants: &'a [i8],
    scales: &'a [f32],
    sums: &'a [i32],
    half_sums: &'a [i32],
}

impl<'a> Input<'a> {
    /// Of the `rows` rows from `first` on.
    pub(in super::super) fn new(activations: &'a Activations, superblock: usize, first: usize, rows: usize) -> Self {
        let (form, start) = (&activations.supers, superblock * activations.m + first);
        Self {
            quants: &form.quants[start * SUPER..][..rows * SUPER],
            scales: &form.scales[start..][..rows],
            sums: &form.sums[start * 4..][..rows * 4],
            half_sums: &form.half_sums[start * 16..][..rows * 16],
        }
    }

    /// The sum over sub-block `s` of row `i` of `A`.
    ///
    /// # Safety
    /// An input of `A` rows; `s < 16`, `i < A`.
    #[inline]
    pub(in super::super) unsafe fn sub_block_sum<const A: usize>(&self, s: usize, i: usize) -> i32 {
        // SAFETY: 16 sums of each row.
        both(unsafe { *self.half_sums.as_ptr().add(s * A + i) })
    }

    /// The sums over the columns that have one minimum, of row `i` of `A`.
    ///
    /// # Safety
    /// An input of `A` rows; `i < A`.
    #[inline]
    unsafe fn minimum_sums<const A: usize>(&self, columns: usize, i: usize) -> [i16; SUB_BLOCKS] {
        let mut sums = [0; SUB_BLOCKS];
        // SAFETY: 16 sums of sub-blocks, and 4 dwords with the sums of two blocks of 32, of each row. All fit 16 bits.
        unsafe {
            for (s, sum) in sums.iter_mut().enumerate().take(SUPER / columns) {
                *sum = if columns == 16 {
                    self.sub_block_sum::<A>(s, i) as i16
                } else {
                    (*self.sums.as_ptr().add(4 * i + s / 2) >> (s % 2 * 16)) as i16
                };
            }
        }
        sums
    }
}

/// The sum of the two i16 in a dword.
fn both(pair: i32) -> i32 {
    (pair << 16 >> 16) + (pair >> 16)
}

/// One group of 16 rows with all activation rows.
///
/// # Safety
/// See [`GroupKernel`](crate::matmul::kernel::GroupKernel).
#[target_feature(enable = "neon,dotprod")]
pub(in super::super) unsafe fn group<T: Unpack>(
    weights: &[u8],
    activations: &Activations,
    tuning: &Tuning,
    sums: &mut [f32],
) {
    let m = activations.m;
    debug_assert!(weights.len() == activations.cols / SUPER * T::BYTES && sums.len() == m * ROWS);
    let mut expanded = Expanded([0; ROWS * SUPER]);
    for (superblock, weights) in weights.chunks_exact(T::BYTES).enumerate() {
        let weights = weights.as_ptr();
        // SAFETY: `weights` is one superblock.
        let scales = unsafe { T::scales(weights) };
        let expanded = if m > GROUP {
            // SAFETY: as above.
            unsafe { expand::<T>(weights, tuning.fetch_ahead, &mut expanded) };
            Some(&expanded)
        } else {
            None
        };
        for (first, rows) in row_groups(m) {
            let input = Input::new(activations, superblock, first, rows);
            let ahead = weights.wrapping_add(tuning.fetch_ahead);
            let tile_input = TileInput { weights, ahead, expanded, scales: &scales, input: &input };
            let sums = &mut sums[first * ROWS..][..rows * ROWS];
            // SAFETY: a superblock of weights, and an input and sums of `rows` rows.
            unsafe {
                match rows {
                    1 => tile::<T, 1, 4>(&tile_input, sums),
                    2 => tile::<T, 2, 4>(&tile_input, sums),
                    3 => tile::<T, 3, 2>(&tile_input, sums),
                    _ => tile::<T, 4, 2>(&tile_input, sums),
                }
            }
        }
    }
}

/// What a tile works on.
struct TileInput<'a> {
    weights: *const u8,
    /// The weights to fetch meanwhile.
    ahead: *const u8,
    /// The same as bytes, where there are enough activation rows to be worth it.
    expanded: Option<&'a Expanded>,
    scales: &'a Scales,
    input: &'a Input<'a>,
}

/// Adds the product of 16 rows with `A` activation rows to `sums (A, 16)`, `G` vectors of 4 rows at a time: as many as
/// leave the registers room.
///
/// # Safety
/// The instruction sets of this module; a superblock of weights, an input of `A` rows, `A * 16` sums.
#[target_feature(enable = "neon,dotprod")]
unsafe fn tile<T: Unpack, const A: usize, const G: usize>(tile_input: &TileInput<'_>, sums: &mut [f32]) {
    for first in (0..4).step_by(G) {
        // SAFETY: the caller's promise.
        unsafe {
            let totals = match tile_input.expanded {
                Some(expanded) => bytes::<T, A, G>(expanded, tile_input.scales, tile_input.input, first),
                None => packed::<T, A, G>(tile_input, first),
            };
            finish::<T, A, G>(tile_input.scales, &totals, tile_input.input, first, sums);
        }
    }
}

/// Sums straight from the packed quants, which are unpacked in registers: for few rows. Of the vectors from `first` on.
///
/// # Safety
/// The instruction sets of this module; a superblock of weights and an input of `A` rows.
#[target_feature(enable = "neon,dotprod")]
unsafe fn packed<T: Unpack, const A: usize, const G: usize>(tile_input: &TileInput<'_>, first: usize) -> Sums<A, G> {
    let TileInput { weights, ahead, scales, input, .. } = *tile_input;
    let mut totals = [[vdupq_n_s32(0); G]; A];
    let mut sums = totals;
    let share = T::BYTES * G / 4;
    let ahead = ahead.wrapping_add(share * first / G);
    // SAFETY: the caller's promise; fetching ahead never faults.
    unsafe {
        for_sub_blocks!(S => {
            let weights = opaque(weights);
            if S.is_multiple_of(T::SCALE_SUB_BLOCKS) {
                sums = start::<T, A, G>(input, S);
            }
            for chunk in 0..4 {
                fetch_share(ahead, share, 4 * S + chunk, 64);
            }
            multiply_add!(sums, input.quants.as_ptr().add(16 * A * S), |C, g| T::quants::<S>(weights, C, first + g));
            if (S + 1).is_multiple_of(T::SCALE_SUB_BLOCKS) {
                scale(&mut totals, &sums, &scales.integers[S / T::SCALE_SUB_BLOCKS], first);
            }
        });
    }
    totals
}

/// Sums from expanded quants: for many rows.
///
/// # Safety
/// The instruction sets of this module; an input of `A` rows.
#[target_feature(enable = "neon,dotprod")]
unsafe fn bytes<T: Unpack, const A: usize, const G: usize>(
    expanded: &Expanded,
    scales: &Scales,
    input: &Input<'_>,
    first: usize,
) -> Sums<A, G> {
    let mut totals = [[vdupq_n_s32(0); G]; A];
    for sub_block in (0..SUB_BLOCKS).step_by(T::SCALE_SUB_BLOCKS) {
        // SAFETY: 16 sub-blocks of 4 dwords are exactly what `expanded` and the input hold.
        unsafe {
            let mut sums = start::<T, A, G>(input, sub_block);
            for s in sub_block..sub_block + T::SCALE_SUB_BLOCKS {
                let weights = expanded.0.as_ptr().add(256 * s + 16 * first);
                multiply_add!(sums, input.quants.as_ptr().add(16 * A * s), |C, g| {
                    vreinterpretq_s8_u8(load(weights.add(64 * C + 16 * g)))
                });
            }
            scale(&mut totals, &sums, &scales.integers[sub_block / T::SCALE_SUB_BLOCKS], first);
        }
    }
    totals
}

#[target_feature(enable = "neon")]
unsafe fn expand<T: Unpack>(weights: *const u8, fetch_ahead: usize, expanded: &mut Expanded) {
    let bytes = expanded.0.as_mut_ptr();
    // SAFETY: the caller passes a superblock; 64 dwords of 4 vectors are exactly `expanded`.
    unsafe {
        for_sub_blocks!(S => {
            let weights = opaque(weights);
            for chunk in 0..4 {
                fetch_share(weights.wrapping_add(fetch_ahead), T::BYTES, 4 * S + chunk, 64);
                for g in 0..4 {
                    let vector = vreinterpretq_u8_s8(T::quants::<S>(weights, chunk, g));
                    vst1q_u8(bytes.add((S * 4 + chunk) * 64 + 16 * g), vector);
                }
            }
        });
    }
}

/// What the sums of the scale that begins at sub-block `s` start with: the offset's share, if the type has one.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn start<T: Unpack, const A: usize, const G: usize>(input: &Input<'_>, s: usize) -> Sums<A, G> {
    let mut sums = [[vdupq_n_s32(0); G]; A];
    const { assert!(T::OFFSET == 0 || T::SCALE_SUB_BLOCKS == 1, "the offset is taken off one sub-block at a time") };
    if T::OFFSET != 0 {
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the caller passes an input of `A` rows and a sub-block.
            *sums = [vdupq_n_s32(-i32::from(T::OFFSET) * unsafe { input.sub_block_sum::<A>(s, i) }); G];
        }
    }
    sums
}

/// Adds the sums of a sub-block (or two), times their scale, to those of the superblock.
#[target_feature(enable = "neon")]
#[inline]
fn scale<const A: usize, const G: usize>(
    totals: &mut Sums<A, G>,
    sums: &Sums<A, G>,
    scale: &[int32x4_t; 4],
    first: usize,
) {
    for i in 0..A {
        for g in 0..G {
            // Not `vmlaq_s32`, which the compiler would postpone to the end of a superblock, keeping all sums on the
            // stack until then. SAFETY: registers only.
            unsafe {
                asm!(
                    "mla {total:v}.4s, {sum:v}.4s, {scale:v}.4s",
                    total = inout(vreg) totals[i][g],
                    sum = in(vreg) sums[i][g],
                    scale = in(vreg) scale[first + g],
                    options(nomem, nostack, preserves_flags)
                );
            }
        }
    }
}

/// Scales a superblock's integer sums of the vectors from `first` on, takes off the minima, and adds the result to
/// `out (A, 16)`.
///
/// # Safety
/// NEON; an input of `A` rows and `A * 16` sums.
#[target_feature(enable = "neon")]
pub(in super::super) unsafe fn finish<T: Unpack, const A: usize, const G: usize>(
    scales: &Scales,
    totals: &Sums<A, G>,
    input: &Input<'_>,
    first: usize,
    out: &mut [f32],
) {
    assert_eq!(out.len(), A * ROWS);
    for i in 0..A {
        // SAFETY: the caller's promise.
        unsafe {
            let activation_scale = *input.scales.as_ptr().add(i);
            let mut minima = [vdupq_n_s32(0); G];
            if T::MIN_COLUMNS != 0 {
                let sums = input.minimum_sums::<A>(T::MIN_COLUMNS, i);
                for p in 0..SUPER / T::MIN_COLUMNS {
                    for g in 0..G {
                        minima[g] = vmlal_n_s16(minima[g], scales.minima[p][first + g], sums[p]);
                    }
                }
            }
            for g in 0..G {
                let mut total = vmulq_f32(vcvtq_f32_s32(totals[i][g]), scales.scale[first + g]);
                if T::MIN_COLUMNS != 0 {
                    total = vfmsq_f32(total, vcvtq_f32_s32(minima[g]), scales.min[first + g]);
                }
                let at = out.as_mut_ptr().add(i * ROWS + 4 * (first + g));
                vst1q_f32(at, vfmaq_n_f32(vld1q_f32(at), total, activation_scale));
            }
        }
    }
}
