//! Commit messages, with a real git repository and a scripted model: staged changes reach the model, excluded files do
//! not, and the person is told.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::download::pull::{phi_ls, run};
use crate::questions::actions::{capabilities, same_model, warning};
use crate::support::test_options::{TestOptions, braked, rest_of};
use crate::support::test_server::TestServer;

const MESSAGE: &str = "Add a mean\n\nIt divides by the count.";

/// A folder with a repository that has one commit.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().expect("a temporary folder"));
        repository.git(&["init", "-q"]);
        repository.write("a.py", "x = 1\n");
        repository.git(&["add", "."]);
        repository.git(&["commit", "-qm", "Begin with a number"]);
        repository
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().expect("it is there").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }

    fn git(&self, arguments: &[&str]) {
        assert!(self.try_git(arguments), "git {arguments:?}");
    }

    /// Whether git does what it is told.
    fn try_git(&self, arguments: &[&str]) -> bool {
        let mut git = Command::new("git");
        git.current_dir(self.0.path()).args(["-c", "user.name=A", "-c", "user.email=a@example.com"]).args(arguments);
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        git.output().expect("git runs").status.success()
    }

    /// A repository in which a change of code and a secret are staged.
    fn staged() -> Self {
        let repository = Self::new();
        repository.write("a.py", "def mean(values):\n    return sum(values) / len(values)\n");
        repository.write(".env", "PASSWORD=swordfish\n");
        repository.git(&["add", "--force", "a.py", ".env"]);
        repository
    }
}

/// A server whose model writes [`MESSAGE`], and the texts that it has read.
fn writing() -> (TestServer, Arc<Mutex<Vec<String>>>) {
    let read = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&read);
    let options = TestOptions::scripted(move |text| {
        seen.lock().unwrap().push(text.to_owned());
        rest_of(MESSAGE, text)
    });
    let mut server = TestServer::start(TestOptions { settings: vec![same_model()], ..options });
    server.initialize(json!({"capabilities": capabilities()}));
    (server, read)
}

fn asked(server: &mut TestServer, path: &Path) -> i64 {
    let arguments = json!([{"uri": format!("file://{}", path.display())}]);
    server.request("workspace/executeCommand", json!({"command": "phi-ls.commitMessage", "arguments": arguments}))
}

fn message(server: &mut TestServer, path: &Path) -> Value {
    let id = asked(server, path);
    server.result(id)
}

#[test]
fn the_model_writes_the_message_of_what_is_staged_and_sees_no_secret() {
    let repository = Repository::staged();
    // Changed again, but not staged.
    repository.write("a.py", "def median(values): ...\n");
    let (mut server, read) = writing();
    let result = message(&mut server, &repository.path(""));
    assert_eq!(result, json!({"applied": false, "text": MESSAGE, "reason": null}));
    assert_eq!(warning(&mut server), "phi-ls: the model did not see .env (looks like a secret (`.env*`))");
    let read = read.lock().unwrap();
    let prompt = &read[0];
    assert!(prompt.contains("+def mean(values):\n") && prompt.contains("- Begin with a number\n"), "{prompt}");
    assert!(!prompt.contains("swordfish") && !prompt.contains(".env") && !prompt.contains("median"), "{prompt}");
    server.finish();
}

#[test]
fn the_file_git_takes_the_message_from_says_which_repository_it_is() {
    let repository = Repository::staged();
    repository.git(&["worktree", "add", "-q", "tree"]);
    std::fs::write(repository.path("tree/a.py"), "y = 2\n").expect("a file");
    repository.git(&["-C", "tree", "add", "a.py"]);
    let (mut server, read) = writing();
    assert_eq!(message(&mut server, &repository.path(".git/COMMIT_EDITMSG"))["text"], MESSAGE);
    assert!(read.lock().unwrap().last().expect("a prompt").contains("def mean"));
    warning(&mut server);
    let linked = repository.path(".git/worktrees/tree/COMMIT_EDITMSG");
    assert_eq!(message(&mut server, &linked)["text"], MESSAGE);
    let read = read.lock().unwrap().last().expect("a prompt").clone();
    assert!(read.contains("+y = 2\n") && !read.contains("def mean"), "{read}");
    server.finish();
}

