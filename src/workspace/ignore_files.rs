//! Ignore files, read as git reads them: a pattern in a deeper folder wins over one above, the last line over those
//! before it, and nothing below an ignored folder can be taken out again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder, Glob};

use super::git::{Repository, TrackedFiles};

/// Whether git takes `a` and `A` for one name where it is not told; as the file systems there do.
const CASE_INSENSITIVE: bool = cfg!(any(windows, target_os = "macos"));

/// A pattern of an ignore file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IgnoreRule {
    pub(super) file: PathBuf,
    pub(super) pattern: String,
}

impl IgnoreRule {
    fn of(glob: &Glob) -> Self {
        let pattern = glob.original().replace(OPENING, "{").replace(CLOSING, "}");
        Self { file: glob.from().map(Path::to_owned).unwrap_or_default(), pattern }
    }

    /// The line it stands on, counted from 1; of equal lines the last, which is the one that decides.
    pub(super) fn line(&self) -> usize {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        // A byte order mark is no part of the first line.
        let is_it = |line: &&str| line.trim_start_matches('\u{feff}').trim_end() == self.pattern.trim_end();
        text.lines().zip(1..).filter(|(line, _)| is_it(line)).last().map_or(1, |(_, number)| number)
    }
}

/// What patterns say about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Decision {
    Unnamed,
    /// A pattern with `!` takes it, or a folder it is in, out of those above.
    Kept,
    Ignored(IgnoreRule),
}

/// The ignore files of one name, each read once.
#[derive(Debug)]
struct Layer {
    name: &'static str,
    files: HashMap<PathBuf, Arc<Gitignore>>,
    /// What was decided about folders.
    folders: HashMap<PathBuf, Decision>,
}

impl Layer {
    fn new(name: &'static str) -> Self {
        Self { name, files: HashMap::new(), folders: HashMap::new() }
    }

    /// What the files from `top` down say about `path`, which is in `top`, and after them `more`.
    fn decide(&mut self, path: &Path, is_folder: bool, top: &Path, more: &[Arc<Gitignore>]) -> Decision {
        let Some(parent) = path.parent().filter(|parent| parent.starts_with(top)) else { return Decision::Unnamed };
        let above = match self.folders.get(parent) {
            Some(known) => known.clone(),
            None => {
                let decision = self.decide(parent, true, top, more);
                self.folders.insert(parent.to_owned(), decision.clone());
                decision
            }
        };
        if matches!(above, Decision::Ignored(_)) {
            return above;
        }
        let folders = parent.ancestors().take_while(|folder| folder.starts_with(top));
        let files: Vec<_> = folders.map(|folder| self.file_in(folder)).collect();
        let named = files.iter().chain(more).find_map(|file| match file.matched(path, is_folder) {
            Match::None => None,
            Match::Ignore(glob) => Some(Decision::Ignored(IgnoreRule::of(glob))),
            Match::Whitelist(_) => Some(Decision::Kept),
        });
        named.unwrap_or(above)
    }

    fn file_in(&mut self, folder: &Path) -> Arc<Gitignore> {
        let name = self.name;
        let read = || read_patterns(folder, &folder.join(name));
        Arc::clone(self.files.entry(folder.to_owned()).or_insert_with(read))
    }
}

/// The patterns in `file`, which are about what is in `folder`. A line that cannot be read is skipped, as git does.
fn read_patterns(folder: &Path, file: &Path) -> Arc<Gitignore> {
    let mut builder = GitignoreBuilder::new(folder);
    let text = if file.is_file() { std::fs::read(file).unwrap_or_default() } else { Vec::new() };
    let text = String::from_utf8_lossy(&text);
    // A byte order mark is no part of the first line.
    for line in text.strip_prefix('\u{feff}').unwrap_or(&text).lines() {
        if let Err(error) = builder.add_line(Some(file.to_owned()), &without_alternatives(line)) {
            tracing::debug!("{}: {error}", file.display());
        }
    }
    let built = builder.case_insensitive(CASE_INSENSITIVE).and_then(|builder| builder.build());
    Arc::new(built.unwrap_or_else(|_| Gitignore::empty()))
}

/// A brace, as it is written where braces hold alternatives.
const OPENING: &str = "[{]";
const CLOSING: &str = "[}]";

/// `line` for a reader to whom braces hold alternatives; to git they are characters like any other.
fn without_alternatives(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => text.extend(std::iter::once(character).chain(rest.next())),
            '[' => {
                // What is in brackets is taken literally; a bracket that comes first in there closes nothing.
                let inside = rest.as_str();
                let first = inside.trim_start_matches(['!', '^']);
                let begins = inside.len() - first.len() + usize::from(first.starts_with(']'));
                let end = inside[begins..].find(']').map_or(0, |at| begins + at + 1);
                text.push('[');
                text.push_str(&inside[..end]);
                rest = inside[end..].chars();
            }
            '{' => text.push_str(OPENING),
            '}' => text.push_str(CLOSING),
            other => text.push(other),
        }
    }
    text
}

/// Where git's rules for a folder come from.
#[derive(Debug, Clone)]
struct GitRules {
    /// The highest folder whose `.gitignore` counts.
    top: PathBuf,
    repository: Option<Repository>,
    /// `.git/info/exclude` and the person's own excludes.
    more: Vec<Arc<Gitignore>>,
}

