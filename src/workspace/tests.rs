//! Workspaces on disk: roots, links, what git and its ignore files say.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

/// A folder with files; its path is without symbolic links.
struct Folder {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().canonicalize().expect("it is there");
        let folder = Self { _folder: folder, path };
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.join(name);
        std::fs::create_dir_all(path.parent().expect("has a folder")).expect("folder");
        std::fs::write(path, text).expect("file");
    }

    /// Runs git in `folder`.
    fn git(&self, folder: &str, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.current_dir(self.join(folder))
            .args(["-c", "user.name=A", "-c", "user.email=a@example.com"])
            .args(arguments);
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let output = git.output().expect("git runs");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn workspaces(&self) -> Workspaces {
        Workspaces::new(std::slice::from_ref(&self.path), &[])
    }

    /// Why `name` is refused in the workspace that is this folder.
    fn refusal(&self, name: &str) -> Option<String> {
        self.workspaces().refusal(&self.join(name)).map(|refusal| refusal.to_string())
    }

    /// Which of `names` are served; each exists.
    fn check(&self, served: &[&str], refused: &[&str]) {
        for name in served.iter().chain(refused) {
            if !self.join(name).exists() {
                self.write(name, "");
            }
        }
        for name in served {
            assert_eq!(self.refusal(name), None, "{name}");
        }
        for name in refused {
            assert!(self.refusal(name).is_some(), "{name} is served");
        }
    }

    /// What a walk finds, from the root.
    fn walked(&self) -> Vec<String> {
        let workspaces = self.workspaces();
        let files = workspaces.walk(&self.path).flatten();
        files.map(|file| file.strip_prefix(&self.path).expect("below").to_string_lossy().into_owned()).collect()
    }
}

#[test]
fn ignore_files_from_the_root_to_the_file_count() {
    let folder = Folder::new(&[
        (".gitignore", "build/\n*.log\n\n# text\ndocs/*.txt\n/only\n"),
        (".phi-lsignore", "/private\n!keep.log\n"),
        ("sub/.gitignore", "!debug.log\ngen.rs\n"),
    ]);
    folder.check(
        &["gen.rs", "keep.log", "sub/debug.log", "src/main.rs", "docs/deep/a.txt", "sub/only"],
        &["a.log", "build/deep/x.rs", "private/x.rs", "sub/gen.rs", "docs/a.txt", "only"],
    );
    assert_eq!(folder.refusal("build/deep/x.rs").as_deref(), Some(".gitignore line 1 `build/` ignores it"));
    assert_eq!(folder.refusal("docs/a.txt").as_deref(), Some(".gitignore line 5 `docs/*.txt` ignores it"));
    assert_eq!(folder.refusal("sub/gen.rs").as_deref(), Some("sub/.gitignore line 2 `gen.rs` ignores it"));
    let walked = ["docs/deep/a.txt", "gen.rs", "keep.log", "src/main.rs", "sub/debug.log", "sub/only"];
    assert_eq!(folder.walked(), walked);
}

#[test]
fn braces_are_characters() {
    let ignored = "{{cookiecutter.name}}/\n\\{a\\}\n[{]b[}]\n[]{]c\n*.{py,rs}\n";
    let folder = Folder::new(&[(".gitignore", ignored)]);
    folder.check(
        &["cookiecutter.name/x.py", "a", "b", "c", "x.py", "x.rs"],
        &["{{cookiecutter.name}}/x.py", "{a}", "{b}", "{c", "]c", "x.{py,rs}"],
    );
    let refusal = folder.refusal("{{cookiecutter.name}}/x.py");
    assert_eq!(refusal.as_deref(), Some(".gitignore line 1 `{{cookiecutter.name}}/` ignores it"));
    assert_eq!(folder.refusal("x.{py,rs}").as_deref(), Some(".gitignore line 5 `*.{py,rs}` ignores it"));
}

#[test]
fn a_line_that_is_no_text_costs_no_other_line() {
    let folder = Folder::new(&[]);
    std::fs::write(folder.join(".gitignore"), b"caf\xe9\nprivate/\n").expect("a file");
    folder.check(&["public/x.py"], &["private/x.py"]);
}

