//! The documentation is true: the settings reference matches the server, links have targets, and commands work.
//! `UPDATE_EXPECT=1` rewrites the reference.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use phi_ls::config::{KeyDescription, Settings};
use phi_ls::hub::Alias;
use serde_json::Value;

use crate::download::pull::run;
use crate::support::tiny_gguf::TinyModel;

const REFERENCE: &str = "docs/src/settings.md";

/// The reference after this line is generated.
const GENERATED: &str =
    "<!-- Generated from src/config/keys.rs by tests/it/project/docs.rs: what follows is not edited by hand. -->\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn reference() -> String {
    let mut sections: Vec<(&str, String)> = Vec::new();
    for key in Settings::describe() {
        let group = key.key.rsplit_once('.').map_or("Other settings", |(group, _)| group);
        match sections.iter_mut().find(|(title, _)| *title == group) {
            Some((_, rows)) => rows.push_str(&row(&key)),
            None => sections.push((group, row(&key))),
        }
    }
    sections.iter().map(|(title, rows)| section(title, rows)).collect()
}

fn section(title: &str, rows: &str) -> String {
    format!("\n## {title}\n\n| key | values | default | meaning |\n|---|---|---|---|\n{rows}")
}

fn row(key: &KeyDescription) -> String {
    let trusted = if key.trusted_only { " (not from a workspace you do not trust)" } else { "" };
    let doc = format!("{}{trusted}", key.doc).replace('|', "\\|");
    format!("| `{}` | {} | `{}` | {doc} |\n", key.key, values(&key.schema), key.default)
}

/// The values that `schema` allows, in words.
fn values(schema: &Value) -> String {
    if let Some(names) = schema["enum"].as_array() {
        return names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    }
    match (&schema["type"], schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
        (_, Some(minimum), Some(maximum)) => format!("{minimum} to {maximum}"),
        (kind, ..) if kind == "boolean" => "`true`, `false`".to_owned(),
        (kind, ..) if kind == "string" => "string".to_owned(),
        (kind, ..) if kind == "array" => "a list of strings".to_owned(),
        (kind, ..) if kind == "object" => "an object of languages".to_owned(),
        _ => "`\"embedded\"` or an object".to_owned(),
    }
}

#[test]
fn the_settings_reference_is_the_servers() {
    let path = root().join(REFERENCE);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, found) = text.split_once(GENERATED).expect("the reference has a part that is generated");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, format!("{before}{GENERATED}{}", reference())).unwrap();
    } else {
        let expected = reference();
        assert!(found == expected, "{REFERENCE} is out of date; UPDATE_EXPECT=1 writes it:\n{expected}");
    }
}

/// The pages of the documentation, relative to the package.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let folders =
        ["", ".github", "docs/src", "editors", "editors/nvim", "editors/vscode", "queries", "benches", "tests"];
    for folder in folders {
        let entries = std::fs::read_dir(root().join(folder)).into_iter().flatten().flatten();
        let files = entries.map(|entry| Path::new(folder).join(entry.file_name()));
        pages.extend(files.filter(|file| file.extension().is_some_and(|extension| extension == "md")));
    }
    pages.sort();
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

fn read(page: &Path) -> String {
    std::fs::read_to_string(root().join(page)).unwrap()
}

/// The lines of `text`, and whether each is in a code block.
fn lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut is_code = false;
    text.lines().map(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (line, is_code || is_fence)
    })
}

