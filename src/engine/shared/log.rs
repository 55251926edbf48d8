//! The log of engine processes: their standard error, in one file of limited size beside the models.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// A log that is longer than this is renamed, and replaces the one that was renamed before.
const MOST_BYTES: u64 = 1 << 20;

/// The path of the log for processes with models in `models_folder`.
pub fn file(models_folder: &Path) -> PathBuf {
    models_folder.join("engine.log")
}

/// Opens the log to write at its end.
pub(super) fn open(models_folder: &Path) -> std::io::Result<File> {
    std::fs::create_dir_all(models_folder)?;
    let file = file(models_folder);
    bound(&file);
    OpenOptions::new().create(true).append(true).open(file)
}

/// Renames a log that is too long. Processes that have it open for appending continue at its beginning.
pub(super) fn bound(file: &Path) {
    let too_long = std::fs::metadata(file).is_ok_and(|metadata| metadata.len() > MOST_BYTES);
    if too_long && std::fs::copy(file, file.with_extension("log.old")).is_ok() {
        let emptied = OpenOptions::new().write(true).open(file).and_then(|log| log.set_len(0));
        if let Err(error) = emptied {
            tracing::debug!("cannot shorten {}: {error}", file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_long_log_is_put_aside_and_goes_on_at_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("engine.log");
        let mut log = OpenOptions::new().create(true).append(true).open(&file).unwrap();
        log.write_all(&vec![b'x'; MOST_BYTES as usize]).unwrap();
        bound(&file);
        assert_eq!(std::fs::metadata(&file).unwrap().len(), MOST_BYTES);
        log.write_all(b"y").unwrap();
        bound(&file);
        log.write_all(b"z").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"z");
        assert_eq!(std::fs::metadata(file.with_extension("log.old")).unwrap().len(), MOST_BYTES + 1);
    }
}
