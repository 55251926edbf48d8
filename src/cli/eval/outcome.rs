//! The completion at a hole, compared with the removed code.

use serde::{Deserialize, Serialize};

use super::hole::{Hole, Kind, words};
use super::project::Project;
use super::session::Answer;
use crate::cli::millis;
use crate::features::inline_completion::Signals;

/// How many lines before a hole a report shows.
const LINES_SHOWN: usize = 4;

/// One hole and what was shown there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) project: String,
    pub(super) file: String,
    /// Line and column count from 1; the column is in bytes.
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) language: String,
    pub(super) kind: Kind,
    /// For a cross-file hole: whether the file imports the name.
    pub(super) imported: Option<bool>,
    /// The end of the code before the hole.
    pub(super) before: String,
    pub(super) expected: String,
    /// Empty if nothing was shown.
    pub(super) written: String,
    pub(super) shown: bool,
    pub(super) exact: bool,
    /// From 0 to 1, by characters; 0 if nothing was shown.
    pub(super) similarity: f64,
    /// Whether the first identifier is the right one.
    pub(super) first_name: bool,
    /// Whether the file with the completion has no more syntax errors than the original.
    pub(super) parses: bool,
    /// `None` if the model was not asked, as the next fields.
    pub(super) prompt_tokens: Option<usize>,
    pub(super) cached_tokens: Option<usize>,
    pub(super) generated_tokens: Option<usize>,
    /// The signals for and against it, if the certainty is known.
    pub(super) signals: Option<Signals>,
    /// The time from the request to the answer.
    pub(super) latency_ms: f64,
}

impl Outcome {
    pub(super) fn new(project: &Project, hole: &Hole, answer: Answer) -> Self {
        let file = &project.files[hole.file];
        let before = &file.text[..hole.range.start];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let expected = comparable(&file.text[hole.range.clone()]);
        let shown = answer.shown.unwrap_or_default();
        // If the hole is within one line, the text after that line does not count.
        let of_hole = if hole.kind == Kind::Block { shown.as_str() } else { shown.lines().next().unwrap_or_default() };
        let written = comparable(of_hole);
        let parsed = &file.parsed;
        let parses = parsed
            .with_replacement(hole.range.clone(), &shown)
            .is_some_and(|filled| !shown.is_empty() && !filled.has_new_errors(parsed));
        let is_within_word = hole.kind == Kind::MidIdentifier;
        let exact = written == expected;
        let first_name = match first_name(&expected, is_within_word) {
            Some(name) => first_name_is(&written, name, is_within_word),
            None => exact,
        };
        let generation = answer.generation.as_ref();
        Self {
            project: project.name.clone(),
            file: file.shown.clone(),
            line: before.matches('\n').count() + 1,
            column: before.len() - line_start + 1,
            language: file.language.id.to_owned(),
            kind: hole.kind,
            imported: hole.imported,
            before: last_lines(before, LINES_SHOWN).to_owned(),
            shown: !shown.is_empty(),
            exact,
            similarity: f64::from(similar::TextDiff::from_chars(written.as_str(), expected.as_str()).ratio()),
            first_name,
            parses,
            expected,
            written,
            prompt_tokens: generation.map(|generation| generation.prompt_tokens),
            cached_tokens: generation.map(|generation| generation.cached_tokens),
            generated_tokens: generation.map(|generation| generation.generated_tokens),
            signals: answer.signals,
            latency_ms: millis(answer.took),
        }
    }

    /// Whether `other` is about the same hole.
    pub(super) fn is_same_hole(&self, other: &Self) -> bool {
        let place = |outcome: &Self| (outcome.kind, outcome.line, outcome.column);
        self.project == other.project && self.file == other.file && place(self) == place(other)
    }
}

/// `text` without white space at the ends of its lines.
fn comparable(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// The first identifier of `text`, or the rest of the word that `text` begins in.
fn first_name(text: &str, is_within_word: bool) -> Option<&str> {
    match is_within_word {
        true => text.split(|character: char| !character.is_alphanumeric() && character != '_').next(),
        false => words(text).next().map(|(_, word)| word),
    }
}

fn first_name_is(text: &str, name: &str, is_within_word: bool) -> bool {
    first_name(text, is_within_word) == Some(name)
}

fn last_lines(text: &str, lines: usize) -> &str {
    let start = text.rmatch_indices('\n').nth(lines - 1).map_or(0, |(at, _)| at + 1);
    &text[start..]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TEXT: &str = "def area(width, height):\n    total = width * height\n    return total\n";

    /// The outcome of a hole of `kind` that removes `removed` when `written` is shown.
    fn outcome(kind: Kind, removed: &str, written: Option<&str>) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.py"), TEXT).unwrap();
        let project = Project::read("test", folder.path(), None).unwrap();
        let start = TEXT.find(removed).unwrap();
        let hole = Hole { kind, file: 0, range: start..start + removed.len(), imported: None };
        let answer =
            Answer { shown: written.map(str::to_owned), took: Duration::ZERO, generation: None, signals: None };
        Outcome::new(&project, &hole, answer)
    }

    #[test]
    fn the_first_line_counts_and_spaces_at_its_end_do_not() {
        let check = |written: &str, exact: bool, first_name: bool, parses: bool| {
            let outcome = outcome(Kind::Rest, "width * height", Some(written));
            let found = (outcome.shown, outcome.exact, outcome.first_name, outcome.parses);
            assert_eq!(found, (true, exact, first_name, parses), "{written:?}");
        };
        check("width * height", true, true, true);
        check("width * height  \n    more = 1", true, true, true);
        check("width + height", false, true, true);
        check("1 + width", false, true, true);
        check("height", false, false, true);
        check("width * (", false, true, false);
    }

    #[test]
    fn what_is_not_shown_is_wrong() {
        let outcome = outcome(Kind::WholeLine, "return total", None);
        let found = (outcome.shown, outcome.exact, outcome.first_name, outcome.parses);
        assert_eq!(found, (false, false, false, false));
        assert!(outcome.similarity < 1e-9, "{}", outcome.similarity);
        assert_eq!((outcome.line, outcome.column), (3, 5));
        assert_eq!(outcome.before, TEXT.strip_suffix("return total\n").unwrap());
    }

    #[test]
    fn within_a_word_the_rest_of_it_is_the_name() {
        let first_name = |written: &str| outcome(Kind::MidIdentifier, "dth * height", Some(written)).first_name;
        assert!(first_name("dth + 1"));
        assert!(!first_name("dth_of"));
        assert!(!first_name(" = dth"));
    }

    #[test]
    fn a_block_is_compared_as_a_whole() {
        let exact =
            |written: &str| outcome(Kind::Block, "total = width * height\n    return total", Some(written)).exact;
        assert!(exact("total = width * height\n    return total\n"));
        assert!(!exact("total = width * height"));
    }
}
