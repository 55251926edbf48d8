//! A typing session: a file, and what a person does to change it, key by key. `benches/traces/README.md` describes the
//! format. Here it is converted to the messages that an editor sends.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::trace_entry::{Hand, TraceEntry};
use crate::text::{Edit, Position, PositionEncoding, Rope, apply_edit, offset_at, position_at};

/// The first line of a session.
#[derive(Deserialize)]
struct Header {
    session: String,
    /// The language identifier in LSP.
    language: String,
    file: String,
    /// The checksum of the text at the end, in hexadecimal digits.
    sha256: String,
    /// The text at the beginning.
    text: String,
}

/// Every other line: what the person does, this many milliseconds after the last step.
#[derive(Deserialize)]
struct Step {
    after: u64,
    #[serde(flatten)]
    action: Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    /// Keys, each with the milliseconds since the one before and the text that it inserts; `\b` removes a character.
    Keys(Vec<(u64, String)>),
    /// Accepts a completion, which inserts this text at once.
    Accept(String),
    Paste(String),
    /// Removes this many characters after the cursor.
    Remove(usize),
    /// Moves the cursor to a line, after this many characters of it; both count from zero.
    Go(u32, u32),
}

/// Whether `line` is the first of a session.
pub(super) fn is_header(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|value| value.get("session").is_some())
}

/// The messages of the session `text`.
///
/// # Errors
/// If a line is not a step, a step cannot be done, or the text at the end does not have the checksum of the session.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<TraceEntry>> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, first) = lines.next().context("expected a session, found nothing")?;
    let header: Header = serde_json::from_str(first).context("line 1: expected the header of a session")?;
    let mut typist = Typist::open(&header);
    for (index, line) in lines {
        let step: Step = serde_json::from_str(line)
            .with_context(|| format!("line {}: expected {{\"after\": .., \"keys\": ..}} or the like", index + 1))?;
        typist.take(step).with_context(|| format!("line {}", index + 1))?;
    }
    let found = format!("{:x}", Sha256::digest(typist.text.to_string()));
    if found != header.sha256 {
        bail!("expected a text with the checksum {} at the end, found {found}", header.sha256);
    }
    typist.send("shutdown", Value::Null, true);
    Ok(typist.entries)
}

/// An editor: a text, the cursor in it, and the messages that it has sent.
struct Typist {
    uri: String,
    text: Rope,
    /// The byte offset of the cursor.
    cursor: usize,
    version: i32,
    ms: u64,
    last_id: i64,
    entries: Vec<TraceEntry>,
}

impl Typist {
    fn open(header: &Header) -> Self {
        let uri = format!("file:///sessions/{}/{}", header.session, header.file);
        let mut typist = Self {
            uri: uri.clone(),
            text: Rope::from_str(&header.text),
            cursor: 0,
            version: 1,
            ms: 0,
            last_id: 0,
            entries: Vec::new(),
        };
        let capabilities = json!({
            "general": {"positionEncodings": ["utf-8"]},
            "textDocument": {"inlineCompletion": {}},
        });
        typist.send("initialize", json!({"capabilities": capabilities, "rootUri": null}), true);
        typist.send("initialized", json!({}), false);
        let document = json!({"uri": uri, "languageId": header.language, "version": 1, "text": header.text});
        typist.send("textDocument/didOpen", json!({"textDocument": document}), false);
        typist
    }

    fn send(&mut self, method: &str, params: Value, is_request: bool) -> &mut TraceEntry {
        let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        if is_request {
            self.last_id += 1;
            message["id"] = self.last_id.into();
        }
        self.entries.push(TraceEntry::new(self.ms, message));
        self.entries.last_mut().expect("just pushed")
    }

    fn take(&mut self, step: Step) -> anyhow::Result<()> {
        self.ms += step.after;
        match step.action {
            Action::Keys(keys) => {
                for (gap, key) in keys {
                    self.ms += gap;
                    self.press(&key)?;
                }
            }
            Action::Accept(text) => {
                self.replace(self.cursor..self.cursor, &text).hand = Hand::Taken;
                self.ask();
            }
            Action::Paste(text) => self.replace(self.cursor..self.cursor, &text).hand = Hand::Pasted,
            Action::Remove(count) => {
                let start = self.text.byte_to_char(self.cursor);
                let end = start + count;
                if end > self.text.len_chars() {
                    bail!("expected {count} characters after the cursor, found {}", self.text.len_chars() - start);
                }
                let end = self.text.char_to_byte(end);
                self.replace(self.cursor..end, "");
            }
            Action::Go(line, column) => {
                self.cursor = offset_at(&self.text, Position { line, character: column }, PositionEncoding::Utf32);
                self.ask();
            }
        }
        Ok(())
    }

