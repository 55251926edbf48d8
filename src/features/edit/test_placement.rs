//! Where generated tests go, and how the file changes. The table of languages says what is usual: a module in Rust, a
//! separate file elsewhere. Tests that exist are extended, never duplicated.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use crate::context::{Snapshot, Surroundings};
use crate::features::indentation::{IndentStyle, reindent};
use crate::syntax::{Item, ItemKind, Module, Parsed, TestModules, TestPlace, UNKNOWN};
use crate::text::{Edit, Rope, apply_edit};

use super::{Change, Rejection};

/// Where the tests of some code belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TestTarget {
    /// Into a module of the document, which may be new.
    Module,
    /// To the other tests of the document.
    Document,
    /// Into a file of their own; `None`: it does not exist yet.
    File { path: PathBuf, text: Option<Rope> },
    /// Nowhere, and why.
    Nowhere(String),
}

/// Where tests of the code at `asked` belong.
pub(super) fn test_target(snapshot: &Snapshot, surroundings: &Surroundings, asked: &Range<usize>) -> TestTarget {
    let path = surroundings.file.as_deref().or(snapshot.path.as_deref()).unwrap_or(Path::new("untitled"));
    let candidates = match snapshot.language.unwrap_or(&UNKNOWN).tests {
        TestPlace::Module(habits) => match declared_test_module(snapshot, path, asked, habits) {
            Some(candidates) => candidates,
            None if is_test_file(path, habits) => return TestTarget::Document,
            None => return TestTarget::Module,
        },
        TestPlace::File { names, .. } if names.iter().any(|name| is_named(path, name)) => return TestTarget::Document,
        TestPlace::File { names, layout } => test_files(path, names, layout),
    };
    if surroundings.file.is_some() {
        for path in &candidates {
            match surroundings.neighbour(path) {
                Ok(None) => {}
                Ok(text) => return TestTarget::File { path: path.clone(), text },
                Err(reason) => return TestTarget::Nowhere(reason),
            }
        }
    }
    match candidates.into_iter().next() {
        Some(path) => TestTarget::File { path, text: None },
        None => TestTarget::Nowhere("phi-ls does not know where tests go in this language".to_owned()),
    }
}

/// The files that may hold the test module of the code at `asked`, if the document says that it is in one.
fn declared_test_module(
    snapshot: &Snapshot,
    path: &Path,
    asked: &Range<usize>,
    habits: &TestModules,
) -> Option<Vec<PathBuf>> {
    let modules = snapshot.parsed.as_ref()?.modules();
    let scope = scope_of(&modules, asked);
    let module = test_module(&modules, scope, habits.names).filter(|module| module.body.is_none())?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let in_root_folder = folder.file_name().is_some_and(|name| habits.root_folders.iter().any(|root| name == *root));
    let is_root = habits.root_files.contains(&stem.as_ref()) || in_root_folder;
    let own = if is_root { folder.to_owned() } else { folder.join(stem.as_ref()) };
    let names: Vec<_> = around(&modules, scope).into_iter().map(|module| module.name.as_str()).collect();
    let inside = own.join(names.join("/"));
    Some(match &module.path {
        Some(path) if names.is_empty() => vec![normal(&folder.join(path))],
        Some(path) => vec![normal(&inside.join(path))],
        None => habits.files.iter().map(|file| inside.join(file.replace("{module}", &module.name))).collect(),
    })
}

/// The innermost module with a body around `asked`, as an index into `modules`.
fn scope_of(modules: &[Module], asked: &Range<usize>) -> Option<usize> {
    modules.iter().rposition(|module| {
        module.body.as_ref().is_some_and(|body| body.start <= asked.start && asked.start < body.end)
    })
}

/// `scope` and the modules around it, outermost first.
fn around(modules: &[Module], scope: Option<usize>) -> Vec<&Module> {
    let outwards = std::iter::successors(scope, |at| modules[*at].parent);
    let mut around: Vec<_> = outwards.map(|at| &modules[at]).collect();
    around.reverse();
    around
}

/// The module in which `scope` keeps its tests, which is called one of `names` as a rule; the scope itself if it is one.
fn test_module<'a>(modules: &'a [Module], scope: Option<usize>, names: &[&str]) -> Option<&'a Module> {
    let is_named_test = |module: &&Module| names.contains(&module.name.as_str());
    if let Some(own) = scope.map(|at| &modules[at]).filter(is_named_test) {
        return Some(own);
    }
    let inside = || modules.iter().filter(|module| module.parent == scope);
    let by_attribute = |module: &&Module| module.is_cfg_test && module.name.contains("test");
    inside().find(is_named_test).or_else(|| inside().find(by_attribute))
}

/// What modules of tests are called in the language of `parsed`.
fn test_module_names(parsed: &Parsed) -> &'static [&'static str] {
    match parsed.language.tests {
        TestPlace::Module(habits) => habits.names,
        TestPlace::File { .. } => &[],
    }
}

/// Whether `path` is a file of tests rather than of code: their module is the file.
fn is_test_file(path: &Path, habits: &TestModules) -> bool {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name);
    habits.names.contains(&stem.as_ref())
        || stem.ends_with(habits.test_file_ending)
        || folder.is_some_and(|name| name == habits.test_folder)
}