/// Checks that there is no message, and that the person is told `reason`.
fn check_refused(path: &Path, reason: &str) {
    let (mut server, read) = writing();
    let result = message(&mut server, path);
    assert_eq!(result["text"], Value::Null);
    assert!(result["reason"].as_str().expect("a reason").contains(reason), "{result}");
    let told = warning(&mut server);
    assert!(told.starts_with("phi-ls: Commit message: ") && told.contains(reason), "{told}");
    assert!(read.lock().unwrap().is_empty());
    server.finish();
}

#[test]
fn where_there_is_nothing_to_say_the_reason_is_one_sentence() {
    let repository = Repository::new();
    check_refused(&repository.path(""), "nothing is staged; `git add` what you want to commit");
    repository.write(".env", "PASSWORD=swordfish\n");
    repository.git(&["add", "--force", ".env"]);
    check_refused(
        &repository.path(""),
        "everything that is staged is excluded from prompts: .env: looks like a secret",
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    check_refused(folder.path(), "expected a folder in a git repository, found ");
}

#[test]
fn what_is_no_folder_of_this_machine_is_an_error() {
    let (mut server, _) = writing();
    for arguments in [json!([{"uri": "untitled:Untitled-1"}]), json!([{}]), Value::Null] {
        let params = json!({"command": "phi-ls.commitMessage", "arguments": arguments});
        let id = server.request("workspace/executeCommand", params);
        assert_eq!(server.answer(id)["error"]["code"], -32602);
    }
    server.finish();
}

#[test]
fn a_message_nobody_waits_for_any_more_is_not_written() {
    let repository = Repository::staged();
    let (options, brake) = braked(MESSAGE, 1);
    let mut server = TestServer::start(TestOptions { settings: vec![same_model()], ..options });
    server.initialize(json!({"capabilities": capabilities()}));
    let id = asked(&mut server, &repository.path(""));
    brake.begun.recv().expect("the model is asked");
    server.cancel(id);
    assert_eq!(server.answer(id)["error"]["code"], -32800);
    brake.go_on.send(()).expect("the model waits");
    // The next question is answered.
    assert_eq!(message(&mut server, &repository.path(""))["text"], MESSAGE);
    warning(&mut server);
    server.finish();
}

/// The error of `phi-ls ask commit` in the repository, without a model.
fn refused(repository: &Repository, arguments: &[&str]) -> String {
    let mut command =
        phi_ls(&[&["ask", "commit"], arguments].concat(), Path::new("/nonexistent"), "http://127.0.0.1:1");
    let (output, stdout, stderr) = run(command.current_dir(repository.path("")));
    assert!(!output.status.success() && stdout.is_empty(), "{stdout}");
    stderr
}

#[cfg(unix)]
#[test]
fn a_hook_of_git_is_told_what_git_commits() {
    let repository = Repository::new();
    let hook = repository.path(".git/hooks/prepare-commit-msg");
    // Without a model it gets as far as asking one.
    let nothing = "HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent PHI_LS_MODELS=/nonexistent";
    let script = format!("#!/bin/sh\n{nothing} '{}' ask commit 2> said\n", env!("CARGO_BIN_EXE_phi-ls"));
    std::fs::write(&hook, script).unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    repository.write("a.py", "y = 2\n");
    for what in ["-a", "a.py"] {
        // The hook fails, and the commit with it.
        assert!(!repository.try_git(&["commit", what, "-m", "Change"]));
        let said = std::fs::read_to_string(repository.path("said")).expect("the hook has run");
        assert!(said.contains("no model is installed"), "{what}: {said}");
    }
}

#[cfg(unix)]
#[test]
fn a_repository_that_git_does_not_trust_is_not_called_none() {
    let repository = Repository::new();
    std::fs::write(repository.path(".git/config"), "[core]\n\trepositoryformatversion = 9\n").unwrap();
    let said = refused(&repository, &[]);
    assert!(said.contains("git cannot say what has changed: fatal: ") && said.contains("version"), "{said}");
}

#[test]
fn the_command_line_says_what_is_missing() {
    let repository = Repository::new();
    assert!(refused(&repository, &[]).contains("nothing is staged"));
    assert!(refused(&repository, &["a.py:1"]).contains("expected no file with `commit`"));
    assert!(
        refused(&repository, &["--apply"])
            .contains("expected a question that changes code with --apply, found `commit`")
    );
    assert!(refused(&repository, &["--follow-up", "x"]).contains("expected --follow-up with a question about code"));
    repository.write(".env", "PASSWORD=swordfish\n");
    repository.git(&["add", "--force", ".env"]);
    assert!(refused(&repository, &[]).contains("excluded from prompts: .env"));
}
