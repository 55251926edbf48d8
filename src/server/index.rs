//! The index of the workspaces, from which completions and questions take code of other files. A thread of its own
//! updates it, and waits while a person waits for something else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use super::options::Observer;
use crate::context::{Bounds, WorkspaceIndex};
use crate::engine::{CancelFlag, Gate};
use crate::workspace::Workspaces;

/// After this much work, the indexing thread rests for as long, because the models' threads and the person's compiler
/// come first.
const WORK_AT_ONCE: Duration = Duration::from_millis(5);
/// How often a thread that waits for the models checks whether it is still needed.
const LOOK_AROUND_EVERY: Duration = Duration::from_millis(200);

/// What the thread of an index has to do after its first walk.
enum Work {
    /// Reads a file again that may have changed.
    Refresh(PathBuf),
    /// Indexes the new workspace at this root.
    Walk(PathBuf),
}

/// The index of the workspaces and the thread that fills it. Dropping it ends the thread.
pub(super) struct Indexer {
    index: Arc<WorkspaceIndex>,
    work: Sender<Work>,
    stop: CancelFlag,
}

impl Indexer {
    /// Begins to index `workspaces`. Waits at `gate`, and tells `observer` when it has read one of them.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(
        workspaces: Arc<Workspaces>,
        gate: Gate,
        observer: Option<Arc<dyn Observer>>,
    ) -> std::io::Result<Self> {
        let index = Arc::new(WorkspaceIndex::new(workspaces, Bounds::default()));
        let (work, pending) = channel::<Work>();
        let stop = CancelFlag::default();
        let mut pace = Pace { gate, stop: stop.clone(), since: Instant::now() };
        let shared = Arc::clone(&index);
        std::thread::Builder::new().name("index".to_owned()).spawn(move || {
            let begun = Instant::now();
            shared.walk(&mut || pace.go_on());
            let (files, items) = shared.size();
            tracing::debug!(files, items, ms = begun.elapsed().as_millis(), "the workspaces are indexed");
            observer.iter().for_each(|observer| observer.indexed());
            while let Ok(work) = pending.recv() {
                if !pace.go_on() {
                    return;
                }
                match work {
                    Work::Refresh(path) => shared.refresh(&path),
                    Work::Walk(root) => {
                        shared.walk_root(&root, &mut || pace.go_on());
                        observer.iter().for_each(|observer| observer.indexed());
                    }
                }
            }
        })?;
        Ok(Self { index, work, stop })
    }

    pub(super) fn index(&self) -> Arc<WorkspaceIndex> {
        Arc::clone(&self.index)
    }

    /// Reads the file at `path` again, which may have changed.
    pub(super) fn refresh(&self, path: PathBuf) {
        self.give(Work::Refresh(path));
    }

    /// Reads files again that were found to be out of date.
    pub(super) fn refresh_stale(&self) {
        self.index.take_stale().into_iter().for_each(|path| self.refresh(path));
    }

    /// Updates the index after workspaces were added or removed.
    pub(super) fn set_workspaces(&self, workspaces: Arc<Workspaces>) {
        for root in self.index.set_workspaces(workspaces) {
            self.give(Work::Walk(root));
        }
    }

    fn give(&self, work: Work) {
        // If the thread has ended, the log says why.
        let _ = self.work.send(work);
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Holds background work back.
struct Pace {
    gate: Gate,
    stop: CancelFlag,
    /// The end of the last rest.
    since: Instant,
}

impl Pace {
    /// Waits while a completion is pending and after every stretch of work. Returns false if the work is no longer
    /// needed.
    fn go_on(&mut self) -> bool {
        while !self.stop.is_cancelled() && !self.gate.wait_open(LOOK_AROUND_EVERY) {}
        let worked = self.since.elapsed();
        if worked > WORK_AT_ONCE {
            std::thread::sleep(worked.min(LOOK_AROUND_EVERY));
            self.since = Instant::now();
        }
        !self.stop.is_cancelled()
    }
}
