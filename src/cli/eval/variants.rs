//! Compares the same holes, filled in several ways, in one table: with other layouts of the prompt, with each part left
//! out, or with prompts of other lengths.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compare::{Difference, compare_all};
use super::outcome::Outcome;
use super::session::Variant;
use super::summary::{Summary, summary_of_all};
use crate::config::{CompletionLayout, Settings, Source};
use crate::context::Part;
use crate::features::inline_completion::Variation;
use crate::prompt::{Form, Layout, Others};

/// How a layout differs from the one that completions use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LayoutName {
    /// Code of other files as comments above the code of the file
    Comments,
    /// A worked example before the question
    Example,
    /// The lines around the cursor in the question, with a mark in its place
    Marked,
    /// Only the lines right before the cursor at the answer's beginning, the others in the question
    ShortAnswer,
    /// Both of these
    MarkedShortAnswer,
    /// No question: the file as it is, after code of other files
    Plain,
    /// The same with code of other files as comments
    PlainComments,
}

/// A part of the prompt that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PartName {
    /// Everything of other files
    OtherFiles,
    /// Definitions of names near the cursor
    Definitions,
    /// Code of other files that is like the code around the cursor
    Alike,
    /// Imports that the code before the cursor does not show
    Imports,
    /// Signatures of what else the file declares
    Outline,
    /// Code after the cursor
    Suffix,
    /// The path of the file
    Path,
}

/// Variants, and the index of the one that the others are compared with.
pub(super) struct Variants {
    pub(super) all: Vec<Variant>,
    pub(super) base: usize,
}

/// The outcomes of the holes with one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Filled {
    pub(super) name: String,
    /// Whether the others are compared with it.
    pub(super) is_base: bool,
    pub(super) holes: Vec<Outcome>,
}

/// The summary, and how it differs from the base.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    name: String,
    summary: Summary,
    compared: Vec<Difference>,
}

impl Variants {
    /// The layout that completions use with `settings`, and the layouts `names`, or all others.
    pub(super) fn layouts(names: &[LayoutName], settings: &Value) -> Self {
        let base = Layout::of(layout_in(settings).into());
        let variant = |name: &LayoutName| {
            let layout = Some(name.layout(base));
            Variant {
                variation: Variation { layout, ..Variation::default() },
                ..Variant::plain(&shown(name), settings)
            }
        };
        Self::beside(Variant::plain("today", settings), all_or(names).iter().map(variant))
    }

    /// The whole prompt, and the prompts without each of `names`, or without each part.
    pub(super) fn parts(names: &[PartName], settings: &Value) -> Self {
        let variant = |name: &PartName| {
            let mut variant = Variant::plain(&format!("without {}", shown(name)), settings);
            variant.variation.without = name.part();
            if *name == PartName::OtherFiles {
                variant.settings["completion.otherFiles"] = false.into();
            }
            variant
        };
        Self::beside(Variant::plain("whole", settings), all_or(names).iter().map(variant))
    }

    /// Prompts of these lengths, compared with the longest.
    pub(super) fn lengths(tokens: &[usize], settings: &Value) -> Self {
        let mut tokens = tokens.to_vec();
        tokens.sort_unstable();
        tokens.dedup();
        let variant = |tokens: &usize| {
            let mut variant = Variant::plain(&tokens.to_string(), settings);
            variant.settings["completion.contextTokens"] = (*tokens).into();
            variant
        };
        Self { all: tokens.iter().map(variant).collect(), base: tokens.len() - 1 }
    }

    fn beside(base: Variant, others: impl Iterator<Item = Variant>) -> Self {
        Self { all: std::iter::once(base).chain(others).collect(), base: 0 }
    }
}

impl LayoutName {
    /// The layout that differs from `base` in this way.
    fn layout(self, base: Layout) -> Layout {
        let (chat, plain) = (Layout { form: Form::Chat, ..base }, Layout { form: Form::Plain, ..base });
        match self {
            Self::Comments => Layout { others: Others::Comments, ..base },
            Self::Example => Layout { has_example: true, ..chat },
            Self::Marked => Layout { marks_place: true, ..chat },
            Self::ShortAnswer => Layout { has_short_answer: true, ..chat },
            Self::MarkedShortAnswer => Layout { marks_place: true, has_short_answer: true, ..chat },
            Self::Plain => plain,
            Self::PlainComments => Layout { others: Others::Comments, ..plain },
        }
    }
}

impl PartName {
    /// The part of the context; `None` if it stands for several.
    fn part(self) -> Option<Part> {
        match self {
            Self::OtherFiles => None,
            Self::Definitions => Some(Part::Definitions),
            Self::Alike => Some(Part::Alike),
            Self::Imports => Some(Part::Imports),
            Self::Outline => Some(Part::Outline),
            Self::Suffix => Some(Part::Suffix),
            Self::Path => Some(Part::Path),
        }
    }
}

fn all_or<T: ValueEnum>(names: &[T]) -> &[T] {
    if names.is_empty() { T::value_variants() } else { names }
}

