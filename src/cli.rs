//! The command line: the only place that prints. Each command is a file of `cli/`.

mod advice;
mod ask;
mod bench;
mod complete;
mod completions;
mod doctor;
mod engine;
mod eval;
mod fits;
mod logits;
mod man;
mod models;
mod place;
mod pull;
mod replay;
mod serve;
mod stats;
mod tokenize;
mod try_out;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::builder::RangedU64ValueParser;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::{self, Backend, Machine, MemoryBudget, Role, Settings, Source};
use crate::engine::embedded;
use crate::hub::{Alias, HubError, ModelRef};
use crate::kernels::level::Level;
use crate::kernels::pool::ThreadPool;
use crate::model::{LoadOptions, LoadedModel};

/// Maximum width of the help, in columns.
const WIDTH: usize = 110;

// Doc comments below are what `--help` prints. The descriptions of the commands are here, in one place: a doc comment
// on a struct of flags would replace the description of every command with these flags.

/// A language server that completes code with Phi-3.5-mini and explains it with Phi-4-mini, on your own machine.
///
/// Without a command, it runs the language server on standard input and output: this is what editors start. Try it
/// without an editor: phi-ls try
#[derive(Parser)]
#[command(version, max_term_width = WIDTH)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
    /// Print more messages on standard error; give it twice for all of them. The variable PHI_LS_LOG takes finer
    /// filters
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Use no faster kernels than these: portable; avx2, avx-vnni or avx512 on x86-64; neon or i8mm on Arm
    #[arg(long, global = true, value_name = "LEVEL")]
    kernels: Option<Level>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the language server on standard input and output, the same as without a command
    Serve(serve::ServeArgs),
    /// Complete and explain a bundled sample; downloads a small model if none is installed
    Try(try_out::TryArgs),
    /// Complete the code at a position in a file
    Complete(complete::CompleteArgs),
    /// Explain, fix, refactor, document or test code in a file, or write a commit message
    Ask(ask::AskArgs),
    /// Download models; interrupted downloads continue, and every file is checked by SHA-256
    Pull(pull::PullArgs),
    /// List the installed models and whether each can be used
    Models(models::ModelsArgs),
    /// Show what this machine can run, what is installed and what is wrong
    Doctor(doctor::DoctorArgs),
    /// Show how many completions were shown, accepted and kept on this machine, and how fast they came
    Stats(stats::StatsArgs),
    /// Print a shell completion script
    Completions(completions::CompletionsArgs),
    /// Write the manual pages to a folder
    Man(man::ManArgs),
    /// Hold the models for all windows; the first language server that needs it starts it
    Engine(engine::EngineArgs),
    /// Measure loading, prefill and decode speed, and peak memory
    Bench(bench::BenchArgs),
    /// Replay editing sessions, and measure how long completions take, what is shown of them and what they cost
    Replay(replay::ReplayArgs),
    /// Cut holes in the files of a folder, have them completed, and compare with the original
    Eval(eval::EvalArgs),
    /// Print the token ids of standard input, to compare with another engine
    Tokenize(tokenize::TokenizeArgs),
    /// Print the logits after given token ids, to compare with another engine
    Logits(logits::LogitsArgs),
}

/// The commands for developing phi-ls; the help lists them separately.
const DEVELOPER_COMMANDS: &[&str] = &["bench", "replay", "eval", "tokenize", "logits"];

