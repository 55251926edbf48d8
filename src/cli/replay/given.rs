//! A model that writes what the person is about to write, whatever its weights, at the cost of computing with them. It
//! is for random weights, whose text nobody would accept.
//!
//! Where the session accepts a completion on the same line, it writes that text. Elsewhere, it writes another line of
//! the file, which the person does not follow, as is usual for completions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::screen::edit_of;
use super::trace::Trace;
use super::trace_entry::{Hand, TraceEntry};
use crate::model::{
    KvCache, LanguageModel, LoadedModel, LogitRows, Logits, ModelConfig, ModelError, RopeFactors, Sequence, Tokenizer,
};
use crate::text::{Edit, PositionEncoding, Rope, apply_edit, floor_char_boundary};

/// How many bytes before a place are compared with what the model has read, and how many have to agree.
const RECOGNISED_BY: usize = 120;
const LEAST_AGREEING: usize = 8;

/// How many bytes healing may have removed from the end of what the model reads.
const HEALED: usize = 40;

/// How many places before the newest one a text may belong to.
const PLACES_BEFORE: usize = 2;
const PLACES_AHEAD: usize = 4;

/// The logit of a given token, while all others have 0: certain in any vocabulary.
const CERTAIN: f32 = 40.0;

/// The text that the model writes at each place of a session where a completion is requested.
pub(super) struct Given {
    places: Vec<CompletionPoint>,
    /// How many of the places have been asked about.
    asked: AtomicUsize,
}

struct CompletionPoint {
    /// The text before the place, and the text that the model writes after it.
    text: Vec<u8>,
    /// The offset at which the latter begins.
    at: usize,
}

impl Given {
    pub(super) fn new(trace: &Trace) -> Self {
        Self { places: places(&trace.entries), asked: AtomicUsize::new(0) }
    }

    /// Notes that the session asks about the next place.
    pub(super) fn note_request(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
    }

    /// The text that comes after `read`, which is the end of what a model has read and written. Empty if the text
    /// should end here; `None` if this is not a place of the session.
    fn continuation(&self, read: &[u8]) -> Option<&[u8]> {
        let asked = self.asked.load(Ordering::SeqCst);
        let near = asked.saturating_sub(PLACES_BEFORE)..(asked + PLACES_AHEAD).min(self.places.len());
        let fits = |place: &'_ CompletionPoint| {
            let ends = place.at.saturating_sub(HEALED)..=place.text.len();
            ends.map(|end| (agreement(read, &place.text[..end]), end)).max_by_key(|(agreement, _)| *agreement)
        };
        let mut best: Option<(usize, &[u8])> = None;
        for place in self.places.get(near)? {
            if let Some((agreement, end)) = fits(place)
                && agreement >= LEAST_AGREEING.min(end)
                && best.is_none_or(|(most, _)| agreement > most)
            {
                best = Some((agreement, &place.text[end..]));
            }
        }
        best.map(|(_, rest)| rest)
    }
}

/// How many bytes at the end are the same in both.
fn agreement(left: &[u8], right: &[u8]) -> usize {
    left.iter().rev().zip(right.iter().rev()).take_while(|(left, right)| left == right).count()
}

/// The places where completions are requested, in order.
fn places(entries: &[TraceEntry]) -> Vec<CompletionPoint> {
    let mut text = Rope::new();
    let mut places = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let params = &entry.message["params"];
        match entry.method() {
            "textDocument/didOpen" => {
                text = Rope::from_str(params["textDocument"]["text"].as_str().unwrap_or_default());
            }
            "textDocument/didChange" => edits_of(entry, &text).iter().for_each(|edit| apply_edit(&mut text, edit)),
            _ if entry.asks_for_completion() => {
                let cursor = super::screen::offset_of(&text, &params["position"], PositionEncoding::Utf8);
                places.push(place(&text, cursor, &entries[index + 1..], places.len()));
            }
            _ => {}
        }
    }
    places
}

fn edits_of(entry: &TraceEntry, text: &Rope) -> Vec<Edit> {
    let changes = entry.message["params"]["contentChanges"].as_array().map(Vec::as_slice).unwrap_or_default();
    changes.iter().map(|change| edit_of(text, change, PositionEncoding::Utf8)).collect()
}

fn place(text: &Rope, cursor: usize, rest: &[TraceEntry], number: usize) -> CompletionPoint {
    let written = taken_later(text, cursor, rest).unwrap_or_else(|| other_line(text, number));
    let start = floor_char_boundary(text, cursor.saturating_sub(RECOGNISED_BY));
    let mut around = text.byte_slice(start..cursor).to_string().into_bytes();
    let at = around.len();
    around.extend_from_slice(written.as_bytes());
    CompletionPoint { text: around, at }
}

/// The text that is typed from `cursor` on until a completion is accepted on the same line, including that. `None` if
/// none is.
fn taken_later(text: &Rope, cursor: usize, rest: &[TraceEntry]) -> Option<String> {
    let mut text = text.clone();
    let mut typed = String::new();
    for entry in rest.iter().filter(|entry| entry.method() == "textDocument/didChange") {
        let [edit] = &edits_of(entry, &text)[..] else { return None };
        let at = cursor + typed.len();
        if edit.range != (at..at) || edit.new_text.contains('\n') {
            return None;
        }
        apply_edit(&mut text, edit);
        typed.push_str(&edit.new_text);
        if entry.hand == Hand::Taken {
            return Some(typed);
        }
    }
    None
}

