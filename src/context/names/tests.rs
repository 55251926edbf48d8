//! Names that can stand at a place, in folders with a document and other files.

use std::sync::Arc;

use super::*;
use crate::context::{Bounds, Surroundings, WorkspaceIndex};
use crate::syntax::language_for;
use crate::text::Rope;
use crate::workspace::Workspaces;

/// What is offered at `$0` of the document `path`, beside `others`: the names that are no part of the language, and `..` where there
/// may be more.
fn names(path: &str, marked: &str, others: &[(&str, &str)]) -> Option<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().canonicalize().expect("it is there");
    let offset = marked.find("$0").expect("a fixture marks the place with $0");
    let text = marked.replacen("$0", "", 1);
    for (name, text) in others.iter().copied().chain([(path, text.as_str())]) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("has a folder")).expect("folder");
        std::fs::write(path, text).expect("file");
    }
    let index = WorkspaceIndex::new(Arc::new(Workspaces::new(std::slice::from_ref(&root), &[])), Bounds::default());
    index.walk(&mut || true);
    let language = language_for("", Some(std::path::Path::new(path)));
    let text = Rope::from_str(&text);
    let parsed = language.and_then(|language| Parsed::parse(language, &text));
    let file = Some(root.join(path));
    let surroundings = Arc::new(Surroundings { file, index: Some(Arc::new(index)), ..Surroundings::default() });
    let (language_id, cells) = Default::default();
    let path = Some(PathBuf::from(path));
    let snapshot = Snapshot { text, version: 0, parsed, language, language_id, path, cells, surroundings };
    let offered = offered(&snapshot, offset)?;
    let rules = language.expect("a known language").modules;
    let standard: Vec<&str> = [Reach::Type, Reach::Value]
        .into_iter()
        .flat_map(|reach| standard::everywhere(rules, reach))
        .chain(standard::of_modules(rules))
        .chain(standard::in_imports(rules))
        .chain(standard::before_given(rules))
        .copied()
        .collect();
    let names: Vec<&str> = offered.names.iter().map(String::as_str).filter(|name| !standard.contains(name)).collect();
    Some(format!("{}{}", names.join(" "), if offered.is_complete { "" } else { " .." }))
}

/// What differs from what is expected, so that one run shows all of it.
#[derive(Default)]
struct Mismatches(Vec<String>);

impl Mismatches {
    fn check(&mut self, path: &str, marked: &str, others: &[(&str, &str)], expected: Option<&str>) {
        let found = names(path, marked, others);
        if found.as_deref() != expected {
            self.0.push(format!("{marked}\nexpected {expected:?}\nfound    {found:?}\n"));
        }
    }
}

impl Drop for Mismatches {
    fn drop(&mut self) {
        assert!(self.0.is_empty() || std::thread::panicking(), "{}", self.0.join("\n"));
    }
}

const SHAPES: &str = "from abc import ABC\nfrom enum import Enum\n\n\nclass Shape(ABC):\n    kind = 1\n\n    def __init__(self, sides):\n        self.sides = sides\n\n    def area(self):\n        return self.sides\n\n\nclass Colour(Enum):\n    RED = 1\n    GREEN = 2\n\n\ndef circle(radius):\n    pass\n";

