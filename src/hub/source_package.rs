//! The source code of published packages, to measure completions on: fetched by their registries' own clients, never built.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::HubError;
use super::download::Lock;
use super::package_clients::{Scratch, download_wheel, failed, find, run_first, unpack_wheel};

/// The program that downloads a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageClient {
    Pip,
    Cargo,
    Npm,
}

/// A version of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePackage {
    pub client: PackageClient,
    pub name: String,
    pub version: String,
}

impl FromStr for PackageClient {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pip" => Ok(Self::Pip),
            "cargo" => Ok(Self::Cargo),
            "npm" => Ok(Self::Npm),
            other => Err(format!("expected pip, cargo or npm, found `{other}`")),
        }
    }
}

impl fmt::Display for SourcePackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl SourcePackage {
    /// The name of its folder.
    pub fn folder_name(&self) -> String {
        let name: String = self.name.trim_start_matches('@').chars().map(|c| if c == '/' { '-' } else { c }).collect();
        format!("{name}-{}", self.version)
    }

    /// Its folder in `folder`, where it is fetched to unless it is there.
    ///
    /// # Errors
    /// [`HubError::Client`] where its client is not there or fails.
    pub fn fetch(&self, folder: &Path) -> Result<PathBuf, HubError> {
        let target = folder.join(self.folder_name());
        if target.is_dir() {
            return Ok(target);
        }
        let _lock = Lock::acquire(&target)?;
        let scratch = Scratch::create(folder, &format!(".fetch-{}", self.folder_name()))?;
        let source = match self.client {
            PackageClient::Pip => self.by_pip(&scratch.path)?,
            PackageClient::Cargo => self.by_cargo(&scratch.path)?,
            PackageClient::Npm => self.by_npm(&scratch.path)?,
        };
        // Whole or not at all.
        std::fs::rename(&source, &target).map_err(|error| HubError::io(&target, error))?;
        Ok(target)
    }

    /// A wheel holds the modules as they are installed.
    fn by_pip(&self, scratch: &Path) -> Result<PathBuf, HubError> {
        let package = format!("{}=={}", self.name, self.version);
        let wheel = download_wheel(&package, scratch)?;
        let source = scratch.join("source");
        std::fs::create_dir(&source).map_err(|error| HubError::io(&source, error))?;
        unpack_wheel(&package, &wheel, &source)?;
        Ok(source)
    }

    /// Cargo copies the sources of a package's dependencies, so a package is made that depends on this one only.
    fn by_cargo(&self, scratch: &Path) -> Result<PathBuf, HubError> {
        let manifest = format!(
            "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n[lib]\npath = \"lib.rs\"\n\
             [dependencies]\n\"{}\" = {{ version = \"={}\", default-features = false }}\n",
            self.name, self.version
        );
        for (name, text) in [("Cargo.toml", manifest.as_str()), ("lib.rs", "")] {
            let path = scratch.join(name);
            std::fs::write(&path, text).map_err(|error| HubError::io(&path, error))?;
        }
        let arguments = ["vendor", "--quiet", "--versioned-dirs", "vendor"].map(OsStr::new).to_vec();
        let package = self.to_string();
        run_first("cargo", &package, [("cargo", arguments)], scratch, "cargo is not installed; install Rust")?;
        let source = scratch.join("vendor").join(format!("{}-{}", self.name, self.version));
        source.is_dir().then_some(source).ok_or_else(|| failed("cargo", &package, "it did not copy the package"))
    }

    fn by_npm(&self, scratch: &Path) -> Result<PathBuf, HubError> {
        let package = format!("{}@{}", self.name, self.version);
        let arguments = ["pack", "--silent", "--ignore-scripts", &package].map(OsStr::new).to_vec();
        // The second is npm's name on Windows.
        let programs = ["npm", "npm.cmd"].map(|program| (program, arguments.clone()));
        run_first("npm", &package, programs, scratch, "npm is not installed; install Node.js")?;
        let archive = find(scratch, "tgz").ok_or_else(|| failed("npm", &package, "it did not create an archive"))?;
        let unpack = vec![OsStr::new("-xzf"), archive.as_os_str()];
        run_first("npm", &package, [("tar", unpack)], scratch, "tar, which unpacks the archive, is not installed")?;
        // By convention the folder is called `package`, and by some packages' `tar` it is not.
        let entries = std::fs::read_dir(scratch).map_err(|error| HubError::io(scratch, error))?;
        let folder = entries.flatten().map(|entry| entry.path()).find(|path| path.is_dir());
        folder.ok_or_else(|| failed("npm", &package, "its archive contains no folder"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_there_is_not_fetched() {
        let folder = tempfile::tempdir().unwrap();
        let package = SourcePackage {
            client: PackageClient::Npm,
            name: "@nobody/nothing".to_owned(),
            version: "0.0.0".to_owned(),
        };
        let there = folder.path().join("nobody-nothing-0.0.0");
        std::fs::create_dir(&there).unwrap();
        assert_eq!(package.fetch(folder.path()).unwrap(), there);
    }
}
