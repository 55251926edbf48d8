//! Prompts made from fixtures, as the model gets them except for the role tags.

use std::sync::Arc;

use expect_test::{Expect, expect};
use phi_ls::context::{
    Anchor, CompletionContext, ItemContext, ItemOptions, Limits, OpenFile, Part, Problem, Reading, RecentEdit,
    Surroundings, completion_context, item_context, selection_context,
};
use phi_ls::model::{Prompt, Role};
use phi_ls::prompt::{
    Form, Layout, Others, completion_prompt, document_prompt, explain_prompt, fence, fix_prompt, follow_up,
    refactor_prompt, retry_prompt, tests_prompt,
};

use crate::support::documents::snapshot;

/// The options of a question without callers.
fn alone(budget: usize, surroundings: &Surroundings) -> ItemOptions<'_> {
    ItemOptions { budget, surroundings, with_callers: false }
}

/// Every turn under its role. A bar marks the end of the prefill.
fn shown(prompt: &Prompt) -> String {
    let mut shown = String::new();
    for turn in &prompt.turns {
        let role = match turn.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        shown.push_str(&format!("<{role}>\n{}\n", turn.text));
    }
    format!("{shown}<prefill>\n{}|\n", prompt.prefill)
}

fn completion(path: &str, marked: &str, layout: Layout, total_bytes: usize) -> Prompt {
    let offset = marked.find("$0").expect("a fixture marks the cursor with $0");
    let snapshot = snapshot(path, &marked.replacen("$0", "", 1));
    let context = completion_context(&snapshot, offset, Limits::of_bytes(total_bytes), &mut Anchor::default());
    completion_prompt(layout, &context)
}

const SHAPES: &str = "use std::f64::consts::PI;
use std::fmt;

const SIDES: usize = 4;

/// A shape.
pub struct Shape {
    sides: [f64; SIDES],
}

/// Doubles `x`.
fn double(x: f64) -> f64 {
    x * 2.0
}

impl Shape {
    /// Sum of the sides.
    pub fn around(&self) -> f64 {
        let total = self.sides.iter().sum();
        double($0total) / 2.0
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, \"{}\", self.around())
    }
}
";

fn item(problem: Option<&str>) -> ItemContext {
    let offset = SHAPES.find("$0").expect("the fixture marks a place");
    let snapshot = snapshot("src/shapes.rs", &SHAPES.replacen("$0", "", 1));
    let problem = problem.map(|message| Problem {
        range: offset..offset + 5,
        message: message.to_string(),
        source: Some("rustc".to_string()),
        related: vec!["consider giving `total` an explicit type: `: f64`".to_string()],
    });
    item_context(&snapshot, offset..offset, problem.as_ref(), &alone(3000, &Surroundings::default()))
}

