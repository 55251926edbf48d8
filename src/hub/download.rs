//! One file over HTTP: written to `TARGET.part`, resumed from there, checked by SHA-256 and size, then renamed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use ureq::http::{HeaderMap, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::{Hub, HubError, PullEvent, Pulled};

/// Bytes read at once. Also the granularity of progress.
const CHUNK_BYTES: usize = 256 * 1024;

/// A server that sends nothing for this long is considered gone.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How rustls begins its message about a certificate that it does not trust.
const UNTRUSTED: &str = "invalid peer certificate: ";

/// Kept free beyond the file itself.
const SPARE_BYTES: u64 = 32 << 20;

/// What to download, where to, and what is known about it beforehand.
pub(super) struct Request {
    pub url: String,
    pub target: PathBuf,
    pub bytes: Option<u64>,
    /// Lower-case hex.
    pub sha256: Option<String>,
}

/// Downloads the file of `request`, unless it is there and correct.
pub(super) fn download(
    hub: &Hub,
    mut request: Request,
    on_event: &mut dyn FnMut(PullEvent),
) -> Result<Pulled, HubError> {
    if let Some(pulled) = check_installed(&request, on_event)? {
        return Ok(pulled);
    }
    let agent = agent(hub)?;
    if request.sha256.is_none() {
        ask_what_it_is(hub, &agent, &mut request)?;
        // Now that size and checksum are known, the existing file may turn out to be correct after all.
        if let Some(pulled) = check_installed(&request, on_event)? {
            return Ok(pulled);
        }
    }
    let mut part = Part::open(&request, on_event)?;
    require_space(hub, &request, part.len)?;
    Transfer { hub, agent, request: &request, on_event, has_answered: false }.run(&mut part)?;
    part.finish(&request)?;
    Ok(Pulled {
        bytes: part.len,
        already_installed: false,
        checksum_verified: request.sha256.is_some(),
        path: request.target,
    })
}

