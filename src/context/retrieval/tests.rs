//! Retrieval from open documents as data: a place, other files, what of them is shown.

use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::context::OpenFile;
use crate::syntax::{Parsed, language_for};
use crate::text::Rope;

fn snapshot(path: &str, text: &str) -> Snapshot {
    let path = PathBuf::from(path);
    let language = language_for("", Some(&path));
    let text = Rope::from_str(text);
    let parsed = language.and_then(|language| Parsed::parse(language, &text));
    let (cells, surroundings) = Default::default();
    Snapshot { text, version: 0, parsed, language, language_id: String::new(), path: Some(path), cells, surroundings }
}

/// What is retrieved at `$0` of `marked` beside the open files `others` and after `edits`.
fn project(path: &str, marked: &str, others: &[(&str, &str)], edits: &[RecentEdit], budget: usize) -> Project {
    let limits = Limits { project_bytes: budget, ..Limits::of_bytes(10 * budget) };
    project_within(path, marked, others, edits, limits)
}

fn project_within(path: &str, marked: &str, others: &[(&str, &str)], edits: &[RecentEdit], limits: Limits) -> Project {
    let offset = marked.find("$0").expect("a fixture marks the place with $0");
    let mut document = snapshot(path, &marked.replacen("$0", "", 1));
    let open = others.iter().map(|(path, text)| OpenFile { file: None, snapshot: snapshot(path, text) }).collect();
    document.surroundings = Arc::new(Surroundings { open, edits: edits.to_vec(), ..Surroundings::default() });
    retrieve(&document, offset, limits)
}

fn check(path: &str, marked: &str, others: &[(&str, &str)], expected: &[(&str, &str)]) {
    let project = project(path, marked, others, &[], 2000);
    let shown: Vec<_> =
        project.excerpts.iter().map(|found| (found.path.as_deref().unwrap_or("-"), found.code.as_str())).collect();
    assert_eq!(shown, expected, "{marked}");
}

#[test]
fn definitions_of_what_is_imported_are_shown_in_brief() {
    let shapes = "\"\"\"Shapes.\"\"\"\n\n\nclass Shape:\n    \"\"\"A shape with sides.\"\"\"\n\n    def __init__(self, sides):\n        self.sides = sides\n        self.total = sum(sides)\n        self.names = [str(side) for side in sides]\n        self.colours = {}\n\n    def area(self, scale=1.0):\n        return scale\n\n\ndef circle(radius):\n    \"\"\"A round one.\"\"\"\n    return Shape([radius])\n\n\ndef hidden():\n    pass\n";
    check(
        "app/main.py",
        "from .shapes import Shape, circle\n\n\ndef draw():\n    $0\n",
        &[("app/shapes.py", shapes)],
        &[(
            "app/shapes.py",
            "class Shape:\n    \"\"\"A shape with sides.\"\"\"\n    def __init__(self, sides):\n    def area(self, scale=1.0):\n\ndef circle(radius):\n    \"\"\"A round one.\"\"\"",
        )],
    );
    // Another family of languages declares something else by that name.
    check("app/main.ts", "import { circle } from './shapes';\n$0\n", &[("app/shapes.py", shapes)], &[]);
}

#[test]
fn what_a_module_has_is_shown_where_it_is_named() {
    let shapes = "class Shape:\n    def area(self):\n        return 1\n\n\ndef circle(radius, *, scale=1.0):\n    return Shape()\n";
    let expected = &[("app/shapes.py", "class Shape:\ndef circle(radius, *, scale=1.0):")];
    check("app/main.py", "from .shapes import $0\n", &[("app/shapes.py", shapes)], expected);
    check("app/main.py", "from . import shapes\n\nx = shapes.$0\n", &[("app/shapes.py", shapes)], expected);
    check("app/main.py", "from .other import $0\n", &[("app/shapes.py", shapes)], &[]);
}

