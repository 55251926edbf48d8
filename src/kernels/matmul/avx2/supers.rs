//! The K-quants: integer sums over a superblock of 256, sub-block scales folded into the widening to 32 bits.
//!
//! A superblock is 16 sub-blocks of 16 columns, each 4 dwords wide. Products of unsigned weights with signed
//! activations are summed in 16 bits over one or two sub-blocks, then multiplied by the integer scale and widened in one
//! `madd`. The bounds, each lane taking 2 products per dword:
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

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::super::activations::{Activations, SUPER, row_groups};
use super::super::layout::{ROWS, SIX_BIT_BYTES};
use super::super::superblock::{Expanded, SUB_BLOCKS, fetch_share, for_sub_blocks, nibble_place, two_bit_place};
use super::{FETCH_AHEAD, load, load_halves};

/// A K-quant, packed by 16 rows.
pub(super) trait SuperType {
    /// Bytes of 16 rows of one superblock.
    const BYTES: usize;
    /// Sub-blocks that are summed before their common scale is applied.
    const PER_SCALE: usize;
    /// Sub-blocks that may be summed in 16 bits.
    const PER_WIDENING: usize;
    /// Whether minima are subtracted, and of how many columns each.
    const MINIMA: Minima;
    /// What is subtracted from every quant, as a power of two; 0 for nothing.
    const OFFSET_BITS: i32;
    /// More activation rows than this are worth expanding a superblock to bytes for.
    const PACKED_UP_TO: usize;

    /// Unpacks the scales of a superblock.
    ///
    /// # Safety
    /// AVX2 and F16C; `weights` is readable for `BYTES`.
    unsafe fn scales(weights: *const u8) -> Scales;

    /// Dword `chunk` of sub-block `S`, rows `8 g..8 g + 8`, as unsigned bytes.
    ///
    /// # Safety
    /// As for `scales`; `chunk < 4`, `g < 2`.
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize, g: usize) -> __m256i;
}

/// The minima of a type.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Minima {
    None,
    Per16,
    Per32,
}

/// The scales of 16 rows of a superblock, ready for use. Vectors come in twos: rows 0..8 and rows 8..16.
pub(super) struct Scales {
    scale: [__m256; 2],
    min: [__m256; 2],
    /// Integer scales of the sub-blocks (or of twos of them), each twice in a dword.
    pairs: [[__m256i; 2]; SUB_BLOCKS],
    /// Integer minima. Of 32 columns each: those of blocks 2p and 2p + 1 in the halves of dword p. Of 16 columns each:
    /// that of sub-block p twice in dword p.
    min_pairs: [[__m256i; 2]; SUB_BLOCKS],
}

impl Scales {
    /// The f16 scales of 16 rows and, 32 bytes on, their minima; no integers yet.
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn new(weights: *const u8, has_minima: bool) -> Self {
        let mut scales = Self {
            scale: [_mm256_setzero_ps(); 2],
            min: [_mm256_setzero_ps(); 2],
            pairs: [[_mm256_setzero_si256(); 2]; SUB_BLOCKS],
            min_pairs: [[_mm256_setzero_si256(); 2]; SUB_BLOCKS],
        };
        // SAFETY: the caller passes a superblock, which begins with its f16.
        unsafe {
            scales.scale = [load_halves(weights), load_halves(weights.add(16))];
            if has_minima {
                scales.min = [load_halves(weights.add(32)), load_halves(weights.add(48))];
            }
        }
        scales
    }
}

/// A superblock of one group of activation rows, see `SuperForm`.
struct Input<'a> {
    quants: &'a [i8],
    scales: &'a [f32],
    sums: &'a [i32],
    half_sums: &'a [i32],
}

