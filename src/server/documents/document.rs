//! One open document: its text and its syntax tree, which follow the client's edits.

use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tower_lsp_server::gen_lsp_types as lsp;

use crate::context::Snapshot;
use crate::lsp::from_proto;
use crate::syntax::{MAX_PARSE_BYTES, Parsed, language_for};
use crate::text::{Edit, LineEnding, PositionEncoding, Rope, apply_edit, clamped_range, with_line_feeds};
use crate::workspace::{FileLocation, Refusal};

/// After how long a pause in typing a document whose parse took too long is parsed again, and the longest such pause if
/// parsing repeatedly takes too long.
const PARSE_LATER: Duration = Duration::from_millis(300);
const PARSE_LATER_AT_MOST: Duration = Duration::from_secs(120);

/// One open document.
pub(in crate::server) struct Document {
    /// Identifies the document to engines and to everything that keeps state for it.
    pub number: u64,
    pub uri: lsp::Uri,
    pub snapshot: Snapshot,
    /// The line ending for the client. In the snapshot, it is `\n`.
    pub line_ending: LineEnding,
    /// The file of the document; `None` for a text that is not a file.
    pub file: Option<PathBuf>,
    /// The location of that file.
    pub place: Option<FileLocation>,
    /// The reason why it must not enter a prompt, if there is one.
    pub refusal: Option<Refusal>,
    parse_later: ParseLater,
}

/// When to parse a document again whose last parse took too long: at a pause, and each time it takes too long again, at
/// a longer one. The machine may have been busy, and code that is hard to parse may be edited.
#[derive(Debug, Default)]
struct ParseLater {
    at: Option<Instant>,
    /// How many times in a row it took too long at a pause.
    failures: u32,
}

impl ParseLater {
    fn due_at(&self) -> Option<Instant> {
        self.at
    }

    /// Schedules a parse of the document, which has no tree and was opened or edited at `now`.
    fn schedule(&mut self, now: Instant) {
        let wait = PARSE_LATER.saturating_mul(4_u32.saturating_pow(self.failures)).min(PARSE_LATER_AT_MOST);
        self.at = Some(now + wait);
    }

    /// Notes the end of a parse at a pause, at `now`, with or without a tree.
    fn parsed(&mut self, has_tree: bool, now: Instant) {
        *self = Self { at: None, failures: if has_tree { 0 } else { self.failures + 1 } };
        if !has_tree {
            self.schedule(now);
        }
    }
}

impl Document {
    pub(super) fn open(number: u64, item: lsp::TextDocumentItem) -> Self {
        let file = from_proto::file_path(&item.uri);
        let language_id = from_proto::language_id(item.language_id);
        let language = language_for(&language_id, file.as_deref());
        let line_ending = LineEnding::of(&item.text);
        let text = Rope::from_str(&with_line_feeds(item.text));
        let parsed = language.and_then(|language| Parsed::parse(language, &text));
        let (cells, surroundings) = Default::default();
        let version = item.version;
        let snapshot = Snapshot { text, version, parsed, language, language_id, path: None, cells, surroundings };
        let mut document = Self {
            number,
            uri: item.uri,
            snapshot,
            line_ending,
            file,
            place: None,
            refusal: None,
            parse_later: ParseLater::default(),
        };
        document.parse_later_without_tree();
        document
    }

    /// Whether it must not enter a prompt.
    pub(in crate::server) fn is_excluded(&self) -> bool {
        self.refusal.is_some()
    }

    /// Applies the changes of one notification. Returns where the last of them ends and how many bytes it inserted.
    /// Before each change, `note` is called with the range that is replaced, the length of the text, and how many bytes
    /// are inserted.
    pub(in crate::server) fn apply(
        &mut self,
        version: i32,
        changes: Vec<lsp::TextDocumentContentChangeEvent>,
        encoding: PositionEncoding,
        mut note: impl FnMut(&Range<usize>, usize, usize),
    ) -> Option<(usize, usize)> {
        let mut edits: Vec<Edit> = Vec::with_capacity(changes.len());
        for change in changes {
            if let Some(line_ending) = from_proto::line_ending(&self.snapshot.text, &change) {
                self.line_ending = line_ending;
            }
            let edit = from_proto::edit(&self.snapshot.text, change, encoding);
            note(&clamped_range(&self.snapshot.text, &edit), self.snapshot.text.len_bytes(), edit.new_text.len());
            apply_edit(&mut self.snapshot.text, &edit);
            edits.push(edit);
        }
        self.snapshot.version = version;
        let last = edits.last().map(|edit| (edit.range.start + edit.new_text.len(), edit.new_text.len()));
        // The tree is taken out first, because no tree is better than one of another text if parsing panics.
        self.snapshot.parsed = self.snapshot.parsed.take().and_then(|parsed| parsed.edit(&edits, &self.snapshot.text));
        self.parse_later_without_tree();
        last
    }

