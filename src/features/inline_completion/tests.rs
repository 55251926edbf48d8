//! Tests of shaping, and of where the model is not asked, as data: a place, what the model wrote there, what is shown.

use expect_test::{Expect, expect};

use super::place::Place;
use super::*;
use crate::engine::{Certainty, GrowingText, StopReason};
use crate::features::fixture::at_cursor as fixture;
use crate::model::PromptForm;

fn options() -> CompletionOptions {
    CompletionOptions::new(&CompletionSettings::default(), "", false)
}

/// What an engine makes of a model that writes `text` for `plan` and then ends for `reason`.
fn candidate(plan: &Plan, text: &str, reason: StopReason) -> Candidate {
    let (text, stop_reason) = GrowingText::end_of(&plan.params.stop, text, reason);
    Candidate { text, stop_reason, certainty: Some(Certainty::of(-0.1)), form: PromptForm::Chat }
}

fn plan_at(snapshot: &Snapshot, request: InlineRequest) -> Plan {
    plan(snapshot, request, &options(), &mut Anchor::default()).expect("something is asked here")
}

/// The lines `item` makes, with what it inserts in double brackets and `↵` for a line break.
fn shown(snapshot: &Snapshot, item: Option<InlineItem>) -> String {
    let Some(item) = item else { return "nothing".to_owned() };
    let text = snapshot.text.to_string();
    let line_start = text[..item.range.start].rfind('\n').map_or(0, |end| end + 1);
    let line_end = text[item.range.end..].find('\n').map_or(text.len(), |end| item.range.end + end);
    assert!(!text[item.range.clone()].contains('\n'), "the range is on one line");
    let line =
        format!("{}⟦{}⟧{}", &text[line_start..item.range.start], item.insert_text, &text[item.range.end..line_end]);
    line.replace('\n', "↵")
}

fn check_as(trigger: Trigger, stop: StopReason, language_id: &str, marked: &str, raw: &str, expect: &Expect) {
    let (snapshot, offset) = fixture(language_id, marked);
    let plan = plan_at(&snapshot, InlineRequest { offset, trigger, selected: None });
    expect.assert_eq(&shown(&snapshot, finish(&plan, &candidate(&plan, raw, stop))));
}

/// While typing.
fn check(language_id: &str, marked: &str, raw: &str, expect: Expect) {
    check_as(Trigger::Automatic, StopReason::EndOfTurn, language_id, marked, raw, &expect);
}

/// On request: several lines where the line is at its end.
fn check_invoked(language_id: &str, marked: &str, raw: &str, expect: Expect) {
    check_as(Trigger::Invoked, StopReason::EndOfTurn, language_id, marked, raw, &expect);
}

#[test]
fn one_line_while_typing() {
    check("rust", "fn f() {\n    let a = $0\n}\n", "b + 1;\n    let c = 2;\n", expect!["    let a = ⟦b + 1;⟧"]);
    check("python", "def f(a):\n    return $0\n", "a + 1\n\ndef g():\n    pass\n", expect!["    return ⟦a + 1⟧"]);
    check("go", "func f() {\n\tx := $0\n}\n", "g(1)\n\treturn x\n}", expect!["	x := ⟦g(1)⟧"]);
    check("rust", "fn f() {\n    let a = $0\n}\n", "\n    b", expect!["nothing"]);
}

#[test]
fn what_begins_with_a_name_that_does_not_exist_is_not_shown() {
    let class = |line: &str| {
        format!("class Shape:\n    def area(self):\n        return 1\n\n    def f(self):\n        {line}\n")
    };
    check("python", &class("return self.$0"), "area() + 1", expect!["        return self.⟦area() + 1⟧"]);
    check("python", &class("return self.ar$0"), "ea() + 1", expect!["        return self.ar⟦ea() + 1⟧"]);
    check("python", &class("return self.$0"), "around() + 1", expect!["nothing"]);
    check("python", &class("return other.$0"), "around() + 1", expect!["        return other.⟦around() + 1⟧"]);
    let (snapshot, offset) = fixture("python", &class("return self.$0"));
    let request = InlineRequest { offset, trigger: Trigger::Automatic, selected: None };
    let off = CompletionOptions { known_names: false, ..options() };
    assert_eq!(plan(&snapshot, request, &off, &mut Anchor::default()).expect("asked").params.names, None);
}

