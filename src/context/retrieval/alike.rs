//! Code in other files that resembles the code around a place: a few lines that share its rare words.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{FRAME_BYTES, Piece, Site, TEST_WORTH, is_test};
use crate::context::cost::cost;
use crate::context::surroundings::Excerpt;
use crate::context::words::{word_hash, words};
use crate::syntax::Language;

/// Lines before and after the cursor's whose words are looked for, and how far away a word counts half.
const LINES_BEFORE: usize = 20;
const LINES_AFTER: usize = 8;
const HALF_LINES: f32 = 10.0;
/// Lines around the cursor that the prompt is assumed to show.
pub(super) const LINES_SHOWN: usize = 60;
/// Lines of the code that is compared, and from one comparison to the next.
const WINDOW_LINES: usize = 20;
const STEP_LINES: usize = 5;
/// How many more lines are shown below: what follows similar code is probably what will be written.
const MORE_LINES: usize = 6;
/// How far a window moves to begin with an item.
const SNAP_LINES: usize = 6;
/// The most files that are read, and of an open one the bytes.
const MOST_FILES: usize = 6;
const MOST_BYTES: usize = 256 << 10;
/// The least similarity, from 0 to 1: less is a coincidence.
const LEAST_ALIKE: f32 = 0.08;
/// What code in the same folder is worth beside other code.
const SAME_FOLDER_WORTH: f32 = 1.2;
/// Room below which nothing is shown.
const LEAST_BYTES: usize = 160;

/// A file that may contain similar code.
struct Candidate {
    path: PathBuf,
    language: &'static Language,
    text: String,
    item_starts: Vec<usize>,
    worth: f32,
}

/// A stretch of lines of a candidate.
struct Window {
    file: usize,
    lines: Range<usize>,
    score: f32,
}

/// The code most similar to that around `place`, within `budget`, without what `shown` has of the same files.
pub(super) fn alike(place: &Site<'_>, shown: &[Piece], budget: usize) -> Vec<Piece> {
    if budget < LEAST_BYTES {
        return Vec::new();
    }
    let wanted = words_around(place);
    let files = candidates(place, &wanted);
    let mut windows = best_windows(place, &wanted, &files);
    windows.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.file.cmp(&b.file)));
    let own = place.near_lines();
    let (mut pieces, mut left) = (Vec::new(), budget);
    for window in windows.iter().filter(|window| window.score >= LEAST_ALIKE) {
        let file = &files[window.file];
        let Some(piece) = file.piece(window, left.saturating_sub(FRAME_BYTES)) else { continue };
        let same_place = |other: &Piece| {
            other.excerpt.path == piece.excerpt.path
                && other.range.start < piece.range.end
                && piece.range.start < other.range.end
        };
        if shown.iter().any(same_place) || is_known(&piece.excerpt.code, &own) {
            continue;
        }
        left = left.saturating_sub(super::excerpt_cost(&piece.excerpt));
        pieces.push(piece);
        if left < LEAST_BYTES {
            break;
        }
    }
    pieces
}

/// Whether the prompt already shows more than half of the lines of `code`.
fn is_known(code: &str, own: &HashSet<String>) -> bool {
    let lines: Vec<&str> = code.lines().map(str::trim).filter(|line| line.len() > 3).collect();
    lines.iter().filter(|line| own.contains(**line)).count() * 2 > lines.len()
}

/// The words around the place and their weights: near ones count more.
fn words_around(place: &Site<'_>) -> BTreeMap<u32, f32> {
    let text = place.parsed.text();
    let cursor_line = text.byte_to_line(place.offset);
    let lines = cursor_line.saturating_sub(LINES_BEFORE)..(cursor_line + LINES_AFTER + 1).min(text.len_lines());
    let mut wanted: BTreeMap<u32, f32> = BTreeMap::new();
    for line in lines {
        let weight = 1.0 / (1.0 + line.abs_diff(cursor_line) as f32 / HALF_LINES);
        for word in words(&text.line(line).to_string()) {
            let known = wanted.entry(word_hash(word)).or_default();
            *known = known.max(weight);
        }
    }
    wanted
}

/// The files that share most of the words: those that are open, and those the index names.
fn candidates(place: &Site<'_>, wanted: &BTreeMap<u32, f32>) -> Vec<Candidate> {
    let mut found = Vec::new();
    for open in &place.surroundings.open {
        let Some(parsed) = &open.snapshot.parsed else { continue };
        let Some(path) = &open.snapshot.path else { continue };
        let len = parsed.text().len_bytes();
        if parsed.language.family != place.parsed.language.family || len > MOST_BYTES || found.len() == 2 * MOST_FILES {
            continue;
        }
        found.push(Candidate {
            path: path.clone(),
            language: parsed.language,
            text: parsed.text().to_string(),
            item_starts: parsed.items(0..len).iter().map(|item| item.range.start).collect(),
            worth: worth(place, path),
        });
    }
    let Some(index) = &place.surroundings.index else { return found };
    let mut ranked = index.files_alike(wanted, place.parsed.language.family, 4 * MOST_FILES);
    ranked.retain(|(path, _)| !place.surroundings.has_open(path));
    for (path, score) in &mut ranked {
        *score *= worth(place, index.shown_path(path));
    }
    ranked.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    for (path, _) in ranked.iter().take(MOST_FILES) {
        let (Some(text), Some(language)) = (index.text(path), Language::by_path(path)) else { continue };
        let shown = index.shown_path(path);
        let item_starts = index.item_starts(path);
        found.push(Candidate { path: shown.to_owned(), language, text, item_starts, worth: worth(place, shown) });
    }
    found
}

