//! Workspaces: which one a file belongs to, and whether the file may enter a prompt. Open documents, the index and the
//! command line all ask here.
//!
//! A file is identified by its real path: a workspace that was opened through a symbolic link contains a file that is
//! named through the link's target, and the other way round.

mod changes;
mod git;
mod ignore_files;
mod root;
mod staged;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{ExcludeMatcher, Exclusion};
pub use changes::Hunk;
use git::TrackedFiles;
use ignore_files::IgnoreFiles;
use root::{project_root, real_path};
pub use staged::{NotStaged, Staged, StagedFile, last_line_of_first_change};

/// Names of ignore files.
pub const IGNORE_FILES: [&str; 2] = [".gitignore", ".phi-lsignore"];

/// Folders of third-party code in projects without ignore files.
const SKIPPED_FOLDERS: [&str; 2] = ["node_modules", "site-packages"];

/// The workspaces of a session and the rules for files in and outside them; a value that is replaced as a whole.
#[derive(Debug, Clone, Default)]
pub struct Workspaces {
    roots: Vec<Root>,
    exclude: ExcludeMatcher,
    tracked: Arc<TrackedFiles>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Root {
    /// As it was named.
    path: PathBuf,
    /// Without symbolic links.
    real: PathBuf,
    /// It was not named by the editor, but found from a file's path.
    found: bool,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLocation {
    /// The file without symbolic links.
    pub file: PathBuf,
    /// The root of its workspace, likewise.
    pub root: Option<PathBuf>,
    /// The workspace was not named by the editor, but found from the file's path.
    pub root_is_found: bool,
    /// The path a prompt shows: from the root of the workspace. Outside of any workspace it is only the file's name,
    /// since the folders say more about the person than about the code.
    pub shown: PathBuf,
}

/// Why a file must not enter a prompt, as the end of a sentence whose subject is the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    Excluded(Exclusion),
    /// A line of an ignore file, counted from 1.
    Ignored {
        file: PathBuf,
        /// `file` as a person reads it: from the workspace's root where it is in there.
        shown: PathBuf,
        line: usize,
        pattern: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded(exclusion) => exclusion.fmt(f),
            Self::Ignored { shown, line, pattern, .. } => {
                write!(f, "{} line {line} `{pattern}` ignores it", shown.display())
            }
        }
    }
}

impl Workspaces {
    /// The workspaces whose roots are `folders`; `exclude` is the setting of that name.
    pub fn new(folders: &[PathBuf], exclude: &[String]) -> Self {
        let mut workspaces = Self { exclude: ExcludeMatcher::new(exclude), ..Self::default() };
        folders.iter().for_each(|folder| workspaces.add(folder));
        workspaces
    }

    /// Replaces the value of the setting `exclude`.
    pub fn set_exclude(&mut self, exclude: &[String]) {
        self.exclude = ExcludeMatcher::new(exclude);
    }

    /// Adds the workspace whose root is `folder`.
    pub fn add(&mut self, folder: &Path) {
        let real = real_path(folder);
        // A workspace that had been found is now named.
        self.roots.retain(|root| root.real != real);
        self.roots.push(Root { path: folder.to_owned(), real, found: false });
    }

    /// Removes the workspace whose root is `folder`.
    pub fn remove(&mut self, folder: &Path) {
        let real = real_path(folder);
        self.roots.retain(|root| root.path != folder && root.real != real);
    }

    /// Adds the workspace around the file `path` if it is in none and one can be found; true if so.
    pub fn add_around(&mut self, path: &Path) -> bool {
        let place = self.location_of(path);
        let Some(root) = place.root.filter(|_| place.root_is_found) else { return false };
        let is_new = self.roots.iter().all(|known| known.real != root);
        if is_new {
            self.roots.push(Root { path: root.clone(), real: root, found: true });
        }
        is_new
    }

