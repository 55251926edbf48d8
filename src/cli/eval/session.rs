//! The server that editors use, asked for one completion after another in one project after another.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::{Value, json};

use crate::cli::replay::client::Client;
use crate::config::Source;
use crate::engine::Generation;
use crate::features::inline_completion::{Signals, Variation};
use crate::lsp::to_proto::file_uri;
use crate::server::{Observer, ServerOptions};
use crate::syntax::Language;

/// A time limit that is longer than any model takes to load or to complete.
const PATIENCE: Duration = Duration::from_secs(600);
/// A time limit that is longer than indexing a handwritten project takes.
const INDEX_PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One variant: the options of the server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) settings: Value,
    pub(super) variation: Variation,
}

impl Variant {
    /// The variant without changes, with `settings`.
    pub(super) fn plain(name: &str, settings: &Value) -> Self {
        Self { name: name.to_owned(), settings: settings.clone(), variation: Variation::default() }
    }
}

/// What to ask: a document and where its hole begins, which is the end of its line.
pub(super) struct Question<'a> {
    pub(super) path: &'a Path,
    pub(super) language: &'static Language,
    pub(super) text: &'a str,
    pub(super) offset: usize,
}

/// The server's answer.
pub(super) struct Answer {
    /// The text to insert at the hole.
    pub(super) shown: Option<String>,
    pub(super) took: Duration,
    /// `None` if the server did not ask the model.
    pub(super) generation: Option<Generation>,
    pub(super) signals: Option<Signals>,
}

/// A server in this process, and its client.
pub(super) struct Session {
    client: Client,
    listener: Arc<Listener>,
    last_id: i64,
    /// The URI of the project that is open.
    project: Option<String>,
    /// How many workspaces had been indexed before that project was entered; `None` once it is indexed itself.
    indexed_before: Option<usize>,
    is_ready: bool,
}

/// What the server reports apart from its answers.
#[derive(Default)]
struct Told {
    generation: Option<Generation>,
    signals: Option<Signals>,
    /// How many times a workspace was indexed.
    indexed: usize,
}

impl Told {
    /// Forgets what was reported about earlier completions.
    fn forget(&mut self) {
        (self.generation, self.signals) = (None, None);
    }
}

struct Listener(Mutex<Told>);

impl Listener {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Listener {
    fn completion(&self, generation: &Generation) {
        self.told().generation = Some(generation.clone());
    }

    fn judged(&self, signals: &Signals) {
        self.told().signals = Some(*signals);
    }

    fn indexed(&self) {
        self.told().indexed += 1;
    }
}

impl Session {
    /// Starts a server with `variant`.
    pub(super) fn start(variant: &Variant) -> anyhow::Result<Self> {
        let listener = Arc::new(Listener(Mutex::default()));
        let options = ServerOptions {
            settings: vec![(Source::Flags, variant.settings.clone())],
            variation: variant.variation,
            observer: Some(Arc::clone(&listener) as Arc<dyn Observer>),
            ..ServerOptions::new(Arc::new(crate::cli::serve::loader()))
        };
        let client = Client::start(options)?;
        let mut session = Self { client, listener, last_id: 0, project: None, indexed_before: None, is_ready: false };
        let capabilities = json!({
            "general": {"positionEncodings": ["utf-8"]},
            "textDocument": {"inlineCompletion": {}},
        });
        session.ask("initialize", json!({"processId": null, "capabilities": capabilities, "workspaceFolders": []}))?;
        session.tell("initialized", json!({}))?;
        Ok(session)
    }

    /// Opens the project at `root` in place of the last one.
    pub(super) fn enter(&mut self, root: &Path) -> anyhow::Result<()> {
        let uri = file_uri(root).0;
        if self.project.as_ref() == Some(&uri) {
            return Ok(());
        }
        let folder = |uri: &str| json!({"uri": uri, "name": "project"});
        let removed: Vec<Value> = self.project.iter().map(|uri| folder(uri)).collect();
        self.indexed_before = Some(self.listener.told().indexed);
        let event = json!({"added": [folder(&uri)], "removed": removed});
        self.tell("workspace/didChangeWorkspaceFolders", json!({"event": event}))?;
        self.project = Some(uri);
        Ok(())
    }

    /// Waits until a project that was just entered is indexed. Its document `uri` is open.
    fn wait_for_index(&mut self, uri: &str) -> anyhow::Result<()> {
        let Some(before) = self.indexed_before.take() else { return Ok(()) };
        // A request for code actions starts indexing, because a question about the project may follow.
        let start = json!({"line": 0, "character": 0});
        let range = json!({"start": start, "end": start});
        let context = json!({"diagnostics": []});
        let params = json!({"textDocument": {"uri": uri}, "range": range, "context": context});
        self.ask("textDocument/codeAction", params)?;
        let until = Instant::now() + INDEX_PATIENCE;
        while self.listener.told().indexed == before {
            if Instant::now() > until {
                eprintln!(
                    "phi-ls: the project is not indexed after {} s; continuing without its index",
                    INDEX_PATIENCE.as_secs()
                );
                break;
            }
            self.client.listen(Instant::now() + LOOK_EVERY)?;
        }
        Ok(())
    }

    /// Requests the completion that a person who types would get.
    pub(super) fn complete(&mut self, question: &Question<'_>) -> anyhow::Result<Answer> {
        let uri = file_uri(question.path).0;
        let document = json!({
            "uri": uri, "languageId": question.language.id, "version": 1, "text": question.text,
        });
        self.tell("textDocument/didOpen", json!({"textDocument": document}))?;
        if !self.is_ready {
            self.client.wait_until_ready(PATIENCE)?;
            self.is_ready = true;
        }
        self.wait_for_index(&uri)?;
        self.listener.told().forget();
        let before = &question.text[..question.offset];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let position = json!({"line": before.matches('\n').count(), "character": question.offset - line_start});
        let asked = Instant::now();
        // 2 is `Automatic`.
        let params = json!({"textDocument": {"uri": uri}, "position": position, "context": {"triggerKind": 2}});
        let (at, result) = self.ask("textDocument/inlineCompletion", params)?;
        let items = result.get("items").unwrap_or(&result);
        let shown = items[0]["insertText"].as_str().map(str::to_owned);
        self.tell("textDocument/didClose", json!({"textDocument": {"uri": uri}}))?;
        let mut told = self.listener.told();
        let (generation, signals) = (told.generation.take(), told.signals.take());
        Ok(Answer { shown, took: at.saturating_duration_since(asked), generation, signals })
    }

    fn tell(&mut self, method: &str, params: Value) -> anyhow::Result<()> {
        self.client.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
    }

    /// Sends a request. Returns its result, and when it arrived.
    fn ask(&mut self, method: &str, params: Value) -> anyhow::Result<(Instant, Value)> {
        self.last_id += 1;
        let id = self.last_id;
        self.client.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        let answer = self.client.wait_for(id, PATIENCE)?;
        match answer.message.get("error") {
            Some(error) => bail!("the server refused {method}: {error}"),
            None => Ok((answer.at, answer.message["result"].clone())),
        }
    }
}
