//! Files that nobody but this person may read, replaced in one step: what is kept between sessions and can be had again.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A file that is still being written has this at the end of its name.
const PARTIAL: &str = "part";

/// A partial file that is older than this was left behind by a process that has been killed.
const LEFT_BEHIND: Duration = Duration::from_secs(600);

/// The folder for such files: this person's for caches.
pub fn folder() -> Option<PathBuf> {
    Some(directories::ProjectDirs::from("", "", "phi-ls")?.cache_dir().to_owned())
}

/// Makes `folder`, which nobody else may enter from then on, and those above it.
///
/// # Errors
/// It cannot be made.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    #[cfg(unix)]
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

/// Writes the `parts` of the file at `path`, one behind the other: whoever opens it finds all of them or what was there before.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let partial = path.with_extension(format!("{}.{PARTIAL}", std::process::id()));
    let written = write_all(&partial, parts).and_then(|()| std::fs::rename(&partial, path));
    if written.is_err() {
        // It may be what has filled the disk.
        let _ = std::fs::remove_file(&partial);
    }
    written
}

fn write_all(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file: File = options.open(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))
}

/// Removes what processes that were killed have left half written in `folder`.
pub fn remove_left_behind(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        let age = changed.ok().and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if path.extension().is_some_and(|extension| extension == PARTIAL) && age.is_some_and(|age| age > LEFT_BEHIND) {
            // Somebody else may have been faster.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/windows.json");
        create_folder(path.parent().unwrap()).unwrap();
        write(&path, &[b"first", b"one"]).unwrap();
        write(&path, &[b"", b"second"]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing partial is left");
        assert!(write(&folder.path().join("missing/file"), &[b"x"]).is_err());
    }

    #[test]
    fn what_was_left_half_written_goes_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["old.1.part", "new.2.part", "whole.json"] {
            let file = File::create(path(name)).unwrap();
            if name != "new.2.part" {
                file.set_modified(SystemTime::now() - LEFT_BEHIND * 2).unwrap();
            }
        }
        remove_left_behind(folder.path());
        assert_eq!(["old.1.part", "new.2.part", "whole.json"].map(|name| path(name).exists()), [false, true, true]);
    }

    #[cfg(unix)]
    #[test]
    fn only_this_person_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("prefixes");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        create_folder(&folder).unwrap();
        write(&folder.join("file"), &[b"x"]).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("file"))), (0o700, 0o600));
    }
}