    /// The roots, without symbolic links.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        self.roots.iter().map(|root| root.real.as_path())
    }

    /// Where the file `path` is. A workspace inside another one has its files for itself.
    pub fn location_of(&self, path: &Path) -> FileLocation {
        let file = real_path(path);
        let innermost = |root: &&Root| root.real.as_os_str().len();
        let by_target = self.roots.iter().filter(|root| file.starts_with(&root.real)).max_by_key(innermost);
        // A link in the workspace to a file elsewhere: the workspace has the link.
        let by_name = || self.roots.iter().filter(|root| path.starts_with(&root.path)).max_by_key(innermost);
        if let Some(root) = by_target.or_else(by_name) {
            let relative = file.strip_prefix(&root.real).or_else(|_| path.strip_prefix(&root.path));
            let shown = relative.map_or_else(|_| name_of(path), Path::to_owned);
            return FileLocation { file, root: Some(root.real.clone()), root_is_found: root.found, shown };
        }
        let root = project_root(&file);
        let relative = root.as_ref().and_then(|root| file.strip_prefix(root).ok());
        let shown = relative.map_or_else(|| name_of(path), Path::to_owned);
        FileLocation { file, root_is_found: root.is_some(), root, shown }
    }

    /// Why the file `path` must not enter a prompt, if it must not.
    pub fn refusal(&self, path: &Path) -> Option<Refusal> {
        let place = self.location_of(path);
        // The rules of the setting `exclude` and those for secrets apply to both names of a file.
        let written = self.roots.iter().filter_map(|root| path.strip_prefix(&root.path).ok());
        let written = written.min_by_key(|relative| relative.as_os_str().len()).unwrap_or(&place.shown);
        let names = [(place.file.as_path(), place.shown.as_path()), (path, written)];
        if let Some(found) = names.into_iter().find_map(|(path, shown)| self.exclude.exclusion(path, shown)) {
            return Some(Refusal::Excluded(found));
        }
        let root = place.root.as_deref();
        let mut ignore_files = IgnoreFiles::new(&self.tracked, root);
        // Git's rules apply to the place of a file; a link in the workspace to a file elsewhere is in the workspace.
        let entry = root.map_or_else(|| place.file.clone(), |root| root.join(&place.shown));
        let rule = ignore_files
            .ignored(&entry)
            .or_else(|| [place.file.as_path(), path].into_iter().find_map(|path| ignore_files.ignored_by_own(path)))?;
        let shown = root.and_then(|root| rule.file.strip_prefix(root).ok()).unwrap_or(&rule.file).to_owned();
        Some(Refusal::Ignored { shown, line: rule.line(), file: rule.file, pattern: rule.pattern })
    }

    /// Why a text called `name` that is not a file on this machine must not enter a prompt, if it must not.
    pub fn refusal_of_name(&self, name: &Path) -> Option<Refusal> {
        self.exclude.exclusion(name, name).map(Refusal::Excluded)
    }

    /// The work tree of git that the file `path` is in, and whether git tracks the file.
    pub fn in_repository(&self, path: &Path) -> Option<(PathBuf, bool)> {
        let place = self.location_of(path);
        IgnoreFiles::new(&self.tracked, place.root.as_deref()).in_repository(&place.file)
    }

    /// Whether a walk through the workspaces would find the file `path`, which is given without symbolic links.
    pub fn would_walk(&self, path: &Path) -> bool {
        let place = self.location_of(path);
        let is_there = place.file == path && path.is_file();
        let in_workspace = place.root.as_deref().is_some_and(|root| self.roots().any(|known| known == root));
        is_there && in_workspace && !place.shown.iter().any(is_skipped) && self.refusal(path).is_none()
    }

    /// The files of the workspace at `root` that may enter prompts, in the order of their names; each step is one entry
    /// of a folder, most of which are no such file.
    pub fn walk<'a>(&'a self, root: &Path) -> impl Iterator<Item = Option<PathBuf>> + use<'a> {
        let ignore_files = IgnoreFiles::new(&self.tracked, Some(root));
        Walk { workspaces: self, root: root.to_owned(), ignore_files, pending: vec![root.to_owned()] }
    }
}

fn name_of(path: &Path) -> PathBuf {
    path.file_name().map_or_else(|| path.to_owned(), PathBuf::from)
}

/// Whether a walk passes over a file or folder of that name.
fn is_skipped(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_none_or(|name| name.starts_with('.') || SKIPPED_FOLDERS.contains(&name))
}

/// One walk through a workspace. Symbolic links are not followed.
struct Walk<'a> {
    workspaces: &'a Workspaces,
    root: PathBuf,
    ignore_files: IgnoreFiles<'a>,
    /// What is left to visit, the next one last.
    pending: Vec<PathBuf>,
}

impl Iterator for Walk<'_> {
    type Item = Option<PathBuf>;

    fn next(&mut self) -> Option<Option<PathBuf>> {
        let path = self.pending.pop()?;
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { return Some(None) };
        if metadata.is_file() {
            return Some(self.may_be_read(&path).then_some(path));
        }
        if metadata.is_dir() && (path == self.root || self.ignore_files.enters(&path)) {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            let mut names: Vec<_> = entries.map(|entry| entry.file_name()).filter(|name| !is_skipped(name)).collect();
            names.sort_unstable_by(|a, b| b.cmp(a));
            self.pending.extend(names.into_iter().map(|name| path.join(name)));
        }
        Some(None)
    }
}

impl Walk<'_> {
    fn may_be_read(&mut self, path: &Path) -> bool {
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        self.workspaces.exclude.exclusion(path, relative).is_none() && self.ignore_files.ignored(path).is_none()
    }
}

#[cfg(test)]
mod tests;