#[test]
fn what_is_below_an_ignored_folder_stays_ignored() {
    let folder = Folder::new(&[(".gitignore", "build/\n!build/keep.rs\nout/*\n!out/keep.rs\n")]);
    folder.check(&["out/keep.rs"], &["build/keep.rs", "out/a.rs"]);
}

#[test]
fn tracked_files_are_never_ignored_but_for_our_own_file() {
    let folder = Folder::new(&[(".gitignore", "lib/\n"), ("web/lib/utils.ts", ""), ("web/lib/new.ts", "")]);
    folder.git("", &["init", "-q"]);
    folder.git("", &["add", "-f", "web/lib/utils.ts"]);
    folder.check(&["web/lib/utils.ts", "web/main.ts"], &["web/lib/new.ts", "lib/a.ts"]);
    assert_eq!(folder.walked(), ["web/lib/utils.ts", "web/main.ts"]);
    let workspaces = folder.workspaces();
    assert_eq!(workspaces.in_repository(&folder.join("web/lib/utils.ts")), Some((folder.path.clone(), true)));
    assert_eq!(workspaces.in_repository(&folder.join("web/lib/new.ts")), Some((folder.path.clone(), false)));
    // The same value sees what git has been told since.
    assert!(workspaces.refusal(&folder.join("web/lib/new.ts")).is_some());
    folder.git("", &["add", "-f", "web/lib/new.ts"]);
    assert_eq!(workspaces.refusal(&folder.join("web/lib/new.ts")), None);
    folder.git("", &["rm", "-q", "--cached", "web/lib/new.ts"]);
    assert!(workspaces.refusal(&folder.join("web/lib/new.ts")).is_some());
    folder.write(".phi-lsignore", "utils.ts\n");
    folder.check(&[], &["web/lib/utils.ts"]);
    assert_eq!(folder.walked(), ["web/main.ts"]);
}

#[test]
fn an_index_of_the_newest_format_is_read() {
    let folder = Folder::new(&[(".gitignore", "lib/\n"), ("lib/a.ts", ""), ("lib/deep/b.ts", "")]);
    folder.git("", &["init", "-q"]);
    folder.git("", &["add", "-f", "lib"]);
    folder.git("", &["update-index", "--index-version", "4"]);
    folder.check(&["lib/a.ts", "lib/deep/b.ts"], &["lib/c.ts"]);
}

#[test]
fn patterns_outside_of_the_work_tree_count() {
    let folder = Folder::new(&[]);
    folder.git("", &["init", "-q"]);
    folder.write(".git/info/exclude", "# mine\nscratch/\n");
    folder.write("personal", "*.mine\n");
    folder.git("", &["config", "core.excludesFile", folder.join("personal").to_str().expect("UTF-8")]);
    folder.check(&["a.rs"], &["scratch/a.rs", "a.mine"]);
    let refusal = folder.refusal("scratch/a.rs");
    assert_eq!(refusal.as_deref(), Some(".git/info/exclude line 2 `scratch/` ignores it"));
    // An ignore file in the work tree wins over both.
    folder.write(".gitignore", "!*.mine\n");
    folder.check(&["a.mine"], &["scratch/a.rs"]);
}

#[test]
fn linked_work_trees_have_an_index_of_their_own() {
    let folder = Folder::new(&[("main/.gitignore", "lib/\n"), ("main/lib/a.ts", "")]);
    folder.git("main", &["init", "-q"]);
    folder.git("main", &["add", "-f", "."]);
    folder.git("main", &["commit", "-q", "-m", "first"]);
    folder.git("main", &["worktree", "add", "-q", "../linked"]);
    folder.write("main/.git/info/exclude", "scratch/\n");
    folder.write("linked/lib/b.ts", "");
    folder.git("linked", &["add", "-f", "lib/b.ts"]);
    folder.write("linked/lib/c.ts", "");
    folder.write("linked/scratch/a.rs", "");
    folder.write("main/lib/b.ts", "");
    let workspaces = Workspaces::new(&[folder.join("main"), folder.join("linked")], &[]);
    let refused = |name: &str| workspaces.refusal(&folder.join(name)).is_some();
    assert!(!refused("linked/lib/a.ts") && !refused("linked/lib/b.ts"));
    assert!(refused("linked/lib/c.ts") && refused("linked/scratch/a.rs") && refused("main/lib/b.ts"));
}