/// One group of 16 rows with all activation rows.
///
/// # Safety
/// See [`super::super::grouped::GroupKernel`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn group<T: SuperType>(weights: &[u8], activations: &Activations, sums: &mut [f32]) {
    let m = activations.m;
    debug_assert!(weights.len() == activations.cols / SUPER * T::BYTES && sums.len() == m * ROWS);
    // Written only where it is read: for many rows.
    let mut expanded = MaybeUninit::uninit();
    for (superblock, weights) in weights.chunks_exact(T::BYTES).enumerate() {
        let weights = weights.as_ptr();
        // SAFETY: `weights` is one superblock.
        let scales = unsafe { T::scales(weights) };
        if m > T::PACKED_UP_TO {
            // SAFETY: as above.
            unsafe { expand::<T>(weights, &mut expanded) };
        }
        for (first, rows) in row_groups(m) {
            let (form, start) = (&activations.supers, superblock * m + first);
            let input = Input {
                quants: &form.quants[start * SUPER..][..rows * SUPER],
                scales: &form.scales[start..][..rows],
                sums: &form.sums[start * 4..][..rows * 4],
                half_sums: &form.half_sums[start * 16..][..rows * 16],
            };
            let sums = &mut sums[first * ROWS..][..rows * ROWS];
            // SAFETY: the slices have just been cut to the sizes the kernels read.
            unsafe {
                match (rows, m > T::PACKED_UP_TO) {
                    (1, false) => finish::<T, 1>(&scales, packed::<T, 1>(weights, &scales, &input), &input, sums),
                    (2, false) => finish::<T, 2>(&scales, packed::<T, 2>(weights, &scales, &input), &input, sums),
                    (3, false) => finish::<T, 3>(&scales, packed::<T, 3>(weights, &scales, &input), &input, sums),
                    (_, false) => finish::<T, 4>(&scales, packed::<T, 4>(weights, &scales, &input), &input, sums),
                    (1, true) => finish::<T, 1>(&scales, bytes::<T, 1>(&expanded, &scales, &input), &input, sums),
                    (2, true) => finish::<T, 2>(&scales, bytes::<T, 2>(&expanded, &scales, &input), &input, sums),
                    (3, true) => finish::<T, 3>(&scales, bytes::<T, 3>(&expanded, &scales, &input), &input, sums),
                    (_, true) => finish::<T, 4>(&scales, bytes::<T, 4>(&expanded, &scales, &input), &input, sums),
                }
            }
        }
    }
}

/// Integer sums of a superblock: 16 rows (two vectors of 8) for each of `A` activation rows.
type Sums<const A: usize> = [[__m256i; 2]; A];

/// The sums straight from the packed quants, which are unpacked in registers: for few rows.
///
/// # Safety
/// AVX2; a superblock of weights and an input of `A` rows.
#[target_feature(enable = "avx2")]
unsafe fn packed<T: SuperType, const A: usize>(weights: *const u8, scales: &Scales, input: &Input<'_>) -> Sums<A> {
    let mut sums = [[_mm256_setzero_si256(); 2]; A];
    let mut partial = [[_mm256_setzero_si256(); 2]; A];
    let quants = input.quants.as_ptr();
    // SAFETY: the caller's promise; fetching ahead never faults.
    unsafe {
        for_sub_blocks!(S => {
            if S.is_multiple_of(T::PER_WIDENING) {
                partial = first_partial::<T, A>(input, S);
            }
            for chunk in 0..4 {
                fetch_share(weights.wrapping_add(FETCH_AHEAD), T::BYTES, 4 * S + chunk);
                let weights = [T::quants::<S>(weights, chunk, 0), T::quants::<S>(weights, chunk, 1)];
                multiply_add(&mut partial, weights, quants.add((S * 4 + chunk) * 4 * A));
            }
            if (S + 1).is_multiple_of(T::PER_WIDENING) {
                widen(&mut sums, &partial, &scales.pairs[S / T::PER_SCALE]);
            }
        });
    }
    sums
}

#[target_feature(enable = "avx2")]
unsafe fn expand<T: SuperType>(weights: *const u8, expanded: &mut MaybeUninit<Expanded>) {
    let bytes = expanded.as_mut_ptr().cast::<u8>();
    // SAFETY: the caller passes a superblock; 64 dwords of two vectors are exactly `expanded`.
    unsafe {
        for_sub_blocks!(S => {
            for chunk in 0..4 {
                fetch_share(weights.wrapping_add(FETCH_AHEAD), T::BYTES, 4 * S + chunk);
                for g in 0..2 {
                    let vector = T::quants::<S>(weights, chunk, g);
                    _mm256_store_si256(bytes.add((S * 4 + chunk) * 64 + 32 * g).cast(), vector);
                }
            }
        });
    }
}

