//! The context of an inline completion: a window before the cursor, one after it, and what stands for the rest.
//!
//! While a person types, only the end of the prefix may change, or the model's cache of the prompt is worth nothing. So
//! everything but the prefix is frozen when the window is placed (the [`Anchor`]), the window's start stays where it is
//! while the prefix grows, and both move only when they must.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Snapshot;
use super::cells::OtherCells;
use super::cost::{cost, end_within, start_within};
use super::limits::{Limits, Part};
use super::outline::{imports_outside, outline_outside};
use super::retrieval::{Project, retrieve};
use crate::text::{Rope, floor_char_boundary, line_content, next_line_start};

/// The parts of a completion prompt, those that change most rarely first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletionContext {
    pub path: Option<String>,
    /// The language's name after a code fence; empty if unknown.
    pub language: String,
    pub line_comment: Option<&'static str>,
    /// Of other files.
    pub project: Project,
    /// Imports that the prefix does not show, one a line.
    pub imports: String,
    /// Signatures of the items around the cursor and of their neighbours, where neither prefix nor suffix shows them.
    pub outline: String,
    /// The cells of a notebook right before the document, with a blank line behind each.
    pub cells_before: String,
    /// Lines after the cursor's line, as they were when the window was placed.
    pub suffix: String,
    /// The cells of a notebook right after the suffix, with a blank line before each.
    pub cells_after: String,
    /// Exactly the text from `prefix_start` to the cursor.
    pub prefix: String,
    /// Byte offset of the prefix in the document.
    pub prefix_start: usize,
    /// Where in the prefix the text begins that grows while somebody types: at the start of the line that was the cursor's
    /// when the window was placed, or of a later one.
    pub typed_start: usize,
    /// Where in the prefix the lines begin that stood right before the cursor's when the window was placed, and these lines as
    /// they were.
    pub near_start: usize,
    pub near: String,
    /// What stands right of the cursor on its line.
    pub line_suffix: String,
    /// The longest run of backticks that has begun a line of the prefix or suffix since the window was placed.
    pub longest_fence: usize,
}

impl CompletionContext {
    /// Only the code right before the cursor, which helps most for its cost. The rest of the prompt is then the same in
    /// all files of a language.
    pub fn nearest(self) -> Self {
        Self {
            path: None,
            imports: String::new(),
            outline: String::new(),
            cells_before: String::new(),
            suffix: String::new(),
            cells_after: String::new(),
            ..self
        }
    }
}

/// Where a document's window is, and what was frozen when it was placed there. Keep one per document, hand it to every
/// [`completion_context`]; a fresh one costs the cache of the prompt, nothing else. It can be kept in a file, for a session that
/// goes on with the same text; a notebook's is placed again then.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Anchor {
    frozen: Option<Frozen>,
    moves: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Frozen {
    limits: Limits,
    path: Option<String>,
    language: String,
    project: Project,
    imports: String,
    outline: String,
    suffix: String,
    /// It only grows, so that the prompt's fence changes once at most while somebody writes fenced code.
    longest_fence: usize,
    #[serde(skip)]
    cells: Arc<OtherCells>,
    cells_before: String,
    cells_after: String,
    near: String,
    /// The first bytes of the window: how it is found again after edits above it.
    head: String,
    /// What the prefix may cost before the window has to move.
    max_prefix: usize,
    // The following are offsets in the text of the last request.
    prefix_start: usize,
    near_start: usize,
    typed_start: usize,
    suffix_start: usize,
    text_len: usize,
}

/// Bytes of the window's beginning that must still be there.
const HEAD_BYTES: usize = 64;
/// What may be typed before the text that grows begins at a later line; and that many bytes while nobody types. A model that
/// fills in the middle then reads what stands behind the prefix again.
const MAX_TYPED_BYTES: usize = 1024;
const MAX_SETTLED_BYTES: usize = 256;
/// Lines right before the cursor's that a prompt may show apart from the others.
const NEAR_LINES: usize = 8;
/// Bytes of the cursor's line that are looked at right of it.
const MAX_LINE_SUFFIX_BYTES: usize = 512;

impl Anchor {
    /// How often the window has been placed.
    pub fn moves(&self) -> usize {
        self.moves
    }

