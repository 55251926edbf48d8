//! Definitions in other files: which of many things with one name the code probably means, and how they are shown.
//!
//! Nothing is resolved as a compiler would. A wrong definition misleads a model more than a missing one, so what stays
//! ambiguous is left out.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Snapshot;
use super::declared::{Declared, declared};
use super::definitions::{Definition, Qualifier, Use, indent_at};
use super::imports::{Imports, Nearness};
use super::index::{Found, WorkspaceIndex, name_hash};
use crate::syntax::{ItemKind, Language, Parsed, ReferenceKind};
use crate::text::{Rope, with_line_feeds};

/// A name defined in more places means nothing in particular, unless an import says which one.
const MAX_PLACES: usize = 3;
/// The most definitions of one name that are shown.
const MAX_SHOWN_PER_NAME: usize = 2;
/// Open documents that are searched, and their bytes in all; a person waits meanwhile.
const MAX_OPEN_FILES: usize = 24;
const MAX_OPEN_BYTES: usize = 1 << 20;

/// An open document other than the one in question.
#[derive(Clone)]
pub struct OpenFile {
    /// The file behind it.
    pub file: Option<PathBuf>,
    pub snapshot: Snapshot,
}

/// What a question may take code from besides its own document. Everything in it may enter a prompt.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The file behind the document in question, which the index knows too.
    pub file: Option<PathBuf>,
    pub open: Vec<OpenFile>,
    pub index: Option<Arc<WorkspaceIndex>>,
}

/// Code of another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    pub path: Option<String>,
    /// The language's name after a code fence.
    pub language: String,
    pub code: String,
}

impl Excerpt {
    pub(super) fn len(&self) -> usize {
        self.code.len() + self.path.as_ref().map_or(0, String::len)
    }
}

/// Something that has a name the code uses.
struct Candidate<'a> {
    nearness: Nearness,
    kind: ItemKind,
    /// [`name_hash`] of the container's name.
    container: Option<u64>,
    has_body: bool,
    language: &'static Language,
    path: Option<PathBuf>,
    /// With its comments and attributes.
    range: Range<usize>,
    place: Place<'a>,
}

enum Place<'a> {
    Open(&'a Parsed, &'a Declared),
    Indexed(&'a WorkspaceIndex, Found),
}

/// One document of the surroundings with what it declares.
struct Searched<'a> {
    open: &'a OpenFile,
    parsed: &'a Parsed,
    declared: Vec<Declared>,
}

/// Files beside the one in question are read up to this size.
const MAX_NEIGHBOUR_BYTES: u64 = 1 << 20;

/// The text of the file at `path` as it is on disk, with its own line endings; `None` if there is no such file.
///
/// # Errors
/// Why a file that exists is not read.
pub fn read_neighbour(path: &Path) -> Result<Option<String>, String> {
    match path.metadata() {
        Err(_) => Ok(None),
        Ok(metadata) if !metadata.is_file() || metadata.len() > MAX_NEIGHBOUR_BYTES => {
            Err(format!("{} is no file of at most 1 MiB", path.display()))
        }
        Ok(_) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        },
    }
}

impl Surroundings {
    /// The text of the file at `path` as the person has it, open or on disk; `None` if there is no such file. It goes into no
    /// prompt: what an edit of it has to fit into may be excluded.
    ///
    /// # Errors
    /// Why a file that exists is not read.
    pub fn neighbour(&self, path: &Path) -> Result<Option<Rope>, String> {
        if let Some(open) = self.open.iter().find(|open| open.file.as_deref() == Some(path)) {
            return Ok(Some(open.snapshot.text.clone()));
        }
        Ok(read_neighbour(path)?.map(|text| Rope::from_str(&with_line_feeds(text))))
    }

