//! What a client tells of completions: that the person has sent one away (`phi-ls/dismissed`, of our own), that one is on the
//! screen, and that a part of one was accepted. The last two are notifications of Copilot's language server
//! (`textDocument/didShowCompletion` and `textDocument/didPartiallyAcceptCompletion`), which some clients send already. Of what a
//! client does not tell, the server knows what it sees in the text.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower_lsp_server::gen_lsp_types::{Command, Uri};

/// The name of the notification that the person has sent a completion away.
pub const DISMISSED: &str = "phi-ls/dismissed";

/// The name of the notification that a completion is on the screen.
pub const DID_SHOW: &str = "textDocument/didShowCompletion";

/// The name of the notification that a part of a completion was accepted.
pub const DID_PARTIALLY_ACCEPT: &str = "textDocument/didPartiallyAcceptCompletion";

/// The parameters of [`DISMISSED`]: in which document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DismissedParams {
    pub uri: Uri,
}

/// The parameters of [`DID_SHOW`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DidShowParams {
    pub item: Item,
}

/// The parameters of [`DID_PARTIALLY_ACCEPT`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DidPartiallyAcceptParams {
    pub item: Item,
    /// From the beginning of the item's text, in UTF-16.
    pub accepted_length: usize,
}

/// An item of an answer, as far as it says which it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    #[serde(default)]
    pub insert_text: String,
    /// [`super::ACCEPTED_COMMAND`].
    pub command: Command,
}

impl Item {
    /// The number of the completion and of its item.
    pub fn completion(&self) -> Option<(u64, usize)> {
        completion_in(self.command.arguments.as_deref()?)
    }
}

/// The number of a completion and of its item in the `arguments` of [`super::ACCEPTED_COMMAND`].
pub fn completion_in(arguments: &[Value]) -> Option<(u64, usize)> {
    let [id, index] = arguments else { return None };
    Some((id.as_u64()?, usize::try_from(index.as_u64()?).ok()?))
}