impl Cli {
    /// The arguments of this process, which ends if they are wrong, and after printing help.
    fn read() -> Self {
        let matches = command().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Refuses the server's flags before another command, where they would have no effect. clap's own
    /// `args_conflicts_with_subcommands` would refuse the global ones too.
    fn check(&self) -> Result<(), clap::Error> {
        if self.command.is_none() || self.serve == serve::ServeArgs::default() {
            return Ok(());
        }
        let message = "expected the language server's flags after `serve` or without a command, found them before another command";
        Err(command().error(clap::error::ErrorKind::ArgumentConflict, message))
    }
}

/// The command line, with the developer commands in a separate group of the help.
fn command() -> clap::Command {
    let command = Cli::command();
    let (developers, others) = (listing(&command, true), listing(&command, false));
    let heading = *command.get_styles().get_header();
    command.help_template(format!(
        "{{before-help}}{{about-with-newline}}\n{{usage-heading}} \
         {{usage}}\n\n{heading}Commands:{heading:#}\n{others}\n\n{heading}Developer \
         commands:{heading:#}\n{developers}\n\n{heading}Options:{heading:#}\n{{options}}{{after-help}}\n\n`phi-ls \
         COMMAND --help` says more about a command."
    ))
}

/// The lines of the help for one of the two groups of commands, since clap can only list all of them together.
fn listing(command: &clap::Command, for_developers: bool) -> String {
    let belongs = |name: &str| DEVELOPER_COMMANDS.contains(&name) == for_developers;
    let commands = command.get_subcommands().filter(|command| belongs(command.get_name())).cloned();
    let mut group = clap::Command::new("phi-ls").disable_help_subcommand(true).disable_help_flag(true);
    group = group.help_template("{subcommands}").max_term_width(WIDTH).subcommands(commands);
    group.render_help().ansi().to_string().trim_end().to_owned()
}

/// Runs the command in `std::env::args`. An error is one line on standard error.
pub fn main() -> ExitCode {
    let cli = Cli::read();
    if let Err(error) = cli.check() {
        error.exit();
    }
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
        Some(Command::Stats(args)) => stats::stats(&args),
        Some(Command::Bench(args)) => bench::bench(&args),
        Some(Command::Replay(args)) => replay::replay(&args),
        Some(Command::Eval(args)) => eval::eval(&args),
        Some(Command::Tokenize(args)) => tokenize::tokenize(&args),
        Some(Command::Logits(args)) => logits::logits(&args),
        Some(Command::Engine(args)) => engine::engine(&args),
        Some(Command::Completions(args)) => completions::completions(&args),
        Some(Command::Man(args)) => man::man(&args),
    }
}

/// `phi-ls models | head` closes the pipe early, which `println!` takes for a bug, but is fine; `2>&1 | head` does it to
/// `eprintln!`, too.
fn end_quietly_on_a_closed_pipe() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if ["stdout", "stderr"].iter().any(|stream| message.starts_with(&format!("failed printing to {stream}"))) {
            std::process::exit(0);
        }
        report(panic);
    }));
}

