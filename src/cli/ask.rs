//! `phi-ls ask`: a question about code without an editor, streamed to the terminal.

mod commit;
mod next;

use std::fmt;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};

use super::ModelArgs;
use super::complete::{generate, start_engine_of};
use super::place::{BYTE_ORDER_MARK, read_snapshot, surroundings, workspaces_around};
use crate::config::Role;
use crate::context::Snapshot;
use crate::engine::{Engine, Generation, GenerationParams, Priority, TextPiece};
use crate::features::answering::{Outcome, Plan};
use crate::features::code_actions::Action;
use crate::features::conversation::Conversation;
use crate::features::edit::Change;
use crate::features::explain;
use crate::features::question::{AssistantOptions, Question};
use crate::model::Prompt;
use crate::text::{Edit, LineEnding, PositionEncoding, Rope, offset_at, position_at, with_line_feeds};

#[derive(clap::Args)]
pub(super) struct AskArgs {
    /// What to ask for
    kind: Kind,
    /// The code: FILE:LINE for the item around a line, FILE:LINE-LINE for exactly these lines; left out with commit
    lines: Option<Lines>,
    #[command(flatten)]
    model: ModelArgs,
    /// What to change, with refactor
    #[arg(long)]
    instruction: Option<String>,
    /// A further question about the answer, in the same conversation; can be given several times
    #[arg(long, value_name = "QUESTION")]
    follow_up: Vec<String>,
    /// Show the change, then write it to the file
    #[arg(long)]
    apply: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Explain,
    Fix,
    /// Improve the code, or change it as --instruction says
    Refactor,
    Document,
    Tests,
    /// Write a message for the commit that is staged in the repository of the current folder
    Commit,
    /// Suggest the next edit near a line, given the latest changes in the working tree; takes a model made for this
    Next,
}

impl Kind {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// A question about code in a file, as an editor would ask it.
    fn action(self) -> Option<Action> {
        Some(match self {
            Self::Explain => Action::ExplainCode,
            Self::Fix => Action::FixProblem,
            Self::Refactor => Action::Refactor,
            Self::Document => Action::Document,
            Self::Tests => Action::WriteTests,
            Self::Commit | Self::Next => return None,
        })
    }
}

/// `FILE:LINE` or `FILE:LINE-LINE`, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lines {
    path: PathBuf,
    first: usize,
    last: usize,
    /// Whether a range was given, which means exactly these lines.
    exact: bool,
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.first)?;
        if self.exact { write!(f, "-{}", self.last) } else { Ok(()) }
    }
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
            return Err(format!(
                "expected FILE:LINE-LINE with the first line first, found \"{text}\", which is backwards"
            ));
        }
        Ok(Self { path: path.into(), first, last, exact: lines.contains('-') })
    }
}

/// Refuses flags that would have no effect.
fn check_flags(args: &AskArgs) -> anyhow::Result<()> {
    let kind = args.kind.name();
    if args.apply && matches!(args.kind, Kind::Explain | Kind::Commit) {
        bail!("expected a question that changes code with --apply, found `{kind}`");
    }
    if args.instruction.is_some() && args.kind != Kind::Refactor {
        bail!(
            "expected --instruction with `refactor`, found it with `{kind}`; to ask more about an answer, use \
               --follow-up"
        );
    }
    if !args.follow_up.is_empty() && matches!(args.kind, Kind::Commit | Kind::Next) {
        bail!("expected --follow-up with a question about code, found it with `{kind}`");
    }
    Ok(())
}

pub(super) fn ask(args: &AskArgs) -> anyhow::Result<()> {
    check_flags(args)?;
    match (&args.lines, args.kind.action()) {
        (None, None) if args.kind == Kind::Commit => commit::commit(args),
        (Some(lines), None) if args.kind == Kind::Next => next::next(args, lines),
        (Some(lines), Some(action)) => ask_about(args, lines, action),
        (Some(_), None) => bail!("expected no file with `commit`, which is about what is staged in this repository"),
        (None, _) if args.kind == Kind::Next => bail!("expected FILE:LINE after `next`"),
        (None, _) => bail!("expected FILE:LINE or FILE:LINE-LINE after `{}`", args.kind.name()),
    }
}

