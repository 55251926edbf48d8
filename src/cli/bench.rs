//! `phi-ls bench`: how fast a model loads, reads a prompt and writes, and what memory that takes.

mod edit;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::{ModelArgs, millis};
use crate::config::{Needs, Settings};
use crate::engine::embedded::PREFILL_CHUNK;
use crate::model::{KvCache, LoadedModel, LogitRows, Logits, RopeFactors, Sequence};

#[derive(clap::Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Prompt tokens to prefill
    #[arg(short = 'p', long, default_value_t = 512)]
    prompt: usize,
    /// Tokens to decode after the prompt
    #[arg(short = 'n', long, default_value_t = 64)]
    decode: usize,
    /// Number of repetitions; the median is printed
    #[arg(short = 'r', long, default_value_t = 3)]
    repeat: usize,
    /// Number of sequences to decode at once
    #[arg(short = 'b', long, default_value_t = 1)]
    batch: usize,
    /// Prompt tokens to prefill in one pass
    #[arg(long, default_value_t = PREFILL_CHUNK)]
    chunk: usize,
    /// Measure how fast the file AFTER is written with the file BEFORE in the prompt, with and without speculation
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"])]
    edit: Option<Vec<PathBuf>>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// One repetition.
struct Sample {
    time_to_first_token: Duration,
    decode: Duration,
}

pub(super) fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    if [args.prompt, args.repeat, args.batch, args.chunk].contains(&0) {
        bail!("expected at least 1 for --prompt, --repeat, --batch and --chunk, found 0");
    }
    if let Some([before, after]) = args.edit.as_deref() {
        return edit::bench_edit(args, before, after);
    }
    let started = Instant::now();
    let mut loaded = args.model.load()?;
    let load = started.elapsed();
    let limit = loaded.model.config().original_max_position_embeddings;
    if args.prompt + args.decode > limit {
        bail!(
            "expected at most {limit} tokens for --prompt and --decode together, found {} + {}",
            args.prompt,
            args.decode
        );
    }
    let mut samples = Vec::new();
    for _ in 0..args.repeat {
        samples.push(sample(args, &mut loaded)?);
    }
    let time_to_first_token = median(samples.iter().map(|sample| sample.time_to_first_token));
    let decode = median(samples.iter().map(|sample| sample.decode));
    let threads = args.model.load_options().pool.threads();
    let needs = loaded.size().needs(args.batch * (args.prompt + args.decode), Settings::default().kv_cache_type.into());
    report(args, &loaded, load, time_to_first_token, decode, (threads, needs));
    Ok(())
}

/// Prefills a fresh cache and decodes from it. The tokens are arbitrary: speed does not depend on them.
fn sample(args: &BenchArgs, loaded: &mut LoadedModel) -> anyhow::Result<Sample> {
    let vocab_size = loaded.model.config().vocab_size;
    let token = |index: usize| ((index * 7919 + 13) % vocab_size.min(30_000)) as u32;
    let prompt: Vec<u32> = (0..args.prompt).map(token).collect();
    let mut cache = loaded.model.new_cache(RopeFactors::Short);
    let mut logits = Logits::default();
    let started = Instant::now();
    let chunks = prompt.chunks(args.chunk);
    let last = chunks.len() - 1;
    for (index, tokens) in chunks.enumerate() {
        let rows = if index == last { LogitRows::Last } else { LogitRows::None };
        loaded.model.forward(&mut [Sequence { tokens, cache: &mut cache, logits: rows }], &mut logits)?;
    }
    let time_to_first_token = started.elapsed();
    let mut caches: Vec<KvCache> = (0..args.batch).map(|_| cache.fork()).collect();
    let started = Instant::now();
    for index in 0..args.decode {
        let next: Vec<u32> = (0..args.batch).map(|sequence| token(args.prompt + index + sequence)).collect();
        let mut sequences: Vec<Sequence<'_>> = caches
            .iter_mut()
            .zip(&next)
            .map(|(cache, token)| Sequence { tokens: std::slice::from_ref(token), cache, logits: LogitRows::Last })
            .collect();
        loaded.model.forward(&mut sequences, &mut logits)?;
    }
    Ok(Sample { time_to_first_token, decode: started.elapsed() })
}

fn report(
    args: &BenchArgs,
    loaded: &LoadedModel,
    load: Duration,
    time_to_first_token: Duration,
    decode: Duration,
    (threads, needs): (usize, Needs),
) {
    let prefill_rate = args.prompt as f64 / time_to_first_token.as_secs_f64();
    let decode_rate = (args.decode * args.batch) as f64 / decode.as_secs_f64().max(1e-9);
    if args.json {
        let report = serde_json::json!({
            "model": loaded.name,
            "threads": threads,
            "load_ms": millis(load),
            "prefill_tokens_per_second": prefill_rate,
            "decode_tokens_per_second": decode_rate,
            "time_to_first_token_ms": millis(time_to_first_token),
            "peak_rss_bytes": peak_rss_bytes(),
            "needed_bytes": needs.total(),
        });
        println!("{report}");
        return;
    }
    println!("{}, {threads} threads, median of {}", loaded.name, args.repeat);
    println!("  load                 {:>9.1} ms", millis(load));
    println!("  prefill {:>5} tokens  {prefill_rate:>8.1} tokens/s", args.prompt);
    println!("  first token after    {:>9.1} ms", millis(time_to_first_token));
    println!("  decode {:>4} x {:<4}   {decode_rate:>9.1} tokens/s", args.decode, args.batch);
    if let Some(bytes) = peak_rss_bytes() {
        println!("  peak memory          {:>9.1} MiB", bytes as f64 / f64::from(1 << 20));
    }
    println!("  estimated memory     {:>9.1} MiB", needs.total() as f64 / f64::from(1 << 20));
}

fn median(durations: impl Iterator<Item = Duration>) -> Duration {
    let mut sorted: Vec<Duration> = durations.collect();
    sorted.sort();
    sorted[sorted.len() / 2]
}

/// The process's largest resident size so far; known on Linux only.
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}
