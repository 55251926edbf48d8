//! Languages: their table, and for those with a grammar tree-sitter: incremental parsing, and the queries in
//! `queries/<language>/`.
//!
//! Everything here is a question about one text, answered in byte ranges of it. What to do with the answer (which lines
//! enter a prompt, where a completion stops) is decided elsewhere; no type of tree-sitter leaves this module.

mod following;
mod given;
mod grammar;
mod items;
mod language;
mod modules;
mod names;
mod queries;
mod structure;
mod tree;

pub use following::Following;
pub use given::GivenList;
pub use items::{Item, ItemKind, Reference, ReferenceKind};
pub use language::{LANGUAGES, Language, Modules, Quotes, TestModules, TestPlace, UNKNOWN, language_for, names_of};
pub use modules::Module;
pub use names::{Binding, Callable, Member, Names, Origin, Part, Reach, Variable};
pub use queries::{Capture, QueryKind};
pub use structure::Region;
pub use tree::{MAX_PARSE_BYTES, Parsed};
