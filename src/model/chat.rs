//! Chat formats as data, recognised by the special tokens a file has, and prompts before they are token ids.
//!
//! Role tags go in by id; text is never searched for them, so a source file that spells `<|end|>` ends nothing.

use serde::{Deserialize, Serialize};

use super::Tokenizer;
use super::tokenizer::{TextStart, TokenizerKind};

/// Who speaks in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    System,
    User,
    Assistant,
}

/// One finished turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    pub role: Role,
    pub text: String,
}

/// What a model is asked to continue: finished turns, then an assistant turn that already begins with `prefill`.
/// Without turns, `prefill` is continued as plain text, with no role tags at all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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

/// What stands before a turn's text: a special token, then text that is encoded together with the turn's own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Opening {
    token: &'static str,
    text: &'static str,
}

/// How the models of one family mark turns.
#[derive(Debug)]
struct Layout {
    name: &'static str,
    kind: Option<TokenizerKind>,
    system: Opening,
    user: Opening,
    assistant: Opening,
    close: Opening,
    /// The tags swallow white space after them: the published tokenizer strips it, with it the template's line breaks.
    tags_strip: bool,
}

const LAYOUTS: [Layout; 3] = [
    Layout {
        name: "phi-3",
        kind: Some(TokenizerKind::Spm),
        system: Opening { token: "<|system|>", text: "" },
        user: Opening { token: "<|user|>", text: "" },
        assistant: Opening { token: "<|assistant|>", text: "" },
        close: Opening { token: "<|end|>", text: "" },
        tags_strip: true,
    },
    Layout {
        name: "phi-4-mini",
        kind: Some(TokenizerKind::Bpe),
        system: Opening { token: "<|system|>", text: "" },
        user: Opening { token: "<|user|>", text: "" },
        assistant: Opening { token: "<|assistant|>", text: "" },
        close: Opening { token: "<|end|>", text: "" },
        tags_strip: false,
    },
    Layout {
        name: "chatml",
        kind: None,
        system: Opening { token: "<|im_start|>", text: "system\n" },
        user: Opening { token: "<|im_start|>", text: "user\n" },
        assistant: Opening { token: "<|im_start|>", text: "assistant\n" },
        close: Opening { token: "<|im_end|>", text: "\n" },
        tags_strip: false,
    },
];

impl Layout {
    fn opening(&self, role: Role) -> &Opening {
        match role {
            Role::System => &self.system,
            Role::User => &self.user,
            Role::Assistant => &self.assistant,
        }
    }

    fn fits(&self, tokenizer: &Tokenizer) -> bool {
        let tags = [&self.system, &self.user, &self.assistant, &self.close];
        self.kind.is_none_or(|kind| kind == tokenizer.kind())
            && tags.iter().all(|tag| tokenizer.special(tag.token).is_some())
    }
}

/// How a model marks turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatFormat {
    /// `phi-3`, `phi-4-mini` or `chatml`; `plain` for a model that knows no roles and only continues text.
    pub name: &'static str,
}

impl ChatFormat {
    /// The format whose role tokens `tokenizer` has.
    pub fn recognise(tokenizer: &Tokenizer) -> Self {
        let layout = LAYOUTS.iter().find(|layout| layout.fits(tokenizer));
        Self { name: layout.map_or("plain", |layout| layout.name) }
    }

    /// `prompt` as ids: role tags by id, turns as the model's published template writes them, then the open assistant
    /// turn. In the `plain` format turns are paragraphs. `tokenizer` is the one this format was recognised by.
    pub fn encode(&self, tokenizer: &Tokenizer, prompt: &Prompt) -> EncodedPrompt {
        let mut tokens: Vec<u32> = tokenizer.bos().into_iter().collect();
        match LAYOUTS.iter().find(|layout| layout.name == self.name) {
            Some(layout) if !prompt.turns.is_empty() => encode_turns(layout, tokenizer, &prompt.turns, &mut tokens),
            _ => {
                let text: String = prompt.turns.iter().map(|turn| format!("{}\n\n", turn.text)).collect();
                tokens.extend(tokenizer.encode(&text, TextStart::Fragment));
            }
        }
        let prefill_start = tokens.len();
        // Code that opens with white space keeps exactly that; the space that SPM invents before a word would be one
        // too many in it.
        let exact = prompt.prefill.starts_with(char::is_whitespace);
        let start = if exact { TextStart::Exact } else { TextStart::Fragment };
        tokens.extend(tokenizer.encode(&prompt.prefill, start));
        EncodedPrompt { tokens, prefill_start }
    }
}

fn encode_turns(layout: &Layout, tokenizer: &Tokenizer, turns: &[Turn], tokens: &mut Vec<u32>) {
    // What follows a special token up to the next one is one text to a tokenizer.
    let mut push = |opening: &Opening, text: &str| {
        tokens.extend(tokenizer.special(opening.token));
        let text = if layout.tags_strip { text.trim_start() } else { text };
        tokens.extend(tokenizer.encode(&format!("{}{text}", opening.text), TextStart::Fragment));
    };
    for turn in turns {
        push(layout.opening(turn.role), &turn.text);
        push(&layout.close, "");
    }
    push(&layout.assistant, "");
}
