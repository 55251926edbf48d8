//! Compiles each query file once, and maps their captures to a closed enum.

use std::cell::Cell;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use tree_sitter::{Node, Query, QueryCursor, QueryCursorOptions, QueryCursorState, StreamingIterator, Tree};

use super::{Language, Parsed};
use crate::text::Rope;

/// The text of a language's query files.
pub(super) struct QuerySources {
    pub(super) items: &'static str,
    pub(super) imports: &'static str,
    pub(super) references: &'static str,
    pub(super) blocks: &'static str,
    pub(super) regions: &'static str,
    pub(super) names: &'static str,
}

/// The query files every language has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryKind {
    Items,
    Imports,
    References,
    Blocks,
    Regions,
    Names,
}

impl QueryKind {
    pub const ALL: [QueryKind; 6] =
        [Self::Items, Self::Imports, Self::References, Self::Blocks, Self::Regions, Self::Names];

    /// The file's name without `.scm`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Items => "items",
            Self::Imports => "imports",
            Self::References => "references",
            Self::Blocks => "blocks",
            Self::Regions => "regions",
            Self::Names => "names",
        }
    }
}

/// Every capture that a query file may use; `queries/README.md` says what each is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    Function,
    Method,
    Class,
    Interface,
    Impl,
    Module,
    Type,
    Constant,
    Macro,
    Name,
    Body,
    Import,
    CallReference,
    TypeReference,
    BodyOpener,
    LiteralOpener,
    Comment,
    String,
    Part,
    PartMore,
    PartName,
    Member,
    MemberValue,
    MemberType,
    MemberIs,
    Base,
    /// What `Member` or `Unknown` of the same match belongs to, where that stands elsewhere.
    MemberOf,
    UnknownOf,
    Unknown,
    UnknownNext,
    UnknownDerived,
    /// What a name that is `Bound` inside belongs to, instead of what is around.
    Scope,
    Bound,
    Callable,
    CallableName,
    Parameter,
    ParameterUnknown,
    PartOwner,
    Given,
    GivenTo,
    GivenName,
    GivenPlace,
    /// What only says whether a pattern matches.
    Condition,
    Export,
    ImportModule,
    ImportName,
    ImportAlias,
    ImportAll,
    Variable,
    VariableType,
}

impl Capture {
    const ALL: [Capture; 50] = [
        Self::Function,
        Self::Method,
        Self::Class,
        Self::Interface,
        Self::Impl,
        Self::Module,
        Self::Type,
        Self::Constant,
        Self::Macro,
        Self::Name,
        Self::Body,
        Self::Import,
        Self::CallReference,
        Self::TypeReference,
        Self::BodyOpener,
        Self::LiteralOpener,
        Self::Comment,
        Self::String,
        Self::Part,
        Self::PartMore,
        Self::PartName,
        Self::Member,
        Self::MemberValue,
        Self::MemberType,
        Self::MemberIs,
        Self::Base,
        Self::MemberOf,
        Self::UnknownOf,
        Self::Unknown,
        Self::UnknownNext,
        Self::UnknownDerived,
        Self::Scope,
        Self::Bound,
        Self::Callable,
        Self::CallableName,
        Self::Parameter,
        Self::ParameterUnknown,
        Self::PartOwner,
        Self::Given,
        Self::GivenTo,
        Self::GivenName,
        Self::GivenPlace,
        Self::Condition,
        Self::Export,
        Self::ImportModule,
        Self::ImportName,
        Self::ImportAlias,
        Self::ImportAll,
        Self::Variable,
        Self::VariableType,
    ];

    /// The capture as a query file spells it, without the `@`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Function => "item.function",
            Self::Method => "item.method",
            Self::Class => "item.class",
            Self::Interface => "item.interface",
            Self::Impl => "item.impl",
            Self::Module => "item.module",
            Self::Type => "item.type",
            Self::Constant => "item.constant",
            Self::Macro => "item.macro",
            Self::Name => "name",
            Self::Body => "body",
            Self::Import => "import",
            Self::CallReference => "reference.call",
            Self::TypeReference => "reference.type",
            Self::BodyOpener => "open.body",
            Self::LiteralOpener => "open.literal",
            Self::Comment => "comment",
            Self::String => "string",
            Self::Part => "part",
            Self::PartMore => "part.more",
            Self::PartName => "part.name",
            Self::Member => "member",
            Self::MemberValue => "member.value",
            Self::MemberType => "member.type",
            Self::MemberIs => "member.is",
            Self::Base => "base",
            Self::Unknown => "unknown",
            Self::UnknownNext => "unknown.next",
            Self::UnknownDerived => "unknown.derived",
            Self::MemberOf => "member.of",
            Self::UnknownOf => "unknown.of",
            Self::Scope => "scope",
            Self::Bound => "bound",
            Self::Callable => "callable",
            Self::CallableName => "callable.name",
            Self::Parameter => "parameter",
            Self::ParameterUnknown => "parameter.unknown",
            Self::PartOwner => "part.owner",
            Self::Given => "given",
            Self::GivenTo => "given.to",
            Self::GivenName => "given.name",
            Self::GivenPlace => "given.place",
            Self::Condition => "condition",
            Self::Export => "export",
            Self::ImportModule => "import.module",
            Self::ImportName => "import.name",
            Self::ImportAlias => "import.alias",
            Self::ImportAll => "import.all",
            Self::Variable => "variable",
            Self::VariableType => "variable.type",
        }
    }

    fn from_name(name: &str) -> Option<Capture> {
        Self::ALL.into_iter().find(|capture| capture.name() == name)
    }
}

