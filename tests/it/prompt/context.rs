//! Contexts chosen from fixtures: `$0` marks the cursor, and the snapshot shows every part.

use std::fmt::Write;

use expect_test::{Expect, expect};
use phi_ls::context::{
    Anchor, CompletionContext, ItemOptions, Limits, OpenFile, Problem, Snapshot, Surroundings, completion_context,
    item_context, selection_context,
};
use phi_ls::text::{Edit, apply_edit};

use crate::support::documents::snapshot;

/// The snapshot and the cursor of a fixture.
fn fixture(path: &str, marked: &str) -> (Snapshot, usize) {
    let offset = marked.find("$0").expect("a fixture marks the cursor with $0");
    (snapshot(path, &marked.replacen("$0", "", 1)), offset)
}

fn edited(before: &Snapshot, edit: Edit) -> Snapshot {
    let mut after = before.clone();
    apply_edit(&mut after.text, &edit);
    after.version += 1;
    after.parsed = before.parsed.as_ref().and_then(|parsed| parsed.edit(&[edit], &after.text));
    after
}

fn shown(context: &CompletionContext) -> String {
    let mut shown = String::new();
    let parts = [
        ("imports", &context.imports),
        ("outline", &context.outline),
        ("suffix", &context.suffix),
        // The bar shows where white space at the end stops.
        ("prefix", &format!("{}|", context.prefix)),
    ];
    for (name, part) in parts {
        let _ = writeln!(shown, "== {name}\n{part}");
    }
    shown
}

fn check(path: &str, marked: &str, total_bytes: usize, expected: Expect) {
    let (snapshot, offset) = fixture(path, marked);
    let context = completion_context(&snapshot, offset, Limits::of_bytes(total_bytes), &mut Anchor::default());
    let size = context.imports.len() + context.outline.len() + context.suffix.len() + context.prefix.len();
    assert!(size <= total_bytes, "{size} bytes of {total_bytes}");
    expected.assert_eq(&shown(&context));
}

/// `count` functions of five lines, `body` in the middle one.
fn long_file(count: usize, body: &str) -> String {
    let mut text = String::from("use std::collections::HashMap;\nuse std::fmt;\n\n");
    for i in 0..count {
        let body = if i == count / 2 { body } else { "x + 1" };
        let _ =
            write!(text, "/// Number {i}.\nfn number_{i}(x: u32) -> u32 {{\n    let y = x * {i};\n    {body}\n}}\n\n");
    }
    text
}

