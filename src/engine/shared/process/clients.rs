//! The clients of an engine process: what each wants, the replies to it, and its jobs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use interprocess::local_socket::Stream;
use serde::Serialize;

use super::super::messages::{self, ClientReport};
use super::super::{Wishes, endpoint};
use crate::engine::CancelFlag;

/// A client with this much unread output hangs, and is given up.
const MOST_UNREAD_BYTES: usize = 32 << 20;

/// A client as the process knows it.
pub(super) struct Client {
    pub number: u64,
    pub pid: u32,
    pub wishes: Wishes,
    pub outbox: Outbox,
    pub jobs: Jobs,
}

impl Client {
    pub(super) fn report(&self) -> ClientReport {
        ClientReport { pid: self.pid, role: self.wishes.role, jobs: self.jobs.len() }
    }
}

/// The replies to a client, written by a thread of its own. Sending never blocks.
#[derive(Clone)]
pub(super) struct Outbox {
    frames: Sender<Vec<u8>>,
    unread_bytes: Arc<AtomicUsize>,
    stream: Arc<Stream>,
}

impl Outbox {
    pub(super) fn new(stream: &Arc<Stream>) -> std::io::Result<Self> {
        let (frames, queue) = mpsc::channel();
        let outbox = Self { frames, unread_bytes: Arc::default(), stream: Arc::clone(stream) };
        let (stream, unread_bytes) = (Arc::clone(stream), Arc::clone(&outbox.unread_bytes));
        let writing = move || write_all(&queue, &stream, &unread_bytes);
        std::thread::Builder::new().name("client-writer".to_owned()).spawn(writing)?;
        Ok(outbox)
    }

    pub(super) fn tell(&self, reply: &impl Serialize) {
        let frame = match messages::frame(reply) {
            Ok(frame) => frame,
            Err(error) => return tracing::error!("cannot send to a client: {error}"),
        };
        let unread = self.unread_bytes.fetch_add(frame.len(), Ordering::Relaxed) + frame.len();
        if unread > MOST_UNREAD_BYTES {
            // This ends the client's reading thread, and with it the client.
            return endpoint::shut_down(&self.stream);
        }
        // This fails if the client is gone, which is fine.
        let _ = self.frames.send(frame);
    }
}

fn write_all(queue: &Receiver<Vec<u8>>, mut stream: &Stream, unread_bytes: &AtomicUsize) {
    for frame in queue {
        if let Err(error) = std::io::Write::write_all(&mut stream, &frame) {
            tracing::debug!("a client stopped reading: {error}");
            return endpoint::shut_down(stream);
        }
        unread_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
    }
}

/// The jobs of one client that are under way or waiting, by the numbers that it gave them.
#[derive(Clone, Default)]
pub(super) struct Jobs(Arc<Mutex<HashMap<u64, CancelFlag>>>);

impl Jobs {
    fn flags(&self) -> MutexGuard<'_, HashMap<u64, CancelFlag>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.flags().len()
    }

    pub(super) fn insert(&self, id: u64, cancel: CancelFlag) {
        self.flags().insert(id, cancel);
    }

    pub(super) fn remove(&self, id: u64) {
        self.flags().remove(&id);
    }

    pub(super) fn cancel(&self, id: u64) {
        if let Some(cancel) = self.flags().get(&id) {
            cancel.cancel();
        }
    }

    pub(super) fn cancel_all(&self) {
        self.flags().values().for_each(CancelFlag::cancel);
    }
}
