//! The names that the code in question uses, and their definitions in the same file.

use std::ops::Range;

use super::declared::{declared, plain_name};
use super::outline::{cut, one_line};
use crate::syntax::{Item, Language, Parsed, ReferenceKind};
use crate::text::Rope;

/// A definition that is cut is parsed for it only up to this size.
const MAX_CUT_BYTES: usize = 64 << 10;

/// What precedes a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Qualifier {
    None,
    /// `a.name`, `a->name`.
    Member,
    /// `a::name`.
    Path,
    /// It is imported.
    Import,
}

/// A name that the code uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) name: String,
    pub(super) kind: ReferenceKind,
    pub(super) qualifier: Qualifier,
}

/// What the code in `range` uses, each once in the order of first use. What a method is a method of matters as much as
/// what it calls, so the signatures of the items around the code come last.
pub(super) fn uses(parsed: &Parsed, range: &Range<usize>) -> Vec<Use> {
    let mut references = parsed.references(range.clone());
    references
        .extend(parsed.enclosing_items(range.start).iter().flat_map(|item| parsed.references(item.signature.clone())));
    let mut uses: Vec<Use> = Vec::new();
    for reference in references {
        let qualifier = qualifier_before(parsed.text(), reference.name.start);
        let used = Use { name: parsed.slice(reference.name), kind: reference.kind, qualifier };
        if !uses.contains(&used) {
            uses.push(used);
        }
    }
    uses
}

pub(super) fn qualifier_before(text: &Rope, offset: usize) -> Qualifier {
    let byte = |back: usize| offset.checked_sub(back).and_then(|at| text.get_byte(at));
    match (byte(2), byte(1)) {
        (_, Some(b'.')) | (Some(b'-'), Some(b'>')) => Qualifier::Member,
        (Some(b':'), Some(b':')) => Qualifier::Path,
        _ => Qualifier::None,
    }
}

/// Items of the same file outside `range` that `uses` names, in the order of first use, at most `budget` bytes.
pub(super) fn definitions_used(parsed: &Parsed, range: &Range<usize>, uses: &[Use], budget: usize) -> Vec<String> {
    let items = parsed.items(0..parsed.text().len_bytes());
    let elsewhere: Vec<(String, &Item)> = items
        .iter()
        .filter(|item| item.range.end <= range.start || range.end <= item.range.start)
        .map(|item| (plain_name(parsed, item), item))
        .collect();
    let mut definitions: Vec<(usize, String)> = Vec::new();
    let mut left = budget;
    for used in uses {
        let found = elsewhere
            .iter()
            .find(|(known, item)| *known == used.name && item.kind.is_callable() == (used.kind == ReferenceKind::Call));
        let Some((_, item)) = found else { continue };
        if definitions.iter().any(|(start, _)| *start == item.range.start) {
            continue;
        }
        let start = parsed.item_start(item);
        let text = parsed.slice(start..item.range.end);
        let definition = Definition {
            language: parsed.language,
            text: &text,
            signature: item.signature.start - start..item.signature.end - start,
            indent: indent_at(parsed.text(), start),
        };
        // One long definition must not crowd out the others.
        if let Some(shown) = definition.fitted(left.min(budget / 2)) {
            left -= shown.len().min(left);
            definitions.push((item.range.start, shown));
        }
    }
    definitions.into_iter().map(|(_, code)| code).collect()
}

/// Where the documentation of a definition is.
enum DocPosition {
    Above,
    /// At the beginning of its body.
    Below,
}

/// A definition as it is in its file.
pub(super) struct Definition<'a> {
    pub(super) language: &'static Language,
    /// From its first comment or attribute on, without the indentation of the first line.
    pub(super) text: &'a str,
    /// In `text`.
    pub(super) signature: Range<usize>,
    /// Bytes of white space its first line begins with.
    pub(super) indent: usize,
}

