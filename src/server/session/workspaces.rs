//! Which workspace each document belongs to, and whether it may be read: looked at when a document opens, when folders,
//! settings or ignore files change, when it is saved, and when somebody asks by hand.

use std::sync::Arc;

use tower_lsp_server::gen_lsp_types as lsp;

use super::Session;
use crate::lsp::from_proto;
use crate::workspace::IGNORE_FILES;

impl Session {
    /// `workspace/didChangeWorkspaceFolders`.
    pub(super) fn folders_changed(&mut self, event: &lsp::WorkspaceFoldersChangeEvent) {
        let workspaces = Arc::make_mut(&mut self.workspaces);
        let paths = |folders: &[lsp::WorkspaceFolder]| -> Vec<_> {
            folders.iter().filter_map(|folder| from_proto::file_path(&folder.uri)).collect()
        };
        paths(&event.removed).iter().for_each(|folder| workspaces.remove(folder));
        paths(&event.added).iter().for_each(|folder| workspaces.add(folder));
        self.index_new_workspaces();
        self.look_at_documents();
    }

    /// Makes the project around the document `uri` a workspace if it is in none.
    pub(super) fn add_workspace_around(&mut self, uri: &lsp::Uri) {
        let Some(file) = from_proto::file_path(uri) else { return };
        if self.workspaces.refusal(&file).is_none() && Arc::make_mut(&mut self.workspaces).add_around(&file) {
            self.index_new_workspaces();
        }
    }

    /// Finds out where the document `uri` is now and whether it may be read, and says what is new about that.
    pub(super) fn look_at(&mut self, uri: &lsp::Uri) {
        let Some(document) = self.documents.get_mut(uri) else { return };
        let refusal = match from_proto::file_behind(uri) {
            Some(file) => self.workspaces.refusal(&file),
            None => self.workspaces.refusal_of_name(&from_proto::path_in(uri)),
        };
        document.place = document.file.as_ref().map(|file| self.workspaces.place_of(file));
        document.snapshot.path = document.place.as_ref().map(|place| place.shown.clone());
        if document.refusal != refusal {
            tracing::debug!(uri = uri.0, refusal = refusal.as_ref().map(ToString::to_string), "may it be read?");
            document.refusal = refusal;
            document.cancel_jobs();
            document.recall.clear();
            self.end_pointless_asks();
            self.load_if_wanted();
        }
        self.tell_document_status(uri);
    }

    pub(super) fn look_at_documents(&mut self) {
        let uris: Vec<_> = self.documents.keys().cloned().collect();
        uris.iter().for_each(|uri| self.look_at(uri));
    }

    /// Files were saved, or the client has seen them change.
    pub(super) fn files_changed(&mut self, uris: &[lsp::Uri]) {
        let files: Vec<_> = uris.iter().filter_map(from_proto::file_path).collect();
        if files.iter().any(|file| IGNORE_FILES.iter().any(|name| file.ends_with(name))) {
            // What the index holds was let pass by other rules; it is made again when it is wanted.
            self.indexer = None;
            return self.look_at_documents();
        }
        uris.iter().for_each(|uri| self.look_at(uri));
        if let Some(indexer) = &self.indexer {
            files.into_iter().for_each(|path| indexer.refresh(path));
        }
    }
}
