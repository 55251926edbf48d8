//! The language table: one row per LSP language id. Adding a language is a grammar crate, a row and a query folder.

use std::path::Path;
use std::sync::OnceLock;

use super::queries::{CompiledQuery, QueryKind, QuerySources};

/// One row of the language table.
pub struct Language {
    /// The LSP `languageId`.
    pub id: &'static str,
    /// The name used towards the model and in code fences.
    pub name: &'static str,
    /// Languages of one family use each other's code.
    pub family: &'static str,
    pub extensions: &'static [&'static str],
    pub line_comment: &'static str,
    /// Node kind of attributes that precede an item as siblings of it.
    pub(super) attribute: Option<&'static str>,
    pub(super) grammar: fn() -> tree_sitter::Language,
    pub(super) sources: QuerySources,
    /// Compiled at first use, each on its own: a query that does not compile costs only what it feeds.
    pub(super) compiled: [OnceLock<Option<CompiledQuery>>; QueryKind::ALL.len()],
}

impl Language {
    /// The row of the LSP `languageId` `id`.
    pub fn by_id(id: &str) -> Option<&'static Language> {
        LANGUAGES.iter().find(|language| language.id == id)
    }

    /// The row a file name points to, by its extension.
    pub fn by_path(path: &Path) -> Option<&'static Language> {
        let extension = path.extension()?.to_str()?;
        LANGUAGES.iter().find(|language| language.extensions.contains(&extension))
    }

    pub(super) fn grammar(&self) -> tree_sitter::Language {
        (self.grammar)()
    }
}

impl std::fmt::Debug for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Language").field(&self.id).finish()
    }
}

/// The language of a document: its `languageId` counts, its file name where that says nothing.
pub fn language_for(language_id: &str, path: Option<&Path>) -> Option<&'static Language> {
    Language::by_id(language_id).or_else(|| Language::by_path(path?))
}

/// The query files of `queries/<folder>/`.
macro_rules! sources {
    ($folder:literal) => {
        QuerySources {
            items: include_str!(concat!("../../queries/", $folder, "/items.scm")),
            imports: include_str!(concat!("../../queries/", $folder, "/imports.scm")),
            references: include_str!(concat!("../../queries/", $folder, "/references.scm")),
            blocks: include_str!(concat!("../../queries/", $folder, "/blocks.scm")),
            regions: include_str!(concat!("../../queries/", $folder, "/regions.scm")),
        }
    };
}

#[expect(clippy::declare_interior_mutable_const, reason = "each row of the table gets cells of its own")]
const UNCOMPILED: [OnceLock<Option<CompiledQuery>>; QueryKind::ALL.len()] =
    [const { OnceLock::new() }; QueryKind::ALL.len()];

/// Every language phi-ls has a grammar for.
pub static LANGUAGES: [Language; 10] = [
    Language {
        id: "rust",
        name: "rust",
        family: "rust",
        extensions: &["rs"],
        line_comment: "//",
        attribute: Some("attribute_item"),
        grammar: || tree_sitter_rust::LANGUAGE.into(),
        sources: sources!("rust"),
        compiled: UNCOMPILED,
    },
    Language {
        id: "python",
        name: "python",
        family: "python",
        extensions: &["py", "pyi", "pyw"],
        line_comment: "#",
        attribute: None,
        grammar: || tree_sitter_python::LANGUAGE.into(),
        sources: sources!("python"),
        compiled: UNCOMPILED,
    },
    Language {
        id: "javascript",
        name: "javascript",
        family: "javascript",
        extensions: &["js", "mjs", "cjs"],
        line_comment: "//",
        attribute: None,
        grammar: || tree_sitter_javascript::LANGUAGE.into(),
        sources: sources!("javascript"),
        compiled: UNCOMPILED,
    },
    Language {
        id: "javascriptreact",
        name: "jsx",
        family: "javascript",
        extensions: &["jsx"],
        line_comment: "//",
        attribute: None,
        grammar: || tree_sitter_javascript::LANGUAGE.into(),
        sources: sources!("javascript"),
        compiled: UNCOMPILED,
    },
    Language {
        id: "typescript",
        name: "typescript",
        family: "javascript",
        extensions: &["ts", "mts", "cts"],
        line_comment: "//",
        attribute: None,
        grammar: || tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
        sources: sources!("typescript"),
        compiled: UNCOMPILED,
    },
    Language {
        id: "typescriptreact",
        name: "tsx",
        family: "javascript",
        extensions: &["tsx"],
        line_comment: "//",
        attribute: None,
        grammar: || tree_sitter_typescript::LANGUAGE_TSX.into(),
        sources: sources!("typescript"),
        compiled: UNCOMPILED,
    },
    Language {
        id: "go",
        name: "go",
        family: "go",
        extensions: &["go"],
        line_comment: "//",
        attribute: None,
        grammar: || tree_sitter_go::LANGUAGE.into(),
        sources: sources!("go"),
        compiled: UNCOMPILED,
    },
    Language {
        id: "c",
        name: "c",
        family: "c",
        extensions: &["c", "h"],
        line_comment: "//",
        attribute: None,
        grammar: || tree_sitter_c::LANGUAGE.into(),
        sources: sources!("c"),
        compiled: UNCOMPILED,
    },
    Language {
        id: "cpp",
        name: "cpp",
        family: "c",
        extensions: &["cpp", "cc", "cxx", "hpp", "hh", "hxx", "ipp"],
        line_comment: "//",
        attribute: None,
        grammar: || tree_sitter_cpp::LANGUAGE.into(),
        sources: sources!("cpp"),
        compiled: UNCOMPILED,
    },
    Language {
        id: "java",
        name: "java",
        family: "java",
        extensions: &["java"],
        line_comment: "//",
        attribute: None,
        grammar: || tree_sitter_java::LANGUAGE.into(),
        sources: sources!("java"),
        compiled: UNCOMPILED,
    },
];