/// The paths that `names` make of `path`, the one for a new file first.
fn test_files(path: &Path, names: &[&str], layout: Option<(&str, &str)>) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mirrored = layout.and_then(|(main, test)| {
        let shown = folder.to_string_lossy().replace('\\', "/");
        let at = shown.find(&format!("{main}/"))?;
        Some(PathBuf::from(format!("{}{test}{}", &shown[..at], &shown[at + main.len()..])))
    });
    let in_folder =
        |folder: &Path| names.iter().map(|name| normal(&folder.join(filled(name, path)))).collect::<Vec<_>>();
    mirrored.iter().flat_map(|mirrored| in_folder(mirrored)).chain(in_folder(folder)).collect()
}

/// `name` with stem and extension of `path`.
fn filled(name: &str, path: &Path) -> String {
    let stem = path.file_stem().map_or_else(|| "untitled".into(), |stem| stem.to_string_lossy());
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
    name.replace("{stem}", &stem).replace("{ext}", &extension)
}

/// Whether `path` is itself called as `name` calls a file of tests.
fn is_named(path: &Path, name: &str) -> bool {
    let pattern = name.rsplit('/').next().unwrap_or(name);
    let pattern = filled(&pattern.replace("{stem}", "\0"), path);
    let Some((before, after)) = pattern.split_once('\0') else { return false };
    let own = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let stem = own.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    // `__tests__/a.js` is named like any file.
    (!before.is_empty() || after.matches(['.', '_', '-']).count() > 1 || after.contains("Test"))
        && stem.is_some_and(|stem| !stem.is_empty())
}

/// `path` without `..`, without asking the file system.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir if normal.file_name().is_some() => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// The change that adds the tests in `code`, of the code at `asked`, where `target` says. The file they go into is checked as
/// it would be then.
pub(super) fn place_tests(
    snapshot: &Snapshot,
    target: &TestTarget,
    asked: &Range<usize>,
    code: &str,
    style: IndentStyle,
) -> Result<Change, Rejection> {
    let answer = snapshot.language.and_then(|language| Parsed::parse(language, &Rope::from_str(code)));
    if answer.as_ref().is_some_and(|answer| answer.error_count() > 0) {
        return Err(Rejection::DoesNotParse);
    }
    match target {
        TestTarget::Nowhere(reason) => Err(Rejection::NoPlace { reason: reason.clone() }),
        TestTarget::Module => {
            let (answer, document) = (expected(answer, snapshot)?, expected(snapshot.parsed.clone(), snapshot)?);
            let edits = into_module(&document, asked, &answer, style);
            Ok(Change::Edits(checked(&document, edits)?))
        }
        TestTarget::Document => {
            let (answer, document) = (expected(answer, snapshot)?, expected(snapshot.parsed.clone(), snapshot)?);
            let edits = into_file(&document, &unwrapped(answer)?, style);
            Ok(Change::Edits(checked(&document, edits)?))
        }
        TestTarget::File { path, text: Some(text) } => {
            let answer = expected(answer, snapshot)?;
            let file = Parsed::parse(answer.language, text).ok_or_else(|| unparsed(path))?;
            let style = IndentStyle::of_lines(text.to_string().lines());
            let edits = checked(&file, into_file(&file, &unwrapped(answer)?, style))?;
            Ok(Change::OtherFile { path: path.clone(), before: text.clone(), edits })
        }
        TestTarget::File { path, text: None } => new_file(snapshot, path, answer, code),
    }
}

fn expected(parsed: Option<Parsed>, snapshot: &Snapshot) -> Result<Parsed, Rejection> {
    let name = snapshot.path.as_deref().unwrap_or(Path::new("the document"));
    parsed.ok_or_else(|| unparsed(name))
}

/// Nothing is added to a file that cannot be checked.
fn unparsed(path: &Path) -> Rejection {
    Rejection::NoPlace { reason: format!("{} has no syntax tree, so tests in it could not be checked", path.display()) }
}

/// `edits` of `before`, if the text they make is sound.
fn checked(before: &Parsed, edits: Vec<Edit>) -> Result<Vec<Edit>, Rejection> {
    let mut text = before.text().clone();
    edits.iter().rev().for_each(|edit| apply_edit(&mut text, edit));
    let after = Parsed::parse(before.language, &text).ok_or(Rejection::DoesNotParse)?;
    if after.has_new_errors(before) {
        return Err(Rejection::DoesNotParse);
    }
    let mut known = before.duplicate_names();
    for name in after.duplicate_names() {
        match known.iter().position(|known| *known == name) {
            Some(at) => drop(known.swap_remove(at)),
            None => return Err(Rejection::Duplicate { name }),
        }
    }
    Ok(edits)
}

/// A file of its own for the tests in `code`.
fn new_file(snapshot: &Snapshot, path: &Path, answer: Option<Parsed>, code: &str) -> Result<Change, Rejection> {
    let mut text = code.trim_end().to_owned();
    let mut path = path.to_owned();
    if let Some(answer) = answer {
        let answer = unwrapped(answer)?;
        text = with_package(snapshot, &answer);
        if matches!(answer.language.tests, TestPlace::Module(_)) && !text.contains("use super::") {
            text = format!("use super::*;\n\n{text}");
        }
        if let Some(class) = class_of(&answer).filter(|_| answer.language.file_is_class) {
            path.set_file_name(format!("{}.{}", answer.slice(class.name), answer.language.extensions[0]));
        }
        let parsed = Parsed::parse(answer.language, &Rope::from_str(&text)).ok_or(Rejection::DoesNotParse)?;
        if let Some(name) = parsed.duplicate_names().into_iter().next() {
            return Err(Rejection::Duplicate { name });
        }
    }
    Ok(Change::NewFile { path, text: format!("{text}\n") })
}