#[test]
fn members_of_the_type_around_are_known_with_those_of_its_bases() {
    let mut all = Mismatches::default();
    let round = "from .shapes import Shape\n\n\nclass Round(Shape):\n    def __init__(self, radius):\n        self.radius = radius\n\n    def f(self):\n        return self.$0\n";
    all.check(
        "app/round.py",
        round,
        &[("app/shapes.py", SHAPES), ("app/__init__.py", "")],
        Some("area f kind radius sides"),
    );
    all.check("app/round.py", round, &[], Some("f radius .."));
    // A statement may make a member, and something may make them as they are asked for.
    all.check("app/a.py", "class A:\n    x = 1\n    def f(self):\n        self.$0\n", &[], Some("f x .."));
    all.check(
        "app/a.py",
        "class A:\n    def __getattr__(self, name): pass\n    def f(self):\n        return self.$0\n",
        &[],
        Some("__getattr__ f .."),
    );
    all.check("app/a.py", "class A(make()):\n    def f(self):\n        return self.$0\n", &[], Some("f .."));
    all.check("app/a.py", "def f(self):\n    return self.$0\n", &[], None);
    all.check("app/a.py", "class A:\n    x = 1\n    def f(self):\n        return f\"{self.$0}\"\n", &[], Some("f x"));

    let shapes = "use std::fmt;\n\n#[derive(Debug)]\npub struct Shape {\n    sides: u32,\n}\n\nimpl Shape {\n    pub fn new() -> Self { Self { sides: 1 } }\n    pub fn area(&self) -> u32 { 1 }\n}\n\nimpl fmt::Display for Shape {\n    fn fmt(&self) {}\n}\n";
    let more = "use crate::shapes::Shape;\n\nimpl Shape {\n    fn around(&self) -> u32 {\n        self.$0\n    }\n}\n";
    let lib = "mod shapes;\nmod more;\n";
    all.check("src/more.rs", more, &[("src/shapes.rs", shapes), ("src/lib.rs", lib)], Some("area around sides"));
    let derefs = shapes.replace("fmt::Display", "Deref");
    all.check("src/more.rs", more, &[("src/shapes.rs", &derefs), ("src/lib.rs", lib)], Some("area around sides .."));
    let made = shapes.replace("Debug", "Debug, Builder");
    all.check("src/more.rs", more, &[("src/shapes.rs", &made), ("src/lib.rs", lib)], Some("area around sides .."));
    let drawn = "use crate::shapes::Shape;\npub trait Draw {\n    fn draw(&self);\n    fn twice(&self) {}\n}\nimpl Draw for Shape {\n    fn draw(&self) {}\n}\n";
    all.check(
        "src/more.rs",
        more,
        &[("src/shapes.rs", shapes), ("src/lib.rs", lib), ("src/draw.rs", drawn)],
        Some("area around draw sides twice"),
    );

    let base =
        "export class Base<T> {\n  protected items: T[] = [];\n  constructor(private readonly size: number) {}\n}\n";
    let list = "import { Base } from './base';\n\nexport class List extends Base<string> {\n  add(item: string) {\n    this.$0\n  }\n}\n";
    all.check("src/list.ts", list, &[("src/base.ts", base)], Some("add items size"));
    all.check("src/list.ts", list, &[], Some("add .."));
    let inner = "class A {\n  x = 1;\n  f() {\n    g(function () { return this.$0 });\n  }\n}\n";
    all.check("src/a.ts", inner, &[], None);
    all.check("src/a.ts", &inner.replace("function ()", "() =>"), &[], Some("f x"));

    let user = "package app;\n\nclass User extends Person {\n    private String mail;\n\n    String show() {\n        return this.$0;\n    }\n}\n";
    let person = "package app;\n\npublic class Person {\n    String name;\n\n    int age() { return 1; }\n}\n";
    all.check("app/User.java", user, &[("app/Person.java", person)], Some("age mail show"));
    all.check("app/User.java", user, &[], Some("mail show .."));

    let header = "class Shape {\n public:\n  int area() const;\n\n private:\n  int sides_;\n};\n";
    let source = "#include \"shape.hpp\"\n\nint Shape::area() const {\n  return this->$0;\n}\n";
    all.check("src/shape.cpp", source, &[("src/shape.hpp", header)], Some("area sides_ .."));
    all.check("src/shape.cpp", &format!("{header}{source}"), &[], Some("area sides_"));
}

