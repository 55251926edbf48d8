//! `phi-ls tokenize`: the token ids of standard input, for comparison with other engines.

use std::io::Read as _;

use super::ModelArgs;
use crate::model::gguf::GgufFile;
use crate::model::tokenizer::{TextStart, Tokenizer};

#[derive(clap::Args)]
pub(super) struct TokenizeArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Take the text exactly as it is, without the space that SPM vocabularies put before it
    #[arg(long)]
    exact: bool,
}

pub(super) fn tokenize(args: &TokenizeArgs) -> anyhow::Result<()> {
    let tokenizer = Tokenizer::from_gguf(&GgufFile::open(&args.model.reference()?.resolve()?)?)?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| anyhow::anyhow!("standard input: {error}"))?;
    let start = if args.exact { TextStart::Exact } else { TextStart::Fragment };
    let ids = tokenizer.encode(&text, start);
    let pieces: Vec<&str> = ids.iter().map(|&id| tokenizer.piece(id)).collect();
    println!("{}", serde_json::json!({ "ids": ids, "pieces": pieces }));
    Ok(())
}
