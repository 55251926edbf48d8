//! What has changed in the working tree since the last commit, change by change, as git itself reports it. Files that
//! must not enter a prompt are left out before their changes are read.

use std::path::Path;
use std::time::SystemTime;

use super::staged::{ChangedFile, Git, MAX_FILES};
use super::{NotStaged, Workspaces};
use crate::text::with_line_feeds;

/// Lines around each change that are read with it.
const CONTEXT: &str = "-U1";

/// Neighbouring lines that have changed, with one line before and after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// The file, from the repository's root, with forward slashes.
    pub name: String,
    /// The first line in the file as it is now, counted from 1.
    pub first: usize,
    /// The lines before and now, each with its line break.
    pub old: String,
    pub new: String,
}

impl Hunk {
    /// The last line as the file is now, counted from 1; the one before the first where nothing is left.
    pub fn last(&self) -> usize {
        (self.first + self.new.lines().count()).saturating_sub(1)
    }
}

impl Workspaces {
    /// What has changed since the last commit in the repository around `path`, staged or not: file by file, the one that was
    /// written last at the end.
    ///
    /// # Errors
    /// Why git cannot say that.
    pub fn changes(&self, path: &Path) -> Result<Vec<Hunk>, NotStaged> {
        let git = Git::around(path)?;
        if !git.has_commits() {
            return Ok(Vec::new());
        }
        let listed = git.changed_files(&["diff", "HEAD", "--numstat", "-z", "--no-renames", "--diff-filter=M"])?;
        let is_text =
            |entry: &ChangedFile| entry.lines.is_some() && self.refusal(&git.root.join(&entry.name)).is_none();
        let mut entries: Vec<(SystemTime, ChangedFile)> = listed
            .into_iter()
            .filter(is_text)
            .map(|entry| {
                let written = git.root.join(&entry.name).metadata().and_then(|metadata| metadata.modified());
                (written.unwrap_or(SystemTime::UNIX_EPOCH), entry)
            })
            .collect();
        entries.sort_by_key(|(written, _)| *written);
        let newest = entries.len().saturating_sub(MAX_FILES);
        let mut hunks = Vec::new();
        for (_, entry) in &entries[newest..] {
            hunks.extend(hunks_of(&entry.name, &git.diff(&["diff", "HEAD", CONTEXT, "--no-renames"], entry)?));
        }
        Ok(hunks)
    }
}

/// The changes in `diff`, which is that of one file.
fn hunks_of(name: &str, diff: &str) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    for line in diff.split_inclusive('\n') {
        if let Some(first) = first_line(line) {
            hunks.push(Hunk { name: name.to_owned(), first, old: String::new(), new: String::new() });
        } else if let Some(hunk) = hunks.last_mut() {
            let (mark, text) = line.split_at_checked(1).unwrap_or_default();
            // To git, a lone `\r` ends no line.
            let text = with_line_feeds(text.to_owned());
            if matches!(mark, " " | "-") {
                hunk.old.push_str(&text);
            }
            if matches!(mark, " " | "+") {
                hunk.new.push_str(&text);
            }
        }
    }
    hunks
}

/// The first line after a change that `header` names: `@@ -3,2 +3,4 @@`.
fn first_line(header: &str) -> Option<usize> {
    let now = header.strip_prefix("@@ -")?.split(" +").nth(1)?;
    now.split([',', ' ']).next()?.parse().ok()
}