#[test]
fn an_infill_prompt_asks_for_what_precedes_the_suffix() {
    let marked = SHAPES.replacen("total) / 2.0", "", 1);
    expect![[r#"
        <system>
        You complete source code. You write only the code of the file you are asked for, in the style of that file, without explanations.
        <user>
        The file is `src/shapes.rs`.

        It imports:
        ```rust
        use std::fmt;
        ```

        It also declares:
        ```rust
        pub struct Shape
        ```

        It ends with this code:
        ```rust
            }
        }

        impl fmt::Display for Shape {
        ```

        Write the code that comes before this ending, up to it, in one code block.
        <prefill>
        ```rust
        fn double(x: f64) -> f64 {
            x * 2.0
        }

        impl Shape {
            /// Sum of the sides.
            pub fn around(&self) -> f64 {
                let total = self.sides.iter().sum();
                double(|
    "#]].assert_eq(&shown(&completion("src/shapes.rs", &marked, Layout::of(Form::Chat), 420)));
}

#[test]
fn an_infill_prompt_of_an_empty_file_is_short() {
    expect![[r#"
        <system>
        You complete source code. You write only the code of the file you are asked for, in the style of that file, without explanations.
        <user>
        The file is `main.py`.

        Write the code of this file in one code block.
        <prefill>
        ```python
        |
    "#]].assert_eq(&shown(&completion("main.py", "$0", Layout::of(Form::Chat), 2000)));
}

#[test]
fn a_plain_prompt_is_the_file_itself() {
    let marked = SHAPES.replacen("total) / 2.0", "", 1);
    expect![[r#"
        <prefill>
        // src/shapes.rs
        use std::fmt;

        fn double(x: f64) -> f64 {
            x * 2.0
        }

        impl Shape {
            /// Sum of the sides.
            pub fn around(&self) -> f64 {
                let total = self.sides.iter().sum();
                double(|
    "#]]
    .assert_eq(&shown(&completion("src/shapes.rs", &marked, Layout::of(Form::Plain), 420)));
}

/// The prompt with `layout` for a place in a file that imports from another.
fn laid_out(layout: Layout) -> String {
    let lines: String = (0..8).map(|n| format!("    canvas.line({n})\n")).collect();
    let marked = format!(
        "from .shapes import circle\n\n\ndef draw(canvas):\n{lines}    canvas.put($0\n\n\ndef last():\n    pass\n"
    );
    let offset = marked.find("$0").expect("the fixture marks the cursor");
    let mut document = snapshot("app/main.py", &marked.replacen("$0", "", 1));
    let open =
        vec![OpenFile { file: None, snapshot: snapshot("app/shapes.py", "def circle(radius):\n    return radius\n") }];
    document.surroundings = Arc::new(Surroundings { open, ..Surroundings::default() });
    let limits = Limits { project_bytes: 400, ..Limits::of_bytes(1400) };
    shown(&completion_prompt(layout, &completion_context(&document, offset, limits, &mut Anchor::default())))
}

#[test]
fn other_layouts_say_the_same_elsewhere() {
    let chat = Layout::of(Form::Chat);
    expect![[r#"
        <system>
        You complete source code. You write only the code of the file you are asked for, in the style of that file, without explanations.
        <user>
        The file is `app/main.py`.

        It ends with this code:
        ```python


        def last():
            pass
        ```

        Write the code that comes before this ending, up to it, in one code block.
        <prefill>
        ```python
        # app/shapes.py:
        # def circle(radius):

        from .shapes import circle


        def draw(canvas):
            canvas.line(0)
            canvas.line(1)
            canvas.line(2)
            canvas.line(3)
            canvas.line(4)
            canvas.line(5)
            canvas.line(6)
            canvas.line(7)
            canvas.put(|
    "#]].assert_eq(&laid_out(Layout { others: Others::Comments, ..chat }));
    expect![[r#"
        <system>
        You complete source code. You write only the code of the file you are asked for, in the style of that file, without explanations.
        <user>
        The file is `shapes/box.py`.

        It ends with this code:
        ```python


        def is_cube(width, height, depth):
            return width == height == depth
        ```

        Write the code that comes before this ending, up to it, in one code block.
        <assistant>
        ```python
        def area(width, height):
            return width * height


        def volume(width, height, depth):
            return area(width, height) * depth
        ```
        <user>
        From `app/shapes.py`:
        ```python
        def circle(radius):
        ```

        The file is `app/main.py`.

        It ends with this code:
        ```python


        def last():
            pass
        ```

        Write the code that comes before this ending, up to it, in one code block.
        <prefill>
        ```python
        from .shapes import circle


        def draw(canvas):
            canvas.line(0)
            canvas.line(1)
            canvas.line(2)
            canvas.line(3)
            canvas.line(4)
            canvas.line(5)
            canvas.line(6)
            canvas.line(7)
            canvas.put(|
    "#]].assert_eq(&laid_out(Layout { has_example: true, ..chat }));
    expect![[r#"
        <system>
        You complete source code. You write only the code of the file you are asked for, in the style of that file, without explanations.
        <user>
        From `app/shapes.py`:
        ```python
        def circle(radius):
        ```

        The file is `app/main.py`.

        Code is missing in it, at `<missing>`:
        ```python
            canvas.line(0)
            canvas.line(1)
            canvas.line(2)
            canvas.line(3)
            canvas.line(4)
            canvas.line(5)
            canvas.line(6)
            canvas.line(7)
        <missing>


        def last():
            pass
        ```

        It begins with this code:
        ```python
        from .shapes import circle


        def draw(canvas):
        ```

        Write the code that follows, with what is missing in the place of `<missing>`, in one code block.
        <prefill>
        ```python
            canvas.line(0)
            canvas.line(1)
            canvas.line(2)
            canvas.line(3)
            canvas.line(4)
            canvas.line(5)
            canvas.line(6)
            canvas.line(7)
            canvas.put(|
    "#]].assert_eq(&laid_out(Layout { marks_place: true, has_short_answer: true, ..chat }));
    let short = laid_out(Layout { has_short_answer: true, ..chat });
    assert!(short.contains("Write the code that comes between, in one code block."), "{short}");
}

#[test]
fn a_part_that_is_left_out_makes_room_for_the_code_before_the_cursor() {
    let functions: String = (0..60).map(|n| format!("def f{n}(a):\n    return a + {n}\n\n\n")).collect();
    let text = format!("import os\nimport sys\n\n\n{functions}");
    let offset = text.find("def f40").expect("part of the fixture");
    let context = |without: Option<Part>| {
        let limits = Limits { without, ..Limits::of_bytes(1000) };
        completion_context(&snapshot("a.py", &text), offset, limits, &mut Anchor::default())
    };
    let whole = context(None);
    let parts = |context: &CompletionContext| {
        let is_there = [&context.imports, &context.outline, &context.suffix].map(|part| !part.is_empty());
        (is_there, context.path.is_some())
    };
    assert_eq!(parts(&whole), ([true; 3], true));
    for (part, expected) in [
        (Part::Imports, ([false, true, true], true)),
        (Part::Outline, ([true, false, true], true)),
        (Part::Suffix, ([true, true, false], true)),
        (Part::Path, ([true, true, true], false)),
    ] {
        let without = context(Some(part));
        assert_eq!(parts(&without), expected, "{part:?}");
        assert!(part == Part::Path || without.prefix.len() > whole.prefix.len(), "{part:?}");
    }
}

#[test]
fn a_longer_prefix_only_appends() {
    for layout in layouts() {
        let typed = ["fn f() {\n    $0\n}\n", "fn f() {\n    let$0\n}\n", "fn f() {\n    let x = \"```\n``$0\n}\n"];
        for pair in typed_prompts(layout, "a.rs", &typed).windows(2) {
            assert_eq!(pair[0].turns, pair[1].turns);
            assert!(pair[1].prefill.starts_with(&pair[0].prefill));
        }
    }
}

/// All layouts that differ from each other.
fn layouts() -> Vec<Layout> {
    let mut layouts = Vec::new();
    for others in [Others::Files, Others::Comments] {
        let plain = Layout { others, ..Layout::of(Form::Plain) };
        let auto = [false, true].map(|has_example| Layout { has_example, form: Form::Auto, ..plain });
        let marked = auto.map(|layout| Layout { marks_place: true, ..layout });
        let short = [auto, marked].concat().into_iter().map(|layout| Layout { has_short_answer: true, ..layout });
        layouts.extend([auto, marked].concat().into_iter().chain(short).chain([plain]));
    }
    layouts
}

/// The prompts of one document while it is typed.
fn typed_prompts(layout: Layout, path: &str, typed: &[&str]) -> Vec<Prompt> {
    let mut anchor = Anchor::default();
    let prompt = |marked: &&str| {
        let offset = marked.find("$0").expect("a fixture marks the cursor with $0");
        let snapshot = snapshot(path, &marked.replacen("$0", "", 1));
        completion_prompt(layout, &completion_context(&snapshot, offset, Limits::of_bytes(2000), &mut anchor))
    };
    typed.iter().map(prompt).collect()
}

#[test]
fn typing_changes_nothing_before_the_tail_whatever_other_files_do() {
    let shapes =
        |n: usize| format!("def circle(radius):\n    return {n}\n\n\ndef square(side_{n}):\n    return side\n");
    let text = "from .shapes import circle, square\n\n\ndef draw(canvas):\n    \n\n\ndef last():\n    pass\n";
    let start = text.find("    \n").expect("an empty line") + 4;
    let typed = "canvas.put(circle(radius=12), square(3))";
    let mut anchor = Anchor::default();
    let mut prompts = Vec::new();
    for end in 0..=typed.len() {
        let mut document = snapshot("app/main.py", &format!("{}{}{}", &text[..start], &typed[..end], &text[start..]));
        let open = vec![OpenFile { file: None, snapshot: snapshot("app/shapes.py", &shapes(end)) }];
        document.surroundings = Arc::new(Surroundings { open, ..Surroundings::default() });
        let limits = Limits::for_tokens_of(
            1536,
            Reading { bytes_per_token: Some(2.6 + end as f64 / 50.0), ..Reading::default() },
        );
        let context = completion_context(&document, start + end, limits, &mut anchor);
        prompts.push(layouts().into_iter().map(|layout| completion_prompt(layout, &context)).collect::<Vec<_>>());
    }
    let of = |wanted: Layout| {
        let index = layouts().iter().position(|layout| *layout == wanted);
        &prompts[0][index.expect("one of the layouts")]
    };
    let (first, plain) = (of(Layout::of(Form::Auto)), of(Layout::of(Form::Plain)));
    assert!(first.turns[1].text.starts_with("From `app/shapes.py`:\n```python\ndef circle(radius):"), "{first:?}");
    assert!(plain.prefill.starts_with("# app/shapes.py\ndef circle(radius):"), "{plain:?}");
    let fim = first.fim.as_ref().expect("parts");
    assert_eq!(fim.files.len(), 1);
    for pair in prompts.windows(2) {
        for (before, after) in pair[0].iter().zip(&pair[1]) {
            assert_eq!(before.turns, after.turns);
            assert!(after.prefill.starts_with(&before.prefill));
            let Some((before, after)) = before.fim.as_ref().zip(after.fim.as_ref()) else { continue };
            assert_eq!((&before.files, &before.prefix, &before.suffix), (&after.files, &after.prefix, &after.suffix));
            assert!(after.typed.starts_with(&before.typed));
        }
    }
}

#[test]
fn the_latest_changes_are_shown_as_a_difference() {
    let mut document = snapshot("a.py", "x = 1\n\n");
    let edit = RecentEdit { path: Some("b.py".into()), before: "f(a)".to_owned(), after: "f(a, 1)".to_owned() };
    document.surroundings = Arc::new(Surroundings { edits: vec![edit], ..Surroundings::default() });
    let context = completion_context(&document, 6, Limits::for_tokens(1536), &mut Anchor::default());
    let question = &completion_prompt(Layout::of(Form::Chat), &context).turns[1].text;
    assert!(question.starts_with("The latest changes:\n```diff\n+++ b.py\n-f(a)\n+f(a, 1)\n```\n"), "{question}");
}

#[test]
fn a_typed_fence_changes_the_prompts_fence_once() {
    let fences = |path: &str, typed: &[&str]| {
        let prompts = typed_prompts(Layout::of(Form::Chat), path, typed);
        let fence = |prompt: &Prompt| prompt.prefill.chars().take_while(|c| *c == '`').count();
        prompts.iter().map(fence).collect::<Vec<_>>()
    };
    let docstring = ["\"\"\"\n$0", "\"\"\"\n``$0", "\"\"\"\n```$0", "\"\"\"\n```\nx\n```$0", "\"\"\"\n$0"];
    assert_eq!(fences("a.py", &docstring), [3, 3, 4, 4, 4]);
    for path in ["a.md", "a.qmd", "a.Rmd", "a.mdx", "a.org"] {
        assert_eq!(fences(path, &["$0", "```$0", "```{r}\nx\n```$0", "````$0", "`````$0"]), [5, 5, 5, 5, 6], "{path}");
    }
}

#[test]
fn a_fence_is_longer_than_those_inside_it() {
    assert_eq!(fence("rust", "let x = \"```\";"), "```");
    assert_eq!(fence("rust", "text\n```\ntext"), "````");
    assert_eq!(fence("markdown", ""), "`````");
    assert_eq!(fence("markdown", "```rust\n```"), "`````");
}

#[test]
fn explaining_code() {
    expect![[r#"
        <system>
        You are an experienced programmer who helps a colleague with the code in front of them. You are accurate, concrete and brief. You say so when the code you are shown does not settle a question.
        <user>
        The file imports:
        ```rust
        use std::f64::consts::PI;
        use std::fmt;
        ```

        The code uses:
        ```rust
        /// Doubles `x`.
        fn double(x: f64) -> f64 {
            x * 2.0
        }

        /// A shape.
        pub struct Shape {
            sides: [f64; SIDES],
        }
        ```

        The code is inside of:
        ```rust
        impl Shape
        ```

        This is the code from `src/shapes.rs`, line 17 on:
        ```rust
            /// Sum of the sides.
            pub fn around(&self) -> f64 {
                let total = self.sides.iter().sum();
                double(total) / 2.0
            }
        ```

        Explain what this code does, how it does it, and what to watch out for when using or changing it. Answer in a few short paragraphs or list items of Markdown and do not repeat the code.
        <prefill>
        |
    "#]].assert_eq(&shown(&explain_prompt(&item(None))));
}

#[test]
fn explaining_a_problem() {
    let message = "error[E0283]: type annotations needed\ncannot satisfy `_: Sum<&f64>`";
    expect![[r#"

        rustc reports a problem in line 4 of this code, `double(total) / 2.0`:
        > error[E0283]: type annotations needed
        > cannot satisfy `_: Sum<&f64>`
        > consider giving `total` an explicit type: `: f64`

        Explain this problem: what it means, why this code causes it, and what to change. Answer in a few sentences of Markdown; show only the lines that have to change.
        <prefill>
        |
    "#]].assert_eq(&last_request(&explain_prompt(&item(Some(message)))));
}

#[test]
fn edits_are_asked_for_as_one_code_block() {
    expect![[r#"

        rustc reports a problem in line 4 of this code, `double(total) / 2.0`:
        > type annotations needed
        > consider giving `total` an explicit type: `: f64`

        Correct the code so that this problem is gone. Change nothing else.
        Answer with the complete code from its first to its last line, in one code block, with the same indentation, and with nothing before or after it.
        <prefill>
        ```rust
        |
    "#]].assert_eq(&last_request(&fix_prompt(&item(Some("type annotations needed")))));
    expect![[r#"

        Find what is wrong with this code and correct it. Change nothing else.
        Answer with the complete code from its first to its last line, in one code block, with the same indentation, and with nothing before or after it.
        <prefill>
        ```rust
        |
    "#]].assert_eq(&last_request(&fix_prompt(&item(None))));
    expect![[r#"

        Rewrite the code so that it is simpler and easier to read. It must do exactly what it does now, and its name and parameters must stay.
        Answer with the complete code from its first to its last line, in one code block, with the same indentation, and with nothing before or after it.
        <prefill>
        ```rust
        |
    "#]].assert_eq(&last_request(&refactor_prompt(&item(None), None)));
    expect![[r#"

        Change the code as follows: use a loop
        Change nothing else.
        Answer with the complete code from its first to its last line, in one code block, with the same indentation, and with nothing before or after it.
        <prefill>
        ```rust
        |
    "#]].assert_eq(&last_request(&refactor_prompt(&item(None), Some(" use a loop "))));
    expect![[r#"

        Write the documentation comment of this code in the usual form of its language: what it does, its parameters, result and errors where they are not obvious. Keep the code itself exactly as it is.
        Answer with the complete code from its first to its last line, in one code block, with the same indentation, and with nothing before or after it.
        <prefill>
        ```rust
        |
    "#]].assert_eq(&last_request(&document_prompt(&item(None))));
    expect![[r#"

        Write unit tests of this code with the test framework that is usual in its language: the ordinary case, the edge cases, the errors. Answer with the tests only, in one code block, and do not repeat the code.
        <prefill>
        ```rust
        |
    "#]].assert_eq(&last_request(&tests_prompt(&item(None))));
}

/// The text after the code in the last turn, and the prefill.
fn last_request(prompt: &Prompt) -> String {
    let question = &prompt.turns.last().expect("a question").text;
    let after_code = question.rsplit("```\n").next().unwrap_or_default();
    format!("{after_code}\n<prefill>\n{}|\n", prompt.prefill)
}

#[test]
fn questions_about_one_item_share_their_beginning() {
    let (explain, fix) = (explain_prompt(&item(None)), fix_prompt(&item(Some("wrong"))));
    let common = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&explain.turns[1].text, &fix.turns[1].text);
    assert_eq!(explain.turns[0], fix.turns[0]);
    assert!(common(a, b) > a.rfind("    }\n```").expect("the code's end"));
}

#[test]
fn a_conversation_goes_on_from_its_answer() {
    let first = fix_prompt(&item(None));
    let again = retry_prompt(&first, "fn f( {\n```", "line 1 does not parse");
    assert_eq!(again.turns[..2], first.turns);
    assert_eq!(again.turns[2].text, "```rust\nfn f( {\n```");
    assert_eq!(again.prefill, first.prefill);
    expect!["That cannot be used: line 1 does not parse. Answer again with the whole code, in one code block."]
        .assert_eq(&again.turns[3].text);
    let next = follow_up(&explain_prompt(&item(None)), "It sums.", "Why?");
    assert_eq!(next.turns.len(), 4);
    assert_eq!(next.prefill, "");
}

#[test]
fn a_selection_is_shown_by_whole_lines() {
    let text = SHAPES.replacen("$0", "", 1);
    let start = text.find("total = ").expect("part of the fixture");
    let context =
        selection_context(&snapshot("src/shapes.rs", &text), start..start + 40, &alone(3000, &Surroundings::default()));
    assert_eq!(context.code, "        let total = self.sides.iter().sum();\n        double(total) / 2.0");
    assert_eq!(&text[context.code_range.clone()], context.code);
    assert_eq!(context.first_line, 19);
    assert_eq!(context.outline, "impl Shape\n    pub fn around(&self) -> f64\n");
}

/// Checks the code that is shown for the item around `$0`, and whether it is only a part.
fn check_item(path: &str, marked: &str, budget: usize, expected: Expect) {
    let offset = marked.find("$0").expect("a fixture marks the place with $0");
    let snapshot = snapshot(path, &marked.replacen("$0", "", 1));
    let context = item_context(&snapshot, offset..offset, None, &alone(budget, &Surroundings::default()));
    let extent = if context.cut { "a part" } else { "whole" };
    expected.assert_eq(&format!("{extent}:\n{}\n", context.code));
}

#[test]
fn an_item_comes_with_what_belongs_to_it() {
    check_item(
        "a.rs",
        "/// Adds$0.\n#[inline]\nfn add() {}\n\nfn sub() {}\n",
        500,
        expect![[r#"
            whole:
            /// Adds.
            #[inline]
            fn add() {}
        "#]],
    );
    check_item(
        "a.rs",
        "mod m {\n  $0  fn add() {\n    }\n}\n",
        500,
        expect![[r#"
            whole:
                fn add() {
                }
        "#]],
    );
    check_item(
        "a.py",
        "class A:\n    @property\n    def f(self):\n        return 1$0\n",
        500,
        expect![[r#"
            whole:
                @property
                def f(self):
                    return 1
        "#]],
    );
    check_item(
        "a.ts",
        "// Doc.\nexport const f = (x: number) => {\n  return $0x;\n};\n",
        500,
        expect![[r#"
            whole:
            // Doc.
            export const f = (x: number) => {
              return x;
            };
        "#]],
    );
}

#[test]
fn what_is_too_long_is_cut_at_a_node() {
    let mut long = String::from("fn long() {\n");
    for i in 0..40 {
        let mark = if i == 20 { "$0" } else { "" };
        long.push_str(&format!("    if a({i}) {{\n        b({mark}{i});\n    }}\n"));
    }
    long.push_str("}\n");
    check_item(
        "a.rs",
        &long,
        90,
        expect![[r#"
            a part:
                if a(20) {
                    b(20);
                }
        "#]],
    );
    check_item(
        "a.txt",
        &long,
        90,
        expect![[r#"
            whole:
                }
                if a(20) {
                    b(20);
                }
                if a(21) {
        "#]],
    );
}
