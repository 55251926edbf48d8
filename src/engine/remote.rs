//! The engine on another machine, or in another process of this one: a server that speaks OpenAI's protocol, asked over HTTP.
//!
//! What a server can do is found out when it is first needed (`probe`); what is sent is built in `request`, what comes back
//! is read in `events` and `reply`. Stop rules are applied to the text as it streams in, as everywhere; where a text ends,
//! the connection is closed, which ends the server's work. Who does not answer is left alone for a while (`link`), and
//! meanwhile the embedded model may stand in.

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

/// How long a server may take to answer.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until a connection is there.
    pub connect: Duration,
    /// Until the first word of a completion somebody waits for.
    pub interactive: Duration,
    /// Until the first word of an answer, whose prompt is long, and of a prompt that is only read.
    pub background: Duration,
    /// Between two words.
    pub between: Duration,
    /// After a failure; doubled with every further one up to a minute.
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
/// When the thread cannot be started.
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

/// What `server` can do, or the sentence that says why it cannot be used. Waits for its answers.
///
/// # Errors
/// It cannot be used.
pub fn look_into(server: &RemoteServer, patience: Patience) -> Result<Abilities, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let probed = runtime.block_on(async {
        let client = client::Client::new(server, patience)?;
        probe::probe(&client, server).await
    });
    probed.map_err(|fault| fault.to_string())
}
