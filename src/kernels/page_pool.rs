//! Memory for the pages of the KV cache, which all have one size: cut from slabs that are mapped from the system as a
//! whole and unmapped as a whole.
//!
//! Pages are not on the heap. They are aligned and large, and are freed in an order that leaves holes; glibc before
//! 2.38 never reuses the hole of an aligned allocation, so that a cache with a budget of 1 GiB grew past 3.7 GiB. Here
//! a page goes into the fullest slab that has room, so that the others run empty, and an empty slab goes back to the
//! system. [`PagePool::mapped_bytes`] is exactly what the pool takes from the system. A budget has to be compared with
//! that, not with the pages in use.

use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memmap2::{MmapMut, MmapRaw};

/// The size of a huge page on x86-64 and Arm. Slabs of large pages consist of such pages, if the system provides them.
const HUGE_PAGE: usize = 2 << 20;
/// Pages from this size on lie in huge pages. Only models made for tests have smaller ones.
const LARGE_PAGE: usize = 128 << 10;
/// What slabs of small pages consist of: a multiple of the page size of every system.
const SMALL_SLAB: usize = 64 << 10;
/// A slab may leave one part in so many unused at its end.
const MOST_WASTE: usize = 16;
/// How many sizes of a slab are tried, each larger than the last by one huge page or small slab.
const MOST_PIECES: usize = 16;

/// A source of pages of one size. Clones share one pool, whose memory goes back to the system when the last page and
/// the last clone are dropped.
#[derive(Clone)]
pub struct PagePool(Arc<Pool>);

struct Pool {
    page_bytes: usize,
    slab_bytes: usize,
    pages_per_slab: usize,
    slabs: Mutex<Slabs>,
}

#[derive(Default)]
struct Slabs {
    /// A slab keeps its slot until it is unmapped.
    slots: Vec<Option<Slab>>,
    mapped: usize,
    vacant_pages: usize,
}

struct Slab {
    memory: MmapRaw,
    /// The indices of pages that were used and are free again.
    freed: Vec<usize>,
    /// Pages from this index on have never been used: they are zero, and the system has not had to provide memory for
    /// them yet.
    untouched: usize,
}

/// A page in use. Dropping it gives it back to its pool.
pub struct Page {
    pool: Arc<Pool>,
    slab: usize,
    index: usize,
    memory: NonNull<u8>,
}

// SAFETY: the memory belongs to this page alone until it is dropped, and the pool's own state is behind a lock.
unsafe impl Send for Page {}
// SAFETY: as above; a shared page is only read.
unsafe impl Sync for Page {}

impl PagePool {
    /// A pool of pages of `page_bytes`, which holds no memory yet.
    ///
    /// # Panics
    /// If `page_bytes` is 0.
    pub fn new(page_bytes: usize) -> Self {
        assert!(page_bytes > 0, "a page has at least one byte");
        // Pages begin at cache lines, which the kernels are fastest with.
        let stride = page_bytes.next_multiple_of(64);
        let slab_bytes = slab_bytes(stride);
        let slabs = Mutex::default();
        Self(Arc::new(Pool { page_bytes, slab_bytes, pages_per_slab: slab_bytes / stride, slabs }))
    }

    /// A page of zeros.
    ///
    /// # Panics
    /// If the system provides no memory.
    pub fn page(&self) -> Page {
        let (slab, index, memory, used_before) = self.0.take();
        if used_before {
            // SAFETY: nobody else has the page, and it has this many bytes.
            unsafe { memory.write_bytes(0, self.0.page_bytes) };
        }
        Page { pool: Arc::clone(&self.0), slab, index, memory }
    }

    /// Bytes of the system's memory that this pool holds: whole slabs, whether or not their pages are in use.
    pub fn mapped_bytes(&self) -> usize {
        self.0.slabs().mapped * self.0.slab_bytes
    }

    /// What [`PagePool::mapped_bytes`] would be with `pages` more pages in use.
    pub fn mapped_bytes_with(&self, pages: usize) -> usize {
        let slabs = self.0.slabs();
        let more = pages.saturating_sub(slabs.vacant_pages).div_ceil(self.0.pages_per_slab);
        (slabs.mapped + more) * self.0.slab_bytes
    }
}

