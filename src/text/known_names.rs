//! All names that can stand at a place: what a text that is written there has to begin with, if it begins with a name.

use serde::{Deserialize, Serialize};

/// All names that can stand at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownNames {
    /// What is still to be written of each; in the order of their bytes, each once.
    rests: Vec<String>,
    /// A part of the name stands before the place.
    is_begun: bool,
    /// The name may stand in a later line.
    is_over_lines: bool,
}

impl KnownNames {
    /// Of `names` those that go on from `begun`, which stands before the place; `None` if there are none.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>, begun: &str) -> Option<Self> {
        let mut rests: Vec<String> =
            names.into_iter().filter_map(|name| name.strip_prefix(begun)).map(str::to_owned).collect();
        rests.sort_unstable();
        rests.dedup();
        (!rests.is_empty()).then_some(Self { rests, is_begun: !begun.is_empty(), is_over_lines: false })
    }

    /// The same in a list that may go on in the next line.
    pub fn over_lines(self) -> Self {
        Self { is_over_lines: true, ..self }
    }

    /// Whether `text` can stand at the place.
    pub fn admit(&self, text: &str) -> bool {
        let mut name = FirstName::of(self.clone());
        let fits = name.fitting(text.as_bytes()) == text.len();
        if fits {
            name.advance(text.as_bytes());
        }
        fits && name.can_end()
    }
}

/// The first name of a text that is being written, which has to be one of those known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstName {
    names: KnownNames,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Nothing has been written, or what opens a list.
    Start,
    /// The first `depth` bytes of the rests from `first` to `end` are written.
    Within { first: usize, end: usize, depth: usize },
    /// The name is whole, or the text begins with none.
    Behind,
}

impl FirstName {
    /// Of a text at the place where `names` are known, of which nothing is written.
    pub fn of(names: KnownNames) -> Self {
        let at = if names.is_begun { At::Within { first: 0, end: names.rests.len(), depth: 0 } } else { At::Start };
        Self { names, at }
    }

    /// Whether anything can follow from here on.
    pub fn is_behind(&self) -> bool {
        self.at == At::Behind
    }

    /// Whether the text can end here: with a name that is whole, or before anything of it is written.
    pub fn can_end(&self) -> bool {
        match self.at {
            At::Start | At::Behind => true,
            At::Within { first, depth, .. } => depth == 0 || self.names.rests[first].len() == depth,
        }
    }

    /// How many of `bytes` can be written next.
    pub fn fitting(&self, bytes: &[u8]) -> usize {
        let mut at = self.at;
        for (written, byte) in bytes.iter().enumerate() {
            match self.after(at, *byte) {
                Some(next) => at = next,
                None => return written,
            }
        }
        bytes.len()
    }

    /// Takes in what was written next. After what does not fit, anything can follow.
    pub fn advance(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.at = self.after(self.at, *byte).unwrap_or(At::Behind);
        }
    }

    /// Where the text is after `byte`; `None` if that cannot stand there.
    fn after(&self, at: At, byte: u8) -> Option<At> {
        match at {
            At::Behind => Some(At::Behind),
            At::Start if is_in_names(byte) && !byte.is_ascii_digit() => self.within(0, self.names.rests.len(), 0, byte),
            At::Start if opens(byte) || (self.names.is_over_lines && matches!(byte, b'\n' | b'\t')) => Some(At::Start),
            At::Start => Some(At::Behind),
            At::Within { first, end, depth } if is_in_names(byte) => self.within(first, end, depth, byte),
            // Of the rests that begin alike, the shortest is the first.
            At::Within { first, depth, .. } => (self.names.rests[first].len() == depth).then_some(At::Behind),
        }
    }

    /// Where `byte` leads to within the rests from `first` to `end`, which begin alike for `depth` bytes.
    fn within(&self, first: usize, end: usize, depth: usize, byte: u8) -> Option<At> {
        let rests = &self.names.rests[first..end];
        let key = |rest: &String| rest.as_bytes().get(depth).copied();
        let begin = first + rests.partition_point(|rest| key(rest) < Some(byte));
        let end = first + rests.partition_point(|rest| key(rest) <= Some(byte));
        (begin < end).then_some(At::Within { first: begin, end, depth: depth + 1 })
    }
}

/// Letters of languages other than English have bytes from 0x80 on.
fn is_in_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// What may stand before the first name of a list.
fn opens(byte: u8) -> bool {
    matches!(byte, b' ' | b'{' | b'(')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], begun: &str, text: &str, expected: bool) {
        let names = KnownNames::new(names.iter().copied(), begun).expect("some go on from there");
        assert_eq!(names.admit(text), expected, "{begun:?} {text:?}");
    }

    #[test]
    fn a_text_begins_with_a_known_name_or_with_none() {
        let names = ["area", "around", "größe", "side"];
        check(&names, "", "area(1) + nothing", true);
        check(&names, "", "area", true);
        check(&names, "", "are", false);
        check(&names, "", "areas()", false);
        check(&names, "", "other", false);
        check(&names, "", "größe + 1", true);
        check(&names, "", "", true);
        check(&names, "", "\nother", true);
        check(&names, "", "0.5", true);
        check(&names, "", " { side, other }", true);
        check(&names, "", " { other, side }", false);
    }

    #[test]
    fn a_list_goes_on_in_the_next_line() {
        let names = KnownNames::new(["area", "side"], "").expect("some").over_lines();
        assert!(names.admit("\n\t    side: 1,\n    other: 2,") && names.admit("\n}"));
        assert!(!names.admit("\n    other: 2,"));
    }

    #[test]
    fn a_name_that_is_begun_goes_on() {
        let names = ["side", "sides", "area"];
        check(&names, "si", "de()", true);
        check(&names, "si", "des.len()", true);
        check(&names, "si", "dex", false);
        check(&names, "si", "(1)", false);
        check(&names, "side", "(1)", true);
        check(&names, "side", "s(1)", true);
        assert_eq!(KnownNames::new(names, "x"), None);
    }

    #[test]
    fn it_is_the_same_piece_by_piece() {
        let names = KnownNames::new(["side", "sides", "sum"], "").expect("some");
        let mut name = FirstName::of(names);
        assert_eq!(name.fitting(b"sid-"), 3);
        name.advance(b"si");
        assert!(!name.can_end() && !name.is_behind());
        assert_eq!((name.fitting(b"de"), name.fitting(b"des("), name.fitting(b"m")), (2, 4, 0));
        name.advance(b"de");
        assert!(name.can_end() && !name.is_behind());
        name.advance(b".");
        assert!(name.is_behind());
        assert_eq!(name.fitting(b"anything"), 8);
    }
}