fn worth(place: &Site<'_>, path: &Path) -> f32 {
    let test = if is_test(path) && !place.is_test() { TEST_WORTH } else { 1.0 };
    let is_beside = place.path().is_some_and(|own| own.parent() == path.parent());
    if is_beside { test * SAME_FOLDER_WORTH } else { test }
}

/// The best window of each file.
fn best_windows(place: &Site<'_>, wanted: &BTreeMap<u32, f32>, files: &[Candidate]) -> Vec<Window> {
    let lines_of = |file: &Candidate| file.text.lines().map(|line| words(line).map(word_hash).collect()).collect();
    let lines: Vec<Vec<HashSet<u32>>> = files.iter().map(lines_of).collect();
    let rarity = rarities(place, wanted, files, &lines);
    let worth_of = |word: &u32| rarity.get(word).copied().unwrap_or(1.0);
    let all: f32 = wanted.iter().map(|(word, weight)| weight * worth_of(word)).sum();
    let mut windows = Vec::new();
    for (file, lines) in lines.iter().enumerate() {
        let score = |start: usize| {
            // In order: so that sums are the same every time.
            let window: BTreeSet<&u32> =
                lines[start..(start + WINDOW_LINES).min(lines.len())].iter().flatten().collect();
            let (mut shared, mut other) = (0.0, 0.0);
            for word in window {
                match wanted.get(word) {
                    Some(weight) => shared += weight * worth_of(word),
                    None => other += worth_of(word),
                }
            }
            shared / (all + other).max(f32::MIN_POSITIVE) * files[file].worth
        };
        let starts = (0..lines.len().saturating_sub(WINDOW_LINES / 2).max(1)).step_by(STEP_LINES);
        let best =
            starts.map(|start| (score(start), start)).max_by(|(a, at), (b, other)| a.total_cmp(b).then(other.cmp(at)));
        if let Some((score, start)) = best {
            windows.push(Window { file, lines: start..(start + WINDOW_LINES).min(lines.len()), score });
        }
    }
    windows
}

/// The weight of each word: from the index, or without one, from its spelling.
fn rarities(
    place: &Site<'_>,
    wanted: &BTreeMap<u32, f32>,
    files: &[Candidate],
    lines: &[Vec<HashSet<u32>>],
) -> HashMap<u32, f32> {
    let Some(index) = &place.surroundings.index else {
        let texts = files.iter().map(|file| file.text.as_str());
        return texts.flat_map(words).map(|word| (word_hash(word), rarity_by_form(word))).collect();
    };
    let all: HashSet<u32> = lines.iter().flatten().flatten().chain(wanted.keys()).copied().collect();
    let all: Vec<u32> = all.into_iter().collect();
    let rarities = index.rarities(&all);
    all.into_iter().zip(rarities).collect()
}

/// Short words are common, as are keywords; names that are composed of several words are specific.
fn rarity_by_form(word: &str) -> f32 {
    let is_joined = word.trim_matches('_').contains('_') || word.chars().skip(1).any(char::is_uppercase);
    if is_joined || word.len() > 8 { 1.0 } else { 0.2 }
}

impl Candidate {
    /// The lines of `window` and a few more, from an item's beginning where one is near, within `room`.
    fn piece(&self, window: &Window, room: usize) -> Option<Piece> {
        let starts: Vec<usize> = line_starts(&self.text);
        let line_of = |offset: usize| starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let first = window.lines.start;
        let items = self.item_starts.iter().map(|start| line_of(*start));
        let first = items
            .filter(|line| line.abs_diff(first) <= SNAP_LINES)
            .min_by_key(|line| line.abs_diff(first))
            .unwrap_or(first);
        let last = (window.lines.end + MORE_LINES).min(starts.len());
        let path = self.path.to_string_lossy().replace('\\', "/");
        let mut left = room.checked_sub(path.len())?;
        let mut lines = Vec::new();
        for line in first..last {
            let end = starts.get(line + 1).copied().unwrap_or(self.text.len());
            let content = self.text[starts[line]..end].trim_end();
            let Some(rest) = left.checked_sub(cost(content) + 1) else { break };
            left = rest;
            lines.push(content);
        }
        let code = dedented(&lines);
        let range = starts[first]..starts.get(first + lines.len()).copied().unwrap_or(self.text.len());
        let excerpt = Excerpt { path: Some(path), language: self.language.name.to_owned(), code };
        (lines.len() >= 3).then_some(Piece { excerpt, range, score: window.score })
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .filter(|start| *start < text.len())
        .collect()
}

/// `lines` without the white space that all of them begin with, blank ones at either end left out.
fn dedented(lines: &[&str]) -> String {
    let white = |line: &&str| line.len() - line.trim_start().len();
    let indent = lines.iter().filter(|line| !line.is_empty()).map(white).min().unwrap_or(0);
    let lines: Vec<&str> = lines.iter().map(|line| line.get(indent..).unwrap_or_default()).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}
