//! The models folder: where it is, what is in it, and which file a reference means.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use super::{Alias, HubError, KNOWN_FILES, ModelRef, known};
use crate::config::in_home;

/// Folders below the models folder in which models are looked for: `OWNER/REPO/` and one folder of the repository.
const MAX_DEPTH: usize = 3;

/// A model file in the models folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    pub path: PathBuf,
    pub bytes: u64,
    /// The alias whose model this is, by its name.
    pub alias: Option<Alias>,
}

/// `$PHI_LS_MODELS`, else `models` in the platform's folder for data.
pub fn models_folder() -> Option<PathBuf> {
    match std::env::var_os("PHI_LS_MODELS") {
        Some(folder) if !folder.is_empty() => Some(folder.into()),
        _ => Some(directories::ProjectDirs::from("", "", "phi-ls")?.data_dir().join("models")),
    }
}

/// Bytes this user can still write in `folder` or, where it does not exist yet, its nearest parent that does.
pub fn free_space(folder: &Path) -> Option<u64> {
    let existing = folder.ancestors().find(|folder| folder.is_dir())?;
    platform_free_space(existing)
}

#[cfg(unix)]
fn platform_free_space(folder: &Path) -> Option<u64> {
    let statistics = rustix::fs::statvfs(folder).ok()?;
    Some(statistics.f_bavail.saturating_mul(statistics.f_frsize))
}

/// Unknown: a full disk is then noticed while writing.
#[cfg(not(unix))]
fn platform_free_space(_: &Path) -> Option<u64> {
    None
}

/// The model files in `folder`, by name. A folder that cannot be read has none.
pub fn installed(folder: &Path) -> Vec<Installed> {
    let mut found = Vec::new();
    collect(folder, MAX_DEPTH, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<Installed>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // Follows links: people keep models in one place and link to them.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.is_dir() && depth > 0 && !name.starts_with('.') {
            collect(&path, depth - 1, found);
        } else if metadata.is_file() && name.to_ascii_lowercase().ends_with(".gguf") {
            found.push(Installed { path, bytes: metadata.len(), alias: Alias::of_file_name(&name) });
        }
    }
}

/// Where the hub's file is kept below the models folder.
pub(super) fn hub_path(owner: &str, repo: &str, file: &str) -> PathBuf {
    match known::find(owner, repo, file) {
        Some(known) => known.file.into(),
        None => [owner, repo].into_iter().chain(file.split('/')).collect(),
    }
}

impl ModelRef {
    /// The file it means, see [`resolve`], in [`models_folder`].
    ///
    /// # Errors
    /// [`HubError`], naming the command that installs what is missing.
    pub fn resolve(&self) -> Result<PathBuf, HubError> {
        resolve(self, &models_folder().ok_or(HubError::NoFolder)?)
    }

    /// The same model as it is named from every folder, and so by other processes: a path becomes that of the file it
    /// leads to. A short name stays one, since what it leads to may be installed later, and so does the name of a file that
    /// may be put into the models folder later.
    pub fn from_anywhere(&self) -> Self {
        let Self::Path(path) = self else { return self.clone() };
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match self.resolve() {
            Ok(found) => Self::Path(std::fs::canonicalize(&found).unwrap_or_else(|_| absolute(&found))),
            Err(_) if path.parent() == Some(Path::new("")) => self.clone(),
            Err(_) => Self::Path(absolute(&in_home(path))),
        }
    }
}

/// The file that `reference` means, in `folder` if it is no path.
///
/// # Errors
/// [`HubError`], naming the command that installs what is missing.
pub fn resolve(reference: &ModelRef, folder: &Path) -> Result<PathBuf, HubError> {
    let not_installed = || HubError::NotInstalled { reference: reference.to_string(), folder: folder.to_owned() };
    match reference {
        ModelRef::Path(path) => resolve_path(path, folder),
        ModelRef::Alias(alias) => best_file(*alias, folder).ok_or_else(not_installed),
        ModelRef::Hub { owner, repo, file } => {
            let path = folder.join(hub_path(owner, repo, file));
            if path.is_file() { Ok(path) } else { Err(not_installed()) }
        }
    }
}

/// A path as it is, with `~` for the home folder, or as the name of a file in the models folder.
fn resolve_path(path: &Path, folder: &Path) -> Result<PathBuf, HubError> {
    let path = in_home(path);
    let candidates = [path.clone(), folder.join(&path)];
    match candidates.into_iter().find(|candidate| candidate.exists()) {
        Some(found) if found.is_dir() => Err(HubError::IsFolder(found)),
        Some(found) => Ok(found),
        None => Err(HubError::NoSuchFile(path)),
    }
}

/// The installed file of `alias`: a known one in the order of the table, else the largest.
fn best_file(alias: Alias, folder: &Path) -> Option<PathBuf> {
    let rank = |file: &Installed| {
        let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        KNOWN_FILES.iter().position(|known| known.file == name).unwrap_or(KNOWN_FILES.len())
    };
    let candidates = installed(folder).into_iter().filter(|file| file.alias == Some(alias));
    candidates.min_by_key(|file| (rank(file), Reverse(file.bytes))).map(|file| file.path)
}
