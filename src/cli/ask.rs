//! `phi-ls ask`: a question about code without an editor, streamed to the terminal.

use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::ModelArgs;
use super::complete::{generate, start_engine};
use super::place::{read_snapshot, repository_root};
use crate::config::{ExcludeMatcher, Settings};
use crate::context::{Bounds, Snapshot, Surroundings, WorkspaceIndex};
use crate::engine::{Engine, Generation, GenerationParams, Priority};
use crate::features::code_actions::Action;
use crate::features::conversation::Conversation;
use crate::features::edit::{self, Change, EditPlan};
use crate::features::explain;
use crate::features::question::{AssistantOptions, Question};
use crate::model::Prompt;
use crate::text::{Edit, Rope};

/// Definitions of other files are looked for this long, which most projects do not need.
const INDEXING_TIME: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub(super) struct AskArgs {
    /// What to ask
    kind: Kind,
    /// Which code: FILE:LINE for the item around a line, FILE:LINE-LINE for exactly these lines
    lines: Lines,
    #[command(flatten)]
    model: ModelArgs,
    /// What to do, for a refactoring
    #[arg(long)]
    instruction: Option<String>,
    /// Another question after the answer, in the same conversation; may be given several times
    #[arg(long, value_name = "QUESTION")]
    follow_up: Vec<String>,
    /// Write the change to the file after showing it
    #[arg(long)]
    apply: bool,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Explain,
    Fix,
    Refactor,
    Document,
    Tests,
}

/// `FILE:LINE` or `FILE:LINE-LINE`, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lines {
    path: PathBuf,
    first: usize,
    last: usize,
    /// A range was given: exactly these lines.
    exact: bool,
}

impl FromStr for Lines {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected FILE:LINE or FILE:LINE-LINE, counted from 1, found \"{text}\"");
        let (path, lines) = text.rsplit_once(':').filter(|(path, _)| !path.is_empty()).ok_or_else(expected)?;
        let count = |digits: &str| digits.parse().ok().filter(|&line: &usize| line > 0).ok_or_else(expected);
        let (first, last) = match lines.split_once('-') {
            Some((first, last)) => (count(first)?, count(last)?),
            None => (count(lines)?, count(lines)?),
        };
        if last < first {
            return Err(expected());
        }
        Ok(Self { path: path.into(), first, last, exact: lines.contains('-') })
    }
}

pub(super) fn ask(args: &AskArgs) -> anyhow::Result<()> {
    let snapshot = read_snapshot(&args.lines.path)?;
    let question = question(args, &snapshot)?;
    let excluded = ExcludeMatcher::new(&[]).excludes(&args.lines.path);
    let options = AssistantOptions::new(&Settings::default().assistant, excluded);
    let surroundings = surroundings(&args.lines.path);
    if args.kind == Kind::Explain {
        let plan = explain::plan(&snapshot, &surroundings, &question, &options)?;
        let engine = start_engine(&args.model)?;
        let generation = stream(&engine, &plan.prompt, &plan.params, args.json)?;
        let report = report(&explain::finish(text_of(&generation)), None, &generation);
        print_timing(args, &generation);
        return go_on(args, &engine, &options, Conversation::new(plan.prompt, &generation), report);
    }
    let plan = edit::plan(&snapshot, &surroundings, &question, &options)?;
    let engine = start_engine(&args.model)?;
    let (plan, outcome, generation) = edit_with_retry(args, &engine, plan, &snapshot)?;
    match outcome {
        Ok(change) => {
            let diff = show_change(args, &snapshot, &change, &generation)?;
            let report = report(text_of(&generation), Some(&diff), &generation);
            go_on(args, &engine, &options, Conversation::new(plan.prompt, &generation), report)
        }
        Err(reason) => bail!("nothing is changed: {reason}"),
    }
}

