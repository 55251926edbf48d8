//! Tree-sitter: the language table, incremental parsing, and the queries in `queries/<language>/`.

/// One row of the language table.
pub struct Language {
    /// The LSP `languageId`, also the folder's name under `queries/`.
    pub id: &'static str,
    /// The name used towards the model and in code fences.
    pub name: &'static str,
    pub extensions: &'static [&'static str],
    pub line_comment: &'static str,
}

/// A document's syntax tree.
#[derive(Clone)]
pub struct Parsed {
    pub language: &'static Language,
    pub(crate) tree: tree_sitter::Tree,
}
