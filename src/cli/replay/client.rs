//! A client that sends the messages of a trace to a server in this process, over the protocol, as an editor does.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::server::{self, ServerOptions};

const PIPE_BYTES: usize = 1 << 20;
/// How long a server may take to end after its client is gone.
const ENDING_TIME: Duration = Duration::from_secs(10);

/// An answer of the server, and when it arrived.
pub(in crate::cli) struct Answer {
    pub(in crate::cli) at: Instant,
    pub(in crate::cli) message: Value,
}

pub(in crate::cli) struct Client {
    runtime: Runtime,
    server: JoinHandle<()>,
    output: WriteHalf<DuplexStream>,
    messages: mpsc::Receiver<(Instant, Value)>,
    /// The answers that have not been taken yet, by the id of the request.
    answers: BTreeMap<i64, Answer>,
    /// Documents in which a completion has grown since its answer.
    grown: Vec<String>,
    /// The newest state in `phi-ls/status`.
    state: String,
    /// How many pieces of answers to questions have arrived, and how many answers are complete.
    pub(super) answer_pieces: usize,
    pub(super) answers_done: usize,
}

impl Client {
    pub(in crate::cli) fn start(options: ServerOptions) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let (server_input, server_output) = tokio::io::split(far);
        let (input, output) = tokio::io::split(near);
        let (sender, messages) = mpsc::channel();
        let server = runtime.spawn(async move {
            if let Err(error) = server::run(server_input, server_output, options).await {
                tracing::error!("the server cannot start: {error}");
            }
        });
        runtime.spawn(read_messages(input, sender));
        Ok(Self {
            runtime,
            server,
            output,
            messages,
            answers: BTreeMap::new(),
            grown: Vec::new(),
            state: String::new(),
            answer_pieces: 0,
            answers_done: 0,
        })
    }

    pub(in crate::cli) fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        let body = message.to_string();
        let frame = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.runtime.block_on(self.output.write_all(frame.as_bytes())).context("the server has stopped reading")
    }

    /// Processes the server's messages until `until`.
    pub(in crate::cli) fn listen(&mut self, until: Instant) -> anyhow::Result<()> {
        self.listen_for(until, |_| false).map(|_| ())
    }

    /// Processes the server's messages until `done` or `until`. Returns whether it is done.
    pub(super) fn listen_for(&mut self, until: Instant, done: impl Fn(&Self) -> bool) -> anyhow::Result<bool> {
        while !done(self) {
            match self.messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((at, message)) => self.take_in(at, message)?,
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                Err(RecvTimeoutError::Disconnected) => bail!("the server has ended before the session did"),
            }
        }
        Ok(true)
    }

    /// Waits for the answer to request `id`.
    pub(in crate::cli) fn wait_for(&mut self, id: i64, limit: Duration) -> anyhow::Result<Answer> {
        self.listen_for(Instant::now() + limit, |client| client.answers.contains_key(&id))?;
        self.answers.remove(&id).with_context(|| format!("no answer to request {id} after {} s", limit.as_secs()))
    }

    /// Waits until a model is loaded.
    pub(in crate::cli) fn wait_until_ready(&mut self, limit: Duration) -> anyhow::Result<()> {
        let over = |client: &Self| ["ready", "error"].contains(&client.state.as_str());
        if !self.listen_for(Instant::now() + limit, over)? || self.state != "ready" {
            bail!("the model is not ready; `phi-ls doctor` and `phi-ls models` say why");
        }
        Ok(())
    }

    /// Whether there are answers, or completions that have grown.
    pub(super) fn has_news(&self) -> bool {
        !self.answers.is_empty() || !self.grown.is_empty()
    }

    /// The documents in which a completion has grown since the last call.
    pub(super) fn take_grown(&mut self) -> Vec<String> {
        std::mem::take(&mut self.grown)
    }

    /// The answers since the last call, by the id of the request.
    pub(super) fn take_answers(&mut self) -> BTreeMap<i64, Answer> {
        std::mem::take(&mut self.answers)
    }

    fn take_in(&mut self, at: Instant, message: Value) -> anyhow::Result<()> {
        match (message["method"].as_str(), message["id"].as_i64()) {
            (None, Some(id)) => {
                self.answers.insert(id, Answer { at, message });
            }
            // A trace does not contain settings. All other requests are granted.
            (Some(method), _) if message.get("id").is_some() => {
                let result = match method {
                    "workspace/configuration" => json!([null]),
                    "workspace/applyEdit" => json!({"applied": true}),
                    _ => Value::Null,
                };
                self.send(&json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))?;
            }
            (Some("phi-ls/status"), _) => {
                message["params"]["state"].as_str().unwrap_or_default().clone_into(&mut self.state);
            }
            (Some("phi-ls/completionGrew"), _) => {
                self.grown.extend(message["params"]["uri"].as_str().map(str::to_owned));
            }
            (Some("phi-ls/answer"), _) => {
                self.answer_pieces += usize::from(message["params"]["delta"].as_str().is_some_and(|it| !it.is_empty()));
                self.answers_done += usize::from(message["params"]["done"] == true);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Client {
    /// Ends the server and with it its models, because the next server may need their memory.
    fn drop(&mut self) {
        let Self { runtime, server, output, .. } = self;
        runtime.block_on(async {
            let _ = output.shutdown().await;
            let _ = tokio::time::timeout(ENDING_TIME, server).await;
        });
    }
}

/// Sends every message of the server to `sender`, with the time at which it arrived.
async fn read_messages(input: ReadHalf<DuplexStream>, sender: mpsc::Sender<(Instant, Value)>) {
    let mut input = BufReader::new(input);
    let mut header = String::new();
    loop {
        header.clear();
        let mut blank = String::new();
        match input.read_line(&mut header).await {
            Ok(read) if read > 0 && input.read_line(&mut blank).await.is_ok() => {}
            _ => return,
        }
        let len = header.trim_end().strip_prefix("Content-Length: ").and_then(|len| len.parse().ok());
        let mut body = vec![0; len.unwrap_or(0)];
        if input.read_exact(&mut body).await.is_err() {
            return;
        }
        let at = Instant::now();
        if let Ok(message) = serde_json::from_slice(&body)
            && sender.send((at, message)).is_err()
        {
            return;
        }
    }
}