    /// Whether there is a window; otherwise the next context places one.
    pub fn is_placed(&self) -> bool {
        self.frozen.is_some()
    }

    /// Whether a context at `offset` would leave the window where it is.
    pub fn serves(&self, snapshot: &Snapshot, offset: usize, limits: Limits) -> bool {
        let offset = floor_char_boundary(&snapshot.text, offset);
        self.frozen.as_ref().is_some_and(|frozen| frozen.found_at(snapshot, offset, limits).is_some())
    }

    /// The files, by their paths in prompts, whose code the window shows beside that of the document; `None` for a text that has no
    /// path.
    pub fn shown_files(&self) -> impl Iterator<Item = Option<&Path>> {
        let project = self.frozen.iter().map(|frozen| &frozen.project);
        project.flat_map(|project| {
            let excerpts = project.excerpts.iter().map(|excerpt| excerpt.path.as_deref().map(Path::new));
            excerpts.chain(project.edits.iter().map(|edit| edit.path.as_deref()))
        })
    }

    /// Discards the window if it no longer matches the code around `offset` exactly, if it would have to move soon, or
    /// if other files now have more to contribute. Call it before a warm-up, while nobody types: the next context then
    /// places a new window, and the model has time to read it.
    pub fn settle(&mut self, snapshot: &Snapshot, offset: usize) {
        let text = &snapshot.text;
        let offset = floor_char_boundary(text, offset);
        let fits = self.frozen.as_ref().is_some_and(|frozen| {
            let fits_below = frozen.find_suffix(text) == Some(next_line_start(text, offset));
            let lowest = start_within(text, offset, frozen.max_prefix * 9 / 10);
            let is_in_window = frozen.find_prefix(text).is_some_and(|start| (lowest..=offset).contains(&start));
            fits_below && is_in_window && frozen.project_is_fresh(snapshot, offset)
        });
        if !fits {
            self.frozen = None;
        }
        if let Some(frozen) = &mut self.frozen {
            frozen.typed_start = frozen.typed_start_for(text, offset, MAX_SETTLED_BYTES);
        }
    }
}

/// The context of a completion at `offset`. Moves `anchor` if the cursor has left the window, the prefix has outgrown
/// it, or the code after the cursor is no longer the one that was frozen.
pub fn completion_context(
    snapshot: &Snapshot,
    offset: usize,
    limits: Limits,
    anchor: &mut Anchor,
) -> CompletionContext {
    let offset = floor_char_boundary(&snapshot.text, offset);
    let kept = anchor.frozen.take().and_then(|frozen| frozen.kept_at(snapshot, offset, limits));
    anchor.moves += usize::from(kept.is_none());
    let mut frozen = kept.unwrap_or_else(|| Frozen::place(snapshot, offset, limits));
    let prefix = snapshot.text.byte_slice(frozen.prefix_start..offset).to_string();
    frozen.longest_fence = frozen.longest_fence.max(longest_fence(&prefix));
    frozen.typed_start = frozen.typed_start_for(&snapshot.text, offset, MAX_TYPED_BYTES);
    let context = CompletionContext {
        path: frozen.path.clone().filter(|_| limits.has(Part::Path)),
        language: frozen.language.clone(),
        line_comment: snapshot.line_comment(),
        project: frozen.project.clone(),
        imports: frozen.imports.clone(),
        outline: frozen.outline.clone(),
        cells_before: frozen.cells_before.clone(),
        suffix: frozen.suffix.clone(),
        cells_after: frozen.cells_after.clone(),
        prefix,
        prefix_start: frozen.prefix_start,
        typed_start: frozen.typed_start - frozen.prefix_start,
        near_start: frozen.near_start_for(&snapshot.text) - frozen.prefix_start,
        near: frozen.near.clone(),
        line_suffix: line_suffix(&snapshot.text, offset),
        longest_fence: frozen.longest_fence,
    };
    anchor.frozen = Some(frozen);
    context
}

