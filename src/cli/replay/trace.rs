//! What a client sent, and when: recorded (one JSON object per line, `{"ms": 120, "message": {..}}`), or converted from
//! a typing session.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::session;
use super::trace_entry::TraceEntry;
use crate::server::Observer;

/// Everything that one client sent.
pub(super) struct Trace {
    /// The file's name, without its extension.
    pub(super) name: String,
    pub(super) entries: Vec<TraceEntry>,
}

/// Reads a trace, or all traces of a folder in the order of their names.
///
/// # Errors
/// If a file is not a trace, or a folder has none.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Trace>> {
    if !path.is_dir() {
        return Ok(vec![read_file(path)?]);
    }
    let cannot_read = || format!("cannot read the folder {}", path.display());
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).with_context(cannot_read)? {
        files.push(entry.with_context(cannot_read)?.path());
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    if files.is_empty() {
        bail!("expected traces in {}, files that end in .jsonl; found none", path.display());
    }
    files.iter().map(|file| read_file(file)).collect()
}

fn read_file(path: &Path) -> anyhow::Result<Trace> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let is_session = text.lines().next().is_some_and(session::is_header);
    let (entries, kind) = match is_session {
        true => (session::parse(&text), "typing session"),
        false => (parse(&text), "recorded session"),
    };
    let entries = entries.with_context(|| format!("{} is not a {kind}", path.display()))?;
    if !entries.iter().any(TraceEntry::asks_for_completion) {
        bail!("expected requests for completions in {}, found none", path.display());
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Trace { name, entries })
}

fn parse(text: &str) -> anyhow::Result<Vec<TraceEntry>> {
    let mut entries: Vec<TraceEntry> = Vec::new();
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

/// Writes what a client sends to a file.
pub(in crate::cli) struct Recorder {
    file: Mutex<File>,
    started: Instant,
}

impl Recorder {
    /// # Errors
    /// If the file cannot be created. It must not exist, so that no recording is lost.
    pub(in crate::cli) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create_new(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { file: Mutex::new(file), started: Instant::now() })
    }
}

impl Observer for Recorder {
    /// Answers to the server are left out, because the server asks again in a replay.
    fn message(&self, body: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Value>(body) else { return };
        if message.get("method").is_none() {
            return;
        }
        let entry = TraceEntry::new(self.started.elapsed().as_millis() as u64, message);
        let line = serde_json::to_string(&entry).unwrap_or_default();
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = writeln!(file, "{line}") {
            tracing::warn!("recording the session stopped: {error}");
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
        let ask = r#"{"id":2,"method":"textDocument/inlineCompletion"}"#;
        for body in [r#"{"id":1,"method":"initialize"}"#, ask, r#"{"id":7,"result":null}"#, r#"{"method":"exit"}"#] {
            recorder.message(body.as_bytes());
        }
        let [trace] = &read(folder.path()).unwrap()[..] else { panic!("expected one trace") };
        let methods: Vec<&str> = trace.entries.iter().map(TraceEntry::method).collect();
        assert_eq!(
            (trace.name.as_str(), &methods[..]),
            ("session", &["initialize", "textDocument/inlineCompletion", "exit"][..])
        );
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
