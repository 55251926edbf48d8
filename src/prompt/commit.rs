//! The prompt for a commit message.

use super::ask::INSTRUCTIONS;
use super::block;
use crate::model::{Prompt, Role, Turn};

/// What the model sees of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitMaterial {
    /// The first lines of the last commits, newest first.
    pub earlier: Vec<String>,
    /// What changes, as git shows it; several files one after the other.
    pub diff: String,
    /// The files that there was no room for, or that are not text, one per line.
    pub not_shown: Vec<String>,
}

/// The message of the commit that makes the change in `material`.
pub fn commit_prompt(material: &CommitMaterial) -> Prompt {
    let CommitMaterial { earlier, diff, not_shown } = material;
    let list = |lines: &[String]| lines.iter().map(|line| format!("- {line}\n")).collect::<String>();
    let mut text = String::new();
    if !earlier.is_empty() {
        text.push_str(&format!("The last commits of this repository, newest first:\n{}\n", list(earlier)));
    }
    if !diff.is_empty() {
        text.push_str(&format!("The next commit makes this change:\n{}\n", block("diff", diff)));
    }
    if !not_shown.is_empty() {
        let also = if diff.is_empty() { "The next commit changes" } else { "It also changes" };
        text.push_str(&format!("{also}, which is not shown:\n{}\n", list(not_shown)));
    }
    text.push_str(
        "Write the message of this commit. Its first line says in the imperative, in at most 72 characters and without a \
         full stop, what the change does. Only if there is more to say, a blank line and a few short sentences follow: \
         what changes and why, as far as the change shows it. Answer with the message only, as plain text.",
    );
    Prompt {
        turns: vec![Turn { role: Role::System, text: INSTRUCTIONS.to_string() }, Turn { role: Role::User, text }],
        ..Prompt::default()
    }
}
