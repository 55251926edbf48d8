//! What is staged for the next commit of a repository, file by file, as git itself reports it. Files that must not
//! enter a prompt are left out before their changes are read.
//!
//! Git is run in a way that runs nothing that a repository configures (no external diffs, text conversions or file
//! system monitors), and that fetches and writes nothing.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Refusal, Workspaces};

/// Bytes of one file's changes that are read; more never fits into a prompt.
const MAX_CHANGES_BYTES: usize = 64 << 10;

/// Files whose changes are read.
pub(super) const MAX_FILES: usize = 100;

/// Subjects of earlier commits that are read.
const EARLIER: usize = 5;

/// What git says of a folder that no work tree is around.
const NO_WORK_TREE: [&str; 2] = ["not a git repository", "must be run in a work tree"];

/// Variables of git that say which repository is meant. A program that git starts may have those of another repository.
const REPOSITORY_VARIABLES: [&str; 4] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"];

/// What a commit would change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Staged {
    pub files: Vec<StagedFile>,
    /// Names of files that must not enter a prompt, and why.
    pub refused: Vec<(String, Refusal)>,
    /// The first lines of the last commits, newest first.
    pub earlier: Vec<String>,
}

/// One file a commit would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedFile {
    /// From the repository's root, with forward slashes.
    pub name: String,
    /// Lines added and removed; `None` for binary data.
    pub lines: Option<(usize, usize)>,
    /// The change as git shows it, or its beginning; empty for what is not text.
    pub diff: String,
}

/// Why phi-ls cannot tell what is staged, as a message for the person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotStaged {
    #[error("expected the program git on the PATH: {0}")]
    NoGit(String),
    #[error("expected a folder in a git repository, found {}", .0.display())]
    NoRepository(PathBuf),
    #[error("nothing is staged; `git add` what you want to commit")]
    Nothing,
    #[error("everything that is staged is excluded from prompts: {0}")]
    Refused(String),
    #[error("git cannot say what has changed: {0}")]
    Failed(String),
}

impl Workspaces {
    /// What is staged in the repository around `path`: a folder or file in it, or the file git takes a commit's message from.
    ///
    /// # Errors
    /// Why git cannot say that.
    pub fn staged(&self, path: &Path) -> Result<Staged, NotStaged> {
        let git = Git::around(path)?;
        let mut staged = Staged { earlier: git.earlier(), ..Staged::default() };
        for entry in git.changed_files(&["diff", "--cached", "--numstat", "-z", "-M", "--diff-filter=ACDMRT"])? {
            let refusal = entry.names().find_map(|name| self.refusal(&git.root.join(name)));
            match refusal {
                Some(refusal) => staged.refused.push((entry.name, refusal)),
                None => {
                    let is_read = entry.lines.is_some() && staged.files.len() < MAX_FILES;
                    let diff = if is_read { git.diff(&["diff", "--cached", "-M"], &entry)? } else { String::new() };
                    staged.files.push(StagedFile { name: entry.name, lines: entry.lines, diff });
                }
            }
        }
        match (staged.files.is_empty(), staged.refused.first()) {
            (true, None) => Err(NotStaged::Nothing),
            (true, Some((name, refusal))) => Err(NotStaged::Refused(format!("{name}: {refusal}"))),
            (false, _) => Ok(staged),
        }
    }
}

/// The last line, counted from 0, of the first change in `file` that is not committed; `None` where nothing was changed, git does
/// not know the file, or does not say.
pub fn last_line_of_first_change(file: &Path) -> Option<usize> {
    let file = file.canonicalize().ok()?;
    let git = Git::around(&file).ok()?;
    let name = file.strip_prefix(&git.root).ok()?.to_str()?;
    let fixed = ["--unified=0", "--no-color", "--no-ext-diff", "--no-textconv", "HEAD", "--", name];
    let diff = git.run(["diff"].into_iter().chain(fixed), MAX_CHANGES_BYTES).ok()?;
    // `@@ -12,3 +14,2 @@`: from line 14 on, 2 lines; one where no number follows, and with 0 lines the one before.
    let place = diff.lines().find(|line| line.starts_with("@@ "))?.split(' ').nth(2)?.strip_prefix('+')?;
    let (first, count) = place.split_once(',').unwrap_or((place, "1"));
    let (first, count): (usize, usize) = (first.parse().ok()?, count.parse().ok()?);
    Some((first + count.max(1)).saturating_sub(2))
}

/// A file that differs from another state of it.
pub(super) struct ChangedFile {
    pub(super) name: String,
    /// What it was called before.
    old_name: Option<String>,
    pub(super) lines: Option<(usize, usize)>,
}

impl ChangedFile {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.old_name.iter().chain([&self.name]).map(String::as_str)
    }
}

/// Git, in one repository.
pub(super) struct Git {
    /// The root of the work tree.
    pub(super) root: PathBuf,
    /// An index that stands for the repository's own while a commit is made.
    index: Option<OsString>,
}