/// The text of `answer` in the package of the document, where its language has such.
fn with_package(snapshot: &Snapshot, answer: &Parsed) -> String {
    let package = |parsed: &Parsed| {
        let mut imports = parsed.imports().into_iter();
        imports.find(|import| is_package(&parsed.slice(import.clone())))
    };
    let text = answer.text().to_string().trim_end().to_owned();
    let Some(wanted) = snapshot.parsed.as_ref().and_then(|parsed| package(parsed).map(|range| parsed.slice(range)))
    else {
        return text;
    };
    match package(answer) {
        // Go's tests may stand in a package of their own.
        Some(range) if answer.slice(range.clone()) == format!("{wanted}_test") => text,
        Some(range) => format!("{}{wanted}{}", &text[..range.start], &text[range.end..]),
        None => format!("{wanted}\n\n{text}"),
    }
}

fn is_package(import: &str) -> bool {
    import.starts_with("package ")
}

/// The class that is all of `parsed`'s top level, if it is.
fn class_of(parsed: &Parsed) -> Option<Item> {
    let mut classes = parsed.top_level_items().into_iter().filter(|item| item.kind == ItemKind::Class);
    classes.next().filter(|_| classes.next().is_none())
}

/// An answer without the `mod tests { .. }` around it.
fn unwrapped(answer: Parsed) -> Result<Parsed, Rejection> {
    match module_body(&answer) {
        Some(body) => Parsed::parse(answer.language, &Rope::from_str(&body)).ok_or(Rejection::DoesNotParse),
        None => Ok(answer),
    }
}

/// The inside of the one module that `answer` is, moved to the left margin.
fn module_body(answer: &Parsed) -> Option<String> {
    let modules = answer.modules();
    let module = test_module(&modules, None, test_module_names(answer))?;
    Some(at_margin(&inside(answer, module.body.clone()?)))
}

/// The text between the braces of `body`; all of it where blocks have none.
fn inside(parsed: &Parsed, body: Range<usize>) -> String {
    let start = parsed.text().line_to_byte(parsed.text().byte_to_line(body.start));
    let whole = parsed.slice(body);
    match whole.strip_prefix('{').and_then(|whole| whole.strip_suffix('}')) {
        Some(inside) => inside.to_owned(),
        None => parsed.slice(start..start) + &whole,
    }
}

/// `code` with its shallowest line at the left margin, without blank lines around it.
fn at_margin(code: &str) -> String {
    reindent(code.trim_matches('\n'), "", IndentStyle::Unknown).trim_matches('\n').to_owned()
}

/// `code`, which is at the left margin, `depth` deep.
fn indented(code: &str, depth: &str) -> String {
    let line = |line: &str| if line.trim().is_empty() { String::new() } else { format!("{depth}{line}") };
    code.trim_matches('\n').lines().map(line).collect::<Vec<_>>().join("\n")
}

/// One level of indentation.
fn level(style: IndentStyle) -> String {
    match style {
        IndentStyle::Tabs => "\t".to_owned(),
        IndentStyle::Spaces(_) | IndentStyle::Unknown => " ".repeat(style.level_columns()),
    }
}

/// The edits that put `answer` into the test module of the code at `asked`, or add one.
fn into_module(document: &Parsed, asked: &Range<usize>, answer: &Parsed, style: IndentStyle) -> Vec<Edit> {
    let tests = module_body(answer).unwrap_or_else(|| answer.text().to_string());
    let modules = document.modules();
    let scope = scope_of(&modules, asked);
    let names = test_module_names(document);
    if let Some(body) = test_module(&modules, scope, names).and_then(|module| module.body.clone()) {
        return at_end_of(document, body, &tests, style);
    }
    let import = if tests.contains("use super::") { "" } else { "use super::*;\n\n" };
    let inner = indented(&format!("{import}{}", tests.trim_matches('\n')), &level(style));
    let module = format!("#[cfg(test)]\nmod tests {{\n{inner}\n}}");
    match scope.and_then(|at| modules[at].body.clone()) {
        Some(body) => at_end_of(document, body, &module, style),
        None => {
            let end = document.text().len_bytes();
            let gap = if ends_line(document.text(), end) { "\n" } else { "\n\n" };
            vec![Edit { range: end..end, new_text: format!("{gap}{module}\n") }]
        }
    }
}

fn ends_line(text: &Rope, end: usize) -> bool {
    end == 0 || matches!(text.byte(end - 1), b'\n' | b'\r')
}

