//! Measures llama.cpp, ik_llama.cpp (if its library is given) and phi-ls on the same model file with the same threads,
//! in turn, one process after another. The result is a table and a plot of it.
//!
//! ```text
//! cargo run --release -- MODEL.gguf ... [--threads 2] [--rounds 5] [--ik libllama.so] [--plot FILE.svg] [--json FILE]
//! ```
//!
//! In each round, llama.cpp runs twice, with and without its own repacking of weights; each row of the table uses the
//! better of the two medians. Environment variables control how llama.cpp is compiled, for example `GGML_AVX2=ON
//! GGML_FMA=ON GGML_F16C=ON GGML_BMI2=ON`; `--kernels avx2` limits phi-ls to the same instructions.

mod ik;
mod llama;
mod measure;
mod peer;
mod phi;
mod plot;
mod processor;
mod sequences;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use phi_ls::kernels::level::Level;

use measure::Outcome;
use sequences::Sequenced;
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
    /// Measure ik_llama.cpp too, with this shared library: `ik_llama_cpp/lib/libllama.so` of the package
    /// ik-llama-cpp-python 0.1.5 on PyPI
    #[arg(long)]
    ik: Option<PathBuf>,
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
        let outcome = measure_here(&args, side, &args.models[0])?;
        println!("{}", serde_json::to_string(&outcome)?);
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
    for model in &args.models {
        let table = rounds(&args, model)?;
        println!("\n{}", table.markdown());
        tables.push(table);
        // Written after each model, because a run takes long and may be ended early.
        if let Some(path) = &args.json {
            std::fs::write(path, serde_json::to_string_pretty(&tables)?).context("cannot write the measurements")?;
        }
    }
    if let Some(path) = &args.plot {
        std::fs::write(path, plot::svg(&tables)).context("cannot write the picture")?;
    }
    Ok(())
}

/// Measures each side in turn, `args.rounds` times.
fn rounds(args: &Args, model: &Path) -> anyhow::Result<ModelTable> {
    let name = model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut table = ModelTable::new(name, processor::name(), args.threads);
    let mut sides = Side::ALL.to_vec();
    sides.retain(|side| *side != Side::Ik || args.ik.is_some());
    for round in 1..=args.rounds {
        for side in sides.clone() {
            eprintln!("{}: round {round} of {}, {}", table.model, args.rounds, side.name());
            let outcome = measure_in_a_process(args, side, model)?;
            if let Outcome::DoesNotLoad(error) = &outcome {
                ensure!(side == Side::Ik, "{}: {error}", side.name());
                // It will not load in the next round either.
                sides.retain(|other| *other != side);
            }
            table.add(side, outcome);
        }
    }
    Ok(table)
}

/// Each run is a process of its own, so that the peak memory is that of one side, and no caches are warm.
fn measure_in_a_process(args: &Args, side: Side, model: &Path) -> anyhow::Result<Outcome> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--side").arg(side.name()).arg("--threads").arg(args.threads.to_string()).arg(model);
    if args.short {
        command.arg("--short");
    }
    if let Some(library) = &args.ik {
        command.arg("--ik").arg(library);
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

fn measure_here(args: &Args, side: Side, model: &Path) -> anyhow::Result<Outcome> {
    if let Some(level) = &args.kernels {
        level.parse::<Level>().and_then(Level::use_at_most).map_err(anyhow::Error::msg)?;
    }
    let (threads, short) = (args.threads, args.short);
    let llama = |repack| llama::Llama::load(model, threads, repack).map(Sequenced::new);
    match side {
        Side::Llama => measure::measure(|| llama(false), model, short),
        Side::LlamaRepack => measure::measure(|| llama(true), model, short),
        Side::Ik => {
            let library = ik::IkLibrary::open(args.ik.as_deref().context("expected `--ik`")?)?;
            measure::measure(|| ik::Ik::load(library, model, threads).map(Sequenced::new), model, short)
        }
        Side::PhiLs => measure::measure(|| phi::PhiLs::load(model, threads), model, short),
    }
}
