//! The table of languages, one row each. A row is all that a language without a grammar needs.

use super::{Language, Modules, Quotes, TestModules, TestPlace};
use crate::syntax::grammar;

/// Strings in `"` and `'`.
const SINGLE: Quotes = Quotes { single: true, backtick: false };
/// Strings in `"`, `'` and `` ` ``.
const SCRIPT: Quotes = Quotes { single: true, backtick: true };

/// What opens a block nearly everywhere.
const BRACKETS: &[&str] = &["{", "(", "[", "=>", "->"];
/// Where a colon does too.
const BRACKETS_OR_COLON: &[&str] = &["{", "(", "[", "=>", "->", ":"];

/// What begins a comment that may go over lines, where nothing else is said: a language may be embedded in another one.
const ANY_COMMENT: &[&str] = &["/*", "<!--", "{/*"];

const RUST_TESTS: TestPlace = TestPlace::Module(&TestModules {
    names: &["tests", "test"],
    files: &["{module}.rs", "{module}/mod.rs"],
    root_files: &["lib", "main", "mod", "build"],
    root_folders: &["bin", "tests", "examples", "benches"],
    test_file_ending: "_tests",
    test_folder: "tests",
});

/// Tests beside the code, in a file whose name begins with `test_`.
const TEST_FILE: TestPlace =
    TestPlace::File { names: &["test_{stem}{ext}", "{stem}_test{ext}", "tests/test_{stem}{ext}"], layout: None };

const PYTHON_TESTS: TestPlace = TestPlace::File {
    names: &[
        "test_{stem}.py",
        "{stem}_test.py",
        "tests/test_{stem}.py",
        "tests/{stem}_test.py",
        "test/test_{stem}.py",
        "../tests/test_{stem}.py",
        "../test/test_{stem}.py",
        "../../tests/test_{stem}.py",
        "../../test/test_{stem}.py",
    ],
    layout: None,
};

const SCRIPT_TESTS: TestPlace = TestPlace::File {
    names: &[
        "{stem}.test{ext}",
        "{stem}.spec{ext}",
        "{stem}-test{ext}",
        "__tests__/{stem}.test{ext}",
        "__tests__/{stem}.spec{ext}",
        "__tests__/{stem}{ext}",
        "../__tests__/{stem}.test{ext}",
        "../__tests__/{stem}{ext}",
        "../test/{stem}.test{ext}",
        "../tests/{stem}.test{ext}",
        "../test/{stem}{ext}",
    ],
    layout: None,
};

const JAVA_TESTS: TestPlace = TestPlace::File {
    names: &["{stem}Test.java", "{stem}Tests.java", "Test{stem}.java", "{stem}IT.java"],
    layout: Some(("src/main", "src/test")),
};

const C_TESTS: TestPlace = TestPlace::File {
    names: &[
        "test_{stem}.c",
        "{stem}_test.c",
        "{stem}Test.c",
        "tests/test_{stem}.c",
        "test/test_{stem}.c",
        "../tests/test_{stem}.c",
        "../test/test_{stem}.c",
        "../tests/{stem}_test.c",
        "../test/{stem}_test.c",
    ],
    layout: None,
};

const CPP_TESTS: TestPlace = TestPlace::File {
    names: &[
        "{stem}_test.cpp",
        "{stem}_test.cc",
        "{stem}_unittest.cc",
        "{stem}Test.cpp",
        "test_{stem}.cpp",
        "test_{stem}.cc",
        "tests/{stem}_test.cpp",
        "tests/test_{stem}.cpp",
        "test/{stem}_test.cpp",
        "test/test_{stem}.cpp",
        "../tests/{stem}_test.cpp",
        "../tests/test_{stem}.cpp",
        "../test/{stem}_test.cpp",
        "../test/test_{stem}.cpp",
    ],
    layout: None,
};