#[test]
fn a_small_file_is_shown_whole() {
    check(
        "src/area.rs",
        "use std::f64::consts::PI;\n\nfn area(r: f64) -> f64 {\n    $0\n}\n\nfn main() {}\n",
        2000,
        expect![[r#"
            == imports

            == outline

            == suffix
            }

            fn main() {}

            == prefix
            use std::f64::consts::PI;

            fn area(r: f64) -> f64 {
                |
        "#]],
    );
}

#[test]
fn what_the_window_leaves_out_is_outlined() {
    check(
        "src/numbers.rs",
        &long_file(9, "x +$0"),
        620,
        expect![[r#"
            == imports
            use std::collections::HashMap;

            == outline
            fn number_6(x: u32) -> u32
            fn number_7(x: u32) -> u32

            == suffix
            }

            /// Number 5.
            fn number_5(x: u32) -> u32 {
                let y = x * 5;
                x + 1
            }

            /// Number 6.

            == prefix
            /// Number 2.
            fn number_2(x: u32) -> u32 {
                let y = x * 2;
                x + 1
            }

            /// Number 3.
            fn number_3(x: u32) -> u32 {
                let y = x * 3;
                x + 1
            }

            /// Number 4.
            fn number_4(x: u32) -> u32 {
                let y = x * 4;
                x +|
        "#]],
    );
}

#[test]
fn a_method_is_outlined_with_its_container() {
    let mut text = String::from(
        "import os\nfrom typing import Any\n\nLIMIT = 3\n\ndef helper(x: int) -> int:\n    return x\n\n\nclass Shape(Base):\n    \"\"\"A shape.\"\"\"\n\n",
    );
    for i in 0..8 {
        let _ = write!(
            text,
            "    def side_{i}(self, factor: float = 1.0) -> float:\n        value = self.sides[{i}]\n        return value * factor\n\n"
        );
    }
    text.push_str(
        "    def area(self) -> float:\n        total = 0.0\n        $0\n\n    def last(self):\n        pass\n",
    );
    check(
        "shape.py",
        &text,
        600,
        expect![[r#"
            == imports
            import os
            from typing import Any

            == outline
            def helper(x: int) -> int:
            class Shape(Base):

            == suffix

                def last(self):
                    pass

            == prefix
                    value = self.sides[6]
                    return value * factor

                def side_7(self, factor: float = 1.0) -> float:
                    value = self.sides[7]
                    return value * factor

                def area(self) -> float:
                    total = 0.0
                    |
        "#]],
    );
}

#[test]
fn other_languages_get_plain_windows() {
    let text: String = (0..60).map(|i| format!("line {i} of the notes\n")).collect();
    check(
        "notes.txt",
        &text.replacen("line 30", "line 30$0", 1),
        300,
        expect![[r#"
            == imports

            == outline

            == suffix
            line 31 of the notes
            line 32 of the notes

            == prefix
            line 25 of the notes
            line 26 of the notes
            line 27 of the notes
            line 28 of the notes
            line 29 of the notes
            line 30|
        "#]],
    );
}

#[test]
fn every_place_of_every_shape_of_text_has_a_context() {
    let long_line = "x".repeat(3000);
    let texts = ["", "\n", "a", "fn f() {", &long_line, "漢字😀\r\n漢字😀\r\n", "\u{feff}fn f() {}\n", "\r\r\r"];
    for text in texts {
        for path in ["a.rs", "a.py", "a.unknown"] {
            let snapshot = snapshot(path, text);
            let surroundings = Surroundings {
                open: vec![OpenFile { file: None, snapshot: snapshot.clone() }],
                ..Surroundings::default()
            };
            let options = ItemOptions { budget: 200, surroundings: &surroundings, with_callers: true };
            for offset in (0..text.len() + 2).step_by(1 + text.len() / 50) {
                for total_bytes in [0, 1, 50, 400] {
                    let limits = Limits::of_bytes(total_bytes);
                    let context = completion_context(&snapshot, offset, limits, &mut Anchor::default());
                    assert!(text.contains(&context.prefix), "{text:?} at {offset}");
                    assert!(text.contains(&context.suffix), "{text:?} at {offset}");
                }
                item_context(&snapshot, offset..offset + 3, Some(&Problem::default()), &options);
                selection_context(&snapshot, offset..offset + 3, &options);
            }
        }
    }
}

#[test]
fn twenty_megabytes_cost_a_window() {
    let text = "some words on a line\n".repeat(1_000_000);
    let snapshot = snapshot("big.rs", &text);
    assert!(snapshot.parsed.is_none());
    let mut anchor = Anchor::default();
    let limits = Limits::of_bytes(1000);
    let context = completion_context(&snapshot, text.len() / 2, limits, &mut anchor);
    assert!(context.prefix.len() <= 700 && context.suffix.len() <= 150);
    assert!(context.prefix.starts_with("some words"));
}

/// Types `keys` at the cursor of `marked`. Returns the context after each key, and the anchor.
fn typed(path: &str, marked: &str, keys: &str, total_bytes: usize) -> (Vec<CompletionContext>, Anchor) {
    let (mut snapshot, mut offset) = fixture(path, marked);
    let (mut anchor, limits) = (Anchor::default(), Limits::of_bytes(total_bytes));
    let mut contexts = vec![completion_context(&snapshot, offset, limits, &mut anchor)];
    for key in keys.chars() {
        snapshot = edited(&snapshot, Edit { range: offset..offset, new_text: key.to_string() });
        offset += key.len_utf8();
        contexts.push(completion_context(&snapshot, offset, limits, &mut anchor));
    }
    (contexts, anchor)
}

/// Whether `after` is `before` with something appended to the prefix.
fn only_appends(before: &CompletionContext, after: &CompletionContext) -> bool {
    let frozen = |context: &CompletionContext| CompletionContext { prefix: String::new(), ..context.clone() };
    frozen(before) == frozen(after) && after.prefix.starts_with(&before.prefix)
}

#[test]
fn typing_only_appends_to_the_prompt() {
    let keys: String = (0..16).map(|i| format!("let z{i} = y + x; // añ{i}\n    ")).collect();
    assert!(keys.chars().count() >= 200);
    for (path, total_bytes) in [("src/numbers.rs", 900), ("src/numbers.txt", 900)] {
        let (contexts, anchor) = typed(path, &long_file(40, "$0"), &keys, total_bytes);
        let moves = contexts.windows(2).filter(|pair| !only_appends(&pair[0], &pair[1])).count();
        // About 450 bytes are typed, and the window leaves two fifths of its 630 bytes of prefix to grow into.
        assert_eq!(moves, 1, "{path}");
        assert_eq!(anchor.moves(), 2, "{path}: the first placement, and that one");
    }
}

#[test]
fn typing_in_a_file_that_fits_never_moves_the_window() {
    let keys = "let total = 1;\n    total + 2";
    let (contexts, anchor) = typed("a.rs", "fn f() -> u32 {\n    $0\n}\n", keys, 2000);
    assert!(contexts.windows(2).all(|pair| only_appends(&pair[0], &pair[1])));
    assert_eq!(anchor.moves(), 1);
}

/// Checks whether the anchor stays when the document `before` becomes `after` (each with its cursor).
fn check_holds(before: &str, after: &str, expected: bool) {
    let (mut anchor, limits) = (Anchor::default(), Limits::of_bytes(900));
    let (first, offset) = fixture("src/numbers.rs", before);
    completion_context(&first, offset, limits, &mut anchor);
    let (second, offset) = fixture("src/numbers.rs", after);
    let context = completion_context(&second, offset, limits, &mut anchor);
    assert_eq!(anchor.moves() == 1, expected, "{}", shown(&context));
    let text = second.text.to_string();
    assert_eq!(text[context.prefix_start..offset], context.prefix);
}

#[test]
fn the_window_moves_only_when_it_must() {
    let at = |body: &str| long_file(40, body);
    check_holds(&at("x$0"), &at("x + y$0"), true);
    // A deletion, a removed line, a closing bracket that the editor has added.
    check_holds(&at("x + y$0"), &at("x$0"), true);
    check_holds(&at("x\n    $0"), &at("x$0"), true);
    check_holds(&at("call$0"), &at("call($0)"), true);
    check_holds(&at("if x $0"), &at("if x {\n        $0\n    }"), true);
    // An import is added far above; a line of the window is edited.
    check_holds(&at("x$0"), &format!("use std::io;\n{}", at("x$0")), true);
    check_holds(&at("x$0"), &at("x$0").replace("let y = x * 19;", "let longer = x * 19;"), true);
    // A neighbouring line, and another function.
    check_holds(&at("let z = 1;\n    let w$0 = 2;"), &at("let z$0 = 1;\n    let w = 2;"), true);
    check_holds(&at("x$0"), &at("x").replace("let y = x * 3;", "let y = x * 3$0;"), false);
    // The code below changes.
    check_holds(&at("x$0"), &at("x$0").replace("number_21", "renamed"), false);
}

#[test]
fn an_idle_moment_lets_the_window_settle() {
    let (mut anchor, limits) = (Anchor::default(), Limits::of_bytes(900));
    let (first, offset) = fixture("a.rs", &long_file(40, "let z = 1;\n    let w$0 = 2;"));
    completion_context(&first, offset, limits, &mut anchor);
    anchor.settle(&first, offset);
    completion_context(&first, offset, limits, &mut anchor);
    assert_eq!(anchor.moves(), 1, "nothing to settle");
    let (second, offset) = fixture("a.rs", &long_file(40, "let z$0 = 1;\n    let w = 2;"));
    anchor.settle(&second, offset);
    let context = completion_context(&second, offset, limits, &mut anchor);
    assert_eq!(anchor.moves(), 2);
    assert!(context.suffix.starts_with("    let w = 2;\n"));
}
