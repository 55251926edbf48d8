//! Messages that the server sends by itself: status, messages to the person, progress. The parts of the session put
//! them on a queue, and a separate task sends them, so that nothing ever waits for the client.

use std::path::PathBuf;

use tokio::sync::{mpsc, watch};
use tower_lsp_server::Client;
use tower_lsp_server::gen_lsp_types::{
    ApplyWorkspaceEditParams, ApplyWorkspaceEditRequest, ConfigurationItem, MessageType, ProgressNotification,
    ProgressParams, ProgressToken, Registration, ShowDocumentParams, Uri, WorkspaceEdit,
};

use super::event::{Event, QuestionEvent, SessionSender};
use crate::lsp::ask::{AnswerNotification, AnswerParams};
use crate::lsp::growth::{CompletionGrewNotification, CompletionGrewParams};
use crate::lsp::status::{DocumentStatusNotification, DocumentStatusParams, StatusNotification, StatusParams};
use crate::lsp::to_proto;

/// A message to the client.
#[derive(Debug)]
pub(super) enum Outgoing {
    Status(StatusParams),
    /// Why there are no completions in a document, or that there are again.
    DocumentStatus(DocumentStatusParams),
    /// Tells the client that it can ask for more of a completion.
    CompletionGrew(CompletionGrewParams),
    /// Shown to the person.
    Message(MessageType, String),
    /// Progress of loading a model. The sender reports the fraction done, and is dropped at the end.
    Progress {
        title: String,
        fraction: watch::Receiver<f32>,
    },
    /// A piece of an answer, or its end.
    Answer(AnswerParams),
    /// Progress under a token from the client.
    Work(ProgressParams),
    /// An edit for the client to apply; if it does not, the person is told.
    ApplyEdit {
        label: String,
        edit: WorkspaceEdit,
    },
    /// Text to read: as a document, or as a message if the client does not open documents.
    ShowText {
        text: Option<String>,
        message: String,
    },
    /// Asks the client for notifications it sends on request only.
    Register(Registration),
    /// Opens the document of an answer, whose text the client fetches. If the client does not open it, the session gets
    /// an event.
    OpenAnswer {
        uri: Uri,
        question: u64,
        session: SessionSender,
    },
    /// Tells the client that it can fetch more of an answer.
    RefreshAnswer(Uri),
    /// Asks for the settings. The session gets the answer as an event.
    PullConfiguration(SessionSender),
}

/// The sender of the queue of messages to the client.
#[derive(Debug, Clone)]
pub(super) struct ClientSender(mpsc::UnboundedSender<Outgoing>);

impl ClientSender {
    /// A sender and its queue.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Outgoing>) {
        let (sender, queue) = mpsc::unbounded_channel();
        (Self(sender), queue)
    }

    /// Puts a message on the queue. Never blocks; if the queue is closed, the client is gone.
    pub(super) fn send(&self, outgoing: Outgoing) {
        let _ = self.0.send(outgoing);
    }

    /// Shows `text` to the person.
    pub(super) fn message(&self, kind: MessageType, text: &str) {
        self.send(Outgoing::Message(kind, format!("phi-ls: {text}")));
    }
}

/// Sends everything on `queue` until the session ends.
pub(super) async fn deliver(client: Client, mut queue: mpsc::UnboundedReceiver<Outgoing>) {
    let mut loads = 0;
    let mut answers = AnswerFiles::default();
    while let Some(outgoing) = queue.recv().await {
        match outgoing {
            Outgoing::Status(params) => client.send_notification::<StatusNotification>(params).await,
            Outgoing::DocumentStatus(params) => client.send_notification::<DocumentStatusNotification>(params).await,
            Outgoing::CompletionGrew(params) => client.send_notification::<CompletionGrewNotification>(params).await,
            Outgoing::Message(kind, message) => client.show_message(kind, message).await,
            Outgoing::Progress { title, fraction } => {
                loads += 1;
                let token = ProgressToken::String(format!("phi-ls/load/{loads}"));
                tokio::spawn(show_progress(client.clone(), token, title, fraction));
            }
            Outgoing::Answer(params) => client.send_notification::<AnswerNotification>(params).await,
            Outgoing::Work(params) => client.send_notification::<ProgressNotification>(params).await,
            Outgoing::ApplyEdit { label, edit } => {
                tokio::spawn(apply_edit(client.clone(), label, edit));
            }
            Outgoing::ShowText { text, message } => {
                let file = text.and_then(|text| answers.write(&text));
                tokio::spawn(show_text(client.clone(), file, message));
            }
            Outgoing::Register(registration) => {
                tokio::spawn(register(client.clone(), registration));
            }
            Outgoing::OpenAnswer { uri, question, session } => {
                tokio::spawn(open_answer(client.clone(), uri, question, session));
            }
            Outgoing::RefreshAnswer(uri) => {
                tokio::spawn(refresh_answer(client.clone(), uri));
            }
            Outgoing::PullConfiguration(session) => {
                tokio::spawn(pull_configuration(client.clone(), session));
            }
        }
    }
}

