//! Why nothing is completed, said: to the client as a document's status, to a person who asks by hand as a message.

use tower_lsp_server::gen_lsp_types as lsp;

use super::Session;
use crate::features::completability::why_not_completed;
use crate::features::inline_completion::Skip;
use crate::lsp::status::DocumentStatusParams;
use crate::server::outgoing::Outgoing;

impl Session {
    /// Tells a client that shows it why nothing is completed in the document `uri`, whenever that changes.
    pub(super) fn tell_document_status(&mut self, uri: &lsp::Uri) {
        let Some(document) = self.documents.get_mut(uri) else { return };
        let (settings, language_id) = (&self.settings.completion, &document.snapshot.language_id);
        let reason = why_not_completed(document.refusal.as_ref(), settings, language_id);
        if document.status == reason {
            return;
        }
        document.status.clone_from(&reason);
        // Another reason is news, and so is an old one that is back.
        document.told = None;
        if self.client.document_status {
            self.tell(Outgoing::DocumentStatus(DocumentStatusParams { uri: uri.clone(), reason }));
        }
    }

    /// Tells a person who has asked for a completion by hand why there is none, once for each reason in a row.
    pub(super) fn tell_skip(&mut self, uri: &lsp::Uri, skip: Skip) {
        let Some(document) = self.documents.get_mut(uri) else { return };
        let reason = document.status.clone().unwrap_or_else(|| format!("not completed: {skip}"));
        if document.told.as_ref() != Some(&reason) {
            document.told = Some(reason.clone());
            self.tell(Outgoing::Message(lsp::MessageType::Info, format!("phi-ls: {reason}")));
        }
    }
}
