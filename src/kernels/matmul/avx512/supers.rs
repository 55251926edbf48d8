//! The K-quants: 32-bit sums over a sub-block, scaled in f32.
//!
//! The layout, and the bits of each type, are those of `avx2::supers`; see there. An offset is taken off by starting a
//! sub-block's sum at minus the offset times the activations' sum.

use std::arch::x86_64::*;

use super::super::activations::{Activations, GROUP, SUPER};
use super::super::avx2::supers::{Expanded, SUB_BLOCKS, fetch_share, nibble_place, six_bit_vectors, two_bit_place};
use super::super::layout::{ROWS, SCALE_PLACE, SIX_BIT_BYTES};
use super::super::superblock::for_sub_blocks;
use super::{FETCH_AHEAD, broadcast, load, load_halves, moved, nibbles};

/// Activation rows that one kernel call takes: two of the groups in which they are stored.
const TILE: usize = 2 * GROUP;

/// A K-quant, packed by 16 rows.
pub(super) trait SuperType {
    /// Bytes of 16 rows of one superblock.
    const BYTES: usize;
    /// Sub-blocks that have one scale.
    const PER_SCALE: usize;
    /// Columns that have one minimum; 0 without minima.
    const MIN_COLUMNS: usize;
    /// What is subtracted from every quant.
    const OFFSET: i16;
    /// More activation rows than this are worth expanding a superblock to bytes for.
    const PACKED_UP_TO: usize;

    /// Unpacks the scales of a superblock.
    ///
    /// # Safety
    /// The instruction sets of this module; `weights` is readable for `BYTES`.
    unsafe fn scales(weights: *const u8) -> Scales;

    /// Dword `chunk` of sub-block `S` of 16 rows, as unsigned bytes.
    ///
    /// # Safety
    /// As for `scales`; `chunk < 4`.
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i;
}

/// The scales of 16 rows of a superblock, ready for use.
pub(super) struct Scales {
    /// Scales of the sub-blocks (or of twos of them).
    scales: [__m512; SUB_BLOCKS],
    min: __m512,
    /// As in `avx2::supers`: two 16-bit minima in each row's dword.
    min_pairs: [__m512i; SUB_BLOCKS],
}

