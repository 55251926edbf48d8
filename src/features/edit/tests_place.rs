//! Where written tests go: each language has its habit.

use std::path::{Path, PathBuf};

use crate::context::Snapshot;
use crate::features::indentation::IndentStyle;
use crate::syntax::{Item, ItemKind, Parsed};
use crate::text::{Edit, Rope};

use super::{Change, Rejection};

/// The change that adds the tests in `code`.
pub(super) fn place_tests(snapshot: &Snapshot, code: &str, style: IndentStyle) -> Result<Change, Rejection> {
    if let Some(language) = snapshot.language {
        let parsed = Parsed::parse(language, &Rope::from_str(code));
        if parsed.is_some_and(|parsed| parsed.error_count() > 0) {
            return Err(Rejection::DoesNotParse);
        }
    }
    if snapshot.language_id == "rust" {
        return Ok(Change::Edits(vec![into_rust_module(snapshot, code, style)]));
    }
    let path = snapshot.path.as_deref().unwrap_or(Path::new("untitled"));
    Ok(Change::NewFile { path: test_file(path, &snapshot.language_id), text: format!("{}\n", code.trim_end()) })
}

/// The edit that puts `code` into the document's `tests` module, or adds one.
fn into_rust_module(snapshot: &Snapshot, code: &str, style: IndentStyle) -> Edit {
    let tests = module_body(code).unwrap_or_else(|| code.to_owned());
    let level = match style {
        IndentStyle::Tabs => "\t".to_owned(),
        IndentStyle::Spaces(_) | IndentStyle::Unknown => " ".repeat(style.level_columns()),
    };
    let existing = snapshot.parsed.as_ref().and_then(tests_module);
    // What an existing module has already would be there twice.
    let is_new = |line: &&str| existing.is_none() || !matches!(line.trim(), "use super::*;" | "#[cfg(test)]");
    let lines =
        tests.lines().filter(is_new).map(|line| if line.is_empty() { String::new() } else { format!("{level}{line}") });
    let indented = lines.collect::<Vec<_>>().join("\n");
    let indented = indented.trim_matches('\n');
    match existing {
        Some(end) => Edit { range: end..end, new_text: format!("\n{indented}\n") },
        None => {
            let end = snapshot.text.len_bytes();
            let gap = if end == 0 || snapshot.text.byte(end - 1) == b'\n' { "\n" } else { "\n\n" };
            let import =
                if tests.contains("use super::") { String::new() } else { format!("{level}use super::*;\n\n") };
            Edit { range: end..end, new_text: format!("{gap}#[cfg(test)]\nmod tests {{\n{import}{indented}\n}}\n") }
        }
    }
}

/// Where the lines of the document's `tests` module end: at the start of the line with its closing brace.
fn tests_module(parsed: &Parsed) -> Option<usize> {
    let is_tests = |item: &Item| item.kind == ItemKind::Module && parsed.slice(item.name.clone()) == "tests";
    let body = parsed.top_level_items().into_iter().find(is_tests)?.body?;
    let line = parsed.text().byte_to_line(body.end - 1);
    Some(parsed.text().line_to_byte(line))
}

/// The inside of the `mod tests { .. }` that `code` is, moved to the left margin.
fn module_body(code: &str) -> Option<String> {
    let (_, inside) = code.split_once("mod tests {")?;
    let inside = &inside[..inside.rfind('}')?];
    let lines: Vec<_> = inside.lines().collect();
    let visible = lines.iter().filter(|line| !line.trim().is_empty());
    let indent = visible.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let moved: Vec<_> = lines.iter().map(|line| line.get(indent..).unwrap_or("").trim_end()).collect();
    Some(moved.join("\n").trim_matches('\n').to_owned())
}

/// The file in which tests of `path` are looked for.
fn test_file(path: &Path, language_id: &str) -> PathBuf {
    let stem = path.file_stem().map_or_else(|| "untitled".into(), |stem| stem.to_string_lossy());
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
    let name = match language_id {
        "go" => format!("{stem}_test{extension}"),
        "java" => format!("{stem}Test{extension}"),
        "javascript" | "javascriptreact" | "typescript" | "typescriptreact" => format!("{stem}.test{extension}"),
        _ => format!("test_{stem}{extension}"),
    };
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::features::fixture::at_cursor;
    use crate::text::apply_edit;

    fn check_rust(marked: &str, code: &str, expect: Expect) {
        let (snapshot, _) = at_cursor("rust", marked);
        let Ok(Change::Edits(edits)) = place_tests(&snapshot, code, IndentStyle::Spaces(4)) else { panic!("no edits") };
        let mut text = snapshot.text.clone();
        edits.iter().for_each(|edit| apply_edit(&mut text, edit));
        expect.assert_eq(&text.to_string());
    }

    const TEST: &str = "#[test]\nfn g_is_one() {\n    assert_eq!(g(), 1);\n}";

    #[test]
    fn rust_tests_go_into_the_module_at_the_end() {
        check_rust(
            "fn g() -> i32 { 1 }$0\n",
            TEST,
            expect![[r#"
            fn g() -> i32 { 1 }

            #[cfg(test)]
            mod tests {
                use super::*;

                #[test]
                fn g_is_one() {
                    assert_eq!(g(), 1);
                }
            }
        "#]],
        );
        check_rust(
            "fn g() -> i32 { 1 }$0",
            &format!("#[cfg(test)]\nmod tests {{\n    use super::*;\n\n    {}\n}}", TEST.replace('\n', "\n    ")),
            expect![[r#"
            fn g() -> i32 { 1 }

            #[cfg(test)]
            mod tests {
                use super::*;

                #[test]
                fn g_is_one() {
                    assert_eq!(g(), 1);
                }
            }
        "#]],
        );
    }

    #[test]
    fn rust_tests_join_the_module_that_exists() {
        let document = "fn g() {}$0\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n    fn a() {}\n}\n";
        check_rust(
            document,
            TEST,
            expect![[r#"
            fn g() {}

            #[cfg(test)]
            mod tests {
                use super::*;

                #[test]
                fn a() {}

                #[test]
                fn g_is_one() {
                    assert_eq!(g(), 1);
                }
            }
        "#]],
        );
        check_rust(
            document,
            &format!("use super::*;\n\n{TEST}"),
            expect![[r#"
            fn g() {}

            #[cfg(test)]
            mod tests {
                use super::*;

                #[test]
                fn a() {}

                #[test]
                fn g_is_one() {
                    assert_eq!(g(), 1);
                }
            }
        "#]],
        );
    }

    #[test]
    fn other_languages_have_test_files() {
        let file = |path: &str, language_id: &str| {
            test_file(Path::new(path), language_id).to_string_lossy().replace('\\', "/")
        };
        assert_eq!(file("src/a.py", "python"), "src/test_a.py");
        assert_eq!(file("src/a.ts", "typescript"), "src/a.test.ts");
        assert_eq!(file("a.go", "go"), "a_test.go");
        assert_eq!(file("A.java", "java"), "ATest.java");
        assert_eq!(file("a", "plaintext"), "test_a");
    }

    #[test]
    fn tests_that_do_not_parse_are_refused() {
        let (snapshot, _) = at_cursor("python", "def f():$0\n    pass\n");
        let placed = place_tests(&snapshot, "def test_f(:\n    assert f()", IndentStyle::Unknown);
        assert_eq!(placed, Err(Rejection::DoesNotParse));
    }
}
