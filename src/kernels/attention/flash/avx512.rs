//! A page with AVX-512, in vectors of sixteen.

mod bytes;
mod floats;

use super::super::page::{KvShape, KvType};
use super::tile::{HeadPage, Tile};

/// Numbers in a vector.
const LANES: usize = 16;

/// Adds one head's page to the softmax of `tile`.
///
/// # Safety
/// AVX-512 with VNNI beside AVX2; [`takes`] is true; `page` and `tile` are of one shape.
pub(super) unsafe fn attend_page(page: &HeadPage<'_>, tile: &mut Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        match page.shape.kv_type {
            KvType::F16 => floats::attend_page(page, tile),
            KvType::Q8_0 => bytes::attend_page(page, tile),
        }
    }
}

/// Whether these kernels are used for a page of this shape and this many queries. For few queries, f16 is limited by
/// memory, and vectors of eight are enough.
pub(super) fn takes(shape: &KvShape, queries: usize) -> bool {
    shape.head_dim.is_multiple_of(LANES) && (shape.kv_type == KvType::Q8_0 || queries >= floats::MIN_QUERIES)
}

/// Cuts `queries` into tiles of 8 and the rest into powers of two: (first, count).
fn query_tiles(queries: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let count = match queries - first {
            0 => return None,
            8.. => 8,
            few => 1 << few.ilog2(),
        };
        first += count;
        Some((first - count, count))
    })
}
