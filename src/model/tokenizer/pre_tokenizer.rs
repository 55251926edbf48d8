//! How text is split before merging: nothing merges across a split.

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

/// Llama 3's pattern: words with the punctuation or blank before them, digits in threes, line breaks with the punctuation
/// before them.
const LLAMA_3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    r"|[^\r\n\p{L}\p{N}]?\p{L}+",
    r"|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s*[\r\n]+",
    r"|\s+(?!\S)",
    r"|\s+"
);

/// The same with single digits.
const QWEN_2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    r"|[^\r\n\p{L}\p{N}]?\p{L}+",
    r"|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s*[\r\n]+",
    r"|\s+(?!\S)",
    r"|\s+"
);

/// O200k's pattern with single digits and without the endings of English words.
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"|\s*[\r\n]+",
    r"|\s+(?!\S)",
    r"|\s+"
);

/// The letters that DeepSeek's general models join to words, in ranges; by number, since some look like others.
const DEEPSEEK_LETTERS: &str = concat!(
    r"\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}",
    r"\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}",
    r"\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}",
    r"\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}",
    r"\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}",
    r"\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}",
    r"\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}",
    r"\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}",
    r"\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}",
    r"\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}",
    r"\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}",
    r"\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}",
    r"\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}",
    r"\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+"
);
const DEEPSEEK_PUNCTUATION: &str = r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+";
const DEEPSEEK_IDEOGRAPHS: &str = r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+";

/// A pre-tokenizer of byte-level BPE.
struct Known {
    /// Its names in `tokenizer.ggml.pre`.
    names: &'static [&'static str],
    /// They apply one after the other, each to what the ones before it cut out; matches and what lies between them are
    /// pieces alike.
    patterns: &'static [&'static str],
    /// A piece that is a token is that token, whatever the merges would make of it.
    whole_pieces: bool,
    /// Texts begin with the opening token where the file does not say.
    opens: bool,
}

const KNOWN: [Known; 9] = {
    let plain = Known { names: &[], patterns: &[], whole_pieces: false, opens: false };
    [
        Known { names: &["gpt-4o"], patterns: &[O200K], ..plain },
        // StarCoder's digits stand alone; so do those of all who took its tokenizer over.
        Known { names: &["smollm", "starcoder", "refact"], patterns: &[r"\p{N}", GPT_2], ..plain },
        Known { names: &["gpt-2", "mellum"], patterns: &[GPT_2], ..plain },
        Known { names: &["qwen2", "deepseek-r1-qwen"], patterns: &[QWEN_2], ..plain },
        Known { names: &["llama-bpe", "llama3", "llama-v3"], patterns: &[LLAMA_3], whole_pieces: true, opens: true },
        Known {
            names: &["deepseek-coder"],
            patterns: &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_IDEOGRAPHS, r"\p{N}"],
            ..plain
        },
        Known {
            names: &["deepseek-llm"],
            patterns: &[r"[\r\n]", DEEPSEEK_LETTERS, DEEPSEEK_PUNCTUATION, r"\s+$", DEEPSEEK_IDEOGRAPHS, r"\p{N}"],
            ..plain
        },
        Known { names: &["tekken"], patterns: &[TEKKEN], whole_pieces: true, opens: true },
        // What llama.cpp, which names the pre-tokenizers of GGUF, does for a file that names none.
        Known {
            names: &["default"],
            patterns: &[r"[\p{P}\$\+<=>\^~\|]+", GPT_2, r"\p{N}+", "[0-9][0-9][0-9]"],
            ..plain
        },
    ]
};

/// A pre-tokenizer, and what else a file means by its name.
pub(super) struct Named {
    pub(super) pre_tokenizer: PreTokenizer,
    /// See [`Known`].
    pub(super) whole_pieces: bool,
    pub(super) opens: bool,
}

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

    /// The one that the data names.
    pub(super) fn named(data: &TokenizerData<'_>) -> Result<Named, ModelError> {
        let Some(known) = KNOWN.iter().find(|known| known.names.contains(&data.pre)) else {
            let known = KNOWN.iter().flat_map(|known| known.names).copied().collect::<Vec<_>>().join(", ");
            let found = data.pre;
            return Err(data.unsupported(format!(
                "tokenizer.ggml.pre: expected one of {known}, found {found:?}; its text would be split wrongly"
            )));
        };
        let compile = |pattern: &&str| SysRegex::new(pattern).expect("the patterns are constants that compile");
        let Known { patterns, whole_pieces, opens, .. } = known;
        let pre_tokenizer = Self::Patterns(patterns.iter().map(compile).collect());
        Ok(Named { pre_tokenizer, whole_pieces: *whole_pieces, opens: *opens })
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
