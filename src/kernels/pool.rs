//! The thread pool that all kernels share: short parallel regions, a brief spin before parking, and no waiting for a
//! worker that the system did not schedule in time.

mod crew;

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use crew::{Crew, RegionTimes};

/// How long threads spin by default, and at least: longer than the serial code between two matrix products of a decode
/// step.
pub const DEFAULT_SPIN: Duration = Duration::from_micros(60);

/// How long threads spin at most: shorter than anything a person or a compiler would notice.
const LONGEST_SPIN: Duration = Duration::from_micros(300);

/// How many wake-ups are timed, and how long one may take.
const WAKES: usize = 7;
const LONGEST_WAKE: Duration = Duration::from_millis(2);

/// `state`, bit 0: the region is open to workers. Bits 1..16: workers inside. From bit 16: the region's number.
const OPEN: u64 = 1;
const ONE_INSIDE: u64 = 2;
const INSIDE_MASK: u64 = 0xfffe;
const ONE_REGION: u64 = 1 << 16;

thread_local! {
    /// Whether this thread is inside a region; a nested region then runs on this thread alone.
    static IN_REGION: Cell<bool> = const { Cell::new(false) };
}

/// A region's work. The references are only followed between a successful `enter` and the matching `leave`.
struct Region {
    task: *const (dyn Fn(usize) + Sync),
    tasks: usize,
}

struct Shared {
    /// How long a thread spins for the next region, or for the end of one, before it parks; in nanoseconds.
    spin: AtomicU64,
    state: AtomicU64,
    /// How many workers the region is for: those with an index up to this one.
    workers: AtomicUsize,
    /// The index of the next task that no thread has claimed.
    next: AtomicUsize,
    region: UnsafeCell<Option<Region>>,
    /// The first panic of the region.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// The thread that waits for the region's end, once it has parked.
    waiter: Mutex<Option<Thread>>,
    waiter_parked: AtomicBool,
    shutdown: AtomicBool,
}

// SAFETY: `region` is written only by the thread that holds `ThreadPool::turn`, while the region is closed and no
// thread is inside; it is read only by threads inside. The acquire and release operations on `state` order the two.
unsafe impl Sync for Shared {}
// SAFETY: the raw pointer in `region` is to a `Sync` closure.
unsafe impl Send for Shared {}

struct Worker {
    thread: Thread,
    parked: Arc<AtomicBool>,
    handle: Option<JoinHandle<()>>,
}

/// A fixed set of threads that run one parallel region at a time. Callers on several threads take turns.
pub struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    /// Held by the caller whose turn it is.
    turn: Mutex<Crew>,
}

