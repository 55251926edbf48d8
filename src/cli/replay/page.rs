//! The report as one HTML page with plots, for readers who have never seen this project.

use std::fmt::Write as _;
use std::time::Duration;

use super::measures::{Key, Origin, Played, Replayed, percentile};
use crate::cli::millis;

/// The size of a plot in pixels, and the margin for its labels.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 52.0;

/// The range of times in a plot, in milliseconds: from the shortest that can be distinguished to longer than anybody
/// waits.
const SHORTEST_MS: f64 = 0.1;
const LONGEST_MS: f64 = 30_000.0;

/// The upper limit of prefilled tokens of each bar.
const TOKEN_BARS: [usize; 7] = [0, 2, 6, 16, 40, 100, 400];

/// What happened at a key for which a completion was requested, with its colour and description.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Memory,
    Model,
    Nothing,
    TooLate,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Memory, Self::Model, Self::Nothing, Self::TooLate];

    fn of(key: &Key) -> Option<Self> {
        let answered = match key.origin {
            Some(Origin::Memory) => Self::Memory,
            Some(Origin::Model) => Self::Model,
            None if key.is_answered => Self::Nothing,
            None => Self::TooLate,
        };
        key.asked.then_some(answered)
    }

    fn class(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Model => "model",
            Self::Nothing => "nothing",
            Self::TooLate => "late",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Memory => "text that was already known",
            Self::Model => "text that the model wrote for this key",
            Self::Nothing => "nothing worth showing",
            Self::TooLate => "the next key came first",
        }
    }
}

/// The page about `replayed`, the result of `traces` with `model`.
pub(super) fn page(replayed: &Replayed, traces: &str, model: &str) -> String {
    let mut page = String::new();
    let (traces, model) = (escaped(traces), escaped(model));
    let _ = write!(page, "{HEAD}<h1>What typing with phi-ls is like</h1>");
    let _ = write!(
        page,
        "<p>{} keys of {} editing {} (<code>{traces}</code>) were typed into an editor without a screen, which asked \
         phi-ls for a completion at every key, as editors do. The model was <code>{model}</code>. <em>Ghost text</em> is the grey \
         text after the cursor that a person can take with one key.</p>",
        replayed.key_count(),
        replayed.played.len(),
        if replayed.played.len() == 1 { "session" } else { "sessions" },
    );
    page.push_str(&tiles(replayed));
    let sections: [(&str, &str, String); 4] = [
        (
            "How long until there is text",
            "The share of keys that had ghost text after so many milliseconds. One curve shows when the first text \
             appeared, the other when the text was complete. The rest, up to 100 %, had no text before the next key: \
             there was nothing worth showing, or the person kept typing.",
            times_plot(replayed),
        ),
        (
            "Where the text came from",
            "Text that was already known costs nothing: it is the rest of what is on screen, or was prepared in \
             advance.",
            outcomes_plot(replayed),
        ),
        (
            "What a key costs",
            "Before a model writes, it reads the code around the cursor, in tokens of about three characters. It \
             remembers what it has read before: an ordinary key should cost a handful of tokens, a jump to another \
             place more.",
            tokens_plot(replayed),
        ),
        (
            "The sessions, key by key",
            "Each line is a session, from left to right, each mark a key in the colour of what became of it. Gaps are pauses.",
            sessions_plot(replayed),
        ),
    ];
    for (title, meaning, plot) in sections {
        let _ = write!(page, "<section><h2>{title}</h2><p>{meaning}</p>{plot}</section>");
    }
    page.push_str("</main></body></html>\n");
    page
}

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>phi-ls replay</title><style>
:root { --ink: #1f2933; --paper: #fbfbf9; --faint: #d9dcd6; --soft: #5d6b78; --first: #1d63c4; --complete: #c2620e;
  --memory: #2e8b57; --model: #1d63c4; --nothing: #b9c0c6; --late: #c8403a }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --paper: #16191c; --faint: #343a40; --soft: #9aa7b3;
  --first: #6aa5ff; --complete: #f0a35e; --memory: #5fc48c; --model: #6aa5ff; --nothing: #59626b; --late: #ef7d76 } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 800px; margin: 0 auto; padding: 1.5rem 1rem 3rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
p { max-width: 68ch } code { font-size: .92em }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; margin: 1.4rem 0 }
.tile { border: 1px solid var(--faint); border-radius: 6px; padding: .7rem .9rem }
.tile b { display: block; font-size: 1.45rem; font-variant-numeric: tabular-nums } .tile span { color: var(--soft); font-size: .87rem }
svg { width: 100%; height: auto; display: block } svg text { fill: var(--soft); font: 12px system-ui, sans-serif }
.grid { stroke: var(--faint) } .axis { stroke: var(--soft) } .curve { fill: none; stroke-width: 2.2 }
.first { stroke: var(--first) } .complete { stroke: var(--complete); stroke-dasharray: 6 4 }
.bar { fill: var(--model) } .memory { fill: var(--memory) } .model { fill: var(--model) } .nothing { fill: var(--nothing) }
.late { fill: var(--late) } .name { text-anchor: end }
</style></head><body><main>
"#;

