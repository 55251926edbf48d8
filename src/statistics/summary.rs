//! The records, summed up by language and by model.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Record, What};

/// What became of a group of completions.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Summary {
    pub shown: usize,
    /// Whole ones.
    pub accepted: usize,
    /// Words and lines that were accepted on their own.
    pub parts_accepted: usize,
    pub dismissed: usize,
    pub ignored: usize,
    pub characters_accepted: usize,
    /// Of the characters accepted, the share that is still there after half a minute and after five minutes.
    pub kept_after_30_s: Option<f64>,
    pub kept_after_5_min: Option<f64>,
    /// Milliseconds from the request to the answer.
    pub latency_ms_p50: Option<u64>,
    pub latency_ms_p90: Option<u64>,
    pub latency_ms_p99: Option<u64>,
    /// What models have taken of the processors, and while the person typed for how long.
    pub processor_seconds: f64,
    pub typing_hours: f64,
    pub processor_seconds_per_accepted_char: Option<f64>,
    pub processor_seconds_per_typing_hour: Option<f64>,
}

/// The summaries of `records`: of all of them, and of each group that `group` puts them into.
pub fn summaries(records: &[Record], group: impl Fn(&Record) -> String) -> (Summary, BTreeMap<String, Summary>) {
    let mut groups: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
    for record in records {
        groups.entry(group(record)).or_default().push(record);
    }
    let all: Vec<&Record> = records.iter().collect();
    (summary(&all), groups.into_iter().map(|(name, records)| (name, summary(&records))).collect())
}

fn summary(records: &[&Record]) -> Summary {
    let mut summary = Summary::default();
    let mut latencies = Vec::new();
    let mut kept: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for record in records {
        match record.what {
            What::Shown { latency_ms } => latencies.push(latency_ms),
            What::Accepted { characters, part } => {
                *if part { &mut summary.parts_accepted } else { &mut summary.accepted } += 1;
                summary.characters_accepted += characters;
            }
            What::Dismissed => summary.dismissed += 1,
            What::Ignored => summary.ignored += 1,
            What::Worked { processor_ms, typing_ms } => {
                summary.processor_seconds += processor_ms as f64 / 1e3;
                summary.typing_hours += typing_ms as f64 / 3.6e6;
            }
            What::Kept { after_seconds, kept: still, characters } => {
                let (sum, of) = kept.entry(after_seconds).or_default();
                (*sum, *of) = (*sum + still, *of + characters);
            }
        }
    }
    latencies.sort_unstable();
    let percentile =
        |percent: usize| latencies.get((latencies.len() * percent / 100).min(latencies.len().wrapping_sub(1)));
    let seconds = summary.processor_seconds;
    let per = |of: f64| (seconds > 0.0 && of > 0.0).then(|| seconds / of);
    let share = |after| kept.get(&after).filter(|(_, of)| *of > 0).map(|(sum, of)| *sum as f64 / *of as f64);
    Summary {
        shown: latencies.len(),
        kept_after_30_s: share(30),
        kept_after_5_min: share(300),
        latency_ms_p50: percentile(50).copied(),
        latency_ms_p90: percentile(90).copied(),
        latency_ms_p99: percentile(99).copied(),
        processor_seconds_per_accepted_char: per(summary.characters_accepted as f64),
        processor_seconds_per_typing_hour: per(summary.typing_hours),
        ..summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(language: &str, what: What) -> Record {
        Record { at: 0, language: language.to_owned(), model: "m".to_owned(), what }
    }

    #[test]
    fn records_are_counted_by_group() {
        let mut records: Vec<Record> = (1..=100).map(|ms| record("rust", What::Shown { latency_ms: ms })).collect();
        records.push(record("rust", What::Accepted { characters: 10, part: false }));
        records.push(record("rust", What::Accepted { characters: 4, part: true }));
        records.push(record("rust", What::Kept { after_seconds: 30, kept: 9, characters: 10 }));
        records.push(record("rust", What::Kept { after_seconds: 30, kept: 0, characters: 8 }));
        records.push(record("rust", What::Worked { processor_ms: 4000, typing_ms: 900_000 }));
        records.push(record("rust", What::Worked { processor_ms: 3000, typing_ms: 900_000 }));
        records.push(record("go", What::Ignored));
        let (all, groups) = summaries(&records, |record| record.language.clone());
        assert_eq!((all.shown, all.accepted, all.parts_accepted, all.ignored), (100, 1, 1, 1));
        assert_eq!((all.latency_ms_p50, all.latency_ms_p99), (Some(51), Some(100)));
        assert_eq!((groups["rust"].kept_after_30_s, groups["rust"].kept_after_5_min), (Some(0.5), None));
        assert_eq!(groups["rust"].processor_seconds_per_accepted_char, Some(0.5));
        assert_eq!(groups["rust"].processor_seconds_per_typing_hour, Some(14.0));
        assert_eq!(groups["go"], Summary { ignored: 1, ..Summary::default() });
    }
}
