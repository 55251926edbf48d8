//! What the files of a workspace declare, and which words are in which file: names and places. It keeps no text: a definition
//! is read when it is wanted, and only used if its bytes are still the ones that were indexed.
//!
//! Nothing here runs by itself. Whoever owns an index calls [`WorkspaceIndex::walk`] where that delays nobody, and
//! [`WorkspaceIndex::refresh`] for files that have changed.

mod postings;
mod read_names;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::declared::declared;
use super::definitions::indent_at;
use super::words::{checksum, distinct, is_word, name_hash, word_hash};
use crate::syntax::{ItemKind, Language, Names, Parsed};
use crate::text::{Rope, with_line_feeds};
use crate::workspace::Workspaces;
use postings::Postings;
use read_names::ReadNames;

/// Files with a longer average line are not written by people.
const MAX_MEAN_LINE: usize = 200;

/// A file that declares more is generated, and would crowd out those that people write.
const MAX_ITEMS_PER_FILE: usize = 2000;

/// A word that is in more than this part of the files, and in more files than this, does not distinguish files.
const COMMON_SHARE: usize = 4;
const COMMON_AT_LEAST: usize = 8;

/// Different words of an ordinary file.
const MEAN_WORDS: f32 = 250.0;

/// Generated files say so within this many bytes.
const GENERATED_HEAD_BYTES: usize = 1 << 10;

/// Folders of third-party code inside projects.
const FOREIGN_FOLDERS: [&str; 5] = ["vendor", "vendored", "third_party", "third-party", "thirdparty"];

/// How much of a workspace is indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Files with declarations.
    pub files: usize,
    /// Larger files are data more often than code.
    pub file_bytes: u64,
    /// Bytes of all files read.
    pub total_bytes: u64,
    /// Declarations; each takes 48 bytes.
    pub items: usize,
    /// Time spent at work, waiting not counted.
    pub time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            files: 20_000,
            file_bytes: 256 << 10,
            total_bytes: 128 << 20,
            items: 400_000,
            time: Duration::from_secs(60),
        }
    }
}

/// The declarations in the files of a workspace.
#[derive(Debug)]
pub struct WorkspaceIndex {
    workspaces: RwLock<Arc<Workspaces>>,
    bounds: Bounds,
    contents: RwLock<Contents>,
    /// Files found to have changed when a definition was wanted.
    stale: Mutex<Vec<PathBuf>>,
    /// The roots of workspaces that have been read to their end.
    read_roots: Mutex<Vec<PathBuf>>,
    read_names: Mutex<ReadNames>,
}

#[derive(Debug, Default)]
struct Contents {
    numbers: BTreeMap<Arc<Path>, u32>,
    /// By their numbers, which are reused.
    files: Vec<Option<IndexedFile>>,
    free: Vec<u32>,
    /// Files by the names they declare, and by all words they have.
    declaring: Postings,
    having: Postings,
    bytes: u64,
    items: usize,
}

#[derive(Debug)]
struct IndexedFile {
    path: Arc<Path>,
    language: &'static Language,
    bytes: u64,
    /// Of the whole text.
    checksum: u64,
    /// It is generated or third-party code.
    is_foreign: bool,
    items: Box<[IndexedItem]>,
    words: Box<[u32]>,
}

impl IndexedFile {
    fn declared_words(&self) -> Vec<u32> {
        self.items.iter().map(|item| item.name as u32).collect()
    }
}

impl Contents {
    fn get(&self, path: &Path) -> Option<&IndexedFile> {
        self.numbered(*self.numbers.get(path)?)
    }

    fn numbered(&self, number: u32) -> Option<&IndexedFile> {
        self.files.get(number as usize)?.as_ref()
    }

    fn insert(&mut self, entry: IndexedFile) {
        self.remove(&Arc::clone(&entry.path));
        let number = self.free.pop().unwrap_or_else(|| {
            self.files.push(None);
            // There are far fewer than four billion files.
            (self.files.len() - 1) as u32
        });
        self.declaring.add(number, &entry.declared_words());
        self.having.add(number, &entry.words);
        self.bytes += entry.bytes;
        self.items += entry.items.len();
        self.numbers.insert(Arc::clone(&entry.path), number);
        self.files[number as usize] = Some(entry);
    }

