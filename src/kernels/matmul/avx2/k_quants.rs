//! The K-quants: integer sums over a superblock of 256 columns, each sub-block's times its integer scale.
//!
//! Bytes hold quants of two blocks of 32 columns (see `Unpack::PAIRS`), so a pair of blocks is unpacked at a time and
//! nothing is loaded twice. Up to `Tuning::packed_rows` activation rows, quants are unpacked in registers as they are
//! multiplied, and so are the scales; for more rows a superblock is unpacked to bytes once.
//!
//! Without VNNI, products are summed in 16 bits over 4 or 8 dwords of columns before a scale widens them. The bounds, each
//! lane taking 2 products per dword:
//!
//! | type | dwords | largest 16-bit sum |
//! |---|---|---|
//! | Q2_K | 4 | 4 * 2 * 3 * 127 = 3048 |
//! | Q3_K | 4 | 4 * 2 * 4 * 127 = 4064, the sum starting at -4 times the activations' sum |
//! | Q4_K | 8 | 8 * 2 * 15 * 127 = 30480 |
//! | Q5_K | 4 | 4 * 2 * 31 * 127 = 31496 |
//! | Q6_K | 4 | 4 * 2 * 32 * 127 = 32512: the sum starts at -32 times the activations' sum, and a carry lost on the way to a result that fits does no harm |
//!
//! 32-bit sums stay below 16 * 32512 * 2 * 128 = 133 million.

mod unpack;

use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::dot::Dot;
use super::{load, load_halves};
use crate::matmul::activations::{Activations, SuperForm, row_groups};
use crate::matmul::fetch::{LINE, fetch, fetch_share};
use crate::matmul::shape::{GROUP, ROWS, SUB_BLOCKS, SUPER};
use crate::matmul::superblock::{Expanded, for_four};
use crate::tuning::Tuning;
pub(in crate::matmul) use unpack::ScaleBytes;
pub(super) use unpack::Unpack;

/// A superblock of one group of activation rows, see `SuperForm`.
#[derive(Clone, Copy)]
struct Input {
    /// `[64 dwords][A]`
    dwords: *const i32,
    scales: *const f32,
    /// `[A][4]`
    sums: *const i32,
    /// `[16 sub-blocks][A]`
    half_sums: *const i32,
}

impl Input {
    /// Of the group of rows that begins with `first`.
    ///
    /// # Safety
    /// The activations have the superblock and the row.
    unsafe fn new(activations: &Activations, superblock: usize, first: usize) -> Self {
        let (form, start) = (&activations.supers, superblock * activations.m + first);
        // SAFETY: each superblock has so many entries of each row.
        unsafe {
            Self {
                dwords: form.quants.as_ptr().cast::<i32>().add(start * SUPER / 4),
                scales: form.scales.as_ptr().add(start),
                sums: form.sums.as_ptr().add(start * 4),
                half_sums: form.half_sums.as_ptr().add(start * SUB_BLOCKS),
            }
        }
    }

    /// The two sums over sub-block `s` of row `i` of `A`, in every lane.
    ///
    /// # Safety
    /// AVX2; an input of `A` rows, `s < 16`, `i < A`.
    #[target_feature(enable = "avx2")]
    unsafe fn half_sums<const A: usize>(self, s: usize, i: usize) -> __m256i {
        // SAFETY: a group holds 16 dwords of sums of its rows.
        unsafe { broadcast(self.half_sums.add(s * A + i)) }
    }

    /// The sums that minimum pair `p` of `T` meets, of row `i` of `A`, in every lane.
    ///
    /// # Safety
    /// As for `half_sums`; `p < T::MIN_PAIRS`.
    #[target_feature(enable = "avx2")]
    unsafe fn min_sums<T: Unpack, const A: usize>(self, p: usize, i: usize) -> __m256i {
        // SAFETY: 16 sums of sub-blocks, 4 of twos of blocks, of each row.
        unsafe { if T::MIN_COLUMNS == 16 { self.half_sums::<A>(p, i) } else { broadcast(self.sums.add(4 * i + p)) } }
    }
}

