//! Names of a text that are reached through something: members of its types, what it has as a module, what its imports bring in,
//! what its functions call their parameters, and of which types its variables are said to be.

use std::ops::Range;

use tree_sitter::Node;

use super::queries::{Match, Scope};
use super::{Capture, Parsed, QueryKind};

/// What a text says about names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// In the order of the text.
    pub parts: Vec<Part>,
    /// In the order of the text.
    pub callables: Vec<Callable>,
    /// What the text has as a module: of its own, and by imports.
    pub bindings: Vec<Binding>,
    /// Modules all of whose names it takes over.
    pub all_of: Vec<String>,
    /// As a module it may have more.
    pub may_have_more: bool,
}

/// The definition of a type, or something that adds to one: an `impl`, a method that stands outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Of the type.
    pub name: String,
    pub range: Range<usize>,
    /// Where its own name stands, which is a member of what is around.
    name_at: usize,
    pub is_definition: bool,
    pub members: Vec<Member>,
    /// Whose members it has too, as the text names them.
    pub bases: Vec<String>,
    /// It may have more members than those: something that is not understood stands in it, or beside it.
    pub may_have_more: bool,
    /// What can be given by name when a value of it is made, besides what functions of it say.
    pub parameters: Vec<String>,
    /// More may be given.
    pub may_take_more: bool,
    /// It is not sound.
    pub is_broken: bool,
}

/// A function or method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callable {
    pub name: String,
    range: Range<usize>,
    /// The type whose method it is.
    pub owner: Option<String>,
    /// It is defined in a function, and only known there.
    pub is_local: bool,
    /// What a call can give by name.
    pub parameters: Vec<String>,
    /// A call may give more.
    pub may_take_more: bool,
}

/// A member of a type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    pub name: String,
    pub reach: Reach,
    /// Of a field, where the text names it and no more is to be known of it.
    pub type_name: Option<String>,
}

/// How a member is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Through a value, and through the type.
    Both,
    Value,
    Type,
}

/// A name that a module has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub name: String,
    /// Where it comes from; `None` for what the text declares itself.
    pub origin: Option<Origin>,
    /// Others can import it from here.
    pub is_exported: bool,
}

/// Where an imported name comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// As the text names it.
    pub module: String,
    /// The name there; `None` for the module itself.
    pub name: Option<String>,
}

/// A variable where the text introduces it, or says something of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub at: usize,
    /// `None` where the text does not name it, or in a way that is not understood.
    pub type_name: Option<String>,
}

impl Names {
    /// The parts of the type `name`.
    pub fn parts_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Part> {
        self.parts.iter().filter(move |part| part.name == name)
    }

    /// The innermost part around `offset`.
    pub fn part_around(&self, offset: usize) -> Option<&Part> {
        let around = self.parts.iter().filter(|part| part.range.start <= offset && offset <= part.range.end);
        around.min_by_key(|part| part.range.len())
    }

    /// What `name` is as a member of the module.
    pub fn binding(&self, name: &str) -> Option<&Binding> {
        // What an import says is more than that the name is there.
        let mut named: Vec<_> = self.bindings.iter().filter(|binding| binding.name == name).collect();
        named.sort_by_key(|binding| binding.origin.is_some());
        named.first().copied()
    }
}

/// What is found before it is known what it belongs to.
struct Found {
    at: usize,
    owner: Owner,
    what: What,
}

/// What something belongs to, as far as its match says it.
#[derive(Clone)]
enum Owner {
    /// What is around.
    Around,
    /// The part or the function of these bytes.
    Range(Range<usize>),
    /// The type of that name, if the text defines it.
    Named(String),
}

enum What {
    Member(Member),
    /// A name of the part or module around, unless that of a scope of its own.
    Bound(String),
    Base(String),
    /// What a call of the function around can give by name, or one that makes a value of the type around.
    Parameter(String),
    ParameterUnknown,
    Unknown,
    /// Something that is not understood adds to the part that begins next.
    UnknownNext,
    /// The same, but it leaves alone what can be given to make a value.
    UnknownDerived,
}