#[test]
fn a_workspace_is_judged_by_the_repository_it_is_in() {
    let folder =
        Folder::new(&[(".gitignore", "gen/\nlib/\n"), ("web/lib/a.ts", ""), (".phi-lsignore", "web/private\n")]);
    folder.git("", &["init", "-q"]);
    folder.git("", &["add", "-f", "web"]);
    for name in ["web/gen/a.ts", "web/private/a.ts", "lib/a.ts"] {
        folder.write(name, "");
    }
    let refused =
        |root: &str, name: &str| Workspaces::new(&[folder.join(root)], &[]).refusal(&folder.join(name)).is_some();
    assert!(!refused("web", "web/lib/a.ts"));
    assert!(refused("web", "web/gen/a.ts"));
    assert!(refused("web", "web/private/a.ts"));
    // Who opens an ignored folder means what is in it.
    assert!(!refused("lib", "lib/a.ts"));
}

#[test]
fn a_repository_in_another_one_has_its_own_rules() {
    let folder = Folder::new(&[(".gitignore", "vendor/\n*.gen\n"), ("vendor/a.c", ""), ("vendor/dep/b.gen", "")]);
    folder.git("", &["init", "-q"]);
    folder.git("vendor/dep", &["init", "-q"]);
    folder.write("vendor/dep/.gitignore", "*.o\n");
    folder.check(&["vendor/dep/b.gen"], &["vendor/a.c", "vendor/dep/c.o"]);
}

#[test]
fn a_file_outside_of_every_workspace_gets_one_from_its_own_path() {
    let folder = Folder::new(&[
        ("a/main.py", ""),
        ("b/.git/HEAD", ""),
        ("b/.gitignore", "private/\n"),
        ("b/pkg/package.json", "{}"),
        ("b/pkg/private/x.py", ""),
        ("c/Cargo.toml", ""),
        ("c/src/lib.rs", ""),
        ("d/loose.py", ""),
    ]);
    let mut workspaces = Workspaces::new(&[folder.join("a")], &["/generated".to_owned()]);
    let place = |workspaces: &Workspaces, name: &str| {
        let place = workspaces.location_of(&folder.join(name));
        (place.root, place.shown.to_string_lossy().into_owned())
    };
    assert_eq!(place(&workspaces, "a/main.py"), (Some(folder.join("a")), "main.py".to_owned()));
    assert_eq!(place(&workspaces, "b/pkg/private/x.py"), (Some(folder.join("b")), "pkg/private/x.py".to_owned()));
    assert!(workspaces.refusal(&folder.join("b/pkg/private/x.py")).is_some());
    assert_eq!(place(&workspaces, "c/src/lib.rs"), (Some(folder.join("c")), "src/lib.rs".to_owned()));
    assert_eq!(place(&workspaces, "d/loose.py"), (None, "loose.py".to_owned()));
    assert!(workspaces.refusal(&folder.join("c/generated/a.rs")).is_some());
    let roots = |workspaces: &Workspaces| workspaces.roots().map(Path::to_owned).collect::<Vec<_>>();
    assert!(workspaces.add_around(&folder.join("c/src/lib.rs")));
    assert!(!workspaces.add_around(&folder.join("c/src/main.rs")), "it is known");
    assert!(!workspaces.add_around(&folder.join("d/loose.py")), "there is none");
    assert_eq!(roots(&workspaces), [folder.join("a"), folder.join("c")]);
    workspaces.add(&folder.join("c"));
    workspaces.remove(&folder.join("a"));
    assert_eq!(roots(&workspaces), [folder.join("c")]);
    assert_eq!(place(&workspaces, "a/main.py"), (None, "main.py".to_owned()));
}

#[test]
fn the_innermost_workspace_has_the_file() {
    let folder = Folder::new(&[("outer/inner/a.py", "")]);
    for roots in [["outer", "outer/inner"], ["outer/inner", "outer"]] {
        let workspaces = Workspaces::new(&roots.map(|root| folder.join(root)), &[]);
        assert_eq!(workspaces.location_of(&folder.join("outer/inner/a.py")).shown, Path::new("a.py"));
    }
}

