//! The language server: the protocol library in front, and behind it one session thread that owns all state.
//!
//! ```text
//! client -> transport -> tower-lsp-server -> handlers --event--> session --job--> engine
//! client <- transport <- tower-lsp-server <- handlers <--reply-- session <-event- engine
//!                                         <- outgoing <--status, messages, progress
//! ```
//!
//! Handlers send one event at their first poll and then only wait, so messages keep their order; no handler waits for
//! the client.
//!
//! On the session's thread, each piece of state has one owner, and other parts get it as an argument:
//!
//! ```text
//!  session      dispatches; owns the documents and the settings
//!  completions  what is known and under way for each document   questions  those under way, conversations, answers
//!  documents    texts and trees          engines  one for completions, one for questions          index  other files
//!  event  outgoing  options              what comes in, what goes out, what a server is started with
//! ```
//!
//! Imports point down.

mod client_process;
mod completions;
mod documents;
mod engines;
mod event;
mod handlers;
mod index;
mod options;
mod outgoing;
mod questions;
mod session;
mod transport;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_lsp_server::{LspService, Server};

use crate::lsp::reports::{DID_PARTIALLY_ACCEPT, DID_SHOW, DISMISSED};
use crate::lsp::switch::SET_COMPLETIONS;
use event::{Event, SessionSender};
use handlers::Backend;
pub use options::{ModelLoader, Observer, ServerOptions};
use outgoing::ClientSender;
use session::Session;

/// Requests that may be in flight at once. Handlers only wait, so this costs nothing; with the library's default of 4,
/// a cancellation would wait behind four slow requests.
const CONCURRENCY: usize = 1024;

/// Bytes between the transport and the protocol library.
const PIPE_BYTES: usize = 64 * 1024;

/// How long to wait for the last answers once the client's side is closed.
const CLOSING_TIME: Duration = Duration::from_secs(1);

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As the protocol requires: `shutdown`, then `exit`.
    Orderly,
    /// `exit` without `shutdown`, a closed input, or a client that died.
    Abrupt,
}

/// Serves standard input and output until the client is done or gone.
///
/// # Errors
/// If a thread cannot be started.
pub fn run_stdio(options: ServerOptions) -> std::io::Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(run(tokio::io::stdin(), tokio::io::stdout(), options));
    // A read from standard input cannot be cancelled, and waiting for it would keep the process alive.
    runtime.shutdown_background();
    ended
}

/// Serves one client on `input` and `output` until it is done or gone.
///
/// # Errors
/// If the thread of the session cannot be started.
pub async fn run(
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
    options: ServerOptions,
) -> std::io::Result<Ended> {
    let (to_client, outgoing) = ClientSender::new();
    let (process, process_id) = oneshot::channel();
    let observer = options.observer.clone();
    let session = Session::spawn(options, to_client, process)?;
    let backend = Backend::new(session.clone());
    let shutdown = backend.shutdown_flag();
    let mut delivery = None;
    let (service, socket) = LspService::build(|client| {
        delivery = Some(tokio::spawn(outgoing::deliver(client, outgoing)));
        backend
    })
    .custom_method(SET_COMPLETIONS, Backend::set_completions)
    .custom_method(DISMISSED, Backend::dismissed)
    .custom_method(DID_SHOW, Backend::shown)
    .custom_method(DID_PARTIALLY_ACCEPT, Backend::partly_accepted)
    .finish();
    let (writer, queue) = transport::unbounded_output();
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    let library = Server::new(far, writer.clone(), socket).concurrency_level(CONCURRENCY).serve(service);
    let filter = transport::filter_input(input, near, writer, observer);
    let drain = transport::drain_output(queue, output);
    serve(library, filter, drain, process_id, &session).await;
    // Nobody reads what the session sends while it ends.
    delivery.iter().for_each(JoinHandle::abort);
    session.send(Event::Stop);
    Ok(if shutdown.is_set() { Ended::Orderly } else { Ended::Abrupt })
}

/// Runs the parts until `exit`, the end of the input or the end of the client, and then until the last answers are
/// written.
async fn serve(
    library: impl Future<Output = ()>,
    filter: impl Future<Output = ()>,
    drain: impl Future<Output = ()>,
    process_id: oneshot::Receiver<u32>,
    session: &SessionSender,
) {
    tokio::pin!(drain);
    // The writers to the client are dropped at the end of this block, which ends `drain`.
    let serving = async move {
        tokio::pin!(library, filter);
        tokio::select! {
            () = &mut library => return,
            () = &mut filter => tracing::info!("the client has closed the connection"),
        }
        // This answers the requests in flight with empty lists, so that they end, and the library with them.
        session.send(Event::InputClosed);
        let _ = tokio::time::timeout(CLOSING_TIME, library).await;
    };
    let client_gone = async {
        match process_id.await {
            Ok(id) => client_process::wait_until_gone(id).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = serving => {
            let _ = tokio::time::timeout(CLOSING_TIME, drain).await;
        }
        () = &mut drain => tracing::info!("the client has stopped reading"),
        () = client_gone => tracing::info!("the client's process has ended"),
    }
}
