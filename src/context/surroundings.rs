//! The sources of code from other files: open documents, the index, and what the person has just changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Snapshot;
use super::index::WorkspaceIndex;
use super::recent::RecentEdit;
use crate::text::{Rope, with_line_feeds};

/// An open document other than the one in question.
#[derive(Clone)]
pub struct OpenFile {
    /// The file behind it.
    pub file: Option<PathBuf>,
    pub snapshot: Snapshot,
}

/// What a prompt may take code from, apart from its own document. All of it may enter a prompt.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The file behind the document in question, which the index knows too.
    pub file: Option<PathBuf>,
    pub open: Vec<OpenFile>,
    pub index: Option<Arc<WorkspaceIndex>>,
    /// The newest last.
    pub edits: Vec<RecentEdit>,
}

/// Code of another file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    pub path: Option<String>,
    /// The language's name after a code fence.
    pub language: String,
    pub code: String,
}

impl Excerpt {
    pub(super) fn len(&self) -> usize {
        self.code.len() + self.path.as_ref().map_or(0, String::len)
    }
}

/// Other files are read up to this size.
const MAX_NEIGHBOUR_BYTES: u64 = 1 << 20;

/// The text of the file at `path` as it is on disk, with its own line endings; `None` if there is no such file.
///
/// # Errors
/// Why a file that exists cannot be read.
pub fn read_neighbour(path: &Path) -> Result<Option<String>, String> {
    match path.metadata() {
        Err(_) => Ok(None),
        Ok(metadata) if !metadata.is_file() || metadata.len() > MAX_NEIGHBOUR_BYTES => {
            Err(format!("{} is not a file of at most 1 MiB", path.display()))
        }
        Ok(_) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        },
    }
}

impl Surroundings {
    /// The text of the file at `path` as the person has it, open or on disk; `None` if there is no such file. It goes into no
    /// prompt: what an edit of it has to fit into may be excluded.
    ///
    /// # Errors
    /// Why a file that exists cannot be read.
    pub fn neighbour(&self, path: &Path) -> Result<Option<Rope>, String> {
        if let Some(open) = self.open.iter().find(|open| open.file.as_deref() == Some(path)) {
            return Ok(Some(open.snapshot.text.clone()));
        }
        Ok(read_neighbour(path)?.map(|text| Rope::from_str(&with_line_feeds(text))))
    }

    /// Whether the file at `path` is the one in question, or open.
    pub(super) fn has_open(&self, path: &Path) -> bool {
        self.file.as_deref() == Some(path) || self.open.iter().any(|open| open.file.as_deref() == Some(path))
    }
}