#[cfg(unix)]
#[test]
fn a_link_and_its_target_are_one_workspace() {
    let folder = Folder::new(&[("data/project/.gitignore", "private/\n"), ("data/project/private/x.py", "")]);
    std::os::unix::fs::symlink(folder.join("data/project"), folder.join("link")).expect("a link");
    for (root, file) in [("link", "data/project"), ("data/project", "link"), ("link", "link")] {
        let workspaces = Workspaces::new(&[folder.join(root)], &[]);
        let file = folder.join(file).join("private/x.py");
        assert_eq!(workspaces.location_of(&file).shown, Path::new("private/x.py"));
        assert_eq!(workspaces.location_of(&file).file, folder.join("data/project/private/x.py"));
        assert!(workspaces.refusal(&file).is_some());
        // A file that is not there yet as well.
        let new = file.with_file_name("new.py");
        assert_eq!(workspaces.location_of(&new).shown, Path::new("private/new.py"));
    }
}

#[cfg(unix)]
#[test]
fn no_link_leads_around_a_refusal() {
    let folder =
        Folder::new(&[("a/.phi-lsignore", "private\n"), ("secret/.env", ""), ("other/b.py", ""), ("a/c.py", "")]);
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(folder.join(target), folder.join(name)).expect("a link");
    };
    link("secret/.env", "a/config.py");
    link("other", "a/private");
    link("a/c.py", "a/id.key");
    let workspaces = Workspaces::new(&[folder.join("a")], &["shared".to_owned()]);
    let refused = |name: &str| workspaces.refusal(&folder.join(name)).is_some();
    assert!(refused("a/config.py"), "it is an .env");
    assert!(refused("a/private/b.py"), "the person does not want what is called private read");
    assert!(refused("a/id.key"));
    assert!(!refused("a/c.py") && !refused("other/b.py"));
}

/// Names of the staged files with their counts of lines, and the refused ones.
fn staged(folder: &Folder, path: &str) -> Result<(Vec<String>, Vec<String>), NotStaged> {
    let staged = Workspaces::new(&[], &[]).staged(&folder.join(path))?;
    let shown = |file: &StagedFile| match file.lines {
        Some((added, removed)) => format!("{} +{added} -{removed}", file.name),
        None => format!("{} binary", file.name),
    };
    let refused = staged.refused.into_iter().map(|(name, _)| name).collect();
    Ok((staged.files.iter().map(shown).collect(), refused))
}

#[test]
fn what_is_staged_is_told_file_by_file() {
    let lines = |range: std::ops::Range<usize>| range.map(|line| format!("line {line}\n")).collect::<String>();
    let folder = Folder::new(&[("old name.txt", &lines(0..9)), ("gone.txt", "x\n"), ("a.txt", "x\n")]);
    folder.git("", &["init", "-q"]);
    folder.git("", &["add", "."]);
    folder.git("", &["commit", "-qm", "Begin"]);
    assert_eq!(staged(&folder, ""), Err(NotStaged::Nothing));
    folder.git("", &["mv", "old name.txt", "new\u{e9}.txt"]);
    folder.write("new\u{e9}.txt", &lines(0..10));
    folder.git("", &["rm", "-q", "gone.txt"]);
    folder.write("a.txt", "y\n");
    folder.write("sub/b.bin", "\0\u{1}");
    folder.write("sub/id_rsa", "key\n");
    folder.git("", &["add", "."]);
    folder.write("a.txt", "z\n");
    let files =
        ["a.txt +1 -1", "gone.txt +0 -1", "new\u{e9}.txt +1 -0", "sub/b.bin binary"].map(str::to_owned).to_vec();
    assert_eq!(staged(&folder, "sub"), Ok((files, vec!["sub/id_rsa".to_owned()])));
    let staged = Workspaces::new(&[], &[]).staged(&folder.path).expect("much is staged");
    assert_eq!(staged.earlier, ["Begin"]);
    assert!(staged.files[0].diff.ends_with("-x\n+y\n"), "{}", staged.files[0].diff);
    assert!(staged.files[2].diff.contains("rename from old name.txt\n"), "{}", staged.files[2].diff);
    assert!(staged.files[2].diff.ends_with("+line 9\n"), "{}", staged.files[2].diff);
    assert_eq!(staged.files[3].diff, "");
}

