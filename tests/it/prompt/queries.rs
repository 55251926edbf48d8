//! The query files: each compiles, and each captures what the carets in `tests/fixtures/queries/` say.
//!
//! A fixture `<language>/<query>.<ext>` is source code in which a comment line names the captures that begin on the
//! line above it: carets from the capture's start to its end (or to the end of its first line), or `<-` if the carets
//! would not fit to the right of the comment marker. Every capture of the query must be named. `UPDATE_EXPECT=1`
//! rewrites the carets; read the difference before you keep it.

use std::path::{Path, PathBuf};

use phi_ls::syntax::{Language, Parsed, QueryKind};
use phi_ls::text::Rope;

#[test]
fn every_query_compiles() {
    let mut errors = Vec::new();
    for language in Language::parsed() {
        for kind in QueryKind::ALL {
            errors.extend(language.check_query(kind).err());
        }
    }
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn captures_are_where_the_carets_point() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/queries");
    let mut failures = Vec::new();
    for language in Language::parsed().filter(|language| !language.id.ends_with("react")) {
        for kind in QueryKind::ALL {
            let path = root.join(language.id).join(format!("{}.{}", kind.name(), language.extensions[0]));
            failures.extend(check_fixture(&path, language, kind).err());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn check_fixture(path: &PathBuf, language: &'static Language, kind: QueryKind) -> Result<(), String> {
    let annotated = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let is_annotation = |line: &&str| {
        let rest = line.trim_start().strip_prefix(language.line_comment).map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with('^') || rest.starts_with("<-"))
    };
    let source: String = annotated.split_inclusive('\n').filter(|line| !is_annotation(line)).collect();
    let parsed = Parsed::parse(language, &Rope::from_str(&source)).ok_or("the fixture does not parse")?;
    let expected = annotate(&parsed, &source, kind);
    if expected == annotated {
        return Ok(());
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return std::fs::write(path, expected).map_err(|error| error.to_string());
    }
    Err(format!("{}: expected the carets of\n{annotated}but captured\n{expected}", path.display()))
}

/// `source` with a comment line for every capture, below the line it begins on.
fn annotate(parsed: &Parsed, source: &str, kind: QueryKind) -> String {
    let marker = parsed.language.line_comment;
    let captures = parsed.captures(kind);
    let mut annotated = String::new();
    let mut line_start = 0;
    for line in source.split_inclusive('\n') {
        annotated.push_str(line);
        let content_end = line_start + line.trim_end().len();
        for (capture, range) in
            captures.iter().filter(|(_, range)| (line_start..line_start + line.len()).contains(&range.start))
        {
            let column = range.start - line_start;
            let width = range.end.min(content_end).saturating_sub(range.start).max(1);
            let indent = line.len() - line.trim_start().len();
            if column > indent + marker.len() {
                let gap = column - indent - marker.len();
                annotated += &format!(
                    "{}{marker}{}{} {}\n",
                    " ".repeat(indent),
                    " ".repeat(gap),
                    "^".repeat(width),
                    capture.name()
                );
            } else {
                annotated += &format!("{}{marker} <-{} {}\n", " ".repeat(indent), "-".repeat(width), capture.name());
            }
        }
        line_start += line.len();
    }
    annotated
}

#[test]
fn broken_code_gets_answers_too() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/queries");
    let mut state = 0x2545_F491_u64;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit.max(1)
    };
    for language in Language::parsed() {
        let folder = root.join(language.id.trim_end_matches("react"));
        let file = format!(
            "blocks.{}",
            if language.id.starts_with("java") && language.id != "java" {
                "js"
            } else {
                language.extensions[0].trim_end_matches('x')
            }
        );
        let source = std::fs::read_to_string(folder.join(&file)).expect("every language has a fixture of its blocks");
        for _ in 0..60 {
            let mut text = source.clone();
            for piece in ["", "{", "\"", "漢", "\r\n", "(", "/*", ":\n"].iter().cycle().skip(below(8)).take(3) {
                let start = (0..=below(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                let end = (start..text.len()).find(|at| *at >= start + below(9) && text.is_char_boundary(*at));
                text.replace_range(start..end.unwrap_or(start), piece);
            }
            let parsed = Parsed::parse(language, &Rope::from_str(&text)).expect("a small text parses");
            for offset in (0..6).map(|_| below(text.len() + 3)) {
                assert_answers(&parsed, &text, offset);
            }
        }
    }
}

/// Checks that every query about `offset` has an answer. The offset may be outside the text or inside a character.
fn assert_answers(parsed: &Parsed, text: &str, offset: usize) {
    for item in parsed.enclosing_items(offset) {
        assert!(item.signature.end <= text.len() && parsed.item_start(&item) <= item.range.start, "{text}");
        parsed.slice(item.signature.clone());
    }
    parsed.block_begins_at(offset);
    if let Some((_, region)) = parsed.region_at(offset) {
        assert!(region.start <= offset.min(text.len()) && region.end <= text.len());
    }
    let inserted = offset.min(text.len())..(offset + 20).min(text.len());
    let cut = parsed.truncation_end(inserted.clone());
    assert!(inserted.start <= cut && cut <= inserted.end, "{cut} is not in {inserted:?} of {text}");
    if let Some(boundary) = parsed.boundary_in(inserted.clone()) {
        assert!(inserted.contains(&boundary));
    }
    assert!(parsed.imports().iter().all(|import| import.end <= text.len()));
    parsed.references(inserted.clone());
    parsed.item_after_comment(offset.min(text.len()));
    parsed.largest_node_lines(inserted, 200);
    parsed.error_count();
}

#[test]
fn endless_nesting_costs_little() {
    // Each of these took minutes when queries about a tree were limited only by its depth.
    let language = |id: &str| Language::by_id(id).expect("a known language");
    for (id, open, close) in [("javascript", "f(", ")"), ("python", "[", "]"), ("rust", "if x {", "}")] {
        for text in [format!("{}{}", open.repeat(20_000), close.repeat(20_000)), open.repeat(20_000)] {
            let Some(parsed) = Parsed::parse(language(id), &Rope::from_str(&text)) else { continue };
            assert_answers(&parsed, &text, text.len() / 2);
        }
    }
}
