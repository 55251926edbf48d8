//! What a kernel is: a function for one group of rows, or for several at once.

use super::activations::Activations;
use crate::tuning::Tuning;

/// Adds the product of neighbouring packed groups of 16 rows with all activation rows to `sums (m, groups * 16)`.
///
/// # Safety
/// The processor has the level's instruction sets, the weights are as many whole groups as the kernel takes, of the type
/// it is for, the activations hold the form it reads, and `sums` is `m * groups * 16` long.
pub(super) type GroupKernel = unsafe fn(weights: &[u8], activations: &Activations, tuning: &Tuning, sums: &mut [f32]);

/// A kernel that takes several groups at once.
pub(super) struct WideKernel {
    pub(super) kernel: GroupKernel,
    pub(super) groups: usize,
    /// For fewer activation rows, the kernel of a single group is as fast.
    pub(super) min_rows: usize,
}
