//! Small documents in every language, and random numbers that are the same on every run.

use std::path::PathBuf;
use std::sync::Arc;

use phi_ls::context::Snapshot;
use phi_ls::syntax::{Language, Parsed, language_for};
use phi_ls::text::Rope;

/// Language id and text. No line has white space at its end, and no two neighbouring lines are the same.
pub(crate) const DOCUMENTS: &[(&str, &str)] = &[
    (
        "rust",
        "use std::fmt;\n\n/// A käse (sort of).\npub struct Shape {\n    sides: Vec<f64>,\n}\n\nimpl Shape {\n    fn area(&self, scale: f64) -> f64 {\n        let total: f64 = self.sides.iter().map(|side| side * scale).sum();\n        println!(\"total {} 漢字\", total);\n        if total > 1.0 {\n            return total;\n        }\n        total * 2.0\n    }\n}\n",
    ),
    (
        "python",
        "import os\n\n\nclass Café:\n    def find(self, name, default='x'):\n        \"\"\"Find (or not).\"\"\"\n        for item in self.items:\n            if item[\"name\"] == name:\n                return item\n        return {'name': default, 'size': [1, 2, (3, 4)]}\n",
    ),
    (
        "typescript",
        "import { a } from './a';\n\nexport const load = async (url: string): Promise<number[]> => {\n  const reply = await fetch(`${url}/items`, { method: 'GET' });\n  return (await reply.json()).map((item: { id: number }) => item.id);\n};\n",
    ),
    (
        "go",
        "package main\n\nimport \"fmt\"\n\nfunc add(a, b int) int {\n\tif a > b {\n\t\tfmt.Println(\"größer\", a)\n\t}\n\treturn a + b\n}\n",
    ),
    (
        "c",
        "#include <stdio.h>\n\nint main(int argc, char **argv) {\n    for (int i = 0; i < argc; i++) {\n        printf(\"%s\\n\", argv[i]);\n    }\n    return 0;\n}\n",
    ),
    (
        "java",
        "class Point {\n    private final int x;\n\n    Point(int x) {\n        this.x = x;\n    }\n\n    int twice() {\n        return x * 2;\n    }\n}\n",
    ),
    ("markdown", "# Title\n\nSome text (with a note) and `code`.\n\n```rust\nfn main() {}\n```\n"),
    ("unheard-of", "begin\n    say \"hello 😀\" (twice)\nend\n"),
];

/// A document without a version, as if in a workspace. Its language follows from the path.
pub(crate) fn snapshot(path: &str, text: &str) -> Snapshot {
    let path = PathBuf::from(path);
    let language = language_for("", Some(&path));
    let text = Rope::from_str(text);
    let parsed = language.and_then(|language| Parsed::parse(language, &text));
    let language_id = language.map_or("plaintext", |language| language.id).to_string();
    let (cells, surroundings) = Default::default();
    Snapshot { text, version: 0, parsed, language, language_id, path: Some(path), cells, surroundings }
}

pub(crate) fn document(language_id: &str, text: &str) -> Snapshot {
    let text = Rope::from_str(text);
    let language = Language::by_id(language_id);
    let parsed = language.and_then(|language| Parsed::parse(language, &text));
    Snapshot {
        text,
        version: 1,
        parsed,
        language,
        language_id: language_id.to_owned(),
        path: None,
        cells: Arc::default(),
        surroundings: Arc::default(),
    }
}

/// A linear congruential generator.
pub(crate) struct Lcg(u64);

impl Lcg {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number less than `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}
