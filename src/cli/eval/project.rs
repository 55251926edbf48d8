//! A project that holes are cut in: its source files, and which names each of them defines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::syntax::{Language, Parsed, language_for};
use crate::text::{Rope, with_line_feeds};
use crate::workspace::Workspaces;

/// Larger files, and files with a longer average line, are rarely written by hand.
const LARGEST_FILE: u64 = 200 << 10;
const MAX_MEAN_LINE: usize = 120;

/// A folder that is opened as a workspace.
pub(super) struct Project {
    /// Its name in reports.
    pub(super) name: String,
    pub(super) root: PathBuf,
    pub(super) files: Vec<SourceFile>,
    /// The language of the files with holes; `None` for all languages.
    language: Option<&'static Language>,
    /// The files that define a name, by the language's family and the name.
    definitions: BTreeMap<(&'static str, String), Vec<usize>>,
}

pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    /// The path from the root, with forward slashes.
    pub(super) shown: String,
    pub(super) language: &'static Language,
    pub(super) text: String,
    pub(super) parsed: Parsed,
}

impl Project {
    /// Reads the project in `root`. If there is a `language`, holes are cut only in its files.
    pub(super) fn read(name: &str, root: &Path, language: Option<&str>) -> anyhow::Result<Self> {
        let shown = root.display();
        let parsed = |name: &str| Language::by_id(name).filter(|language| language.has_grammar());
        let language = match language {
            Some(name) => Some(parsed(name).with_context(|| format!("phi-ls has no grammar for `{name}`"))?),
            None => None,
        };
        std::fs::read_dir(root).with_context(|| format!("cannot read the folder {shown}"))?;
        let workspaces = Workspaces::new(&[root.to_owned()], &[]);
        // Without symbolic links, like the paths of the files below it.
        let root = workspaces.roots().next().unwrap_or(root).to_owned();
        let mut paths: Vec<PathBuf> = workspaces.walk(&root).flatten().collect();
        paths.sort();
        let files: Vec<SourceFile> = paths.into_iter().filter_map(|path| SourceFile::read(path, &root)).collect();
        let mut definitions: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            for item in file.parsed.items(0..file.text.len()) {
                let name = file.text[item.name].to_owned();
                let defining = definitions.entry((file.language.family, name)).or_default();
                if defining.last() != Some(&index) {
                    defining.push(index);
                }
            }
        }
        let project = Self { name: name.to_owned(), root, files, language, definitions };
        if !project.files.iter().any(|file| project.has_holes_in(file.language)) {
            let language = language.map_or("a language phi-ls has a grammar for", |language| language.name);
            bail!("expected source files of {language} in {shown}, found none that may enter a prompt");
        }
        Ok(project)
    }

    /// The language of most files with holes.
    pub(super) fn main_language(&self) -> &'static str {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for file in self.files.iter().filter(|file| self.has_holes_in(file.language)) {
            *counts.entry(file.language.id).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map_or("", |(language, _)| language)
    }

    /// Whether holes are cut in files of `language`.
    pub(super) fn has_holes_in(&self, language: &Language) -> bool {
        self.language.is_none_or(|wanted| wanted.id == language.id)
    }

    /// The files that define `name` in languages that share code with `language`.
    pub(super) fn defining(&self, name: &str, language: &Language) -> &[usize] {
        self.definitions.get(&(language.family, name.to_owned())).map_or(&[], Vec::as_slice)
    }
}

impl SourceFile {
    /// Reads a file; `None` if people have hardly written it by hand.
    fn read(path: PathBuf, root: &Path) -> Option<Self> {
        let language = language_for("", Some(&path)).filter(|language| language.has_grammar())?;
        if path.metadata().ok()?.len() > LARGEST_FILE {
            return None;
        }
        let text = with_line_feeds(std::fs::read_to_string(&path).ok()?);
        if text.len() > MAX_MEAN_LINE * text.lines().count() {
            return None;
        }
        let parsed = Parsed::parse(language, &Rope::from_str(&text))?;
        let relative = path.strip_prefix(root).unwrap_or(&path);
        let shown = relative.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        Some(Self { path, shown, language, text, parsed })
    }
}
