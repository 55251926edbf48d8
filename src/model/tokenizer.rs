//! Tokenizers built from a GGUF file's own metadata: SPM (`llama`) and byte-level BPE (`gpt2`).
//!
//! Text never turns into special tokens, however it is spelled; those go in by id (see `chat`). Encoding is
//! incremental through a cache of pieces that are encoded independently of each other: lines for SPM, pre-tokenizer
//! matches for BPE. Both cuts are exact.

mod bpe;
mod cache;
mod healing;
mod pre_tokenizer;
mod stream;
mod vocabulary;

use std::borrow::Cow;
use std::path::Path;

pub use healing::Healing;
pub use stream::StreamDecoder;

use self::bpe::Bpe;
use self::cache::EncodingCache;
use self::pre_tokenizer::{Named, PreTokenizer};
use self::vocabulary::Vocabulary;
use super::ModelError;
use super::gguf::{GgufFile, Value};
use crate::text::FirstName;

/// What precedes a piece of text: decides SPM's space prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextStart {
    /// The text opens the input or follows a role tag, and is prose.
    Fragment,
    /// The text is taken exactly as it is: code after a role tag, a line within a text.
    Exact,
}

/// The two families of tokenizers, as `tokenizer.ggml.model` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenizerKind {
    /// `llama`: SentencePiece merges by score, `▁` for a space, byte tokens for what has no piece.
    Spm,
    /// `gpt2`: merges by rank over bytes, within the pieces of a pre-tokenizer.
    Bpe,
}

/// Everything a tokenizer is built from, as a GGUF file holds it under `tokenizer.ggml.*`.
#[derive(Debug, Clone, Copy)]
pub struct TokenizerData<'a> {
    /// The file the data comes from, for error messages.
    pub path: &'a Path,
    /// `llama` or `gpt2`.
    pub model: &'a str,
    /// The pre-tokenizer; only BPE reads it.
    pub pre: &'a str,
    pub tokens: &'a [&'a str],
    /// One per token; only SPM needs them.
    pub scores: &'a [f32],
    /// One per token, GGUF's numbers; empty means that all tokens are normal.
    pub token_types: &'a [i64],
    /// `left right`, best first; only BPE needs them.
    pub merges: &'a [&'a str],
    pub bos: Option<u32>,
    /// All ids the file declares as ends: of the text, of a turn, of a message.
    pub eos: &'a [u32],
    /// `None` if the file does not say: then SPM opens with `bos`, and BPE does after some pre-tokenizers.
    pub add_bos: Option<bool>,
    pub add_space_prefix: Option<bool>,
}

/// Spellings that end a turn or a text in the chat formats of today, most specific first. In Phi-3's own generation
/// settings `<|assistant|>` is one too; Phi-4-mini's do not list it.
pub(super) const END_TOKENS: [(&str, Option<TokenizerKind>); 8] = [
    ("<|end|>", None),
    ("<|assistant|>", Some(TokenizerKind::Spm)),
    ("<|im_end|>", None),
    ("<|eot_id|>", None),
    ("<|eom_id|>", None),
    ("<|end_of_text|>", None),
    ("<|endoftext|>", None),
    ("<|eot|>", None),
];

/// A model's vocabulary and how text becomes ids of it.
pub struct Tokenizer {
    kind: TokenizerKind,
    vocabulary: Vocabulary,
    bpe: Bpe,
    pre_tokenizer: PreTokenizer,
    cache: EncodingCache,
    /// SPM: whether a fragment starts with an invented space.
    space_prefix: bool,
    /// Whether a line break may share a token with the blanks after it, so that it can be healed.
    line_break_joins_blanks: bool,
    bos: Option<u32>,
    stop_ids: Vec<u32>,
    forbidden_ids: Vec<u32>,
}

