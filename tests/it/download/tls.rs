//! `phi-ls pull` in a company network: behind a proxy that inspects TLS and uses certificates of its own authority.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::download::hub::{Answer, TestHub, content};
use crate::download::pull::{phi_ls, run};

/// A hub that no name server knows, so that it can be reached only through the proxy.
const HUB: &str = "hub.example.invalid";

/// Terminates TLS in the hub's name, with a certificate of its own authority, and asks the hub without TLS. Accepts
/// `CONNECT` like a proxy, and direct connections like the hub itself.
struct InspectingProxy {
    address: String,
    /// The targets of `CONNECT`.
    connected: Arc<Mutex<Vec<String>>>,
    /// The authority's certificate, PEM.
    authority: String,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// An authority's certificate (PEM), and the configuration of a server whose certificate it has signed for [`HUB`] and
/// this machine.
fn authority() -> (String, Arc<ServerConfig>) {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec![HUB.to_owned(), "localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).expect("sound names").signed_by(&key, &issuer);
    let chain = vec![certificate.expect("a certificate").der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the certificate is the key's");
    (pem, Arc::new(config))
}

impl InspectingProxy {
    fn start(hub: &TestHub) -> Self {
        let (authority, config) = authority();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let connected = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, targets, hub) = (Arc::clone(&is_over), Arc::clone(&connected), hub.address.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                // A client that does not trust the certificate closes the connection.
                let _ = serve(stream, &config, &targets, &hub);
            }
        });
        Self { address, connected, authority, is_over, thread: Some(thread) }
    }

    /// A file with the authority's certificate.
    fn authority_file(&self, folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("authority.pem");
        std::fs::write(&path, &self.authority).expect("a file");
        path
    }
}

impl Drop for InspectingProxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves one connection, with at most one request to the hub.
fn serve(
    mut stream: TcpStream,
    config: &Arc<ServerConfig>,
    targets: &Mutex<Vec<String>>,
    hub: &str,
) -> std::io::Result<()> {
    let mut first = [0; 1];
    if stream.peek(&mut first)? == 1 && first == *b"C" {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0; 1];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        targets.lock().expect("no test panics with it").push(target);
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    }
    let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut request = String::new();
    let mut lines = BufReader::new(&mut stream);
    while !request.ends_with("\r\n\r\n") && lines.read_line(&mut request)? > 0 {}
    let mut plain = TcpStream::connect(hub)?;
    plain.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer)?;
    stream.write_all(&answer)?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Runs `phi-ls pull` with these variables. Returns whether it succeeded, standard error, and the downloaded file.
fn pull(variables: &[(&str, &str)], endpoint: &str) -> (bool, String, Option<Vec<u8>>) {
    let models = tempfile::tempdir().expect("a temporary folder");
    let mut command = phi_ls(&["pull", "hf:owner/repo/m.gguf"], models.path(), endpoint);
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.envs(variables.iter().copied());
    let (output, _, stderr) = run(&mut command);
    (output.status.success(), stderr, std::fs::read(models.path().join("owner/repo/m.gguf")).ok())
}

fn hub() -> TestHub {
    TestHub::start(|asked, _| Answer::content(&content(), asked).linked(&content()))
}

#[test]
fn a_proxys_own_authority_is_trusted_where_ssl_cert_file_names_it() {
    let (hub, folder) = (hub(), tempfile::tempdir().expect("a temporary folder"));
    let proxy = InspectingProxy::start(&hub);
    let file = proxy.authority_file(&folder);
    let address = format!("http://{}", proxy.address);
    let variables = [("HTTPS_PROXY", address.as_str()), ("SSL_CERT_FILE", file.to_str().expect("UTF-8"))];
    let (success, stderr, file) = pull(&variables, &format!("https://{HUB}"));
    assert!(success, "{stderr}");
    assert_eq!(file, Some(content()));
    let connected = proxy.connected.lock().expect("no test panics with it");
    assert!(connected.iter().all(|target| *target == format!("{HUB}:443")) && !connected.is_empty(), "{connected:?}");
}

#[test]
fn a_certificate_nobody_vouches_for_is_named_with_the_way_out() {
    let hub = hub();
    let proxy = InspectingProxy::start(&hub);
    let address = format!("http://{}", proxy.address);
    let (success, stderr, file) = pull(&[("HTTPS_PROXY", &address)], &format!("https://{HUB}"));
    assert!(!success && file.is_none());
    let expected = format!("the certificate of https://{HUB}/owner/repo/resolve/main/m.gguf is not trusted: Unknown");
    assert!(stderr.contains(&expected) && stderr.contains("SSL_CERT_FILE"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn a_mirror_with_a_private_certificate_is_reached_directly() {
    let (hub, folder) = (hub(), tempfile::tempdir().expect("a temporary folder"));
    let mirror = InspectingProxy::start(&hub);
    let file = mirror.authority_file(&folder);
    let endpoint = format!("https://localhost:{}", mirror.address.rsplit(':').next().expect("a port"));
    let nowhere = ("HTTPS_PROXY", "http://127.0.0.1:1");
    let variables = [("SSL_CERT_FILE", file.to_str().expect("UTF-8")), nowhere, ("NO_PROXY", "localhost")];
    let (success, stderr, file) = pull(&variables, &endpoint);
    assert!(success, "{stderr}");
    assert_eq!(file, Some(content()));
    assert!(mirror.connected.lock().expect("no test panics with it").is_empty());
    // Without the exception, the download fails because the proxy cannot be reached.
    let (success, stderr, _) = pull(&variables[..2], &endpoint);
    assert!(!success && stderr.contains("check the network and HTTPS_PROXY"), "{stderr}");
}

#[test]
fn a_file_of_certificates_that_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = folder.path().join("missing.pem");
    let missing = missing.to_str().expect("UTF-8");
    let (success, stderr, _) = pull(&[("SSL_CERT_FILE", missing)], "https://localhost:1");
    assert!(!success && stderr.contains("expected certificates in the files that SSL_CERT_FILE"), "{stderr}");
    assert!(stderr.contains(missing), "{stderr}");
}