/// A client that goes through the proxy of HTTPS_PROXY or its relatives, where one is set.
fn agent(hub: &Hub) -> Result<ureq::Agent, HubError> {
    let tls = TlsConfig::builder().root_certs(trusted_roots()?).build();
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_resolve(Some(hub.connect_timeout))
        .timeout_connect(Some(hub.connect_timeout))
        .timeout_recv_response(Some(STALL_TIMEOUT))
        .timeout_per_read(Some(STALL_TIMEOUT))
        .user_agent(concat!("phi-ls/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build();
    Ok(config.new_agent())
}

/// The trusted certificates; Mozilla's where the system has none, as small containers do.
fn trusted_roots() -> Result<RootCerts, HubError> {
    let found = super::trusted_certificates()?;
    if found.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let certificates = found.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

/// Whether the target exists and is correct. A file that is not is deleted. Without a known checksum, a file is judged
/// by its size; without either, not yet at all.
fn check_installed(request: &Request, on_event: &mut dyn FnMut(PullEvent)) -> Result<Option<Pulled>, HubError> {
    let path = &request.target;
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(None) };
    if metadata.is_dir() {
        return Err(HubError::io(path, std::io::Error::from(ErrorKind::IsADirectory)));
    }
    if request.bytes.is_none() && request.sha256.is_none() {
        return Ok(None);
    }
    let mut is_sound = request.bytes.is_none_or(|bytes| bytes == metadata.len());
    if let (true, Some(expected)) = (is_sound, &request.sha256) {
        on_event(PullEvent::Checking { bytes: metadata.len() });
        let mut hasher = Sha256::new();
        let mut file = File::open(path).map_err(|error| HubError::io(path, error))?;
        std::io::copy(&mut file, &mut hasher).map_err(|error| HubError::io(path, error))?;
        is_sound = hex(hasher) == *expected;
    }
    if !is_sound {
        std::fs::remove_file(path).map_err(|error| HubError::io(path, error))?;
        return Ok(None);
    }
    Ok(Some(Pulled {
        path: path.clone(),
        bytes: metadata.len(),
        already_installed: true,
        checksum_verified: request.sha256.is_some(),
    }))
}

/// Fills in size and checksum from what the hub says of the file. The hub states them on its own answer, which is
/// most often a redirect to a storage host that does not know them: redirects are not followed here, except those
/// within the hub (a repository that was renamed).
fn ask_what_it_is(hub: &Hub, agent: &ureq::Agent, request: &mut Request) -> Result<(), HubError> {
    let mut url = request.url.clone();
    for _ in 0..3 {
        let mut head = agent.head(&url).config().max_redirects(0).max_redirects_will_error(false).build();
        if let Some(token) = &hub.token {
            head = head.header("Authorization", format!("Bearer {token}"));
        }
        let response = head.call().map_err(|error| unreachable(&url, &error))?;
        let header = |name: &str| text_header(response.headers(), name);
        let location = header("location").filter(|_| response.status().is_redirection());
        let within = |location: &str| location.strip_prefix(&hub.endpoint).unwrap_or(location).to_owned();
        if let Some(path) = location.map(within).filter(|path| path.starts_with('/')) {
            url = format!("{}{path}", hub.endpoint);
            continue;
        }
        if !response.status().is_redirection() {
            refuse(&request.url, response.status())?;
        }
        let etag = header("x-linked-etag").map(|etag| etag.trim_matches('"').to_lowercase());
        request.sha256 = etag.filter(|etag| etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit()));
        // The length of a redirect is that of its own text.
        let length = header("content-length").filter(|_| response.status().is_success());
        request.bytes = header("x-linked-size").or(length).and_then(|bytes| bytes.parse().ok()).or(request.bytes);
        return Ok(());
    }
    Err(HubError::Unreachable { url: request.url.clone(), reason: "it redirects in a circle".to_owned() })
}

fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The error that a status is, if it is one.
fn refuse(url: &str, status: StatusCode) -> Result<(), HubError> {
    let url = url.to_owned();
    match status.as_u16() {
        200..300 | 416 => Ok(()),
        404 | 410 => Err(HubError::NotFound { url }),
        status @ (401 | 403) => Err(HubError::Forbidden { url, status }),
        status => Err(HubError::Status { url, status }),
    }
}

fn unreachable(url: &str, error: &ureq::Error) -> HubError {
    let reason = match error {
        ureq::Error::HostNotFound => "the host name is not known".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    let url = url.to_owned();
    match reason.split_once(UNTRUSTED) {
        Some((_, reason)) => HubError::Certificate { url, reason: reason.to_owned() },
        None => HubError::Unreachable { url, reason },
    }
}

fn require_space(hub: &Hub, request: &Request, have: u64) -> Result<(), HubError> {
    let Some(needed) = request.bytes.map(|bytes| bytes.saturating_sub(have)) else { return Ok(()) };
    match (hub.free_space)(&hub.folder) {
        Some(free) if needed > 0 && free < needed + SPARE_BYTES => {
            Err(HubError::NoSpace { folder: hub.folder.clone(), needed, free: Some(free) })
        }
        _ => Ok(()),
    }
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file `TARGET.part`, locked against other processes; removed in the end if it is empty.
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Creates the part of `target`, with the folders above it.
    pub(super) fn acquire(target: &Path) -> Result<Self, HubError> {
        let mut path = target.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let folder = target.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|error| HubError::io(folder, error))?;
        let open = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = open.map_err(|error| HubError::io(&path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(HubError::Busy(target.to_owned())),
            // Some network file systems have no locks: continue without one.
            Err(TryLockError::Error(_)) => {}
        }
        // Another process finished between our look at the target and the lock: this may be the target by now.
        if target.exists() {
            return Err(HubError::Busy(target.to_owned()));
        }
        Ok(Self { path, file })
    }

    /// Empties the file, so that it will be removed.
    pub(super) fn discard(&self) -> Result<(), HubError> {
        match self.file.metadata().is_ok_and(|metadata| metadata.len() > 0) {
            true => self.file.set_len(0).map_err(|error| HubError::io(&self.path, error)),
            false => Ok(()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The unfinished file.
struct Part {
    lock: Lock,
    len: u64,
    /// Of the first `len` bytes.
    hasher: Sha256,
}

impl Part {
    /// Opens the part of `request.target` with what an earlier download left in it. Without a checksum to find out in
    /// the end, it starts empty: two halves could be of two versions of the file.
    fn open(request: &Request, on_event: &mut dyn FnMut(PullEvent)) -> Result<Self, HubError> {
        let lock = Lock::acquire(&request.target)?;
        let mut part = Self { lock, len: 0, hasher: Sha256::new() };
        let len = part.lock.file.metadata().map_err(|error| HubError::io(&part.lock.path, error))?.len();
        let is_too_long = request.bytes.is_some_and(|bytes| len > bytes);
        if len == 0 || request.sha256.is_none() || is_too_long {
            part.restart()?;
        } else {
            on_event(PullEvent::Checking { bytes: len });
            let copied = std::io::copy(&mut part.lock.file, &mut part.hasher);
            part.len = copied.map_err(|error| HubError::io(&part.lock.path, error))?;
        }
        Ok(part)
    }

    /// Forgets what arrived.
    fn restart(&mut self) -> Result<(), HubError> {
        self.lock.discard()?;
        self.len = 0;
        self.hasher = Sha256::new();
        Ok(())
    }

    fn append(&mut self, bytes: &[u8], total: Option<u64>) -> Result<(), HubError> {
        let written = self.lock.file.write_all(bytes);
        written.map_err(|error| match (error.kind(), self.lock.path.parent()) {
            (ErrorKind::StorageFull | ErrorKind::QuotaExceeded, Some(folder)) => HubError::NoSpace {
                folder: folder.to_owned(),
                needed: total.unwrap_or(0).saturating_sub(self.len),
                free: None,
            },
            _ => HubError::io(&self.lock.path, error),
        })?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Compares size and checksum and renames the file to its target. A file that differs is deleted.
    fn finish(&self, request: &Request) -> Result<(), HubError> {
        let corrupt = |expected: String, found: String| {
            let _ = std::fs::remove_file(&self.lock.path);
            HubError::Corrupt { path: request.target.clone(), expected, found }
        };
        if let Some(bytes) = request.bytes.filter(|bytes| *bytes != self.len) {
            return Err(corrupt(format!("{bytes} bytes"), format!("{}", self.len)));
        }
        let sha256 = hex(self.hasher.clone());
        if let Some(expected) = request.sha256.as_ref().filter(|expected| **expected != sha256) {
            return Err(corrupt(format!("SHA-256 {expected}"), sha256));
        }
        self.lock.file.sync_all().map_err(|error| HubError::io(&self.lock.path, error))?;
        std::fs::rename(&self.lock.path, &request.target).map_err(|error| HubError::io(&request.target, error))
    }
}

/// How one try ended.
enum Attempt {
    Complete,
    /// Worth another try.
    Broken(String),
}

/// The requests that download one file.
struct Transfer<'a> {
    hub: &'a Hub,
    agent: ureq::Agent,
    request: &'a Request,
    on_event: &'a mut dyn FnMut(PullEvent),
    /// The hub could be reached: it is worth waiting for it to come back.
    has_answered: bool,
}

impl Transfer<'_> {
    /// Tries until the file is complete, or until [`Hub::attempts`] tries in a row brought nothing.
    fn run(&mut self, part: &mut Part) -> Result<(), HubError> {
        let mut fruitless = 0;
        // Not merely more than the try before: a hub without ranges makes every try start again.
        let mut most = part.len;
        loop {
            let reason = match self.attempt(part)? {
                Attempt::Complete => return Ok(()),
                Attempt::Broken(reason) => reason,
            };
            fruitless = if part.len > most { 0 } else { fruitless + 1 };
            most = most.max(part.len);
            if fruitless >= self.hub.attempts {
                return Err(HubError::Interrupted { done: part.len, total: self.request.bytes, reason });
            }
            (self.on_event)(PullEvent::Retrying { reason });
            std::thread::sleep(self.hub.retry_delay * 2_u32.pow(fruitless));
        }
    }

    fn attempt(&mut self, part: &mut Part) -> Result<Attempt, HubError> {
        if part.len > 0 && self.request.bytes == Some(part.len) {
            return Ok(Attempt::Complete);
        }
        let url = &self.request.url;
        let mut get = self.agent.get(url);
        if part.len > 0 {
            get = get.header("Range", format!("bytes={}-", part.len));
        }
        if let Some(token) = &self.hub.token {
            get = get.header("Authorization", format!("Bearer {token}"));
        }
        let response = match get.call() {
            Ok(response) => response,
            Err(error) if !self.has_answered => return Err(unreachable(url, &error)),
            Err(error) => return Ok(Attempt::Broken(error.to_string())),
        };
        self.has_answered = true;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Ok(Attempt::Broken(format!("HTTP {}", status.as_u16())));
        }
        refuse(url, status)?;
        let continues = status == StatusCode::PARTIAL_CONTENT && range_start(response.headers()) == Some(part.len);
        if !continues {
            part.restart()?;
        }
        match status {
            // It has less than what is here, or it sent another range than the requested one.
            StatusCode::RANGE_NOT_SATISFIABLE => return Ok(Attempt::Broken("HTTP 416".to_owned())),
            StatusCode::PARTIAL_CONTENT if !continues => return Ok(Attempt::Broken("a wrong range".to_owned())),
            _ => {}
        }
        let announced = response.body().content_length().map(|length| part.len + length);
        match (self.request.bytes, announced) {
            (Some(expected), Some(found)) if expected != found => {
                Err(HubError::WrongSize { url: url.clone(), expected, found })
            }
            (expected, announced) => self.receive(part, response.into_body(), expected.or(announced)),
        }
    }

    fn receive(&mut self, part: &mut Part, body: ureq::Body, total: Option<u64>) -> Result<Attempt, HubError> {
        (self.on_event)(PullEvent::Started { from: self.request.url.clone(), done: part.len, total });
        let mut reader = body.into_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => {
                    part.append(&chunk[..read], total)?;
                    (self.on_event)(PullEvent::Progress { done: part.len });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Ok(Attempt::Broken(error.to_string())),
            }
            // More than was announced: not the file that was asked for, and no reason to fill the disk.
            if self.request.bytes.is_some_and(|bytes| part.len > bytes) {
                return Ok(Attempt::Complete);
            }
        }
        match total {
            Some(total) if part.len < total => Ok(Attempt::Broken("the connection was closed".to_owned())),
            _ => Ok(Attempt::Complete),
        }
    }
}

/// The first byte of a partial answer.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = text_header(headers, "content-range")?.strip_prefix("bytes ")?;
    range.split('-').next()?.parse().ok()
}