/// All ignore files, as one look at a file or one walk through a workspace finds them. Paths are absolute and without
/// symbolic links.
#[derive(Debug)]
pub(super) struct IgnoreFiles<'a> {
    tracked: &'a TrackedFiles,
    /// The workspace looked at.
    root: Option<PathBuf>,
    git: Layer,
    /// `.phi-lsignore`: the person's own rules, which take precedence over git's and apply to tracked files too.
    own: Layer,
    /// By folder; `None` if it is in no repository.
    rules: HashMap<PathBuf, Option<Arc<GitRules>>>,
}

impl<'a> IgnoreFiles<'a> {
    pub(super) fn new(tracked: &'a TrackedFiles, root: Option<&Path>) -> Self {
        Self {
            tracked,
            root: root.map(Path::to_owned),
            git: Layer::new(".gitignore"),
            own: Layer::new(".phi-lsignore"),
            rules: HashMap::new(),
        }
    }

    /// The rule by which `.phi-lsignore` keeps the file `path` out.
    pub(super) fn ignored_by_own(&mut self, path: &Path) -> Option<IgnoreRule> {
        match self.decide_own(path, false) {
            Decision::Ignored(rule) => Some(rule),
            Decision::Kept | Decision::Unnamed => None,
        }
    }

    /// The rule by which the file `path` is ignored.
    pub(super) fn ignored(&mut self, path: &Path) -> Option<IgnoreRule> {
        self.ignored_unless(path, false, TrackedFiles::has_file)
    }

    /// Whether a walk has anything to find in `folder`.
    pub(super) fn enters(&mut self, folder: &Path) -> bool {
        // A repository inside an ignored folder has rules of its own.
        let is_repository = || folder.join(".git").exists();
        self.ignored_unless(folder, true, TrackedFiles::has_files_in).is_none()
            || (!matches!(self.decide_own(folder, true), Decision::Ignored(_)) && is_repository())
    }

    /// The repository that `path` is in, and whether it tracks that file.
    pub(super) fn in_repository(&mut self, path: &Path) -> Option<(PathBuf, bool)> {
        let rules = self.rules_of(path.parent()?)?;
        let repository = rules.repository.as_ref()?;
        Some((repository.work_tree.clone(), self.tracked.has_file(repository, path)))
    }

    fn ignored_unless(
        &mut self,
        path: &Path,
        is_folder: bool,
        is_tracked: fn(&TrackedFiles, &Repository, &Path) -> bool,
    ) -> Option<IgnoreRule> {
        match self.decide_own(path, is_folder) {
            Decision::Ignored(rule) => return Some(rule),
            Decision::Kept => return None,
            Decision::Unnamed => {}
        }
        let rules = self.rules_of(path.parent()?)?;
        let Decision::Ignored(rule) = self.git.decide(path, is_folder, &rules.top, &rules.more) else { return None };
        let tracked = rules.repository.as_ref().is_some_and(|repository| is_tracked(self.tracked, repository, path));
        (!tracked).then_some(rule)
    }

    /// In any folder above, even outside the workspace: such a file is meant for everything below it.
    fn decide_own(&mut self, path: &Path, is_folder: bool) -> Decision {
        let Some(top) = path.ancestors().last() else { return Decision::Unnamed };
        self.own.decide(path, is_folder, top, &[])
    }

    /// Git's rules for what is in `folder`.
    fn rules_of(&mut self, folder: &Path) -> Option<Arc<GitRules>> {
        if let Some(known) = self.rules.get(folder) {
            return known.clone();
        }
        let rules = match (Repository::at(folder), folder.parent()) {
            (Some(repository), _) => Some(Arc::new(self.rules_of_repository(repository))),
            (None, Some(parent)) => self.rules_of(parent),
            (None, None) => None,
        };
        // Without a repository, the ignore files of the workspace still say what its owner does not want to be read.
        let is_root = self.root.as_deref() == Some(folder);
        let rules = match rules {
            None if is_root => Some(Arc::new(GitRules { top: folder.to_owned(), repository: None, more: Vec::new() })),
            // A person who opens an ignored folder as a workspace wants to work on what is in it.
            Some(rules) if is_root && self.ignores_folder(folder, &rules) => {
                let repository = rules.repository.clone();
                Some(Arc::new(GitRules { top: folder.to_owned(), repository, more: Vec::new() }))
            }
            rules => rules,
        };
        self.rules.insert(folder.to_owned(), rules.clone());
        rules
    }

    fn ignores_folder(&mut self, folder: &Path, rules: &GitRules) -> bool {
        // What is decided here about folders above would stay decided: another layer is asked.
        let mut git = Layer::new(self.git.name);
        matches!(git.decide(folder, true, &rules.top, &rules.more), Decision::Ignored(_))
    }

    fn rules_of_repository(&self, repository: Repository) -> GitRules {
        let top = repository.work_tree.clone();
        let files = [Some(repository.exclude_file()), repository.global_excludes()];
        let more = files.into_iter().flatten().map(|file| read_patterns(&top, &file)).collect();
        GitRules { top, repository: Some(repository), more }
    }
}
