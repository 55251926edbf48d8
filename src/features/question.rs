//! A question to the assistant, before it becomes a prompt: what is asked, about which code, and how much room there
//! is.

use std::ops::Range;

use crate::config::AssistantSettings;
use crate::context::{
    ItemContext, ItemOptions, Limits, Problem, Snapshot, Surroundings, bytes_like, cost, item_context,
    selection_context,
};
use crate::text::{is_binary, is_binary_around};
use crate::workspace::Refusal;

use super::code_actions::Action;

/// Tokens per byte of code in ASCII an answer may need, and what it may be longer than the code it replaces.
pub(super) const TOKENS_PER_BYTE: f64 = 1.0 / 2.6;
const ANSWER_GROWTH: f64 = 1.25;

/// What a person asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub action: Action,
    /// The code it is about, in bytes of the document.
    pub target: Range<usize>,
    /// It is about exactly these lines, not about the item around them.
    pub exact: bool,
    pub problem: Option<Problem>,
    /// The person's own words, for a refactoring.
    pub instruction: Option<String>,
}

/// The options for questions in one document, from the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssistantOptions {
    /// Why the document may not enter a prompt, if it may not.
    pub refusal: Option<Refusal>,
    pub context_tokens: usize,
    pub max_tokens: usize,
}

impl AssistantOptions {
    pub fn new(settings: &AssistantSettings, refusal: Option<Refusal>) -> Self {
        Self { refusal, context_tokens: settings.context_tokens, max_tokens: settings.max_tokens }
    }
}

/// Why a question is not asked, as a message for the person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    #[error("this file is excluded from prompts: {0}")]
    Excluded(Refusal),
    #[error("there is no code here to ask about")]
    Empty,
    #[error(
        "an edit of this code takes about {tokens} tokens, but `assistant.maxTokens` is {limit}; select fewer lines"
    )]
    TooLong { tokens: usize, limit: usize },
    #[error("there is no place for tests: {reason}")]
    NoPlace { reason: String },
    #[error("this is binary data, not text: there is no code here to ask about")]
    Binary,
    #[error("there is no question: expected some text")]
    NoQuestion,
    #[error(
        "this conversation is too long: with another answer it would take about {tokens} tokens, but \
         `assistant.contextTokens` and `assistant.maxTokens` allow {limit} together; ask about the code again"
    )]
    ConversationTooLong { tokens: usize, limit: usize },
}

/// The code `question` is about, with what the model needs to know around it.
pub(super) fn context_of(
    snapshot: &Snapshot,
    surroundings: &Surroundings,
    question: &Question,
    options: &AssistantOptions,
) -> Result<ItemContext, NotAsked> {
    if let Some(refusal) = &options.refusal {
        return Err(NotAsked::Excluded(refusal.clone()));
    }
    if is_binary_around(&snapshot.text, question.target.clone()) {
        return Err(NotAsked::Binary);
    }
    let limits = Limits::for_tokens(options.context_tokens);
    let budget = bytes_like(&snapshot.text, &question.target, limits.total_bytes);
    // The callers show what it is for, and what an edit must keep.
    let with_callers = matches!(question.action, Action::ExplainCode | Action::Refactor);
    let options = ItemOptions { budget, surroundings, with_callers };
    let context = match (&question.problem, question.exact) {
        (Some(problem), _) => item_context(snapshot, problem.range.clone(), Some(problem), &options),
        (None, true) => selection_context(snapshot, question.target.clone(), &options),
        (None, false) => item_context(snapshot, question.target.clone(), None, &options),
    };
    match context.code.as_str() {
        code if code.trim().is_empty() => Err(NotAsked::Empty),
        code if is_binary(code) => Err(NotAsked::Binary),
        _ => Ok(context),
    }
}

/// Checks that an answer that writes `code` again fits.
pub(super) fn check_room(code: &str, options: &AssistantOptions) -> Result<(), NotAsked> {
    let tokens = (cost(code) as f64 * TOKENS_PER_BYTE * ANSWER_GROWTH) as usize;
    let limit = options.max_tokens;
    if tokens > limit { Err(NotAsked::TooLong { tokens, limit }) } else { Ok(()) }
}