#[test]
fn types_offer_their_variants_and_members() {
    let mut all = Mismatches::default();
    let main = "from .shapes import Colour\n\n\ndef f():\n    return Colour.$0\n";
    let package = &[("app/shapes.py", SHAPES), ("app/__init__.py", "")];
    let values = names("app/main.py", main, package).expect("an enum is known");
    assert!(values.starts_with("GREEN RED ") && !values.ends_with(".."), "{values}");

    let colour = "pub enum Colour {\n    Red,\n    Green { depth: u32 },\n}\n\nimpl Colour {\n    pub fn mix(self) -> Self { self }\n    pub fn all() {}\n}\n";
    let lib = "mod colour;\nmod paint;\n";
    let paint = "use crate::colour::Colour;\n\nfn f() {\n    let x = Colour::$0;\n}\n";
    all.check("src/paint.rs", paint, &[("src/colour.rs", colour), ("src/lib.rs", lib)], Some("Green Red all mix"));
    let path = "fn f() {\n    let x = crate::colour::Colour::$0;\n}\n";
    all.check("src/paint.rs", path, &[("src/colour.rs", colour), ("src/lib.rs", lib)], Some("Green Red all mix"));

    let paint = "import { Colour } from './colour';\nconst x = Colour.$0;\n";
    all.check(
        "src/paint.ts",
        paint,
        &[("src/colour.ts", "export enum Colour { Red, Green = 'g' }\n")],
        Some("Green Red"),
    );
    all.check("src/paint.ts", paint, &[("src/other.ts", "export enum Colour { Red }\n")], None);
    // What is imported or else defined is either.
    let either = "try:\n    from fast import Shape\nexcept ImportError:\n    class Shape:\n        x = 1\n\ndef f():\n    return Shape.$0\n";
    all.check("app/main.py", either, package, None);
    let again = "class Shape:\n    x = 1\nShape = made(Shape)\n\ndef f():\n    return Shape.$0\n";
    all.check("app/main.py", again, package, None);

    all.check("a.cpp", "enum class Colour { Red, Green };\nauto x = Colour::$0;\n", &[], Some("Green Red"));
    let paint = "package app;\n\nclass Paint {\n    Colour c = Colour.$0;\n}\n";
    all.check(
        "app/Paint.java",
        paint,
        &[("app/Colour.java", "package app;\nenum Colour { RED, GREEN }\n")],
        Some("GREEN RED"),
    );
}

#[test]
fn modules_offer_what_they_have() {
    let mut all = Mismatches::default();
    let package = &[("app/shapes.py", SHAPES), ("app/__init__.py", "")];
    all.check("app/main.py", "from .shapes import $0\n", package, Some("ABC Colour Enum Shape circle"));
    all.check("app/main.py", "from .shapes import Shape, ci$0\n", package, Some("ABC Colour Enum Shape circle"));
    all.check("app/main.py", "from app.shapes import $0\n", package, Some("ABC Colour Enum Shape circle"));
    all.check("app/main.py", "from . import shapes\nx = shapes.$0\n", package, Some("ABC Colour Enum Shape circle"));
    all.check("app/main.py", "from . import $0\n", package, Some("main shapes"));
    all.check("app/main.py", "from other import $0\n", package, None);
    all.check("app/main.py", "from .all import $0\n", &[("app/all.py", "from os import *\nx = 1\n")], Some("x .."));
    let taken = &[("app/all.py", "from .shapes import *\nx = 1\n"), ("app/shapes.py", SHAPES)];
    all.check("app/main.py", "from .all import $0\n", taken, Some("ABC Colour Enum Shape circle x"));

    let shapes = "use std::fmt;\npub struct Shape;\npub(crate) fn area() {}\nmod inner {\n    pub fn hidden() {}\n}\n";
    let lib = "mod shapes;\nmod main_view;\n";
    all.check(
        "src/main_view.rs",
        "use crate::shapes::$0;\n",
        &[("src/shapes.rs", shapes), ("src/lib.rs", lib)],
        Some("Shape area inner"),
    );
    all.check(
        "src/main_view.rs",
        "use super::shapes::{area, S$0};\n",
        &[("src/shapes.rs", shapes), ("src/lib.rs", lib)],
        Some("Shape area inner"),
    );
    let with_macro = format!("{shapes}make! {{ more }}\n");
    all.check(
        "src/main_view.rs",
        "use crate::shapes::$0;\n",
        &[("src/shapes.rs", &with_macro), ("src/lib.rs", lib)],
        Some("Shape area inner .."),
    );
    all.check("src/main_view.rs", "use serde::$0;\n", &[("src/lib.rs", lib)], None);

    let shapes = "export const area = 1;\nexport class Shape {}\nconst hidden = 2;\nexport * from './round';\n";
    let others = &[("src/shapes.ts", shapes), ("src/round.ts", "export function circle() {}\n")];
    all.check("src/main.ts", "import { $0 } from './shapes';\n", others, Some("Shape area circle"));
    all.check("src/main.ts", "import * as shapes from './shapes';\nshapes.$0\n", others, Some("Shape area circle"));
    all.check("src/main.ts", "import { $0 } from 'shapes';\n", others, None);

    let go = "package main\n\nimport \"example.com/app/shapes\"\n\nfunc main() {\n\tx := shapes.$0\n}\n";
    let others = &[
        ("go.mod", "module example.com/app\n"),
        ("shapes/a.go", "package shapes\n\nfunc Area() {}\nfunc hidden() {}\n"),
        ("shapes/b.go", "package shapes\n\ntype Shape struct{}\n"),
    ];
    all.check("main.go", go, others, Some("Area Shape"));
}

