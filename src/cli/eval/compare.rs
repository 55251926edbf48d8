//! Two runs over the same holes, side by side: what differs, and whether more than chance would explain it.
//!
//! The holes are drawn many times, with replacement, each with its outcome in both runs (a paired bootstrap). The
//! interval contains the difference in 95 of 100 such draws. If it contains zero, the difference may be noise.

use std::collections::BTreeSet;

use serde::Serialize;

use super::hole::Kind;
use super::outcome::Outcome;
use super::random::Random;
use super::summary::mean;

const DRAWS: usize = 2000;
const SEED: u64 = 1;
/// The percentage of draws below the interval, and also above it.
const OUTSIDE: f64 = 2.5;

/// A pair of outcomes at one hole.
type Pair<'a> = (&'a Outcome, &'a Outcome);

/// How one figure of one group differs between two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Difference {
    pub(super) group: String,
    pub(super) figure: &'static str,
    pub(super) holes: usize,
    pub(super) before: f64,
    pub(super) after: f64,
    /// The interval of the difference.
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Difference {
    pub(super) fn may_be_noise(&self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }
}

/// A figure of some outcomes.
type Figure = fn(&[&Outcome]) -> f64;

const FIGURES: [(&str, Figure); 7] = [
    ("exact", |outcomes| share(outcomes, |outcome| outcome.exact)),
    ("first name", |outcomes| share(outcomes, |outcome| outcome.first_name)),
    ("similarity", |outcomes| mean(outcomes.iter().map(|outcome| outcome.similarity))),
    ("shown", |outcomes| share(outcomes, |outcome| outcome.shown)),
    ("precision", |outcomes| {
        let shown: Vec<&Outcome> = outcomes.iter().copied().filter(|outcome| outcome.shown).collect();
        share(&shown, |outcome| outcome.exact)
    }),
    ("prompt tokens", |outcomes| {
        mean(outcomes.iter().map(|outcome| outcome.prompt_tokens.map_or(0.0, |tokens| tokens as f64)))
    }),
    ("latency, ms", |outcomes| mean(outcomes.iter().map(|outcome| outcome.latency_ms))),
];

fn share(outcomes: &[&Outcome], is: fn(&Outcome) -> bool) -> f64 {
    mean(outcomes.iter().map(|outcome| f64::from(u8::from(is(outcome)))))
}

