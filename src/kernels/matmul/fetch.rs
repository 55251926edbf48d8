//! Fetching weights into the cache before they are needed. Prefetches have to be spread evenly through the work. In
//! bursts they would do more harm than good, since the processor stalls when it waits for more lines than it can
//! request at a time.

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// Fetches `len` bytes from `start` on into the cache. The range need not be mapped.
///
/// Written as assembly that, as far as the compiler knows, touches memory, so that loads are not moved across it. With
/// an intrinsic, the compiler would move all fetches of a superblock behind its last load, and such a burst halves the
/// read rate.
#[inline]
pub(super) fn fetch(start: *const u8, len: usize) {
    for line in (0..len).step_by(LINE) {
        let line = start.wrapping_add(line);
        // SAFETY: fetching never faults, and every processor of the architecture has the instruction.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            std::arch::asm!("prefetcht0 [{}]", in(reg) line, options(nostack, preserves_flags));
            #[cfg(target_arch = "aarch64")]
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) line, options(nostack, preserves_flags));
        }
    }
}

/// Fetches the share of step `step` of `steps` in the cache lines of `len` bytes from `start` on. The three numbers
/// should be constants after inlining.
#[inline]
pub(super) fn fetch_share(start: *const u8, len: usize, step: usize, steps: usize) {
    let lines_before = |step: usize| (step * len).div_ceil(steps * LINE);
    for line in lines_before(step)..lines_before(step + 1) {
        fetch(start.wrapping_add(LINE * line), LINE);
    }
}
