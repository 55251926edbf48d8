//! The K-quants: 32-bit sums over a sub-block, scaled in f32. An offset is taken off by starting a sub-block's sum at
//! minus the offset times the activations' sum.
//!
//! With up to 4 activation rows, which memory limits, quants are unpacked in registers. With more, superblocks of
//! several groups are expanded to bytes, and a tile of 3 groups by 4 rows makes 12 products of 7 loads. The multiplier
//! is then the limit. For a superblock it executes 78 instructions for Q4_K and Q5_K, of which 64 are products and the
//! others apply 8 scales, 8 minima and the superblock's own; for Q6_K, with 16 scales and offsets, 86.

mod unpack;

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::{broadcast, load};
use crate::matmul::activations::{Activations, row_groups};
use crate::matmul::fetch::{fetch, fetch_share};
use crate::matmul::shape::{GROUP, ROWS, SUB_BLOCKS, SUPER};
use crate::matmul::superblock::{Expanded, for_sub_blocks};
use crate::tuning::Tuning;
pub(super) use unpack::Unpack;
use unpack::scales;

/// The scales of 16 rows of a superblock, ready for use.
pub(super) struct Scales {
    /// Scales of the sub-blocks (or of twos of them).
    scales: [__m512; SUB_BLOCKS],
    min: __m512,
    /// Two 16-bit minima in each row's dword, see `ScaleBytes::MIN_PAIRS`.
    min_pairs: [__m512i; SUB_BLOCKS],
}

impl Scales {
    #[target_feature(enable = "avx512f")]
    fn zero() -> Self {
        Self {
            scales: [_mm512_setzero_ps(); SUB_BLOCKS],
            min: _mm512_setzero_ps(),
            min_pairs: [_mm512_setzero_si512(); SUB_BLOCKS],
        }
    }
}

/// A superblock of one group of `A` activation rows; see `SuperForm`.
struct Input<'a, const A: usize> {
    quants: &'a [i8],
    half_sums: &'a [i32],
    scales: &'a [f32],
    sums: &'a [i32],
}

impl<'a, const A: usize> Input<'a, A> {
    fn new(activations: &'a Activations, superblock: usize, first: usize) -> Self {
        let form = &activations.supers;
        let start = superblock * activations.m + first;
        Self {
            quants: &form.quants[start * SUPER..][..A * SUPER],
            half_sums: &form.half_sums[start * 16..][..A * 16],
            scales: &form.scales[start..][..A],
            sums: &form.sums[start * 4..][..A * 4],
        }
    }

    /// Dword `chunk` (of 64) of row `i`, in every lane.
    ///
    /// # Safety
    /// AVX-512; `chunk < 64`, `i < A`.
    #[target_feature(enable = "avx512f")]
    unsafe fn dword(&self, chunk: usize, i: usize) -> __m512i {
        // SAFETY: a group holds 64 dwords of its rows.
        unsafe { broadcast(self.quants.as_ptr().add((chunk * A + i) * 4)) }
    }

    /// The two sums over sub-block `s` of row `i`, in every lane.
    ///
    /// # Safety
    /// AVX-512; `s < 16`, `i < A`.
    #[target_feature(enable = "avx512f")]
    unsafe fn half_sum(&self, s: usize, i: usize) -> __m512i {
        // SAFETY: a group holds 16 sums of its rows.
        _mm512_set1_epi32(unsafe { *self.half_sums.as_ptr().add(s * A + i) })
    }

    /// Pair `p` of the sums over 32 columns of row `i`, in every lane.
    ///
    /// # Safety
    /// AVX-512; `p < 4`, `i < A`.
    #[target_feature(enable = "avx512f")]
    unsafe fn sum(&self, p: usize, i: usize) -> __m512i {
        // SAFETY: a group holds 4 pairs of each row.
        _mm512_set1_epi32(unsafe { *self.sums.as_ptr().add(4 * i + p) })
    }
}

/// A superblock of `G` groups.
struct Superblock<const G: usize> {
    weights: [*const u8; G],
    scales: [Scales; G],
    /// Written only if it is read: if there are more rows than one group.
    expanded: [MaybeUninit<Expanded>; G],
}