    fn remove(&mut self, path: &Path) {
        let Some(number) = self.numbers.remove(path) else { return };
        let Some(entry) = self.files[number as usize].take() else { return };
        self.declaring.remove(number, &entry.declared_words());
        self.having.remove(number, &entry.words);
        self.bytes -= entry.bytes;
        self.items -= entry.items.len();
        self.free.push(number);
    }

    /// How much it means that a file contains `word`: little if many do.
    fn rarity(&self, word: u32) -> f32 {
        let (all, having) = (self.numbers.len() as f32, self.having.files(word).len() as f32);
        (1.0 + (all - having + 0.5) / (having + 0.5)).ln()
    }
}

/// A declaration; offsets are bytes of its file's text, whose lines end with `\n`.
#[derive(Debug, Clone, Copy)]
struct IndexedItem {
    name: u64,
    /// 0 for what is no member.
    container: u64,
    /// Of the bytes `start..end`.
    checksum: u64,
    /// Where its comments and attributes begin.
    start: u32,
    signature_start: u32,
    signature_end: u32,
    end: u32,
    /// Of its first line, in bytes; where that is more than a screen is wide, less will do.
    indent: u8,
    kind: ItemKind,
}

/// A declaration of a name that was looked for.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: Arc<Path>,
    pub(super) language: &'static Language,
    /// Which of the names.
    pub(super) name: usize,
    item: IndexedItem,
}

impl Found {
    fn new(entry: &IndexedFile, name: usize, item: &IndexedItem) -> Self {
        Self { path: Arc::clone(&entry.path), language: entry.language, name, item: *item }
    }

    pub(super) fn kind(&self) -> ItemKind {
        self.item.kind
    }

    /// [`name_hash`] of the container's name.
    pub(super) fn container(&self) -> Option<u64> {
        (self.item.container != 0).then_some(self.item.container)
    }

    /// Its place in the file, comments and attributes included.
    pub(super) fn range(&self) -> Range<usize> {
        self.item.start as usize..self.item.end as usize
    }

    pub(super) fn indent(&self) -> usize {
        usize::from(self.item.indent)
    }

    pub(super) fn has_body(&self) -> bool {
        self.item.signature_end < self.item.end
    }

    /// The signature's place in the definition's text.
    pub(super) fn signature(&self) -> Range<usize> {
        let (start, signature) = (self.item.start as usize, self.item.signature());
        signature.start - start..signature.end - start
    }
}

impl IndexedItem {
    /// Its place in the file.
    fn signature(&self) -> Range<usize> {
        self.signature_start as usize..self.signature_end as usize
    }
}

impl WorkspaceIndex {
    /// An empty index of the files that `workspaces` let pass.
    pub fn new(workspaces: Arc<Workspaces>, bounds: Bounds) -> Self {
        let workspaces = RwLock::new(workspaces);
        let (contents, stale, read_roots, read_names) = Default::default();
        Self { workspaces, bounds, contents, stale, read_roots, read_names }
    }

    /// Replaces the workspaces by `workspaces`, which have other roots but the same rules, and forgets files that are
    /// in none of them. Returns the new roots, which have to be read with [`WorkspaceIndex::walk_root`].
    pub fn set_workspaces(&self, workspaces: Arc<Workspaces>) -> Vec<PathBuf> {
        let old = self.workspaces();
        let is_new = |root: &&Path| old.roots().all(|known| known != *root);
        let new = workspaces.roots().filter(is_new).map(Path::to_owned).collect();
        let is_in = |path: &Path| workspaces.roots().any(|root| path.starts_with(root));
        let gone: Vec<_> = self.contents().numbers.keys().filter(|path| !is_in(path)).cloned().collect();
        self.read_roots().retain(|read| workspaces.roots().any(|root| root == read));
        *self.workspaces.write().unwrap_or_else(PoisonError::into_inner) = workspaces;
        gone.iter().for_each(|path| self.forget(path));
        new
    }

    /// Reads the files of all workspaces, as far as the bounds allow. `go_on` is called before each step, may wait, and
    /// ends the walk by `false`.
    pub fn walk(&self, go_on: &mut dyn FnMut() -> bool) {
        let workspaces = self.workspaces();
        let mut worked = Duration::ZERO;
        workspaces.roots().for_each(|root| self.walk_below(&workspaces, root, &mut worked, go_on));
    }

