//! Chat formats as data, recognised by the special tokens a file has, and prompts before they are token ids.

use super::Tokenizer;

/// Who speaks in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
}

/// One finished turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub role: Role,
    pub text: String,
}

/// What a model is asked to continue: finished turns, then an assistant turn that already begins with `prefill`.
/// Without turns, `prefill` is continued as plain text, with no role tags at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prompt {
    pub turns: Vec<Turn>,
    pub prefill: String,
}

/// A prompt as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPrompt {
    pub tokens: Vec<u32>,
    /// Index of the first token of the prefill: healing may not back up beyond it.
    pub prefill_start: usize,
}

/// How a model marks turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatFormat {
    /// `phi-3`, `phi-4-mini` or `chatml`.
    pub name: &'static str,
}

impl ChatFormat {
    /// The format whose role tokens `tokenizer` has, `None` if it knows none: such a model only continues text.
    pub fn recognise(tokenizer: &Tokenizer) -> Option<Self> {
        let _ = tokenizer;
        todo!()
    }

    /// Role tags go in by id; text is never searched for them.
    pub fn encode(&self, tokenizer: &Tokenizer, prompt: &Prompt) -> EncodedPrompt {
        let _ = (tokenizer, prompt);
        todo!()
    }
}