/// The smallest slab that pages of `stride` bytes nearly fill.
fn slab_bytes(stride: usize) -> usize {
    let piece = if stride >= LARGE_PAGE { HUGE_PAGE } else { SMALL_SLAB };
    let smallest = stride.next_multiple_of(piece);
    let waste = |slab: usize| slab % stride;
    let sizes = (0..MOST_PIECES).map(|more| smallest + more * piece);
    let nearly_full = sizes.clone().find(|slab| waste(*slab) * MOST_WASTE <= *slab);
    // Of wasted parts a/b and c/d the first is smaller where a * d < c * b.
    let best = || sizes.min_by(|a, b| (waste(*a) * b).cmp(&(waste(*b) * a)));
    nearly_full.or_else(best).unwrap_or(smallest)
}

impl Pool {
    fn slabs(&self) -> MutexGuard<'_, Slabs> {
        self.slabs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a free page. Returns the slot of its slab, its index in the slab, its memory, and whether that was used
    /// before.
    fn take(&self) -> (usize, usize, NonNull<u8>, bool) {
        let mut slabs = self.slabs();
        let vacant = |slab: &Slab| slab.freed.len() + self.pages_per_slab - slab.untouched;
        let with_room = slabs.slots.iter().enumerate().filter_map(|(slot, slab)| {
            let vacant = vacant(slab.as_ref()?);
            (vacant > 0).then_some((vacant, slot))
        });
        let slot = match with_room.min() {
            Some((_, slot)) => slot,
            None => self.map(&mut slabs),
        };
        slabs.vacant_pages -= 1;
        let slab = slabs.slots[slot].as_mut().expect("a slab with room is mapped");
        let freed = slab.freed.pop();
        let index = freed.unwrap_or(slab.untouched);
        slab.untouched = slab.untouched.max(index + 1);
        // SAFETY: the index is below `pages_per_slab`, so the page lies within the mapping.
        let memory = unsafe { slab.memory.as_mut_ptr().add(index * self.stride()) };
        (slot, index, NonNull::new(memory).expect("a mapping is not at address 0"), freed.is_some())
    }

    /// Maps one more slab and returns its slot.
    fn map(&self, slabs: &mut Slabs) -> usize {
        let memory = MmapMut::map_anon(self.slab_bytes)
            .unwrap_or_else(|error| panic!("cannot allocate {} bytes for keys and values: {error}", self.slab_bytes));
        #[cfg(target_os = "linux")]
        if self.stride() >= LARGE_PAGE {
            // Huge pages mean fewer page faults and fewer TLB misses while attention streams. Nothing else is lost if
            // the system refuses them.
            let _ = memory.advise(memmap2::Advice::HugePage);
        }
        let slab = Some(Slab { memory: memory.into(), freed: Vec::new(), untouched: 0 });
        slabs.mapped += 1;
        slabs.vacant_pages += self.pages_per_slab;
        let slot = slabs.slots.iter().position(Option::is_none).unwrap_or(slabs.slots.len());
        match slabs.slots.get_mut(slot) {
            Some(free) => *free = slab,
            None => slabs.slots.push(slab),
        }
        slot
    }

    /// Takes back the page at `index` of the slab in `slot`; a slab without pages in use is unmapped.
    fn give_back(&self, slot: usize, index: usize) {
        let mut slabs = self.slabs();
        let slab = slabs.slots[slot].as_mut().expect("a slab is mapped while it has pages in use");
        slab.freed.push(index);
        let is_empty = slab.freed.len() == slab.untouched;
        slabs.vacant_pages += 1;
        // One empty slab stays mapped, so that a single page that comes and goes does not map and unmap a slab each
        // time.
        if is_empty && slabs.vacant_pages >= 2 * self.pages_per_slab {
            slabs.slots[slot] = None;
            slabs.mapped -= 1;
            slabs.vacant_pages -= self.pages_per_slab;
        }
    }

    fn stride(&self) -> usize {
        self.page_bytes.next_multiple_of(64)
    }
}

impl Page {
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the page's memory is mapped and initialised, and belongs to nobody else while the page lives.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.pool.page_bytes) }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`, borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.pool.page_bytes) }
    }
}