impl Parsed {
    /// What the text says about names.
    pub fn names(&self) -> Names {
        let mut names = Names::default();
        let (mut found, mut scopes) = (Vec::new(), Vec::new());
        let is_whole = self.for_each_match(QueryKind::Names, Scope::default(), |matched| {
            self.take_part(&matched, &mut names);
            self.take_callable(&matched, &mut names);
            self.take_module(&matched, &mut names);
            self.take_found(&matched, &mut found);
            scopes.extend(matched.get(Capture::Scope).map(|node| node.byte_range()));
        });
        names.parts.sort_by_key(|part| (part.range.start, usize::MAX - part.range.end));
        names.parts.dedup_by(|later, kept| later.range == kept.range && later.name == kept.name);
        names.callables.iter_mut().for_each(|callable| callable.place(&names.parts, &scopes));
        found.into_iter().for_each(|found| names.give(found, &scopes));
        for part in &mut names.parts {
            part.members.sort();
            part.members.dedup();
            part.may_have_more |= !is_whole;
            part.may_take_more |= !is_whole;
        }
        names.may_have_more |= !is_whole || self.whole_tree().root_node().has_error();
        names
    }

    /// The variables that the text names in `range`, in no order.
    pub fn variables(&self, range: Range<usize>) -> Vec<Variable> {
        let mut variables = Vec::new();
        let scope = Scope { range: Some(range.clone()), max_depth: None };
        self.for_each_match(QueryKind::Names, scope, |matched| {
            let Some(variable) = matched.get(Capture::Variable) else { return };
            let type_name = matched.get(Capture::VariableType).map(|node| self.slice(node.byte_range()));
            let at = variable.start_byte();
            if range.contains(&at) {
                variables.push(Variable { name: self.slice(variable.byte_range()), at, type_name });
            }
        });
        variables
    }

    /// Whether something between the part that begins at `start` and `offset` gives the word for the own value another meaning.
    pub fn binds_own_value(&self, start: usize, offset: usize) -> bool {
        let path = self.path_to(&(offset..offset));
        let inside: Vec<&str> = path.iter().filter(|node| node.start_byte() > start).map(Node::kind).collect();
        let is_function = |kind: &&str| {
            matches!(
                *kind,
                "function_expression"
                    | "function_declaration"
                    | "generator_function"
                    | "generator_function_declaration"
            )
        };
        let is_other = |pair: &[&str]| {
            matches!(pair, ["object", "method_definition"] | ["object_creation_expression", "class_body"])
        };
        inside.iter().any(is_function) || inside.windows(2).any(is_other)
    }

    fn take_part(&self, matched: &Match<'_, '_>, names: &mut Names) {
        let definition = matched.get(Capture::Part);
        let (Some(node), Some(name)) =
            (definition.or_else(|| matched.get(Capture::PartMore)), matched.get(Capture::PartName))
        else {
            return;
        };
        let own_name = self.slice(name.byte_range());
        let owner = matched.get(Capture::PartOwner).map(|node| self.slice(node.byte_range()));
        names.parts.push(Part {
            name: owner.map_or_else(|| own_name.clone(), |owner| format!("{owner}::{own_name}")),
            range: node.byte_range(),
            name_at: name.start_byte(),
            is_definition: definition.is_some(),
            members: Vec::new(),
            bases: Vec::new(),
            may_have_more: false,
            parameters: Vec::new(),
            may_take_more: false,
            is_broken: node.has_error(),
        });
    }

    fn take_callable(&self, matched: &Match<'_, '_>, names: &mut Names) {
        let (Some(node), Some(name)) = (matched.get(Capture::Callable), matched.get(Capture::CallableName)) else {
            return;
        };
        names.callables.push(Callable {
            name: self.slice(name.byte_range()),
            range: node.byte_range(),
            owner: None,
            is_local: false,
            parameters: Vec::new(),
            may_take_more: false,
        });
    }

