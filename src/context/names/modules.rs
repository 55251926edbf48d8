//! Which file a module is, by the rules of its language, and which names the files of a project declare.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::context::{OpenFile, Snapshot};
use crate::syntax::{Language, Modules, Names, Origin};

/// How many folders above a file are searched for the root of its package.
const MOST_FOLDERS: usize = 12;
/// How many imports are followed from one to the next.
const MOST_IMPORTS: usize = 8;
/// How the files of a script's module may end, the likelier first.
const SCRIPT_ENDINGS: [&str; 9] = [".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mts", ".mjs", ".cts", ".cjs"];
/// A file that names a module of Go is no longer.
const MAX_GO_MOD_BYTES: u64 = 64 << 10;

/// The document in question and the files around it.
pub(super) struct Files<'a> {
    snapshot: &'a Snapshot,
    /// Where the document is.
    pub(super) own_path: PathBuf,
    own: Arc<Names>,
    known: RefCell<HashMap<PathBuf, Option<Arc<Names>>>>,
}

/// What a module is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Module {
    File(PathBuf),
    /// All files of it together.
    Folder(PathBuf),
}

impl<'a> Files<'a> {
    /// Around the document, which says `own` of names.
    pub(super) fn around(snapshot: &'a Snapshot, own: Names) -> Self {
        let file = snapshot.surroundings.file.clone();
        let own_path = file.or_else(|| snapshot.path.clone()).unwrap_or_default();
        Self { snapshot, own_path, own: Arc::new(own), known: RefCell::default() }
    }

    pub(super) fn rules(&self) -> Modules {
        self.snapshot.language.map_or(Modules::Unknown, |language| language.modules)
    }

