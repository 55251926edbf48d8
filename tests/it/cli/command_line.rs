//! The command line follows the same settings and rules as the server. A command that is refused needs no model.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// A home folder and a project in it.
struct Home(tempfile::TempDir);

impl Home {
    fn new(files: &[(&str, &str)]) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = home.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    /// Runs the binary in `project`, without any models.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_phi-ls")));
        command.env("PHI_LS_MODELS", self.path("models")).args(arguments).output().unwrap()
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path("project"))
            .env("HOME", self.path(""))
            .env("XDG_CONFIG_HOME", self.path(".config"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env_remove("GIT_CONFIG_GLOBAL");
        command
    }

    /// The last line of standard error of a command that fails.
    fn failure(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeds");
        String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()
    }

    fn doctor(&self, file: &str) -> Value {
        let output = self.run(&["doctor", file, "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

const CONFIG: &str = "exclude = [\"generated/**\"]\n[completion.languages]\ngo = false\n";

fn home() -> Home {
    Home::new(&[
        (".config/phi-ls/config.toml", CONFIG),
        ("project/.phi-lsignore", "private/\n"),
        ("project/.gitignore", "lib/\n"),
        ("project/private/x.py", "x = 1\n"),
        ("project/generated/x.py", "x = 1\n"),
        ("project/lib/x.py", "x = 1\n"),
        ("project/secrets.yaml", "x: 1\n"),
        ("project/x.go", "package x\n"),
        ("project/x.py", "x = 1\n"),
    ])
}

#[test]
fn what_the_editor_refuses_the_command_line_refuses() {
    let home = home();
    let check = |file: &str, reason: &str| {
        let not_completed = home.failure(&["complete", &format!("{file}:1:1")]);
        assert_eq!(not_completed, format!("phi-ls: not completed: {reason}"));
        for kind in ["explain", "refactor"] {
            let not_asked = home.failure(&["ask", kind, &format!("{file}:1")]);
            assert_eq!(not_asked, format!("phi-ls: this file is excluded from prompts: {reason}"));
        }
    };
    check("private/x.py", ".phi-lsignore line 1 `private/` ignores it");
    check("generated/x.py", "the setting `exclude` names it (`generated/**`)");
    check("lib/x.py", ".gitignore line 1 `lib/` ignores it");
    check("secrets.yaml", "looks like a secret (`secrets.*`)");
    let off = home.failure(&["complete", "x.go:1:1"]);
    assert_eq!(off, "phi-ls: not completed: completions are turned off for go by `completion.languages`");
    // A command that is not refused gets as far as the model, which is missing.
    for arguments in [["complete", "x.py:1:6"], ["ask", "x.py:1"]] {
        let arguments = if arguments[0] == "ask" { vec!["ask", "explain", arguments[1]] } else { arguments.to_vec() };
        assert_eq!(home.failure(&arguments), "phi-ls: no model is installed; run: phi-ls pull starter");
    }
}

#[test]
fn doctor_says_what_applies_to_a_file_and_which_rule() {
    let home = home();
    let found = home.doctor("private/x.py");
    let rule = json!({
        "kind": "ignore-file", "file": home.path("project/.phi-lsignore"), "line": 1, "pattern": "private/",
    });
    assert_eq!(found["rule"], rule);
    assert_eq!(found["reason"], "not completed: .phi-lsignore line 1 `private/` ignores it");
    assert_eq!((&found["completed"], &found["enters_prompts"]), (&json!(false), &json!(false)));
    assert_eq!(found["root"], json!(home.path("project")));
    assert_eq!((&found["shown_path"], &found["language"]), (&json!("private/x.py"), &json!("python")));
    assert_eq!(found["git"], Value::Null);
    let found = home.doctor("x.py");
    assert_eq!((&found["completed"], &found["rule"], &found["reason"]), (&json!(true), &Value::Null, &Value::Null));
    let found = home.doctor("x.go");
    assert_eq!(found["reason"], "not completed: completions are turned off for go by `completion.languages`");
    assert_eq!(home.doctor("secrets.yaml")["rule"], json!({"kind": "secret", "pattern": "secrets.*"}));
    assert_eq!(home.doctor("generated/x.py")["rule"], json!({"kind": "setting", "pattern": "generated/**"}));
    let text = String::from_utf8(home.run(&["doctor", "lib/x.py"]).stdout).unwrap();
    assert!(text.contains("completions       not completed: .gitignore line 1 `lib/` ignores it"), "{text}");
    assert!(text.contains(&format!("{}:1: lib/", home.path("project/.gitignore").display())), "{text}");
    assert!(home.failure(&["doctor", "nowhere.py"]).contains("cannot read nowhere.py"));
}

#[test]
fn binary_data_is_judged_alike_everywhere() {
    let home = Home::new(&[("project/x.py", "x = '\0'\n\n\ndef f():\n    return 1\n")]);
    let reason = "this is binary data, not text";
    assert!(home.failure(&["ask", "explain", "x.py:5"]).contains(reason));
    assert_eq!(home.doctor("x.py")["reason"], format!("not completed: {reason}"));
    std::fs::write(home.path("project/y.py"), b"x = '\xff'\n").unwrap();
    let not_text = "y.py is not UTF-8 text: the first invalid byte is at offset 5";
    assert_eq!(home.failure(&["complete", "y.py:1:1"]), format!("phi-ls: {not_text}"));
    let found = home.doctor("y.py");
    assert!(found["reason"].as_str().unwrap().ends_with(not_text), "{found}");
    assert_eq!(found["completed"], json!(false));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_read() {
    let home = Home::new(&[("project/x.py", "")]);
    let made = Command::new("mkfifo").arg(home.path("project/pipe.py")).status().unwrap();
    assert!(made.success());
    for arguments in [&["complete", "pipe.py:1:1"][..], &["ask", "explain", "pipe.py:1"], &["doctor", "pipe.py"]] {
        assert_eq!(home.failure(arguments), "phi-ls: pipe.py is not a regular file; expected a source file");
    }
    assert!(home.failure(&["complete", "/dev/zero:1:1"]).contains("is not a regular file"));
}

#[test]
fn flags_without_effect_are_refused() {
    let home = home();
    let check = |arguments: &[&str], expected: &str| {
        let output = home.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(expected), "{arguments:?}: {text}");
    };
    check(&["ask", "explain", "x.py:1", "--apply"], "expected a question that changes code with --apply");
    check(
        &["ask", "fix", "x.py:1", "--instruction", "x"],
        "expected --instruction with `refactor`, found it with `fix`",
    );
    check(&["ask", "explain", "x.py:5-3"], "which is backwards");
    check(&["ask", "explain"], "expected FILE:LINE or FILE:LINE-LINE after `explain`");
    check(&["doctor", "x.py", "--retune"], "cannot be used with");
    check(&["--completion-model", "starter", "complete", "x.py:1:1"], "found them before another command");
}

/// The model files are not valid; only the messages before they are loaded matter.
#[test]
fn a_model_that_is_not_there_is_not_replaced_silently() {
    let home = |config: &str| {
        let home = Home::new(&[(".config/phi-ls/config.toml", config), ("project/x.py", "x = 1\n")]);
        std::fs::create_dir_all(home.path("models")).unwrap();
        std::fs::write(home.path("models/a.gguf"), "GGUF").unwrap();
        home
    };
    let all = |home: &Home, arguments: &[&str]| String::from_utf8_lossy(&home.run(arguments).stderr).into_owned();
    let (complete, ask) = (["complete", "x.py:1:6"], ["ask", "explain", "x.py:1"]);
    // A model that the person chose.
    let chosen = home("[completion]\nmodel = \"b.gguf\"\n");
    assert!(chosen.failure(&complete).starts_with("phi-ls: the setting `completion.model`: there is no file b.gguf"));
    let misspelt = home("[assistant]\nmodel = \"phi-5\"\n");
    assert!(misspelt.failure(&ask).starts_with("phi-ls: the setting `assistant.model`: expected a model ("));
    // A default model.
    let default = home("[completion]\nmodel = \"a.gguf\"\n");
    let said = all(&default, &ask);
    assert!(
        said.starts_with("phi-ls: phi-4-mini is not installed") && said.contains("; using a.gguf instead\n"),
        "{said}"
    );
    assert!(!all(&default, &complete).contains("instead"));
}

#[test]
fn a_model_beyond_the_memory_budget_is_not_loaded_silently() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity/phi-3.5-shaped.gguf");
    let said = |budget: &str| {
        let home = Home::new(&[(".config/phi-ls/config.toml", budget), ("project/x.py", "x = 1\n")]);
        String::from_utf8_lossy(&home.run(&["complete", "x.py:1:6", "--model", model]).stderr).into_owned()
    };
    let small = said("memoryBudgetMiB = 100");
    assert!(small.contains("MiB of memory but may use only 100 MiB; `phi-ls doctor`"), "{small}");
    assert!(!said("memoryBudgetMiB = 4000").contains("of memory"));
}

#[test]
fn the_persons_own_excludes_and_what_git_tracks_count() {
    let home = Home::new(&[
        (".config/git/ignore", "*.mine\n*.py\n"),
        ("project/a.mine", "x = 1\n"),
        ("project/a.py", "x = 1\n"),
    ]);
    let git = |arguments: &[&str]| {
        let output = home.command(Path::new("git")).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    git(&["init", "-q"]);
    git(&["add", "-f", "a.py"]);
    let found = home.doctor("a.mine");
    assert_eq!(found["rule"]["file"], json!(home.path(".config/git/ignore")));
    assert_eq!(found["git"], json!({"work_tree": home.path("project"), "tracked": false}));
    let found = home.doctor("a.py");
    assert_eq!((&found["completed"], &found["git"]["tracked"]), (&json!(true), &json!(true)));
}
