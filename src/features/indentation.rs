//! What a file indents with, and indenting a model's text in the same way.

use crate::text::indent_columns;

/// Columns of one level where neither the file nor the text tells.
pub(super) const DEFAULT_LEVEL: usize = 4;

/// What the lines of a file are indented with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndentStyle {
    Tabs,
    /// The columns of one level.
    Spaces(usize),
    /// Nothing is indented yet.
    Unknown,
}

impl IndentStyle {
    /// How `lines`, the nearest first, are indented.
    pub(super) fn of_lines(lines: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut narrowest: Option<usize> = None;
        for line in lines {
            let line = line.as_ref();
            if line.starts_with('\t') {
                return narrowest.map_or(Self::Tabs, Self::Spaces);
            }
            let columns = indent_columns(line);
            // One column is how block comments are continued, not a level.
            if columns > 1 && columns < line.len() {
                narrowest = Some(narrowest.map_or(columns, |narrowest| narrowest.min(columns)));
            }
        }
        narrowest.map_or(Self::Unknown, Self::Spaces)
    }

    pub(super) fn level_columns(self) -> usize {
        match self {
            Self::Spaces(columns) => columns,
            Self::Tabs | Self::Unknown => DEFAULT_LEVEL,
        }
    }
}

/// White space `line` begins with.
pub(super) fn leading_space(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Indents the lines of `text` after its first with what the file indents with, as deep as they are.
pub(super) fn normalize_later_lines(text: &str, style: IndentStyle) -> String {
    let mut lines = text.split('\n');
    let mut normal = lines.next().unwrap_or("").to_owned();
    let level = common_level(text);
    for line in lines {
        let white = leading_space(line);
        normal.push('\n');
        match style {
            IndentStyle::Tabs if white.starts_with(' ') => {
                let columns = indent_columns(white);
                normal.extend(std::iter::repeat_n('\t', columns / level));
                normal.extend(std::iter::repeat_n(' ', columns % level));
            }
            IndentStyle::Spaces(columns) => {
                let tabs = white.matches('\t').count();
                normal.extend(std::iter::repeat_n(' ', tabs * columns + white.len() - tabs));
            }
            IndentStyle::Tabs | IndentStyle::Unknown => normal.push_str(white),
        }
        normal.push_str(&line[white.len()..]);
    }
    normal
}

/// Columns of one level in a text indented with spaces: what the indentations of its later lines are multiples of.
fn common_level(text: &str) -> usize {
    fn gcd(a: usize, b: usize) -> usize {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    let indented = text.lines().skip(1).filter(|line| line.starts_with(' ') && !line.trim().is_empty());
    let columns = indented.map(indent_columns).reduce(gcd).unwrap_or(DEFAULT_LEVEL);
    // Lines that are all two levels deep have twice the level in common.
    match columns {
        1 => DEFAULT_LEVEL,
        columns if columns > DEFAULT_LEVEL && columns % DEFAULT_LEVEL == 0 => DEFAULT_LEVEL,
        columns => columns,
    }
}

/// `code`, which stands for `original`, moved to the original's depth and indented level by level as the original is; `style`
/// is the file's, for an original that has one level only.
pub(super) fn reindent(code: &str, original: &str, style: IndentStyle) -> String {
    let base = original.lines().find(|line| !line.trim().is_empty()).map_or("", leading_space);
    let style = match IndentStyle::of_lines(original.lines()) {
        IndentStyle::Unknown => style,
        IndentStyle::Tabs => IndentStyle::Tabs,
        IndentStyle::Spaces(_) => smallest_step(&depths(original, 0)).map_or(style, IndentStyle::Spaces),
    };
    let depths = depths(code, indent_columns(base));
    let step = smallest_step(&depths);
    let mut moved = String::with_capacity(code.len());
    for (line, depth) in code.lines().zip(&depths) {
        if !moved.is_empty() {
            moved.push('\n');
        }
        let Some(depth) = depth else { continue };
        moved.push_str(base);
        match (step, style) {
            (Some(step), IndentStyle::Tabs) => {
                moved.extend(std::iter::repeat_n('\t', depth / step));
                moved.extend(std::iter::repeat_n(' ', depth % step));
            }
            // Lines aligned to something are in no step with the others; their depth is kept.
            (Some(step), IndentStyle::Spaces(columns)) if depth % step == 0 => {
                moved.extend(std::iter::repeat_n(' ', depth / step * columns));
            }
            _ => moved.extend(std::iter::repeat_n(' ', *depth)),
        }
        moved.push_str(line.trim_start_matches([' ', '\t']));
    }
    moved
}

/// Columns of each line of `code` beyond its shallowest, `None` for blank lines. `base` is the depth of what it stands for.
fn depths(code: &str, base: usize) -> Vec<Option<usize>> {
    let columns: Vec<_> = code.lines().map(|line| (!line.trim().is_empty()).then(|| indent_columns(line))).collect();
    let mut visible = columns.iter().flatten().copied();
    let first = visible.next().unwrap_or(0);
    let rest = visible.min().unwrap_or(first);
    let opens_by_colon =
        code.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.trim_end().ends_with(':'));
    // A model that goes on after an opened fence leaves out the first line's indentation, and only that one's.
    let first_is_short = first == 0 && base > 0 && rest >= base + usize::from(opens_by_colon);
    let lowest = if first_is_short { base } else { first.min(rest) };
    columns.into_iter().map(|columns| columns.map(|columns| columns.saturating_sub(lowest))).collect()
}

/// The smallest depth that is not 0.
fn smallest_step(depths: &[Option<usize>]) -> Option<usize> {
    depths.iter().flatten().copied().filter(|depth| *depth > 1).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_moves_to_the_depth_of_what_it_stands_for() {
        let check = |code: &str, original: &str, expected: &str| {
            assert_eq!(reindent(code, original, IndentStyle::Spaces(4)), expected, "{code:?} for {original:?}");
        };
        check("def f():\n    return 1", "    def f():\n        return 2", "    def f():\n        return 1");
        check("    def f():\n        return 1", "def f():\n    return 2", "def f():\n    return 1");
        check("def f():\n        return 1", "    def f():\n        return 2", "    def f():\n        return 1");
        check("fn f() {\n        1\n    }", "    fn f() {\n        2\n    }", "    fn f() {\n        1\n    }");
        check("fn f() {\n    1\n}", "\tfn f() {\n\t\t2\n\t}", "\tfn f() {\n\t\t1\n\t}");
        check("fn f() {\n\tif a {\n\t\t1\n\t}\n}", "fn f() {\n  2\n}", "fn f() {\n  if a {\n    1\n  }\n}");
        check("fn f() {\n    1\n}", "fn f() {}", "fn f() {\n    1\n}");
        check("f(a,\n  b)", "    f(a)", "    f(a,\n        b)");
        check("a\n\n  \nb", "    c", "    a\n\n\n    b");
        check("", "    c", "");
    }

    #[test]
    fn the_style_is_that_of_the_nearest_lines() {
        assert_eq!(IndentStyle::of_lines(["a", "    b", "  c"]), IndentStyle::Spaces(2));
        assert_eq!(IndentStyle::of_lines(["\ta", "    b"]), IndentStyle::Tabs);
        assert_eq!(IndentStyle::of_lines([" * a", "\tb"]), IndentStyle::Tabs);
        assert_eq!(IndentStyle::of_lines(["a", "    "]), IndentStyle::Unknown);
    }
}