/// The sums from expanded quants: for many rows.
///
/// # Safety
/// AVX2; an expanded superblock and an input of `A` rows.
#[target_feature(enable = "avx2")]
unsafe fn bytes<T: SuperType, const A: usize>(
    expanded: &MaybeUninit<Expanded>,
    scales: &Scales,
    input: &Input<'_>,
) -> Sums<A> {
    let mut sums = [[_mm256_setzero_si256(); 2]; A];
    let (mut weights, mut quants) = (expanded.as_ptr().cast::<u8>(), input.quants.as_ptr());
    // SAFETY: 16 sub-blocks of 4 dwords are exactly what the caller passes.
    unsafe {
        for sub_block in (0..SUB_BLOCKS).step_by(T::PER_WIDENING) {
            let mut partial = first_partial::<T, A>(input, sub_block);
            for _ in 0..4 * T::PER_WIDENING {
                multiply_add(&mut partial, [load(weights), load(weights.add(32))], quants);
                (weights, quants) = (weights.add(64), quants.add(4 * A));
            }
            widen(&mut sums, &partial, &scales.pairs[sub_block / T::PER_SCALE]);
        }
    }
    sums
}

/// What 16-bit sums start with: the offset's share, if the type has one.
#[target_feature(enable = "avx2")]
unsafe fn first_partial<T: SuperType, const A: usize>(input: &Input<'_>, sub_block: usize) -> Sums<A> {
    let mut partial = [[_mm256_setzero_si256(); 2]; A];
    if T::OFFSET_BITS != 0 {
        for (i, partial) in partial.iter_mut().enumerate() {
            // SAFETY: the caller passes an input of `A` rows.
            let sum = unsafe { *input.half_sums.as_ptr().add(sub_block * A + i) };
            let shifted = _mm256_sll_epi16(_mm256_set1_epi32(sum), _mm_cvtsi32_si128(T::OFFSET_BITS));
            *partial = [_mm256_sub_epi16(_mm256_setzero_si256(), shifted); 2];
        }
    }
    partial
}

/// Adds the products of one dword of 16 rows with that of each activation row.
#[target_feature(enable = "avx2")]
unsafe fn multiply_add<const A: usize>(partial: &mut Sums<A>, weights: [__m256i; 2], quants: *const i8) {
    for (i, partial) in partial.iter_mut().enumerate() {
        // SAFETY: the caller passes `A` dwords.
        let activation = _mm256_set1_epi32(unsafe { quants.add(4 * i).cast::<i32>().read_unaligned() });
        partial[0] = _mm256_add_epi16(partial[0], _mm256_maddubs_epi16(weights[0], activation));
        partial[1] = _mm256_add_epi16(partial[1], _mm256_maddubs_epi16(weights[1], activation));
    }
}

/// Adds 16-bit sums, times their scale, to the 32-bit ones.
#[target_feature(enable = "avx2")]
fn widen<const A: usize>(sums: &mut Sums<A>, partial: &Sums<A>, scale: &[__m256i; 2]) {
    for (sums, partial) in sums.iter_mut().zip(partial) {
        sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(partial[0], scale[0]));
        sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(partial[1], scale[1]));
    }
}

