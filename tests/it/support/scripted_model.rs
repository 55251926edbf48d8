//! A language model that follows a script, to test the engine and the protocol, never quality.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use phi_ls::kernels::attention::{KvShape, KvType};
use phi_ls::model::config::Multipliers;
use phi_ls::model::tokenizer::TokenizerData;
use phi_ls::model::{
    ChatFormat, Fim, KvCache, KvStore, LanguageModel, LoadedModel, LogitRows, Logits, ModelConfig, ModelError,
    RopeFactors, Sequence, Tokenizer,
};

/// Returns the text that comes next, given all text read so far. The empty text ends the turn. Texts separated by
/// [`OR`] are equally likely.
pub(crate) type Script = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Separates texts that a script may continue with.
pub(crate) const OR: &str = "\0";

/// Counts the work of the model.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counters {
    pub(crate) forward_calls: Arc<AtomicUsize>,
    pub(crate) tokens: Arc<AtomicUsize>,
}

impl Counters {
    pub(crate) fn tokens(&self) -> usize {
        self.tokens.load(Ordering::SeqCst)
    }

    pub(crate) fn forward_calls(&self) -> usize {
        self.forward_calls.load(Ordering::SeqCst)
    }
}

pub(crate) struct ScriptedModel {
    config: ModelConfig,
    kv_store: KvStore,
    script: Script,
    counters: Counters,
    tokenizer: Arc<Tokenizer>,
    pause: Option<Box<dyn Fn() + Send>>,
}

/// ChatML's tags, which follow the 256 bytes.
const SPECIALS: [&str; 3] = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"];
/// Tokens of several bytes, so that healing has something to do.
const WORDS: [&str; 3] = ["re", "tu", "retu"];
const END_OF_TURN: usize = 256 + WORDS.len() + 1;

/// The GPT-2 alphabet: a printable character for each byte.
fn byte_alphabet() -> Vec<char> {
    let printable =
        |byte: u32| (33..=126).contains(&byte) || (161..=172).contains(&byte) || (174..=255).contains(&byte);
    let mut next = 256;
    let spell = |byte: u32| {
        if printable(byte) {
            return char::from_u32(byte).unwrap();
        }
        next += 1;
        char::from_u32(next - 1).unwrap()
    };
    (0..256).map(spell).collect()
}

/// Qwen's tokens, for a model that fills in the middle.
const FIM: [&str; 4] = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_sep|>"];

fn tokenizer(more: &[&str]) -> Tokenizer {
    let bytes: Vec<String> = byte_alphabet().into_iter().map(String::from).collect();
    let mut tokens: Vec<&str> = bytes.iter().map(String::as_str).collect();
    tokens.extend(WORDS.iter().chain(&SPECIALS).chain(more));
    let types: Vec<i64> = (0..tokens.len()).map(|id| if id >= 256 + WORDS.len() { 3 } else { 1 }).collect();
    Tokenizer::from_data(TokenizerData {
        path: Path::new("scripted"),
        model: "gpt2",
        pre: "gpt-2",
        tokens: &tokens,
        scores: &[],
        token_types: &types,
        merges: &["r e", "t u", "re tu"],
        bos: None,
        eos: &[END_OF_TURN as u32],
        add_bos: Some(false),
        add_space_prefix: None,
    })
    .unwrap()
}

/// A model that follows `script`, ready for an engine.
pub(crate) fn scripted(script: Script, counters: Counters) -> LoadedModel {
    scripted_with(&[], script, counters)
}

/// The same, for a model that fills in the middle.
pub(crate) fn scripted_fim(script: Script, counters: Counters) -> LoadedModel {
    scripted_with(&FIM, script, counters)
}

fn scripted_with(specials: &[&str], script: Script, counters: Counters) -> LoadedModel {
    let tokenizer = Arc::new(tokenizer(specials));
    let config = ModelConfig {
        architecture: "scripted".to_owned(),
        vocab_size: tokenizer.vocab_size(),
        hidden_size: 1,
        intermediate_size: 1,
        num_hidden_layers: 1,
        num_attention_heads: 1,
        num_key_value_heads: 1,
        head_dim: 32,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_dim: 32,
        max_position_embeddings: 131_072,
        original_max_position_embeddings: 4096,
        rope_attn_factor: 1.0,
        rope_scaling_factor: 1.0,
        sliding_window: None,
        multipliers: Multipliers::default(),
    };
    let chat = ChatFormat::recognise(&tokenizer);
    let tokens = Arc::clone(&tokenizer);
    let kv_store = KvStore::new(KvShape { num_kv_heads: 1, head_dim: 32, kv_type: KvType::F16 }, 1);
    let model = Box::new(ScriptedModel { config, kv_store, script, counters, tokenizer: tokens, pause: None });
    LoadedModel {
        name: "scripted".to_owned(),
        path: "scripted".into(),
        weight_bytes: 0,
        model,
        chat,
        fim: Fim::recognise(&tokenizer, "scripted"),
        tokenizer,
    }
}

impl ScriptedModel {
    /// The logits after `tokens`: high for the tokens that the script continues with.
    fn row(&self, tokens: &[u32]) -> Vec<f32> {
        let bytes: Vec<u8> = tokens.iter().flat_map(|&id| self.tokenizer.bytes(id).iter().copied()).collect();
        let continuations = (self.script)(&String::from_utf8_lossy(&bytes));
        let mut row = vec![0.0; self.config.vocab_size];
        for continuation in continuations.split(OR) {
            row[continuation.bytes().next().map_or(END_OF_TURN, usize::from)] = 10.0;
        }
        row
    }
}

impl LanguageModel for ScriptedModel {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn new_cache(&self, factors: RopeFactors) -> KvCache {
        self.kv_store.new_cache(factors)
    }

    fn forward(&mut self, sequences: &mut [Sequence<'_>], logits: &mut Logits) -> Result<(), ModelError> {
        self.counters.forward_calls.fetch_add(1, Ordering::SeqCst);
        logits.values.clear();
        logits.vocab_size = self.config.vocab_size;
        for sequence in sequences {
            self.counters.tokens.fetch_add(sequence.tokens.len(), Ordering::SeqCst);
            let past = sequence.cache.tokens().len();
            sequence.cache.reserve(sequence.tokens.len());
            sequence.cache.commit(sequence.tokens);
            let all = sequence.cache.tokens();
            let rows = match sequence.logits {
                LogitRows::None => all.len()..all.len(),
                LogitRows::Last => all.len() - 1..all.len(),
                LogitRows::All => past..all.len(),
            };
            for row in rows {
                logits.values.extend(self.row(&all[..=row]));
            }
        }
        // This is the pause after its only layer.
        if let Some(pause) = &self.pause {
            pause();
        }
        Ok(())
    }

    fn pause_between_layers(&mut self, pause: Box<dyn Fn() + Send>) {
        self.pause = Some(pause);
    }
}
