//! What editors insert by themselves right of the cursor: closing brackets, quotes, separators, closing tags.

/// Closers of one character.
const CLOSERS: [char; 9] = [')', ']', '}', '>', '"', '\'', '`', ';', ','];

/// More closers than this, or a longer tag, no editor adds at once.
const MAX_CLOSERS: usize = 16;
const MAX_TAG_BYTES: usize = 128;

/// Whether `character` is a closer by itself.
pub fn is_closer(character: char) -> bool {
    CLOSERS.contains(&character)
}

/// The closers that `text` is, in order; `None` if there is anything else in it.
pub fn closers(text: &str) -> Option<Vec<&str>> {
    let mut closers = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let closer = first_closer(rest)?;
        closers.push(closer);
        rest = &rest[closer.len()..];
    }
    Some(closers)
}

/// Where the cursor may be after an editor put `typed` into a text, in bytes before its end, likeliest first: at its end, or
/// before closers that the editor added by itself.
pub fn cursors_before_closers(typed: &str) -> Vec<usize> {
    let mut cursors = vec![0];
    let mut rest = typed;
    let mut has_tag = false;
    while let Some(closer) = last_closer(rest).filter(|_| cursors.len() <= MAX_CLOSERS) {
        rest = &rest[..rest.len() - closer.len()];
        has_tag |= closer.len() > 1;
        cursors.push(typed.len() - rest.len());
    }
    // A bracket alone was typed by the person, with another before it by the editor. Nobody types a tag at once.
    if !rest.is_empty() || has_tag {
        cursors.reverse();
    }
    cursors
}

fn first_closer(text: &str) -> Option<&str> {
    let length = closing_tag(text).or_else(|| text.starts_with(CLOSERS).then_some(1))?;
    Some(&text[..length])
}

fn last_closer(text: &str) -> Option<&str> {
    let open = text.bytes().rev().take(MAX_TAG_BYTES).position(|byte| byte == b'<');
    if let Some(tag) = open.map(|from_end| &text[text.len() - from_end - 1..])
        && closing_tag(tag) == Some(tag.len())
    {
        return Some(tag);
    }
    text.ends_with(CLOSERS).then(|| &text[text.len() - 1..])
}

/// Bytes of the closing tag `text` begins with; that of a fragment has no name.
pub(super) fn closing_tag(text: &str) -> Option<usize> {
    let name = text.strip_prefix("</")?;
    let after = name.trim_start_matches(is_of_tag_name);
    after.starts_with('>').then(|| text.len() - after.len() + 1)
}

fn is_of_tag_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | ':')
}

/// The closing tags of `text` that close nothing of it, with where they begin.
pub(super) fn unopened_tags(text: &str) -> Vec<(usize, &str)> {
    let mut open: Vec<&str> = Vec::new();
    let mut unopened = Vec::new();
    for (start, _) in text.match_indices('<') {
        let tag = &text[start..];
        if let Some(length) = closing_tag(tag) {
            let name = &tag[2..length - 1];
            match open.iter().rposition(|opened| *opened == name) {
                // What was opened within has no closing tag of its own.
                Some(depth) => open.truncate(depth),
                None => unopened.push((start, &tag[..length])),
            }
        } else if let Some(name) = opening_tag(tag) {
            open.push(name);
        }
    }
    unopened
}

/// The name of the opening tag `text` begins with, unless it closes itself.
fn opening_tag(text: &str) -> Option<&str> {
    let name = &text[1..];
    let length = name.len() - name.trim_start_matches(is_of_tag_name).len();
    let (name, rest) = name.split_at(length);
    let attributes = &rest[..rest.find('<').unwrap_or(rest.len())];
    let is_tag = rest.starts_with(['>', ' ']) || (rest.starts_with('/') && !name.is_empty());
    (is_tag && !attributes.contains("/>")).then_some(name)
}

/// Where the first `>` of `text` is that ends nothing opened in it; arrows and comparisons do not count.
pub(super) fn unopened_angle(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (offset, character) in text.char_indices() {
        match character {
            '<' => depth += 1,
            '>' if matches!(before, '-' | '=') || text[offset + 1..].starts_with('=') => {}
            '>' if depth == 0 => return Some(if before == '/' { offset - 1 } else { offset }),
            '>' => depth -= 1,
            _ => {}
        }
        before = character;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closers_are_brackets_quotes_separators_and_closing_tags() {
        let check = |text: &str, expected: Option<&[&str]>| assert_eq!(closers(text).as_deref(), expected, "{text}");
        check("", Some(&[]));
        check(");", Some(&[")", ";"]));
        check("\"})", Some(&["\"", "}", ")"]));
        check("</button>", Some(&["</button>"]));
        check("></Foo.Bar>);", Some(&[">", "</Foo.Bar>", ")", ";"]));
        check("</>", Some(&["</>"]));
        check("</my-tag>", Some(&["</my-tag>"]));
        check("</button", None);
        check(") + 1", None);
        check("button>", None);
    }

    #[test]
    fn the_cursor_is_likeliest_before_what_the_editor_added() {
        let check = |typed: &str, expected: &[usize]| assert_eq!(cursors_before_closers(typed), expected, "{typed}");
        check("fo", &[0]);
        check("()", &[1, 0]);
        check(")", &[0, 1]);
        check("</div>", &[6, 0]);
        check("></div>", &[7, 6, 0]);
        check("<div></div>", &[7, 6, 0]);
        check("(\"\")", &[3, 2, 1, 0]);
        check("é", &[0]);
    }

    #[test]
    fn a_tag_that_was_opened_before_is_told_from_one_of_the_text() {
        let check = |text: &str, expected: &[(usize, &str)]| assert_eq!(unopened_tags(text), expected, "{text}");
        check("Save</button>", &[(4, "</button>")]);
        check("<b>x</b></p>", &[(8, "</p>")]);
        check("<br /></p>", &[(6, "</p>")]);
        check("<br></p>", &[(4, "</p>")]);
        check("<a href={x}>y</a>", &[]);
        check("<>a</></>", &[(6, "</>")]);
        check("a < b && c > d", &[]);
        assert_eq!(unopened_angle("T: Into<U>>(x"), Some(10));
        assert_eq!(unopened_angle("(x) => y"), None);
        assert_eq!(unopened_angle("disabled />"), Some(9));
    }
}
