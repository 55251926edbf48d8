//! Statistics of completions: recorded in a file of bounded size that never leaves this machine, and summarised.

mod latest;
mod summary;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use latest::{Acceptance, Latest};
pub use summary::{Summary, summaries};

/// A file that has grown to this size is put aside, and replaces the one put aside before: months of work.
const MAX_BYTES: u64 = 2 << 20;

/// Something that happened to a completion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Seconds since 1970.
    pub at: u64,
    /// The language of the document, by the editor's name for it.
    pub language: String,
    /// The model, as the settings call it.
    pub model: String,
    #[serde(flatten)]
    pub what: What,
}

/// What happened. A completion is shown, and then at most one of accepted (whole, or its parts one by one), dismissed and
/// ignored; what they cost is counted once a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum What {
    /// So long after it was asked for.
    Shown { latency_ms: u64 },
    /// `part`: a word or a line of it.
    Accepted { characters: usize, part: bool },
    /// The person dismissed it.
    Dismissed,
    /// The person typed something else.
    Ignored,
    /// What models have taken of the processors for completions, and how long the person has typed meanwhile.
    Worked { processor_ms: u64, typing_ms: u64 },
    /// Of `characters` accepted so many seconds ago, `kept` are still there.
    Kept { after_seconds: u64, kept: usize, characters: usize },
}

/// The file, in this person's folder for data.
pub fn file() -> Option<PathBuf> {
    Some(directories::ProjectDirs::from("", "", "phi-ls")?.data_dir().join("statistics.jsonl"))
}

/// Where a file that has grown too long is put aside.
fn earlier(path: &Path) -> PathBuf {
    path.with_extension("old.jsonl")
}

/// Adds `what` to the file at `path`, now.
///
/// # Errors
/// The file cannot be written.
pub fn append(path: &Path, language: &str, model: &str, what: What) -> std::io::Result<()> {
    let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let record = Record { at, language: language.to_owned(), model: model.to_owned(), what };
    // The line break comes first: what a crash has cut off does not spoil the next record.
    let line = format!("\n{}", serde_json::to_string(&record)?);
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() >= MAX_BYTES) {
        std::fs::rename(path, earlier(path))?;
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // In one write: several servers may append to the same file.
    std::fs::File::options().create(true).append(true).open(path)?.write_all(line.as_bytes())
}

/// All records of the file at `path`, oldest first; what is damaged is left out.
///
/// # Errors
/// The file cannot be read. One that is not there has no records.
pub fn read(path: &Path) -> std::io::Result<Vec<Record>> {
    let mut records = Vec::new();
    for path in [&earlier(path), path] {
        match std::fs::read(path) {
            Ok(bytes) => records.extend(records_in(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(records)
}

/// The records in a part of the file; what is damaged, or cut off, is left out.
fn records_in(bytes: &[u8]) -> impl Iterator<Item = Record> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

/// Removes the file at `path` with what was put aside.
///
/// # Errors
/// A file that is there cannot be removed.
pub fn delete(path: &Path) -> std::io::Result<()> {
    for path in [&earlier(path), path] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_read_back_but_for_what_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("phi-ls/statistics.jsonl");
        assert_eq!(read(&path).unwrap(), []);
        let shown = What::Shown { latency_ms: 12 };
        append(&path, "rust", "phi-3.5-mini", shown).unwrap();
        // A crash in the middle of a record.
        std::fs::File::options().append(true).open(&path).unwrap().write_all(b"\n{\"at\": 1, \"langu").unwrap();
        append(&path, "rust", "phi-3.5-mini", What::Ignored).unwrap();
        let records = read(&path).unwrap();
        assert_eq!(records.iter().map(|record| record.what).collect::<Vec<_>>(), [shown, What::Ignored]);
        delete(&path).unwrap();
        assert_eq!(read(&path).unwrap(), []);
        delete(&path).unwrap();
    }

    #[test]
    fn the_file_is_bounded_and_what_came_before_is_kept_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("statistics.jsonl");
        append(&path, "go", "m", What::Dismissed).unwrap();
        let filler = vec![b'\n'; MAX_BYTES as usize];
        std::fs::File::options().append(true).open(&path).unwrap().write_all(&filler).unwrap();
        append(&path, "go", "m", What::Ignored).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < 200);
        let whats: Vec<What> = read(&path).unwrap().iter().map(|record| record.what).collect();
        assert_eq!(whats, [What::Dismissed, What::Ignored]);
    }
}
