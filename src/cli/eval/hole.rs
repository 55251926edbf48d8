//! Holes: places in the files of a project where code is removed, to see what is written there instead.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::project::{Project, SourceFile};
use super::random::{Random, by_turns};
use crate::syntax::Region;

/// Lines whose length without indentation is outside these bounds are skipped.
const SHORTEST_LINE: usize = 12;
const LONGEST_LINE: usize = 160;
/// The least that a hole within a line leaves of it and removes.
const SHORTEST_PREFIX: usize = 3;
const SHORTEST_HOLE: usize = 4;
/// The least length of identifiers that are split, and of the part on each side.
const SHORTEST_IDENTIFIER: usize = 5;
const SHORTEST_PART: usize = 2;
/// Shorter names occur in too many files by chance.
const SHORTEST_NAME: usize = 4;
/// If more files define a name, it is unclear which one is meant.
const MOST_DEFINING_FILES: usize = 3;
/// The number of lines of a body that is removed.
const BLOCK_LINES: std::ops::RangeInclusive<usize> = 2..=8;
/// The most holes of one file and kind, so that no file dominates the measurement.
const MOST_PER_FILE: usize = 4;

/// What a hole removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// The rest of a line, from the start of a word or sign
    Rest,
    /// A line, except for its indentation
    WholeLine,
    /// The rest of a line, from inside an identifier
    MidIdentifier,
    /// The rest of a line, from a name that another file defines and this one uses nowhere else except in imports
    CrossFile,
    /// The body of a function
    Block,
}

impl Kind {
    /// Whether it needs no knowledge of other files and is one line long.
    pub(super) fn is_ordinary(self) -> bool {
        matches!(self, Self::Rest | Self::WholeLine | Self::MidIdentifier)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rest => "rest",
            Self::WholeLine => "whole-line",
            Self::MidIdentifier => "mid-identifier",
            Self::CrossFile => "cross-file",
            Self::Block => "block",
        })
    }
}

/// Code that is removed from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) kind: Kind,
    /// The index of the file in the project.
    pub(super) file: usize,
    pub(super) range: Range<usize>,
    /// For [`Kind::CrossFile`]: whether the file imports the name.
    pub(super) imported: Option<bool>,
}

/// All holes of `kind` in `project`. The same seed gives the same holes.
pub(super) fn holes(project: &Project, kind: Kind, seed: u64) -> Vec<Hole> {
    let mut random = Random::named(seed, &format!("{}: {kind}", project.name));
    let is_wanted = |index: &usize| project.has_holes_in(project.files[*index].language);
    let mut files: Vec<usize> = (0..project.files.len()).filter(is_wanted).collect();
    random.shuffle(&mut files);
    by_turns(files.into_iter().map(|file| holes_in(project, file, kind, &mut random)).collect())
}

/// Some holes of `kind` in one file, in no order.
fn holes_in(project: &Project, index: usize, kind: Kind, random: &mut Random) -> Vec<Hole> {
    let file = &project.files[index];
    let hole = |range: Range<usize>| Hole { kind, file: index, range, imported: None };
    let mut places: Vec<Hole> = match kind {
        Kind::CrossFile => cross_file(project, index),
        Kind::Block => blocks(file).into_iter().map(hole).collect(),
        Kind::Rest | Kind::WholeLine | Kind::MidIdentifier => lines(file).into_iter().map(hole).collect(),
    };
    random.shuffle(&mut places);
    let imports = file.parsed.imports();
    let cut = |mut place: Hole| {
        if kind.is_ordinary() {
            let line = place.range.clone();
            let is_import = imports.iter().any(|import| import.start < line.end && line.start < import.end);
            if is_import || is_prose(file, line.start) {
                return None;
            }
            place.range = cut_in_line(file, kind, line, random)?;
        }
        Some(place)
    };
    places.into_iter().filter_map(cut).take(MOST_PER_FILE).collect()
}

/// Whether a comment begins at `start`, or a string that began before continues there.
fn is_prose(file: &SourceFile, start: usize) -> bool {
    let begun = file.parsed.region_at(start + 1).map(|(region, _)| region);
    begun == Some(Region::Comment) || file.parsed.region_at(start).is_some()
}

/// The lines that are long enough for a hole, without their indentation.
fn lines(file: &SourceFile) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut found = Vec::new();
    for line in file.text.split_inclusive('\n') {
        let code = line.trim();
        let begin = start + (line.len() - line.trim_start().len());
        if (SHORTEST_LINE..=LONGEST_LINE).contains(&code.len()) && code.contains(char::is_alphabetic) {
            found.push(begin..begin + code.len());
        }
        start += line.len();
    }
    found
}