#[test]
fn what_has_changed_since_the_last_commit_is_told_change_by_change() {
    let lines = |changed: &[usize]| {
        (1..=9)
            .map(|n| if changed.contains(&n) { format!("new {n}\n") } else { format!("line {n}\n") })
            .collect::<String>()
    };
    let folder = Folder::new(&[("b.txt", &lines(&[])), ("a.txt", "x\n"), ("gone.txt", "x\n"), (".env", "A=1\n")]);
    folder.git("", &["init", "-q"]);
    folder.git("", &["add", "--force", "."]);
    folder.git("", &["commit", "-qm", "Begin"]);
    folder.write("b.txt", &lines(&[2, 8]));
    folder.git("", &["add", "b.txt"]);
    folder.write(".env", "A=2\n");
    folder.write("new.txt", "x\n");
    std::fs::remove_file(folder.join("gone.txt")).unwrap();
    folder.write("a.txt", "y\n");
    let earlier = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    std::fs::File::options().append(true).open(folder.join("b.txt")).unwrap().set_modified(earlier).unwrap();
    let hunks = folder.workspaces().changes(&folder.join("b.txt")).unwrap();
    let shown: Vec<_> = hunks.iter().map(|hunk| (hunk.name.as_str(), hunk.first, hunk.last())).collect();
    assert_eq!(shown, [("b.txt", 1, 3), ("b.txt", 7, 9), ("a.txt", 1, 1)]);
    assert_eq!((hunks[0].old.as_str(), hunks[0].new.as_str()), ("line 1\nline 2\nline 3\n", "line 1\nnew 2\nline 3\n"));
}

#[test]
fn changes_have_the_line_ending_of_texts() {
    let folder = Folder::new(&[("a.py", "one\r\ntwo\r\nthree\r\n"), ("mac.py", "one\rtwo\r")]);
    folder.git("", &["init", "-q"]);
    assert_eq!(folder.workspaces().changes(&folder.path), Ok(Vec::new()), "there is no commit yet");
    folder.git("", &["add", "."]);
    folder.git("", &["commit", "-qm", "Begin"]);
    folder.write("a.py", "one\r\n2\r\nthree\r\n");
    folder.write("mac.py", "one\r2\r");
    let hunks = folder.workspaces().changes(&folder.path).unwrap();
    let mut texts: Vec<_> = hunks.iter().map(|hunk| (hunk.old.as_str(), hunk.new.as_str())).collect();
    texts.sort_unstable();
    assert_eq!(texts, [("one\ntwo\n", "one\n2\n"), ("one\ntwo\nthree\n", "one\n2\nthree\n")]);
    folder.git("", &["add", "."]);
    let staged = Workspaces::new(&[], &[]).staged(&folder.path).unwrap();
    assert!(staged.files[0].diff.ends_with(" one\n-two\n+2\n three\n"), "{}", staged.files[0].diff);
}

#[test]
fn what_git_is_configured_to_run_is_not_run() {
    let folder = Folder::new(&[("a.txt", "x\n"), (".gitattributes", "*.txt diff=own\n")]);
    folder.git("", &["init", "-q"]);
    folder.git("", &["add", "."]);
    let mark = |name: &str| format!("touch {}; cat", folder.join(name).display());
    for (key, name) in
        [("diff.external", "external"), ("diff.own.textconv", "textconv"), ("core.fsmonitor", "fsmonitor")]
    {
        folder.git("", &["config", key, &mark(name)]);
    }
    folder.git("", &["config", "diff.own.command", &mark("command")]);
    let (files, _) = staged(&folder, "").expect("two files are staged");
    assert_eq!(files, [".gitattributes +1 -0", "a.txt +1 -0"]);
    for name in ["external", "textconv", "fsmonitor", "command"] {
        assert!(!folder.join(name).exists(), "{name}");
    }
}
