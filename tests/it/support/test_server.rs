//! A protocol client for a server in the same process, over pipes in memory, with a scripted model.
//!
//! At its end it checks what must hold for every session: each request was answered exactly once, and the person was
//! shown no message that the test did not expect.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc;
use std::time::Duration;

use phi_ls::config::Source;
use phi_ls::server::{self, Ended, ServerOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};

use super::scripted_model::Counters;
use super::test_options::{TestOptions, rest_of};

/// After this long without a message, the server is considered to hang. No test waits this long unless something is
/// wrong.
const HANGS_AFTER: Duration = Duration::from_secs(60);

pub(crate) const URI: &str = "file:///home/user/project/main.py";

/// A running server and the messages that it has sent.
pub(crate) struct TestServer {
    runtime: tokio::runtime::Runtime,
    input: Option<WriteHalf<DuplexStream>>,
    messages: mpsc::Receiver<Value>,
    running: Option<tokio::task::JoinHandle<std::io::Result<Ended>>>,
    answers_requests: bool,
    next_id: i64,
    /// Requests sent, by id; true once answered.
    sent: BTreeMap<i64, bool>,
    /// Answers that the test has not read yet.
    answers: BTreeMap<i64, Value>,
    /// Ids in the order of their answers.
    answered: Vec<i64>,
    pub(crate) notifications: VecDeque<Value>,
    /// The methods of the server's requests.
    pub(crate) requests: Vec<String>,
    /// Parameters of its `workspace/applyEdit` requests.
    pub(crate) edits: VecDeque<Value>,
    /// What it asked to show by `window/showDocument`: the texts of files, or else the URIs.
    pub(crate) shown: VecDeque<String>,
    /// Whether the client opens documents that are not files.
    pub(crate) opens_answers: bool,
    pub(crate) counters: Counters,
}