/// The edits that add `code` at the end of `body`, which has braces, and its imports to those of the body.
fn at_end_of(document: &Parsed, body: Range<usize>, code: &str, style: IndentStyle) -> Vec<Edit> {
    let text = document.text();
    let (first, last) = (text.byte_to_line(body.start), text.byte_to_line(body.end - 1));
    let line = text.line(first).to_string();
    let outer = &line[..line.len() - line.trim_start().len()];
    let existing = inside(document, body.clone());
    let own = existing.lines().find(|line| !line.trim().is_empty()).filter(|_| first < last);
    let depth = own.map_or_else(
        || format!("{outer}{}", level(style)),
        |line| line[..line.len() - line.trim_start().len()].to_owned(),
    );
    let has = |line: &str| existing.lines().any(|existing| existing.trim() == line.trim());
    let is_import = |line: &str| line.starts_with("use ") && line.trim_end().ends_with(';');
    let imports: Vec<_> = code.lines().filter(|line| is_import(line) && !has(line)).collect();
    let rest: Vec<_> =
        code.lines().filter(|line| !is_import(line) && line.trim() != "#[cfg(test)]" || is_module(code)).collect();
    let tests = indented(&rest.join("\n"), &depth);
    let closing = text.line_to_byte(last);
    if first == last || !text.byte_slice(closing..body.end - 1).to_string().trim().is_empty() {
        let all = [imports.join("\n"), rest.join("\n")].join("\n");
        let range = if existing.trim().is_empty() { body.start + 1..body.end - 1 } else { body.end - 1..body.end - 1 };
        return vec![Edit { range, new_text: format!("\n{}\n{outer}", indented(&all, &depth)) }];
    }
    let mut edits = Vec::new();
    if !imports.is_empty() && !is_module(code) {
        let (at, gap) = after_imports(&existing, document, body.start + 1, &depth);
        edits.push(Edit { range: at..at, new_text: format!("{}\n{gap}", indented(&imports.join("\n"), &depth)) });
    }
    let gap = if existing.trim().is_empty() { "" } else { "\n" };
    edits.push(Edit { range: closing..closing, new_text: format!("{gap}{tests}\n") });
    edits
}

/// Whether `code` is a module to be added as a whole.
fn is_module(code: &str) -> bool {
    code.starts_with("#[cfg(test)]\nmod ")
}

/// Where new `use` lines go in a module whose inside is `existing` and begins at `start`, and what follows them.
fn after_imports(existing: &str, document: &Parsed, start: usize, depth: &str) -> (usize, &'static str) {
    let mut end = None;
    let mut offset = start;
    for line in existing.split_inclusive('\n') {
        offset += line.len();
        if line.strip_prefix(depth).is_some_and(|line| line.starts_with("use ")) && line.trim_end().ends_with(';') {
            end = Some(offset);
        }
    }
    let first_line = document.text().byte_to_line(start) + 1;
    end.map_or((document.text().line_to_byte(first_line), "\n"), |end| (end, ""))
}

/// The edits that add `answer` to the tests of `file`: its imports to the imports, the members of a class that is there to
/// that class, the rest at the end.
fn into_file(file: &Parsed, answer: &Parsed, style: IndentStyle) -> Vec<Edit> {
    let mut taken: Vec<Range<usize>> = Vec::new();
    let mut edits = Vec::new();
    let imports = top_imports(answer);
    taken.extend(imports.iter().cloned());
    edits.extend(add_imports(file, answer, &imports));
    for item in answer.top_level_items().into_iter().filter(|item| item.kind.is_container()) {
        let Some((body, existing)) = item.body.clone().zip(container_like(file, answer, &item)) else { continue };
        taken.push(answer.item_start(&item)..item.range.end);
        edits.push(add_members(file, existing, &inside(answer, body), style));
    }
    let rest = without(&answer.text().to_string(), taken);
    edits.extend(append(file, &rest));
    edits.sort_by_key(|edit| edit.range.start);
    edits
}

/// The imports at the left margin, and the package clause.
fn top_imports(parsed: &Parsed) -> Vec<Range<usize>> {
    let text = parsed.text();
    let at_margin = |import: &Range<usize>| text.line_to_byte(text.byte_to_line(import.start)) == import.start;
    parsed.imports().into_iter().filter(at_margin).collect()
}

/// Adds the `imports` of `answer` that `file` does not have.
fn add_imports(file: &Parsed, answer: &Parsed, imports: &[Range<usize>]) -> Option<Edit> {
    let existing = file.imports();
    let words = |import: &str| import.split_whitespace().collect::<Vec<_>>().join(" ");
    let known = |import: &String| {
        existing
            .iter()
            .any(|range| words(&file.slice(range.clone())).contains(&words(import.trim_start_matches("import "))))
    };
    let same = |import: &String| existing.iter().any(|range| words(&file.slice(range.clone())) == words(import));
    let is_new = |import: &String| if answer.language.groups_imports { !known(import) } else { !same(import) };
    let imports = imports.iter().flat_map(|range| single_imports(&answer.slice(range.clone())));
    let new: Vec<_> = imports.filter(|import| !is_package(import)).filter(is_new).collect();
    if new.is_empty() {
        return None;
    }
    let text = file.text();
    let new = new.join("\n");
    Some(match existing.last() {
        Some(last) => {
            let line = text.byte_to_line(last.end.saturating_sub(1)) + 1;
            let at = text.line_to_byte(line.min(text.len_lines()));
            let gap = if is_package(&file.slice(last.clone())) { "\n" } else { "" };
            let open = if ends_line(text, at) { "" } else { "\n" };
            Edit { range: at..at, new_text: format!("{open}{gap}{new}\n") }
        }
        None => {
            let first = file.top_level_items().first().map_or(text.len_bytes(), |item| file.item_start(item));
            let at = text.line_to_byte(text.byte_to_line(first));
            Edit { range: at..at, new_text: format!("{new}\n\n") }
        }
    })
}