    /// Schedules a parse at a pause if the document has no tree and could have one.
    fn parse_later_without_tree(&mut self) {
        let Snapshot { text, parsed, language, .. } = &self.snapshot;
        self.parse_later.at = None;
        if parsed.is_none() && language.is_some() && text.len_bytes() <= MAX_PARSE_BYTES {
            self.parse_later.schedule(Instant::now());
        }
    }

    /// Parses the document if that is due.
    pub(super) fn parse_if_due(&mut self, now: Instant) {
        let Some(language) = self.snapshot.language.filter(|_| self.parse_later.at.is_some_and(|at| at <= now)) else {
            return;
        };
        self.parse_later.at = None;
        let parsed = Parsed::parse(language, &self.snapshot.text);
        tracing::debug!(language = language.id, has_tree = parsed.is_some(), "parsed in a pause");
        self.parse_later.parsed(parsed.is_some(), Instant::now());
        self.snapshot.parsed = parsed;
    }

    /// When [`Document::parse_if_due`] has something to do.
    pub(super) fn parse_due_at(&self) -> Option<Instant> {
        self.parse_later.due_at()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn open(text: &str) -> Document {
        let item = json!({"uri": "file:///a.rs", "languageId": "rust", "version": 1, "text": text});
        Document::open(1, serde_json::from_value(item).expect("a document"))
    }

    fn changed(document: &mut Document, json: serde_json::Value) {
        let changes = serde_json::from_value(json).expect("changes");
        document.apply(2, changes, PositionEncoding::Utf16, |_, _, _| {});
    }

    #[test]
    fn a_tree_that_was_lost_comes_back_at_a_pause() {
        let mut document = open("fn f() {}\n");
        assert_eq!(document.parse_later.due_at(), None);
        // As if the last edit had taken too long to parse.
        document.snapshot.parsed = None;
        changed(
            &mut document,
            json!([{"range": {"start": {"line": 0, "character": 8}, "end": {"line": 0, "character": 8}}, "text": "\n"}]),
        );
        let due = document.parse_later.due_at().expect("it is to be parsed later");
        document.parse_if_due(due - Duration::from_millis(1));
        assert!(document.snapshot.parsed.is_none(), "while somebody types");
        document.parse_if_due(due);
        let parsed = document.snapshot.parsed.as_ref().expect("it is parsed");
        assert_eq!(*parsed.text(), document.snapshot.text);
        assert_eq!(document.parse_later.due_at(), None);
    }

    #[test]
    fn what_always_takes_too_long_is_tried_less_and_less() {
        let (mut later, mut now) = (ParseLater::default(), Instant::now());
        later.schedule(now);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let due = later.due_at().expect("it is to be parsed later");
            waits.push((due - now).as_millis());
            now = due;
            later.parsed(false, now);
        }
        assert_eq!(waits, [300, 1200, 4800, 19_200, 76_800, 120_000, 120_000]);
        later.parsed(true, now);
        assert_eq!(later.due_at(), None);
        later.schedule(now);
        assert_eq!(later.due_at(), Some(now + PARSE_LATER));
    }

    #[test]
    fn a_document_keeps_the_line_ending_of_its_client() {
        let mut document = open("a\r\nb\r\n");
        assert_eq!((document.snapshot.text.to_string().as_str(), document.line_ending), ("a\nb\n", LineEnding::CrLf));
        let at = |line: u32, character: u32| json!({"line": line, "character": character});
        changed(&mut document, json!([{"range": {"start": at(1, 1), "end": at(1, 1)}, "text": "\n"}]));
        assert_eq!(document.line_ending, LineEnding::CrLf, "one line says nothing");
        changed(&mut document, json!([{"range": {"start": at(0, 0), "end": at(3, 0)}, "text": "a\nb\n"}]));
        assert_eq!((document.snapshot.text.to_string().as_str(), document.line_ending), ("a\nb\n", LineEnding::Lf));

        let mut document = open("");
        assert_eq!(document.line_ending, LineEnding::Lf);
        changed(&mut document, json!([{"range": {"start": at(0, 0), "end": at(0, 0)}, "text": "x\r\n"}]));
        assert_eq!((document.snapshot.text.to_string().as_str(), document.line_ending), ("x\n", LineEnding::CrLf));
        changed(&mut document, json!([{"text": "a\rb\r"}]));
        assert_eq!((document.snapshot.text.to_string().as_str(), document.line_ending), ("a\nb\n", LineEnding::Cr));
    }
}
