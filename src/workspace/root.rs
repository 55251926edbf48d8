//! Where the workspace of a file begins if the editor names none, and paths without symbolic links.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Files and folders that stand where a project begins, beside `.git`.
const MANIFESTS: [&str; 20] = [
    "Cargo.toml",
    "go.mod",
    "package.json",
    "deno.json",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "settings.gradle",
    "build.sbt",
    "composer.json",
    "Gemfile",
    "mix.exs",
    "pubspec.yaml",
    "CMakeLists.txt",
    "meson.build",
    ".hg",
    ".phi-lsignore",
];

/// The root of the project that the file `path` is part of: the innermost repository, else the innermost folder with a
/// manifest. A person's home folder is no project, whatever lies in it.
pub(super) fn project_root(path: &Path) -> Option<PathBuf> {
    let home = directories::BaseDirs::new().map(|folders| real_path(folders.home_dir()));
    let is_project =
        |folder: &&Path| folder.parent().is_some() && home.as_deref().is_none_or(|home| !home.starts_with(folder));
    let folders: Vec<&Path> = path.ancestors().skip(1).take_while(is_project).collect();
    let with_manifest = |folder: &&&Path| MANIFESTS.iter().any(|name| folder.join(name).exists());
    let repository = folders.iter().find(|folder| folder.join(".git").exists());
    repository.or_else(|| folders.iter().find(with_manifest)).map(|folder| folder.to_path_buf())
}

/// `path` without symbolic links, `.` and `..`; what of it does not exist stays as it is written.
pub(super) fn real_path(path: &Path) -> PathBuf {
    let written = normalised(path);
    let mut missing: Vec<OsString> = Vec::new();
    for folder in written.ancestors() {
        if let Ok(real) = folder.canonicalize() {
            return missing.into_iter().rev().fold(real, |path, name| path.join(name));
        }
        missing.extend(folder.file_name().map(ToOwned::to_owned));
    }
    written
}

fn normalised(path: &Path) -> PathBuf {
    let mut normalised = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if normalised.file_name().is_some() => drop(normalised.pop()),
            other => normalised.push(other),
        }
    }
    normalised
}
