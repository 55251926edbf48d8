//! The results of a replay: a record of every key, and the figures computed from them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::millis;
use crate::engine::Generation;

/// The source of a text that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was already known.
    Memory,
    Model,
}

/// What happened at one key, or one jump of the cursor.
#[derive(Debug, Default, Clone)]
pub(super) struct Key {
    /// The time since the session began.
    pub(super) at: Duration,
    /// Whether it changed the text.
    pub(super) is_edit: bool,
    pub(super) asked: bool,
    /// Whether the server has answered before the next key, with or without a text.
    pub(super) is_answered: bool,
    /// The time from the key to the first text, and to the last one before the next key.
    pub(super) first_text: Option<Duration>,
    pub(super) complete_text: Option<Duration>,
    /// The source of the first text.
    pub(super) origin: Option<Origin>,
    /// Prompt tokens that were computed for it.
    pub(super) prefilled: usize,
    /// Characters that it inserted into the text, and how many of them were on the screen before.
    pub(super) typed: usize,
    pub(super) on_screen: usize,
    /// Characters that it accepted from the screen at once.
    pub(super) accepted: usize,
    /// How often a text that agreed with what was typed was replaced by another one, or by none.
    pub(super) replaced: usize,
}

/// The work of the models.
#[derive(Debug, Default, Clone)]
pub(super) struct Work {
    /// Completions that were requested and generated to the end, and those generated ahead.
    pub(super) generations: Vec<Generation>,
    pub(super) prepared: Vec<Generation>,
    /// How many of the former have been assigned to a key.
    pub(super) counted: usize,
    /// Characters of requested completions, including those that were given up.
    pub(super) characters: usize,
    /// Processor time, if the model is in this process and the system reports it.
    pub(super) processor: Option<Duration>,
}

/// How the requests for completions ended, including those that a newer one superseded.
#[derive(Debug, Default, Clone)]
pub(super) struct Requests {
    /// The times of those answered with a completion, and of those answered with none.
    pub(super) shown: Vec<Duration>,
    pub(super) empty: Vec<Duration>,
    pub(super) cancelled: usize,
}

/// One trace, replayed.
#[derive(Debug, Default, Clone)]
pub(super) struct Played {
    pub(super) name: String,
    pub(super) keys: Vec<Key>,
    pub(super) requests: Requests,
    pub(super) work: Work,
    /// How many pieces of answers to questions arrived meanwhile.
    pub(super) answer_pieces: usize,
}

/// All traces, replayed.
pub(super) struct Replayed {
    pub(super) played: Vec<Played>,
    /// The sorted times of requests answered with a completion, and of those answered with none.
    shown: Vec<Duration>,
    empty: Vec<Duration>,
    cancelled: usize,
}

impl Replayed {
    pub(super) fn new(played: Vec<Played>) -> Self {
        let sorted = |of: fn(&Requests) -> &Vec<Duration>| {
            let mut all: Vec<Duration> = played.iter().flat_map(|played| of(&played.requests)).copied().collect();
            all.sort();
            all
        };
        let (shown, empty) = (sorted(|requests| &requests.shown), sorted(|requests| &requests.empty));
        let cancelled = played.iter().map(|played| played.requests.cancelled).sum();
        Self { shown, empty, cancelled, played }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.played.iter().flat_map(|played| &played.keys)
    }

    fn sum(&self, of: impl Fn(&Key) -> usize) -> usize {
        self.keys().map(of).sum()
    }

    /// How many keys changed the text.
    pub(super) fn key_count(&self) -> usize {
        self.sum(|key| usize::from(key.is_edit))
    }

    /// The sorted times that `of` selects.
    pub(super) fn times(&self, of: impl Fn(&Key) -> Option<Duration>) -> Vec<Duration> {
        let mut times: Vec<Duration> = self.keys().filter_map(of).collect();
        times.sort();
        times
    }

    /// The prompt tokens computed for each key whose request was answered, sorted.
    pub(super) fn prefilled(&self) -> Vec<usize> {
        let answered = self.keys().filter(|key| key.is_answered);
        let mut tokens: Vec<usize> = answered.map(|key| key.prefilled).collect();
        tokens.sort_unstable();
        tokens
    }

