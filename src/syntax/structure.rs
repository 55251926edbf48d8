//! The structure of the code around a place: whether a body begins here, where the statement of a completion ends,
//! whether the text still parses.

use std::ops::Range;

use tree_sitter::Node;

use super::queries::Scope;
use super::{Capture, Parsed, QueryKind};
use crate::text::{floor_char_boundary, line_content};

/// What is not code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    Comment,
    String,
}

/// How far back a body's opener is looked for, and through how many comments: a few screens, never a whole file.
const MAX_LOOK_BACK: usize = 8 << 10;
const MAX_COMMENTS: usize = 40;

/// Levels of the tree that are searched for a boundary.
const MAX_LEVELS: usize = 256;

/// Columns a tab is counted as when two indentations are compared.
const TAB_WIDTH: usize = 4;

impl Parsed {
    /// The comment or string `offset` lies in. The end of a line comment lies in it, the end of a string does not, and what
    /// is interpolated into a string is code.
    pub fn region_at(&self, offset: usize) -> Option<(Region, Range<usize>)> {
        let offset = offset.min(self.text.len_bytes());
        let mut found = None;
        let scope = Scope { range: Some(offset.saturating_sub(1)..offset + 1), max_depth: None };
        self.for_each_match(QueryKind::Regions, scope, |matched| {
            for (capture, node) in matched.captures {
                let region = match capture {
                    Capture::Comment => Region::Comment,
                    Capture::String => Region::String,
                    _ => continue,
                };
                let range = node.byte_range();
                let inside = range.start < offset && offset < range.end;
                if inside || (region == Region::Comment && range.end == offset && self.is_line_comment(&range)) {
                    found = Some((region, range));
                }
            }
        });
        let is_text = |range: &Range<usize>| self.interpolation_at(offset).is_none_or(|code| code.start <= range.start);
        found.filter(|(region, range)| *region == Region::Comment || is_text(range))
    }

    /// The innermost code around `offset` that is interpolated into a string, with what encloses it there.
    pub fn interpolation_at(&self, offset: usize) -> Option<Range<usize>> {
        let around = offset.saturating_sub(1)..(offset + 1).min(self.text.len_bytes());
        let is_code = |node: &&Node<'_>| matches!(node.kind(), "interpolation" | "template_substitution");
        let within = |node: &&Node<'_>| node.start_byte() < offset && offset < node.end_byte();
        self.path_to(&around).iter().rev().find(|node| is_code(node) && within(node)).map(Node::byte_range)
    }

    fn is_line_comment(&self, range: &Range<usize>) -> bool {
        let marker = self.language.line_comment.bytes();
        let ends_line = range.end > 0 && self.text.byte(range.end - 1) == b'\n';
        !ends_line && self.text.bytes_at(range.start).take(marker.len()).eq(marker)
    }

    /// Whether syntax says that several lines may follow at `offset`: a body that is still empty has just been opened,
    /// or a literal whose first line is broken already.
    pub fn block_begins_at(&self, offset: usize) -> bool {
        let offset = floor_char_boundary(&self.text, offset);
        self.opener_before(offset).is_some_and(|opener| self.body_ends_after(opener, offset))
    }

    /// Whether nothing of the body that `opener` opened follows `offset`.
    fn body_ends_after(&self, opener: usize, offset: usize) -> bool {
        let rest = self.rest_of_line(offset);
        let rest = rest.trim();
        if !rest.is_empty() {
            // What closes the body has to follow, or the line is code of its own.
            return rest.starts_with('}') || rest.chars().all(|c| matches!(c, ')' | ']' | ';' | ','));
        }
        let opener_indent = self.indent_of_row(self.row(opener));
        self.next_code_row(self.row(offset) + 1).is_none_or(|row| self.indent_of_row(row) <= opener_indent)
    }

    /// Where text at `inserted` should be cut so that it ends with the statement it belongs to: at the end of the last
    /// node that begins on the line of the cursor (or of the body's opener). This is the tree of the text with the
    /// completion in it; the answer lies in `inserted`.
    pub fn truncation_end(&self, inserted: Range<usize>) -> usize {
        let len = self.text.len_bytes();
        let inserted = inserted.start.min(len)..inserted.end.min(len);
        let opener = self.opener_before(inserted.start).filter(|opener| self.body_ends_after(*opener, inserted.end));
        let end = match opener {
            Some(opener) => self.statement_end(opener),
            None => self.statement_around(&inserted),
        };
        match end {
            Some(end) if inserted.start < end && end < inserted.end => self.with_separator(end).min(inserted.end),
            _ => inserted.end,
        }
    }

