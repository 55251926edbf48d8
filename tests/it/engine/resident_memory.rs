//! The resident memory of the server while files are opened and closed, each with a completion. The prefix cache keeps
//! its budget in resident memory, and not only in its own count.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::stdio::Server;

const MIB: u64 = 1 << 20;

/// The memory of a server beside weights and budget: see docs/src/models.md, "Memory".
const WORKING_BYTES: u64 = 150 * MIB;

/// A server that completes once in each file, with the model in its own process.
struct Soak {
    server: Server,
    next_id: i64,
    files: usize,
}

impl Soak {
    fn start(model: &Path, settings: &Value) -> Self {
        let arguments = ["serve", "--completion-model", model.to_str().expect("UTF-8")];
        let mut server = Server::start(&arguments, model.parent().expect("a folder"));
        server.call(1, "initialize", json!({"capabilities": {}, "initializationOptions": settings}));
        server.notify("initialized", json!({}));
        Self { server, next_id: 2, files: 0 }
    }

    /// Opens `text`, completes at the end of a line in its middle, and closes it.
    fn show(&mut self, text: &str) {
        let uri = format!("file:///home/user/project/src/file_{}.rs", self.files);
        let document = json!({"uri": uri, "languageId": "rust", "version": 1, "text": text});
        self.server.notify("textDocument/didOpen", json!({"textDocument": document}));
        let (line, content) = middle_line(text);
        let params = json!({
            "textDocument": {"uri": uri},
            "position": {"line": line, "character": content.encode_utf16().count()},
            "context": {"triggerKind": 1},
        });
        let answer = self.server.call(self.next_id, "textDocument/inlineCompletion", params);
        assert!(answer["result"]["items"].is_array(), "{answer}");
        self.server.notify("textDocument/didClose", json!({"textDocument": {"uri": uri}}));
        self.next_id += 1;
        self.files += 1;
    }

    /// The resident bytes of the server's process; `None` if the system does not report them.
    fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.process_id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
    }
}

/// The first line with content from the middle on, and its number.
fn middle_line(text: &str) -> (usize, &str) {
    let middle = text.lines().count() / 2;
    let mut lines = text.lines().enumerate().skip(middle);
    lines.find(|(_, line)| !line.trim().is_empty()).unwrap_or((0, ""))
}

/// The Rust files of `folder` that are neither tiny nor too large, sorted: `count` of them, spread over all.
fn source_files(folder: &Path, count: usize) -> Vec<PathBuf> {
    let of_some_size = |entry: &ignore::DirEntry| {
        entry.metadata().is_ok_and(|metadata| metadata.is_file() && (100..200_000).contains(&metadata.len()))
    };
    let mut files: Vec<PathBuf> = ignore::WalkBuilder::new(folder)
        .standard_filters(false)
        .build()
        .flatten()
        .filter(of_some_size)
        .map(ignore::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    files.sort();
    let step = (files.len() / count).max(1);
    files.into_iter().step_by(step).take(count).collect()
}

#[test]
fn resident_memory_stays_within_the_budget_while_files_come_and_go() {
    let Some(model) = crate::support::starter() else { return };
    // Memory that is not given back shows only with files of many sizes. These are this program's own.
    let files = source_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), 24);
    for kv_type in ["f16", "q8_0"] {
        // An eighth of the budget goes to keys and values: 8 MiB, enough for a few of these files.
        let settings = json!({
            "completion": {"contextTokens": 128, "maxTokens": 4, "prepareNext": false},
            "assistant.model": model, "memoryBudgetMiB": 64, "kvCacheType": kv_type, "engine.shared": false,
        });
        let mut soak = Soak::start(&model, &settings);
        let mut resident = Vec::new();
        for file in &files {
            soak.show(&std::fs::read_to_string(file).expect("a file of this package"));
            resident.push(soak.resident_bytes().unwrap_or(0) / MIB);
        }
        let most = resident.iter().max().expect("files");
        println!("MiB after each file ({kv_type}): {resident:?}");
        let weights = std::fs::metadata(&model).expect("a file").len() / MIB;
        assert!(resident[0] == 0 || resident[0] > weights / 2, "the model is in another process: {resident:?}");
        assert!(*most <= resident[0] + 8 + 8, "MiB after each file ({kv_type}): {resident:?}");
        assert_eq!(soak.server.end(), Some(0));
    }
}

/// A folder with source files of many sizes: `PHI_LS_SOAK_FOLDER`, or else cargo's registry.
fn soak_folder() -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let cargo = || variable("CARGO_HOME").or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let folder = variable("PHI_LS_SOAK_FOLDER").or_else(|| Some(cargo()?.join("registry/src")));
    folder.expect("PHI_LS_SOAK_FOLDER, or a home")
}

/// Completes in a thousand real files with the starter, in both formats of the cache. `PHI_LS_SOAK_FILES` sets another
/// number.
#[test]
#[ignore = "takes many minutes; see CONTRIBUTING.md"]
fn soak_with_a_thousand_real_files() {
    let Some(model) = crate::support::starter() else { return };
    let count = std::env::var("PHI_LS_SOAK_FILES").ok().and_then(|count| count.parse().ok()).unwrap_or(1000);
    let files = source_files(&soak_folder(), count);
    for kv_type in ["f16", "q8_0"] {
        let settings = json!({
            "completion": {"maxTokens": 8, "prepareNext": false}, "assistant.model": model, "kvCacheType": kv_type,
            "engine.shared": false,
        });
        let mut soak = Soak::start(&model, &settings);
        let bound = std::fs::metadata(&model).expect("a file").len() + 1024 * MIB + WORKING_BYTES;
        for text in files.iter().filter_map(|file| std::fs::read_to_string(file).ok()) {
            soak.show(&text);
            let Some(resident) = soak.resident_bytes() else { return };
            if soak.files.is_multiple_of(50) {
                eprintln!("{kv_type}: {} files, {} MiB", soak.files, resident / MIB);
            }
            assert!(resident <= bound, "{} files: {} of {} MiB", soak.files, resident / MIB, bound / MIB);
        }
        assert_eq!(soak.server.end(), Some(0));
    }
}