/// A superblock of `A` activation rows, in one or two stored groups; see `SuperForm`.
struct Input<'a, const A: usize> {
    quants: [&'a [i8]; 2],
    half_sums: [&'a [i32]; 2],
    scales: &'a [f32],
    sums: &'a [i32],
}

impl<'a, const A: usize> Input<'a, A> {
    /// Rows in each of the two groups.
    const GROUPS: [usize; 2] = if A > GROUP { [GROUP, A - GROUP] } else { [A, 0] };

    fn new(activations: &'a Activations, superblock: usize, first: usize) -> Self {
        let form = &activations.supers;
        let start = superblock * activations.m + first;
        let (low, high) = form.quants[start * SUPER..][..A * SUPER].split_at(Self::GROUPS[0] * SUPER);
        let (low_sums, high_sums) = form.half_sums[start * 16..][..A * 16].split_at(Self::GROUPS[0] * 16);
        Self {
            quants: [low, high],
            half_sums: [low_sums, high_sums],
            scales: &form.scales[start..][..A],
            sums: &form.sums[start * 4..][..A * 4],
        }
    }

    /// The group of row `i`, its place there, and the group's size.
    fn place(i: usize) -> (usize, usize, usize) {
        if i < GROUP { (0, i, Self::GROUPS[0]) } else { (1, i - GROUP, Self::GROUPS[1]) }
    }

    /// Dword `chunk` (of 64) of row `i`, in every lane.
    ///
    /// # Safety
    /// AVX-512; `chunk < 64`, `i < A`.
    #[target_feature(enable = "avx512f")]
    unsafe fn dword(&self, chunk: usize, i: usize) -> __m512i {
        let (group, place, rows) = Self::place(i);
        // SAFETY: each group holds 64 dwords of its rows.
        unsafe { broadcast(self.quants[group].as_ptr().add((chunk * rows + place) * 4)) }
    }

    /// The two sums over sub-block `s` of row `i`.
    ///
    /// # Safety
    /// `s < 16`, `i < A`.
    unsafe fn half_sum(&self, s: usize, i: usize) -> i32 {
        let (group, place, rows) = Self::place(i);
        // SAFETY: each group holds 16 sums of its rows.
        unsafe { *self.half_sums[group].as_ptr().add(s * rows + place) }
    }
}

/// One group of 16 rows with all activation rows.
///
/// # Safety
/// See [`super::super::grouped::GroupKernel`].
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn group<T: SuperType>(weights: &[u8], activations: &Activations, sums: &mut [f32]) {
    let m = activations.m;
    debug_assert!(weights.len() == activations.cols / SUPER * T::BYTES && sums.len() == m * ROWS);
    let mut expanded = Expanded([0; ROWS * SUPER]);
    for (superblock, weights) in weights.chunks_exact(T::BYTES).enumerate() {
        let weights = weights.as_ptr();
        // SAFETY: `weights` is one superblock.
        let scales = unsafe { T::scales(weights) };
        if m > T::PACKED_UP_TO {
            // SAFETY: as above.
            unsafe { expand::<T>(weights, &mut expanded) };
        }
        for first in (0..m).step_by(TILE) {
            let place = Place { weights, expanded: &expanded, scales: &scales, superblock, first };
            let sums = &mut sums[first * ROWS..];
            // SAFETY: the rows from `first` on are at least those of the tile.
            unsafe {
                match m - first {
                    1 => tile::<T, 1>(&place, activations, sums),
                    2 => tile::<T, 2>(&place, activations, sums),
                    3 => tile::<T, 3>(&place, activations, sums),
                    4 => tile::<T, 4>(&place, activations, sums),
                    5 => tile::<T, 5>(&place, activations, sums),
                    6 => tile::<T, 6>(&place, activations, sums),
                    7 => tile::<T, 7>(&place, activations, sums),
                    _ => tile::<T, 8>(&place, activations, sums),
                }
            }
        }
    }
}

/// What a tile works on: a superblock of weights and the first activation row.
struct Place<'a> {
    weights: *const u8,
    expanded: &'a Expanded,
    scales: &'a Scales,
    superblock: usize,
    first: usize,
}

#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile<T: SuperType, const A: usize>(place: &Place<'_>, activations: &Activations, sums: &mut [f32]) {
    let input = Input::<A>::new(activations, place.superblock, place.first);
    // SAFETY: the caller passes a superblock and `A` rows.
    unsafe {
        let totals = if activations.m > T::PACKED_UP_TO {
            bytes::<T, A>(place.expanded, place.scales, &input)
        } else {
            packed::<T, A>(place.weights, place.scales, &input)
        };
        finish::<T, A>(place.scales, &totals, &input, &mut sums[..A * ROWS]);
    }
}

/// Scaled sums straight from the packed quants, which are unpacked in registers: for few rows.
///
/// # Safety
/// The instruction sets of this module; a superblock of weights.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn packed<T: SuperType, const A: usize>(
    weights: *const u8,
    scales: &Scales,
    input: &Input<'_, A>,
) -> [__m512; A] {
    let mut totals = [_mm512_setzero_ps(); A];
    let mut sums = [_mm512_setzero_si512(); A];
    // SAFETY: the caller's promise; fetching ahead never faults.
    unsafe {
        for_sub_blocks!(S => {
            start::<T, A>(&mut sums, input, S);
            for chunk in 0..4 {
                fetch_share(weights.wrapping_add(FETCH_AHEAD), T::BYTES, 4 * S + chunk);
                let weights = T::quants::<S>(weights, chunk);
                for i in 0..A {
                    sums[i] = _mm512_dpbusd_epi32(sums[i], weights, input.dword(4 * S + chunk, i));
                }
            }
            if (S + 1).is_multiple_of(T::PER_SCALE) {
                scale(&mut totals, &sums, scales.scales[S / T::PER_SCALE]);
            }
        });
    }
    totals
}

