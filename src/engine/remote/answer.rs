//! A streamed answer, read by a task of its own, which closes the connection at a time when the server notices it.
//!
//! Most servers notice at once that a connection has been closed, and keep what they had read of a prompt for the next
//! one. llama-server looks only once a second while it reads a prompt, and meanwhile gives the next prompt to another
//! of its slots, which reads all of it from the start at the same time. So its connection is closed only when it has
//! read the prompt to the end, and it is asked again only when it has noticed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::events::{Event, Events};
use super::fault::Fault;
use super::link::Connection;
use super::request::Request;

/// How many events may wait to be processed. A server is not read faster than its text is used.
const WAITING_EVENTS: usize = 64;

/// A server that streams looks at its connection at every token. The time of a token, if only one has arrived.
const UNKNOWN_STEP: Duration = Duration::from_millis(50);

/// The time in which the server notices a closed connection after a token.
const NOTICING: Duration = Duration::from_millis(5);

/// The turn of a request to a server that gets one request at a time. Dropping the last clone gives it back.
pub(super) type Turn = Option<Arc<OwnedSemaphorePermit>>;

/// An answer as it arrives. Dropping it means that nobody waits for the rest.
pub(super) struct Answer(mpsc::Receiver<Result<Option<Event>, Fault>>);

impl Answer {
    /// Sends `request`. The answer has to begin within `patience`; `turn` is held until the server no longer works on
    /// it.
    pub(super) fn to(connection: &Arc<Connection>, request: Request, patience: Duration, turn: Turn) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_EVENTS);
        tokio::spawn(read(Arc::clone(connection), request, patience, turn, sender));
        Self(receiver)
    }

    /// The next event; `None` at the end of the answer.
    ///
    /// # Errors
    /// If the server does not answer, breaks off, reports a failure, or sends something that is not an event.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Fault> {
        // The last message of the task is the end or a failure.
        self.0.recv().await.unwrap_or(Ok(None))
    }
}

async fn read(
    connection: Arc<Connection>,
    request: Request,
    patience: Duration,
    turn: Turn,
    sender: mpsc::Sender<Result<Option<Event>, Fault>>,
) {
    let client = &connection.client;
    let response = tokio::select! {
        response = client.post(request.path, &request.body, patience) => response,
        () = sender.closed(), if turn.is_none() => return,
    };
    let mut events = match response {
        Ok(response) => Events::new(client, response),
        Err(fault) => return drop(sender.send(Err(fault)).await),
    };
    let (mut last, mut step) = (Instant::now(), UNKNOWN_STEP);
    let mut is_first = true;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = sender.closed() => break,
        };
        if !std::mem::take(&mut is_first) {
            step = last.elapsed();
        }
        last = Instant::now();
        let is_last = !matches!(event, Ok(Some(Event::Data(_))));
        if sender.send(event).await.is_err() {
            break;
        }
        if is_last {
            return;
        }
    }
    drop(events);
    if turn.is_some() {
        tokio::time::sleep(step + NOTICING).await;
    }
}
