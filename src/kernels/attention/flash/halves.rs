//! A page of f16 in vectors of eight, see [`lanes`].
//!
//! A page is read as it lies in the cache for few queries, and widened to f32 once for many. Register tiles of queries
//! by vectors (8 positions for the scores, 8 elements of the head for the output) are 6, 4 and 3 by 2, 2 by 4 and, for
//! a lone query, 1 by 4 and 1 by 12, so that it reads each value row in one go; with 3 by 4 one sum would have no
//! register. Each element, or position, is added in the same order whatever the tile, so that batches give the same
//! results as single rows.

#![allow(clippy::needless_range_loop, reason = "loops over registers index several arrays at once")]

use super::super::page::{self, PAGE_LEN};
use super::tile::{HeadPage, Tile};
use crate::lanes::{self, Lanes};

/// From this many queries on, a page is widened to f32 once instead of by each tile of queries.
const WIDEN_FROM: usize = 25;

/// Vectors of a page's scores.
const VECTORS: usize = PAGE_LEN / 8;
/// Bytes that one prefetch brings.
const LINE: usize = 64;

/// Adds one head's page to the softmax of `tile`.
///
/// # Safety
/// The level's instruction sets; the head size is a multiple of 8; `page` and `tile` are of one shape.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
pub(super) unsafe fn attend_page(page: &HeadPage<'_>, tile: &mut Tile) {
    let (dim, values) = (page.shape.head_dim, page::offsets(page.shape).values);
    assert!(page.bytes.len() == 2 * values && page.next.len() == 2 * values);
    // SAFETY: the caller's promise; `widened` gives a page of f32.
    unsafe {
        if tile.len() >= WIDEN_FROM {
            let wide = widened(page, tile);
            let (keys, values) = wide.split_at(PAGE_LEN * dim);
            attend_with(dim, page.start, &Floats { at: keys.as_ptr() }, &Floats { at: values.as_ptr() }, tile);
            tile.widened = wide;
        } else {
            let (at, next) = (page.bytes.as_ptr(), page.next.as_ptr());
            let keys = Halves { at, ahead: next };
            let values = Halves { at: at.add(values), ahead: next.add(values) };
            attend_with(dim, page.start, &keys, &values, tile);
        }
    }
}

/// The page as f32 in the same layout. It uses the memory of `tile.widened`, where the caller has to put it back.
///
/// # Safety
/// As for [`attend_page`].
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
pub(super) unsafe fn widened(page: &HeadPage<'_>, tile: &mut Tile) -> Vec<f32> {
    let mut wide = std::mem::take(&mut tile.widened);
    let len = 2 * PAGE_LEN * page.shape.head_dim;
    assert!(page.bytes.len() == 2 * len && page.next.len() == 2 * len);
    wide.resize(len, 0.0);
    let halves = Halves { at: page.bytes.as_ptr(), ahead: page.next.as_ptr() };
    for first in (0..len).step_by(LINE / 2) {
        // SAFETY: both are `len` numbers, a multiple of 32.
        unsafe {
            halves.prefetch(first);
            for index in (first..first + LINE / 2).step_by(8) {
                lanes::store(wide.as_mut_ptr().add(index), halves.load(index));
            }
        }
    }
    wide
}

