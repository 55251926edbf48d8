//! Questions whose answer is an edit: fix, refactor, document, write tests. An edit is offered only after it was checked.

mod answer;
mod hunks;
mod rebase;
mod test_placement;

use std::ops::Range;
use std::path::PathBuf;

use crate::context::{Snapshot, Surroundings};
use crate::engine::{Candidate, GenerationParams, StopReason, StopRules};
use crate::features::code_actions::Action;
use crate::features::indentation::{IndentStyle, reindent};
use crate::features::question::{AssistantOptions, NotAsked, Question, check_room, context_of};
use crate::model::Prompt;
use crate::prompt::{document_prompt, fence, fix_prompt, refactor_prompt, retry_prompt, tests_prompt};
use crate::syntax::{Capture, Parsed, QueryKind, UNKNOWN};
use crate::text::{Edit, Rope, with_line_feeds};

pub use rebase::rebased;

use test_placement::TestTarget;

use answer::{NoCode, code_block, elided_line};

/// Lines before and after the target that tell how the file is indented.
const STYLE_LINES: usize = 100;

/// What to ask, and everything that `finish` needs.
#[derive(Debug, Clone)]
pub struct EditPlan {
    pub action: Action,
    pub prompt: Prompt,
    pub params: GenerationParams,
    /// The lines an edit may replace, without their last line break.
    pub target: Range<usize>,
    /// The code fence that the prompt has opened, after which the answer goes on.
    pub fence: String,
    /// It asks again, after an answer that could not be used.
    pub is_retry: bool,
    /// Where tests go, if they are asked for.
    tests: Option<TestTarget>,
}

/// The change in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Hunks in the document's text, in order.
    Edits(Vec<Edit>),
    /// Hunks in the text of another file, which is `before`, in order.
    OtherFile { path: PathBuf, before: Rope, edits: Vec<Edit> },
    /// A file of its own; `path` is absolute if the document's is.
    NewFile { path: PathBuf, text: String },
}

/// Why an answer is not offered as an edit. The message is for the person, and for the model when it is asked again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the answer contains no code")]
    NoCode,
    #[error("the answer stops before the code ends")]
    CutOff,
    #[error("line {line} of the answer stands in for code that was left out: `{text}`")]
    LeftOut { line: usize, text: String },
    #[error("the answer suggests no change")]
    Unchanged,
    #[error("the code would not parse with the answer in its place")]
    DoesNotParse,
    #[error("the answer no longer contains `{name}`")]
    Lost { name: String },
    #[error("the answer would define `{name}` a second time; give the new code another name")]
    Duplicate { name: String },
    #[error("there is no place for the tests: {reason}")]
    NoPlace { reason: String },
    #[error("the answer changes code where only comments were asked for")]
    ChangesCode,
    #[error("the document has changed since the question")]
    Stale,
}

impl Rejection {
    /// Whether asking again, with the reason, can help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoCode
            | Self::LeftOut { .. }
            | Self::DoesNotParse
            | Self::Lost { .. }
            | Self::Duplicate { .. }
            | Self::ChangesCode => true,
            Self::CutOff | Self::Unchanged | Self::NoPlace { .. } | Self::Stale => false,
        }
    }
}

/// What to ask the model for an edit.
///
/// # Errors
/// Why the model is not asked.
pub fn plan(
    snapshot: &Snapshot,
    surroundings: &Surroundings,
    question: &Question,
    options: &AssistantOptions,
) -> Result<EditPlan, NotAsked> {
    let context = context_of(snapshot, surroundings, question, options)?;
    let prompt = match question.action {
        Action::Refactor => refactor_prompt(&context, question.instruction.as_deref()),
        Action::Document => document_prompt(&context),
        Action::WriteTests => tests_prompt(&context),
        Action::FixProblem | Action::ExplainCode | Action::ExplainProblem => fix_prompt(&context),
    };
    if question.action != Action::WriteTests {
        check_room(&context.code, options)?;
    }
    let tests = (question.action == Action::WriteTests)
        .then(|| test_placement::test_target(snapshot, surroundings, &context.code_range));
    if let Some(TestTarget::Nowhere(reason)) = &tests {
        return Err(NotAsked::NoPlace { reason: reason.clone() });
    }
    let fence = fence(&context.language, &context.code);
    let params = GenerationParams {
        max_new_tokens: options.max_tokens,
        // Code that is copied may repeat itself as often as the original does.
        stop: StopRules { stop_strings: vec![format!("\n{fence}")], ..StopRules::default() },
        ..GenerationParams::default()
    };
    Ok(EditPlan { action: question.action, prompt, params, target: context.code_range, fence, is_retry: false, tests })
}

