//! `phi-ls/setCompletions`: our own notification, with which a client turns completions off and on in one document.

use serde::{Deserialize, Serialize};
use tower_lsp_server::gen_lsp_types::Uri;

/// The name of the notification.
pub const SET_COMPLETIONS: &str = "phi-ls/setCompletions";

/// Its parameters. Completions are on in a document when it is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetCompletionsParams {
    pub uri: Uri,
    pub enabled: bool,
}
