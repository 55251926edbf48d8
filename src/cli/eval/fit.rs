//! Fits how likely a completion is to be right: the weights that `completion.confidence` uses, from the outcomes of
//! holes.
//!
//! A logistic regression with a small penalty, by Newton's method. Its quality is measured on holes of projects that it
//! was not fitted on: the projects are divided into parts, and each part is judged by the fit of the others.

use serde::Serialize;

use super::outcome::Outcome;
use crate::features::inline_completion::{SIGNALS, Signals};

/// The number of parts that the projects are divided into.
const PARTS: usize = 5;
/// How strongly weights are kept near zero, in units of standardised signals.
const PENALTY: f64 = 4.0;
const STEPS: usize = 30;
/// The shares of the right completions that stay at `balanced` and at `high`.
const KEPT: [(&str, f64); 2] = [("balanced", 0.85), ("high", 0.5)];
/// With fewer right completions, a fit says too little.
const FEWEST_RIGHT: usize = 20;

/// One completion: what was known about it beforehand, and whether it was right.
struct Example<'a> {
    project: &'a str,
    signals: Signals,
    is_right: bool,
}

impl<'a> Example<'a> {
    fn of(outcome: &'a Outcome) -> Option<Self> {
        let is_right = outcome.exact;
        outcome.signals.map(|signals| Self { project: &outcome.project, signals, is_right })
    }
}

/// The result of a fit, and its quality.
#[derive(Debug, Serialize)]
pub(super) struct Fit {
    pub(super) examples: usize,
    pub(super) right: usize,
    pub(super) model: Model,
    pub(super) thresholds: Vec<Threshold>,
}

/// A logistic function of the unscaled signals.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Model {
    bias: f64,
    weights: Signals,
}

/// The likelihood from which completions are shown.
#[derive(Debug, Serialize)]
pub(super) struct Threshold {
    name: &'static str,
    /// The threshold in the model that was fitted on everything.
    least: f64,
    /// On projects that it was not fitted on: the share of right completions that are shown, the share of shown ones
    /// that are right, and the share of all that are shown.
    kept: f64,
    precision: f64,
    shown: f64,
}

/// Fits the outcomes of holes at which every completion was shown; `None` if too few were right.
pub(super) fn fit(outcomes: &[Outcome]) -> Option<Fit> {
    let examples: Vec<Example<'_>> = outcomes.iter().filter_map(Example::of).collect();
    let right = examples.iter().filter(|example| example.is_right).count();
    if right < FEWEST_RIGHT || right == examples.len() {
        return None;
    }
    let model = Model::fitted(&examples.iter().collect::<Vec<_>>());
    let unseen = judged_unseen(&examples);
    let own: Vec<(f64, bool)> =
        examples.iter().map(|example| (model.likelihood(&example.signals), example.is_right)).collect();
    let thresholds = KEPT.map(|(name, kept)| Threshold::keeping(name, kept, &own, &unseen)).into();
    Some(Fit { examples: examples.len(), right, model, thresholds })
}