/// Scales a superblock's integer sums, takes off the minima, and adds the result to `out (A, 16)`.
///
/// # Safety
/// AVX2 and FMA; an input of `A` rows and `A * 16` sums.
#[target_feature(enable = "avx2,fma")]
unsafe fn finish<T: SuperType, const A: usize>(scales: &Scales, sums: Sums<A>, input: &Input<'_>, out: &mut [f32]) {
    let out = out.as_mut_ptr();
    for (i, sums) in sums.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let activation_scale = _mm256_set1_ps(*input.scales.as_ptr().add(i));
            for g in 0..2 {
                let at = out.add(i * ROWS + 8 * g);
                let scale = _mm256_mul_ps(scales.scale[g], activation_scale);
                let mut total = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[g]), scale, _mm256_loadu_ps(at));
                if T::MINIMA != Minima::None {
                    let mut minima = _mm256_setzero_si256();
                    let per_16 = T::MINIMA == Minima::Per16;
                    for (p, pair) in scales.min_pairs[..if per_16 { 16 } else { 4 }].iter().enumerate() {
                        let sums = if per_16 {
                            *input.half_sums.as_ptr().add(p * A + i)
                        } else {
                            *input.sums.as_ptr().add(4 * i + p)
                        };
                        minima = _mm256_add_epi32(minima, _mm256_madd_epi16(pair[g], _mm256_set1_epi32(sums)));
                    }
                    let scale = _mm256_mul_ps(scales.min[g], activation_scale);
                    total = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(minima), scale, total);
                }
                _mm256_storeu_ps(at, total);
            }
        }
    }
}

/// 16 bytes of scales in `SCALE_PLACE` order, widened: each row's twice in its dword.
#[target_feature(enable = "avx2")]
fn pairs(widened: __m256i) -> [__m256i; 2] {
    [_mm256_unpacklo_epi16(widened, widened), _mm256_unpackhi_epi16(widened, widened)]
}

/// The six-bit scales (first four) and minima of Q4_K and Q5_K, after two f16 of each row: those of blocks 2v and 2v + 1
/// of 32 columns in the halves of vector v, in `SCALE_PLACE` order.
#[target_feature(enable = "avx2")]
pub(in super::super) unsafe fn six_bit_vectors(weights: *const u8) -> [__m256i; 8] {
    let six = _mm256_set1_epi8(63);
    let two = _mm256_set1_epi8(3);
    let mut vectors = [_mm256_setzero_si256(); 8];
    let mut stored = [_mm256_setzero_si256(); 6];
    for (v, stored) in stored.iter_mut().enumerate() {
        // SAFETY: the caller passes a superblock, whose scales begin after 64 bytes of f16.
        *stored = unsafe { load(weights.add(64 + 32 * v)) };
        vectors[v] = _mm256_and_si256(*stored, six);
    }
    for (v, vector) in vectors[6..].iter_mut().enumerate() {
        let [a, b, c] = [stored[3 * v], stored[3 * v + 1], stored[3 * v + 2]];
        let low = _mm256_and_si256(_mm256_srli_epi16::<6>(a), two);
        let middle = _mm256_and_si256(_mm256_srli_epi16::<4>(b), _mm256_slli_epi16::<2>(two));
        let high = _mm256_and_si256(_mm256_srli_epi16::<2>(c), _mm256_slli_epi16::<4>(two));
        *vector = _mm256_or_si256(_mm256_or_si256(low, middle), high);
    }
    vectors
}

#[target_feature(enable = "avx2,f16c")]
unsafe fn six_bit_scales(weights: *const u8) -> Scales {
    // SAFETY: the caller passes a superblock.
    unsafe {
        let vectors = six_bit_vectors(weights);
        let mut scales = Scales::new(weights, true);
        for (v, vector) in vectors[..4].iter().enumerate() {
            scales.pairs[2 * v] = pairs(_mm256_cvtepu8_epi16(_mm256_castsi256_si128(*vector)));
            scales.pairs[2 * v + 1] = pairs(_mm256_cvtepu8_epi16(_mm256_extracti128_si256::<1>(*vector)));
        }
        for (vector, min_pairs) in vectors[4..].iter().zip(&mut scales.min_pairs) {
            let even = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(*vector));
            let odd = _mm256_cvtepu8_epi16(_mm256_extracti128_si256::<1>(*vector));
            *min_pairs = [_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd)];
        }
        scales
    }
}

/// Nibbles of the bytes at `at`, high if `HIGH`.
#[target_feature(enable = "avx2")]
unsafe fn nibbles(at: *const u8, high: bool) -> __m256i {
    // SAFETY: the caller passes 32 readable bytes.
    let bytes = unsafe { load(at) };
    let bytes = if high { _mm256_srli_epi16::<4>(bytes) } else { bytes };
    _mm256_and_si256(bytes, _mm256_set1_epi8(15))
}

