//! The message of a commit, from what is staged.

use crate::context::{Limits, cost};
use crate::engine::{Candidate, GenerationParams, StopReason};
use crate::model::Prompt;
use crate::prompt::{CommitMaterial, commit_prompt};
use crate::workspace::{Staged, StagedFile};

use super::explain::params;
use super::question::AssistantOptions;

/// The maximum number of tokens of a message; a longer one is a report.
const MAX_TOKENS: usize = 256;

/// The smallest part of a file's changes that is worth showing, in bytes of ASCII.
const LEAST_SHARE: usize = 160;

/// How many files are named when there is no room for their changes.
const NAMED: usize = 20;

/// What to ask.
#[derive(Debug, Clone)]
pub struct CommitPlan {
    pub prompt: Prompt,
    pub params: GenerationParams,
    /// What the model does not see, as a sentence for the person.
    pub left_out: Option<String>,
}

/// What to ask the model for a commit message for what is `staged`.
pub fn plan(staged: &Staged, options: &AssistantOptions) -> CommitPlan {
    let (diff, cut) = shown(&staged.files, Limits::for_tokens(options.context_tokens).total_bytes);
    let mut not_shown: Vec<String> =
        cut.iter().take(NAMED).map(|(file, part)| format!("{part} `{}`", name(file))).collect();
    if cut.len() > NAMED {
        not_shown.push(format!("{} more files", cut.len() - NAMED));
    }
    let left_out = left_out(&cut, staged);
    let material = CommitMaterial { earlier: staged.earlier.clone(), diff, not_shown };
    CommitPlan { prompt: commit_prompt(&material), params: params(options.max_tokens.min(MAX_TOKENS)), left_out }
}

