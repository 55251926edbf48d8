//! The connection to a server: made when it is first needed, given up for a while after a failure, and made again.
//!
//! A failure is reported once, not at every key, and so is that the server works again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Patience;
use super::client::Client;
use super::fault::{Affected, Fault};
use super::probe::{Abilities, probe};
use crate::config::RemoteServer;
use crate::engine::{EngineEvent, OnEvent};

/// A server that fails is asked again after this long at most, unless it asks to be left alone for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The longest time for which a server may ask to be left alone.
const LONGEST_WISH: Duration = Duration::from_secs(3600);

/// Sends events to the engine's owner; clones send to the same owner.
#[derive(Clone)]
pub(super) struct EventSender(Arc<Mutex<OnEvent>>);

impl EventSender {
    pub(super) fn new(on_event: OnEvent) -> Self {
        Self(Arc::new(Mutex::new(on_event)))
    }

    pub(super) fn send(&self, event: EngineEvent) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)(event);
    }
}

/// A server whose abilities are known.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) abilities: Abilities,
}

/// The connection to one server, and its state.
pub(super) struct Link {
    server: RemoteServer,
    patience: Patience,
    events: EventSender,
    state: Mutex<State>,
    /// Held while finding out what the server can do.
    connecting: tokio::sync::Mutex<()>,
    /// Whether the server has failed and has not answered since.
    is_down: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    /// Failures since the last answer.
    failures: u32,
    /// The last failure, and until when the server is left alone.
    fault: Option<(Fault, Instant)>,
    /// The last failure that was reported since the last answer.
    reported: Option<String>,
    has_been_up: bool,
}

impl Link {
    pub(super) fn new(server: RemoteServer, patience: Patience, events: EventSender) -> Self {
        Self {
            server,
            patience,
            events,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            is_down: Arc::default(),
        }
    }

    pub(super) fn is_down(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_down)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The existing connection, or the failure because of which the server is left alone; `None` if a connection has to
    /// be made.
    fn known(&self) -> Option<Result<Arc<Connection>, Fault>> {
        let state = self.state();
        match (&state.fault, &state.connection) {
            (Some((fault, until)), _) if Instant::now() < *until => Some(Err(fault.clone())),
            (_, Some(connection)) => Some(Ok(Arc::clone(connection))),
            (_, None) => None,
        }
    }

    /// The connection to the server, made if necessary.
    ///
    /// # Errors
    /// If the server cannot be used, or has failed a short time ago.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, Fault> {
        if let Some(known) = self.known() {
            return known;
        }
        let _connecting = self.connecting.lock().await;
        if let Some(known) = self.known() {
            return known;
        }
        match self.connect().await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                let is_first = {
                    let mut state = self.state();
                    state.connection = Some(Arc::clone(&connection));
                    !std::mem::replace(&mut state.has_been_up, true) && state.failures == 0
                };
                if is_first {
                    self.tell_ready(&connection);
                }
                Ok(connection)
            }
            Err(fault) => {
                self.failed(&fault);
                Err(fault)
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        let client = Client::new(&self.server, self.patience)?;
        let abilities = probe(&client, &self.server).await?;
        Ok(Connection { client, abilities })
    }

    /// Records that the server has answered.
    pub(super) fn succeeded(&self, connection: &Connection) {
        let was_down = {
            let mut state = self.state();
            let was_down = state.reported.take().is_some();
            state.failures = 0;
            state.fault = None;
            was_down
        };
        self.is_down.store(false, Ordering::Relaxed);
        if was_down {
            self.tell_ready(connection);
        }
    }

    /// Records that the server has not answered, for this reason.
    pub(super) fn failed(&self, fault: &Fault) {
        let is_new = {
            let mut state = self.state();
            if fault.affected != Affected::Request {
                // What it can do may have changed when it comes back.
                state.connection = None;
                let doubled = self.patience.retry.saturating_mul(1 << state.failures.min(16)).min(LONGEST_PAUSE);
                // One that wants to be asked again at once would be asked at every key.
                let pause = fault.retry_after.map_or(doubled, |wish| wish.min(LONGEST_WISH).max(self.patience.retry));
                state.failures += 1;
                state.fault = Some((fault.clone(), Instant::now() + pause));
                self.is_down.store(true, Ordering::Relaxed);
            }
            // Messages that differ only in numbers, such as seconds, are the same failure.
            let without_numbers: String = fault.to_string().chars().filter(|c| !c.is_ascii_digit()).collect();
            state.reported.replace(without_numbers.clone()) != Some(without_numbers)
        };
        if is_new {
            self.events.send(EngineEvent::Failed(fault.to_string()));
        }
    }

    fn tell_ready(&self, connection: &Connection) {
        let model = format!("{} at {}", connection.abilities.name(), self.server.host());
        self.events.send(EngineEvent::Ready { model });
    }
}
