//! Chat formats as data, recognised by the special tokens a file has.
//!
//! Role tags go in by id; text is never searched for them, so a source file that spells `<|end|>` ends nothing.

use super::Tokenizer;
use super::prompt::{EncodedPrompt, Prompt, PromptForm, Role, Turn};
use super::tokenizer::{END_TOKENS, TextStart, TokenizerKind};

/// A piece of what stands before a turn's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Token(&'static str),
    /// Encoded together with the text that follows it.
    Text(&'static str),
}

/// How the models of one family mark turns.
#[derive(Debug)]
struct Layout {
    name: &'static str,
    kind: Option<TokenizerKind>,
    system: &'static [Mark],
    user: &'static [Mark],
    assistant: &'static [Mark],
    /// What opens the turn that the model is to write, if that is more than `assistant`.
    answer: Option<&'static [Mark]>,
    close: &'static [Mark],
    /// The tags swallow white space after them: the published tokenizer strips it, with it the template's line breaks.
    tags_strip: bool,
}

use Mark::{Text, Token};

const PHI: Layout = Layout {
    name: "phi-3",
    kind: Some(TokenizerKind::Spm),
    system: &[Token("<|system|>")],
    user: &[Token("<|user|>")],
    assistant: &[Token("<|assistant|>")],
    answer: None,
    close: &[Token("<|end|>")],
    tags_strip: true,
};

const CHATML: Layout = Layout {
    name: "chatml",
    kind: None,
    system: &[Token("<|im_start|>"), Text("system\n")],
    user: &[Token("<|im_start|>"), Text("user\n")],
    assistant: &[Token("<|im_start|>"), Text("assistant\n")],
    answer: None,
    close: &[Token("<|im_end|>"), Text("\n")],
    tags_strip: false,
};

const LAYOUTS: [Layout; 5] = [
    PHI,
    Layout { name: "phi-4-mini", kind: Some(TokenizerKind::Bpe), tags_strip: false, ..PHI },
    // Qwen3 writes down its thoughts unless they are opened and closed for it.
    Layout {
        name: "qwen3",
        answer: Some(&[
            Token("<|im_start|>"),
            Text("assistant\n"),
            Token("<think>"),
            Text("\n\n"),
            Token("</think>"),
            Text("\n\n"),
        ]),
        ..CHATML
    },
    CHATML,
    Layout {
        name: "llama-3",
        kind: Some(TokenizerKind::Bpe),
        system: &[Token("<|start_header_id|>"), Text("system"), Token("<|end_header_id|>"), Text("\n\n")],
        user: &[Token("<|start_header_id|>"), Text("user"), Token("<|end_header_id|>"), Text("\n\n")],
        assistant: &[Token("<|start_header_id|>"), Text("assistant"), Token("<|end_header_id|>"), Text("\n\n")],
        answer: None,
        close: &[Token("<|eot_id|>")],
        tags_strip: false,
    },
];

impl Layout {
    fn opening(&self, role: Role) -> &'static [Mark] {
        match role {
            Role::System => self.system,
            Role::User => self.user,
            Role::Assistant => self.assistant,
        }
    }

    /// The tokens that mark turns.
    fn tags(&self) -> impl Iterator<Item = &'static str> {
        [self.system, self.user, self.assistant, self.close].into_iter().flat_map(tokens)
    }

    fn fits(&self, tokenizer: &Tokenizer) -> bool {
        let mut needed = self.tags().chain(tokens(self.answer.unwrap_or_default()));
        self.kind.is_none_or(|kind| kind == tokenizer.kind()) && needed.all(|token| tokenizer.special(token).is_some())
    }
}

fn tokens(marks: &'static [Mark]) -> impl Iterator<Item = &'static str> {
    marks.iter().filter_map(|mark| match mark {
        Token(token) => Some(*token),
        Text(_) => None,
    })
}

/// Every spelling that marks a turn or ends one in some format: a model may write them as text.
pub fn tags() -> impl Iterator<Item = &'static str> {
    LAYOUTS.iter().flat_map(Layout::tags).chain(END_TOKENS.iter().map(|(text, _)| *text))
}

/// How a model marks turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatFormat {
    /// Such as `phi-3` or `chatml`; `plain` for a model that knows no roles and only continues text.
    pub name: &'static str,
}

impl ChatFormat {
    /// The format of a model that knows no roles.
    pub const PLAIN: &'static str = "plain";

    /// The formats there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        LAYOUTS.iter().map(|layout| layout.name)
    }

    /// The format whose role tokens `tokenizer` has.
    pub fn recognise(tokenizer: &Tokenizer) -> Self {
        let layout = LAYOUTS.iter().find(|layout| layout.fits(tokenizer));
        Self { name: layout.map_or(Self::PLAIN, |layout| layout.name) }
    }

    /// The turns and the prefill of `prompt` as ids: role tags by id, turns as the model's published template writes them,
    /// then the open assistant turn. In the `plain` format turns are paragraphs. `tokenizer` is the one this format was
    /// recognised by.
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
        EncodedPrompt { tokens, prefill_start, form: PromptForm::Chat }
    }
}

fn encode_turns(layout: &Layout, tokenizer: &Tokenizer, turns: &[Turn], tokens: &mut Vec<u32>) {
    // What follows a special token up to the next one is one text to a tokenizer.
    let mut push = |marks: &[Mark], text: &str| {
        let mut pending = String::new();
        for mark in marks {
            match mark {
                Token(token) => {
                    tokens.extend(tokenizer.encode(&std::mem::take(&mut pending), TextStart::Fragment));
                    tokens.extend(tokenizer.special(token));
                }
                Text(text) => pending.push_str(text),
            }
        }
        pending.push_str(if layout.tags_strip { text.trim_start() } else { text });
        tokens.extend(tokenizer.encode(&pending, TextStart::Fragment));
    };
    for turn in turns {
        push(layout.opening(turn.role), &turn.text);
        push(layout.close, "");
    }
    push(layout.answer.unwrap_or(layout.assistant), "");
}