#[test]
fn variables_offer_the_members_of_the_type_that_is_said() {
    let mut all = Mismatches::default();
    let package = &[("app/shapes.py", SHAPES), ("app/__init__.py", "")];
    let main = |code: &str| format!("from .shapes import Shape\n\n\ndef f(shape: Shape, other):\n    {code}\n");
    all.check("app/main.py", &main("return shape.$0"), package, Some("area kind sides"));
    all.check("app/main.py", &main("return other.$0"), package, None);
    all.check("app/main.py", &main("x = Shape(1)\n    return x.$0"), package, Some("area kind sides"));
    all.check("app/main.py", &main("x = Shape(1)\n    x = other\n    return x.$0"), package, None);
    all.check("app/main.py", &main("if isinstance(shape, Round):\n        return shape.$0"), package, None);

    let go = "package a\n\ntype Shape struct {\n\tsides int\n}\n\nfunc (s *Shape) Area() int {\n\treturn s.$0\n}\n";
    all.check(
        "a.go",
        go,
        &[("b.go", "package a\n\nfunc (s Shape) Around() int { return 1 }\n")],
        Some("Area Around sides"),
    );
    all.check(
        "a.c",
        "struct shape { int sides; };\nint f(struct shape *s) {\n  return s->$0;\n}\n",
        &[],
        Some("sides"),
    );
    all.check("src/a.ts", "interface A { x: number }\nfunction f(a: A) {\n  return a.$0\n}\n", &[], Some("x"));
    let java = "package app;\n\nclass Paint {\n    int f(Person p) {\n        return p.$0;\n    }\n}\n";
    all.check(
        "app/Paint.java",
        java,
        &[("app/Person.java", "package app;\nclass Person {\n    int age;\n}\n")],
        Some("age"),
    );
    let rust = "struct B { y: u32 }\nstruct A { x: Box<B> }\nimpl A {\n    fn f(&self) -> u32 {\n        g(self.x.$0\n    }\n}\n";
    all.check("src/lib.rs", rust, &[], Some("y"));
    let script = "interface B { y: number }\nclass A {\n  x: B;\n  f(a: A) {\n    return a.x.$0\n  }\n}\n";
    all.check("src/a.ts", script, &[], Some("y"));
    // What is assigned to may be new.
    all.check("app/main.py", &main("Shape.$0"), package, Some("area kind sides .."));
    let rust = "struct A { x: u32 }\nfn f(a: &A) -> u32 {\n    a.$0\n}\n";
    all.check("src/lib.rs", rust, &[], Some("x"));
}

