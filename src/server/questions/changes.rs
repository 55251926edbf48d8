//! Turns the change in an answer into an edit of the documents as they are now.

use tower_lsp_server::gen_lsp_types as lsp;

use super::pending::Pending;
use crate::context::{Snapshot, read_neighbour};
use crate::features::answering::Plan;
use crate::features::edit::{self, Change};
use crate::lsp::from_proto::Client;
use crate::lsp::{actions, to_proto};
use crate::server::documents::{Document, Documents};
use crate::text::{Edit, LineEnding, Rope, with_line_feeds};

/// The edit that makes `change`, which is the answer to `question`, in a form that `client` supports.
///
/// # Errors
/// A message for the person, if the change cannot be made.
pub(super) fn workspace_edit(
    question: &Pending,
    change: &Change,
    documents: &Documents,
    client: Client,
) -> Result<lsp::WorkspaceEdit, String> {
    let Plan::Edit(plan, asked_about) = &question.plan else { return Err("this is to be read".to_owned()) };
    let document = question.about.as_ref().and_then(|about| documents.get(&about.uri));
    let document = document.ok_or("the document was closed in the meantime")?;
    let uri = &document.uri;
    let moved = |edits: &[Edit], target, before, now| {
        edit::rebased(edits, target, before, now).ok_or("this code was edited while the model was answering; ask again")
    };
    if !client.apply_edit {
        return Err("this editor cannot apply edits from a language server".to_owned());
    }
    let line_ending = document.line_ending;
    Ok(match change {
        Change::Edits(edits) => {
            let Snapshot { text, version, .. } = &document.snapshot;
            let edits = moved(edits, &plan.target, &asked_about.text, text)?;
            actions::document_edit((text, line_ending), uri, Some(*version), &edits, &question.title, client)
        }
        Change::OtherFile { path, before, edits } => {
            let open = documents.iter().find(|document| document.file.as_ref() == Some(path));
            let (uri, now, version, line_ending) = match open {
                Some(Document { uri, snapshot, line_ending, .. }) => {
                    (uri.clone(), snapshot.text.clone(), Some(snapshot.version), *line_ending)
                }
                None => {
                    let now = read_neighbour(path)?.ok_or("the test file no longer exists")?;
                    let line_ending = LineEnding::of(&now);
                    (to_proto::file_uri(path), Rope::from_str(&with_line_feeds(now)), None, line_ending)
                }
            };
            let edits = moved(edits, &(0..0), before, &now)?;
            actions::document_edit((&now, line_ending), &uri, version, &edits, &question.title, client)
        }
        Change::NewFile { path, text } => {
            if document.file.is_none() {
                return Err(match uri.0.starts_with("untitled:") {
                    true => "save the document first; the new file goes beside it",
                    false => "the new file goes beside the document, which is not a file on this machine",
                }
                .to_owned());
            }
            if !(client.create_files && client.document_changes) {
                return Err("this editor cannot create files for a language server".to_owned());
            }
            if path.exists() {
                return Err(format!("{} already exists", path.display()));
            }
            actions::new_file(&to_proto::file_uri(path), text, line_ending)
        }
    })
}
