//! Brackets and quotes in a few lines of code, counted without a grammar: neither what a model writes nor what a person
//! has typed so far is usually complete.

use crate::syntax::Quotes;

/// A bracket or quote that ends something begun before the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unopened {
    /// Its byte offset in the text.
    pub offset: usize,
    pub closer: char,
}

/// What a text leaves open, and what it closes of the text before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Brackets {
    /// The closers that are due at the end of the text, the innermost last. Strings count: their quote is due.
    pub due: Vec<char>,
    pub unopened: Vec<Unopened>,
}

impl Brackets {
    /// Scans `text`, which begins inside a string if `in_string` says by which quote that ends.
    pub(super) fn scan(text: &str, in_string: Option<char>, quotes: Quotes, line_comment: Option<&str>) -> Self {
        let mut brackets = Self::default();
        let mut string = in_string;
        // A string from before the text is not on the stack, so what ends it is unopened.
        let mut inherited = in_string.is_some();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let offset = text.len() - rest.len();
            let mut width = character.len_utf8();
            match (string, character) {
                (Some(_), '\\') => width += rest[width..].chars().next().map_or(0, char::len_utf8),
                (Some(quote), _) if character == quote => {
                    match std::mem::take(&mut inherited) {
                        true => brackets.unopened.push(Unopened { offset, closer: quote }),
                        false => drop(brackets.due.pop()),
                    }
                    string = None;
                }
                // Only a backtick's string goes on over the line; the others were broken off or never were strings.
                (Some(quote), '\n') if quote != '`' => {
                    if !std::mem::take(&mut inherited) {
                        brackets.due.pop();
                    }
                    string = None;
                }
                (Some(_), _) => {}
                (None, _) if line_comment.is_some_and(|comment| rest.starts_with(comment)) => {
                    width = rest.find('\n').unwrap_or(rest.len());
                }
                (None, '\'') if !quotes.single => width = char_literal(rest),
                (None, '"' | '\'') | (None, '`') if character != '`' || quotes.backtick => {
                    string = Some(character);
                    brackets.due.push(character);
                }
                (None, '(') => brackets.due.push(')'),
                (None, '[') => brackets.due.push(']'),
                (None, '{') => brackets.due.push('}'),
                (None, ')' | ']' | '}') if brackets.due.last() == Some(&character) => drop(brackets.due.pop()),
                (None, ')' | ']' | '}') => brackets.unopened.push(Unopened { offset, closer: character }),
                (None, _) => {}
            }
            rest = &rest[width..];
        }
        brackets
    }

    /// Where the first `mark` of `text` is that stands in no bracket, string or comment of it.
    pub(super) fn first_outside(text: &str, mark: char, quotes: Quotes, line_comment: Option<&str>) -> Option<usize> {
        let is_outside = |offset: &usize| {
            let before = Self::scan(&text[..*offset], None, quotes, line_comment);
            // A comment would swallow the mark.
            let bracket = Self::scan(&format!("{}(", &text[..*offset]), None, quotes, line_comment);
            before.due.is_empty() && bracket.due == [')']
        };
        text.match_indices(mark).map(|(offset, _)| offset).find(is_outside)
    }

    /// The quote that ends the string the text stops in.
    pub(super) fn in_string(&self) -> Option<char> {
        self.due.last().copied().filter(|closer| matches!(closer, '"' | '\'' | '`'))
    }
}

/// Bytes of the character literal `text` begins with (`'a'`, `'\n'`, `'\u{1f}'`); 1 if its quote is something else.
fn char_literal(text: &str) -> usize {
    let mut inside = text[1..].chars();
    let end = match inside.next() {
        Some('\\') => {
            let escaped = 2 + inside.next().map_or(0, char::len_utf8);
            text[escaped..].find('\'').map(|end| end + escaped)
        }
        Some(character) if text[1 + character.len_utf8()..].starts_with('\'') => Some(1 + character.len_utf8()),
        _ => None,
    };
    end.filter(|end| *end <= 12).map_or(1, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::syntax::Language;

    fn quotes(language_id: &str) -> Quotes {
        Language::by_id(language_id).expect("a known language").quotes
    }

    fn check(language_id: &str, text: &str, expect: Expect) {
        let brackets = Brackets::scan(text, None, quotes(language_id), Some("//"));
        let unopened: Vec<_> = brackets.unopened.iter().map(|unopened| (unopened.offset, unopened.closer)).collect();
        expect.assert_eq(&format!("due {:?}, unopened {unopened:?}", brackets.due));
    }

    #[test]
    fn brackets_are_matched() {
        check("rust", "f(a[1], {", expect!["due [')', '}'], unopened []"]);
        check("rust", "a) + b(c)]", expect!["due [], unopened [(1, ')'), (9, ']')]"]);
        check("rust", "(]", expect!["due [')'], unopened [(1, ']')]"]);
        check("rust", "f( // (((\n)", expect!["due [], unopened []"]);
    }

    #[test]
    fn brackets_in_strings_and_characters_do_not_count() {
        check("rust", r#"f("(\")(", '(', '\'', "("#, expect![[r#"due [')', '"'], unopened []"#]]);
        check("rust", "fn f<'a>(x: &'a str", expect!["due [')'], unopened []"]);
        check("javascript", "f('(', `(${\n`, \"(", expect![[r#"due [')', '"'], unopened []"#]]);
        check("python", "print('it", expect![[r#"due [')', '\''], unopened []"#]]);
        check("c", "it's (", expect!["due [')'], unopened []"]);
        check("rust", "'\\", expect!["due [], unopened []"]);
        check("rust", "'\\é", expect!["due [], unopened []"]);
    }

    #[test]
    fn a_mark_is_looked_for_outside_of_brackets_strings_and_comments() {
        let check = |text: &str, mark, expected| {
            assert_eq!(Brackets::first_outside(text, mark, quotes("javascript"), Some("//")), expected, "{text}");
        };
        check("f(a, b), c", ',', Some(7));
        check("'a, b' + c", ',', None);
        check("a // b, c", ',', None);
        check("a; b", ';', Some(1));
        check("f(a", ',', None);
    }

    #[test]
    fn a_string_from_before_ends_in_the_text() {
        let brackets = Brackets::scan("a(b\", c)", Some('"'), quotes("rust"), None);
        expect![[r#"Brackets { due: [], unopened: [Unopened { offset: 3, closer: '"' }, Unopened { offset: 7, closer: ')' }] }"#]].assert_eq(&format!("{brackets:?}"));
    }
}