impl ThreadPool {
    /// `threads` counts the calling thread; at least 1. Starts fewer if the system refuses more.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            spin: AtomicU64::new(DEFAULT_SPIN.as_nanos() as u64),
            state: AtomicU64::new(0),
            workers: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            region: UnsafeCell::new(None),
            panic: Mutex::new(None),
            waiter: Mutex::new(None),
            waiter_parked: AtomicBool::new(false),
            shutdown: AtomicBool::new(false),
        });
        let max_workers = (INSIDE_MASK / ONE_INSIDE) as usize;
        let workers: Vec<Worker> =
            (1..threads.min(max_workers)).map_while(|index| start_worker(index, &shared).ok()).collect();
        let turn = Mutex::new(Crew::new(workers.len()));
        Self { shared, workers, turn }
    }

    /// Threads that take part in a region, the caller included, unless other programs keep the processors busy.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// How long threads should spin before they park on this machine: as long as it takes to wake a parked thread, so
    /// that neither costs more than the other. Takes a few milliseconds to measure.
    pub fn measure_spin(&self) -> Duration {
        let mut wakes: Vec<Duration> = (0..WAKES).map(|_| self.wake_time()).collect();
        wakes.sort();
        wakes[WAKES / 2].clamp(DEFAULT_SPIN, LONGEST_SPIN)
    }

    /// The time from opening a region to the first task of a parked worker.
    fn wake_time(&self) -> Duration {
        if self.workers.is_empty() {
            return Duration::ZERO;
        }
        std::thread::sleep(LONGEST_SPIN + Duration::from_micros(500));
        let (caller, woken) = (std::thread::current().id(), OnceLock::new());
        let started = Instant::now();
        self.run(2, &|_| {
            if std::thread::current().id() != caller {
                let _ = woken.set(started.elapsed());
            }
            // Whoever is first leaves the other task to the other thread.
            while woken.get().is_none() && started.elapsed() < LONGEST_WAKE {
                std::hint::spin_loop();
            }
        });
        woken.into_inner().unwrap_or(LONGEST_WAKE)
    }

    /// Sets how long threads spin before they park.
    pub fn set_spin(&self, spin: Duration) {
        self.shared.spin.store(u64::try_from(spin.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Runs `task(0..tasks)`, each index exactly once, spread over the threads; returns when all are done.
    /// Inside a task, `run` works on the calling thread alone.
    ///
    /// # Panics
    /// With the first panic of a task, after every thread has left the region; the tasks not yet begun are dropped
    /// and the pool stays usable.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if tasks <= 1 || self.workers.is_empty() || IN_REGION.get() {
            return (0..tasks).for_each(task);
        }
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let workers = turn.active(started);
        self.open(tasks, task, workers);
        IN_REGION.set(true);
        let own_tasks = self.shared.work();
        IN_REGION.set(false);
        let worked = Instant::now();
        self.shared.close_and_wait();
        let ended = Instant::now();
        let (worked, waited) = (worked - started, ended - worked);
        let workers = workers.min(tasks - 1);
        turn.learn(ended, &RegionTimes { workers, tasks, own_tasks, worked, waited });
        let panic = self.shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(turn);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn open(&self, tasks: usize, task: &(dyn Fn(usize) + Sync), workers: usize) {
        // SAFETY: only the lifetime changes. The pointer is followed only inside the region, and `run` does not return
        // before the region is closed and every thread has left it.
        let task = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(task)
        };
        // SAFETY: this thread holds `turn`, the region is closed and no thread is inside, so no other thread reads
        // `region`.
        unsafe { *self.shared.region.get() = Some(Region { task, tasks }) };
        self.shared.next.store(0, Ordering::Relaxed);
        self.shared.workers.store(workers, Ordering::Relaxed);
        self.shared.state.fetch_add(ONE_REGION | OPEN, Ordering::Release);
        // Pairs with the fence in `Shared::next_region`: either the worker sees the new region or we see it parked.
        fence(Ordering::SeqCst);
        for worker in self.workers.iter().take(workers.min(tasks - 1)) {
            if worker.parked.swap(false, Ordering::Relaxed) {
                worker.thread.unpark();
            }
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.shutdown.store(true, Ordering::SeqCst);
        for worker in &mut self.workers {
            worker.thread.unpark();
            if let Some(handle) = worker.handle.take() {
                // A worker catches its tasks' panics, so there is nothing to report here.
                let _ = handle.join();
            }
        }
    }
}

fn start_worker(index: usize, shared: &Arc<Shared>) -> std::io::Result<Worker> {
    let parked = Arc::new(AtomicBool::new(false));
    let handle = std::thread::Builder::new().name(format!("kernel-{index}")).spawn({
        let (shared, parked) = (Arc::clone(shared), Arc::clone(&parked));
        move || {
            IN_REGION.set(true);
            let mut seen = 0;
            while let Some(region) = shared.next_region(index, seen, &parked) {
                seen = region;
                if shared.enter(region) {
                    shared.work();
                    shared.leave();
                }
            }
        }
    })?;
    Ok(Worker { thread: handle.thread().clone(), parked, handle: Some(handle) })
}

impl Shared {
    fn spin(&self) -> Duration {
        Duration::from_nanos(self.spin.load(Ordering::Relaxed))
    }

    /// Waits for an open region later than `seen` that is for worker `index`; `None` at shutdown.
    fn next_region(&self, index: usize, seen: u64, parked: &AtomicBool) -> Option<u64> {
        let ready = || {
            let state = self.state.load(Ordering::Acquire);
            let open = state & OPEN != 0 && state / ONE_REGION != seen;
            (open && index <= self.workers.load(Ordering::Relaxed)).then_some(state / ONE_REGION)
        };
        loop {
            if let Some(region) =
                spin(self.spin(), || self.shutdown.load(Ordering::Relaxed).then_some(u64::MAX).or_else(ready))
            {
                return (region != u64::MAX).then_some(region);
            }
            parked.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            while parked.load(Ordering::Relaxed) && ready().is_none() && !self.shutdown.load(Ordering::SeqCst) {
                std::thread::park();
            }
            parked.store(false, Ordering::Relaxed);
        }
    }

    /// Takes part in `region`, unless it has been closed in the meantime.
    fn enter(&self, region: u64) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & OPEN != 0 && state / ONE_REGION == region {
            match self.state.compare_exchange_weak(state, state + ONE_INSIDE, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    fn leave(&self) {
        let before = self.state.fetch_sub(ONE_INSIDE, Ordering::SeqCst);
        let last_out = before & OPEN == 0 && before & INSIDE_MASK == ONE_INSIDE;
        if last_out
            && self.waiter_parked.load(Ordering::SeqCst)
            && let Some(waiter) = &*self.waiter.lock().unwrap_or_else(PoisonError::into_inner)
        {
            waiter.unpark();
        }
    }

    /// Claims and runs tasks until none is left; returns how many. The first panic ends the region early.
    fn work(&self) -> usize {
        // SAFETY: this thread is inside the region, or opened it and has not closed it, so no thread writes to
        // `region`.
        let Some(region) = (unsafe { &*self.region.get() }) else { return 0 };
        // SAFETY: `run` keeps the closure alive until the region is closed and every thread has left it.
        let task = unsafe { &*region.task };
        let mut claimed = 0;
        let result = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= region.tasks {
                    break;
                }
                claimed += 1;
                task(index);
            }
        }));
        if let Err(panic) = result {
            // Half of the range, so that no number of later claims wraps around.
            self.next.store(usize::MAX / 2, Ordering::Relaxed);
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
        claimed
    }

    fn close_and_wait(&self) {
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let empty = || (self.state.load(Ordering::SeqCst) & INSIDE_MASK == 0).then_some(());
        if spin(self.spin(), empty).is_some() {
            return;
        }
        *self.waiter.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current());
        self.waiter_parked.store(true, Ordering::SeqCst);
        while empty().is_none() {
            std::thread::park();
        }
        self.waiter_parked.store(false, Ordering::SeqCst);
    }
}