/// The dword at `at`, in every lane.
#[target_feature(enable = "avx2")]
unsafe fn broadcast(at: *const i32) -> __m256i {
    // SAFETY: the caller passes a readable dword.
    _mm256_set1_epi32(unsafe { at.read_unaligned() })
}

/// Integer sums of a superblock: 16 rows (two vectors of 8) for each of `A` activation rows.
type Sums<const A: usize> = [[__m256i; 2]; A];

/// One group of 16 rows with all activation rows.
///
/// # Safety
/// See [`GroupKernel`](crate::matmul::kernel::GroupKernel); the processor has what `D` needs.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn group<T: Unpack, D: Dot>(
    weights: &[u8],
    activations: &Activations,
    tuning: &Tuning,
    sums: &mut [f32],
) {
    let (m, superblocks) = (activations.m, activations.cols / SUPER);
    let SuperForm { quants, scales, sums: row_sums, half_sums } = &activations.supers;
    let rows = m * superblocks;
    assert!(weights.len() == superblocks * T::BYTES && sums.len() == m * ROWS);
    assert!(quants.len() == rows * SUPER && scales.len() == rows);
    assert!(row_sums.len() == rows * 4 && half_sums.len() == rows * SUB_BLOCKS);
    let mut unpacked = Unpacked::new();
    for superblock in 0..superblocks {
        let weights = weights[superblock * T::BYTES..].as_ptr();
        let ahead = weights.wrapping_add(tuning.fetch_ahead);
        let is_packed = m <= tuning.packed_rows(T::QUANT);
        if !is_packed {
            // SAFETY: `weights` is one superblock.
            unsafe { unpacked.fill::<T, D>(weights, ahead) };
        }
        for (first, rows) in row_groups(m) {
            let sums = sums[first * ROWS..][..rows * ROWS].as_mut_ptr();
            // SAFETY: a superblock, an input of `rows` rows, and as many sums.
            unsafe {
                let input = Input::new(activations, superblock, first);
                match (is_packed, rows) {
                    (true, 1) => packed::<T, D, 1>(weights, ahead, input, sums),
                    (true, 2) => packed::<T, D, 2>(weights, ahead, input, sums),
                    (true, 3) => packed::<T, D, 3>(weights, ahead, input, sums),
                    (true, _) => packed::<T, D, GROUP>(weights, ahead, input, sums),
                    (false, 1) => unpacked.multiply::<T, D, 1>(input, sums),
                    (false, 2) => unpacked.multiply::<T, D, 2>(input, sums),
                    (false, 3) => unpacked.multiply::<T, D, 3>(input, sums),
                    (false, _) => unpacked.multiply::<T, D, GROUP>(input, sums),
                }
            }
        }
    }
}

