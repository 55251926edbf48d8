//! `phi-ls try`: a completion and an explanation of a bundled sample, which show in a minute what phi-ls does.

use std::sync::Arc;

use super::ask::{stream, timing};
use super::complete::{complete_with, options_for, start_engine};
use super::{ModelArgs, best_installed, pull};
use crate::config::Settings;
use crate::context::{Problem, Snapshot, Surroundings};
use crate::features::code_actions::Action;
use crate::features::explain;
use crate::features::inline_completion::Trigger;
use crate::features::question::{AssistantOptions, Question};
use crate::hub::{Alias, ModelRef};
use crate::syntax::{self, Parsed};
use crate::text::Rope;

const SAMPLE: &str = include_str!("sample.py");
/// Where the sample has a hole.
const HOLE: &str = "        if grade > ";
/// The bug in the sample, and what an interpreter says about it.
const BUG: &str = "total / len(grades)";
const BUG_MESSAGE: &str = "ZeroDivisionError: division by zero";

#[derive(clap::Args)]
pub(super) struct TryArgs {
    #[command(flatten)]
    model: ModelArgs,
}

pub(super) fn try_out(args: &TryArgs) -> anyhow::Result<()> {
    let model = ModelArgs { model: Some(model_or_starter(args)?.to_string()), threads: args.model.threads };
    let engine = start_engine(&model)?;
    let snapshot = sample();
    let offset = SAMPLE.find(HOLE).map_or(SAMPLE.len(), |at| at + HOLE.len());
    let completed =
        complete_with(&engine, &snapshot, offset, Trigger::Automatic, &options_for(&snapshot, &Settings::default()))?;
    let item = completed.item.as_ref().map_or("(the model has no completion here)", |item| &item.insert_text);
    println!("Completion. The cursor is at the end of the second line; what the model adds is in brackets:\n");
    println!("    for grade in grades:\n{HOLE}[{item}]\n");
    println!("{}\n", timing(&completed.generation));

    println!("Explanation of a problem: `{BUG}` raises \"{BUG_MESSAGE}\". The model says:\n");
    let options = AssistantOptions::new(&Settings::default().assistant, None);
    let plan = explain::plan(&snapshot, &Surroundings::default(), &question(), &options)?;
    let generation = stream(&engine, &plan.prompt, &plan.params, false)?;
    println!("\n{}", timing(&generation));
    if model.reference()? == ModelRef::Alias(Alias::Starter) {
        println!(
            "\nThis was the starter, a model with 135 million parameters. It shows that everything works, not how good"
        );
        println!("answers can be. For that, run: phi-ls pull    (Phi-3.5-mini and Phi-4-mini, 2.4 and 2.5 GB)");
    }
    Ok(())
}

/// The model that was asked for, or the best one installed, or else the starter, which is downloaded.
fn model_or_starter(args: &TryArgs) -> anyhow::Result<ModelRef> {
    if let Some(model) = &args.model.model {
        return Ok(model.parse()?);
    }
    if let Some(installed) = best_installed() {
        println!("Using {installed}.\n");
        return Ok(installed);
    }
    println!("No model is installed yet; downloading the starter (98 MB).");
    pull::pull_model(&ModelRef::Alias(Alias::Starter))?;
    println!();
    Ok(ModelRef::Alias(Alias::Starter))
}

fn sample() -> Snapshot {
    let text = Rope::from_str(SAMPLE);
    let language = syntax::language_for("python", None);
    let parsed = language.and_then(|language| Parsed::parse(language, &text));
    Snapshot {
        text,
        version: 0,
        parsed,
        language,
        language_id: "python".to_owned(),
        path: Some("grades.py".into()),
        cells: Arc::default(),
        surroundings: Arc::default(),
    }
}

fn question() -> Question {
    let start = SAMPLE.find(BUG).unwrap_or(0);
    let range = start..start + BUG.len();
    let problem = Problem {
        range: range.clone(),
        message: BUG_MESSAGE.to_owned(),
        source: Some("python".to_owned()),
        related: Vec::new(),
    };
    Question { action: Action::ExplainProblem, target: range, exact: false, problem: Some(problem), instruction: None }
}
