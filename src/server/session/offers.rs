//! What a person can choose to ask about a range.

use std::ops::Range;

use tokio::sync::oneshot;
use tower_lsp_server::gen_lsp_types as lsp;

use super::Session;
use crate::context::Snapshot;
use crate::features::code_actions::{self, Diagnostic};
use crate::features::question::NotAsked;
use crate::lsp::{actions, from_proto};

impl Session {
    /// The actions for a range, at once: no model is asked.
    pub(super) fn code_actions(
        &self,
        params: &lsp::CodeActionParams,
        reply: oneshot::Sender<Vec<lsp::CodeActionResponse>>,
    ) {
        // Cancelled meanwhile if nobody takes it.
        let _ = reply.send(self.offered(params).unwrap_or_default());
    }

    fn offered(&self, params: &lsp::CodeActionParams) -> Option<Vec<lsp::CodeActionResponse>> {
        let uri = &params.text_document.uri;
        let document = self.documents.get(uri)?;
        let excluded = document.refusal.clone().map(|refusal| NotAsked::Excluded(refusal).to_string());
        let disabled = excluded.as_deref();
        if document.is_excluded() && !(self.client.disabled_actions && self.client.code_action_literals) {
            return None;
        }
        let snapshot = &document.snapshot;
        let (text, encoding) = (&snapshot.text, self.client.encoding);
        let known = params.context.diagnostics.iter();
        let known = known.filter_map(|found| Some((found.clone(), actions::diagnostic(text, found, encoding)?)));
        let (found, diagnostics): (Vec<lsp::Diagnostic>, Vec<Diagnostic>) = known.unzip();
        let only: Vec<String> = params.context.only.iter().flatten().cloned().map(String::from).collect();
        let mut offers = code_actions::offers(snapshot, self.byte_range(snapshot, &params.range), &diagnostics);
        offers.retain(|offer| offer.action.kind().is_wanted(&only));
        Some(actions::code_actions(offers, snapshot, uri, &found, disabled, self.client))
    }

    pub(super) fn byte_range(&self, snapshot: &Snapshot, range: &lsp::Range) -> Range<usize> {
        let offset = |position| from_proto::offset(&snapshot.text, position, self.client.encoding);
        let start = offset(range.start);
        start..offset(range.end).max(start)
    }
}