/// Returns the same number, but hides it from the compiler, which then does not unroll a loop that runs this often.
#[inline]
fn opaque(value: usize) -> usize {
    let mut value = value;
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Adds the product of a superblock with `A` activation rows to `sums (A, 16)`, unpacking in registers. With one or two
/// rows, the sums of both blocks of a pair fit the registers; with more, those of one do, and bytes are loaded twice.
///
/// # Safety
/// AVX2, FMA, F16C and what `D` needs; a superblock of weights, an input of `A` rows, `A * 16` sums.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline(never)]
unsafe fn packed<T: Unpack, D: Dot, const A: usize>(
    weights: *const u8,
    ahead: *const u8,
    input: Input,
    sums: *mut f32,
) {
    let mut totals = [[_mm256_setzero_si256(); 2]; A];
    // SAFETY: the caller's promise.
    unsafe {
        if A <= 2 {
            for_four!(P => { pair::<T, D, A, P, 0, 2>(weights, ahead, input, &mut totals) });
        } else {
            for_four!(P => {
                pair::<T, D, A, P, 0, 1>(weights, ahead, input, &mut totals);
                pair::<T, D, A, P, 1, 2>(weights, ahead, input, &mut totals);
            });
        }
        finish::<T, A>(&Floats::new::<T>(weights), &min_pairs::<T>(weights), &totals, input, sums);
    }
}

/// Adds the scaled products of the blocks `FIRST..LAST` of pair `P` to `totals`, and fetches its share of the weights to
/// come. A loop over the halves of the blocks, of 4 dwords each, keeps the code small enough
/// for the caches of decoded instructions.
///
/// # Safety
/// As for [`packed`].
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn pair<T: Unpack, D: Dot, const A: usize, const P: usize, const FIRST: usize, const LAST: usize>(
    weights: *const u8,
    ahead: *const u8,
    input: Input,
    totals: &mut Sums<A>,
) {
    let steps = 4 / (LAST - FIRST);
    let fetches = Fetches::new(T::BYTES, 4 * steps);
    // SAFETY: the caller's promise; fetching ahead never faults.
    unsafe {
        let mut sums = start::<T, D, A, P, FIRST, LAST>(input, 0);
        for half in 0..opaque(2) {
            if scales_each_half::<T, D>() {
                sums = start::<T, D, A, P, FIRST, LAST>(input, half);
            }
            let ahead = fetches.start(ahead, P * steps + FIRST * 2 + half);
            for_four!(C => {
                fetches.fetch(ahead, C);
                let chunk = 4 * half + C;
                let quants = [T::quants::<P>(weights, chunk, 0), T::quants::<P>(weights, chunk, 1)];
                for v in FIRST..LAST {
                    for i in 0..A {
                        let activation = broadcast(input.dwords.add((8 * T::PAIRS[P][v] + chunk) * A + i));
                        for g in 0..2 {
                            sums[i][v][g] = D::multiply_add(sums[i][v][g], quants[g][v], activation);
                        }
                    }
                }
            });
            if scales_each_half::<T, D>() {
                scale_add::<T, D, A, P, FIRST, LAST>(weights, half, &sums, totals);
            }
        }
        if !scales_each_half::<T, D>() {
            scale_add::<T, D, A, P, FIRST, LAST>(weights, 0, &sums, totals);
        }
    }
}

/// How the lines of a superblock to come are spread over the steps of this one.
struct Fetches {
    lines: usize,
    steps: usize,
}

impl Fetches {
    const fn new(bytes: usize, steps: usize) -> Self {
        Self { lines: bytes.div_ceil(LINE), steps }
    }

    /// Where step `step` begins to fetch.
    #[inline]
    fn start(&self, ahead: *const u8, step: usize) -> *const u8 {
        // Steps begin evenly. What one fetches is whole lines, rounded up, so neighbours may have one in common.
        ahead.wrapping_add(step * (self.lines * LINE / self.steps))
    }

    /// Fetches what falls to quarter `quarter` of a step.
    #[inline]
    fn fetch(&self, start: *const u8, quarter: usize) {
        let per_step = self.lines.div_ceil(self.steps);
        let before = |quarter: usize| (quarter * per_step).div_ceil(4);
        for line in before(quarter)..before(quarter + 1) {
            fetch(start.wrapping_add(LINE * line), LINE);
        }
    }
}

/// The sums of both blocks of pair `P`, of both halves of the rows, for `A` activation rows.
type PairSums<const A: usize> = [[[__m256i; 2]; 2]; A];

/// What those sums start with in half `half` of the blocks: the offset's share, if the type has one.
///
/// # Safety
/// As for [`packed`].
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn start<T: Unpack, D: Dot, const A: usize, const P: usize, const FIRST: usize, const LAST: usize>(
    input: Input,
    half: usize,
) -> PairSums<A> {
    let mut sums = [[[_mm256_setzero_si256(); 2]; 2]; A];
    if T::OFFSET != 0 {
        for v in FIRST..LAST {
            for i in 0..A {
                // SAFETY: the caller's promise.
                sums[i][v] = [unsafe { D::start(input.half_sums::<A>(2 * T::PAIRS[P][v] + half, i), T::OFFSET) }; 2];
            }
        }
    }
    sums
}

/// Adds the sums of pair `P`, times the scales of half `half` of its blocks, to the totals.
///
/// # Safety
/// As for [`packed`].
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn scale_add<T: Unpack, D: Dot, const A: usize, const P: usize, const FIRST: usize, const LAST: usize>(
    weights: *const u8,
    half: usize,
    sums: &PairSums<A>,
    totals: &mut Sums<A>,
) {
    for v in FIRST..LAST {
        let s = if T::SCALE_COLUMNS == 16 { 2 * T::PAIRS[P][v] + half } else { T::PAIRS[P][v] };
        // SAFETY: the caller's promise.
        unsafe {
            let factors = D::factors(T::scale(weights, s));
            for i in 0..A {
                for g in 0..2 {
                    totals[i][g] = D::scale_add(totals[i][g], sums[i][v][g], factors[g]);
                }
            }
        }
    }
}

/// Whether a block of 32 columns is scaled in two halves, either because each has a scale or because more products
/// would not fit into 16 bits.
const fn scales_each_half<T: Unpack, D: Dot>() -> bool {
    T::SCALE_COLUMNS == 16 || (!D::IS_WIDE && !T::BLOCK_FITS_16_BITS)
}

/// The f16 scales of 16 rows of a superblock and, of a type with minima, of those.
struct Floats {
    scale: [__m256; 2],
    min: [__m256; 2],
}

impl Floats {
    /// # Safety
    /// AVX2 and F16C; a superblock of weights.
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn new<T: Unpack>(weights: *const u8) -> Self {
        // SAFETY: a superblock begins with an f16 of each row, and another one where there are minima.
        unsafe {
            let min = if T::MIN_COLUMNS == 0 {
                [_mm256_setzero_ps(); 2]
            } else {
                [load_halves(weights.add(2 * ROWS)), load_halves(weights.add(3 * ROWS))]
            };
            Self { scale: [load_halves(weights), load_halves(weights.add(ROWS))], min }
        }
    }
}

/// The integer minima of 16 rows of a superblock, as pairs in the dwords of the rows; see `ScaleBytes::MIN_PAIRS`.
type MinPairs = [[__m256i; 2]; SUB_BLOCKS];

/// # Safety
/// AVX2; a superblock of weights.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn min_pairs<T: Unpack>(weights: *const u8) -> MinPairs {
    let mut pairs = [[_mm256_setzero_si256(); 2]; SUB_BLOCKS];
    // SAFETY: the caller's promise.
    unsafe {
        match T::MIN_COLUMNS {
            0 => {}
            32 => {
                for p in 0..T::MIN_PAIRS {
                    let two = T::minima(weights, p);
                    let even = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(two));
                    let odd = _mm256_cvtepu8_epi16(_mm256_extracti128_si256::<1>(two));
                    pairs[p] = [_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd)];
                }
            }
            _ => {
                for p in 0..T::MIN_PAIRS / 2 {
                    let two = T::minima(weights, p);
                    for (s, bytes) in
                        [_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two)].into_iter().enumerate()
                    {
                        let wide = _mm256_cvtepu8_epi16(bytes);
                        pairs[2 * p + s] = [_mm256_unpacklo_epi16(wide, wide), _mm256_unpackhi_epi16(wide, wide)];
                    }
                }
            }
        }
    }
    pairs
}

