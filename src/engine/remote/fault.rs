//! What can go wrong between this process and a server, in sentences for people, and what follows from it.

use std::fmt;
use std::time::Duration;

/// A failure: a message for the person, and what it means for the next request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    sentence: String,
    pub(super) reach: Reach,
    /// The server has said when to come back.
    pub(super) retry_after: Option<Duration>,
}

/// What a failure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The next request would fail as well: the server is left alone for a while.
    Server,
    /// The server has nothing at this path, or no such model: it cannot be used by whoever needs that.
    Path,
    /// This request alone.
    Request,
}

impl Reach {
    /// Whether the server may still be good for another request.
    pub(super) fn leaves_the_server(self) -> bool {
        self != Self::Server
    }
}

impl Fault {
    /// `server` cannot be used now.
    pub(super) fn server(server: &impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { sentence: format!("the model server at {server} {what}"), reach: Reach::Server, retry_after: None }
    }

    /// `server` has nothing at the path of this request.
    pub(super) fn path(server: &impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { reach: Reach::Path, ..Self::server(server, what) }
    }

    /// `server` does not answer this request.
    pub(super) fn request(server: &impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { reach: Reach::Request, ..Self::server(server, what) }
    }

    /// The same, and when the server wants to be asked again.
    pub(super) fn retry_after(self, wait: Option<Duration>) -> Self {
        Self { retry_after: wait, ..self }
    }

    /// The settings or this machine are the problem.
    pub(super) fn here(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), reach: Reach::Server, retry_after: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}