/// Polls `ready` until it returns a value, for at most `time`.
fn spin<T>(time: Duration, ready: impl Fn() -> Option<T>) -> Option<T> {
    let mut start = None;
    loop {
        for _ in 0..32 {
            if let Some(value) = ready() {
                return Some(value);
            }
            std::hint::spin_loop();
        }
        if start.get_or_insert_with(Instant::now).elapsed() > time {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_each_index_once(pool: &ThreadPool, tasks: usize) {
        let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        pool.run(tasks, &|index| {
            counts[index].fetch_add(1, Ordering::Relaxed);
        });
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{tasks} tasks");
    }

    #[test]
    fn every_index_runs_once_for_any_number_of_threads_and_tasks() {
        for threads in [0, 1, 2, 3, 7] {
            let pool = ThreadPool::new(threads);
            for tasks in [0, 1, 2, 3, 64, 1000] {
                check_each_index_once(&pool, tasks);
            }
        }
    }

    #[test]
    fn many_short_regions_neither_lose_nor_repeat_work() {
        let pool = ThreadPool::new(3);
        for region in 0..5000 {
            check_each_index_once(&pool, region % 7);
        }
    }

    #[test]
    fn callers_on_several_threads_take_turns() {
        let pool = ThreadPool::new(3);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..300).for_each(|_| check_each_index_once(&pool, 17)));
            }
        });
    }

    #[test]
    fn a_measured_spin_is_within_bounds() {
        for threads in [1, 3] {
            let pool = ThreadPool::new(threads);
            let spin = pool.measure_spin();
            assert!((DEFAULT_SPIN..=LONGEST_SPIN).contains(&spin), "{spin:?}");
            pool.set_spin(spin);
            check_each_index_once(&pool, 50);
        }
    }

    #[test]
    fn a_nested_region_runs_on_its_own_thread() {
        let pool = ThreadPool::new(2);
        let count = AtomicUsize::new(0);
        pool.run(4, &|_| {
            pool.run(5, &|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(count.into_inner(), 20);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_leaves_the_pool_usable() {
        let pool = ThreadPool::new(3);
        for panicking in [0, 5, 99] {
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.run(100, &|index| assert!(index != panicking, "task {index}"));
            }));
            let panic = result.expect_err("the task panics");
            assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some(&*format!("task {panicking}")));
            check_each_index_once(&pool, 50);
        }
    }
}
