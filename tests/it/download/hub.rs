//! Downloads from a hub on this machine that behaves well, breaks off, ignores ranges, lies and refuses.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use phi_ls::hub::{self, Hub, HubError, ModelRef, PullEvent, Pulled};
use sha2::{Digest, Sha256};

/// A request to the test hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    method: String,
    path: String,
    /// The first byte of the requested range.
    range_start: Option<usize>,
    authorization: Option<String>,
}

/// An answer of the test hub.
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Close the connection after this many bytes of the body.
    break_off_at: Option<usize>,
}

impl Answer {
    fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), break_off_at: None }
    }

    /// `content` from the start of the requested range on.
    pub(crate) fn content(content: &[u8], asked: &Asked) -> Self {
        let whole = Self { body: content.to_vec(), ..Self::status(200) };
        match asked.range_start {
            Some(start) if start < content.len() => {
                let range = format!("bytes {start}-{}/{}", content.len() - 1, content.len());
                let headers = vec![("Content-Range", range)];
                Self { headers, body: content[start..].to_vec(), ..Self::status(206) }
            }
            Some(_) => Self::status(416),
            None => whole,
        }
    }

    /// States the checksum and size of `content`, as hubs do.
    pub(crate) fn linked(mut self, content: &[u8]) -> Self {
        self.headers.push(("X-Linked-ETag", format!("\"{}\"", sha256(content))));
        self.headers.push(("X-Linked-Size", content.len().to_string()));
        self
    }

    fn breaking_off_at(mut self, bytes: usize) -> Self {
        self.break_off_at = Some(bytes);
        self
    }
}