/// `G` neighbouring groups of 16 rows with all activation rows.
///
/// # Safety
/// See [`GroupKernel`](crate::matmul::kernel::GroupKernel).
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn groups<T: Unpack, const G: usize>(
    weights: &[u8],
    activations: &Activations,
    tuning: &Tuning,
    sums: &mut [f32],
) {
    let (m, group_bytes) = (activations.m, activations.cols / SUPER * T::BYTES);
    debug_assert!(weights.len() == G * group_bytes && sums.len() == m * G * ROWS);
    let mut superblock: Superblock<G> = Superblock {
        weights: [weights.as_ptr(); G],
        scales: std::array::from_fn(|_| Scales::zero()),
        expanded: [const { MaybeUninit::uninit() }; G],
    };
    for index in 0..activations.cols / SUPER {
        let Superblock { weights: at, scales, expanded } = &mut superblock;
        for g in 0..G {
            // SAFETY: each group has as many superblocks as the activations.
            unsafe {
                at[g] = weights.as_ptr().add(g * group_bytes + index * T::BYTES);
                self::scales::<T>(at[g], &mut scales[g]);
                if m > GROUP {
                    expand::<T>(at[g], &mut expanded[g]);
                }
            }
        }
        for (first, rows) in row_groups(m) {
            if m > GROUP {
                superblock
                    .weights
                    .iter()
                    .for_each(|at| fetch_tile_share(at.wrapping_add(T::BYTES), T::BYTES, first, m));
            }
            let sums = &mut sums[first * G * ROWS..][..rows * G * ROWS];
            // SAFETY: the group holds `rows` rows, and so do the sums.
            unsafe {
                match rows {
                    1 => tile::<T, 1, G>(&superblock, &Input::new(activations, index, first), m, tuning, sums),
                    2 => tile::<T, 2, G>(&superblock, &Input::new(activations, index, first), m, tuning, sums),
                    3 => tile::<T, 3, G>(&superblock, &Input::new(activations, index, first), m, tuning, sums),
                    _ => tile::<T, GROUP, G>(&superblock, &Input::new(activations, index, first), m, tuning, sums),
                }
            }
        }
    }
}

/// Fetches, of `len` bytes from `start` on, the share of the tile of rows that begins at `first` of `m`. Tiles take
/// long, and fetching the next superblock in one burst would stall them.
#[inline]
fn fetch_tile_share(start: *const u8, len: usize, first: usize, m: usize) {
    let share = (len * GROUP / m.max(GROUP)).next_multiple_of(64);
    fetch(start.wrapping_add(first / GROUP * share), share);
}

/// Adds the product of a superblock with `A` of `m` activation rows to `sums (A, G * 16)`.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile<T: Unpack, const A: usize, const G: usize>(
    superblock: &Superblock<G>,
    input: &Input<'_, A>,
    m: usize,
    tuning: &Tuning,
    sums: &mut [f32],
) {
    // SAFETY: the caller passes a superblock of weights, expanded if there are more rows than one group.
    unsafe {
        let totals = if m > GROUP {
            bytes::<T, A, G>(superblock, input)
        } else {
            packed::<T, A, G>(superblock, input, tuning.fetch_ahead)
        };
        finish::<T, A, G>(&superblock.scales, &totals, input, sums);
    }
}

/// Scaled sums straight from the packed quants, which are unpacked in registers: for few rows.
///
/// # Safety
/// The instruction sets of this module; a superblock of weights.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn packed<T: Unpack, const A: usize, const G: usize>(
    superblock: &Superblock<G>,
    input: &Input<'_, A>,
    fetch_ahead: usize,
) -> [[__m512; G]; A] {
    let mut totals = [[_mm512_setzero_ps(); G]; A];
    let mut sums = [[_mm512_setzero_si512(); G]; A];
    let Superblock { weights: at, scales, .. } = superblock;
    // SAFETY: the caller's promise; fetching ahead never faults.
    unsafe {
        for_sub_blocks!(S => {
            start::<T, A, G>(&mut sums, input, S);
            for chunk in 0..4 {
                let mut weights = [_mm512_setzero_si512(); G];
                for g in 0..G {
                    fetch_share(at[g].wrapping_add(fetch_ahead), T::BYTES, 4 * S + chunk, 64);
                    weights[g] = T::quants::<S>(at[g], chunk);
                }
                multiply_add(&mut sums, &weights, input, 4 * S + chunk);
            }
            if (S + 1).is_multiple_of(T::SCALE_SUB_BLOCKS) {
                scale(&mut totals, &sums, scales, S / T::SCALE_SUB_BLOCKS);
            }
        });
    }
    totals
}

