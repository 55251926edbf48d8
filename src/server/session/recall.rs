//! The completions a document has had lately: text typed in agreement with one is answered from it, without the model.
//!
//! Places are compared by content, not by counting edits: undo, redo and partial acceptance need no cases of their own.

use std::collections::VecDeque;
use std::ops::Range;

use crate::features::inline_completion::{InlineItem, Trigger, closers, cursors_before_closers, type_through};
use crate::text::Rope;
use ropey::RopeSlice;

/// How many completions a document remembers: enough to undo a few words.
const REMEMBERED: usize = 8;

/// One answer of the model.
#[derive(Debug)]
pub(super) struct Completion {
    /// Named in the command that reports acceptance.
    pub id: u64,
    /// The text it was made for.
    pub base: Rope,
    /// The cursor in `base`.
    pub offset: usize,
    pub trigger: Trigger,
    /// Best first; none when the model had nothing useful to say here.
    pub items: Vec<InlineItem>,
}

/// What is known about a place without asking the model.
#[derive(Debug, PartialEq)]
pub(super) enum Recalled {
    /// The completion `id` goes on like this.
    Items {
        id: u64,
        items: Vec<InlineItem>,
    },
    /// The model has nothing to say here, or the person did not want it.
    Nothing,
    Unknown,
}

/// The completions of one document, newest first.
#[derive(Debug, Default)]
pub(super) struct Recall {
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    completion: Completion,
    shown: bool,
    /// The person saw it and typed something else.
    rejected: bool,
}

impl Recall {
    /// Adds `completion`, newest.
    pub(super) fn remember(&mut self, completion: Completion) {
        self.entries.push_front(Entry { completion, shown: false, rejected: false });
        self.entries.truncate(REMEMBERED);
    }

    /// Whether [`Recall::recall`] has an answer for a person who types on at `cursor` in `text`.
    pub(super) fn knows(&self, text: &Rope, cursor: usize) -> bool {
        self.entries.iter().any(|entry| {
            let completion = &entry.completion;
            let nothing = completion.items.is_empty() && completion.offset == cursor && completion.base == *text;
            nothing || completion.items.iter().any(|item| completion.rest(item, text, cursor).is_some())
        })
    }

