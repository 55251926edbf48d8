//! Where text comes from: features submit a [`Job`], and get the text as it grows and one outcome.
//!
//! The text comes from one of several kinds of engine, chosen per role by the settings, each in a folder of its own:
//!
//! - [`embedded`]: a model in this process;
//! - [`shared`]: a model in a process of its own, which the servers of all windows use;
//! - [`remote`]: a server that speaks OpenAI's protocol.
//!
//! Each kind is a thread that receives jobs (`Engine::spawn`). Everything that features and the server know about
//! engines is in this file. What is the same for all kinds is beside it: which job goes first and which ones are
//! superseded (`queue`), where a text ends and how much of it has been reported (`growing_text`, `stop`), and how work
//! waits for more urgent work (`gate`).

mod announcer;
mod certainty;
pub mod embedded;
mod gate;
mod growing_text;
mod queue;
pub mod remote;
pub mod shared;
mod start;
mod stop;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use certainty::Certainty;
pub use gate::Gate;
#[cfg(test)]
pub(crate) use growing_text::GrowingText;
pub use start::{StartOptions, setup_of, start_for};

use crate::config::Effort;
use crate::model::{Prompt, PromptForm};
use crate::text::KnownNames;

/// Set when a job is no longer needed. An embedded engine checks it at every token and every prefill chunk; an engine
/// that waits for a server is woken.
#[derive(Debug, Clone, Default)]
pub struct CancelFlag(Arc<Cancellation>);

#[derive(Debug, Default)]
struct Cancellation {
    is_set: AtomicBool,
    waiting: tokio::sync::Notify,
}

impl CancelFlag {
    pub fn cancel(&self) {
        self.0.is_set.store(true, Ordering::SeqCst);
        self.0.waiting.notify_waiters();
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.is_set.load(Ordering::SeqCst)
    }

    /// Waits until it is set.
    async fn cancelled(&self) {
        // From here on, setting it wakes this thread, even before it waits.
        let woken = self.0.waiting.notified();
        if !self.is_cancelled() {
            woken.await;
        }
    }
}

/// Which job goes first. Interactive work never waits for the other two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    /// A question.
    Background,
    /// Prefill for a completion that has not been requested yet.
    WarmUp,
    /// A completion that somebody waits for.
    Interactive,
}

/// The rules that end a generation before the model does; see `engine/stop.rs`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StopRules {
    /// End at the first line break.
    pub single_line: bool,
    /// End before a later line that is indented by fewer columns than this. (A closing bracket in the column before it
    /// is kept, since it closes a block of the text.)
    pub min_indent: Option<usize>,
    /// End before a line that equals one of these, except for white space at the end and the kind of indentation: the
    /// suffix's first line, a closing fence.
    pub stop_lines: Vec<String>,
    /// End before any of these strings: text that a chat turn puts around code.
    pub stop_strings: Vec<String>,
    /// End when lines begin to repeat.
    pub repetition: bool,
    /// After this long, end at the next line break.
    pub time_budget: Option<Duration>,
}

impl StopRules {
    /// The rules that apply to an answer to a prompt of `form`. A model that fills in the middle puts nothing around
    /// it.
    pub fn of_form(&self, form: PromptForm) -> Self {
        match form {
            PromptForm::Chat => self.clone(),
            PromptForm::Fim => Self { stop_strings: Vec::new(), ..self.clone() },
        }
    }
}

/// How the next token is chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Sampling {
    Greedy,
    Random {
        temperature: f64,
        top_p: f64,
        seed: u64,
    },
    /// These tokens, whatever the model computes, to measure what a known text costs.
    Given(Vec<u32>),
}

impl Default for GenerationParams {
    fn default() -> Self {
        Self {
            max_new_tokens: 96,
            sampling: Sampling::Greedy,
            heal: false,
            stop: StopRules::default(),
            candidates: 1,
            speculate: true,
            effort: Effort::Eager,
            names: None,
        }
    }
}

