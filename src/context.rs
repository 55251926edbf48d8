//! What of a document (and of its neighbours) a prompt is made from: pure text, chosen by syntax, within a budget.

use std::path::PathBuf;

use crate::syntax::{Language, Parsed};
use crate::text::Rope;

/// A document at one version, as a value: clones are cheap and nothing in it changes.
#[derive(Clone)]
pub struct Snapshot {
    pub text: Rope,
    pub version: i32,
    /// `None` for a language without a grammar.
    pub parsed: Option<Parsed>,
    /// `None` for a language phi-ls has no table row for.
    pub language: Option<&'static Language>,
    /// The LSP `languageId`.
    pub language_id: String,
    /// Path shown to the model, relative to the workspace where there is one.
    pub path: Option<PathBuf>,
}
