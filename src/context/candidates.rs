//! Definitions in other files: which of many things with one name the code probably means, and how they are shown.
//!
//! Nothing is resolved as a compiler would. A wrong definition misleads a model more than a missing one, so what stays
//! ambiguous is left out.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::declared::{Declared, declared};
use super::definitions::{Definition, Qualifier, Use, indent_at};
use super::imports::{Imports, Nearness};
use super::index::{Found, WorkspaceIndex};
use super::outline::{cut, one_line};
use super::surroundings::{Excerpt, OpenFile, Surroundings};
use super::words::name_hash;
use crate::syntax::{ItemKind, Language, Parsed, ReferenceKind};

/// A name that is defined in more places is ambiguous, unless an import says which one is meant.
const MAX_PLACES: usize = 3;
/// How many definitions of one name are shown.
const MAX_SHOWN_PER_NAME: usize = 2;
/// How many open documents are searched, and how many bytes in all; a person is waiting.
const MAX_OPEN_FILES: usize = 24;
const MAX_OPEN_BYTES: usize = 1 << 20;
/// The most members of one type that are listed, and what stands before each.
const MAX_MEMBERS: usize = 24;
const MEMBER_INDENT: &str = "\n    ";
/// A type or a constant of at most this many bytes is shown whole.
const MAX_WHOLE_BYTES: usize = 240;

/// Something that has a name the code uses.
pub(super) struct Candidate<'a> {
    pub(super) nearness: Nearness,
    kind: ItemKind,
    /// [`name_hash`] of the container's name.
    container: Option<u64>,
    has_body: bool,
    language: &'static Language,
    pub(super) path: Option<PathBuf>,
    /// Folders at the beginning of its path that the document's has too.
    shared_folders: usize,
    /// With its comments and attributes.
    pub(super) range: Range<usize>,
    place: FoundAt<'a>,
}

enum FoundAt<'a> {
    Open(&'a Parsed, &'a [Declared], &'a Declared),
    Indexed(&'a WorkspaceIndex, Found),
}

/// One document of the surroundings with what it declares.
struct Searched<'a> {
    open: &'a OpenFile,
    parsed: &'a Parsed,
    declared: Vec<Declared>,
}

/// The possible definitions of names that a document uses but does not declare.
pub(super) struct Search<'a> {
    surroundings: &'a Surroundings,
    path: Option<&'a Path>,
    wanted: Vec<&'a Use>,
    imports: Imports,
    /// [`name_hash`]es of the names that the code and its imports have in them.
    spoken_of: HashSet<u64>,
    searched: Vec<Searched<'a>>,
    /// By the place of their names in `wanted`.
    indexed: Vec<Found>,
}

impl<'a> Search<'a> {
    /// Looks for what `uses` names in the document `parsed`, which is shown as `path`.
    pub(super) fn new(
        surroundings: &'a Surroundings,
        parsed: &Parsed,
        path: Option<&'a Path>,
        uses: &'a [Use],
        own: &HashSet<String>,
    ) -> Self {
        let wanted: Vec<&Use> = uses.iter().filter(|used| !own.contains(&used.name)).collect();
        let names: Vec<&str> = wanted.iter().map(|used| used.name.as_str()).collect();
        let imports = Imports::of(parsed, path);
        let spoken_of = uses.iter().map(|used| used.name.as_str()).chain(imports.words()).map(name_hash).collect();
        let family = parsed.language.family;
        let searched = search_open(surroundings, &names, family);
        let indexed = surroundings.index.as_ref().map(|index| index.find(&names, family)).unwrap_or_default();
        Self { surroundings, path, wanted, imports, spoken_of, searched, indexed }
    }

