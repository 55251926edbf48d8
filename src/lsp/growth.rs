//! `phi-ls/completionGrew`: our own notification for clients that show a completion while it is still written. It is
//! sent to clients that declare the capability `experimental.phiLs.completionGrew`.

use serde::{Deserialize, Serialize};
use tower_lsp_server::gen_lsp_types::{LspNotificationMethod, MessageDirection, Notification, Position, Uri};

/// Its parameters: there is more of the completion that was last returned for this document. A client that asks again
/// gets it at once, and is notified again when there is still more. The notification may arrive before an answer that
/// was sent earlier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionGrewParams {
    pub uri: Uri,
    /// The version of the document that `position` is in.
    pub version: i32,
    /// Where the cursor is, as far as the server knows.
    pub position: Position,
}

/// The notification itself.
#[derive(Debug)]
pub enum CompletionGrewNotification {}

impl Notification for CompletionGrewNotification {
    const METHOD: LspNotificationMethod<'static> = LspNotificationMethod::Custom("phi-ls/completionGrew");
    const MESSAGE_DIRECTION: MessageDirection = MessageDirection::ServerToClient;
    type Params = CompletionGrewParams;
}
