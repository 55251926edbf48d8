//! Tokenizers built from a GGUF file's own metadata: SPM (`llama`) and byte-level BPE (`gpt2`).

use super::{ModelError, gguf::GgufFile};

/// What precedes a piece of text: decides SPM's space prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextStart {
    /// The text opens the input or follows a role tag, and is prose.
    Fragment,
    /// The text is taken exactly as it is: code after a role tag, a line within a text.
    Exact,
}

/// A model's vocabulary and how text becomes ids of it.
pub struct Tokenizer {}

impl Tokenizer {
    /// # Errors
    /// [`ModelError::Unsupported`] for a tokenizer model or pre-tokenizer this project does not reproduce exactly.
    pub fn from_gguf(gguf: &GgufFile) -> Result<Self, ModelError> {
        let _ = gguf;
        todo!()
    }

    pub fn vocab_size(&self) -> usize {
        todo!()
    }

    /// Ids of `text`; special tokens spelled out in it stay text.
    pub fn encode(&self, text: &str, start: TextStart) -> Vec<u32> {
        let _ = (text, start);
        todo!()
    }

    /// The bytes `id` stands for inside a text; empty for special and unused tokens.
    pub fn bytes(&self, id: u32) -> &[u8] {
        let _ = id;
        todo!()
    }

    /// The token as the vocabulary spells it (`<0x0A>`, `▁the`, `<|end|>`), for people to read.
    pub fn piece(&self, id: u32) -> &str {
        let _ = id;
        todo!()
    }

    /// The id of the special (control) token spelled `text`.
    pub fn special(&self, text: &str) -> Option<u32> {
        let _ = text;
        todo!()
    }

    /// Ids that end a generation: the file's own and all that its format ends turns with.
    pub fn stop_ids(&self) -> &[u32] {
        todo!()
    }

    /// Ids that may never be generated as text: role tags, padding, unused slots. Stop ids are not among them.
    pub fn forbidden_ids(&self) -> &[u32] {
        todo!()
    }

    /// The id that opens every input, if the file asks for one.
    pub fn bos(&self) -> Option<u32> {
        todo!()
    }

    /// Ids whose bytes can come next when exactly `required` has still to be produced: those that begin with all of
    /// it, and those that are a beginning of it. Sorted.
    pub fn healing_ids(&self, required: &[u8]) -> Vec<u32> {
        let _ = required;
        todo!()
    }
}

/// Turns generated ids into text piece by piece, holding back bytes that do not complete a character yet.
#[derive(Debug, Default, Clone)]
pub struct StreamDecoder {
    pending: Vec<u8>,
}

impl StreamDecoder {
    /// Adds a token's bytes; returns the text that is complete now.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        todo!()
    }

    /// What is left at the end, undecodable bytes as U+FFFD.
    pub fn finish(&mut self) -> String {
        todo!()
    }
}