#[test]
fn calls_offer_the_parameters_that_are_left() {
    let mut all = Mismatches::default();
    let lib = "def f(a, b=1, *c, d: int = 2): pass\n\ndef more(a, **b): pass\n\n@odd\ndef odd(a): pass\n\nclass Base:\n    def __init__(self, base): pass\n    def g(self, x, y): pass\n\nclass Shape(Base):\n    pass\n\nclass Round(Shape):\n    def __init__(self, radius, base): pass\n    kind = make()\n\nmade = f\n";
    let package = &[("app/lib.py", lib), ("app/__init__.py", "")];
    let main = |code: &str| {
        format!(
            "from . import lib\nfrom .lib import *\nfrom dataclasses import dataclass\n\ndef run(shape: Round, f_):\n    {code}\n"
        )
    };
    all.check("app/main.py", &main("f(b=1, $0"), package, Some("a d"));
    all.check("app/main.py", &main("x = f(\n        b=1,\n        d$0\n        a=2,\n    )"), package, Some("d"));
    all.check("app/main.py", &main("return lib.f(b=1, $0)"), package, Some("a d"));
    all.check("app/main.py", &main("f($0=1)"), package, Some("a b d"));
    all.check("app/main.py", &main("f(1, $0)"), package, None);
    all.check("app/main.py", &main("f(**x, $0)"), package, Some("a b d"));
    all.check("app/main.py", &main("more(x=1, $0)"), package, Some("a .."));
    all.check("app/main.py", &main("odd(x=1, $0)"), package, Some("a .."));
    all.check("app/main.py", &main("f_(x=1, $0)"), package, None);
    all.check("app/main.py", &main("made(x=1, $0)"), package, None);
    all.check("app/main.py", &main("f = odd\n    f(b=1, $0)"), package, None);
    all.check("app/main.py", &main("Shape(x=1, $0)"), package, Some("base"));
    all.check("app/main.py", &main("Round(base=1, $0)"), package, Some("radius"));
    all.check("app/main.py", &main("shape.g(x=1, $0)"), package, Some("y"));
    all.check("app/main.py", &main("shape.kind(x=1, $0)"), package, None);
    let own = "@dataclass\nclass A(lib.Base):\n    x: int\n    y: int\n\n    def f(self):\n        super().__init__(b=1, $0)\n";
    all.check("app/main.py", &main(&format!("pass\n{own}")), package, Some("base"));
    let own = own.replace("super().__init__", "A");
    all.check("app/main.py", &main(&format!("pass\n{own}")), package, Some("base x y"));
    let own = own.replace("lib.Base", "Unheard");
    all.check("app/main.py", &main(&format!("pass\n{own}")), package, Some("x y .."));
}

