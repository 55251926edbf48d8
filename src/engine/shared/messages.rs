//! The messages between clients and the engine process, each as JSON after its length in four bytes.
//!
//! Messages contain values that the rest of the program also serialises as JSON. It is fast enough: a prompt of 6 KiB
//! takes about 20 µs, and a token of the model takes a thousand times that.

use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Setup, Sharing, Wishes};
use crate::config::Role;
use crate::engine::{EngineError, EngineEvent, Generation, GenerationParams, Priority, TextPiece};
use crate::model::Prompt;

/// The longest message that is read. The longest prompt that a model takes has about a megabyte.
const MOST_BYTES: usize = 64 << 20;

/// A message from a client. The first one is [`Request::Join`] or [`Request::Report`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Joins the users of the model of a role.
    Join(Box<Join>),
    /// Asks for a report; the client does not join.
    Report,
    Job(Box<SentJob>),
    /// Nobody waits any more for the job with this number.
    Cancel(u64),
    /// From now on, the model may be unloaded after this long without a job.
    UnloadAfter(Option<std::time::Duration>),
    /// The client waits for something and hears nothing.
    AreYouThere,
    /// The client leaves.
    Leave,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Join {
    pub setup: Setup,
    pub pid: u32,
    pub wishes: Wishes,
}

/// A job as a value. Replies refer to it by its number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SentJob {
    pub id: u64,
    pub priority: Priority,
    pub document: u64,
    pub prompt: Prompt,
    pub short_prompt: Option<Prompt>,
    pub params: GenerationParams,
    /// Whether somebody reads the text as it grows.
    pub wants_text: bool,
}

/// A message from the engine process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Welcome {
        pid: u32,
    },
    /// A message for the person.
    Refused(String),
    /// The answer to [`Request::AreYouThere`].
    Here,
    Report(Box<Report>),
    Text {
        id: u64,
        piece: TextPiece,
    },
    Done {
        id: u64,
        outcome: Result<Generation, EngineError>,
    },
    Event(EngineEvent),
    Sharing(Sharing),
}

/// The report of an engine process about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub pid: u32,
    pub setup: Setup,
    pub clients: Vec<ClientReport>,
    pub models: Vec<ModelReport>,
    /// Where its standard error goes.
    pub log: PathBuf,
}

/// One connection of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientReport {
    pub pid: u32,
    pub role: Role,
    /// How many jobs are under way or waiting.
    pub jobs: usize,
}

/// A model that a client has asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelReport {
    pub role: Role,
    /// The name in the settings.
    pub model: String,
    pub state: ModelState,
}

/// The state of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ModelState {
    Unloaded,
    /// The fraction done.
    Loading(f32),
    /// In memory, with the name its file gives it.
    Loaded(String),
    Failed(String),
}

/// Writes one message.
///
/// # Errors
/// If writing to `stream` fails, or the message is too long.
pub(super) fn write(mut stream: impl Write, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&frame(message)?)
}

/// A message preceded by its length.
///
/// # Errors
/// If the message is too long.
pub(super) fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let len = frame.len() - 4;
    if len > MOST_BYTES {
        let reason = format!("expected a message of at most {MOST_BYTES} bytes, found {len}");
        return Err(io::Error::new(ErrorKind::InvalidData, reason));
    }
    frame[..4].copy_from_slice(&(len as u32).to_le_bytes());
    Ok(frame)
}

/// Reads one message; `None` at the end of the stream.
///
/// # Errors
/// If reading from `stream` fails, or it does not contain a message.
pub(super) fn read<M: DeserializeOwned>(mut stream: impl Read) -> io::Result<Option<M>> {
    let mut len = [0; 4];
    match stream.read_exact(&mut len) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let len = u32::from_le_bytes(len) as usize;
    if len > MOST_BYTES {
        let reason = format!("expected a message of at most {MOST_BYTES} bytes, found {len}");
        return Err(io::Error::new(ErrorKind::InvalidData, reason));
    }
    // Memory is allocated as bytes arrive, not as announced.
    let mut body = Vec::new();
    stream.take(len as u64).read_to_end(&mut body)?;
    if body.len() < len {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(serde_json::from_slice(&body)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Candidate, Certainty, StopReason};
    use crate::model::PromptForm;
    use crate::text::KnownNames;

    fn generation(logprob: f32) -> Generation {
        let candidate = Candidate {
            text: "a\u{0}é".to_owned(),
            stop_reason: StopReason::EndOfTurn,
            certainty: Some(Certainty::of(logprob)),
            form: PromptForm::Chat,
        };
        Generation {
            candidates: vec![candidate],
            is_short: true,
            prompt_tokens: 1,
            cached_tokens: 2,
            generated_tokens: 3,
            drafted_tokens: 4,
            accepted_tokens: 5,
            is_corrected: Some(true),
            time_to_first_token: std::time::Duration::from_micros(6),
            total: std::time::Duration::MAX,
            processor: std::time::Duration::from_millis(8),
            reading_speed: Some(7.5),
        }
    }

    #[test]
    fn messages_come_as_they_were_sent_one_after_the_other() {
        let mut stream = Vec::new();
        let done = Reply::Done { id: 1, outcome: Ok(generation(-0.25)) };
        let failed = Reply::Done { id: 2, outcome: Err(EngineError::PromptTooLong { tokens: 9, limit: 8 }) };
        for message in [&done, &failed] {
            write(&mut stream, message).unwrap();
        }
        let mut stream = stream.as_slice();
        for message in [&done, &failed] {
            let read: Reply = read(&mut stream).unwrap().unwrap();
            assert_eq!(format!("{read:?}"), format!("{message:?}"));
        }
        assert!(read::<Reply>(&mut stream).unwrap().is_none());
    }

    #[test]
    fn a_job_comes_with_the_names_it_is_held_to() {
        let names = KnownNames::new(["area", "größe"], "");
        assert!(names.is_some());
        let sent = SentJob {
            id: 1,
            priority: Priority::Interactive,
            document: 2,
            prompt: Prompt::default(),
            short_prompt: None,
            params: GenerationParams { names, ..GenerationParams::default() },
            wants_text: false,
        };
        let mut stream = Vec::new();
        write(&mut stream, &Request::Job(Box::new(sent.clone()))).unwrap();
        let Some(Request::Job(read)) = read(&mut stream.as_slice()).unwrap() else { panic!("a job was sent") };
        assert_eq!(read.params, sent.params);
    }

    #[test]
    fn a_confidence_that_is_no_number_breaks_no_message() {
        let mut stream = Vec::new();
        write(&mut stream, &Reply::Done { id: 1, outcome: Ok(generation(f32::NAN)) }).unwrap();
        assert!(read::<Reply>(&mut stream.as_slice()).unwrap().is_some());
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let check = |bytes: &[u8]| assert!(read::<Request>(bytes).is_err(), "{bytes:?}");
        check(&[255; 8]);
        check(b"\x04\0\0\0\"no\"");
        check(b"\x40\0\0\0{\"Cancel\":1}");
        check(b"GET / HTTP/1.1\r\n\r\n");
    }
}
