//! What the module has that is named right before a place: after `from m import`, `use crate::m::`, `m.`.

use std::path::Path;

use super::{Piece, Snapshot};
use crate::context::declared::declared;
use crate::context::names::offered;
use crate::context::outline::{cut, one_line};
use crate::context::surroundings::Excerpt;
use crate::syntax::{Language, Parsed};
use crate::text::Rope;

/// It is asked for by name.
const SCORE: f32 = 2.0;

/// The signatures of what the module before `offset` has, as many as fit into `budget`.
pub(super) fn offer(snapshot: &Snapshot, offset: usize, budget: usize) -> Option<Piece> {
    let offered = offered(snapshot, offset)?;
    let path = offered.module.filter(|path| snapshot.surroundings.file.as_ref() != Some(path))?;
    let (parsed, shown) = read(snapshot, &path)?;
    let mut code = String::new();
    let is_offered = |name: &String| offered.names.binary_search(name).is_ok();
    for declared in
        declared(&parsed).iter().filter(|declared| declared.container.is_none() && is_offered(&declared.name))
    {
        let line = cut(one_line(&parsed.slice(declared.item.signature.clone())));
        if code.len() + line.len() + 1 > budget {
            break;
        }
        if !code.is_empty() {
            code.push('\n');
        }
        code.push_str(&line);
    }
    let excerpt = Excerpt { path: Some(shown), language: parsed.language.name.to_owned(), code };
    (!excerpt.code.is_empty()).then_some(Piece { excerpt, range: 0..0, score: SCORE })
}

/// The file at `path`, and the path that a prompt shows.
fn read(snapshot: &Snapshot, path: &Path) -> Option<(Parsed, String)> {
    let surroundings = &snapshot.surroundings;
    let open =
        surroundings.open.iter().find(|open| open.file.as_deref().or(open.snapshot.path.as_deref()) == Some(path));
    if let Some(open) = open {
        return Some((open.snapshot.parsed.clone()?, open.snapshot.shown_path()?));
    }
    let index = surroundings.index.as_ref()?;
    let parsed = Parsed::parse(Language::by_path(path)?, &Rope::from_str(&index.text(path)?))?;
    Some((parsed, index.shown_path(path).to_string_lossy().replace('\\', "/")))
}
