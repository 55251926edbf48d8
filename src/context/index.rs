//! What the files of a workspace declare: names and where their definitions are. It keeps no text: a definition is read
//! when it is wanted, and only used if its bytes are still the ones that were indexed.
//!
//! Nothing here runs by itself. Whoever owns an index calls [`WorkspaceIndex::walk`] where that delays nobody, and
//! [`WorkspaceIndex::refresh`] for files that have changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::declared::declared;
use super::definitions::indent_at;
use crate::syntax::{ItemKind, Language, Parsed};
use crate::text::{Rope, with_line_feeds};
use crate::workspace::Workspaces;

/// Longer lines on average are not written by people.
const MAX_MEAN_LINE: usize = 200;

/// A file that declares more is generated, and would take the place of those a person writes.
const MAX_ITEMS_PER_FILE: usize = 2000;

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
}

#[derive(Debug, Default)]
struct Contents {
    files: BTreeMap<Arc<Path>, Entry>,
    bytes: u64,
    items: usize,
}

#[derive(Debug)]
struct Entry {
    language: &'static Language,
    bytes: u64,
    items: Box<[IndexedItem]>,
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
        let start = self.item.start;
        (self.item.signature_start - start) as usize..(self.item.signature_end - start) as usize
    }
}

/// A name as the index knows it; never 0.
pub(super) fn name_hash(name: &str) -> u64 {
    checksum(name.as_bytes()).max(1)
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

impl WorkspaceIndex {
    /// An empty index of the files that `workspaces` let pass.
    pub fn new(workspaces: Arc<Workspaces>, bounds: Bounds) -> Self {
        let workspaces = RwLock::new(workspaces);
        Self { workspaces, bounds, contents: RwLock::default(), stale: Mutex::default() }
    }

    /// Puts `workspaces`, with other roots but the same rules, in the place of the old ones and forgets what is in none
    /// of them. Returns the new roots, which are to be read by [`WorkspaceIndex::walk_root`].
    pub fn set_workspaces(&self, workspaces: Arc<Workspaces>) -> Vec<PathBuf> {
        let old = self.workspaces();
        let is_new = |root: &&Path| old.roots().all(|known| known != *root);
        let new = workspaces.roots().filter(is_new).map(Path::to_owned).collect();
        let is_in = |path: &Path| workspaces.roots().any(|root| path.starts_with(root));
        let gone: Vec<_> = self.contents().files.keys().filter(|path| !is_in(path)).cloned().collect();
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
            let Some(step) = steps.next() else { return };
            if let Some(file) = step {
                self.read(&file);
            }
            *worked += begun.elapsed();
        }
    }

    /// Reads the file at `path` again, or forgets it if it is gone or must not be in the index.
    pub fn refresh(&self, path: &Path) {
        let workspaces = self.workspaces();
        let file = workspaces.place_of(path).file;
        self.forget(&file);
        if !self.is_full() && workspaces.would_walk(&file) {
            self.read(&file);
        }
    }

    /// Files that were found to differ from what was indexed; each is told once.
    pub fn take_stale(&self) -> Vec<PathBuf> {
        std::mem::take(&mut *self.stale.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number of files and of declarations.
    pub fn size(&self) -> (usize, usize) {
        let contents = self.contents();
        (contents.files.len(), contents.items)
    }

    /// The path a prompt shows: relative to its workspace folder.
    pub(super) fn shown_path<'a>(&self, path: &'a Path) -> &'a Path {
        let workspaces = self.workspaces();
        let relative = workspaces.roots().filter_map(|root| path.strip_prefix(root).ok());
        relative.min_by_key(|relative| relative.as_os_str().len()).unwrap_or(path)
    }

    /// The declarations of `names` in languages of `family`, ordered by path and place.
    pub(super) fn find(&self, names: &[&str], family: &str) -> Vec<Found> {
        let mut wanted: Vec<(u64, usize)> = names.iter().enumerate().map(|(at, name)| (name_hash(name), at)).collect();
        wanted.sort_unstable();
        let contents = self.contents();
        let mut found = Vec::new();
        for (path, entry) in contents.files.iter().filter(|(_, entry)| entry.language.family == family) {
            for item in &entry.items {
                if let Ok(at) = wanted.binary_search_by_key(&item.name, |(hash, _)| *hash) {
                    let name = wanted[at].1;
                    found.push(Found { path: Arc::clone(path), language: entry.language, name, item: *item });
                }
            }
        }
        found
    }

    /// The text of a definition, if the file still has it in its place and still may enter a prompt.
    pub(super) fn definition(&self, found: &Found) -> Option<String> {
        let may_be_read = self.workspaces().would_walk(&found.path);
        let text = may_be_read.then(|| read_source(&found.path, self.bounds.file_bytes)).flatten();
        let text = text.and_then(|text| text.get(found.range()).map(str::to_owned));
        let text = text.filter(|text| checksum(text.as_bytes()) == found.item.checksum);
        if text.is_none() {
            self.stale.lock().unwrap_or_else(PoisonError::into_inner).push(found.path.to_path_buf());
        }
        text
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
        let Contents { files, bytes, items } = &*self.contents();
        files.len() >= self.bounds.files || *bytes >= self.bounds.total_bytes || *items >= self.bounds.items
    }

    fn forget(&self, path: &Path) {
        let mut contents = self.contents_mut();
        if let Some(entry) = contents.files.remove(path) {
            contents.bytes -= entry.bytes;
            contents.items -= entry.items.len();
        }
    }

    /// Takes in the file at `path`, which is admitted; one that is no source of a known language, is too large or
    /// declares nothing is left out.
    fn read(&self, path: &Path) {
        let Some(language) = Language::by_path(path).filter(|language| language.has_grammar()) else { return };
        let Some(text) = read_source(path, self.bounds.file_bytes) else { return };
        let items = Parsed::parse(language, &Rope::from_str(&text)).map(|parsed| indexed(&parsed, &text));
        let Some(items) = items.filter(|items| !items.is_empty()) else { return };
        let entry = Entry { language, bytes: text.len() as u64, items };
        self.forget(path);
        let mut contents = self.contents_mut();
        contents.bytes += entry.bytes;
        contents.items += entry.items.len();
        contents.files.insert(Arc::from(path), entry);
    }
}

