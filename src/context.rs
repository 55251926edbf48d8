//! Chooses what enters a prompt from a document and its neighbours: pure text, chosen by syntax, within a budget.
//!
//! Budgets are bytes of code in ASCII ([`cost()`]): token counts belong to a model, and nothing here knows one. For a
//! completion only the neighbourhood of the cursor is read, so the size of the file does not matter. Both it and a question may
//! also take from other open documents and, through the [`WorkspaceIndex`], from files of the workspace; nothing excluded
//! comes in that way.

mod callers;
mod candidates;
mod cells;
mod completion;
mod cost;
mod declared;
mod definitions;
mod imports;
mod index;
mod item;
mod limits;
mod names;
mod outline;
mod recent;
mod retrieval;
mod surroundings;
mod words;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use callers::Caller;
pub use cells::{Cell, OtherCells};
pub use completion::{Anchor, CompletionContext, completion_context, longest_fence};
pub use cost::{bytes_like, cost};
pub use index::{Bounds, WorkspaceIndex};
pub use item::{ItemContext, ItemOptions, Marked, Problem, item_context, selection_context};
pub use limits::{Limits, Part, Reading};
pub use names::known_names;
pub use recent::RecentEdit;
pub use retrieval::Project;
pub use surroundings::{Excerpt, OpenFile, Surroundings, read_neighbour};

use crate::syntax::{Language, Parsed};
use crate::text::Rope;

/// A document at one version, as a value: clones are cheap and nothing in it changes.
#[derive(Clone)]
pub struct Snapshot {
    pub text: Rope,
    pub version: i32,
    /// `None` for a language without a grammar.
    pub parsed: Option<Parsed>,
    /// `None` for a language without a row in the table of languages.
    pub language: Option<&'static Language>,
    /// The LSP `languageId`.
    pub language_id: String,
    /// Path shown to the model, relative to the workspace where there is one.
    pub path: Option<PathBuf>,
    /// The other cells, if it is the cell of a notebook.
    pub cells: Arc<OtherCells>,
    /// What a completion in it may take from other files.
    pub surroundings: Arc<Surroundings>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, language_id, path, .. } = self;
        let mut shown = f.debug_struct("Snapshot");
        shown.field("version", version).field("language_id", language_id).field("path", path).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// The language's name for a code fence; empty if it is not known.
    pub fn fence_name(&self) -> &str {
        self.language.map_or(&self.language_id, |language| language.name)
    }

    /// The path as the model sees it, with forward slashes everywhere.
    pub fn shown_path(&self) -> Option<String> {
        self.path.as_ref().map(|path| path.to_string_lossy().replace('\\', "/"))
    }

    /// What starts a comment that ends with its line, if the language has such comments.
    pub fn line_comment(&self) -> Option<&'static str> {
        self.language.and_then(Language::line_comment)
    }
}