    fn take_module(&self, matched: &Match<'_, '_>, names: &mut Names) {
        let text = |capture| matched.get(capture).map(|node| self.slice(node.byte_range()));
        if let Some(tree) = text(Capture::Import) {
            return take_use(&tree, "", names);
        }
        let exported = matched.get(Capture::Export);
        let Some(module) = matched.get(Capture::ImportModule) else {
            let own = exported.map(|node| self.slice(node.byte_range()));
            names.bindings.extend(own.map(|name| Binding { name, origin: None, is_exported: true }));
            return;
        };
        let module = self.slice(module.byte_range());
        let module = module.trim_matches(['"', '\'', '`']);
        if matched.get(Capture::ImportAll).is_some() {
            return names.all_of.push(module.to_owned());
        }
        let name = text(Capture::ImportName);
        let is_exported = exported.is_some();
        let binding = match (text(Capture::ImportAlias), name) {
            (Some(alias), name) => (alias, module.to_owned(), name),
            (None, Some(name)) => (name.clone(), module.to_owned(), Some(name)),
            (None, None) => self.language.modules.bound_by(module),
        };
        let (name, module, original) = binding;
        names.bindings.push(Binding { name, origin: Some(Origin { module, name: original }), is_exported });
    }

    fn take_found(&self, matched: &Match<'_, '_>, found: &mut Vec<Found>) {
        let text = |node: Node<'_>| self.slice(node.byte_range());
        let parts = [Capture::Part, Capture::PartMore, Capture::Callable].into_iter();
        let range = parts.filter_map(|capture| matched.get(capture)).map(|node| node.byte_range()).next();
        let named = matched.get(Capture::MemberOf).or_else(|| matched.get(Capture::UnknownOf)).map(text);
        let owner = named.map(Owner::Named).or(range.map(Owner::Range)).unwrap_or(Owner::Around);
        let type_name = matched.get(Capture::MemberIs).map(text);
        for (capture, node) in matched.captures {
            let member = |reach| What::Member(Member { name: text(*node), reach, type_name: type_name.clone() });
            let what = match capture {
                Capture::Member => member(Reach::Both),
                Capture::MemberValue => member(Reach::Value),
                Capture::MemberType => member(Reach::Type),
                Capture::Bound => What::Bound(text(*node)),
                Capture::Base => What::Base(self.base(*node)),
                Capture::Parameter => What::Parameter(text(*node)),
                Capture::ParameterUnknown => What::ParameterUnknown,
                Capture::Unknown | Capture::UnknownOf => What::Unknown,
                Capture::UnknownNext => What::UnknownNext,
                Capture::UnknownDerived => What::UnknownDerived,
                _ => continue,
            };
            found.push(Found { at: node.start_byte(), owner: owner.clone(), what });
        }
    }

    /// What is named as a base, without type arguments.
    fn base(&self, node: Node<'_>) -> String {
        let text = self.slice(node.byte_range());
        let name = text.split(['<', '[', '(']).next().unwrap_or_default();
        name.trim_start_matches('*').trim().to_owned()
    }
}

impl Callable {
    /// Finds out what it is defined in.
    fn place(&mut self, parts: &[Part], scopes: &[Range<usize>]) {
        let is_around = |range: &Range<usize>| range.start <= self.range.start && self.range.end <= range.end;
        let part = parts.iter().filter(|part| is_around(&part.range)).min_by_key(|part| part.range.len());
        let scope = scopes.iter().filter(|scope| is_around(scope)).map(Range::len).min();
        self.is_local = scope.is_some_and(|scope| part.is_none_or(|part| scope < part.range.len()));
        self.owner = part.filter(|_| !self.is_local).map(|part| part.name.clone());
    }
}

impl Names {
    fn give(&mut self, Found { at, owner, what }: Found, scopes: &[Range<usize>]) {
        match (&owner, &what) {
            (_, What::UnknownNext | What::UnknownDerived) => self.give_next(at, &what),
            (_, What::Parameter(_) | What::ParameterUnknown) => self.give_parameter(at, &owner, what),
            (Owner::Named(name), _) => {
                self.parts.iter_mut().filter(|part| part.name == *name).for_each(|part| part.take(&what));
            }
            (Owner::Range(range), _) => {
                self.parts.iter_mut().filter(|part| part.range == *range).take(1).for_each(|part| part.take(&what));
            }
            (Owner::Around, _) => self.give_around(at, what, scopes),
        }
    }

    fn give_next(&mut self, at: usize, what: &What) {
        // It may add to the module as well.
        self.may_have_more = true;
        if let Some(next) = self.parts.iter_mut().find(|part| part.range.start > at) {
            next.take(what);
        }
    }

