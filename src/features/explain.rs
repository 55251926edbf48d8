//! Questions whose answer is read: explain this code, explain this problem.

use crate::context::{Snapshot, Surroundings};
use crate::engine::{GenerationParams, StopRules};
use crate::model::Prompt;
use crate::prompt::explain_prompt;

use super::question::{AssistantOptions, NotAsked, Question, context_of};

/// What to ask.
#[derive(Debug, Clone)]
pub struct ExplainPlan {
    pub prompt: Prompt,
    pub params: GenerationParams,
    /// The code was too long to be shown whole to the model, which the person should know.
    pub cut: bool,
}

/// What to ask the model so that it explains the question's code, or its problem.
///
/// # Errors
/// Why the model is not asked.
pub fn plan(
    snapshot: &Snapshot,
    surroundings: &Surroundings,
    question: &Question,
    options: &AssistantOptions,
) -> Result<ExplainPlan, NotAsked> {
    let context = context_of(snapshot, surroundings, question, options)?;
    Ok(ExplainPlan { prompt: explain_prompt(&context), params: params(options.max_tokens), cut: context.cut })
}

/// How an answer for reading is generated.
pub(super) fn params(max_new_tokens: usize) -> GenerationParams {
    GenerationParams {
        max_new_tokens,
        stop: StopRules { repetition: true, ..StopRules::default() },
        ..GenerationParams::default()
    }
}

/// The answer as Markdown that is safe to render: no HTML, no images, no links but to web pages. Code stays as it is.
pub fn finish(answer: &str) -> String {
    let (mut safe, open) = safe_markdown(answer);
    // Without this, what is shown after an answer that ends inside a block would become part of the block.
    if let Some(opener) = open {
        safe.push_str(if safe.ends_with('\n') { "" } else { "\n" });
        safe.push_str(opener);
    }
    safe
}

/// As much of [`finish`]'s text as no more of the answer can change; what is shown while the answer grows.
pub fn finished_so_far(answer: &str) -> String {
    safe_markdown(&answer[..settled(answer)]).0
}

/// Bytes of `answer` whose rendering does not depend on what follows.
fn settled(answer: &str) -> usize {
    let line_start = answer.rfind('\n').map_or(0, |at| at + 1);
    let line = &answer[line_start..];
    let mut at = 0;
    while let Some(character) = line[at..].chars().next() {
        let rest = &line[at..];
        let after = &rest[character.len_utf8()..];
        let width = match character {
            '`' => {
                let ticks = rest.len() - rest.trim_start_matches('`').len();
                Some(code_span(rest)).filter(|width| *width > ticks)
            }
            '!' if after.is_empty() => None,
            ']' if after.is_empty() || (after.starts_with('(') && !after.contains(')')) => None,
            _ => Some(character.len_utf8()),
        };
        let Some(width) = width else { break };
        at += width;
    }
    line_start + at
}

/// The answer with what is not safe made harmless, and the fence of a block that is left open.
fn safe_markdown(answer: &str) -> (String, Option<&str>) {
    let mut safe = String::with_capacity(answer.len());
    let mut fence: Option<&str> = None;
    for line in answer.trim().split_inclusive('\n') {
        let ticks = line.trim_start();
        let ticks = &ticks[..ticks.len() - ticks.trim_start_matches('`').len()];
        match fence {
            Some(opener) => {
                safe.push_str(line);
                let closes = ticks.len() >= opener.len() && line.trim().trim_start_matches('`').is_empty();
                fence = fence.filter(|_| !closes);
            }
            None if ticks.len() >= 3 => {
                safe.push_str(line);
                fence = Some(ticks);
            }
            None => safe.push_str(&safe_line(line)),
        }
    }
    (safe, fence)
}

