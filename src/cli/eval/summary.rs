//! The figures of outcomes: for each kind of hole, for each language, and for all.

use serde::{Deserialize, Serialize};

use super::hole::Kind;
use super::outcome::Outcome;

/// The summary of one group of outcomes. Shares are shares of all holes unless stated otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Summary {
    pub(super) group: String,
    pub(super) holes: usize,
    pub(super) exact: f64,
    pub(super) first_name: f64,
    pub(super) similarity: f64,
    pub(super) shown: f64,
    /// The share of shown completions that are exact, and the share that parse; 0 if nothing is shown.
    pub(super) precision: f64,
    pub(super) parses: f64,
    /// The mean over the holes at which the model was asked.
    pub(super) prompt_tokens: f64,
    pub(super) latency_ms_p50: f64,
    pub(super) latency_ms_p95: f64,
}

impl Summary {
    fn of(group: &str, outcomes: &[&Outcome]) -> Self {
        let prompts: Vec<f64> = outcomes.iter().filter_map(|it| it.prompt_tokens).map(|tokens| tokens as f64).collect();
        let mut latencies: Vec<f64> = outcomes.iter().map(|outcome| outcome.latency_ms).collect();
        latencies.sort_by(f64::total_cmp);
        let shown: Vec<&Outcome> = outcomes.iter().copied().filter(|outcome| outcome.shown).collect();
        let share = |of: &[&Outcome], is: fn(&Outcome) -> bool| mean(of.iter().map(|it| f64::from(u8::from(is(it)))));
        Self {
            group: group.to_owned(),
            holes: outcomes.len(),
            exact: share(outcomes, |outcome| outcome.exact),
            first_name: share(outcomes, |outcome| outcome.first_name),
            similarity: mean(outcomes.iter().map(|outcome| outcome.similarity)),
            shown: share(outcomes, |outcome| outcome.shown),
            precision: share(&shown, |outcome| outcome.exact),
            parses: share(&shown, |outcome| outcome.parses),
            prompt_tokens: mean(prompts.into_iter()),
            latency_ms_p50: percentile(&latencies, 50),
            latency_ms_p95: percentile(&latencies, 95),
        }
    }
}

/// The summaries of the groups that have outcomes: each kind, all ordinary kinds together, each language, and all.
pub(super) fn summaries(outcomes: &[Outcome]) -> Vec<Summary> {
    let all: Vec<&Outcome> = outcomes.iter().collect();
    let those = |is: &dyn Fn(&Outcome) -> bool| all.iter().copied().filter(|outcome| is(outcome)).collect::<Vec<_>>();
    let mut groups: Vec<(String, Vec<&Outcome>)> = Vec::new();
    for kind in <Kind as clap::ValueEnum>::value_variants() {
        groups.push((kind.to_string(), those(&|outcome| outcome.kind == *kind)));
    }
    groups.push(("ordinary".to_owned(), those(&|outcome| outcome.kind.is_ordinary())));
    for (name, imported) in [("cross-file, imported", true), ("cross-file, unseen", false)] {
        groups.push((name.to_owned(), those(&|outcome| outcome.imported == Some(imported))));
    }
    let mut languages: Vec<&str> = outcomes.iter().map(|outcome| outcome.language.as_str()).collect();
    languages.sort_unstable();
    languages.dedup();
    for language in languages {
        groups.push((language.to_owned(), those(&|outcome| outcome.language == language)));
    }
    groups.push(("all".to_owned(), all.clone()));
    groups.retain(|(_, outcomes)| !outcomes.is_empty());
    groups.iter().map(|(name, outcomes)| Summary::of(name, outcomes)).collect()
}

/// The summary of all outcomes.
pub(super) fn summary_of_all(outcomes: &[Outcome]) -> Summary {
    Summary::of("all", &outcomes.iter().collect::<Vec<_>>())
}

pub(super) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len();
    if count == 0 { 0.0 } else { values.sum::<f64>() / count as f64 }
}

/// The smallest value that at least `percent` per cent of the values do not exceed; 0 if there are none.
pub(super) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// The summaries as a table for a terminal.
pub(super) fn table(summaries: &[Summary]) -> String {
    let mut lines = vec![format!(
        "{:<22}{:>6}{:>8}{:>8}{:>8}{:>8}{:>11}{:>8}{:>8}{:>9}{:>9}",
        "", "holes", "exact", "name", "alike", "shown", "precision", "parses", "prompt", "p50 ms", "p95 ms"
    )];
    for row in summaries {
        lines.push(format!(
            "{:<22}{:>6}{:>8.3}{:>8.3}{:>8.2}{:>8.2}{:>11.3}{:>8.2}{:>8.0}{:>9.0}{:>9.0}",
            row.group,
            row.holes,
            row.exact,
            row.first_name,
            row.similarity,
            row.shown,
            row.precision,
            row.parses,
            row.prompt_tokens,
            row.latency_ms_p50,
            row.latency_ms_p95,
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An outcome of which only these properties matter.
    pub(in crate::cli::eval) fn outcome(line: usize, kind: Kind, shown: bool, exact: bool) -> Outcome {
        Outcome {
            project: "p".to_owned(),
            file: "a.py".to_owned(),
            line,
            column: 1,
            language: "python".to_owned(),
            kind,
            imported: (kind == Kind::CrossFile).then_some(true),
            before: String::new(),
            expected: "x".to_owned(),
            written: if exact { "x" } else { "" }.to_owned(),
            shown,
            exact,
            similarity: f64::from(u8::from(exact)),
            first_name: exact,
            parses: shown,
            prompt_tokens: Some(100),
            cached_tokens: Some(0),
            generated_tokens: Some(1),
            signals: None,
            latency_ms: line as f64,
        }
    }

    #[test]
    fn precision_is_of_what_is_shown() {
        let outcomes = [
            outcome(1, Kind::Rest, true, true),
            outcome(2, Kind::Rest, true, false),
            outcome(3, Kind::CrossFile, false, false),
            outcome(4, Kind::CrossFile, false, false),
        ];
        let found = summaries(&outcomes);
        let groups: Vec<_> = found.iter().map(|row| (row.group.as_str(), row.holes)).collect();
        let expected =
            [("rest", 2), ("cross-file", 2), ("ordinary", 2), ("cross-file, imported", 2), ("python", 4), ("all", 4)];
        assert_eq!(groups, expected);
        let all = found.last().unwrap();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(all.exact, 0.25) && close(all.shown, 0.5) && close(all.precision, 0.5), "{all:?}");
        assert!(close(all.latency_ms_p50, 2.0) && close(all.latency_ms_p95, 4.0), "{all:?}");
        assert_eq!(table(&found).lines().count(), 7);
    }
}
