//! Fill-in-the-middle formats as data, recognised by the special tokens a file has, and their prompts as ids.
//!
//! A model that was trained to fill in what is missing needs neither a question nor a code block: the code before and after
//! the cursor goes in between tokens of its own.

use serde::{Deserialize, Serialize};

use super::Tokenizer;
use super::chat::{EncodedPrompt, PromptForm};
use super::tokenizer::TextStart;

/// The code around a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FimParts {
    /// The file's path within its project.
    pub path: Option<String>,
    /// What begins a comment, for formats that have no token for a path.
    pub line_comment: Option<String>,
    /// Code of other files, the most telling one last.
    pub files: Vec<FimFile>,
    /// The code before `typed`.
    pub prefix: String,
    /// The code right before the cursor: what grows while somebody types. Where the suffix stands behind the prefix, this
    /// is the beginning of the middle, so that a key costs the tokens it adds and no more.
    pub typed: String,
    /// The code after the cursor.
    pub suffix: String,
}

/// Code of another file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FimFile {
    pub path: String,
    pub text: String,
}

/// How the models of one family are asked to fill in the middle.
#[derive(Debug, PartialEq, Eq)]
struct FimFormat {
    name: &'static str,
    /// What the model's name holds, in lower case, where the tokens of two families are the same.
    named: Option<&'static str>,
    /// What the prompt is put together from, in the order in which the family was trained. Where it was trained with the
    /// suffix first, that is taken: it changes less often than the prefix.
    order: &'static [Part],
    files: Files,
    /// Tokens that end the middle beside those that end any text.
    ends: &'static [&'static str],
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Token(&'static str),
    Prefix,
    Suffix,
    Typed,
}

/// Where paths and the code of other files go.
#[derive(Debug, PartialEq, Eq)]
enum Files {
    /// In front of everything: each file's path and text behind `file`, and first of all the project's name behind
    /// `repository`, where the format has one.
    Marked { repository: Option<&'static str>, file: &'static str },
    /// At the beginning of the prefix, paths as comments.
    Commented,
}

/// Formats want a name for the project, and prompts have none: this program does not know what others call it.
const REPOSITORY: &str = "project";

use Part::{Prefix, Suffix, Token, Typed};

const FORMATS: [FimFormat; 6] = [
    // Qwen2.5-Coder's documentation, file level and repository level.
    FimFormat {
        name: "qwen",
        named: None,
        order: &[Token("<|fim_prefix|>"), Prefix, Token("<|fim_suffix|>"), Suffix, Token("<|fim_middle|>"), Typed],
        files: Files::Marked { repository: Some("<|repo_name|>"), file: "<|file_sep|>" },
        ends: &["<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<|cursor|>"],
    },
    // DeepSeek-Coder's documentation: files one after the other, their paths as comments.
    FimFormat {
        name: "deepseek-coder",
        named: None,
        order: &[Token("<｜fim▁begin｜>"), Prefix, Token("<｜fim▁hole｜>"), Suffix, Token("<｜fim▁end｜>"), Typed],
        files: Files::Commented,
        ends: &["<|EOT|>"],
    },
    // Code Llama was trained with either order; this is the one its authors call suffix first.
    FimFormat {
        name: "codellama",
        named: None,
        order: &[Token("▁<PRE>"), Token("▁<SUF>"), Suffix, Token("▁<MID>"), Prefix, Typed],
        files: Files::Commented,
        ends: &["▁<EOT>"],
    },
    // Mellum has the tokens of the next row and another order.
    FimFormat {
        name: "mellum",
        named: Some("mellum"),
        order: &[Token("<fim_suffix>"), Suffix, Token("<fim_prefix>"), Prefix, Token("<fim_middle>"), Typed],
        files: Files::Marked { repository: None, file: "<filename>" },
        ends: &["<fim_pad>", "<filename>", "<reponame>"],
    },
    // StarCoder and those trained as it was, Granite Code and Refact: half of the time with the suffix first, like this.
    FimFormat {
        name: "starcoder",
        named: None,
        order: &[Token("<fim_prefix>"), Token("<fim_suffix>"), Suffix, Token("<fim_middle>"), Prefix, Typed],
        files: Files::Commented,
        ends: &["<fim_pad>", "<filename>", "<reponame>", "<repo_name>", "<file_sep>"],
    },
    FimFormat {
        name: "codestral",
        named: None,
        order: &[Token("[SUFFIX]"), Suffix, Token("[PREFIX]"), Prefix, Typed],
        files: Files::Commented,
        ends: &["[MIDDLE]"],
    },
];

impl FimFormat {
    fn tokens(&self) -> impl Iterator<Item = &'static str> {
        self.order.iter().filter_map(|part| match part {
            Token(token) => Some(*token),
            _ => None,
        })
    }

    fn fits(&self, tokenizer: &Tokenizer, model_name: &str) -> bool {
        self.named.is_none_or(|named| model_name.to_lowercase().contains(named))
            && self.tokens().all(|token| tokenizer.special(token).is_some())
    }
}

/// Whether `text` is a token that some format begins a part with. Files call such tokens text at times; made of text they
/// would mean what nobody wrote.
pub(super) fn is_marker(text: &str) -> bool {
    FORMATS.iter().any(|format| format.tokens().any(|token| token == text))
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
        let format = FORMATS.iter().find(|format| format.fits(tokenizer, model_name))?;
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
