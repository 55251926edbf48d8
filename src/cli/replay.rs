//! `phi-ls replay`: recorded and written editing sessions, replayed against the real server: how long completions took,
//! what the person saw, and what it cost.

pub(super) mod client;
mod given;
mod measures;
mod page;
mod run;
mod screen;
mod session;
pub(super) mod trace;
mod trace_entry;

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::ModelArgs;
use measures::Replayed;
use run::Run;
use trace::Trace;

#[derive(clap::Args)]
pub(super) struct ReplayArgs {
    /// A recording by `phi-ls serve --record FILE`, a typing session (`benches/traces`), or a folder of them
    trace: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Ask the model server at this URL instead of a model on this machine
    #[arg(long, value_name = "URL", conflicts_with_all = ["model", "threads", "during_answers_of"])]
    server: Option<String>,
    /// Wait for every completion before the next key, instead of typing at the recorded pace
    #[arg(long)]
    wait: bool,
    /// Like --wait, but without the pauses between keys
    #[arg(long)]
    full_speed: bool,
    /// Replay only the first N keys of each trace
    #[arg(long, value_name = "N")]
    keys: Option<usize>,
    /// Maximum number of tokens in a completion; a model with random weights does not end one by itself
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Have a model with random weights write what the session accepts as completions, and other lines of the file
    /// elsewhere
    #[arg(long, conflicts_with = "server")]
    given: bool,
    /// A setting for the server, such as `completion.prepareNext=false`; can be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, Value)>,
    /// Replay a second time while this model answers questions, and compare
    #[arg(long, value_name = "MODEL")]
    during_answers_of: Option<String>,
    /// Write an HTML page with plots to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// A setting on the command line: its value is JSON, or text if it is not valid JSON.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

impl ReplayArgs {
    fn waits(&self) -> bool {
        self.wait || self.full_speed
    }

    /// The server's settings; `assistant` is the model that answers questions during the replay.
    fn settings(&self, assistant: Option<&str>) -> anyhow::Result<Value> {
        let mut settings = match &self.server {
            Some(url) => json!({"completion.backend": {"kind": "openai", "baseUrl": url, "allowHttp": true}}),
            None => {
                let model = self.model.reference()?.to_string();
                // Without questions, the assistant model is never loaded, whatever its name.
                let assistant = assistant.unwrap_or(&model);
                json!({
                    "completion.model": model,
                    "assistant.model": assistant,
                    "assistant.maxTokens": 512,
                    "threads": self.model.threads,
                })
            }
        };
        if let Some(max_tokens) = self.max_tokens {
            settings["completion.maxTokens"] = max_tokens.into();
        }
        for (key, value) in &self.set {
            settings[key] = value.clone();
        }
        Ok(settings)
    }
}

pub(super) fn replay(args: &ReplayArgs) -> anyhow::Result<()> {
    let traces = trace::read(&args.trace)?;
    let alone = replay_all(args, &traces, None)?;
    let during = match &args.during_answers_of {
        Some(model) => Some(replay_all(args, &traces, Some(model))?),
        None => None,
    };
    if let Some(path) = &args.html {
        let page = page::page(&alone, &args.trace.display().to_string(), &model_name(args)?);
        std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    report(args, &alone, during.as_ref());
    Ok(())
}

/// Each trace gets its own server, which knows nothing about the documents of the others.
fn replay_all(args: &ReplayArgs, traces: &[Trace], assistant: Option<&str>) -> anyhow::Result<Replayed> {
    let play = |trace: &Trace| {
        Run::start(args, trace, assistant)?.run(trace).with_context(|| format!("replaying {}", trace.name))
    };
    Ok(Replayed::new(traces.iter().map(play).collect::<anyhow::Result<_>>()?))
}

fn model_name(args: &ReplayArgs) -> anyhow::Result<String> {
    match &args.server {
        Some(url) => Ok(format!("the server at {url}")),
        None => Ok(args.model.reference()?.to_string()),
    }
}

fn report(args: &ReplayArgs, alone: &Replayed, during: Option<&Replayed>) {
    let slowdown = during.and_then(|during| during.slowdown(alone));
    if args.json {
        let mut report = alone.figures();
        report.insert("alone".to_owned(), alone.to_json());
        report.insert("during_answers".to_owned(), during.map(Replayed::to_json).into());
        report.insert("slowdown".to_owned(), slowdown.into());
        println!("{}", Value::from(report));
        return;
    }
    alone.print(&args.trace.display().to_string());
    alone.print_figures();
    if let Some(during) = during {
        during.print("the same while the assistant answers");
        if let Some(slowdown) = slowdown {
            println!("  the median request takes {slowdown:.2} times as long");
        }
    }
}