/// The text of a source file of at most `limit` bytes that looks as if a person had written it, as a document would have it.
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
mod tests {
    use super::*;

    struct Workspace(tempfile::TempDir);

    impl Workspace {
        fn new(files: &[(&str, &str)]) -> Self {
            let workspace = Self(tempfile::tempdir().expect("a temporary folder"));
            for (name, text) in files {
                workspace.write(name, text);
            }
            workspace
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// As the index names it.
        fn real_path(&self, name: &str) -> PathBuf {
            self.0.path().canonicalize().expect("it is there").join(name)
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().expect("has a folder")).expect("folder");
            std::fs::write(path, text).expect("file");
        }

        fn workspaces(&self, exclude: &[&str]) -> Arc<Workspaces> {
            let exclude: Vec<String> = exclude.iter().map(|&glob| glob.to_owned()).collect();
            Arc::new(Workspaces::new(&[self.0.path().to_owned()], &exclude))
        }

        fn index(&self, exclude: &[&str], bounds: Bounds) -> WorkspaceIndex {
            let index = WorkspaceIndex::new(self.workspaces(exclude), bounds);
            index.walk(&mut || true);
            index
        }
    }

    /// Paths of the files that define `f` in Python, and what they define.
    fn definitions(index: &WorkspaceIndex) -> Vec<(String, Option<String>)> {
        let found = index.find(&["f"], "python");
        found
            .iter()
            .map(|found| (index.shown_path(&found.path).to_string_lossy().into_owned(), index.definition(found)))
            .collect()
    }

    fn paths(index: &WorkspaceIndex) -> Vec<String> {
        definitions(index).into_iter().map(|(path, _)| path).collect()
    }

    const F: &str = "def f(x):\n    return x\n";

    #[test]
    fn a_definition_is_found_by_name_and_language() {
        let files =
            [("a.py", "# First.\n@cached\ndef f():\n    pass\n"), ("b.rs", "fn f() {}\n"), ("c.py", "def g(): pass\n")];
        let index = Workspace::new(&files).index(&[], Bounds::default());
        assert_eq!(index.size(), (3, 3));
        let workspace = Workspace::new(&files);
        let index = workspace.index(&[], Bounds::default());
        assert_eq!(definitions(&index), [("a.py".into(), Some("# First.\n@cached\ndef f():\n    pass".into()))]);
    }