impl Frozen {
    fn place(snapshot: &Snapshot, offset: usize, limits: Limits) -> Self {
        let text = &snapshot.text;
        let suffix_start = next_line_start(text, offset);
        let suffix_end = whole_lines_within(text, suffix_start, limits.suffix());
        let project = retrieve(snapshot, offset, limits);
        // The rest is fixed when the parts that need little have been served, as if they needed all of theirs.
        let for_file = limits.total_bytes - project.cost().min(limits.project_bytes);
        let least_prefix = for_file - limits.suffix() - limits.imports() - limits.outline();
        let prefix_start = place_prefix(snapshot, offset, least_prefix);
        let shown = prefix_start..suffix_end;
        let cells = Arc::clone(&snapshot.cells);
        // What the prefix leaves of its room, less what it grows by.
        let room = if prefix_start == 0 { (least_prefix * 4 / 5).saturating_sub(offset) } else { 0 };
        let (cells_before, mut imports) = cells.text_before(room, limits.imports());
        let (own_imports, outline) = match &snapshot.parsed {
            Some(parsed) => (
                imports_outside(parsed, &shown, limits.imports().saturating_sub(imports.len())),
                outline_outside(parsed, offset, &shown, limits.outline()),
            ),
            None => Default::default(),
        };
        imports.push_str(&own_imports);
        let suffix = text.byte_slice(suffix_start..suffix_end).to_string();
        let is_whole = suffix_end == text.len_bytes();
        let room_after = limits.suffix().saturating_sub(cost(&suffix));
        let cells_after = if is_whole { cells.text_after(room_after) } else { String::new() };
        let others =
            [&suffix, &imports, &outline, &cells_before, &cells_after].map(|part| cost(part)).iter().sum::<usize>()
                + project.cost();
        let head_end = floor_char_boundary(text, (prefix_start + HEAD_BYTES).min(offset));
        let typed_start = typed_start(text, offset, prefix_start);
        let near_line = text.byte_to_line(offset).saturating_sub(NEAR_LINES);
        let near_start = text.line_to_byte(near_line).max(prefix_start);
        Self {
            limits,
            path: snapshot.shown_path(),
            language: snapshot.fence_name().to_string(),
            head: text.byte_slice(prefix_start..head_end).to_string(),
            project,
            imports,
            outline,
            longest_fence: longest_fence(&suffix),
            suffix,
            max_prefix: limits.total_bytes.saturating_sub(others).max(least_prefix.saturating_sub(cells_before.len())),
            cells,
            cells_before,
            cells_after,
            near: text.byte_slice(near_start..typed_start).to_string(),
            prefix_start,
            near_start,
            typed_start,
            suffix_start,
            text_len: text.len_bytes(),
        }
    }

    /// This anchor, adjusted to `snapshot`, if it can still be used for a cursor at `offset`.
    fn kept_at(mut self, snapshot: &Snapshot, offset: usize, limits: Limits) -> Option<Self> {
        let (prefix_start, suffix_start) = self.found_at(snapshot, offset, limits)?;
        // What was typed lies behind the window's beginning: it moved as that did.
        self.typed_start = self.typed_start - self.prefix_start + prefix_start;
        self.near_start = self.near_start - self.prefix_start + prefix_start;
        self.prefix_start = prefix_start;
        self.suffix_start = suffix_start;
        self.text_len = snapshot.text.len_bytes();
        Some(self)
    }

    /// Where its prefix and its suffix begin in `snapshot`, if it still serves a cursor at `offset`.
    fn found_at(&self, snapshot: &Snapshot, offset: usize, limits: Limits) -> Option<(usize, usize)> {
        let same_document = self.path == snapshot.shown_path() && self.language == snapshot.fence_name();
        if !self.limits.serve(limits) || !same_document || !OtherCells::is_same(&self.cells, &snapshot.cells) {
            return None;
        }
        let text = &snapshot.text;
        let prefix_start = self.find_prefix(text)?;
        let in_window = (start_within(text, offset, self.max_prefix)..=offset).contains(&prefix_start);
        let suffix_start = self.find_suffix(text)?;
        let after = next_line_start(text, offset);
        let near = suffix_start <= after + limits.gap() && after <= suffix_start + limits.overlap();
        (in_window && near).then_some((prefix_start, suffix_start))
    }

    /// Whether the prompt shows at least half of what other files have to contribute at `offset`.
    fn project_is_fresh(&self, snapshot: &Snapshot, offset: usize) -> bool {
        let fresh = retrieve(snapshot, offset, self.limits);
        let shown: HashSet<&str> = self.project.lines().collect();
        let lines: Vec<&str> = fresh.lines().collect();
        lines.iter().filter(|line| shown.contains(**line)).count() * 2 >= lines.len()
    }

