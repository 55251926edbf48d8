//! What the rules on ignored files need of a git repository: where it is, which files it tracks, and where it keeps
//! patterns outside the working tree.

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use globset::GlobBuilder;

/// How deep `include.path` in configuration files is followed.
const MAX_INCLUDES: usize = 10;

/// A repository with a work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repository {
    pub(super) work_tree: PathBuf,
    /// Belongs to this working tree only, such as the index.
    git_dir: PathBuf,
    /// What all work trees of the repository share.
    common_dir: PathBuf,
}

impl Repository {
    /// The repository whose work tree begins at `folder`.
    pub(super) fn at(folder: &Path) -> Option<Self> {
        let dot_git = folder.join(".git");
        let metadata = std::fs::metadata(&dot_git).ok()?;
        // In linked work trees and submodules `.git` is a file that says where the rest is.
        let git_dir = if metadata.is_dir() { dot_git } else { folder.join(pointed_to(&dot_git, "gitdir:")?) };
        let common_dir = pointed_to(&git_dir.join("commondir"), "").map(|common| git_dir.join(common));
        Some(Self { work_tree: folder.to_owned(), common_dir: common_dir.unwrap_or_else(|| git_dir.clone()), git_dir })
    }

    /// Patterns of this repository that are not part of it.
    pub(super) fn exclude_file(&self) -> PathBuf {
        self.common_dir.join("info/exclude")
    }

    /// Patterns of the person: `core.excludesFile`, else where git looks without it.
    pub(super) fn global_excludes(&self) -> Option<PathBuf> {
        let home = directories::BaseDirs::new()?.home_dir().to_owned();
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config_home = variable("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
        let mut files = vec![variable("GIT_CONFIG_SYSTEM").unwrap_or_else(|| "/etc/gitconfig".into())];
        match variable("GIT_CONFIG_GLOBAL") {
            Some(file) => files.push(file),
            None => files.extend([config_home.join("git/config"), home.join(".gitconfig")]),
        }
        files.push(self.common_dir.join("config"));
        let mut excludes = None;
        let around = Around { git_dir: &self.git_dir, home: &home };
        files.iter().for_each(|file| read_excludes_file(file, around, MAX_INCLUDES, &mut excludes));
        Some(excludes.unwrap_or_else(|| config_home.join("git/ignore")))
    }
}

/// The path in the one line of `file` after `prefix`.
fn pointed_to(file: &Path, prefix: &str) -> Option<PathBuf> {
    let text = std::fs::read_to_string(file).ok()?;
    text.strip_prefix(prefix).map(|path| PathBuf::from(path.trim()))
}

/// What paths and conditions in configuration files depend on.
#[derive(Clone, Copy)]
struct Around<'a> {
    git_dir: &'a Path,
    home: &'a Path,
}

/// Puts the value of `core.excludesFile` in the configuration `file`, and in what it includes, into `found`.
fn read_excludes_file(file: &Path, around: Around<'_>, includes: usize, found: &mut Option<PathBuf>) {
    let Ok(text) = std::fs::read_to_string(file) else { return };
    // A value goes on after a backslash at the end of its line.
    let text = text.replace("\\\r\n", "").replace("\\\n", "");
    let mut section = String::new();
    for line in text.lines() {
        let mut line = line.trim();
        if let Some((name, rest)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            section = name.trim().to_owned();
            line = rest.trim();
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let path = expanded(&unquoted(value.trim()), around.home);
        match (section.to_lowercase().as_str(), key.trim().to_lowercase().as_str()) {
            ("core", "excludesfile") => *found = Some(path),
            (_, "path") if includes > 0 && is_included(&section, around) => {
                let included = file.parent().map_or_else(|| path.clone(), |folder| folder.join(&path));
                read_excludes_file(&included, around, includes - 1, found);
            }
            _ => {}
        }
    }
}

/// Whether `section` is one whose `path` is a file that belongs to the configuration. Of the conditions, those on where the
/// repository is are known.
fn is_included(section: &str, around: Around<'_>) -> bool {
    let (name, condition) = section.split_once([' ', '\t']).unwrap_or((section, ""));
    if !name.eq_ignore_ascii_case("includeif") {
        return section.eq_ignore_ascii_case("include");
    }
    let (any_case, pattern) = match condition.trim().trim_matches('"').split_once(':') {
        Some(("gitdir", pattern)) => (false, pattern),
        Some(("gitdir/i", pattern)) => (true, pattern),
        _ => return false,
    };
    let mut pattern = match pattern.strip_prefix("~/") {
        Some(rest) => format!("{}/{rest}", around.home.display()),
        None if pattern.starts_with('/') => pattern.to_owned(),
        None => format!("**/{pattern}"),
    };
    if pattern.ends_with('/') {
        pattern.push_str("**");
    }
    let glob = GlobBuilder::new(&pattern).literal_separator(true).case_insensitive(any_case).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(around.git_dir))
}

