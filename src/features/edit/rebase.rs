//! Edits of a text that has been edited in the meantime: they still apply if those edits were elsewhere.

use std::ops::Range;

use crate::text::{Edit, Rope};

/// `edits` of `old` as edits of `new`; `None` when what lies between the two touches `target` or one of the edits.
pub fn rebased(edits: &[Edit], target: &Range<usize>, old: &Rope, new: &Rope) -> Option<Vec<Edit>> {
    if old == new {
        return Some(edits.to_vec());
    }
    let shorter = old.len_bytes().min(new.len_bytes());
    let head = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    let tails = old.bytes_at(old.len_bytes()).reversed().zip(new.bytes_at(new.len_bytes()).reversed());
    let tail = tails.take(shorter - head).take_while(|(a, b)| a == b).count();
    let changed = head..old.len_bytes() - tail;
    let moved = |range: &Range<usize>| {
        if range.end <= changed.start {
            Some(range.clone())
        } else if range.start >= changed.end {
            let shift = |offset: usize| offset + new.len_bytes() - old.len_bytes();
            Some(shift(range.start)..shift(range.end))
        } else {
            None
        }
    };
    moved(target)?;
    edits.iter().map(|edit| Some(Edit { range: moved(&edit.range)?, new_text: edit.new_text.clone() })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::apply_edit;

    /// One edit that replaces `b` of `abc` by `X`, after `abc` with something around it became `new`.
    fn check(old: &str, new: &str, expected: Option<&str>) {
        let (old, mut new) = (Rope::from_str(old), Rope::from_str(new));
        let start = old.to_string().find("abc").expect("the target");
        let edit = Edit { range: start + 1..start + 2, new_text: "X".to_owned() };
        let edits = rebased(&[edit], &(start..start + 3), &old, &new);
        let result = edits.map(|edits| {
            edits.iter().for_each(|edit| apply_edit(&mut new, edit));
            new.to_string()
        });
        assert_eq!(result.as_deref(), expected);
    }

    #[test]
    fn typing_elsewhere_moves_edits_and_typing_in_the_target_forbids_them() {
        check("1 abc 2", "1 abc 2", Some("1 aXc 2"));
        check("1 abc 2", "long 1 abc 2", Some("long 1 aXc 2"));
        check("long 1 abc 2", "1 abc 2", Some("1 aXc 2"));
        check("1 abc 2", "1 abc 2 more", Some("1 aXc 2 more"));
        check("ä abc ö", "ö abc ö", Some("ö aXc ö"));
        check("1 abc 2", "1 ab 2", None);
        check("1 abc 2", "", None);
        check("1 abc 2", "0 abc 0", None);
    }
}
