//! One message of a trace.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A message of the client, this long after the first one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::cli) struct TraceEntry {
    pub(super) ms: u64,
    pub(super) message: Value,
    #[serde(skip)]
    pub(super) hand: Hand,
}

/// How the text of an edit was entered. Only typing sessions say so; in a recording, all text counts as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::cli) enum Hand {
    #[default]
    Typed,
    /// Accepted from a completion.
    Taken,
    /// Pasted from elsewhere.
    Pasted,
}

impl TraceEntry {
    pub(super) fn new(ms: u64, message: Value) -> Self {
        Self { ms, message, hand: Hand::Typed }
    }

    pub(super) fn method(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    pub(super) fn at(&self) -> Duration {
        Duration::from_millis(self.ms)
    }

    /// A request for a completion, inline or in a popup.
    pub(super) fn asks_for_completion(&self) -> bool {
        matches!(self.method(), "textDocument/inlineCompletion" | "textDocument/completion")
    }
}
