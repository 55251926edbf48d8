//! Which code actions are offered at a place in a document: kinds, titles and ranges, found without asking a model.

use std::ops::Range;

use crate::context::{Problem, Snapshot};
use crate::syntax::{Item, ItemKind};
use crate::text::{Rope, line_content};

/// How many diagnostics of one place get their own actions; a broken line can have dozens, whose menu would be
/// unreadable.
const MAX_DIAGNOSTICS: usize = 3;
/// Characters of a diagnostic's message in a title.
const TITLE_MESSAGE_CHARS: usize = 60;

/// What a person can ask the assistant to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    ExplainCode,
    ExplainProblem,
    FixProblem,
    Refactor,
    Document,
    WriteTests,
}

/// The kind of a code action, as LSP names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionKind {
    QuickFix,
    RefactorRewrite,
    /// No kind: an answer for reading. (`source` would be the nearest, but editors hide it from the menu of a
    /// selection.)
    Answer,
}

impl ActionKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QuickFix => "quickfix",
            Self::RefactorRewrite => "refactor.rewrite",
            Self::Answer => "",
        }
    }

    /// Whether a client that asks for `only` these kinds wants this one: kinds are hierarchies, separated by dots.
    pub fn is_wanted(self, only: &[String]) -> bool {
        let kind = self.as_str();
        only.is_empty()
            || only.iter().any(|wanted| {
                wanted.is_empty()
                    || kind.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
    }
}

impl Action {
    pub fn kind(self) -> ActionKind {
        match self {
            Self::ExplainProblem | Self::FixProblem => ActionKind::QuickFix,
            Self::Refactor | Self::Document | Self::WriteTests => ActionKind::RefactorRewrite,
            Self::ExplainCode => ActionKind::Answer,
        }
    }

    /// Whether the answer is an edit rather than a text to read.
    pub fn is_edit(self) -> bool {
        !matches!(self, Self::ExplainCode | Self::ExplainProblem)
    }

    fn title(self, what: &str) -> String {
        match self {
            Self::ExplainCode | Self::ExplainProblem => format!("Explain {what}"),
            Self::FixProblem => format!("Fix {what}"),
            Self::Refactor => format!("Refactor {what}"),
            Self::Document => format!("Document {what}"),
            Self::WriteTests => format!("Write tests for {what}"),
        }
    }
}

/// The severity of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    Error,
    Warning,
    Information,
    Hint,
}

/// A problem that some tool reported, and its severity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub problem: Problem,
    pub severity: Severity,
}

/// One action that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub action: Action,
    pub title: String,
    /// What the action is about, whole lines or a whole item.
    pub target: Range<usize>,
    /// It is about exactly these lines, not about the item around them.
    pub exact: bool,
    /// Index of the diagnostic it is about.
    pub diagnostic: Option<usize>,
}

/// The actions for `selection` (empty: the cursor) in `snapshot`, those on `diagnostics` first.
pub fn offers(snapshot: &Snapshot, selection: Range<usize>, diagnostics: &[Diagnostic]) -> Vec<Offer> {
    let length = snapshot.text.len_bytes();
    if length == 0 || selection.start > length || selection.end < selection.start {
        return Vec::new();
    }
    let selection = selection.start..selection.end.min(length);
    let mut offers = problem_offers(snapshot, diagnostics);
    let Some((target, what)) = subject(snapshot, &selection) else { return offers };
    let has_item = what != Subject::Lines;
    for action in [Action::ExplainCode, Action::Refactor, Action::Document, Action::WriteTests] {
        let wanted = match action {
            // Documentation and tests are about something that has a name.
            Action::Document => has_item || !selection.is_empty(),
            Action::WriteTests => {
                matches!(what, Subject::Item(ItemKind::Function | ItemKind::Method | ItemKind::Class | ItemKind::Impl))
            }
            _ => true,
        };
        if wanted {
            offers.push(Offer {
                action,
                title: action.title(&what.words()),
                target: target.clone(),
                exact: !has_item,
                diagnostic: None,
            });
        }
    }
    offers
}

