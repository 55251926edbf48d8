//! Micro models with random weights, written as GGUF files: complete enough to load, tokenize, chat and decode, and
//! small enough for every test.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use phi_ls::kernels::quant::QuantType;

/// Sizes and settings of a micro model. Change what a test is about, then call [`TinyModel::bytes`].
#[derive(Debug, Clone)]
pub(crate) struct TinyModel {
    /// `phi3` or `llama`.
    pub(crate) architecture: &'static str,
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) num_layers: usize,
    pub(crate) num_heads: usize,
    pub(crate) num_kv_heads: usize,
    pub(crate) rope_dim: usize,
    pub(crate) context_length: usize,
    /// If the context is longer than this, `phi3` needs two lists of factors.
    pub(crate) original_context_length: usize,
    /// Whether the embedding is also the output projection.
    pub(crate) tied: bool,
    /// The type of all matrices.
    pub(crate) quant: QuantType,
    pub(crate) seed: u64,
}

impl TinyModel {
    /// A model in the shape of Phi-4-mini: grouped queries, partial rotation, LongRoPE, tied output.
    pub(crate) fn phi3() -> Self {
        Self {
            architecture: "phi3",
            hidden_size: 64,
            intermediate_size: 96,
            num_layers: 2,
            num_heads: 4,
            num_kv_heads: 2,
            rope_dim: 12,
            context_length: 16384,
            original_context_length: 4096,
            tied: true,
            quant: QuantType::F32,
            seed: 1,
        }
    }

    /// A model in the shape of the starter: separate projections, full rotation, one context length.
    pub(crate) fn llama() -> Self {
        Self {
            architecture: "llama",
            rope_dim: 16,
            context_length: 4096,
            original_context_length: 4096,
            tied: false,
            ..Self::phi3()
        }
    }

    /// The same model with matrices of `quant`, and with widths that are whole blocks.
    pub(crate) fn quantized(self, quant: QuantType) -> Self {
        let wide = |size: usize| size.next_multiple_of(quant.block_len());
        let (hidden_size, intermediate_size) = (wide(self.hidden_size), wide(self.intermediate_size));
        Self { quant, hidden_size, intermediate_size, ..self }
    }

    /// The number of tokens in the vocabulary.
    pub(crate) fn vocab_size(&self) -> usize {
        self.vocabulary().len()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.writer().bytes()
    }

    /// The file before it is written, for tests that leave something out.
    pub(crate) fn writer(&self) -> GgufWriter {
        let mut file = GgufWriter::default();
        self.add_metadata(&mut file);
        self.add_vocabulary(&mut file);
        self.add_tensors(&mut file);
        file
    }

    fn add_metadata(&self, file: &mut GgufWriter) {
        file.string("general.architecture", self.architecture);
        file.string("general.name", "Tiny test model");
        let sizes = [
            ("context_length", self.context_length),
            ("embedding_length", self.hidden_size),
            ("feed_forward_length", self.intermediate_size),
            ("block_count", self.num_layers),
            ("attention.head_count", self.num_heads),
            ("attention.head_count_kv", self.num_kv_heads),
            ("rope.dimension_count", self.rope_dim),
        ];
        for (key, size) in sizes {
            file.u32(&format!("{}.{key}", self.architecture), size as u32);
        }
        file.f32(&format!("{}.attention.layer_norm_rms_epsilon", self.architecture), 1e-5);
        file.f32(&format!("{}.rope.freq_base", self.architecture), 10_000.0);
        if self.architecture == "phi3" {
            file.u32("phi3.rope.scaling.original_context_length", self.original_context_length as u32);
            let ratio = self.context_length as f64 / self.original_context_length as f64;
            let attn_factor = (1.0 + ratio.ln() / (self.original_context_length as f64).ln()).sqrt();
            file.f32("phi3.rope.scaling.attn_factor", attn_factor as f32);
        }
    }

    /// Spelling and GGUF kind of each token: SPM with byte tokens for `phi3`, byte-level BPE for `llama`.
    fn vocabulary(&self) -> Vec<(String, u32)> {
        const WORDS: [&str; 8] = ["the", "return", "self", "let", "fn", "def", "int", "name"];
        let letters = ('a'..='z').map(String::from);
        let (normal, control, byte) = (1, 3, 6);
        let mut tokens = Vec::new();
        if self.architecture == "phi3" {
            tokens.extend([("<unk>".to_owned(), 2), ("<s>".to_owned(), control), ("</s>".to_owned(), control)]);
            tokens.extend((0..=255).map(|value: u8| (format!("<0x{value:02X}>"), byte)));
            tokens.extend(["▁".to_owned(), "▁▁".to_owned()].into_iter().chain(letters).map(|piece| (piece, normal)));
            tokens.extend(
                WORDS.iter().flat_map(|word| [word.to_string(), format!("▁{word}")]).map(|word| (word, normal)),
            );
            let roles = ["<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"];
            tokens.extend(roles.map(|role| (role.to_owned(), control)));
        } else {
            let specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
            tokens.extend(specials.map(|special| (special.to_owned(), control)));
            tokens.extend((0..=255).map(|value| (byte_level_char(value).to_string(), normal)));
            tokens.extend(["in", "re", "Ġt", "he"].map(|piece| (piece.to_owned(), normal)));
        }
        tokens
    }