/// The name on the command line.
fn shown(name: &impl ValueEnum) -> String {
    name.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The layout that `settings` choose.
fn layout_in(settings: &Value) -> CompletionLayout {
    Settings::from_layers(&[(Source::Flags, settings.clone())]).0.completion.layout
}

/// The holes of several runs combined, variant by variant.
pub(super) fn together(runs: Vec<Vec<Filled>>) -> Vec<Filled> {
    let mut all: Vec<Filled> = Vec::new();
    for filled in runs.into_iter().flatten() {
        match all.iter_mut().find(|known| known.name == filled.name) {
            Some(known) => known.holes.extend(filled.holes),
            None => all.push(filled),
        }
    }
    all
}

/// The summary of each variant.
pub(super) fn rows(filled: &[Filled]) -> Vec<Row> {
    let base = filled.iter().find(|filled| filled.is_base);
    let row = |filled: &Filled| Row {
        name: filled.name.clone(),
        summary: summary_of_all(&filled.holes),
        compared: match base.filter(|_| !filled.is_base) {
            Some(base) => compare_all(&base.holes, &filled.holes),
            None => Vec::new(),
        },
    };
    filled.iter().map(row).collect()
}

/// The figures whose differences are shown.
const COMPARED: [&str; 3] = ["exact", "first name", "similarity"];

/// The rows as a table for a terminal.
pub(super) fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default() + 2;
    let mut lines = vec![format!(
        "{:<width$}{:>5}{:>8}{:<25}{:>8}{:<25}{:>8}{:<25}{:>8}{:>9}{:>9}",
        "", "holes", "exact", "", "name", "", "alike", "", "prompt", "p50 ms", "p95 ms"
    )];
    for Row { name, summary, compared } in rows {
        let figures = [summary.exact, summary.first_name, summary.similarity];
        let cells = COMPARED.iter().zip(figures).map(|(figure, value)| {
            let difference = compared.iter().find(|difference| difference.figure == *figure);
            format!("{value:>8.3}{:<25}", difference.map(interval).unwrap_or_default())
        });
        lines.push(format!(
            "{name:<width$}{:>5}{}{:>8.0}{:>9.0}{:>9.0}",
            summary.holes,
            cells.collect::<String>(),
            summary.prompt_tokens,
            summary.latency_ms_p50,
            summary.latency_ms_p95,
        ));
    }
    lines.push(
        "\nin brackets: the interval that contains 95 of 100 draws of the difference; *: it does not contain \
                zero"
            .to_owned(),
    );
    lines.join("\n")
}

fn interval(difference: &Difference) -> String {
    let mark = if difference.may_be_noise() { "" } else { " *" };
    format!(" [{:+.3}, {:+.3}]{mark}", difference.low, difference.high)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::hole::Kind;
    use super::super::summary::tests::outcome;
    use super::*;

    #[test]
    fn every_layout_is_another_one() {
        let variants = Variants::layouts(&[], &json!({}));
        assert!(variants.all.len() >= 7 && variants.base == 0);
        let base = Layout::of(Form::Auto);
        let mut layouts: Vec<Layout> =
            variants.all.iter().map(|variant| variant.variation.layout.unwrap_or(base)).collect();
        while let Some(layout) = layouts.pop() {
            assert!(!layouts.contains(&layout), "{layout:?}");
        }
        // Layouts differ from the one in the settings.
        let forced = Variants::layouts(&[LayoutName::Comments], &json!({"completion.layout": "chat"}));
        let layout = Layout { others: Others::Comments, ..Layout::of(Form::Chat) };
        assert_eq!(forced.all[1].variation.layout, Some(layout));
        assert_eq!(forced.all.len(), 2);
    }

    #[test]
    fn parts_and_lengths_are_named_by_what_differs() {
        let names = |variants: &Variants| variants.all.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        let parts = Variants::parts(&[PartName::OtherFiles, PartName::Outline], &json!({}));
        assert_eq!(names(&parts), ["whole", "without other-files", "without outline"]);
        assert_eq!(parts.all[1].settings["completion.otherFiles"], false);
        assert_eq!(parts.all[2].variation.without, Some(Part::Outline));
        let lengths = Variants::lengths(&[512, 128, 512], &json!({}));
        assert_eq!((names(&lengths), lengths.base), (vec!["128".to_owned(), "512".to_owned()], 1));
        assert_eq!(lengths.all[0].settings["completion.contextTokens"], 128);
    }

    #[test]
    fn runs_are_put_together_and_each_way_is_compared_with_the_base() {
        let run = |seed: usize| {
            let holes = |right: usize| {
                (0..20).map(|line| outcome(seed * 100 + line, Kind::Rest, true, line < right)).collect::<Vec<_>>()
            };
            vec![
                Filled { name: "today".to_owned(), is_base: true, holes: holes(4) },
                Filled { name: "worse".to_owned(), is_base: false, holes: holes(0) },
                Filled { name: "same".to_owned(), is_base: false, holes: holes(4) },
            ]
        };
        let all = together(vec![run(1), run(2)]);
        let rows = rows(&all);
        assert_eq!(rows.iter().map(|row| row.summary.holes).collect::<Vec<_>>(), [40, 40, 40]);
        assert!(rows[0].compared.is_empty(), "{rows:?}");
        let shown = table(&rows);
        let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        assert!(line("worse").contains("] *") && !line("same").contains('*'), "{shown}");
    }
}
