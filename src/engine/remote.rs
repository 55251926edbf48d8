//! The engine that is a model server: a program on this or another machine that speaks OpenAI's protocol over HTTP.
//!
//! `probe` finds out what a server can do when it is first needed; `request` builds what is sent, and `events` and
//! `reply` read what comes back. Stop rules are applied to the text as it streams in, as in every engine. Where a text
//! ends, the connection is closed, which ends the server's work. A server that does not answer is left alone for a
//! while (`link`), and meanwhile the embedded model may stand in.

mod answer;
mod client;
mod events;
mod fault;
mod generate;
mod key;
mod link;
mod owed;
mod probe;
mod reply;
mod request;
mod stand_in;
mod worker;

use std::time::Duration;

pub use probe::{Abilities, Middle, Software, Way};
pub use stand_in::StandIn;

use super::{Engine, Gate, OnEvent};
use crate::config::RemoteServer;

/// How long a server may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until a connection is made.
    pub connect: Duration,
    /// Until the first word of a completion that somebody waits for.
    pub interactive: Duration,
    /// Until the first word of an answer, whose prompt is long, or until a prompt has been read ahead.
    pub background: Duration,
    /// Between two words.
    pub between: Duration,
    /// How long to wait after a failure. Every further failure doubles it, up to a minute.
    pub retry: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            interactive: Duration::from_secs(30),
            background: Duration::from_secs(180),
            between: Duration::from_secs(30),
            retry: Duration::from_secs(1),
        }
    }
}

/// Starts an engine that asks `server`. `gate` is closed while interactive work goes on, if the server is on this machine.
///
/// # Errors
/// If the thread cannot be started.
pub fn start(
    server: RemoteServer,
    patience: Patience,
    gate: Gate,
    stand_in: Option<StandIn>,
    on_event: OnEvent,
) -> std::io::Result<Engine> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Engine::spawn(move |receiver, _| {
        let gate = server.is_on_this_machine().then_some(gate);
        worker::run(runtime, worker::Worker::new(server, patience, gate, stand_in, on_event), receiver);
    })
}

/// Finds out what `server` can do, and waits for its answers.
///
/// # Errors
/// A sentence that says why the server cannot be used.
pub fn look_into(server: &RemoteServer, patience: Patience) -> Result<Abilities, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let probed = runtime.block_on(async {
        let client = client::Client::new(server, patience)?;
        probe::probe(&client, server).await
    });
    probed.map_err(|fault| fault.to_string())
}
