//! The latest completions of a document. When a person types what one of them says, the rest is answered from it,
//! without the model.
//!
//! Places are compared by content, not by counting edits, so undo, redo, partial acceptance and a corrected typo need
//! no special cases.

use std::collections::VecDeque;
use std::ops::Range;

use super::base::Base;
use crate::features::inline_completion::{
    InlineItem, Trigger, closers, cursors_before_closers, is_closer, type_through,
};
use crate::text::{Rope, floor_char_boundary};

/// How many completions a document remembers: enough to type something else for a line or two and then come back.
const REMEMBERED: usize = 64;

/// The most bytes that an editor adds after the cursor by itself: closers, which are on a line of their own if Enter
/// was typed before them.
const MAX_ADDED: usize = 256;

/// How many bytes at the end of an edit are searched for closers.
const LOOKED_AT: usize = 4 << 10;

/// How many visible characters in one edit may still have been typed one by one, since some clients collect those of a
/// few hundred milliseconds. More at once were accepted from somewhere.
const TYPED_AT_ONCE: usize = 3;

/// One completion of the model.
#[derive(Debug, Clone)]
pub(super) struct Completion {
    /// The number in the command that reports acceptance.
    pub id: u64,
    /// The text that it was made for.
    pub base: Base,
    /// The offset of the cursor in `base`.
    pub offset: usize,
    pub trigger: Trigger,
    /// Best first; empty if the model had nothing useful to say here.
    pub items: Vec<InlineItem>,
}

/// What is known about a place without asking the model.
#[derive(Debug, PartialEq)]
pub(super) enum Recalled {
    /// The rest of completion `id`.
    Items {
        id: u64,
        items: Vec<InlineItem>,
    },
    /// The model has no completion here, or the person accepted something else instead.
    Nothing,
    Unknown,
}

/// The completions of one document, newest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Recall {
    entries: VecDeque<Remembered>,
    /// The completion on the person's screen.
    on_screen: Option<u64>,
}

#[derive(Debug, Clone)]
struct Remembered {
    completion: Completion,
    shown: bool,
    /// Whether the person saw it and accepted something else in its place.
    rejected: bool,
    /// The offset of the cursor when the person dismissed it.
    dismissed_at: Option<usize>,
}

impl Recall {
    /// Adds `completion` as the newest, or extends it if its beginning is known.
    pub(super) fn remember(&mut self, completion: Completion) {
        if let Some(known) = self.entries.iter_mut().find(|entry| entry.completion.id == completion.id) {
            known.completion.items = completion.items;
            return;
        }
        self.entries.push_front(Remembered { completion, shown: false, rejected: false, dismissed_at: None });
        self.entries.truncate(REMEMBERED);
    }

    /// Forgets completion `id`, which will never be complete.
    pub(super) fn forget(&mut self, id: u64) {
        self.entries.retain(|entry| entry.completion.id != id);
    }

    /// Notes that the document, which was `len` bytes long, was edited at `range`.
    pub(super) fn edited(&mut self, range: &Range<usize>, len: usize) {
        for entry in &mut self.entries {
            entry.completion.base.edited(range, len);
        }
    }

    /// Whether [`Recall::recall`] has an answer for a person who types on at `cursor` in `text`.
    pub(super) fn knows(&mut self, text: &Rope, cursor: usize) -> bool {
        let mut completions = self.entries.iter_mut().map(|entry| &mut entry.completion);
        completions
            .any(|completion| completion.says_nothing_at(text, cursor) || !completion.rest(text, cursor).is_empty())
    }

    /// Notes that completion `id` is on the person's screen.
    pub(super) fn mark_shown(&mut self, id: u64) {
        self.on_screen = Some(id);
        for entry in self.entries.iter_mut().filter(|entry| entry.completion.id == id) {
            entry.shown = true;
        }
    }

