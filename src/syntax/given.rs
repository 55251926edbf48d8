//! Lists that give values to names: the arguments of a call, the fields of a literal.

use std::ops::Range;

use tree_sitter::Node;

use super::queries::Scope;
use super::{Capture, Parsed, QueryKind};

/// A list in which a name is to be given a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenList {
    /// What the names belong to, in the words of the text: a function, a type.
    pub to: String,
    /// The names that have values in the list.
    pub given: Vec<String>,
}

impl Parsed {
    /// The list of which the name at `at` is an element that has to be given a value by name.
    pub fn given_list(&self, at: usize) -> Option<GivenList> {
        let around = |range: &Range<usize>| range.start < at && at < range.end;
        let mut list: Option<(Range<usize>, &'static str, String)> = None;
        let here = Scope { range: Some(at..at + 1), max_depth: None };
        self.for_each_match(QueryKind::Names, here, |matched| {
            let (Some(node), Some(to)) = (matched.get(Capture::Given), matched.get(Capture::GivenTo)) else { return };
            let is_nearer = list.as_ref().is_none_or(|(range, ..)| node.byte_range().len() < range.len());
            if around(&node.byte_range()) && is_nearer {
                list = Some((node.byte_range(), node.kind(), self.slice(to.byte_range())));
            }
        });
        let (range, kind, to) = list?;
        let is_element = |node: Node<'_>| {
            let above = std::iter::successors(node.parent(), |node| node.parent());
            above.into_iter().find(|node| node.kind() == kind).is_some_and(|found| found.byte_range() == range)
        };
        let (mut given, mut is_given_by_name) = (Vec::new(), false);
        let inside = Scope { range: Some(range.clone()), max_depth: None };
        self.for_each_match(QueryKind::Names, inside, |matched| {
            for (capture, node) in matched.captures {
                if !matches!(capture, Capture::GivenName | Capture::GivenPlace) || !is_element(*node) {
                    continue;
                }
                match (capture, node.start_byte() == at) {
                    (_, true) => is_given_by_name = true,
                    (Capture::GivenName, false) => given.push(self.slice(node.byte_range())),
                    _ => {}
                }
            }
        });
        is_given_by_name.then_some(GivenList { to, given })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Language;
    use crate::text::Rope;

    /// The list around `here`, as `to: given`.
    fn check(language: &str, text: &str, expected: Option<&str>) {
        let language = Language::by_id(language).expect("a known language");
        let parsed = Parsed::parse(language, &Rope::from_str(text)).expect("a small text parses");
        let found = parsed.given_list(text.find("here").expect("a fixture has a name called here"));
        let shown = found.map(|list| format!("{}: {}", list.to, list.given.join(" ")));
        assert_eq!(shown.as_deref(), expected, "{text}");
    }

    #[test]
    fn arguments_behind_one_that_is_named_are_named_too() {
        check("python", "f(1, a=2, here)\n", Some("f: a"));
        check("python", "self.shapes.f(a=g(x=1), here, b=2)\n", Some("self.shapes.f: a b"));
        check("python", "f(here=1, a=2)\n", Some("f: a"));
        check("python", "f(**x, here)\n", Some("f: "));
        check("python", "f(1, here)\n", None);
        check("python", "f(*x, here)\n", None);
        check("python", "f(a=1, b=here)\n", None);
        check("python", "f(a=1, b=g(here))\n", None);
        check("python", "f(a=1, b=[here])\n", None);
        check("python", "class A(B, metaclass=C, here): pass\n", None);
    }

    #[test]
    fn fields_of_literals_are_named() {
        check("rust", "fn f() { let p = Point { x: 1, here }; }\n", Some("Point: x"));
        check("rust", "fn f() { g(shapes::Shape::Round { here, y, ..z }); }\n", Some("shapes::Shape::Round: y"));
        check("rust", "fn f() { let p = Point { x: here }; }\n", None);
        check("rust", "fn f() { let p = Point { x: Other { here }, y }; }\n", Some("Other: "));
        check("rust", "fn f() { let Point { x, here } = p; }\n", Some("Point: x"));
        check("go", "package a\nvar p = Point{X: 1, here}\n", Some("Point: X"));
        check("go", "package a\nvar p = []*shapes.Point{{X: 1, here}}\n", Some("shapes.Point: X"));
        check("go", "package a\nvar p = Point{here}\n", None);
        check("go", "package a\nvar p = Point{X: 1, Y: []int{Z: 1, here}}\n", None);
        check("c", "struct point p = { .x = 1, .here = 0 };\n", Some("point: x"));
        check("c", "void f(void) { g((point_t){ .x = 1, .here = 0 }); }\n", Some("point_t: x"));
        check("c", "struct point p[] = { { .x = 1 }, { .y = 1, .here = 0 } };\n", Some("point: y"));
        check("c", "struct point p = { .x = { .z = 1, .here = 0 } };\n", None);
        check("cpp", "point p = { .x = 1, .here = 0 };\n", Some("point: x"));
        check("typescript", "const p: Point = { x: 1, here };\n", Some("Point: x"));
        check("typescript", "function f(): Point { return { x, ...y, here }; }\n", Some("Point: x"));
        check("typescript", "const p = { x: 1, here };\n", None);
        check("typescript", "const p: Point = { x: 1, y: { here } };\n", None);
    }
}