    /// End of the statement that is being written at `inserted.start`: the one before it on its line unless that has
    /// ended already, else the first in `inserted`.
    fn statement_around(&self, inserted: &Range<usize>) -> Option<usize> {
        let line_start = self.text.line_to_byte(self.row(inserted.start));
        if let Some(last) = self.last_non_blank_before(inserted.start).filter(|last| *last >= line_start) {
            let end = self.statement_end(last)?;
            if end > inserted.start {
                return Some(end);
            }
        }
        self.statement_end(self.first_non_blank_in(inserted.clone())?)
    }

    /// End of the largest node that begins on the row of the leaf at `offset`; `None` where the tree is broken.
    fn statement_end(&self, offset: usize) -> Option<usize> {
        let path = self.path_to(&(offset..offset + 1));
        let mut node = *path.last()?;
        let row = self.row(node.start_byte());
        for parent in path.iter().rev().skip(1) {
            if parent.is_error() {
                return None;
            }
            let is_root = parent.id() == path[0].id();
            if is_root || self.row(parent.start_byte()) != row || self.is_followed_below(node) {
                break;
            }
            node = *parent;
        }
        (!node.is_error() && path.len() > 1).then(|| node.end_byte())
    }

    /// Whether `node` and its next sibling begin lines in the same column: they are statements of one block, which must
    /// not be taken for a larger node that begins where `node` does (Python's blocks have no opener of their own).
    fn is_followed_below(&self, node: Node<'_>) -> bool {
        let here = node.start_byte();
        let next = if self.opens_line(here) { node.next_named_sibling() } else { None };
        next.map(|next| next.start_byte()).is_some_and(|below| {
            self.row(here) < self.row(below) && self.opens_line(below) && self.column(here) == self.column(below)
        })
    }

    /// A separator right after a node belongs to it.
    fn with_separator(&self, end: usize) -> usize {
        let separated = matches!(self.text.get_byte(end), Some(b';' | b','));
        end + usize::from(separated)
    }