/// Asks what else was to be asked and ends with the report, which is printed where it is asked for.
fn go_on(
    args: &AskArgs,
    engine: &Engine,
    options: &AssistantOptions,
    mut conversation: Option<Conversation>,
    mut first: serde_json::Value,
) -> anyhow::Result<()> {
    let mut reports = Vec::new();
    for question in &args.follow_up {
        let so_far = conversation.context("the model gave no answer that a question could follow")?;
        let plan = so_far.follow_up(question, options)?;
        if !args.json {
            println!("\n> {question}\n");
        }
        let generation = stream(engine, &plan.prompt, &plan.params, args.json)?;
        print_timing(args, &generation);
        let mut report = report(&explain::finish(text_of(&generation)), None, &generation);
        report["question"] = question.as_str().into();
        reports.push(report);
        conversation = Conversation::new(plan.prompt, &generation);
    }
    if args.json {
        first["follow_ups"] = reports.into();
        println!("{first}");
    }
    Ok(())
}

/// The other files of the workspace: of the git repository around `path`, else of the current folder if `path` is in it.
fn surroundings(path: &Path) -> Surroundings {
    let (Ok(file), Ok(here)) = (path.canonicalize(), std::env::current_dir()) else { return Surroundings::default() };
    let here = Some(here.as_path()).filter(|here| file.starts_with(here));
    let Some(root) = repository_root(&file).or(here) else { return Surroundings::default() };
    let bounds = Bounds { time: INDEXING_TIME, ..Bounds::default() };
    let index = WorkspaceIndex::new(vec![root.to_owned()], ExcludeMatcher::default(), bounds);
    index.walk(&mut || true);
    Surroundings { file: Some(file), open: Vec::new(), index: Some(Arc::new(index)) }
}

/// The question the arguments ask, about lines of `snapshot`.
fn question(args: &AskArgs, snapshot: &Snapshot) -> anyhow::Result<Question> {
    let lines = snapshot.text.len_lines();
    if args.lines.last > lines {
        bail!("{} has {lines} lines; line {} was asked for", args.lines.path.display(), args.lines.last);
    }
    let action = match args.kind {
        Kind::Explain => Action::ExplainCode,
        Kind::Fix => Action::FixProblem,
        Kind::Refactor => Action::Refactor,
        Kind::Document => Action::Document,
        Kind::Tests => Action::WriteTests,
    };
    Ok(Question {
        action,
        target: line_range(&snapshot.text, args.lines.first, args.lines.last),
        exact: args.lines.exact,
        problem: None,
        instruction: args.instruction.clone(),
    })
}

/// Bytes of the lines `first..=last`, counted from 1, without the last line break.
fn line_range(text: &Rope, first: usize, last: usize) -> Range<usize> {
    let start = text.line_to_byte(first - 1);
    let line = text.line(last - 1);
    let content = line.chars().filter(|c| !matches!(c, '\n' | '\r')).map(char::len_utf8).sum::<usize>();
    start..text.line_to_byte(last - 1) + content
}

/// Asks once, and once more with the reason if the answer cannot be applied and asking again can help.
fn edit_with_retry(
    args: &AskArgs,
    engine: &Engine,
    plan: EditPlan,
    snapshot: &Snapshot,
) -> anyhow::Result<(EditPlan, Result<Change, edit::Rejection>, Generation)> {
    let generation = stream(engine, &plan.prompt, &plan.params, args.json)?;
    let candidate = generation.candidates.first().context("the model gave no answer")?;
    match edit::finish(&plan, snapshot, candidate) {
        Err(reason) if reason.is_retryable() => {
            eprintln!("phi-ls: {reason}; asking once more");
            let retry = edit::retry(&plan, &candidate.text, &reason);
            let generation = stream(engine, &retry.prompt, &retry.params, args.json)?;
            let candidate = generation.candidates.first().context("the model gave no answer")?;
            let outcome = edit::finish(&retry, snapshot, candidate);
            Ok((retry, outcome, generation))
        }
        outcome => Ok((plan, outcome, generation)),
    }
}