/// How much to generate, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerationParams {
    pub max_new_tokens: usize,
    pub sampling: Sampling,
    /// Token healing: back up over the prompt's last tokens and make the model write them again.
    pub heal: bool,
    pub stop: StopRules,
    /// Alternatives to decode as one batch; at least 1.
    pub candidates: usize,
    /// Guess tokens that occurred before in the same way, if that cannot change the text.
    pub speculate: bool,
    /// How much may be computed for jobs that nobody has asked for, if this is one.
    pub effort: Effort,
    /// If the text begins with a name, it has to be one of these. A text that does so anyway stays the same. An engine
    /// that cannot choose between tokens ignores this.
    pub names: Option<KnownNames>,
}

/// A piece of a text that is being written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TextPiece {
    /// Text that no rule of [`StopRules`] can remove any more, and that was not reported before.
    pub text: String,
    /// How sure the model was of the tokens so far, including those of text that is still held back; `None` if the
    /// engine does not know.
    pub certainty: Option<Certainty>,
    /// The form of the prompt that the model was asked with.
    pub form: PromptForm,
}

/// Called with the pieces of a growing text, on the engine's thread.
pub type TextListener = Box<dyn FnMut(TextPiece) + Send>;

/// One piece of work.
pub struct Job {
    pub priority: Priority,
    /// A newer interactive or warm-up job with the same key supersedes an older one.
    pub document: u64,
    pub prompt: Prompt,
    /// A shorter prompt for the same completion. It is used if so much of `prompt` is still to be read that it takes
    /// too long, and much less of this one.
    pub short_prompt: Option<Prompt>,
    /// With `max_new_tokens` 0, the job only reads the prompt (a warm-up).
    pub params: GenerationParams,
    pub cancel: CancelFlag,
    /// Called with the text of the first candidate as it grows.
    pub on_text: Option<TextListener>,
    /// Called exactly once, from the engine thread or from `submit`.
    pub on_done: Box<dyn FnOnce(Result<Generation, EngineError>) + Send>,
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StopReason {
    EndOfTurn,
    LineEnd,
    Dedent,
    StopLine,
    StopString,
    /// Lines began to repeat: the text is the first round of them.
    RepeatedLines,
    /// A line began to repeat itself: the text ends within it.
    RepeatedText,
    MaxTokens,
    TimeBudget,
}

/// One text the model wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The text after the prompt, without the text that healing wrote again.
    pub text: String,
    pub stop_reason: StopReason,
    /// How sure the model was of it. `None` if the engine does not know.
    pub certainty: Option<Certainty>,
    /// The form of the prompt that the model was asked with.
    pub form: PromptForm,
}

impl Candidate {
    /// Orders the more certain candidate first; candidates of unknown certainty come last.
    fn by_certainty(left: &Self, right: &Self) -> std::cmp::Ordering {
        let mean = |candidate: &Self| candidate.certainty.map_or(f32::NEG_INFINITY, |certainty| certainty.mean());
        mean(right).total_cmp(&mean(left))
    }
}

/// The result of a job.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Generation {
    /// Best first; a single one unless more were requested. Empty for a warm-up.
    pub candidates: Vec<Candidate>,
    /// Whether the short prompt was used.
    pub is_short: bool,
    pub prompt_tokens: usize,
    /// Prompt tokens that were already in a cache.
    pub cached_tokens: usize,
    pub generated_tokens: usize,
    /// Tokens guessed from the text so far, and how many of them were right. Each right one saved a pass.
    pub drafted_tokens: usize,
    pub accepted_tokens: usize,
    /// Whether the model would have begun with a name that is not among the known ones; `None` if no names were given.
    pub is_corrected: Option<bool>,
    pub time_to_first_token: Duration,
    pub total: Duration,
    /// The processor time of all completions since the last successful one, including this one and those that were
    /// given up. Zero if the engine does not measure it.
    pub processor: Duration,
    /// How many tokens per second the model reads, from all measurements; `None` if it has not been measured.
    pub reading_speed: Option<f32>,
}

