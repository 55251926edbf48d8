//! The models: GGUF files, tokenizers, chat formats and the decoder of the architectures in
//! [`config::ARCHITECTURES`].
//!
//! Knows token ids, tensors and files; never a document, a request or an editor.

pub mod chat;
pub mod config;
pub mod decoder;
pub mod describe;
pub mod device;
pub mod fim;
pub mod gguf;
pub mod kv_cache;
mod prompt;
pub mod rope;
pub mod tokenizer;
mod weights;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

pub use chat::ChatFormat;
pub use config::ModelConfig;
pub use decoder::Decoder;
pub use describe::{ModelReport, describe};
pub use device::DeviceDecoder;
pub use fim::{Fim, FimText, commented_prefix};
pub use gguf::GgufFile;
pub use kv_cache::{KvCache, KvStore};
pub use prompt::{EncodedPrompt, FimFile, FimParts, NextEditParts, Prompt, PromptForm, Role, Turn};
pub use rope::RopeFactors;
pub use tokenizer::Tokenizer;

use crate::config::ModelSize;
use crate::kernels::attention::KvType;
use crate::kernels::matmul::Measured;
use crate::kernels::pool::ThreadPool;

/// What can be wrong with a model file or its use. Every message says what was expected and what was found.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The model is not installed; the message says which command helps.
    #[error("{0}")]
    Missing(String),
    #[error("cannot read {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    /// The file is not a GGUF file, is truncated, or contradicts itself.
    #[error("{path}: {reason}")]
    Malformed { path: PathBuf, reason: String },
    /// A valid GGUF file that phi-ls has no decoder, tokenizer or kernel for.
    #[error("{path}: {reason}")]
    Unsupported { path: PathBuf, reason: String },
    #[error("the computation failed: {0}")]
    Compute(String),
}

/// Which rows of a sequence's new tokens need logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogitRows {
    /// No logits: prefill that continues.
    None,
    /// The next token's logits.
    Last,
    /// One row per new token: verifying drafts, parity checks.
    All,
}

/// New tokens of one sequence in a forward pass. They are appended to `cache`.
pub struct Sequence<'a> {
    pub tokens: &'a [u32],
    pub cache: &'a mut KvCache,
    pub logits: LogitRows,
}

/// Logits of the rows asked for, those of the first sequence first.
#[derive(Debug, Default, Clone)]
pub struct Logits {
    /// `(rows, vocab_size)`
    pub values: Vec<f32>,
    pub vocab_size: usize,
}

impl Logits {
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.vocab_size).unwrap_or(0)
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.vocab_size..(row + 1) * self.vocab_size]
    }
}

/// The id of the greatest of `logits`; the lowest id among equals, as llama.cpp and transformers choose.
pub fn argmax(logits: impl Iterator<Item = (usize, f32)>) -> u32 {
    let best = logits.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map_or(0, |(id, _)| id as u32)
}

/// A decoder-only language model. The caller owns every cache; the model keeps no state between calls but scratch
/// memory. Tests put a scripted model in its place.
pub trait LanguageModel: Send {
    fn config(&self) -> &ModelConfig;

    /// An empty cache for one sequence, pinned to one set of rotary factors for its whole life.
    fn new_cache(&self, factors: RopeFactors) -> KvCache;

