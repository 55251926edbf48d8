//! What precedes a name that is being written, judged by the text alone, in the syntax of its language.

use std::ops::Range;

use crate::syntax::Modules;
use crate::text::{Rope, floor_char_boundary, line_content};

/// How many bytes before the cursor are read, and after it, to find the end of an import.
const BEFORE_BYTES: usize = 1024;
const AFTER_BYTES: usize = 512;

/// A place where a name is reached through something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamePlace {
    /// The part of the name that is already there.
    pub(super) begun: Range<usize>,
    pub(super) through: Through,
    /// Nothing else stands on the line: what comes may be assigned to.
    pub(super) is_statement: bool,
}

/// What a name is reached through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Through {
    /// `a.b.`, `p->`
    Value(Vec<String>),
    /// `a::b::`
    Path(Vec<String>),
    /// The module that an import names, in the words of the text.
    Import(String),
}

/// A place where a name may stand that is given a value: in the arguments of a call, or in a literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GivenPlace {
    /// The part of the name that is already there.
    pub(super) begun: Range<usize>,
    /// What has to stand behind the name for the tree to see that it is given a value.
    pub(super) value: &'static str,
}

/// The place at `offset` of `text`, as far as a few characters before it show that it may be one.
pub(super) fn given_place(text: &Rope, offset: usize, modules: Modules) -> Option<GivenPlace> {
    if matches!(modules, Modules::Java | Modules::Unknown) {
        return None;
    }
    let Around { before, after, begun } = around(text, offset)?;
    let stem = before[..before.len() - begun.len()].trim_end();
    let behind = after.trim_start();
    let is_c = matches!(modules, Modules::C | Modules::Cpp);
    let stem = if is_c { stem.strip_suffix('.')?.trim_end() } else { stem };
    let opens_type = |open: &str| {
        let name = open.trim_end().rsplit(|c: char| !is_in_name(c)).next().unwrap_or_default();
        name.starts_with(char::is_uppercase)
    };
    let may_be = match (stem.strip_suffix(','), stem.strip_suffix(['{', '('])) {
        (Some(list), _) => match modules {
            Modules::Python => list.contains('=') || list.contains("**"),
            _ => list.contains('{'),
        },
        (None, Some(open)) => match modules {
            Modules::Python => behind.starts_with('=') && !behind.starts_with("=="),
            Modules::Rust => opens_type(open),
            Modules::Go => behind.starts_with(':'),
            Modules::Script => open.trim_end().ends_with(['=', '(']) || open.trim_end().ends_with("return"),
            _ => is_c,
        },
        (None, None) => false,
    };
    // What follows in the next line belongs to the next element.
    let value = match behind.chars().next() {
        Some('=') => "",
        Some(',') if is_c => " = 0",
        _ if is_c => " = 0,",
        _ => "",
    };
    may_be.then_some(GivenPlace { begun, value })
}

/// The text around a place, and the part of a name that is before it.
struct Around {
    before: String,
    after: String,
    begun: Range<usize>,
}

/// `None` where the place is within a name, or a number.
fn around(text: &Rope, offset: usize) -> Option<Around> {
    let start = floor_char_boundary(text, offset.saturating_sub(BEFORE_BYTES));
    let end = floor_char_boundary(text, (offset + AFTER_BYTES).min(text.len_bytes()));
    let (before, after) = (text.byte_slice(start..offset).to_string(), text.byte_slice(offset..end).to_string());
    let stem = before.trim_end_matches(is_in_name);
    let is_number = before[stem.len()..].starts_with(|first: char| first.is_ascii_digit());
    let begun = offset - (before.len() - stem.len())..offset;
    (!after.starts_with(is_in_name) && !is_number).then_some(Around { before, after, begun })
}