    fn add_vocabulary(&self, file: &mut GgufWriter) {
        let tokens = self.vocabulary();
        let spellings: Vec<&str> = tokens.iter().map(|(spelling, _)| spelling.as_str()).collect();
        let id = |spelling: &str| spellings.iter().position(|token| *token == spelling).expect("a token") as u32;
        if self.architecture == "phi3" {
            file.string("tokenizer.ggml.model", "llama");
            file.string("tokenizer.ggml.pre", "default");
            let scores: Vec<f32> = (0..tokens.len()).map(|index| -(index as f32)).collect();
            file.f32s("tokenizer.ggml.scores", &scores);
            file.u32("tokenizer.ggml.bos_token_id", id("<s>"));
            file.u32("tokenizer.ggml.unknown_token_id", id("<unk>"));
        } else {
            file.string("tokenizer.ggml.model", "gpt2");
            file.string("tokenizer.ggml.pre", "smollm");
            file.strings("tokenizer.ggml.merges", &["i n", "r e", "Ġ t", "h e"]);
        }
        file.strings("tokenizer.ggml.tokens", &spellings);
        let kinds: Vec<i32> = tokens.iter().map(|(_, kind)| *kind as i32).collect();
        file.i32s("tokenizer.ggml.token_type", &kinds);
        file.u32("tokenizer.ggml.eos_token_id", id("<|endoftext|>"));
        file.bool("tokenizer.ggml.add_bos_token", false);
    }

    fn add_tensors(&self, file: &mut GgufWriter) {
        let mut random = Random(self.seed);
        let head_dim = self.hidden_size / self.num_heads;
        let (hidden, intermediate) = (self.hidden_size, self.intermediate_size);
        let (vocab_size, key_value) = (self.vocab_size(), self.num_kv_heads * head_dim);
        let mut matrix = |file: &mut GgufWriter, name: &str, rows: usize, cols: usize| {
            // Twice the scale that keeps the variance, because a micro model needs larger weights for clear
            // preferences.
            let scale = 2.0 / (cols as f32).sqrt();
            let values: Vec<f32> = (0..rows * cols).map(|_| random.gaussian() * scale).collect();
            file.tensor(name, &[rows, cols], self.quant, quantize(self.quant, &values));
        };
        matrix(file, "token_embd.weight", vocab_size, hidden);
        for layer in 0..self.num_layers {
            let mut projections = vec![("attn_output", hidden, hidden), ("ffn_down", hidden, intermediate)];
            if self.architecture == "phi3" {
                projections
                    .extend([("attn_qkv", hidden + 2 * key_value, hidden), ("ffn_up", 2 * intermediate, hidden)]);
            } else {
                projections.extend([("attn_q", hidden, hidden), ("attn_k", key_value, hidden)]);
                projections.extend([("attn_v", key_value, hidden)]);
                projections.extend([("ffn_gate", intermediate, hidden), ("ffn_up", intermediate, hidden)]);
            }
            for (name, rows, cols) in projections {
                matrix(file, &format!("blk.{layer}.{name}.weight"), rows, cols);
            }
        }
        if !self.tied {
            matrix(file, "output.weight", vocab_size, hidden);
        }
        let layers =
            (0..self.num_layers).flat_map(|layer| ["attn_norm", "ffn_norm"].map(|name| format!("blk.{layer}.{name}")));
        for name in layers.chain(["output_norm".to_owned()]) {
            let weight: Vec<f32> = (0..hidden).map(|_| 1.0 + 0.1 * random.gaussian()).collect();
            file.tensor(&format!("{name}.weight"), &[hidden], QuantType::F32, quantize(QuantType::F32, &weight));
        }
        if self.context_length > self.original_context_length {
            let half = self.rope_dim / 2;
            let factors = |step: f32| -> Vec<f32> { (0..half).map(|index| 1.0 + step * index as f32).collect() };
            for (name, step) in [("rope_factors_short.weight", 0.125), ("rope_factors_long.weight", 3.0)] {
                file.tensor(name, &[half], QuantType::F32, quantize(QuantType::F32, &factors(step)));
            }
        }
    }
}

/// Builds a GGUF file, with entries and tensors in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub(crate) struct GgufWriter {
    entries: Vec<(String, Vec<u8>)>,
    tensors: Vec<(String, Vec<usize>, QuantType, Vec<u8>)>,
}

impl GgufWriter {
    pub(crate) fn u32(&mut self, key: &str, value: u32) {
        self.entry(key, 4, value.to_le_bytes().to_vec());
    }

    pub(crate) fn f32(&mut self, key: &str, value: f32) {
        self.entry(key, 6, value.to_le_bytes().to_vec());
    }

    pub(crate) fn bool(&mut self, key: &str, value: bool) {
        self.entry(key, 7, vec![value.into()]);
    }