/// Logs go to standard error, because standard output is for the protocol.
fn start_log(verbose: u8) {
    let level = ["warn", "phi_ls=info", "phi_ls=debug"][usize::from(verbose.min(2))];
    let filter = tracing_subscriber::EnvFilter::try_from_env("PHI_LS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

// The options that most commands share: which model, on how many threads.
#[derive(clap::Args)]
struct ModelArgs {
    /// The model: a path to a .gguf file, a short name such as phi-3.5-mini or starter, or hf:OWNER/REPO/FILE; by
    /// default the best one installed
    #[arg(long)]
    model: Option<String>,
    /// Number of threads to compute with; 0 uses one per physical core
    #[arg(long, default_value_t = 0, value_parser = threads_parser())]
    threads: usize,
}

/// Accepts the same range as the setting `threads`.
fn threads_parser() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(0..=config::MAX_THREADS)
}

impl ModelArgs {
    /// The model that was asked for, or else the best one installed.
    fn reference(&self) -> anyhow::Result<ModelRef> {
        match &self.model {
            Some(text) => Ok(text.parse()?),
            None => best_installed().context("no model is installed; run: phi-ls pull starter"),
        }
    }

    /// Like [`ModelArgs::reference`], but the models that the settings name for `roles`, in this order, come before the
    /// best one installed. If a default model is not installed, it is skipped with a message; a model that the person
    /// chose has to be installed.
    fn reference_for(&self, roles: &[Role], settings: &Settings) -> anyhow::Result<ModelRef> {
        if self.model.is_some() {
            return self.reference();
        }
        let defaults = Settings::default();
        let mut passed_over = None;
        let mut chosen = None;
        for role in roles {
            let (key, name) = model_of(*role, settings);
            match installed(name) {
                Ok(reference) => {
                    chosen = Some(reference);
                    break;
                }
                Err(error) if name != model_of(*role, &defaults).1 => {
                    return Err(anyhow::Error::new(error).context(format!("the setting `{key}`")));
                }
                Err(error) => drop(passed_over.get_or_insert(error)),
            }
        }
        let reference = chosen.map_or_else(|| self.reference(), Ok)?;
        if let Some(error) = passed_over {
            eprintln!("phi-ls: {error}; using {reference} instead");
        }
        Ok(reference)
    }

    /// The settings of `config.toml` and these flags, as the server would use them. Prints which settings are ignored.
    fn settings(&self) -> Settings {
        let mut settings = user_settings();
        // If a model is named, it is used instead of a server.
        if self.model.is_some() {
            settings.completion.backend = Backend::Embedded;
            settings.assistant.backend = Backend::Embedded;
        }
        if self.threads > 0 {
            settings.threads = self.threads;
        }
        settings
    }

    fn load_options(&self) -> LoadOptions {
        load_options(self.threads)
    }

    /// Loads the model, with a progress bar on a terminal.
    fn load(&self) -> anyhow::Result<LoadedModel> {
        let path: PathBuf = self.reference()?.resolve()?;
        let bar = loading_bar();
        let loaded = embedded::load::load(&path, &self.load_options(), &mut |fraction| {
            bar.set_position((fraction * 1000.0) as u64);
        });
        bar.finish_and_clear();
        Ok(loaded?)
    }
}

/// The key of the setting that names the model of `role`, and its value.
fn model_of(role: Role, settings: &Settings) -> (&'static str, &str) {
    match role {
        Role::Completion => ("completion.model", &settings.completion.model),
        Role::Assistant => ("assistant.model", &settings.assistant.model),
    }
}

/// The model called `name`, if it is installed.
fn installed(name: &str) -> Result<ModelRef, HubError> {
    let reference: ModelRef = name.parse()?;
    reference.resolve()?;
    Ok(reference)
}

/// The installed model that completes best.
fn best_installed() -> Option<ModelRef> {
    Alias::ALL.into_iter().map(ModelRef::Alias).find(|reference| reference.resolve().is_ok())
}

/// The settings of `config.toml`. Prints on standard error which ones are ignored.
fn user_settings() -> Settings {
    let (layer, mut problems) = config::default_file().as_deref().map(config::read_file).unwrap_or_default();
    let (settings, found) = Settings::from_layers(&[(Source::File, layer)]);
    problems.extend(found);
    problems.iter().for_each(|problem| eprintln!("phi-ls: {problem}"));
    settings
}

/// How models are loaded on `threads` threads; 0 means as many as the machine has physical cores.
fn load_options(threads: usize) -> LoadOptions {
    load_options_of(&Settings { threads, ..Settings::default() })
}

/// How models are loaded with these settings.
fn load_options_of(settings: &Settings) -> LoadOptions {
    let threads = settings.thread_count(&Machine::read());
    LoadOptions { pool: Arc::new(ThreadPool::new(threads)), kv_type: settings.kv_cache_type.into() }
}

/// Bytes of keys and values that `model` may use in `role`, alone on this machine. If it is too large for the memory
/// that it may use, prints a message, but the command continues.
fn kv_budget_bytes(model: &ModelRef, role: Role, settings: &Settings) -> usize {
    // Nothing is known about a model that is not installed, and loading it fails.
    let needs = embedded::load::needs_of(&model.to_string(), role, settings).unwrap_or_default();
    let budget = MemoryBudget::new(settings, &Machine::read());
    if let Some(excess) = budget.excess(&model.to_string(), needs) {
        eprintln!("phi-ls: {excess}");
    }
    usize::try_from(budget.kv_bytes(needs, None)).unwrap_or(usize::MAX)
}

/// The smallest value that at least `percent` per cent of the values do not exceed.
fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Milliseconds rounded to a tenth, as in the output of `--json`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_flags_do_not_stand_before_a_command() {
        let check = |line: &str, expected: bool| {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.check().is_ok(), expected, "{line}");
        };
        check("phi-ls --completion-model starter", true);
        check("phi-ls serve --completion-model starter", true);
        check("phi-ls -v --kernels portable models", true);
        check("phi-ls --completion-model starter models", false);
        check("phi-ls --threads 2 serve", false);
    }

    #[test]
    fn every_developer_command_exists() {
        let command = Cli::command();
        for name in DEVELOPER_COMMANDS {
            assert!(command.find_subcommand(name).is_some(), "{name}");
        }
    }

    #[test]
    fn help_names_every_level_of_kernels() {
        let help = command().render_help().to_string();
        let help: Vec<&str> = help.split_whitespace().map(|word| word.trim_matches([',', ';', ':'])).collect();
        for level in Level::names() {
            assert!(help.contains(&level), "{level}");
        }
    }
}
