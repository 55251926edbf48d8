//! How text is cut before merging: nothing merges across a cut.

use tokenizers::utils::SysRegex;

use super::TokenizerData;
use crate::model::ModelError;

/// GPT-2's pattern.
const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// The pattern of o200k: words cut at changes of case, digits in threes, line breaks with the punctuation before them.
const O200K: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"|\s*[\r\n]+",
    r"|\s+(?!\S)",
    r"|\s+"
);

/// The pre-tokenizers by their name in `tokenizer.ggml.pre`. Patterns apply one after the other, each to what the ones
/// before it cut out; matches and what lies between them are pieces alike.
const KNOWN: [(&str, &[&str]); 4] = [
    ("gpt-4o", &[O200K]),
    ("smollm", &[r"\p{N}", GPT_2]),
    ("gpt-2", &[GPT_2]),
    // What llama.cpp, which names the pre-tokenizers of GGUF, does for a file that names none.
    ("default", &[r"[\p{P}\$\+<=>\^~\|]+", GPT_2, r"\p{N}+", "[0-9][0-9][0-9]"]),
];

/// Cuts text into pieces.
pub(super) enum PreTokenizer {
    /// SPM has none, but where no piece of a vocabulary contains a line break, lines and breaks are independent.
    Lines,
    Patterns(Vec<SysRegex>),
}

impl PreTokenizer {
    pub(super) fn spm(data: &TokenizerData<'_>) -> Self {
        let longer_break = |token: &&str| token.contains('\n') && *token != "\n";
        if data.tokens.iter().any(longer_break) { Self::Patterns(Vec::new()) } else { Self::Lines }
    }

    pub(super) fn named(data: &TokenizerData<'_>) -> Result<Self, ModelError> {
        let Some((_, patterns)) = KNOWN.iter().find(|(name, _)| *name == data.pre) else {
            let known = KNOWN.map(|(name, _)| name).join(", ");
            let found = data.pre;
            return Err(data.unsupported(format!(
                "tokenizer.ggml.pre: expected one of {known}, found {found:?}; its text would be cut wrongly"
            )));
        };
        let compile = |pattern: &&str| SysRegex::new(pattern).expect("the patterns are constants that compile");
        Ok(Self::Patterns(patterns.iter().map(compile).collect()))
    }

    /// Calls `visit` for every piece of `text`, in order; together they are `text`.
    pub(super) fn for_each_piece<'t>(&self, text: &'t str, visit: &mut dyn FnMut(&'t str)) {
        match self {
            Self::Lines => {
                for line in text.split_inclusive('\n') {
                    let content = line.strip_suffix('\n').unwrap_or(line);
                    if !content.is_empty() {
                        visit(content);
                    }
                    if content.len() < line.len() {
                        visit(&line[content.len()..]);
                    }
                }
            }
            Self::Patterns(patterns) => cut(patterns, text, visit),
        }
    }
}

fn cut<'t>(patterns: &[SysRegex], text: &'t str, visit: &mut dyn FnMut(&'t str)) {
    let Some((pattern, rest)) = patterns.split_first() else { return visit(text) };
    let mut done = 0;
    for (start, end) in pattern.find_iter(text) {
        if start > done {
            cut(rest, &text[done..start], visit);
        }
        cut(rest, &text[start..end], visit);
        done = end;
    }
    if done < text.len() {
        cut(rest, &text[done..], visit);
    }
}