    /// The names that are looked for, in order.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &'a Use> {
        self.wanted.iter().copied()
    }

    /// The probable definitions of `used`, one of the wanted names; the best first.
    pub(super) fn meant_by(&self, used: &Use) -> Vec<Candidate<'_>> {
        let mut candidates = self.candidates_in_open(&used.name);
        candidates.extend(self.candidates_in_index(used));
        candidates.retain(|candidate| may_mean(used, candidate, &self.spoken_of));
        meant(candidates)
    }

    fn candidates_in_open(&self, name: &str) -> Vec<Candidate<'_>> {
        let mut candidates = Vec::new();
        for Searched { open, parsed, declared } in &self.searched {
            let path = open.snapshot.path.as_deref();
            for found in declared.iter().filter(|declared| declared.name == name) {
                candidates.push(Candidate {
                    nearness: path.map_or(Nearness::Elsewhere, |path| self.imports.nearness(path, name)),
                    kind: found.item.kind,
                    container: found.container.as_deref().map(name_hash),
                    has_body: found.item.body.is_some(),
                    language: parsed.language,
                    path: path.map(Path::to_path_buf),
                    shared_folders: self.shared_folders(path),
                    range: parsed.item_start(&found.item)..found.item.range.end,
                    place: FoundAt::Open(parsed, declared, found),
                });
            }
        }
        candidates
    }

    fn candidates_in_index(&self, used: &Use) -> Vec<Candidate<'_>> {
        let Some(index) = self.surroundings.index.as_deref() else { return Vec::new() };
        let Some(at) = self.wanted.iter().position(|wanted| std::ptr::eq(*wanted, used)) else { return Vec::new() };
        // What is open is newer than what is on disk.
        let found = self.indexed.iter().filter(|found| found.name == at && !self.surroundings.has_open(&found.path));
        let candidate = |found: &Found| {
            let path = index.shown_path(&found.path).to_path_buf();
            Candidate {
                nearness: self.imports.nearness(&path, &used.name),
                kind: found.kind(),
                container: found.container(),
                has_body: found.has_body(),
                language: found.language,
                shared_folders: self.shared_folders(Some(&path)),
                path: Some(path),
                range: found.range(),
                place: FoundAt::Indexed(index, found.clone()),
            }
        };
        found.map(candidate).collect()
    }

    fn shared_folders(&self, path: Option<&Path>) -> usize {
        let (Some(own), Some(path)) = (self.path, path) else { return 0 };
        own.iter().zip(path).take_while(|(own, other)| own == other).count()
    }
}