/// Adds the keys and values of the page that begins at position `start` to `tile`.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
unsafe fn attend_with<P: Numbers>(dim: usize, start: usize, keys: &P, values: &P, tile: &mut Tile) {
    // SAFETY: the tile holds as many rows of each of its parts as it has queries; the pages are whole.
    unsafe {
        for (first, count) in query_tiles(tile.len()) {
            let query = tile.queries.as_ptr().add(first * dim);
            let weights = tile.weights.as_mut_ptr().add(first * PAGE_LEN);
            match count {
                1 => scores::<P, 1, 4>(keys, dim, query, weights),
                2 => scores::<P, 2, 4>(keys, dim, query, weights),
                3 => scores::<P, 3, 2>(keys, dim, query, weights),
                4 => scores::<P, 4, 2>(keys, dim, query, weights),
                _ => scores::<P, 6, 2>(keys, dim, query, weights),
            }
        }
        let positions = tile.update_softmax(dim, start);
        for (first, count) in query_tiles(tile.len()) {
            let weights = tile.weights.as_ptr().add(first * PAGE_LEN);
            let output = tile.run.output.as_mut_ptr().add(first * dim);
            match count {
                1 => accumulate_strips::<P, 1>(values, dim, weights, positions, output),
                2 => accumulate_strips::<P, 2>(values, dim, weights, positions, output),
                3 => accumulate_strips::<P, 3>(values, dim, weights, positions, output),
                4 => accumulate_strips::<P, 4>(values, dim, weights, positions, output),
                _ => accumulate_strips::<P, 6>(values, dim, weights, positions, output),
            }
        }
    }
}

/// Cuts `queries` into tiles of 6 and the rest into one or two: (first, count).
fn query_tiles(queries: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let count = match queries - first {
            0 => return None,
            6.. => 6,
            5 => 3,
            few => few,
        };
        first += count;
        Some((first - count, count))
    })
}

/// Adds the weighted values to `output`, strip by strip of the head.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
unsafe fn accumulate_strips<P: Numbers, const Q: usize>(
    values: &P,
    dim: usize,
    weights: *const f32,
    positions: usize,
    output: *mut f32,
) {
    let mut start = 0;
    // SAFETY: strips lie inside the head; the caller passes whole pages, weights and outputs of `Q` queries.
    unsafe {
        while start < dim {
            let strip = match ((dim - start) / 8, Q) {
                (12.., 1) => 12,
                (8.., 1) => 8,
                (4.., 1 | 2) => 4,
                (2.., _) => 2,
                _ => 1,
            };
            match strip {
                12 => accumulate::<P, Q, 12>(values, dim, start, weights, positions, output),
                8 => accumulate::<P, Q, 8>(values, dim, start, weights, positions, output),
                4 => accumulate::<P, Q, 4>(values, dim, start, weights, positions, output),
                2 => accumulate::<P, Q, 2>(values, dim, start, weights, positions, output),
                _ => accumulate::<P, Q, 1>(values, dim, start, weights, positions, output),
            }
            start += 8 * strip;
        }
    }
}

/// The keys or the values of one head in a page.
trait Numbers {
    /// Elements `index..index + 8`.
    ///
    /// # Safety
    /// The level's instruction sets; the elements lie inside the page.
    unsafe fn load(&self, index: usize) -> Lanes;

    /// Prefetches the cache line in the next block that corresponds to the one of element `index`.
    ///
    /// # Safety
    /// As for `load`.
    unsafe fn prefetch(&self, index: usize);
}

/// f16 as in the cache.
struct Halves {
    at: *const u8,
    /// The keys or values of the block that is read next.
    ahead: *const u8,
}

impl Numbers for Halves {
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    #[inline]
    unsafe fn load(&self, index: usize) -> Lanes {
        // SAFETY: the caller's promise.
        unsafe { lanes::load_halves(self.at.add(2 * index)) }
    }

    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    #[inline]
    unsafe fn prefetch(&self, index: usize) {
        // SAFETY: the caller's promise.
        lanes::prefetch(unsafe { self.ahead.add(2 * index) });
    }
}

/// The same layout in f32, which lies entirely in the first-level cache.
struct Floats {
    at: *const f32,
}

impl Numbers for Floats {
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
    #[inline]
    unsafe fn load(&self, index: usize) -> Lanes {
        // SAFETY: the caller's promise.
        unsafe { lanes::load(self.at.add(index)) }
    }

    #[inline]
    unsafe fn prefetch(&self, _index: usize) {}
}