    pub(super) fn without_model_share(&self) -> Option<f64> {
        let from = |origin| self.sum(|key| usize::from(key.origin == Some(origin)));
        ratio(from(Origin::Memory), from(Origin::Memory) + from(Origin::Model))
    }

    pub(super) fn on_screen_share(&self) -> Option<f64> {
        ratio(self.sum(|key| key.on_screen), self.sum(|key| key.typed))
    }

    pub(super) fn flicker_per_100_keys(&self) -> Option<f64> {
        ratio(self.sum(|key| key.replaced), self.key_count()).map(|share| 100.0 * share)
    }

    pub(super) fn processor_seconds(&self) -> Option<f64> {
        let times: Option<Vec<Duration>> = self.played.iter().map(|played| played.work.processor).collect();
        times.map(|times| times.iter().map(Duration::as_secs_f64).sum())
    }

    pub(super) fn cpu_seconds_per_accepted_char(&self) -> Option<f64> {
        let accepted = self.sum(|key| key.accepted);
        self.processor_seconds().filter(|_| accepted > 0).map(|seconds| seconds / accepted as f64)
    }

    fn generations(&self) -> impl Iterator<Item = &Generation> {
        self.played.iter().flat_map(|played| &played.work.generations)
    }

    /// How many tokens models wrote, and how many of them never entered a document. For a text that was given up, and
    /// for the accepted part of a text, only the characters are known; they are converted with the average number of
    /// characters per token.
    pub(super) fn tokens_written(&self) -> (usize, usize) {
        let prepared = || self.played.iter().flat_map(|played| &played.work.prepared);
        let all = || self.generations().chain(prepared());
        let length = |generation: &Generation| generation.candidates.first().map_or(0, |it| it.text.chars().count());
        let (tokens, characters) =
            all().fold((0, 0), |(tokens, all), it| (tokens + it.generated_tokens, all + length(it)));
        let told: usize = self.played.iter().map(|played| played.work.characters).sum();
        let broken_off = told.saturating_sub(self.generations().map(length).sum());
        let tokens_in = |part: usize| (part as f64 * ratio(tokens, characters).unwrap_or(0.25)).round() as usize;
        let written = tokens + tokens_in(broken_off);
        (written, written.saturating_sub(tokens_in(self.sum(|key| key.on_screen))))
    }

    fn prompt_tokens(&self) -> (usize, usize) {
        self.generations().fold((0, 0), |(all, cached), it| (all + it.prompt_tokens, cached + it.cached_tokens))
    }

    fn answer_pieces(&self) -> usize {
        self.played.iter().map(|played| played.answer_pieces).sum()
    }

    /// The figures of the keys, which `benches/README.md` explains.
    pub(super) fn figures(&self) -> Map<String, Value> {
        let first_of_model = |key: &Key| key.first_text.filter(|_| key.origin == Some(Origin::Model));
        let prefilled = self.prefilled();
        let (written, thrown_away) = self.tokens_written();
        let figures = json!({
            "sessions": self.played.len(),
            "keys": self.key_count(),
            "asked": self.sum(|key| usize::from(key.asked)),
            "shown_in_time": self.sum(|key| usize::from(key.first_text.is_some())),
            "first_text_ms": percentiles(&self.times(|key| key.first_text)),
            "complete_text_ms": percentiles(&self.times(|key| key.complete_text)),
            "first_text_of_model_ms": percentiles(&self.times(first_of_model)),
            "without_model_share": self.without_model_share(),
            "prefilled_tokens_per_key": {
                "p50": percentile(&prefilled, 50),
                "p95": percentile(&prefilled, 95),
            },
            "tokens_written": written,
            "tokens_thrown_away": thrown_away,
            "on_screen_share": self.on_screen_share(),
            "accepted_chars": self.sum(|key| key.accepted),
            "flicker_per_100_keys": self.flicker_per_100_keys(),
            "cpu_seconds": self.processor_seconds(),
            "cpu_seconds_per_accepted_char": self.cpu_seconds_per_accepted_char(),
        });
        let Value::Object(figures) = figures else { unreachable!("json! of braces is an object") };
        figures
    }