    pub(super) fn family(&self) -> &'static str {
        self.snapshot.language.map_or("", |language| language.family)
    }

    /// What the file at `path` says about names, as far as it may be read.
    pub(super) fn names(&self, path: &Path) -> Option<Arc<Names>> {
        if path == self.own_path {
            return Some(Arc::clone(&self.own));
        }
        if let Some(known) = self.known.borrow().get(path) {
            return known.clone();
        }
        let surroundings = &self.snapshot.surroundings;
        let names = match self.open(path) {
            Some(open) => open.snapshot.parsed.as_ref().map(|parsed| Arc::new(parsed.names())),
            None => surroundings.index.as_ref().and_then(|index| index.names(path)),
        };
        self.known.borrow_mut().insert(path.to_owned(), names.clone());
        names
    }

    fn open(&self, path: &Path) -> Option<&OpenFile> {
        self.snapshot.surroundings.open.iter().find(|open| location_of(open) == Some(path))
    }

    /// Whether there is such a file, whatever it is.
    fn exists(&self, path: &Path) -> bool {
        path == self.own_path || self.open(path).is_some() || path.is_file()
    }

    /// The other files that declare members of a type called `name`; `None` where they are not all known.
    pub(super) fn with_members_of(&self, name: &str) -> Option<Vec<PathBuf>> {
        let surroundings = &self.snapshot.surroundings;
        let index = surroundings.index.as_ref().filter(|index| index.is_whole())?;
        let indexed = index.files_with_members_of(name, self.family());
        let closed = indexed.iter().filter(|path| !surroundings.has_open(path)).map(|path| path.to_path_buf());
        Some(closed.chain(self.open_paths()).collect())
    }

    /// The files in the folder of `path` that are of the same language; `None` where one of them cannot be read.
    pub(super) fn beside(&self, path: &Path) -> Option<Vec<PathBuf>> {
        let surroundings = &self.snapshot.surroundings;
        let folder = path.parent()?;
        let index = surroundings.index.as_ref().filter(|index| index.is_whole())?;
        let indexed = index.files_in(folder, self.family());
        let closed = indexed.iter().filter(|path| !surroundings.has_open(path)).map(|path| path.to_path_buf());
        let open = self.open_paths().chain([self.own_path.clone()]).filter(|open| open.parent() == Some(folder));
        let mut files: Vec<PathBuf> = closed.chain(open).collect();
        files.sort();
        files.dedup();
        let is_of_family =
            |path: &PathBuf| Language::by_path(path).is_some_and(|language| language.family == self.family());
        let there = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for file in there.filter(is_of_family) {
            // What is not indexed declares nothing, or must not be read.
            if let Err(at) = files.binary_search(&file) {
                self.names(&file)?;
                files.insert(at, file);
            }
        }
        Some(files)
    }

    fn open_paths(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let of_family =
            |open: &&OpenFile| open.snapshot.language.is_some_and(|language| language.family == self.family());
        self.snapshot
            .surroundings
            .open
            .iter()
            .filter(of_family)
            .filter_map(|open| location_of(open).map(Path::to_path_buf))
    }

    /// The files that define something called `name`, where a language's files see each other's whole text.
    pub(super) fn defining(&self, name: &str) -> Vec<PathBuf> {
        let surroundings = &self.snapshot.surroundings;
        let indexed = surroundings.index.as_ref().map(|index| index.find(&[name], self.family())).unwrap_or_default();
        let closed = indexed.into_iter().filter(|found| !surroundings.has_open(&found.path));
        let has_name = |open: &&OpenFile| open.snapshot.text.to_string().contains(name);
        let open = surroundings.open.iter().filter(has_name).filter_map(location_of).map(Path::to_path_buf);
        let mut paths: Vec<PathBuf> = closed.map(|found| found.path.to_path_buf()).chain(open).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// What `module`, as the file at `from` names it, is.
    pub(super) fn module(&self, from: &Path, module: &str) -> Option<Module> {
        match self.rules() {
            Modules::Python => self.python(from, module).map(Module::File),
            Modules::Rust => self.rust(from, &module.split("::").collect::<Vec<_>>(), 0).map(Module::File),
            Modules::Script => self.script(from, module).map(Module::File),
            Modules::Go => self.go(from, module).map(Module::Folder),
            Modules::Java | Modules::C | Modules::Cpp | Modules::Unknown => None,
        }
    }

    fn first_existing(&self, mut candidates: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
        candidates.find(|path| self.exists(path))
    }

    fn python(&self, from: &Path, module: &str) -> Option<PathBuf> {
        let name = module.trim_start_matches('.');
        let dots = module.len() - name.len();
        let relative: PathBuf = name.split('.').filter(|part| !part.is_empty()).collect();
        if dots > 0 {
            let folder = from.ancestors().nth(dots)?;
            return self.python_file(&folder.join(relative));
        }
        // Absolute imports begin in a folder that is no package.
        let roots =
            from.ancestors().skip(1).take(MOST_FOLDERS).filter(|folder| !self.exists(&folder.join("__init__.py")));
        roots.filter(|root| !root.as_os_str().is_empty()).find_map(|root| self.python_file(&root.join(&relative)))
    }

    fn python_file(&self, module: &Path) -> Option<PathBuf> {
        let endings = [".pyi", ".py"].map(|ending| with_ending(module, ending));
        self.first_existing(endings.into_iter().chain([module.join("__init__.pyi"), module.join("__init__.py")]))
    }

    /// The modules below a package, by name; none for a module that is a file of its own.
    pub(super) fn submodules(&self, package: &Path) -> Vec<String> {
        let is_package = |stem: &std::ffi::OsStr| self.rules() == Modules::Python && stem == "__init__";
        let Some(folder) = package.parent().filter(|_| package.file_stem().is_some_and(is_package)) else {
            return Vec::new();
        };
        let listed = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let below = listed.chain(self.open_paths().filter(|open| open.parent() == Some(folder)));
        let name = |path: PathBuf| path.file_name()?.to_str()?.split('.').next().map(str::to_owned);
        below.filter_map(name).filter(|name| !name.is_empty() && name != "__init__").collect()
    }

    fn script(&self, from: &Path, module: &str) -> Option<PathBuf> {
        if !module.starts_with('.') {
            return None;
        }
        let base = without_dots(&from.parent()?.join(module));
        // What is compiled to JavaScript is imported as that.
        let source = module.strip_suffix(".js").or_else(|| module.strip_suffix(".mjs"));
        let source = source.map(|module| without_dots(&from.parent().unwrap_or(from).join(module)));
        let is_named = base.extension().is_some_and(|ending| SCRIPT_ENDINGS.iter().any(|known| known[1..] == *ending));
        let exact = is_named.then(|| base.clone());
        let bases = [Some(base.clone()), source, Some(base.join("index"))];
        let endings =
            bases.into_iter().flatten().flat_map(|base| SCRIPT_ENDINGS.map(|ending| with_ending(&base, ending)));
        self.first_existing(exact.into_iter().chain(endings))
    }

    /// The folder of a package, whose path begins with the name of the module that the nearest `go.mod` gives.
    fn go(&self, from: &Path, package: &str) -> Option<PathBuf> {
        let root = from.ancestors().skip(1).take(MOST_FOLDERS).find(|folder| folder.join("go.mod").is_file())?;
        let file = root.join("go.mod");
        if file.metadata().ok()?.len() > MAX_GO_MOD_BYTES {
            return None;
        }
        let text = std::fs::read_to_string(file).ok()?;
        let name = text.lines().find_map(|line| line.trim().strip_prefix("module "))?.trim();
        let below = package.strip_prefix(name)?.strip_prefix('/')?;
        Some(root.join(below))
    }

    /// The file of the class `name` of the package `package`.
    pub(super) fn java(&self, from: &Path, package: &str, name: &str) -> Option<PathBuf> {
        let relative: PathBuf = package.split('.').chain([&*format!("{name}.java")]).collect();
        self.first_existing(from.ancestors().skip(1).take(MOST_FOLDERS).map(|folder| folder.join(&relative)))
    }

    /// The file of the module that `path` leads to from the file at `from`, from `inner` modules within that file.
    pub(super) fn rust(&self, from: &Path, path: &[&str], inner: usize) -> Option<PathBuf> {
        self.rust_within(from, path, inner, MOST_IMPORTS)
    }

    /// The same, through at most `steps` imports.
    fn rust_within(&self, from: &Path, path: &[&str], inner: usize, steps: usize) -> Option<PathBuf> {
        let (mut file, mut inner, mut rest) = (from.to_owned(), inner, path);
        match path.first()? {
            &"crate" => {
                file = self.crate_root(from)?;
                (inner, rest) = (0, &path[1..]);
            }
            &"self" => rest = &path[1..],
            &"super" => {}
            first => {
                if let Some(origin) = self.names(from)?.binding(first)?.origin.as_ref() {
                    let path = imported(origin, path);
                    return self.rust_within(from, &path, inner, steps.checked_sub(1)?);
                }
            }
        }
        for name in rest {
            file = match (*name, inner) {
                ("super", 0) => self.rust_parent(&file)?,
                ("super", _) => {
                    inner -= 1;
                    continue;
                }
                // Modules within a file are not followed.
                (_, 1..) => return None,
                (name, 0) => {
                    let folder = module_folder(&file)?;
                    let names = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
                    self.first_existing(names.into_iter())?
                }
            };
        }
        (inner == 0).then_some(file)
    }

    fn crate_root(&self, from: &Path) -> Option<PathBuf> {
        let roots = |folder: &Path| [folder.join("lib.rs"), folder.join("main.rs")];
        self.first_existing(from.ancestors().skip(1).take(MOST_FOLDERS).flat_map(roots))
    }

    fn rust_parent(&self, file: &Path) -> Option<PathBuf> {
        // The folder in which the file's module is declared.
        let stem = file.file_stem()?;
        let folder = if stem == "mod" { file.parent()?.parent()? } else { file.parent()? };
        let outside = folder.file_name().map(|name| folder.with_file_name(name).with_extension("rs"));
        let candidates =
            [Some(folder.join("mod.rs")), outside, Some(folder.join("lib.rs")), Some(folder.join("main.rs"))];
        self.first_existing(candidates.into_iter().flatten().filter(|candidate| candidate != file))
    }
}

/// `path`, whose first name is what `origin` brings in, in the words of the import.
fn imported<'a>(origin: &'a Origin, path: &[&'a str]) -> Vec<&'a str> {
    let module = origin.module.split("::").filter(|part| !part.is_empty());
    module.chain(origin.name.as_deref()).chain(path[1..].iter().copied()).collect()
}

/// The file behind an open document; where none is known, what is shown as its path.
fn location_of(open: &OpenFile) -> Option<&Path> {
    open.file.as_deref().or(open.snapshot.path.as_deref())
}

/// Where the files of a module's modules are.
fn module_folder(file: &Path) -> Option<PathBuf> {
    let stem = file.file_stem()?;
    let folder = file.parent()?;
    Some(if stem == "lib" || stem == "main" || stem == "mod" { folder.to_owned() } else { folder.join(stem) })
}

/// `path` with `ending` behind its name, dots in which are part of it.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

/// `path` without `.` and `..`.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}