#[test]
fn several_lines_where_a_block_begins() {
    check(
        "rust",
        "fn add(a: i32, b: i32) -> i32 {$0\n}\n",
        "\n    a + b\n}\n\nfn sub() {}",
        expect!["fn add(a: i32, b: i32) -> i32 {⟦↵    a + b⟧"],
    );
    check(
        "rust",
        "fn add(a: i32, b: i32) -> i32 {$0}\n",
        "\n    a + b\n}\n",
        expect!["fn add(a: i32, b: i32) -> i32 {⟦↵    a + b↵}⟧"],
    );
    check(
        "rust",
        "fn add(a: i32, b: i32) -> i32 {$0}\n",
        "\n    a + b\n",
        expect!["fn add(a: i32, b: i32) -> i32 {⟦↵    a + b↵⟧}"],
    );
    check(
        "rust",
        "fn add(a: i32, b: i32) -> i32 {\n    $0\n}\n",
        "let c = a + b;\n    c\n}\n",
        expect!["    ⟦let c = a + b;↵    c⟧"],
    );
    check(
        "python",
        "def f(a):$0\n\ndef g():\n    pass\n",
        "\n    b = a\n    return b\n\ndef g():\n",
        expect!["def f(a):⟦↵    b = a↵    return b⟧"],
    );
    check(
        "python",
        "class A:\n    def f(self):\n        $0\n\n    def g(self):\n        pass\n",
        "x = 1\n        return x\n\n    def g(self):\n        pass",
        expect!["        ⟦x = 1↵        return x⟧"],
    );
    check(
        "javascript",
        "items.map((item) => {$0});\n",
        "\n  return item.id;\n});\n",
        expect!["items.map((item) => {⟦↵  return item.id;↵});⟧"],
    );
    check(
        "go",
        "func f(a int) int {$0\n}\n",
        "\n    if a > 1 {\n        return 1\n    }\n    return a\n}",
        expect!["func f(a int) int {⟦↵    if a > 1 {↵        return 1↵    }↵    return a⟧"],
    );
    check(
        "c",
        "int f(int a) {\n    if (a) {$0\n    }\n    return 1;\n}\n",
        "\n        a++;\n    }\n    return a;\n}",
        expect!["    if (a) {⟦↵        a++;⟧"],
    );
    check(
        "java",
        "class A {\n    int f() {$0\n    }\n}\n",
        "\n        return 1;\n    }\n\n    int g() {\n        return 2;\n    }\n}",
        expect!["    int f() {⟦↵        return 1;⟧"],
    );
}

#[test]
fn a_block_that_has_a_body_gets_one_line() {
    check("rust", "fn f() {$0\n    g();\n}\n", "\n    h();\n    g();", expect!["nothing"]);
    check("python", "def f():\n    $0\n    return a\n", "a = 1\n    b = 2\n", expect!["    ⟦a = 1⟧"]);
}

#[test]
fn several_lines_on_request() {
    check_invoked(
        "rust",
        "fn f() {\n    let a = 1;\n    $0\n}\n",
        "let b = 2;\n    let c = 3;\n}\n\nfn g() {}",
        expect!["    ⟦let b = 2;↵    let c = 3;⟧"],
    );
    check_invoked("rust", "fn f() {\n    g($0, 1);\n}\n", "ab,\n b", expect!["    g(⟦ab⟧, 1);"]);
    check_invoked("python", "x = [\n    1,\n    $0\n]\n", "2,\n    3,\n]\nprint(x)", expect!["    ⟦2,↵    3,⟧"]);
}