    /// How the requests ended.
    pub(super) fn to_json(&self) -> Value {
        let latency = |sorted: &[Duration]| {
            let at = |percent| percentile(sorted, percent).map(millis);
            json!({"p50_ms": at(50), "p90_ms": at(90), "p99_ms": at(99)})
        };
        let (prompt_tokens, cached_tokens) = self.prompt_tokens();
        json!({
            "shown": self.shown.len(),
            "empty": self.empty.len(),
            "cancelled": self.cancelled,
            "latency": latency(&self.shown),
            "latency_of_empty": latency(&self.empty),
            "generations": self.generations().count(),
            "prompt_tokens": prompt_tokens,
            "computed_prompt_tokens": prompt_tokens - cached_tokens,
            "answer_pieces": self.answer_pieces(),
        })
    }

    /// How many times as long an answered request takes here as in `alone`, whether or not something was shown.
    pub(super) fn slowdown(&self, alone: &Self) -> Option<f64> {
        let median = |replayed: &Self| {
            let mut all = [replayed.shown.as_slice(), &replayed.empty].concat();
            all.sort();
            percentile(&all, 50)
        };
        Some(median(self)?.as_secs_f64() / median(alone)?.as_secs_f64().max(1e-9))
    }

    pub(super) fn print(&self, title: &str) {
        println!("{title}");
        let (shown, empty, cancelled) = (self.shown.len(), self.empty.len(), self.cancelled);
        let all = shown + empty + cancelled;
        println!("  {all} requests: {shown} with a completion, {empty} without, {cancelled} cancelled");
        for (name, sorted) in [("with", &self.shown), ("without", &self.empty)] {
            print_times(&format!("latency {name:<8}"), sorted);
        }
        let (prompt_tokens, cached_tokens) = self.prompt_tokens();
        println!(
            "  {} generations, {} of {prompt_tokens} prompt tokens computed, the others reused",
            self.generations().count(),
            prompt_tokens - cached_tokens,
        );
        if self.answer_pieces() > 0 {
            println!("  meanwhile {} pieces of answers", self.answer_pieces());
        }
    }

    /// Prints what the person gains.
    pub(super) fn print_figures(&self) {
        println!("  {} keys in {} sessions", self.key_count(), self.played.len());
        print_times("first text      ", &self.times(|key| key.first_text));
        print_times("complete text   ", &self.times(|key| key.complete_text));
        let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.1} %", 100.0 * share));
        println!("  {} of texts came without the model", percent(self.without_model_share()));
        println!("  {} of what was typed was on screen before", percent(self.on_screen_share()));
        if let [Some(p50), Some(p95)] = [50, 95].map(|at| percentile(&self.prefilled(), at)) {
            println!("  prompt tokens computed for a key: median {p50}, p95 {p95}");
        }
        let (written, thrown_away) = self.tokens_written();
        println!("  {written} tokens written, {thrown_away} of them thrown away");
        if let Some(flicker) = self.flicker_per_100_keys() {
            println!("  {flicker:.2} replacements in 100 keys");
        }
        if let Some(seconds) = self.processor_seconds() {
            let each = self.cpu_seconds_per_accepted_char();
            let each =
                each.map_or("none was accepted".to_owned(), |each| format!("{each:.3} for each accepted character"));
            println!("  {seconds:.1} processor seconds, {each}");
        }
    }
}

fn print_times(name: &str, sorted: &[Duration]) {
    if let [Some(p50), Some(p90), Some(p99)] = [50, 90, 99].map(|percent| percentile(sorted, percent)) {
        let [p50, p90, p99] = [p50, p90, p99].map(millis);
        println!("  {name} median {p50:>7.1} ms, p90 {p90:>7.1} ms, p99 {p99:>7.1} ms");
    }
}

