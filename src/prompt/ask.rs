//! Prompts of questions about a piece of code. They share everything up to the question itself, so that asking for a fix
//! after an explanation computes little again.

use super::{block, fence};
use crate::context::{Caller, Excerpt, ItemContext, Marked};
use crate::model::{Prompt, Role, Turn};

pub(super) const INSTRUCTIONS: &str = "You are an experienced programmer who helps a colleague with the code in front of them. You \
    are accurate, concrete and brief. You say so when the code you are shown does not settle a question.";

/// What the code does; with a marked problem: what that problem is and how to solve it. Short Markdown.
pub fn explain_prompt(context: &ItemContext) -> Prompt {
    let request = match &context.marked {
        Some(marked) => format!(
            "{}Explain this problem: what it means, why this code causes it, and what to change. Answer in a few \
             sentences of Markdown; show only the lines that have to change.",
            problem(marked)
        ),
        None => "Explain what this code does, how it does it, and what to watch out for when using or changing it. \
                 Answer in a few short paragraphs or list items of Markdown and do not repeat the code."
            .to_string(),
    };
    Prompt { turns: turns(context, &request), ..Prompt::default() }
}

/// The code with its marked problem solved.
pub fn fix_prompt(context: &ItemContext) -> Prompt {
    let request = match &context.marked {
        Some(marked) => {
            format!("{}Correct the code so that this problem is gone. Change nothing else.", problem(marked))
        }
        None => "Find what is wrong with this code and correct it. Change nothing else.".to_string(),
    };
    edit(context, &request)
}

/// The code written better, as `instruction` says if there is one.
pub fn refactor_prompt(context: &ItemContext, instruction: Option<&str>) -> Prompt {
    let request = match instruction.map(str::trim).filter(|instruction| !instruction.is_empty()) {
        Some(instruction) => format!("Change the code as follows: {instruction}\nChange nothing else."),
        None => "Rewrite the code so that it is simpler and easier to read. It must do exactly what it does now, and \
                 its name and parameters must stay."
            .to_string(),
    };
    edit(context, &request)
}

/// The code with documentation comments.
pub fn document_prompt(context: &ItemContext) -> Prompt {
    edit(
        context,
        "Write the documentation comment of this code in the usual form of its language: what it does, its parameters, \
         result and errors where they are not obvious. Keep the code itself exactly as it is.",
    )
}

/// Tests of the code, to be placed after it or in a file of their own.
pub fn tests_prompt(context: &ItemContext) -> Prompt {
    let request = "Write unit tests of this code with the test framework that is usual in its language: the ordinary \
        case, the edge cases, the errors. Answer with the tests only, in one code block, and do not repeat the code.";
    Prompt { turns: turns(context, request), prefill: opened_block(context), ..Prompt::default() }
}

/// `prompt` again after an answer that could not be used, for `reason` (a sentence without a full stop).
pub fn retry_prompt(prompt: &Prompt, answer: &str, reason: &str) -> Prompt {
    let question = format!("That cannot be used: {reason}. Answer again with the whole code, in one code block.");
    Prompt { prefill: prompt.prefill.clone(), ..follow_up(prompt, answer, &question) }
}

/// The conversation of `prompt` and its `answer`, continued by another question.
pub fn follow_up(prompt: &Prompt, answer: &str, question: &str) -> Prompt {
    let mut turns = prompt.turns.clone();
    // A code block that the prompt has opened ends the answer, with what closes it left out.
    let fence = &prompt.prefill[..prompt.prefill.len() - prompt.prefill.trim_start_matches('`').len()];
    let is_open = !fence.is_empty() && !answer.trim_end().ends_with(fence);
    let close = if is_open { format!("\n{fence}") } else { String::new() };
    turns.push(Turn { role: Role::Assistant, text: format!("{}{answer}{close}", prompt.prefill) });
    turns.push(Turn { role: Role::User, text: question.to_string() });
    Prompt { turns, ..Prompt::default() }
}

/// A request whose answer replaces the code; the answer begins inside its code block, so that nothing precedes it.
fn edit(context: &ItemContext, request: &str) -> Prompt {
    let request = format!(
        "{request}\nAnswer with the complete code from its first to its last line, in one code block, with the same \
         indentation, and with nothing before or after it."
    );
    Prompt { turns: turns(context, &request), prefill: opened_block(context), ..Prompt::default() }
}

fn opened_block(context: &ItemContext) -> String {
    format!("{}{}\n", fence(&context.language, &context.code), context.language)
}

fn turns(context: &ItemContext, request: &str) -> Vec<Turn> {
    vec![
        Turn { role: Role::System, text: INSTRUCTIONS.to_string() },
        Turn { role: Role::User, text: format!("{}\n{request}", material(context)) },
    ]
}

/// What the question is about, the code itself last.
fn material(context: &ItemContext) -> String {
    let language = &context.language;
    let mut text = String::new();
    if !context.imports.is_empty() {
        text.push_str(&format!("The file imports:\n{}\n", block(language, &context.imports)));
    }
    if !context.definitions.is_empty() {
        text.push_str(&format!("The code uses:\n{}\n", block(language, &context.definitions.join("\n\n"))));
    }
    for of_one_file in context.definitions_elsewhere.chunk_by(|a, b| a.path == b.path) {
        let code: Vec<&str> = of_one_file.iter().map(|excerpt| excerpt.code.as_str()).collect();
        let Excerpt { path, language, .. } = &of_one_file[0];
        let place = path.as_ref().map_or("another file".to_string(), |path| format!("`{path}`"));
        text.push_str(&format!("The code uses, from {place}:\n{}\n", block(language, &code.join("\n\n"))));
    }
    if !context.outline.is_empty() {
        text.push_str(&format!("The code is inside of:\n{}\n", block(language, &context.outline)));
    }
    let place = context.path.as_ref().map(|path| format!(" from `{path}`")).unwrap_or_default();
    text.push_str(&format!("This is the code{place}, line {} on:\n", context.first_line));
    text.push_str(&block(language, &context.code));
    if context.cut {
        text.push_str("It is only a part: the whole is too long to be shown.\n");
    }
    if !context.callers.is_empty() {
        text.push_str("\nIt is called like this:\n");
        context.callers.iter().for_each(|caller| text.push_str(&call(caller)));
    }
    text
}

fn call(caller: &Caller) -> String {
    let within = caller.within.as_ref().map(|name| format!(" in `{name}`")).unwrap_or_default();
    let file = caller.path.as_ref().map(|path| format!(" of `{path}`")).unwrap_or_default();
    format!("- line {}{within}{file}: {}\n", caller.line, caller.text)
}

fn problem(marked: &Marked) -> String {
    let source =
        marked.problem.source.as_ref().map(|source| format!("{source} reports a")).unwrap_or("There is a".into());
    let mut text = format!("{source} problem in line {} of this code, `{}`:\n", marked.line, marked.text);
    for line in marked.problem.message.lines().chain(marked.problem.related.iter().map(String::as_str)) {
        text.push_str(&format!("> {line}\n"));
    }
    text.push('\n');
    text
}