    /// Reads the files of the workspace at `root`, which is one of the workspaces', likewise.
    pub fn walk_root(&self, root: &Path, go_on: &mut dyn FnMut() -> bool) {
        let mut worked = Duration::ZERO;
        self.walk_below(&self.workspaces(), root, &mut worked, go_on);
    }

    fn walk_below(&self, workspaces: &Workspaces, root: &Path, worked: &mut Duration, go_on: &mut dyn FnMut() -> bool) {
        let mut steps = workspaces.walk(root);
        while go_on() && *worked <= self.bounds.time && !self.is_full() {
            let begun = Instant::now();
            let Some(step) = steps.next() else { return self.read_roots().push(root.to_owned()) };
            if let Some(file) = step {
                self.read(&file);
            }
            *worked += begun.elapsed();
        }
    }

    /// Reads the file at `path` again, or forgets it if it is gone or must not be in the index.
    pub fn refresh(&self, path: &Path) {
        let workspaces = self.workspaces();
        let file = workspaces.location_of(path).file;
        self.forget(&file);
        if !self.is_full() && workspaces.would_walk(&file) {
            self.read(&file);
        }
    }

    /// Files that were found to differ from what was indexed; each is told once.
    pub fn take_stale(&self) -> Vec<PathBuf> {
        std::mem::take(&mut *self.stale.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether every file of the workspaces has been read that the bounds allow.
    pub(super) fn is_whole(&self) -> bool {
        let (read, workspaces) = (self.read_roots(), self.workspaces());
        workspaces.roots().all(|root| read.iter().any(|read| read == root))
    }

    /// What the file at `path` says about names, if it may enter a prompt. It is read again each time, and parsed if it has changed.
    pub(super) fn names(&self, path: &Path) -> Option<Arc<Names>> {
        let language = Language::by_path(path).filter(|language| language.has_grammar())?;
        let may_be_read = path.is_file() && self.workspaces().would_walk(path);
        let text = may_be_read.then(|| read_source(path, self.bounds.file_bytes)).flatten()?;
        let checksum = checksum(text.as_bytes());
        if let Some(known) = self.read_names().get(path, checksum) {
            return Some(known);
        }
        let names = Arc::new(Parsed::parse(language, &Rope::from_str(&text))?.names());
        self.read_names().add(path, checksum, Arc::clone(&names));
        Some(names)
    }

    /// The files of `family` that declare members of a type called `container`.
    pub(super) fn files_with_members_of(&self, container: &str, family: &str) -> Vec<Arc<Path>> {
        let contents = self.contents();
        let hash = name_hash(container);
        let has_members = |entry: &&IndexedFile| {
            entry.language.family == family && entry.items.iter().any(|item| item.container == hash)
        };
        let path = |entry: &IndexedFile| Arc::clone(&entry.path);
        match is_word(container) {
            true => {
                let having = contents.having.files(word_hash(container)).iter();
                having.filter_map(|number| contents.numbered(*number)).filter(has_members).map(path).collect()
            }
            false => contents.files.iter().flatten().filter(has_members).map(path).collect(),
        }
    }

    /// The files of `family` that stand in `folder` itself, in order.
    pub(super) fn files_in(&self, folder: &Path, family: &str) -> Vec<Arc<Path>> {
        let contents = self.contents();
        let from_here = contents.numbers.range::<Path, _>((Bound::Included(folder), Bound::Unbounded));
        let below = from_here.take_while(|(path, _)| path.starts_with(folder));
        let here = below.filter(|(path, _)| path.parent() == Some(folder));
        let of_family =
            here.filter(|(_, number)| contents.numbered(**number).is_some_and(|entry| entry.language.family == family));
        of_family.map(|(path, _)| Arc::clone(path)).collect()
    }

    /// The number of files and of declarations.
    pub fn size(&self) -> (usize, usize) {
        let contents = self.contents();
        (contents.numbers.len(), contents.items)
    }

    /// The path a prompt shows: relative to its workspace folder.
    pub(super) fn shown_path<'a>(&self, path: &'a Path) -> &'a Path {
        let workspaces = self.workspaces();
        let relative = workspaces.roots().filter_map(|root| path.strip_prefix(root).ok());
        relative.min_by_key(|relative| relative.as_os_str().len()).unwrap_or(path)
    }

