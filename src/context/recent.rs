//! What a person has just changed: they probably need the same change elsewhere too.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A line that was changed, in any document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentEdit {
    /// As a prompt shows it.
    pub path: Option<PathBuf>,
    pub before: String,
    pub after: String,
}
