//! One engine for all windows: a process of its own holds the models, and the language servers of one person's editors are
//! its clients over a local socket.
//!
//! ```text
//! server -> Engine -> client ==socket==> process -> Engine (embedded), one for each role
//! server -> Engine -> client ==socket==>
//! ```
//!
//! - [`Setup`] is what all clients of a process agree on. Its digest is in the socket's name ([`endpoint`]), so that
//!   clients with another setup use another process.
//! - The first server that finds no process behind the socket starts it ([`start`]). The process is in a session of its
//!   own, so that closing the editor does not end it, and it ends some time after its last client has left
//!   ([`process`]).
//! - The messages on the socket are the values that every engine takes and gives: jobs, text as it grows, outcomes,
//!   events (`messages`).

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
    /// Unload the model after this long without a job of any client; `None` keeps it. The longest time of all clients
    /// counts.
    pub idle_unload: Option<Duration>,
    /// Bytes of keys and values that the model may use. The first client of a model decides.
    pub kv_budget_bytes: usize,
    /// Where to keep in files what the model has read for completions. The first client decides this, too.
    pub keep: Option<KeepOptions>,
    /// Whether the models of both roles can be in memory at the same time.
    pub fits_beside_the_other: bool,
    /// How long the process stays after this client has left, if it was the last one.
    pub linger: Duration,
}

/// Who shares an engine process. Clients receive this whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharing {
    /// The process id of the engine process.
    pub pid: u32,
    /// Processes that use it, this one included.
    pub clients: usize,
    /// The names of the models in its memory.
    pub models: Vec<String>,
}

/// Starts an engine whose text comes from the process at `endpoint`. If there is none, it is started from `program`.
/// `gate` is closed while completions of this client are pending.
///
/// # Errors
/// If the thread cannot be started.
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