impl Tokenizer {
    /// # Errors
    /// [`ModelError::Unsupported`] for a tokenizer model or pre-tokenizer this project does not reproduce exactly,
    /// [`ModelError::Malformed`] for data that contradicts itself.
    pub fn from_gguf(gguf: &GgufFile) -> Result<Self, ModelError> {
        let id = |key: &str| gguf.value(key).and_then(as_id);
        let flag = |key: &str| match gguf.value(key) {
            Some(Value::Bool(flag)) => Some(flag),
            _ => None,
        };
        let eos: Vec<u32> = [
            "tokenizer.ggml.eos_token_id",
            "tokenizer.ggml.eot_token_id",
            "tokenizer.ggml.eom_token_id",
            "tokenizer.ggml.eog_token_id",
        ]
        .into_iter()
        .filter_map(id)
        .collect();
        let model = gguf.string("tokenizer.ggml.model")?;
        let is_spm = model == "llama";
        let tokens: Vec<&str> = gguf.strings("tokenizer.ggml.tokens")?.iter().collect();
        let scores: Vec<f32> = if is_spm { gguf.floats("tokenizer.ggml.scores")?.iter().collect() } else { Vec::new() };
        let token_types: Vec<i64> = match gguf.value("tokenizer.ggml.token_type") {
            Some(Value::Integers(types)) => types.iter().collect(),
            _ => Vec::new(),
        };
        let merges: Vec<&str> =
            if is_spm { Vec::new() } else { gguf.strings("tokenizer.ggml.merges")?.iter().collect() };
        Self::from_data(TokenizerData {
            path: gguf.path(),
            model,
            pre: match gguf.value("tokenizer.ggml.pre") {
                Some(Value::String(pre)) => pre,
                // Files older than the key; this token is one family's.
                None if tokens.contains(&"<｜fim▁hole｜>") => "deepseek-coder",
                _ => "default",
            },
            tokens: &tokens,
            scores: &scores,
            token_types: &token_types,
            merges: &merges,
            bos: id("tokenizer.ggml.bos_token_id"),
            eos: &eos,
            add_bos: flag("tokenizer.ggml.add_bos_token"),
            add_space_prefix: flag("tokenizer.ggml.add_space_prefix"),
        })
    }

    /// # Errors
    /// As [`Self::from_gguf`].
    pub fn from_data(data: TokenizerData<'_>) -> Result<Self, ModelError> {
        let kind = match data.model {
            "llama" => TokenizerKind::Spm,
            "gpt2" => TokenizerKind::Bpe,
            other => {
                return Err(data.unsupported(format!(
                    "expected the tokenizer model llama or gpt2, found {other:?}; use a GGUF of a model that has one"
                )));
            }
        };
        let vocabulary = Vocabulary::new(&data, kind)?;
        let (bpe, pre_tokenizer, opens) = match kind {
            TokenizerKind::Spm => (Bpe::from_scores(&data, &vocabulary)?, PreTokenizer::spm(&data), true),
            TokenizerKind::Bpe => {
                let Named { pre_tokenizer, whole_pieces, opens } = PreTokenizer::named(&data)?;
                (Bpe::from_merges(&data, &vocabulary, whole_pieces)?, pre_tokenizer, opens)
            }
        };
        let bos_wanted = data.add_bos.unwrap_or(opens);
        let stop_ids = stop_ids(&data, kind, &vocabulary);
        let forbidden_ids = (0..vocabulary.len() as u32)
            .filter(|id| vocabulary.bytes(*id).is_empty() && !stop_ids.contains(id))
            .collect();
        Ok(Self {
            kind,
            bpe,
            pre_tokenizer,
            cache: EncodingCache::default(),
            space_prefix: kind == TokenizerKind::Spm && data.add_space_prefix.unwrap_or(true),
            line_break_joins_blanks: vocabulary.line_break_joins_blanks(),
            bos: data.bos.filter(|id| bos_wanted && (*id as usize) < vocabulary.len()),
            stop_ids,
            forbidden_ids,
            vocabulary,
        })
    }