impl Definition<'_> {
    /// Its code within `room` bytes, not indented: whole; or its signature with those of its members, as many as there
    /// is room for; or nothing.
    pub(super) fn fitted(&self, room: usize) -> Option<String> {
        if self.text.len() <= room {
            return Some(self.dedented(self.text));
        }
        let mut shown = self.dedented(&self.text[self.signature.clone()]);
        if shown.len() > room {
            return None;
        }
        for member in member_signatures(self.language, self.text) {
            let line = format!("\n    {member}");
            if shown.len() + line.len() > room {
                break;
            }
            shown.push_str(&line);
        }
        Some(shown)
    }

    /// The first line of its documentation and its signature, not indented.
    pub(super) fn head(&self) -> String {
        let signature = cut(self.dedented(&self.text[self.signature.clone()]));
        match self.first_line_of_documentation() {
            Some((line, DocPosition::Above)) => format!("{line}\n{signature}"),
            Some((line, DocPosition::Below)) => format!("{signature}\n    {line}"),
            None => signature,
        }
    }

    fn first_line_of_documentation(&self) -> Option<(String, DocPosition)> {
        let is_comment = |line: &&str| self.language.comments().any(|comment| line.starts_with(comment));
        let says_something = |line: &str| line.chars().filter(|c| c.is_alphabetic()).count() >= 3;
        let above = self.text[..self.signature.start].lines().map(str::trim).find(is_comment);
        if let Some(line) = above.filter(|line| says_something(line)) {
            return Some((cut(line.to_owned()), DocPosition::Above));
        }
        let body = self.text[self.signature.end..].trim_start();
        let quotes = ["\"\"\"", "'''"].into_iter().find(|quotes| body.starts_with(quotes))?;
        let line = body[quotes.len()..].lines().next()?.trim().trim_end_matches(quotes);
        says_something(line).then(|| (cut(format!("{quotes}{line}{quotes}")), DocPosition::Below))
    }

    fn dedented(&self, code: &str) -> String {
        let mut lines = code.lines();
        let mut dedented = lines.next().unwrap_or_default().to_string();
        for line in lines {
            let white = line.len() - line.trim_start().len();
            dedented.push('\n');
            dedented.push_str(line.get(self.indent.min(white)..).unwrap_or_default());
        }
        dedented
    }
}

/// Bytes of white space at the beginning of the line `offset` is on.
pub(super) fn indent_at(text: &Rope, offset: usize) -> usize {
    let start = text.line_to_byte(text.byte_to_line(offset));
    text.bytes_at(start).take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// One line for each member of the class or interface that `text` is the definition of.
fn member_signatures(language: &'static Language, text: &str) -> Vec<String> {
    let parsed = (text.len() <= MAX_CUT_BYTES).then(|| Parsed::parse(language, &Rope::from_str(text))).flatten();
    let Some(parsed) = parsed else { return Vec::new() };
    let members = declared(&parsed).into_iter().filter(|declared| declared.container.is_some());
    members.map(|declared| cut(one_line(&parsed.slice(declared.item.signature)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_fitted(language: &str, text: &str, indent: usize, room: usize, expected: Option<&str>) {
        let language = Language::by_id(language).expect("a known language");
        let signature = 0..text.lines().next().unwrap_or_default().trim_end_matches(" {").len();
        assert_eq!(Definition { language, text, signature, indent }.fitted(room).as_deref(), expected);
    }

    #[test]
    fn what_is_too_long_is_cut_to_signatures() {
        let class = "class A {\n  area(): number {\n    return 1;\n  }\n  side(i: number) {\n    return i;\n  }\n}";
        check_fitted("typescript", class, 0, 200, Some(class));
        check_fitted("typescript", class, 0, 60, Some("class A\n    area(): number\n    side(i: number)"));
        check_fitted("typescript", class, 0, 30, Some("class A\n    area(): number"));
        check_fitted("typescript", class, 0, 10, Some("class A"));
        check_fitted("typescript", class, 0, 5, None);
        check_fitted("rust", "fn f() {\n    fn g() {}\n    1\n}", 0, 20, Some("fn f()"));
    }

    #[test]
    fn code_is_shown_as_if_it_stood_at_the_margin() {
        check_fitted("python", "def f():\n    return 1", 0, 100, Some("def f():\n    return 1"));
        check_fitted("python", "def f():\n\n        return 1", 4, 100, Some("def f():\n\n    return 1"));
        check_fitted("rust", "fn f() {\nx\n\t}", 1, 100, Some("fn f() {\nx\n}"));
    }

    #[test]
    fn names_know_what_stands_before_them() {
        let language = Language::by_id("rust").expect("a known language");
        let text = "fn f(s: &Shape) { area(); s.area(); Shape::area(); area() }";
        let parsed = Parsed::parse(language, &Rope::from_str(text)).expect("a small text parses");
        let shown: Vec<String> =
            uses(&parsed, &(0..text.len())).iter().map(|used| format!("{:?} {}", used.qualifier, used.name)).collect();
        assert_eq!(shown, ["None Shape", "None area", "Member area", "Path area"]);
    }
}