/// Why a job has no generation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum EngineError {
    #[error("cancelled")]
    Cancelled,
    /// Nobody has asked for it, and there is more important work.
    #[error("more than `completion.effort` allows now")]
    NotNow,
    /// A newer job for the same document took its place.
    #[error("superseded by a newer request")]
    Superseded,
    #[error("the prompt has {tokens} tokens, but this model can read at most {limit}")]
    PromptTooLong { tokens: usize, limit: usize },
    /// The model could not be loaded; a message for the person.
    #[error("{0}")]
    Unavailable(String),
    /// The engine failed in the middle of the job; it has been restarted.
    #[error("the engine failed: {0}")]
    Failed(String),
}

/// Called with the events of an engine, on its thread; must not block.
pub type OnEvent = Box<dyn Fn(EngineEvent) + Send>;

/// An event of an engine for its owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EngineEvent {
    /// Fraction of the load done, 0 to 1.
    Loading(f32),
    Ready {
        model: String,
    },
    /// A message for the person.
    Failed(String),
    Busy,
    Idle,
    Unloaded,
    /// Who shares the engine process; sent whenever that changes.
    Shared(shared::Sharing),
}

/// What an engine's thread receives.
enum Message {
    Job(Box<Submitted>),
    /// From now on, the model may be unloaded after this long without a job.
    UnloadAfter(Option<Duration>),
    Stop,
}

/// A job, when it arrived (latencies count from then), and for which client.
struct Submitted {
    job: Job,
    at: Instant,
    client: u64,
}

/// A handle to a running engine; clones share one thread. When the last one is dropped, running jobs are cancelled and
/// the thread is joined.
#[derive(Clone)]
pub struct Engine {
    sender: mpsc::Sender<Message>,
    /// The client that this handle belongs to, if several share the engine.
    client: u64,
    _thread: Arc<EngineThread>,
}

/// Ends the thread when the last handle is dropped.
struct EngineThread {
    sender: mpsc::Sender<Message>,
    ended: Arc<AtomicBool>,
    handle: Option<JoinHandle<()>>,
}

impl Drop for EngineThread {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Sending fails if the thread has already ended.
        if self.sender.send(Message::Stop).is_ok()
            && let Some(handle) = self.handle.take()
            && handle.join().is_err()
        {
            tracing::error!("the engine thread panicked outside of a job");
        }
    }
}

impl Engine {
    /// Starts the thread of an engine. `work` receives jobs until [`Message::Stop`], or until every handle is gone. The
    /// flag is set shortly before, so that long work can end early.
    ///
    /// # Errors
    /// If the thread cannot be started.
    fn spawn(work: impl FnOnce(mpsc::Receiver<Message>, Arc<AtomicBool>) + Send + 'static) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ended);
        let handle = std::thread::Builder::new().name("engine".to_owned()).spawn(move || work(receiver, flag))?;
        let thread = EngineThread { sender: sender.clone(), ended, handle: Some(handle) };
        Ok(Self { sender, client: 0, _thread: Arc::new(thread) })
    }

    /// A handle for another client. Documents of different clients are different documents.
    fn for_client(&self, client: u64) -> Self {
        Self { client, ..self.clone() }
    }

    /// From now on, the model may be unloaded after `limit` without a job: at once if that is zero, never if it is
    /// `None`. If several clients use the model, the longest time counts.
    pub fn unload_after(&self, limit: Option<Duration>) {
        // Sending fails if the engine has ended, and then it holds no model.
        let _ = self.sender.send(Message::UnloadAfter(limit));
    }

    /// Submits a job. Never blocks; `on_done` is called whatever happens.
    pub fn submit(&self, job: Job) {
        let submitted = Box::new(Submitted { job, at: Instant::now(), client: self.client });
        if let Err(mpsc::SendError(Message::Job(submitted))) = self.sender.send(Message::Job(submitted)) {
            (submitted.job.on_done)(Err(EngineError::Failed("its thread has ended; restart phi-ls".to_owned())));
        }
    }
}
