//! `phi-ls ask next`: the next edit near a line, as a model made for next edits suggests it after the changes in the
//! working tree.

use anyhow::bail;

use super::{AskArgs, Lines, check_are_there, report, show_change, stream};
use crate::cli::complete::start_engine_of;
use crate::cli::place::{read_snapshot, workspaces_around};
use crate::config::Role;
use crate::features::edit::Change;
use crate::features::next_edit;

pub(super) fn next(args: &AskArgs, lines: &Lines) -> anyhow::Result<()> {
    let snapshot = read_snapshot(&lines.path)?;
    if lines.exact {
        bail!("expected FILE:LINE after `next`, found `{lines}`");
    }
    check_are_there(lines, &snapshot)?;
    let settings = args.model.settings();
    let path = lines.path.canonicalize().unwrap_or_else(|_| lines.path.clone());
    let workspaces = workspaces_around(&path, &settings.exclude);
    if let Some(refusal) = workspaces.refusal(&path) {
        bail!("{} is excluded from prompts: {refusal}", lines.path.display());
    }
    let hunks = workspaces.changes(&path)?;
    let name = workspaces.in_repository(&path).map(|(root, _)| path.strip_prefix(&root).unwrap_or(&path).to_owned());
    let name = name.unwrap_or_else(|| path.clone()).to_string_lossy().replace('\\', "/");
    let tokens = settings.completion.context_tokens;
    let plan = next_edit::plan(&snapshot.text, &name, lines.first - 1, &hunks, tokens);
    let engine = start_engine_of(&args.model, &[Role::Completion], &settings)?;
    let generation = stream(&engine, &plan.prompt, &plan.params, true)?;
    let Some(answer) = generation.candidates.first() else { bail!("the model gave no answer") };
    let diff = match plan.finish(answer) {
        Ok(edit) => Some(show_change(args, &lines.path, &snapshot, &Change::Edits(vec![edit]), &generation)?),
        Err(reason) => {
            eprintln!("phi-ls: {reason}");
            None
        }
    };
    if args.json {
        println!("{}", report(&answer.text, diff.as_deref(), &generation));
    }
    Ok(())
}
