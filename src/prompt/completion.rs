//! Prompts of inline completions: what of a file a model sees, and how it is asked.

use super::layout::{Form, Layout, Others};
use super::{block, fence_around};
use crate::context::{CompletionContext, Excerpt, Project, RecentEdit};
use crate::model::{FimFile, FimParts, Prompt, Role, Turn};

const INSTRUCTIONS: &str = "You complete source code. You write only the code of the file you are asked for, in the \
    style of that file, without explanations.";

/// Stands for what is to be written, where its place is marked.
const MARK: &str = "<missing>";

/// The prompt for what follows the prefix of `context`. While a person types, one prompt is the beginning of the next.
pub fn completion_prompt(layout: Layout, context: &CompletionContext) -> Prompt {
    let fim = || Some(fim(layout, context));
    match layout.form {
        Form::Auto => Prompt { fim: fim(), ..chat(layout, context) },
        Form::Chat => chat(layout, context),
        Form::Fim => Prompt { fim: fim(), ..Prompt::default() },
        Form::Plain => Prompt { prefill: plain(layout, context), ..Prompt::default() },
    }
}

/// The fence of the code block that a completion is written in. Fences in the code, as documentation has them, do not end it.
pub fn completion_fence(context: &CompletionContext) -> String {
    fence_around(&context.language, context.longest_fence)
}

fn chat(layout: Layout, context: &CompletionContext) -> Prompt {
    let mut turns = vec![Turn { role: Role::System, text: INSTRUCTIONS.to_string() }];
    if layout.has_example {
        let (context, missing) = example();
        let answer = format!("{}{missing}\n{}", answer(layout, &context), completion_fence(&context));
        turns.push(Turn { role: Role::User, text: question(layout, &context) });
        turns.push(Turn { role: Role::Assistant, text: answer });
    }
    turns.push(Turn { role: Role::User, text: question(layout, context) });
    Prompt { turns, prefill: answer(layout, context), ..Prompt::default() }
}

/// What a model is asked that follows instructions.
fn question(layout: Layout, context: &CompletionContext) -> String {
    let language = &context.language;
    let is_commented = comment_of_others(layout, context).is_some();
    let mut question = if is_commented { String::new() } else { files_in_question(&context.project) };
    question.push_str(&changes_in_question(&context.project));
    if let Some(path) = &context.path {
        question.push_str(&format!("The file is `{path}`.\n\n"));
    }
    if !context.imports.is_empty() && !is_commented {
        question.push_str(&format!("It imports:\n{}\n", block(language, &context.imports)));
    }
    if !context.outline.is_empty() {
        question.push_str(&format!("It also declares:\n{}\n", block(language, &context.outline)));
    }
    question + &request(layout, context)
}

/// The end of the question: the code around the place, as far as the answer does not begin with it, and what to write.
fn request(layout: Layout, context: &CompletionContext) -> String {
    let language = &context.language;
    let mut request = String::new();
    let ending = match context.suffix.trim().is_empty() {
        true => context.cells_after.trim_start().to_owned(),
        false => format!("{}{}", context.suffix.trim_end(), context.cells_after),
    };
    if layout.marks_place {
        let place = format!("{}{MARK}\n{ending}", context.near);
        request.push_str(&format!("Code is missing in it, at `{MARK}`:\n{}\n", block(language, &place)));
    } else if !ending.is_empty() {
        request.push_str(&format!("It ends with this code:\n{}\n", block(language, &ending)));
    }
    let (beginning, _) = code_before(layout, context);
    if !beginning.trim().is_empty() {
        request.push_str(&format!("It begins with this code:\n{}\n", block(language, &beginning)));
    }
    let wanted = match (layout.marks_place, beginning.trim().is_empty(), ending.is_empty()) {
        (true, true, _) => format!("Write the code of this file with what is missing in the place of `{MARK}`,"),
        (true, false, _) => format!("Write the code that follows, with what is missing in the place of `{MARK}`,"),
        (false, true, true) => "Write the code of this file".to_owned(),
        (false, true, false) => "Write the code that comes before this ending, up to it,".to_owned(),
        (false, false, true) => "Write the code that follows this beginning,".to_owned(),
        (false, false, false) => "Write the code that comes between,".to_owned(),
    };
    request + &wanted + " in one code block."
}

/// What its answer begins with.
fn answer(layout: Layout, context: &CompletionContext) -> String {
    let (_, near) = code_before(layout, context);
    format!("{}{}\n{near}", completion_fence(context), context.language)
}

