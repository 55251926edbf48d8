//! The way to a server: made when it is first needed, given up for a while after a failure, and made again.
//!
//! A failure is told once, not at every key; that all is well again is told once too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Patience;
use super::client::Client;
use super::fault::{Fault, Reach};
use super::probe::{Abilities, probe};
use crate::config::RemoteServer;
use crate::engine::{EngineEvent, OnEvent};

/// A server that fails is asked again after this long at the latest, unless it wants to be left alone for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// And after this long even then.
const LONGEST_WISH: Duration = Duration::from_secs(3600);

/// What the engine's owner is told, by whoever has something to tell.
#[derive(Clone)]
pub(super) struct News(Arc<Mutex<OnEvent>>);

impl News {
    pub(super) fn new(on_event: OnEvent) -> Self {
        Self(Arc::new(Mutex::new(on_event)))
    }

    pub(super) fn tell(&self, event: EngineEvent) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)(event);
    }
}

/// A server that has said what it can do.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) abilities: Abilities,
}

/// The connection to one server, and what is known about it.
pub(super) struct Link {
    server: RemoteServer,
    patience: Patience,
    news: News,
    state: Mutex<State>,
    /// Held by whoever finds out what the server can do.
    connecting: tokio::sync::Mutex<()>,
    /// The server has failed and has not answered since.
    is_down: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    /// Failures since the last answer.
    failures: u32,
    /// The last one, and until when the server is left alone.
    fault: Option<(Fault, Instant)>,
    /// What the owner has been told of failures since the last answer.
    told: Option<String>,
    has_been_up: bool,
}

impl Link {
    pub(super) fn new(server: RemoteServer, patience: Patience, news: News) -> Self {
        Self {
            server,
            patience,
            news,
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

    /// The connection as it is, or the failure for which the server is left alone; `None` where it is to be made.
    fn known(&self) -> Option<Result<Arc<Connection>, Fault>> {
        let state = self.state();
        match (&state.fault, &state.connection) {
            (Some((fault, until)), _) if Instant::now() < *until => Some(Err(fault.clone())),
            (_, Some(connection)) => Some(Ok(Arc::clone(connection))),
            (_, None) => None,
        }
    }

    /// The way to the server, made if need be.
    ///
    /// # Errors
    /// The server cannot be used, or has failed shortly before.
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

    /// The server has answered.
    pub(super) fn succeeded(&self, connection: &Connection) {
        let was_down = {
            let mut state = self.state();
            let was_down = state.told.take().is_some();
            state.failures = 0;
            state.fault = None;
            was_down
        };
        self.is_down.store(false, Ordering::Relaxed);
        if was_down {
            self.tell_ready(connection);
        }
    }

    /// The server has not answered, for this reason.
    pub(super) fn failed(&self, fault: &Fault) {
        let is_new = {
            let mut state = self.state();
            if fault.reach != Reach::Request {
                // What it can do may have changed when it comes back.
                state.connection = None;
                let doubled = self.patience.retry.saturating_mul(1 << state.failures.min(16)).min(LONGEST_PAUSE);
                // One that wants to be asked again at once would be asked at every key.
                let pause = fault.retry_after.map_or(doubled, |wish| wish.min(LONGEST_WISH).max(self.patience.retry));
                state.failures += 1;
                state.fault = Some((fault.clone(), Instant::now() + pause));
                self.is_down.store(true, Ordering::Relaxed);
            }
            // The same failure with another number of seconds in it is the same failure.
            let without_numbers: String = fault.to_string().chars().filter(|c| !c.is_ascii_digit()).collect();
            state.told.replace(without_numbers.clone()) != Some(without_numbers)
        };
        if is_new {
            self.news.tell(EngineEvent::Failed(fault.to_string()));
        }
    }

    fn tell_ready(&self, connection: &Connection) {
        let model = format!("{} at {}", connection.abilities.name(), self.server.host());
        self.news.tell(EngineEvent::Ready { model });
    }
}
