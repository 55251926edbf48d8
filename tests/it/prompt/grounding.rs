//! Questions with context from other files: which parts enter a prompt, from which of many candidates, and which never
//! do.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use phi_ls::config::Source;
use phi_ls::context::{
    Anchor, Bounds, ItemContext, ItemOptions, Limits, OpenFile, Surroundings, WorkspaceIndex, completion_context,
    item_context, known_names,
};
use phi_ls::prompt::explain_prompt;
use phi_ls::workspace::Workspaces;
use serde_json::{Value, json};

use crate::support::documents::{Lcg, snapshot};
use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::TestServer;

/// After this long, the index is considered to hang. No test waits this long unless something is wrong.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// The source of the other files in a test.
#[derive(Clone, Copy)]
enum Others {
    Open,
    OnDisk,
}

/// A folder with the files `texts`.
fn folder(texts: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in texts {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("has a folder")).expect("folder");
        std::fs::write(path, text).expect("file");
    }
    folder
}

fn indexed(root: &Path) -> Option<Arc<WorkspaceIndex>> {
    let index = WorkspaceIndex::new(Arc::new(Workspaces::new(&[root.to_owned()], &[])), Bounds::default());
    index.walk(&mut || true);
    Some(Arc::new(index))
}

/// The context of the item around `$0` in `marked`, with the other files `others`.
fn context(path: &str, marked: &str, others: &[(&str, &str)], place: Others, budget: usize) -> ItemContext {
    let offset = marked.find("$0").expect("a fixture marks the place with $0");
    let document = snapshot(path, &marked.replacen("$0", "", 1));
    let workspace = folder(others);
    let surroundings = match place {
        Others::OnDisk => Surroundings { index: indexed(workspace.path()), ..Surroundings::default() },
        Others::Open => {
            let open = others.iter().map(|(path, text)| OpenFile { file: None, snapshot: snapshot(path, text) });
            Surroundings { open: open.collect(), ..Surroundings::default() }
        }
    };
    let options = ItemOptions { budget, surroundings: &surroundings, with_callers: true };
    item_context(&document, offset..offset, None, &options)
}

/// Checks the context of an explanation, which must be the same from open documents and from the index.
fn check(path: &str, marked: &str, others: &[(&str, &str)], expected: Expect) {
    let said = |place| {
        let mut context = context(path, marked, others, place, 3000);
        if matches!(place, Others::OnDisk) {
            // The index does not contain uses of names.
            assert!(context.callers.iter().all(|caller| caller.path.is_none()), "{:?}", context.callers);
        }
        context.callers.clear();
        let prompt = explain_prompt(&context);
        let question = prompt.turns[1].text.clone();
        question.rsplit_once("\nExplain what").expect("the request").0.to_owned()
    };
    let from_open = said(Others::Open);
    assert_eq!(from_open, said(Others::OnDisk));
    expected.assert_eq(&from_open);
}

