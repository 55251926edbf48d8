//! The key for a server, read from the environment or from a file that only its owner can read, when a connection is
//! made. It is never printed, and it is removed from messages of the server before they are shown.

use std::path::Path;

use hyper::header::HeaderValue;

use super::fault::Fault;
use crate::config::{RemoteServer, in_home};

/// A key. It has no `Debug`, so that it cannot get into a log.
#[derive(Clone)]
pub(super) struct Key(String);

impl Key {
    /// Reads the key that the settings name; `None` if they name none.
    ///
    /// # Errors
    /// If it does not exist, or others can read it.
    pub(super) fn read(server: &RemoteServer) -> Result<Option<Self>, Fault> {
        let text = match (&server.api_key_env, &server.api_key_file) {
            (None, None) => return Ok(None),
            // The name is not printed, because somebody may have written the key itself there.
            (Some(name), _) => std::env::var(name).map_err(|_| {
                Fault::here(format!(
                    "expected the key of {server} in the environment variable that `apiKeyEnv` names, found none; set it where \
                     the editor is started"
                ))
            })?,
            (None, Some(path)) => read_file(&in_home(path))?,
        };
        let text = text.trim().to_owned();
        match HeaderValue::try_from(&text) {
            Ok(_) if !text.is_empty() => Ok(Some(Self(text))),
            _ => Err(Fault::here(format!(
                "expected the key of {server} to be one line of printable ASCII characters, found something else"
            ))),
        }
    }

    /// The value of the header `Authorization`.
    pub(super) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).expect("checked when it was read");
        value.set_sensitive(true);
        value
    }

    /// `text` without the key, in case the server has repeated it.
    pub(super) fn redact(&self, text: &str) -> String {
        text.replace(&self.0, "[the key]")
    }
}

fn read_file(path: &Path) -> Result<String, Fault> {
    let cannot = |error: std::io::Error| Fault::here(format!("cannot read the key in {}: {error}", path.display()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_err(cannot)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            return Err(Fault::here(format!(
                "expected a file that only its owner can read as `apiKeyFile`, found {path} with mode {mode:03o}; run: chmod \
                 600 {path}"
            )));
        }
    }
    std::fs::read_to_string(path).map_err(cannot)
}
