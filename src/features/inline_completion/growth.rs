//! A completion while the model still writes it: what of it can be shown already, because nothing takes it back any more.
//!
//! The first line grows by whole words and operators. Lines after it come whole: one that the limit of tokens breaks off is
//! dropped. What may turn out to be noise, or a line that is there already, is held back until it cannot. The end of a text
//! may contradict its beginning all the same, as where the model has lost its way: what is on the screen then stays.

use super::shape::is_undecided;
use super::{InlineItem, Plan, finish, finish_all};
use crate::engine::{Candidate, StopReason, TextPiece};
use crate::model::chat;

/// A completion that is being written.
#[derive(Debug, Clone, Default)]
pub struct Growth {
    written: TextPiece,
    /// Bytes of what is written that are whole words or lines.
    whole: usize,
    item: Option<InlineItem>,
}

impl Growth {
    /// What the model has written so far.
    pub fn text(&self) -> &str {
        &self.written.text
    }

    /// What can be shown of it.
    pub fn item(&self) -> Option<&InlineItem> {
        self.item.as_ref()
    }

    /// Adds what the model has written at the place of `plan` in the meantime; true if there is more to show than
    /// before.
    pub fn push(&mut self, plan: &Plan, piece: TextPiece) -> bool {
        self.written.text.push_str(&piece.text);
        self.written.certainty = piece.certainty;
        self.written.form = piece.form;
        let whole = whole_end(&self.written.text);
        // Nothing is selected in the suggest widget: such a completion is asked for by itself at every key.
        if whole == self.whole || plan.selected.is_some() {
            return false;
        }
        self.whole = whole;
        let item = self.shape(plan);
        let is_more = item.as_ref().is_some_and(|item| match &self.item {
            Some(shown) => item != shown && goes_on_from(item, shown),
            None => true,
        });
        if is_more {
            self.item = item;
        }
        is_more
    }

    /// The item that its whole words and lines make.
    fn shape(&self, plan: &Plan) -> Option<InlineItem> {
        let text = without_tag(&self.written.text[..self.whole]);
        if is_undecided(text, self.written.form, &plan.place) {
            return None;
        }
        let TextPiece { certainty, form, .. } = self.written;
        finish(plan, &Candidate { text: text.to_owned(), stop_reason: StopReason::EndOfTurn, certainty, form })
    }

    /// The items of the finished completion: where its beginning `is_shown`, the first one goes on from that.
    pub fn finish(&self, plan: &Plan, candidates: &[Candidate], is_shown: bool) -> Vec<InlineItem> {
        let mut items = finish_all(plan, candidates);
        if let Some(shown) = self.item.as_ref().filter(|_| is_shown)
            && !items.first().is_some_and(|first| goes_on_from(first, shown))
        {
            items.retain(|item| item != shown);
            items.insert(0, shown.clone());
        }
        items
    }
}

/// Whether who looks at `shown` sees it grow, or stay, when `item` comes.
fn goes_on_from(item: &InlineItem, shown: &InlineItem) -> bool {
    item.range.start == shown.range.start && item.insert_text.starts_with(&shown.insert_text)
}

/// Bytes of `text`, which goes on, up to its last whole line, or word where it has no second line.
fn whole_end(text: &str) -> usize {
    let content = text.len() - text.trim_start().len();
    match text[content..].rfind('\n') {
        Some(line_end) => content + line_end,
        None => content + whole_words_end(&text[content..]),
    }
}

/// Bytes of `line`, which goes on, up to the end of its last whole word or operator.
fn whole_words_end(line: &str) -> usize {
    #[derive(PartialEq)]
    enum Kind {
        Blank,
        Word,
        Operator,
        /// Means the same whatever follows.
        Mark,
    }
    let kind = |character: char| match character {
        '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' => Kind::Mark,
        '_' => Kind::Word,
        other if other.is_alphanumeric() => Kind::Word,
        other if other.is_whitespace() => Kind::Blank,
        _ => Kind::Operator,
    };
    let mut backwards = line.char_indices().rev().map(|(at, character)| (at, kind(character))).peekable();
    if backwards.peek().is_some_and(|(_, last)| *last == Kind::Mark) {
        return line.len();
    }
    while let Some((at, after)) = backwards.next() {
        if backwards.peek().is_some_and(|(_, before)| *before != after || *before == Kind::Mark) {
            return at;
        }
    }
    0
}

