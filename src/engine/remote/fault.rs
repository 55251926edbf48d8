//! What can go wrong between this process and a server: a message for the person, and what follows for later requests.

use std::fmt;
use std::time::Duration;

/// A failure: a message for the person, and what it means for later requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    sentence: String,
    pub(super) affected: Affected,
    /// How long the server has asked to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// What a failure affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affected {
    /// All requests: the next one would fail as well, so the server is left alone for a while.
    Server,
    /// What needs this path or this model, which the server does not have.
    Path,
    /// This request only.
    Request,
}

impl Affected {
    /// Whether the server may still be good for another request.
    pub(super) fn leaves_the_server(self) -> bool {
        self != Self::Server
    }
}

impl Fault {
    /// The fault of a `server` that cannot be used now.
    pub(super) fn server(server: &impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { sentence: format!("the model server at {server} {what}"), affected: Affected::Server, retry_after: None }
    }

    /// The fault of a `server` that has nothing at the path of this request.
    pub(super) fn path(server: &impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { affected: Affected::Path, ..Self::server(server, what) }
    }

    /// The fault of a `server` that does not answer this request.
    pub(super) fn request(server: &impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { affected: Affected::Request, ..Self::server(server, what) }
    }

    /// Adds how long the server wants to be left alone.
    pub(super) fn retry_after(self, wait: Option<Duration>) -> Self {
        Self { retry_after: wait, ..self }
    }

    /// A fault of the settings or of this machine.
    pub(super) fn here(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), affected: Affected::Server, retry_after: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}
