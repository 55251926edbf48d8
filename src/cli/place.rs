//! `FILE:LINE:COLUMN` on the command line, and reading the file that it names.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::context::{Bounds, Snapshot, Surroundings, WorkspaceIndex};
use crate::syntax::{self, Parsed};
use crate::text::{Position, PositionEncoding, Rope, offset_at, with_line_feeds};
use crate::workspace::Workspaces;

/// Larger sources are generated or data, not something a person completes.
const LARGEST_SOURCE: u64 = 16 << 20;

/// The time limit for reading other files, which most projects do not need.
const INDEXING_TIME: Duration = Duration::from_secs(2);

/// A position in a file. Line and column count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourcePosition {
    pub(super) path: PathBuf,
    pub(super) line: u32,
    pub(super) column: u32,
}

impl FromStr for SourcePosition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected FILE:LINE:COLUMN, both counted from 1, found \"{text}\"");
        let (rest, column) = text.rsplit_once(':').ok_or_else(expected)?;
        let (path, line) = rest.rsplit_once(':').ok_or_else(expected)?;
        let count = |digits: &str| digits.parse::<u32>().ok().filter(|&number| number > 0).ok_or_else(expected);
        if path.is_empty() {
            return Err(expected());
        }
        Ok(Self { path: path.into(), line: count(line)?, column: count(column)? })
    }
}

/// Reads a source file for completion.
pub(super) fn read_snapshot(path: &Path) -> anyhow::Result<Snapshot> {
    let shown = path.display();
    let text = read_text(path)?;
    if text.trim().is_empty() {
        bail!("{shown} is empty; expected some code to continue");
    }
    let text = Rope::from_str(&with_line_feeds(text));
    let language = syntax::language_for("", Some(path));
    let parsed = language.and_then(|language| Parsed::parse(language, &text));
    let language_id = language.map_or_else(String::new, |language| language.id.to_owned());
    let path = Some(workspaces_around(path, &[]).location_of(path).shown);
    let (cells, surroundings) = Default::default();
    Ok(Snapshot { text, version: 0, parsed, language, language_id, path, cells, surroundings })
}

/// Checks that there is a file at `path`: reading a pipe or a device may never end.
pub(super) fn check_is_file(path: &Path) -> anyhow::Result<Metadata> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).with_context(|| format!("cannot read {shown}"))?;
    if metadata.is_dir() {
        bail!("{shown} is a directory; expected a source file");
    }
    if !metadata.is_file() {
        bail!("{shown} is not a regular file; expected a source file");
    }
    Ok(metadata)
}

/// What some editors write at the beginning of a file and show nobody.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text of a source file, as an editor shows it.
pub(super) fn read_text(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let bytes = check_is_file(path)?.len();
    if bytes > LARGEST_SOURCE {
        let (found, limit) = (bytes >> 20, LARGEST_SOURCE >> 20);
        bail!("{shown} has {found} MiB; expected a source file of at most {limit} MiB");
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow::anyhow!("{shown} is not UTF-8 text: the first invalid byte is at offset {at}")
    })?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map_or_else(|| text.clone(), str::to_owned))
}

/// The workspace around the file at `path` that an editor would open; the current folder, if the file is in it and no
/// project is found.
pub(super) fn workspaces_around(path: &Path, exclude: &[String]) -> Workspaces {
    let mut workspaces = Workspaces::new(&[], exclude);
    if !workspaces.add_around(path)
        && let Ok(here) = std::env::current_dir().and_then(|here| here.canonicalize())
        && workspaces.location_of(path).file.starts_with(&here)
    {
        workspaces.add(&here);
    }
    workspaces
}

/// The other files of the workspace around `path`.
pub(super) fn surroundings(workspaces: Workspaces, path: &Path) -> Surroundings {
    let file = workspaces.location_of(path).file;
    let bounds = Bounds { time: INDEXING_TIME, ..Bounds::default() };
    let index = WorkspaceIndex::new(Arc::new(workspaces), bounds);
    index.walk(&mut || true);
    Surroundings { file: Some(file), index: Some(Arc::new(index)), ..Surroundings::default() }
}

/// The byte offset of `place`. A position outside the file is an error.
pub(super) fn cursor_offset(place: &SourcePosition, text: &Rope) -> anyhow::Result<usize> {
    let places = text.len_lines();
    if place.line as usize > places {
        // A cursor can be after the last line break, which does not count as a line.
        let lines = places - usize::from(text.line(places - 1).len_bytes() == 0);
        bail!("{} has {lines} lines, so there is no line {}", place.path.display(), place.line);
    }
    let line = text.line(place.line as usize - 1);
    let length = line.chars().filter(|c| !matches!(c, '\n' | '\r')).count();
    if place.column as usize > length + 1 {
        let shown = place.path.display();
        bail!("line {} of {shown} has {length} characters, so there is no column {}", place.line, place.column);
    }
    let position = Position { line: place.line - 1, character: place.column - 1 };
    Ok(offset_at(text, position, PositionEncoding::Utf32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_a_line_and_a_column() {
        let place = "C:/x/a b.rs:12:3".parse::<SourcePosition>().unwrap();
        assert_eq!((place.path.to_str().unwrap(), place.line, place.column), ("C:/x/a b.rs", 12, 3));
        for wrong in ["", "a.rs", "a.rs:1", ":1:1", "a.rs:0:1", "a.rs:1:x", "a.rs:1:-2"] {
            assert!(wrong.parse::<SourcePosition>().unwrap_err().contains("expected FILE:LINE:COLUMN"), "{wrong}");
        }
    }

    #[test]
    fn a_place_outside_the_file_is_refused() {
        let offset = |line, column| {
            cursor_offset(&SourcePosition { path: "f".into(), line, column }, &Rope::from_str("ab\né\n"))
        };
        assert_eq!(offset(2, 2).unwrap(), 5);
        assert!(offset(1, 4).unwrap_err().to_string().contains("has 2 characters"));
        assert!(offset(9, 1).unwrap_err().to_string().contains("has 2 lines"));
    }
}
