//! What the context of a completion may cost, and how the budget is divided among its parts.

use serde::{Deserialize, Serialize};

/// What is known about the model that reads the prompts, measured on what it has read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    /// Bytes of code that one token stands for.
    pub bytes_per_token: Option<f64>,
    /// Tokens of a prompt that are read in a second.
    pub tokens_per_second: Option<f64>,
}

impl Reading {
    /// Whether `tokens` are known to be read in so many `seconds`.
    pub fn reads_within(self, tokens: usize, seconds: f64) -> bool {
        self.tokens_per_second.is_some_and(|speed| tokens as f64 <= speed * seconds)
    }
}

/// The parts of a context apart from the code before the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// From other files: the definitions of names near the cursor, and code similar to that around it.
    Definitions,
    Alike,
    Imports,
    Outline,
    Suffix,
    Path,
}

/// What a context may cost, and how the budget is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub total_bytes: usize,
    /// The part of it that code of other files may take.
    pub project_bytes: usize,
    /// A part that is left out, to measure what it is worth.
    pub without: Option<Part>,
}

impl Limits {
    /// Bytes per token of source code in ASCII, rounded down from what Phi-3.5's vocabulary of 32,064 pieces reaches on it.
    const BYTES_PER_TOKEN: f64 = 2.6;
    /// Tokens of instructions, role tags and fences around the context.
    const FRAME_TOKENS: usize = 160;

    /// Code of other files may take as much as the model reads in this many seconds, because a new window is read at
    /// once, possibly while somebody waits. If the speed is not known, that of a processor is assumed.
    const PROJECT_SECONDS: f64 = 1.5;
    const ASSUMED_SPEED: f64 = 150.0;
    /// And at most this part of the whole budget.
    const PROJECT_SHARE: f64 = 0.35;
    const SUFFIX_PERCENT: usize = 15;

    /// Limits for a prompt of about `tokens` tokens.
    pub fn for_tokens(tokens: usize) -> Self {
        Self::for_tokens_of(tokens, Reading::default())
    }

    /// Limits for a prompt of about `tokens` tokens of a model that reads like that.
    pub fn for_tokens_of(tokens: usize, reading: Reading) -> Self {
        let tokens = tokens.saturating_sub(Self::FRAME_TOKENS).max(64) as f64;
        let bytes_per_token = reading.bytes_per_token.unwrap_or(Self::BYTES_PER_TOKEN);
        let read_in_time = reading.tokens_per_second.unwrap_or(Self::ASSUMED_SPEED) * Self::PROJECT_SECONDS;
        let project_tokens = read_in_time.min(tokens * Self::PROJECT_SHARE);
        Self {
            total_bytes: (tokens * bytes_per_token) as usize,
            project_bytes: (project_tokens * bytes_per_token) as usize,
            without: None,
        }
    }

    /// Limits of `total_bytes` for the file alone.
    pub fn of_bytes(total_bytes: usize) -> Self {
        Self { total_bytes, project_bytes: 0, without: None }
    }

    /// Whether a window that was placed within these is not too large for `new` ones. More room is used when the window is
    /// placed the next time.
    pub(super) fn serve(self, new: Self) -> bool {
        self.total_bytes <= new.total_bytes + new.total_bytes / 5
    }

    /// Limits of a context for the short prompt ([nearest](super::CompletionContext::nearest)): about `tokens` tokens
    /// when the window is placed, and room to grow.
    pub fn nearest(tokens: usize) -> Self {
        Self::of_bytes(tokens * 6)
    }

    /// Whether a context has `part`.
    pub(super) fn has(self, part: Part) -> bool {
        self.without != Some(part)
    }

    /// The share of `part`, in percent.
    fn share(self, part: Part, percent: usize) -> usize {
        if self.has(part) { self.total_bytes * percent / 100 } else { 0 }
    }

    pub(super) fn suffix(self) -> usize {
        self.share(Part::Suffix, Self::SUFFIX_PERCENT)
    }

    pub(super) fn imports(self) -> usize {
        self.share(Part::Imports, 6)
    }

    pub(super) fn outline(self) -> usize {
        self.share(Part::Outline, 9)
    }

    /// How much the code after the cursor may grow before the frozen suffix no longer represents it.
    pub(super) fn gap(self) -> usize {
        self.total_bytes * Self::SUFFIX_PERCENT / 100
    }

    /// The most of the frozen suffix the cursor may have gone past: a line or two.
    pub(super) fn overlap(self) -> usize {
        self.gap().min(80)
    }
}