fn tiles(replayed: &Replayed) -> String {
    let milliseconds = |time: Option<Duration>| time.map_or("–".to_owned(), |time| format!("{:.0} ms", millis(time)));
    let percent = |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{:.0} %", 100.0 * share));
    let number = |value: Option<f64>, unit: &str| value.map_or("–".to_owned(), |value| format!("{value:.2}{unit}"));
    let median = |of: fn(&Key) -> Option<Duration>| milliseconds(percentile(&replayed.times(of), 50));
    let slow = |of: fn(&Key) -> Option<Duration>| milliseconds(percentile(&replayed.times(of), 95));
    let (written, thrown_away) = replayed.tokens_written();
    let tiles = [
        (
            median(|key| key.first_text),
            format!("to the first text, median; 95 % within {}", slow(|key| key.first_text)),
        ),
        (
            median(|key| key.complete_text),
            format!("to the complete text, median; 95 % within {}", slow(|key| key.complete_text)),
        ),
        (percent(replayed.without_model_share()), "of texts appeared without asking the model".to_owned()),
        (percent(replayed.on_screen_share()), "of what the person wrote was on screen before".to_owned()),
        (
            number(replayed.flicker_per_100_keys(), ""),
            "replacements in 100 keys of a text that was right so far".to_owned(),
        ),
        (
            number(replayed.cpu_seconds_per_accepted_char(), " s"),
            "of a processor for each accepted character".to_owned(),
        ),
        (format!("{thrown_away}"), format!("of {written} tokens written were never used")),
    ];
    let mut html = "<div class=\"tiles\">".to_owned();
    for (figure, meaning) in tiles {
        let _ = write!(html, "<div class=\"tile\"><b>{figure}</b><span>{meaning}</span></div>");
    }
    html + "</div>"
}

/// Opens a drawing of this `height`. `what` describes it for screen readers.
fn drawing(height: f64, what: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{what}\">")
}

fn line(svg: &mut String, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = write!(svg, "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>");
}

fn bar(svg: &mut String, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
    let _ =
        write!(svg, "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>");
}

