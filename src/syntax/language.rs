//! Languages: which names mean the same one, and what is known of it. All of it is one table; code elsewhere asks the row
//! and never compares names.

mod table;

use std::path::Path;

use super::grammar::Grammar;

pub use table::{LANGUAGES, UNKNOWN};

/// One row of the language table.
#[derive(Clone, Copy)]
pub struct Language {
    /// The LSP `languageId`, as VS Code has it.
    pub id: &'static str,
    /// Its other names: Neovim's filetypes, those of other editors, and those in code fences.
    pub aliases: &'static [&'static str],
    /// The name used in prompts and code fences.
    pub name: &'static str,
    /// Languages of one family can use each other's code.
    pub family: &'static str,
    pub extensions: &'static [&'static str],
    /// What begins a comment that ends with its line; empty where there is none.
    pub line_comment: &'static str,
    /// What begins a comment that may go over lines.
    pub block_comments: &'static [&'static str],
    /// It is prose rather than code.
    pub is_prose: bool,
    /// Its texts contain code fences, so fences around them have to be longer.
    pub has_fences: bool,
    /// What opens a block at the end of a line.
    pub block_openers: &'static [&'static str],
    pub quotes: Quotes,
    /// A line of three dots is code, not a placeholder for code that was left out.
    pub dots_are_code: bool,
    /// Functions that differ only in their parameters may share a name.
    pub has_overloads: bool,
    /// A file holds one class and is called as that is.
    pub file_is_class: bool,
    /// Imports stand in groups: what is imported in any of them is known.
    pub groups_imports: bool,
    /// Blank lines between two functions at the left margin.
    pub blank_lines: usize,
    /// How the lines begin that run a file as a program, at its end.
    pub program_start: Option<&'static str>,
    pub tests: TestPlace,
    /// How its files name each other.
    pub modules: Modules,
    /// What has members declares them all: none is made by an assignment.
    pub has_declared_members: bool,
    /// `None`: known by name only.
    pub(super) grammar: Option<&'static Grammar>,
}

/// Which quotes hold strings in a language, besides `"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quotes {
    /// `'` opens strings of any length; otherwise it only encloses a single character (and is a lifetime, an apostrophe).
    pub single: bool,
    pub backtick: bool,
}

/// How the files of a language name each other, and what is reached through a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modules {
    Unknown,
    /// `a.b` is the file `a/b.py` or `a/b/__init__.py`, below the folder of one that is above.
    Python,
    /// `crate::a::b` is the file `a/b.rs` or `a/b/mod.rs` below the folder of `lib.rs` or `main.rs`.
    Rust,
    /// `./a` is the file `a.ts`, or another one of that stem, or `a/index.ts`.
    Script,
    /// All files of a folder are one.
    Go,
    /// `a.B` is the file `a/B.java`; those of a folder know each other.
    Java,
    /// Files take in the text of others.
    C,
    /// The same. Which of its files are those of another language, their names do not say.
    Cpp,
}

impl Modules {
    /// What an import of `module` brings in that says no more: the name, and of which module it is what.
    pub(super) fn bound_by(self, module: &str) -> (String, String, Option<String>) {
        match self {
            Self::Python => {
                let first = module.split('.').next().unwrap_or_default().to_owned();
                (first.clone(), first, None)
            }
            Self::Java => {
                let (folder, class) = module.rsplit_once('.').unwrap_or(("", module));
                (class.to_owned(), folder.to_owned(), Some(class.to_owned()))
            }
            _ => (module.rsplit('/').next().unwrap_or_default().to_owned(), module.to_owned(), None),
        }
    }

    /// The words that stand for the value whose members the code around is part of.
    pub fn own_value(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["self", "cls"],
            Self::Rust => &["self"],
            Self::Script | Self::Java | Self::C | Self::Cpp => &["this"],
            Self::Go | Self::Unknown => &[],
        }
    }
}

/// Where the tests of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestPlace {
    /// In a module at its end, or in the file which that module names.
    Module(&'static TestModules),
    /// In a file of their own, the first of these that exists. A new one is made as the first says; where `layout` names two
    /// folders (`src/main`, `src/test`) and the file is below the one, in the other.
    ///
    /// Names are relative to the file's folder; `{stem}` and `{ext}` stand for the file's own.
    File { names: &'static [&'static str], layout: Option<(&'static str, &'static str)> },
}

/// How a language keeps tests in modules.
#[derive(Debug, PartialEq, Eq)]
pub struct TestModules {
    /// What such a module is called; the first is what a new one is called.
    pub names: &'static [&'static str],
    /// The files of a module that is declared without a body, below the folder of the file that declares it.
    pub files: &'static [&'static str],
    /// Files, by their stems, and folders of files whose modules stand beside them instead of in a folder of their name.
    pub root_files: &'static [&'static str],
    pub root_folders: &'static [&'static str],
    /// Files of tests, by how their stems end, and folders of such.
    pub test_file_ending: &'static str,
    pub test_folder: &'static str,
}