    /// Number of errors in the tree: stretches that fit no rule, and tokens that are missing.
    pub fn error_count(&self) -> usize {
        let mut cursor = self.whole_tree().walk();
        let mut count = 0;
        loop {
            let node = cursor.node();
            count += usize::from(node.is_error() || node.is_missing());
            if node.has_error() && cursor.goto_first_child() {
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return count;
                }
            }
        }
    }

    /// Whether this text has more errors than `before` had.
    pub fn has_new_errors(&self, before: &Parsed) -> bool {
        self.error_count() > before.error_count()
    }

    /// The first offset in `range` at which something begins on a line of its own, from as high in the tree as there is
    /// one: an item rather than a statement, a statement rather than an argument. A good place to begin an excerpt.
    pub fn boundary_in(&self, range: Range<usize>) -> Option<usize> {
        let mut level = vec![self.tree_of(&range).root_node()];
        for _ in 0..MAX_LEVELS {
            let mut below = Vec::new();
            for node in level {
                let mut child = node.first_child_for_byte(range.start);
                while let Some(candidate) = child.filter(|child| child.start_byte() < range.end) {
                    let start = candidate.start_byte();
                    if candidate.is_named() && start >= range.start && self.opens_line(start) {
                        return Some(start);
                    }
                    below.push(candidate);
                    child = candidate.next_sibling();
                }
            }
            level = below;
        }
        None
    }

    /// The lines of the largest node around `range` that begins on a line of its own and has at most `budget` bytes.
    pub fn largest_node_lines(&self, range: Range<usize>, budget: usize) -> Option<Range<usize>> {
        let path = self.path_to(&range);
        let fits =
            |node: &&Node<'_>| node.end_byte() - node.start_byte() <= budget && self.opens_line(node.start_byte());
        let node = path.iter().skip(1).find(fits)?;
        let start = self.text.line_to_byte(self.row(node.start_byte()));
        Some(start..line_content(&self.text, self.row(node.end_byte())).end)
    }

    /// Offset of the first code at or after `offset` on its line; `offset` itself on a blank line.
    pub fn first_code_in(&self, offset: usize) -> usize {
        let line = line_content(&self.text, self.row(offset));
        if self.opens_line(offset) { self.first_non_blank_in(offset..line.end).unwrap_or(offset) } else { offset }
    }

    /// The opening token of the body or literal that `offset` is at the very beginning of; comments may lie between.
    fn opener_before(&self, offset: usize) -> Option<usize> {
        let lowest = offset.saturating_sub(MAX_LOOK_BACK);
        let mut at = offset;
        for _ in 0..MAX_COMMENTS {
            let last = self.last_non_blank_before(at).filter(|last| *last >= lowest)?;
            if let Some(capture) = self.opener_ending_at(last + 1) {
                let same_line = self.row(last) == self.row(offset);
                return (capture == Capture::BodyOpener || !same_line).then_some(last);
            }
            // A comment, or a string that is a statement (a docstring), is not yet a body.
            let (_, range) = self.region_ending_at(last + 1).filter(|(_, range)| self.opens_line(range.start))?;
            at = range.start;
        }
        None
    }

    pub(super) fn opener_ending_at(&self, end: usize) -> Option<Capture> {
        let mut found = None;
        let scope = Scope { range: Some(end - 1..end), max_depth: None };
        self.for_each_match(QueryKind::Blocks, scope, |matched| {
            let here = |node: &Node<'_>| node.end_byte() == end;
            found = found.or(matched.captures.iter().find(|(_, node)| here(node)).map(|(capture, _)| *capture));
        });
        found
    }

    fn region_ending_at(&self, end: usize) -> Option<(Capture, Range<usize>)> {
        let mut found = None;
        let scope = Scope { range: Some(end - 1..end), max_depth: None };
        self.for_each_match(QueryKind::Regions, scope, |matched| {
            for (capture, node) in matched.captures {
                let range = node.byte_range();
                // Some grammars count the line break as part of a comment.
                if range.start < end && range.end >= end && range.end <= end + 2 {
                    found = Some((*capture, range));
                }
            }
        });
        found
    }

    /// The nodes that hold all of `range`, from the root to the innermost. (Asking a node for its parent takes time by the
    /// depth of the tree, so nothing here climbs.)
    pub(super) fn path_to(&self, range: &Range<usize>) -> Vec<Node<'_>> {
        let mut cursor = self.tree_of(range).walk();
        let mut path = vec![cursor.node()];
        while cursor.goto_first_child_for_byte(range.start).is_some() {
            let node = cursor.node();
            if range.start < node.start_byte() || node.end_byte() < range.end {
                break;
            }
            path.push(node);
        }
        path
    }

    pub(super) fn row(&self, offset: usize) -> usize {
        self.text.byte_to_line(offset.min(self.text.len_bytes()))
    }

    /// Columns of white space `row` begins with.
    pub(super) fn indent_of_row(&self, row: usize) -> usize {
        self.text.line(row).chars().take_while(|c| matches!(c, ' ' | '\t')).map(columns).sum()
    }

    /// Columns before `offset` on its line.
    pub(super) fn column(&self, offset: usize) -> usize {
        let start = self.text.line_to_byte(self.row(offset));
        self.text.byte_slice(start..offset).chars().map(columns).sum()
    }

    /// Whether only white space precedes `offset` on its line.
    pub(super) fn opens_line(&self, offset: usize) -> bool {
        let start = self.text.line_to_byte(self.row(offset));
        self.last_non_blank_before(offset).is_none_or(|last| last < start)
    }

    /// Offset of the last byte before `offset` that is not white space.
    pub fn last_non_blank_before(&self, offset: usize) -> Option<usize> {
        let mut bytes = self.text.bytes_at(offset);
        let mut at = offset;
        while let Some(byte) = bytes.prev() {
            at -= 1;
            if !byte.is_ascii_whitespace() {
                return Some(at);
            }
        }
        None
    }

    pub(super) fn first_non_blank_in(&self, range: Range<usize>) -> Option<usize> {
        let mut bytes = self.text.bytes_at(range.start).take(range.len());
        bytes.position(|byte| !byte.is_ascii_whitespace()).map(|at| range.start + at)
    }

    fn rest_of_line(&self, offset: usize) -> String {
        let end = line_content(&self.text, self.row(offset)).end;
        self.slice(offset..floor_char_boundary(&self.text, end.max(offset).min(offset + MAX_LOOK_BACK)))
    }

    fn next_code_row(&self, from: usize) -> Option<usize> {
        let blank = |row: &usize| self.text.line(*row).chars().all(char::is_whitespace);
        (from..self.text.len_lines()).take(MAX_LOOK_BACK).find(|row| !blank(row))
    }
}