/// Generates, printing the text as it comes unless the output is for a program.
pub(super) fn stream(
    engine: &Engine,
    prompt: &Prompt,
    params: &GenerationParams,
    quiet: bool,
) -> anyhow::Result<Generation> {
    let print = Box::new(|text: &str| {
        print!("{text}");
        // A closed pipe is noticed when the command ends.
        let _ = std::io::stdout().flush();
    });
    let generation = generate(engine, prompt, params, Priority::Background, (!quiet).then_some(print as _))?;
    if !quiet {
        println!();
    }
    Ok(generation)
}

fn text_of(generation: &Generation) -> &str {
    generation.candidates.first().map_or("", |candidate| candidate.text.as_str())
}

fn print_timing(args: &AskArgs, generation: &Generation) {
    if !args.json {
        eprintln!("{}", timing(generation));
    }
}

/// Shows what would change, and writes it where that was asked for; the difference.
fn show_change(
    args: &AskArgs,
    snapshot: &Snapshot,
    change: &Change,
    generation: &Generation,
) -> anyhow::Result<String> {
    let before = snapshot.text.to_string();
    let (path, old, new) = match change {
        Change::Edits(edits) => (args.lines.path.clone(), before, apply(&snapshot.text, edits)),
        Change::OtherFile { path, before, edits } => (path.clone(), before.to_string(), apply(before, edits)),
        Change::NewFile { path, text } => (args.lines.path.with_file_name(path), String::new(), text.clone()),
    };
    let name = path.display().to_string();
    let diff = similar::TextDiff::from_lines(&old, &new).unified_diff().header(&name, &name).to_string();
    if !args.json {
        println!("\n{diff}");
    }
    print_timing(args, generation);
    if args.apply {
        write_change(&path, change, &new)?;
    }
    Ok(diff)
}

fn write_change(path: &Path, change: &Change, text: &str) -> anyhow::Result<()> {
    if matches!(change, Change::NewFile { .. }) && path.exists() {
        bail!("{} exists already and is left as it is", path.display());
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The text with `edits`, which are in order and do not overlap.
fn apply(text: &Rope, edits: &[Edit]) -> String {
    let mut changed = text.to_string();
    for edit in edits.iter().rev() {
        changed.replace_range(edit.range.clone(), &edit.new_text);
    }
    changed
}

/// One line that says how long the answer took.
pub(super) fn timing(generation: &Generation) -> String {
    let decode = generation.total.saturating_sub(generation.time_to_first_token).as_secs_f64().max(1e-9);
    format!(
        "({} prompt tokens read in {:.2} s, {} tokens written at {:.0} per second)",
        generation.prompt_tokens - generation.cached_tokens,
        generation.time_to_first_token.as_secs_f64(),
        generation.generated_tokens,
        generation.generated_tokens as f64 / decode,
    )
}

fn report(answer: &str, diff: Option<&str>, generation: &Generation) -> serde_json::Value {
    serde_json::json!({
        "answer": answer,
        "diff": diff,
        "prompt_tokens": generation.prompt_tokens,
        "cached_tokens": generation.cached_tokens,
        "generated_tokens": generation.generated_tokens,
        "accepted_tokens": generation.accepted_tokens,
        "time_to_first_token_ms": generation.time_to_first_token.as_millis() as u64,
        "total_ms": generation.total.as_millis() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_one_or_a_range() {
        let lines = "src/a.rs:3-9".parse::<Lines>().unwrap();
        assert_eq!((lines.path.to_str().unwrap(), lines.first, lines.last, lines.exact), ("src/a.rs", 3, 9, true));
        assert!(!"a.rs:3".parse::<Lines>().unwrap().exact);
        for wrong in ["a.rs", "a.rs:0", "a.rs:9-3", ":3", "a.rs:x"] {
            assert!(wrong.parse::<Lines>().unwrap_err().contains("expected FILE:LINE"), "{wrong}");
        }
    }

    #[test]
    fn a_range_of_lines_ends_before_its_last_line_break() {
        let text = Rope::from_str("ab\ncde\r\nf");
        assert_eq!(line_range(&text, 1, 2), 0..6);
        assert_eq!(line_range(&text, 3, 3), 8..9);
    }
}
