//! phi-ls: its model for the passes, its engine for the prompts.

use std::path::Path;
use std::sync::{Arc, mpsc};

use anyhow::{Context as _, ensure};
use phi_ls::engine::embedded::{self, EngineOptions, PREFILL_CHUNK};
use phi_ls::engine::{CancelFlag, Engine, Gate, GenerationParams, Job, Priority};
use phi_ls::kernels::attention::KvType;
use phi_ls::kernels::level::Level;
use phi_ls::kernels::pool::ThreadPool;
use phi_ls::model::{
    self, KvCache, LoadOptions, LoadedModel, LogitRows, Logits, Prompt, RopeFactors, Sequence, Tokenizer,
};

use crate::peer::Peer;

/// Room for every prompt that is measured.
const KV_BUDGET_BYTES: usize = 2 << 30;

pub struct PhiLs {
    /// `None` once the engine has it.
    loaded: Option<LoadedModel>,
    cache: KvCache,
    lanes: Vec<KvCache>,
    logits: Logits,
    prompts: Option<Prompts>,
}

impl PhiLs {
    pub fn load(path: &Path, threads: usize) -> anyhow::Result<Self> {
        let options = LoadOptions { pool: Arc::new(ThreadPool::new(threads)), kv_type: KvType::F16 };
        let loaded = model::load(path, &options, &mut |_| {})?;
        let cache = loaded.model.new_cache(RopeFactors::Short);
        Ok(Self { loaded: Some(loaded), cache, lanes: Vec::new(), logits: Logits::default(), prompts: None })
    }
}

impl Peer for PhiLs {
    fn instructions(&self) -> String {
        format!("kernels {:?}", Level::in_use())
    }

    /// Reads in chunks, as the engine does, which checks for cancellation and more urgent work in between.
    fn feed(&mut self, keep: usize, tokens: &[u32]) -> anyhow::Result<()> {
        let loaded = self.loaded.as_mut().context("passes are measured before prompts")?;
        self.lanes.clear();
        self.cache.truncate(keep);
        let chunks = tokens.chunks(PREFILL_CHUNK);
        let last = chunks.len().saturating_sub(1);
        for (index, tokens) in chunks.enumerate() {
            let logits = if index == last { LogitRows::Last } else { LogitRows::None };
            loaded.model.forward(&mut [Sequence { tokens, cache: &mut self.cache, logits }], &mut self.logits)?;
        }
        Ok(())
    }

    fn fork(&mut self, lanes: usize) -> anyhow::Result<()> {
        self.lanes = (0..lanes).map(|_| self.cache.fork()).collect();
        Ok(())
    }

    fn decode(&mut self, tokens: &[u32]) -> anyhow::Result<()> {
        let loaded = self.loaded.as_mut().context("passes are measured before prompts")?;
        let lanes = self.lanes.iter_mut().zip(tokens);
        let mut sequences: Vec<Sequence<'_>> = lanes
            .map(|(cache, token)| Sequence { tokens: std::slice::from_ref(token), cache, logits: LogitRows::Last })
            .collect();
        Ok(loaded.model.forward(&mut sequences, &mut self.logits)?)
    }

    fn first_token(&mut self, prompt: &[u32]) -> anyhow::Result<()> {
        if let Some(loaded) = self.loaded.take() {
            self.prompts = Some(Prompts::start(loaded)?);
        }
        self.prompts.as_ref().context("the engine is running")?.first_token(prompt)
    }
}

/// The engine as in the language server, which finds by itself what it can reuse.
struct Prompts {
    engine: Engine,
    /// Words that are one token each, whatever is beside them.
    words: Vec<String>,
}

impl Prompts {
    fn start(loaded: LoadedModel) -> anyhow::Result<Self> {
        let words = words(&loaded.tokenizer);
        ensure!(words.len() > 1000, "expected a vocabulary with words, found {} of them", words.len());
        let options = EngineOptions {
            load_at_start: true,
            idle_unload: None,
            kv_budget_bytes: KV_BUDGET_BYTES,
            keep: None,
            gate: Gate::default(),
        };
        let mut loaded = Some(loaded);
        let loader = move |_: &mut dyn FnMut(f32)| {
            loaded.take().ok_or_else(|| model::ModelError::Missing("the model was loaded once".to_owned()))
        };
        Ok(Self { engine: embedded::start(Box::new(loader), options, Box::new(|_| {}))?, words })
    }

    /// The engine takes text, so each token of `prompt` is represented by a word.
    fn first_token(&self, prompt: &[u32]) -> anyhow::Result<()> {
        let prefill = prompt.iter().map(|token| self.words[*token as usize % self.words.len()].as_str()).collect();
        let (sender, receiver) = mpsc::channel();
        self.engine.submit(Job {
            priority: Priority::Interactive,
            document: 0,
            prompt: Prompt { prefill, ..Prompt::default() },
            short_prompt: None,
            params: GenerationParams { max_new_tokens: 1, ..GenerationParams::default() },
            cancel: CancelFlag::default(),
            on_text: None,
            on_done: Box::new(move |outcome| drop(sender.send(outcome))),
        });
        let generation = receiver.recv()??;
        let found = generation.prompt_tokens;
        ensure!(found == prompt.len(), "expected {} tokens in the prompt, found {found}", prompt.len());
        Ok(())
    }
}

/// All tokens that are a space and some letters, and are encoded as themselves.
fn words(tokenizer: &Tokenizer) -> Vec<String> {
    let is_word = |text: &str| {
        text.strip_prefix(' ').is_some_and(|word| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase()))
    };
    let spelled = |id: u32| std::str::from_utf8(tokenizer.bytes(id)).ok().filter(|text| is_word(text));
    let is_one_token = |id: u32, text: &str| tokenizer.encode(text, model::tokenizer::TextStart::Exact) == [id];
    (0..tokenizer.vocab_size() as u32)
        .filter_map(|id| spelled(id).filter(|text| is_one_token(id, text)).map(str::to_owned))
        .collect()
}