/// `plan` again after its `answer` was rejected, with the reason told to the model.
pub fn retry(plan: &EditPlan, answer: &str, reason: &Rejection) -> EditPlan {
    EditPlan { prompt: retry_prompt(&plan.prompt, answer, &reason.to_string()), is_retry: true, ..plan.clone() }
}

/// Turns the model's answer to `plan` into an edit of `snapshot`, the document it was asked about.
///
/// # Errors
/// Why the answer is not to be applied; it can still be shown as text.
pub fn finish(plan: &EditPlan, snapshot: &Snapshot, candidate: &Candidate) -> Result<Change, Rejection> {
    let original = snapshot.text.get_byte_slice(plan.target.clone()).ok_or(Rejection::Stale)?.to_string();
    let language = snapshot.language.map_or("", |language| language.name);
    let ended = candidate.stop_reason != StopReason::MaxTokens;
    let answer = with_line_feeds(candidate.text.clone());
    let code = code_block(&answer, language, &plan.fence, ended).map_err(|reason| match reason {
        NoCode::Prose => Rejection::NoCode,
        NoCode::CutOff => Rejection::CutOff,
    })?;
    if let Some(line) = elided_line(code, &original, snapshot.language.unwrap_or(&UNKNOWN)) {
        let text = code.lines().nth(line - 1).unwrap_or("").trim().to_owned();
        return Err(Rejection::LeftOut { line, text });
    }
    let style = indent_style(snapshot, &plan.target);
    if let Some(target) = &plan.tests {
        return test_placement::place_tests(snapshot, target, &plan.target, code, style);
    }
    let code = reindent(code, &original, style);
    if code.trim_end() == original.trim_end() {
        return Err(Rejection::Unchanged);
    }
    if let Some(before) = &snapshot.parsed {
        check_code(plan, before, &original, &code)?;
    }
    Ok(Change::Edits(hunks::hunks(&original, &code, plan.target.start)))
}

/// What a person would notice first if it were wrong.
fn check_code(plan: &EditPlan, before: &Parsed, original: &str, code: &str) -> Result<(), Rejection> {
    let Some(after) = before.with_replacement(plan.target.clone(), code) else { return Ok(()) };
    if after.has_new_errors(before) {
        return Err(Rejection::DoesNotParse);
    }
    let replaced = plan.target.start..plan.target.start + code.len();
    let kept = names(&after, &replaced);
    let lost = names(before, &plan.target).into_iter().find(|name| !kept.contains(name));
    match (plan.action, lost) {
        // A refactoring may inline and rename what is inside, but what the question was about stays.
        (Action::Refactor, Some(name)) if outermost_name(before, &plan.target).as_ref() != Some(&name) => {}
        (_, Some(name)) => return Err(Rejection::Lost { name }),
        (_, None) => {}
    }
    let only_comments = plan.action == Action::Document;
    if only_comments && without_comments(before, &plan.target, original) != without_comments(&after, &replaced, code) {
        return Err(Rejection::ChangesCode);
    }
    Ok(())
}

/// Names of the items that begin in `range`.
fn names(parsed: &Parsed, range: &Range<usize>) -> Vec<String> {
    let items = parsed.items(range.clone()).into_iter();
    items.filter(|item| range.contains(&item.name.start)).map(|item| parsed.slice(item.name)).collect()
}

fn outermost_name(parsed: &Parsed, range: &Range<usize>) -> Option<String> {
    names(parsed, range).into_iter().next()
}

/// `code`, which is `range` of `parsed`, without comments, docstrings and white space: what it does.
fn without_comments(parsed: &Parsed, range: &Range<usize>, code: &str) -> String {
    let mut kept = String::new();
    let mut offset = range.start;
    for (capture, region) in parsed.captures(QueryKind::Regions) {
        let begins_line = || parsed.slice(line_start(parsed, region.start)..region.start).trim().is_empty();
        let is_comment = capture == Capture::Comment || (capture == Capture::String && begins_line());
        if is_comment && region.start >= offset && region.end <= range.end {
            kept.push_str(&code[offset - range.start..region.start - range.start]);
            offset = region.end;
        }
    }
    kept.push_str(&code[offset - range.start..]);
    kept.retain(|character| !character.is_whitespace());
    kept
}

