//! Reports why there is no completion: to the client as the status of the document, and to a person who asked for one
//! as a message.

use tower_lsp_server::gen_lsp_types::MessageType;

use super::document_state::DocumentState;
use crate::config::CompletionSettings;
use crate::features::completability::why_not_completed;
use crate::features::inline_completion::Skip;
use crate::lsp::status::DocumentStatusParams;
use crate::server::documents::Document;
use crate::server::outgoing::ClientSender;

impl DocumentState {
    /// Finds out why there are no completions in `document`. Returns the message for the client, if it is new.
    pub(super) fn new_status(
        &mut self,
        document: &Document,
        settings: &CompletionSettings,
    ) -> Option<DocumentStatusParams> {
        let reason = why_not_completed(document.refusal.as_ref(), settings, &document.snapshot.language_id);
        if self.status == reason {
            return None;
        }
        self.status.clone_from(&reason);
        // A different reason is new, and so is an old one that has returned.
        self.told = None;
        Some(DocumentStatusParams { uri: document.uri.clone(), reason })
    }

    /// Tells a person who asked for a completion why there is none, once for each reason in a row.
    pub(super) fn tell_skip(&mut self, skip: Skip, to_client: &ClientSender) {
        let reason = self.status.clone().unwrap_or_else(|| format!("not completed: {skip}"));
        if self.told.as_ref() != Some(&reason) {
            to_client.message(MessageType::Info, &reason);
            self.told = Some(reason);
        }
    }
}
