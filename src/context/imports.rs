//! Which files the imports of a document mean, judged by their words only: the resolution rules of languages are not
//! implemented here.

use std::collections::HashSet;
use std::path::Path;

use crate::syntax::Parsed;

/// Files that represent their folder.
const FOLDER_FILES: [&str; 5] = ["mod", "index", "__init__", "lib", "main"];

/// How near a file is to a document; later ones are nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nearness {
    Elsewhere,
    SameFolder,
    /// An import names the file or its folder.
    Imported,
    /// One import names the file or its folder, and what is looked for.
    NameImported,
}

/// The words of a document's imports.
pub(super) struct Imports {
    /// One set an import.
    words: Vec<HashSet<String>>,
    folder: Option<std::path::PathBuf>,
}

impl Imports {
    /// Of the document `parsed`, which is shown as `path`.
    pub(super) fn of(parsed: &Parsed, path: Option<&Path>) -> Self {
        let words = |text: String| text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_string).collect();
        Self {
            words: parsed.imports().into_iter().map(|range| words(parsed.slice(range))).collect(),
            folder: path.and_then(Path::parent).map(Path::to_path_buf),
        }
    }

    /// Every word of every import.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().flatten().map(String::as_str)
    }

    /// How near the file at `path` (shown as the document's is) is when `name` is looked for.
    pub(super) fn nearness(&self, path: &Path, name: &str) -> Nearness {
        let folder = path.parent();
        let folder_name = folder.and_then(Path::file_name).and_then(|name| name.to_str());
        let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| !FOLDER_FILES.contains(stem));
        let labels = [stem, folder_name];
        let named = |words: &&HashSet<String>| labels.iter().flatten().any(|label| words.contains(*label));
        let naming: Vec<_> = self.words.iter().filter(named).collect();
        if naming.iter().any(|words| words.contains(name)) {
            Nearness::NameImported
        } else if !naming.is_empty() {
            Nearness::Imported
        } else if self.folder.is_some() && self.folder.as_deref() == folder {
            Nearness::SameFolder
        } else {
            Nearness::Elsewhere
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Language;
    use crate::text::Rope;

    fn check(language: &str, imports: &str, path: &str, name: &str, expected: Nearness) {
        let language = Language::by_id(language).expect("a known language");
        let parsed = Parsed::parse(language, &Rope::from_str(imports)).expect("a small text parses");
        let imports = Imports::of(&parsed, Some(Path::new("src/app/here")));
        assert_eq!(imports.nearness(Path::new(path), name), expected, "{path}");
    }

    #[test]
    fn imports_name_files_and_what_is_in_them() {
        use Nearness::{Elsewhere, Imported, NameImported, SameFolder};
        let rust = "use crate::shapes::{area, Shape};\nuse crate::text;\n";
        check("rust", rust, "src/shapes.rs", "area", NameImported);
        check("rust", rust, "src/shapes/mod.rs", "Shape", NameImported);
        check("rust", rust, "src/shapes/round.rs", "Shape", NameImported);
        check("rust", rust, "src/shapes.rs", "other", Imported);
        check("rust", rust, "src/text.rs", "line", Imported);
        check("rust", rust, "src/app/other.rs", "line", SameFolder);
        check("rust", rust, "src/other.rs", "area", Elsewhere);
        check("python", "from .shapes import area\n", "src/app/shapes.py", "area", NameImported);
        check("typescript", "import { area } from '../lib/shapes';\n", "src/lib/shapes.ts", "area", NameImported);
        check("typescript", "import * as shapes from './shapes';\n", "src/shapes/index.ts", "area", Imported);
        check("go", "package a\nimport \"example.com/x/shapes\"\n", "shapes/round.go", "Area", Imported);
        check("c", "#include \"shapes.h\"\n", "lib/shapes.c", "area", Imported);
    }
}
