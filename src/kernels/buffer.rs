//! Memory for packed weights, aligned to a cache line and in huge pages if the system has them.

use memmap2::MmapMut;

/// Bytes that start on a cache line.
pub struct AlignedBytes {
    memory: Memory,
    len: usize,
}

enum Memory {
    Heap(Vec<CacheLine>),
    Pages(MmapMut),
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct CacheLine([u8; 64]);

/// From this size on, memory is mapped as whole pages, which go back to the system when they are dropped.
const PAGES_FROM: usize = 4 << 20;

impl AlignedBytes {
    pub fn zeroed(len: usize) -> Self {
        let pages = if len >= PAGES_FROM { MmapMut::map_anon(len).ok() } else { None };
        let memory = match pages {
            Some(pages) => {
                #[cfg(target_os = "linux")]
                // Huge pages mean fewer page faults while loading and fewer TLB misses while streaming. Nothing else is
                // lost if the system refuses them.
                let _ = pages.advise(memmap2::Advice::HugePage);
                Memory::Pages(pages)
            }
            None => Memory::Heap(vec![CacheLine([0; 64]); len.div_ceil(64)]),
        };
        Self { memory, len }
    }

    pub fn as_slice(&self) -> &[u8] {
        match &self.memory {
            // SAFETY: the lines are `64 * lines >= len` initialised bytes without padding.
            Memory::Heap(lines) => unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), self.len) },
            Memory::Pages(pages) => &pages[..self.len],
        }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.memory {
            // SAFETY: as in `as_slice`, borrowed mutably.
            Memory::Heap(lines) => unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), self.len) },
            Memory::Pages(pages) => &mut pages[..self.len],
        }
    }
}
