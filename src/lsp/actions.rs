//! Code actions and edits as an editor expects them, limited to the capabilities it declares.

use std::collections::HashMap;

use serde_json::Value;
use tower_lsp_server::gen_lsp_types as lsp;

use super::ASK_COMMAND;
use super::ask::AskArguments;
use super::from_proto::{self, Client};
use super::to_proto;
use crate::context::{Problem, Snapshot};
use crate::features::code_actions::{ActionKind, Diagnostic, Offer, Severity};
use crate::text::{Edit, LineEnding, PositionEncoding, Rope};

/// An edit that touches more lines than this is confirmed before it is applied, if the client supports that.
const CONFIRMED_FROM_LINES: usize = 20;

/// The only change annotation of an edit.
const ANNOTATION: &str = "phi-ls";

/// A client's diagnostic in bytes of `text`; `None` when it is outside of it.
pub fn diagnostic(text: &Rope, diagnostic: &lsp::Diagnostic, encoding: PositionEncoding) -> Option<Diagnostic> {
    if diagnostic.range.start.line as usize >= text.len_lines() {
        return None;
    }
    let start = from_proto::offset(text, diagnostic.range.start, encoding);
    let end = from_proto::offset(text, diagnostic.range.end, encoding).max(start);
    let message = match &diagnostic.message {
        lsp::Message::String(message) => message.clone(),
        lsp::Message::MarkupContent(markup) => markup.value.clone(),
    };
    let related = diagnostic.related_information.iter().flatten();
    let related =
        related.map(|related| format!("{} (line {})", related.message, related.location.range.start.line + 1));
    let severity = match diagnostic.severity {
        Some(lsp::DiagnosticSeverity::Error) | None => Severity::Error,
        Some(lsp::DiagnosticSeverity::Warning) => Severity::Warning,
        Some(lsp::DiagnosticSeverity::Information) => Severity::Information,
        Some(_) => Severity::Hint,
    };
    let problem = Problem { range: start..end, message, source: diagnostic.source.clone(), related: related.collect() };
    Some(Diagnostic { problem, severity })
}

/// The actions offered in the document `uri`. Each carries a command, so that no client needs to resolve it.
pub fn code_actions(
    offers: Vec<Offer>,
    snapshot: &Snapshot,
    uri: &lsp::Uri,
    diagnostics: &[lsp::Diagnostic],
    disabled: Option<&str>,
    client: Client,
) -> Vec<lsp::CodeActionResponse> {
    let action = |offer: Offer| {
        let diagnostic = offer.diagnostic.and_then(|index| diagnostics.get(index)).cloned();
        let arguments = AskArguments {
            uri: uri.clone(),
            version: Some(snapshot.version),
            action: offer.action,
            title: offer.title.clone(),
            range: to_proto::range(&snapshot.text, &offer.target, client.encoding),
            exact: offer.exact,
            diagnostic: diagnostic.clone(),
            instruction: None,
        };
        let command = lsp::Command {
            title: offer.title.clone(),
            tooltip: None,
            command: ASK_COMMAND.to_owned(),
            arguments: Some(vec![serde_json::to_value(arguments).unwrap_or(Value::Null)]),
        };
        if !client.code_action_literals {
            return lsp::CodeActionResponse::Command(command);
        }
        lsp::CodeActionResponse::CodeAction(lsp::CodeAction {
            title: offer.title,
            kind: (offer.action.kind() != ActionKind::Answer).then(|| offer.action.kind().as_str().to_owned().into()),
            diagnostics: diagnostic.map(|diagnostic| vec![diagnostic]),
            disabled: disabled.map(|reason| lsp::CodeActionDisabled { reason: reason.to_owned() }),
            command: disabled.is_none().then_some(command),
            ..lsp::CodeAction::default()
        })
    };
    offers.into_iter().map(action).collect()
}

/// `edits` of version `version` of the document `uri`, whose text is `text` and has its lines end with `line_ending`.
pub fn document_edit(
    (text, line_ending): (&Rope, LineEnding),
    uri: &lsp::Uri,
    version: Option<i32>,
    edits: &[Edit],
    title: &str,
    client: Client,
) -> lsp::WorkspaceEdit {
    let proto = |edit: &Edit| lsp::TextEdit {
        range: to_proto::range(text, &edit.range, client.encoding),
        new_text: line_ending.end_lines(&edit.new_text).into_owned(),
    };
    let plain = edits.iter().map(proto);
    if !client.document_changes {
        let changes = HashMap::from([(uri.clone(), plain.collect())]);
        return lsp::WorkspaceEdit { changes: Some(changes), ..lsp::WorkspaceEdit::default() };
    }
    let confirmed = client.change_annotations && changed_lines(text, edits) > CONFIRMED_FROM_LINES;
    let edit = |text_edit| match confirmed {
        true => {
            lsp::Edit::AnnotatedTextEdit(lsp::AnnotatedTextEdit { annotation_id: ANNOTATION.to_owned(), text_edit })
        }
        false => lsp::Edit::TextEdit(text_edit),
    };
    let annotation = lsp::ChangeAnnotation {
        label: format!("phi-ls: {title}"),
        needs_confirmation: Some(true),
        ..lsp::ChangeAnnotation::default()
    };
    let change = text_document_edit(uri, version, plain.map(edit).collect());
    lsp::WorkspaceEdit {
        changes: None,
        document_changes: Some(vec![change]),
        change_annotations: confirmed.then(|| HashMap::from([(ANNOTATION.to_owned(), annotation)])),
    }
}

/// A new file `uri` that holds `text`, its lines ended with `line_ending`; the edit fails where the file exists.
pub fn new_file(uri: &lsp::Uri, text: &str, line_ending: LineEnding) -> lsp::WorkspaceEdit {
    let options = lsp::CreateFileOptions { overwrite: Some(false), ignore_if_exists: Some(false) };
    let create = lsp::CreateFile { uri: uri.clone(), options: Some(options), annotation_id: None };
    let insert = lsp::TextEdit { range: lsp::Range::default(), new_text: line_ending.end_lines(text).into_owned() };
    lsp::WorkspaceEdit {
        changes: None,
        document_changes: Some(vec![
            lsp::DocumentChange::CreateFile(create),
            text_document_edit(uri, None, vec![lsp::Edit::TextEdit(insert)]),
        ]),
        change_annotations: None,
    }
}

fn text_document_edit(uri: &lsp::Uri, version: Option<i32>, edits: Vec<lsp::Edit>) -> lsp::DocumentChange {
    lsp::DocumentChange::TextDocumentEdit(lsp::TextDocumentEdit {
        text_document: lsp::OptionalVersionedTextDocumentIdentifier {
            version,
            text_document_identifier: lsp::TextDocumentIdentifier { uri: uri.clone() },
        },
        edits,
    })
}

/// Lines that are replaced or inserted, whichever are more.
fn changed_lines(text: &Rope, edits: &[Edit]) -> usize {
    let lines = |edit: &Edit| {
        let replaced = text.byte_to_line(edit.range.end) - text.byte_to_line(edit.range.start);
        replaced.max(edit.new_text.lines().count())
    };
    edits.iter().map(lines).sum()
}