/// Explanations and fixes of the worst `diagnostics`.
fn problem_offers(snapshot: &Snapshot, diagnostics: &[Diagnostic]) -> Vec<Offer> {
    let length = snapshot.text.len_bytes();
    let mut worst: Vec<_> =
        diagnostics.iter().enumerate().filter(|(_, diagnostic)| diagnostic.problem.range.start <= length).collect();
    worst.sort_by_key(|(index, diagnostic)| (diagnostic.severity, *index));
    worst.truncate(MAX_DIAGNOSTICS);
    let several = worst.len() > 1;
    let offer = |action: Action, index: usize, diagnostic: &Diagnostic| {
        let what = match several {
            true => format!("this problem: {}", shortened(&diagnostic.problem.message)),
            false => "this problem".to_owned(),
        };
        let Range { start, end } = diagnostic.problem.range;
        let target = problem_target(snapshot, &(start..end.clamp(start, length)));
        Offer { action, title: action.title(&what), target, exact: false, diagnostic: Some(index) }
    };
    let mut offers = Vec::new();
    for action in [Action::FixProblem, Action::ExplainProblem] {
        offers.extend(worst.iter().map(|(index, diagnostic)| offer(action, *index, diagnostic)));
    }
    offers
}

/// What an action without a diagnostic is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Item(ItemKind),
    Lines,
}

impl Subject {
    fn words(self) -> String {
        let noun = match self {
            Self::Lines => "code",
            Self::Item(ItemKind::Function) => "function",
            Self::Item(ItemKind::Method) => "method",
            Self::Item(ItemKind::Class) => "class",
            Self::Item(ItemKind::Interface) => "interface",
            Self::Item(ItemKind::Impl) => "implementation",
            Self::Item(ItemKind::Module) => "module",
            Self::Item(ItemKind::Type) => "type",
            Self::Item(ItemKind::Constant) => "constant",
            Self::Item(ItemKind::Macro) => "macro",
        };
        format!("this {noun}")
    }
}

/// The selected lines, or the innermost item around the cursor; without either, the cursor's line. `None` on a blank line
/// outside of everything.
fn subject(snapshot: &Snapshot, selection: &Range<usize>) -> Option<(Range<usize>, Subject)> {
    let text = &snapshot.text;
    let lines = whole_lines(text, selection);
    let item = innermost_item(snapshot, selection.start);
    if !selection.is_empty() {
        // A selection of a whole item is about the item.
        let selected = |(range, _): &(Range<usize>, ItemKind)| whole_lines(text, range) == lines;
        let subject =
            first_item(snapshot, &lines).filter(selected).map_or(Subject::Lines, |(_, kind)| Subject::Item(kind));
        return has_content(text, &lines).then_some((lines, subject));
    }
    match item {
        Some((range, kind)) => Some((whole_lines(text, &range), Subject::Item(kind))),
        None => has_content(text, &lines).then_some((lines, Subject::Lines)),
    }
}

/// The lines an action on the problem at `range` may change: the function it is in, or its own lines.
fn problem_target(snapshot: &Snapshot, range: &Range<usize>) -> Range<usize> {
    let function = snapshot.parsed.as_ref().and_then(|parsed| {
        let around = |item: &Item| item.kind.is_callable() && item.range.end >= range.end;
        let items = parsed.enclosing_items(range.start);
        items.into_iter().rev().find(around).map(|item| parsed.item_start(&item)..item.range.end)
    });
    whole_lines(&snapshot.text, &function.unwrap_or_else(|| range.clone()))
}

