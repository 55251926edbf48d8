//! The grammars phi-ls is built with, each with its query files. Adding one: a crate, a static here, a query folder.

use std::sync::OnceLock;

use super::queries::{CompiledQuery, QueryKind, QuerySources};

/// How texts of a language are parsed, and the queries on their trees.
pub(super) struct Grammar {
    parser: fn() -> tree_sitter::Language,
    pub(super) sources: QuerySources,
    /// Node kind of attributes that precede an item as siblings of it.
    pub(super) attribute: Option<&'static str>,
    /// Compiled at first use, each separately: a query that does not compile disables only what it is used for.
    pub(super) compiled: [OnceLock<Option<CompiledQuery>>; QueryKind::ALL.len()],
}

impl Grammar {
    const fn new(parser: fn() -> tree_sitter::Language, sources: QuerySources) -> Self {
        let compiled = [const { OnceLock::new() }; QueryKind::ALL.len()];
        Self { parser, sources, attribute: None, compiled }
    }

    pub(super) fn parser(&self) -> tree_sitter::Language {
        (self.parser)()
    }
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
            names: include_str!(concat!("../../queries/", $folder, "/names.scm")),
        }
    };
}

pub(super) static RUST: Grammar = {
    let mut grammar = Grammar::new(|| tree_sitter_rust::LANGUAGE.into(), sources!("rust"));
    grammar.attribute = Some("attribute_item");
    grammar
};
pub(super) static PYTHON: Grammar = Grammar::new(|| tree_sitter_python::LANGUAGE.into(), sources!("python"));
pub(super) static JAVASCRIPT: Grammar =
    Grammar::new(|| tree_sitter_javascript::LANGUAGE.into(), sources!("javascript"));
pub(super) static TYPESCRIPT: Grammar =
    Grammar::new(|| tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(), sources!("typescript"));
pub(super) static TSX: Grammar = Grammar::new(|| tree_sitter_typescript::LANGUAGE_TSX.into(), sources!("typescript"));
pub(super) static GO: Grammar = Grammar::new(|| tree_sitter_go::LANGUAGE.into(), sources!("go"));
pub(super) static C: Grammar = Grammar::new(|| tree_sitter_c::LANGUAGE.into(), sources!("c"));
pub(super) static CPP: Grammar = Grammar::new(|| tree_sitter_cpp::LANGUAGE.into(), sources!("cpp"));
pub(super) static JAVA: Grammar = Grammar::new(|| tree_sitter_java::LANGUAGE.into(), sources!("java"));
