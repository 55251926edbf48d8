//! The windows of prompts and the speed of the model, kept in files for the next session. The first prompt in a file
//! that has not changed since then begins like the last one, so that the model finds it in its cache.
//!
//! Each document has a file with its window, which is code of the document and of other files that were allowed at the
//! time. Nobody else may read it, and it is used only if all of these files are still allowed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::readings::Readings;
use crate::context::Anchor;
use crate::private;
use crate::server::documents::Document;
use crate::text::Rope;

/// The name of the folder of windows, and the prefix of the names of files with readings.
const WINDOWS: &str = "windows";
const READINGS: &str = "readings";

/// How many windows are kept. The least recently used ones are removed first.
const MOST_WINDOWS: usize = 100;

/// Longer documents are not compared.
const LONGEST_TEXT: usize = 4 << 20;

/// The files, and when to write them next.
pub(super) struct KeptWindows {
    /// `None` if nothing is ever kept.
    folder: Option<PathBuf>,
    is_enabled: bool,
    /// How long after the last edit or request to write.
    after: Duration,
    due_at: Option<Instant>,
}

/// The window of one document, as it is in a file.
#[derive(Serialize, Deserialize)]
struct KeptWindow {
    version: String,
    file: PathBuf,
    /// A digest of the document's text.
    text: String,
    cursor: usize,
    anchor: Anchor,
}

impl KeptWindows {
    pub(super) fn new(folder: Option<PathBuf>, after: Duration) -> Self {
        Self { folder, is_enabled: true, after, due_at: None }
    }

    /// Sets whether windows are kept. If not, existing files are removed.
    pub(super) fn set_enabled(&mut self, enabled: bool) {
        self.is_enabled = enabled;
        if let Some(folder) = self.folder.as_ref().filter(|_| !enabled) {
            // There may be no such folder.
            let _ = std::fs::remove_dir_all(folder.join(WINDOWS));
            files_in(folder)
                .filter(|(_, path)| is_readings(path))
                .for_each(|(_, path)| drop(std::fs::remove_file(path)));
        }
    }

    /// The folder, if windows are kept.
    fn folder(&self) -> Option<&Path> {
        self.folder.as_deref().filter(|_| self.is_enabled)
    }

    /// Notes that there is something new to keep, once nothing else has happened for a while.
    pub(super) fn note(&mut self) {
        self.due_at = self.folder().is_some().then(|| Instant::now() + self.after);
    }

    /// When windows have to be written.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due_at
    }

    /// Whether windows have to be written at `now`. Returns true only once.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        self.due_at.take_if(|at| *at <= now).is_some()
    }

    /// Writes the window of `document` and where the cursor was in it.
    pub(super) fn keep(&self, document: &Document, anchor: &Anchor, cursor: usize) {
        let (Some(folder), Some(file)) = (self.folder(), &document.file) else { return };
        if !anchor.is_placed() || document.is_excluded() || document.snapshot.text.len_bytes() > LONGEST_TEXT {
            return;
        }
        let window = KeptWindow {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            file: file.clone(),
            text: digest_of(&document.snapshot.text),
            cursor,
            anchor: anchor.clone(),
        };
        let folder = folder.join(WINDOWS);
        write(&folder, &name_of(file), &window);
        let mut files: Vec<_> = files_in(&folder).collect();
        files.sort();
        // Another server may have removed it already.
        files.iter().rev().skip(MOST_WINDOWS).for_each(|(_, path)| drop(std::fs::remove_file(path)));
    }

    /// The kept window of `document` with the cursor, if the document is the same as then and all other files in the
    /// window are `allowed`. A window that cannot be used is removed.
    pub(super) fn window(&self, document: &Document, allowed: impl Fn(&Path) -> bool) -> Option<(Anchor, usize)> {
        let (folder, file) = (self.folder()?.join(WINDOWS), document.file.as_ref()?);
        let path = folder.join(name_of(file));
        let kept: KeptWindow = read(&path)?;
        let root = document.place.as_ref().and_then(|place| place.root.as_deref());
        let is_allowed = |shown: Option<&Path>| match (root, shown) {
            (Some(root), Some(shown)) => allowed(&root.join(shown)),
            // It is not known which file it was.
            _ => false,
        };
        let is_sound = kept.version == env!("CARGO_PKG_VERSION")
            && kept.file == *file
            && document.snapshot.text.len_bytes() <= LONGEST_TEXT
            && kept.text == digest_of(&document.snapshot.text)
            && kept.anchor.shown_files().all(is_allowed);
        if !is_sound {
            tracing::debug!(file = %file.display(), "the window of the last session does not fit any more");
            let _ = std::fs::remove_file(&path);
        }
        is_sound.then_some((kept.anchor, kept.cursor))
    }

    /// Removes the window of `document`, which may not be read any more.
    pub(super) fn forget(&self, document: &Document) {
        if let (Some(folder), Some(file)) = (self.folder(), &document.file) {
            // There may be no such file.
            let _ = std::fs::remove_file(folder.join(WINDOWS).join(name_of(file)));
        }
    }

    /// Writes the readings of `model`.
    pub(super) fn keep_readings(&self, model: &str, readings: &Readings) {
        if let Some(folder) = self.folder() {
            write(folder, &readings_name(model), readings);
        }
    }

    /// The readings of `model` in the last session.
    pub(super) fn readings(&self, model: &str) -> Option<Readings> {
        read(&self.folder()?.join(readings_name(model)))
    }
}

fn readings_name(model: &str) -> String {
    format!("{READINGS}-{}", name_of(Path::new(model)))
}

fn is_readings(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(READINGS))
}

/// The name of the file about what is at `path`.
fn name_of(path: &Path) -> String {
    format!("{}.json", hex(Sha256::digest(path.as_os_str().as_encoded_bytes()).as_slice()))
}

fn digest_of(text: &Rope) -> String {
    let mut digest = Sha256::new();
    text.chunks().for_each(|chunk| digest.update(chunk));
    hex(digest.finalize().as_slice())
}

fn hex(digest: &[u8]) -> String {
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The files in `folder` and when they were written.
fn files_in(folder: &Path) -> impl Iterator<Item = (SystemTime, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
}

fn write(folder: &Path, name: &str, value: &impl Serialize) {
    let written = serde_json::to_vec(value).map_err(std::io::Error::other).and_then(|json| {
        private::create_folder(folder)?;
        private::write(&folder.join(name), &[&json])
    });
    if let Err(error) = written {
        tracing::debug!("{} is not kept: {error}", folder.join(name).display());
    }
}

/// Reads the file at `path`. A damaged file is removed.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = std::fs::read(path).ok()?;
    match serde_json::from_slice(&bytes) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!("{} is damaged and deleted: {error}", path.display());
            let _ = std::fs::remove_file(path);
            None
        }
    }
}
