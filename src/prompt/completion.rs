//! Prompts of inline completions: what of a file a model sees, and how it is asked.

use super::{block, fence_around};
use crate::config;
use crate::context::{CompletionContext, Excerpt, Project, RecentEdit};
use crate::model::{FimFile, FimParts, Prompt, Role, Turn};

/// How a completion is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// As [`Layout::Fim`] of a model that was made for it, as [`Layout::Chat`] of any other.
    Auto,
    /// For models that follow instructions: the code after the cursor goes into the question, and the answer already begins
    /// with the code before it, which the model goes on with.
    Chat,
    /// For models with tokens to fill in the middle: the code before and after the cursor.
    Fim,
    /// For models that only continue text: the file as it is, up to the cursor.
    Plain,
}

impl From<config::CompletionLayout> for Layout {
    fn from(layout: config::CompletionLayout) -> Self {
        match layout {
            config::CompletionLayout::Auto => Self::Auto,
            config::CompletionLayout::Chat => Self::Chat,
            config::CompletionLayout::Fim => Self::Fim,
        }
    }
}

const INSTRUCTIONS: &str = "You complete source code. You write only the code of the file you are asked for, in the \
    style of that file, without explanations.";

/// The prompt that has the model write what follows the prefix of `context`. While a person types, one prompt is the
/// beginning of the next.
pub fn completion_prompt(layout: Layout, context: &CompletionContext) -> Prompt {
    match layout {
        Layout::Auto => Prompt { fim: Some(fim(context)), ..chat(context) },
        Layout::Chat => chat(context),
        Layout::Fim => Prompt { fim: Some(fim(context)), ..Prompt::default() },
        Layout::Plain => Prompt { prefill: plain(context), ..Prompt::default() },
    }
}

/// The fence of the code block that a completion is written in. Fences in the code, as documentation has them, do not end it.
pub fn completion_fence(context: &CompletionContext) -> String {
    fence_around(&context.language, context.longest_fence)
}

fn chat(context: &CompletionContext) -> Prompt {
    let language = &context.language;
    let mut question = project(&context.project);
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
        ..Prompt::default()
    }
}

/// What other files of the project say, before anything that changes more often.
fn project(project: &Project) -> String {
    let mut text = String::new();
    for Excerpt { path, language, code } in &project.excerpts {
        match path {
            Some(path) => text.push_str(&format!("From `{path}`:\n{}\n", block(language, code))),
            None => text.push_str(&format!("From another file:\n{}\n", block(language, code))),
        }
    }
    if !project.edits.is_empty() {
        let changes: String = project.edits.iter().map(change).collect();
        text.push_str(&format!("The latest changes:\n{}\n", block("diff", &changes)));
    }
    text
}

/// A changed line as a difference shows it.
fn change(edit: &RecentEdit) -> String {
    let side = |mark: char, line: &str| if line.is_empty() { String::new() } else { format!("{mark}{line}\n") };
    let path = edit.path.as_deref().map(|path| format!("+++ {}\n", path.display())).unwrap_or_default();
    format!("{path}{}{}", side('-', &edit.before), side('+', &edit.after))
}

/// The same as files of their own.
fn project_files(project: &Project) -> Vec<FimFile> {
    let file = |excerpt: &Excerpt| Some(FimFile { path: excerpt.path.clone()?, text: excerpt.code.clone() });
    project.excerpts.iter().filter_map(file).collect()
}

/// The file as it is around the cursor, with the imports that the window does not reach in front.
fn fim(context: &CompletionContext) -> FimParts {
    let (prefix, typed) = context.prefix.split_at(context.typed_start);
    let imports = if context.imports.is_empty() { String::new() } else { format!("{}\n", context.imports) };
    let after = format!("{}{}", context.suffix, context.cells_after);
    let rest = context.line_suffix.trim_end();
    FimParts {
        path: context.path.clone(),
        line_comment: context.line_comment.map(str::to_owned),
        files: project_files(&context.project),
        prefix: format!("{imports}{}{prefix}", context.cells_before),
        typed: typed.to_owned(),
        suffix: if rest.is_empty() && after.trim().is_empty() { String::new() } else { format!("{rest}\n{after}") },
    }
}

/// Path and imports as a file would have them, then the prefix.
fn plain(context: &CompletionContext) -> String {
    let mut text = String::new();
    if let Some(comment) = context.line_comment {
        for FimFile { path, text: code } in project_files(&context.project) {
            text.push_str(&format!("{comment} {path}\n{code}\n\n"));
        }
    }
    if let (Some(path), Some(comment)) = (&context.path, context.line_comment) {
        text.push_str(&format!("{comment} {path}\n"));
    }
    if !context.imports.is_empty() {
        text.push_str(&context.imports);
        text.push('\n');
    }
    text + &context.cells_before + &context.prefix
}