    /// Definitions of what `uses` names and `parsed`, shown as `path`, does not declare itself; at most `budget` bytes.
    /// Those of one file stand together.
    pub(super) fn definitions(
        &self,
        parsed: &Parsed,
        path: Option<&Path>,
        uses: &[Use],
        budget: usize,
    ) -> Vec<Excerpt> {
        if self.open.is_empty() && self.index.is_none() {
            return Vec::new();
        }
        let own: HashSet<String> = declared(parsed).into_iter().map(|declared| declared.name).collect();
        let wanted: Vec<&Use> = uses.iter().filter(|used| !own.contains(&used.name)).collect();
        let names: Vec<&str> = wanted.iter().map(|used| used.name.as_str()).collect();
        let imports = Imports::of(parsed, path);
        let spoken_of = uses.iter().map(|used| used.name.as_str()).chain(imports.words());
        let spoken_of: HashSet<u64> = spoken_of.map(name_hash).collect();
        let family = parsed.language.family;
        let searched = self.search_open(&names, family);
        let indexed = self.index.as_ref().map(|index| index.find(&names, family)).unwrap_or_default();
        let mut shown: Vec<(Range<usize>, Excerpt)> = Vec::new();
        let mut left = budget;
        for (at, used) in wanted.iter().enumerate() {
            let mut candidates = candidates_in_open(&searched, &used.name, &imports);
            candidates.extend(self.candidates_in_index(&indexed, at, &used.name, &imports));
            candidates.retain(|candidate| may_mean(used, candidate, &spoken_of));
            for candidate in meant(candidates) {
                // One long definition must not crowd out the others.
                let Some(excerpt) = candidate.excerpt(left.min(budget / 2)) else { continue };
                let same_file = |other: &Excerpt| other.path == excerpt.path;
                // A class that is shown shows its methods.
                if shown.iter().any(|(range, other)| same_file(other) && holds(range, &candidate.range)) {
                    continue;
                }
                shown.retain(|(range, other)| !(same_file(other) && holds(&candidate.range, range)));
                left = left.saturating_sub(excerpt.len());
                shown.push((candidate.range, excerpt));
            }
        }
        by_file(shown.into_iter().map(|(_, excerpt)| excerpt).collect())
    }

    /// What the open documents of `family` declare that have one of `names` in their text.
    fn search_open(&self, names: &[&str], family: &str) -> Vec<Searched<'_>> {
        let mut bytes = 0;
        let mut searched = Vec::new();
        for open in &self.open {
            let Some(parsed) = open.snapshot.parsed.as_ref().filter(|parsed| parsed.language.family == family) else {
                continue;
            };
            bytes += parsed.text().len_bytes();
            if searched.len() == MAX_OPEN_FILES || bytes > MAX_OPEN_BYTES {
                break;
            }
            let text = parsed.text().to_string();
            if names.iter().any(|name| text.contains(name)) {
                searched.push(Searched { open, parsed, declared: declared(parsed) });
            }
        }
        searched
    }

    fn candidates_in_index<'a>(
        &'a self,
        indexed: &'a [Found],
        at: usize,
        name: &'a str,
        imports: &'a Imports,
    ) -> impl Iterator<Item = Candidate<'a>> {
        // What is open is newer than what is on disk.
        let is_open = |path: &Path| {
            self.file.as_deref() == Some(path) || self.open.iter().any(|open| open.file.as_deref() == Some(path))
        };
        let found = indexed.iter().filter(move |found| found.name == at && !is_open(&found.path));
        found.zip(self.index.as_deref().into_iter().cycle()).map(|(found, index)| {
            let path = index.shown_path(&found.path);
            Candidate {
                nearness: imports.nearness(path, name),
                kind: found.kind(),
                container: found.container(),
                has_body: found.has_body(),
                language: found.language,
                path: Some(path.to_path_buf()),
                range: found.range(),
                place: Place::Indexed(index, found.clone()),
            }
        })
    }
}

