//! The items of a text (functions, classes, modules and so on), its imports, and what its code refers to.

use std::ops::Range;

use tree_sitter::Node;

use super::queries::{Match, Scope};
use super::{Capture, Parsed, QueryKind};
use crate::text::floor_char_boundary;

/// What an item is, in words that fit every language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    Function,
    /// A function inside a class, interface or impl.
    Method,
    /// Class, struct, enum, union, record.
    Class,
    /// Interface, trait.
    Interface,
    Impl,
    Module,
    /// A type alias.
    Type,
    Constant,
    Macro,
}

impl ItemKind {
    fn from_capture(capture: Capture) -> Option<Self> {
        Some(match capture {
            Capture::Function => Self::Function,
            Capture::Method => Self::Method,
            Capture::Class => Self::Class,
            Capture::Interface => Self::Interface,
            Capture::Impl => Self::Impl,
            Capture::Module => Self::Module,
            Capture::Type => Self::Type,
            Capture::Constant => Self::Constant,
            Capture::Macro => Self::Macro,
            _ => return None,
        })
    }

    /// Whether other items are members of this one.
    pub fn is_container(self) -> bool {
        matches!(self, Self::Class | Self::Interface | Self::Impl | Self::Module)
    }

    pub fn is_callable(self) -> bool {
        matches!(self, Self::Function | Self::Method | Self::Macro)
    }
}

/// Imports are looked for in this much of a text.
pub(super) const MAX_IMPORTS_BYTES: usize = 64 << 10;

/// One item, in byte ranges of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub kind: ItemKind,
    pub range: Range<usize>,
    pub name: Range<usize>,
    /// From the item's start to where its body begins; the whole item if it has none.
    pub signature: Range<usize>,
    pub body: Option<Range<usize>>,
}

/// How a name is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceKind {
    Call,
    /// A type, or a constant.
    Type,
}

/// A use of a name that some item may define.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub kind: ReferenceKind,
    pub name: Range<usize>,
}

impl Parsed {
    /// Every item that touches `range`, in the order of the text, containers before their members.
    pub fn items(&self, range: Range<usize>) -> Vec<Item> {
        let mut found: Vec<(usize, Item)> = Vec::new();
        let scope = Scope { range: Some(range), max_depth: None };
        self.for_each_match(QueryKind::Items, scope, |matched| {
            found.extend(item_from(&matched).map(|item| (matched.pattern, item)));
        });
        // One name may match several patterns: the larger item holds the other (decorators), then the first pattern
        // in the file is the more precise one.
        found.sort_by_key(|(pattern, item)| (item.name.start, item.range.start, usize::MAX - item.range.end, *pattern));
        found.dedup_by(|(_, later), (_, kept)| later.name == kept.name);
        let mut items: Vec<Item> = found.into_iter().map(|(_, item)| item).collect();
        items.sort_by_key(|item| (item.range.start, usize::MAX - item.range.end));
        mark_methods(&mut items);
        items
    }

    /// The items `offset` lies in, outermost first. A blank line that is indented deeper than an item which ends before
    /// it without a closing brace lies in that item.
    pub fn enclosing_items(&self, offset: usize) -> Vec<Item> {
        let offset = floor_char_boundary(&self.text, offset);
        let last_code = self.last_non_blank_before(offset).unwrap_or(offset);
        let mut items = self.items(last_code..offset + 1);
        items.retain(|item| {
            let inside = item.range.start <= offset && offset < item.range.end;
            inside || (item.range.end <= offset && item.range.end > last_code && self.goes_on_at(item, offset))
        });
        items
    }

    fn goes_on_at(&self, item: &Item, offset: usize) -> bool {
        if item.body.is_none() {
            return false;
        }
        let closed = matches!(self.text.get_byte(item.range.end.wrapping_sub(1)), Some(b'}' | b';'));
        let same_line = self.row(item.range.end) == self.row(offset);
        !closed && (same_line || self.column(offset) > self.indent_of_row(self.row(item.range.start)))
    }

