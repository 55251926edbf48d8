//! llama.cpp and phi-ls on the same model file with the same threads, in turn, one process after another: one table,
//! and one picture of it.
//!
//! ```text
//! cargo run --release -- MODEL.gguf ... [--threads 2] [--rounds 5] [--plot FILE.svg] [--json FILE]
//! ```
//!
//! In each round llama.cpp runs twice, with and without its own repacking of weights; a row counts the better of the
//! two medians. How llama.cpp is compiled is said by variables that its build reads, for example
//! `GGML_AVX2=ON GGML_FMA=ON GGML_F16C=ON GGML_BMI2=ON`; phi-ls is held to the same instructions with `--kernels avx2`.

mod llama;
mod measure;
mod peer;
mod phi;
mod plot;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use clap::Parser;
use phi_ls::kernels::level::Level;

use measure::Measured;
use table::{ModelTable, Side};

#[derive(Parser)]
struct Args {
    /// GGUF files to measure
    #[arg(required_unless_present = "from")]
    models: Vec<PathBuf>,
    /// Show what earlier runs wrote with `--json` instead
    #[arg(long, num_args = 1.., conflicts_with = "models")]
    from: Vec<PathBuf>,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Times each side runs, in turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Hold phi-ls to slower kernels than the processor allows, as the option of the same name of phi-ls does
    #[arg(long)]
    kernels: Option<String>,
    /// Only prefill of 128 tokens and decode at context 16
    #[arg(long)]
    short: bool,
    /// Write the picture here
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Write every measurement here
    #[arg(long)]
    json: Option<PathBuf>,
    /// Measure one side once, in this process, and print it as JSON
    #[arg(long, hide = true)]
    side: Option<Side>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(side) = args.side {
        let measured = measure_here(&args, side, &args.models[0])?;
        println!("{}", serde_json::to_string(&measured)?);
        return Ok(());
    }
    if args.rounds == 0 || args.threads == 0 {
        bail!("expected at least one round and one thread");
    }
    let mut tables = Vec::new();
    for path in &args.from {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let earlier: Vec<ModelTable> = serde_json::from_str(&text).context("expected what `--json` writes")?;
        tables.extend(earlier);
    }
    tables.iter().for_each(|table| println!("\n{}", table.markdown()));
    for (index, model) in args.models.iter().enumerate() {
        if index == 0 {
            println!("{}", llama::system_info());
        }
        let table = rounds(&args, model)?;
        println!("\n{}", table.markdown());
        tables.push(table);
        // After each model: a run takes long, and may be ended early.
        if let Some(path) = &args.json {
            std::fs::write(path, serde_json::to_string_pretty(&tables)?).context("cannot write the measurements")?;
        }
    }
    if let Some(path) = &args.plot {
        std::fs::write(path, plot::svg(&tables)).context("cannot write the picture")?;
    }
    Ok(())
}

/// Each side in turn, `args.rounds` times.
fn rounds(args: &Args, model: &Path) -> anyhow::Result<ModelTable> {
    let name = model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut table = ModelTable::new(name, args.threads);
    for round in 1..=args.rounds {
        for side in Side::ALL {
            eprintln!("{}: round {round} of {}, {}", table.model, args.rounds, side.name());
            table.add(side, measure_in_a_process(args, side, model)?);
        }
    }
    Ok(table)
}

/// A process of its own for each run: peak memory is that of one side, and nothing is warm that should not be.
fn measure_in_a_process(args: &Args, side: Side, model: &Path) -> anyhow::Result<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--side").arg(side.name()).arg("--threads").arg(args.threads.to_string()).arg(model);
    if args.short {
        command.arg("--short");
    }
    if let Some(level) = &args.kernels {
        command.arg("--kernels").arg(level);
    }
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("{} ended with {}", side.name(), output.status);
    }
    serde_json::from_slice(&output.stdout).context("expected measurements as JSON")
}

fn measure_here(args: &Args, side: Side, model: &Path) -> anyhow::Result<Measured> {
    if let Some(level) = &args.kernels {
        level.parse::<Level>().and_then(Level::use_at_most).map_err(anyhow::Error::msg)?;
    }
    match side {
        Side::Llama => measure::measure(|| llama::Llama::load(model, args.threads, false), model, args.short),
        Side::LlamaRepack => measure::measure(|| llama::Llama::load(model, args.threads, true), model, args.short),
        Side::PhiLs => measure::measure(|| phi::PhiLs::load(model, args.threads), model, args.short),
    }
}