fn columns(c: char) -> usize {
    if c == '\t' { TAB_WIDTH } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Language;
    use crate::text::Rope;

    fn parse(language: &str, text: &str) -> Parsed {
        let language = Language::by_id(language).expect("a known language");
        Parsed::parse(language, &Rope::from_str(text)).expect("a small text parses")
    }

    fn check_block(language: &str, fixture: &str, expected: bool) {
        let offset = fixture.find("$0").expect("a fixture marks the cursor");
        let parsed = parse(language, &fixture.replacen("$0", "", 1));
        assert_eq!(parsed.block_begins_at(offset), expected, "{language}: {fixture}");
    }

    #[test]
    fn a_block_begins_after_its_opener() {
        check_block("rust", "fn main() {$0", true);
        check_block("rust", "fn main() {$0}", true);
        check_block("rust", "fn main() {\n    $0\n}\n", true);
        check_block("rust", "fn main() {\n    // add them up\n    $0\n}\n", true);
        check_block("rust", "impl A {\n    fn f(&self) -> u32 {\n        $0\n    }\n}\n", true);
        check_block("rust", "fn f(x: Option<u32>) {\n    match x {$0", true);
        check_block("rust", "fn f() {\n    v.iter().map(|x| {$0})\n}\n", true);
        check_block("javascript", "useEffect(() => {$0}, [id]);", true);
        check_block("rust", "fn f() {\n    if a {$0} else { b() }\n}\n", true);
        check_block("python", "def area(r):$0", true);
        check_block("python", "def area(r):\n    $0", true);
        check_block("python", "def area(r):\n    \"\"\"Area of a circle.\"\"\"\n    $0\n", true);
        check_block("python", "class A:\n    def f(self):\n        $0\n\n    def g(self):\n        pass\n", true);
        check_block("python", "def f(x):\n    if x:\n        $0", true);
        check_block("javascript", "const f = (x) => {$0};", true);
        check_block("typescript", "class A {\n  run(x: number): void {\n    $0\n  }\n}\n", true);
        check_block("typescriptreact", "export function App() {$0", true);
        check_block("go", "func main() {\n\tfor i := range 3 {$0\n", true);
        check_block("c", "int main(void) {\n  while (1) {$0\n  }\n}\n", true);
        check_block("cpp", "struct A {\n  int f() const {$0}\n};\n", true);
        check_block("java", "class A {\n  void f() {\n    $0\n  }\n}\n", true);
    }

    #[test]
    fn no_block_begins_where_code_goes_on() {
        check_block("rust", "fn main() {\n    let x = $0\n}\n", false);
        check_block("rust", "fn main() {\n    let x = 1;\n    $0\n}\n", false);
        check_block("rust", "fn main() {$0\n    let x = 1;\n}\n", false);
        check_block("rust", "fn main() {$0 let x = 1; }\n", false);
        check_block("rust", "fn main() { let s = \"{$0\"; }\n", false);
        check_block("rust", "use std::{$0};\n", false);
        check_block("rust", "$0", false);
        check_block("python", "x = {\"a\":$0", false);
        check_block("python", "x = y[1:$0]", false);
        check_block("python", "f = lambda x:$0", false);
        check_block("python", "def f(x):\n    if x:$0\n        return 1\n", false);
        check_block("javascript", "import {$0} from './a.js';", false);
        check_block("javascript", "const t = `${$0}`;", false);
    }

    #[test]
    fn a_literal_takes_lines_once_its_first_is_broken() {
        check_block("rust", "fn f() {\n    let p = Point {$0};\n}\n", false);
        check_block("rust", "fn f() {\n    let p = Point {\n        $0\n    };\n}\n", true);
        check_block("python", "x = {\n    $0\n}\n", true);
        check_block("javascript", "call($0);", false);
        check_block("javascript", "const o = {\n  $0\n};\n", true);
    }

    /// `«` and `»` enclose a completion, `|` in it is where it should be cut.
    fn check_cut(language: &str, fixture: &str) {
        let start = fixture.find('«').expect("a fixture marks the completion's start");
        let text = fixture.replacen('«', "", 1);
        let expected = text.find('|').expect("a fixture marks the cut");
        let text = text.replacen('|', "", 1);
        let end = text.find('»').expect("a fixture marks the completion's end");
        let text = text.replacen('»', "", 1);
        let got = parse(language, &text).truncation_end(start..end);
        assert_eq!(&text[start..got], &text[start..expected], "{language}: {fixture}");
    }

    #[test]
    fn a_completion_ends_with_its_statement() {
        check_cut("rust", "fn a() {«\n    1\n}|\n\nfn b() {\n    2\n}\n»");
        check_cut("rust", "fn a() {\n    «let x = 1;|\n    let y = 2;\n»    x\n}\n");
        check_cut("rust", "fn a() {\n    for i in 0..3 {«\n        f(i);\n        g(i);\n    }|\n    done();\n»}\n");
        check_cut("rust", "fn a() {\n    f(1); «g(2);|\n    h(3);\n»}\n");
        check_cut("python", "def a():«\n    x = 1\n    return x|\n\ndef b():\n    pass\n»");
        check_cut("python", "def a(x):\n    if x:\n        «y = 1\n        return y|\n    return 0»\n");
        check_cut("javascript", "const o = {\n  a: () => {«\n    f();\n  },|\n  b: 1,\n»};\n");
        check_cut("go", "func a() {\n\tif x {«\n\t\tf()\n\t}|\n\tg()\n»}\n");
    }

    #[test]
    fn an_unfinished_completion_is_kept_whole() {
        check_cut("rust", "fn a() {«\n    let x = 1;\n    if x {|»");
        check_cut("rust", "fn a() {\n    «let x = |»\n}\n");
        check_cut("python", "x = «foo(1,|»");
        check_cut("rust", "fn a() {\n    «   |»\n}\n");
    }

    #[test]
    fn errors_are_counted() {
        assert_eq!(parse("rust", "fn f() {}\n").error_count(), 0);
        assert_eq!(parse("rust", "fn f( {}\n").error_count(), 1);
        let before = parse("python", "def f():\n    return 1\n");
        let broken = before.with_replacement(6..8, "(").expect("a small text parses");
        assert!(broken.has_new_errors(&before));
        assert!(!before.has_new_errors(&broken));
    }

    #[test]
    fn regions_end_where_code_begins_again() {
        let region = |language: &str, fixture: &str| {
            let offset = fixture.find("$0").expect("a fixture marks the cursor");
            parse(language, &fixture.replacen("$0", "", 1)).region_at(offset).map(|(region, _)| region)
        };
        assert_eq!(region("rust", "// why$0"), Some(Region::Comment));
        assert_eq!(region("rust", "/// why$0\nfn f() {}"), Some(Region::Comment));
        assert_eq!(region("rust", "/* why */$0"), None);
        assert_eq!(region("rust", "const A: &str = \"te$0xt\";"), Some(Region::String));
        assert_eq!(region("rust", "const A: &str = \"text\"$0;"), None);
        assert_eq!(region("python", "x = 1  # why$0\n"), Some(Region::Comment));
        assert_eq!(region("python", "x =$0 1\n"), None);
        assert_eq!(region("javascript", "f(`a ${b$0} c`);"), None);
        assert_eq!(region("javascript", "f(`a ${b} $0c`);"), Some(Region::String));
        assert_eq!(region("javascript", "f(`a ${g('$0')} c`);"), Some(Region::String));
        assert_eq!(region("python", "x = f\"{a$0} b\"\n"), None);
    }

    #[test]
    fn excerpts_begin_at_the_outermost_boundary() {
        let text = "fn a() {\n    one();\n    two();\n}\n\n/// B.\nfn b() {\n    three();\n}\n";
        let parsed = parse("rust", text);
        let at = |needle: &str| text.find(needle).expect("part of the text");
        assert_eq!(parsed.boundary_in(1..text.len()), Some(at("/// B.")));
        assert_eq!(parsed.boundary_in(1..at("two") + 1), Some(at("one")));
        assert_eq!(parsed.boundary_in(at("two") + 1..at("/// B.")), None);
    }
}
