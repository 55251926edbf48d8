//! What a model file is and whether this program can run it, found out without loading the weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::config::{Architecture, ModelConfig};
use super::gguf::GgufFile;
use super::rope::RotaryEmbedding;
use super::{ChatFormat, Fim, ModelError, Tokenizer, weights};
use crate::kernels::quant::QuantType;

/// A model file as `phi-ls models` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelReport {
    pub path: PathBuf,
    /// `general.name` of the file, else its file name.
    pub name: String,
    /// `general.architecture`, supported or not.
    pub architecture: String,
    pub file_bytes: u64,
    /// Values in all tensors.
    pub parameters: u64,
    /// `None` if [`ModelReport::checks`] says why.
    pub config: Option<ModelConfig>,
    /// The types of the weights, the one with most bytes first.
    pub quantisation: Vec<QuantShare>,
    pub checks: Vec<Check>,
}

/// How much of a file is of one type.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantShare {
    /// As llama.cpp spells it: `Q4_K`.
    pub quant: &'static str,
    pub tensors: usize,
    pub bytes: u64,
}

/// One thing a file has to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, in a word or three.
    pub name: &'static str,
    /// What was found, or what is wrong with it.
    pub outcome: Result<String, String>,
}

/// The check that tells how a model fills in the middle, where it does.
const FIM_CHECK: &str = "fill in the middle";
const CHAT_CHECK: &str = "chat roles";

impl ModelReport {
    /// The format in which it fills in the middle, if it was made for that.
    pub fn fim(&self) -> Option<&str> {
        self.found(FIM_CHECK)
    }

    /// How it marks turns.
    pub fn chat(&self) -> Option<&str> {
        self.found(CHAT_CHECK)
    }

    fn found(&self, name: &str) -> Option<&str> {
        let check = self.checks.iter().find(|check| check.name == name)?;
        check.outcome.as_deref().ok()
    }

    /// Whether the file passes every check: it will load and chat.
    pub fn passes(&self) -> bool {
        self.checks.iter().all(|check| check.outcome.is_ok())
    }
}

/// Looks at the GGUF file at `path`: its header, tokenizer and small tensors.
///
/// # Errors
/// [`ModelError`] for what is no sound GGUF file. Any other problem is a failed check of the report.
pub fn describe(path: &Path) -> Result<ModelReport, ModelError> {
    let gguf = GgufFile::open(path)?;
    let config = ModelConfig::from_gguf(&gguf);
    let tokenizer = Tokenizer::from_gguf(&gguf);
    let reason = |error: &ModelError| match error {
        // The report names the file once.
        ModelError::Malformed { reason, .. } | ModelError::Unsupported { reason, .. } => reason.clone(),
        other => other.to_string(),
    };
    let mut checks = Vec::new();
    let mut check = |name, outcome: Result<String, ModelError>| {
        checks.push(Check { name, outcome: outcome.map_err(|error| reason(&error)) });
    };
    let architecture = Architecture::of(&gguf);
    let supported = architecture.is_ok();
    check("architecture", architecture.and_then(|_| Ok(gguf.string("general.architecture")?.to_owned())));
    match &config {
        Ok(config) => {
            check("tensors", weights::check(&gguf, config).map(|count| format!("all {count} present")));
            check("rotary factors", rotary_factors(&gguf, config));
        }
        Err(error) if supported => checks.push(Check { name: "settings", outcome: Err(reason(error)) }),
        Err(_) => {}
    }
    match &tokenizer {
        Ok(tokenizer) => {
            let fim = Fim::recognise(tokenizer, &gguf.name());
            checks.extend([chat_roles(tokenizer, fim.as_ref()), stop_ids(tokenizer)]);
            checks.extend(fim.map(|fim| Check { name: FIM_CHECK, outcome: Ok(fim.name().to_owned()) }));
        }
        Err(error) => checks.push(Check { name: "tokenizer", outcome: Err(reason(error)) }),
    }
    Ok(ModelReport {
        path: path.to_owned(),
        name: gguf.name(),
        architecture: gguf.string("general.architecture").unwrap_or("unknown").to_owned(),
        file_bytes: gguf.file_bytes(),
        parameters: gguf.tensors().map(|tensor| tensor.shape.iter().product::<usize>() as u64).sum(),
        config: config.ok(),
        quantisation: quantisation(&gguf),
        checks,
    })
}

fn rotary_factors(gguf: &GgufFile, config: &ModelConfig) -> Result<String, ModelError> {
    RotaryEmbedding::from_gguf(gguf, config)?;
    Ok(if config.has_long_rope() {
        format!(
            "short up to {} positions, long up to {}, attention factor {:.4}",
            config.original_max_position_embeddings, config.max_position_embeddings, config.rope_attn_factor
        )
    } else {
        format!("one set for {} positions", config.max_position_embeddings)
    })
}

/// A model without roles can be asked nothing but to fill in the middle, if it was made for that.
fn chat_roles(tokenizer: &Tokenizer, fim: Option<&Fim>) -> Check {
    let outcome = match (ChatFormat::recognise(tokenizer).name, fim) {
        (ChatFormat::PLAIN, Some(_)) => Ok("none; it can complete, but not answer questions".to_owned()),
        (ChatFormat::PLAIN, None) => {
            let known = ChatFormat::names().collect::<Vec<_>>().join(", ");
            Err(format!("expected the role tokens of one of {known}, found none; it can only continue text"))
        }
        (format, _) => Ok(format.to_owned()),
    };
    Check { name: CHAT_CHECK, outcome }
}

fn stop_ids(tokenizer: &Tokenizer) -> Check {
    let stops = tokenizer.stop_ids().iter().map(|id| format!("{} ({id})", tokenizer.piece(*id))).collect::<Vec<_>>();
    let outcome = match stops.is_empty() {
        true => Err("expected a token that ends a turn, found none; answers would only end at their limit".to_owned()),
        false => Ok(stops.join(", ")),
    };
    Check { name: "stop ids", outcome }
}

fn quantisation(gguf: &GgufFile) -> Vec<QuantShare> {
    let mut shares = BTreeMap::new();
    for tensor in gguf.tensors() {
        let quant = quant_name(tensor.quant);
        let share = shares.entry(quant).or_insert(QuantShare { quant, tensors: 0, bytes: 0 });
        share.tensors += 1;
        share.bytes += tensor.bytes as u64;
    }
    let mut shares: Vec<_> = shares.into_values().collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    shares
}

fn quant_name(quant: QuantType) -> &'static str {
    match quant {
        QuantType::F32 => "F32",
        QuantType::F16 => "F16",
        QuantType::Bf16 => "BF16",
        QuantType::Q4_0 => "Q4_0",
        QuantType::Q4_1 => "Q4_1",
        QuantType::Q5_0 => "Q5_0",
        QuantType::Q5_1 => "Q5_1",
        QuantType::Q8_0 => "Q8_0",
        QuantType::Q2K => "Q2_K",
        QuantType::Q3K => "Q3_K",
        QuantType::Q4K => "Q4_K",
        QuantType::Q5K => "Q5_K",
        QuantType::Q6K => "Q6_K",
        QuantType::Q8K => "Q8_K",
        QuantType::Iq4Nl => "IQ4_NL",
        QuantType::Iq4Xs => "IQ4_XS",
    }
}
