//! What a text declares that other files can use: items with their names and what they are members of.

use std::ops::Range;

use crate::syntax::{Item, ItemKind, Parsed};

/// An item that other files can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) item: Item,
    /// Without what qualifies it.
    pub(super) name: String,
    /// The name of the class, interface or impl it is a member of.
    pub(super) container: Option<String>,
}

/// Items outside of functions, in the order of the text; modules and impls are their members only.
pub(super) fn declared(parsed: &Parsed) -> Vec<Declared> {
    let mut open: Vec<(Range<usize>, ItemKind, String)> = Vec::new();
    let mut found = Vec::new();
    for item in parsed.items(0..parsed.text().len_bytes()) {
        open.retain(|(range, ..)| item.range.start < range.end);
        let name = plain_name(parsed, &item);
        // A type that is defined within the definition of another name for it.
        let is_seen_through =
            |kind: ItemKind, other: &str| kind == ItemKind::Type && item.kind == ItemKind::Class && other != name;
        let hidden = open.iter().any(|(_, kind, other)| !kind.is_container() && !is_seen_through(*kind, other));
        open.push((item.range.clone(), item.kind, name.clone()));
        if hidden || matches!(item.kind, ItemKind::Impl | ItemKind::Module) {
            continue;
        }
        let outer = open.iter().rev().nth(1).filter(|(_, kind, _)| !matches!(kind, ItemKind::Module | ItemKind::Type));
        let container = outer.map(|(_, _, name)| name.clone());
        found.push(Declared { item, name, container });
    }
    found
}

/// An item's name without what qualifies it and without type parameters.
pub(super) fn plain_name(parsed: &Parsed, item: &Item) -> String {
    let name = parsed.slice(item.name.clone());
    let name = name.split(['<', '[', '(']).next().unwrap_or_default();
    name.rsplit("::").next().unwrap_or_default().trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Language;
    use crate::text::Rope;

    fn check(language: &str, text: &str, expected: &[&str]) {
        let language = Language::by_id(language).expect("a known language");
        let parsed = Parsed::parse(language, &Rope::from_str(text)).expect("a small text parses");
        let shown = |declared: Declared| match declared.container {
            Some(container) => format!("{container}.{}", declared.name),
            None => declared.name,
        };
        assert_eq!(declared(&parsed).into_iter().map(shown).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn members_know_their_container_and_what_functions_hide_is_left_out() {
        check(
            "rust",
            "mod m {\n  fn a() { fn hidden() {} }\n}\nimpl<T> Stack<T> {\n  fn push() {}\n}\n",
            &["a", "Stack.push"],
        );
        check("rust", "impl fmt::Display for shapes::Shape {\n  fn fmt() {}\n}\n", &["Shape.fmt"]);
        check("python", "class A:\n    def f(self):\n        def g(): pass\nX = 1\n", &["A", "A.f", "X"]);
        check("typescript", "export class A { f() {} }\nexport const g = () => {};\n", &["A", "A.f", "g"]);
        check("go", "package a\nfunc (s *S) F() {}\ntype S struct {}\n", &["F", "S"]);
        check("c", "typedef struct a { int x; } b;\ntypedef struct c { int y; } c;\n", &["b", "a", "c"]);
    }
}
