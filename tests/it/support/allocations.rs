//! A counting allocator for the whole test program, which measures the peak memory of a thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    /// The bytes that this thread has allocated and not freed, and their peak.
    static LIVE_AND_PEAK: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: isize) {
    // A thread that ends also frees memory after its counters are gone.
    let _ = LIVE_AND_PEAK.try_with(|cell| {
        let (live, peak) = cell.get();
        cell.set((live + bytes, peak.max(live + bytes)));
    });
}

// SAFETY: every call is passed to the system's allocator unchanged, and counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's layout.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's pointer and layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // While the memory is moved, both exist.
        count(new_size as isize);
        // SAFETY: the caller's pointer, layout and size.
        let moved = unsafe { System.realloc(pointer, layout, new_size) };
        count(-(layout.size() as isize));
        moved
    }
}

/// The result of `work`, and this thread's peak bytes meanwhile, beyond those before.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let (before, _) = LIVE_AND_PEAK.get();
    LIVE_AND_PEAK.set((before, before));
    let result = work();
    let (_, peak) = LIVE_AND_PEAK.get();
    (result, (peak - before) as usize)
}
