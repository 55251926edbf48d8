//! What the server says without being asked: status, messages, progress. The session puts it on a queue; a task of its
//! own sends it, so that nothing ever waits for the client.

use tokio::sync::{mpsc, watch};
use tower_lsp_server::Client;
use tower_lsp_server::gen_lsp_types::{ConfigurationItem, MessageType, ProgressToken};

use super::session::{Event, SessionSender};
use crate::lsp::status::{StatusNotification, StatusParams};

/// One thing to tell the client.
#[derive(Debug)]
pub(super) enum Outgoing {
    Status(StatusParams),
    /// Shown to the person.
    Message(MessageType, String),
    /// A load to show progress of; the sender says how far it is and is dropped at its end.
    Progress {
        title: String,
        fraction: watch::Receiver<f32>,
    },
    /// Asks for the settings; the answer becomes an event.
    PullConfiguration(SessionSender),
}

/// Sends everything on `queue` until the session ends.
pub(super) async fn deliver(client: Client, mut queue: mpsc::UnboundedReceiver<Outgoing>) {
    let mut loads = 0;
    while let Some(outgoing) = queue.recv().await {
        match outgoing {
            Outgoing::Status(params) => client.send_notification::<StatusNotification>(params).await,
            Outgoing::Message(kind, message) => client.show_message(kind, message).await,
            Outgoing::Progress { title, fraction } => {
                loads += 1;
                let token = ProgressToken::String(format!("phi-ls/load/{loads}"));
                tokio::spawn(show_progress(client.clone(), token, title, fraction));
            }
            Outgoing::PullConfiguration(session) => {
                tokio::spawn(pull_configuration(client.clone(), session));
            }
        }
    }
}

/// Shows a load from the client's consent to the load's end. A load that is over before the client has answered is
/// not shown at all.
async fn show_progress(client: Client, token: ProgressToken, title: String, mut fraction: watch::Receiver<f32>) {
    let created = tokio::select! {
        created = client.create_work_done_progress(token.clone()) => created.is_ok(),
        () = ended(fraction.clone()) => false,
    };
    if !created {
        return;
    }
    let percent = |fraction: f32| (fraction.clamp(0.0, 1.0) * 100.0) as u32;
    let mut shown = percent(*fraction.borrow_and_update());
    let progress = client.progress(token, title).with_percentage(shown).begin().await;
    while fraction.changed().await.is_ok() {
        let now = percent(*fraction.borrow_and_update());
        if now > shown {
            progress.report(now).await;
            shown = now;
        }
    }
    progress.finish().await;
}

/// Returns when the sender is dropped.
async fn ended(mut fraction: watch::Receiver<f32>) {
    while fraction.changed().await.is_ok() {}
}

async fn pull_configuration(client: Client, session: SessionSender) {
    let item = ConfigurationItem { scope_uri: None, section: Some("phi-ls".to_owned()) };
    match client.configuration(vec![item]).await {
        Ok(values) => session.send(Event::Configuration(values.into_iter().next().unwrap_or_default())),
        Err(error) => tracing::warn!("the client gave no settings: {error}"),
    }
}