/// The part of `line` that a hole of `kind` removes; `None` if there is none.
fn cut_in_line(file: &SourceFile, kind: Kind, line: Range<usize>, random: &mut Random) -> Option<Range<usize>> {
    let text = &file.text[line.clone()];
    let starts = match kind {
        Kind::WholeLine => {
            // There are no completions above the first line of code.
            return (!file.text[..line.start].trim().is_empty()).then_some(line);
        }
        Kind::MidIdentifier => splits(text),
        _ => boundaries(text),
    };
    let start = line.start + *starts.get(random.below(starts.len()))?;
    let region = file.parsed.region_at(start).map(|(region, _)| region);
    let is_code = region.is_none() || (kind == Kind::Rest && region == Some(Region::String));
    is_code.then_some(start..line.end)
}

/// The offsets in `line` at which a word or a sign begins, with enough text on both sides.
fn boundaries(line: &str) -> Vec<usize> {
    let mut before = ' ';
    let mut found = Vec::new();
    for (at, character) in line.char_indices() {
        let goes_on = is_word(character) && is_word(before);
        let begins = !character.is_whitespace() && !goes_on;
        // Nothing is expected on the line after the end of a statement.
        let ends = line[..at].trim_end().ends_with([';', '}']);
        if at >= SHORTEST_PREFIX && line.len() - at >= SHORTEST_HOLE && begins && !ends {
            found.push(at);
        }
        before = character;
    }
    found
}

/// The offsets at which identifiers in `line` can be cut in two.
fn splits(line: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for (at, word) in words(line).filter(|(_, word)| word.is_ascii() && word.len() >= SHORTEST_IDENTIFIER) {
        let ends = at + SHORTEST_PART..=at + word.len() - SHORTEST_PART;
        found.extend(ends.filter(|end| line.len() - end >= SHORTEST_HOLE));
    }
    found
}

/// The uses of names that another file defines, and that this file contains nowhere else except in imports.
fn cross_file(project: &Project, index: usize) -> Vec<Hole> {
    let file = &project.files[index];
    let imports = file.parsed.imports();
    let mut occurrences: BTreeMap<&str, usize> = BTreeMap::new();
    let mut imported = BTreeSet::new();
    for (at, word) in words(&file.text) {
        match imports.iter().any(|import| import.contains(&at)) {
            true => drop(imported.insert(word)),
            false => *occurrences.entry(word).or_default() += 1,
        }
    }
    let mut found = Vec::new();
    for reference in file.parsed.references(0..file.text.len()) {
        let start = reference.name.start;
        let name = &file.text[reference.name];
        let defining = project.defining(name, file.language);
        let is_elsewhere = (1..=MOST_DEFINING_FILES).contains(&defining.len()) && !defining.contains(&index);
        let is_there_once = occurrences.get(name) == Some(&1) && !imports.iter().any(|import| import.contains(&start));
        let end = start + file.text[start..].lines().next().unwrap_or_default().trim_end().len();
        let is_long_enough = name.len() >= SHORTEST_NAME && (SHORTEST_HOLE..=LONGEST_LINE).contains(&(end - start));
        if is_elsewhere && is_there_once && is_long_enough && file.parsed.region_at(start).is_none() {
            let imported = Some(imported.contains(name));
            found.push(Hole { kind: Kind::CrossFile, file: index, range: start..end, imported });
        }
    }
    found
}

