//! Our own notifications for an editor's status line: what the completion model is doing (`phi-ls/status`), and why
//! there are no completions in a document (`phi-ls/documentStatus`).

use serde::{Deserialize, Serialize};
use tower_lsp_server::gen_lsp_types::{LspNotificationMethod, MessageDirection, Notification, Uri};

use crate::engine::shared::Sharing;

/// What the model is doing, as an editor's status line shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Loading,
    Ready,
    Busy,
    Error,
}

/// The parameters of `phi-ls/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusParams {
    pub state: State,
    /// A sentence for a person.
    pub message: String,
    /// The model's own name once it is loaded, before that what the settings call it.
    pub model: String,
    /// While loading: how much of it is done, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f32>,
    /// Tokens per second that it writes, once it has written some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f32>,
    /// If the model is in a process that other windows use as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sharing: Option<StatusSharing>,
}

/// Who shares the engine process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusSharing {
    /// The engine process.
    pub process_id: u32,
    /// Servers that use it, this one included.
    pub clients: usize,
    /// The names of the models in its memory.
    pub models: Vec<String>,
}

impl From<Sharing> for StatusSharing {
    fn from(sharing: Sharing) -> Self {
        let Sharing { pid, clients, models } = sharing;
        Self { process_id: pid, clients, models }
    }
}

/// The notification itself.
#[derive(Debug)]
pub enum StatusNotification {}

impl Notification for StatusNotification {
    const METHOD: LspNotificationMethod<'static> = LspNotificationMethod::Custom("phi-ls/status");
    const MESSAGE_DIRECTION: MessageDirection = MessageDirection::ServerToClient;
    type Params = StatusParams;
}

/// The parameters of `phi-ls/documentStatus`, sent when a document opens with a reason and whenever the reason changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentStatusParams {
    pub uri: Uri,
    /// Why there are no completions in it, a sentence that names the rule; `null` if there are.
    pub reason: Option<String>,
}

/// The notification itself.
#[derive(Debug)]
pub enum DocumentStatusNotification {}

impl Notification for DocumentStatusNotification {
    const METHOD: LspNotificationMethod<'static> = LspNotificationMethod::Custom("phi-ls/documentStatus");
    const MESSAGE_DIRECTION: MessageDirection = MessageDirection::ServerToClient;
    type Params = DocumentStatusParams;
}