/// The changes of `files` that cost at most `budget` together, and what of which files is not among them. Every file gets an
/// equal part of the room, and what one does not need goes to the others.
fn shown(files: &[StagedFile], budget: usize) -> (String, Vec<(&StagedFile, &'static str)>) {
    let mut by_cost: Vec<usize> = (0..files.len()).filter(|index| !files[*index].diff.is_empty()).collect();
    by_cost.sort_by_key(|index| cost(&files[*index].diff));
    let (mut left, mut shares) = (budget, vec![0; files.len()]);
    for (position, index) in by_cost.iter().enumerate() {
        let share = left / (by_cost.len() - position);
        let wanted = cost(&files[*index].diff);
        shares[*index] = if wanted <= share || share >= LEAST_SHARE { wanted.min(share) } else { 0 };
        left -= shares[*index];
    }
    let (mut diff, mut cut) = (String::new(), Vec::new());
    for (file, share) in files.iter().zip(shares) {
        let part = beginning(&file.diff, share);
        diff.push_str(part);
        match part.len() {
            len if len == file.diff.len() && len > 0 => {}
            0 => cut.push((file, "")),
            _ => cut.push((file, "the rest of ")),
        }
    }
    (diff, cut)
}

/// The whole lines at the beginning of `diff` that cost at most `budget`, if a change is among them.
fn beginning(diff: &str, budget: usize) -> &str {
    let (mut end, mut left, mut changes) = (0, budget, false);
    for line in diff.split_inclusive('\n') {
        let Some(rest) = left.checked_sub(cost(line)) else { break };
        let is_name = line.starts_with("+++") || line.starts_with("---");
        changes |= (line.starts_with(['+', '-']) && !is_name) || line.starts_with("rename to");
        (end, left) = (end + line.len(), rest);
    }
    if changes || end == diff.len() { &diff[..end] } else { "" }
}

fn name(file: &StagedFile) -> String {
    match file.lines {
        Some((added, removed)) => format!("{} (+{added} -{removed})", file.name),
        None => format!("{} (binary)", file.name),
    }
}

fn left_out(cut: &[(&StagedFile, &'static str)], staged: &Staged) -> Option<String> {
    let of_files = cut.iter().map(|(file, part)| format!("{part}{}", file.name));
    let refused = staged.refused.iter().map(|(name, refusal)| format!("{name} ({refusal})"));
    let all: Vec<String> = refused.chain(of_files).collect();
    let more = all.len().saturating_sub(NAMED);
    let named = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!all.is_empty()).then(|| format!("the model did not see {named}{more}"))
}

/// The message in `answer`, ready for git: without what a chat model puts around it, its subject apart from the rest, and
/// without a sentence that breaks off.
pub fn finish(answer: &Candidate) -> String {
    let text = match answer.stop_reason {
        StopReason::MaxTokens | StopReason::RepeatedText => whole_sentences(&answer.text),
        _ => &answer.text,
    };
    let text = unfenced(text.trim());
    let mut lines = text.lines().map(str::trim_end);
    let is_heading = |line: &&str| line.is_empty() || (line.ends_with(':') && line.to_lowercase().contains("message"));
    let subject = lines.find(|line| !is_heading(line)).map(unmarked).unwrap_or_default();
    let mut message = subject.to_owned();
    let mut blank = true;
    // What begins with `#` is a comment for git.
    for line in lines.map(|line| line.strip_prefix('#').map_or(line, |line| line.trim_start_matches(['#', ' ']))) {
        if line.trim().is_empty() {
            blank = true;
            continue;
        }
        message.push_str(if message == subject || blank { "\n\n" } else { "\n" });
        message.push_str(line.trim_end());
        blank = false;
    }
    message
}

/// `text` up to the end of its last whole sentence or line; all of it where it is only one.
fn whole_sentences(text: &str) -> &str {
    let mut ends =
        text.match_indices(['\n', '.']).filter(|(at, end)| *end == "\n" || text[at + 1..].starts_with([' ', '\n']));
    ends.next_back().map_or(text, |(at, end)| &text[..at + usize::from(end == ".")])
}

/// The inside of the code block that `text` is, or begins with.
fn unfenced(text: &str) -> &str {
    let Some(inside) = text.strip_prefix("```").and_then(|rest| rest.split_once('\n')).map(|(_, inside)| inside) else {
        return text;
    };
    inside.split_once("```").map_or(inside, |(inside, _)| inside).trim()
}

/// The first line without the marks that models like to put around it.
fn unmarked(line: &str) -> &str {
    let mut line = line.trim().trim_start_matches('#').trim();
    for prefix in ["Subject:", "Commit message:"] {
        line = line.strip_prefix(prefix).unwrap_or(line).trim();
    }
    for mark in ["**", "\"", "`", "'"] {
        let inside = line.strip_prefix(mark).and_then(|line| line.strip_suffix(mark));
        line = inside.filter(|inside| !inside.contains(mark)).unwrap_or(line);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Certainty;
    use crate::model::PromptForm;

    fn file(name: &str, lines: usize) -> StagedFile {
        let added: String = (0..lines).map(|line| format!("+line {line} of {name}\n")).collect();
        let diff = format!("diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -0,0 +1,{lines} @@\n{added}");
        StagedFile { name: name.to_owned(), lines: Some((lines, 0)), diff }
    }

    fn options(context_tokens: usize) -> AssistantOptions {
        AssistantOptions { refusal: None, context_tokens, max_tokens: 1024 }
    }

    #[test]
    fn small_changes_are_shown_whole_whatever_else_there_is() {
        let files = [file("large.txt", 2000), file("small.rs", 3), file("middle.rs", 30)];
        let (diff, cut) = shown(&files, 2000);
        assert!(diff.contains(&files[1].diff) && diff.contains(&files[2].diff));
        assert!(cost(&diff) <= 2000, "{}", cost(&diff));
        assert!(diff.contains("+line 0 of large.txt") && !diff.contains("+line 1999 of large.txt"));
        let cut: Vec<_> = cut.iter().map(|(file, part)| format!("{part}{}", file.name)).collect();
        assert_eq!(cut, ["the rest of large.txt"]);
    }

    #[test]
    fn files_without_room_are_named() {
        let files: Vec<StagedFile> = (0..60).map(|number| file(&format!("f{number}.rs"), 40)).collect();
        let staged = Staged { files, ..Staged::default() };
        let plan = plan(&staged, &options(256));
        let text = &plan.prompt.turns[1].text;
        assert!(text.contains("f59.rs (+40 -0)") || text.contains("more files"), "{text}");
        let left_out = plan.left_out.expect("much is left out");
        assert!(left_out.starts_with("the model did not see ") && left_out.ends_with(" more"), "{left_out}");
        assert_eq!(plan.params.max_new_tokens, MAX_TOKENS);
    }

    #[test]
    fn nothing_is_said_of_what_is_shown_whole() {
        let staged = Staged { files: vec![file("a.rs", 3)], earlier: vec!["Begin".to_owned()], ..Staged::default() };
        let plan = plan(&staged, &options(3072));
        assert_eq!(plan.left_out, None);
        let text = &plan.prompt.turns[1].text;
        assert!(text.contains("- Begin\n") && text.contains("+line 2 of a.rs\n"), "{text}");
        assert!(!text.contains("not shown"), "{text}");
    }

    #[test]
    fn binary_files_are_named_only() {
        let binary = StagedFile { name: "a.png".to_owned(), lines: None, diff: String::new() };
        let plan = plan(&Staged { files: vec![binary], ..Staged::default() }, &options(3072));
        assert!(plan.prompt.turns[1].text.contains("`a.png (binary)`"));
        assert_eq!(plan.left_out.as_deref(), Some("the model did not see a.png"));
    }

    #[test]
    fn a_message_is_made_ready_for_git() {
        let finished = |answer: &str, stop_reason| {
            finish(&Candidate {
                text: answer.to_owned(),
                stop_reason,
                certainty: Some(Certainty::of(0.0)),
                form: PromptForm::Chat,
            })
        };
        let check = |answer: &str, expected: &str| {
            assert_eq!(finished(answer, StopReason::EndOfTurn), expected, "{answer:?}");
        };
        check("Add a parser", "Add a parser");
        check(" \"Add a parser\"\n", "Add a parser");
        check("```\nAdd a parser\n\nIt reads.\n```\nI hope this helps!", "Add a parser\n\nIt reads.");
        check("```text\nAdd a parser\n```", "Add a parser");
        check("Here is the commit message:\n\nAdd a parser\nIt reads.", "Add a parser\n\nIt reads.");
        check("**Add a parser**\n\n- reads\n- writes  \n\n\n\nEnd.", "Add a parser\n\n- reads\n- writes\n\nEnd.");
        check("Add `parse` and `print`", "Add `parse` and `print`");
        check("# Add a parser\n\n# Why\nIt reads.", "Add a parser\n\nWhy\nIt reads.");
        check("", "");
        let cut =
            |answer: &str, expected: &str| assert_eq!(finished(answer, StopReason::MaxTokens), expected, "{answer:?}");
        cut("Add a parser\n\nIt reads v1.2 files. It also", "Add a parser\n\nIt reads v1.2 files.");
        cut("Add a parser\n\nIt also", "Add a parser");
        cut("Add a parser that", "Add a parser that");
    }
}
