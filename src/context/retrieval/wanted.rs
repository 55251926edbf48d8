//! Names whose definitions would help at a place, and how much.

use std::collections::HashSet;

use crate::context::definitions::{Qualifier, Use, qualifier_before};
use crate::context::words::words;
use crate::syntax::{Parsed, ReferenceKind};

/// How far before and after the place names are looked for.
const BEFORE_BYTES: usize = 3000;
const AFTER_BYTES: usize = 800;
/// A name this many lines away counts half as much.
const HALF_LINES: f32 = 8.0;
/// The weights of a name after the place, a name in the signatures around it, and a type.
const AFTER_WORTH: f32 = 0.7;
const AROUND_WEIGHT: f32 = 0.9;
const TYPE_WORTH: f32 = 1.2;
/// What an imported name is worth that is used nowhere yet (the import was written for something), and any other.
const UNUSED_IMPORT_WEIGHT: f32 = 1.1;
const IMPORT_WEIGHT: f32 = 0.3;
/// A text is searched for uses of what it imports this far around the place.
const USES_BYTES: usize = 32 << 10;
/// The most names.
const MOST: usize = 48;

/// A name whose definition would help.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) used: Use,
    /// About 1 for what is used at the place.
    pub(super) weight: f32,
}

/// The names wanted at `offset`, most wanted first.
pub(super) fn wanted(parsed: &Parsed, offset: usize) -> Vec<Wanted> {
    let mut wanted = used_near(parsed, offset);
    for (name, is_used) in imported(parsed, offset) {
        let used = Use { name, kind: ReferenceKind::Type, qualifier: Qualifier::Import };
        let weight = if is_used { IMPORT_WEIGHT } else { UNUSED_IMPORT_WEIGHT };
        add(&mut wanted, used, weight);
    }
    wanted.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    wanted.truncate(MOST);
    wanted
}

/// What the code near `offset` and the signatures around it use.
fn used_near(parsed: &Parsed, offset: usize) -> Vec<Wanted> {
    let text = parsed.text();
    let line = text.byte_to_line(offset);
    let near = offset.saturating_sub(BEFORE_BYTES)..(offset + AFTER_BYTES).min(text.len_bytes());
    let mut wanted = Vec::new();
    let use_of = |name: std::ops::Range<usize>, kind| Use {
        qualifier: qualifier_before(text, name.start),
        name: parsed.slice(name),
        kind,
    };
    for reference in parsed.references(near) {
        let lines = text.byte_to_line(reference.name.start).abs_diff(line) as f32;
        let side = if reference.name.start < offset { 1.0 } else { AFTER_WORTH };
        let kind = if reference.kind == ReferenceKind::Type { TYPE_WORTH } else { 1.0 };
        add(&mut wanted, use_of(reference.name, reference.kind), side * kind / (1.0 + lines / HALF_LINES));
    }
    for item in parsed.enclosing_items(offset) {
        for reference in parsed.references(item.signature) {
            add(&mut wanted, use_of(reference.name, reference.kind), AROUND_WEIGHT);
        }
    }
    wanted
}

fn add(wanted: &mut Vec<Wanted>, used: Use, weight: f32) {
    match wanted.iter_mut().find(|known| known.used == used) {
        Some(known) => known.weight = known.weight.max(weight),
        None => wanted.push(Wanted { used, weight }),
    }
}

/// The words of the imports, each once, and whether the code uses them.
fn imported(parsed: &Parsed, offset: usize) -> Vec<(String, bool)> {
    let text = parsed.text();
    let imports = parsed.imports();
    let start = imports.last().map_or(0, |last| last.end).max(offset.saturating_sub(USES_BYTES));
    let end = (offset + USES_BYTES).min(text.len_bytes());
    let code = if start < end { parsed.slice(floor(parsed, start)..floor(parsed, end)) } else { String::new() };
    let used: HashSet<&str> = words(&code).collect();
    let mut names: Vec<(String, bool)> = Vec::new();
    for import in imports {
        for name in words(&parsed.slice(import)) {
            if !names.iter().any(|(known, _)| known == name) {
                names.push((name.to_owned(), used.contains(name)));
            }
        }
    }
    names
}

fn floor(parsed: &Parsed, offset: usize) -> usize {
    crate::text::floor_char_boundary(parsed.text(), offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Language;
    use crate::text::Rope;

    #[test]
    fn what_is_near_and_what_is_imported_and_unused_is_wanted_most() {
        let text = "from .shapes import Shape, circle\n\n\ndef far():\n    distant()\n\n\n\n\n\n\n\n\n\ndef f(x: Point):\n    near()\n    \n";
        let language = Language::by_id("python").expect("a known language");
        let parsed = Parsed::parse(language, &Rope::from_str(text)).expect("a small text parses");
        let wanted = wanted(&parsed, text.len() - 1);
        let place = |name: &str| wanted.iter().position(|wanted| wanted.used.name == name).expect(name);
        for (more, less) in [("circle", "distant"), ("near", "distant"), ("Point", "distant"), ("Shape", "distant")] {
            assert!(place(more) < place(less), "{more} before {less}: {wanted:?}");
        }
        let is_import = |name: &str| wanted[place(name)].used.qualifier == Qualifier::Import;
        assert!(is_import("circle") && !is_import("near"));
    }
}