/// The code before the cursor: what of it the question shows, and what the answer begins with.
fn code_before(layout: Layout, context: &CompletionContext) -> (String, String) {
    let others = others_in_code(layout, context);
    let imports = if comment_of_others(layout, context).is_some() { imports_in_code(context) } else { String::new() };
    let before = others + &imports + &context.cells_before;
    match layout.has_short_answer {
        true => {
            let (far, near) = context.prefix.split_at(context.near_start);
            (before + far, near.to_owned())
        }
        false => (String::new(), before + &context.prefix),
    }
}

/// A place in a small file, and what is missing there.
fn example() -> (CompletionContext, &'static str) {
    let prefix =
        "def area(width, height):\n    return width * height\n\n\ndef volume(width, height, depth):\n    return ";
    let typed_start = prefix.len() - "    return ".len();
    let context = CompletionContext {
        path: Some("shapes/box.py".to_owned()),
        language: "python".to_owned(),
        line_comment: Some("#"),
        project: Project::default(),
        imports: String::new(),
        outline: String::new(),
        cells_before: String::new(),
        suffix: "\n\ndef is_cube(width, height, depth):\n    return width == height == depth\n".to_owned(),
        cells_after: String::new(),
        prefix: prefix.to_owned(),
        prefix_start: 0,
        typed_start,
        near_start: prefix.find("def volume").unwrap_or_default(),
        near: "def volume(width, height, depth):\n".to_owned(),
        line_suffix: String::new(),
        longest_fence: 0,
    };
    (context, "area(width, height) * depth")
}

/// The code of other files of the project, before anything that changes more often.
fn files_in_question(project: &Project) -> String {
    let mut text = String::new();
    for Excerpt { path, language, code } in &project.excerpts {
        match path {
            Some(path) => text.push_str(&format!("From `{path}`:\n{}\n", block(language, code))),
            None => text.push_str(&format!("From another file:\n{}\n", block(language, code))),
        }
    }
    text
}

fn changes_in_question(project: &Project) -> String {
    if project.edits.is_empty() {
        return String::new();
    }
    let changes: String = project.edits.iter().map(change).collect();
    format!("The latest changes:\n{}\n", block("diff", &changes))
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

/// What begins a comment, where code of other files stands in comments.
fn comment_of_others(layout: Layout, context: &CompletionContext) -> Option<&'static str> {
    context.line_comment.filter(|_| layout.others == Others::Comments)
}

/// What other files say, above the code of the file itself; nothing where they are files of their own.
fn others_in_code(layout: Layout, context: &CompletionContext) -> String {
    let Some(comment) = comment_of_others(layout, context) else { return String::new() };
    let mut text = String::new();
    for FimFile { path, text: code } in project_files(&context.project) {
        text.push_str(&format!("{comment} {path}:\n"));
        code.lines().for_each(|line| text.push_str(&format!("{}\n", format!("{comment} {line}").trim_end())));
        text.push('\n');
    }
    text
}

/// The imports that the window does not reach, above it.
fn imports_in_code(context: &CompletionContext) -> String {
    if context.imports.is_empty() { String::new() } else { format!("{}\n", context.imports) }
}

/// The file as it is around the cursor, with the imports that the window does not reach in front.
fn fim(layout: Layout, context: &CompletionContext) -> FimParts {
    let (prefix, typed) = context.prefix.split_at(context.typed_start);
    let after = format!("{}{}", context.suffix, context.cells_after);
    let rest = context.line_suffix.trim_end();
    let is_commented = comment_of_others(layout, context).is_some();
    FimParts {
        path: context.path.clone(),
        line_comment: context.line_comment.map(str::to_owned),
        files: if is_commented { Vec::new() } else { project_files(&context.project) },
        prefix: others_in_code(layout, context) + &imports_in_code(context) + &context.cells_before + prefix,
        typed: typed.to_owned(),
        suffix: if rest.is_empty() && after.trim().is_empty() { String::new() } else { format!("{rest}\n{after}") },
    }
}

/// Path and imports as a file would have them, then the prefix.
fn plain(layout: Layout, context: &CompletionContext) -> String {
    let mut text = others_in_code(layout, context);
    if let Some(comment) = context.line_comment.filter(|_| layout.others == Others::Files) {
        for FimFile { path, text: code } in project_files(&context.project) {
            text.push_str(&format!("{comment} {path}\n{code}\n\n"));
        }
    }
    if let (Some(path), Some(comment)) = (&context.path, context.line_comment) {
        text.push_str(&format!("{comment} {path}\n"));
    }
    text + &imports_in_code(context) + &context.cells_before + &context.prefix
}