impl Language {
    /// The row of the language that is called `name`, by any of its names; `python.django` is Python, as Neovim means it.
    pub fn by_id(name: &str) -> Option<&'static Language> {
        let called = |name: &str| LANGUAGES.iter().find(|language| language.is_called(name));
        called(name).or_else(|| called(name.split_once('.')?.0))
    }

    /// The row a file name points to, by its extension; some systems write that in capitals.
    pub fn by_path(path: &Path) -> Option<&'static Language> {
        let extension = path.extension()?.to_str()?;
        let exact = LANGUAGES.iter().find(|language| language.extensions.contains(&extension));
        let is_it =
            |language: &&Language| language.extensions.iter().any(|known| known.eq_ignore_ascii_case(extension));
        exact.or_else(|| LANGUAGES.iter().find(is_it))
    }

    /// The rows that have a grammar: what can be parsed.
    pub fn parsed() -> impl Iterator<Item = &'static Language> {
        LANGUAGES.iter().filter(|language| language.grammar.is_some())
    }

    /// What begins a comment that ends with its line, where there is such.
    pub fn line_comment(&self) -> Option<&'static str> {
        Some(self.line_comment).filter(|comment| !comment.is_empty())
    }

    /// What begins a comment of either kind.
    pub fn comments(&self) -> impl Iterator<Item = &'static str> {
        self.line_comment().into_iter().chain(self.block_comments.iter().copied())
    }

    /// Whether `line` ends by opening a block: its body belongs on the next line.
    pub fn opens_block(&self, line: &str) -> bool {
        let line = line.trim_end();
        self.block_openers.iter().any(|opener| line.ends_with(opener))
    }

    pub fn has_grammar(&self) -> bool {
        self.grammar.is_some()
    }

    fn is_called(&self, name: &str) -> bool {
        self.names().any(|known| known.eq_ignore_ascii_case(name))
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.id).chain(self.aliases.iter().copied())
    }
}

impl std::fmt::Debug for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Language").field(&self.id).finish()
    }
}

/// The language of a document: its `languageId` counts, its file name where that says nothing.
pub fn language_for(language_id: &str, path: Option<&Path>) -> Option<&'static Language> {
    let said = Language::by_id(language_id);
    // Editors that do not know a language call it plain text.
    let by_path = || Language::by_path(path?).filter(|language| language.has_grammar() || said.is_none());
    said.filter(|language| language.id != "plaintext").or_else(by_path).or(said)
}

/// Every name of the language that is called `name`, that one first.
pub fn names_of(name: &str) -> impl Iterator<Item = &str> {
    let known = Language::by_id(name).into_iter().flat_map(Language::names);
    std::iter::once(name).chain(known.map(|known| -> &str { known }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn neovims_filetypes_and_vs_codes_ids_mean_the_same() {
        let pairs = [
            ("gitcommit", "git-commit"),
            ("gitrebase", "git-rebase"),
            ("sh", "shellscript"),
            ("bash", "shellscript"),
            ("zsh", "shellscript"),
            ("text", "plaintext"),
            ("rst", "restructuredtext"),
            ("tex", "latex"),
            ("plaintex", "latex"),
            ("qmd", "quarto"),
            ("Rmd", "rmd"),
            ("tsx", "typescriptreact"),
            ("typescript.tsx", "typescriptreact"),
            ("javascript.jsx", "javascriptreact"),
            ("jsx", "javascriptreact"),
            ("cs", "csharp"),
            ("make", "makefile"),
            ("dosbatch", "bat"),
            ("ps1", "powershell"),
            ("objc", "objective-c"),
            ("objcpp", "objective-cpp"),
            ("asciidoctor", "asciidoc"),
            ("eruby", "erb"),
            ("cuda", "cuda-cpp"),
            ("help", "vimhelp"),
            ("dosini", "ini"),
            ("python.django", "python"),
            ("yaml.docker-compose", "yaml"),
            ("typ", "typst"),
            ("mail", "mail"),
            ("scminput", "git-commit"),
        ];
        for (filetype, id) in pairs {
            let found = Language::by_id(filetype).map(|language| language.id);
            assert_eq!(found, Some(id), "{filetype}");
            assert!(names_of(filetype).any(|name| name == id), "{filetype}");
        }
        assert!(Language::by_id("unheard-of").is_none());
        assert_eq!(names_of("unheard-of").collect::<Vec<_>>(), ["unheard-of"]);
    }

    #[test]
    fn no_name_and_no_extension_means_two_languages() {
        let mut seen = BTreeMap::new();
        let names = |language: &'static Language| {
            let extensions = language.extensions.iter().map(|extension| format!(".{extension}"));
            language.names().map(str::to_lowercase).chain(extensions)
        };
        for (name, language) in LANGUAGES.iter().flat_map(|language| names(language).map(move |name| (name, language)))
        {
            let other = seen.insert(name.clone(), language.id);
            assert!(other.is_none(), "{name} is {other:?} and {}", language.id);
        }
    }

    #[test]
    fn prose_is_known_as_prose() {
        let prose = "gitcommit git-commit rst restructuredtext help mail text plaintext typst org tex latex markdown quarto \
                     rmd mdx asciidoc norg";
        for name in prose.split_whitespace() {
            assert!(Language::by_id(name).is_some_and(|language| language.is_prose), "{name}");
        }
        for name in ["rust", "yaml", "html", "sh", "gitrebase", "json"] {
            assert!(Language::by_id(name).is_some_and(|language| !language.is_prose), "{name}");
        }
    }

    #[test]
    fn plain_text_says_nothing_of_a_file_that_is_code() {
        let id = |language_id: &str, path: &str| language_for(language_id, Some(Path::new(path))).map(|found| found.id);
        assert_eq!(id("plaintext", "a.rs"), Some("rust"));
        assert_eq!(id("plaintext", "a.txt"), Some("plaintext"));
        assert_eq!(id("plaintext", "a.yml"), Some("plaintext"));
        assert_eq!(id("rust", "a.py"), Some("rust"));
        assert_eq!(id("", "a.yml"), Some("yaml"));
        assert_eq!(id("", "MAIN.PY"), Some("python"));
        assert_eq!(id("unheard-of", "a.py"), Some("python"));
        assert_eq!(id("unheard-of", "a.xyz"), None);
    }
}
