//! What can go wrong between this process and a server: a message for the person, and what follows for later requests.

use std::fmt;
use std::time::Duration;

/// A failure: a message for the person, and what it means for later requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    sentence: String,
    pub(super) reach: Reach,
    /// How long the server has asked to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// What a failure affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// All requests: the next one would fail as well, so the server is left alone for a while.
    Server,
    /// This request only.
    Request,
}

impl Fault {
    /// The fault of a `server` that cannot be used now.
    pub(super) fn server(server: &impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { sentence: format!("the model server at {server} {what}"), reach: Reach::Server, retry_after: None }
    }

    /// The fault of a `server` that does not answer this request.
    pub(super) fn request(server: &impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { reach: Reach::Request, ..Self::server(server, what) }
    }

    /// Adds how long the server wants to be left alone.
    pub(super) fn retry_after(self, wait: Option<Duration>) -> Self {
        Self { retry_after: wait, ..self }
    }

    /// A fault of the settings or of this machine.
    pub(super) fn here(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), reach: Reach::Server, retry_after: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}