/// An HTTP server on 127.0.0.1 whose answers are a function of the request and of how often it was asked before.
pub(crate) struct TestHub {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TestHub {
    pub(crate) fn start(answer: impl Fn(&Asked, usize) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (asked, is_over) = (asked.clone(), is_over.clone());
            move || {
                for stream in listener.incoming().flatten() {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let Some(request) = read_request(&stream) else { continue };
                    let before = {
                        let mut asked = asked.lock().expect("no test panics with it");
                        asked.push(request.clone());
                        asked.len() - 1
                    };
                    write_answer(&stream, &request, &answer(&request, before));
                }
            }
        });
        Self { address, asked, is_over, thread: Some(thread) }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics with it").clone()
    }

    fn ranges(&self) -> Vec<Option<usize>> {
        self.asked().iter().filter(|asked| asked.method == "GET").map(|asked| asked.range_start).collect()
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let first = lines.next()?;
    let mut words = first.split(' ');
    let mut asked = Asked {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        range_start: None,
        authorization: None,
    };
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        match name.to_lowercase().as_str() {
            "range" => asked.range_start = value.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok(),
            "authorization" => asked.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(asked)
}

fn write_answer(mut stream: &TcpStream, asked: &Asked, answer: &Answer) {
    let mut head = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", answer.status);
    head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    if asked.method == "GET" {
        let _ = stream.write_all(&answer.body[..answer.break_off_at.unwrap_or(answer.body.len())]);
    }
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A megabyte without repetition.
pub(crate) fn content() -> Vec<u8> {
    (0..250_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

struct Fixture {
    folder: tempfile::TempDir,
    hub: Hub,
    events: Vec<PullEvent>,
}

impl Fixture {
    fn new(address: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let hub = Hub {
            endpoint: format!("http://{address}"),
            token: None,
            folder: folder.path().join("models"),
            connect_timeout: Duration::from_secs(5),
            attempts: 0,
            retry_delay: Duration::ZERO,
            free_space: |_| None,
        };
        Self { folder, hub, events: Vec::new() }
    }

    fn pull(&mut self, reference: &str) -> Result<Pulled, HubError> {
        let reference: ModelRef = reference.parse().expect("a reference");
        let events = &mut self.events;
        self.hub.pull(&reference, &mut |event| events.push(event))
    }

    fn target(&self) -> PathBuf {
        self.hub.folder.join("owner/repo/m.gguf")
    }

    fn part(&self) -> PathBuf {
        self.hub.folder.join("owner/repo/m.gguf.part")
    }

    fn assert_complete(&self) {
        assert_eq!(std::fs::read(self.target()).expect("the file"), content());
        assert!(!self.part().exists(), "nothing stays beside the file");
    }

    fn retries(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, PullEvent::Retrying { .. })).count()
    }
}

const MODEL: &str = "hf:owner/repo/m.gguf";

#[test]
fn a_file_is_downloaded_once_and_then_only_checked() {
    let server = TestHub::start(|asked, _| Answer::content(&content(), asked).linked(&content()));
    let mut fixture = Fixture::new(&server.address);
    let pulled = fixture.pull(MODEL).expect("a download");
    fixture.assert_complete();
    let bytes = content().len() as u64;
    let expected = Pulled { path: fixture.target(), bytes, already_installed: false, checksum_verified: true };
    assert_eq!(pulled, expected);
    assert!(fixture.events.contains(&PullEvent::Progress { done: bytes }));
    assert_eq!(server.asked()[0].path, "/owner/repo/resolve/main/m.gguf");

    assert_eq!(fixture.pull(MODEL).expect("it is there"), Pulled { already_installed: true, ..expected });
    assert_eq!(server.ranges().len(), 1);
    assert_eq!(
        hub::resolve(&MODEL.parse().expect("a reference"), &fixture.hub.folder).expect("found"),
        fixture.target()
    );
}

#[test]
fn checksum_and_size_are_read_from_the_redirect_and_the_token_stays_with_the_hub() {
    let storage = TestHub::start(|asked, _| Answer::content(&content(), asked));
    let location = format!("http://{}/blob", storage.address);
    let server = TestHub::start(move |asked, _| {
        let mut answer = Answer::status(302).linked(&content());
        let renamed = asked.path.starts_with("/owner/") && asked.method == "HEAD";
        let location = if renamed { "/new/repo/resolve/main/m.gguf".to_owned() } else { location.clone() };
        answer.headers.push(("Location", location));
        answer
    });
    let mut fixture = Fixture::new(&server.address);
    fixture.hub.token = Some("secret".to_owned());
    assert!(fixture.pull(MODEL).expect("a download").checksum_verified);
    fixture.assert_complete();
    assert!(server.asked().iter().all(|asked| asked.authorization.as_deref() == Some("Bearer secret")));
    assert_eq!(storage.asked().len(), 1);
    assert_eq!(storage.asked()[0].authorization, None);
}

#[test]
fn a_download_that_broke_off_continues_where_it_stopped() {
    let server = TestHub::start(|asked, before| {
        let answer = Answer::content(&content(), asked).linked(&content());
        if before == 1 { answer.breaking_off_at(300_000) } else { answer }
    });
    let mut fixture = Fixture::new(&server.address);
    let error = fixture.pull(MODEL).expect_err("it breaks off");
    let HubError::Interrupted { done: 300_000, total: Some(1_000_000), .. } = &error else { panic!("{error:?}") };
    assert!(error.to_string().ends_with("run the same command again to continue from there"), "{error}");
    assert_eq!(std::fs::metadata(fixture.part()).expect("kept").len(), 300_000);
    assert!(!fixture.target().exists());

    fixture.pull(MODEL).expect("the rest");
    fixture.assert_complete();
    assert_eq!(server.ranges(), [None, Some(300_000)]);
}

#[test]
fn a_broken_connection_is_tried_again_by_itself() {
    let server = TestHub::start(|asked, before| {
        let answer = Answer::content(&content(), asked).linked(&content());
        match before {
            1 => answer.breaking_off_at(100_000),
            2 => Answer::status(503),
            3 => answer.breaking_off_at(0),
            4 => answer.breaking_off_at(200_000),
            _ => answer,
        }
    });
    let mut fixture = Fixture::new(&server.address);
    fixture.hub.attempts = 3;
    fixture.pull(MODEL).expect("a download in the end");
    fixture.assert_complete();
    assert_eq!(server.ranges(), [None, Some(100_000), Some(100_000), Some(100_000), Some(300_000)]);
    assert_eq!(fixture.retries(), 4);
}

#[test]
fn a_hub_that_stays_broken_is_given_up() {
    let server = TestHub::start(|asked, before| match before {
        0 => Answer::content(&content(), asked).linked(&content()),
        _ => Answer::status(503),
    });
    let mut fixture = Fixture::new(&server.address);
    fixture.hub.attempts = 3;
    let error = fixture.pull(MODEL).expect_err("it never works");
    assert!(matches!(error, HubError::Interrupted { done: 0, .. }), "{error:?}");
    assert_eq!(server.ranges().len(), 3);
}

#[test]
fn a_hub_that_ignores_ranges_sends_the_whole_file_again() {
    let server = TestHub::start(|_, before| {
        let answer = Answer { body: content(), ..Answer::status(200) }.linked(&content());
        if before == 1 { answer.breaking_off_at(300_000) } else { answer }
    });
    let mut fixture = Fixture::new(&server.address);
    fixture.hub.attempts = 1;
    fixture.pull(MODEL).expect("a download");
    fixture.assert_complete();
    assert_eq!(server.ranges(), [None, Some(300_000)]);
}

#[test]
fn a_part_of_another_file_does_not_survive_the_checksum() {
    let server = TestHub::start(|asked, _| Answer::content(&content(), asked).linked(&content()));
    let mut fixture = Fixture::new(&server.address);
    std::fs::create_dir_all(fixture.part().parent().expect("a folder")).expect("a folder");
    std::fs::write(fixture.part(), [0; 1000]).expect("a file");
    let error = fixture.pull(MODEL).expect_err("half of it is something else");
    assert!(matches!(error, HubError::Corrupt { .. }), "{error:?}");
    assert!(!fixture.part().exists() && !fixture.target().exists());
    fixture.pull(MODEL).expect("from the start");
    fixture.assert_complete();

    std::fs::write(fixture.part(), vec![0; 2_000_000]).expect("a file");
    std::fs::remove_file(fixture.target()).expect("removed");
    fixture.pull(MODEL).expect("a part that is too long is thrown away");
    fixture.assert_complete();
}

#[test]
fn corrupt_content_is_deleted_and_said() {
    let server = TestHub::start(|asked, _| {
        let mut corrupt = content();
        corrupt[500_000] ^= 1;
        Answer::content(&corrupt, asked).linked(&content())
    });
    let mut fixture = Fixture::new(&server.address);
    let error = fixture.pull(MODEL).expect_err("a wrong bit").to_string();
    assert!(error.contains(&format!("is corrupt: expected SHA-256 {}, found ", sha256(&content()))), "{error}");
    assert!(error.ends_with("it was deleted, run the same command again"), "{error}");
    assert!(!fixture.part().exists() && !fixture.target().exists());
}

#[test]
fn an_installed_file_that_rotted_is_replaced() {
    let server = TestHub::start(|asked, _| Answer::content(&content(), asked).linked(&content()));
    let mut fixture = Fixture::new(&server.address);
    fixture.pull(MODEL).expect("a download");
    let mut rotten = content();
    rotten[7] ^= 1;
    std::fs::write(fixture.target(), rotten).expect("a file");
    assert!(!fixture.pull(MODEL).expect("another download").already_installed);
    fixture.assert_complete();
}

#[test]
fn a_wrong_size_is_noticed_without_a_checksum() {
    for wrong in [content().len() - 1, content().len() + 1] {
        let server = TestHub::start(move |asked, before| {
            let mut sent = content();
            sent.resize(wrong, 0);
            let mut answer = Answer::content(&sent, asked);
            if before == 0 {
                answer.headers.push(("X-Linked-Size", content().len().to_string()));
            }
            answer
        });
        let mut fixture = Fixture::new(&server.address);
        let error = fixture.pull(MODEL).expect_err("the size differs");
        let expected = format!("expected {} bytes at ", content().len());
        let found = format!(", found {wrong}; this is another file");
        assert!(error.to_string().contains(&expected) && error.to_string().contains(&found), "{error}");
        assert!(!fixture.target().exists());
    }
}

#[test]
fn without_any_checksum_the_outcome_says_so_and_nothing_is_resumed() {
    let server = TestHub::start(|asked, before| {
        let answer = Answer::content(&content(), asked);
        if before == 1 { answer.breaking_off_at(300_000) } else { answer }
    });
    let mut fixture = Fixture::new(&server.address);
    fixture.pull(MODEL).expect_err("it breaks off");
    assert!(!fixture.pull(MODEL).expect("a download").checksum_verified);
    fixture.assert_complete();
    assert_eq!(server.ranges(), [None, None]);
}

#[test]
fn refusals_have_one_clear_error_each() {
    for (status, expected) in [
        (404, "does not exist (HTTP 404); check owner, repository and file name"),
        (401, "is not public (HTTP 401); accept its licence on the hub and set HF_TOKEN, or choose another repository"),
        (403, "is not public (HTTP 403); accept its licence on the hub and set HF_TOKEN, or choose another repository"),
        (451, "answered HTTP 451; try again later"),
    ] {
        let server = TestHub::start(move |_, _| Answer::status(status));
        let mut fixture = Fixture::new(&server.address);
        let error = fixture.pull(MODEL).expect_err("refused").to_string();
        assert_eq!(error, format!("http://{}/owner/repo/resolve/main/m.gguf {expected}", server.address));
        let error = fixture.pull("phi-3.5-mini").expect_err("refused").to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn no_network_is_said_at_once() {
    let closed = "127.0.0.1:1";
    let mut fixture = Fixture::new(closed);
    fixture.hub.attempts = 5;
    for model in [MODEL, "phi-4-mini"] {
        let error = fixture.pull(model).expect_err("nobody listens").to_string();
        assert!(!fixture.part().exists(), "nothing is left behind");
        assert!(error.starts_with(&format!("cannot reach http://{closed}/")), "{error}");
        assert!(error.ends_with("check the network and HTTPS_PROXY, or set HF_ENDPOINT to a mirror"), "{error}");
    }
    assert_eq!(fixture.retries(), 0);
}

#[test]
fn known_models_come_from_their_repository_at_the_known_commit() {
    let server = TestHub::start(|_, _| Answer::status(404));
    let mut fixture = Fixture::new(&server.address);
    fixture.pull("phi-3.5-mini").expect_err("refused");
    fixture.pull("hf:unsloth/Phi-4-mini-instruct-GGUF/Phi-4-mini-instruct-Q4_K_M.gguf").expect_err("refused");
    let paths: Vec<String> = server.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(
        paths,
        [
            "/bartowski/Phi-3.5-mini-instruct-GGUF/resolve/6d70da17e749a471ccb62ade694486011a75cda3/Phi-3.5-mini-instruct-Q4_K_M.gguf",
            "/unsloth/Phi-4-mini-instruct-GGUF/resolve/78eb92a46fc37e6b524df991ed9aca9bc6aa7b80/Phi-4-mini-instruct-Q4_K_M.gguf",
        ]
    );
}

#[test]
fn a_repository_that_is_gone_is_replaced_by_another_publishers() {
    let server = TestHub::start(|_, _| Answer::status(404));
    let mut fixture = Fixture::new(&server.address);
    let error = fixture.pull("phi-4-mini").expect_err("both are gone").to_string();
    let repositories: Vec<String> = server
        .asked()
        .iter()
        .map(|asked| asked.path.split('/').skip(1).take(2).collect::<Vec<_>>().join("/"))
        .collect();
    assert_eq!(repositories, ["unsloth/Phi-4-mini-instruct-GGUF", "bartowski/microsoft_Phi-4-mini-instruct-GGUF"]);
    assert!(error.contains("/bartowski/") && error.contains("does not exist (HTTP 404)"), "{error}");
}

#[test]
fn a_known_model_with_other_content_is_refused() {
    let server = TestHub::start(|asked, _| Answer::content(&content(), asked).linked(&content()));
    let mut fixture = Fixture::new(&server.address);
    let error = fixture.pull("phi-3.5-mini").expect_err("a megabyte is no Phi");
    assert!(matches!(error, HubError::WrongSize { expected: 2_393_232_672, found: 1_000_000, .. }), "{error:?}");
}

#[test]
fn a_full_disk_is_noticed_before_the_download() {
    let server = TestHub::start(|asked, _| Answer::content(&content(), asked).linked(&content()));
    let mut fixture = Fixture::new(&server.address);
    fixture.hub.free_space = |_| Some(1_000_000);
    let error = fixture.pull("starter").expect_err("no space").to_string();
    let folder = fixture.folder.path().join("models");
    assert_eq!(
        error,
        format!(
            "not enough space in {}: 98362432 more bytes are needed, 1000000 are free; free some space, or set \
             PHI_LS_MODELS to another folder",
            folder.display()
        )
    );
    assert_eq!(server.ranges(), []);
}

/// Every write to `/dev/full` fails with "no space left on device".
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_under_way_is_one_clear_error() {
    let server = TestHub::start(|asked, _| Answer::content(&content(), asked).linked(&content()));
    let mut fixture = Fixture::new(&server.address);
    std::fs::create_dir_all(fixture.part().parent().expect("a folder")).expect("a folder");
    std::os::unix::fs::symlink("/dev/full", fixture.part()).expect("a link");
    let error = fixture.pull(MODEL).expect_err("no space").to_string();
    assert!(error.contains(": 1000000 more bytes are needed; free some space, or set PHI_LS_MODELS"), "{error}");
    assert!(!fixture.target().exists());
}

#[test]
fn two_downloads_of_one_file_do_not_mix() {
    let server = TestHub::start(|asked, _| Answer::content(&content(), asked).linked(&content()));
    let mut fixture = Fixture::new(&server.address);
    std::fs::create_dir_all(fixture.part().parent().expect("a folder")).expect("a folder");
    let other = std::fs::File::create(fixture.part()).expect("a file");
    other.lock().expect("a lock");
    let error = fixture.pull(MODEL).expect_err("locked");
    assert_eq!(error.to_string(), format!("another download of {} is running", fixture.target().display()));
    drop(other);
    fixture.pull(MODEL).expect("a download");
    fixture.assert_complete();
}

#[test]
fn references_resolve_to_installed_files() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = temporary.path();
    let resolve = |text: &str| hub::resolve(&text.parse().expect("a reference"), folder);
    let create = |name: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, name).expect("a file");
        path
    };
    let error = resolve("phi-3.5-mini").expect_err("nothing there").to_string();
    let expected = "phi-3.5-mini is not installed in ";
    assert!(error.starts_with(expected) && error.ends_with("; run `phi-ls pull phi-3.5-mini`"), "{error}");

    let other = create("x/y/phi-3.5-mini-instruct.Q8_0.gguf");
    assert_eq!(resolve("phi-3.5-mini").expect("another publisher's"), other);
    let small = create("Phi-3.5-mini-instruct-Q3_K_M.gguf");
    assert_eq!(resolve("phi-3.5-mini").expect("a known one"), small);
    let usual = create("Phi-3.5-mini-instruct-Q4_K_M.gguf");
    assert_eq!(resolve("phi-3.5-mini").expect("the usual one"), usual);
    assert_eq!(resolve("Phi-3.5-mini-instruct-Q3_K_M.gguf").expect("by its name"), small);
    assert_eq!(resolve(&small.display().to_string()).expect("by its path"), small);
    let known = "hf:bartowski/Phi-3.5-mini-instruct-GGUF/Phi-3.5-mini-instruct-Q4_K_M.gguf";
    assert_eq!(resolve(known).expect("a known file from the hub"), usual);

    let paths: Vec<_> = hub::installed(folder).into_iter().map(|file| file.path).collect();
    assert_eq!(paths, [small, usual, other]);
    assert_eq!(hub::installed(Path::new("/no/such/folder")), []);
    assert!(matches!(resolve("/no/such/m.gguf"), Err(HubError::NoSuchFile(_))));
    assert!(matches!(resolve(&folder.display().to_string()), Err(HubError::IsFolder(_))));
}
