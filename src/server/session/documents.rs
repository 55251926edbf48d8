//! Handles changes of documents, files and workspaces. Which workspace a document belongs to, and whether it may be
//! read, is checked when it opens, when folders, settings or ignore files change, when it is saved, and when somebody
//! asks explicitly.

use std::sync::Arc;

use tower_lsp_server::gen_lsp_types as lsp;

use super::Session;
use crate::lsp::reports::DismissedParams;
use crate::lsp::switch::SetCompletionsParams;
use crate::lsp::{from_proto, to_proto};
use crate::server::index::Indexer;
use crate::server::outgoing::Outgoing;
use crate::workspace::IGNORE_FILES;

impl Session {
    pub(super) fn open(&mut self, item: lsp::TextDocumentItem) {
        let uri = item.uri.clone();
        if from_proto::answer_number(&uri).is_some() {
            return tracing::debug!(uri = uri.0, "an answer of ours is open");
        }
        if let Some(replaced) = self.documents.open(item) {
            self.gone(replaced);
        }
        self.add_workspace_around(&uri);
        self.look_at(&uri);
        self.expect_completions(&uri);
        self.load_if_wanted();
        self.index_workspaces();
    }

    /// Prepares for completions in the document `uri`, which has just been opened.
    fn expect_completions(&mut self, uri: &lsp::Uri) {
        let workspaces = &self.workspaces;
        if let Some(document) = self.documents.get(uri) {
            let edited = self.documents.last_edit_of(document);
            self.completions.opened(document, edited, |file| workspaces.refusal(file).is_none());
        }
    }

    pub(super) fn change(&mut self, params: lsp::DidChangeTextDocumentParams) {
        let uri = params.text_document.text_document_identifier.uri;
        let Some(document) = self.documents.get_mut(&uri) else {
            return tracing::debug!(uri = uri.0, "change of a document that is not open");
        };
        let (number, version, completions) = (document.number, params.text_document.version, &mut self.completions);
        let (before, mut start) = (document.snapshot.text.clone(), None);
        let edited = document.apply(version, params.content_changes, self.client.encoding, |range, len, inserted| {
            completions.note_edit(number, range, len, inserted);
            start = start.or(Some(range.start));
        });
        let Some((end, inserted)) = edited else { return };
        completions.edited(document, end, inserted);
        self.documents.note_edit(&uri, &before, start.unwrap_or(end));
        self.update_surroundings(&uri);
        self.documents.update_cells(&uri);
    }

    pub(super) fn close(&mut self, uri: &lsp::Uri) {
        if let Some(document) = self.documents.get(uri) {
            self.completions.keep_window(document);
        }
        match self.documents.close(uri) {
            Some(closed) => self.gone(closed),
            None => tracing::debug!(uri = uri.0, "close of a document that is not open"),
        }
    }

    /// Forgets the document with this number, which is no longer open.
    fn gone(&mut self, document: u64) {
        self.completions.close(document);
        self.questions.end_pointless(&self.documents, &self.engines);
        self.after_questions();
    }

    /// Turns completions in one document off or on.
    pub(super) fn set_completions(&mut self, params: &SetCompletionsParams) {
        let Some(document) = self.documents.get(&params.uri) else {
            return tracing::debug!(uri = params.uri.0, "completions were switched for a document that is not open");
        };
        self.completions.set_enabled(document, params.enabled);
        self.load_if_wanted();
    }

    /// Notes that the person has dismissed what was shown in a document.
    pub(super) fn dismissed(&mut self, params: &DismissedParams) {
        if let Some(document) = self.documents.get(&params.uri) {
            self.completions.dismissed(document.number);
        }
    }