/// Each byte's bit `from`, and those above it, moved to bit `to`, under `mask`. Constant places become one shift.
#[target_feature(enable = "avx2")]
#[inline]
fn moved(bytes: __m256i, from: usize, to: usize, mask: i8) -> __m256i {
    let shifted = match to as i32 - from as i32 {
        4 => _mm256_slli_epi16::<4>(bytes),
        3 => _mm256_slli_epi16::<3>(bytes),
        2 => _mm256_slli_epi16::<2>(bytes),
        1 => _mm256_slli_epi16::<1>(bytes),
        0 => bytes,
        -1 => _mm256_srli_epi16::<1>(bytes),
        -2 => _mm256_srli_epi16::<2>(bytes),
        -3 => _mm256_srli_epi16::<3>(bytes),
        -4 => _mm256_srli_epi16::<4>(bytes),
        -5 => _mm256_srli_epi16::<5>(bytes),
        -6 => _mm256_srli_epi16::<6>(bytes),
        _ => unreachable!("no type moves bit {from} to bit {to}"),
    };
    _mm256_and_si256(shifted, _mm256_set1_epi8(mask))
}

pub(super) struct Q2K;
pub(super) struct Q3K;
pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;

impl SuperType for Q2K {
    const BYTES: usize = 84 * ROWS;
    const PER_SCALE: usize = 1;
    const PER_WIDENING: usize = 1;
    const MINIMA: Minima = Minima::Per16;
    const OFFSET_BITS: i32 = 0;
    const PACKED_UP_TO: usize = 2;

    #[target_feature(enable = "avx2,f16c")]
    unsafe fn scales(weights: *const u8) -> Scales {
        // SAFETY: two f16 of each row and 16 vectors of 16 scales begin the superblock.
        unsafe {
            let mut scales = Scales::new(weights, true);
            let nibble = _mm_set1_epi8(15);
            for s in 0..SUB_BLOCKS {
                let both = _mm_loadu_si128(weights.add(64 + 16 * s).cast());
                scales.pairs[s] = pairs(_mm256_cvtepu8_epi16(_mm_and_si128(both, nibble)));
                let minima = _mm_and_si128(_mm_srli_epi16::<4>(both), nibble);
                scales.min_pairs[s] = pairs(_mm256_cvtepu8_epi16(minima));
            }
            scales
        }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize, g: usize) -> __m256i {
        let (place, bit) = two_bit_place(S, chunk);
        // SAFETY: 16 vectors of 64 bytes follow the scales.
        moved(unsafe { load(weights.add(64 + 256 + 64 * place + 32 * g)) }, bit, 0, 3)
    }
}

impl SuperType for Q3K {
    const BYTES: usize = 110 * ROWS;
    const PER_SCALE: usize = 1;
    const PER_WIDENING: usize = 1;
    const MINIMA: Minima = Minima::None;
    const OFFSET_BITS: i32 = 2;
    const PACKED_UP_TO: usize = 2;

    #[target_feature(enable = "avx2,f16c")]
    unsafe fn scales(weights: *const u8) -> Scales {
        // SAFETY: one f16 of each row and 12 vectors of 16 bytes of scales begin the superblock.
        unsafe {
            let mut scales = Scales::new(weights, false);
            let vector = |v: usize| _mm_loadu_si128(weights.add(32 + 16 * v).cast());
            let shift = |bits: usize| _mm_cvtsi32_si128(bits as i32);
            for s in 0..SUB_BLOCKS {
                let low = _mm_and_si128(_mm_srl_epi16(vector(s % 8), shift(s / 8 * 4)), _mm_set1_epi8(15));
                let high = _mm_and_si128(_mm_srl_epi16(vector(8 + s % 4), shift(s / 4 * 2)), _mm_set1_epi8(3));
                let six_bits = _mm_or_si128(low, _mm_slli_epi16::<4>(high));
                scales.pairs[s] = pairs(_mm256_cvtepi8_epi16(_mm_sub_epi8(six_bits, _mm_set1_epi8(32))));
            }
            scales
        }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize, g: usize) -> __m256i {
        let (place, bit) = two_bit_place(S, chunk);
        // SAFETY: 8 vectors of third bits and 16 of bit pairs, each of 64 bytes, follow the scales.
        unsafe {
            let planes = weights.add(32 + 192 + 32 * g);
            let low = moved(load(planes.add(64 * (8 + place))), bit, 0, 3);
            _mm256_or_si256(low, moved(load(planes.add(64 * (S % 2 * 4 + chunk))), S / 2, 2, 4))
        }
    }
}

