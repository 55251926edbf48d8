//! What the files that were looked into last say about names, each with the text that says it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use crate::syntax::Names;

/// Files that are kept.
const MOST: usize = 64;

/// The latest last.
#[derive(Debug, Default)]
pub(super) struct ReadNames(VecDeque<(Arc<Path>, u64, Arc<Names>)>);

impl ReadNames {
    /// What the file at `path` says, if it has the text of that checksum.
    pub(super) fn get(&mut self, path: &Path, checksum: u64) -> Option<Arc<Names>> {
        let at = self.0.iter().position(|(known, text, _)| **known == *path && *text == checksum)?;
        let found = self.0.remove(at)?;
        let names = Arc::clone(&found.2);
        self.0.push_back(found);
        Some(names)
    }

    pub(super) fn add(&mut self, path: &Path, checksum: u64, names: Arc<Names>) {
        self.0.retain(|(known, ..)| **known != *path);
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((Arc::from(path), checksum, names));
    }
}