/// The innermost item around `offset`; in front of a line's first word that word counts.
fn innermost_item(snapshot: &Snapshot, offset: usize) -> Option<(Range<usize>, ItemKind)> {
    let parsed = snapshot.parsed.as_ref()?;
    let line_end = line_content(&snapshot.text, snapshot.text.byte_to_line(offset)).end.max(offset);
    let blanks = snapshot.text.byte_slice(offset..line_end).chars().take_while(|c| c.is_whitespace());
    let item = parsed.enclosing_items(offset + blanks.map(char::len_utf8).sum::<usize>()).pop()?;
    Some((parsed.item_start(&item)..item.range.end, item.kind))
}

/// The item that begins in `lines`.
fn first_item(snapshot: &Snapshot, lines: &Range<usize>) -> Option<(Range<usize>, ItemKind)> {
    let parsed = snapshot.parsed.as_ref()?;
    let mut items = parsed.items(lines.clone()).into_iter().filter(|item| item.range.start >= lines.start);
    items.next().map(|item| (parsed.item_start(&item)..item.range.end, item.kind))
}

/// `range` grown to whole lines, without their last line break. A range that ends at the start of a line leaves that out.
fn whole_lines(text: &Rope, range: &Range<usize>) -> Range<usize> {
    let end = range.end.min(text.len_bytes());
    let start = range.start.min(end);
    let first = text.byte_to_line(start);
    let mut last = text.byte_to_line(end);
    if last > first && text.line_to_byte(last) == end {
        last -= 1;
    }
    text.line_to_byte(first)..line_content(text, last).end
}

fn has_content(text: &Rope, range: &Range<usize>) -> bool {
    text.byte_slice(range.clone()).chars().any(|character| !character.is_whitespace())
}

