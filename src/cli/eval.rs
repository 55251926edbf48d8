//! `phi-ls eval`: holes cut in real files, completed, and compared with what stood there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::ModelArgs;
use super::complete::{complete_with, options_for, start_engine};
use super::place::read_snapshot;
use crate::config::Settings;
use crate::context::Snapshot;
use crate::engine::Engine;
use crate::features::inline_completion::Trigger;
use crate::prompt::Layout;
use crate::syntax::{Language, Parsed};
use crate::text::Rope;

/// Files beyond this are rarely written by hand.
const LARGEST_FILE: u64 = 200 << 10;

/// A hole is worth cutting where at least this much stands on the line, and this much of it is removed.
const SHORTEST_LINE: usize = 12;
const SHORTEST_HOLE: usize = 4;

#[derive(clap::Args)]
pub(super) struct EvalArgs {
    /// A folder of source files
    folder: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Holes to cut
    #[arg(long, default_value_t = 100)]
    holes: usize,
    /// Which holes: the same seed cuts the same ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How to ask: as suits the model, by a chat turn, by its tokens to fill in the middle, or plainly with the file up to the cursor
    #[arg(long, value_parser = ["auto", "chat", "fim", "plain"], default_value = "auto")]
    layout: String,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// A file with the rest of one line removed.
struct Hole {
    snapshot: Snapshot,
    offset: usize,
    removed: String,
}

/// What became of one hole.
struct Outcome {
    shown: bool,
    exact: bool,
    /// 0 to 1, by characters; 0 where nothing was shown.
    similarity: f32,
    /// With the completion the file has no more syntax errors than it had whole.
    parses: bool,
    latency: Duration,
}

pub(super) fn eval(args: &EvalArgs) -> anyhow::Result<()> {
    let files = source_files(&args.folder)?;
    let engine = start_engine(&args.model)?;
    let layout = match args.layout.as_str() {
        "chat" => Layout::Chat,
        "fim" => Layout::Fim,
        "plain" => Layout::Plain,
        _ => Layout::Auto,
    };
    let mut random = Random(args.seed);
    let mut outcomes = Vec::new();
    // Files without a line to cut are passed over; a folder full of them ends the search.
    for _ in 0..args.holes * 20 {
        if outcomes.len() == args.holes {
            break;
        }
        let file = &files[random.below(files.len())];
        if let Some(hole) = cut(file, &mut random) {
            outcomes.extend(fill(&engine, &hole, layout)?);
        }
    }
    if outcomes.is_empty() {
        bail!("{}: expected source files with lines of at least {SHORTEST_LINE} characters", args.folder.display());
    }
    report(args, &outcomes);
    Ok(())
}

/// Source files of languages with a grammar, in a fixed order.
fn source_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let is_source = |path: &PathBuf| {
        crate::syntax::language_for("", Some(path)).is_some_and(Language::has_grammar)
            && path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST_FILE)
    };
    let entries = ignore::WalkBuilder::new(folder).sort_by_file_path(Path::cmp).build().flatten();
    let files: Vec<PathBuf> = entries.map(ignore::DirEntry::into_path).filter(is_source).collect();
    if files.is_empty() {
        bail!("{} has no source file of a language phi-ls has a grammar for", folder.display());
    }
    Ok(files)
}

/// Removes the rest of some line of the file from some place in it; `None` where the line is too short.
fn cut(file: &Path, random: &mut Random) -> Option<Hole> {
    let mut snapshot = read_snapshot(file).ok()?;
    let text = snapshot.text.to_string();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let index = random.below(lines.len());
    let line = lines[index].trim_end();
    let code = line.trim_start();
    if code.len() < SHORTEST_LINE || ["//", "#", "*", "/*"].iter().any(|mark| code.starts_with(mark)) {
        return None;
    }
    let first = line.len() - code.len() + 1;
    let column = first + random.below(line.len().checked_sub(first + SHORTEST_HOLE)?.max(1));
    let offset = lines[..index].iter().map(|line| line.len()).sum::<usize>() + column;
    if !line.is_char_boundary(column) {
        return None;
    }
    let removed = line[column..].to_owned();
    snapshot.text = Rope::from_str(&format!("{}{}", &text[..offset], &text[offset + removed.len()..]));
    snapshot.parsed = snapshot.language.and_then(|language| Parsed::parse(language, &snapshot.text));
    Some(Hole { snapshot, offset, removed })
}

/// Completes the hole; `None` where nothing would be asked.
fn fill(engine: &Engine, hole: &Hole, layout: Layout) -> anyhow::Result<Option<Outcome>> {
    let mut options = options_for(&hole.snapshot, &Settings::default());
    options.layout = layout;
    let Ok(completed) = complete_with(engine, &hole.snapshot, hole.offset, Trigger::Automatic, &options) else {
        return Ok(None);
    };
    let text = completed.item.as_ref().map_or("", |item| item.insert_text.as_str());
    let first_line = text.lines().next().unwrap_or_default().trim_end();
    let whole = hole
        .snapshot
        .parsed
        .as_ref()
        .and_then(|parsed| parsed.with_replacement(hole.offset..hole.offset, &hole.removed));
    let filled =
        hole.snapshot.parsed.as_ref().and_then(|parsed| parsed.with_replacement(hole.offset..hole.offset, text));
    Ok(Some(Outcome {
        shown: completed.item.is_some(),
        exact: first_line == hole.removed,
        similarity: similar::TextDiff::from_chars(first_line, &hole.removed).ratio(),
        parses: matches!((whole, filled), (Some(whole), Some(filled)) if !filled.has_new_errors(&whole)),
        latency: completed.generation.total,
    }))
}

fn report(args: &EvalArgs, outcomes: &[Outcome]) {
    let holes = outcomes.len();
    let count = |is: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
    let (shown, exact, parses) = (
        count(|outcome| outcome.shown),
        count(|outcome| outcome.exact),
        count(|outcome| outcome.shown && outcome.parses),
    );
    let similarity = outcomes.iter().map(|outcome| outcome.similarity).sum::<f32>() / holes as f32;
    let mut latencies: Vec<u64> = outcomes.iter().map(|outcome| outcome.latency.as_millis() as u64).collect();
    latencies.sort_unstable();
    let (median, slow) = (latencies[holes / 2], latencies[holes * 95 / 100]);
    if args.json {
        let report = serde_json::json!({
            "holes": holes, "shown": shown, "exact": exact, "similarity": similarity, "parses": parses,
            "latency_ms_p50": median, "latency_ms_p95": slow, "layout": args.layout, "seed": args.seed,
        });
        println!("{report}");
        return;
    }
    println!("{holes} holes (the rest of a line), layout {}, seed {}", args.layout, args.seed);
    println!("  shown             {shown:>5}");
    println!("  exactly right     {exact:>5}");
    println!("  parses, of shown  {parses:>5}");
    println!("  similarity        {similarity:>8.2}");
    println!("  latency p50, p95  {median:>5} ms, {slow} ms");
}

/// SplitMix64: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }
}