impl SuperType for Q4K {
    const BYTES: usize = 144 * ROWS;
    const PER_SCALE: usize = 2;
    const PER_WIDENING: usize = 2;
    const MINIMA: Minima = Minima::Per32;
    const OFFSET_BITS: i32 = 0;
    const PACKED_UP_TO: usize = 8;

    #[target_feature(enable = "avx2,f16c")]
    unsafe fn scales(weights: *const u8) -> Scales {
        // SAFETY: the caller's promise.
        unsafe { six_bit_scales(weights) }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize, g: usize) -> __m256i {
        let (place, high) = nibble_place(S, chunk);
        // SAFETY: 32 vectors of 64 bytes follow the scales.
        unsafe { nibbles(weights.add(64 + SIX_BIT_BYTES + 64 * place + 32 * g), high) }
    }
}

impl SuperType for Q5K {
    const BYTES: usize = 176 * ROWS;
    const PER_SCALE: usize = 2;
    const PER_WIDENING: usize = 1;
    const MINIMA: Minima = Minima::Per32;
    const OFFSET_BITS: i32 = 0;
    const PACKED_UP_TO: usize = 2;

    #[target_feature(enable = "avx2,f16c")]
    unsafe fn scales(weights: *const u8) -> Scales {
        // SAFETY: the caller's promise.
        unsafe { six_bit_scales(weights) }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize, g: usize) -> __m256i {
        let (place, high) = nibble_place(S, chunk);
        // SAFETY: 8 vectors of fifth bits and 32 of nibbles, each of 64 bytes, follow the scales.
        unsafe {
            let planes = weights.add(64 + SIX_BIT_BYTES + 32 * g);
            let fifths = load(planes.add(64 * (S % 2 * 4 + chunk)));
            _mm256_or_si256(nibbles(planes.add(64 * (8 + place)), high), moved(fifths, S / 2, 4, 16))
        }
    }
}

impl SuperType for Q6K {
    const BYTES: usize = 210 * ROWS;
    const PER_SCALE: usize = 1;
    const PER_WIDENING: usize = 1;
    const MINIMA: Minima = Minima::None;
    const OFFSET_BITS: i32 = 5;
    const PACKED_UP_TO: usize = 2;

    #[target_feature(enable = "avx2,f16c")]
    unsafe fn scales(weights: *const u8) -> Scales {
        // SAFETY: 16 f16 and 16 vectors of 16 scales begin the superblock.
        unsafe {
            let mut scales = Scales::new(weights, false);
            for (s, target) in scales.pairs.iter_mut().enumerate() {
                *target = pairs(_mm256_cvtepi8_epi16(_mm_loadu_si128(weights.add(32 + 16 * s).cast())));
            }
            scales
        }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn quants<const S: usize>(weights: *const u8, chunk: usize, g: usize) -> __m256i {
        // Column 128 h + 32 w + i: nibble i of low plane 64 h + 32 (w % 2), high if w >= 2; bits 2 w of high plane 32 h.
        let (h, w, column) = (S / 8, S % 8 / 2, S % 2 * 4 + chunk);
        // SAFETY: 32 vectors of nibbles and 16 of bit pairs, each of 64 bytes, follow the scales.
        unsafe {
            let planes = weights.add(32 + 256 + 32 * g);
            let low = nibbles(planes.add(64 * (16 * h + 8 * (w % 2) + column)), w >= 2);
            let high = load(planes.add(64 * (32 + 8 * h + column)));
            _mm256_or_si256(low, moved(high, 2 * w, 4, 0x30))
        }
    }
}