/// Scales a superblock's integer sums, takes off the minima, and adds the result to `out (A, 16)`.
///
/// # Safety
/// AVX2 and FMA; an input of `A` rows and `A * 16` sums.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn finish<T: Unpack, const A: usize>(
    floats: &Floats,
    min_pairs: &MinPairs,
    totals: &Sums<A>,
    input: Input,
    out: *mut f32,
) {
    for (i, totals) in totals.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let mut minima = [_mm256_setzero_si256(); 2];
            for (p, pair) in min_pairs[..T::MIN_PAIRS].iter().enumerate() {
                let sums = input.min_sums::<T, A>(p, i);
                for g in 0..2 {
                    minima[g] = _mm256_add_epi32(minima[g], _mm256_madd_epi16(pair[g], sums));
                }
            }
            let activation_scale = _mm256_set1_ps(*input.scales.add(i));
            for g in 0..2 {
                let at = out.add(i * ROWS + 8 * g);
                let mut product = _mm256_mul_ps(_mm256_cvtepi32_ps(totals[g]), floats.scale[g]);
                if T::MIN_COLUMNS != 0 {
                    product = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(minima[g]), floats.min[g], product);
                }
                _mm256_storeu_ps(at, _mm256_fmadd_ps(product, activation_scale, _mm256_loadu_ps(at)));
            }
        }
    }
}

