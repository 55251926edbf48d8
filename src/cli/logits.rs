//! `phi-ls logits`: the logits of a model after given token ids, for comparison with other engines.

use super::ModelArgs;
use crate::model::{LogitRows, Logits, Sequence, argmax};

#[derive(clap::Args)]
pub(super) struct LogitsArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Token ids, separated by commas
    #[arg(long, value_delimiter = ',', required = true)]
    tokens: Vec<u32>,
    /// Print the logits of the last position only
    #[arg(long)]
    last: bool,
    /// Print this many greedily chosen tokens instead of logits
    #[arg(long, value_name = "N", conflicts_with = "last")]
    greedy: Option<usize>,
}

pub(super) fn logits(args: &LogitsArgs) -> anyhow::Result<()> {
    let mut loaded = args.model.load()?;
    let needed = args.tokens.len() + args.greedy.unwrap_or(0);
    let mut cache = loaded.model.new_cache(loaded.model.config().rope_factors(needed));
    let mut logits = Logits::default();
    let rows = if args.last || args.greedy.is_some() { LogitRows::Last } else { LogitRows::All };
    let sequence = Sequence { tokens: &args.tokens, cache: &mut cache, logits: rows };
    loaded.model.forward(&mut [sequence], &mut logits)?;
    let Some(steps) = args.greedy else {
        let rows: Vec<&[f32]> = (0..logits.rows()).map(|row| logits.row(row)).collect();
        println!("{}", serde_json::json!({ "tokens": args.tokens, "logits": rows }));
        return Ok(());
    };
    let mut continuation = Vec::with_capacity(steps);
    for _ in 0..steps {
        let token = argmax(logits.row(0).iter().copied().enumerate());
        continuation.push(token);
        let sequence = Sequence { tokens: &[token], cache: &mut cache, logits: LogitRows::Last };
        loaded.model.forward(&mut [sequence], &mut logits)?;
    }
    println!("{}", serde_json::json!({ "tokens": args.tokens, "greedy": continuation }));
    Ok(())
}
