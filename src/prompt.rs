//! The wording of prompts: the only files with text addressed to a model.
//!
//! Every prompt is ordered by how rarely its parts change, instructions first and the asker's place last, so that a
//! model's cache of one prompt serves the next.

mod ask;
mod commit;
mod completion;
mod layout;

pub use ask::{document_prompt, explain_prompt, fix_prompt, follow_up, refactor_prompt, retry_prompt, tests_prompt};
pub use commit::{CommitMaterial, commit_prompt};
pub use completion::{completion_fence, completion_prompt};
pub use layout::{Form, Layout, Others};

use crate::context::longest_fence;
use crate::syntax::Language;

/// The fence around `code` in the language called `language`: longer than any run of backticks that begins a line of
/// `code`.
pub fn fence(language: &str, code: &str) -> String {
    fence_around(language, longest_fence(code))
}

/// The fence around code in which the longest run of backticks that begins a line is `longest`. Languages with fences of their
/// own always get a long one, so that it stays the same while somebody types a code block.
fn fence_around(language: &str, longest: usize) -> String {
    let has_fences = Language::by_id(language).is_some_and(|language| language.has_fences);
    let least = if has_fences { 5 } else { 3 };
    "`".repeat(least.max(if longest >= least { longest + 1 } else { 0 }))
}

/// `code` as a fenced block, ended by a line break.
fn block(language: &str, code: &str) -> String {
    let fence = fence(language, code);
    let code = code.trim_end();
    format!("{fence}{language}\n{code}\n{fence}\n")
}