    /// The declarations of `names` in languages of `family`, ordered by path and place.
    pub(super) fn find(&self, names: &[&str], family: &str) -> Vec<Found> {
        let contents = self.contents();
        let mut found = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let hash = name_hash(name);
            for entry in
                contents.declaring.files(word_hash(name)).iter().filter_map(|number| contents.numbered(*number))
            {
                let items = entry.items.iter().filter(|item| item.name == hash && entry.language.family == family);
                found.extend(items.map(|item| Found::new(entry, at, item)));
            }
        }
        found.sort_by(|a, b| (&a.path, a.item.start, a.name).cmp(&(&b.path, b.item.start, b.name)));
        found
    }

    /// Where the signatures of what is declared as a member of `container` in the file at `path` are, in order.
    pub(super) fn members(&self, path: &Path, container: &str) -> Vec<Range<usize>> {
        let (contents, container) = (self.contents(), name_hash(container));
        let items = contents.get(path).map_or(&[][..], |entry| &entry.items);
        items.iter().filter(|item| item.container == container).map(IndexedItem::signature).collect()
    }

    /// Where the declarations in the file at `path` begin, in order.
    pub(super) fn item_starts(&self, path: &Path) -> Vec<usize> {
        let contents = self.contents();
        let items = contents.get(path).map_or(&[][..], |entry| &entry.items);
        items.iter().map(|item| item.start as usize).collect()
    }

    /// The `most` files of `family` written by people of this project that have most of `words`, each of which has a weight;
    /// the best first.
    pub(super) fn files_alike(&self, words: &BTreeMap<u32, f32>, family: &str, most: usize) -> Vec<(Arc<Path>, f32)> {
        let contents = self.contents();
        let mut scores = vec![0.0_f32; contents.files.len()];
        let everywhere = contents.numbers.len() / COMMON_SHARE + COMMON_AT_LEAST;
        for (word, weight) in words {
            let having = contents.having.files(*word);
            if having.len() <= everywhere {
                let worth = weight * contents.rarity(*word);
                having.iter().for_each(|number| scores[*number as usize] += worth);
            }
        }
        let scored = scores.iter().zip(&contents.files).filter_map(|(score, entry)| {
            let entry = entry.as_ref().filter(|entry| entry.language.family == family && !entry.is_foreign)?;
            // A long file has many words by chance.
            let length = 0.6 + 0.4 * entry.words.len() as f32 / MEAN_WORDS;
            (*score > 0.0).then(|| (Arc::clone(&entry.path), score / length))
        });
        let mut scored: Vec<_> = scored.collect();
        scored.sort_by(|(path, score), (other_path, other)| other.total_cmp(score).then_with(|| path.cmp(other_path)));
        scored.truncate(most);
        scored
    }

    /// How much each of `words` says, in their order: little for one that many files have.
    pub(super) fn rarities(&self, words: &[u32]) -> Vec<f32> {
        let contents = self.contents();
        words.iter().map(|word| contents.rarity(*word)).collect()
    }

    /// Whether the file at `path` is generated or third-party code.
    pub(super) fn is_foreign(&self, path: &Path) -> bool {
        self.contents().get(path).is_some_and(|entry| entry.is_foreign)
    }

    /// The text of the file at `path`, if it is still what was indexed and still may enter a prompt.
    pub(super) fn text(&self, path: &Path) -> Option<String> {
        let indexed = self.contents().get(path)?.checksum;
        let may_be_read = self.workspaces().would_walk(path);
        let text = may_be_read.then(|| read_source(path, self.bounds.file_bytes)).flatten();
        let text = text.filter(|text| checksum(text.as_bytes()) == indexed);
        if text.is_none() {
            self.note_stale(path);
        }
        text
    }

    /// The text of a definition, if the file still has it in its place and still may enter a prompt.
    pub(super) fn definition(&self, found: &Found) -> Option<String> {
        let may_be_read = self.workspaces().would_walk(&found.path);
        let text = may_be_read.then(|| read_source(&found.path, self.bounds.file_bytes)).flatten();
        let text = text.and_then(|text| text.get(found.range()).map(str::to_owned));
        let text = text.filter(|text| checksum(text.as_bytes()) == found.item.checksum);
        if text.is_none() {
            self.note_stale(&found.path);
        }
        text
    }

    fn note_stale(&self, path: &Path) {
        self.stale.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_path_buf());
    }

    fn read_roots(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.read_roots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_names(&self) -> MutexGuard<'_, ReadNames> {
        self.read_names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contents(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn contents_mut(&self) -> RwLockWriteGuard<'_, Contents> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn workspaces(&self) -> Arc<Workspaces> {
        Arc::clone(&self.workspaces.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_full(&self) -> bool {
        let Contents { numbers, bytes, items, .. } = &*self.contents();
        numbers.len() >= self.bounds.files || *bytes >= self.bounds.total_bytes || *items >= self.bounds.items
    }

    /// Forgets the file at `path`, or if that was a folder, all that were in it.
    fn forget(&self, path: &Path) {
        let mut contents = self.contents_mut();
        let from_here = contents.numbers.range::<Path, _>((Bound::Included(path), Bound::Unbounded));
        let below: Vec<_> =
            from_here.map(|(known, _)| Arc::clone(known)).take_while(|known| known.starts_with(path)).collect();
        below.iter().for_each(|path| contents.remove(path));
    }

    /// Adds the file at `path`, which may be indexed; a file that is not source code of a known language, is too large
    /// or declares nothing is left out.
    fn read(&self, path: &Path) {
        let Some(language) = Language::by_path(path).filter(|language| language.has_grammar()) else { return };
        let Some(text) = read_source(path, self.bounds.file_bytes) else { return };
        let items = Parsed::parse(language, &Rope::from_str(&text)).map(|parsed| indexed(&parsed, &text));
        let Some(items) = items.filter(|items| !items.is_empty()) else { return };
        let entry = IndexedFile {
            path: Arc::from(path),
            language,
            bytes: text.len() as u64,
            checksum: checksum(text.as_bytes()),
            is_foreign: is_foreign(self.shown_path(path), &text),
            items,
            words: distinct(&text).into_boxed_slice(),
        };
        self.contents_mut().insert(entry);
    }
}

/// Whether the file shown as `path` is third-party code, or says that it is generated.
fn is_foreign(path: &Path, text: &str) -> bool {
    let is_vendored = path.iter().any(|name| FOREIGN_FOLDERS.iter().any(|folder| name == *folder));
    let head = (0..=GENERATED_HEAD_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let head = text[..head].to_lowercase();
    let says_so = head.contains("@generated")
        || (head.contains("generated") && (head.contains("do not edit") || head.contains("do not modify")));
    is_vendored || says_so
}

/// The text of a source file of at most `limit` bytes that looks as if a person had written it, with the line endings
/// of a document.
fn read_source(path: &Path, limit: u64) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(limit + 1).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 > limit || bytes.contains(&0) {
        return None;
    }
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() + 1;
    if bytes.len() / lines > MAX_MEAN_LINE {
        return None;
    }
    String::from_utf8(bytes).ok().map(with_line_feeds)
}

/// The declarations of a file, which is far smaller than 4 GiB.
fn indexed(parsed: &Parsed, text: &str) -> Box<[IndexedItem]> {
    let entry = |declared: super::declared::Declared| {
        let start = parsed.item_start(&declared.item);
        let end = declared.item.range.end;
        IndexedItem {
            name: name_hash(&declared.name),
            container: declared.container.as_deref().map_or(0, name_hash),
            checksum: checksum(&text.as_bytes()[start..end]),
            start: start as u32,
            signature_start: declared.item.signature.start as u32,
            signature_end: declared.item.signature.end as u32,
            end: end as u32,
            indent: u8::try_from(indent_at(parsed.text(), start)).unwrap_or(u8::MAX),
            kind: declared.item.kind,
        }
    };
    declared(parsed).into_iter().take(MAX_ITEMS_PER_FILE).map(entry).collect()
}

#[cfg(test)]
mod tests;