fn candidates_in_open<'a>(searched: &'a [Searched<'_>], name: &str, imports: &Imports) -> Vec<Candidate<'a>> {
    let mut candidates = Vec::new();
    for Searched { open, parsed, declared } in searched {
        let path = open.snapshot.path.as_deref();
        for declared in declared.iter().filter(|declared| declared.name == name) {
            candidates.push(Candidate {
                nearness: path.map_or(Nearness::Elsewhere, |path| imports.nearness(path, name)),
                kind: declared.item.kind,
                container: declared.container.as_deref().map(name_hash),
                has_body: declared.item.body.is_some(),
                language: parsed.language,
                path: path.map(Path::to_path_buf),
                range: parsed.item_start(&declared.item)..declared.item.range.end,
                place: Place::Open(parsed, declared),
            });
        }
    }
    candidates
}

/// Whether `used` can stand for `candidate`, by how it is written. `spoken_of` are the names that the code and its imports
/// have in them.
fn may_mean(used: &Use, candidate: &Candidate<'_>, spoken_of: &HashSet<u64>) -> bool {
    let is_imported = candidate.nearness >= Nearness::Imported;
    if used.kind == ReferenceKind::Type {
        return !candidate.kind.is_callable() && candidate.container.is_none();
    }
    match candidate.container {
        // `len` of anything else than what the code speaks of would be a wrong guess.
        Some(container) => {
            candidate.kind.is_callable() && used.qualifier != Qualifier::None && spoken_of.contains(&container)
        }
        // Go's methods stand beside their types.
        None if candidate.kind == ItemKind::Method => {
            used.qualifier == Qualifier::Member && candidate.nearness >= Nearness::SameFolder
        }
        // Classes are called in some languages; a module's functions are its members in some.
        None => candidate.kind != ItemKind::Constant && (used.qualifier != Qualifier::Member || is_imported),
    }
}

/// Which of `candidates` to show, best first; none where nothing tells them apart.
fn meant(mut candidates: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    candidates.sort_by(|a, b| {
        let key = |candidate: &Candidate<'_>| {
            let is_indexed = matches!(candidate.place, Place::Indexed(..));
            let (imported, near) = (candidate.nearness.max(Nearness::SameFolder), candidate.nearness);
            (std::cmp::Reverse(imported), is_indexed, std::cmp::Reverse(near), !candidate.has_body)
        };
        key(a).cmp(&key(b)).then_with(|| (&a.path, a.range.start).cmp(&(&b.path, b.range.start)))
    });
    let Some(best) = candidates.first().map(|best| best.nearness) else { return candidates };
    if best < Nearness::Imported && candidates.len() > MAX_PLACES {
        return Vec::new();
    }
    candidates.retain(|candidate| candidate.nearness == best);
    // Beside a function itself, its declaration in a header says nothing more.
    if candidates[0].has_body {
        candidates.retain(|candidate| candidate.has_body || !candidate.kind.is_callable());
    }
    candidates.truncate(MAX_SHOWN_PER_NAME);
    candidates
}

impl Candidate<'_> {
    /// Its code, whole or cut, within `budget` bytes; nothing if its file has changed meanwhile.
    fn excerpt(&self, budget: usize) -> Option<Excerpt> {
        let path = self.path.as_ref().map(|path| path.to_string_lossy().replace('\\', "/"));
        let budget = budget.checked_sub(path.as_ref().map_or(0, String::len))?;
        let start = self.range.start;
        let (text, signature, indent) = match &self.place {
            Place::Open(parsed, Declared { item, .. }) => (
                parsed.slice(self.range.clone()),
                item.signature.start - start..item.signature.end - start,
                indent_at(parsed.text(), start),
            ),
            Place::Indexed(index, found) => (index.definition(found)?, found.signature(), found.indent()),
        };
        let code = Definition { language: self.language, text: &text, signature, indent }.fitted(budget)?;
        Some(Excerpt { path, language: self.language.name.to_string(), code })
    }
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// `excerpts` with those of one file together, in the order of each file's first.
fn by_file(excerpts: Vec<Excerpt>) -> Vec<Excerpt> {
    let mut order: Vec<Option<String>> = Vec::new();
    let mut ranked: Vec<(usize, Excerpt)> = Vec::new();
    for excerpt in excerpts {
        let rank = order.iter().position(|path| *path == excerpt.path).unwrap_or_else(|| {
            order.push(excerpt.path.clone());
            order.len() - 1
        });
        ranked.push((rank, excerpt));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, excerpt)| excerpt).collect()
}
