//! `phi-ls replay`: a recorded editing session against the real server: how long completions took, and how many prompt
//! tokens had to be computed again.

mod client;
pub(super) mod trace;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{ModelArgs, millis};
use crate::config::Source;
use crate::engine::Generation;
use crate::server::{Observer, ServerOptions};
use client::Client;
use trace::Entry;

/// Longer than any model takes to load, or to complete.
const PATIENCE: Duration = Duration::from_secs(600);

/// Added to the URI of the copy that questions are about.
const QUESTION_SUFFIX: &str = ".question";

#[derive(clap::Args)]
pub(super) struct ReplayArgs {
    /// What `phi-ls serve --record FILE` has written
    trace: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Ask the model server at this URL instead of a model of this machine
    #[arg(long, value_name = "URL", conflicts_with_all = ["model", "threads", "during_answers_of"])]
    server: Option<String>,
    /// Wait for every completion before typing on, instead of cancelling those that come too late
    #[arg(long)]
    wait: bool,
    /// Tokens of one completion at most; a model with random weights ends none by itself
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Replay it a second time while this model answers questions, and compare
    #[arg(long, value_name = "MODEL")]
    during_answers_of: Option<String>,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// What one replay came to.
#[derive(Default)]
struct Replayed {
    /// Of requests answered with a completion, sorted.
    shown: Vec<Duration>,
    /// Of requests answered with none, sorted.
    empty: Vec<Duration>,
    cancelled: usize,
    generations: Vec<Generation>,
    /// Pieces of answers to questions that came meanwhile.
    answer_pieces: usize,
}

pub(super) fn replay(args: &ReplayArgs) -> anyhow::Result<()> {
    let entries = trace::read(&args.trace)?;
    if !entries.iter().any(Entry::asks_for_completion) {
        bail!("expected requests for completions in {}, found none", args.trace.display());
    }
    let alone = Replay::start(args, None)?.run(&entries)?;
    let during = match &args.during_answers_of {
        Some(model) => Some(Replay::start(args, Some(model))?.run(&entries)?),
        None => None,
    };
    report(args, &alone, during.as_ref());
    Ok(())
}

/// A server and a client, and what the client still has to be told.
struct Replay<'a> {
    args: &'a ReplayArgs,
    client: Client,
    generations: Arc<Mutex<Vec<Generation>>>,
    /// Requests for completions by the id they were sent with.
    sent: BTreeMap<i64, Instant>,
    /// The question that is asked again and again, once a document is open.
    question: Option<Value>,
    asks: bool,
    questions_asked: usize,
    is_ready: bool,
}

/// Collects what completions came to.
struct Collector(Arc<Mutex<Vec<Generation>>>);

impl Observer for Collector {
    fn completion(&self, generation: &Generation) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(generation.clone());
    }
}

impl<'a> Replay<'a> {
    fn start(args: &'a ReplayArgs, assistant: Option<&str>) -> anyhow::Result<Self> {
        let asks = assistant.is_some();
        let mut settings = match &args.server {
            Some(url) => json!({"completion.backend": {"kind": "openai", "baseUrl": url, "allowHttp": true}}),
            None => {
                let model = args.model.reference()?.to_string();
                // Without questions the assistant is never loaded, whatever its name.
                let assistant = assistant.unwrap_or(&model);
                json!({
                    "completion.model": model,
                    "assistant.model": assistant,
                    "assistant.maxTokens": 512,
                    "threads": args.model.threads,
                })
            }
        };
        if let Some(max_tokens) = args.max_tokens {
            settings["completion.maxTokens"] = max_tokens.into();
        }
        let generations = Arc::default();
        let options = ServerOptions {
            settings: vec![(Source::Flags, settings)],
            observer: Some(Arc::new(Collector(Arc::clone(&generations)))),
            ..ServerOptions::new(Arc::new(super::serve::loader()))
        };
        let client = Client::start(options)?;
        Ok(Self {
            args,
            client,
            generations,
            sent: BTreeMap::new(),
            question: None,
            asks,
            questions_asked: 0,
            is_ready: false,
        })
    }