    pub(crate) fn string(&mut self, key: &str, value: &str) {
        self.entry(key, 8, string(value));
    }

    pub(crate) fn i32s(&mut self, key: &str, values: &[i32]) {
        let values = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.array(key, 5, values, 4);
    }

    pub(crate) fn f32s(&mut self, key: &str, values: &[f32]) {
        let values = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.array(key, 6, values, 4);
    }

    pub(crate) fn strings(&mut self, key: &str, values: &[&str]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| string(value)).collect();
        let start = [8_u32.to_le_bytes().as_slice(), &(values.len() as u64).to_le_bytes(), &bytes].concat();
        self.entry(key, 9, start);
    }

    fn array(&mut self, key: &str, kind: u32, bytes: Vec<u8>, width: usize) {
        let len = (bytes.len() / width) as u64;
        self.entry(key, 9, [kind.to_le_bytes().as_slice(), &len.to_le_bytes(), &bytes].concat());
    }

    /// Adds an entry, or replaces the one with the same key.
    fn entry(&mut self, key: &str, kind: u32, value: Vec<u8>) {
        self.remove(key);
        self.entries.push((key.to_owned(), [kind.to_le_bytes().to_vec(), value].concat()));
    }

    /// Adds a tensor of `shape` (with the contiguous dimension last), or replaces the one with that name.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize], quant: QuantType, bytes: Vec<u8>) {
        self.remove(name);
        self.tensors.push((name.to_owned(), shape.to_vec(), quant, bytes));
    }

    /// Removes the entry or tensor called `name`, if there is one.
    pub(crate) fn remove(&mut self, name: &str) {
        self.entries.retain(|(key, _)| key != name);
        self.tensors.retain(|(tensor, ..)| tensor != name);
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3_u32.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.entries.len() as u64).to_le_bytes());
        for (key, value) in &self.entries {
            file.extend(string(key));
            file.extend(value);
        }
        let mut data = Vec::new();
        for (name, shape, quant, bytes) in &self.tensors {
            file.extend(string(name));
            file.extend((shape.len() as u32).to_le_bytes());
            shape.iter().rev().for_each(|dimension| file.extend((*dimension as u64).to_le_bytes()));
            file.extend(ggml_id(*quant).to_le_bytes());
            file.extend((data.len() as u64).to_le_bytes());
            data.extend(bytes);
            data.resize(data.len().next_multiple_of(32), 0);
        }
        file.resize(file.len().next_multiple_of(32), 0);
        file.extend(data);
        file
    }
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// Every type of a matrix, with its number in GGUF files and candle's name for it.
pub(crate) const QUANT_TYPES: [(QuantType, u32, GgmlDType); 13] = [
    (QuantType::F32, 0, GgmlDType::F32),
    (QuantType::F16, 1, GgmlDType::F16),
    (QuantType::Bf16, 30, GgmlDType::BF16),
    (QuantType::Q4_0, 2, GgmlDType::Q4_0),
    (QuantType::Q4_1, 3, GgmlDType::Q4_1),
    (QuantType::Q5_0, 6, GgmlDType::Q5_0),
    (QuantType::Q5_1, 7, GgmlDType::Q5_1),
    (QuantType::Q8_0, 8, GgmlDType::Q8_0),
    (QuantType::Q2K, 10, GgmlDType::Q2K),
    (QuantType::Q3K, 11, GgmlDType::Q3K),
    (QuantType::Q4K, 12, GgmlDType::Q4K),
    (QuantType::Q5K, 13, GgmlDType::Q5K),
    (QuantType::Q6K, 14, GgmlDType::Q6K),
];

fn ggml_id(quant: QuantType) -> u32 {
    QUANT_TYPES.iter().find(|(known, ..)| *known == quant).expect("a type matrices have").1
}

/// `values` in blocks of `quant`, quantised by candle.
pub(crate) fn quantize(quant: QuantType, values: &[f32]) -> Vec<u8> {
    let (_, _, dtype) = QUANT_TYPES.iter().find(|(known, ..)| *known == quant).expect("a type matrices have");
    let tensor = Tensor::from_slice(values, values.len(), &Device::Cpu).expect("a tensor");
    let quantized = QTensor::quantize(&tensor, *dtype).expect("whole blocks");
    quantized.data().expect("data on the processor").into_owned()
}

/// The character for a byte in byte-level BPE: printable Latin-1 as itself, the others from U+0100 on.
pub(crate) fn byte_level_char(value: u8) -> char {
    let printable = |value: u8| matches!(value, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    if printable(value) {
        return char::from(value);
    }
    let others_before = (0..value).filter(|before| !printable(*before)).count() as u32;
    char::from_u32(0x100 + others_before).expect("a letter of the Latin Extended-A block")
}

/// SplitMix64: the same models on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `0..end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Approximately normal, with mean 0 and variance 1.
    fn gaussian(&mut self) -> f32 {
        (0..12).map(|_| (self.next() >> 40) as f32 / (1_u32 << 24) as f32).sum::<f32>() - 6.0
    }
}
