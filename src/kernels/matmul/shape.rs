//! The sizes that all matrix kernels agree on.

/// Weight rows side by side in the interleaved layout.
pub(super) const ROWS: usize = 16;
/// Activation rows that one tile takes.
pub(super) const GROUP: usize = 4;
/// Columns of a block of the legacy quants, and of a block of the K-quants that has a scale and a minimum.
pub(super) const BLOCK: usize = 32;
/// Columns of a superblock.
pub(super) const SUPER: usize = 256;
/// Sub-blocks of 16 columns in a superblock.
pub(super) const SUB_BLOCKS: usize = SUPER / 16;
