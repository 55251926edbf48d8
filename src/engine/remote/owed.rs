//! The text that an answer has to begin with: the end of the prompt that the server was not given.
//!
//! A server's tokens are not known here, so a word that the cursor cuts in two cannot be healed with tokens. Instead,
//! the prompt is cut back to where a token surely begins, and the answer has to write the rest of the prompt again. An
//! answer that does not is not a continuation of the text before the cursor.

/// How many bytes of `prefill` the server is given. A word that the cursor cuts in two is left out, together with the
/// character before it, which is often part of the same token; so is white space before the cursor. Line breaks stay if
/// the server is known to keep them.
pub(super) fn cut(prefill: &str, heal: bool, keeps_line_breaks: bool) -> usize {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let without_space = prefill.trim_end();
    if without_space.len() < prefill.len() {
        let line_start = prefill.rfind('\n').map_or(0, |at| at + 1);
        return match keeps_line_breaks {
            true if !heal => prefill.len(),
            true => without_space.len().max(line_start),
            false => without_space.len(),
        };
    }
    let without_word = prefill.trim_end_matches(is_word);
    if !heal || without_word.len() == prefill.len() {
        return prefill.len();
    }
    match without_word.chars().next_back() {
        Some(before) if before != '\n' => without_word.len() - before.len_utf8(),
        _ => without_word.len(),
    }
}

/// A code block has to open within so many bytes of an answer; the text before it is dropped.
const LONGEST_TALK: usize = 2000;

/// What an answer still has to write before the rest of it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owed {
    /// The fence of the code block that has to be opened first, and the text so far.
    fence: Option<(String, String)>,
    rest: String,
}

/// The answer does not begin with the required text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing;

impl Owed {
    /// Requires that the answer begins with `rest`.
    pub(super) fn exactly(rest: &str) -> Self {
        Self { fence: None, rest: rest.to_owned() }
    }

    /// Requires that the answer writes all of `prefill`. If that opens a code block, any text may come before, and
    /// anything may follow on the line of the fence.
    pub(super) fn from_the_start(prefill: &str) -> Self {
        let fence = &prefill[..prefill.len() - prefill.trim_start_matches('`').len()];
        match (fence.len(), prefill.split_once('\n')) {
            (3.., Some((_, code))) => Self { fence: Some((fence.to_owned(), String::new())), rest: code.to_owned() },
            _ => Self::exactly(prefill),
        }
    }

    /// Bytes that are still required, which is at least the number of their tokens.
    pub(super) fn len(&self) -> usize {
        self.rest.len() + self.fence.as_ref().map_or(0, |(fence, _)| fence.len())
    }

    pub(super) fn is_paid(&self) -> bool {
        self.fence.is_none() && self.rest.is_empty()
    }

    /// Takes the next piece of the answer, and returns the part of it that goes beyond the required text.
    ///
    /// # Errors
    /// If the answer says something else.
    pub(super) fn take(&mut self, text: &str) -> Result<String, Missing> {
        let Some((fence, said)) = &mut self.fence else { return self.take_rest(text) };
        said.push_str(text);
        let opened = said.match_indices(fence.as_str()).find(|(at, _)| *at == 0 || said[..*at].ends_with('\n'));
        let line_end = opened.and_then(|(at, _)| Some(at + said[at..].find('\n')? + 1));
        match line_end {
            Some(end) => {
                let code = said.split_off(end);
                self.fence = None;
                self.take_rest(&code)
            }
            None if said.len() > LONGEST_TALK => Err(Missing),
            None => Ok(String::new()),
        }
    }

    fn take_rest(&mut self, text: &str) -> Result<String, Missing> {
        let common = self.rest.len().min(text.len());
        if self.rest.as_bytes()[..common] != text.as_bytes()[..common] {
            return Err(Missing);
        }
        self.rest.drain(..common);
        Ok(text[common..].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_cut_where_a_token_surely_begins() {
        let check = |prefill: &str, kept: &str| assert_eq!(&prefill[..cut(prefill, true, true)], kept, "{prefill:?}");
        check("x = foo.ba", "x = foo");
        check("x = fo", "x =");
        check("fo", "");
        check("a\nfo", "a\n");
        check("x = ", "x =");
        check("def f():\n    ", "def f():\n");
        check("a\n\n", "a\n\n");
        check("f(", "f(");
        check("é.é", "é");
    }

    #[test]
    fn where_a_server_drops_white_space_none_is_left_to_drop() {
        let check = |prefill: &str, heal: bool, kept: &str| assert_eq!(&prefill[..cut(prefill, heal, false)], kept);
        check("def f():\n    ", true, "def f():");
        check("```python\n", false, "```python");
        check("x = fo", false, "x = fo");
        assert_eq!(cut("```python\n", false, true), 10);
    }

    #[test]
    fn an_answer_counts_from_where_it_has_written_what_it_owes() {
        let mut owed = Owed::exactly(" foo");
        assert_eq!(owed.take(" f"), Ok(String::new()));
        assert!(!owed.is_paid());
        assert_eq!(owed.take("oobar"), Ok("bar".to_owned()));
        assert_eq!(owed.take("()"), Ok("()".to_owned()));
        assert_eq!(Owed::exactly(" foo").take(" fa"), Err(Missing));
    }

    #[test]
    fn an_answer_from_the_beginning_may_talk_before_its_code_block() {
        let mut owed = Owed::from_the_start("```python\nx = ");
        let pieces = ["Sure:\n``", "`py", "\nx =", " 1"];
        let texts: Vec<String> = pieces.iter().map(|piece| owed.take(piece).unwrap()).collect();
        assert_eq!(texts.concat(), "1");
        assert_eq!(Owed::from_the_start("```python\nx = ").take("```\ny"), Err(Missing));
        let mut owed = Owed::from_the_start("```python\nx = ");
        assert_eq!(owed.take(&"no code ".repeat(300)), Err(Missing));
    }
}
