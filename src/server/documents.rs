//! The open documents: by URI and number, as cells of notebooks, and as sources of code for questions.

mod document;
mod notebooks;
mod recent_edits;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tower_lsp_server::gen_lsp_types as lsp;

use super::event::NotebookEvent;
use crate::context::{Cell, OpenFile, OtherCells, Snapshot, Surroundings, WorkspaceIndex};
use crate::text::{Rope, line_content};
pub(super) use document::Document;
use notebooks::Notebooks;
use recent_edits::RecentEdits;

/// The documents that the client has opened.
#[derive(Default)]
pub(super) struct Documents {
    open: HashMap<lsp::Uri, Document>,
    notebooks: Notebooks,
    recent_edits: RecentEdits,
    /// How many have been opened, which gives them their numbers.
    opened: u64,
}

impl Documents {
    pub(super) fn get(&self, uri: &lsp::Uri) -> Option<&Document> {
        self.open.get(uri)
    }

    pub(super) fn get_mut(&mut self, uri: &lsp::Uri) -> Option<&mut Document> {
        self.open.get_mut(uri)
    }

    /// The document with this number, if it is still open.
    pub(super) fn numbered(&self, number: u64) -> Option<&Document> {
        self.iter().find(|document| document.number == number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Document> + Clone {
        self.open.values()
    }

    /// Opens `item`. Returns the number of the document that it replaces, if the client has not closed that.
    pub(super) fn open(&mut self, item: lsp::TextDocumentItem) -> Option<u64> {
        self.opened += 1;
        let document = Document::open(self.opened, item);
        tracing::debug!(uri = document.uri.0, language = document.snapshot.language_id, "opened");
        self.open.insert(document.uri.clone(), document).map(|replaced| replaced.number)
    }

    /// The end of the line of `document` that was changed last in this session, if it still exists.
    pub(super) fn last_edit_of(&self, document: &Document) -> Option<usize> {
        let text = &document.snapshot.text;
        let newest_first = self.recent_edits.all().rev().filter(|edit| edit.path.is_some());
        let mut lines = newest_first.filter(|edit| edit.path == document.snapshot.path).map(|edit| &edit.after);
        lines.find_map(|after| {
            let line =
                (0..text.len_lines()).find(|line| text.byte_slice(line_content(text, *line)) == after.as_str())?;
            Some(line_content(text, line).end)
        })
    }

    /// Closes the document `uri` and returns its number.
    pub(super) fn close(&mut self, uri: &lsp::Uri) -> Option<u64> {
        self.open.remove(uri).map(|closed| closed.number)
    }

    pub(super) fn notebook(&mut self, event: NotebookEvent) {
        self.notebooks.apply(event);
    }

    /// Updates what the document `uri` knows about the other cells of its notebook.
    pub(super) fn update_cells(&mut self, uri: &lsp::Uri) {
        let Some(language_id) = self.open.get(uri).map(|document| &document.snapshot.language_id) else { return };
        let Some((before, after)) = self.notebooks.around(uri) else { return };
        let cells = |uris: &[lsp::Uri]| {
            let open = uris.iter().filter_map(|uri| self.open.get(uri));
            let fit = open.filter(|other| !other.is_excluded() && other.snapshot.language_id == *language_id);
            let cell =
                |other: &Document| Cell { text: other.snapshot.text.clone(), parsed: other.snapshot.parsed.clone() };
            fit.map(cell).collect()
        };
        let cells = Arc::new(OtherCells { before: cells(before), after: cells(after) });
        if let Some(document) = self.open.get_mut(uri) {
            document.snapshot.cells = cells;
        }
    }

    /// Notes that the document `uri` was edited at the offset `start` of its previous text, `before`.
    pub(super) fn note_edit(&mut self, uri: &lsp::Uri, before: &Rope, start: usize) {
        if let Some(document) = self.open.get(uri).filter(|document| !document.is_excluded()) {
            self.recent_edits.note(document, before, start);
        }
    }

    /// Updates what completions in the document `uri` may take from other files: see [`Documents::surroundings`].
    pub(super) fn update_surroundings(&mut self, uri: &lsp::Uri, index: Option<Arc<WorkspaceIndex>>) {
        let surroundings = Arc::new(self.surroundings(uri, index));
        if let Some(document) = self.open.get_mut(uri) {
            document.snapshot.surroundings = surroundings;
        }
    }

    /// Forgets what documents know about other files, and what was changed where, because other files may be excluded
    /// now.
    pub(super) fn forget_surroundings(&mut self) {
        self.recent_edits.clear();
        self.open.values_mut().for_each(|document| document.snapshot.surroundings = Arc::default());
    }

    /// What a prompt about the document `uri` may take from other files: from open documents, and from `index`.
    pub(super) fn surroundings(&self, uri: &lsp::Uri, index: Option<Arc<WorkspaceIndex>>) -> Surroundings {
        let mut others: Vec<_> =
            self.iter().filter(|document| document.uri != *uri && !document.is_excluded()).collect();
        // Newest first, so that the order is always the same.
        others.sort_by_key(|document| std::cmp::Reverse(document.number));
        // The index names files without symbolic links.
        let file = |document: &Document| document.place.as_ref().map(|place| place.file.clone());
        // Their own surroundings do not matter here, and keeping them would build ever longer chains.
        let alone = |document: &Document| Snapshot { surroundings: Arc::default(), ..document.snapshot.clone() };
        let open = |document: &Document| OpenFile { file: file(document), snapshot: alone(document) };
        let edits = self.recent_edits.all().cloned().collect();
        Surroundings { file: self.get(uri).and_then(file), open: others.into_iter().map(open).collect(), index, edits }
    }

    /// When [`Documents::parse_due`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.iter().filter_map(Document::parse_due_at).min()
    }

    /// Parses the documents whose parse took too long at a key.
    pub(super) fn parse_due(&mut self, now: Instant) {
        self.open.values_mut().for_each(|document| document.parse_if_due(now));
    }
}
