//! `phi-ls bench --edit BEFORE AFTER`: how much prompt-lookup speculation gains when a model copies code with changes.
//!
//! The prompt is that of a refactoring of BEFORE. The answer is AFTER, given token by token, so that the cost is that
//! of a model which writes exactly this, whatever its weights.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::BenchArgs;
use crate::cli::complete::{generate, start_engine};
use crate::cli::millis;
use crate::cli::place::read_snapshot;
use crate::config::Settings;
use crate::context::Surroundings;
use crate::engine::{Engine, Generation, GenerationParams, Priority, Sampling};
use crate::features::code_actions::Action;
use crate::features::edit;
use crate::features::question::{AssistantOptions, Question};
use crate::model::Prompt;
use crate::model::gguf::GgufFile;
use crate::model::tokenizer::{TextStart, Tokenizer};

/// Decoding of one answer, with or without speculation.
struct Sample {
    generation: Generation,
    decode: Duration,
}

pub(super) fn bench_edit(args: &BenchArgs, before: &Path, after: &Path) -> anyhow::Result<()> {
    let prompt = question(before)?;
    let answer = std::fs::read_to_string(after).with_context(|| format!("cannot read {}", after.display()))?;
    let tokenizer = Tokenizer::from_gguf(&GgufFile::open(&args.model.reference()?.resolve()?)?)?;
    let tokens = tokenizer.encode(&answer, TextStart::Exact);
    drop(tokenizer);
    if tokens.len() < 2 {
        bail!("expected an answer of at least two tokens in {}, found {}", after.display(), tokens.len());
    }
    let engine = start_engine(&args.model)?;
    // This reads the prompt, which is not measured.
    sample(&engine, &prompt, &tokens[..1], false)?;
    let (mut plain, mut speculated) = (Vec::new(), Vec::new());
    for _ in 0..args.repeat {
        plain.push(sample(&engine, &prompt, &tokens, false)?);
        speculated.push(sample(&engine, &prompt, &tokens, true)?);
    }
    report(args, tokens.len(), &mut plain, &mut speculated);
    Ok(())
}

/// The prompt of a refactoring of all of `path`.
fn question(path: &Path) -> anyhow::Result<Prompt> {
    let snapshot = read_snapshot(path)?;
    let target = 0..snapshot.text.len_bytes();
    let question = Question { action: Action::Refactor, target, exact: true, problem: None, instruction: None };
    // The limits do not matter, since the answer is known to fit.
    let options =
        AssistantOptions { max_tokens: usize::MAX, ..AssistantOptions::new(&Settings::default().assistant, None) };
    Ok(edit::plan(&snapshot, &Surroundings::default(), &question, &options)?.prompt)
}

fn sample(engine: &Engine, prompt: &Prompt, tokens: &[u32], speculate: bool) -> anyhow::Result<Sample> {
    let params = GenerationParams {
        max_new_tokens: tokens.len(),
        sampling: Sampling::Given(tokens.to_vec()),
        speculate,
        ..GenerationParams::default()
    };
    let generation = generate(engine, prompt, &params, Priority::Background, None)?;
    if generation.generated_tokens != tokens.len() {
        bail!("expected the model to write all {} tokens, found {}", tokens.len(), generation.generated_tokens);
    }
    let decode = generation.total.saturating_sub(generation.time_to_first_token);
    Ok(Sample { generation, decode })
}

fn report(args: &BenchArgs, tokens: usize, plain: &mut [Sample], speculated: &mut [Sample]) {
    let rate = |sample: &Sample| (tokens - 1) as f64 / sample.decode.as_secs_f64().max(1e-9);
    let (plain, speculated) = (median(plain), median(speculated));
    let Generation { drafted_tokens, accepted_tokens, .. } = speculated.generation;
    // Every pass writes one token and the guesses that were right.
    let per_pass = tokens as f64 / (tokens - accepted_tokens) as f64;
    let ratio = rate(speculated) / rate(plain);
    if args.json {
        let report = serde_json::json!({
            "prompt_tokens": plain.generation.prompt_tokens,
            "answer_tokens": tokens,
            "plain_tokens_per_second": rate(plain),
            "speculated_tokens_per_second": rate(speculated),
            "ratio": ratio,
            "drafted_tokens": drafted_tokens,
            "accepted_tokens": accepted_tokens,
            "plain_decode_ms": millis(plain.decode),
            "speculated_decode_ms": millis(speculated.decode),
        });
        println!("{report}");
        return;
    }
    println!("{tokens} tokens after a prompt of {}, median of {}", plain.generation.prompt_tokens, args.repeat);
    println!("  plain decode       {:>8.1} tokens/s", rate(plain));
    println!("  with speculation   {:>8.1} tokens/s, {ratio:.2} times as fast", rate(speculated));
    println!("  guessed {drafted_tokens}, right {accepted_tokens}: {per_pass:.1} tokens in a pass");
}

fn median(samples: &mut [Sample]) -> &Sample {
    samples.sort_by_key(|sample| sample.decode);
    &samples[samples.len() / 2]
}
