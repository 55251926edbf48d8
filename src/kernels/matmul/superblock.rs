//! A superblock of 16 rows unpacked to bytes, and walks over its parts with constant numbers.

use super::shape::{ROWS, SUPER};

/// `[64 dwords][16 rows][4]`, unless a kernel says otherwise.
#[repr(C, align(64))]
pub(super) struct Expanded(pub(super) [u8; ROWS * SUPER]);

/// Where sub-block `s` lies in a plane of bits: its half of 128 columns, its block of 32 columns there, and its dword
/// `chunk` among the 8 of that block.
pub(super) const fn plane_indices(s: usize, chunk: usize) -> (usize, usize, usize) {
    (s / 8, s % 8 / 2, s % 2 * 4 + chunk)
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

/// Runs a block of code for the numbers below 4, the number a constant: of a dword in a sub-block, of a pair of blocks in a
/// superblock, of an activation row in a group.
macro_rules! for_four {
    ($n:ident => $body:block) => {
        for_four!(@ $n $body 0 1 2 3)
    };
    (@ $n:ident $body:block $($literal:literal)*) => {
        $({ const $n: usize = $literal; $body })*
    };
}
pub(super) use for_four;