/// Shows the progress of a load, once the client has agreed. A load that ends before the client has answered is not
/// shown at all.
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

/// The failure reason by which this project's editor extensions say that the person does not want an edit.
const DECLINED: &str = "discarded";

async fn apply_edit(client: Client, label: String, edit: WorkspaceEdit) {
    let params = ApplyWorkspaceEditParams { label: Some(label.clone()), edit, metadata: None };
    let reason = match client.send_request::<ApplyWorkspaceEditRequest>(params).await {
        Ok(result) if result.applied => return,
        // The person has rejected the edit, which needs no message.
        Ok(result) if result.failure_reason.as_deref() == Some(DECLINED) => return,
        Ok(result) => result.failure_reason.unwrap_or_else(|| "the editor gave no reason".to_owned()),
        Err(error) => error.to_string(),
    };
    client.show_message(MessageType::Warning, format!("phi-ls: {label}: the edit was not applied: {reason}")).await;
}

async fn show_text(client: Client, file: Option<PathBuf>, message: String) {
    let opened = match file {
        Some(file) => show_document(&client, to_proto::file_uri(&file)).await,
        None => false,
    };
    if !opened {
        client.show_message(MessageType::Info, message).await;
    }
}

async fn open_answer(client: Client, uri: Uri, question: u64, session: SessionSender) {
    if !show_document(&client, uri).await {
        session.send(Event::Question { number: question, event: QuestionEvent::NotOpened });
    }
}

/// Asks the client to open `uri`, beside the person's document if it can. Returns whether it has.
async fn show_document(client: &Client, uri: Uri) -> bool {
    let name = uri.0.clone();
    let params = ShowDocumentParams { uri, external: None, take_focus: Some(false), selection: None };
    match client.show_document(params).await {
        Ok(true) => return true,
        Ok(false) => tracing::warn!("the client did not open {name}"),
        Err(error) => tracing::warn!("the client cannot open {name}: {error}"),
    }
    false
}

async fn refresh_answer(client: Client, uri: Uri) {
    if let Err(error) = client.text_document_content_refresh(uri).await {
        tracing::debug!("the client cannot refresh an answer: {error}");
    }
}

/// Writes answers as Markdown files in a folder of this session, which nobody else can read and which is deleted at the
/// end of the session.
#[derive(Default)]
struct AnswerFiles {
    folder: Option<PathBuf>,
    written: u64,
}

impl AnswerFiles {
    /// Writes `text` to a new file. Returns `None`, and logs the reason, if that fails.
    fn write(&mut self, text: &str) -> Option<PathBuf> {
        match self.try_write(text) {
            Ok(file) => Some(file),
            Err(error) => {
                tracing::warn!("cannot write an answer to a temporary file: {error}");
                None
            }
        }
    }

    fn try_write(&mut self, text: &str) -> std::io::Result<PathBuf> {
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => new_private_folder()?,
        };
        self.folder = Some(folder.clone());
        self.written += 1;
        let file = folder.join(format!("answer-{}.md", self.written));
        std::fs::write(&file, text)?;
        Ok(file)
    }
}

/// Creates a folder that did not exist before, so that a folder which somebody else has put there is never used.
fn new_private_folder() -> std::io::Result<PathBuf> {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let folder = std::env::temp_dir().join(format!("phi-ls-{}-{nanos}", std::process::id()));
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder)?;
    Ok(folder)
}

impl Drop for AnswerFiles {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder
            && let Err(error) = std::fs::remove_dir_all(folder)
        {
            tracing::warn!("cannot remove {}: {error}", folder.display());
        }
    }
}

async fn register(client: Client, registration: Registration) {
    let method = registration.method.clone();
    if let Err(error) = client.register_capability(vec![registration]).await {
        tracing::warn!("the client cannot register {method}: {error}");
    }
}

async fn pull_configuration(client: Client, session: SessionSender) {
    let item = ConfigurationItem { scope_uri: None, section: Some("phi-ls".to_owned()) };
    match client.configuration(vec![item]).await {
        Ok(values) => session.send(Event::Configuration(values.into_iter().next().unwrap_or_default())),
        Err(error) => tracing::warn!("the client cannot send its settings: {error}"),
    }
}