/// Bodies of functions, from the first line's code to the last line's end.
fn blocks(file: &SourceFile) -> Vec<Range<usize>> {
    let text = &file.text;
    let items = file.parsed.items(0..text.len());
    let bodies = items.into_iter().filter(|item| item.kind.is_callable()).filter_map(|item| item.body);
    let inside = |body: Range<usize>| {
        let is_braced = text[body.clone()].starts_with('{');
        let start = match is_braced {
            true => body.start + text[body.clone()].find('\n')? + 1,
            false => text[..body.start].rfind('\n')? + 1,
        };
        let end = if is_braced { body.end.checked_sub(1)? } else { body.end };
        let lines = text.get(start..end)?;
        let code = start + (lines.len() - lines.trim_start().len())..start + lines.trim_end().len();
        // A body on the line of its signature is not a block, and comments are not measured.
        let opens_line = text[..code.start].rsplit('\n').next().is_some_and(|indent| indent.trim().is_empty());
        let fits = code.start < code.end && BLOCK_LINES.contains(&text[code.clone()].lines().count());
        (opens_line && fits && file.parsed.region_at(code.start + 1).is_none()).then_some(code)
    };
    bodies.filter_map(inside).collect()
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The identifiers of `text` and their offsets.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text[from..].find(is_word)?;
        let len = text[start..].find(|character| !is_word(character)).unwrap_or(text.len() - start);
        from = start + len;
        Some((start, &text[start..from]))
    })
    .filter(|(_, word)| !word.starts_with(|first: char| first.is_numeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The holes of one kind in a project of these files: for each, its file and the removed code.
    fn taken(files: &[(&str, &str)], kind: Kind) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
        let project = Project::read("test", folder.path(), None).unwrap();
        let found = holes(&project, kind, 1);
        assert_eq!(found, holes(&project, kind, 1), "the same seed cuts the same holes");
        let shown = |hole: &Hole| {
            let file = &project.files[hole.file];
            (file.shown.clone(), file.text[hole.range.clone()].to_owned())
        };
        found.iter().map(shown).collect()
    }

    const MODEL: &str = "class Account:\n    def deposit_money(self, amount):\n        self.total = self.total + amount\n        \
         return self.total\n";
    const USE: &str = "from model import Account\n\n\ndef open_account(amount):\n    account = Account(amount)\n    \
         account.deposit_money(amount)\n    return account\n";

    #[test]
    fn names_of_other_files_are_cut_where_they_stand_once() {
        let mut found = taken(&[("model.py", MODEL), ("use.py", USE)], Kind::CrossFile);
        found.sort();
        let expected = [("use.py", "Account(amount)"), ("use.py", "deposit_money(amount)")];
        assert_eq!(found, expected.map(|(file, text)| (file.to_owned(), text.to_owned())));
        // A name that is used twice can be found in the file itself.
        let twice = USE.replace("return account", "return Account(account)");
        let found = taken(&[("model.py", MODEL), ("use.py", &twice)], Kind::CrossFile);
        assert_eq!(found, [("use.py".to_owned(), "deposit_money(amount)".to_owned())]);
        // A name that the file itself defines does not need another file.
        let own = format!("{USE}\n\ndef deposit_money(amount):\n    return amount\n");
        let found = taken(&[("model.py", MODEL), ("use.py", &own)], Kind::CrossFile);
        assert_eq!(found, [("use.py".to_owned(), "Account(amount)".to_owned())]);
    }

    #[test]
    fn a_block_is_the_body_of_a_function() {
        let rust = "fn total(a: u32) -> u32 {\n    let b = a + 1;\n    b * 2\n}\n\nfn one() -> u32 { 1 }\n";
        let found = taken(&[("model.py", MODEL), ("a.rs", rust)], Kind::Block);
        assert!(found.contains(&("a.rs".to_owned(), "let b = a + 1;\n    b * 2".to_owned())), "{found:?}");
        let body = "self.total = self.total + amount\n        return self.total";
        assert!(found.contains(&("model.py".to_owned(), body.to_owned())), "{found:?}");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn holes_in_lines_leave_what_their_kind_says() {
        let text = "import os_path_long\n\n# a comment, which is no code\nvalue = first_name(second_name)\n";
        let line = "value = first_name(second_name)";
        assert_eq!(taken(&[("a.py", text)], Kind::WholeLine), [("a.py".to_owned(), line.to_owned())]);
        assert_eq!(taken(&[("a.py", line)], Kind::WholeLine), [], "nothing stands above it");
        for (kind, begins) in [(Kind::Rest, false), (Kind::MidIdentifier, true)] {
            let found = taken(&[("a.py", text)], kind);
            let [(_, removed)] = found.as_slice() else { panic!("{found:?}") };
            let before = line.strip_suffix(removed.as_str()).expect("the rest of the line");
            let splits_a_word = before.ends_with(is_word) && removed.starts_with(is_word);
            assert_eq!(splits_a_word, begins, "{kind}: {before:?} {removed:?}");
        }
    }

    #[test]
    fn identifiers_are_words_that_no_digit_begins() {
        let found: Vec<_> = words("let a1 = 2b + _é;").collect();
        assert_eq!(found, [(0, "let"), (4, "a1"), (14, "_é")]);
    }
}