/// The imports of Go's `import ( .. )`, each on its own; any other import as it is.
fn single_imports(import: &str) -> Vec<String> {
    match import.strip_prefix("import (").and_then(|rest| rest.strip_suffix(')')) {
        Some(group) => {
            let lines = group.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
            lines.map(|line| format!("import {line}")).collect()
        }
        None => vec![import.trim_end().to_owned()],
    }
}

/// The body of the container of `file` that `item` of `answer` goes on with: the one of the same name; where a file is one
/// class, that class.
fn container_like(file: &Parsed, answer: &Parsed, item: &Item) -> Option<Range<usize>> {
    let name = answer.slice(item.name.clone());
    let containers = file.top_level_items().into_iter().filter(|other| other.kind == item.kind);
    let same = containers.into_iter().find(|other| file.slice(other.name.clone()) == name);
    let only = || class_of(file).filter(|_| answer.language.file_is_class && item.kind == ItemKind::Class);
    same.or_else(only)?.body
}

/// Adds `members`, the inside of a class, at the end of `body`.
fn add_members(file: &Parsed, body: Range<usize>, members: &str, style: IndentStyle) -> Edit {
    let text = file.text();
    let line = text.line(text.byte_to_line(body.start)).to_string();
    let outer = line[..line.len() - line.trim_start().len()].to_owned();
    let existing = inside(file, body.clone());
    let first = existing.lines().find(|line| !line.trim().is_empty());
    let has_braces = file.slice(body.clone()).starts_with('{');
    let depth = match first {
        // A block without braces begins at its first statement.
        _ if !has_braces => outer.clone(),
        Some(line) if line.starts_with([' ', '\t']) => line[..line.len() - line.trim_start().len()].to_owned(),
        _ => format!("{outer}{}", level(style)),
    };
    let moved = indented(&reindent(&undedented(members), "", style), &depth);
    if !has_braces {
        let end = file.last_non_blank_before(body.end).map_or(body.end, |last| last + 1);
        return Edit { range: end..end, new_text: format!("\n\n{moved}") };
    }
    let closing = text.line_to_byte(text.byte_to_line(body.end - 1));
    if closing <= body.start || !text.byte_slice(closing..body.end - 1).to_string().trim().is_empty() {
        return Edit { range: body.end - 1..body.end - 1, new_text: format!("\n{moved}\n{outer}") };
    }
    let gap = if existing.trim().is_empty() { "" } else { "\n" };
    Edit { range: closing..closing, new_text: format!("{gap}{moved}\n") }
}

/// `members` with the first line as deep as the others: a block without braces begins in the middle of its first line.
fn undedented(members: &str) -> String {
    let members = members.trim_end().trim_start_matches(['\n', '\r']);
    let mut lines = members.lines();
    let first = lines.next().unwrap_or("");
    let depth = lines
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    if first.starts_with([' ', '\t']) || depth == 0 {
        members.to_owned()
    } else {
        format!("{}{members}", " ".repeat(depth))
    }
}

/// `text` without the lines of `taken`, and without blank lines around it.
fn without(text: &str, mut taken: Vec<Range<usize>>) -> String {
    taken.sort_by_key(|range| range.start);
    let mut kept = String::new();
    let mut from = 0;
    for range in taken {
        kept.push_str(&text[from..range.start.max(from)]);
        from = range.end.max(from);
        from += usize::from(text[from..].starts_with('\n'));
    }
    kept.push_str(&text[from..]);
    kept.trim_matches(['\n', '\r']).trim_end().to_owned()
}

