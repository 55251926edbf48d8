//! What became of the latest completions of one model: how welcome they are at present.

use std::collections::VecDeque;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::{Record, What, earlier, records_in};

/// Completions that are counted; what became of those before them says little of how it is now.
const MOST: usize = 200;
/// They are in this much of the end of the file, with those of other models between them.
const BYTES_READ: u64 = 256 << 10;

/// Completions by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acceptance {
    /// Whole or in part.
    pub accepted: usize,
    pub dismissed: usize,
    pub ignored: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Accepted,
    Dismissed,
    Ignored,
}

/// The latest completions of one model.
#[derive(Debug, Clone, Default)]
pub struct Latest {
    fates: VecDeque<Fate>,
    /// Something of the newest one has been accepted.
    is_accepted: bool,
}

impl Latest {
    /// Those of `model` among `records`.
    pub fn of(model: &str, records: &[Record]) -> Self {
        let mut latest = Self::default();
        records.iter().filter(|record| record.model == model).for_each(|record| latest.note(record.what));
        latest
    }

    /// Those of `model` in the file at `path`; of a long file the end is read.
    ///
    /// # Errors
    /// The file cannot be read. One that is not there has no records.
    pub fn read(path: &Path, model: &str) -> std::io::Result<Self> {
        let mut end = end_of(path, BYTES_READ)?;
        if (end.len() as u64) < BYTES_READ {
            let mut before = end_of(&earlier(path), BYTES_READ - end.len() as u64)?;
            before.append(&mut end);
            end = before;
        }
        Ok(Self::of(model, &records_in(&end).collect::<Vec<_>>()))
    }

    /// Takes in what happened next.
    pub fn note(&mut self, what: What) {
        let fate = match what {
            What::Shown { .. } => {
                self.is_accepted = false;
                return;
            }
            // Its parts are one completion.
            What::Accepted { .. } if std::mem::replace(&mut self.is_accepted, true) => return,
            What::Accepted { .. } => Fate::Accepted,
            What::Dismissed => Fate::Dismissed,
            What::Ignored => Fate::Ignored,
            What::Worked { .. } | What::Kept { .. } => return,
        };
        if self.fates.len() == MOST {
            self.fates.pop_front();
        }
        self.fates.push_back(fate);
    }

    /// How many came to what.
    pub fn acceptance(&self) -> Acceptance {
        let count = |wanted| self.fates.iter().filter(|fate| **fate == wanted).count();
        Acceptance { accepted: count(Fate::Accepted), dismissed: count(Fate::Dismissed), ignored: count(Fate::Ignored) }
    }
}

/// At most so many bytes of the end of the file at `path`; none where there is no such file.
fn end_of(path: &Path, bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(bytes)))?;
    let mut end = Vec::new();
    file.take(bytes).read_to_end(&mut end)?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::super::append;
    use super::*;

    const SHOWN: What = What::Shown { latency_ms: 1 };

    fn accepted(part: bool) -> What {
        What::Accepted { characters: 3, part }
    }

    #[test]
    fn a_completion_counts_once_however_much_of_it_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("statistics.jsonl");
        let happened = [
            SHOWN,
            accepted(true),
            accepted(true),
            accepted(false),
            SHOWN,
            What::Ignored,
            SHOWN,
            accepted(false),
            What::Kept { after_seconds: 30, kept: 3, characters: 3 },
            SHOWN,
            What::Dismissed,
            SHOWN,
        ];
        for what in happened {
            append(&path, "rust", "mine", what).unwrap();
            append(&path, "rust", "another", What::Dismissed).unwrap();
        }
        let latest = Latest::read(&path, "mine").unwrap();
        assert_eq!(latest.acceptance(), Acceptance { accepted: 2, dismissed: 1, ignored: 1 });
        assert_eq!(Latest::read(&folder.path().join("none"), "mine").unwrap().acceptance(), Acceptance::default());
    }

    #[test]
    fn the_latest_count_and_those_put_aside_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("statistics.jsonl");
        for _ in 0..MOST {
            append(&path, "rust", "mine", What::Ignored).unwrap();
        }
        std::fs::rename(&path, earlier(&path)).unwrap();
        for _ in 0..50 {
            append(&path, "rust", "mine", accepted(false)).unwrap();
            append(&path, "rust", "mine", SHOWN).unwrap();
        }
        let expected = Acceptance { accepted: 50, dismissed: 0, ignored: MOST - 50 };
        assert_eq!(Latest::read(&path, "mine").unwrap().acceptance(), expected);
    }
}