/// What precedes the name at `offset` of `text`, whose language imports modules as `modules` says.
pub(super) fn name_place(text: &Rope, offset: usize, modules: Modules) -> Option<NamePlace> {
    let Around { before, after, begun } = around(text, offset)?;
    let start = offset - before.len();
    let stem = &before[..before.len() - begun.len()];
    let line = line_content(text, text.byte_to_line(offset)).start;
    let imported = match modules {
        Modules::Python => python_import(stem),
        Modules::Rust => rust_use(stem),
        Modules::Script => script_import(stem, &after),
        _ => None,
    };
    let through = match imported {
        Some(through) => through,
        None => qualifier(stem, modules)?,
    };
    let before_receiver = stem.trim_end_matches(|c: char| is_in_name(c) || matches!(c, '.' | ':' | '-' | '>' | '?'));
    let line_prefix = before_receiver.get(line.saturating_sub(start)..).unwrap_or_default();
    let is_alone = after.lines().next().is_none_or(|rest| rest.trim().is_empty() || rest.trim_start().starts_with('='));
    let is_statement = line_prefix.trim().is_empty() && is_alone;
    Some(NamePlace { begun, through, is_statement })
}

pub(super) fn is_in_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$')
}

/// The names before the dots or colons that `stem` ends with.
fn qualifier(stem: &str, modules: Modules) -> Option<Through> {
    let is_path = stem.ends_with("::") && matches!(modules, Modules::Rust | Modules::C | Modules::Cpp);
    let receiver = match modules {
        _ if is_path => stem.strip_suffix("::")?,
        Modules::C | Modules::Cpp => stem.strip_suffix("->").or_else(|| stem.strip_suffix('.'))?,
        Modules::Script => stem.strip_suffix("?.").or_else(|| stem.strip_suffix('.'))?,
        _ => stem.strip_suffix('.')?,
    };
    let plain = receiver.replace("->", ".");
    let receiver = if matches!(modules, Modules::C | Modules::Cpp) && !is_path { plain.as_str() } else { receiver };
    let separator = if is_path { "::" } else { "." };
    let chain_start = receiver.trim_end_matches(|c: char| is_in_name(c) || separator.contains(c)).len();
    let (rest, chain) = receiver.split_at(chain_start);
    // What is spread.
    let chain = chain.strip_prefix("...").filter(|_| modules == Modules::Script).unwrap_or(chain);
    let segments: Vec<String> = chain.split(separator).map(str::to_owned).collect();
    let is_name = |name: &String| {
        !name.is_empty() && name.chars().all(is_in_name) && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    // A longer path, the end of type arguments, a sigil.
    let goes_on = rest.ends_with(['#', '\'', '"', '`', '\\'])
        || rest.ends_with("->")
        || rest.ends_with("::")
        || (is_path && rest.ends_with('>'));
    if goes_on || !segments.iter().all(is_name) {
        return None;
    }
    Some(if is_path { Through::Path(segments) } else { Through::Value(segments) })
}

/// `from m import a, `
fn python_import(stem: &str) -> Option<Through> {
    let start = stem.rfind("from ").filter(|at| opens_line(stem, *at))?;
    let (module, names) = stem[start + "from ".len()..].split_once(" import")?;
    let names = names.strip_prefix([' ', '('])?;
    let is_list = |c: char| is_in_name(c) || matches!(c, ' ' | ',' | '(' | '\n');
    // Only within brackets does it go on in the next line.
    let is_open = !names.contains('\n') || stem[start..].contains('(');
    let expects_name = names.trim_end().is_empty() || names.trim_end().ends_with([',', '(']);
    let module = module.trim();
    let is_module = !module.is_empty() && module.chars().all(|c| is_in_name(c) || c == '.');
    (names.chars().all(is_list) && is_open && expects_name && is_module).then(|| Through::Import(module.to_owned()))
}

/// `use a::{b, c::`
fn rust_use(stem: &str) -> Option<Through> {
    let start = stem.rfind("use ").filter(|at| {
        let line = stem[..*at].rsplit('\n').next().unwrap_or_default().trim();
        line.is_empty() || (line.starts_with("pub") && line.len() < 16)
    })?;
    let tree = &stem[start + "use ".len()..];
    if !tree.chars().all(|c| is_in_name(c) || c.is_whitespace() || matches!(c, ':' | '{' | '}' | ',' | '*')) {
        return None;
    }
    // The path before each open brace, and the one that is being written.
    let (mut open, mut path) = (Vec::new(), String::new());
    for character in tree.chars() {
        match character {
            '{' => open.push(path.clone()),
            '}' => path = open.pop()?,
            ',' => path = open.last()?.clone(),
            ' ' if path.ends_with("::") || path.is_empty() => {}
            '\n' | '\r' | '\t' => {}
            other => path.push(other),
        }
    }
    let module = path.strip_suffix("::")?;
    let segments: Vec<String> = module.split("::").map(str::to_owned).collect();
    segments.iter().all(|name| !name.is_empty() && name.chars().all(is_in_name)).then_some(Through::Path(segments))
}

/// `import { a, ` before `} from './m'`.
fn script_import(stem: &str, after: &str) -> Option<Through> {
    let (head, names) = stem.rsplit_once('{')?;
    let is_list = |c: char| is_in_name(c) || c.is_whitespace() || c == ',';
    let last = names.trim_end();
    let expects_name = last.is_empty() || last.ends_with(',') || last.rsplit([',', '\n', ' ']).next() == Some("type");
    if !names.chars().all(is_list) || !expects_name {
        return None;
    }
    let head = head.rsplit(['\n', ';']).next().unwrap_or_default().trim();
    let is_import = matches!(head, "import" | "import type" | "export" | "export type")
        || (head.starts_with("import ") && head.ends_with(','));
    let (names_behind, source) = after.split_once('}').filter(|_| is_import)?;
    let quoted = source.trim_start().strip_prefix("from")?.trim_start();
    let quote = quoted.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let module = quoted[1..].split(quote).next()?;
    names_behind.chars().all(is_list).then(|| Through::Import(module.to_owned()))
}

/// Whether nothing but white space stands before `at` on its line.
fn opens_line(text: &str, at: usize) -> bool {
    text[..at].rsplit('\n').next().is_some_and(|line| line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Language;

    /// The place at `$0`: `begun` behind what it is reached through.
    fn check(language: &str, marked: &str, expected: Option<&str>) {
        let offset = marked.find("$0").expect("a fixture marks the place with $0");
        let text = Rope::from_str(&marked.replacen("$0", "", 1));
        let modules = Language::by_id(language).expect("a known language").modules;
        let shown = name_place(&text, offset, modules).map(|place| {
            let begun = text.byte_slice(place.begun).to_string();
            match place.through {
                Through::Value(names) => format!("{}.{begun}", names.join(".")),
                Through::Path(names) => format!("{}::{begun}", names.join("::")),
                Through::Import(module) => format!("import {module}:{begun}"),
            }
        });
        assert_eq!(shown.as_deref(), expected, "{marked}");
    }

    #[test]
    fn names_are_reached_through_values_and_paths() {
        check("python", "x = self.$0", Some("self."));
        check("python", "x = [-self.na$0]", Some("self.na"));
        check("python", "x = a.b.c$0", Some("a.b.c"));
        check("python", "x = f().b.c$0", None);
        check("python", "x = f()\n    .c$0", None);
        check("python", "x = 1.$0", None);
        check("python", "x = c$0", None);
        check("python", "x = self.na$0me", None);
        check("python", "x: self.$0", Some("self."));
        check("rust", "let x = Colour::$0", Some("Colour::"));
        check("rust", "f(&self.x$0", Some("self.x"));
        check("rust", "let x = Vec::<u8>::$0", None);
        check("rust", "let x = 0..$0", None);
        check("rust", "if x { crate::a::b$0 }", Some("crate::a::b"));
        check("typescript", "f(() => this.$0)", Some("this."));
        check("typescript", "const x = { ...this.a$0 }", Some("this.a"));
        check("typescript", "this?.a$0", Some("this.a"));
        check("typescript", "const x = a ?this.$0", Some("this."));
        check("cpp", "x = this->y$0", Some("this.y"));
        check("cpp", "case Colour::$0", Some("Colour::"));
        check("cpp", "x = a->y.$0", Some("a.y."));
        check("c", "x = a->y->z$0", Some("a.y.z"));
        check("c", "x = f()->y.$0", None);
        check("java", "x = Colour.$0", Some("Colour."));
    }

    #[test]
    fn imports_expect_names_of_their_module() {
        check("python", "from .shapes import $0", Some("import .shapes:"));
        check("python", "from a.b import c, d$0", Some("import a.b:d"));
        check("python", "from a import (\n    c,\n    $0", Some("import a:"));
        check("python", "from a import c as $0", None);
        check("python", "from a import c\n$0", None);
        check("python", "from a$0", None);
        check("rust", "use crate::a::$0", Some("crate::a::"));
        check("rust", "pub(crate) use super::a::{b, c::{D, e$0", Some("super::a::c::e"));
        check("rust", "use crate::a::{\n    b::C,\n    $0\n};", Some("crate::a::"));
        check("rust", "use cra$0", None);
        check("rust", "use crate::a as $0", None);
        check("typescript", "import { a, b$0 } from './m';", Some("import ./m:b"));
        check("typescript", "import type { $0 } from \"./m\";", Some("import ./m:"));
        check("typescript", "import { a, $0", None);
        check("typescript", "const { a, $0 } = b;", None);
    }

    #[test]
    fn names_are_given_values_in_lists() {
        let check = |language: &str, marked: &str, expected: Option<&str>| {
            let offset = marked.find("$0").expect("a fixture marks the place with $0");
            let text = Rope::from_str(&marked.replacen("$0", "", 1));
            let modules = Language::by_id(language).expect("a known language").modules;
            let place = given_place(&text, offset, modules);
            let shown = place.map(|place| format!("{}{}", text.byte_slice(place.begun), place.value));
            assert_eq!(shown.as_deref(), expected, "{marked}");
        };
        check("python", "f(a=1, $0", Some(""));
        check("python", "f(\n    a=1,\n    ti$0\n)", Some("ti"));
        check("python", "f(a, $0", None);
        check("python", "f($0)", None);
        check("python", "f($0=1)", Some(""));
        check("rust", "let p = Point { $0", Some(""));
        check("rust", "let p = Point { x, y$0 };", Some("y"));
        check("rust", "fn f() { $0", None);
        check("go", "p := Point{X: 1, $0}", Some(""));
        check("go", "p := Point{$0}", None);
        check("typescript", "const p: Point = { $0 }", Some(""));
        check("typescript", "if (x) { $0 }", None);
        check("c", "struct p p = { .x = 1, .y$0 }", Some("y = 0,"));
        check("c", "struct p p = { .$0 = 1 }", Some(""));
        check("c", "struct p p = { $0 }", None);
    }

    #[test]
    fn a_statement_may_assign() {
        let is_statement = |marked: &str| {
            let offset = marked.find("$0").expect("a place");
            let text = Rope::from_str(&marked.replacen("$0", "", 1));
            name_place(&text, offset, Modules::Python).map(|place| place.is_statement)
        };
        assert_eq!(is_statement("def f(self):\n    self.$0\n"), Some(true));
        assert_eq!(is_statement("def f(self):\n    self.a$0 = 1\n"), Some(true));
        assert_eq!(is_statement("def f(self):\n    return self.$0\n"), Some(false));
        assert_eq!(is_statement("def f(self):\n    f(self.$0)\n"), Some(false));
    }
}