    fn press(&mut self, key: &str) -> anyhow::Result<()> {
        let typed = key.trim_start_matches('\u{8}');
        let before = self.text.byte_to_char(self.cursor);
        let start = before.checked_sub(key.len() - typed.len()).context("expected characters before the cursor")?;
        let start = self.text.char_to_byte(start);
        self.replace(start..self.cursor, typed);
        self.ask();
        Ok(())
    }

    fn replace(&mut self, range: std::ops::Range<usize>, new_text: &str) -> &mut TraceEntry {
        let place = |offset| {
            let Position { line, character } = position_at(&self.text, offset, PositionEncoding::Utf8);
            json!({"line": line, "character": character})
        };
        let change = json!({"range": {"start": place(range.start), "end": place(range.end)}, "text": new_text});
        self.cursor = range.start + new_text.len();
        self.version += 1;
        apply_edit(&mut self.text, &Edit { range, new_text: new_text.to_owned() });
        let document = json!({"uri": self.uri, "version": self.version});
        self.send("textDocument/didChange", json!({"textDocument": document, "contentChanges": [change]}), false)
    }

    /// Asks for a completion at the cursor, as this project's plugins do at every key.
    fn ask(&mut self) {
        let Position { line, character } = position_at(&self.text, self.cursor, PositionEncoding::Utf8);
        let params = json!({
            "textDocument": {"uri": self.uri},
            "position": {"line": line, "character": character},
            "context": {"triggerKind": 2},
        });
        self.send("textDocument/inlineCompletion", params, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session from `text` to `end` with these steps.
    fn session(text: &str, steps: &[&str], end: &str) -> String {
        let sha256 = format!("{:x}", Sha256::digest(end));
        let header = json!({"session": "s", "language": "rust", "file": "a.rs", "text": text, "sha256": sha256});
        format!("{header}\n{}", steps.join("\n"))
    }

    #[test]
    fn steps_become_messages_with_their_times() {
        let steps = [
            r#"{"after":100,"go":[1,1]}"#,
            r#"{"after":50,"keys":[[10,"x"],[20,"\n  "],[30,"\b\b"]]}"#,
            r#"{"after":5,"accept":"né"}"#,
            r#"{"after":5,"remove":1}"#,
            r#"{"after":5,"paste":"!"}"#,
        ];
        let entries = parse(&session("ä\nöb\n", &steps, "ä\nöx\nné!\n")).unwrap();
        let seen: Vec<(u64, &str)> = entries.iter().map(|entry| (entry.ms, entry.method())).collect();
        let (change, ask) = ("textDocument/didChange", "textDocument/inlineCompletion");
        let opened = [(0, "initialize"), (0, "initialized"), (0, "textDocument/didOpen"), (100, ask)];
        let typed = [(160, change), (160, ask), (180, change), (180, ask), (210, change), (210, ask)];
        let rest = [(215, change), (215, ask), (220, change), (225, change), (225, "shutdown")];
        assert_eq!(seen, [&opened[..], &typed, &rest].concat());
        let position = &entries[5].message["params"]["position"];
        assert_eq!(*position, json!({"line": 1, "character": 3}), "in bytes");
        let hands = [4, 10, 13].map(|index| entries[index].hand);
        assert_eq!(hands, [Hand::Typed, Hand::Taken, Hand::Pasted]);
    }

    /// Checks that those in `benches/traces` are valid, small, of many languages, and say whose code they contain.
    #[test]
    fn the_sessions_of_this_project_end_in_their_files() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/traces");
        let (mut sessions, mut languages) = (0, std::collections::BTreeSet::new());
        for file in std::fs::read_dir(folder.join("sessions")).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            parse(&text).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
            assert!(text.len() < 60 << 10, "{} has {} bytes", path.display(), text.len());
            let head: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
            assert!(folder.join(head["notice"].as_str().unwrap()).is_file(), "{}", path.display());
            languages.insert(head["language"].as_str().unwrap().to_owned());
            sessions += 1;
        }
        assert!(sessions >= 12 && languages.len() >= 6, "{sessions} sessions in {languages:?}");
    }

    #[test]
    fn what_is_no_session_says_where() {
        let error = |text: &str| format!("{:#}", parse(text).unwrap_err());
        assert!(error(&session("a", &[r#"{"after":1}"#], "a")).starts_with("line 2: expected"));
        assert!(error(&session("a", &[r#"{"after":1,"keys":[[1,"\b"]]}"#], "a")).starts_with("line 2: expected char"));
        assert!(error(&session("a", &[r#"{"after":1,"remove":2}"#], "a")).contains("2 characters"));
        assert!(error(&session("a", &[r#"{"after":1,"keys":[[1,"x"]]}"#], "a")).contains("checksum"));
        assert!(is_header(session("a", &[], "a").lines().next().unwrap()) && !is_header("{\"ms\": 0}"));
    }
}
