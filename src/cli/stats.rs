//! `phi-ls stats`: what became of the completions on this machine.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::config::CompletionSettings;
use crate::features::inline_completion::{Origin, Thresholds};
use crate::hub::Alias;
use crate::statistics::{self, Latest, Record, Summary, summaries};

#[derive(Debug, clap::Args)]
pub(super) struct StatsArgs {
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Delete the statistics
    #[arg(long, conflicts_with = "json")]
    delete: bool,
}

/// Prints the statistics of this machine.
///
/// # Errors
/// If there is no folder for data, or the file cannot be read or removed.
pub(super) fn stats(args: &StatsArgs) -> anyhow::Result<()> {
    let Some(file) = statistics::file() else { bail!("expected a home folder, found none") };
    if args.delete {
        return statistics::delete(&file).with_context(|| format!("cannot delete {}", file.display()));
    }
    let records = statistics::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let (all, languages) = summaries(&records, |record| record.language.clone());
    let (_, models) = summaries(&records, |record| record.model.clone());
    let thresholds = thresholds(models.keys(), &records, &super::user_settings().completion);
    if args.json {
        let thresholds: BTreeMap<&String, Value> = thresholds.iter().map(|(name, row)| (name, to_json(row))).collect();
        println!(
            "{}",
            json!({"file": file, "all": all, "languages": languages, "models": models, "thresholds": thresholds})
        );
        return Ok(());
    }
    if records.is_empty() {
        println!("no completion has been shown yet; statistics are kept in {}", file.display());
        return Ok(());
    }
    println!("since {}, in {}", day(&records), file.display());
    print_table("", &BTreeMap::from([("all".to_owned(), all)]));
    print_table("language", &languages);
    print_table("model", &models);
    println!("\ncpu s: seconds of a processor that models take for an accepted character, and for an hour of typing");
    print_thresholds(&thresholds);
    Ok(())
}

/// The likelihood from which completions of each of `models` are shown by a server that starts now.
fn thresholds<'a>(
    models: impl Iterator<Item = &'a String>,
    records: &[Record],
    settings: &CompletionSettings,
) -> BTreeMap<String, Thresholds> {
    // Without statistics, the thresholds do not move.
    let records = if settings.statistics { records } else { &[] };
    let of = |model: &String| Thresholds::of(Alias::of_model(model), Latest::of(model, records).acceptance());
    models.map(|model| (model.clone(), of(model))).collect()
}

fn to_json(thresholds: &Thresholds) -> Value {
    let moved_by = match thresholds.origin {
        Origin::Moved(completions) => Some(completions),
        Origin::Fitted | Origin::General => None,
    };
    json!({"balanced": thresholds.balanced, "high": thresholds.high, "moved_by_completions": moved_by})
}

fn print_thresholds(thresholds: &BTreeMap<String, Thresholds>) {
    println!("\n{:24} {:>8} {:>8}", "threshold", "balanced", "high");
    for (model, Thresholds { balanced, high, origin }) in thresholds {
        let origin = match origin {
            Origin::Fitted => "fitted for this model".to_owned(),
            Origin::General => "as for any model, until more completions are accepted or dismissed".to_owned(),
            Origin::Moved(completions) => format!("adjusted to the latest {completions}"),
        };
        println!("{model:24} {balanced:8.2} {high:8.2}  {origin}");
    }
    println!("(the likelihood of being right that `completion.confidence` requires; `low` shows all)");
}

/// The age of the first record.
fn day(records: &[Record]) -> String {
    let first = records.iter().map(|record| record.at).min().unwrap_or_default();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    match now.saturating_sub(first) / 86_400 {
        0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        days => format!("{days} days ago"),
    }
}

fn print_table(title: &str, rows: &BTreeMap<String, Summary>) {
    println!(
        "\n{title:24} {:>7} {:>8} {:>6} {:>9} {:>7} {:>10} {:>9} {:>9} {:>18} {:>10} {:>10}",
        "shown",
        "accepted",
        "parts",
        "dismissed",
        "ignored",
        "characters",
        "kept 30 s",
        "kept 5 m",
        "ms p50/p90/p99",
        "cpu s/char",
        "cpu s/hour"
    );
    for (name, row) in rows {
        let share =
            |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", 100.0 * share));
        let seconds = |seconds: Option<f64>, digits: usize| {
            seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.digits$}"))
        };
        let latency = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
        let latencies = [row.latency_ms_p50, row.latency_ms_p90, row.latency_ms_p99].map(latency).join("/");
        println!(
            "{name:24} {:7} {:8} {:6} {:9} {:7} {:10} {:>9} {:>9} {latencies:>18} {:>10} {:>10}",
            row.shown,
            row.accepted,
            row.parts_accepted,
            row.dismissed,
            row.ignored,
            row.characters_accepted,
            share(row.kept_after_30_s),
            share(row.kept_after_5_min),
            seconds(row.processor_seconds_per_accepted_char, 3),
            seconds(row.processor_seconds_per_typing_hour, 0),
        );
    }
}
