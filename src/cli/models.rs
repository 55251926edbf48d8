//! `phi-ls models`: what is installed, what it is, and whether it is all a model here needs.

use std::collections::BTreeMap;
use std::path::Path;

use indicatif::HumanBytes;
use serde_json::{Value, json};

use crate::hub::{self, HubError, Installed};
use crate::model::gguf::GgufFile;
use crate::model::rope::RotaryEmbedding;
use crate::model::{ChatFormat, ModelConfig, ModelError, Tokenizer};

#[derive(Debug, clap::Args)]
pub struct ModelsArgs {
    /// One JSON list instead of lines
    #[arg(long)]
    json: bool,
}

/// Prints what is in the models folder.
///
/// # Errors
/// There is no folder for models.
pub fn models(args: &ModelsArgs) -> anyhow::Result<()> {
    let folder = hub::models_folder().ok_or(HubError::NoFolder)?;
    let described: Vec<Described> = hub::installed(&folder).into_iter().map(describe).collect();
    if args.json {
        let list: Vec<Value> = described.iter().map(to_json).collect();
        println!("{}", serde_json::to_string_pretty(&list)?);
    } else if described.is_empty() {
        println!("no models in {}", folder.display());
        println!("`phi-ls pull` brings phi-3.5-mini and phi-4-mini, `phi-ls pull starter` a small one for a first try");
    } else {
        described.iter().for_each(print);
    }
    Ok(())
}

/// A model file, looked into.
struct Described {
    file: Installed,
    name: Option<String>,
    architecture: Option<String>,
    /// The tensor type that holds most of the bytes.
    quantisation: Option<String>,
    checks: Vec<Check>,
}

/// One thing a model file needs.
struct Check {
    name: &'static str,
    /// What was found, or what is wrong.
    outcome: Result<String, String>,
}

/// What is wrong with the model file at `path`, a sentence each.
pub(super) fn problems(path: &Path) -> Vec<String> {
    let file = Installed { path: path.to_owned(), bytes: 0, alias: None };
    let wrong =
        |check: Check| check.outcome.err().map(|reason| format!("{}: {}: {reason}", path.display(), check.name));
    describe(file).checks.into_iter().filter_map(wrong).collect()
}

fn describe(file: Installed) -> Described {
    let gguf = match GgufFile::open(&file.path) {
        Ok(gguf) => gguf,
        Err(error) => {
            let checks = vec![Check { name: "file", outcome: Err(without_path(&error, &file.path)) }];
            return Described { file, name: None, architecture: None, quantisation: None, checks };
        }
    };
    let text = |key| gguf.string(key).ok().map(str::to_owned);
    Described {
        name: text("general.name"),
        architecture: text("general.architecture"),
        quantisation: main_quantisation(&gguf),
        checks: checks(&gguf),
        file,
    }
}

fn main_quantisation(gguf: &GgufFile) -> Option<String> {
    let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
    for tensor in gguf.tensors() {
        *bytes.entry(format!("{:?}", tensor.quant)).or_default() += tensor.bytes as u64;
    }
    bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(name, _)| name)
}

/// What a model needs beyond being a sound file. A check that cannot be made without an earlier one is left out.
fn checks(gguf: &GgufFile) -> Vec<Check> {
    let reason = |error: ModelError| without_path(&error, gguf.path());
    let mut checks = Vec::new();
    let config = ModelConfig::from_gguf(gguf).map_err(reason);
    let rotary = config.as_ref().ok().map(|config| {
        let kinds = if config.has_long_rope() { "short and long factors" } else { "one set, no long context" };
        RotaryEmbedding::from_gguf(gguf, config).map(|_| kinds.to_owned()).map_err(reason)
    });
    checks.push(Check { name: "architecture", outcome: config.map(|config| config.architecture) });
    checks.extend(rotary.map(|outcome| Check { name: "rotary factors", outcome }));
    match Tokenizer::from_gguf(gguf) {
        Ok(tokenizer) => {
            let outcome = Ok(format!("{:?}, {} tokens", tokenizer.kind(), tokenizer.vocab_size()));
            checks.push(Check { name: "tokenizer", outcome });
            checks.push(Check { name: "chat roles", outcome: chat_roles(&tokenizer) });
            checks.push(Check { name: "stop tokens", outcome: stop_tokens(&tokenizer) });
        }
        Err(error) => checks.push(Check { name: "tokenizer", outcome: Err(reason(error)) }),
    }
    checks
}

fn chat_roles(tokenizer: &Tokenizer) -> Result<String, String> {
    match ChatFormat::recognise(tokenizer).name {
        "plain" => Err("none found: it completes text, but answers no questions".to_owned()),
        name => Ok(name.to_owned()),
    }
}

fn stop_tokens(tokenizer: &Tokenizer) -> Result<String, String> {
    let pieces: Vec<&str> = tokenizer.stop_ids().iter().map(|&id| tokenizer.piece(id)).collect();
    if pieces.is_empty() { Err("none found: answers would not end".to_owned()) } else { Ok(pieces.join(" ")) }
}

/// The error's text without the path, which is printed above it.
fn without_path(error: &ModelError, path: &Path) -> String {
    let text = error.to_string();
    text.strip_prefix(&format!("{}: ", path.display())).map(str::to_owned).unwrap_or(text)
}

fn to_json(described: &Described) -> Value {
    let check = |check: &Check| {
        let (passed, detail) = match &check.outcome {
            Ok(found) => (true, found),
            Err(reason) => (false, reason),
        };
        json!({ "name": check.name, "passed": passed, "detail": detail })
    };
    json!({
        "path": described.file.path,
        "bytes": described.file.bytes,
        "alias": described.file.alias.map(|alias| alias.name()),
        "role": described.file.alias.map(|alias| alias.role()),
        "name": described.name,
        "architecture": described.architecture,
        "quantisation": described.quantisation,
        "usable": is_usable(described),
        "checks": described.checks.iter().map(check).collect::<Vec<_>>(),
    })
}

/// Whether a server could load it. Without role tokens a model still completes.
fn is_usable(described: &Described) -> bool {
    described.checks.iter().all(|check| check.outcome.is_ok() || check.name == "chat roles")
}

fn print(described: &Described) {
    let name = described.file.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let role = described.file.alias.map_or("no alias", |alias| alias.name());
    let quantisation = described.quantisation.as_deref().unwrap_or("?");
    println!("{name}  {}  {quantisation}  ({role})", HumanBytes(described.file.bytes));
    println!("  {}", described.file.path.display());
    for check in &described.checks {
        match &check.outcome {
            Ok(found) => println!("  ok    {}: {found}", check.name),
            Err(reason) => println!("  wrong {}: {reason}", check.name),
        }
    }
}