/// Scaled sums from expanded quants: for many rows.
///
/// # Safety
/// The instruction sets of this module; the superblock was expanded.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn bytes<T: Unpack, const A: usize, const G: usize>(
    superblock: &Superblock<G>,
    input: &Input<'_, A>,
) -> [[__m512; G]; A] {
    let mut totals = [[_mm512_setzero_ps(); G]; A];
    let mut sums = [[_mm512_setzero_si512(); G]; A];
    let Superblock { scales, expanded, .. } = superblock;
    for sub_block in (0..SUB_BLOCKS).step_by(T::SCALE_SUB_BLOCKS) {
        // SAFETY: 16 sub-blocks of 4 dwords are exactly what `expanded` and the input hold.
        unsafe {
            start::<T, A, G>(&mut sums, input, sub_block);
            for chunk in 4 * sub_block..4 * (sub_block + T::SCALE_SUB_BLOCKS) {
                let mut weights = [_mm512_setzero_si512(); G];
                for g in 0..G {
                    weights[g] = load(expanded[g].as_ptr().cast::<u8>().add(64 * chunk));
                }
                multiply_add(&mut sums, &weights, input, chunk);
            }
        }
        scale(&mut totals, &sums, scales, sub_block / T::SCALE_SUB_BLOCKS);
    }
    totals
}

#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn expand<T: Unpack>(weights: *const u8, expanded: &mut MaybeUninit<Expanded>) {
    let bytes = expanded.as_mut_ptr().cast::<u8>();
    // SAFETY: the caller passes a superblock; 64 dwords of 64 bytes are exactly `expanded`.
    unsafe {
        for_sub_blocks!(S => {
            for chunk in 0..4 {
                _mm512_store_si512(bytes.add((S * 4 + chunk) * 64).cast(), T::quants::<S>(weights, chunk));
            }
        });
    }
}

/// Starts the sums of a scale, where sub-block `s` begins one.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn start<T: Unpack, const A: usize, const G: usize>(
    sums: &mut [[__m512i; G]; A],
    input: &Input<'_, A>,
    s: usize,
) {
    if !s.is_multiple_of(T::SCALE_SUB_BLOCKS) {
        return;
    }
    let zero = _mm512_setzero_si512();
    for (i, sums) in sums.iter_mut().enumerate() {
        *sums = [zero; G];
        if T::OFFSET != 0 {
            // SAFETY: the caller passes a sub-block below 16.
            let half_sums = unsafe { input.half_sum(s, i) };
            *sums = [_mm512_dpwssd_epi32(zero, half_sums, _mm512_set1_epi16(-T::OFFSET)); G];
        }
    }
}

/// Adds the products of dword `chunk` of the weights with that of each activation row.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn multiply_add<const A: usize, const G: usize>(
    sums: &mut [[__m512i; G]; A],
    weights: &[__m512i; G],
    input: &Input<'_, A>,
    chunk: usize,
) {
    for (i, sums) in sums.iter_mut().enumerate() {
        // SAFETY: the caller passes a chunk below 64.
        let activation = unsafe { input.dword(chunk, i) };
        for (sum, weights) in sums.iter_mut().zip(weights) {
            *sum = _mm512_dpbusd_epi32(*sum, *weights, activation);
        }
    }
}

#[target_feature(enable = "avx512f")]
fn scale<const A: usize, const G: usize>(
    totals: &mut [[__m512; G]; A],
    sums: &[[__m512i; G]; A],
    scales: &[Scales; G],
    index: usize,
) {
    for (totals, sums) in totals.iter_mut().zip(sums) {
        for g in 0..G {
            totals[g] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[g]), scales[g].scales[index], totals[g]);
        }
    }
}

/// Takes off the minima, applies the activations' scales, and adds the result to `out (A, G * 16)`.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn finish<T: Unpack, const A: usize, const G: usize>(
    scales: &[Scales; G],
    totals: &[[__m512; G]; A],
    input: &Input<'_, A>,
    out: &mut [f32],
) {
    assert_eq!(out.len(), A * G * ROWS);
    for (i, (totals, out)) in totals.iter().zip(out.chunks_exact_mut(G * ROWS)).enumerate() {
        let mut minima = [_mm512_setzero_si512(); G];
        for p in 0..T::MIN_PAIRS {
            // SAFETY: 16 sub-blocks have a sum each, twos of blocks of 32 columns a pair.
            let sums = unsafe { if T::MIN_PAIRS == SUB_BLOCKS { input.half_sum(p, i) } else { input.sum(p, i) } };
            for g in 0..G {
                minima[g] = _mm512_dpwssd_epi32(minima[g], scales[g].min_pairs[p], sums);
            }
        }
        let activation_scale = _mm512_set1_ps(input.scales[i]);
        for g in 0..G {
            let mut total = totals[g];
            if T::MIN_PAIRS != 0 {
                total = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(minima[g]), scales[g].min, total);
            }
            // SAFETY: `out` is `G` times 16 numbers.
            unsafe {
                let at = out.as_mut_ptr().add(g * ROWS);
                _mm512_storeu_ps(at, _mm512_fmadd_ps(total, activation_scale, _mm512_loadu_ps(at)));
            }
        }
    }
}