/// Adds text at a point, which is its `anchor`: start, middle or end.
fn text(svg: &mut String, anchor: &str, (x, y): (f64, f64), text: &str) {
    let text = escaped(text);
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

/// Adds lines across a plot for shares from 0 to 100 %.
fn share_grid(svg: &mut String) {
    for percent in [0, 25, 50, 75, 100] {
        let y = share_y(f64::from(percent) / 100.0);
        line(svg, "grid", (MARGIN, y), (WIDTH - 10.0, y));
        text(svg, "end", (MARGIN - 8.0, y + 4.0), &format!("{percent} %"));
    }
}

fn share_y(share: f64) -> f64 {
    10.0 + (1.0 - share) * (HEIGHT - 50.0)
}

/// The x coordinate of a time, on a logarithmic scale.
fn time_x(milliseconds: f64) -> f64 {
    let share = (milliseconds.clamp(SHORTEST_MS, LONGEST_MS) / SHORTEST_MS).ln() / (LONGEST_MS / SHORTEST_MS).ln();
    MARGIN + share * (WIDTH - MARGIN - 10.0)
}

fn times_plot(replayed: &Replayed) -> String {
    let mut svg = drawing(HEIGHT, "share of keys with text over time");
    share_grid(&mut svg);
    for (milliseconds, label) in
        [(0.1, "0.1 ms"), (1.0, "1 ms"), (10.0, "10 ms"), (100.0, "100 ms"), (1000.0, "1 s"), (10_000.0, "10 s")]
    {
        let x = time_x(milliseconds);
        line(&mut svg, "grid", (x, share_y(1.0)), (x, share_y(0.0)));
        text(&mut svg, "middle", (x, share_y(0.0) + 18.0), label);
    }
    let asked = replayed.keys().filter(|key| key.asked).count().max(1);
    curve(&mut svg, "first", &replayed.times(|key| key.first_text), asked);
    curve(&mut svg, "complete", &replayed.times(|key| key.complete_text), asked);
    for (class, name, x) in [("first", "first text", MARGIN + 20.0), ("complete", "complete text", MARGIN + 150.0)] {
        line(&mut svg, &format!("curve {class}"), (x, HEIGHT - 8.0), (x + 26.0, HEIGHT - 8.0));
        text(&mut svg, "start", (x + 32.0, HEIGHT - 4.0), name);
    }
    svg + "</svg>"
}

/// Adds a curve of how many of `all` have happened by each time.
fn curve(svg: &mut String, class: &str, sorted: &[Duration], all: usize) {
    let mut path = format!("M{:.1} {:.1}", time_x(SHORTEST_MS), share_y(0.0));
    for (index, time) in sorted.iter().enumerate() {
        let share = (index + 1) as f64 / all as f64;
        let _ = write!(path, "L{:.1} {:.1}", time_x(time.as_secs_f64() * 1e3), share_y(share));
    }
    let _ = write!(path, "H{:.1}", time_x(LONGEST_MS));
    let _ = write!(svg, "<path class=\"curve {class}\" d=\"{path}\"/>");
}

/// Adds the legend of the colours.
fn legend(svg: &mut String, y: f64) {
    for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
        let x = 10.0 + (index % 2) as f64 * 330.0;
        let y = y + (index / 2) as f64 * 18.0;
        bar(svg, outcome.class(), (x, y - 9.0), (12.0, 10.0));
        text(svg, "start", (x + 18.0, y), outcome.meaning());
    }
}

/// The height in pixels of a row in a plot with one row per session, and where the names end.
const ROW: f64 = 22.0;
const NAMES: f64 = 190.0;

fn outcomes_plot(replayed: &Replayed) -> String {
    rows_plot(replayed, "what became of the keys of each session", |svg, played, y| {
        let outcomes: Vec<Outcome> = played.keys.iter().filter_map(Outcome::of).collect();
        let unit = (WIDTH - NAMES - 10.0) / outcomes.len().max(1) as f64;
        let mut x = NAMES;
        for outcome in Outcome::ALL {
            let width = unit * outcomes.iter().filter(|other| **other == outcome).count() as f64;
            bar(svg, outcome.class(), (x, y), (width, ROW - 6.0));
            x += width;
        }
    })
}

fn sessions_plot(replayed: &Replayed) -> String {
    let end = |played: &Played| played.keys.last().map_or(0.0, |key| key.at.as_secs_f64());
    let longest = replayed.played.iter().map(end).fold(1e-3, f64::max);
    rows_plot(replayed, "the keys of each session over time", |svg, played, y| {
        for (key, outcome) in played.keys.iter().filter_map(|key| Outcome::of(key).map(|outcome| (key, outcome))) {
            let x = NAMES + key.at.as_secs_f64() / longest * (WIDTH - NAMES - 12.0);
            bar(svg, outcome.class(), (x, y), (1.4, ROW - 6.0));
        }
    })
}