/// The likelihood of each example according to a model that has not seen its project.
fn judged_unseen(examples: &[Example<'_>]) -> Vec<(f64, bool)> {
    let mut projects: Vec<&str> = examples.iter().map(|example| example.project).collect();
    projects.sort_unstable();
    projects.dedup();
    let part_of = |example: &Example<'_>| projects.binary_search(&example.project).unwrap_or_default() % PARTS;
    let mut judged = Vec::new();
    for part in 0..PARTS.min(projects.len()) {
        let (held_out, seen): (Vec<_>, Vec<_>) = examples.iter().partition(|example| part_of(example) == part);
        let model = Model::fitted(if seen.is_empty() { &held_out } else { &seen });
        judged.extend(held_out.iter().map(|example| (model.likelihood(&example.signals), example.is_right)));
    }
    judged
}

impl Threshold {
    /// The likelihood from which a share of `kept` of the right ones is shown.
    fn keeping(name: &'static str, kept: f64, own: &[(f64, bool)], unseen: &[(f64, bool)]) -> Self {
        let least = least_keeping(kept, own);
        let in_unseen = least_keeping(kept, unseen);
        let shown: Vec<bool> =
            unseen.iter().filter(|(likelihood, _)| *likelihood >= in_unseen).map(|it| it.1).collect();
        let right = unseen.iter().filter(|(_, is_right)| *is_right).count() as f64;
        let right_shown = shown.iter().filter(|is_right| **is_right).count() as f64;
        Self {
            name,
            least,
            kept: right_shown / right.max(1.0),
            precision: right_shown / (shown.len() as f64).max(1.0),
            shown: shown.len() as f64 / (unseen.len() as f64).max(1.0),
        }
    }
}

fn least_keeping(kept: f64, judged: &[(f64, bool)]) -> f64 {
    let mut right: Vec<f64> =
        judged.iter().filter(|(_, is_right)| *is_right).map(|(likelihood, _)| *likelihood).collect();
    right.sort_by(|a, b| b.total_cmp(a));
    let last = (right.len() as f64 * kept).ceil() as usize;
    right.get(last.saturating_sub(1)).copied().unwrap_or_default()
}

impl Model {
    fn fitted(examples: &[&Example<'_>]) -> Self {
        let (means, spreads) = standards(examples);
        // The bias comes first and has no penalty.
        let rows: Vec<Vec<f64>> = examples
            .iter()
            .map(|example| {
                let standardised = (0..SIGNALS.len()).map(|at| (example.signals[at] - means[at]) / spreads[at]);
                std::iter::once(1.0).chain(standardised).collect()
            })
            .collect();
        let mut weights = vec![0.0; SIGNALS.len() + 1];
        for _ in 0..STEPS {
            let step = newton_step(&rows, examples, &weights);
            weights.iter_mut().zip(&step).for_each(|(weight, step)| *weight += step);
            if step.iter().all(|step| step.abs() < 1e-9) {
                break;
            }
        }
        let mut model = Self { bias: weights[0], weights: [0.0; SIGNALS.len()] };
        for at in 0..SIGNALS.len() {
            model.weights[at] = weights[at + 1] / spreads[at];
            model.bias -= model.weights[at] * means[at];
        }
        model
    }

    fn likelihood(&self, signals: &Signals) -> f64 {
        sigmoid(self.bias + self.weights.iter().zip(signals).map(|(weight, signal)| weight * signal).sum::<f64>())
    }
}

fn sigmoid(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}

/// Mean and standard deviation of each signal; 1 for one that never differs.
fn standards(examples: &[&Example<'_>]) -> (Signals, Signals) {
    let count = (examples.len() as f64).max(1.0);
    let (mut means, mut spreads) = ([0.0; SIGNALS.len()], [1.0; SIGNALS.len()]);
    for at in 0..SIGNALS.len() {
        means[at] = examples.iter().map(|example| example.signals[at]).sum::<f64>() / count;
        let variance = examples.iter().map(|example| (example.signals[at] - means[at]).powi(2)).sum::<f64>() / count;
        if variance > 1e-12 {
            spreads[at] = variance.sqrt();
        }
    }
    (means, spreads)
}

/// The step from `weights` towards the most likely ones.
fn newton_step(rows: &[Vec<f64>], examples: &[&Example<'_>], weights: &[f64]) -> Vec<f64> {
    let size = weights.len();
    let mut gradient: Vec<f64> =
        weights.iter().enumerate().map(|(at, weight)| if at == 0 { 0.0 } else { -PENALTY * weight }).collect();
    let mut curvature = vec![vec![0.0; size]; size];
    for (at, row) in curvature.iter_mut().enumerate() {
        row[at] = if at == 0 { 1e-6 } else { PENALTY };
    }
    for (row, example) in rows.iter().zip(examples) {
        let likelihood = sigmoid(row.iter().zip(weights).map(|(value, weight)| value * weight).sum());
        let error = f64::from(u8::from(example.is_right)) - likelihood;
        let bend = likelihood * (1.0 - likelihood);
        for at in 0..size {
            gradient[at] += error * row[at];
            for other in 0..size {
                curvature[at][other] += bend * row[at] * row[other];
            }
        }
    }
    solved(curvature, gradient)
}

/// The solution of `matrix * x = right`, by elimination; the matrix is symmetric and positive.
fn solved(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for at in 0..size {
        let (above, below) = matrix.split_at_mut(at + 1);
        let pivot = &above[at];
        for (offset, row) in below.iter_mut().enumerate() {
            let factor = row[at] / pivot[at];
            row.iter_mut().zip(pivot).for_each(|(value, above)| *value -= factor * above);
            right[at + 1 + offset] -= factor * right[at];
        }
    }
    for at in (0..size).rev() {
        let known: f64 = (at + 1..size).map(|other| matrix[at][other] * right[other]).sum();
        right[at] = (right[at] - known) / matrix[at][at];
    }
    right
}

/// The fit as a table for a terminal, and as a row for the table of weights.
pub(super) fn table(fit: &Fit) -> String {
    let mut lines = vec![format!("{} completions, {} of them right", fit.examples, fit.right)];
    for (name, weight) in SIGNALS.iter().zip(&fit.model.weights) {
        lines.push(format!("  {name:<28}{weight:>9.4}"));
    }
    lines.push("on projects that it was not fitted on:".to_owned());
    for Threshold { name, least, kept, precision, shown } in &fit.thresholds {
        lines.push(format!(
            "  {name:<10} from {least:.3}: shows {shown:.2} of all and {kept:.2} of the right ones, precision {precision:.3}"
        ));
    }
    let weights: Vec<String> = fit.model.weights.iter().map(|weight| format!("{weight:.4}")).collect();
    lines.push(format!("bias: {:.4},\nweights: [{}],", fit.model.bias, weights.join(", ")));
    lines.extend(fit.thresholds.iter().map(|threshold| format!("{}: {:.4},", threshold.name, threshold.least)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::hole::Kind;
    use super::super::random::Random;
    use super::super::summary::tests::outcome;
    use super::*;

    /// Completions of ten projects, which are right with the probability sigmoid(`slope * first signal`). The other
    /// signals have no influence.
    fn outcomes(slope: f64) -> Vec<Outcome> {
        let mut random = Random::new(5);
        let mut draw = || random.below(1000) as f64 / 1000.0;
        (0..600)
            .map(|line| {
                let mut signals = [0.0; SIGNALS.len()];
                (signals[0], signals[1]) = (draw() * 8.0 - 4.0, draw());
                let is_right = draw() < sigmoid(slope * signals[0]);
                let project = format!("project {}", line % 10);
                Outcome { signals: Some(signals), project, ..outcome(line, Kind::Rest, true, is_right) }
            })
            .collect()
    }

    #[test]
    fn what_makes_a_completion_right_is_found() {
        let fit = fit(&outcomes(1.0)).expect("enough examples");
        assert!((fit.model.weights[0] - 1.0).abs() < 0.25, "{fit:?}");
        assert!(fit.model.weights[1].abs() < 0.8 && fit.model.bias.abs() < 0.6, "{fit:?}");
        let [balanced, high] = fit.thresholds.as_slice() else { panic!("{fit:?}") };
        assert!((balanced.kept - 0.85).abs() < 0.02 && (high.kept - 0.5).abs() < 0.02, "{fit:?}");
        assert!(balanced.precision > 0.7 && high.precision > balanced.precision, "{fit:?}");
        assert!(table(&fit).contains("balanced: 0."));
    }

    #[test]
    fn without_a_signal_nothing_is_gained() {
        let fit = fit(&outcomes(0.0)).expect("enough examples");
        assert!((fit.thresholds[0].precision - 0.5).abs() < 0.06, "{fit:?}");
        assert!(super::fit(&outcomes(0.0)[..20]).is_none(), "too few");
    }
}