    /// One pass over the new tokens of all `sequences`, writing their requested logits to `logits` (its memory is
    /// reused).
    ///
    /// # Errors
    /// A token outside the vocabulary, or a failed computation; the caches are then as before the call.
    fn forward(&mut self, sequences: &mut [Sequence<'_>], logits: &mut Logits) -> Result<(), ModelError>;

    /// Has every later pass call `pause` between its layers, where it may wait: so a long pass of one model gives way to
    /// another model. A model whose passes are short does not need to.
    fn pause_between_layers(&mut self, pause: Box<dyn Fn() + Send>) {
        drop(pause);
    }

    /// Finds out what suits this processor by multiplying with the model's weights for a fraction of a second; `None` for a
    /// model that this project's own kernels do not compute.
    fn measure_tuning(&self) -> Option<Measured> {
        None
    }
}

/// Whether `sequence` can be computed at all by a model whose caches are like `expected`; from here on nothing fails but
/// a device.
fn check_sequence(config: &ModelConfig, sequence: &Sequence<'_>, expected: &KvCache) -> Result<(), ModelError> {
    let Sequence { tokens, cache, logits } = sequence;
    let vocab_size = config.vocab_size;
    if let Some(token) = tokens.iter().find(|token| **token as usize >= vocab_size) {
        return Err(ModelError::Compute(format!("expected token ids below {vocab_size}, found {token}")));
    }
    if tokens.is_empty() && *logits == LogitRows::Last {
        return Err(ModelError::Compute("expected at least one token where logits are asked for, found none".into()));
    }
    if !cache.is_like(expected) {
        return Err(ModelError::Compute("expected a cache of this model, found one of another shape".into()));
    }
    let (most, found) = (config.max_positions(cache.factors()), cache.tokens().len() + tokens.len());
    if found > most {
        let factors = cache.factors();
        return Err(ModelError::Compute(format!(
            "expected at most {most} positions with {factors:?} rotary factors, found {found}"
        )));
    }
    Ok(())
}

/// How a model is loaded.
#[derive(Clone)]
pub struct LoadOptions {
    pub pool: Arc<ThreadPool>,
    pub kv_type: KvType,
}

/// A model ready to run, with everything that belongs to it.
pub struct LoadedModel {
    /// `general.name` of the file, else its file name.
    pub name: String,
    pub path: PathBuf,
    /// Bytes of the weights in memory.
    pub weight_bytes: u64,
    pub model: Box<dyn LanguageModel>,
    pub tokenizer: Arc<Tokenizer>,
    pub chat: ChatFormat,
    /// How it fills in the middle, if it was made for that.
    pub fim: Option<Fim>,
}

impl LoadedModel {
    /// `prompt` as ids, in the form that suits this model.
    ///
    /// # Errors
    /// A message for the person, where the prompt has only a form this model does not understand.
    pub fn encode(&self, prompt: &Prompt) -> Result<EncodedPrompt, String> {
        if let Some(parts) = &prompt.next_edit {
            let encoded = self.fim.as_ref().and_then(|fim| fim.encode_next_edit(&self.tokenizer, parts));
            return encoded.ok_or_else(|| {
                format!(
                    "{} has no token for the start of a file; use a model made for next edits, such as \
                     sweep-next-edit-1.5B",
                    self.name
                )
            });
        }
        match (&prompt.fim, &self.fim) {
            (Some(parts), Some(fim)) => Ok(fim.encode(&self.tokenizer, parts)),
            _ if prompt.is_fim_only() => Err(format!(
                "{} has no fill-in-the-middle tokens; set `completion.layout` to `auto`, or use a model that has them",
                self.name
            )),
            _ => Ok(self.chat.encode(&self.tokenizer, prompt)),
        }
    }

    /// Ids that end what is written to a prompt of `form`.
    pub fn stop_ids(&self, form: PromptForm) -> &[u32] {
        match (form, &self.fim) {
            (PromptForm::Fim, Some(fim)) => fim.stop_ids(),
            _ => self.tokenizer.stop_ids(),
        }
    }

    /// Ids that may never be written to a prompt of `form`.
    pub fn forbidden_ids(&self, form: PromptForm) -> &[u32] {
        match (form, &self.fim) {
            (PromptForm::Fim, Some(fim)) => fim.forbidden_ids(),
            _ => self.tokenizer.forbidden_ids(),
        }
    }

    /// What decides how much memory it takes.
    pub fn size(&self) -> ModelSize {
        self.model.config().size(self.weight_bytes)
    }
}

/// What decides how much memory the model in the file at `path` would take. A file that is not a model that phi-ls can
/// run is judged by its length only; loading it reports the error.
///
/// # Errors
/// There is no such file.
pub fn size(path: &Path) -> std::io::Result<ModelSize> {
    let weight_bytes = std::fs::metadata(path)?.len();
    let config = GgufFile::open(path).and_then(|gguf| ModelConfig::from_gguf(&gguf));
    Ok(match config {
        Ok(config) => config.size(weight_bytes),
        Err(_) => ModelSize { weight_bytes, num_layers: 0, num_kv_heads: 0, head_dim: 0 },
    })
}

/// Loads the GGUF file at `path`, onto the GPU where this build is made for one; `progress` is told the fraction done, 0 to
/// 1.
///
/// # Errors
/// [`ModelError`], naming the file and the key or tensor.
pub fn load(path: &Path, options: &LoadOptions, progress: &mut dyn FnMut(f32)) -> Result<LoadedModel, ModelError> {
    let gguf = GgufFile::open(path)?;
    let config = ModelConfig::from_gguf(&gguf)?;
    // The merge tables of a large vocabulary take much of the time and one thread, so they are built at the same time.
    // This thread builds them: the heap of another thread would keep the memory that they free.
    let (sender, receiver) = mpsc::channel();
    let (tokenizer, decoder) = std::thread::scope(|scope| {
        let mut send = move |done| sender.send(done).expect("it is received until the sender is dropped");
        let gguf = &gguf;
        let decoder = scope.spawn(move || load_decoder(gguf, config, options, &mut send));
        let tokenizer = Tokenizer::from_gguf(gguf);
        receiver.iter().for_each(progress);
        (tokenizer, decoder.join())
    });
    let tokenizer = tokenizer?;
    let decoder = decoder.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let (weight_bytes, model) = decoder?;
    let chat = ChatFormat::recognise(&tokenizer);
    let name = gguf.name();
    Ok(LoadedModel {
        fim: Fim::recognise(&tokenizer, &name),
        name,
        path: path.to_owned(),
        weight_bytes,
        model,
        tokenizer: Arc::new(tokenizer),
        chat,
    })
}

/// The decoder and its bytes in memory.
fn load_decoder(
    gguf: &GgufFile,
    config: ModelConfig,
    options: &LoadOptions,
    progress: &mut dyn FnMut(f32),
) -> Result<(u64, Box<dyn LanguageModel>), ModelError> {
    Ok(match device::gpu() {
        Some(gpu) => {
            let decoder = DeviceDecoder::load(gguf, config, gpu, options, progress)?;
            (decoder.weight_bytes(), Box::new(decoder))
        }
        None => {
            let decoder = Decoder::load(gguf, config, options, progress)?;
            (decoder.weight_bytes(), Box::new(decoder))
        }
    })
}
