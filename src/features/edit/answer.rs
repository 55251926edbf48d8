//! Finds the code in an answer that may also contain prose.

use crate::syntax::Language;

/// Why an answer contains no usable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoCode {
    /// Only prose, or nothing at all.
    Prose,
    /// It ends before the code does.
    CutOff,
}

/// One fenced block of an answer.
struct Block<'t> {
    language: &'t str,
    code: &'t str,
    closed: bool,
}

/// The code in `answer`: its largest block in `language`, else its largest block. `opened` is the fence that the prompt has
/// opened, if not empty; the answer goes on after it. `ended` says that the model ended by itself, which closes a block it
/// left open.
pub(super) fn code_block<'t>(answer: &'t str, language: &str, opened: &'t str, ended: bool) -> Result<&'t str, NoCode> {
    let blocks = blocks(answer, opened);
    let in_language = |block: &&Block<'_>| block.language.is_empty() || block.language.eq_ignore_ascii_case(language);
    let largest = blocks.iter().filter(in_language).max_by_key(|block| block.code.len());
    let Some(block) = largest.or_else(|| blocks.iter().max_by_key(|block| block.code.len())) else {
        return Err(if ended { NoCode::Prose } else { NoCode::CutOff });
    };
    if block.code.trim().is_empty() {
        return Err(NoCode::Prose);
    }
    if !block.closed && !ended {
        return Err(NoCode::CutOff);
    }
    Ok(block.code)
}

/// The fenced blocks of `answer`, in order.
fn blocks<'t>(answer: &'t str, opened: &'t str) -> Vec<Block<'t>> {
    let mut blocks = Vec::new();
    // Where the open block's code begins, its language and its fence.
    let mut open = (!opened.is_empty()).then_some((0, "", opened));
    let mut offset = 0;
    for line in answer.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let fence = fence(line);
        open = match (open, fence) {
            (None, Some((fence, language))) => Some((offset, language, fence)),
            (Some((begin, language, opener)), Some((fence, ""))) if fence.len() >= opener.len() => {
                blocks.push(Block { language, code: trim_line_break(&answer[begin..start]), closed: true });
                None
            }
            (open, _) => open,
        };
    }
    if let Some((begin, language, _)) = open {
        blocks.push(Block { language, code: trim_line_break(&answer[begin..]), closed: false });
    }
    blocks
}

/// The fence a line is, and the language after it.
fn fence(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let rest = line.trim_start_matches('`');
    let fence = &line[..line.len() - rest.len()];
    (fence.len() >= 3 && !rest.contains('`')).then(|| (fence, rest.trim()))
}

fn trim_line_break(code: &str) -> &str {
    code.trim_end().trim_start_matches(['\n', '\r'])
}

/// The first line of `code` that says code was left out instead of writing it, counted from 1; lines that `original` has are
/// not meant.
pub(super) fn elided_line(code: &str, original: &str, language: &Language) -> Option<usize> {
    const WORDS: [&str; 8] = [
        "rest of",
        "existing code",
        "remaining code",
        "same as before",
        "unchanged",
        "previous code",
        "other methods",
        "your code",
    ];
    let is_elision = |line: &str| {
        let line = line.trim();
        // Models sometimes write `//` whatever the language is.
        let comment = language.comments().chain(["//"]).find_map(|marker| line.strip_prefix(marker));
        let Some(comment) = comment else { return line == "..." && !language.dots_are_code };
        let comment = comment.trim().trim_end_matches('}').trim_end_matches("*/").trim_end_matches("-->");
        let comment = comment.trim().to_lowercase();
        let dots = comment.starts_with("...") || comment.ends_with("...") || comment.contains('…');
        comment == "..." || (dots && WORDS.iter().any(|word| comment.contains(word)))
    };
    code.lines().position(|line| is_elision(line) && !original.contains(line.trim())).map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(id: &str) -> &'static Language {
        Language::by_id(id).expect("a known language")
    }

    #[test]
    fn the_code_is_found_among_words() {
        let check = |answer: &str, is_opened: bool, expected: Result<&str, NoCode>| {
            assert_eq!(code_block(answer, "rust", if is_opened { "```" } else { "" }, true), expected, "{answer:?}");
        };
        check("Sure:\n```rust\nfn f() {}\n```\nIt works.", false, Ok("fn f() {}"));
        check("```\nfn f() {}\n```", false, Ok("fn f() {}"));
        check("```sh\ncargo add a long line\n```\n```rust\nfn f() {}\n```", false, Ok("fn f() {}"));
        check("```Rust\n    fn f() {\n    }\n```", false, Ok("    fn f() {\n    }"));
        check("fn f() {}\n```\nIt works.", true, Ok("fn f() {}"));
        check("fn f() {}", true, Ok("fn f() {}"));
        check("````\n```\na\n```\n````", false, Ok("```\na\n```"));
        check("    ```rust\n    a\n    ```", false, Ok("    a"));
        check("There is nothing to fix.", false, Err(NoCode::Prose));
        check("```rust\n```", false, Err(NoCode::Prose));
        check("", true, Err(NoCode::Prose));
    }

    #[test]
    fn code_that_breaks_off_is_not_used() {
        assert_eq!(code_block("```rust\nfn f() {", "rust", "", false), Err(NoCode::CutOff));
        assert_eq!(code_block("Let me think", "rust", "", false), Err(NoCode::CutOff));
        assert_eq!(code_block("```rust\nfn f() {}\n```\nThis is", "rust", "", false), Ok("fn f() {}"));
        assert_eq!(code_block("```rust\nfn f() {}", "rust", "", true), Ok("fn f() {}"));
    }

    #[test]
    fn left_out_code_is_noticed() {
        let check = |code: &str, original: &str| elided_line(code, original, language("rust"));
        assert_eq!(check("a();\n// ... existing code ...\nb();", ""), Some(2));
        assert_eq!(check("a();\n    /* ... rest of the function ... */", ""), Some(2));
        assert_eq!(check("// ...", ""), Some(1));
        assert_eq!(check("// ...", "a();\n// ...\n"), None);
        assert_eq!(check("// the rest of the list is sorted", ""), None);
        assert_eq!(check("let a = b[..];", ""), None);
        assert_eq!(elided_line("def f():\n    ...", "", language("python")), None);
        assert_eq!(elided_line("def f():\n    # ... rest of the code", "", language("python")), Some(2));
    }
}
