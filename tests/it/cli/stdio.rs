//! The real binary on real pipes: a session, the exit code, and nothing but protocol on standard output.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// Settings with which an engine process ends with its server.
const LEAVE_AT_ONCE: &str = "engine.lingerMinutes = 0\n";

/// A server in a process of its own.
pub(crate) struct Server {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    _home: Option<tempfile::TempDir>,
}

impl Server {
    /// The binary with `arguments`, without the settings and models of the person who runs the tests. Its engine
    /// process ends with it.
    pub(crate) fn start(arguments: &[&str], models: &Path) -> Self {
        Self::start_with(LEAVE_AT_ONCE, arguments, models)
    }

    /// The same, with `settings` in the user's `config.toml`.
    pub(crate) fn start_with(settings: &str, arguments: &[&str], models: &Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        let server = Self::start_in(home.path(), settings, arguments, models);
        Self { _home: Some(home), ..server }
    }

    /// The same, with `home` as the home folder, in which several servers find each other.
    pub(crate) fn start_in(home: &Path, settings: &str, arguments: &[&str], models: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phi-ls"));
        command.args(arguments);
        Self::run_in(home, settings, command, models)
    }

    /// Runs `command` like [`Server::start`].
    pub(crate) fn run(command: Command, models: &Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        let server = Self::run_in(home.path(), LEAVE_AT_ONCE, command, models);
        Self { _home: Some(home), ..server }
    }

    fn run_in(home: &Path, settings: &str, mut command: Command, models: &Path) -> Self {
        std::fs::create_dir_all(home.join("phi-ls")).unwrap();
        std::fs::create_dir_all(home.join("run")).unwrap();
        std::fs::write(home.join("phi-ls/config.toml"), settings).unwrap();
        let mut process = command
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home)
            .env("XDG_RUNTIME_DIR", home.join("run"))
            .env("PHI_LS_MODELS", models)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, input, output, _home: None }
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        let input = self.input.as_mut().expect("the input is open");
        write!(input, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        input.flush().unwrap();
    }

    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// The next message for which `wanted` holds; `None` at the end of the output.
    pub(crate) fn read_until(&mut self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        loop {
            let mut header = String::new();
            if self.output.read_line(&mut header).unwrap() == 0 {
                return None;
            }
            // Anything else here would be text that was printed to standard output.
            let len = header.trim_end().strip_prefix("Content-Length: ").expect("only messages").parse().unwrap();
            self.output.read_line(&mut String::new()).unwrap();
            let mut body = vec![0; len];
            self.output.read_exact(&mut body).unwrap();
            let message = serde_json::from_slice(&body).unwrap();
            if wanted(&message) {
                return Some(message);
            }
        }
    }

    pub(crate) fn call(&mut self, id: i64, method: &str, params: Value) -> Value {
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        self.read_until(|message| message["id"] == id && message.get("method").is_none()).expect("an answer")
    }

    pub(crate) fn open_with_a_hole(&mut self) {
        // Wait for the whole completion, however slow the machine is.
        self.open_with_settings(json!({"completion.timeBudgetMs": 60_000}));
    }

    /// Opens a document with a hole, with `settings` from the editor.
    pub(crate) fn open_with_settings(&mut self, settings: Value) {
        self.call(1, "initialize", json!({"capabilities": {}, "initializationOptions": settings}));
        self.notify("initialized", json!({}));
        let text = "def add(first, second):\n    return \n\n\nprint(add(1, 2))\n";
        let document = json!({"uri": "file:///tmp/a.py", "languageId": "python", "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
    }

    /// Changes the document, so that the last completion is not remembered.
    pub(crate) fn retype(&mut self) {
        let text = "def multiply(first, second):\n    return \n\n\nprint(multiply(1, 2))\n";
        let document = json!({"uri": "file:///tmp/a.py", "version": 2});
        let changes = json!([{"text": text}]);
        self.notify("textDocument/didChange", json!({"textDocument": document, "contentChanges": changes}));
    }

    pub(crate) fn complete(&mut self, id: i64) -> Value {
        let params = json!({
            "textDocument": {"uri": "file:///tmp/a.py"},
            "position": {"line": 1, "character": 11},
            "context": {"triggerKind": 1},
        });
        self.call(id, "textDocument/inlineCompletion", params)["result"]["items"].clone()
    }

    /// Ends the session and returns the exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.call(1000, "shutdown", Value::Null);
        self.notify("exit", Value::Null);
        assert_eq!(self.read_until(|_| false), None);
        self.process.wait().unwrap().code()
    }
}