    pub fn kind(&self) -> TokenizerKind {
        self.kind
    }

    pub fn vocab_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// Ids of `text`; special tokens spelled out in it stay text.
    pub fn encode(&self, text: &str, start: TextStart) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 2);
        let text = match start {
            TextStart::Fragment if self.space_prefix && !text.is_empty() => Cow::Owned(format!(" {text}")),
            TextStart::Fragment | TextStart::Exact => Cow::Borrowed(text),
        };
        let mut rest = text.as_ref();
        while let Some((start, letter, id)) = self.vocabulary.first_letter(rest) {
            self.encode_pieces(&rest[..start], &mut ids);
            ids.push(id);
            rest = &rest[start + letter.len_utf8()..];
        }
        self.encode_pieces(rest, &mut ids);
        ids
    }

    fn encode_pieces(&self, text: &str, ids: &mut Vec<u32>) {
        self.pre_tokenizer.for_each_piece(text, &mut |piece| {
            self.cache.get_or_encode(piece, ids, |ids| self.bpe.encode(piece, ids));
        });
    }

    /// The bytes `id` stands for inside a text; empty for special and unused tokens and for ids out of range.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.vocabulary.bytes(id)
    }

    /// The token as the vocabulary spells it (`<0x0A>`, `▁the`, `<|end|>`), for people to read; empty out of range.
    pub fn piece(&self, id: u32) -> &str {
        self.vocabulary.piece(id)
    }

    /// The id of the special (control) token spelled `text`.
    pub fn special(&self, text: &str) -> Option<u32> {
        self.vocabulary.special(text)
    }

    /// Ids that end a generation: the file's own and all that its format ends turns with.
    pub fn stop_ids(&self) -> &[u32] {
        &self.stop_ids
    }

    /// Ids that may never be generated as text: role tags, padding, unused slots. Stop ids are not among them.
    pub fn forbidden_ids(&self) -> &[u32] {
        &self.forbidden_ids
    }

    /// The id that opens every input, if the file asks for one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// Ids whose bytes can come next when exactly `required` has still to be produced: those that begin with all of
    /// it, and those that are a beginning of it. Sorted.
    pub fn healing_ids(&self, required: &[u8]) -> Vec<u32> {
        self.vocabulary.compatible_ids(required)
    }

    /// Of [`Self::healing_ids`], or of all ids if nothing is required, those whose bytes beyond `required` go on with `name`. Sorted.
    pub fn naming_ids(&self, required: &[u8], name: &FirstName) -> Vec<u32> {
        self.vocabulary.fitting_ids(|bytes| {
            let again = bytes.iter().zip(required).take_while(|(byte, required)| byte == required).count();
            if again == required.len() { again + name.fitting(&bytes[again..]) } else { again }
        })
    }
}

impl TokenizerData<'_> {
    fn unsupported(&self, reason: String) -> ModelError {
        ModelError::Unsupported { path: self.path.to_owned(), reason }
    }

    fn malformed(&self, reason: String) -> ModelError {
        ModelError::Malformed { path: self.path.to_owned(), reason }
    }
}

fn as_id(value: Value<'_>) -> Option<u32> {
    match value {
        Value::Unsigned(id) => u32::try_from(id).ok(),
        Value::Signed(id) => u32::try_from(id).ok(),
        _ => None,
    }
}

/// Files name one end of their own, which is not always what ends a turn: the others are found by spelling.
fn stop_ids(data: &TokenizerData<'_>, kind: TokenizerKind, vocabulary: &Vocabulary) -> Vec<u32> {
    let by_spelling = END_TOKENS
        .into_iter()
        .filter(|(_, only)| only.is_none_or(|only| only == kind))
        .filter_map(|(text, _)| vocabulary.special(text));
    let mut ids = Vec::new();
    for id in by_spelling.chain(data.eos.iter().copied()) {
        if (id as usize) < vocabulary.len() && !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

#[cfg(test)]
mod tests;