/// A language that is code, known by name.
const fn code(
    id: &'static str,
    aliases: &'static [&'static str],
    extensions: &'static [&'static str],
    line_comment: &'static str,
) -> Language {
    Language {
        id,
        aliases,
        name: id,
        family: id,
        extensions,
        line_comment,
        block_comments: ANY_COMMENT,
        is_prose: false,
        has_fences: false,
        block_openers: BRACKETS,
        quotes: Quotes { single: false, backtick: false },
        dots_are_code: false,
        has_overloads: false,
        file_is_class: false,
        groups_imports: false,
        blank_lines: 1,
        program_start: None,
        tests: TEST_FILE,
        modules: Modules::Unknown,
        has_declared_members: true,
        grammar: None,
    }
}

/// One that is written in sentences.
const fn prose(id: &'static str, aliases: &'static [&'static str], extensions: &'static [&'static str]) -> Language {
    Language { is_prose: true, ..code(id, aliases, extensions, "") }
}

/// One that is written in sentences and holds fenced code. Towards the model it is Markdown.
const fn markdown(id: &'static str, aliases: &'static [&'static str], extensions: &'static [&'static str]) -> Language {
    Language { name: "markdown", has_fences: true, ..prose(id, aliases, extensions) }
}

/// What is assumed about a language that has no row.
pub static UNKNOWN: Language = code("", &[], &[], "");

/// Every language phi-ls knows by name; those with a grammar first.
pub static LANGUAGES: &[Language] = &[
    Language {
        block_comments: &["/*"],
        tests: RUST_TESTS,
        modules: Modules::Rust,
        grammar: Some(&grammar::RUST),
        ..code("rust", &["rs"], &["rs"], "//")
    },
    Language {
        block_comments: &[],
        quotes: SINGLE,
        block_openers: BRACKETS_OR_COLON,
        dots_are_code: true,
        blank_lines: 2,
        program_start: Some("if __name__ "),
        tests: PYTHON_TESTS,
        modules: Modules::Python,
        has_declared_members: false,
        grammar: Some(&grammar::PYTHON),
        ..code("python", &["py", "python3"], &["py", "pyi", "pyw"], "#")
    },
    Language {
        quotes: SCRIPT,
        tests: SCRIPT_TESTS,
        modules: Modules::Script,
        has_declared_members: false,
        grammar: Some(&grammar::JAVASCRIPT),
        ..code("javascript", &["js", "node"], &["js", "mjs", "cjs"], "//")
    },
    Language {
        name: "jsx",
        family: "javascript",
        quotes: SCRIPT,
        tests: SCRIPT_TESTS,
        modules: Modules::Script,
        has_declared_members: false,
        grammar: Some(&grammar::JAVASCRIPT),
        ..code("javascriptreact", &["jsx", "javascript.jsx"], &["jsx"], "//")
    },
    Language {
        family: "javascript",
        quotes: SCRIPT,
        has_overloads: true,
        tests: SCRIPT_TESTS,
        modules: Modules::Script,
        grammar: Some(&grammar::TYPESCRIPT),
        ..code("typescript", &["ts"], &["ts", "mts", "cts"], "//")
    },
    Language {
        name: "tsx",
        family: "javascript",
        quotes: SCRIPT,
        has_overloads: true,
        tests: SCRIPT_TESTS,
        modules: Modules::Script,
        grammar: Some(&grammar::TSX),
        ..code("typescriptreact", &["tsx", "typescript.tsx"], &["tsx"], "//")
    },
    Language {
        block_comments: &["/*"],
        quotes: Quotes { single: false, backtick: true },
        groups_imports: true,
        tests: TestPlace::File { names: &["{stem}_test.go"], layout: None },
        modules: Modules::Go,
        grammar: Some(&grammar::GO),
        ..code("go", &["golang"], &["go"], "//")
    },
    // Macros of test frameworks look like functions that share a name.
    Language {
        block_comments: &["/*"],
        has_overloads: true,
        tests: C_TESTS,
        modules: Modules::C,
        grammar: Some(&grammar::C),
        ..code("c", &[], &["c", "h"], "//")
    },
    Language {
        block_comments: &["/*"],
        family: "c",
        has_overloads: true,
        tests: CPP_TESTS,
        modules: Modules::Cpp,
        grammar: Some(&grammar::CPP),
        ..code("cpp", &["c++"], &["cpp", "cc", "cxx", "hpp", "hh", "hxx", "ipp"], "//")
    },
    Language {
        block_comments: &["/*"],
        has_overloads: true,
        file_is_class: true,
        tests: JAVA_TESTS,
        modules: Modules::Java,
        grammar: Some(&grammar::JAVA),
        ..code("java", &[], &["java"], "//")
    },
    // Sentences.
    markdown("markdown", &["md", "pandoc", "vimwiki", "telekasten"], &["md", "markdown", "mdown"]),
    markdown("quarto", &["qmd"], &["qmd"]),
    markdown("rmd", &["rmarkdown"], &["Rmd", "rmd"]),
    markdown("mdx", &["markdown.mdx"], &["mdx"]),
    markdown("myst", &["markdown.myst"], &[]),
    Language { has_fences: true, ..prose("org", &["orgmode"], &["org"]) },
    Language { has_fences: true, ..prose("typst", &["typ"], &["typ"]) },
    Language { has_fences: true, ..prose("djot", &[], &["dj"]) },
    Language { name: "text", ..prose("plaintext", &["text", "txt"], &["txt"]) },
    Language {
        name: "text",
        ..prose(
            "git-commit",
            &["gitcommit", "scminput", "NeogitCommitMessage", "jjdescription", "jj-commit", "hgcommit"],
            &[],
        )
    },
    Language { name: "text", ..prose("mail", &["email", "eml"], &["eml"]) },
    Language { name: "text", ..prose("vimhelp", &["help", "vimdoc"], &[]) },
    Language { name: "rst", ..prose("restructuredtext", &["rst"], &["rst"]) },
    prose("latex", &["tex", "plaintex", "context"], &["tex", "sty", "cls"]),
    prose("asciidoc", &["asciidoctor", "adoc"], &["adoc", "asciidoc"]),
    prose("norg", &["neorg"], &["norg"]),
    prose("textile", &[], &["textile"]),
    prose("mediawiki", &["wikitext"], &["mediawiki", "wiki"]),
    prose("fountain", &[], &["fountain"]),
    prose("rdoc", &[], &["rdoc"]),
    // Code.
    code("html", &["htm", "xhtml"], &["html", "htm", "xhtml"], ""),
    code("xml", &["xsl", "xsd", "svg"], &["xml", "xsd", "xsl", "svg"], ""),
    Language { quotes: SCRIPT, ..code("vue", &[], &["vue"], "//") },
    Language { quotes: SCRIPT, ..code("svelte", &[], &["svelte"], "//") },
    Language { quotes: SCRIPT, ..code("astro", &[], &["astro"], "//") },
    code("handlebars", &["html.handlebars", "hbs", "mustache"], &["hbs", "mustache"], ""),
    code("jinja", &["htmldjango", "django-html", "jinja-html", "jinja2"], &["jinja", "j2"], ""),
    code("erb", &["eruby", "html.erb"], &["erb"], ""),
    code("blade", &[], &[], ""),
    code("razor", &["aspnetcorerazor", "cshtml"], &["cshtml", "razor"], ""),
    Language { quotes: SINGLE, ..code("pug", &["jade"], &["pug"], "//") },
    Language { quotes: SINGLE, ..code("haml", &[], &["haml"], "-#") },
    Language { quotes: SINGLE, ..code("css", &[], &["css"], "") },
    Language { quotes: SINGLE, ..code("scss", &[], &["scss"], "//") },
    Language { quotes: SINGLE, ..code("sass", &[], &["sass"], "//") },
    Language { quotes: SINGLE, ..code("less", &[], &["less"], "//") },
    Language { quotes: SINGLE, ..code("stylus", &[], &["styl"], "//") },
    code("json", &[], &["json"], ""),
    Language { name: "json", ..code("jsonc", &["json with comments"], &["jsonc"], "//") },
    Language { name: "json", quotes: SINGLE, ..code("json5", &[], &["json5"], "//") },
    code("jsonl", &["ndjson"], &["jsonl", "ndjson"], ""),
    Language {
        quotes: SINGLE,
        block_openers: BRACKETS_OR_COLON,
        dots_are_code: true,
        ..code("yaml", &["yml", "dockercompose", "github-actions-workflow"], &["yaml", "yml"], "#")
    },
    Language { quotes: SINGLE, ..code("toml", &[], &["toml"], "#") },
    code("ini", &["dosini", "cfg", "gitconfig", "systemd", "editorconfig"], &["ini", "cfg"], ";"),
    code("properties", &["jproperties", "java-properties"], &["properties"], "#"),
    code("dotenv", &["env"], &[], "#"),
    code("ignore", &["gitignore"], &[], "#"),
    code("git-rebase", &["gitrebase"], &[], "#"),
    code("diff", &["patch", "git"], &["diff", "patch"], ""),
    Language {
        name: "bash",
        quotes: SINGLE,
        ..code("shellscript", &["sh", "bash", "zsh", "ksh"], &["sh", "bash", "zsh"], "#")
    },
    Language { quotes: SINGLE, ..code("fish", &[], &["fish"], "#") },
    Language { quotes: SINGLE, ..code("nushell", &["nu"], &["nu"], "#") },
    Language { quotes: SINGLE, ..code("powershell", &["ps1", "pwsh"], &["ps1", "psm1"], "#") },
    code("bat", &["dosbatch", "batch", "cmd"], &["bat", "cmd"], "REM"),
    Language { quotes: SINGLE, ..code("dockerfile", &["docker", "containerfile"], &["dockerfile"], "#") },
    code("makefile", &["make", "gnumake"], &["mk"], "#"),
    code("just", &["justfile"], &["just"], "#"),
    code("cmake", &[], &["cmake"], "#"),
    Language { quotes: SINGLE, ..code("meson", &[], &[], "#") },
    code("terraform", &["terraform-vars", "tf", "opentofu"], &["tf", "tfvars"], "#"),
    code("hcl", &[], &["hcl"], "#"),
    Language {
        quotes: SINGLE,
        block_openers: BRACKETS_OR_COLON,
        ..code("starlark", &["bzl", "bazel"], &["bzl", "star"], "#")
    },
    Language { quotes: SINGLE, ..code("nix", &[], &["nix"], "#") },
    Language { quotes: SINGLE, ..code("sql", &["mysql", "plsql", "pgsql", "postgres", "sqlite"], &["sql"], "--") },
    Language { quotes: SINGLE, ..code("graphql", &["gql"], &["graphql", "gql"], "#") },
    Language { quotes: SINGLE, ..code("proto", &["protobuf", "proto3"], &["proto"], "//") },
    code("prisma", &[], &["prisma"], "//"),
    Language { has_overloads: true, ..code("csharp", &["cs", "c#"], &["cs"], "//") },
    code("fsharp", &["f#"], &["fs", "fsi", "fsx"], "//"),
    code("vb", &["vbnet"], &["vb"], "'"),
    Language { quotes: SINGLE, ..code("ruby", &["rb"], &["rb", "rake", "gemspec"], "#") },
    Language { quotes: SINGLE, ..code("crystal", &[], &["cr"], "#") },
    Language { quotes: SINGLE, ..code("php", &[], &["php"], "//") },
    Language { quotes: SINGLE, ..code("hack", &[], &["hack"], "//") },
    Language { quotes: SINGLE, dots_are_code: true, ..code("perl", &["perl5"], &["pl", "pm"], "#") },
    Language { quotes: SINGLE, dots_are_code: true, ..code("raku", &["perl6"], &["raku"], "#") },
    Language { quotes: SINGLE, ..code("lua", &["luau"], &["lua", "luau"], "--") },
    Language { quotes: SINGLE, ..code("r", &["rlang"], &["r", "R"], "#") },
    code("julia", &["jl"], &["jl"], "#"),
    Language { quotes: SINGLE, ..code("matlab", &["octave"], &[], "%") },
    Language { quotes: SINGLE, ..code("dart", &["flutter"], &["dart"], "//") },
    Language { has_overloads: true, ..code("kotlin", &["kt"], &["kt", "kts"], "//") },
    Language { has_overloads: true, ..code("scala", &[], &["scala", "sc"], "//") },
    Language {
        quotes: SINGLE,
        has_overloads: true,
        ..code("groovy", &["gradle", "jenkinsfile"], &["groovy", "gradle"], "//")
    },
    Language { has_overloads: true, ..code("swift", &[], &["swift"], "//") },
    Language { name: "objectivec", ..code("objective-c", &["objc", "objectivec"], &["m"], "//") },
    Language { name: "objectivec", ..code("objective-cpp", &["objcpp"], &["mm"], "//") },
    Language { name: "cuda", has_overloads: true, ..code("cuda-cpp", &["cuda"], &["cu", "cuh"], "//") },
    code("zig", &[], &["zig"], "//"),
    code("d", &[], &["d"], "//"),
    code("v", &["vlang"], &["vv"], "//"),
    code("odin", &[], &["odin"], "//"),
    code("haskell", &["hs", "lhaskell"], &["hs"], "--"),
    code("ocaml", &["ml", "ocaml.interface", "ocamlinterface"], &["ml", "mli"], ""),
    code("elm", &[], &["elm"], "--"),
    Language { quotes: SINGLE, ..code("purescript", &[], &["purs"], "--") },
    Language { quotes: SINGLE, ..code("elixir", &["ex", "eelixir", "heex"], &["ex", "exs"], "#") },
    Language { quotes: SINGLE, ..code("erlang", &[], &["erl", "hrl"], "%") },
    code("gleam", &[], &["gleam"], "//"),
    code("clojure", &["clj"], &["clj", "cljs", "cljc", "edn"], ";"),
    code("lisp", &["commonlisp", "common-lisp"], &["lisp", "cl"], ";"),
    code("emacs-lisp", &["elisp"], &["el"], ";"),
    code("scheme", &[], &["scm", "ss"], ";"),
    code("racket", &[], &["rkt"], ";"),
    Language { quotes: SINGLE, block_openers: BRACKETS_OR_COLON, ..code("gdscript", &["gd"], &["gd"], "#") },
    Language { quotes: SINGLE, block_openers: BRACKETS_OR_COLON, ..code("nim", &[], &["nim"], "#") },
    Language {
        quotes: SINGLE,
        block_openers: BRACKETS_OR_COLON,
        dots_are_code: true,
        ..code("cython", &["pyrex"], &["pyx", "pxd"], "#")
    },
    Language { quotes: SINGLE, ..code("coffeescript", &["coffee"], &["coffee"], "#") },
    Language { quotes: SINGLE, ..code("solidity", &["sol"], &["sol"], "//") },
    code("glsl", &[], &["glsl", "vert", "frag"], "//"),
    code("hlsl", &[], &["hlsl"], "//"),
    code("wgsl", &[], &["wgsl"], "//"),
    code("asm", &["nasm", "assembly", "masm"], &["asm", "s", "S"], ";"),
    code("verilog", &[], &["vh"], "//"),
    code("systemverilog", &[], &["sv", "svh"], "//"),
    code("vhdl", &[], &["vhd", "vhdl"], "--"),
    Language { quotes: SINGLE, ..code("fortran", &["fortran-modern", "fortranfreeform"], &["f90", "f95"], "!") },
    Language { quotes: SINGLE, ..code("pascal", &["delphi", "objectpascal"], &["pas"], "//") },
    code("ada", &[], &["adb", "ads"], "--"),
    Language { quotes: SINGLE, ..code("cobol", &[], &["cob", "cbl"], "*>") },
    Language { quotes: SINGLE, ..code("viml", &["vim"], &["vim"], "\"") },
    Language { quotes: SINGLE, ..code("tcl", &[], &["tcl"], "#") },
    Language { quotes: SINGLE, ..code("awk", &[], &["awk"], "#") },
    code("bibtex", &["bib"], &["bib"], "%"),
    code("query", &[], &[], ";"),
    code("log", &[], &["log"], ""),
];