/// Asks about the code at `lines`.
fn ask_about(args: &AskArgs, lines: &Lines, action: Action) -> anyhow::Result<()> {
    let snapshot = read_snapshot(&lines.path)?;
    let question = question(args, lines, action, &snapshot)?;
    let settings = args.model.settings();
    let workspaces = workspaces_around(&lines.path, &settings.exclude);
    let options = AssistantOptions::new(&settings.assistant, workspaces.refusal(&lines.path));
    let plan = Plan::new(&snapshot, &surroundings(workspaces, &lines.path), &question, &options)?;
    let engine = start_engine_of(&args.model, &[Role::Assistant, Role::Completion], &settings)?;
    let (plan, outcome, generation) = answered(args, &engine, plan)?;
    let report = match outcome {
        Outcome::Text(text) => {
            print_timing(args, &generation);
            report(&text, None, &generation)
        }
        Outcome::Change(change) => {
            let diff = show_change(args, &lines.path, &snapshot, &change, &generation)?;
            report(text_of(&generation), Some(&diff), &generation)
        }
        Outcome::Rejected(reason) | Outcome::AskAgain(_, reason) => bail!("nothing was changed: {reason}"),
        Outcome::NoAnswer => bail!("the model gave no answer"),
    };
    go_on(args, &engine, &options, Conversation::new(plan.prompt().clone(), &generation), report)
}

