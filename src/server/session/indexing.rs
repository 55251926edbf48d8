//! Code from other files for questions: the other open documents, and an index of the workspaces that a thread of its own
//! keeps, behind everything a person waits for.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use tower_lsp_server::gen_lsp_types as lsp;

use super::Session;
use crate::context::{Bounds, OpenFile, Surroundings, WorkspaceIndex};
use crate::engine::{CancelFlag, Gate};
use crate::lsp::to_proto;
use crate::server::outgoing::Outgoing;

/// After this much work the indexing thread rests as long: the models' threads and the person's compiler come first.
const WORK_AT_ONCE: Duration = Duration::from_millis(5);
/// How often a thread that waits for the models looks whether it is still wanted.
const LOOK_AROUND_EVERY: Duration = Duration::from_millis(200);

/// What the thread of an index has to do after its first walk.
enum Work {
    /// A file may have changed.
    Refresh(PathBuf),
    /// The workspace at this root is new.
    Walk(PathBuf),
}

/// The index of the workspaces and the thread that fills it. Dropping it ends the thread.
pub(super) struct Indexer {
    pub index: Arc<WorkspaceIndex>,
    work: Sender<Work>,
    stop: CancelFlag,
}

impl Indexer {
    fn start(index: WorkspaceIndex, gate: Gate) -> std::io::Result<Self> {
        let index = Arc::new(index);
        let (work, pending) = channel::<Work>();
        let stop = CancelFlag::default();
        let mut pace = Pace { gate, stop: stop.clone(), since: Instant::now() };
        let shared = Arc::clone(&index);
        std::thread::Builder::new().name("index".to_owned()).spawn(move || {
            let begun = Instant::now();
            shared.walk(&mut || pace.go_on());
            let (files, items) = shared.size();
            tracing::debug!(files, items, ms = begun.elapsed().as_millis(), "the workspaces are indexed");
            while let Ok(work) = pending.recv() {
                if !pace.go_on() {
                    return;
                }
                match work {
                    Work::Refresh(path) => shared.refresh(&path),
                    Work::Walk(root) => shared.walk_root(&root, &mut || pace.go_on()),
                }
            }
        })?;
        Ok(Self { index, work, stop })
    }

    pub(super) fn refresh(&self, path: PathBuf) {
        self.give(Work::Refresh(path));
    }

    fn give(&self, work: Work) {
        // A thread that has ended has said why in the log.
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
    /// Waits while a completion is pending and after every stretch of work; false if the work is no longer wanted.
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

impl Session {
    /// Begins to index the workspaces, once somebody may ask about their code.
    pub(super) fn index_workspace(&mut self) {
        if self.indexer.is_some() || self.workspaces.roots().next().is_none() {
            return;
        }
        let index = WorkspaceIndex::new(Arc::clone(&self.workspaces), Bounds::default());
        match Indexer::start(index, self.gate.clone()) {
            Ok(indexer) => self.indexer = Some(indexer),
            Err(error) => tracing::warn!("the system gives no thread for the index: {error}"),
        }
    }

    /// Brings the index in line with workspaces that have come or gone.
    pub(super) fn index_new_workspaces(&self) {
        let Some(indexer) = &self.indexer else { return };
        for root in indexer.index.set_workspaces(Arc::clone(&self.workspaces)) {
            indexer.give(Work::Walk(root));
        }
    }

    /// What a question about the document at `uri` may take from other files.
    pub(super) fn surroundings(&self, uri: &lsp::Uri) -> Surroundings {
        let others = self.documents.iter().filter(|(other, document)| *other != uri && !document.is_excluded());
        let mut others: Vec<_> = others.map(|(_, document)| document).collect();
        // The newest first; the same every time.
        others.sort_by_key(|document| std::cmp::Reverse(document.number));
        // The index knows files by their names without symbolic links.
        let file = |document: &super::Document| document.place.as_ref().map(|place| place.file.clone());
        let open = |document| OpenFile { file: file(document), snapshot: document.snapshot.clone() };
        Surroundings {
            file: self.documents.get(uri).and_then(file),
            open: others.into_iter().map(open).collect(),
            index: self.indexer.as_ref().map(|indexer| Arc::clone(&indexer.index)),
        }
    }

    /// Has the index read anew what a question found to be out of date.
    pub(super) fn refresh_stale(&self) {
        if let Some(indexer) = &self.indexer {
            indexer.index.take_stale().into_iter().for_each(|path| indexer.refresh(path));
        }
    }

    /// Asks the client to tell of changes that happen outside of it.
    pub(super) fn watch_files(&self) {
        if self.client.watched_files {
            self.tell(Outgoing::Register(to_proto::watch_sources()));
        }
    }
}