impl Git {
    pub(super) fn around(path: &Path) -> Result<Self, NotStaged> {
        let is_folder = path.is_dir();
        let folder = if is_folder { path } else { path.parent().unwrap_or(path) };
        let is_git_dir = |folder: &&Path| {
            folder.join("HEAD").is_file() && ["refs", "commondir"].iter().any(|name| folder.join(name).exists())
        };
        let git_dir = folder.ancestors().find(is_git_dir);
        let from = match git_dir {
            Some(git_dir) => work_tree_of(git_dir).ok_or_else(|| NotStaged::NoRepository(path.to_owned()))?,
            None => folder.to_owned(),
        };
        let anywhere = Self { root: from, index: None };
        let top = anywhere.run(["rev-parse", "--show-toplevel"], MAX_CHANGES_BYTES);
        let top = top.map_err(|error| match error {
            NotStaged::Failed(reason) if NO_WORK_TREE.iter().any(|no| reason.contains(no)) => {
                NotStaged::NoRepository(folder.to_owned())
            }
            other => other,
        })?;
        let root = PathBuf::from(top.trim_end_matches(['\n', '\r']));
        let git = Self { root, index: None };
        Ok(Self { index: git.index_of_commit(), ..git })
    }

    /// The index that git has made for the commit whose message is being written, if this program, or the editor that runs it,
    /// was started for that: by a hook, or for the file of the message.
    fn index_of_commit(&self) -> Option<OsString> {
        let index = self.root.join(std::env::var_os("GIT_INDEX_FILE")?);
        let git_dir = self.run(["rev-parse", "--absolute-git-dir"], MAX_CHANGES_BYTES).ok()?;
        let git_dir = Path::new(git_dir.trim_end_matches(['\n', '\r'])).canonicalize().ok()?;
        index.canonicalize().ok()?.starts_with(git_dir).then(|| index.into_os_string())
    }

    /// Whether there is a commit yet.
    pub(super) fn has_commits(&self) -> bool {
        self.run(["rev-parse", "--quiet", "--verify", "HEAD"], MAX_CHANGES_BYTES).is_ok()
    }

    /// The files that differ, as `command` lists them: a `git diff` with `--numstat` and `-z`.
    pub(super) fn changed_files(&self, command: &[&str]) -> Result<Vec<ChangedFile>, NotStaged> {
        let listed = self.run(command.iter().copied(), usize::MAX)?;
        let mut fields = listed.split('\0');
        let mut entries = Vec::new();
        while let Some(field) = fields.next().filter(|field| !field.is_empty()) {
            let mut parts = field.splitn(3, '\t');
            let mut count = || parts.next().and_then(|count| count.parse().ok());
            let lines = count().zip(count());
            // The names of a file that was renamed follow as fields of their own.
            let (old_name, name) = match parts.next().filter(|name| !name.is_empty()) {
                Some(name) => (None, Some(name)),
                None => (fields.next().map(str::to_owned), fields.next()),
            };
            let unexpected =
                || NotStaged::Failed(format!("expected the counts and the name of a file, found {field:?}"));
            entries.push(ChangedFile { name: name.ok_or_else(unexpected)?.to_owned(), old_name, lines });
        }
        Ok(entries)
    }

    /// How one file changes, as `command` shows it: a `git diff`. Its lines end with `\n`, whatever the file's do.
    pub(super) fn diff(&self, command: &[&str], entry: &ChangedFile) -> Result<String, NotStaged> {
        let fixed = ["--no-color", "--no-ext-diff", "--no-textconv", "--"];
        let diff = self.run(command.iter().copied().chain(fixed).chain(entry.names()), MAX_CHANGES_BYTES)?;
        Ok(diff.replace("\r\n", "\n"))
    }

    /// The first lines of the last commits; none where there is none yet.
    fn earlier(&self) -> Vec<String> {
        let count = format!("-{EARLIER}");
        let log = self.run(["log", &count, "--format=%s", "--no-show-signature"], MAX_CHANGES_BYTES);
        log.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// What git answers to `arguments`, or the first `limit` bytes of it.
    fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>, limit: usize) -> Result<String, NotStaged> {
        let mut git = Command::new("git");
        for variable in REPOSITORY_VARIABLES {
            git.env_remove(variable);
        }
        if let Some(index) = &self.index {
            git.env("GIT_INDEX_FILE", index);
        }
        git.args(["--no-pager", "--literal-pathspecs", "-c", "core.quotePath=false", "-c", "core.fsmonitor=false"])
            .args(["-c", "protocol.allow=never", "-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false"])
            .args(arguments)
            .current_dir(&self.root)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = git.spawn().map_err(|error| NotStaged::NoGit(error.to_string()))?;
        let mut answer = Vec::new();
        let read = running.stdout.take().map(|out| out.take(limit as u64).read_to_end(&mut answer)).transpose();
        read.map_err(|error| NotStaged::Failed(error.to_string()))?;
        // The rest is not read: git ends when its output is closed.
        let output = running.wait_with_output().map_err(|error| NotStaged::Failed(error.to_string()))?;
        if !output.status.success() && answer.len() < limit {
            let reason = String::from_utf8_lossy(&output.stderr);
            return Err(NotStaged::Failed(reason.lines().next().unwrap_or("no reason given").to_owned()));
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// The work tree that the folder `git_dir` of git belongs to.
fn work_tree_of(git_dir: &Path) -> Option<PathBuf> {
    if git_dir.file_name() == Some(OsStr::new(".git")) {
        return git_dir.parent().map(Path::to_owned);
    }
    // That of a linked work tree names the file `.git` in it.
    let linked = std::fs::read_to_string(git_dir.join("gitdir")).ok()?;
    Path::new(linked.trim()).parent().map(Path::to_owned)
}