    /// Items that no other item contains.
    pub fn top_level_items(&self) -> Vec<Item> {
        let mut end = 0;
        let mut items = self.items(0..self.text.len_bytes());
        items.retain(|item| {
            let top = item.range.start >= end;
            end = end.max(item.range.end);
            top
        });
        items
    }

    /// Names that sibling items must not share but do: each as often as there is an item too many.
    pub fn duplicate_names(&self) -> Vec<String> {
        let parent_of = |range: &Range<usize>| {
            let path = self.path_to(range);
            path.iter().rev().find(|node| node.byte_range() != *range).unwrap_or(&path[0]).id()
        };
        let items = self.items(0..self.text.len_bytes()).into_iter();
        let named =
            items.filter(|item| item.kind.is_callable() || (item.kind.is_container() && item.kind != ItemKind::Impl));
        let mut declared: Vec<(usize, bool, String)> = named
            .map(|item| {
                let by_signature = item.kind.is_callable() && self.language.has_overloads;
                let name = self.slice(if by_signature { item.signature.clone() } else { item.name.clone() });
                (parent_of(&item.range), item.kind.is_callable(), name.split_whitespace().collect::<Vec<_>>().join(" "))
            })
            .collect();
        let elsewhere = self.modules().into_iter().filter(|module| module.body.is_none());
        declared.extend(elsewhere.map(|module| (parent_of(&module.range), false, module.name)));
        declared.sort();
        declared.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].2.clone()).collect()
    }

    /// The imports at the beginning of the text, in order; those deep inside functions are left out.
    pub fn imports(&self) -> Vec<Range<usize>> {
        let mut imports = Vec::new();
        // Deep enough for a header guard around a whole C file or a `try` around a Python import.
        let scope = Scope { range: Some(0..MAX_IMPORTS_BYTES), max_depth: Some(3) };
        self.for_each_match(QueryKind::Imports, scope, |matched| {
            imports.extend(matched.get(Capture::Import).map(|node| self.trimmed(node.byte_range())));
        });
        imports.dedup();
        imports
    }

    /// Names that the code in `range` uses, in the order of the text.
    pub fn references(&self, range: Range<usize>) -> Vec<Reference> {
        let mut references = Vec::new();
        let scope = Scope { range: Some(range.clone()), max_depth: None };
        self.for_each_match(QueryKind::References, scope, |matched| {
            for (capture, node) in matched.captures {
                let kind = match capture {
                    Capture::CallReference => ReferenceKind::Call,
                    Capture::TypeReference => ReferenceKind::Type,
                    _ => continue,
                };
                let name = node.byte_range();
                if range.start <= name.start && name.end <= range.end {
                    references.push(Reference { kind, name });
                }
            }
        });
        references.sort_by_key(|reference| reference.name.start);
        references.dedup_by_key(|reference| reference.name.start);
        references
    }

    /// Where `item` begins for a reader: with the comments, attributes and keywords (`export`) that belong to it.
    pub fn item_start(&self, item: &Item) -> usize {
        let path = self.path_to(&item.range);
        let row = self.row(item.range.start);
        let Some(mut node) = path.iter().skip(1).find(|node| self.row(node.start_byte()) == row).copied() else {
            return item.range.start;
        };
        let mut start = node.start_byte();
        while let Some(before) = node.prev_sibling() {
            let belongs = self.belongs_to_next(&before);
            let range = self.trimmed(before.byte_range());
            if !belongs
                || range.is_empty()
                || self.row(range.end) + 1 < self.row(start)
                || !self.opens_line(range.start)
            {
                break;
            }
            start = range.start;
            node = before;
        }
        start
    }

    /// Whether `node` is a comment or an attribute of what follows it.
    fn belongs_to_next(&self, node: &Node<'_>) -> bool {
        let attribute = self.language.grammar.and_then(|grammar| grammar.attribute);
        node.is_extra() || Some(node.kind()) == attribute
    }

    /// The item that the comment or attribute at `offset` belongs to.
    pub fn item_after_comment(&self, offset: usize) -> Option<Item> {
        let path = self.path_to(&(offset..offset));
        let mut node = *path.iter().find(|node| self.belongs_to_next(node))?;
        while self.belongs_to_next(&node) {
            node = node.next_sibling()?;
        }
        let items = self.items(node.start_byte()..node.start_byte() + 1);
        items.into_iter().find(|item| item.range.start >= node.start_byte() && self.item_start(item) <= offset)
    }

    /// Text of `range`, as a string of its own.
    pub fn slice(&self, range: Range<usize>) -> String {
        self.text.byte_slice(range).to_string()
    }

    /// `range` without white space at its end: some grammars count the line break.
    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let end = self.last_non_blank_before(range.end).map_or(range.start, |last| last + 1);
        range.start..end.max(range.start)
    }
}