fn line_start(parsed: &Parsed, offset: usize) -> usize {
    parsed.text().line_to_byte(parsed.text().byte_to_line(offset))
}

/// How the lines around `target` are indented, its own first.
fn indent_style(snapshot: &Snapshot, target: &Range<usize>) -> IndentStyle {
    let text = &snapshot.text;
    let (first, last) = (text.byte_to_line(target.start), text.byte_to_line(target.end));
    let around = (first..=last)
        .chain(last + 1..text.len_lines().min(last + 1 + STYLE_LINES))
        .chain((first.saturating_sub(STYLE_LINES)..first).rev());
    let lines: Vec<_> = around.map(|line| text.line(line).to_string()).collect();
    IndentStyle::of_lines(lines.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::engine::Certainty;
    use crate::features::fixture::selected;
    use crate::model::PromptForm;
    use crate::text::apply_edit;

    fn finished(
        action: Action,
        language_id: &str,
        marked: &str,
        answer: &str,
        stop: StopReason,
    ) -> (Snapshot, Result<Change, Rejection>) {
        let (snapshot, target) = selected(language_id, marked);
        let params = GenerationParams { max_new_tokens: 100, ..GenerationParams::default() };
        let tests = (action == Action::WriteTests)
            .then(|| test_placement::test_target(&snapshot, &Surroundings::default(), &target));
        let (prompt, fence) = (Prompt::default(), String::new());
        let plan = EditPlan { action, prompt, params, target, fence, is_retry: false, tests };
        let candidate = Candidate {
            text: answer.to_owned(),
            stop_reason: stop,
            certainty: Some(Certainty::of(-0.1)),
            form: PromptForm::Chat,
        };
        let change = finish(&plan, &snapshot, &candidate);
        (snapshot, change)
    }

    /// The selected code, the model's answer, and the hunks or the reason.
    fn check(action: Action, language_id: &str, marked: &str, answer: &str, expect: Expect) {
        let (snapshot, change) = finished(action, language_id, marked, answer, StopReason::EndOfTurn);
        let found = match change {
            Err(reason) => format!("{reason}\n"),
            Ok(Change::NewFile { path, text }) => format!("{}:\n{text}", path.display()),
            Ok(Change::OtherFile { path, .. }) => format!("{}\n", path.display()),
            Ok(Change::Edits(edits)) => {
                let mut text = snapshot.text.clone();
                edits.iter().rev().for_each(|edit| apply_edit(&mut text, edit));
                format!("{} hunks\n{text}", edits.len())
            }
        };
        expect.assert_eq(&found);
    }

    fn fix(language_id: &str, marked: &str, answer: &str, expect: Expect) {
        check(Action::FixProblem, language_id, marked, answer, expect);
    }

    const PYTHON: &str =
        "class A:\n$0    def f(self, a):\n        b = a + 1\n        return c$0\n\n    def g(self):\n        pass\n";

    #[test]
    fn a_fix_changes_only_what_differs() {
        fix(
            "python",
            PYTHON,
            "Use b:\n```python\ndef f(self, a):\n    b = a + 1\n    return b\n```\n",
            expect![[r#"
            1 hunks
            class A:
                def f(self, a):
                    b = a + 1
                    return b

                def g(self):
                    pass
        "#]],
        );
        fix(
            "rust",
            "$0fn f() -> i32 {\n    \"1\"\n}$0\n",
            "```rust\nfn f() -> i32 {\n  1\n}\n```",
            expect![[r#"
            1 hunks
            fn f() -> i32 {
                1
            }
        "#]],
        );
    }

    #[test]
    fn an_answer_that_cannot_be_trusted_is_not_an_edit() {
        fix(
            "python",
            PYTHON,
            "There is nothing wrong.",
            expect![[r#"
            the answer contains no code
        "#]],
        );
        fix(
            "python",
            PYTHON,
            "",
            expect![[r#"
            the answer contains no code
        "#]],
        );
        fix(
            "python",
            PYTHON,
            "```python\n    def f(self, a):\n        b = a + 1\n        return c\n```",
            expect![[r#"
            the answer suggests no change
        "#]],
        );
        fix(
            "python",
            PYTHON,
            "```python\ndef f(self, a):\n    # ... existing code ...\n    return b\n```",
            expect![[r#"
                line 2 of the answer stands in for code that was left out: `# ... existing code ...`
            "#]],
        );
        fix(
            "python",
            PYTHON,
            "```python\ndef f(self, a:\n    return b\n```",
            expect![[r#"
            the code would not parse with the answer in its place
        "#]],
        );
        fix(
            "python",
            PYTHON,
            "```python\ndef h(self, a):\n    return b\n```",
            expect![[r#"
                the answer no longer contains `f`
            "#]],
        );
        fix(
            "python",
            PYTHON,
            "```python\nprint(1)\n```",
            expect![[r#"
                the answer no longer contains `f`
            "#]],
        );
        let answer = "```python\ndef f(self, a):\n    b = a +";
        let (_, cut_off) = finished(Action::FixProblem, "python", PYTHON, answer, StopReason::MaxTokens);
        assert_eq!(cut_off, Err(Rejection::CutOff));
    }

    #[test]
    fn errors_that_were_there_do_not_forbid_an_edit() {
        fix(
            "python",
            "def broken(:\n    pass\n\n$0def f():\n    return a$0\n",
            "```python\ndef f():\n    return b\n```",
            expect![[r#"
            1 hunks
            def broken(:
                pass

            def f():
                return b
        "#]],
        );
    }

    #[test]
    fn documenting_changes_no_code() {
        let check = |language_id, marked, answer, expect| check(Action::Document, language_id, marked, answer, expect);
        check(
            "rust",
            "$0fn f() -> i32 {\n    1\n}$0\n",
            "```rust\n/// One.\nfn f() -> i32 {\n    1 // one\n}\n```",
            expect![[r#"
            2 hunks
            /// One.
            fn f() -> i32 {
                1 // one
            }
        "#]],
        );
        check(
            "rust",
            "$0fn f() -> i32 {\n    1\n}$0\n",
            "```rust\n/// One.\nfn f() -> i64 {\n    1\n}\n```",
            expect![[r#"
            the answer changes code where only comments were asked for
        "#]],
        );
        check(
            "python",
            "$0def f():\n    return 'a'$0\n",
            "```python\ndef f():\n    \"\"\"Return a.\"\"\"\n    return 'a'\n```",
            expect![[r#"
            1 hunks
            def f():
                """Return a."""
                return 'a'
        "#]],
        );
        check(
            "python",
            "$0def f():\n    return 'a'$0\n",
            "```python\ndef f():\n    \"\"\"Return a.\"\"\"\n    return 'b'\n```",
            expect![[r#"
            the answer changes code where only comments were asked for
        "#]],
        );
    }

    #[test]
    fn a_refactoring_may_change_what_is_inside() {
        let marked = "$0fn f() -> i32 {\n    fn h() -> i32 { 1 }\n    h()\n}$0\n";
        check(
            Action::Refactor,
            "rust",
            marked,
            "```rust\nfn f() -> i32 {\n    1\n}\n```",
            expect![[r#"
            1 hunks
            fn f() -> i32 {
                1
            }
        "#]],
        );
        check(
            Action::Refactor,
            "rust",
            marked,
            "```rust\nfn one() -> i32 {\n    1\n}\n```",
            expect![[r#"
                the answer no longer contains `f`
            "#]],
        );
    }

    #[test]
    fn a_target_outside_the_document_is_stale() {
        let (snapshot, _) = selected("python", "$0");
        let (_, change) = finished(Action::FixProblem, "python", "$0a = 1$0", "```\na = 2\n```", StopReason::EndOfTurn);
        assert!(change.is_ok());
        let params = GenerationParams { max_new_tokens: 1, ..GenerationParams::default() };
        let plan = EditPlan {
            action: Action::Refactor,
            prompt: Prompt::default(),
            params,
            target: 5..9,
            fence: String::new(),
            is_retry: false,
            tests: None,
        };
        let candidate = Candidate {
            text: "```\na\n```".to_owned(),
            stop_reason: StopReason::EndOfTurn,
            certainty: Some(Certainty::of(0.0)),
            form: PromptForm::Chat,
        };
        assert_eq!(finish(&plan, &snapshot, &candidate), Err(Rejection::Stale));
    }
}