#[test]
fn members_stand_with_their_type_wherever_they_are_declared() {
    let shapes = "/// A shape.\npub struct Shape {\n    sides: Vec<f64>,\n}\n\nimpl Shape {\n    pub fn around(&self) -> f64 {\n        1.0\n    }\n}\n";
    check(
        "src/main.rs",
        "use crate::shapes::Shape;\n\nfn show(shape: &Shape) -> f64 {\n    shape.$0\n}\n",
        &[("src/shapes.rs", shapes)],
        &[(
            "src/shapes.rs",
            "/// A shape.\npub struct Shape {\n    sides: Vec<f64>,\n}\n    pub fn around(&self) -> f64",
        )],
    );
}

const HANDLER: &str = "def handle_created(event, registry):\n    payload = decode_payload(event.body)\n    account = registry.lookup(payload.account)\n    if account is None:\n        raise MissingAccount(payload.account)\n    account.apply_credit(payload.amount)\n    registry.store(account)\n    return account\n";

#[test]
fn code_that_is_alike_is_shown_and_what_the_prompt_shows_is_not() {
    let marked = "def handle_refunded(event, registry):\n    payload = decode_payload(event.body)\n    account = registry.lookup(payload.account)\n    $0\n";
    check("app/refunds.py", marked, &[("app/created.py", HANDLER)], &[("app/created.py", HANDLER.trim_end())]);
    // A copy of what is there already.
    check("app/refunds.py", &format!("{HANDLER}\n\n{marked}"), &[("app/created.py", HANDLER)], &[]);
    let other = "class Colour:\n    red = 1\n    green = 2\n\n\ndef mix(first, second):\n    return first + second\n";
    check("app/refunds.py", marked, &[("app/colour.py", other)], &[]);
}

#[test]
fn either_kind_of_code_can_be_left_out() {
    let marked = "from .shapes import circle\n\n\ndef handle_refunded(event, registry):\n    payload = decode_payload(event.body)\n    account = registry.lookup(payload.account)\n    $0\n";
    let others = [("app/created.py", HANDLER), ("app/shapes.py", "def circle(radius):\n    return radius\n")];
    let files = |without: Option<Part>| {
        let limits = Limits { without, project_bytes: 2000, ..Limits::of_bytes(20_000) };
        let excerpts = project_within("app/refunds.py", marked, &others, &[], limits).excerpts;
        excerpts.into_iter().filter_map(|excerpt| excerpt.path).collect::<Vec<_>>()
    };
    assert_eq!(files(None), ["app/created.py", "app/shapes.py"]);
    assert_eq!(files(Some(Part::Definitions)), ["app/created.py"]);
    assert_eq!(files(Some(Part::Alike)), ["app/shapes.py"]);
}

#[test]
fn changes_elsewhere_are_shown_and_those_before_ones_eyes_are_not() {
    let edit = |path: &str, after: &str| RecentEdit {
        path: Some(PathBuf::from(path)),
        before: "f(a)".to_owned(),
        after: after.to_owned(),
    };
    let edits = [edit("b.py", "f(a, 1)"), edit("a.py", "f(a, 2)"), edit("a.py", "f(a, 3)")];
    let shown = |budget| project("a.py", "x = 1\nf(a, 3)\n$0\n", &[], &edits, budget).edits;
    assert_eq!(shown(2000), edits[..2]);
    assert_eq!(shown(200), edits[1..2]);
}

#[test]
fn a_budget_is_kept_and_nothing_comes_of_none() {
    let marked = "from .created import handle_created\n\n\ndef f(event, registry):\n    payload = decode_payload(event.body)\n    account = registry.lookup(payload.account)\n    $0\n";
    for budget in (0..1000).step_by(37) {
        let project = project("app/f.py", marked, &[("app/created.py", HANDLER)], &[], budget);
        assert!(project.cost() <= budget, "{} of {budget}", project.cost());
        assert!(project.excerpts.is_empty() || budget > 111, "{budget}");
        assert!(!project.excerpts.is_empty() || budget < 600, "{budget}");
    }
}

#[test]
fn tests_are_known_by_their_names() {
    for path in ["tests/a.py", "a/test_b.py", "a/b_test.go", "src/b.spec.ts", "src/test/java/ATest.java", "conftest.py"]
    {
        assert!(is_test(Path::new(path)), "{path}");
    }
    for path in ["src/latest.py", "src/contest/a.rs", "attest.go"] {
        assert!(!is_test(Path::new(path)), "{path}");
    }
}