/// A plot with one row per session, which `draw` draws at a given height.
fn rows_plot(replayed: &Replayed, what: &str, draw: impl Fn(&mut String, &Played, f64)) -> String {
    let height = replayed.played.len() as f64 * ROW + 50.0;
    let mut svg = drawing(height, what);
    for (index, played) in replayed.played.iter().enumerate() {
        let y = index as f64 * ROW + 4.0;
        text(&mut svg, "end", (NAMES - 8.0, y + ROW - 10.0), &played.name);
        draw(&mut svg, played, y);
    }
    legend(&mut svg, height - 24.0);
    svg + "</svg>"
}

fn tokens_plot(replayed: &Replayed) -> String {
    let tokens = replayed.prefilled();
    let mut svg = drawing(HEIGHT, "prompt tokens computed for a key");
    share_grid(&mut svg);
    let width = (WIDTH - MARGIN - 10.0) / (TOKEN_BARS.len() + 1) as f64;
    let mut from = 0;
    for (index, most) in TOKEN_BARS.into_iter().map(Some).chain([None]).enumerate() {
        let count = tokens.iter().filter(|&&it| it >= from && most.is_none_or(|most| it <= most)).count();
        let share = count as f64 / tokens.len().max(1) as f64;
        let x = MARGIN + index as f64 * width;
        bar(&mut svg, "bar", (x + 6.0, share_y(share)), (width - 12.0, share_y(0.0) - share_y(share)));
        let label = match most {
            Some(most) if most == from => format!("{most}"),
            Some(most) => format!("{from} to {most}"),
            None => format!("{from} or more"),
        };
        text(&mut svg, "middle", (x + width / 2.0, share_y(0.0) + 18.0), &label);
        text(&mut svg, "middle", (x + width / 2.0, share_y(share) - 4.0), &format!("{:.0} %", 100.0 * share));
        from = most.map_or(from, |most| most + 1);
    }
    text(&mut svg, "middle", (WIDTH / 2.0, HEIGHT - 4.0), "tokens read for a key that was answered");
    svg + "</svg>"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(at: u64, origin: Option<Origin>, is_answered: bool) -> Key {
        let first_text = origin.map(|_| Duration::from_millis(at));
        Key { at: Duration::from_millis(at), asked: true, is_answered, first_text, origin, ..Key::default() }
    }

    #[test]
    fn every_key_is_on_the_page_in_its_colour() {
        let keys = vec![
            key(1, Some(Origin::Memory), true),
            key(2, Some(Origin::Model), true),
            key(3, None, true),
            key(4, None, false),
            Key::default(),
        ];
        let replayed = Replayed::new(vec![Played { name: "a<b".to_owned(), keys, ..Played::default() }]);
        let marks = sessions_plot(&replayed);
        for outcome in Outcome::ALL {
            let drawn = marks.matches(&format!("<rect class=\"{}\"", outcome.class())).count();
            assert_eq!(drawn, 2, "a mark and the legend's, {}", outcome.class());
        }
        let page = page(&replayed, "traces & more", "m");
        assert!(page.contains("a&lt;b") && page.contains("traces &amp; more") && !page.contains("a<b"));
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    }

    #[test]
    fn curves_reach_the_share_that_was_shown() {
        let mut svg = String::new();
        curve(&mut svg, "first", &[Duration::from_millis(10), Duration::from_millis(100)], 4);
        let expected = format!("L{:.1} {:.1}H", time_x(100.0), share_y(0.5));
        assert!(svg.contains(&expected), "{svg}");
        assert!(time_x(1e9) <= WIDTH && time_x(0.0) >= MARGIN);
    }
}