/// A superblock of 16 rows, ready to meet many activation rows.
struct Unpacked {
    /// `[64 dwords][16 rows][4]`
    quants: MaybeUninit<Expanded>,
    factors: [MaybeUninit<[__m256i; 2]>; SUB_BLOCKS],
    min_pairs: MaybeUninit<MinPairs>,
    floats: MaybeUninit<Floats>,
}

impl Unpacked {
    /// Uninitialised, because it is written for many rows only.
    fn new() -> Self {
        Self {
            quants: MaybeUninit::uninit(),
            factors: [const { MaybeUninit::uninit() }; SUB_BLOCKS],
            min_pairs: MaybeUninit::uninit(),
            floats: MaybeUninit::uninit(),
        }
    }

    /// Unpacks a superblock, and fetches weights to come.
    ///
    /// # Safety
    /// AVX2, F16C and what `D` needs; a superblock of weights.
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn fill<T: Unpack, D: Dot>(&mut self, weights: *const u8, ahead: *const u8) {
        let quants = self.quants.as_mut_ptr().cast::<u8>();
        // SAFETY: the caller's promise; 64 dwords of two vectors are exactly `quants`.
        unsafe {
            for_four!(P => { for chunk in 0..8 {
                fetch_share(ahead, T::BYTES, 8 * P + chunk, 32);
                for g in 0..2 {
                    for (block, vector) in T::PAIRS[P].iter().zip(T::quants::<P>(weights, chunk, g)) {
                        _mm256_store_si256(quants.add((8 * block + chunk) * 64 + 32 * g).cast(), vector);
                    }
                }
            } });
            for s in 0..SUB_BLOCKS / T::SCALE_SUB_BLOCKS {
                self.factors[s].write(D::factors(T::scale(weights, s)));
            }
            self.min_pairs.write(min_pairs::<T>(weights));
            self.floats.write(Floats::new::<T>(weights));
        }
    }

    /// Adds the product with `A` activation rows to `sums (A, 16)`.
    ///
    /// # Safety
    /// AVX2, FMA and what `D` needs; filled, an input of `A` rows, `A * 16` sums.
    #[target_feature(enable = "avx2,fma")]
    #[inline(never)]
    unsafe fn multiply<T: Unpack, D: Dot, const A: usize>(&self, input: Input, out: *mut f32) {
        let step = if scales_each_half::<T, D>() { 1 } else { 2 };
        let mut totals = [[_mm256_setzero_si256(); 2]; A];
        // SAFETY: the caller's promise.
        unsafe {
            let quants = self.quants.as_ptr().cast::<u8>();
            for sub_block in (0..SUB_BLOCKS).step_by(step) {
                let mut sums = [[_mm256_setzero_si256(); 2]; A];
                if T::OFFSET != 0 {
                    for (i, sums) in sums.iter_mut().enumerate() {
                        *sums = [D::start(input.half_sums::<A>(sub_block, i), T::OFFSET); 2];
                    }
                }
                for dword in 4 * sub_block..4 * (sub_block + step) {
                    let weights = [load(quants.add(64 * dword)), load(quants.add(64 * dword + 32))];
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let activation = broadcast(input.dwords.add(dword * A + i));
                        for g in 0..2 {
                            sums[g] = D::multiply_add(sums[g], weights[g], activation);
                        }
                    }
                }
                let factors = self.factors[sub_block / T::SCALE_SUB_BLOCKS].assume_init_ref();
                for (totals, sums) in totals.iter_mut().zip(&sums) {
                    for g in 0..2 {
                        totals[g] = D::scale_add(totals[g], sums[g], factors[g]);
                    }
                }
            }
            finish::<T, A>(self.floats.assume_init_ref(), self.min_pairs.assume_init_ref(), &totals, input, out);
        }
    }
}