impl TestServer {
    /// Starts a server, without sending anything.
    pub(crate) fn start(options: TestOptions) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (client, server) = tokio::io::duplex(options.pipe_bytes);
        let (server_input, server_output) = tokio::io::split(server);
        let (output, input) = tokio::io::split(client);
        let mut settings = options.settings;
        // However slow the machine is, completions are whole, unless the test is about time.
        let base = json!({
            "completion.prepareNext": options.prepare_next,
            "completion.timeBudgetMs": 600_000,
            // Independent of what else the machine does.
            "completion.effort": "eager",
        });
        settings.insert(0, (Source::File, base));
        let server_options = ServerOptions {
            settings,
            minute: options.minute,
            statistics: options.statistics,
            kept: options.kept,
            ..ServerOptions::new(options.loader)
        };
        let running = runtime.spawn(server::run(server_input, server_output, server_options));
        let (sender, messages) = mpsc::channel();
        runtime.spawn(read_messages(output, sender));
        Self {
            runtime,
            input: Some(input),
            messages,
            running: Some(running),
            answers_requests: options.answers_requests,
            next_id: 1,
            sent: BTreeMap::new(),
            answers: BTreeMap::new(),
            answered: Vec::new(),
            notifications: VecDeque::new(),
            requests: Vec::new(),
            edits: VecDeque::new(),
            shown: VecDeque::new(),
            opens_answers: true,
            counters: options.counters,
        }
    }

    /// Starts and initialises a server like an editor with inline completion and UTF-16 positions.
    pub(crate) fn initialized(options: TestOptions) -> Self {
        let mut server = Self::start(options);
        server.initialize(json!({"capabilities": {"textDocument": {"inlineCompletion": {}}}}));
        server
    }

    /// A server whose model always writes `answer`, with `text` open at [`URI`].
    pub(crate) fn answering(answer: &'static str, text: &str) -> Self {
        let mut server = Self::initialized(TestOptions::scripted(move |read| rest_of(answer, read)));
        server.open(URI, "python", text);
        server
    }

    pub(crate) fn initialize(&mut self, params: Value) -> Value {
        let result = self.call("initialize", params);
        self.notify("initialized", json!({}));
        result
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the input is open");
        // The server may have ended. The test will notice that it does not answer.
        let _ = self.runtime.block_on(input.write_all(bytes));
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.send_raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// Sends a request without waiting, and returns its id.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        self.sent.insert(id, false);
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// Sends a request and returns its result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params);
        self.result(id)
    }

    pub(crate) fn cancel(&mut self, id: i64) {
        self.notify("$/cancelRequest", json!({"id": id}));
    }

    /// Waits for the answer to request `id`, a result or an error.
    pub(crate) fn answer(&mut self, id: i64) -> Value {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return answer;
            }
            self.receive();
        }
    }

    pub(crate) fn result(&mut self, id: i64) -> Value {
        let answer = self.answer(id);
        assert!(answer.get("error").is_none(), "request {id} failed: {answer}");
        answer["result"].clone()
    }

    /// Ids of answered requests, in the order of their answers.
    pub(crate) fn answered(&self) -> &[i64] {
        &self.answered
    }

    /// Waits for one message.
    fn receive(&mut self) {
        match self.messages.recv_timeout(HANGS_AFTER) {
            Ok(message) => self.take_in(message),
            Err(error) => panic!("the server says nothing ({error}); unanswered: {:?}", self.unanswered()),
        }
    }

    fn take_in(&mut self, message: Value) {
        match (message.get("id"), message.get("method").and_then(Value::as_str)) {
            (Some(id), Some(method)) => {
                self.requests.push(method.to_owned());
                if self.answers_requests {
                    let result = match method {
                        "workspace/configuration" => json!([{}]),
                        "workspace/applyEdit" => {
                            self.edits.push_back(message["params"].clone());
                            json!({"applied": true})
                        }
                        "window/showDocument" => {
                            let uri = message["params"]["uri"].as_str().expect("a URI");
                            let file = uri.strip_prefix("file://");
                            let text = |path| std::fs::read_to_string(path).expect("a text");
                            self.shown.push_back(file.map_or_else(|| uri.to_owned(), text));
                            json!({"success": file.is_some() || self.opens_answers})
                        }
                        _ => Value::Null,
                    };
                    self.send(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
                }
            }
            (None, Some(_)) => self.notifications.push_back(message),
            (Some(Value::Null), None) => self.notifications.push_back(message),
            (Some(id), None) => {
                let id = id.as_i64().expect("ids of the client are numbers");
                let answered =
                    self.sent.get_mut(&id).unwrap_or_else(|| panic!("an answer nobody asked for: {message}"));
                assert!(!std::mem::replace(answered, true), "request {id} was answered twice");
                self.answered.push(id);
                self.answers.insert(id, message);
            }
            (None, None) => panic!("expected a message, found {message}"),
        }
    }

    fn unanswered(&self) -> BTreeSet<i64> {
        self.sent.iter().filter(|(_, answered)| !**answered).map(|(id, _)| *id).collect()
    }

    /// Receives messages until there is a notification of `method` that fulfils `wanted`, which is removed and
    /// returned.
    pub(crate) fn notification(&mut self, method: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let fits = |message: &Value| message["method"] == method && wanted(&message["params"]);
            if let Some(index) = self.notifications.iter().position(fits) {
                return self.notifications.remove(index).expect("found there")["params"].clone();
            }
            self.receive();
        }
    }

    /// Waits until the server has handled everything sent before.
    pub(crate) fn answer_of_nothing(&mut self) {
        let id = self.request("workspace/executeCommand", json!({"command": "x"}));
        self.answer(id);
    }

    /// Waits for an edit that the server asks to apply.
    pub(crate) fn applied_edit(&mut self) -> Value {
        loop {
            if let Some(params) = self.edits.pop_front() {
                return params["edit"].clone();
            }
            self.receive();
        }
    }

    /// Waits for a text that the server asks to show as a document.
    pub(crate) fn shown_text(&mut self) -> String {
        loop {
            if let Some(text) = self.shown.pop_front() {
                return text;
            }
            self.receive();
        }
    }

    /// Waits until the server has sent a request of `method`. Earlier ones are dropped.
    pub(crate) fn requested(&mut self, method: &str) {
        while !self.requests.iter().any(|sent| sent == method) {
            self.receive();
        }
        self.requests.clear();
    }

    /// Waits until the model's state is `state`. Earlier states are dropped.
    pub(crate) fn status(&mut self, state: &str) -> Value {
        let status = self.notification("phi-ls/status", |params| params["state"] == state);
        self.notifications.retain(|message| message["method"] != "phi-ls/status");
        status
    }

    /// Waits for an answer to a message without a usable id.
    pub(crate) fn anonymous_answer(&mut self) -> Value {
        loop {
            if let Some(index) = self.notifications.iter().position(|message| message.get("method").is_none()) {
                return self.notifications.remove(index).expect("found there");
            }
            self.receive();
        }
    }

    pub(crate) fn open(&mut self, uri: &str, language: &str, text: &str) {
        let document = json!({"uri": uri, "languageId": language, "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
    }

    /// Replaces `start..end` (line, character) of the document at [`URI`].
    pub(crate) fn edit(&mut self, version: i32, start: (u32, u32), end: (u32, u32), text: &str) {
        self.notify("textDocument/didChange", change(version, start, end, text));
    }

    /// Asks for a completion at [`URI`] without waiting.
    pub(crate) fn request_completion(&mut self, line: u32, character: u32) -> i64 {
        self.request("textDocument/inlineCompletion", completion_params(URI, line, character))
    }

    /// The completions at a place in [`URI`].
    pub(crate) fn complete(&mut self, line: u32, character: u32) -> Vec<String> {
        let id = self.request_completion(line, character);
        texts(&self.result(id))
    }

    /// Waits until the engine is idle.
    pub(crate) fn settle(&mut self) {
        self.status("ready");
    }

    /// Ends the session in the right order and checks it.
    pub(crate) fn finish(mut self) {
        self.call("shutdown", Value::Null);
        self.notify("exit", Value::Null);
        assert_eq!(self.wait_for_end(), Ended::Orderly);
        self.audit();
    }

    /// How the server ended.
    pub(crate) fn wait_for_end(&mut self) -> Ended {
        let running = self.running.take().expect("not waited for yet");
        let ended = self.runtime.block_on(async { tokio::time::timeout(HANGS_AFTER, running).await });
        ended.expect("the server ends").expect("the server does not panic").expect("the server runs")
    }

    /// Closes the server's input.
    pub(crate) fn close_input(&mut self) {
        let mut input = self.input.take().expect("the input is open");
        self.runtime.block_on(input.shutdown()).unwrap();
    }

    /// Receives the last messages of the ended server, and checks that nothing is missing or unexpected.
    pub(crate) fn audit(&mut self) {
        while let Ok(message) = self.messages.recv_timeout(HANGS_AFTER) {
            self.take_in(message);
        }
        assert!(self.unanswered().is_empty(), "without an answer: {:?}", self.unanswered());
        let shown = |message: &&Value| message["method"] == "window/showMessage" || message.get("method").is_none();
        let unread: Vec<_> = self.notifications.iter().filter(shown).collect();
        assert!(unread.is_empty(), "the person was told what the test does not expect: {unread:?}");
    }
}

pub(crate) fn completion_params(uri: &str, line: u32, character: u32) -> Value {
    json!({
        "textDocument": {"uri": uri},
        "position": {"line": line, "character": character},
        "context": {"triggerKind": 2},
    })
}

pub(crate) fn change(version: i32, start: (u32, u32), end: (u32, u32), text: &str) -> Value {
    let position = |(line, character): (u32, u32)| json!({"line": line, "character": character});
    json!({
        "textDocument": {"uri": URI, "version": version},
        "contentChanges": [{"range": {"start": position(start), "end": position(end)}, "text": text}],
    })
}

/// The texts in the result of an inline completion, which is always a list of items with a range on one line.
pub(crate) fn texts(result: &Value) -> Vec<String> {
    let items = result["items"].as_array().unwrap_or_else(|| panic!("expected a list, found {result}"));
    let text = |item: &Value| {
        assert_eq!(item["range"]["start"]["line"], item["range"]["end"]["line"], "{item}");
        assert!(item.as_object().expect("an object").values().all(|field| !field.is_null()), "{item}");
        item["insertText"].as_str().expect("a text").to_owned()
    };
    items.iter().map(text).collect()
}

async fn read_messages(mut output: ReadHalf<DuplexStream>, sender: mpsc::Sender<Value>) {
    loop {
        let mut header = Vec::new();
        while !header.ends_with(b"\r\n\r\n") {
            match output.read_u8().await {
                Ok(byte) => header.push(byte),
                Err(_) => return,
            }
        }
        let header = String::from_utf8(header).expect("headers are text");
        let len = header.trim().strip_prefix("Content-Length: ").expect("one header").parse().expect("a length");
        let mut body = vec![0; len];
        if output.read_exact(&mut body).await.is_err() {
            return;
        }
        let message = serde_json::from_slice(&body).expect("messages are JSON");
        if sender.send(message).is_err() {
            return;
        }
    }
}