/// `scores (Q, PAGE_LEN) = query (Q, dim) x keys^T`, `V` vectors of positions at a time.
///
/// # Safety
/// The level's instruction sets; the page and both arrays have these sizes.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
unsafe fn scores<P: Numbers, const Q: usize, const V: usize>(
    keys: &P,
    dim: usize,
    query: *const f32,
    scores: *mut f32,
) {
    for first in (0..VECTORS).step_by(V) {
        let mut sums = [[lanes::splat(0.0); V]; Q];
        // SAFETY: `dim` elements of each query, `dim` times 32 keys, `Q` pages of scores.
        unsafe {
            for i in 0..dim {
                if first == 0 {
                    keys.prefetch(i * PAGE_LEN);
                }
                multiply_add(
                    &mut sums,
                    |q| lanes::splat(*query.add(q * dim + i)),
                    |v| keys.load(i * PAGE_LEN + 8 * (first + v)),
                );
            }
            store_strip(PAGE_LEN, 8 * first, scores, &sums);
        }
    }
}

/// `output (Q, dim)` at columns `start..start + 8 * S` gains `weights (Q, PAGE_LEN) x values` over the first
/// `positions`.
///
/// # Safety
/// As for [`scores`].
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
unsafe fn accumulate<P: Numbers, const Q: usize, const S: usize>(
    values: &P,
    dim: usize,
    start: usize,
    weights: *const f32,
    positions: usize,
    output: *mut f32,
) {
    // SAFETY: the strip lies inside the rows of the page and of the output.
    unsafe {
        let mut sums = load_strip::<Q, S>(dim, start, output);
        for position in 0..positions {
            let at = position * dim + start;
            for line in (0..8 * S).step_by(LINE / 2) {
                values.prefetch(at + line);
            }
            multiply_add(
                &mut sums,
                |q| lanes::splat(*weights.add(q * PAGE_LEN + position)),
                |s| values.load(at + 8 * s),
            );
        }
        store_strip(dim, start, output, &sums);
    }
}

/// `sums[q][v] += factor(q) * vector(v)`, in the order that needs the fewest registers beside the sums: all of the
/// factors or vectors, whichever are fewer, and one at a time of the others.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn multiply_add<const Q: usize, const V: usize>(
    sums: &mut [[Lanes; V]; Q],
    factor: impl Fn(usize) -> Lanes,
    vector: impl Fn(usize) -> Lanes,
) {
    if Q <= V {
        let mut factors = [lanes::splat(0.0); Q];
        for q in 0..Q {
            factors[q] = factor(q);
        }
        for v in 0..V {
            let vector = vector(v);
            for q in 0..Q {
                sums[q][v] = lanes::multiply_add(factors[q], vector, sums[q][v]);
            }
        }
    } else {
        let mut vectors = [lanes::splat(0.0); V];
        for v in 0..V {
            vectors[v] = vector(v);
        }
        for q in 0..Q {
            let factor = factor(q);
            for v in 0..V {
                sums[q][v] = lanes::multiply_add(factor, vectors[v], sums[q][v]);
            }
        }
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
unsafe fn load_strip<const Q: usize, const S: usize>(dim: usize, start: usize, at: *const f32) -> [[Lanes; S]; Q] {
    let mut strip = [[lanes::splat(0.0); S]; Q];
    for q in 0..Q {
        for s in 0..S {
            // SAFETY: the caller's strip lies inside `Q` rows of `dim`.
            strip[q][s] = unsafe { lanes::load(at.add(q * dim + start + 8 * s)) };
        }
    }
    strip
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
unsafe fn store_strip<const Q: usize, const S: usize>(dim: usize, start: usize, at: *mut f32, strip: &[[Lanes; S]; Q]) {
    for q in 0..Q {
        for s in 0..S {
            // SAFETY: the caller's strip lies inside `Q` rows of `dim`.
            unsafe { lanes::store(at.add(q * dim + start + 8 * s), strip[q][s]) };
        }
    }
}