/// `text` up to what may become the tag of a turn, which a model may write as text.
fn without_tag(text: &str) -> &str {
    let text = text.trim_end();
    let begun = |tag: &str| (1..tag.len()).rev().find(|len| tag.get(..*len).is_some_and(|begin| text.ends_with(begin)));
    let longest = chat::tags().filter_map(begun).max().unwrap_or(0);
    &text[..text.len() - longest]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CompletionSettings;
    use crate::context::Anchor;
    use crate::engine::Certainty;
    use crate::features::fixture::at_cursor;
    use crate::features::inline_completion::{CompletionOptions, InlineRequest, Trigger, plan};
    use crate::model::PromptForm;

    fn plan_at(language_id: &str, marked: &str) -> Plan {
        let (snapshot, offset) = at_cursor(language_id, marked);
        let options = CompletionOptions::new(&CompletionSettings::default(), language_id, false);
        let request = InlineRequest { offset, trigger: Trigger::Automatic, selected: None };
        plan(&snapshot, request, &options, &mut Anchor::default()).expect("something is asked here")
    }

    fn piece(text: &str, mean_logprob: f32) -> TextPiece {
        TextPiece { text: text.to_owned(), certainty: Some(Certainty::of(mean_logprob)), form: PromptForm::Chat }
    }

    /// What is shown one after the other while the model writes `text` character by character.
    fn shown(plan: &Plan, text: &str) -> Vec<String> {
        let mut growth = Growth::default();
        let mut shown = Vec::new();
        for character in text.chars() {
            if growth.push(plan, piece(&character.to_string(), -0.1)) {
                shown.push(growth.item().expect("there is more").insert_text.clone());
            }
        }
        shown
    }

    fn check(language_id: &str, marked: &str, text: &str, expected: &[&str]) {
        assert_eq!(shown(&plan_at(language_id, marked), text), expected, "{marked:?}");
    }

    #[test]
    fn the_first_line_grows_by_words_and_the_others_come_whole() {
        check("python", "x = $0\n", "total + other(a", &["total", "total +", "total + other("]);
        check("python", "x = $0\n", "größe_1.x == 3", &["größe_1", "größe_1.", "größe_1.x", "größe_1.x =="]);
        check(
            "python",
            "def f(a):$0\n",
            "\n    b = a\n    return b\n    c",
            &["\n    b =", "\n    b = a", "\n    b = a\n    return b"],
        );
    }

    #[test]
    fn what_may_be_dropped_is_held_back() {
        // As a sentence in front of the code.
        check("python", "def f():\n    $0\n", "Here is the code: x ", &[]);
        check("python", "def f():\n    $0\n", "Here = there + 1", &["Here =", "Here = there", "Here = there +"]);
        // As what was typed already.
        check("python", "total = $0\n", "total = total + 1", &["total", "total +"]);
        // As the line above.
        check("python", "    self.width = width\n    $0\n", "self.width = width", &[]);
        check(
            "python",
            "    self.width = width\n    $0\n",
            "self.height = h ",
            &["self.height", "self.height =", "self.height = h"],
        );
        // As the tag that ends a turn.
        check("python", "x = $0\n", "total<|end|>", &["total"]);
        // As a fence.
        check("python", "def f():\n    $0\n", "```python\nx = 1\ny = 2\n", &[]);
    }

    #[test]
    fn closers_that_are_there_already_are_not_shown_twice() {
        check("python", "print($0)\n", "a, b.c) x", &["a,", "a, b", "a, b.", "a, b.c)"]);
    }

    #[test]
    fn a_guess_is_not_shown_before_the_model_is_sure() {
        let plan = plan_at("python", "x = $0\n");
        let mut growth = Growth::default();
        assert!(!growth.push(&plan, piece("total ", -3.0)));
        assert!(!growth.push(&plan, piece("+", -2.0)));
        assert!(growth.push(&plan, piece(" other ", -1.0)));
        assert_eq!(growth.item().expect("it is sure").insert_text, "total + other");
    }

    #[test]
    fn what_is_shown_stays_whatever_the_end_says() {
        let plan = plan_at("python", "x = $0\n");
        let mut growth = Growth::default();
        growth.push(&plan, piece("total + ", -0.1));
        let end = |text: &str, mean_logprob| Candidate {
            text: text.to_owned(),
            stop_reason: StopReason::LineEnd,
            certainty: Some(Certainty::of(mean_logprob)),
            form: PromptForm::Chat,
        };
        let texts = |items: Vec<InlineItem>| items.into_iter().map(|item| item.insert_text).collect::<Vec<_>>();
        assert_eq!(texts(growth.finish(&plan, &[end("total + other", -0.1)], true)), ["total + other"]);
        assert_eq!(texts(growth.finish(&plan, &[end("total + junk", -4.0)], true)), ["total +"]);
        assert_eq!(texts(growth.finish(&plan, &[end("total + junk", -4.0)], false)), [""; 0]);
        assert_eq!(texts(growth.finish(&plan, &[end("sum(a)", -0.1)], true)), ["total +", "sum(a)"]);
    }
}