/// Asks the follow-up questions, and prints the report if it was requested.
fn go_on(
    args: &AskArgs,
    engine: &Engine,
    options: &AssistantOptions,
    mut conversation: Option<Conversation>,
    mut first: serde_json::Value,
) -> anyhow::Result<()> {
    let mut reports = Vec::new();
    for question in &args.follow_up {
        let so_far = conversation.context("the model gave no answer, so nothing more can be asked about it")?;
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

/// Returns an error for lines that `snapshot` does not have.
fn check_are_there(lines: &Lines, snapshot: &Snapshot) -> anyhow::Result<()> {
    let count = snapshot.text.len_lines();
    if lines.last > count {
        bail!("{} has {count} lines, so there is no line {}", lines.path.display(), lines.last);
    }
    Ok(())
}

/// The question in the arguments, about lines of `snapshot`.
fn question(args: &AskArgs, lines: &Lines, action: Action, snapshot: &Snapshot) -> anyhow::Result<Question> {
    check_are_there(lines, snapshot)?;
    Ok(Question {
        action,
        target: line_range(&snapshot.text, lines.first, lines.last),
        exact: lines.exact,
        problem: None,
        instruction: args.instruction.clone(),
    })
}

/// The byte range of the lines `first..=last`, counted from 1, without the last line break.
fn line_range(text: &Rope, first: usize, last: usize) -> Range<usize> {
    let start = text.line_to_byte(first - 1);
    let line = text.line(last - 1);
    let content = line.chars().filter(|c| !matches!(c, '\n' | '\r')).map(char::len_utf8).sum::<usize>();
    start..text.line_to_byte(last - 1) + content
}

/// Asks, and once more if that can help. Returns the last question, its outcome and how it was generated.
fn answered(args: &AskArgs, engine: &Engine, mut plan: Plan) -> anyhow::Result<(Plan, Outcome, Generation)> {
    loop {
        let generation = stream(engine, plan.prompt(), plan.params(), args.json)?;
        match plan.outcome(&generation) {
            Outcome::AskAgain(again, reason) => {
                eprintln!("phi-ls: {reason}; asking the model once more");
                plan = *again;
            }
            outcome => return Ok((plan, outcome, generation)),
        }
    }
}

/// Generates, and prints the text as it is written unless the output is for a program.
pub(super) fn stream(
    engine: &Engine,
    prompt: &Prompt,
    params: &GenerationParams,
    quiet: bool,
) -> anyhow::Result<Generation> {
    let print = Box::new(|piece: TextPiece| {
        print!("{}", piece.text);
        // If the pipe is closed, that is noticed when the command ends.
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

/// Shows the change, and writes it if that was requested. Returns the difference.
fn show_change(
    args: &AskArgs,
    source: &Path,
    snapshot: &Snapshot,
    change: &Change,
    generation: &Generation,
) -> anyhow::Result<String> {
    let before = snapshot.text.to_string();
    let (path, old, new) = match change {
        Change::Edits(edits) => (source.to_owned(), before, apply(&snapshot.text, edits)),
        Change::OtherFile { path, before, edits } => (path.clone(), before.to_string(), apply(before, edits)),
        Change::NewFile { path, text } => (source.with_file_name(path), String::new(), text.clone()),
    };
    let name = path.display().to_string();
    let diff = similar::TextDiff::from_lines(&old, &new).unified_diff().header(&name, &name).to_string();
    if !args.json {
        println!("\n{diff}");
    }
    print_timing(args, generation);
    if args.apply {
        write_change(source, snapshot, change)?;
    }
    Ok(diff)
}

/// Writes `change`, an answer about the file `source`.
fn write_change(source: &Path, snapshot: &Snapshot, change: &Change) -> anyhow::Result<()> {
    match change {
        Change::Edits(edits) => rewrite(source, &snapshot.text, edits),
        Change::OtherFile { path, before, edits } => rewrite(path, before, edits),
        Change::NewFile { path, text } => {
            let path = source.with_file_name(path);
            if path.exists() {
                bail!("{} already exists; it was not changed", path.display());
            }
            let line_ending = LineEnding::of(&std::fs::read_to_string(source).unwrap_or_default());
            std::fs::write(&path, &*line_ending.end_lines(text))
                .with_context(|| format!("cannot write {}", path.display()))
        }
    }
}

/// Applies `edits` of `before` to the file at `path`, which is read again because `before` has neither its line
/// endings nor its byte order mark.
fn rewrite(path: &Path, before: &Rope, edits: &[Edit]) -> anyhow::Result<()> {
    let old = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let begins_with_mark = before.chars().next() == Some(BYTE_ORDER_MARK);
    let text = old.strip_prefix(BYTE_ORDER_MARK).filter(|_| !begins_with_mark).unwrap_or(&old);
    if *before != with_line_feeds(text.to_owned()) {
        bail!("{} has changed since the question was asked; it was not changed, ask again", path.display());
    }
    let mark = &old[..old.len() - text.len()];
    let new = apply(&Rope::from_str(text), &in_file(edits, before, text));
    std::fs::write(path, format!("{mark}{new}")).with_context(|| format!("cannot write {}", path.display()))
}

/// `edits` of `text` as edits of `file`, which differs from it by line endings only.
fn in_file(edits: &[Edit], text: &Rope, file: &str) -> Vec<Edit> {
    let (line_ending, file) = (LineEnding::of(file), Rope::from_str(file));
    let encoding = PositionEncoding::Utf8;
    let moved = |offset| offset_at(&file, position_at(text, offset, encoding), encoding);
    let edit = |edit: &Edit| Edit {
        range: moved(edit.range.start)..moved(edit.range.end),
        new_text: line_ending.end_lines(&edit.new_text).into_owned(),
    };
    edits.iter().map(edit).collect()
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
        for wrong in ["a.rs", "a.rs:0", ":3", "a.rs:x"] {
            assert!(wrong.parse::<Lines>().unwrap_err().contains("expected FILE:LINE"), "{wrong}");
        }
        assert!("a.rs:9-3".parse::<Lines>().unwrap_err().contains("backwards"));
    }

    #[test]
    fn a_range_of_lines_ends_before_its_last_line_break() {
        let text = Rope::from_str("ab\ncde\nf");
        assert_eq!(line_range(&text, 1, 2), 0..6);
        assert_eq!(line_range(&text, 3, 3), 7..8);
    }

    #[test]
    fn an_edit_of_a_file_keeps_its_line_endings() {
        let written = |file: &str, edit: Edit| {
            let text = Rope::from_str(&with_line_feeds(file.to_owned()));
            apply(&Rope::from_str(file), &in_file(&[edit], &text, file))
        };
        let edit = Edit { range: 2..6, new_text: "x\ny\n".to_owned() };
        assert_eq!(written("a\nbé\nc\n", edit.clone()), "a\nx\ny\nc\n");
        assert_eq!(written("a\r\nbé\r\nc\r\n", edit.clone()), "a\r\nx\r\ny\r\nc\r\n");
        assert_eq!(written("a\nbé\r\nc\r\n", edit), "a\nx\r\ny\r\nc\r\n");
    }

    #[test]
    fn a_byte_order_mark_is_no_text_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.py");
        std::fs::write(&file, "\u{feff}x = 1\r\n").unwrap();
        let snapshot = read_snapshot(&file).unwrap();
        assert_eq!(snapshot.text.to_string(), "x = 1\n");
        rewrite(&file, &snapshot.text, &[Edit { range: 4..5, new_text: "2".to_owned() }]).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "\u{feff}x = 2\r\n");
        assert!(rewrite(&file, &snapshot.text, &[]).unwrap_err().to_string().contains("has changed"));
    }
}