/// Adds `rest` after the last of `file`, before the lines that run it as a program.
fn append(file: &Parsed, rest: &str) -> Option<Edit> {
    let text = file.text().to_string();
    let program = |text: &str| {
        let start = file.language.program_start?;
        if text.starts_with(start) { Some(0) } else { text.find(&format!("\n{start}")).map(|at| at + 1) }
    };
    let runs = program(&text);
    let rest = match (runs, program(rest)) {
        (Some(_), Some(again)) => rest[..again].trim_end(),
        _ => rest,
    };
    if rest.is_empty() {
        return None;
    }
    let gap = "\n".repeat(file.language.blank_lines);
    Some(match runs {
        Some(at) => Edit { range: at..at, new_text: format!("{rest}\n\n{gap}").replace("\n\n\n\n", "\n\n\n") },
        None => {
            let end = text.trim_end().len();
            let before = if end == 0 { String::new() } else { format!("\n{gap}") };
            Edit { range: end..text.len(), new_text: format!("{before}{rest}\n") }
        }
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::context::OpenFile;
    use crate::features::fixture::selected;
    use crate::syntax::{Language, language_for};

    /// Open documents by path; the first is asked about at its `$0`. What `code` makes of them: the path and text of what
    /// changes, or why nothing does.
    fn placed(files: &[(&str, &str)], code: &str) -> String {
        let (path, marked) = files[0];
        let id = language_for("", Some(Path::new(path))).map_or("plaintext", |language| language.id);
        let (mut snapshot, asked) = selected(id, marked);
        snapshot.path = Some(PathBuf::from(path));
        let open = |(path, text): &(&str, &str)| OpenFile {
            file: Some(PathBuf::from(path)),
            snapshot: Snapshot { text: Rope::from_str(text), ..snapshot.clone() },
        };
        let open = files[1..].iter().map(open).collect();
        let surroundings = Surroundings { file: Some(PathBuf::from(path)), open, ..Surroundings::default() };
        let target = test_target(&snapshot, &surroundings, &asked);
        let (path, text) = match place_tests(&snapshot, &target, &asked, code, IndentStyle::Spaces(4)) {
            Err(reason) => return format!("{reason}\n"),
            Ok(Change::Edits(edits)) => (PathBuf::from(path), edited(&snapshot.text, &edits)),
            Ok(Change::OtherFile { path, before, edits }) => (path, edited(&before, &edits)),
            Ok(Change::NewFile { path, text }) => (path, format!("(new) {text}")),
        };
        format!("{}: {text}", path.to_string_lossy().replace('\\', "/"))
    }

    fn edited(text: &Rope, edits: &[Edit]) -> String {
        assert!(edits.is_sorted_by_key(|edit| edit.range.start), "edits are in order");
        let mut text = text.clone();
        edits.iter().rev().for_each(|edit| apply_edit(&mut text, edit));
        text.to_string()
    }

    fn check(files: &[(&str, &str)], code: &str, expect: Expect) {
        expect.assert_eq(&placed(files, code));
    }

    const TEST: &str = "#[test]\nfn g_is_one() {\n    assert_eq!(g(), 1);\n}";
    const WRAPPED: &str = "#[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n    fn g_is_one() {\n        assert_eq!(g(), 1);\n    }\n}";

    #[test]
    fn rust_tests_go_into_a_module_at_the_end() {
        for (document, code) in [("fn g() -> i32 { 1 }$0\n", TEST), ("fn g() -> i32 { 1 }$0", WRAPPED)] {
            check(
                &[("/p/src/a.rs", document)],
                code,
                expect![[r#"
                    /p/src/a.rs: fn g() -> i32 { 1 }

                    #[cfg(test)]
                    mod tests {
                        use super::*;

                        #[test]
                        fn g_is_one() {
                            assert_eq!(g(), 1);
                        }
                    }
                "#]],
            );
        }
    }

    #[test]
    fn rust_tests_join_the_module_that_exists() {
        let document = "fn g() {}$0\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n    fn a() {}\n}\n";
        for code in [TEST, WRAPPED, &format!("use super::*;\n\n{TEST}")] {
            check(
                &[("/p/src/a.rs", document)],
                code,
                expect![[r#"
                    /p/src/a.rs: fn g() {}

                    #[cfg(test)]
                    mod tests {
                        use super::*;

                        #[test]
                        fn a() {}

                        #[test]
                        fn g_is_one() {
                            assert_eq!(g(), 1);
                        }
                    }
                "#]],
            );
        }
        check(
            &[("/p/src/a.rs", document)],
            &format!("use std::fmt;\nuse super::*;\n\n{TEST}"),
            expect![[r#"
                /p/src/a.rs: fn g() {}

                #[cfg(test)]
                mod tests {
                    use super::*;
                    use std::fmt;

                    #[test]
                    fn a() {}

                    #[test]
                    fn g_is_one() {
                        assert_eq!(g(), 1);
                    }
                }
            "#]],
        );
        check(
            &[("/p/src/a.rs", "fn g() {}$0\n\n#[cfg(test)]\nmod test {}\n")],
            TEST,
            expect![[r#"
                /p/src/a.rs: fn g() {}

                #[cfg(test)]
                mod test {
                    #[test]
                    fn g_is_one() {
                        assert_eq!(g(), 1);
                    }
                }
            "#]],
        );
        check(
            &[("/p/src/a.rs", "fn g() {}$0\n\n#[cfg(test)]\nmod unit_tests {\n\tuse super::*;\n}\n")],
            TEST,
            expect![[r#"
                /p/src/a.rs: fn g() {}

                #[cfg(test)]
                mod unit_tests {
                	use super::*;

                	#[test]
                	fn g_is_one() {
                	    assert_eq!(g(), 1);
                	}
                }
            "#]],
        );
    }

    #[test]
    fn code_of_a_module_is_tested_in_that_module() {
        check(
            &[(
                "/p/src/a.rs",
                "mod inner {\n    fn g() {}$0\n\n    mod tests {\n        use super::*;\n    }\n}\n\nmod tests {}\n",
            )],
            TEST,
            expect![[r#"
                /p/src/a.rs: mod inner {
                    fn g() {}

                    mod tests {
                        use super::*;

                        #[test]
                        fn g_is_one() {
                            assert_eq!(g(), 1);
                        }
                    }
                }

                mod tests {}
            "#]],
        );
        check(
            &[("/p/src/a.rs", "mod inner {\n    fn g() {}$0\n}\n\nmod tests;\n")],
            TEST,
            expect![[r#"
                /p/src/a.rs: mod inner {
                    fn g() {}

                    #[cfg(test)]
                    mod tests {
                        use super::*;

                        #[test]
                        fn g_is_one() {
                            assert_eq!(g(), 1);
                        }
                    }
                }

                mod tests;
            "#]],
        );
    }

    #[test]
    fn a_module_that_is_a_file_of_its_own_gets_the_tests() {
        let existing = "use super::*;\n\n#[test]\nfn a() {}\n";
        check(
            &[("/p/src/lib.rs", "fn g() {}$0\n\n#[cfg(test)]\nmod tests;\n"), ("/p/src/tests.rs", existing)],
            WRAPPED,
            expect![[r#"
                /p/src/tests.rs: use super::*;

                #[test]
                fn a() {}

                #[test]
                fn g_is_one() {
                    assert_eq!(g(), 1);
                }
            "#]],
        );
        let target = |files: &[(&str, &str)]| {
            let placed = placed(files, TEST);
            placed.lines().next().unwrap_or("").to_owned()
        };
        let declared = "fn g() {}$0\n\n#[cfg(test)]\nmod tests;\n";
        assert_eq!(target(&[("/p/src/lib.rs", declared)]), "/p/src/tests.rs: (new) use super::*;");
        assert_eq!(
            target(&[("/p/src/lib.rs", declared), ("/p/src/tests/mod.rs", existing)]),
            "/p/src/tests/mod.rs: use super::*;"
        );
        assert_eq!(
            target(&[("/p/src/a.rs", declared), ("/p/src/tests.rs", existing)]),
            "/p/src/a/tests.rs: (new) use super::*;"
        );
        assert_eq!(target(&[("/p/src/a/mod.rs", declared)]), "/p/src/a/tests.rs: (new) use super::*;");
        assert_eq!(target(&[("/p/src/bin/a.rs", declared)]), "/p/src/bin/tests.rs: (new) use super::*;");
        let with_path = "fn g() {}$0\n\n#[cfg(test)]\n#[path = \"../t/a.rs\"]\nmod tests;\n";
        assert_eq!(target(&[("/p/src/a.rs", with_path)]), "/p/t/a.rs: (new) use super::*;");
        let nested = "mod inner {\n    fn g() {}$0\n    mod test;\n}\n";
        assert_eq!(target(&[("/p/src/a.rs", nested)]), "/p/src/a/inner/test.rs: (new) use super::*;");
        assert_eq!(target(&[("/p/src/tests.rs", "fn h() {}$0\n")]), "/p/src/tests.rs: fn h() {}");
    }

    #[test]
    fn what_is_there_already_is_not_written_again() {
        let document = "fn g() {}$0\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn g_is_one() {}\n}\n";
        check(
            &[("/p/src/a.rs", document)],
            TEST,
            expect![[r#"
                the answer would define `g_is_one` a second time; give the new code another name
            "#]],
        );
        check(
            &[("/p/a.py", "def f():$0\n    pass\n"), ("/p/test_a.py", "def test_f():\n    pass\n")],
            "def test_f():\n    assert f()\n",
            expect![[r#"
                the answer would define `test_f` a second time; give the new code another name
            "#]],
        );
    }

    #[test]
    fn a_file_of_tests_is_extended() {
        check(
            &[
                ("/p/a.py", "def f():$0\n    pass\n"),
                (
                    "/p/tests/test_a.py",
                    "import os\n\nfrom a import g\n\n\ndef test_g():\n    g()\n\n\nif __name__ == \"__main__\":\n    main()\n",
                ),
            ],
            "import os\nfrom a import f\n\n\ndef test_f():\n    assert f()\n\n\nif __name__ == \"__main__\":\n    main()\n",
            expect![[r#"
                /p/tests/test_a.py: import os

                from a import g
                from a import f


                def test_g():
                    g()


                def test_f():
                    assert f()


                if __name__ == "__main__":
                    main()
            "#]],
        );
        check(
            &[
                ("/p/a.py", "def f():$0\n    pass\n"),
                (
                    "/p/test_a.py",
                    "import unittest\n\n\nclass TestA(unittest.TestCase):\n  def test_g(self):\n    pass\n",
                ),
            ],
            "import unittest\n\nclass TestA(unittest.TestCase):\n    def test_f(self):\n        f()\n\n    def test_h(self):\n        h()\n",
            expect![[r#"
                /p/test_a.py: import unittest


                class TestA(unittest.TestCase):
                  def test_g(self):
                    pass

                  def test_f(self):
                    f()

                  def test_h(self):
                    h()
            "#]],
        );
        check(
            &[
                ("/p/a.go", "package a\n\nfunc F() int {$0\n\treturn 1\n}\n"),
                ("/p/a_test.go", "package a\n\nimport \"testing\"\n\nfunc TestG(t *testing.T) {}\n"),
            ],
            "package main\n\nimport (\n\t\"testing\"\n\t\"fmt\"\n)\n\nfunc TestF(t *testing.T) {\n\tfmt.Println(F())\n}\n",
            expect![[r#"
                /p/a_test.go: package a

                import "testing"
                import "fmt"

                func TestG(t *testing.T) {}

                func TestF(t *testing.T) {
                	fmt.Println(F())
                }
            "#]],
        );
        check(
            &[
                ("/p/src/a.ts", "export function f() {$0}\n"),
                ("/p/src/__tests__/a.test.ts", "import { g } from '../a';\n\ndescribe('g', () => {});\n"),
            ],
            "import { f } from '../a';\n\ndescribe('f', () => {\n  it('runs', () => {});\n});\n",
            expect![[r#"
                /p/src/__tests__/a.test.ts: import { g } from '../a';
                import { f } from '../a';

                describe('g', () => {});

                describe('f', () => {
                  it('runs', () => {});
                });
            "#]],
        );
        check(
            &[
                ("/p/src/main/java/q/A.java", "package q;\n\nclass A {\n    int f() {$0 return 1; }\n}\n"),
                (
                    "/p/src/test/java/q/ATest.java",
                    "package q;\n\nimport org.junit.Test;\n\npublic class ATest {\n    @Test\n    public void g() {}\n}\n",
                ),
            ],
            "import org.junit.Test;\nimport static org.junit.Assert.*;\n\npublic class FTest {\n  @Test\n  public void f() {\n    assertEquals(1, new A().f());\n  }\n}\n",
            expect![[r#"
                /p/src/test/java/q/ATest.java: package q;

                import org.junit.Test;
                import static org.junit.Assert.*;

                public class ATest {
                    @Test
                    public void g() {}

                    @Test
                    public void f() {
                        assertEquals(1, new A().f());
                    }
                }
            "#]],
        );
        check(
            &[
                ("/p/src/a.cpp", "int f() {$0 return 1; }\n"),
                ("/p/test/a_test.cpp", "#include \"a.h\"\n\nTEST(A, g) {\n  g();\n}\n"),
            ],
            "#include \"a.h\"\n#include <vector>\n\nTEST(A, f) {\n  EXPECT_EQ(f(), 1);\n}\n",
            expect![[r#"
                /p/test/a_test.cpp: #include "a.h"
                #include <vector>

                TEST(A, g) {
                  g();
                }

                TEST(A, f) {
                  EXPECT_EQ(f(), 1);
                }
            "#]],
        );
        check(
            &[("/p/test_a.py", "def f():$0\n    pass\n")],
            "def test_f():\n    f()\n",
            expect![[r#"
                /p/test_a.py: def f():
                    pass


                def test_f():
                    f()
            "#]],
        );
    }

    #[test]
    fn a_new_file_is_called_as_its_language_calls_it() {
        let path = |path: &str| {
            let text = if path.ends_with(".java") { "package q;\nclass A {$0}\n" } else { "$0" };
            let code = if path.ends_with(".java") { "class ATest {}" } else { "" };
            let placed = placed(&[(path, text)], code);
            placed.split(": (new)").next().unwrap_or("").to_owned()
        };
        assert_eq!(path("/p/src/a.py"), "/p/src/test_a.py");
        assert_eq!(path("/p/src/a.ts"), "/p/src/a.test.ts");
        assert_eq!(path("/p/src/a.tsx"), "/p/src/a.test.tsx");
        assert_eq!(path("/p/a.go"), "/p/a_test.go");
        assert_eq!(path("/p/A.java"), "/p/ATest.java");
        assert_eq!(path("/p/src/main/java/q/A.java"), "/p/src/test/java/q/ATest.java");
        assert_eq!(path("/p/a.c"), "/p/test_a.c");
        assert_eq!(path("/p/a.hpp"), "/p/a_test.cpp");
        assert_eq!(path("/p/a.rb"), "/p/test_a.rb");
        assert_eq!(path("/p/a"), "/p/test_a");
    }

    #[test]
    fn a_new_file_is_in_the_package_of_the_code() {
        check(
            &[("/p/a.go", "package a\n\nfunc F() {$0}\n")],
            "package main\n\nimport \"testing\"\n\nfunc TestF(t *testing.T) {}\n",
            expect![[r#"
                /p/a_test.go: (new) package a

                import "testing"

                func TestF(t *testing.T) {}
            "#]],
        );
        check(
            &[("/p/A.java", "package q;\n\nclass A {$0}\n")],
            "class FTest {\n}\n",
            expect![[r#"
                /p/FTest.java: (new) package q;

                class FTest {
                }
            "#]],
        );
    }

    #[test]
    fn tests_that_do_not_fit_are_refused() {
        let check = |files: &[(&str, &str)], code: &str, reason: &str| {
            let placed = placed(files, code);
            assert!(placed.contains(reason), "{placed}");
        };
        let python = ("/p/a.py", "def f():$0\n    pass\n");
        check(&[python], "def test_f(:\n    assert f()", "would not parse");
        // A file that is broken may stay as broken as it is.
        check(&[python, ("/p/test_a.py", "def broken(:\n")], "def test_f():\n    f()", "/p/test_a.py: def broken(:");
        check(&[("/p/a.rb", "def f$0; end\n"), ("/p/test_a.rb", "x\n")], "y\n", "no syntax tree");
        check(&[("/p/src/a.rs", "fn g() {}$0\nmod tests {\n")], TEST, "would not parse");
    }

    #[test]
    fn every_language_has_a_place_for_tests() {
        for language in Language::parsed() {
            let path = PathBuf::from(format!("/p/src/a.{}", language.extensions[0]));
            match language.tests {
                TestPlace::Module(_) => assert_eq!(language.id, "rust", "only Rust has modules of tests"),
                TestPlace::File { names, layout } => {
                    for file in test_files(&path, names, layout) {
                        assert_ne!(file, path, "{}", language.id);
                        let same = file.extension().and_then(|found| found.to_str()).expect("an extension");
                        assert!(language.extensions.contains(&same), "{}", file.display());
                    }
                    assert!(names.iter().any(|name| is_named(&test_files(&path, names, layout)[0], name)));
                    assert!(!names.iter().any(|name| is_named(&path, name)), "{}", language.id);
                }
            }
        }
    }
}
