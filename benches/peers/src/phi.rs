//! phi-ls: its model for the passes, its prefix cache for the prompts.

use std::path::Path;
use std::sync::Arc;

use phi_ls::engine::PREFILL_CHUNK;
use phi_ls::kernels::attention::KvType;
use phi_ls::kernels::pool::ThreadPool;
use phi_ls::model::{self, KvCache, LoadOptions, LoadedModel, LogitRows, Logits, RopeFactors, Sequence};

use crate::peer::Peer;

pub struct PhiLs {
    loaded: LoadedModel,
    cache: KvCache,
    lanes: Vec<KvCache>,
    /// Caches that prompts left.
    prompts: Vec<KvCache>,
    logits: Logits,
}

impl PhiLs {
    pub fn load(path: &Path, threads: usize) -> anyhow::Result<Self> {
        let options = LoadOptions { pool: Arc::new(ThreadPool::new(threads)), kv_type: KvType::F16 };
        let loaded = model::load(path, &options, &mut |_| {})?;
        let cache = loaded.model.new_cache(RopeFactors::Short);
        Ok(Self { loaded, cache, lanes: Vec::new(), prompts: Vec::new(), logits: Logits::default() })
    }
}

/// In chunks, as the engine does: between two of them it hears of cancellations and of more urgent work.
fn read(loaded: &mut LoadedModel, cache: &mut KvCache, tokens: &[u32], logits: &mut Logits) -> anyhow::Result<()> {
    let chunks = tokens.chunks(PREFILL_CHUNK);
    let last = chunks.len().saturating_sub(1);
    for (index, tokens) in chunks.enumerate() {
        let rows = if index == last { LogitRows::Last } else { LogitRows::None };
        loaded.model.forward(&mut [Sequence { tokens, cache, logits: rows }], logits)?;
    }
    Ok(())
}

impl Peer for PhiLs {
    fn feed(&mut self, keep: usize, tokens: &[u32]) -> anyhow::Result<()> {
        self.lanes.clear();
        self.prompts.clear();
        self.cache.truncate(keep);
        read(&mut self.loaded, &mut self.cache, tokens, &mut self.logits)
    }

    fn fork(&mut self, lanes: usize) -> anyhow::Result<()> {
        self.lanes = (0..lanes).map(|_| self.cache.fork()).collect();
        Ok(())
    }

    fn decode(&mut self, tokens: &[u32]) -> anyhow::Result<()> {
        let lanes = self.lanes.iter_mut().zip(tokens);
        let mut sequences: Vec<Sequence<'_>> = lanes
            .map(|(cache, token)| Sequence { tokens: std::slice::from_ref(token), cache, logits: LogitRows::Last })
            .collect();
        Ok(self.loaded.model.forward(&mut sequences, &mut self.logits)?)
    }

    fn first_token(&mut self, prompt: &[u32]) -> anyhow::Result<()> {
        let best = self.prompts.iter().max_by_key(|cache| cache.common_prefix_len(prompt));
        let mut cache = match best {
            Some(cache) => cache.fork(),
            None => self.loaded.model.new_cache(RopeFactors::Short),
        };
        let keep = cache.common_prefix_len(prompt).min(prompt.len() - 1);
        cache.truncate(keep);
        read(&mut self.loaded, &mut cache, &prompt[keep..], &mut self.logits)?;
        self.prompts.push(cache);
        Ok(())
    }
}
