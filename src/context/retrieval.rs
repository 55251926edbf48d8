//! What helps at a place and is not in its file: definitions of the names near it, similar code, and what the person
//! has just changed.
//!
//! Everything is chosen by words and places: nothing is resolved as a compiler would. The index names the few files that
//! matter; only those are read.

mod alike;
mod offers;
mod wanted;

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Snapshot;
use super::candidates::Search;
use super::cost::cost;
use super::declared::plain_name;
use super::imports::Nearness;
use super::limits::{Limits, Part};
use super::recent::RecentEdit;
use super::surroundings::{Excerpt, Surroundings};
use crate::syntax::Parsed;
use alike::alike;
use wanted::{Wanted, wanted};

/// What a prompt shows of the project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Project {
    /// Code of other files, each file once, the most telling one last.
    pub excerpts: Vec<Excerpt>,
    /// The latest changes, the newest last.
    pub edits: Vec<RecentEdit>,
}

/// A useful part of another file.
struct Piece {
    excerpt: Excerpt,
    /// Its place in the file.
    range: Range<usize>,
    score: f32,
}

/// Words of a sentence and fences around each excerpt.
const FRAME_BYTES: usize = 24;
/// A smaller budget has no room for anything useful.
const LEAST_BYTES: usize = 80;
/// The parts of the budget for all definitions, and for one of them; the rest is for similar code.
const DEFINITIONS_SHARE: (usize, usize) = (2, 3);
const DEFINITION_SHARE: (usize, usize) = (1, 3);
/// The latest changes that are shown, and what they may take of the budget.
const MAX_EDITS: usize = 3;
const EDITS_SHARE: (usize, usize) = (1, 5);
/// Names that the document declares this far from the place are known, if it is too large to know all.
const OWN_BYTES: usize = 16 << 10;
const WHOLE_BYTES: usize = 128 << 10;
/// The least value of a definition: those below were far from the cursor, or may belong to another name.
const LEAST_SCORE: f32 = 0.2;
/// The value of tests compared with other code, for code that is not a test itself.
const TEST_WORTH: f32 = 0.3;

impl Project {
    /// What it takes of a budget.
    pub(super) fn cost(&self) -> usize {
        let excerpts = self.excerpts.iter().map(excerpt_cost).sum::<usize>();
        excerpts + self.edits.iter().map(edit_cost).sum::<usize>()
    }

    /// Every line of code in it.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        let code = self.excerpts.iter().flat_map(|excerpt| excerpt.code.lines());
        code.chain(self.edits.iter().map(|edit| edit.after.as_str())).filter(|line| !line.trim().is_empty())
    }
}

/// What helps at `offset` of `snapshot`, within `limits`. The same every time, as long as nothing changes.
pub(super) fn retrieve(snapshot: &Snapshot, offset: usize, limits: Limits) -> Project {
    let budget = limits.project_bytes;
    let surroundings = &*snapshot.surroundings;
    let Some(parsed) = &snapshot.parsed else { return Project::default() };
    let has_none = surroundings.open.is_empty() && surroundings.index.is_none() && surroundings.edits.is_empty();
    if has_none || budget < LEAST_BYTES {
        return Project::default();
    }
    let place = Site { snapshot, parsed, offset, surroundings };
    let edits = place.edits(part(budget, EDITS_SHARE));
    let left = budget - edits.iter().map(edit_cost).sum::<usize>();
    let taken = |pieces: &[Piece]| pieces.iter().map(|piece| excerpt_cost(&piece.excerpt)).sum::<usize>();
    let mut pieces = Vec::new();
    if limits.has(Part::Definitions) {
        let most = part(left, DEFINITION_SHARE);
        pieces.extend(offers::offer(snapshot, offset, most.saturating_sub(FRAME_BYTES)));
        let left_for_definitions = part(left, DEFINITIONS_SHARE).saturating_sub(taken(&pieces));
        place.definitions(&mut pieces, left_for_definitions, most);
    }
    if limits.has(Part::Alike) {
        let taken = taken(&pieces);
        pieces.extend(alike(&place, &pieces, left.saturating_sub(taken)));
    }
    Project { excerpts: by_file(pieces), edits }
}

/// Where code will be written, and what it may be taken from.
struct Site<'a> {
    snapshot: &'a Snapshot,
    parsed: &'a Parsed,
    offset: usize,
    surroundings: &'a Surroundings,
}