    /// Where the text that grows begins for a cursor at `offset`: where it did, unless the cursor has left it or it is longer
    /// than `most`.
    fn typed_start_for(&self, text: &Rope, offset: usize, most: usize) -> usize {
        let is_kept = self.typed_start <= offset
            && offset - self.typed_start <= most
            && (self.typed_start == self.prefix_start || text.get_byte(self.typed_start - 1) == Some(b'\n'));
        if is_kept { self.typed_start } else { typed_start(text, offset, self.prefix_start) }
    }

    /// Where the lines begin that stood right before the cursor's, or else the line that the text that grows is in.
    fn near_start_for(&self, text: &Rope) -> usize {
        let start = self.near_start.min(self.typed_start);
        line_content(text, text.byte_to_line(start)).start.max(self.prefix_start)
    }

    /// Where the window begins in `text`: where it was, unless the edits were before it.
    fn find_prefix(&self, text: &Rope) -> Option<usize> {
        [Some(self.prefix_start), self.moved(text, self.prefix_start)]
            .into_iter()
            .flatten()
            .find(|start| holds(text, *start, &self.head))
    }

    /// Where the frozen suffix is in `text`: moved along by the edits, unless they were after it.
    fn find_suffix(&self, text: &Rope) -> Option<usize> {
        [self.moved(text, self.suffix_start), Some(self.suffix_start)]
            .into_iter()
            .flatten()
            .find(|start| holds(text, *start, &self.suffix))
    }

    /// Where `offset` of the last text is in `text` if all edits since were before it.
    fn moved(&self, text: &Rope, offset: usize) -> Option<usize> {
        (offset + text.len_bytes()).checked_sub(self.text_len)
    }
}

/// The start of the cursor's line, within the window.
fn typed_start(text: &Rope, offset: usize, prefix_start: usize) -> usize {
    line_content(text, text.byte_to_line(offset)).start.max(prefix_start)
}

/// The rest of the cursor's line.
fn line_suffix(text: &Rope, offset: usize) -> String {
    let end = line_content(text, text.byte_to_line(offset)).end.min(offset + MAX_LINE_SUFFIX_BYTES);
    text.byte_slice(offset..floor_char_boundary(text, end).max(offset)).to_string()
}

/// The longest run of backticks that begins a line of `text`.
pub fn longest_fence(text: &str) -> usize {
    let run = |line: &str| line.trim_start().bytes().take_while(|byte| *byte == b'`').count();
    text.lines().map(run).max().unwrap_or(0)
}

fn holds(text: &Rope, start: usize, part: &str) -> bool {
    text.get_byte_slice(start..start + part.len()).is_some_and(|slice| slice == part)
}

/// Where the window before `offset` begins: at the start of the file if that is near, else so that the prefix has room
/// to grow by two fifths of what `max_prefix` costs, at a syntax boundary, at a line start, or, in an endless line, anywhere.
fn place_prefix(snapshot: &Snapshot, offset: usize, max_prefix: usize) -> usize {
    let text = &snapshot.text;
    if start_within(text, offset, max_prefix * 4 / 5) == 0 {
        return 0;
    }
    let lowest = start_within(text, offset, max_prefix * 3 / 5);
    let near = lowest..lowest + (offset - lowest) / 3;
    let boundary = snapshot.parsed.as_ref().and_then(|parsed| parsed.boundary_in(near.clone()));
    match boundary {
        // With its indentation, unless that alone fills a budget.
        Some(start) => text
            .line_to_byte(text.byte_to_line(start))
            .max(floor_char_boundary(text, lowest.saturating_sub(HEAD_BYTES))),
        None => {
            let next = next_line_start(text, lowest);
            if next < near.end { next } else { lowest }
        }
    }
}

/// End of the last whole line that begins at or after `start` and ends within `budget` of it; in a longer line, a
/// character boundary.
fn whole_lines_within(text: &Rope, start: usize, budget: usize) -> usize {
    let limit = end_within(text, start, budget);
    if limit == text.len_bytes() {
        return limit;
    }
    let Range { start: last_line, .. } = line_content(text, text.byte_to_line(limit));
    if last_line > start { last_line } else { limit }
}