#[test]
fn rust_definitions_come_with_their_files() {
    let shapes = "/// A shape.\npub struct Shape {\n    sides: Vec<f64>,\n}\n\nimpl Shape {\n    /// All of them.\n    pub fn around(&self) -> f64 {\n        self.sides.iter().sum()\n    }\n\n    pub fn len(&self) -> usize {\n        self.sides.len()\n    }\n}\n";
    let text = "pub fn len(text: &str) -> usize {\n    text.len()\n}\n\npub fn pad(text: &str) -> String {\n    format!(\" {text}\")\n}\n";
    check(
        "src/main.rs",
        "use crate::shapes::Shape;\n\nconst LIMIT: usize = 3;\n\nfn show(shape: &Shape) -> String {\n    let names = Vec::new();\n    if names.len() > LIMIT {$0}\n    text::pad(&shape.around().to_string())\n}\n",
        &[("src/shapes.rs", shapes), ("src/text.rs", text), ("web/shapes.ts", "export class Shape {}\n")],
        expect![[r#"
            The file imports:
            ```rust
            use crate::shapes::Shape;
            ```

            The code uses:
            ```rust
            const LIMIT: usize = 3;
            ```

            The code uses, from `src/shapes.rs`:
            ```rust
            /// A shape.
            pub struct Shape {
                sides: Vec<f64>,
            }

            pub fn len(&self) -> usize {
                self.sides.len()
            }

            /// All of them.
            pub fn around(&self) -> f64 {
                self.sides.iter().sum()
            }
            ```

            The code uses, from `src/text.rs`:
            ```rust
            pub fn pad(text: &str) -> String {
                format!(" {text}")
            }
            ```

            This is the code from `src/main.rs`, line 5 on:
            ```rust
            fn show(shape: &Shape) -> String {
                let names = Vec::new();
                if names.len() > LIMIT {}
                text::pad(&shape.around().to_string())
            }
            ```
        "#]],
    );
}

#[test]
fn python_definitions_come_with_their_files() {
    let shapes = "import math\n\n\nclass Shape:\n    \"\"\"A shape.\"\"\"\n\n    def area(self):\n        return 0\n\n\ndef circle(radius):\n    return math.pi * radius ** 2\n";
    let other = "def circle(center, radius):\n    draw(center)\n\n\ndef scale(x, by=2):\n    return x * by\n";
    check(
        "app/main.py",
        "from .shapes import Shape, circle\n\n\ndef total(shape: Shape, radii):\n    return shape.area() + sum(circle(r) for r in radii)$0 + scale(1)\n",
        &[("app/shapes.py", shapes), ("app/draw.py", other)],
        expect![[r#"
            The file imports:
            ```python
            from .shapes import Shape, circle
            ```

            The code uses, from `app/shapes.py`:
            ```python
            class Shape:
                """A shape."""

                def area(self):
                    return 0

            def circle(radius):
                return math.pi * radius ** 2
            ```

            The code uses, from `app/draw.py`:
            ```python
            def scale(x, by=2):
                return x * by
            ```

            This is the code from `app/main.py`, line 4 on:
            ```python
            def total(shape: Shape, radii):
                return shape.area() + sum(circle(r) for r in radii) + scale(1)
            ```
        "#]],
    );
}

#[test]
fn typescript_definitions_come_with_their_files() {
    let shapes = "export interface Shape {\n  sides: number[];\n}\n\nexport const around = (shape: Shape): number => {\n  return shape.sides.reduce((a, b) => a + b, 0);\n};\n";
    let format = "// Two digits.\nexport function format(x) {\n  return x.toFixed(2);\n}\n";
    check(
        "src/main.ts",
        "import { Shape, around } from './shapes';\nimport * as text from './format';\n\nexport class View {\n  show(shape: Shape): string {\n    return text.format(around(shape))$0;\n  }\n}\n",
        &[("src/shapes.ts", shapes), ("src/format.js", format), ("lib/other.ts", "export function around() {}\n")],
        expect![[r#"
            The file imports:
            ```typescript
            import { Shape, around } from './shapes';
            import * as text from './format';
            ```

            The code uses, from `src/shapes.ts`:
            ```typescript
            export interface Shape {
              sides: number[];
            }

            export const around = (shape: Shape): number => {
              return shape.sides.reduce((a, b) => a + b, 0);
            };
            ```

            The code uses, from `src/format.js`:
            ```javascript
            // Two digits.
            export function format(x) {
              return x.toFixed(2);
            }
            ```

            The code is inside of:
            ```typescript
            class View
            ```

            This is the code from `src/main.ts`, line 5 on:
            ```typescript
              show(shape: Shape): string {
                return text.format(around(shape));
              }
            ```
        "#]],
    );
}

/// Paths and first lines of the code from other files.
fn shown(context: &ItemContext) -> Vec<String> {
    let first_line = |code: &str| code.lines().next().unwrap_or_default().to_owned();
    let shown = context.definitions_elsewhere.iter();
    shown.map(|found| format!("{}: {}", found.path.as_deref().unwrap_or("-"), first_line(&found.code))).collect()
}

fn check_shown(path: &str, marked: &str, others: &[(&str, &str)], expected: &[&str]) {
    for place in [Others::Open, Others::OnDisk] {
        assert_eq!(shown(&context(path, marked, others, place, 2000)), expected, "{marked}");
    }
}

#[test]
fn what_an_import_names_is_meant() {
    let f = "def f(): pass\n";
    let four = [("a.py", f), ("b.py", f), ("c.py", f), ("d/e.py", f)];
    let call = |import: &str| format!("{import}def g():\n    return f()$0\n");
    check_shown("main.py", &call("from c import f\n"), &four, &["c.py: def f(): pass"]);
    check_shown("main.py", &call("from d.e import f\n"), &four, &["d/e.py: def f(): pass"]);
    // The name is defined in more than three files and imported from none, so it is ambiguous.
    check_shown("main.py", &call(""), &four, &[]);
    check_shown("main.py", &call(""), &four[1..], &["b.py: def f(): pass", "c.py: def f(): pass"]);
    // The document's own definition is the one that is meant.
    check_shown("main.py", &format!("{f}{}", call("from c import f\n")), &four, &[]);
}

#[test]
fn a_method_is_meant_where_its_class_is_spoken_of() {
    let tokens = [(
        "tokens.rs",
        "struct Tokens;\nimpl Tokens {\n    fn len(&self) -> usize { 0 }\n    fn new() -> Tokens { Tokens }\n}\n",
    )];
    check_shown("main.rs", "fn f(x: &str) -> usize {\n    $0x.len()\n}\n", &tokens, &[]);
    check_shown("main.rs", "fn f() {\n    $0Vec::new(); new()\n}\n", &tokens, &[]);
    let shown = ["tokens.rs: fn len(&self) -> usize { 0 }", "tokens.rs: struct Tokens;"];
    check_shown("main.rs", "fn f(x: &Tokens) -> usize {\n    $0x.len()\n}\n", &tokens, &[shown[1], shown[0]]);
    check_shown("main.rs", "use a::Tokens;\nfn f(x: &X) -> usize {\n    $0x.len()\n}\n", &tokens, &shown[..1]);
    let go = [("shape.go", "package a\n\nfunc (s *Shape) Area() int { return 1 }\n")];
    check_shown(
        "main.go",
        "package a\n\nfunc f(s *Shape) int {\n\treturn $0s.Area()\n}\n",
        &go,
        &["shape.go: func (s *Shape) Area() int { return 1 }"],
    );
    check_shown("cmd/main.go", "package b\n\nfunc f(s *Shape) int {\n\treturn $0s.Area()\n}\n", &go, &[]);
}

#[test]
fn a_function_stands_for_its_declaration() {
    let files =
        [("shapes.c", "int area(int a) {\n    return a * a;\n}\n"), ("shapes.h", "/* Squared. */\nint area(int a);\n")];
    let main = "#include \"shapes.h\"\n\nint main(void) {\n    return $0area(2);\n}\n";
    check_shown("main.c", main, &files, &["shapes.c: int area(int a) {"]);
    check_shown("main.c", main, &files[1..], &["shapes.h: /* Squared. */"]);
}

#[test]
fn a_budget_cuts_at_syntax() {
    let body = "        return [\n".to_owned() + &"            1,\n".repeat(40) + "        ]\n";
    let class = format!("class Shape:\n    def area(self):\n{body}\n    def side(self):\n{body}");
    let marked = "def f():\n    return Shape()$0\n";
    for place in [Others::Open, Others::OnDisk] {
        let code = |budget| {
            let context = context("main.py", marked, &[("shape.py", class.as_str())], place, budget);
            context.definitions_elsewhere.into_iter().map(|found| found.code).collect::<Vec<_>>()
        };
        assert_eq!(code(10_000), [class.trim_end()]);
        assert_eq!(code(1000), ["class Shape:\n    def area(self):\n    def side(self):"]);
        assert_eq!(code(100), ["class Shape:"]);
        assert!(code(60).is_empty());
    }
}

#[test]
fn callers_are_shown_one_a_line() {
    let main = "fn main() {\n    if area(2.0) > 1.0 {\n    }\n    let area = area(3.0); area(4.0);\n}\n";
    let context = context(
        "src/shapes.rs",
        "/// Of a square.\npub fn area(x: f64) -> f64 {\n    if x < 0.0 { area(-x) } else { x * x }$0\n}\n\nimpl Square {\n    fn area(&self) -> f64 {\n        area(self.0)\n    }\n}\n",
        &[("src/main.rs", main), ("src/other.rs", "fn area_of() {}\n// area(1)\n"), ("a.py", "area(1)\n")],
        Others::Open,
        3000,
    );
    let prompt = explain_prompt(&context);
    let (_, tail) = prompt.turns[1].text.split_once("It is called").expect("callers");
    expect![[r#"
         like this:
        - line 8 in `area`: area(self.0)
        - line 2 in `main` of `src/main.rs`: if area(2.0) > 1.0 {
        - line 4 in `main` of `src/main.rs`: let area = area(3.0); area(4.0);

        Explain what this code does, how it does it, and what to watch out for when using or changing it. Answer in a few short paragraphs or list items of Markdown and do not repeat the code."#]].assert_eq(tail);
}

/// A server whose prompts are checked.
struct Asked {
    server: TestServer,
    prompt: Arc<Mutex<String>>,
}

impl Asked {
    fn start(root: &Path, capabilities: &Value) -> Self {
        let prompt = Arc::new(Mutex::new(String::new()));
        let record = Arc::clone(&prompt);
        let options = TestOptions::scripted(move |read| {
            read.clone_into(&mut record.lock().unwrap());
            rest_of("It adds.\n", read)
        });
        let one = json!({"assistant": {"model": "one"}, "completion": {"model": "one"}});
        let mut server = TestServer::start(TestOptions { settings: vec![(Source::Flags, one)], ..options });
        let folders = json!([{"uri": uri(root), "name": "root"}]);
        server.initialize(json!({"capabilities": capabilities, "workspaceFolders": folders}));
        Self { server, prompt }
    }

    /// The prompt of an explanation of the first line of the open document `file`.
    fn explain(&mut self, file: &Path) -> String {
        let range = json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}});
        let params = json!({"textDocument": {"uri": uri(file)}, "range": range, "context": {"diagnostics": []}});
        let offered = self.server.call("textDocument/codeAction", params);
        let command = &offered[0]["command"];
        assert!(offered[0]["title"].as_str().expect("a title").starts_with("Explain"), "{offered}");
        let params = json!({"command": command["command"], "arguments": command["arguments"]});
        let result = self.server.call("workspace/executeCommand", params);
        assert!(result["text"].as_str().expect("an answer").contains("It adds."), "{result}");
        self.prompt.lock().unwrap().clone()
    }

    /// Asks until the prompt contains `wanted`, because the index is built in the background.
    fn explain_until(&mut self, file: &Path, wanted: &str) -> String {
        let begun = Instant::now();
        loop {
            let prompt = self.explain(file);
            if prompt.contains(wanted) {
                return prompt;
            }
            assert!(begun.elapsed() < HANGS_AFTER, "expected {wanted} in {prompt}");
        }
    }

    /// The prompt of a completion in the open document `file`.
    fn complete(&mut self, file: &Path, line: u32, character: u32) -> String {
        let position = json!({"line": line, "character": character});
        let context = json!({"triggerKind": 2});
        let params = json!({"textDocument": {"uri": uri(file)}, "position": position, "context": context});
        self.server.call("textDocument/inlineCompletion", params);
        self.prompt.lock().unwrap().clone()
    }

    fn open(&mut self, file: &Path) {
        let text = std::fs::read_to_string(file).expect("a file of the test");
        self.server.open(&uri(file), "python", &text);
    }

    fn finish(mut self) {
        // Explanations are shown as messages to this client.
        self.server.notifications.clear();
        self.server.finish();
    }
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn answers() -> Value {
    json!({
        "textDocument": {"inlineCompletion": {}, "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": []}}}},
        "workspace": {"didChangeWatchedFiles": {"dynamicRegistration": true}},
        "experimental": {"phiLs": {"answers": true}},
    })
}

#[test]
fn the_workspace_is_indexed_kept_fresh_and_searched() {
    let root = folder(&[
        ("main.py", "def total(x): return plus(x) + minus(x)\n"),
        ("lib.py", "def plus(x):\n    return 'first'\n"),
        (".env.py", "def minus(x):\n    return 'secret'\n"),
        ("ignored.py", "def minus(x):\n    return 'ignored'\n"),
        (".gitignore", "ignored.py\n"),
        ("private/more.py", "def minus(x):\n    return 'private'\n"),
        (".phi-lsignore", "private\n"),
    ]);
    let path = |name: &str| root.path().join(name);
    let mut asked = Asked::start(root.path(), &answers());
    asked.open(&path("main.py"));
    // The rest of the index may come later than this file. The files after it are left out.
    let prompt = asked.explain_until(&path("main.py"), "'first'");
    assert!(prompt.contains("The code uses, from `lib.py`:"), "{prompt}");
    assert!(asked.server.requests.contains(&"client/registerCapability".to_owned()));
    // Saved in this editor, or changed outside it.
    std::fs::write(path("lib.py"), "# New.\ndef plus(x):\n    return 'second'\n").expect("file");
    asked.server.notify("textDocument/didSave", json!({"textDocument": {"uri": uri(&path("lib.py"))}}));
    asked.explain_until(&path("main.py"), "'second'");
    std::fs::write(path("new.py"), "def minus(x):\n    return 'new'\n").expect("file");
    let changes = |kind: u32| json!({"changes": [{"uri": uri(&path("new.py")), "type": kind}]});
    asked.server.notify("workspace/didChangeWatchedFiles", changes(1));
    asked.explain_until(&path("main.py"), "'new'");
    // A file changed without notice never leads to wrong text, and is read again.
    std::fs::write(path("lib.py"), "def other(x):\n    return 1\n\n\ndef plus(x):\n    return 'third'\n")
        .expect("file");
    let prompt = asked.explain(&path("main.py"));
    assert!(!prompt.contains("other") && !prompt.contains("'second'"), "{prompt}");
    asked.explain_until(&path("main.py"), "'third'");
    std::fs::remove_file(path("new.py")).expect("it is there");
    asked.server.notify("workspace/didChangeWatchedFiles", changes(3));
    let prompt = asked.explain(&path("main.py"));
    for never in ["'secret'", "'ignored'", "'private'", "'new'"] {
        assert!(!prompt.contains(never), "{never} in {prompt}");
    }
    asked.finish();
}

#[test]
fn completions_see_the_project_and_nothing_that_is_excluded() {
    let root = folder(&[
        ("main.py", "from signs import plus, minus\n\n\ntotal = \n"),
        ("signs.py", "def plus(first):\n    return 1\n"),
        ("git_ignored.py", "def minus(ignored):\n    return 1\n"),
        (".gitignore", "git_ignored.py\n"),
        (".env.py", "def minus(secret):\n    return 1\n"),
        ("also/signs.py", "def minus(private):\n    return 1\n"),
        (".phi-lsignore", "also\n"),
        ("generated/signs.py", "# Generated by a program, do not edit.\ndef minus(generated):\n    return 1\n"),
    ]);
    let path = |name: &str| root.path().join(name);
    let mut asked = Asked::start(root.path(), &answers());
    let (begun, main) = (Instant::now(), path("main.py"));
    // Without a request for actions, indexing begins when a document is opened, and a document that is opened again
    // gets a new window.
    let prompt_with = |asked: &mut Asked, wanted: &str| loop {
        asked.open(&main);
        let prompt = asked.complete(&main, 3, 8);
        if prompt.contains(wanted) {
            break prompt;
        }
        assert!(begun.elapsed() < HANGS_AFTER, "{prompt}");
        asked.server.notify("textDocument/didClose", json!({"textDocument": {"uri": uri(&main)}}));
    };
    let prompt = prompt_with(&mut asked, "From `signs.py`:\n```python\ndef plus(first):");
    for never in ["ignored", "secret", "private", "generated"] {
        assert!(!prompt.contains(never), "{never} in {prompt}");
    }
    // After a change of the rules, the window is placed again without what is now excluded.
    std::fs::write(path(".phi-lsignore"), "also\nsigns.py\n").expect("file");
    let changes = json!({"changes": [{"uri": uri(&path(".phi-lsignore")), "type": 2}]});
    asked.server.notify("workspace/didChangeWatchedFiles", changes);
    let end = json!({"line": 3, "character": 8});
    let change = json!({
        "textDocument": {"uri": uri(&main), "version": 2},
        "contentChanges": [{"range": {"start": end, "end": end}, "text": "2 * "}],
    });
    asked.server.notify("textDocument/didChange", change);
    let prompt = asked.complete(&main, 3, 12);
    assert!(prompt.contains("total = 2 *") && !prompt.contains("plus(first)"), "{prompt}");
    asked.finish();
}

#[test]
fn open_documents_are_searched_but_for_excluded_ones() {
    let root = folder(&[
        ("main.py", "def total(x): return plus(x) + minus(x)\n"),
        ("lib.py", "def plus(x):\n    return 'open'\n"),
        ("ignored.py", "def minus(x):\n    return 'ignored'\n\nprint(total(1))\n"),
        (".env.py", "def minus(x):\n    return 'secret'\n"),
        (".gitignore", "ignored.py\n"),
    ]);
    let path = |name: &str| root.path().join(name);
    let mut asked = Asked::start(root.path(), &answers());
    for name in ["ignored.py", ".env.py", "lib.py", "main.py"] {
        asked.open(&path(name));
    }
    // The text in the editor counts, not the file on disk.
    let range = json!({"start": {"line": 1, "character": 12}, "end": {"line": 1, "character": 16}});
    let change = json!({
        "textDocument": {"uri": uri(&path("lib.py")), "version": 2},
        "contentChanges": [{"range": range, "text": "typed"}],
    });
    asked.server.notify("textDocument/didChange", change);
    for _ in 0..3 {
        let prompt = asked.explain(&path("main.py"));
        assert!(prompt.contains("The code uses, from `lib.py`:") && prompt.contains("'typed'"), "{prompt}");
        for never in ["'open'", "'ignored'", "'secret'", "print"] {
            assert!(!prompt.contains(never), "{never} in {prompt}");
        }
    }
    asked.finish();
}

#[test]
fn workspaces_that_come_are_indexed_and_those_that_go_are_forgotten() {
    let root = folder(&[
        ("a/main.py", "def total(x): return plus(x)\n"),
        ("b/lib.py", "def plus(x):\n    return 'added'\n"),
        ("c/.git/HEAD", ""),
        ("c/.gitignore", "private/\n"),
        ("c/main.py", "def total(x): return minus(x)\n"),
        ("c/lib.py", "def minus(x):\n    return 'found'\n"),
        ("c/private/lib.py", "def minus(x):\n    return 'private'\n"),
    ]);
    let path = |name: &str| root.path().join(name);
    let mut asked = Asked::start(&path("a"), &answers());
    asked.open(&path("a/main.py"));
    assert!(!asked.explain(&path("a/main.py")).contains("'added'"));
    let folders = json!([{"uri": uri(&path("b")), "name": "b"}]);
    let change = |added: &Value, removed: &Value| json!({"event": {"added": added, "removed": removed}});
    asked.server.notify("workspace/didChangeWorkspaceFolders", change(&folders, &json!([])));
    asked.explain_until(
        &path("a/main.py"),
        "The code uses, from `lib.py`:\n```python\ndef plus(x):\n    return 'added'",
    );
    asked.server.notify("workspace/didChangeWorkspaceFolders", change(&json!([]), &folders));
    assert!(!asked.explain(&path("a/main.py")).contains("'added'"));
    // A file outside every workspace adds its own workspace.
    asked.open(&path("c/main.py"));
    let prompt = asked.explain_until(&path("c/main.py"), "'found'");
    assert!(!prompt.contains("'private'"), "{prompt}");
    asked.finish();
}

/// A file like those of a large project: names of its own, names of other files, and common words.
fn made_up(number: usize, random: &mut Lcg) -> String {
    let mut text = format!("from folder_{}.module_{} import helper_{number}\n\n\n", number / 200, random.below(20_000));
    for function in 0..8 {
        text.push_str(&format!("def function_{number}_{function}(request, options):\n"));
        for _ in 0..12 {
            let (a, b, c) = (random.below(30_000), random.below(30_000), random.below(300));
            text.push_str(&format!("    value_{c} = options.transform_{a}(request, handler_{b})\n"));
        }
        text.push_str(&format!("    return value_{number}\n\n\n"));
    }
    text
}

/// Measures the cost of the index of a large project, and of placing a window in it.
#[test]
#[ignore = "a measurement: cargo nextest run --release --run-ignored only --no-capture -E 'test(20_000)'"]
fn measure_an_index_of_20_000_files() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let mut random = Lcg::new(1);
    let path = |number: usize| root.path().join(format!("folder_{}/module_{number}.py", number / 200));
    for number in 0..20_000 {
        std::fs::create_dir_all(path(number).parent().expect("a folder")).expect("a folder");
        std::fs::write(path(number), made_up(number, &mut random)).expect("a file");
    }
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default() / 256
    };
    let (before, begun) = (resident(), Instant::now());
    let index = indexed(root.path()).expect("an index");
    println!("{:?}: indexed in {:?}, {} MiB", index.size(), begun.elapsed(), resident() - before);
    let begun = Instant::now();
    (0..100).for_each(|number| index.refresh(&path(number * 100)));
    println!("a file is read again in {:?}", begun.elapsed() / 100);
    let mut times: Vec<Duration> = (0..200)
        .map(|number| {
            let text = std::fs::read_to_string(path(number * 97)).expect("a file");
            let mut document = snapshot(&format!("folder_{}/module_{}.py", number * 97 / 200, number * 97), &text);
            let file = path(number * 97).canonicalize().ok();
            document.surroundings =
                Arc::new(Surroundings { file, index: Some(Arc::clone(&index)), ..Surroundings::default() });
            let begun = Instant::now();
            let context =
                completion_context(&document, text.len() / 2, Limits::for_tokens(1536), &mut Anchor::default());
            assert!(!context.project.excerpts.is_empty());
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("a window is placed in {:?} (p50), {:?} (p95)", times[100], times[190]);
}

/// The offsets in `text` at which a name begins that is reached through something, or may be given a value.
fn bounded_names(text: &str) -> Vec<usize> {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    let starts = text
        .char_indices()
        .filter(|(at, character)| (character.is_alphabetic() || *character == '_') && !text[..*at].ends_with(is_name));
    let is_reached = |at: usize| {
        let line = text[..at].rsplit('\n').next().unwrap_or_default().trim_start();
        let is_import = ["from ", "use ", "import ", "pub use "].iter().any(|word| line.starts_with(word));
        text[..at].ends_with(['.', ':', '>']) || (is_import && text[..at].ends_with([' ', '{', ',']))
    };
    let is_given = |at: usize| {
        let end = text[at..].find(|character| !is_name(character)).map_or(text.len(), |end| at + end);
        let is_named = text[end..].trim_start().starts_with(['=', ':']) && !text[end..].starts_with("::");
        is_named && text[..at].trim_end().ends_with([',', '{'])
    };
    starts.map(|(at, _)| at).filter(|at| is_reached(*at) || is_given(*at)).collect()
}

/// Measures, in the code of `PHI_LS_NAMES_FOLDER`, how often all names that can stand at a place are known, and whether
/// the actual name is one of them. Each line ends at that place while it is asked.
#[test]
#[ignore = "a measurement: PHI_LS_NAMES_FOLDER=... cargo nextest run --release --run-ignored only --no-capture -E 'test(names_that_are_known)'"]
fn measure_names_that_are_known() {
    let root = std::env::var_os("PHI_LS_NAMES_FOLDER").expect("PHI_LS_NAMES_FOLDER names a folder of code");
    let root = Path::new(&root).canonicalize().expect("it is there");
    let index = indexed(&root);
    let workspaces = Workspaces::new(std::slice::from_ref(&root), &[]);
    let mut random = Lcg::new(1);
    let (mut asked, mut known, mut right, mut took) = (0, [0, 0], [0, 0], Vec::new());
    for file in workspaces.walk(&root).flatten() {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let mut places = bounded_names(&text);
        for _ in 0..12 {
            if places.is_empty() || text.len() > 100 << 10 {
                break;
            }
            let at = places.swap_remove(random.below(places.len()));
            let line_end = text[at..].find('\n').map_or(text.len(), |end| at + end);
            let shown = file.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
            // In JavaScript and TypeScript, the source of an import comes after the names.
            let rest = text[at..line_end].find(" from ").map_or(line_end, |from| at + from);
            let mut document = snapshot(&shown, &format!("{}{}", &text[..at], &text[rest..]));
            document.surroundings =
                Arc::new(Surroundings { file: Some(file.clone()), index: index.clone(), ..Surroundings::default() });
            let begun = Instant::now();
            let names = known_names(&document, at);
            took.push(begun.elapsed());
            asked += 1;
            let Some(names) = names else { continue };
            let stem = text[..at].strip_suffix('.').unwrap_or(&text[..at]);
            let is_given = usize::from(stem.trim_end().ends_with([',', '{']));
            known[is_given] += 1;
            if names.admit(&text[at..line_end]) {
                right[is_given] += 1;
            } else {
                let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
                println!(
                    "{shown}:{}: {}|{}",
                    text[..at].matches('\n').count() + 1,
                    &text[start..at],
                    &text[at..line_end]
                );
            }
        }
    }
    took.sort_unstable();
    println!("{asked} places");
    println!(
        "reached through something: {} of which all names are known, the right one among {} of them",
        known[0], right[0]
    );
    println!(
        "given by name, or imported: {} of which all names are known, the right one among {} of them",
        known[1], right[1]
    );
    println!("it took {:?} (p50), {:?} (p99)", took[took.len() / 2], took[took.len() * 99 / 100]);
}
