//! A mutable slice that the tasks of one parallel region write to in disjoint ranges.

use std::marker::PhantomData;
use std::ops::Range;

/// A `&mut [T]` split among tasks by index instead of by `split_at_mut`, for strided outputs.
pub(super) struct DisjointSlice<'a, T> {
    start: *mut T,
    len: usize,
    _borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: this is a `&mut [T]` handed out in pieces, which other threads may use if `T: Send`.
unsafe impl<T: Send> Send for DisjointSlice<'_, T> {}
// SAFETY: as above; `slice` is unsafe and asks its callers for disjoint ranges.
unsafe impl<T: Send> Sync for DisjointSlice<'_, T> {}

impl<'a, T> DisjointSlice<'a, T> {
    pub(super) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), _borrow: PhantomData }
    }

    /// # Safety
    /// While the returned slice lives, no other live slice of this object may overlap `range`.
    #[allow(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub(super) unsafe fn slice(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} lies outside 0..{}", self.len);
        // SAFETY: the range lies inside the borrowed slice (checked), and the caller promises no overlap.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