    #[test]
    fn excluded_and_foreign_files_are_not_indexed() {
        let workspace = Workspace::new(&[
            ("ok.py", F),
            ("build/a.py", F),
            ("private/a.py", F),
            ("generated/a.py", F),
            (".hidden/a.py", F),
            ("node_modules/a.py", F),
            (".gitignore", "build/\n"),
            (".phi-lsignore", "private\n"),
        ]);
        let index = workspace.index(&["generated"], Bounds::default());
        assert_eq!(paths(&index), ["ok.py"]);
        for name in ["build/a.py", "private/a.py", "generated/a.py", ".hidden/a.py", "node_modules/a.py"] {
            index.refresh(&workspace.path(name));
        }
        index.refresh(Path::new("/elsewhere/a.py"));
        assert_eq!(paths(&index), ["ok.py"], "nor after they have changed");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let outside = Workspace::new(&[("a.py", F)]);
        let workspace = Workspace::new(&[("ok.py", F)]);
        std::os::unix::fs::symlink(outside.path("a.py"), workspace.path("link.py")).expect("a link");
        std::os::unix::fs::symlink(outside.0.path(), workspace.path("folder")).expect("a link");
        let index = workspace.index(&[], Bounds::default());
        index.refresh(&workspace.path("link.py"));
        index.refresh(&workspace.path("folder/a.py"));
        assert_eq!(paths(&index), ["ok.py"]);
    }

    #[test]
    fn every_bound_holds() {
        let files: Vec<(String, String)> = (0..9).map(|i| (format!("{i}.py"), F.to_owned())).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let workspace = Workspace::new(&files);
        let count = |bounds| paths(&workspace.index(&[], bounds)).len();
        let all = Bounds::default();
        assert_eq!(count(all), 9);
        assert_eq!(count(Bounds { files: 4, ..all }), 4);
        assert_eq!(count(Bounds { items: 3, ..all }), 3);
        assert_eq!(count(Bounds { total_bytes: F.len() as u64 * 2, ..all }), 2);
        assert_eq!(count(Bounds { file_bytes: F.len() as u64 - 1, ..all }), 0);
        assert_eq!(count(Bounds { file_bytes: F.len() as u64, ..all }), 9);
        assert!(count(Bounds { time: Duration::ZERO, ..all }) < 9);
        let minified = format!("def f(): return \"{}\"\n", "x".repeat(1000));
        workspace.write("0.py", &minified);
        workspace.write("1.py", "def f():\n    return \"\0\"\n");
        assert_eq!(count(all), 7);
        let generated: String = (0..2 * MAX_ITEMS_PER_FILE).map(|i| format!("A{i} = {i}\n")).collect();
        workspace.write("2.py", &generated);
        assert_eq!(workspace.index(&[], all).size().1, 6 + MAX_ITEMS_PER_FILE);
    }

    #[test]
    fn a_walk_can_be_ended() {
        let workspace = Workspace::new(&[("a.py", F), ("b.py", F)]);
        let index = WorkspaceIndex::new(workspace.workspaces(&[]), Bounds::default());
        index.walk(&mut || false);
        assert_eq!(index.size(), (0, 0));
    }

    #[test]
    fn a_file_that_has_changed_shows_nothing_until_it_is_read_anew() {
        let workspace = Workspace::new(&[("a.py", F)]);
        let index = workspace.index(&[], Bounds::default());
        let check = |text: Option<&str>| assert_eq!(definitions(&index), [("a.py".into(), text.map(str::to_owned))]);
        check(Some(F.trim_end()));
        for changed in [format!("import os\n{F}"), "def f".to_owned(), F.replace("return x", "return y")] {
            workspace.write("a.py", &changed);
            check(None);
            assert_eq!(index.take_stale(), [workspace.real_path("a.py")]);
        }
        index.refresh(&workspace.path("a.py"));
        check(Some("def f(x):\n    return y"));
        assert!(index.take_stale().is_empty());
        std::fs::remove_file(workspace.path("a.py")).expect("it is there");
        check(None);
        index.refresh(&workspace.path("a.py"));
        assert_eq!(index.size(), (0, 0));
    }

    #[test]
    fn a_file_that_becomes_ignored_shows_nothing() {
        let workspace = Workspace::new(&[("a.py", F)]);
        let index = workspace.index(&[], Bounds::default());
        workspace.write(".gitignore", "a.py\n");
        assert_eq!(definitions(&index), [("a.py".into(), None)]);
    }
}