/// A value without its quotes, escapes and comment.
fn unquoted(value: &str) -> String {
    let (mut text, mut in_quotes) = (String::new(), false);
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => in_quotes = !in_quotes,
            '\\' => text.extend(characters.next()),
            '#' | ';' if !in_quotes => break,
            other => text.push(other),
        }
    }
    text.trim_end().to_owned()
}

fn expanded(path: &str, home: &Path) -> PathBuf {
    path.strip_prefix("~/").map_or_else(|| path.into(), |rest| home.join(rest))
}

/// Which files repositories track: their indexes, each read when it is first wanted and again when it has changed.
#[derive(Debug, Default)]
pub(super) struct TrackedFiles {
    /// By the index file's path.
    indexes: Mutex<HashMap<PathBuf, Read>>,
}

#[derive(Debug)]
struct Read {
    stamp: Stamp,
    /// `None` for an index that cannot be read.
    index: Option<Arc<gix_index::File>>,
}

/// What tells one version of a file from the next: git replaces the file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { modified: metadata.modified().ok(), len: metadata.len() }
    }
}

impl TrackedFiles {
    /// Whether `repository` tracks the file `path`.
    pub(super) fn has_file(&self, repository: &Repository, path: &Path) -> bool {
        self.look(repository, path, |index, path| index.entry_by_path(path.into()).is_some())
    }

    /// Whether `repository` tracks a file in `folder`, or `folder` as a submodule.
    pub(super) fn has_files_in(&self, repository: &Repository, folder: &Path) -> bool {
        self.look(repository, folder, |index, folder| index.path_is_directory(folder.into()))
    }

    fn look(&self, repository: &Repository, path: &Path, look: fn(&gix_index::File, &[u8]) -> bool) -> bool {
        let Ok(relative) = path.strip_prefix(&repository.work_tree) else { return false };
        let relative = relative.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
        self.index(repository).is_some_and(|index| look(&index, relative.as_bytes()))
    }

    fn index(&self, repository: &Repository) -> Option<Arc<gix_index::File>> {
        let path = repository.git_dir.join("index");
        let stamp = Stamp::of(&std::fs::metadata(&path).ok()?);
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = indexes.get(&path).filter(|read| read.stamp == stamp) {
            return read.index.clone();
        }
        // One thread is enough, and a checksum costs more than the rest: git has just checked it itself.
        let options = gix_index::decode::Options { thread_limit: Some(1), ..Default::default() };
        let index = gix_index::File::at(&path, gix_index::hash::Kind::Sha1, true, options)
            .map_err(|error| tracing::warn!("cannot read {} as a git index: {error}", path.display()));
        let index = index.ok().map(Arc::new);
        indexes.insert(path, Read { stamp, index: index.clone() });
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `core.excludesFile` is in a configuration file of this text, below a home folder `/home/me`.
    fn check_excludes_file(text: &str, expected: Option<&str>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("config");
        std::fs::write(&file, text).expect("a file");
        std::fs::write(folder.path().join("more"), "[core]\n\texcludesFile = /included\n").expect("a file");
        let mut found = None;
        let around = Around { git_dir: Path::new("/home/me/work/project/.git"), home: Path::new("/home/me") };
        read_excludes_file(&file, around, MAX_INCLUDES, &mut found);
        assert_eq!(found.as_deref(), expected.map(Path::new), "{text}");
    }

    #[test]
    fn the_persons_excludes_are_where_the_configuration_says() {
        check_excludes_file("[user]\n\tname = A\n", None);
        check_excludes_file("[core]\n\texcludesFile = ~/.ignore\n", Some("/home/me/.ignore"));
        check_excludes_file("[Core]\n  EXCLUDESFILE=\"/a b\" ; mine\n", Some("/a b"));
        check_excludes_file("[core] excludesfile = /x # y\n", Some("/x"));
        check_excludes_file("[alias]\n\texcludesFile = /no\n", None);
        check_excludes_file("[core]\nexcludesFile = /a\nexcludesFile = /b\n", Some("/b"));
        check_excludes_file("[include]\n\tpath = more\n", Some("/included"));
        check_excludes_file("[include]\n\tpath = config\n", None);
        check_excludes_file("[core]\n\texcludesFile = \\\n~/a\n", Some("/home/me/a"));
        let included_if = |condition: &str, expected: bool| {
            let text = format!("[includeIf \"{condition}\"]\n\tpath = more\n");
            check_excludes_file(&text, expected.then_some("/included"));
        };
        for condition in
            ["gitdir:~/work/", "gitdir:/home/me/**", "gitdir:project/.git", "gitdir/i:~/WORK/", "gitdir:work/"]
        {
            included_if(condition, true);
        }
        for condition in ["gitdir:~/other/", "gitdir:~/WORK/", "gitdir:~/work", "onbranch:main"] {
            included_if(condition, false);
        }
    }
}