/// The differences between two runs at the holes that both contain, by kind, and by language if there are several.
pub(super) fn compare(before: &[Outcome], after: &[Outcome]) -> Vec<Difference> {
    let pairs = pairs(before, after);
    let of = |is: &dyn Fn(&Outcome) -> bool| pairs.iter().copied().filter(|(it, _)| is(it)).collect::<Vec<_>>();
    let mut kinds = vec![("ordinary".to_owned(), of(&|it| it.kind.is_ordinary()))];
    for kind in [Kind::CrossFile, Kind::Block] {
        kinds.push((kind.to_string(), of(&|it| it.kind == kind)));
    }
    kinds.retain(|(_, pairs)| !pairs.is_empty());
    let of_kind = |(group, pairs): &(String, Vec<Pair<'_>>)| differences(group, pairs);
    let mut found: Vec<Difference> = kinds.iter().flat_map(of_kind).collect();
    let languages: BTreeSet<&str> = pairs.iter().map(|(it, _)| it.language.as_str()).collect();
    for language in languages.iter().filter(|_| languages.len() > 1) {
        let (name, exact) = FIGURES[0];
        found.push(difference(language, name, exact, &of(&|it| it.language == *language)));
    }
    found
}

/// The differences at all these holes together.
pub(super) fn compare_all(before: &[Outcome], after: &[Outcome]) -> Vec<Difference> {
    match pairs(before, after).as_slice() {
        [] => Vec::new(),
        pairs => differences("all", pairs),
    }
}

fn pairs<'a>(before: &'a [Outcome], after: &'a [Outcome]) -> Vec<Pair<'a>> {
    let pair = |after| before.iter().find(|before| before.is_same_hole(after)).map(|before| (before, after));
    after.iter().filter_map(pair).collect()
}

fn differences(group: &str, pairs: &[Pair<'_>]) -> Vec<Difference> {
    FIGURES.iter().map(|(name, figure)| difference(group, name, *figure, pairs)).collect()
}

fn difference(group: &str, name: &'static str, figure: Figure, pairs: &[Pair<'_>]) -> Difference {
    let both = |pairs: &[Pair<'_>]| {
        let (before, after): (Vec<&Outcome>, Vec<&Outcome>) = pairs.iter().copied().unzip();
        (figure(&before), figure(&after))
    };
    let mut random = Random::new(SEED);
    let mut draws: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let drawn: Vec<Pair<'_>> = (0..pairs.len()).map(|_| pairs[random.below(pairs.len())]).collect();
            let (before, after) = both(&drawn);
            after - before
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    let outside = (DRAWS as f64 * OUTSIDE / 100.0) as usize;
    let (before, after) = both(pairs);
    Difference {
        group: group.to_owned(),
        figure: name,
        holes: pairs.len(),
        before,
        after,
        low: draws[outside],
        high: draws[DRAWS - 1 - outside],
    }
}

/// The differences as a table for a terminal.
pub(super) fn table(differences: &[Difference]) -> String {
    let mut lines = vec![format!(
        "{:<12}{:<15}{:>6}{:>10}{:>10}{:>12}   95 of 100 draws",
        "", "", "holes", "before", "after", "difference"
    )];
    for row in differences {
        let places = if row.before.abs().max(row.after.abs()) >= 10.0 { 0 } else { 3 };
        let verdict = if row.may_be_noise() { "may be noise" } else { "" };
        lines.push(format!(
            "{:<12}{:<15}{:>6}{:>10.places$}{:>10.places$}{:>+12.places$}   {:+.places$} to {:+.places$} {verdict}",
            row.group,
            row.figure,
            row.holes,
            row.before,
            row.after,
            row.after - row.before,
            row.low,
            row.high,
        ));
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::outcome;
    use super::*;

    fn exact(differences: &[Difference]) -> &Difference {
        differences.iter().find(|difference| difference.figure == "exact").expect("a row")
    }

    #[test]
    fn a_difference_in_most_holes_is_no_noise_and_one_in_two_may_be() {
        let run = |right: usize| -> Vec<Outcome> {
            (0..40).map(|line| outcome(line, Kind::Rest, true, line < right)).collect()
        };
        let large = compare(&run(10), &run(30));
        assert!(!exact(&large).may_be_noise(), "{large:?}");
        assert!(exact(&large).low > 0.3 && exact(&large).high < 0.7, "{large:?}");
        let small = compare(&run(10), &run(11));
        assert!(exact(&small).may_be_noise(), "{small:?}");
        assert!(exact(&compare(&run(10), &run(10))).may_be_noise());
        assert_eq!(large, compare(&run(10), &run(30)), "the same draws every time");
    }

    #[test]
    fn languages_are_apart_where_there_are_several() {
        let run = |right: usize| -> Vec<Outcome> {
            let in_language = |line: usize| if line.is_multiple_of(2) { "python" } else { "go" };
            let hole = |line| Outcome {
                language: in_language(line).to_owned(),
                ..outcome(line, Kind::Rest, true, line < right)
            };
            (0..40).map(hole).collect()
        };
        let found = compare(&run(0), &run(40));
        let groups: Vec<_> = found.iter().filter(|row| row.figure == "exact").map(|row| row.group.as_str()).collect();
        assert_eq!(groups, ["ordinary", "go", "python"]);
        assert_eq!(found.last().map(|row| (row.holes, row.after)), Some((20, 1.0)));
    }

    #[test]
    fn only_holes_of_both_runs_are_compared() {
        let before: Vec<_> = (0..10).map(|line| outcome(line, Kind::Rest, true, true)).collect();
        let after: Vec<_> = (5..20).map(|line| outcome(line, Kind::Rest, true, false)).collect();
        let found = compare(&before, &after);
        assert_eq!((exact(&found).holes, exact(&found).before, exact(&found).after), (5, 1.0, 0.0));
        assert_eq!(compare(&before, &[]), []);
        assert_eq!(table(&found).lines().count(), 8);
    }
}
