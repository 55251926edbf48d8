//! The command line: the only place that prints. Each command is a file of `cli/`.

mod ask;
mod bench;
mod complete;
mod doctor;
mod eval;
mod logits;
mod models;
mod place;
mod pull;
mod replay;
mod serve;
mod tokenize;
mod try_out;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::config::{self, Machine, MemoryBudget, Role, Settings, Source};
use crate::engine;
use crate::hub::{Alias, ModelRef};
use crate::kernels::level::Level;
use crate::kernels::pool::ThreadPool;
use crate::model::{LoadOptions, LoadedModel};

// Doc comments below are what `--help` prints. Those of the commands stand here, in one place: one on a struct of flags would
// take the place of the description of every command that has these flags.

/// A language server that completes code with Phi-3.5-mini and explains it with Phi-4-mini, on your own machine.
///
/// Without a command it is the language server on standard input and output, which is what editors start.
/// Try it without an editor: phi-ls try
#[derive(Parser)]
#[command(version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
    /// Say more on standard error; twice for everything. The variable PHI_LS_LOG takes finer filters
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Compute with slower kernels than the processor allows: portable; avx2 or avx512 on x86-64; neon or
    /// i8mm on Arm
    #[arg(long, global = true, value_name = "LEVEL")]
    kernels: Option<Level>,
}

#[derive(Subcommand)]
enum Command {
    /// Be the language server on standard input and output (the same as without a command)
    Serve(serve::ServeArgs),
    /// Complete and explain a bundled sample, with whatever model is installed; the starter is fetched where none is
    Try(try_out::TryArgs),
    /// Complete the code at a place in a file, once
    Complete(complete::CompleteArgs),
    /// Explain, fix, refactor, document or test the code at a place in a file
    Ask(ask::AskArgs),
    /// Download models, with resume and checksum
    Pull(pull::PullArgs),
    /// List the installed models and the checks they pass
    Models(models::ModelsArgs),
    /// Show what this machine can run, what is installed and what is wrong
    Doctor(doctor::DoctorArgs),
    /// Measure loading, prefill and decode speed, and peak memory
    Bench(bench::BenchArgs),
    /// Replay a recorded editing session: latencies of completions, tokens computed
    Replay(replay::ReplayArgs),
    /// Cut holes in the files of a folder, complete them, and compare
    Eval(eval::EvalArgs),
    /// Token ids of standard input, to compare with another engine
    Tokenize(tokenize::TokenizeArgs),
    /// Logits after given token ids, to compare with another engine
    Logits(logits::LogitsArgs),
}

/// Runs the command of `std::env::args`; an error is one line on standard error.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    end_quietly_on_a_closed_pipe();
    start_log(cli.verbose);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("phi-ls: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    if let Some(level) = cli.kernels {
        level.use_at_most().map_err(anyhow::Error::msg)?;
    }
    match cli.command {
        None => serve::serve(&cli.serve),
        Some(Command::Serve(args)) => serve::serve(&args),
        Some(Command::Try(args)) => try_out::try_out(&args),
        Some(Command::Complete(args)) => complete::complete(&args),
        Some(Command::Ask(args)) => ask::ask(&args),
        Some(Command::Pull(args)) => pull::pull(&args),
        Some(Command::Models(args)) => models::models(&args),
        Some(Command::Doctor(args)) => doctor::doctor(&args),
        Some(Command::Bench(args)) => bench::bench(&args),
        Some(Command::Replay(args)) => replay::replay(&args),
        Some(Command::Eval(args)) => eval::eval(&args),
        Some(Command::Tokenize(args)) => tokenize::tokenize(&args),
        Some(Command::Logits(args)) => logits::logits(&args),
    }
}

/// `phi-ls models | head` closes the pipe early, which `println!` takes for a bug; it is the reader's right.
fn end_quietly_on_a_closed_pipe() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if message.starts_with("failed printing to stdout") {
            std::process::exit(0);
        }
        report(panic);
    }));
}