    /// Notes that the person has dismissed what is on the screen, with the cursor at `cursor`. It is not shown again
    /// until something is typed there.
    pub(super) fn dismiss(&mut self, cursor: usize) {
        let on_screen = self.on_screen.take();
        for entry in self.entries.iter_mut().filter(|entry| Some(entry.completion.id) == on_screen) {
            entry.dismissed_at = Some(cursor);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The answer at `cursor` in `text`. A completion that is found counts as shown.
    pub(super) fn recall(&mut self, text: &Rope, cursor: usize, trigger: Trigger) -> Recalled {
        for Remembered { completion, shown, rejected, dismissed_at } in &mut self.entries {
            let is_unwanted = *rejected || *dismissed_at == Some(cursor);
            // A person who asks explicitly wants more than what was shown automatically, or wants a completion after
            // all.
            if trigger == Trigger::Invoked && (completion.trigger != trigger || is_unwanted) {
                continue;
            }
            let items = completion.rest(text, cursor);
            if !items.is_empty() {
                if is_unwanted {
                    return Recalled::Nothing;
                }
                *shown = true;
                self.on_screen = Some(completion.id);
                return Recalled::Items { id: completion.id, items };
            }
            if completion.says_nothing_at(text, cursor) {
                return Recalled::Nothing;
            }
        }
        Recalled::Unknown
    }

    /// Notes that `inserted` bytes were inserted into the document, which is now `text`, with the cursor at one of
    /// `cursors` after them. Returns whether the completion on the screen says something else, and is therefore gone.
    /// It comes back if the person takes back what they typed, unless so much was inserted at once that they have
    /// accepted something else, which rejects it.
    pub(super) fn note_inserted(&mut self, text: &Rope, cursors: &[usize], inserted: usize) -> bool {
        let end = cursors.iter().copied().max().unwrap_or(0);
        let typed = text.get_byte_slice(end.saturating_sub(inserted)..end);
        let is_visible = |c: &char| !c.is_whitespace() && !is_closer(*c);
        let at_once = typed.is_some_and(|typed| typed.chars().filter(is_visible).nth(TYPED_AT_ONCE).is_some());
        let mut is_gone = false;
        for entry in self.entries.iter_mut().filter(|entry| entry.shown) {
            let is_on_screen = self.on_screen == Some(entry.completion.id);
            if (at_once || is_on_screen) && cursors.iter().all(|&cursor| entry.completion.disagrees(text, cursor)) {
                entry.rejected |= at_once;
                is_gone |= is_on_screen;
            }
        }
        if is_gone {
            self.on_screen = None;
        }
        is_gone
    }
}

impl Completion {
    /// Whether the model had no completion at exactly this place.
    fn says_nothing_at(&mut self, text: &Rope, cursor: usize) -> bool {
        let place = cursor..cursor;
        self.items.is_empty() && self.offset == cursor && self.base.is_same_but(&place, text, &place)
    }

    /// What its items would still add at `cursor` in `text`. Items that do not apply there are left out.
    fn rest(&mut self, text: &Rope, cursor: usize) -> Vec<InlineItem> {
        let (base, offset) = (&mut self.base, self.offset);
        self.items.iter().filter_map(|item| rest(item, base, offset, text, cursor)).collect()
    }

    /// Whether the text between its place and `cursor` in `text` disagrees with all of its items, while the rest of the
    /// document is the same.
    fn disagrees(&mut self, text: &Rope, cursor: usize) -> bool {
        let (base, offset) = (&mut self.base, self.offset);
        self.items.iter().all(|item| {
            consumed(item, base, offset, text, cursor).is_some_and(|range| {
                // Text that goes beyond an item does not disagree: the item was accepted.
                let typed = text.bytes_at(range.start).take(cursor - range.start);
                !typed.zip(item.insert_text.bytes()).all(|(typed, said)| typed == said)
            })
        })
    }
}

/// What `item`, made for `offset` of `base`, would still add at `cursor` in `text`.
fn rest(item: &InlineItem, base: &mut Base, offset: usize, text: &Rope, cursor: usize) -> Option<InlineItem> {
    // If an item of the suggest widget was selected, the range begins before the cursor. Such completions are asked for
    // again at every key.
    if item.range.start != offset || cursor.checked_sub(offset)? > item.insert_text.len() {
        return None;
    }
    let end = consumed(item, base, offset, text, cursor)?.end;
    if end - cursor > item.range.len() + MAX_ADDED {
        return None;
    }
    let typed = text.get_byte_slice(offset..cursor)?.to_string();
    let after = text.get_byte_slice(cursor..end)?.to_string();
    let replaced = base.text.get_byte_slice(item.range.clone())?.to_string();
    let rest = match after.strip_suffix(replaced.as_str()) {
        // Enter between two brackets has moved the closing one to a line of its own, as in the completion.
        _ if after.starts_with('\n') => {
            let rest = item.insert_text.strip_prefix(typed.as_str())?.strip_suffix(after.as_str())?;
            let rest = InlineItem { insert_text: rest.to_owned(), range: cursor..cursor };
            Some(rest).filter(|rest| !rest.insert_text.trim().is_empty())
        }
        Some(added) if is_added_by_editor(added) => type_through(item, &typed, added),
        Some(_) => None,
        // Closers that were already there were typed, which only moved the cursor.
        None if replaced.ends_with(&after) => {
            let range = offset..offset + after.len();
            type_through(&InlineItem { range, insert_text: item.insert_text.clone() }, &typed, "")
        }
        None => None,
    };
    // An item is of no use if its text is already there.
    rest.filter(|rest| rest.insert_text != after)
}

/// The range in `text` that corresponds to the range of `item`, which was made for `offset` of `base`. `None` if
/// `cursor` is not in it, or `text` differs from the base outside it.
fn consumed(item: &InlineItem, base: &mut Base, offset: usize, text: &Rope, cursor: usize) -> Option<Range<usize>> {
    let end = (item.range.end + text.len_bytes()).checked_sub(base.text.len_bytes())?;
    let now = item.range.start..end;
    (offset <= cursor && cursor <= end && base.is_same_but(&item.range, text, &now)).then_some(now)
}

/// The text typed at `offset` of `base` that led to `text` with the cursor at `cursor`. `None` if anything else was
/// changed, apart from what the editor added after the cursor.
pub(super) fn typed_since(base: &mut Base, offset: usize, text: &Rope, cursor: usize) -> Option<String> {
    let end = (offset + text.len_bytes()).checked_sub(base.text.len_bytes())?;
    if cursor < offset || cursor > end || !base.is_same_but(&(offset..offset), text, &(offset..end)) {
        return None;
    }
    let (typed, added) = (text.get_byte_slice(offset..cursor)?, text.get_byte_slice(cursor..end)?);
    is_added_by_editor(&added.to_string()).then(|| typed.to_string())
}

/// Whether an editor adds `text` after the cursor by itself: closers, and a line break before them if Enter was typed
/// between two brackets.
fn is_added_by_editor(text: &str) -> bool {
    let text = text.strip_prefix('\n').map_or(text, |line| line.trim_start_matches([' ', '\t']));
    closers(text).is_some()
}

/// Where the cursor may be after an edit that inserted `inserted` bytes before `end`, likeliest first: at their end, or
/// before what editors add by themselves, which are closers and the line that a closer is moved to.
pub(super) fn likely_cursors(text: &Rope, end: usize, inserted: usize) -> Vec<usize> {
    let Some(typed) = text.get_byte_slice(end.saturating_sub(inserted)..end) else { return vec![end] };
    let backwards = || typed.chars_at(typed.len_chars()).reversed();
    let blanks = backwards().take_while(|c| matches!(c, ' ' | '\t')).count();
    let moves_closer = text.get_byte(end).is_some_and(|next| is_closer(next as char));
    let mut line_breaks = backwards().enumerate().filter(|(_, c)| *c == '\n').map(|(back, _)| back);
    if moves_closer && line_breaks.next() == Some(blanks) && line_breaks.next().is_some() {
        return vec![end - blanks - 1, end];
    }
    let start = floor_char_boundary(text, end.saturating_sub(inserted.min(LOOKED_AT)));
    let typed = text.byte_slice(start..end).to_string();
    cursors_before_closers(&typed).into_iter().map(|added| end - added).collect()
}

/// Whether a generation with the text `produced` so far is still wanted after the person has `typed` this since it
/// began.
pub(super) fn agrees(produced: &str, typed: &str) -> bool {
    // While nothing is produced, a new prompt contains more and costs only the typed tokens.
    produced.starts_with(typed) || (!produced.is_empty() && typed.starts_with(produced))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text with its cursor at `|`.
    fn place(marked: &str) -> (Rope, usize) {
        let cursor = marked.find('|').expect("a text marks its cursor with |");
        (Rope::from_str(&marked.replacen('|', "", 1)), cursor)
    }

    /// Remembers one shown completion at `base`, which replaces the `replaced` bytes after the cursor.
    fn shown(base: &str, insert_text: &str, replaced: usize) -> Recall {
        let (text, offset) = place(base);
        let items = vec![InlineItem { insert_text: insert_text.to_owned(), range: offset..offset + replaced }];
        let mut recall = Recall::default();
        recall.remember(Completion {
            id: 1,
            base: Base::new(text.clone()),
            offset,
            trigger: Trigger::Automatic,
            items,
        });
        recall.recall(&text, offset, Trigger::Automatic);
        recall
    }

    /// Changes the document `from` into `to` in one edit, as an editor does. Returns whether the completion on the
    /// screen is gone.
    fn edit(recall: &mut Recall, from: &str, to: &str) -> bool {
        let ((from, _), (to, _)) = (place(from), place(to));
        let (from, now) = (from.to_string(), to.to_string());
        let start = from.bytes().zip(now.bytes()).take_while(|(a, b)| a == b).count();
        let end = from[start..].bytes().rev().zip(now[start..].bytes().rev()).take_while(|(a, b)| a == b).count();
        recall.edited(&(start..from.len() - end), from.len());
        let (end, inserted) = (now.len() - end, now.len() - end - start);
        inserted > 0 && recall.note_inserted(&to, &likely_cursors(&to, end, inserted), inserted)
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
        let mut recall = shown(base, insert_text, replaced);
        edit(&mut recall, base, now);
        assert_eq!(accepted(&mut recall, now), expected, "{base:?} -> {now:?}");
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
    fn enter_between_two_brackets_is_typing_along() {
        check("f() {|}\n", "\n    a\n}", 1, "f() {\n    |\n}\n", "f() {\n    a\n}\n");
        check("f() {|}\n", "\n    a\n", 0, "f() {\n    |\n}\n", "f() {\n    a\n}\n");
        check("  f() |\n", "{\n    a\n  }", 0, "  f() {\n    |\n  }\n", "  f() {\n    a\n  }\n");
        check("f() {|}\n", "\n    a\n}", 1, "f() {\n  |\n}\n", "f() {\n    a\n}\n");
        check("f() {|}\n", "\n    a\n}", 1, "f() {\n    |\n]\n", "Unknown");
    }

    #[test]
    fn a_typo_that_is_taken_back_brings_the_completion_back() {
        let mut recall = shown("x = |", "foo(1)", 0);
        assert!(edit(&mut recall, "x = |", "x = z|"));
        assert_eq!(accepted(&mut recall, "x = z|"), "Unknown");
        assert!(!edit(&mut recall, "x = z|", "x = zi|"), "it is gone already");
        edit(&mut recall, "x = zi|", "x = |");
        assert_eq!(accepted(&mut recall, "x = |"), "x = foo(1)");
        edit(&mut recall, "x = |", "x = f|");
        assert_eq!(accepted(&mut recall, "x = f|"), "x = foo(1)");
    }

    #[test]
    fn what_was_shown_meanwhile_is_remembered_too() {
        let mut recall = shown("x = |", "foo(1)", 0);
        let mut now = "x = |".to_owned();
        for (typed, id) in "something else, typed for a line".chars().zip(2..) {
            let longer = now.replace('|', &format!("{typed}|"));
            edit(&mut recall, &now, &longer);
            now = longer;
            let (text, offset) = place(&now);
            let items = vec![InlineItem { insert_text: format!("<{id}>"), range: offset..offset }];
            let (base, trigger) = (Base::new(text.clone()), Trigger::Automatic);
            recall.remember(Completion { id, base, offset, trigger, items });
            recall.recall(&text, offset, trigger);
        }
        edit(&mut recall, &now, "x = so|");
        assert_eq!(accepted(&mut recall, "x = so|"), "x = so<3>");
        edit(&mut recall, "x = so|", "x = |");
        assert_eq!(accepted(&mut recall, "x = |"), "x = foo(1)");
    }

    #[test]
    fn accepting_something_else_rejects() {
        let mut recall = shown("x = |", "foo(1)", 0);
        assert!(edit(&mut recall, "x = |", "x = zip(a)|"));
        edit(&mut recall, "x = zip(a)|", "x = |");
        assert_eq!(accepted(&mut recall, "x = |"), "Nothing");
        let (text, cursor) = place("x = |");
        assert_eq!(recall.recall(&text, cursor, Trigger::Invoked), Recalled::Unknown);
        edit(&mut recall, "x = |", "x = f|");
        assert_eq!(accepted(&mut recall, "x = f|"), "Nothing");

        // Neither accepting something elsewhere nor typing what it says rejects it.
        let mut recall = shown("x = |\ny = \n", "foo(1)", 0);
        edit(&mut recall, "x = |\ny = \n", "x = \ny = zip(a)|\n");
        edit(&mut recall, "x = \ny = zip(a)|\n", "x = |\ny = \n");
        edit(&mut recall, "x = |\ny = \n", "x = foo(1)|\ny = \n");
        edit(&mut recall, "x = foo(1)|\ny = \n", "x = |\ny = \n");
        assert_eq!(accepted(&mut recall, "x = |\ny = \n"), "x = foo(1)\ny = \n");
    }

    #[test]
    fn what_was_sent_away_comes_back_when_something_is_typed_there() {
        let mut recall = shown("x = |", "foo(1)", 0);
        recall.dismiss(4);
        assert_eq!(accepted(&mut recall, "x = |"), "Nothing");
        let (text, cursor) = place("x = |");
        assert_eq!(recall.recall(&text, cursor, Trigger::Invoked), Recalled::Unknown);
        edit(&mut recall, "x = |", "x = f|");
        assert_eq!(accepted(&mut recall, "x = f|"), "x = foo(1)");
    }

    #[test]
    fn the_cursor_is_looked_for_before_closers_too() {
        let likely = |text: &str, inserted| likely_cursors(&Rope::from_str(text), text.len(), inserted);
        assert_eq!(likely("fo", 1), [2]);
        assert_eq!(likely("f()", 2), [2, 3]);
        assert_eq!(likely("f)", 1), [2, 1]);
        assert_eq!(likely("f", 0), [1]);
        let between = |text: &str, end: usize, inserted| likely_cursors(&Rope::from_str(text), end, inserted);
        assert_eq!(between("f {\n    \n  }", 11, 8), [8, 11]);
        assert_eq!(between("f {\n    \n  a", 11, 8), [11]);
        assert_eq!(between("f {\n  }", 6, 3), [6]);
        assert_eq!(likely("<p></p>", 4), [3, 7]);
    }

    #[test]
    fn typing_along_or_beyond_rejects_nothing() {
        let mut recall = shown("x = |", "foo", 0);
        let mut before = "x = |";
        for now in ["x = f|", "x = foo|", "x = foo.abcdef|"] {
            assert!(!edit(&mut recall, before, now));
            before = now;
        }
        edit(&mut recall, before, "x = |");
        assert_eq!(accepted(&mut recall, "x = |"), "x = foo");
    }

    #[test]
    fn where_the_model_had_nothing_to_say_it_is_not_asked_again() {
        let (text, offset) = place("x |");
        let mut recall = Recall::default();
        let items = Vec::new();
        recall.remember(Completion { id: 1, base: Base::new(text), offset, trigger: Trigger::Automatic, items });
        assert_eq!(accepted(&mut recall, "x |"), "Nothing");
        edit(&mut recall, "x |", "x y|");
        assert_eq!(accepted(&mut recall, "x y|"), "Unknown");
    }

    #[test]
    fn typed_text_is_found_between_two_texts() {
        let typed = |base: &str, now: &str| {
            let ((base, offset), (now, cursor)) = (place(base), place(now));
            let (mut compared, len) = (Base::new(base.clone()), base.len_bytes());
            compared.edited(&(0..len), len);
            typed_since(&mut compared, offset, &now, cursor)
        };
        assert_eq!(typed("a|b", "axy|b"), Some("xy".to_owned()));
        assert_eq!(typed("a|b", "a|b"), Some(String::new()));
        assert_eq!(typed("a|b", "a(|)b"), Some("(".to_owned()));
        assert_eq!(typed("a|b", "a{\n  |\n}b"), Some("{\n  ".to_owned()));
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
