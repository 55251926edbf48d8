//! Questions to the assistant in the protocol: the command of a code action, and `phi-ls/answer`.

use serde::{Deserialize, Serialize};
use tower_lsp_server::gen_lsp_types as lsp;
use tower_lsp_server::gen_lsp_types::{LspNotificationMethod, MessageDirection, Notification};

use crate::engine::Generation;
use crate::features::code_actions::Action;

/// The arguments of an action's command; a client may also build them itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AskArguments {
    pub uri: lsp::Uri,
    /// The version the ranges belong to; without one they are taken to belong to the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub action: Action,
    /// The title of the question in the menu.
    #[serde(default)]
    pub title: String,
    /// The code it is about.
    pub range: lsp::Range,
    /// It is about exactly these lines, not about the item around them.
    #[serde(default)]
    pub exact: bool,
    /// The problem it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostic: Option<lsp::Diagnostic>,
    /// The person's own words, for a refactoring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
}

/// A question that follows an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FollowUpArguments {
    /// The `id` of the `phi-ls/answer` it follows.
    pub answer: u64,
    pub question: String,
}

/// What a commit's message is written for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitArguments {
    /// A folder or file in the repository, or the file that git takes the message from.
    pub uri: lsp::Uri,
}

/// The parameters of `phi-ls/answer`: a piece of an answer, or its end.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerParams {
    /// The same in all messages of one answer.
    pub id: u64,
    /// The answer whose conversation this one continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<u64>,
    pub uri: String,
    pub title: String,
    /// The model's own name, empty until it is known.
    pub model: String,
    /// Markdown that follows what came before.
    pub delta: String,
    pub done: bool,
    /// At the end: the whole text. If it differs from the pieces, the whole text counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// At the end: why there is no answer, or why it was not applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// At the end: what the answer cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
}

/// What an answer cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    pub prompt_tokens: usize,
    /// Tokens of the prompt that were read already.
    pub cached_tokens: usize,
    pub generated_tokens: usize,
    /// Tokens that were guessed right, so that they took no pass of their own.
    pub accepted_tokens: usize,
    pub time_to_first_token_ms: u64,
    pub total_ms: u64,
}

impl From<&Generation> for Timings {
    fn from(generation: &Generation) -> Self {
        Self {
            prompt_tokens: generation.prompt_tokens,
            cached_tokens: generation.cached_tokens,
            generated_tokens: generation.generated_tokens,
            accepted_tokens: generation.accepted_tokens,
            time_to_first_token_ms: generation.time_to_first_token.as_millis() as u64,
            total_ms: generation.total.as_millis() as u64,
        }
    }
}

/// The notification itself.
#[derive(Debug)]
pub enum AnswerNotification {}

impl Notification for AnswerNotification {
    const METHOD: LspNotificationMethod<'static> = LspNotificationMethod::Custom("phi-ls/answer");
    const MESSAGE_DIRECTION: MessageDirection = MessageDirection::ServerToClient;
    type Params = AnswerParams;
}
