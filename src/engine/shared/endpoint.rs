//! Where an engine process is found: a local socket in a folder that belongs to the person, and the locks which ensure
//! that there is one process behind it.
//!
//! On Unix the folder is `phi-ls` in `$XDG_RUNTIME_DIR`, or else `phi-ls-UID` in the folder for temporary files. Nobody
//! else may enter it, and each side asks the system who owns the other one. On Windows the socket is a named pipe that
//! only its owner may open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use interprocess::local_socket::{GenericFilePath, Listener, ListenerOptions, Name, Stream, prelude::*};

use super::Setup;

/// How often a lock is tried again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Where one engine process is found: its folder, socket and locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    folder: PathBuf,
    /// The setup's digest.
    name: String,
}

impl Endpoint {
    /// The endpoint of the process with this setup.
    ///
    /// # Errors
    /// A message for the person, if there is no folder that belongs to this person alone and can hold sockets.
    pub fn of(setup: &Setup) -> Result<Self, String> {
        Self::in_folder(folder(), setup)
    }

    /// The same, in `folder`.
    ///
    /// # Errors
    /// If it does not belong to this person alone, or there can be no socket in it.
    pub fn in_folder(folder: PathBuf, setup: &Setup) -> Result<Self, String> {
        // The process works in another folder.
        let folder = std::path::absolute(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        make_private(&folder)?;
        let endpoint = Self { folder, name: setup.digest() };
        endpoint.check()?;
        Ok(endpoint)
    }

    /// Whether there can be a socket with its locks: its path is not too long, and something can be written beside it.
    fn check(&self) -> Result<(), String> {
        let cannot = |path: &Path, error: io::Error| format!("cannot make {}: {error}", path.display());
        let (socket, lock) = (self.socket(), self.file("start"));
        #[cfg(unix)]
        rustix::net::SocketAddrUnix::new(&socket).map_err(|error| cannot(&socket, error.into()))?;
        OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&lock)
            .map_err(|error| cannot(&lock, error))?;
        Ok(())
    }

