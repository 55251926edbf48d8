//! A recorded editing session: what a client sent, and when. One JSON object a line: `{"ms": 120, "message": {..}}`.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::server::Observer;

/// A message of the client, this long after the first one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::cli) struct Entry {
    pub(super) ms: u64,
    pub(super) message: Value,
}

impl Entry {
    pub(super) fn method(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    pub(super) fn at(&self) -> Duration {
        Duration::from_millis(self.ms)
    }

    /// A request for a completion, inline or in a popup.
    pub(super) fn asks_for_completion(&self) -> bool {
        matches!(self.method(), "textDocument/inlineCompletion" | "textDocument/completion")
    }
}

/// Reads a trace.
///
/// # Errors
/// Where a line is no entry, or the session does not begin with `initialize`.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is no recorded session", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let entry = serde_json::from_str(line)
            .with_context(|| format!("line {}: expected {{\"ms\": .., \"message\": {{..}}}}", index + 1))?;
        entries.push(entry);
    }
    match entries.first() {
        Some(first) if first.method() == "initialize" => Ok(entries),
        Some(first) => bail!("expected `initialize` first, found `{}`", first.method()),
        None => bail!("expected messages, found none; `phi-ls serve --record FILE` records a session"),
    }
}

/// Writes what a client sends to a file, as it comes.
pub(in crate::cli) struct Recorder {
    file: Mutex<File>,
    started: Instant,
}

impl Recorder {
    /// # Errors
    /// When the file exists already, so that nobody's recording is lost, or cannot be made.
    pub(in crate::cli) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create_new(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { file: Mutex::new(file), started: Instant::now() })
    }
}

impl Observer for Recorder {
    /// Answers to the server are left out: at a replay it asks again.
    fn message(&self, body: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Value>(body) else { return };
        if message.get("method").is_none() {
            return;
        }
        let entry = Entry { ms: self.started.elapsed().as_millis() as u64, message };
        let line = serde_json::to_string(&entry).unwrap_or_default();
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = writeln!(file, "{line}") {
            tracing::warn!("the session is not recorded any more: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.jsonl");
        let recorder = Recorder::create(&path).unwrap();
        for body in [r#"{"id":1,"method":"initialize"}"#, r#"{"id":7,"result":null}"#, r#"{"method":"exit"}"#] {
            recorder.message(body.as_bytes());
        }
        let methods: Vec<String> = read(&path).unwrap().iter().map(|entry| entry.method().to_owned()).collect();
        assert_eq!(methods, ["initialize", "exit"]);
        assert!(Recorder::create(&path).is_err(), "a recording is not overwritten");
    }

    #[test]
    fn what_is_no_trace_is_refused_with_the_line() {
        let line = r#"{"ms": 0, "message": {"method": "initialize"}}"#;
        assert_eq!(parse(line).unwrap().len(), 1);
        let error = format!("{:#}", parse(&format!("{line}\nnonsense")).unwrap_err());
        assert!(error.starts_with("line 2: expected"), "{error}");
        let error = parse(r#"{"ms": 0, "message": {"method": "exit"}}"#).unwrap_err().to_string();
        assert_eq!(error, "expected `initialize` first, found `exit`");
        assert!(parse("").is_err());
    }
}
