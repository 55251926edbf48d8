//! Tests of the index: folders, and what is found in them.

use super::*;
use crate::context::words::word_hash;

struct Workspace(tempfile::TempDir);

impl Workspace {
    fn new(files: &[(&str, &str)]) -> Self {
        let workspace = Self(tempfile::tempdir().expect("a temporary folder"));
        for (name, text) in files {
            workspace.write(name, text);
        }
        workspace
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// As the index names it.
    fn real_path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().expect("it is there").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("has a folder")).expect("folder");
        std::fs::write(path, text).expect("file");
    }

    fn workspaces(&self, exclude: &[&str]) -> Arc<Workspaces> {
        let exclude: Vec<String> = exclude.iter().map(|&glob| glob.to_owned()).collect();
        Arc::new(Workspaces::new(&[self.0.path().to_owned()], &exclude))
    }

    fn index(&self, exclude: &[&str], bounds: Bounds) -> WorkspaceIndex {
        let index = WorkspaceIndex::new(self.workspaces(exclude), bounds);
        index.walk(&mut || true);
        index
    }
}

/// Paths of the files that define `f` in Python, and what they define.
fn definitions(index: &WorkspaceIndex) -> Vec<(String, Option<String>)> {
    let found = index.find(&["f"], "python");
    found
        .iter()
        .map(|found| (index.shown_path(&found.path).to_string_lossy().into_owned(), index.definition(found)))
        .collect()
}

fn paths(index: &WorkspaceIndex) -> Vec<String> {
    definitions(index).into_iter().map(|(path, _)| path).collect()
}

const F: &str = "def f(x):\n    return x\n";

#[test]
fn a_definition_is_found_by_name_and_language() {
    let files =
        [("a.py", "# First.\n@cached\ndef f():\n    pass\n"), ("b.rs", "fn f() {}\n"), ("c.py", "def g(): pass\n")];
    let index = Workspace::new(&files).index(&[], Bounds::default());
    assert_eq!(index.size(), (3, 3));
    let workspace = Workspace::new(&files);
    let index = workspace.index(&[], Bounds::default());
    assert_eq!(definitions(&index), [("a.py".into(), Some("# First.\n@cached\ndef f():\n    pass".into()))]);
}

#[test]
fn excluded_and_foreign_files_are_not_indexed() {
    let workspace = Workspace::new(&[
        ("ok.py", F),
        ("build/a.py", F),
        ("private/a.py", F),
        ("generated/a.py", F),
        (".hidden/a.py", F),
        ("node_modules/a.py", F),
        (".gitignore", "build/\n"),
        (".phi-lsignore", "private\n"),
    ]);
    let index = workspace.index(&["generated"], Bounds::default());
    assert_eq!(paths(&index), ["ok.py"]);
    for name in ["build/a.py", "private/a.py", "generated/a.py", ".hidden/a.py", "node_modules/a.py"] {
        index.refresh(&workspace.path(name));
    }
    index.refresh(Path::new("/elsewhere/a.py"));
    assert_eq!(paths(&index), ["ok.py"], "nor after they have changed");
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let outside = Workspace::new(&[("a.py", F)]);
    let workspace = Workspace::new(&[("ok.py", F)]);
    std::os::unix::fs::symlink(outside.path("a.py"), workspace.path("link.py")).expect("a link");
    std::os::unix::fs::symlink(outside.0.path(), workspace.path("folder")).expect("a link");
    let index = workspace.index(&[], Bounds::default());
    index.refresh(&workspace.path("link.py"));
    index.refresh(&workspace.path("folder/a.py"));
    assert_eq!(paths(&index), ["ok.py"]);
}

#[test]
fn every_bound_holds() {
    let files: Vec<(String, String)> = (0..9).map(|i| (format!("{i}.py"), F.to_owned())).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let workspace = Workspace::new(&files);
    let count = |bounds| paths(&workspace.index(&[], bounds)).len();
    let all = Bounds::default();
    assert_eq!(count(all), 9);
    assert_eq!(count(Bounds { files: 4, ..all }), 4);
    assert_eq!(count(Bounds { items: 3, ..all }), 3);
    assert_eq!(count(Bounds { total_bytes: F.len() as u64 * 2, ..all }), 2);
    assert_eq!(count(Bounds { file_bytes: F.len() as u64 - 1, ..all }), 0);
    assert_eq!(count(Bounds { file_bytes: F.len() as u64, ..all }), 9);
    assert!(count(Bounds { time: Duration::ZERO, ..all }) < 9);
    let minified = format!("def f(): return \"{}\"\n", "x".repeat(1000));
    workspace.write("0.py", &minified);
    workspace.write("1.py", "def f():\n    return \"\0\"\n");
    assert_eq!(count(all), 7);
    let generated: String = (0..2 * MAX_ITEMS_PER_FILE).map(|i| format!("A{i} = {i}\n")).collect();
    workspace.write("2.py", &generated);
    assert_eq!(workspace.index(&[], all).size().1, 6 + MAX_ITEMS_PER_FILE);
}