/// The targets of the links in `text`, outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (line, _) in lines(text).filter(|(_, is_code)| !is_code) {
        // Every other piece is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for (at, start) in prose.match_indices("](") {
            let rest = &prose[at + start.len()..];
            found.extend(rest.split_once(')').map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// The names by which the headings of `text` can be linked to.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = lines(text).filter(|(line, is_code)| !is_code && line.starts_with('#')).map(|(line, _)| line);
    let kept = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
    let anchor = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title.chars().filter(|&c| kept(c)).collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for page in pages() {
        for link in links(&read(&page)) {
            let (file, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            // Links to other sites are not checked, because tests do not need a network.
            if file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let leads = match anchor {
                None => root().join(&target).exists(),
                Some(anchor) => {
                    std::fs::read_to_string(root().join(&target)).is_ok_and(|text| anchors(&text).contains(anchor))
                }
            };
            if !leads {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

#[test]
fn every_page_of_the_guide_is_in_its_contents() {
    let contents: BTreeSet<String> = links(&read(Path::new("docs/src/SUMMARY.md"))).into_iter().collect();
    let guides = pages().into_iter().filter(|page| page.starts_with("docs/src") && !page.ends_with("SUMMARY.md"));
    let names: BTreeSet<String> = guides.map(|page| page.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(contents, names);
}

/// The lines of `page`'s shell examples that run phi-ls, without comments.
fn commands(page: &Path) -> Vec<Vec<String>> {
    let text = read(page);
    let mut is_shell = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            is_shell = language == "sh";
        } else if is_shell && line.starts_with("phi-ls") {
            found.push(words(line.split(" #").next().unwrap_or_default()).skip(1).collect());
        }
    }
    found
}

/// The words of a command line; a quoted text is one word.
fn words(line: &str) -> impl Iterator<Item = String> {
    let pieces = line.split('"').enumerate();
    let words = pieces.flat_map(|(at, piece)| match at % 2 {
        0 => piece.split_whitespace().collect(),
        _ => vec![piece],
    });
    words.map(str::to_owned)
}

/// Whether a command can be run here: it needs no network and no real model, and it ends.
fn can_run(command: &[String]) -> bool {
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    match command[..] {
        ["doctor", "--retune"] | ["ask", "refactor", ..] => false,
        ["doctor" | "models" | "stats" | "complete" | "ask" | "completions" | "man", ..] => true,
        _ => false,
    }
}

/// A project like the one in the guide, and a home folder whose settings name models that exist.
fn project() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| home.path().join(name);
    for folder in ["phi-ls", "project", "models"] {
        std::fs::create_dir(path(folder)).unwrap();
    }
    std::fs::write(path("tiny.gguf"), TinyModel::phi3().bytes()).unwrap();
    let model = path("tiny.gguf").to_str().expect("UTF-8").to_owned();
    let settings = format!("completion.model = '{model}'\nassistant.model = '{model}'\nassistant.maxTokens = 8\n");
    std::fs::write(path("phi-ls/config.toml"), settings).unwrap();
    std::fs::write(path("project/area.py"), "def area(width, height):\n    return width * \n").unwrap();
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(path("project")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "area.py"]);
    home
}

#[test]
fn commands_in_the_guide_work() {
    let home = project();
    let run_in_project = |arguments: &[String]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phi-ls"));
        command.current_dir(home.path().join("project")).args(arguments);
        for variable in ["HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] {
            command.env(variable, home.path());
        }
        run(command.env("PHI_LS_MODELS", home.path().join("models")))
    };
    let (mut ran, mut understood) = (0, 0);
    for page in pages() {
        for command in commands(&page) {
            // Wrong arguments are reported before the help is printed.
            let (output, _, stderr) = run_in_project(&[command.clone(), vec!["--help".to_owned()]].concat());
            assert!(output.status.success(), "{}: {command:?}: {stderr}", page.display());
            understood += 1;
            if page.starts_with("docs") && can_run(&command) {
                let (output, _, stderr) = run_in_project(&command);
                assert!(output.status.success(), "{}: {command:?}: {stderr}", page.display());
                ran += 1;
            }
        }
    }
    assert!(ran >= 5 && understood >= 10, "{ran} of {understood} commands were run");
}

#[test]
fn every_short_name_of_a_model_is_in_the_guide() {
    let page = read(Path::new("docs/src/models.md"));
    for alias in Alias::ALL {
        assert!(page.contains(&format!("`{}`", alias.name())), "{} is not in the table of models", alias.name());
    }
}

#[test]
fn the_readme_is_one_page() {
    let readme = read(Path::new("README.md"));
    assert!(readme.lines().count() <= 120, "the README is to be one page: {} lines", readme.lines().count());
}
