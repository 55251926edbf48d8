//! One engine for all windows: a process of its own holds the models, and the language servers of one person's editors are
//! its clients over a local socket.
//!
//! ```text
//! server -> Engine -> client ==socket==> process -> Engine (embedded), one for each role
//! server -> Engine -> client ==socket==>
//! ```
//!
//! - [`Setup`] is what all clients of a process agree on. Its digest is in the socket's name ([`endpoint`]), so that whoever
//!   wants something else finds a process of its own.
//! - The first server that finds nobody behind the socket starts the process ([`start`]). It lives in a session of its own, so
//!   that closing the editor does not end it, and leaves some time after its last client ([`process`]).
//! - What goes over the socket are the values of the seam: jobs, text as it grows, outcomes, events (`messages`).

mod client;
pub mod endpoint;
pub mod log;
mod messages;
pub mod process;
mod setup;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use endpoint::Endpoint;
pub use messages::{ClientReport, ModelReport, ModelState, Report};
pub use setup::Setup;

use super::embedded::KeepOptions;
use super::{Engine, Gate, OnEvent};
use crate::config::Role;

/// What one client wants from the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wishes {
    pub role: Role,
    /// Load the model at once instead of at the first job.
    pub load_at_start: bool,
    /// Give the memory back after this long without a job of anybody; `None` keeps the model. The most patient client counts.
    pub idle_unload: Option<Duration>,
    /// Bytes of keys and values that the model may hold; the first client of a model decides.
    pub kv_budget_bytes: usize,
    /// What completions have read is kept in files; likewise.
    pub keep: Option<KeepOptions>,
    /// The models of both roles can be in memory at the same time.
    pub fits_beside_the_other: bool,
    /// How long the process stays after its last client, if that is this one.
    pub linger: Duration,
}

/// Who shares an engine process, as its clients are told whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharing {
    /// The engine process.
    pub pid: u32,
    /// Processes that use it, this one included.
    pub clients: usize,
    /// The names of the models in its memory.
    pub models: Vec<String>,
}

/// Starts an engine whose text is made by the process at `endpoint`, which `program` becomes if nobody is there. `gate` is closed
/// while completions of this client are pending.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    endpoint: Endpoint,
    setup: Setup,
    wishes: Wishes,
    program: PathBuf,
    gate: Gate,
    on_event: OnEvent,
) -> std::io::Result<Engine> {
    Engine::spawn(move |receiver, _| {
        client::Client::new(endpoint, setup, wishes, program, gate, on_event, receiver).run()
    })
}