fn item_from(matched: &Match<'_, '_>) -> Option<Item> {
    let name = matched.get(Capture::Name)?.byte_range();
    let (kind, node) = matched
        .captures
        .iter()
        .find_map(|(capture, node)| ItemKind::from_capture(*capture).map(|kind| (kind, *node)))?;
    let body = matched.get(Capture::Body);
    let signature_end = body.map_or(node.end_byte(), signature_end);
    Some(Item {
        kind,
        range: node.byte_range(),
        name,
        signature: node.start_byte()..signature_end.max(node.start_byte()),
        body: body.map(|body| body.byte_range()),
    })
}

/// End of what precedes a body, comments between the two left out.
fn signature_end(body: Node<'_>) -> usize {
    let mut before = body.prev_sibling();
    while let Some(node) = before {
        if !node.is_extra() {
            return node.end_byte();
        }
        before = node.prev_sibling();
    }
    body.start_byte()
}

/// A function directly inside a class, interface or impl is a method, whatever the grammar calls it.
fn mark_methods(items: &mut [Item]) {
    let mut open: Vec<(usize, ItemKind)> = Vec::new();
    for item in items {
        open.retain(|(end, _)| *end > item.range.start);
        let container = open.last().map(|(_, kind)| *kind);
        let has_methods = matches!(container, Some(ItemKind::Class | ItemKind::Interface | ItemKind::Impl));
        if item.kind == ItemKind::Function && has_methods {
            item.kind = ItemKind::Method;
        }
        open.push((item.range.end, item.kind));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Language;
    use crate::text::Rope;

    fn parse(language: &str, text: &str) -> Parsed {
        let language = Language::by_id(language).expect("a known language");
        Parsed::parse(language, &Rope::from_str(text)).expect("a small text parses")
    }

    /// The signatures of the items around `$0`, outermost first.
    fn check_enclosing(language: &str, fixture: &str, expected: &[&str]) {
        let offset = fixture.find("$0").expect("a fixture marks the cursor");
        let parsed = parse(language, &fixture.replacen("$0", "", 1));
        let items = parsed.enclosing_items(offset);
        let signatures: Vec<String> = items.iter().map(|item| parsed.slice(item.signature.clone())).collect();
        assert_eq!(signatures, expected, "{language}: {fixture}");
    }

    #[test]
    fn items_enclose_the_cursor_from_the_outside_in() {
        let rust = "mod m {\n    impl A for B {\n        fn f(&self) -> u32 {\n            $0\n        }\n    }\n}\n";
        check_enclosing("rust", rust, &["mod m", "impl A for B", "fn f(&self) -> u32"]);
        check_enclosing("rust", "fn f() {}$0\nfn g() {}\n", &[]);
        check_enclosing("go", "package a\nfunc (s *S) F() error {\n\t$0\n}\n", &["func (s *S) F() error"]);
        check_enclosing("java", "class A {\n  int f(int x) { $0 }\n}\n", &["class A", "int f(int x)"]);
        check_enclosing("typescript", "class A {\n  f = (x) => {$0};\n}\n", &["class A", "f = (x) =>"]);
        check_enclosing("c", "char *f(int x) { $0 }\n", &["char *f(int x)"]);
        check_enclosing("rust", "$0", &[]);
    }

    #[test]
    fn indented_blank_lines_belong_to_the_python_item_above() {
        let method = "class A:\n    def f(self, x):\n        y = 1\n        $0\n\n    def g(self):\n        pass\n";
        check_enclosing("python", method, &["class A:", "def f(self, x):"]);
        check_enclosing("python", "class A:\n    def f(self):\n        y = 1\n\n    $0\n", &["class A:"]);
        check_enclosing("python", "def f(x):\n    y = 1\n$0\n", &[]);
        check_enclosing("python", "def f(x):\n    y = x.$0\n", &["def f(x):"]);
    }

    #[test]
    fn functions_in_containers_are_methods() {
        let kinds = |language: &str, text: &str| {
            let parsed = parse(language, text);
            parsed.items(0..text.len()).iter().map(|item| item.kind).collect::<Vec<_>>()
        };
        use ItemKind::{Class, Function, Impl, Method, Module};
        assert_eq!(kinds("rust", "impl A { fn f() { fn g() {} } }\nfn h() {}"), [Impl, Method, Function, Function]);
        assert_eq!(kinds("rust", "mod a { fn f() {} }"), [Module, Function]);
        assert_eq!(kinds("python", "class A:\n  @property\n  def f(self): pass\n"), [Class, Method]);
        assert_eq!(kinds("javascript", "const f = () => {};"), [Function]);
    }

    #[test]
    fn an_item_starts_with_what_belongs_to_it() {
        let check = |language: &str, text: &str, expected: &str| {
            let parsed = parse(language, text);
            let item = parsed.items(0..text.len()).pop().expect("an item");
            assert_eq!(parsed.slice(parsed.item_start(&item)..item.range.end), expected);
        };
        check("rust", "use a;\n\n/// Doc.\n#[inline]\nfn f() {}", "/// Doc.\n#[inline]\nfn f() {}");
        check("rust", "// Far.\n\n// Near.\nfn f() {}", "// Near.\nfn f() {}");
        check("rust", "let x = 1; // not ours\nfn f() {}", "fn f() {}");
        check("typescript", "// Doc.\nexport class A {}", "// Doc.\nexport class A {}");
        check("python", "x = 1\n\n# Doc.\n@cached\ndef f(): pass", "# Doc.\n@cached\ndef f(): pass");
        check("go", "package a\n\n// F is.\nfunc F() {}", "// F is.\nfunc F() {}");
    }

    #[test]
    fn names_that_are_there_twice_are_found() {
        let check = |language: &str, text: &str, expected: &[&str]| {
            assert_eq!(parse(language, text).duplicate_names(), expected, "{text}");
        };
        check("rust", "mod tests;\nmod tests {\n    fn a() {}\n}\n", &["tests"]);
        check("rust", "mod a {\n    fn f() {}\n    fn f() {}\n}\nfn f() {}\n", &["f"]);
        check("rust", "impl A {}\nimpl A {}\nfn a() {}\nmod a {}\n", &[]);
        check("python", "def f(): pass\n\n\n@cached\ndef f(): pass\n\n\nclass A:\n    def f(self): pass\n", &["f"]);
        check("javascript", "it(() => { const f = () => 1; });\nit(() => { const f = () => 2; });\n", &[]);
        check("java", "class A {\n  void f() {}\n  void f(int a) {}\n}\n", &[]);
        check("cpp", "TEST(A, one) { }\nTEST(A, two) { }\n", &[]);
        check("cpp", "TEST(A, one) { }\nTEST(A, one) { }\n", &["TEST(A, one)"]);
        check("go", "package a\nfunc F() {}\nfunc F() {}\n", &["F"]);
    }

    #[test]
    fn imports_are_found_inside_guards() {
        let parsed = parse("c", "#ifndef A\n#define A\n#include <a.h>\n#include \"b.h\"\n#endif\n");
        let imports: Vec<String> = parsed.imports().into_iter().map(|range| parsed.slice(range)).collect();
        assert_eq!(imports, ["#include <a.h>", "#include \"b.h\""]);
    }
}