#[test]
fn literals_offer_the_fields_that_are_left() {
    let mut all = Mismatches::default();
    let shapes = "#[derive(Builder)]\npub struct Point {\n    pub x: u32,\n    pub y: u32,\n}\n\nimpl Point {\n    fn f(self) -> Self { Self { x: 1, $0 } }\n}\n\npub enum Shape {\n    Round { radius: u32, at: Point },\n    Other,\n}\n";
    let lib = "mod shapes;\nmod main_view;\n";
    all.check("src/shapes.rs", shapes, &[("src/lib.rs", lib)], Some("y"));
    let shapes = shapes.replace("$0", "y: 1");
    let files = &[("src/shapes.rs", shapes.as_str()), ("src/lib.rs", lib)];
    let view = |code: &str| format!("use crate::shapes::{{self, Point, Shape}};\n\nfn f(x: u32) {{\n    {code}\n}}\n");
    let mut rust = |code: &str, expected: Option<&str>| all.check("src/main_view.rs", &view(code), files, expected);
    rust("let p = Point { $0", Some("x y"));
    rust("let p = Point {\n        x,\n        $0\n    };", Some("y"));
    rust("let s = Shape::Round { radius: 1, $0 };", Some("at"));
    rust("let s = shapes::Point { y: 1, ..$0 };", None);
    rust("let s = crate::shapes::Shape::Round { $0 };", Some("at radius"));
    rust("if let Shape::Round { at, $0 } = s {}", Some("radius"));
    rust("let s = Point { x: $0 };", None);
    rust("let s = Unheard { x: 1, $0 };", None);
    let changed = shapes.replace("#[derive(Builder)]", "#[odd]");
    let files = &[("src/shapes.rs", changed.as_str()), ("src/lib.rs", lib)];
    all.check("src/main_view.rs", &view("let p = Point { x: 1, $0 };"), files, Some("y .."));

    let go = "package main\n\nimport \"example.com/app/shapes\"\n\ntype Line struct {\n\t*Other\n\tfrom, to int\n}\n\nfunc (l Line) Length() int { return 0 }\n\nfunc main() {\n\tx := CODE\n}\n";
    let others = &[
        ("go.mod", "module example.com/app\n"),
        ("shapes/a.go", "package shapes\n\ntype Point struct {\n\tX, Y int\n\thidden int\n}\n"),
    ];
    all.check("main.go", &go.replace("CODE", "Line{from: 1, $0}"), others, Some("Other to"));
    all.check("main.go", &go.replace("CODE", "Line{$0}"), others, None);
    all.check("main.go", &go.replace("CODE", "[]shapes.Point{{X: 1, $0}}"), others, Some("Y"));

    let header = "struct point {\n  int x;\n  int y;\n};\ntypedef struct point point_t;\n";
    let c = "#include \"point.h\"\n\nvoid f(void) {\n  CODE\n}\n";
    let others = &[("point.h", header)];
    all.check("a.c", &c.replace("CODE", "struct point p = { .x = 1, .$0 };"), others, Some("y"));
    all.check("a.c", &c.replace("CODE", "point_t p = {\n    .$0\n    .x = 1,\n  };"), others, Some("y"));
    all.check("a.c", &c.replace("CODE", "g((point_t){ .$0"), others, Some("x y"));
    all.check("a.c", &c.replace("CODE", "struct unheard p = { .x = 1, .$0 };"), others, None);

    let script = "import { Point } from './point';\n\nCODE\n";
    let point = "interface Base { x: number }\nexport interface Point extends Base { y: number; z?: string }\n";
    let others = &[("src/point.ts", point)];
    let mut check = |code: &str, expected| all.check("src/a.ts", &script.replace("CODE", code), others, expected);
    check("const p: Point = { x: 1, $0 };", Some("y z"));
    check("function f(): Point {\n  return { $0 };\n}", Some("x y z"));
    check("const p = { x: 1, $0 };", None);
    check("const p: Partial<Point> = { x: 1, $0 };", None);
}

#[test]
fn members_of_c_come_from_headers() {
    let mut all = Mismatches::default();
    let header = "#ifndef SHAPE_H\n#define SHAPE_H\nstruct point { int x; int y; };\ntypedef struct shape {\n  struct point *at;\n  int sides;\n} shape_t;\n#endif\n";
    let c = |code: &str| format!("#include \"shape.h\"\n\nint f(shape_t *s, struct shape t) {{\n  {code}\n}}\n");
    let others = &[("include/shape.h", header)];
    all.check("src/a.c", &c("return s->$0;"), others, Some("at sides"));
    all.check("src/a.c", &c("return t.$0;"), others, Some("at sides"));
    all.check("src/a.c", &c("return s->at->$0;"), others, Some("x y"));
    all.check("src/a.c", &c("return u->$0;"), others, None);
    all.check("src/a.c", &c("g(\"\\\"\", s->$0);"), others, Some("at sides"));
    all.check("src/a.c", &c("g(\"s->$0"), others, None);
    let twice = &[("include/shape.h", header), ("other/shape.h", header)];
    all.check("src/a.c", &c("return s->$0;"), twice, None);
    let more = header.replace("int sides;", "SHAPE_FIELDS;");
    all.check("src/a.c", &c("return s->$0;"), &[("include/shape.h", &more)], Some("at .."));
}

#[test]
fn a_package_of_go_is_known_with_all_its_files() {
    let mut all = Mismatches::default();
    let go = "package a\n\ntype Shape struct {\n\tsides int\n}\n\nfunc f(s *Shape) int {\n\treturn s.$0\n}\n";
    let tagged = "//go:build linux\n\npackage a\n\nfunc (s *Shape) Draw() {}\n";
    all.check("a.go", go, &[("b_linux.go", tagged), ("doc.go", "package a\n")], Some("Draw sides"));
    // What must not be read may add to it.
    let ignored = &[("b_linux.go", tagged), (".gitignore", "b_*\n"), (".git/HEAD", "")];
    all.check("a.go", go, ignored, Some("sides .."));
}
