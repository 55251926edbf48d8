//! Open documents: text, syntax tree and what is known and running for each.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_lsp_server::gen_lsp_types as lsp;

use super::Session;
use super::completions::Running;
use super::next::Next;
use super::recall::{Recall, likely_cursors};
use crate::config::{Enabled, ExcludeMatcher, exclude};
use crate::context::{Anchor, Snapshot};
use crate::engine::CancelFlag;
use crate::lsp::from_proto;
use crate::lsp::switch::SetCompletionsParams;
use crate::syntax::{Language, Parsed};
use crate::text::{Edit, PositionEncoding, Rope, apply_edit};

/// After an edit nobody asks a completion for, the prompt is prefilled when nothing else comes for this long. Clients
/// that ask at every key do it within about 50 ms.
const WARM_UP_AFTER: Duration = Duration::from_millis(80);

/// One open document.
pub(super) struct Document {
    /// Names it to the engine.
    pub number: u64,
    pub snapshot: Snapshot,
    /// The file behind it, `None` for a text that is no file.
    pub file: Option<PathBuf>,
    /// Looks like a secret or is ignored: nothing of it enters a prompt.
    pub excluded: bool,
    /// The person has turned completions off in it.
    pub off: bool,
    /// Where its prompts begin, so that one edit does not move them.
    pub anchor: Anchor,
    pub recall: Recall,
    pub running: Option<Running>,
    /// Cancels the prefill nobody has asked for yet.
    pub warm_up: Option<CancelFlag>,
    /// When to begin one, and where.
    pub warm_up_at: Option<(Instant, usize)>,
    /// The completion that is prepared for the case that the one on screen is accepted.
    pub next: Option<Next>,
}

impl Document {
    fn open(number: u64, item: lsp::TextDocumentItem, roots: &[PathBuf], exclude: &ExcludeMatcher) -> Self {
        let file = from_proto::file_path(&item.uri);
        let language_id = from_proto::language_id(item.language_id);
        let by_path = || file.as_deref().and_then(Language::by_path);
        let language = Language::by_id(&language_id).or_else(by_path);
        let text = Rope::from_str(&item.text);
        let parsed = language.and_then(|language| Parsed::parse(language, &text));
        let root = file.as_ref().and_then(|file| roots.iter().find(|root| file.starts_with(root)));
        let path = match (&file, root) {
            (Some(file), Some(root)) => file.strip_prefix(root).ok().map(PathBuf::from),
            // Outside the workspace, folders say more about the person than about the code.
            (Some(file), None) => file.file_name().map(PathBuf::from),
            (None, _) => None,
        };
        let snapshot =
            Snapshot { text, version: item.version, parsed, language, language_id, path, cells: Arc::default() };
        let mut document = Self {
            number,
            snapshot,
            file,
            excluded: false,
            off: false,
            anchor: Anchor::default(),
            recall: Recall::default(),
            running: None,
            warm_up: None,
            warm_up_at: None,
            next: None,
        };
        document.excluded = document.is_excluded(exclude, roots);
        document
    }

    /// Whether secrets' names, the settings or ignore files keep it out of prompts.
    pub(super) fn is_excluded(&self, matcher: &ExcludeMatcher, roots: &[PathBuf]) -> bool {
        let Some(file) = &self.file else { return false };
        let root = roots.iter().find(|root| file.starts_with(root));
        let relative = root.and_then(|root| file.strip_prefix(root).ok()).unwrap_or(file);
        matcher.excludes(relative) || root.is_some_and(|root| exclude::ignored_by_files(root, file))
    }

    /// Applies the changes of one notification; returns where the last of them ends and how many bytes it inserted.
    fn apply(
        &mut self,
        version: i32,
        changes: Vec<lsp::TextDocumentContentChangeEvent>,
        encoding: PositionEncoding,
    ) -> Option<(usize, usize)> {
        let mut edits: Vec<Edit> = Vec::with_capacity(changes.len());
        let text = &mut self.snapshot.text;
        for change in changes {
            let edit = from_proto::edit(text, change, encoding);
            apply_edit(text, &edit);
            edits.push(edit);
        }
        self.snapshot.version = version;
        let last = edits.last().map(|edit| (edit.range.start + edit.new_text.len(), edit.new_text.len()));
        // Taken out first: if parsing panics, no tree is better than one of another text.
        self.snapshot.parsed = self.snapshot.parsed.take().and_then(|parsed| parsed.edit(&edits, &self.snapshot.text));
        last
    }

    /// Cancels whatever runs for it; who waits is answered with an empty list.
    pub(super) fn cancel_jobs(&mut self) {
        self.warm_up_at = None;
        if let Some(warm_up) = self.warm_up.take() {
            warm_up.cancel();
        }
        if let Some(next) = self.next.take() {
            next.cancel.cancel();
        }
        if let Some(running) = self.running.take() {
            running.give_up();
        }
    }
}

impl Session {
    pub(super) fn open(&mut self, item: lsp::TextDocumentItem) {
        let uri = item.uri.clone();
        if from_proto::answer_number(&uri).is_some() {
            return tracing::debug!(uri = uri.0, "an answer of ours is open");
        }
        let document = Document::open(self.numbers.next(), item, &self.roots, &self.exclude);
        tracing::debug!(uri = uri.0, language = document.snapshot.language_id, excluded = document.excluded, "opened");
        if let Some(mut replaced) = self.documents.insert(uri, document) {
            replaced.cancel_jobs();
            self.end_pointless_asks();
        }
        self.load_if_wanted();
    }

    /// Starts the engine once a document is open that can have completions.
    pub(super) fn load_if_wanted(&mut self) {
        let wanted = self.documents.values().any(|document| {
            let language = self.settings.completion.language(&document.snapshot.language_id);
            !document.excluded && !document.off && language != Enabled::Off
        });
        if wanted {
            self.resident.start();
        }
    }

    pub(super) fn change(&mut self, params: lsp::DidChangeTextDocumentParams) {
        let uri = params.text_document.text_document_identifier.uri;
        let Some(document) = self.documents.get_mut(&uri) else {
            tracing::debug!(uri = uri.0, "a change of a document that is not open");
            return;
        };
        let edited = document.apply(params.text_document.version, params.content_changes, self.client.encoding);
        let Some((end, inserted)) = edited else { return };
        let cursors = likely_cursors(&document.snapshot.text, end, inserted);
        if inserted > 0 {
            let rejected = document.recall.note_typed(&document.snapshot.text, &cursors);
            if let Some(next) = document.next.take_if(|_| rejected) {
                next.cancel.cancel();
            }
            if !document.off {
                document.warm_up_at = Some((Instant::now() + WARM_UP_AFTER, cursors[0]));
            }
        }
        document.running_after_edit(&cursors);
        self.update_cells(&uri);
    }

    /// Turns completions in one document off or on: where they are off, nothing is computed.
    pub(super) fn set_completions(&mut self, params: &SetCompletionsParams) {
        let Some(document) = self.documents.get_mut(&params.uri) else {
            return tracing::debug!(uri = params.uri.0, "completions are set for a document that is not open");
        };
        document.off = !params.enabled;
        if document.off {
            document.cancel_jobs();
        }
        self.load_if_wanted();
    }

    pub(super) fn close(&mut self, uri: &lsp::Uri) {
        match self.documents.remove(uri) {
            Some(mut document) => document.cancel_jobs(),
            None => tracing::debug!(uri = uri.0, "a document was closed that is not open"),
        }
        self.end_pointless_asks();
    }
}
