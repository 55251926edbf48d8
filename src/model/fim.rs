//! Fill-in-the-middle formats as data, recognised by the special tokens a file has, and their prompts as ids.
//!
//! A model that was trained to fill in what is missing needs neither a question nor a code block: the code before and after
//! the cursor goes in between tokens of its own.

pub(in crate::model) mod formats;

use super::Tokenizer;
use super::prompt::{EncodedPrompt, FimParts, PromptForm};
use super::tokenizer::TextStart;
use formats::Part::{Prefix, Suffix, Token, Typed};
use formats::{FORMATS, Files, FimFormat};

/// Formats want a name for the project, and prompts have none: this program does not know what others call it.
const REPOSITORY: &str = "project";

/// Whether the model called `model_name` was made for `format`.
fn fits(format: &FimFormat, tokenizer: &Tokenizer, model_name: &str) -> bool {
    format.named.is_none_or(|named| model_name.to_lowercase().contains(named))
        && format.tokens().all(|token| tokenizer.special(token).is_some())
}

/// How one model fills in the middle.
#[derive(Debug, Clone)]
pub struct Fim {
    format: &'static FimFormat,
    stop_ids: Vec<u32>,
    forbidden_ids: Vec<u32>,
}

impl Fim {
    /// The format whose tokens `tokenizer` has; `None` for a model that was not made for this.
    pub fn recognise(tokenizer: &Tokenizer, model_name: &str) -> Option<Self> {
        let format = FORMATS.iter().find(|format| fits(format, tokenizer, model_name))?;
        let ends = format.ends.iter().filter_map(|end| tokenizer.special(end));
        let stop_ids: Vec<u32> = tokenizer.stop_ids().iter().copied().chain(ends).collect();
        let forbidden_ids = tokenizer.forbidden_ids().iter().copied().filter(|id| !stop_ids.contains(id)).collect();
        Some(Self { format, stop_ids, forbidden_ids })
    }

    /// The family, as `phi-ls models` shows it.
    pub fn name(&self) -> &'static str {
        self.format.name
    }

    /// Ids that end what is filled in.
    pub fn stop_ids(&self) -> &[u32] {
        &self.stop_ids
    }

    /// Ids that may never be filled in.
    pub fn forbidden_ids(&self) -> &[u32] {
        &self.forbidden_ids
    }

    /// `parts` as ids: markers by id, and text stays text. `tokenizer` is the one this format was recognised by.
    pub fn encode(&self, tokenizer: &Tokenizer, parts: &FimParts) -> EncodedPrompt {
        let mut tokens: Vec<u32> = tokenizer.bos().into_iter().collect();
        self.encode_marked_files(tokenizer, parts, &mut tokens);
        let mut prefill_start = tokens.len();
        let mut text = String::new();
        let mut start = TextStart::Exact;
        for (index, part) in self.format.order.iter().enumerate() {
            match part {
                Token(token) => tokens.extend(tokenizer.special(token)),
                Suffix => text.push_str(&parts.suffix),
                Prefix => {
                    // A file begins as any text does; what follows it goes on.
                    start = TextStart::Fragment;
                    text.push_str(&self.commented_files(parts));
                    text.push_str(&parts.prefix);
                }
                Typed => text.push_str(&parts.typed),
            }
            // Neighbouring texts are one.
            let ends_text = matches!(self.format.order.get(index + 1), None | Some(Token(_)));
            if ends_text && !matches!(part, Token(_)) {
                prefill_start = tokens.len();
                tokens.extend(tokenizer.encode(&text, start));
                text.clear();
                start = TextStart::Exact;
            }
        }
        EncodedPrompt { tokens, prefill_start, form: PromptForm::Fim }
    }

    fn encode_marked_files(&self, tokenizer: &Tokenizer, parts: &FimParts, tokens: &mut Vec<u32>) {
        let Files::Marked { repository, file } = self.format.files else { return };
        let Some(path) = &parts.path else { return };
        let mut marked = |token: &str, text: &str| {
            tokens.extend(tokenizer.special(token));
            tokens.extend(tokenizer.encode(text, TextStart::Exact));
        };
        if let Some(repository) = repository {
            marked(repository, &format!("{REPOSITORY}\n"));
        }
        for other in &parts.files {
            marked(file, &format!("{}\n{}\n", other.path, other.text.trim_end_matches('\n')));
        }
        marked(file, &format!("{path}\n"));
    }

    fn commented_files(&self, parts: &FimParts) -> String {
        let (Files::Commented, Some(comment)) = (&self.format.files, &parts.line_comment) else { return String::new() };
        let mut text = String::new();
        for other in &parts.files {
            text.push_str(&format!("{comment} {}\n{}\n", other.path, other.text.trim_end_matches('\n')));
        }
        if let Some(path) = &parts.path {
            text.push_str(&format!("{comment} {path}\n"));
        }
        text
    }
}
