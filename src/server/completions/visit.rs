//! The place where somebody is likely to write next, though nobody has written there yet: where the cursor has jumped to, or in a
//! file just opened the place of the last edit. The model reads it while nobody waits.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Whoever opens a file or goes somewhere may go on at once; and editors open many files when they start.
const VISIT_AFTER: Duration = Duration::from_millis(300);

/// One place; the newest is the likeliest.
pub(super) struct Visit {
    /// The number of its document.
    pub document: u64,
    pub at: Instant,
    pub place: VisitedPlace,
    /// Nothing of it has been read: what is read quickly comes first.
    pub is_first: bool,
}

/// Where in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum VisitedPlace {
    Offset(usize),
    /// What git says was changed in this file.
    Changed(PathBuf),
}

impl Visit {
    /// One that begins now.
    pub(super) fn new(document: u64, place: VisitedPlace) -> Self {
        Self { document, at: Instant::now() + VISIT_AFTER, place, is_first: true }
    }

    /// The rest of one, the short form of whose prompt has been read.
    pub(super) fn rest(document: u64, cursor: usize) -> Self {
        Self { document, at: Instant::now(), place: VisitedPlace::Offset(cursor), is_first: false }
    }
}
