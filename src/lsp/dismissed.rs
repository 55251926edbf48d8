//! `phi-ls/dismissed`: our own notification, with which a client says that the person has dismissed a completion.

use serde::{Deserialize, Serialize};
use tower_lsp_server::gen_lsp_types::Uri;

/// The name of the notification.
pub const DISMISSED: &str = "phi-ls/dismissed";

/// Its parameters: in which document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DismissedParams {
    pub uri: Uri,
}
