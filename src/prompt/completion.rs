//! Prompts of inline completions, in two layouts.

use super::{block, fence_around};
use crate::context::CompletionContext;
use crate::model::{Prompt, Role, Turn};

/// How a completion is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// For models that follow instructions and have no fill-in-the-middle tokens: the code after the cursor goes into
    /// the question, and the answer already begins with the code before it, which the model goes on with.
    Infill,
    /// For models that only continue text: the file as it is, up to the cursor.
    Plain,
}

const INSTRUCTIONS: &str = "You complete source code. You write only the code of the file you are asked for, in the \
    style of that file, without explanations.";

/// The prompt that has the model write what follows the prefix of `context`. While a person types, one prompt is the
/// beginning of the next.
pub fn completion_prompt(layout: Layout, context: &CompletionContext) -> Prompt {
    match layout {
        Layout::Infill => infill(context),
        Layout::Plain => Prompt { turns: Vec::new(), prefill: plain(context) },
    }
}

/// The fence of the code block that a completion is written in. Fences in the code, as documentation has them, do not end it.
pub fn completion_fence(context: &CompletionContext) -> String {
    fence_around(&context.language, context.longest_fence)
}

fn infill(context: &CompletionContext) -> Prompt {
    let language = &context.language;
    let mut question = String::new();
    if let Some(path) = &context.path {
        question.push_str(&format!("The file is `{path}`.\n\n"));
    }
    if !context.imports.is_empty() {
        question.push_str(&format!("It imports:\n{}\n", block(language, &context.imports)));
    }
    if !context.outline.is_empty() {
        question.push_str(&format!("It also declares:\n{}\n", block(language, &context.outline)));
    }
    let ending = match context.suffix.trim().is_empty() {
        true => context.cells_after.trim_start().to_owned(),
        false => format!("{}{}", context.suffix.trim_end(), context.cells_after),
    };
    if ending.is_empty() {
        question.push_str("Write the code of this file in one code block.");
    } else {
        question.push_str(&format!("It ends with this code:\n{}\n", block(language, &ending)));
        question.push_str("Write the code that comes before this ending, up to it, in one code block.");
    }
    Prompt {
        turns: vec![
            Turn { role: Role::System, text: INSTRUCTIONS.to_string() },
            Turn { role: Role::User, text: question },
        ],
        prefill: format!("{}{language}\n{}{}", completion_fence(context), context.cells_before, context.prefix),
    }
}

/// Path and imports as a file would have them, then the prefix.
fn plain(context: &CompletionContext) -> String {
    let mut text = String::new();
    if let (Some(path), Some(comment)) = (&context.path, context.line_comment) {
        text.push_str(&format!("{comment} {path}\n"));
    }
    if !context.imports.is_empty() {
        text.push_str(&context.imports);
        text.push('\n');
    }
    text + &context.cells_before + &context.prefix
}