/// A line of `text` with content, which differs for each `number`.
fn other_line(text: &Rope, number: usize) -> String {
    let lines: Vec<String> =
        text.lines().map(|line| line.to_string().trim().to_owned()).filter(|it| it.len() > 8).collect();
    // An arbitrary step that changes the line every time.
    let index = (number * 31 + 7) % lines.len().max(1);
    lines.get(index).cloned().unwrap_or_default()
}

/// Makes `loaded` write what is `given`.
pub(super) fn give(loaded: LoadedModel, given: Arc<Given>) -> LoadedModel {
    let end = loaded.tokenizer.stop_ids().first().copied();
    let tokenizer = Arc::clone(&loaded.tokenizer);
    LoadedModel { model: Box::new(GivenModel { inner: loaded.model, tokenizer, end, given }), ..loaded }
}

struct GivenModel {
    inner: Box<dyn LanguageModel>,
    tokenizer: Arc<Tokenizer>,
    /// The token that ends an answer.
    end: Option<u32>,
    given: Arc<Given>,
}

impl LanguageModel for GivenModel {
    fn config(&self) -> &ModelConfig {
        self.inner.config()
    }

    fn new_cache(&self, factors: RopeFactors) -> KvCache {
        self.inner.new_cache(factors)
    }

    fn forward(&mut self, sequences: &mut [Sequence<'_>], logits: &mut Logits) -> Result<(), ModelError> {
        self.inner.forward(sequences, logits)?;
        let mut row = 0;
        for sequence in sequences {
            let read = sequence.cache.tokens();
            let rows = match sequence.logits {
                LogitRows::None => 0,
                LogitRows::Last => 1,
                LogitRows::All => sequence.tokens.len(),
            };
            for back in (0..rows).rev() {
                if let Some(token) = self.next(&read[..read.len() - back]) {
                    let values = &mut logits.values[row * logits.vocab_size..(row + 1) * logits.vocab_size];
                    values.fill(0.0);
                    values[token as usize] = CERTAIN;
                }
                row += 1;
            }
        }
        Ok(())
    }

    fn pause_between_layers(&mut self, pause: Box<dyn Fn() + Send>) {
        self.inner.pause_between_layers(pause);
    }
}

impl GivenModel {
    /// The token that continues with what is given after `tokens`.
    fn next(&self, tokens: &[u32]) -> Option<u32> {
        let end = &tokens[tokens.len().saturating_sub(RECOGNISED_BY)..];
        let read: Vec<u8> = end.iter().flat_map(|&id| self.tokenizer.bytes(id).iter().copied()).collect();
        let rest = self.given.continuation(&read)?;
        if rest.is_empty() {
            return self.end;
        }
        // The longest token that is a prefix of the rest.
        let is_beginning =
            |id: &u32| rest.starts_with(self.tokenizer.bytes(*id)) && !self.tokenizer.bytes(*id).is_empty();
        let ids = self.tokenizer.healing_ids(&rest[..1]);
        ids.into_iter().filter(is_beginning).max_by_key(|id| self.tokenizer.bytes(*id).len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::replay::session;

    fn given(steps: &[&str], text: &str, end: &str) -> Given {
        use sha2::{Digest as _, Sha256};
        let sha256 = format!("{:x}", Sha256::digest(end));
        let header =
            serde_json::json!({"session": "s", "language": "c", "file": "a.c", "text": text, "sha256": sha256});
        let entries = session::parse(&format!("{header}\n{}", steps.join("\n"))).unwrap();
        Given::new(&Trace { name: "s".to_owned(), entries })
    }

    #[test]
    fn what_is_taken_later_is_written_before() {
        let steps = [
            r#"{"after":1,"go":[1,0]}"#,
            r#"{"after":1,"keys":[[1,"r"],[1,"e"]]}"#,
            r#"{"after":1,"accept":"turn 1;"}"#,
        ];
        let given = given(&steps, "int f(void) {\n\n}\n", "int f(void) {\nreturn 1;\n}\n");
        let next =
            |read: &str| given.continuation(read.as_bytes()).map(|rest| String::from_utf8_lossy(rest).into_owned());
        assert_eq!(next("code\nint f(void) {\n").as_deref(), Some("return 1;"));
        given.note_request();
        given.note_request();
        assert_eq!(next("code\nint f(void) {\nr").as_deref(), Some("eturn 1;"));
        // After healing, and in the middle of a text.
        assert_eq!(next("code\nint f(void) ").as_deref(), Some("{\nreturn 1;"));
        assert_eq!(next("code\nint f(void) {\nreturn").as_deref(), Some(" 1;"));
        assert_eq!(next("quite another text"), None);
    }

    #[test]
    fn where_nothing_is_taken_another_line_is_written() {
        let given = given(
            &[r#"{"after":1,"go":[1,0]}"#, r#"{"after":1,"keys":[[1,"x"]]}"#],
            "int f(void) {\n\n}\n",
            "int f(void) {\nx\n}\n",
        );
        let rest = given.continuation(b"int f(void) {\n").unwrap();
        assert_eq!(rest, b"int f(void) {");
    }
}
