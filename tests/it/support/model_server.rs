//! A scripted model server on this machine, to test faults and protocols, never quality.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::{Value, json};

/// A request that was received.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// Names in lower case, and values.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The text to continue, or the question.
    pub(crate) fn last_message(&self) -> &str {
        let last = self.body["messages"].as_array().and_then(|messages| messages.last());
        last.map_or(&self.body["prompt"], |message| &message["content"]).as_str().unwrap_or_default()
    }

    /// Whether this is one of the requests by which phi-ls finds out what a server can do.
    pub(crate) fn is_probe(&self) -> bool {
        // Requests that a person waits for stream, and those that read ahead set `stream` to false.
        let is_short = self.path == "/v1/completions" && self.body["max_tokens"] == 1 && self.body["stream"].is_null();
        self.path == "/v1/models"
            || is_short
            || self.body["messages"][0]["content"].as_str().is_some_and(|text| text.starts_with("Count"))
    }
}

/// Answers a request on its connection, which is closed afterwards.
pub(crate) type Script = Arc<dyn Fn(&Asked, &mut TcpStream) + Send + Sync>;

pub(crate) struct ModelServer {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Receives a message when a client has closed the connection of an answer that is held.
    pub(crate) closed: mpsc::Receiver<()>,
    script: Arc<Mutex<Script>>,
    closer: mpsc::Sender<()>,
}

impl ModelServer {
    pub(crate) fn start(script: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Arc::new(script)));
        let (closer, closed) = mpsc::channel();
        let (log, scripts) = (Arc::clone(&asked), Arc::clone(&script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, scripts) = (Arc::clone(&log), Arc::clone(&scripts));
                std::thread::spawn(move || answer(stream, &log, &scripts));
            }
        });
        Self { url, asked, closed, script, closer }
    }

    /// Replaces the script.
    pub(crate) fn become_(&self, script: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    /// The requests other than probes.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| !asked.is_probe()).cloned().collect()
    }

    /// Waits for a request other than a probe.
    pub(crate) fn wait_until_asked(&self) {
        while self.asked().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// All requests.
    pub(crate) fn all_asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Switches to a script that answers probes like llama-server, begins every other answer with `beginning`, and then
    /// waits until the client closes the connection, which it reports.
    pub(crate) fn hold_after(&self, beginning: &'static str) {
        let closer = Mutex::new(self.closer.clone());
        self.become_(move |asked, stream| {
            if !probed(asked, stream, "llamacpp") {
                begin(stream);
                event(stream, &delta(beginning));
                // The client sends nothing more, so this returns when it closes the connection.
                let _ = stream.read(&mut [0]);
                let _ = closer.lock().unwrap().send(());
            }
        });
    }
}

fn answer(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, script: &Mutex<Script>) {
    let Some(asked) = read(&stream) else { return };
    log.lock().unwrap().push(asked.clone());
    let script = Arc::clone(&script.lock().unwrap());
    script(&asked, &mut stream);
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { path, headers, body: serde_json::from_slice(&body).unwrap_or_default() })
}

/// Sends a whole answer. It is not an error if the client is gone.
pub(crate) fn respond(stream: &mut TcpStream, status: u16, headers: &str, body: &str) {
    let length = body.len();
    let _ =
        write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}");
}

pub(crate) fn json_response(stream: &mut TcpStream, body: &Value) {
    respond(stream, 200, "Content-Type: application/json\r\n", &body.to_string());
}

/// Begins a streamed answer.
pub(crate) fn begin(stream: &mut TcpStream) {
    let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
}

pub(crate) fn event(stream: &mut TcpStream, data: &Value) {
    let _ = write!(stream, "data: {data}\n\n");
}

pub(crate) fn delta(text: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
}

/// Streams `pieces` and ends the answer.
pub(crate) fn stream_text(stream: &mut TcpStream, asked: &Asked, pieces: &[&str]) {
    begin(stream);
    for piece in pieces {
        let is_chat = asked.path.ends_with("/chat/completions");
        let chunk = json!({"choices": [{"index": 0, "text": piece, "finish_reason": null}]});
        event(stream, &if is_chat { delta(piece) } else { chunk });
    }
    event(stream, &json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
    let usage = json!({
        "prompt_tokens": 20, "completion_tokens": pieces.len(), "prompt_tokens_details": {"cached_tokens": 12},
    });
    event(stream, &json!({"choices": [], "usage": usage}));
    let _ = write!(stream, "data: [DONE]\n\n");
}

/// Answers `asked` like a server of `owner` that continues messages, if it is a probe. Returns whether it is.
pub(crate) fn probed(asked: &Asked, stream: &mut TcpStream, owner: &str) -> bool {
    if asked.path == "/v1/models" {
        json_response(stream, &json!({"object": "list", "data": [{"id": "coder", "owned_by": owner}]}));
    } else if asked.is_probe() && asked.body["add_generation_prompt"] == true {
        respond(stream, 400, "", r#"{"error": {"message": "cannot set both"}}"#);
    } else if asked.is_probe() {
        let message = json!({"role": "assistant", "content": "ve"});
        let tokens = asked.body.to_string().len();
        json_response(stream, &json!({"choices": [{"message": message}], "usage": {"prompt_tokens": tokens}}));
    }
    asked.is_probe()
}

/// A script that writes `pieces` for every request.
pub(crate) fn writing(pieces: &'static [&'static str]) -> impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static {
    move |asked, stream| {
        if !probed(asked, stream, "llamacpp") {
            stream_text(stream, asked, pieces);
        }
    }
}