    fn give_around(&mut self, at: usize, what: What, scopes: &[Range<usize>]) {
        let is_around = |known: &Part| known.range.contains(&at) && known.name_at != at;
        let part = self.parts.iter_mut().filter(|known| is_around(known)).min_by_key(|known| known.range.len());
        let is_in_scope = |part: Option<&Part>| {
            let is_nearer = |scope: &Range<usize>| part.is_none_or(|part| scope.len() < part.range.len());
            scopes.iter().any(|scope| scope.contains(&at) && is_nearer(scope))
        };
        match (part, what) {
            (part, What::Bound(_)) if is_in_scope(part.as_deref()) => {}
            (Some(part), what) => part.take(&what),
            (None, What::Bound(name)) => self.bindings.push(Binding { name, origin: None, is_exported: true }),
            (None, What::Unknown) => self.may_have_more = true,
            (None, _) => {}
        }
    }

    fn give_parameter(&mut self, at: usize, owner: &Owner, what: What) {
        let is_owner = |range: &Range<usize>| match owner {
            Owner::Range(owner) => range == owner,
            _ => range.contains(&at),
        };
        let part = self.parts.iter_mut().filter(|part| is_owner(&part.range)).min_by_key(|part| part.range.len());
        let callables = self.callables.iter_mut().filter(|callable| is_owner(&callable.range));
        let callable = callables.min_by_key(|callable| callable.range.len());
        let is_nearer = |callable: &Callable| part.as_ref().is_none_or(|part| callable.range.len() < part.range.len());
        let (parameters, may_take_more) = match callable.filter(|callable| is_nearer(callable)) {
            Some(callable) => (&mut callable.parameters, &mut callable.may_take_more),
            None => match part {
                Some(part) => (&mut part.parameters, &mut part.may_take_more),
                None => return,
            },
        };
        match what {
            What::Parameter(name) => parameters.push(name),
            _ => *may_take_more = true,
        }
    }
}

impl Part {
    fn take(&mut self, what: &What) {
        match what {
            What::Member(member) => self.members.push(member.clone()),
            What::Bound(name) => {
                self.members.push(Member { name: name.clone(), reach: Reach::Both, type_name: None });
            }
            What::Base(base) => self.bases.push(base.clone()),
            What::Parameter(name) => self.parameters.push(name.clone()),
            What::ParameterUnknown => self.may_take_more = true,
            What::UnknownDerived => self.may_have_more = true,
            What::Unknown | What::UnknownNext => {
                self.may_have_more = true;
                self.may_take_more = true;
            }
        }
    }
}

/// Takes in what `tree`, of a `use` of Rust, brings in from below `path`.
fn take_use(tree: &str, path: &str, names: &mut Names) {
    let tree = tree.trim();
    let (head, list) = match tree.split_once('{') {
        Some((head, list)) => (head.trim(), Some(list.trim_end().trim_end_matches('}'))),
        None => (tree, None),
    };
    let below = |name: &str| match path {
        "" => name.trim().trim_end_matches("::").to_owned(),
        _ => format!("{path}::{}", name.trim().trim_end_matches("::")),
    };
    if let Some(list) = list {
        let path = if head.is_empty() { path.to_owned() } else { below(head) };
        return split_list(list).into_iter().for_each(|tree| take_use(tree, &path, names));
    }
    let (source, alias) = match head.split_once(" as ") {
        Some((source, alias)) => (source.trim(), Some(alias.trim())),
        None => (head, None),
    };
    if source.is_empty() {
        return;
    }
    if source == "*" || source.ends_with("::*") {
        let module = source.trim_end_matches('*').trim_end_matches("::");
        return names.all_of.push(if module.is_empty() { path.to_owned() } else { below(module) });
    }
    let source = if source == "self" && !path.is_empty() { path.to_owned() } else { below(source) };
    let (module, name) = match source.rsplit_once("::") {
        Some((module, name)) => (module.to_owned(), name.to_owned()),
        None => (String::new(), source),
    };
    let bound = alias.unwrap_or(&name).to_owned();
    let origin = Some(Origin { module, name: Some(name) });
    names.bindings.push(Binding { name: bound, origin, is_exported: true });
}

