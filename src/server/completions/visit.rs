//! The place where the person is likely to write next, without having written there yet: where the cursor has jumped
//! to, or in a file that was just opened, the place of the last edit. The model reads it while nobody waits.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long to wait before reading, because the person may go on at once, and editors open many files when they start.
const VISIT_AFTER: Duration = Duration::from_millis(300);

/// One such place. The newest is the likeliest.
pub(super) struct Visit {
    /// The number of its document.
    pub document: u64,
    pub at: Instant,
    pub place: VisitedPlace,
    /// Whether nothing of it has been read yet, so that the short form comes first.
    pub is_first: bool,
}

/// The place in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum VisitedPlace {
    Offset(usize),
    /// The last change in this file according to git.
    Changed(PathBuf),
}

impl Visit {
    /// A visit that begins now.
    pub(super) fn new(document: u64, place: VisitedPlace) -> Self {
        Self { document, at: Instant::now() + VISIT_AFTER, place, is_first: true }
    }

    /// A visit to read the rest, after the short form of the prompt has been read.
    pub(super) fn rest(document: u64, cursor: usize) -> Self {
        Self { document, at: Instant::now(), place: VisitedPlace::Offset(cursor), is_first: false }
    }
}
