//! What the kernels of the K-quants share whatever the processor: where quants lie in a superblock, room for its bytes,
//! and fetching ahead.

use super::activations::SUPER;
use super::layout::ROWS;

/// Sub-blocks of 16 columns in a superblock.
pub(super) const SUB_BLOCKS: usize = SUPER / 16;

/// A superblock of 16 rows as bytes: `[64 dwords][16 rows][4]`, unless a kernel says otherwise.
#[repr(C, align(64))]
pub(super) struct Expanded(pub(super) [u8; ROWS * SUPER]);

/// Where dword `chunk` of sub-block `s` of a 4-bit plane lies, in vectors of 64 bytes, and whether its quants
/// are the high nibbles: bytes of 32 columns hold those columns in their low and the next 32 in their high nibbles.
pub(super) const fn nibble_place(s: usize, chunk: usize) -> (usize, bool) {
    (s / 4 * 8 + s % 2 * 4 + chunk, s % 4 >= 2)
}

/// Where dword `chunk` of sub-block `s` of a 2-bit plane of Q2_K and Q3_K lies, in vectors of 64 bytes, and its lowest bit.
pub(super) const fn two_bit_place(s: usize, chunk: usize) -> (usize, usize) {
    (s / 8 * 8 + s % 2 * 4 + chunk, s % 8 / 2 * 2)
}

/// Fetches `len` bytes from `start` on into the cache. There need not be memory. To be spread evenly through the work:
/// in bursts it would do more harm than good.
#[inline]
pub(super) fn fetch(start: *const u8, len: usize) {
    for line in (0..len).step_by(64) {
        let line = start.wrapping_add(line);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: fetching never faults, and every x86-64 processor has the instruction.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(line.cast());
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: fetching never faults, and every aarch64 processor has the instruction.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
        }
    }
}

/// Of `len` bytes from `start` on, fetches what falls to one of the 64 dword steps of a superblock: a line, or nothing.
#[inline]
pub(super) fn fetch_share(start: *const u8, len: usize, step: usize) {
    let lines_before = |step: usize| step * len / (64 * 64);
    if lines_before(step) != lines_before(step + 1) {
        fetch(start.wrapping_add(64 * lines_before(step)), 64);
    }
}

/// Runs a block of code for each of the 16 sub-blocks of a superblock, its number a constant.
macro_rules! for_sub_blocks {
    ($s:ident => $body:block) => {
        for_sub_blocks!(@ $s $body 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@ $s:ident $body:block $($n:literal)*) => {
        $({ const $s: usize = $n; $body })*
    };
}
pub(super) use for_sub_blocks;