/// Scaled sums from expanded quants: for many rows.
///
/// # Safety
/// The instruction sets of this module.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn bytes<T: SuperType, const A: usize>(
    expanded: &Expanded,
    scales: &Scales,
    input: &Input<'_, A>,
) -> [__m512; A] {
    let mut totals = [_mm512_setzero_ps(); A];
    let mut sums = [_mm512_setzero_si512(); A];
    for sub_block in (0..SUB_BLOCKS).step_by(T::PER_SCALE) {
        // SAFETY: 16 sub-blocks of 4 dwords are exactly what `expanded` and the input hold.
        unsafe {
            start::<T, A>(&mut sums, input, sub_block);
            for chunk in 4 * sub_block..4 * (sub_block + T::PER_SCALE) {
                let weights = load(expanded.0.as_ptr().add(64 * chunk));
                for i in 0..A {
                    sums[i] = _mm512_dpbusd_epi32(sums[i], weights, input.dword(chunk, i));
                }
            }
        }
        scale(&mut totals, &sums, scales.scales[sub_block / T::PER_SCALE]);
    }
    totals
}

#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn expand<T: SuperType>(weights: *const u8, expanded: &mut Expanded) {
    let bytes = expanded.0.as_mut_ptr();
    // SAFETY: the caller passes a superblock; 64 dwords of 64 bytes are exactly `expanded`.
    unsafe {
        for_sub_blocks!(S => {
            for chunk in 0..4 {
                fetch_share(weights.wrapping_add(FETCH_AHEAD), T::BYTES, 4 * S + chunk);
                _mm512_store_si512(bytes.add((S * 4 + chunk) * 64).cast(), T::quants::<S>(weights, chunk));
            }
        });
    }
}

/// Starts the sums of a scale, where sub-block `s` begins one.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn start<T: SuperType, const A: usize>(sums: &mut [__m512i; A], input: &Input<'_, A>, s: usize) {
    if !s.is_multiple_of(T::PER_SCALE) {
        return;
    }
    let zero = _mm512_setzero_si512();
    for (i, sum) in sums.iter_mut().enumerate() {
        *sum = zero;
        if T::OFFSET != 0 {
            // SAFETY: the caller passes a sub-block below 16.
            let half_sums = _mm512_set1_epi32(unsafe { input.half_sum(s, i) });
            *sum = _mm512_dpwssd_epi32(zero, half_sums, _mm512_set1_epi16(-T::OFFSET));
        }
    }
}

#[target_feature(enable = "avx512f")]
fn scale<const A: usize>(totals: &mut [__m512; A], sums: &[__m512i; A], scale: __m512) {
    for (total, sum) in totals.iter_mut().zip(sums) {
        *total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(*sum), scale, *total);
    }
}

/// Takes off the minima, applies the activations' scales, and adds the result to `out (A, 16)`.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn finish<T: SuperType, const A: usize>(
    scales: &Scales,
    totals: &[__m512; A],
    input: &Input<'_, A>,
    out: &mut [f32],
) {
    assert_eq!(out.len(), A * ROWS);
    let out = out.as_mut_ptr();
    for (i, total) in totals.iter().enumerate() {
        let mut total = *total;
        // SAFETY: the input holds the sums of `A` rows, and `out` 16 numbers for each.
        unsafe {
            if T::MIN_COLUMNS != 0 {
                let mut minima = _mm512_setzero_si512();
                let pairs = if T::MIN_COLUMNS == 16 { 16 } else { 4 };
                for p in 0..pairs {
                    let sums = if pairs == 16 { input.half_sum(p, i) } else { *input.sums.as_ptr().add(4 * i + p) };
                    minima = _mm512_dpwssd_epi32(minima, scales.min_pairs[p], _mm512_set1_epi32(sums));
                }
                total = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(minima), scales.min, total);
            }
            let at = out.add(i * ROWS);
            let activation_scale = _mm512_set1_ps(*input.scales.as_ptr().add(i));
            _mm512_storeu_ps(at, _mm512_fmadd_ps(total, activation_scale, _mm512_loadu_ps(at)));
        }
    }
}

/// Bytes in `SCALE_PLACE` order, brought into row order.
#[target_feature(enable = "avx512f,avx512vl,avx512bw")]
fn in_row_order(bytes: __m128i) -> __m128i {
    const ORDER: [u8; ROWS] = {
        let mut order = [0; ROWS];
        let mut row = 0;
        while row < ROWS {
            order[row] = SCALE_PLACE[row] as u8;
            row += 1;
        }
        order
    };
    // SAFETY: `ORDER` is 16 bytes.
    _mm_shuffle_epi8(bytes, unsafe { _mm_loadu_si128(ORDER.as_ptr().cast()) })
}