impl Site<'_> {
    fn path(&self) -> Option<&Path> {
        self.snapshot.path.as_deref()
    }

    /// Whether tests count as much as other code here.
    fn is_test(&self) -> bool {
        self.path().is_some_and(is_test)
    }

    /// Adds definitions of names near the place that `pieces` do not show, the best first.
    fn definitions(&self, pieces: &mut Vec<Piece>, budget: usize, most: usize) {
        let wanted = wanted(self.parsed, self.offset);
        let uses: Vec<_> = wanted.iter().map(|Wanted { used, .. }| used.clone()).collect();
        let own = self.own_names();
        let search = Search::new(self.surroundings, self.parsed, self.path(), &uses, &own);
        let mut found = Vec::new();
        for used in search.wanted() {
            let Some(Wanted { weight, .. }) = wanted.iter().find(|wanted| wanted.used == *used) else { continue };
            let candidate = search.meant_by(used).into_iter().find(|candidate| !candidate.is_foreign());
            if let Some(candidate) = candidate {
                let is_test = candidate.path.as_deref().is_some_and(is_test) && !self.is_test();
                let worth = if is_test { TEST_WORTH } else { 1.0 };
                found.push((weight * nearness_worth(candidate.nearness) * worth, used, candidate));
            }
        }
        found.retain(|(score, ..)| *score >= LEAST_SCORE);
        found.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
        let mut left = budget;
        for (score, used, candidate) in found {
            let Some(excerpt) = candidate.brief(&used.name, most.min(left).saturating_sub(FRAME_BYTES)) else {
                continue;
            };
            // A type that is shown shows its methods.
            let is_shown = |piece: &Piece| {
                let mut lines = excerpt.code.lines().map(str::trim).filter(|line| line.len() > 8);
                piece.excerpt.path == excerpt.path
                    && (piece.range == candidate.range || lines.any(|line| piece.excerpt.code.contains(line)))
            };
            if excerpt_cost(&excerpt) <= left && !pieces.iter().any(is_shown) {
                left -= excerpt_cost(&excerpt);
                pieces.push(Piece { excerpt, range: candidate.range.clone(), score });
            }
        }
    }

    /// Names that the document declares itself.
    fn own_names(&self) -> HashSet<String> {
        let len = self.parsed.text().len_bytes();
        let near = self.offset.saturating_sub(OWN_BYTES)..(self.offset + OWN_BYTES).min(len);
        let items = self.parsed.items(if len <= WHOLE_BYTES { 0..len } else { near });
        items.iter().map(|item| plain_name(self.parsed, item)).collect()
    }

    /// The latest changes that are not near the cursor.
    fn edits(&self, budget: usize) -> Vec<RecentEdit> {
        let near = self.near_lines();
        let is_elsewhere =
            |edit: &&RecentEdit| edit.path.as_deref() != self.path() || !near.contains(edit.after.trim());
        let mut left = budget;
        let mut edits: Vec<RecentEdit> = Vec::new();
        for edit in self.surroundings.edits.iter().rev().filter(is_elsewhere).take(MAX_EDITS) {
            let Some(rest) = left.checked_sub(edit_cost(edit)) else { break };
            left = rest;
            edits.insert(0, edit.clone());
        }
        edits
    }

    /// The lines around the place that the prompt shows anyway, without white space around them.
    fn near_lines(&self) -> HashSet<String> {
        let text = self.parsed.text();
        let line = text.byte_to_line(self.offset);
        let lines = line.saturating_sub(alike::LINES_SHOWN)..(line + alike::LINES_SHOWN).min(text.len_lines());
        lines.map(|line| text.line(line).to_string().trim().to_owned()).collect()
    }
}

fn nearness_worth(nearness: Nearness) -> f32 {
    match nearness {
        Nearness::NameImported => 1.6,
        Nearness::Imported => 1.2,
        Nearness::SameFolder => 1.0,
        Nearness::Elsewhere => 0.6,
    }
}

/// Whether the file at `path` holds tests, by its name or its folders'.
fn is_test(path: &Path) -> bool {
    let folder = |name: &str| matches!(name, "test" | "tests" | "__tests__" | "spec" | "testing" | "testdata");
    let names = path.parent().into_iter().flat_map(Path::iter).filter_map(|name| name.to_str());
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let ends = ["_test", "_tests", ".test", ".spec", "-test", "Test", "Tests", "_unittest"];
    names.into_iter().any(folder)
        || stem.starts_with("test_")
        || matches!(stem, "tests" | "conftest")
        || ends.iter().any(|end| stem.ends_with(end))
}

fn part(of: usize, (share, whole): (usize, usize)) -> usize {
    of * share / whole
}

fn excerpt_cost(excerpt: &Excerpt) -> usize {
    cost(&excerpt.code) + excerpt.path.as_deref().map_or(0, cost) + FRAME_BYTES
}

fn edit_cost(edit: &RecentEdit) -> usize {
    let path = edit.path.as_deref().map_or(0, |path| cost(&path.to_string_lossy()));
    cost(&edit.before) + cost(&edit.after) + path + FRAME_BYTES
}

/// The pieces of each file in its order as one excerpt, the most telling file last.
fn by_file(mut pieces: Vec<Piece>) -> Vec<Excerpt> {
    pieces.sort_by(|a, b| (&a.excerpt.path, a.range.start).cmp(&(&b.excerpt.path, b.range.start)));
    let mut files: Vec<Piece> = Vec::new();
    for piece in pieces {
        match files.last_mut().filter(|file| file.excerpt.path == piece.excerpt.path && piece.excerpt.path.is_some()) {
            Some(file) => {
                file.excerpt.code.push_str("\n\n");
                file.excerpt.code.push_str(&piece.excerpt.code);
                file.score = file.score.max(piece.score);
            }
            None => files.push(piece),
        }
    }
    files.sort_by(|a, b| a.score.total_cmp(&b.score));
    files.into_iter().map(|file| file.excerpt).collect()
}

#[cfg(test)]
mod tests;