/// The first line of `message`, cut to a title's length.
fn shortened(message: &str) -> String {
    let line = message.lines().next().unwrap_or("").trim();
    match line.char_indices().nth(TITLE_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::features::fixture::selected;

    fn diagnostic(range: Range<usize>, severity: Severity, message: &str) -> Diagnostic {
        Diagnostic { problem: Problem { range, message: message.to_owned(), ..Problem::default() }, severity }
    }

    /// One line per offer: its title, kind and the first and last line of its target.
    fn check(language_id: &str, marked: &str, diagnostics: &[Diagnostic], expect: Expect) {
        let (snapshot, selection) = selected(language_id, marked);
        let lines = offers(&snapshot, selection, diagnostics).into_iter().map(|offer| {
            let first = snapshot.text.byte_to_line(offer.target.start) + 1;
            let last = snapshot.text.byte_to_line(offer.target.end) + 1;
            format!("{} [{}] lines {first}-{last}\n", offer.title, offer.action.kind().as_str())
        });
        expect.assert_eq(&lines.collect::<String>());
    }

    #[test]
    fn a_cursor_is_about_the_item_around_it() {
        check(
            "rust",
            "use a;\n\n/// Adds.\nfn f(a: i32) -> i32 {\n    $0a + 1\n}\n",
            &[],
            expect![[r#"
            Explain this function [] lines 3-6
            Refactor this function [refactor.rewrite] lines 3-6
            Document this function [refactor.rewrite] lines 3-6
            Write tests for this function [refactor.rewrite] lines 3-6
        "#]],
        );
        check(
            "python",
            "class A:\n    x = 1\n$0    def f(self):\n        return 1\n",
            &[],
            expect![[r#"
                Explain this method [] lines 3-4
                Refactor this method [refactor.rewrite] lines 3-4
                Document this method [refactor.rewrite] lines 3-4
                Write tests for this method [refactor.rewrite] lines 3-4
            "#]],
        );
        check(
            "python",
            "import os\n$0x = 1\n",
            &[],
            expect![[r#"
            Explain this constant [] lines 2-2
            Refactor this constant [refactor.rewrite] lines 2-2
            Document this constant [refactor.rewrite] lines 2-2
        "#]],
        );
        check(
            "plaintext",
            "one\ntwo$0\n",
            &[],
            expect![[r#"
            Explain this code [] lines 2-2
            Refactor this code [refactor.rewrite] lines 2-2
        "#]],
        );
    }

    #[test]
    fn a_selection_is_about_its_lines() {
        check(
            "rust",
            "fn f() {\n    a($0);\n    b();\n$0    c();\n}\n",
            &[],
            expect![[r#"
            Explain this code [] lines 2-3
            Refactor this code [refactor.rewrite] lines 2-3
            Document this code [refactor.rewrite] lines 2-3
        "#]],
        );
        check(
            "rust",
            "$0fn f() {\n    a();\n}\n$0\nfn g() {}\n",
            &[],
            expect![[r#"
            Explain this function [] lines 1-3
            Refactor this function [refactor.rewrite] lines 1-3
            Document this function [refactor.rewrite] lines 1-3
            Write tests for this function [refactor.rewrite] lines 1-3
        "#]],
        );
    }

    #[test]
    fn nothing_is_offered_where_there_is_nothing() {
        check("rust", "$0", &[], expect![[r#""#]]);
        check("rust", "fn f() {}\n\n$0\n\n", &[], expect![[r#""#]]);
        let (snapshot, _) = selected("rust", "fn f() {}\n$0");
        assert_eq!(offers(&snapshot, 500..600, &[]), []);
    }

    #[test]
    fn problems_come_first_and_the_worst_of_them() {
        let error = diagnostic(13..14, Severity::Error, "cannot find value `a` in this scope");
        check(
            "rust",
            "fn f() {\n    $0a();\n}\n",
            std::slice::from_ref(&error),
            expect![[r#"
            Fix this problem [quickfix] lines 1-3
            Explain this problem [quickfix] lines 1-3
            Explain this function [] lines 1-3
            Refactor this function [refactor.rewrite] lines 1-3
            Document this function [refactor.rewrite] lines 1-3
            Write tests for this function [refactor.rewrite] lines 1-3
        "#]],
        );
        let warning = diagnostic(13..14, Severity::Warning, &"a long message ".repeat(10));
        let hint = |message| diagnostic(13..14, Severity::Hint, message);
        let many = [hint("one"), warning, error, hint("two")];
        check(
            "rust",
            "fn f() {\n    $0a();\n}\n",
            &many,
            expect![[r#"
            Fix this problem: cannot find value `a` in this scope [quickfix] lines 1-3
            Fix this problem: a long message a long message a long message a long message… [quickfix] lines 1-3
            Fix this problem: one [quickfix] lines 1-3
            Explain this problem: cannot find value `a` in this scope [quickfix] lines 1-3
            Explain this problem: a long message a long message a long message a long message… [quickfix] lines 1-3
            Explain this problem: one [quickfix] lines 1-3
            Explain this function [] lines 1-3
            Refactor this function [refactor.rewrite] lines 1-3
            Document this function [refactor.rewrite] lines 1-3
            Write tests for this function [refactor.rewrite] lines 1-3
        "#]],
        );
        let outside = diagnostic(900..901, Severity::Error, "elsewhere");
        check(
            "plaintext",
            "one$0\n",
            &[outside],
            expect![[r#"
            Explain this code [] lines 1-1
            Refactor this code [refactor.rewrite] lines 1-1
        "#]],
        );
    }

    #[test]
    fn kinds_are_hierarchies() {
        let only = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>();
        assert!(ActionKind::QuickFix.is_wanted(&[]));
        assert!(ActionKind::RefactorRewrite.is_wanted(&only(&["refactor"])));
        assert!(ActionKind::RefactorRewrite.is_wanted(&only(&["quickfix", "refactor.rewrite"])));
        assert!(!ActionKind::RefactorRewrite.is_wanted(&only(&["refactor.rewrite.more", "ref", "source"])));
        assert!(!ActionKind::Answer.is_wanted(&only(&["quickfix"])));
    }
}