fn percentiles(sorted: &[Duration]) -> Value {
    let at = |percent| percentile(sorted, percent).map(millis);
    json!({"p50": at(50), "p90": at(90), "p95": at(95), "p99": at(99)})
}

/// The smallest value that at least `percent` per cent of the values do not exceed.
pub(super) fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Candidate, StopReason};
    use crate::model::PromptForm;

    #[test]
    fn percentiles_are_values_that_occur() {
        let sorted: Vec<Duration> = (1..=10).map(Duration::from_millis).collect();
        let at = |percent| percentile(&sorted, percent).unwrap().as_millis();
        assert_eq!((at(1), at(50), at(90), at(99), at(100)), (1, 5, 9, 10, 10));
        assert_eq!(percentile::<Duration>(&[], 50), None);
    }

    fn generation(text: &str, tokens: usize) -> Generation {
        let candidate = Candidate {
            text: text.to_owned(),
            stop_reason: StopReason::LineEnd,
            certainty: None,
            form: PromptForm::Chat,
        };
        Generation {
            candidates: vec![candidate],
            prompt_tokens: 100,
            cached_tokens: 90,
            generated_tokens: tokens,
            drafted_tokens: 0,
            accepted_tokens: 0,
            time_to_first_token: Duration::ZERO,
            total: Duration::ZERO,
            ..Generation::default()
        }
    }

    #[test]
    fn figures_are_of_keys() {
        let answered = |milliseconds: u64, origin, prefilled| Key {
            is_edit: true,
            asked: true,
            is_answered: true,
            first_text: Some(Duration::from_millis(milliseconds)),
            complete_text: Some(Duration::from_millis(2 * milliseconds)),
            origin: Some(origin),
            prefilled,
            typed: 1,
            ..Key::default()
        };
        let accepting = Key { on_screen: 8, typed: 10, accepted: 8, replaced: 1, ..answered(1, Origin::Memory, 0) };
        let jump = Key { is_edit: false, typed: 0, ..answered(30, Origin::Model, 50) };
        let late = Key { is_edit: true, asked: true, typed: 1, ..Key::default() };
        let keys = vec![answered(20, Origin::Model, 7), accepting, jump, late];
        // Twelve characters of an unfinished text count as half as many tokens.
        let work = Work {
            generations: vec![generation("12345678", 4)],
            prepared: vec![generation("1234", 2)],
            counted: 1,
            characters: 20,
            processor: Some(Duration::from_secs(4)),
        };
        let replayed = Replayed::new(vec![Played { keys, work, ..Played::default() }]);
        let figures = Value::from(replayed.figures());
        let seen = |path: &str| figures.pointer(path).unwrap_or_else(|| panic!("{path} in {figures}")).clone();
        assert_eq!((seen("/keys"), seen("/asked"), seen("/shown_in_time")), (3.into(), 4.into(), 3.into()));
        assert_eq!((seen("/first_text_ms/p50"), seen("/complete_text_ms/p99")), (20.0.into(), 60.0.into()));
        assert_eq!(seen("/first_text_of_model_ms/p50"), 20.0);
        assert_eq!(seen("/without_model_share"), 1.0 / 3.0);
        assert_eq!(seen("/prefilled_tokens_per_key"), json!({"p50": 7, "p95": 50}));
        assert_eq!((seen("/tokens_written"), seen("/tokens_thrown_away")), (12.into(), 8.into()));
        assert_eq!((seen("/on_screen_share"), seen("/accepted_chars")), ((8.0 / 12.0).into(), 8.into()));
        assert_eq!(seen("/flicker_per_100_keys"), 100.0 * (1.0 / 3.0));
        assert_eq!(seen("/cpu_seconds_per_accepted_char"), 0.5);
    }

    #[test]
    fn what_did_not_happen_has_no_figure() {
        let figures = Replayed::new(vec![Played::default()]).figures();
        for key in ["without_model_share", "on_screen_share", "flicker_per_100_keys", "cpu_seconds_per_accepted_char"] {
            assert_eq!(figures[key], Value::Null, "{key}");
        }
        assert_eq!(figures["first_text_ms"]["p50"], Value::Null);
    }
}