/// Unsigned byte scales times the superblock's.
#[target_feature(enable = "avx512f,avx512vl,avx512bw")]
fn unsigned_scale(scale: __m512, bytes: __m128i) -> __m512 {
    _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(in_row_order(bytes))))
}

/// Signed byte scales times the superblock's.
#[target_feature(enable = "avx512f,avx512vl,avx512bw")]
fn signed_scale(scale: __m512, bytes: __m128i) -> __m512 {
    _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(in_row_order(bytes))))
}

/// Two unsigned bytes of each row in the halves of its dword.
#[target_feature(enable = "avx512f,avx512vl,avx512bw")]
fn pair(low: __m128i, high: __m128i) -> __m512i {
    let high = _mm512_slli_epi32::<16>(_mm512_cvtepu8_epi32(in_row_order(high)));
    _mm512_or_si512(_mm512_cvtepu8_epi32(in_row_order(low)), high)
}

#[target_feature(enable = "avx512f")]
fn no_scales() -> Scales {
    Scales {
        scales: [_mm512_setzero_ps(); SUB_BLOCKS],
        min: _mm512_setzero_ps(),
        min_pairs: [_mm512_setzero_si512(); SUB_BLOCKS],
    }
}

/// The six-bit scales and minima of Q4_K and Q5_K.
#[target_feature(enable = "avx2,avx512f,avx512vl,avx512bw")]
unsafe fn six_bit_scales(weights: *const u8) -> Scales {
    let mut scales = no_scales();
    // SAFETY: the caller passes a superblock, which begins with two f16 of each row.
    let (scale, vectors) = unsafe {
        scales.min = load_halves(weights.add(32));
        (load_halves(weights), six_bit_vectors(weights))
    };
    for v in 0..4 {
        scales.scales[2 * v] = unsigned_scale(scale, _mm256_castsi256_si128(vectors[v]));
        scales.scales[2 * v + 1] = unsigned_scale(scale, _mm256_extracti128_si256::<1>(vectors[v]));
        let minima = vectors[4 + v];
        scales.min_pairs[v] = pair(_mm256_castsi256_si128(minima), _mm256_extracti128_si256::<1>(minima));
    }
    scales
}

pub(super) struct Q2K;
pub(super) struct Q3K;
pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;

impl SuperType for Q2K {
    const BYTES: usize = 84 * ROWS;
    const PER_SCALE: usize = 1;
    const MIN_COLUMNS: usize = 16;
    const OFFSET: i16 = 0;
    const PACKED_UP_TO: usize = 8;

    #[target_feature(enable = "avx512f,avx512vl,avx512bw")]
    unsafe fn scales(weights: *const u8) -> Scales {
        let mut scales = no_scales();
        let nibble = _mm_set1_epi8(15);
        // SAFETY: two f16 of each row and 16 vectors of 16 scales begin the superblock.
        unsafe {
            let scale = load_halves(weights);
            scales.min = load_halves(weights.add(32));
            for s in 0..SUB_BLOCKS {
                let both = _mm_loadu_si128(weights.add(64 + 16 * s).cast());
                let minima = _mm_and_si128(_mm_srli_epi16::<4>(both), nibble);
                scales.scales[s] = unsigned_scale(scale, _mm_and_si128(both, nibble));
                scales.min_pairs[s] = pair(minima, minima);
            }
        }
        scales
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let (place, bit) = two_bit_place(S, chunk);
        // SAFETY: 16 vectors follow the scales.
        moved(unsafe { load(weights.add(64 + 256 + 64 * place)) }, bit, 0, 3)
    }
}

impl SuperType for Q3K {
    const BYTES: usize = 110 * ROWS;
    const PER_SCALE: usize = 1;
    const MIN_COLUMNS: usize = 0;
    const OFFSET: i16 = 4;
    const PACKED_UP_TO: usize = 4;

