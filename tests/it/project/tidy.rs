//! Checks the rules of the code: layers, where a crate may be used, file headers, where printing is allowed.

use std::path::{Path, PathBuf};

/// Modules by layer. A module imports from lower rows, or within its row as in `SAME_ROW`.
const LAYERS: &[&[&str]] = &[
    &["text", "config", "kernels"],
    &["syntax", "workspace", "model", "hub", "statistics", "private"],
    &["context", "prompt", "engine"],
    &["features", "lsp"],
    &["server"],
    &["cli"],
    &["main"],
];

/// The allowed imports within a row.
const SAME_ROW: &[(&str, &str)] =
    &[("prompt", "context"), ("lsp", "features"), ("engine", "hub"), ("config", "kernels")];

/// Crates that only some modules, or folders of modules, may name.
const CONFINED: &[(&str, &[&str])] = &[
    ("tree_sitter", &["syntax"]),
    ("candle_core", &["model", "engine"]),
    ("candle_transformers", &["model", "engine"]),
    ("tokenizers", &["model"]),
    ("gix_index", &["workspace"]),
    ("tower_lsp_server", &["lsp", "server"]),
    ("ureq", &["hub"]),
    ("interprocess", &["engine/shared"]),
    ("rustls", &["hub", "engine/remote"]),
    ("hyper", &["engine/remote"]),
    ("hyper_rustls", &["engine/remote"]),
    ("hyper_util", &["engine/remote"]),
    ("http_body_util", &["engine/remote"]),
    // Settings contain addresses, but open no socket.
    ("std::net", &["hub", "config"]),
    ("TcpStream", &["hub"]),
    ("println!", &["cli"]),
    ("print!", &["cli"]),
];

struct Source {
    /// Relative to the package, with forward slashes.
    path: String,
    /// The top-level module.
    module: String,
    /// The code without its tests and comments.
    code: String,
    text: String,
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    files.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        let module = path.trim_start_matches("src/").trim_end_matches(".rs").split('/').next().unwrap().to_owned();
        let is_tests = path.ends_with("tests.rs") || path.ends_with("fixture.rs");
        let until_tests = if is_tests { "" } else { text.split("#[cfg(test)]\nmod tests {").next().unwrap() };
        let code_lines = until_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = code_lines.collect::<Vec<_>>().join("\n");
        Source { path, module, code, text }
    };
    files.iter().map(read).collect()
}

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|row| row.contains(&module)).unwrap_or_else(|| panic!("{module} has no layer in tidy.rs"))
}

/// The modules that `code` names through `crate::`.
fn imports(code: &str) -> Vec<String> {
    let names = code.match_indices("crate::").filter(|&(at, _)| !code[..at].ends_with('$')).flat_map(|(at, start)| {
        let rest = &code[at + start.len()..];
        let list = rest.strip_prefix('{').map(|rest| rest.split('}').next().unwrap_or_default());
        let items: Vec<&str> = list.map_or_else(|| vec![rest], |list| list.split(',').collect());
        items
            .into_iter()
            .map(|item| item.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(""))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn modules_import_from_lower_layers_only() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.module != "lib" && source.module != "main") {
        for import in imports(&source.code) {
            let known = LAYERS.iter().any(|row| row.contains(&import.as_str()));
            let allowed = !known
                || import == source.module
                || layer(&import) < layer(&source.module)
                || SAME_ROW.contains(&(source.module.as_str(), import.as_str()));
            if !allowed {
                wrong.push(format!("{} imports crate::{import}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn crates_and_printing_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.module != "lib" && source.module != "main") {
        for (name, modules) in CONFINED {
            let named = source
                .code
                .match_indices(name)
                .any(|(at, _)| !source.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
            let belongs = |place: &&str| {
                source.module == **place
                    || source.path == format!("src/{place}.rs")
                    || source.path.starts_with(&format!("src/{place}/"))
            };
            if named && !modules.iter().any(belongs) {
                wrong.push(format!("{} uses {name}, which belongs to {modules:?}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_in_kernels_and_the_file_map_only() {
    for source in sources() {
        let allowed = source.module == "kernels" || source.path == "src/model/gguf.rs";
        let named = source.code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
        assert!(allowed || !named, "{} has unsafe code", source.path);
    }
}

#[test]
fn every_file_opens_with_what_it_holds() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{} does not open with a //! line", source.path);
        let name = source.path.rsplit('/').next().unwrap();
        assert!(!["utils.rs", "util.rs", "helpers.rs", "common.rs", "misc.rs", "mod.rs"].contains(&name), "{name}");
    }
}

#[test]
fn no_code_is_left_unfinished_or_in_debugging() {
    for source in sources() {
        for word in ["todo!(", "unimplemented!(", "dbg!("] {
            assert!(!source.code.contains(word), "{} has {word}", source.path);
        }
    }
}

#[test]
fn there_is_one_way_to_do_tls() {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let has = |package: &str| lock.contains(&format!("\nname = \"{package}\"\n"));
    assert!(has("rustls") && has("ring"), "the names of packages are found");
    for other in ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "boring", "s2n-tls", "mbedtls"] {
        assert!(!has(other), "{other} is a second way");
    }
}
