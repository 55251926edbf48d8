//! The query files: each compiles, and each captures what the carets in `tests/fixtures/queries/` say.
//!
//! A fixture `<language>/<query>.<ext>` is source in which a comment line names what begins on the line above it:
//! carets from the capture's start to its end (or to the end of its first line), or `<-` where the carets would not fit
//! right of the comment marker. Every capture of the query must be named. `UPDATE_EXPECT=1` rewrites the carets; read
//! the difference before you keep it.

use std::path::{Path, PathBuf};

use phi_ls::syntax::{LANGUAGES, Language, Parsed, QueryKind};
use phi_ls::text::Rope;

#[test]
fn every_query_compiles() {
    let mut errors = Vec::new();
    for language in &LANGUAGES {
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
    for language in LANGUAGES.iter().filter(|language| !language.id.ends_with("react")) {
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