    /// The folder with sockets and locks.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All endpoints that have or had a process.
    pub fn all() -> Vec<Self> {
        let folder = folder();
        if !folder.is_dir() || make_private(&folder).is_err() {
            return Vec::new();
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".lock").map(str::to_owned));
        let mut endpoints: Vec<_> = names.map(|name| Self { folder: folder.clone(), name }).collect();
        endpoints.sort_by(|a, b| a.name.cmp(&b.name));
        endpoints
    }

    /// The socket, as a path or the name of a pipe.
    pub fn socket(&self) -> PathBuf {
        match cfg!(windows) {
            true => PathBuf::from(format!(r"\\.\pipe\phi-ls-{}", self.name)),
            false => self.file("sock"),
        }
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }

    /// Connects to the process.
    ///
    /// # Errors
    /// If there is no process, or it belongs to somebody else: [`ErrorKind::PermissionDenied`].
    pub(super) fn connect(&self) -> io::Result<Arc<Stream>> {
        let socket = self.socket();
        let stream = Stream::connect(socket_name(&socket)?)?;
        check_peer(&stream)?;
        Ok(Arc::new(stream))
    }

    /// Listens at the socket. The caller has to hold [`Endpoint::own`].
    pub(super) fn listen(&self) -> io::Result<Listener> {
        let socket = self.socket();
        // A process that was killed leaves its socket behind. Since this process holds the lock, nobody uses it.
        #[cfg(unix)]
        remove(&socket)?;
        let options = ListenerOptions::new().name(socket_name(&socket)?).reclaim_name(false);
        let listener = for_owner_only(options)?.create_sync()?;
        #[cfg(unix)]
        std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(listener)
    }

    /// Removes the socket, so that nobody finds the process any more.
    pub(super) fn hide(&self) {
        #[cfg(unix)]
        if let Err(error) = remove(&self.socket()) {
            tracing::warn!("cannot remove {}: {error}", self.socket().display());
        }
    }

    /// The lock that the process of this endpoint holds as long as the file is open. Waits at most `limit` for a
    /// process that is about to end. `None` if another process holds it and stays.
    pub(super) fn own(&self, limit: Duration) -> io::Result<Option<File>> {
        let began = Instant::now();
        loop {
            if let Some(lock) = try_lock(&self.file("lock"))? {
                return Ok(Some(lock));
            }
            if self.connect().is_ok() || began.elapsed() > limit {
                return Ok(None);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// The lock for starting the process, held as long as the file is open; `None` while another process holds it.
    pub(super) fn try_to_start(&self) -> io::Result<Option<File>> {
        try_lock(&self.file("start"))
    }
}

/// Checks that the other side of `stream` belongs to this person.
///
/// # Errors
/// If it does not, or the system does not say.
pub(super) fn check_peer(stream: &Stream) -> io::Result<()> {
    // The access rights of the named pipe ensure this.
    #[cfg(unix)]
    peer_is(stream, rustix::process::geteuid().as_raw())?;
    #[cfg(not(unix))]
    let _ = stream;
    Ok(())
}

#[cfg(unix)]
fn peer_is(stream: &Stream, owner: u32) -> io::Result<()> {
    let found = stream.peer_creds()?.euid();
    if found == Some(owner) {
        return Ok(());
    }
    let reason = format!("expected a process of user {owner} at the other end of the socket, found {found:?}");
    Err(io::Error::new(ErrorKind::PermissionDenied, reason))
}

/// The process at the other end of `stream`, where the system tells.
pub(super) fn peer_id(stream: &Stream) -> Option<u32> {
    #[cfg(unix)]
    return u32::try_from(stream.peer_creds().ok()?.pid()?).ok();
    #[cfg(not(unix))]
    {
        let _ = stream;
        None
    }
}

/// Ends `stream` for both sides. On systems that cannot, each side waits until the other one closes it.
pub(super) fn shut_down(stream: &Stream) {
    #[cfg(unix)]
    {
        let Stream::UdSocket(stream) = stream;
        // This fails if it has already ended.
        let _ = rustix::net::shutdown(stream.inner(), rustix::net::Shutdown::Both);
    }
    #[cfg(not(unix))]
    let _ = stream;
}

fn socket_name(socket: &Path) -> io::Result<Name<'_>> {
    socket.to_fs_name::<GenericFilePath>()
}

#[cfg(unix)]
fn for_owner_only(options: ListenerOptions<'_>) -> io::Result<ListenerOptions<'_>> {
    // The folder is already closed to others.
    Ok(options)
}

/// Gives the owner all rights, and nobody else any.
#[cfg(windows)]
fn for_owner_only(options: ListenerOptions<'_>) -> io::Result<ListenerOptions<'_>> {
    use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
    use interprocess::os::windows::security_descriptor::SecurityDescriptor;
    let rights = widestring::U16CString::from_str("D:P(A;;GA;;;OW)").map_err(io::Error::other)?;
    Ok(options.security_descriptor(SecurityDescriptor::deserialize(&rights)?))
}

#[cfg(unix)]
fn remove(socket: &Path) -> io::Result<()> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(unix)]
fn folder() -> PathBuf {
    let owner = rustix::process::geteuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
    // Under `sudo`, the folder may belong to somebody else.
    match runtime.filter(|folder| belongs_to(folder, owner).is_ok()) {
        Some(runtime) => runtime.join("phi-ls"),
        None => std::env::temp_dir().join(format!("phi-ls-{owner}")),
    }
}

/// Creates `folder` so that nobody else may enter it, or checks that it is such a folder.
#[cfg(unix)]
fn make_private(folder: &Path) -> Result<(), String> {
    private_folder(folder, rustix::process::geteuid().as_raw())
}

#[cfg(unix)]
fn private_folder(folder: &Path, owner: u32) -> Result<(), String> {
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(format!("cannot create {}: {error}", folder.display()));
        }
        _ => {}
    }
    let mode = belongs_to(folder, owner)?;
    if mode & 0o077 != 0 {
        let folder = folder.display();
        return Err(format!(
            "expected a folder that only its owner can enter, found {folder} with mode {:o}; remove it",
            mode & 0o777
        ));
    }
    Ok(())
}

/// The mode of `folder`, if it is a folder (not a link to one) that belongs to `owner`.
#[cfg(unix)]
fn belongs_to(folder: &Path, owner: u32) -> Result<u32, String> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::symlink_metadata(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    if !metadata.is_dir() || metadata.uid() != owner {
        let (folder, uid) = (folder.display(), metadata.uid());
        return Err(format!("expected a folder that belongs to user {owner}, found {folder} of user {uid}; remove it"));
    }
    Ok(metadata.mode())
}

