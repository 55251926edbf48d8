//! The wording of prompts: the only files with English addressed to a model.
//!
//! Every prompt is ordered by how rarely its parts change, instructions first and the asker's place last, so that a
//! model's cache of one prompt serves the next.

mod ask;
mod completion;

pub use ask::{document_prompt, explain_prompt, fix_prompt, follow_up, refactor_prompt, retry_prompt, tests_prompt};
pub use completion::{Layout, completion_prompt};

/// The fence around `code` in the language called `language`: longer than any run of backticks that begins a line of
/// `code`. Markdown always gets a long one, so that it stays the same while somebody types a code block.
pub fn fence(language: &str, code: &str) -> String {
    let least = if language == "markdown" { 5 } else { 3 };
    let run = |line: &str| line.trim_start().chars().take_while(|c| *c == '`').count();
    let longest = code.lines().map(run).max().unwrap_or(0);
    "`".repeat(least.max(if longest >= least { longest + 1 } else { 0 }))
}

/// `code` as a fenced block, ended by a line break.
fn block(language: &str, code: &str) -> String {
    let fence = fence(language, code);
    let code = code.trim_end();
    format!("{fence}{language}\n{code}\n{fence}\n")
}
