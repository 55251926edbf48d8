//! The questions that a person can choose from for a range.

use tower_lsp_server::gen_lsp_types as lsp;

use crate::features::code_actions::{self, Diagnostic};
use crate::features::question::NotAsked;
use crate::lsp::actions;
use crate::lsp::from_proto::{self, Client};
use crate::server::documents::Document;

/// The actions for a range of `document`. No model is asked.
pub(in crate::server) fn offers(
    document: &Document,
    params: &lsp::CodeActionParams,
    client: Client,
) -> Vec<lsp::CodeActionResponse> {
    let excluded = document.refusal.clone().map(|refusal| NotAsked::Excluded(refusal).to_string());
    if excluded.is_some() && !(client.disabled_actions && client.code_action_literals) {
        return Vec::new();
    }
    let snapshot = &document.snapshot;
    let (text, encoding) = (&snapshot.text, client.encoding);
    let known = params.context.diagnostics.iter();
    let known = known.filter_map(|found| Some((found.clone(), actions::diagnostic(text, found, encoding)?)));
    let (found, diagnostics): (Vec<lsp::Diagnostic>, Vec<Diagnostic>) = known.unzip();
    let only: Vec<String> = params.context.only.iter().flatten().cloned().map(String::from).collect();
    let mut offers = code_actions::offers(snapshot, from_proto::range(text, &params.range, encoding), &diagnostics);
    offers.retain(|offer| offer.action.kind().is_wanted(&only));
    actions::code_actions(offers, snapshot, &document.uri, &found, excluded.as_deref(), client)
}
