//! HTTP with one server: connections, certificates, the key, time-outs, and what its status codes mean.
//!
//! Redirects are not followed, because they would send code and key to a server that the settings do not name. Dropping
//! a response closes its connection, which tells the server that nobody waits any more.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;

use super::Patience;
use super::fault::Fault;
use super::key::Key;
use crate::config::RemoteServer;
use crate::hub;

/// The longest answer to anything but a request for text.
const MAX_BODY_BYTES: usize = 4 << 20;

/// How many characters of a server's error message are shown.
const SHOWN_CHARACTERS: usize = 200;

/// How many idle connections are kept if opening one is expensive.
const IDLE_CONNECTIONS: usize = 2;

/// Sends requests to one server.
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: RemoteServer,
    pub(super) patience: Patience,
    key: Option<Key>,
}

impl Client {
    /// Creates a client of `server`, without sending anything.
    ///
    /// # Errors
    /// If the key or the system's certificates cannot be read.
    pub(super) fn new(server: &RemoteServer, patience: Patience) -> Result<Self, Fault> {
        let key = Key::read(server)?;
        let is_secure = server.base_url.starts_with("https://");
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(patience.connect));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(is_secure)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        // Opening a connection without TLS costs less than keeping a thread of a small server waiting.
        let idle = if is_secure { IDLE_CONNECTIONS } else { 0 };
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(idle)
            .build(connector);
        Ok(Self { http, server: server.clone(), patience, key })
    }

    pub(super) fn server(&self) -> &RemoteServer {
        &self.server
    }

    /// The JSON at `path`.
    ///
    /// # Errors
    /// If the server gives none.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Fault> {
        let response = self.send(Method::GET, path, Bytes::new(), self.patience.interactive).await?;
        self.json(response).await
    }

    /// The whole answer to `body` at `path`. It has to begin within `patience`.
    ///
    /// # Errors
    /// If the server does not answer, or refuses the request.
    pub(super) async fn ask(&self, path: &str, body: &Value, patience: Duration) -> Result<Value, Fault> {
        let response = self.post(path, body, patience).await?;
        self.json(response).await
    }

    /// The answer to `body` at `path`, to be read as it arrives. It has to begin within `patience`.
    ///
    /// # Errors
    /// If there is none, or it has another type than expected.
    pub(super) async fn post(&self, path: &str, body: &Value, patience: Duration) -> Result<Response<Incoming>, Fault> {
        self.send(Method::POST, path, body.to_string().into(), patience).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<Response<Incoming>, Fault> {
        let mut is_second = false;
        loop {
            let answer = tokio::time::timeout(patience, self.http.request(self.request(&method, path, &body))).await;
            match answer {
                Err(_) => return Err(self.silent(patience)),
                Ok(Ok(response)) if response.status().is_success() => return Ok(response),
                Ok(Ok(response)) => return Err(self.refused(response).await),
                // An idle connection may have been closed just when it was used.
                Ok(Err(error)) if !error.is_connect() && !is_second => is_second = true,
                Ok(Err(error)) => return Err(self.broken(&error)),
            }
        }
    }

    fn request(&self, method: &Method, path: &str, body: &Bytes) -> Request<Full<Bytes>> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server.base_url))
            .header(USER_AGENT, concat!("phi-ls/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "text/event-stream, application/json")
            .header(CONTENT_TYPE, "application/json");
        let request = match &self.key {
            Some(key) => request.header(AUTHORIZATION, key.header()),
            None => request,
        };
        request.body(Full::new(body.clone())).expect("the settings accept no other URL")
    }

    async fn json(&self, response: Response<Incoming>) -> Result<Value, Fault> {
        let body = self.bytes(response).await?;
        serde_json::from_slice(&body).map_err(|_| self.garbage(&String::from_utf8_lossy(&body)))
    }

    async fn bytes(&self, response: Response<Incoming>) -> Result<Bytes, Fault> {
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect();
        match tokio::time::timeout(self.patience.between, body).await {
            Err(_) => Err(self.silent(self.patience.between)),
            Ok(Err(error)) => Err(Fault::server(&self.server, format!("stopped in the middle of its answer: {error}"))),
            Ok(Ok(body)) => Ok(body.to_bytes()),
        }
    }

    /// The fault that a status other than success stands for.
    async fn refused(&self, response: Response<Incoming>) -> Fault {
        let (status, wait) = (response.status(), retry_after(response.headers()));
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).map(|to| self.clean(to));
        let said = self.bytes(response).await.map(|body| self.message(&body)).unwrap_or_default();
        let because = if said.is_empty() { String::new() } else { format!(": {said}") };
        let code = status.as_u16();
        let what = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => match &self.key {
                None => format!(
                    "requires a key (HTTP {code}); say where it is with `apiKeyEnv` or `apiKeyFile` in the setting \
                     `backend`"
                ),
                Some(_) => format!("does not accept the key (HTTP {code}); check it, or get a new one"),
            },
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = wait.filter(|wait| !wait.is_zero());
                let when = wait.map_or_else(|| "soon".to_owned(), |wait| format!("in {} s", wait.as_secs()));
                format!("accepts no more requests for now (HTTP {code}); it will be asked again {when}")
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                let what = format!("has no such model or path (HTTP {code}){because}; check `model` and `baseUrl`");
                return Fault::path(&self.server, what);
            }
            _ if status.is_redirection() => {
                let to = to.unwrap_or_default();
                format!("redirects to {to} (HTTP {code}); set `baseUrl` to the right address")
            }
            _ if status.is_server_error() => format!("failed (HTTP {code}){because}; it will be asked again"),
            _ => return Fault::request(&self.server, format!("refused the request (HTTP {code}){because}")),
        };
        Fault::server(&self.server, what).retry_after(wait)
    }

    /// The message in the body of an error response.
    fn message(&self, body: &[u8]) -> String {
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let found = json.as_ref().and_then(|json| {
            let error = json.get("error").unwrap_or(json);
            error.get("message").or_else(|| error.get("detail")).unwrap_or(error).as_str()
        });
        found.map(|message| self.clean(message)).unwrap_or_default()
    }

    /// Text from the server as one short line, without the key.
    pub(super) fn clean(&self, text: &str) -> String {
        let text = self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.redact(text));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match text.char_indices().nth(SHOWN_CHARACTERS) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        }
    }

    /// The fault of a server that has not answered for too long.
    pub(super) fn silent(&self, patience: Duration) -> Fault {
        Fault::server(
            &self.server,
            format!("did not answer for {patience:?}; it may be overloaded or loading its model"),
        )
    }

    /// The fault of a server that does not speak the protocol.
    pub(super) fn garbage(&self, found: &str) -> Fault {
        let found = self.clean(found);
        Fault::server(
            &self.server,
            format!("does not speak OpenAI's protocol: expected JSON, found \"{found}\"; check `baseUrl`"),
        )
    }

    /// The fault of an answer that broke off.
    pub(super) fn broke_off(&self, why: impl std::fmt::Display) -> Fault {
        Fault::server(&self.server, format!("stopped in the middle of its answer: {why}"))
    }

    fn broken(&self, error: &legacy::Error) -> Fault {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let what = if error.is_connect() { "cannot be reached" } else { "closed the connection" };
        Fault::server(
            &self.server,
            format!("{what}: {}; start it, or change the setting `backend`", self.clean(&cause.to_string())),
        )
    }
}

/// TLS with the certificates of the system, which are read only for a secure server.
fn tls(is_secure: bool) -> Result<rustls::ClientConfig, Fault> {
    let mut roots = rustls::RootCertStore::empty();
    if is_secure {
        let certificates = hub::trusted_certificates().map_err(|error| Fault::here(error.to_string()))?;
        roots.add_parsable_certificates(certificates);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::here(format!("cannot set up TLS: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// How long the server wants to be left alone.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