/// Logs go to standard error: standard output is the protocol.
fn start_log(verbose: u8) {
    let level = ["warn", "phi_ls=info", "phi_ls=debug"][usize::from(verbose.min(2))];
    let filter = tracing_subscriber::EnvFilter::try_from_env("PHI_LS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

// Which model, on how many threads: the options that most commands share.
#[derive(clap::Args)]
struct ModelArgs {
    /// A path to a .gguf, a name (phi-3.5-mini, phi-4-mini, starter), or hf:OWNER/REPO/FILE; the best one installed where
    /// none is named
    #[arg(long)]
    model: Option<String>,
    /// Threads to compute with; 0 is as many as the machine has physical cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

impl ModelArgs {
    /// The model asked for; else the best one installed.
    fn reference(&self) -> anyhow::Result<ModelRef> {
        match &self.model {
            Some(text) => Ok(text.parse()?),
            None => best_installed().context("no model is installed; run: phi-ls pull starter"),
        }
    }

    /// As [`ModelArgs::reference`], but one of `wanted`, which the settings name, comes before the best installed.
    fn reference_or(&self, wanted: &[&str]) -> anyhow::Result<ModelRef> {
        let is_installed = |reference: &ModelRef| reference.resolve().is_ok();
        let named = || wanted.iter().filter_map(|name| name.parse().ok()).find(is_installed);
        match self.model.is_none().then(named).flatten() {
            Some(reference) => Ok(reference),
            None => self.reference(),
        }
    }

    /// The settings of `config.toml` with what these flags say, as the server has them; what in them is not used is
    /// said.
    fn settings(&self) -> Settings {
        let mut settings = user_settings();
        if self.threads > 0 {
            settings.threads = self.threads;
        }
        settings
    }

    fn load_options(&self) -> LoadOptions {
        load_options(self.threads)
    }

    /// Loads the model, with a progress bar where a person watches.
    fn load(&self) -> anyhow::Result<LoadedModel> {
        let path: PathBuf = self.reference()?.resolve()?;
        let bar = loading_bar();
        let loaded = engine::load::load(&path, &self.load_options(), &mut |fraction| {
            bar.set_position((fraction * 1000.0) as u64);
        });
        bar.finish_and_clear();
        Ok(loaded?)
    }
}

/// The installed model that completes best.
fn best_installed() -> Option<ModelRef> {
    Alias::ALL.into_iter().map(ModelRef::Alias).find(|reference| reference.resolve().is_ok())
}

/// The settings of `config.toml`; what in them is not used is said on standard error.
fn user_settings() -> Settings {
    let (layer, mut problems) = config::default_file().as_deref().map(config::read_file).unwrap_or_default();
    let (settings, found) = Settings::from_layers(&[(Source::File, layer)]);
    problems.extend(found);
    problems.iter().for_each(|problem| eprintln!("phi-ls: {problem}"));
    settings
}

/// How models are loaded on `threads` threads, 0 being as many as the machine has physical cores.
fn load_options(threads: usize) -> LoadOptions {
    load_options_of(&Settings { threads, ..Settings::default() })
}

/// How the settings want models loaded.
fn load_options_of(settings: &Settings) -> LoadOptions {
    let threads = settings.thread_count(&Machine::read());
    LoadOptions { pool: Arc::new(ThreadPool::new(threads)), kv_type: settings.kv_cache_type.into() }
}

/// Bytes of keys and values that `model` may hold, alone on this machine.
fn kv_budget_bytes(model: &ModelRef, settings: &Settings) -> usize {
    // Of a model that is not installed nothing is known; loading it fails.
    let needs = engine::load::needs(&model.to_string(), Role::Completion, settings).unwrap_or_default();
    let budget = MemoryBudget::new(settings, &Machine::read());
    usize::try_from(budget.kv_bytes(needs, None)).unwrap_or(usize::MAX)
}

/// Milliseconds to a tenth, as `--json` gives times.
fn millis(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

/// A bar from 0 to 1000, shown only on a terminal.
fn loading_bar() -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(1000);
    let style = indicatif::ProgressStyle::with_template("loading the model {wide_bar} {percent:>3} %");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}
