//! Rust modules, including those in separate files: where their tests are, and what must not be declared twice.

use std::ops::Range;

use tree_sitter::Node;

use super::Parsed;

/// A `mod` of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    pub name: String,
    pub range: Range<usize>,
    /// With its braces; `None` for one that is a file of its own.
    pub body: Option<Range<usize>>,
    /// What a `#[path]` attribute says.
    pub path: Option<String>,
    /// It is compiled for tests only.
    pub is_cfg_test: bool,
    /// The module it is declared in, as an index into the same list.
    pub parent: Option<usize>,
}

impl Parsed {
    /// Every module of the text in its order, parents before what they hold. Empty for other languages than Rust.
    pub fn modules(&self) -> Vec<Module> {
        let mut modules = Vec::new();
        self.modules_in(self.whole_tree().root_node(), None, &mut modules);
        modules
    }

    fn modules_in(&self, scope: Node<'_>, parent: Option<usize>, modules: &mut Vec<Module>) {
        let mut attributes = Vec::new();
        let mut cursor = scope.walk();
        for node in scope.named_children(&mut cursor) {
            match node.kind() {
                "attribute_item" => attributes.push(self.slice(node.byte_range())),
                "mod_item" => {
                    let body = node.child_by_field_name("body");
                    let name = node.child_by_field_name("name");
                    modules.push(Module {
                        name: name.map_or_else(String::new, |name| self.slice(name.byte_range())),
                        range: node.byte_range(),
                        body: body.map(|body| body.byte_range()),
                        path: attributes.iter().find_map(|attribute| path_attribute(attribute)),
                        is_cfg_test: attributes.iter().any(|attribute| is_cfg_test(attribute)),
                        parent,
                    });
                    attributes.clear();
                    if let Some(body) = body {
                        self.modules_in(body, Some(modules.len() - 1), modules);
                    }
                }
                _ if node.is_extra() => {}
                _ => attributes.clear(),
            }
        }
    }
}

/// The path in `#[path = "a.rs"]`.
fn path_attribute(attribute: &str) -> Option<String> {
    let inside = attribute.strip_prefix("#[")?.trim_start();
    let value = inside.strip_prefix("path")?.trim_start().strip_prefix('=')?;
    value.split('"').nth(1).map(str::to_owned)
}

fn is_cfg_test(attribute: &str) -> bool {
    attribute.strip_prefix("#[cfg(").is_some_and(|condition| {
        condition.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "test")
            && !condition.contains("not(")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Language;
    use crate::text::Rope;

    #[test]
    fn modules_are_found_with_and_without_a_body() {
        let text = "mod a;\n#[cfg(test)]\n// why\n#[path = \"a_tests.rs\"]\nmod tests;\nmod b {\n    #[cfg(all(test, unix))]\n    \
                    mod test {}\n}\n#[cfg(not(test))]\nmod c;\n";
        let language = Language::by_id("rust").expect("rust is in the table");
        let parsed = Parsed::parse(language, &Rope::from_str(text)).expect("a small text parses");
        let shown: Vec<_> = parsed
            .modules()
            .into_iter()
            .map(|module| (module.name, module.body.is_some(), module.path, module.is_cfg_test, module.parent))
            .collect();
        let named = |name: &str, has_body, path: Option<&str>, is_cfg_test, parent| {
            (name.to_owned(), has_body, path.map(str::to_owned), is_cfg_test, parent)
        };
        let expected = [
            named("a", false, None, false, None),
            named("tests", false, Some("a_tests.rs"), true, None),
            named("b", true, None, false, None),
            named("test", true, None, true, Some(2)),
            named("c", false, None, false, None),
        ];
        assert_eq!(shown, expected);
    }
}