/// Definitions of what `uses` names and `parsed`, shown as `path`, does not declare itself; at most `budget` bytes.
/// Those of one file stand together.
pub(super) fn definitions_elsewhere(
    surroundings: &Surroundings,
    parsed: &Parsed,
    path: Option<&Path>,
    uses: &[Use],
    budget: usize,
) -> Vec<Excerpt> {
    if surroundings.open.is_empty() && surroundings.index.is_none() {
        return Vec::new();
    }
    let own: HashSet<String> = declared(parsed).into_iter().map(|declared| declared.name).collect();
    let search = Search::new(surroundings, parsed, path, uses, &own);
    let mut shown: Vec<(Range<usize>, Excerpt)> = Vec::new();
    let mut left = budget;
    for used in search.wanted() {
        for candidate in search.meant_by(used) {
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
fn search_open<'a>(surroundings: &'a Surroundings, names: &[&str], family: &str) -> Vec<Searched<'a>> {
    let mut bytes = 0;
    let mut searched = Vec::new();
    for open in &surroundings.open {
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

/// Whether `used` can stand for `candidate`, by how it is written. `spoken_of` are the names that the code and its imports
/// have in them.
fn may_mean(used: &Use, candidate: &Candidate<'_>, spoken_of: &HashSet<u64>) -> bool {
    let is_imported = candidate.nearness >= Nearness::Imported;
    if used.qualifier == Qualifier::Import {
        return candidate.nearness == Nearness::NameImported && candidate.container.is_none();
    }
    if used.kind == ReferenceKind::Type {
        return !candidate.kind.is_callable() && candidate.container.is_none();
    }
    match candidate.container {
        // `len` of a type that the code does not name would be a wrong guess.
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

/// Which of `candidates` to show, best first; none if nothing tells them apart.
fn meant(mut candidates: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    candidates.sort_by(|a, b| {
        let key = |candidate: &Candidate<'_>| {
            let is_indexed = matches!(candidate.place, FoundAt::Indexed(..));
            let (imported, near) = (candidate.nearness.max(Nearness::SameFolder), candidate.nearness);
            (std::cmp::Reverse(imported), is_indexed, std::cmp::Reverse(near), !candidate.has_body)
        };
        let key = |candidate| (key(candidate), std::cmp::Reverse(candidate.shared_folders));
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
    pub(super) fn excerpt(&self, budget: usize) -> Option<Excerpt> {
        let budget = budget.checked_sub(self.shown_path().map_or(0, |path| path.len()))?;
        let text = match &self.place {
            FoundAt::Open(parsed, ..) => parsed.slice(self.range.clone()),
            FoundAt::Indexed(index, found) => index.definition(found)?,
        };
        self.definition(&text).fitted(budget).map(|code| self.excerpt_of(code))
    }

    /// What a user of it has to know, within `budget` bytes: the first line of its documentation, its signature, and
    /// those of its members. Nothing if its file has changed in the meantime.
    pub(super) fn brief(&self, name: &str, budget: usize) -> Option<Excerpt> {
        let (text, members) = self.text_and_members(name)?;
        let definition = self.definition(&text);
        let is_short = !self.kind.is_callable() && text.len() <= MAX_WHOLE_BYTES.min(budget);
        let mut code = if is_short { definition.fitted(budget)? } else { definition.head() };
        if code.len() > budget {
            return None;
        }
        for member in members.iter().filter(|_| !self.kind.is_callable()).take(MAX_MEMBERS) {
            if code.len() + member.len() + MEMBER_INDENT.len() > budget {
                break;
            }
            if !code.contains(member) {
                code.push_str(MEMBER_INDENT);
                code.push_str(member);
            }
        }
        Some(self.excerpt_of(code))
    }

    /// Its text, and the signatures of what is declared as its member in its file, wherever.
    fn text_and_members(&self, name: &str) -> Option<(String, Vec<String>)> {
        let member = |signature: &str| cut(one_line(signature));
        match &self.place {
            FoundAt::Open(parsed, declared, _) => {
                let members = declared.iter().filter(|declared| declared.container.as_deref() == Some(name));
                let members = members.map(|declared| member(&parsed.slice(declared.item.signature.clone())));
                Some((parsed.slice(self.range.clone()), members.take(MAX_MEMBERS).collect()))
            }
            FoundAt::Indexed(index, found) => {
                let file = index.text(&found.path)?;
                let members = index.members(&found.path, name);
                let members = members.into_iter().filter_map(|signature| file.get(signature)).map(member);
                Some((file.get(self.range.clone())?.to_owned(), members.take(MAX_MEMBERS).collect()))
            }
        }
    }

    fn definition<'a>(&self, text: &'a str) -> Definition<'a> {
        let start = self.range.start;
        let (signature, indent) = match &self.place {
            FoundAt::Open(parsed, _, Declared { item, .. }) => {
                (item.signature.start - start..item.signature.end - start, indent_at(parsed.text(), start))
            }
            FoundAt::Indexed(_, found) => (found.signature(), found.indent()),
        };
        Definition { language: self.language, text, signature, indent }
    }

    /// The path as the model sees it.
    fn shown_path(&self) -> Option<String> {
        self.path.as_ref().map(|path| path.to_string_lossy().replace('\\', "/"))
    }

    fn excerpt_of(&self, code: String) -> Excerpt {
        Excerpt { path: self.shown_path(), language: self.language.name.to_string(), code }
    }

    /// Whether its file is generated or third-party code.
    pub(super) fn is_foreign(&self) -> bool {
        match &self.place {
            FoundAt::Open(..) => false,
            FoundAt::Indexed(index, found) => index.is_foreign(&found.path),
        }
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