    /// Finds out which workspace the document `uri` belongs to and whether it may be read, and passes on what has
    /// changed.
    pub(super) fn look_at(&mut self, uri: &lsp::Uri) {
        let Some(document) = self.documents.get_mut(uri) else { return };
        let refusal = match from_proto::file_behind(uri) {
            Some(file) => self.workspaces.refusal(&file),
            None => self.workspaces.refusal_of_name(&from_proto::path_in(uri)),
        };
        // Until now, prompts about other documents could contain code of this one.
        let was_lent = document.place.is_some() && document.refusal.is_none();
        document.place = document.file.as_ref().map(|file| self.workspaces.location_of(file));
        document.snapshot.path = document.place.as_ref().map(|place| place.shown.clone());
        if document.refusal != refusal {
            tracing::debug!(uri = uri.0, refusal = refusal.as_ref().map(ToString::to_string), "may it be read?");
            document.refusal = refusal;
            self.completions.refusal_changed(document);
            if was_lent {
                self.forget_other_files();
            }
            self.questions.end_pointless(&self.documents, &self.engines);
            self.after_questions();
            self.load_if_wanted();
        }
        if let Some(document) = self.documents.get(uri) {
            self.completions.tell_status(document);
        }
    }

    /// Updates what completions in the document `uri` may take from other files.
    pub(super) fn update_surroundings(&mut self, uri: &lsp::Uri) {
        if self.settings.completion.other_files {
            self.documents.update_surroundings(uri, self.indexer.as_ref().map(Indexer::index));
        }
    }

    /// Forgets the code of other files, because what may be read has changed. Later prompts contain nothing that is no
    /// longer allowed.
    pub(super) fn forget_other_files(&mut self) {
        self.documents.forget_surroundings();
        self.completions.forget_windows();
    }

    pub(super) fn look_at_documents(&mut self) {
        let uris: Vec<_> = self.documents.iter().map(|document| document.uri.clone()).collect();
        uris.iter().for_each(|uri| self.look_at(uri));
    }

    /// `workspace/didChangeWorkspaceFolders`.
    pub(super) fn folders_changed(&mut self, event: &lsp::WorkspaceFoldersChangeEvent) {
        let workspaces = Arc::make_mut(&mut self.workspaces);
        let paths = |folders: &[lsp::WorkspaceFolder]| -> Vec<_> {
            folders.iter().filter_map(|folder| from_proto::file_path(&folder.uri)).collect()
        };
        paths(&event.removed).iter().for_each(|folder| workspaces.remove(folder));
        paths(&event.added).iter().for_each(|folder| workspaces.add(folder));
        self.workspaces_changed();
        self.look_at_documents();
    }

    /// Adds the project around the document `uri` as a workspace if it is in none.
    fn add_workspace_around(&mut self, uri: &lsp::Uri) {
        let Some(file) = from_proto::file_path(uri) else { return };
        if self.workspaces.refusal(&file).is_none() && Arc::make_mut(&mut self.workspaces).add_around(&file) {
            self.workspaces_changed();
        }
    }

    fn workspaces_changed(&self) {
        if let Some(indexer) = &self.indexer {
            indexer.set_workspaces(Arc::clone(&self.workspaces));
        }
    }

    /// Handles files that were saved, or that the client has seen change.
    pub(super) fn files_changed(&mut self, uris: &[lsp::Uri]) {
        let files: Vec<_> = uris.iter().filter_map(from_proto::file_path).collect();
        if files.iter().any(|file| IGNORE_FILES.iter().any(|name| file.ends_with(name))) {
            // The index was built with other rules.
            self.indexer = None;
            self.forget_other_files();
            self.look_at_documents();
            return self.index_workspaces();
        }
        uris.iter().for_each(|uri| self.look_at(uri));
        if let Some(indexer) = &self.indexer {
            files.into_iter().for_each(|path| indexer.refresh(path));
        }
    }

    /// Begins to index the workspaces, once a document is open that may have completions or questions.
    pub(super) fn index_workspaces(&mut self) {
        let is_wanted = self.documents.iter().any(|document| !document.is_excluded());
        if self.indexer.is_some() || !is_wanted || self.workspaces.roots().next().is_none() {
            return;
        }
        match Indexer::start(Arc::clone(&self.workspaces), self.gate.clone(), self.observer.clone()) {
            Ok(indexer) => self.indexer = Some(indexer),
            Err(error) => tracing::warn!("cannot start a thread for the index: {error}"),
        }
    }

    /// Asks the client to report file changes from outside of it.
    pub(super) fn watch_files(&self) {
        if self.client.watched_files {
            self.to_client.send(Outgoing::Register(to_proto::watch_sources()));
        }
    }
}
