//! An answer that streams in, read by a task of its own, which sees to it that a server is left when it can be.
//!
//! Most servers notice at once that a connection has been closed, and what they had read of a prompt is there for the next one.
//! llama-server looks once a second while it reads a prompt, and a prompt that comes meanwhile goes to another of its slots,
//! which reads all of it from the start, at the same time. So it is left only when it has read to the end, and asked
//! again only when it has noticed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::events::{Event, Events};
use super::fault::Fault;
use super::link::Connection;
use super::request::Request;

/// Events that may wait to be taken; a server is not read faster than its text is used.
const WAITING_EVENTS: usize = 64;

/// A server that streams looks at its connection with every token. How long that takes where only one has come.
const UNKNOWN_STEP: Duration = Duration::from_millis(50);

/// Between a token and what it lets the server notice.
const NOTICING: Duration = Duration::from_millis(5);

/// The turn of a request to a server that is asked one thing at a time: given back with the last copy.
pub(super) type Turn = Option<Arc<OwnedSemaphorePermit>>;

/// An answer as it comes. Dropping it says that nobody waits for the rest.
pub(super) struct Answer(mpsc::Receiver<Result<Option<Event>, Fault>>);

impl Answer {
    /// Sends `request`. `patience` is for the beginning; `turn` is held until the server has nothing more to do with it.
    pub(super) fn to(connection: &Arc<Connection>, request: Request, patience: Duration, turn: Turn) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_EVENTS);
        tokio::spawn(read(Arc::clone(connection), request, patience, turn, sender));
        Self(receiver)
    }

    /// The next event; `None` at the end of the answer.
    ///
    /// # Errors
    /// The server does not answer, breaks off, reports a failure, or sends what is no event.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Fault> {
        // The task's last word is the end or a failure.
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