#[cfg(not(unix))]
fn folder() -> PathBuf {
    let folders = directories::ProjectDirs::from("", "", "phi-ls");
    folders.map_or_else(std::env::temp_dir, |folders| folders.data_local_dir().join("engine"))
}

/// The folder holds only locks; the pipe has access rights of its own.
#[cfg(not(unix))]
fn make_private(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn endpoint(folder: &Path) -> Endpoint {
        Endpoint { folder: folder.to_owned(), name: "0123456789abcdef".to_owned() }
    }

    #[test]
    fn a_folder_is_used_only_if_nobody_else_can_be_in_it() {
        let parent = tempfile::tempdir().unwrap();
        let owner = rustix::process::geteuid().as_raw();
        let folder = parent.path().join("phi-ls");
        private_folder(&folder, owner).unwrap();
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        private_folder(&folder, owner).unwrap();
        let refused = private_folder(&folder, owner + 1).unwrap_err();
        assert!(
            refused.starts_with(&format!("expected a folder that belongs to user {}, found ", owner + 1)),
            "{refused}"
        );
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o750)).unwrap();
        let refused = private_folder(&folder, owner).unwrap_err();
        assert!(refused.contains("that only its owner can enter") && refused.contains("mode 750"), "{refused}");
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(parent.path(), &link).unwrap();
        assert!(private_folder(&link, owner).is_err(), "a link");
    }

    #[test]
    fn a_folder_that_can_hold_no_socket_is_refused() {
        let setup = Setup::new(&crate::config::Settings::default(), Path::new("phi-ls"));
        let parent = tempfile::tempdir().unwrap();
        let long = parent.path().join("long".repeat(40));
        let refused = Endpoint::in_folder(long, &setup).unwrap_err();
        assert!(refused.starts_with("cannot make ") && refused.contains(".sock: "), "{refused}");
        // No file can be made there.
        let taken = parent.path().join("taken");
        std::fs::create_dir_all(taken.join(format!("{}.start", setup.digest()))).unwrap();
        std::fs::set_permissions(&taken, std::fs::Permissions::from_mode(0o700)).unwrap();
        let refused = Endpoint::in_folder(taken, &setup).unwrap_err();
        assert!(refused.starts_with("cannot make ") && refused.contains(".start: "), "{refused}");
        let relative = Path::new("target").join(parent.path().file_name().unwrap());
        let endpoint = Endpoint::in_folder(relative.clone(), &setup).unwrap();
        assert!(endpoint.folder().is_absolute());
        std::fs::remove_dir_all(relative).unwrap();
    }

    #[test]
    fn one_process_owns_a_place_and_a_killed_ones_socket_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = endpoint(folder.path());
        let own = endpoint.own(Duration::ZERO).unwrap().expect("the right to be there");
        assert!(endpoint.own(Duration::ZERO).unwrap().is_none());
        // A process that is killed leaves its socket behind.
        drop(endpoint.listen().unwrap());
        assert!(endpoint.connect().is_err());
        let listener = endpoint.listen().unwrap();
        assert_eq!(std::fs::metadata(endpoint.socket()).unwrap().permissions().mode() & 0o777, 0o600);
        endpoint.connect().unwrap();
        drop(own);
        // While a process listens, nobody waits for the lock.
        drop(listener);
        assert!(endpoint.own(Duration::ZERO).unwrap().is_some());
        endpoint.hide();
        assert!(!endpoint.socket().exists());
    }

    #[test]
    fn nobody_but_the_owner_is_at_the_other_end() {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = endpoint(folder.path());
        let listener = endpoint.listen().unwrap();
        let (ours, theirs) = (endpoint.connect().unwrap(), listener.accept().unwrap());
        let owner = rustix::process::geteuid().as_raw();
        for stream in [&*ours, &theirs] {
            check_peer(stream).unwrap();
            assert_eq!(peer_is(stream, owner + 1).unwrap_err().kind(), ErrorKind::PermissionDenied);
            assert_eq!(peer_id(stream), Some(std::process::id()));
        }
    }

    #[test]
    fn one_at_a_time_starts_a_process() {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = endpoint(folder.path());
        let first = endpoint.try_to_start().unwrap();
        assert!(first.is_some() && endpoint.try_to_start().unwrap().is_none());
        drop(first);
        assert!(endpoint.try_to_start().unwrap().is_some());
    }
}
