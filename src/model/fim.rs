//! Fill-in-the-middle formats as data, recognised by the special tokens in a file, and their prompts as token ids.
//!
//! A model that was trained to fill in the middle needs neither a question nor a code block: it reads the code before
//! and after the cursor, marked by its special tokens.

pub(in crate::model) mod formats;

use super::Tokenizer;
use super::prompt::{EncodedPrompt, FimParts, NextEditParts, PromptForm};
use super::tokenizer::TextStart;
use formats::Part::{Prefix, Suffix, Token, Typed};
use formats::{FORMATS, Files, FimFormat};

/// Formats have a place for the project's name, but phi-ls does not know what it is called.
const REPOSITORY: &str = "project";

/// Whether the model called `model_name` was made for `format`.
fn fits(format: &FimFormat, tokenizer: &Tokenizer, model_name: &str) -> bool {
    format.is_named(model_name) && format.tokens().all(|token| tokenizer.special(token).is_some())
}

/// How one model fills in the middle.
#[derive(Debug, Clone)]
pub struct Fim {
    format: &'static FimFormat,
    stop_ids: Vec<u32>,
    forbidden_ids: Vec<u32>,
}

/// Where a model of next edits sees the cursor, if its vocabulary has this.
const CURSOR: &str = "<|cursor|>";

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
        let mut prefill_start = tokens.len();
        for piece in pieces(self.format, parts) {
            match piece {
                Piece::Token(token) => tokens.extend(tokenizer.special(token)),
                Piece::Text(text, start) => {
                    prefill_start = tokens.len();
                    tokens.extend(tokenizer.encode(&text, start));
                }
            }
        }
        EncodedPrompt { tokens, prefill_start, form: PromptForm::Fim }
    }

    /// `parts` as ids, for a model of next edits; `None` for one that has no token which files begin with.
    ///
    /// Source: the prompt of `sweep-autocomplete` 0.1.1, which runs Sweep's models.
    pub fn encode_next_edit(&self, tokenizer: &Tokenizer, parts: &NextEditParts) -> Option<EncodedPrompt> {
        let Files::Marked { file, .. } = self.format.files else { return None };
        let mut tokens: Vec<u32> = tokenizer.bos().into_iter().collect();
        let mut section = |path: &str, text: &str| {
            tokens.extend(tokenizer.special(file));
            tokens.extend(tokenizer.encode(&format!("{path}\n{text}"), TextStart::Exact));
        };
        for file in &parts.files {
            section(&file.path, &format!("{}\n", file.text));
        }
        let place = &parts.place;
        section(&format!("original/{place}"), &format!("{}\n", parts.original));
        let (before, after) = &parts.current;
        match tokenizer.special(CURSOR) {
            Some(cursor) => {
                section(&format!("current/{place}"), before);
                tokens.push(cursor);
                tokens.extend(tokenizer.encode(&format!("{after}\n"), TextStart::Exact));
            }
            None => section(&format!("current/{place}"), &format!("{before}{after}\n")),
        }
        tokens.extend(tokenizer.special(file));
        tokens.extend(tokenizer.encode(&format!("updated/{place}\n"), TextStart::Exact));
        let prefill_start = tokens.len();
        Some(EncodedPrompt { tokens, prefill_start, form: PromptForm::Fim })
    }
}

/// A format as a server is asked in it, whose tokens are not known here: their names stand in one text with the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FimText {
    format: &'static FimFormat,
}

impl FimText {
    /// The formats that the model called `model_name` may have been made for.
    pub fn possible(model_name: &str) -> impl Iterator<Item = Self> {
        FORMATS.iter().filter(move |format| format.is_named(model_name)).map(|format| Self { format })
    }

    /// The family's name.
    pub fn name(&self) -> &'static str {
        self.format.name
    }

    /// Its tokens one after the other, and how many they are for a model that has them.
    pub fn tokens(&self) -> (String, usize) {
        (self.format.tokens().collect(), self.format.tokens().count())
    }

    /// Tokens that end the middle.
    pub fn ends(&self) -> &'static [&'static str] {
        self.format.ends
    }

    /// `parts` as one text, and how many bytes of its end may be cut off to be written once more; `None` where the code
    /// has something in it that the server would take for a token.
    pub fn text(&self, parts: &FimParts) -> Option<(String, usize)> {
        let mut whole = String::new();
        let mut last = 0;
        for piece in pieces(self.format, parts) {
            match piece {
                Piece::Token(token) => whole.push_str(token),
                Piece::Text(text, _) if self.has_token(&text) => return None,
                Piece::Text(text, _) => {
                    last = text.len();
                    whole.push_str(&text);
                }
            }
        }
        Some((whole, last))
    }

    fn has_token(&self, text: &str) -> bool {
        self.format.tokens().chain(self.format.ends.iter().copied()).any(|token| text.contains(token))
    }
}

/// The code before the cursor, with the other files and paths as comments in front: for servers that take the suffix as an
/// argument of its own.
pub fn commented_prefix(parts: &FimParts) -> String {
    format!("{}{}{}", commented_files(parts), parts.prefix, parts.typed)
}

/// What a prompt is put together from.
enum Piece {
    Token(&'static str),
    Text(String, TextStart),
}

/// `parts` in the order of `format`. The last piece is text: what is before the cursor.
fn pieces(format: &FimFormat, parts: &FimParts) -> Vec<Piece> {
    let mut pieces = marked_files(format, parts);
    let mut text = String::new();
    let mut start = TextStart::Exact;
    for (index, part) in format.order.iter().enumerate() {
        match part {
            Token(token) => pieces.push(Piece::Token(token)),
            Suffix => text.push_str(&parts.suffix),
            Prefix => {
                // A file begins as any text does; what follows it goes on.
                start = TextStart::Fragment;
                if format.files == Files::Commented {
                    text.push_str(&commented_files(parts));
                }
                text.push_str(&parts.prefix);
            }
            Typed => text.push_str(&parts.typed),
        }
        // Neighbouring texts are one.
        let ends_text = matches!(format.order.get(index + 1), None | Some(Token(_)));
        if ends_text && !matches!(part, Token(_)) {
            pieces.push(Piece::Text(std::mem::take(&mut text), start));
            start = TextStart::Exact;
        }
    }
    pieces
}

fn marked_files(format: &FimFormat, parts: &FimParts) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (Files::Marked { repository, file }, Some(path)) = (&format.files, &parts.path) else { return pieces };
    let mut marked = |token: &'static str, text: String| {
        pieces.extend([Piece::Token(token), Piece::Text(text, TextStart::Exact)]);
    };
    if let Some(repository) = repository {
        marked(repository, format!("{REPOSITORY}\n"));
    }
    for other in &parts.files {
        marked(file, format!("{}\n{}\n", other.path, other.text.trim_end_matches('\n')));
    }
    marked(file, format!("{path}\n"));
    pieces
}

fn commented_files(parts: &FimParts) -> String {
    let Some(comment) = &parts.line_comment else { return String::new() };
    let mut text = String::new();
    for other in &parts.files {
        text.push_str(&format!("{comment} {}\n{}\n", other.path, other.text.trim_end_matches('\n')));
    }
    if let Some(path) = &parts.path {
        text.push_str(&format!("{comment} {path}\n"));
    }
    text
}
