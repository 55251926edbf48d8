//! `phi-ls ask commit`: a message for the staged changes of the current repository. Nothing else goes to standard
//! output.

use anyhow::{Context as _, bail};

use super::{AskArgs, print_timing, report, stream};
use crate::cli::complete::start_engine_of;
use crate::config::Role;
use crate::features::commit;
use crate::features::question::AssistantOptions;
use crate::workspace::Workspaces;

pub(super) fn commit(args: &AskArgs) -> anyhow::Result<()> {
    let settings = args.model.settings();
    let here = std::env::current_dir().context("cannot determine the current folder")?;
    let staged = Workspaces::new(&[], &settings.exclude).staged(&here)?;
    let plan = commit::plan(&staged, &AssistantOptions::new(&settings.assistant, None));
    if let Some(left_out) = &plan.left_out {
        eprintln!("phi-ls: {left_out}");
    }
    let engine = start_engine_of(&args.model, &[Role::Assistant, Role::Completion], &settings)?;
    let generation = stream(&engine, &plan.prompt, &plan.params, true)?;
    let message = generation.candidates.first().map(commit::finish).unwrap_or_default();
    if message.is_empty() {
        bail!("the model gave no answer");
    }
    match args.json {
        true => println!("{}", report(&message, None, &generation)),
        false => println!("{message}"),
    }
    print_timing(args, &generation);
    Ok(())
}
