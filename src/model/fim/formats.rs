//! The table of fill-in-the-middle formats: one row a family.

/// How the models of one family are asked to fill in the middle.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::model) struct FimFormat {
    pub name: &'static str,
    /// What the model's name holds, in lower case, where the tokens of two families are the same.
    pub named: Option<&'static str>,
    /// What the prompt is put together from, in the order in which the family was trained. Where it was trained with the
    /// suffix first, that is taken: it changes less often than the prefix.
    pub order: &'static [Part],
    pub files: Files,
    /// Tokens that end the middle beside those that end any text.
    pub ends: &'static [&'static str],
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::model) enum Part {
    Token(&'static str),
    Prefix,
    Suffix,
    Typed,
}

/// Where paths and the code of other files go.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::model) enum Files {
    /// In front of everything: each file's path and text behind `file`, and first of all the project's name behind
    /// `repository`, where the format has one.
    Marked { repository: Option<&'static str>, file: &'static str },
    /// At the beginning of the prefix, paths as comments.
    Commented,
}

use Part::{Prefix, Suffix, Token, Typed};

pub(in crate::model) const FORMATS: [FimFormat; 6] = [
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
    /// Whether a model called `model_name` may be of this family.
    pub(in crate::model) fn is_named(&self, model_name: &str) -> bool {
        self.named.is_none_or(|named| model_name.to_lowercase().contains(named))
    }

    /// The tokens that parts begin with.
    pub(in crate::model) fn tokens(&self) -> impl Iterator<Item = &'static str> {
        self.order.iter().filter_map(|part| match part {
            Token(token) => Some(*token),
            _ => None,
        })
    }
}

/// Whether `text` is a token that some format begins a part with. Files call such tokens text at times; made of text they
/// would mean what nobody wrote.
pub(in crate::model) fn is_marker(text: &str) -> bool {
    FORMATS.iter().any(|format| format.tokens().any(|token| token == text))
}