    #[target_feature(enable = "avx512f,avx512vl,avx512bw")]
    unsafe fn scales(weights: *const u8) -> Scales {
        let mut scales = no_scales();
        // SAFETY: one f16 of each row and 12 vectors of 16 bytes of scales begin the superblock.
        unsafe {
            let scale = load_halves(weights);
            let vector = |v: usize| _mm_loadu_si128(weights.add(32 + 16 * v).cast());
            let shift = |bits: usize| _mm_cvtsi32_si128(bits as i32);
            for s in 0..SUB_BLOCKS {
                let low = _mm_and_si128(_mm_srl_epi16(vector(s % 8), shift(s / 8 * 4)), _mm_set1_epi8(15));
                let high = _mm_and_si128(_mm_srl_epi16(vector(8 + s % 4), shift(s / 4 * 2)), _mm_set1_epi8(3));
                let six_bits = _mm_or_si128(low, _mm_slli_epi16::<4>(high));
                scales.scales[s] = signed_scale(scale, _mm_sub_epi8(six_bits, _mm_set1_epi8(32)));
            }
        }
        scales
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let (place, bit) = two_bit_place(S, chunk);
        // SAFETY: 8 vectors of third bits and 16 of bit pairs follow the scales.
        unsafe {
            let planes = weights.add(32 + 192);
            let low = moved(load(planes.add(64 * (8 + place))), bit, 0, 3);
            _mm512_or_si512(low, moved(load(planes.add(64 * (S % 2 * 4 + chunk))), S / 2, 2, 4))
        }
    }
}

impl SuperType for Q4K {
    const BYTES: usize = 144 * ROWS;
    const PER_SCALE: usize = 2;
    const MIN_COLUMNS: usize = 32;
    const OFFSET: i16 = 0;
    const PACKED_UP_TO: usize = 8;

    #[target_feature(enable = "avx2,avx512f,avx512vl,avx512bw")]
    unsafe fn scales(weights: *const u8) -> Scales {
        // SAFETY: the caller's promise.
        unsafe { six_bit_scales(weights) }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let (place, high) = nibble_place(S, chunk);
        // SAFETY: 32 vectors follow the scales.
        nibbles(unsafe { load(weights.add(64 + SIX_BIT_BYTES + 64 * place)) }, high)
    }
}

impl SuperType for Q5K {
    const BYTES: usize = 176 * ROWS;
    const PER_SCALE: usize = 2;
    const MIN_COLUMNS: usize = 32;
    const OFFSET: i16 = 0;
    const PACKED_UP_TO: usize = 4;

    #[target_feature(enable = "avx2,avx512f,avx512vl,avx512bw")]
    unsafe fn scales(weights: *const u8) -> Scales {
        // SAFETY: the caller's promise.
        unsafe { six_bit_scales(weights) }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let (place, high) = nibble_place(S, chunk);
        // SAFETY: 8 vectors of fifth bits and 32 of nibbles follow the scales.
        unsafe {
            let planes = weights.add(64 + SIX_BIT_BYTES);
            let fifths = load(planes.add(64 * (S % 2 * 4 + chunk)));
            _mm512_or_si512(nibbles(load(planes.add(64 * (8 + place))), high), moved(fifths, S / 2, 4, 16))
        }
    }
}

impl SuperType for Q6K {
    const BYTES: usize = 210 * ROWS;
    const PER_SCALE: usize = 1;
    const MIN_COLUMNS: usize = 0;
    const OFFSET: i16 = 32;
    const PACKED_UP_TO: usize = 4;

    #[target_feature(enable = "avx512f,avx512vl,avx512bw")]
    unsafe fn scales(weights: *const u8) -> Scales {
        let mut scales = no_scales();
        // SAFETY: 16 f16 and 16 vectors of 16 scales begin the superblock.
        unsafe {
            let scale = load_halves(weights);
            for s in 0..SUB_BLOCKS {
                scales.scales[s] = signed_scale(scale, _mm_loadu_si128(weights.add(32 + 16 * s).cast()));
            }
        }
        scales
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize) -> __m512i {
        let (h, w, column) = (S / 8, S % 8 / 2, S % 2 * 4 + chunk);
        // SAFETY: 32 vectors of nibbles and 16 of bit pairs follow the scales.
        unsafe {
            let planes = weights.add(32 + 256);
            let low = nibbles(load(planes.add(64 * (16 * h + 8 * (w % 2) + column))), w >= 2);
            let high = load(planes.add(64 * (32 + 8 * h + column)));
            _mm512_or_si512(low, moved(high, 2 * w, 4, 0x30))
        }
    }
}