    fn run(mut self, entries: &[Entry]) -> anyhow::Result<Replayed> {
        let mut started = Instant::now();
        for entry in entries {
            // Whoever waits cancels nothing.
            if self.args.wait && entry.method() == "$/cancelRequest" {
                continue;
            }
            self.client.listen(started + entry.at())?;
            match entry.method() {
                "initialize" => self.initialize(&entry.message)?,
                "textDocument/didOpen" if !self.is_ready => {
                    self.begin(&entry.message)?;
                    // Loading models is not typing.
                    started = Instant::now().checked_sub(entry.at()).unwrap_or(started);
                }
                "shutdown" | "exit" => break,
                _ => started += self.forward(entry)?,
            }
        }
        self.finish()
    }

    /// With the capabilities of the trace, and those that let this client see what it counts.
    fn initialize(&mut self, message: &Value) -> anyhow::Result<()> {
        let mut message = message.clone();
        let id = message["id"].as_i64().context("expected `initialize` to have a number as id")?;
        message["params"]["capabilities"]["experimental"]["phiLs"]["answers"] = true.into();
        // This process watches no other process.
        message["params"]["processId"] = Value::Null;
        message["params"]["initializationOptions"] = Value::Null;
        self.client.send(&message)?;
        self.client.wait_for(id, PATIENCE)
    }

    /// Sends a message; how long its answer was waited for.
    fn forward(&mut self, entry: &Entry) -> anyhow::Result<Duration> {
        self.keep_asking()?;
        let sent = Instant::now();
        let id = entry.message["id"].as_i64().filter(|_| entry.asks_for_completion());
        if let Some(id) = id {
            self.sent.insert(id, sent);
        }
        self.client.send(&entry.message)?;
        match id {
            Some(id) if self.args.wait => self.client.wait_for(id, PATIENCE).map(|()| sent.elapsed()),
            _ => Ok(Duration::ZERO),
        }
    }

    /// Opens the first document, for which the model is loaded, and has the first question answered.
    fn begin(&mut self, opened: &Value) -> anyhow::Result<()> {
        self.client.send(opened)?;
        self.client.wait_until_ready(PATIENCE)?;
        self.is_ready = true;
        if self.asks { self.ask_about_a_copy(opened) } else { Ok(()) }
    }

    /// Opens a copy of a document, asks for an explanation of it and waits until the answer has begun.
    fn ask_about_a_copy(&mut self, opened: &Value) -> anyhow::Result<()> {
        let mut opened = opened.clone();
        let uri = opened["params"]["textDocument"]["uri"].as_str().context("expected a URI in `didOpen`")?.to_owned();
        let uri = format!("{uri}{QUESTION_SUFFIX}");
        opened["params"]["textDocument"]["uri"] = uri.as_str().into();
        self.client.send(&opened)?;
        let lines = opened["params"]["textDocument"]["text"].as_str().map_or(0, |text| text.lines().count());
        let range = json!({"start": {"line": 0, "character": 0}, "end": {"line": lines, "character": 0}});
        let arguments = json!({"uri": uri, "action": "explainCode", "range": range, "exact": true});
        self.question = Some(json!({"command": "phi-ls.ask", "arguments": [arguments]}));
        self.keep_asking()?;
        if !self
            .client
            .listen_for(Instant::now() + PATIENCE, |client| client.answer_pieces > 0 || client.answers_done > 0)?
            || self.client.answer_pieces == 0
        {
            bail!("the assistant gave no answer to work beside; does `phi-ls ask` with its model give one?");
        }
        Ok(())
    }

    /// Asks once more when the last question is answered.
    fn keep_asking(&mut self) -> anyhow::Result<()> {
        self.client.listen(Instant::now())?;
        let Some(question) = self.question.as_ref().filter(|_| self.client.answers_done == self.questions_asked) else {
            return Ok(());
        };
        self.questions_asked += 1;
        let id = format!("question {}", self.questions_asked);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "workspace/executeCommand", "params": question});
        self.client.send(&message)
    }

    /// Waits for what is still under way, and counts.
    fn finish(mut self) -> anyhow::Result<Replayed> {
        for id in self.sent.keys().copied().collect::<Vec<_>>() {
            self.client.wait_for(id, PATIENCE)?;
        }
        let mut replayed = Replayed { answer_pieces: self.client.answer_pieces, ..Replayed::default() };
        for (id, sent) in &self.sent {
            let Some(answer) = self.client.answer(*id) else { continue };
            let took = answer.at.saturating_duration_since(*sent);
            let result = &answer.message["result"];
            let items = result.get("items").unwrap_or(result).as_array().map_or(0, Vec::len);
            match answer.message.get("error") {
                Some(_) => replayed.cancelled += 1,
                None if items > 0 => replayed.shown.push(took),
                None => replayed.empty.push(took),
            }
        }
        replayed.shown.sort();
        replayed.empty.sort();
        replayed.generations = std::mem::take(&mut self.generations.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(replayed)
    }
}