#[test]
fn without_a_model_the_server_says_what_to_do_and_lives() {
    let models = tempfile::tempdir().unwrap();
    let mut server = Server::start(&["serve", "--stdio"], models.path());
    server.open_with_a_hole();
    let failed = |message: &Value| message["method"] == "phi-ls/status" && message["params"]["state"] == "error";
    let status = server.read_until(failed).expect("a status");
    assert!(status["params"]["message"].as_str().unwrap().contains("phi-ls pull phi-3.5-mini"), "{status}");
    assert_eq!(server.complete(2), json!([]));
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_closed_input_ends_the_process_with_a_code_of_its_own() {
    let models = tempfile::tempdir().unwrap();
    let mut server = Server::start(&[], models.path());
    server.call(1, "initialize", json!({"capabilities": {}}));
    drop(server.input.take());
    assert_eq!(server.read_until(|_| false), None);
    assert_eq!(server.process.wait().unwrap().code(), Some(1));
}

/// The output of `phi-ls replay` with `arguments`, or its error.
fn replay(arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_phi-ls")).arg("replay").args(arguments).output().unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

#[test]
fn a_session_can_be_recorded_and_replayed_alone_and_beside_answers() {
    let Some(model) = crate::support::starter() else { return };
    let model = model.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("session.jsonl");
    let trace = trace.to_str().unwrap();
    let mut server = Server::start(&["serve", "--completion-model", model, "--record", trace], folder.path());
    server.open_with_a_hole();
    server.complete(2);
    server.complete(3);
    assert_eq!(server.end(), Some(0));

    let arguments = [trace, "--model", model, "--wait", "--json", "--during-answers-of"];
    // The same model in both roles would use one engine, but a link to it counts as another model.
    let other = folder.path().join("assistant.gguf");
    std::fs::hard_link(model, &other).or_else(|_| std::fs::copy(model, &other).map(drop)).unwrap();
    let report = replay(&[&arguments[..], &[other.to_str().unwrap()]].concat()).unwrap();
    for part in ["alone", "during_answers"] {
        assert_eq!(report[part]["shown"], 2, "{report}");
        assert_eq!(report[part]["generations"], 1, "what is shown again is not generated again: {report}");
    }
    assert!(report["during_answers"]["answer_pieces"].as_u64() > Some(0), "{report}");
    assert_eq!(report["alone"]["answer_pieces"], 0, "{report}");
}

/// Writes a typing session to `folder` that changes a file to `END`.
fn write_session(folder: &std::path::Path) {
    use sha2::{Digest as _, Sha256};
    const TEXT: &str = "def add(first, second):\n    return \n\n\nprint(add(1, 2))\n";
    const END: &str = "def add(first, second):\n    return first + second\n\n\nprint(add(1, 2))\n";
    let sha256 = format!("{:x}", Sha256::digest(END));
    let head = json!({"session": "add", "language": "python", "file": "add.py", "text": TEXT, "sha256": sha256});
    let steps = [
        json!({"after": 10, "go": [1, 11]}),
        json!({"after": 300, "keys": [[10, "f"], [60, "i"]]}),
        json!({"after": 1500, "accept": "rst + second"}),
    ];
    let lines: Vec<String> = std::iter::once(&head).chain(&steps).map(ToString::to_string).collect();
    std::fs::write(folder.join("add.jsonl"), lines.join("\n")).unwrap();
}

#[test]
fn typing_sessions_of_a_folder_are_replayed_key_by_key() {
    let Some(model) = crate::support::starter() else { return };
    let folder = tempfile::tempdir().unwrap();
    write_session(folder.path());
    let page = folder.path().join("report.html");
    let arguments = [folder.path().to_str().unwrap(), "--model", model.to_str().unwrap(), "--json", "--wait"];
    let report = replay(&[&arguments[..], &["--html", page.to_str().unwrap()]].concat()).unwrap();
    assert_eq!((&report["sessions"], &report["keys"], &report["asked"]), (&json!(1), &json!(3), &json!(4)), "{report}");
    assert!(report["first_text_ms"]["p50"].as_f64() > Some(0.0), "{report}");
    // It is written word by word, so the first words are shown before the whole.
    assert!(report["complete_text_ms"]["p99"].as_f64() > report["first_text_ms"]["p99"].as_f64(), "{report}");
    assert!(report["without_model_share"].as_f64() > Some(0.0), "typing along costs no model: {report}");
    assert!(report["prefilled_tokens_per_key"]["p95"].as_u64() > Some(0), "{report}");
    assert!(report["cpu_seconds"].as_f64() > Some(0.0) || !cfg!(unix), "{report}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("3 keys of 1 editing session") && page.contains("<svg"), "{page}");
}

#[test]
fn a_given_text_is_written_and_accepted() {
    let Some(model) = crate::support::starter() else { return };
    let folder = tempfile::tempdir().unwrap();
    write_session(folder.path());
    let arguments = [folder.path().to_str().unwrap(), "--model", model.to_str().unwrap(), "--json", "--full-speed"];
    let report = replay(&[&arguments[..], &["--given"]].concat()).unwrap();
    // All text on the screen was typed or accepted.
    assert_eq!((&report["accepted_chars"], &report["on_screen_share"]), (&json!(12), &json!(1.0)), "{report}");
    assert!(report["cpu_seconds_per_accepted_char"].as_f64() > Some(0.0) || !cfg!(unix), "{report}");
    let two_keys = replay(&[&arguments[..], &["--given", "--keys", "2"]].concat()).unwrap();
    assert_eq!((&two_keys["keys"], &two_keys["accepted_chars"]), (&json!(2), &json!(0)), "{two_keys}");
}

#[test]
fn what_is_no_recording_cannot_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("notes.txt");
    std::fs::write(&trace, "buy milk\n").unwrap();
    let error = replay(&[trace.to_str().unwrap()]).unwrap_err();
    assert!(error.contains("notes.txt is not a recorded session: line 1: expected"), "{error}");
    let error = replay(&[folder.path().to_str().unwrap()]).unwrap_err();
    assert!(error.contains("files that end in .jsonl; found none"), "{error}");
    std::fs::write(&trace, "{\"session\": \"s\"}\n").unwrap();
    let error = replay(&[trace.to_str().unwrap()]).unwrap_err();
    assert!(error.contains("notes.txt is not a typing session: line 1: expected the header"), "{error}");
}

#[test]
fn a_real_model_completes() {
    let Some(model) = crate::support::starter() else { return };
    let models = tempfile::tempdir().unwrap();
    let mut server = Server::start(&["serve", "--completion-model", model.to_str().unwrap()], models.path());
    server.open_with_a_hole();
    let items = server.complete(2);
    let text = items[0]["insertText"].as_str().expect("a completion");
    assert!(text.contains("first") && text.contains("second"), "{text}");
    assert_eq!(server.end(), Some(0));
}