/// A query with its capture indices resolved.
pub(super) struct CompiledQuery {
    query: Query,
    captures: Vec<Capture>,
}

/// One match: the pattern's index in its file and what it captured.
pub(super) struct Match<'a, 'tree> {
    pub(super) pattern: usize,
    pub(super) captures: &'a [(Capture, Node<'tree>)],
}

impl Match<'_, '_> {
    pub(super) fn get(&self, wanted: Capture) -> Option<Node<'_>> {
        self.captures.iter().find(|(capture, _)| *capture == wanted).map(|(_, node)| *node)
    }
}

impl QuerySources {
    fn of(&self, kind: QueryKind) -> &'static str {
        match kind {
            QueryKind::Items => self.items,
            QueryKind::Imports => self.imports,
            QueryKind::References => self.references,
            QueryKind::Blocks => self.blocks,
            QueryKind::Regions => self.regions,
            QueryKind::Names => self.names,
        }
    }
}

impl Language {
    /// Compiles the query `kind`.
    ///
    /// # Errors
    /// One sentence naming the file, the line and what is wrong with it.
    pub fn check_query(&self, kind: QueryKind) -> Result<(), String> {
        self.compile(kind).map(|_| ())
    }

    fn compile(&self, kind: QueryKind) -> Result<CompiledQuery, String> {
        let file = format!("{}/{}.scm", self.id, kind.name());
        let grammar = self.grammar.ok_or_else(|| format!("{file}: the language has no grammar"))?;
        let query = Query::new(&grammar.parser(), grammar.sources.of(kind))
            .map_err(|error| format!("{file} line {}: {}", error.row + 1, error.message))?;
        let captures = query
            .capture_names()
            .iter()
            .map(|name| Capture::from_name(name).ok_or_else(|| format!("{file}: no capture is called @{name}")))
            .collect::<Result<_, _>>()?;
        Ok(CompiledQuery { query, captures })
    }

    fn query(&self, kind: QueryKind) -> Option<&CompiledQuery> {
        self.grammar?.compiled[kind as usize]
            .get_or_init(|| self.compile(kind).inspect_err(|error| tracing::error!("{error}")).ok())
            .as_ref()
    }
}

/// Queries take time by the square of a tree's depth. Code is never this deep; generated data and nonsense can be.
const MAX_DEPTH: usize = 2000;

/// A query that runs longer is stopped, and the matches found so far are used. Files of 15,000 lines take a small part
/// of this.
const MAX_QUERY_TIME: Duration = Duration::from_millis(300);

/// How a query is restricted; the default is the whole tree.
#[derive(Default)]
pub(super) struct Scope {
    /// Only matches that touch these bytes.
    pub(super) range: Option<Range<usize>>,
    /// Only matches that begin at most this deep in the tree.
    pub(super) max_depth: Option<u32>,
}

impl Parsed {
    /// Calls `visit` with every match of the query `kind`, in the order of the text. `false` if those are not all there are.
    pub(super) fn for_each_match(&self, kind: QueryKind, scope: Scope, mut visit: impl FnMut(Match<'_, '_>)) -> bool {
        let Some(compiled) = self.language.query(kind) else { return false };
        let mut cursor = QueryCursor::new();
        cursor.set_max_start_depth(scope.max_depth);
        let tree = scope.range.as_ref().map_or_else(|| self.whole_tree(), |range| self.tree_of(range));
        if let Some(range) = scope.range {
            if depth_at(tree, range.start) > MAX_DEPTH {
                return false;
            }
            cursor.set_byte_range(range);
        }
        let text: &Rope = &self.text;
        let chunks = |node: Node<'_>| {
            text.byte_slice(node.byte_range()).chunks().map(str::as_bytes).collect::<Vec<_>>().into_iter()
        };
        let deadline = Instant::now() + MAX_QUERY_TIME;
        let is_over = Cell::new(false);
        let mut in_time = |_: &QueryCursorState| {
            is_over.set(Instant::now() >= deadline);
            if is_over.get() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = QueryCursorOptions::new().progress_callback(&mut in_time);
        let mut matches = cursor.matches_with_options(&compiled.query, tree.root_node(), chunks, options);
        let mut captures = Vec::new();
        while let Some(found) = matches.next() {
            captures.clear();
            captures
                .extend(found.captures.iter().map(|capture| (compiled.captures[capture.index as usize], capture.node)));
            visit(Match { pattern: found.pattern_index, captures: &captures });
        }
        !is_over.get()
    }

    /// Every capture of the query `kind` with its bytes, in the order of the text.
    pub fn captures(&self, kind: QueryKind) -> Vec<(Capture, Range<usize>)> {
        let mut found = Vec::new();
        self.for_each_match(kind, Scope::default(), |matched| {
            found.extend(matched.captures.iter().map(|(capture, node)| (*capture, node.byte_range())));
        });
        found.sort_by_key(|(_, range)| (range.start, range.end));
        found
    }
}

/// Number of nodes above the leaf at `offset`.
fn depth_at(tree: &Tree, offset: usize) -> usize {
    let mut cursor = tree.walk();
    let mut depth = 0;
    while cursor.goto_first_child_for_byte(offset).is_some() {
        depth += 1;
    }
    depth
}