#[test]
fn closers_right_of_the_cursor_are_replaced() {
    check("rust", "    foo($0)", "a, b)", expect!["    foo(⟦a, b)⟧"]);
    check("rust", "    foo($0)", "a, b", expect!["    foo(⟦a, b⟧)"]);
    check("rust", "    foo($0)", "a, b);", expect!["    foo(⟦a, b);⟧"]);
    check("rust", "    foo($0);", "a, b);", expect!["    foo(⟦a, b);⟧"]);
    check("rust", "    foo($0);", "a, b)", expect!["    foo(⟦a, b)⟧;"]);
    check("rust", "    foo(bar($0))", "arg))", expect!["    foo(bar(⟦arg))⟧"]);
    check("rust", "    foo(bar($0))", "arg)", expect!["    foo(bar(⟦arg)⟧)"]);
    check("rust", "    foo($0)", "bar(1)", expect!["    foo(⟦bar(1)⟧)"]);
    check("rust", "    println!(\"$0\");", "hello {}\", name);", expect![[r#"    println!("⟦hello {}", name);⟧"#]]);
    check("rust", "    println!(\"$0\");", "hello\");", expect![[r#"    println!("⟦hello");⟧"#]]);
    check("rust", "    println!(\"$0\");", "hello", expect![[r#"    println!("⟦hello⟧");"#]]);
    check("python", "print('$0')", "hello')", expect!["print('⟦hello')⟧"]);
    check("python", "x = a[$0]", "1][2]", expect!["x = a[⟦1][2]⟧"]);
    check("javascript", "foo(() => {$0})", " return 1; })", expect!["foo(() => {⟦ return 1; })⟧"]);
    check("rust", "fn f($0) {\n}\n", "a: i32) -> i32 {", expect!["fn f(⟦a: i32) -> i32 {⟧"]);
    check("rust", "fn f($0) {\n}\n", "a: i32, b: i32", expect!["fn f(⟦a: i32, b: i32⟧) {"]);
    check(
        "typescript",
        "const a: Map<string, number> = new Map([$0]);",
        "[\"a\", 1]]);",
        expect![[r#"const a: Map<string, number> = new Map([⟦["a", 1]]);⟧"#]],
    );
}

#[test]
fn a_completion_stays_in_the_gap_it_is_written_into() {
    check("typescriptreact", "<button>$0</button>", "Save</button>", expect!["<button>⟦Save</button>⟧"]);
    check("typescriptreact", "<button>$0</button>", "Save</button> {b}", expect!["<button>⟦Save⟧</button>"]);
    check("typescriptreact", "<ul>$0</ul>", "<li>a</li></ul></div>", expect!["<ul>⟦<li>a</li>⟧</ul>"]);
    check("html", "<button>$0</button>", "Save</button>", expect!["<button>⟦Save</button>⟧"]);
    check("html", "<section>$0</section>", "<p>a</p></section></main>", expect!["<section>⟦<p>a</p>⟧</section>"]);
    check("html", "<input $0>", "type=\"text\"> and more", expect![[r#"<input ⟦type="text"⟧>"#]]);
    check("typescript", "const x = $0 // why", "foo(1); // because", expect!["const x = ⟦foo(1);⟧ // why"]);
    check("python", "x = $0  # why", "foo(1)  # why", expect!["x = ⟦foo(1)  # why⟧"]);
    check("python", "def f($0) -> int:\n", "a, b) -> int:", expect!["def f(⟦a, b) -> int:⟧"]);
    check("python", "def f($0) -> int:\n", "a, b) -> float:", expect!["def f(⟦a, b⟧) -> int:"]);
    check("python", "if $0:\n", "a and b: return 1", expect!["if ⟦a and b⟧:"]);
    check("rust", "fn f() -> $0 {\n}\n", "Vec<u32> { vec![] }", expect!["fn f() -> ⟦Vec<u32>⟧ {"]);
    check("rust", "let a: Vec<$0> = b;\n", "String> = Vec::new();", expect!["let a: Vec<⟦String⟧> = b;"]);
    check("rust", "foo($0, b);\n", "first, c);", expect!["foo(⟦first⟧, b);"]);
    check("rust", "foo($0).bar();\n", "first).baz();", expect!["foo(⟦first⟧).bar();"]);
    check("rust", "foo($0).bar();\n", "first).bar().baz();", expect!["foo(⟦first).bar().baz();⟧"]);
    check("rust", "foo(bar($0));\n", "first);", expect!["foo(bar(⟦first)⟧);"]);
    check(
        "c",
        "for (int i = $0; i < n; i++) {\n",
        "from; i < n; i++) {",
        expect!["for (int i = ⟦from; i < n; i++) {⟧"],
    );
    check("c", "for (int i = $0; i < n; i++) {\n", "10; j < m; j++) {", expect!["for (int i = ⟦10⟧; i < n; i++) {"]);
    check(
        "python",
        "print(\"hello $0 world\")\n",
        "beautiful world\")",
        expect![[r#"print("hello ⟦beautiful world")⟧"#]],
    );
    check("python", "print(\"hello $0 world\")\n", "beautiful", expect![[r#"print("hello ⟦beautiful⟧ world")"#]]);
    check(
        "python",
        "print(\"hello $0 world\")\n",
        "dear reader\")",
        expect![[r#"print("hello ⟦dear reader⟧ world")"#]],
    );
    check("python", "print(f\"{$0} items\")\n", "count} things\")", expect![[r#"print(f"{⟦count⟧} items")"#]]);
    check("javascript", "f(`a ${$0} c`);\n", "count} c`);", expect!["f(`a ${⟦count} c`);⟧"]);
    check("java", "int[] a = {1, $0, 300};\n", "20, 300, 400};", expect!["int[] a = {1, ⟦20⟧, 300};"]);
}

#[test]
fn several_lines_go_in_front_of_what_closes_a_block() {
    check(
        "typescript",
        "useEffect(() => {$0}, [id]);\n",
        "\n  load(id);\n}, [id]);\n",
        expect!["useEffect(() => {⟦↵  load(id);↵}, [id]);⟧"],
    );
    check_invoked(
        "typescript",
        "useEffect(() => {$0}, [id]);\n",
        "\n  load(id);\n  show(id);\n}, [other]);\n",
        expect!["useEffect(() => {⟦↵  load(id);↵  show(id);↵⟧}, [id]);"],
    );
    check_invoked(
        "typescriptreact",
        "const a = (\n  <ul>$0</ul>\n);\n",
        "\n    <li>a</li>\n    <li>b</li>\n  </ul>\n",
        expect!["  <ul>⟦↵    <li>a</li>↵    <li>b</li>↵  </ul>⟧"],
    );
    check_invoked(
        "typescriptreact",
        "const a = (\n  <ul>$0</ul>\n);\n",
        "\n    <li>a</li>\n    <li>b</li>\n",
        expect!["  <ul>⟦↵    <li>a</li>↵    <li>b</li>↵  ⟧</ul>"],
    );
}

#[test]
fn sentences_stay_whole_under_every_name_of_their_language() {
    let message = "The parser did not handle empty input.\n\nIt now returns None for that.\n";
    for name in ["git-commit", "gitcommit", "text", "plaintext", "rst", "help", "mail", "typst", "org", "tex", "mdx"] {
        check_invoked(
            name,
            "Fix the parser\n\n$0\n",
            message,
            expect!["⟦The parser did not handle empty input.↵↵It now returns None for that.⟧"],
        );
        check_invoked(
            name,
            "Fix it\n\n$0\n",
            "Here is the reason.\nIt is late.",
            expect!["⟦Here is the reason.↵It is late.⟧"],
        );
    }
}

#[test]
fn fences_of_the_document_do_not_end_a_completion() {
    for name in ["markdown", "quarto", "rmd", "mdx", "org"] {
        check_invoked(
            name,
            "Text.\n\n```{r}\nx <- 1\n$0",
            "y <- 2\n```\n\nThen more.",
            expect!["⟦y <- 2↵```↵↵Then more.⟧"],
        );
    }
    check_invoked(
        "python",
        "def f():\n    \"\"\"Do it.\n\n```python\n$0\n    \"\"\"\n",
        "f()\n```\n\nThat is all.\n",
        expect!["⟦f()↵```↵↵That is all.⟧"],
    );
    let stop = |marked: &str| {
        let (snapshot, offset) = fixture("python", marked);
        plan_at(&snapshot, InlineRequest { offset, trigger: Trigger::Invoked, selected: None }).params.stop.stop_strings
    };
    assert_eq!(stop("x = $0\n"), ["\n```"]);
    assert_eq!(stop("\"\"\"\n```\nx\n```\n\"\"\"\nx = $0\n"), ["\n````"]);
    assert_eq!(stop("x = $0\n\"\"\"\n````\nx\n````\n\"\"\"\n"), ["\n`````"]);
}

#[test]
fn brackets_opened_elsewhere_are_not_closed() {
    check("rust", "fn f() {\n    let a = $0\n}\n", "g(b) })", expect!["    let a = ⟦g(b)⟧"]);
    check("rust", "fn f() {\n    let a = (1 + $0\n}\n", "b) * c;", expect!["    let a = (1 + ⟦b) * c;⟧"]);
    check("python", "foo(\n    a,\n    $0\n)\n", "bb)", expect!["    ⟦bb⟧"]);
}

#[test]
fn code_that_follows_is_not_written_again() {
    check("python", "def f():\n    $0\n    return total\n", "return total\n", expect!["nothing"]);
    check("python", "def f():\n    return to$0\n    return total\n", "tal", expect!["nothing"]);
    check("python", "x = compute(1)\n$0\n", "x = compute(1)\n", expect!["nothing"]);
    check_invoked(
        "python",
        "def f():\n    $0\n    return total\n",
        "total = 1\n    return total\n",
        expect!["    ⟦total = 1⟧"],
    );
    check_invoked(
        "rust",
        "fn f() {\n    a();\n    $0\n    b();\n    c();\n}\n",
        "x();\n    b();\n    c();\n}\n",
        expect!["    ⟦x();⟧"],
    );
    check_invoked("rust", "    foo(a, $0b);", "c, b);", expect!["    foo(a, ⟦c, b);⟧"]);
    check_invoked("rust", "    foo($0, rest);", "first, rest", expect!["    foo(⟦first⟧, rest);"]);
    check_invoked("rust", "    foo($0bar, rest);", "first, bar", expect!["    foo(⟦first, ⟧bar, rest);"]);
}

#[test]
fn repeated_lines_and_running_in_circles_are_cut() {
    check_invoked(
        "python",
        "def f():\n    $0\n",
        "a = 1\n    b(a)\n    b(a)\n    b(a)\n    b(a)\n",
        expect!["    ⟦a = 1↵    b(a)⟧"],
    );
    check("python", "x = $0\n", "a.b.a.b.a.b.a.b.a.b.a.b", expect!["nothing"]);
    check_invoked("python", "def f():\n    $0\n", "a = 1\n    x = a.b.a.b.a.b.a.b.a.b.a.b", expect!["    ⟦a = 1⟧"]);
    check_as(
        Trigger::Invoked,
        StopReason::MaxTokens,
        "python",
        "def f():\n    $0\n",
        "a = 1\n    b = 2\n    return a +",
        &expect!["    ⟦a = 1↵    b = 2⟧"],
    );
}

#[test]
fn prose_fences_and_role_tags_are_never_shown() {
    check(
        "python",
        "def f(a, b):\n    return $0\n",
        "a + b\n```\n\nThis function adds.",
        expect!["    return ⟦a + b⟧"],
    );
    check("python", "def f(a, b):\n    return $0\n", "a + b```", expect!["    return ⟦a + b⟧"]);
    check("python", "def f(a, b):\n    return $0\n", "a + b<|end|>\n<|user|>", expect!["    return ⟦a + b⟧"]);
    check_invoked(
        "python",
        "def f(a, b):\n    $0\n",
        "```python\n    return a + b\n```",
        expect!["    ⟦return a + b⟧"],
    );
    check_invoked(
        "python",
        "import os\n\ndef f(a, b):\n    count = a\n    $0\n",
        "    count = a\n    return count\n",
        expect!["    ⟦return count⟧"],
    );
    check("python", "def f(a, b):\n    return $0\n", "    return a + b\n", expect!["    return ⟦a + b⟧"]);
    check_invoked(
        "python",
        "def f(a, b):\n    $0\n",
        "Sure, here is the completed code:\n```python\n    return a + b\n```\nIt adds.",
        expect!["nothing"],
    );
    check_invoked(
        "python",
        "def f(a, b):\n    $0\n",
        "return a + b\n\nThis function returns the sum of both arguments.",
        expect!["    ⟦return a + b⟧"],
    );
    check_invoked(
        "python",
        "def f(a, b):\n    $0\n",
        "Sure! I can help you with that. Here is the code.\n",
        expect!["nothing"],
    );
    check(
        "rust",
        "/// $0\nfn f() {}\n",
        "Here is the sum of all elements:",
        expect!["/// ⟦Here is the sum of all elements:⟧"],
    );
    check("rust", "/// Lines (that $0\nfn f() {}\n", "are shown).", expect!["/// Lines (that ⟦are shown).⟧"]);
    check("markdown", "# Title\n\n$0\n", "Here is an example:\n", expect!["⟦Here is an example:⟧"]);
    check("scminput", "Fix it\n\n$0\n", "Here is an example:\n", expect!["⟦Here is an example:⟧"]);
}

#[test]
fn indentation_is_the_files() {
    check_invoked(
        "go",
        "func f() {\n\tif a {\n\t\t$0\n\t}\n}\n",
        "for {\n            b()\n        }\n",
        expect!["		⟦for {↵			b()↵		}⟧"],
    );
    check_invoked(
        "python",
        "def f():\n  if a:\n    $0\n",
        "for b in c:\n\t\t\td()\n",
        expect!["    ⟦for b in c:↵      d()⟧"],
    );
    check("python", "def f():\n    a = 1\n    $0\n", "    return a\n", expect!["    ⟦return a⟧"]);
    check("python", "def f():\n    a = 1\n$0\n", "    return a\n", expect!["⟦    return a⟧"]);
    check_invoked("python", "def f():\n    a = 1\n    $0\n", "\n    return a\n", expect!["    ⟦return a⟧"]);
    check("python", "def f():\n    return $0\n", " a + b  ", expect!["    return ⟦a + b⟧"]);
}

#[test]
fn what_is_not_useful_is_not_shown() {
    check("rust", "    foo(a$0)", ")", expect!["nothing"]);
    check("rust", "    foo(a$0)", ");", expect!["nothing"]);
    check("rust", "    foo(a$0", ");", expect!["    foo(a⟦);⟧"]);
    check("rust", "    foo(a$0", "", expect!["nothing"]);
    check("rust", "    foo(a$0", "  \n \n", expect!["nothing"]);
    check("rust", "fn f() {$0\n}\n", "\n}\n", expect!["nothing"]);
}

#[test]
fn a_guess_is_shown_only_to_who_asks() {
    let (snapshot, offset) = fixture("rust", "let a = $0");
    let is_shown = |trigger, confidence, logprob| {
        let request = InlineRequest { offset, trigger, selected: None };
        let options = CompletionOptions { confidence, ..options() };
        let plan = plan(&snapshot, request, &options, &mut Anchor::default()).expect("something is asked here");
        let guess = Candidate { certainty: logprob, ..candidate(&plan, "b + c;", StopReason::EndOfTurn) };
        finish(&plan, &guess).is_some()
    };
    let [sure, fair, unsure] = [-0.01, -1.0, -4.0].map(|logprob| Some(Certainty::of(logprob).and(logprob)));
    let all = [Confidence::Low, Confidence::Balanced, Confidence::High];
    let shown = |trigger, certainty| all.map(|confidence| is_shown(trigger, confidence, certainty));
    assert_eq!(shown(Trigger::Automatic, sure), [true, true, true]);
    assert_eq!(shown(Trigger::Automatic, fair), [true, true, false]);
    assert_eq!(shown(Trigger::Automatic, unsure), [true, false, false]);
    assert_eq!(shown(Trigger::Invoked, unsure), [true, true, true], "who asks gets what there is");
    assert_eq!(shown(Trigger::Automatic, None), [true, true, true], "nobody said how sure it is");
}

#[test]
fn a_model_whose_completions_are_sent_away_has_to_be_surer() {
    let (snapshot, offset) = fixture("rust", "let a = $0");
    let is_shown = |accepted: usize, dismissed: usize, logprob: f32| {
        let request = InlineRequest { offset, trigger: Trigger::Automatic, selected: None };
        let acceptance = Acceptance { accepted, dismissed, ignored: 0 };
        let options = CompletionOptions { acceptance, ..options() };
        let plan = plan(&snapshot, request, &options, &mut Anchor::default()).expect("something is asked here");
        let certainty = Some(Certainty::of(logprob).and(logprob));
        finish(&plan, &Candidate { certainty, ..candidate(&plan, "b + c;", StopReason::EndOfTurn) }).is_some()
    };
    assert!(is_shown(0, 0, -1.0) && is_shown(0, 20, -1.0), "few say nothing");
    assert!(!is_shown(0, 100, -1.0));
    assert!(!is_shown(0, 0, -2.0) && is_shown(100, 0, -2.0));
}

#[test]
fn a_completion_extends_the_selected_item() {
    let (snapshot, offset) = fixture("rust", "fn f() {\n    foo.pu$0)\n}\n");
    let selected = Some((offset - 2..offset, "push_str(".to_owned()));
    let plan = plan_at(&snapshot, InlineRequest { offset, trigger: Trigger::Automatic, selected });
    let item = finish(&plan, &candidate(&plan, "\"a\");", StopReason::EndOfTurn));
    expect![[r#"    foo.⟦push_str("a");⟧"#]].assert_eq(&shown(&snapshot, item));
}

#[test]
fn alternatives_that_come_to_the_same_are_one() {
    let (snapshot, offset) = fixture("rust", "let a = $0");
    let plan = plan_at(&snapshot, InlineRequest { offset, trigger: Trigger::Invoked, selected: None });
    let candidates = ["b + c;", "b + c;  ", "", "d + e;"].map(|text| candidate(&plan, text, StopReason::EndOfTurn));
    let texts: Vec<_> = finish_all(&plan, &candidates).into_iter().map(|item| item.insert_text).collect();
    assert_eq!(texts, ["b + c;", "d + e;"]);
}

#[test]
fn typing_what_a_completion_says_keeps_it() {
    let check = |insert_text: &str, replaced: usize, typed: &str, closed: &str, expect: Expect| {
        let item = InlineItem { insert_text: insert_text.to_owned(), range: 10..10 + replaced };
        let rest = type_through(&item, typed, closed);
        expect.assert_eq(
            &rest.map_or("nothing".to_owned(), |rest| format!("{:?} at {:?}", rest.insert_text, rest.range)),
        );
    };
    check("foo(a)", 0, "f", "", expect![[r#""oo(a)" at 11..11"#]]);
    check("foo(a)", 0, "", "", expect![[r#""foo(a)" at 10..10"#]]);
    check("foo(a)", 0, "foo(a)", "", expect!["nothing"]);
    check("foo(a)", 0, "g", "", expect!["nothing"]);
    check("foo(a)", 0, "foo(", ")", expect![[r#""a)" at 14..15"#]]);
    check("foo(a))", 1, "foo(", ")", expect![[r#""a))" at 14..16"#]]);
    check("foo(b() + c", 0, "foo(", ")", expect![[r#""b() + c" at 14..14"#]]);
    check("foo(\"a\")", 0, "foo(\"", "\")", expect![[r#""a\")" at 15..17"#]]);
    check("foo(a, ", 0, "foo(", ")", expect![[r#""a, " at 14..14"#]]);
    check("foo(a, ", 1, "foo(", ")", expect!["nothing"]);
    check("a()", 0, "a(", ")", expect!["nothing"]);
    check(" {\n    b\n}", 0, " {", "}", expect![[r#""\n    b\n}" at 12..13"#]]);
    check("<p>a</p>", 0, "<p>", "</p>", expect![[r#""a</p>" at 13..17"#]]);
    check("<p>a b", 0, "<p>", "</p>", expect![[r#""a b" at 13..13"#]]);
}

#[test]
fn the_gate_obeys_the_settings() {
    let (snapshot, offset) = fixture("rust", "let a = $0");
    let place = Place::at(&snapshot, offset);
    let verdict = |enabled, excluded, trigger| {
        skip::check(&place, trigger, &CompletionOptions { enabled, excluded, ..options() })
    };
    assert_eq!(verdict(Enabled::On, false, Trigger::Automatic), Ok(()));
    assert_eq!(verdict(Enabled::Manual, false, Trigger::Automatic), Err(Skip::Disabled));
    assert_eq!(verdict(Enabled::Manual, false, Trigger::Invoked), Ok(()));
    assert_eq!(verdict(Enabled::Off, false, Trigger::Invoked), Err(Skip::Disabled));
    assert_eq!(verdict(Enabled::On, true, Trigger::Invoked), Err(Skip::Excluded));
}

#[test]
fn comments_and_strings_are_left_alone_where_the_settings_say_so() {
    let check = |language_id: &str, marked: &str, expected: Result<(), Skip>| {
        let (snapshot, offset) = fixture(language_id, marked);
        let place = Place::at(&snapshot, offset);
        for (in_comments, in_strings) in [(true, true), (true, false), (false, true), (false, false)] {
            let options = CompletionOptions { in_comments, in_strings, ..options() };
            let is_off = expected.is_err_and(|skip| if skip == Skip::InComment { !in_comments } else { !in_strings });
            let verdict = if is_off { expected } else { Ok(()) };
            assert_eq!(skip::check(&place, Trigger::Automatic, &options), verdict, "{language_id}: {marked}");
            assert_eq!(skip::check(&place, Trigger::Invoked, &options), Ok(()), "{language_id}: {marked}");
        }
    };
    check("rust", "// why $0\n", Err(Skip::InComment));
    check("rust", "/* why $0 */\n", Err(Skip::InComment));
    check("rust", "let a = \"// $0\";\n", Err(Skip::InString));
    check("python", "x = 1  # why $0\n", Err(Skip::InComment));
    check("python", "def f():\n    \"\"\"Why\n    $0\n    \"\"\"\n", Err(Skip::InString));
    check("python", "x = f\"{$0} items\"\n", Ok(()));
    check("javascript", "f(`a ${$0} b`);\n", Ok(()));
    check("javascript", "f(`a $0`);\n", Err(Skip::InString));
    check("go", "x := \"a\" + $0\n", Ok(()));
    check("ruby", "x = 1\n# why $0\n", Err(Skip::InComment));
    check("ruby", "x = \"why $0\"\n", Err(Skip::InString));
    check("markdown", "* Some text $0\n", Ok(()));
}

#[test]
fn the_setting_of_any_name_of_a_language_counts() {
    let enabled = |set: &[(&str, Enabled)], language_id: &str| {
        let languages = set.iter().map(|(name, enabled)| ((*name).to_owned(), *enabled)).collect();
        let settings = CompletionSettings { languages, ..CompletionSettings::default() };
        CompletionOptions::new(&settings, language_id, false).enabled
    };
    for (one, other) in [("sh", "shellscript"), ("gitcommit", "git-commit"), ("text", "plaintext"), ("cs", "csharp")] {
        assert_eq!(enabled(&[(one, Enabled::Off)], other), Enabled::Off, "{one}");
        assert_eq!(enabled(&[(other, Enabled::Manual)], one), Enabled::Manual, "{other}");
        assert_eq!(enabled(&[(one, Enabled::On), (other, Enabled::Off)], one), Enabled::On, "its own name comes first");
    }
    assert_eq!(enabled(&[("unheard-of", Enabled::Off)], "unheard-of"), Enabled::Off);
    assert_eq!(enabled(&[("rust", Enabled::Off)], "python"), Enabled::On);
}

#[test]
fn the_setting_decides_about_lines_where_syntax_does_not_forbid() {
    let single_line = |multiline, trigger, marked: &str| {
        let (snapshot, offset) = fixture("rust", marked);
        let place = Place::at(&snapshot, offset);
        let options = CompletionOptions { multiline, ..options() };
        generation::generation_params(&place, &snapshot, trigger, &options, "```").stop.single_line
    };
    let opened = "fn f() {$0\n}\n";
    let statement = "fn f() {\n    let a = $0\n}\n";
    let before_code = "fn f() {\n    g($0, a);\n}\n";
    let before_closer = "fn f() {\n    g(|| {$0}, a);\n}\n";
    let before_brackets = "}]g$0[[\n";
    assert!(!single_line(Multiline::Auto, Trigger::Automatic, opened));
    assert!(single_line(Multiline::Auto, Trigger::Automatic, statement));
    assert!(!single_line(Multiline::Auto, Trigger::Invoked, statement));
    assert!(single_line(Multiline::Never, Trigger::Invoked, opened));
    assert!(!single_line(Multiline::Always, Trigger::Automatic, statement));
    assert!(single_line(Multiline::Always, Trigger::Invoked, before_code));
    assert!(single_line(Multiline::Always, Trigger::Invoked, before_brackets));
    assert!(!single_line(Multiline::Auto, Trigger::Invoked, before_closer));
    assert!(!single_line(Multiline::Auto, Trigger::Automatic, before_closer));
}