/// The elements of a list that may hold lists.
fn split_list(list: &str) -> Vec<&str> {
    let (mut depth, mut start) = (0_usize, 0);
    let mut elements = Vec::new();
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                elements.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    elements.push(&list[start..]);
    elements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Language;
    use crate::text::Rope;

    fn names(language: &str, text: &str) -> Names {
        let language = Language::by_id(language).expect("a known language");
        assert_eq!(language.check_query(QueryKind::Names), Ok(()));
        Parsed::parse(language, &Rope::from_str(text)).expect("a small text parses").names()
    }

    /// What differs from what is expected, so that one run shows all of it.
    #[derive(Default)]
    struct Mismatches(Vec<String>);

    impl Mismatches {
        fn check(&mut self, text: &str, found: &[String], expected: &[&str]) {
            if found != expected {
                self.0.push(format!("{text}\nexpected {expected:?}\nfound    {found:?}\n"));
            }
        }
    }

    impl Drop for Mismatches {
        fn drop(&mut self) {
            assert!(self.0.is_empty() || std::thread::panicking(), "{}", self.0.join("\n"));
        }
    }

    /// Each part as `name(bases): members`, with `..` where it may have more.
    fn check(all: &mut Mismatches, language: &str, text: &str, expected: &[&str]) {
        let shown = |part: &Part| {
            let shown = |member: &Member| match &member.type_name {
                Some(type_name) => format!("{}:{type_name}", member.name),
                None => member.name.clone(),
            };
            let members: Vec<String> = part.members.iter().map(shown).collect();
            let more = if part.may_have_more { " .." } else { "" };
            format!("{}({}): {}{more}", part.name, part.bases.join(" "), members.join(" "))
        };
        all.check(text, &names(language, text).parts.iter().map(shown).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn members_belong_to_the_innermost_part() {
        let mut all = Mismatches::default();
        check(
            &mut all,
            "python",
            "class A(Base, x.Other):\n    kind = 1\n    class B:\n        def inner(self):\n            self.x = 1\n    @property\n    def f(self):\n        self.y = self.z\n",
            &["A(Base x.Other): B f kind y z", "B(): inner x"],
        );
        check(
            &mut all,
            "python",
            "class A(make()):\n    def __getattr__(self, name): pass\n",
            &["A(): __getattr__ .."],
        );
        check(
            &mut all,
            "python",
            "@odd\nclass A:\n    x: int\n\n@dataclass(frozen=True)\nclass B:\n    y: int\n",
            &["A(): x ..", "B(): y"],
        );
        check(
            &mut all,
            "rust",
            "#[derive(Debug, Clone)]\nstruct A<T> { x: T, pub y: u32 }\n#[derive(Parser)]\nenum E { One, Two { z: u32 } }\nimpl<T> A<T> {\n  const C: u32 = 1;\n  fn f(&self) { self.w }\n}\nimpl fmt::Display for E {}\ntrait T: Base { fn g(&self); }\n",
            &["A(): x x:T y", "E(): One Two ..", "E::Two(): z", "A(): C f f w", "E(fmt::Display): ", "T(Base): g g"],
        );
        check(
            &mut all,
            "typescript",
            "class A<T> extends B<T> implements I {\n  static one = 1;\n  private two?: string;\n  constructor(readonly three: T) { super(); this.four; }\n  get five() { return 1; }\n}\ninterface I extends J { six: string; seven(): void }\nenum E { Eight, Nine = 2 }\ntype O = { ten: number };\n",
            &["A(B): constructor five four one three two", "I(J): seven six", "E(): Eight Nine", "O(): ten"],
        );
        check(
            &mut all,
            "javascript",
            "class A extends B {\n  #p = 1;\n  q = 2;\n  f() { this.r = 1; }\n}\n",
            &["A(B): f q r"],
        );
        check(
            &mut all,
            "go",
            "package a\ntype S struct {\n\tBase\n\t*other.Thing\n\tx, y int\n}\ntype I interface {\n\tF() int\n}\nfunc (s *S) G() {}\n",
            &["S(Base other.Thing): x x:int y y:int", "I(): F", "S(): G"],
        );
        check(
            &mut all,
            "java",
            "class A extends B implements C {\n  int x, y;\n  void f() {}\n  enum E { ONE, TWO; int g() { return 1; } }\n}\n",
            &["A(B C): E f x y", "E(): ONE TWO g"],
        );
        check(
            &mut all,
            "c",
            "struct a { int x; char *y[2]; void (*f)(int); };\ntypedef struct { int z; } b;\ntypedef struct a c;\n",
            &["a(): f x y", "b(): z", "c(a): "],
        );
        check(
            &mut all,
            "cpp",
            "class A : public B {\npublic:\n  A();\n  int x = 0;\n  virtual void f() const;\n  int *g() { return 0; }\n};\nenum class E { One, Two };\nvoid A::h() {}\n",
            &["A(B): f g x", "E(): One Two", "A(): "],
        );
    }

    /// Each binding as `name`, `name=module` or `name=module:original`; what is not exported in brackets.
    fn check_module(all: &mut Mismatches, language: &str, text: &str, expected: &[&str], all_of: &[&str]) {
        let names = names(language, text);
        let shown = |binding: &Binding| {
            let origin = binding.origin.as_ref().map(|origin| match &origin.name {
                Some(name) => format!("={}:{name}", origin.module),
                None => format!("={}", origin.module),
            });
            let shown = format!("{}{}", binding.name, origin.unwrap_or_default());
            if binding.is_exported { shown } else { format!("({shown})") }
        };
        let mut found: Vec<String> = names.bindings.iter().map(shown).collect();
        found.sort();
        all.check(text, &found, expected);
        all.check(text, &names.all_of, all_of);
    }

    #[test]
    fn a_module_has_what_it_declares_and_what_it_imports() {
        let mut all = Mismatches::default();
        check_module(
            &mut all,
            "python",
            "import os.path\nimport numpy as np\nfrom .shapes import Shape, area as around\nfrom .all import *\nX, Y = 1, 2\nif X:\n    def f(): pass\nelse:\n    def g(): pass\ntry:\n    import json\nexcept ImportError:\n    h = None\n@deco\nclass A:\n    inner = 1\n",
            &[
                "A",
                "Shape=.shapes:Shape",
                "X",
                "Y",
                "around=.shapes:area",
                "f",
                "g",
                "h",
                "json=json",
                "np=numpy",
                "os=os",
            ],
            &[".all"],
        );
        check_module(
            &mut all,
            "rust",
            "use crate::a::{self, B as C, d::{E, F}, g::*};\npub use super::x;\nmod y;\nfn f() {}\nmod tests { use super::*; }\n",
            &["C=crate::a:B", "E=crate::a::d:E", "F=crate::a::d:F", "a=crate:a", "f", "tests", "x=super:x", "y"],
            &["crate::a::g", "super"],
        );
        check_module(
            &mut all,
            "typescript",
            "import { a, b as c } from './m';\nimport * as n from './n';\nexport { d, e as f } from './o';\nexport * from './p';\nexport const g = 1;\nexport default class H {}\nexport function i() {}\nexport interface J {}\nconst k = 1;\nexport { k };\n",
            &["(a=./m:a)", "(c=./m:b)", "(n=./n)", "H", "J", "d=./o:d", "default", "f=./o:e", "g", "i", "k"],
            &["./p"],
        );
        check_module(
            &mut all,
            "go",
            "package a\nimport (\n\t\"x/shapes\"\n\tr \"x/round\"\n)\nfunc F() {}\nvar A, B = 1, 2\n",
            &["(r=x/round)", "(shapes=x/shapes)", "A", "B", "F"],
            &[],
        );
        check_module(&mut all, "java", "import a.b.Shape;\nclass A {}\n", &["(Shape=a.b:Shape)"], &[]);
    }

    #[test]
    fn a_module_of_python_has_what_its_blocks_define() {
        let mut all = Mismatches::default();
        let blocks = "if A:\n    def f(): pass\nelif B:\n    @deco\n    def g(): pass\nelse:\n    if C:\n        class H: pass\n";
        check_module(&mut all, "python", blocks, &["H", "f", "g"], &[]);
        let tried = "try:\n    a = 1\nexcept E as b:\n    c = 2\nelse:\n    @deco\n    def d(): e = 1\nfinally:\n    class F:\n        g = 1\n";
        check_module(&mut all, "python", tried, &["F", "a", "b", "c", "d"], &[]);
        let loops = "for a, (b, *c) in d:\n    e = f = 1\nelse:\n    g: int\nwhile h:\n    if (i := j): pass\nwith k() as l, m() as (n, o):\n    p[0] = q.r = lambda s: (t := s)\n";
        check_module(&mut all, "python", loops, &["a", "b", "c", "e", "f", "g", "i", "l", "n", "o"], &[]);
        let matched = "match a:\n    case b: c = 1\n    case [d, *e] as f: pass\n    case G(h=i): pass\n";
        check_module(&mut all, "python", matched, &["b", "c", "d", "e", "f", "i"], &[]);
        check(
            &mut all,
            "python",
            "class A:\n    try:\n        x = 1\n    except E:\n        def f(self):\n            y = 1\n    else:\n        for z in w: pass\n    with v as u:\n        class B:\n            t = 1\n",
            &["A(): B f u x z", "B(): t"],
        );
        check(&mut all, "python", "class A: pass\nA.x = 1\nb.y = 2\n", &["A(): x"]);
        check(&mut all, "python", "class A: pass\nsetattr(A, name, 1)\n", &["A():  .."]);
        check(&mut all, "python", "class A: pass\ndefine(A, \"x\")\n", &["A():  .."]);
        check(
            &mut all,
            "python",
            "class A:\n    __slots__ = (\"x\", 'y')\nclass B:\n    __slots__ = names\n",
            &["A(): __slots__ x y", "B(): __slots__ .."],
        );
    }

    #[test]
    fn a_set_that_may_be_larger_is_not_called_whole() {
        let may_have_more = |language: &str, text: &str| {
            let found = names(language, text);
            (found.may_have_more, found.parts.iter().any(|part| part.may_have_more))
        };
        let mut wrong = Vec::new();
        for (language, text, expected) in [
            ("python", "def f(): pass\n", (false, false)),
            ("python", "def f(: pass\nx = 1\n", (true, false)),
            ("python", "sys.modules[__name__] = x\n", (true, false)),
            ("rust", "#[derive(Clone)]\nstruct A;\n", (false, false)),
            ("rust", "#[derive(Builder)]\nstruct A;\n", (true, true)),
            ("rust", "#[cfg_attr(x, derive(Serialize))]\nstruct A;\n", (false, false)),
            ("rust", "#[cfg_attr(x, derive(Builder))]\nstruct A;\n", (true, true)),
            ("rust", "struct A;\nnewtype!(A);\n", (true, true)),
            ("typescript", "class A {}\nnamespace A { export const x = 1; }\n", (false, true)),
            ("typescript", "interface A { 'x': number }\n", (false, true)),
            ("typescript", "class A { [Symbol.iterator]() {} }\n", (false, false)),
            ("typescript", "class A { [x]() {} }\n", (false, true)),
            ("typescript", "export import a = b.c;\n", (true, false)),
            ("typescript", "export const { a: b } = c;\n", (true, false)),
            ("typescript", "export const { a, b } = c;\n", (false, false)),
            ("javascript", "class A {}\nObject.assign(A.prototype, b);\n", (true, true)),
            ("javascript", "class A {}\nObject.freeze(A);\n", (false, false)),
            ("javascript", "f(exports);\n", (true, false)),
            ("c", "struct a { int x; };\n", (false, false)),
            ("c", "struct a { COMMON; int x; };\n", (false, true)),
            ("c", "struct a {\n#include \"fields.h\"\n};\n", (false, true)),
            ("c", "struct a {\n#ifdef X\n  int x;\n#include \"fields.h\"\n#endif\n};\n", (false, true)),
            ("c", "struct a {\n#pragma pack(1)\n  int x;\n};\n", (false, false)),
        ] {
            let found = may_have_more(language, text);
            if found != expected {
                wrong.push(format!("{language}: {text}\nexpected {expected:?}, found {found:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn fields_behind_conditions_are_members() {
        let mut all = Mismatches::default();
        let text = "struct a {\n#ifdef X\n  int x;\n#else\n  struct b *y;\n#endif\n  union { int z; };\n};\n";
        check(&mut all, "c", text, &["a(): x y y:b z"]);
        check(&mut all, "c", "typedef struct a { int x; } b;\n", &["b(a): ", "a(): x"]);
    }

    #[test]
    fn calls_can_give_parameters_by_name() {
        let mut all = Mismatches::default();
        let mut check = |text: &str, expected: &[&str]| {
            let shown = |callable: &Callable| {
                let owner = callable.owner.as_ref().map_or_else(String::new, |owner| format!("{owner}."));
                let more = if callable.may_take_more { " .." } else { "" };
                let local = if callable.is_local { " local" } else { "" };
                format!("{owner}{}({}){more}{local}", callable.name, callable.parameters.join(" "))
            };
            let found = names("python", text);
            let made = found.parts.iter().filter(|part| !part.parameters.is_empty() || part.may_take_more);
            let made = made.map(|part| format!("{}({})", part.name, part.parameters.join(" ")));
            let found: Vec<String> = found.callables.iter().map(shown).chain(made).collect();
            all.check(text, &found, expected);
        };
        check("def f(a, b: int, /, c=1, *d, e: int = 2, f): pass\n", &["f(a b c e f)"]);
        check("def f(a, **b): pass\ndef g(a, **b: int): pass\n", &["f(a) ..", "g(a) .."]);
        check("@odd\ndef f(a): pass\n@contextmanager\ndef g(a): pass\n", &["f(a) ..", "g(a)"]);
        check(
            "class A:\n    def f(self, a):\n        def g(b): pass\n        return lambda c: c\n",
            &["A.f(self a)", "g(b) local"],
        );
        check("@dataclass(frozen=True)\nclass A:\n    x: int\n    y: int = 1\n    z = 2\n", &["A(x y)"]);
        check("class A(NamedTuple):\n    x: int\nclass B:\n    y: int\n", &["A(x)"]);
        check("@define\nclass A:\n    x: int\n", &["A()"]);
    }

    #[test]
    fn variables_have_the_types_that_are_said() {
        let mut all = Mismatches::default();
        let mut check = |language: &str, text: &str, expected: &[&str]| {
            let language = Language::by_id(language).expect("a known language");
            let parsed = Parsed::parse(language, &Rope::from_str(text)).expect("a small text parses");
            let mut variables = parsed.variables(0..text.len());
            variables.sort_by_key(|variable| variable.at);
            let shown =
                |variable: Variable| format!("{}: {}", variable.name, variable.type_name.as_deref().unwrap_or("?"));
            all.check(text, &variables.into_iter().map(shown).collect::<Vec<_>>(), expected);
        };
        check(
            "python",
            "def f(a: Shape, b, c: list[Shape] = 1):\n    d = Shape(1)\n    e = d.area\n    for g in a: pass\n",
            &["a: Shape", "b: ?", "c: ?", "d: Shape", "e: ?", "g: ?"],
        );
        check(
            "rust",
            "fn f(a: &mut Shape, b: Vec<Shape>) {\n    let c = Shape { x: 1 };\n    let d: Shape = g();\n    let e = g();\n}\n",
            &["a: Shape", "b: ?", "c: Shape", "d: Shape", "e: ?"],
        );
        check(
            "typescript",
            "function f(a: Shape, b) {\n  const c = new Shape(1);\n  let d = g();\n}\n",
            &["a: Shape", "b: ?", "c: Shape", "d: ?"],
        );
        check(
            "go",
            "package a\nfunc (s *Shape) F(b []Shape) {\n\tc := &Shape{}\n\td, e := g()\n}\n",
            &["s: Shape", "b: ?", "c: Shape", "d: ?", "e: ?"],
        );
        check(
            "java",
            "class A { void f(Shape a) { Shape b = null; List<Shape> c; } }\n",
            &["a: Shape", "b: Shape", "c: ?"],
        );
        check("c", "void f(struct shape *a, int b) { shape_t c; }\n", &["a: shape", "b: ?", "c: shape_t"]);
        check("cpp", "void f(const Shape &a, std::string b) { Shape *c = g(); }\n", &["a: Shape", "b: ?", "c: Shape"]);
    }
}