impl Clone for Page {
    fn clone(&self) -> Self {
        let mut copy = PagePool(Arc::clone(&self.pool)).page();
        copy.as_mut_slice().copy_from_slice(self.as_slice());
        copy
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.pool.give_back(self.slab, self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{KvShape, KvType, PAGE_LEN};
    use crate::random::Random;

    /// Pages of the starter, Phi-4-mini and Phi-3.5-mini (`layers`, key/value heads, head size) in both formats, of a
    /// model for tests, and of sizes nothing divides.
    fn page_sizes() -> Vec<usize> {
        let models = [(30, 3, 64), (32, 8, 128), (32, 32, 96)];
        let shaped = models.into_iter().flat_map(|(num_layers, num_kv_heads, head_dim)| {
            [KvType::F16, KvType::Q8_0].map(|kv_type| {
                let shape = KvShape { num_kv_heads, head_dim, kv_type };
                num_layers * shape.page_layer_bytes()
            })
        });
        shaped.chain([4096, 1000, 100_001, 3 * HUGE_PAGE + 1]).collect()
    }

    #[test]
    fn slabs_are_nearly_full_of_pages_and_no_larger_than_need_be() {
        for page_bytes in page_sizes() {
            let pool = PagePool::new(page_bytes);
            let used = pool.0.pages_per_slab * page_bytes.next_multiple_of(64);
            assert!(used <= pool.0.slab_bytes && pool.0.pages_per_slab >= 1, "{page_bytes}");
            assert!(pool.0.slab_bytes - used <= pool.0.slab_bytes / MOST_WASTE, "{page_bytes}: {used}");
            assert!(pool.0.slab_bytes <= page_bytes + (MOST_PIECES + 1) * HUGE_PAGE, "{page_bytes}");
        }
        let starter = PagePool::new(30 * 3 * 64 * 2 * 2 * PAGE_LEN);
        assert_eq!((starter.0.slab_bytes, starter.0.pages_per_slab), (3 * HUGE_PAGE, 8));
    }

    /// Adds sequences of random lengths, and drops the oldest ones when the pool would exceed its budget, as an engine
    /// does with files of many sizes.
    #[test]
    fn a_budget_holds_in_what_is_mapped_whatever_comes_and_goes() {
        for page_bytes in page_sizes() {
            let pool = PagePool::new(page_bytes);
            let budget = 10 * pool.0.slab_bytes.max(4 * page_bytes);
            // A page that is used again is cleared, which takes long for large pages, so they get fewer rounds.
            let rounds = (HUGE_PAGE * 128 / page_bytes).clamp(20, 400);
            let (mut random, mut sequences) = (Random::new(1), std::collections::VecDeque::<Vec<Page>>::new());
            for _ in 0..rounds {
                let wanted = 1 + (random.next() % 60) as usize % (budget / page_bytes / 2);
                while !sequences.is_empty() && pool.mapped_bytes_with(wanted) > budget {
                    // Not always the oldest one, because a sequence that is used again moves.
                    let index = (random.next() % 3) as usize % sequences.len();
                    sequences.remove(index);
                }
                sequences.push_back((0..wanted).map(|_| pool.page()).collect());
                assert!(pool.mapped_bytes() <= budget, "{page_bytes}: {} of {budget}", pool.mapped_bytes());
            }
            let in_use: usize = sequences.iter().map(Vec::len).sum();
            assert!(in_use * page_bytes * 2 > budget, "{page_bytes}: half of the budget is used at least");
            sequences.clear();
            assert!(pool.mapped_bytes() <= pool.0.slab_bytes, "{page_bytes}: all but one slab goes back");
        }
    }

    #[test]
    fn a_page_is_zero_and_its_own_whoever_had_its_memory_before() {
        let pool = PagePool::new(1000);
        let mut pages: Vec<Page> = (0..100).map(|_| pool.page()).collect();
        for (value, page) in pages.iter_mut().enumerate() {
            assert!(page.as_slice().iter().all(|byte| *byte == 0));
            assert!(page.as_slice().as_ptr().addr().is_multiple_of(64));
            page.as_mut_slice().fill(value as u8 + 1);
        }
        let copy = pages[6].clone();
        for (value, page) in pages.iter().enumerate() {
            assert!(page.as_slice().iter().all(|byte| *byte == value as u8 + 1), "{value}");
        }
        drop(pages.split_off(50));
        assert!((0..80).map(|_| pool.page()).all(|page| page.as_slice().iter().all(|byte| *byte == 0)));
        assert!(copy.as_slice().iter().all(|byte| *byte == 7));
    }

    #[test]
    fn pages_outlive_the_handles_of_their_pool() {
        let pool = PagePool::new(4096);
        let mut page = pool.page();
        drop(pool);
        page.as_mut_slice().fill(3);
        assert_eq!(page.clone().as_slice(), [3; 4096]);
    }
}