    /// Notes that completion `id` is on the person's screen.
    pub(super) fn mark_shown(&mut self, id: u64) {
        for entry in self.entries.iter_mut().filter(|entry| entry.completion.id == id) {
            entry.shown = true;
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// What to answer at `cursor` in `text`. What is found counts as shown.
    pub(super) fn recall(&mut self, text: &Rope, cursor: usize, trigger: Trigger) -> Recalled {
        for entry in &mut self.entries {
            let completion = &entry.completion;
            // Asked by hand, a person wants more than what came by itself, or wants it after all.
            if trigger == Trigger::Invoked && (completion.trigger != trigger || entry.rejected) {
                continue;
            }
            let items: Vec<_> =
                completion.items.iter().filter_map(|item| completion.rest(item, text, cursor)).collect();
            if !items.is_empty() {
                if entry.rejected {
                    return Recalled::Nothing;
                }
                entry.shown = true;
                return Recalled::Items { id: completion.id, items };
            }
            if completion.items.is_empty() && completion.offset == cursor && completion.base == *text {
                return Recalled::Nothing;
            }
        }
        Recalled::Unknown
    }

    /// Notes that text was inserted which made the document `text` and left the cursor at one of `cursors`: a shown
    /// completion it disagrees with is rejected. True if one was.
    pub(super) fn note_typed(&mut self, text: &Rope, cursors: &[usize]) -> bool {
        let shown = self.entries.iter_mut().find(|entry| entry.shown && !entry.rejected);
        let Some(entry) = shown else { return false };
        let completion = &entry.completion;
        let disagrees_at = |item: &InlineItem, cursor: usize| {
            let consumed = completion.consumed(item, text, cursor);
            // Beyond its end it was accepted, whatever is typed next.
            consumed.is_some_and(|(consumed, _)| {
                !item.insert_text.starts_with(&consumed) && !consumed.starts_with(&item.insert_text)
            })
        };
        let disagrees = |item: &InlineItem| cursors.iter().all(|&cursor| disagrees_at(item, cursor));
        entry.rejected = completion.items.iter().all(disagrees);
        entry.rejected
    }
}

impl Completion {
    /// What `item` would still add at `cursor` in `text`; `None` where it does not apply (any more).
    fn rest(&self, item: &InlineItem, text: &Rope, cursor: usize) -> Option<InlineItem> {
        // With an item of the suggest widget selected, the range begins before the cursor: asked anew at every key.
        if item.range.start != self.offset {
            return None;
        }
        let (typed, range) = self.consumed(item, text, cursor)?;
        let after = text.get_byte_slice(cursor..range.end)?.to_string();
        let replaced = self.base.get_byte_slice(item.range.clone())?.to_string();
        let rest = match after.strip_suffix(replaced.as_str()) {
            Some(closed) if closers(closed).is_some() => type_through(item, &typed, closed),
            Some(_) => None,
            // The cursor went over closers that were there, as they were typed.
            None if replaced.ends_with(&after) => {
                let range = self.offset..self.offset + after.len();
                type_through(&InlineItem { range, insert_text: item.insert_text.clone() }, &typed, "")
            }
            None => None,
        };
        // Nothing new: the text is there already.
        rest.filter(|rest| rest.insert_text != after)
    }

    /// What stands in `text` between the start of `item`'s range and `cursor`, and the range as it is in `text`.
    /// `None` if `text` differs from the base outside that range.
    fn consumed(&self, item: &InlineItem, text: &Rope, cursor: usize) -> Option<(String, Range<usize>)> {
        let end = (item.range.end + text.len_bytes()).checked_sub(self.base.len_bytes())?;
        let start = item.range.start;
        if cursor < self.offset || cursor > end || !text_is_same(&self.base, item.range.clone(), text, start..end) {
            return None;
        }
        Some((text.get_byte_slice(start..cursor)?.to_string(), start..end))
    }
}

/// What was typed at `offset` of `base` to make it `text` with the cursor at `cursor`; `None` if anything else was
/// changed but for closers the editor added after the cursor.
pub(super) fn typed_since(base: &Rope, offset: usize, text: &Rope, cursor: usize) -> Option<String> {
    let end = (offset + text.len_bytes()).checked_sub(base.len_bytes())?;
    if cursor < offset || cursor > end || !text_is_same(base, offset..offset, text, offset..end) {
        return None;
    }
    let (typed, added) = (text.get_byte_slice(offset..cursor)?, text.get_byte_slice(cursor..end)?);
    closers(&added.to_string()).is_some().then(|| typed.to_string())
}

/// Where the cursor may be after an edit that put `inserted` bytes before `end`, likeliest first: at their end, or before
/// closers among them, which editors add by themselves.
pub(super) fn likely_cursors(text: &Rope, end: usize, inserted: usize) -> Vec<usize> {
    let Some(typed) = text.get_byte_slice(end.saturating_sub(inserted)..end) else { return vec![end] };
    cursors_before_closers(&typed.to_string()).into_iter().map(|added| end - added).collect()
}

/// Whether a generation that has `produced` so far is still what a person wants who has `typed` since it began.
pub(super) fn agrees(produced: &str, typed: &str) -> bool {
    // While nothing is produced, a new prompt knows more and costs only the typed tokens.
    produced.starts_with(typed) || (!produced.is_empty() && typed.starts_with(produced))
}

/// Whether two texts are the same but for the two ranges.
fn text_is_same(a: &Rope, a_range: Range<usize>, b: &Rope, b_range: Range<usize>) -> bool {
    // Slicing fails inside a character, which a place in the one text may be in the other.
    let same = |a: Option<RopeSlice<'_>>, b: Option<RopeSlice<'_>>| a.is_some() && a == b;
    same(a.get_byte_slice(..a_range.start), b.get_byte_slice(..b_range.start))
        && same(a.get_byte_slice(a_range.end..), b.get_byte_slice(b_range.end..))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text with its cursor at `|`.
    fn place(marked: &str) -> (Rope, usize) {
        let cursor = marked.find('|').expect("a text marks its cursor with |");
        (Rope::from_str(&marked.replacen('|', "", 1)), cursor)
    }

    /// A memory of one shown completion at `base`, which replaces the `replaced` bytes after the cursor.
    fn shown(base: &str, insert_text: &str, replaced: usize) -> Recall {
        let (text, offset) = place(base);
        let items = vec![InlineItem { insert_text: insert_text.to_owned(), range: offset..offset + replaced }];
        let mut recall = Recall::default();
        recall.remember(Completion { id: 1, base: text.clone(), offset, trigger: Trigger::Automatic, items });
        recall.recall(&text, offset, Trigger::Automatic);
        recall
    }

    /// The text after accepting what is recalled at `now`, or why there is nothing.
    fn accepted(recall: &mut Recall, now: &str) -> String {
        let (text, cursor) = place(now);
        match recall.recall(&text, cursor, Trigger::Automatic) {
            Recalled::Items { items, .. } => {
                let mut text = text.to_string();
                text.replace_range(items[0].range.clone(), &items[0].insert_text);
                text
            }
            other => format!("{other:?}"),
        }
    }

    fn check(base: &str, insert_text: &str, replaced: usize, now: &str, expected: &str) {
        assert_eq!(accepted(&mut shown(base, insert_text, replaced), now), expected, "{base:?} -> {now:?}");
    }

    #[test]
    fn text_typed_in_agreement_is_answered() {
        check("a\n  x = |\nb", "foo(1)", 0, "a\n  x = |\nb", "a\n  x = foo(1)\nb");
        check("a\n  x = |\nb", "foo(1)", 0, "a\n  x = fo|\nb", "a\n  x = foo(1)\nb");
        check("a\n  x = |\nb", "foo(1)", 0, "a\n  x = foo(1)|\nb", "Unknown");
        check("a\n  x = |\nb", "foo(1)", 0, "a\n  x = g|\nb", "Unknown");
        check("a\n  x = |\nb", "foo(1)", 0, "A\n  x = f|\nb", "Unknown");
        check("a\n  x = |\nb", "foo(1)", 0, "a\n  x =|\nb", "Unknown");
        check("if x:|\n", "\n    y()\n    z()", 0, "if x:\n    y|\n", "if x:\n    y()\n    z()\n");
        check("é|é", "éa", 0, "éé|é", "ééaé");
    }

    #[test]
    fn closers_the_editor_adds_are_replaced() {
        check("f|\n", "(a, b)", 0, "f(|)\n", "f(a, b)\n");
        check("f(|)\n", "a, b)", 1, "f(a|)\n", "f(a, b)\n");
        check("f(|)\n", "a, b)", 1, "f(a, b|)\n", "Unknown");
        check("f(|)\n", "a).b()", 1, "f(a)|\n", "f(a).b()\n");
        check("f|\n", "(a, b)", 0, "f(|x)\n", "Unknown");
        check("<ul|\n", "><li>a</li></ul>", 0, "<ul>|</ul>\n", "<ul><li>a</li></ul>\n");
        check("<ul|\n", "><li>a</li>", 0, "<ul>|</ul>\n", "<ul><li>a</li></ul>\n");
    }

    #[test]
    fn typing_something_else_rejects_for_good() {
        let mut recall = shown("x = |", "foo", 0);
        let (text, cursor) = place("x = z|");
        recall.note_typed(&text, &likely_cursors(&text, cursor, 1));
        assert_eq!(accepted(&mut recall, "x = |"), "Nothing");
        assert_eq!(accepted(&mut recall, "x = f|"), "Nothing");
        assert_eq!(accepted(&mut recall, "x = z|"), "Unknown");
        let (text, cursor) = place("x = |");
        assert_eq!(recall.recall(&text, cursor, Trigger::Invoked), Recalled::Unknown);
    }

    #[test]
    fn the_cursor_is_looked_for_before_closers_too() {
        let likely = |text: &str, inserted| likely_cursors(&Rope::from_str(text), text.len(), inserted);
        assert_eq!(likely("fo", 1), [2]);
        assert_eq!(likely("f()", 2), [2, 3]);
        assert_eq!(likely("f)", 1), [2, 1]);
        assert_eq!(likely("f", 0), [1]);
        assert_eq!(likely("<p></p>", 4), [3, 7]);
    }

    #[test]
    fn typing_along_or_beyond_rejects_nothing() {
        let mut recall = shown("x = |", "foo", 0);
        for now in ["x = f|", "x = foo|", "x = foo.|"] {
            let (text, cursor) = place(now);
            recall.note_typed(&text, &likely_cursors(&text, cursor, 1));
        }
        assert_eq!(accepted(&mut recall, "x = |"), "x = foo");
    }

    #[test]
    fn where_the_model_had_nothing_to_say_it_is_not_asked_again() {
        let (text, offset) = place("x |");
        let mut recall = Recall::default();
        let items = Vec::new();
        recall.remember(Completion { id: 1, base: text, offset, trigger: Trigger::Automatic, items });
        assert_eq!(accepted(&mut recall, "x |"), "Nothing");
        assert_eq!(accepted(&mut recall, "x y|"), "Unknown");
    }

    #[test]
    fn typed_text_is_found_between_two_texts() {
        let typed = |base: &str, now: &str| {
            let ((base, offset), (now, cursor)) = (place(base), place(now));
            typed_since(&base, offset, &now, cursor)
        };
        assert_eq!(typed("a|b", "axy|b"), Some("xy".to_owned()));
        assert_eq!(typed("a|b", "a|b"), Some(String::new()));
        assert_eq!(typed("a|b", "a(|)b"), Some("(".to_owned()));
        assert_eq!(typed("a|b", "a<div>|</div>b"), Some("<div>".to_owned()));
        assert_eq!(typed("a|b", "a<div>|<div>b"), None);
        assert_eq!(typed("a|b", "a(|cb"), None);
        assert_eq!(typed("a|b", "|b"), None);
        assert_eq!(typed("a|b", "ax|c"), None);
    }

    #[test]
    fn a_generation_agrees_while_one_text_begins_with_the_other() {
        assert!(agrees("foo", ""));
        assert!(agrees("foo", "fo"));
        assert!(agrees("fo", "foo"));
        assert!(agrees("", ""));
        assert!(!agrees("", "f"));
        assert!(!agrees("foo", "fa"));
    }
}
