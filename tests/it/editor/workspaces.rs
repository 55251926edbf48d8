//! Workspaces through the protocol: folders that are added and removed, files in no workspace, and what is reported
//! about excluded files.

use std::path::{Path, PathBuf};
use std::process::Command;

use phi_ls::config::Source;
use serde_json::{Value, json};

use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::{TestServer, completion_params, texts};

/// Folders with files, and a server that completes everything with `foo(1)`.
struct Project {
    folder: tempfile::TempDir,
    server: TestServer,
}

impl Project {
    /// A server for the folders `roots` among `files`.
    fn new(files: &[(&str, &str)], roots: &[&str]) -> Self {
        Self::with_settings(files, roots, Value::Null)
    }

    fn with_settings(files: &[(&str, &str)], roots: &[&str], settings: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = TestOptions::scripted(|read| rest_of("foo(1)", read));
        let server = TestServer::start(TestOptions { settings: vec![(Source::File, settings)], ..options });
        let mut project = Self { folder, server };
        files.iter().for_each(|(name, text)| project.write(name, text));
        let capabilities = json!({
            "textDocument": {"inlineCompletion": {}},
            "experimental": {"phiLs": {"documentStatus": true}},
        });
        let folders: Vec<_> = roots.iter().map(|root| project.workspace_folder(root)).collect();
        let result = project.server.initialize(json!({"capabilities": capabilities, "workspaceFolders": folders}));
        let announced = json!({"supported": true, "changeNotifications": true});
        assert_eq!(result["capabilities"]["workspace"]["workspaceFolders"], announced);
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn uri(&self, name: &str) -> String {
        uri(&self.path(name))
    }

    fn workspace_folder(&self, name: &str) -> Value {
        json!({"uri": self.uri(name), "name": name})
    }

    fn folders_changed(&mut self, added: &[&str], removed: &[&str]) {
        let folders = |names: &[&str]| names.iter().map(|name| self.workspace_folder(name)).collect::<Vec<_>>();
        let event = json!({"added": folders(added), "removed": folders(removed)});
        self.server.notify("workspace/didChangeWorkspaceFolders", json!({"event": event}));
    }

    /// Opens `uri` with a place to complete.
    fn open(&mut self, uri: &str) {
        self.server.open(uri, "python", "x = \n");
    }

    fn complete(&mut self, uri: &str, by_hand: bool) -> Vec<String> {
        let mut params = completion_params(uri, 0, 4);
        params["context"]["triggerKind"] = json!(if by_hand { 1 } else { 2 });
        texts(&self.server.call("textDocument/inlineCompletion", params))
    }

    /// Whether there are completions for typing in `uri`.
    fn is_completed(&mut self, uri: &str) -> bool {
        !self.complete(uri, false).is_empty()
    }

    /// The next status that the client gets for `uri`.
    fn status(&mut self, uri: &str) -> Value {
        self.server.notification("phi-ls/documentStatus", |status| status["uri"] == uri)["reason"].clone()
    }

    /// The next message to the person.
    fn message(&mut self) -> String {
        let shown = self.server.notification("window/showMessage", |_| true);
        assert_eq!(shown["type"], 3);
        shown["message"].as_str().unwrap().to_owned()
    }

    /// Also checks that there was no other message.
    fn finish(mut self) {
        self.server.answer_of_nothing();
        let untaken: Vec<_> =
            self.server.notifications.iter().filter(|told| told["method"] == "phi-ls/documentStatus").collect();
        assert!(untaken.is_empty(), "{untaken:?}");
        self.server.finish();
    }
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

const IGNORED: &str = "not completed: .gitignore line 1 `private/` ignores it";

#[test]
fn folders_come_and_go() {
    let mut project =
        Project::new(&[("a/main.py", ""), ("b/.gitignore", "private/\n"), ("b/private/x.py", "")], &["a"]);
    let file = project.uri("b/private/x.py");
    project.open(&file);
    assert!(project.is_completed(&file), "no workspace, no rules");
    project.folders_changed(&["b"], &[]);
    assert!(!project.is_completed(&file));
    assert_eq!(project.status(&file), IGNORED);
    project.folders_changed(&[], &["b"]);
    assert!(project.is_completed(&file));
    assert_eq!(project.status(&file), Value::Null);
    project.finish();
}

#[test]
fn a_file_of_no_folder_has_the_rules_of_its_own_project() {
    let mut project = Project::new(&[("a/main.py", ""), ("b/.git/HEAD", ""), ("b/.gitignore", "private/\n")], &["a"]);
    let (ignored, other) = (project.uri("b/private/x.py"), project.uri("b/y.py"));
    project.open(&ignored);
    project.open(&other);
    assert_eq!(project.status(&ignored), IGNORED);
    assert!(!project.is_completed(&ignored) && project.is_completed(&other));
    project.finish();
}

#[cfg(unix)]
#[test]
fn a_workspace_and_a_link_to_it_are_one() {
    for (root, file) in [("link", "project"), ("project", "link")] {
        let folder = tempfile::tempdir().unwrap();
        let mut project = Project::new(&[("project/.gitignore", "private/\n")], &[]);
        std::os::unix::fs::symlink(project.path("project"), project.path("link")).unwrap();
        project.folders_changed(&[root], &[]);
        let ignored = project.uri(&format!("{file}/private/x.py"));
        project.open(&ignored);
        assert_eq!(project.status(&ignored), IGNORED, "{root} {file}");
        project.finish();
        drop(folder);
    }
}

#[test]
fn secrets_are_secrets_under_every_scheme() {
    let mut project = Project::new(&[], &[]);
    let secret = "not completed: looks like a secret (`.env*`)";
    for uri in ["scp://host/srv/.env", "untitled:.env", "vscode-vfs://github/me/project/.env", "file:///srv/%2Eenv"] {
        project.open(uri);
        assert_eq!(project.status(uri), secret, "{uri}");
        assert!(!project.is_completed(uri), "{uri}");
    }
    for uri in
        ["scp://host/srv/credentials/main.py", "untitled:Untitled-1", "vscode-vfs://github/me/project/.env.example"]
    {
        project.open(uri);
        assert!(project.is_completed(uri), "{uri}");
    }
    project.finish();
}

#[test]
fn who_asks_by_hand_is_told_why_not_once() {
    let mut project = Project::new(&[("a/.gitignore", "private/\n")], &["a"]);
    let file = project.uri("a/private/x.py");
    project.open(&file);
    assert_eq!(project.status(&file), IGNORED);
    // Typing never leads to a message, and each reason is reported once.
    assert!(!project.is_completed(&file));
    for _ in 0..3 {
        assert_eq!(project.complete(&file, true), [""; 0]);
    }
    assert_eq!(project.message(), format!("phi-ls: {IGNORED}"));
    // A change of the rules counts at the next explicit request.
    project.write("a/.gitignore", "");
    assert_eq!(project.complete(&file, true), ["foo(1)"]);
    assert_eq!(project.status(&file), Value::Null);
    // Another reason is reported, and then the first one again.
    project.write("a/.phi-lsignore", "# mine\n*.py\n");
    assert_eq!(project.complete(&file, true), [""; 0]);
    let own = "not completed: .phi-lsignore line 2 `*.py` ignores it";
    assert_eq!((project.status(&file), project.message()), (json!(own), format!("phi-ls: {own}")));
    project.finish();
}

#[test]
fn a_file_that_git_is_made_to_track_is_completed_at_the_next_key() {
    let mut project = Project::new(&[("a/.gitignore", "private/\n"), ("a/private/x.py", "x = \n")], &["a"]);
    let repository = project.path("a");
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(&repository).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    git(&["init", "-q"]);
    let file = project.uri("a/private/x.py");
    project.server.open(&file, "python", "x = \n");
    assert_eq!(project.status(&file), IGNORED);
    assert!(!project.is_completed(&file));
    git(&["add", "-f", "private/x.py"]);
    assert!(project.is_completed(&file));
    assert_eq!(project.status(&file), Value::Null);
    project.finish();
}

#[test]
fn a_saved_ignore_file_counts_at_once() {
    let mut project = Project::new(&[("a/x.py", "")], &["a"]);
    let file = project.uri("a/x.py");
    project.open(&file);
    assert!(project.is_completed(&file));
    project.write("a/.gitignore", "x.py\n");
    let saved = json!({"textDocument": {"uri": project.uri("a/.gitignore")}});
    project.server.notify("textDocument/didSave", saved);
    assert_eq!(project.status(&file), "not completed: .gitignore line 1 `x.py` ignores it");
    assert!(!project.is_completed(&file));
    project.finish();
}

#[test]
fn settings_that_turn_completions_off_are_named() {
    let mut project = Project::with_settings(&[], &[], json!({"completion.languages": {"python": false}}));
    let file = "file:///elsewhere/x.py";
    project.open(file);
    let reason = "not completed: completions are turned off for python by `completion.languages`";
    assert_eq!(project.status(file), reason);
    assert_eq!(project.complete(file, true), [""; 0]);
    assert_eq!(project.message(), format!("phi-ls: {reason}"));
    let change = |settings: Value| json!({"settings": settings});
    project.server.notify("workspace/didChangeConfiguration", change(json!({"completion": {"enabled": false}})));
    let reason = "not completed: completions are turned off by `completion.enabled`";
    assert_eq!(project.status(file), reason);
    assert_eq!(project.complete(file, true), [""; 0]);
    assert_eq!(project.message(), format!("phi-ls: {reason}"));
    let manual = json!({"completion": {"languages": {"python": "manual"}}});
    project.server.notify("workspace/didChangeConfiguration", change(manual));
    assert_eq!(project.status(file), Value::Null);
    assert!(!project.is_completed(file));
    assert_eq!(project.complete(file, true), ["foo(1)"]);
    project.finish();
}

#[test]
fn a_client_that_does_not_show_it_gets_no_status() {
    let mut server = TestServer::answering("foo(1)", "x = \n");
    server.open("file:///home/user/project/.env", "shellscript", "TOKEN=");
    server.answer_of_nothing();
    assert!(server.notifications.iter().all(|told| told["method"] != "phi-ls/documentStatus"));
    server.finish();
}