/// One line of Markdown outside of code blocks.
fn safe_line(line: &str) -> String {
    let mut safe = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(character) = rest.chars().next() {
        let mut width = character.len_utf8();
        match character {
            '`' => {
                width = code_span(rest);
                safe.push_str(&rest[..width]);
            }
            '<' => safe.push_str("&lt;"),
            '!' if rest[1..].starts_with('[') => {}
            ']' if rest[1..].starts_with('(') => {
                let target = rest[2..].split(')').next().unwrap_or("");
                let is_page = target.starts_with("https://") || target.starts_with("http://");
                // Markdown reads entities and escapes in targets, so a scheme can hide in them.
                let has_scheme = target.contains([':', '&', '\\', '%']) && !is_page;
                safe.push(']');
                if has_scheme || is_image_text(&line[..line.len() - rest.len()]) {
                    width = (2 + target.len() + 1).min(rest.len());
                }
            }
            // The definition of a link's target, apart from the link.
            ']' if rest[1..].starts_with(':') => safe.push_str("\\]"),
            _ => safe.push(character),
        }
        rest = &rest[width..];
    }
    safe
}

/// Whether the bracket that closes after `before` was opened by `![`.
fn is_image_text(before: &str) -> bool {
    before.rfind('[').is_some_and(|open| before[..open].ends_with('!'))
}

/// Bytes of the code span `text` begins with; of its backticks alone if they are not closed.
fn code_span(text: &str) -> usize {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let inside = &text[ticks..];
    inside.find(&text[..ticks]).map_or(ticks, |end| ticks + end + ticks)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::features::code_actions::Action;
    use crate::features::fixture::selected;
    use crate::workspace::Workspaces;

    fn check(answer: &str, expect: Expect) {
        expect.assert_eq(&finish(answer));
    }

    #[test]
    fn answers_are_safe_to_render() {
        check("Uses `Vec<T>` and <b>bold</b>.", expect!["Uses `Vec<T>` and &lt;b>bold&lt;/b>."]);
        check(
            "See [docs](https://doc.rust-lang.org/) and [run](command:evil?x).",
            expect!["See [docs](https://doc.rust-lang.org/) and [run]."],
        );
        check("![pixel](https://example.org/a.png) end", expect!["[pixel] end"]);
        check(
            "[run][1]\n\n[1]: command:evil",
            expect![[r#"
            [run][1]

            [1\]: command:evil"#]],
        );
        check("[run](command&colon;evil) [more](./src/a.rs)", expect!["[run] [more](./src/a.rs)"]);
        check("a[0](1) and a `[x](command:y)`", expect!["a[0](1) and a `[x](command:y)`"]);
        check(
            "```html\n<b>[x](command:y)</b>\n```\n<b>",
            expect![[r#"
            ```html
            <b>[x](command:y)</b>
            ```
            &lt;b>"#]],
        );
        check(
            "```rust\nfn f() {",
            expect![[r#"
            ```rust
            fn f() {
            ```"#]],
        );
        check("\n\nText.\n", expect!["Text."]);
    }

    #[test]
    fn a_question_without_code_is_not_asked() {
        let (snapshot, target) = selected("python", "$0\n\n$0");
        let question = Question { action: Action::ExplainCode, target, exact: true, problem: None, instruction: None };
        let options = AssistantOptions { refusal: None, context_tokens: 1000, max_tokens: 100 };
        assert_eq!(plan(&snapshot, &Surroundings::default(), &question, &options).unwrap_err(), NotAsked::Empty);
        let refusal = Workspaces::default().refusal_of_name(".env".as_ref());
        let excluded = AssistantOptions { refusal, ..options };
        let reason = plan(&snapshot, &Surroundings::default(), &question, &excluded).unwrap_err();
        assert_eq!(reason.to_string(), "this file is excluded from prompts: looks like a secret (`.env*`)");
    }

    #[test]
    fn what_is_shown_early_is_never_taken_back() {
        let answer = "\n  Use `a < b` or ``c ` d``: see ![x](http://a) and [y](file:///z), a<b!\n```rust\nlet x = \"``\";\n\
                      ```\nThen [z](https://z) `open\n\n* end  \n```\ncut";
        let whole = finish(answer);
        for (end, _) in answer.char_indices() {
            let early = finished_so_far(&answer[..end]);
            assert!(whole.starts_with(&early), "{end}: {early:?} against {whole:?}");
        }
        assert_eq!(finished_so_far("plain words"), "plain words");
    }
}
