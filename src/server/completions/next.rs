//! The next completion, computed while one is shown, as if that were accepted, so that a person who accepts several in
//! a row does not wait.

use super::base::Base;
use super::recall::Recall;
use crate::context::Snapshot;
use crate::engine::CancelFlag;
use crate::features::inline_completion::{InlineItem, Plan};
use crate::text::{Edit, apply_edit, line_content};

/// After this many completions in a row that were shown and not accepted, no next one is prepared until one is
/// accepted, since it would keep the processors busy for nothing.
const MOST_IN_VAIN: usize = 3;

/// After this many completions in a row of which nothing was used, the next one is asked for only at a pause.
const UNUSED: usize = 5;

/// After this many keys that agree with a completion, it counts as used.
const TYPED_ALONG: usize = 3;

/// Counts the completions shown since one was accepted.
#[derive(Default)]
pub(super) struct ShownInVain {
    last: u64,
    count: usize,
    /// Those shown since one was used in any way.
    ignored: usize,
    /// Keys that agreed with the completion, since it was shown.
    typed_along: usize,
}

impl ShownInVain {
    /// Notes that completion `id` is on the screen (again, if a person types what it says). Returns whether it is worth
    /// preparing the completion that follows.
    pub(super) fn shown(&mut self, id: u64) -> bool {
        if id != self.last {
            self.count += 1;
            self.ignored += 1;
            self.typed_along = 0;
        }
        self.last = id;
        self.count <= MOST_IN_VAIN
    }

    /// Notes that the person has typed what the completion says.
    pub(super) fn typed_along(&mut self) {
        self.typed_along += 1;
        if self.typed_along >= TYPED_ALONG {
            self.ignored = 0;
        }
    }

    /// Whether the person has used a completion lately.
    pub(super) fn is_used(&self) -> bool {
        self.ignored < UNUSED
    }

    pub(super) fn accepted(&mut self) {
        (self.count, self.ignored) = (0, 0);
    }
}

/// A completion in preparation.
pub(super) struct Next {
    pub job: u64,
    pub cancel: CancelFlag,
    pub plan: Plan,
    /// The text that it is planned for, compared with the document as it is.
    pub base: Base,
}

/// The document, which is `snapshot`, with `item` accepted; the base of that text; and the cursor in it. If the line is
/// complete then, it is ended, as the person would do next. `None` if the next completion is known or under way
/// already, or if the next line's indentation would be a guess.
pub(super) fn accepted(
    snapshot: &Snapshot,
    item: &InlineItem,
    under_way: Option<&Next>,
    recall: &Recall,
) -> Option<(Snapshot, Base, usize)> {
    let mut text = snapshot.text.clone();
    let len = text.len_bytes();
    let mut edit = Edit { range: item.range.clone(), new_text: item.insert_text.clone() };
    let mut offset = edit.range.start + edit.new_text.len();
    apply_edit(&mut text, &edit);
    let line = line_content(&text, text.byte_to_line(offset));
    if line.end == offset {
        let line_so_far = text.get_byte_slice(line)?;
        let last = line_so_far.chars_at(line_so_far.len_chars()).prev();
        if last.is_some_and(|last| matches!(last, ':' | '{' | '(' | '[' | ',' | '\\')) {
            return None;
        }
        let indent = line_so_far.chars().take_while(|c| c.is_whitespace());
        let break_and_indent: String = std::iter::once('\n').chain(indent).collect();
        apply_edit(&mut text, &Edit { range: offset..offset, new_text: break_and_indent.clone() });
        offset += break_and_indent.len();
        edit.new_text.push_str(&break_and_indent);
    }
    // Both are compared with the document, which does not contain the item yet.
    let with_item = |base: &Base| {
        let mut base = base.clone();
        base.edited(&edit.range, len);
        base
    };
    let cursor = offset..offset;
    let is_under_way = under_way.is_some_and(|next| with_item(&next.base).is_same_but(&cursor, &text, &cursor));
    let mut recall = recall.clone();
    recall.edited(&edit.range, len);
    if is_under_way || recall.knows(&text, offset) {
        return None;
    }
    let base = Base::with_edit(text.clone(), &edit.range, len);
    let parsed = snapshot.parsed.as_ref().and_then(|parsed| parsed.edit(&[edit], &text));
    Some((Snapshot { text, parsed, ..snapshot.clone() }, base, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_accepts_is_followed_by_nothing_for_a_while() {
        let mut shown = ShownInVain::default();
        // Typing what a completion says shows the same one again.
        let worth: Vec<bool> = [1, 1, 1, 1, 2, 3, 4, 5].map(|id| shown.shown(id)).into();
        assert_eq!(worth, [true, true, true, true, true, true, false, false]);
        shown.accepted();
        assert_eq!([6, 7, 8, 9].map(|id| shown.shown(id)), [true, true, true, false]);
    }

    #[test]
    fn who_types_what_a_completion_says_has_used_it() {
        let mut shown = ShownInVain::default();
        let mut is_used_after = |id: u64, typed_along: usize| {
            shown.shown(id);
            (0..typed_along).for_each(|_| shown.typed_along());
            shown.is_used()
        };
        assert_eq!([1, 2, 3, 4].map(|id| is_used_after(id, 2)), [true; 4]);
        assert!(!is_used_after(5, 2), "two keys may be chance");
        assert!(is_used_after(6, 3));
        assert_eq!([7, 8, 9, 10, 11].map(|id| is_used_after(id, 0)), [true, true, true, true, false]);
        shown.accepted();
        assert!(shown.is_used());
    }
}