impl Replayed {
    fn prompt_tokens(&self) -> usize {
        self.generations.iter().map(|generation| generation.prompt_tokens).sum()
    }

    fn cached_tokens(&self) -> usize {
        self.generations.iter().map(|generation| generation.cached_tokens).sum()
    }

    fn to_json(&self) -> Value {
        let percentiles = |sorted: &[Duration]| {
            json!({
                "p50_ms": percentile(sorted, 50).map(millis),
                "p90_ms": percentile(sorted, 90).map(millis),
                "p99_ms": percentile(sorted, 99).map(millis),
            })
        };
        json!({
            "shown": self.shown.len(),
            "empty": self.empty.len(),
            "cancelled": self.cancelled,
            "latency": percentiles(&self.shown),
            "latency_of_empty": percentiles(&self.empty),
            "generations": self.generations.len(),
            "prompt_tokens": self.prompt_tokens(),
            "computed_prompt_tokens": self.prompt_tokens() - self.cached_tokens(),
            "answer_pieces": self.answer_pieces,
        })
    }

    fn print(&self, title: &str) {
        println!("{title}");
        println!(
            "  {} requests: {} with a completion, {} without, {} cancelled",
            self.shown.len() + self.empty.len() + self.cancelled,
            self.shown.len(),
            self.empty.len(),
            self.cancelled
        );
        for (name, sorted) in [("with", &self.shown), ("without", &self.empty)] {
            if let [Some(p50), Some(p90), Some(p99)] = [50, 90, 99].map(|percent| percentile(sorted, percent)) {
                println!(
                    "  latency {name:<8} median {:>7.1} ms, p90 {:>7.1} ms, p99 {:>7.1} ms",
                    millis(p50),
                    millis(p90),
                    millis(p99)
                );
            }
        }
        println!(
            "  {} generations, {} of {} prompt tokens computed, the others reused",
            self.generations.len(),
            self.prompt_tokens() - self.cached_tokens(),
            self.prompt_tokens()
        );
        if self.answer_pieces > 0 {
            println!("  meanwhile {} pieces of answers", self.answer_pieces);
        }
    }
}

/// The smallest value that at least `percent` of 100 values do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// How much longer an answered request took beside answers, shown or not.
fn slowdown(alone: &Replayed, during: &Replayed) -> Option<f64> {
    let median = |replayed: &Replayed| {
        let mut all = [replayed.shown.as_slice(), &replayed.empty].concat();
        all.sort();
        percentile(&all, 50)
    };
    Some(median(during)?.as_secs_f64() / median(alone)?.as_secs_f64().max(1e-9))
}

fn report(args: &ReplayArgs, alone: &Replayed, during: Option<&Replayed>) {
    let slowdown = during.and_then(|during| slowdown(alone, during));
    if args.json {
        let during = during.map(Replayed::to_json);
        println!("{}", json!({"alone": alone.to_json(), "during_answers": during, "slowdown": slowdown}));
        return;
    }
    alone.print(&args.trace.display().to_string());
    if let Some(during) = during {
        during.print("the same while the assistant answers");
        if let Some(slowdown) = slowdown {
            println!("  the median request takes {slowdown:.2} times as long");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occur() {
        let sorted: Vec<Duration> = (1..=10).map(Duration::from_millis).collect();
        let at = |percent| percentile(&sorted, percent).unwrap().as_millis();
        assert_eq!((at(1), at(50), at(90), at(99), at(100)), (1, 5, 9, 10, 10));
        assert_eq!(percentile(&[], 50), None);
    }
}