#[test]
fn a_walk_can_be_ended() {
    let workspace = Workspace::new(&[("a.py", F), ("b.py", F)]);
    let index = WorkspaceIndex::new(workspace.workspaces(&[]), Bounds::default());
    index.walk(&mut || false);
    assert_eq!(index.size(), (0, 0));
}

#[test]
fn a_file_that_has_changed_shows_nothing_until_it_is_read_again() {
    let workspace = Workspace::new(&[("a.py", F)]);
    let index = workspace.index(&[], Bounds::default());
    let check = |text: Option<&str>| assert_eq!(definitions(&index), [("a.py".into(), text.map(str::to_owned))]);
    check(Some(F.trim_end()));
    for changed in [format!("import os\n{F}"), "def f".to_owned(), F.replace("return x", "return y")] {
        workspace.write("a.py", &changed);
        check(None);
        assert_eq!(index.take_stale(), [workspace.real_path("a.py")]);
    }
    index.refresh(&workspace.path("a.py"));
    check(Some("def f(x):\n    return y"));
    assert!(index.take_stale().is_empty());
    std::fs::remove_file(workspace.path("a.py")).expect("it is there");
    check(None);
    index.refresh(&workspace.path("a.py"));
    assert_eq!(index.size(), (0, 0));
}

#[test]
fn a_file_that_becomes_ignored_shows_nothing() {
    let workspace = Workspace::new(&[("a.py", F)]);
    let index = workspace.index(&[], Bounds::default());
    workspace.write(".gitignore", "a.py\n");
    assert_eq!(definitions(&index), [("a.py".into(), None)]);
}

#[test]
fn files_that_share_rare_words_are_found() {
    let filler = |n: usize| format!("def filler_{n}(common):\n    return common\n");
    let mut files: Vec<(String, String)> = (0..20).map(|n| (format!("{n}.py"), filler(n))).collect();
    files.push(("alike.py".to_owned(), "def g(common):\n    return rare_one(common) + rare_two(common)\n".to_owned()));
    files.push(("vendor/alike.py".to_owned(), files[20].1.clone()));
    files.push(("made.py".to_owned(), format!("# @generated\n{}", files[20].1)));
    files.push(("alike.rs".to_owned(), "fn rare_one() {}\n".to_owned()));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let workspace = Workspace::new(&files);
    let index = workspace.index(&[], Bounds::default());
    let alike = |words: &[&str]| {
        let words = words.iter().map(|word| (word_hash(word), 1.0)).collect();
        let found = index.files_alike(&words, "python", 3);
        found.iter().map(|(path, _)| index.shown_path(path).to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(alike(&["rare_one", "common"]), ["alike.py"]);
    assert_eq!(alike(&["filler_7", "rare_two"]), ["7.py", "alike.py"]);
    assert!(alike(&["nowhere"]).is_empty());
    let [rare, common] = index.rarities(&[word_hash("rare_one"), word_hash("common")])[..] else { panic!("two") };
    assert!(rare > 4.0 * common, "{rare} {common}");
    workspace.write("alike.py", F);
    index.refresh(&workspace.path("alike.py"));
    assert!(alike(&["rare_one"]).is_empty(), "its words have gone with its text");
}

#[test]
fn a_folder_that_goes_is_forgotten_with_all_its_files() {
    let workspace = Workspace::new(&[("a/b.py", F), ("a/c/d.py", F), ("ab.py", F)]);
    let index = workspace.index(&[], Bounds::default());
    std::fs::rename(workspace.path("a"), workspace.path("z")).expect("a folder");
    index.refresh(&workspace.path("a"));
    assert_eq!(paths(&index), ["ab.py"]);
    index.refresh(&workspace.path("z/b.py"));
    assert_eq!(paths(&index), ["ab.py", "z/b.py"]);
}

#[test]
fn a_whole_text_is_read_only_as_it_was_indexed() {
    let class = "class A:\n    def f(self):\n        pass\n\n    def g(self): pass\n";
    let workspace = Workspace::new(&[("a.py", class)]);
    let index = workspace.index(&[], Bounds::default());
    let path = workspace.real_path("a.py");
    assert_eq!(index.text(&path).as_deref(), Some(class));
    let members = index.members(&path, "A");
    assert_eq!(members.iter().map(|range| &class[range.clone()]).collect::<Vec<_>>(), ["def f(self):", "def g(self):"]);
    workspace.write("a.py", F);
    assert_eq!(index.text(&path), None);
    assert_eq!(index.take_stale(), [path]);
}
