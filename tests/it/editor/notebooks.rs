//! Notebooks: which parts of other cells enter a prompt, and how the server follows a client's changes.

use std::sync::{Arc, Mutex};

use expect_test::{Expect, expect};
use phi_ls::context::{Anchor, Cell, Limits, OtherCells, Snapshot, completion_context};
use phi_ls::model::Prompt;
use phi_ls::prompt::{Form, Layout, completion_prompt};
use serde_json::{Value, json};

use crate::support::documents::document;
use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::{TestServer, completion_params, texts};

/// The cell of `cells` with the cursor `$0`, among the others.
fn cell_of(cells: &[&str]) -> (Snapshot, usize) {
    let index = cells.iter().position(|cell| cell.contains("$0")).expect("a cell marks the cursor with $0");
    let offset = cells[index].find("$0").expect("found there");
    let others = |cells: &[&str]| {
        let snapshots = cells.iter().map(|text| document("python", text));
        snapshots.map(|snapshot| Cell { text: snapshot.text, parsed: snapshot.parsed }).collect()
    };
    let mut snapshot = document("python", &cells[index].replacen("$0", "", 1));
    snapshot.cells = Arc::new(OtherCells { before: others(&cells[..index]), after: others(&cells[index + 1..]) });
    (snapshot, offset)
}

/// Checks the last turn and the prefill for the cursor in `cells`. A bar marks the end of the prefill.
fn check(cells: &[&str], total_bytes: usize, expected: Expect) {
    let (snapshot, offset) = cell_of(cells);
    let context = completion_context(&snapshot, offset, Limits::of_bytes(total_bytes), &mut Anchor::default());
    let Prompt { turns, prefill, .. } = completion_prompt(Layout::of(Form::Chat), &context);
    expected.assert_eq(&format!("{}\n==\n{prefill}|\n", turns[1].text));
}

#[test]
fn the_other_cells_stand_around_the_cell() {
    check(
        &["import math\n", "", "def area(r):\n    return math.pi * r ** 2", "print($0)\ntotal = 0", "print(total)\n"],
        2000,
        expect![[r#"
            It ends with this code:
            ```python
            total = 0

            print(total)
            ```

            Write the code that comes before this ending, up to it, in one code block.
            ==
            ```python
            import math

            def area(r):
                return math.pi * r ** 2

            print(|
        "#]],
    );
    check(
        &["$0", "print(1)", "", "print(2)"],
        2000,
        expect![[r#"
            It ends with this code:
            ```python
            print(1)

            print(2)
            ```

            Write the code that comes before this ending, up to it, in one code block.
            ==
            ```python
            |
        "#]],
    );
}

#[test]
fn where_there_is_little_room_the_nearest_lines_and_all_imports_are_shown() {
    let long = (0..40).map(|i| format!("first_{i} = {i}\n")).collect::<String>();
    let after = (0..40).map(|i| format!("last_{i} = {i}\n")).collect::<String>();
    check(
        &["import math\nimport os", &long, "x = $0", &after],
        300,
        expect![[r#"
            It imports:
            ```python
            import math
            ```

            It ends with this code:
            ```python
            last_0 = 0
            last_1 = 1
            last_2 = 2
            ```

            Write the code that comes before this ending, up to it, in one code block.
            ==
            ```python
            first_29 = 29
            first_30 = 30
            first_31 = 31
            first_32 = 32
            first_33 = 33
            first_34 = 34
            first_35 = 35
            first_36 = 36
            first_37 = 37
            first_38 = 38
            first_39 = 39

            x = |
        "#]],
    );
}

#[test]
fn typing_in_a_cell_only_appends_and_an_edit_of_another_cell_is_seen() {
    let limits = Limits::of_bytes(2000);
    let mut anchor = Anchor::default();
    let mut prefill = |cells: &[&str]| {
        let (snapshot, offset) = cell_of(cells);
        let context = completion_context(&snapshot, offset, limits, &mut anchor);
        (completion_prompt(Layout::of(Form::Chat), &context).prefill, anchor.moves())
    };
    let (first, _) = prefill(&["a = 1", "b$0", "c = 3"]);
    let (second, moves) = prefill(&["a = 1", "b = a$0", "c = 3"]);
    assert!(second.starts_with(&first), "{first}\n{second}");
    assert_eq!(moves, 1);
    let (third, moves) = prefill(&["a = 2", "b = a$0", "c = 3"]);
    assert!(third.contains("a = 2"), "{third}");
    assert_eq!(moves, 2);
}

const NOTEBOOK: &str = "file:///home/user/project/n.ipynb";

fn uri(cell: &str) -> String {
    format!("vscode-notebook-cell:/home/user/project/n.ipynb#{cell}")
}

fn cells(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"kind": 2, "document": uri(name)})).collect()
}

fn item(name: &str, language: &str, text: &str) -> Value {
    json!({"uri": uri(name), "languageId": language, "version": 1, "text": text})
}

/// A server with an open notebook, and the prompts its model has read.
fn with_notebook() -> (TestServer, Arc<Mutex<Vec<String>>>) {
    let prompts = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&prompts);
    let mut server = TestServer::initialized(TestOptions::scripted(move |read| {
        record.lock().expect("no test panics with it").push(read.to_owned());
        rest_of("foo()", read)
    }));
    let texts = [
        item("a", "python", "first = 1"),
        item("note", "markdown", "Some words."),
        item("b", "python", "x = "),
        item("c", "python", "last = 3"),
    ];
    let document = json!({
        "uri": NOTEBOOK, "notebookType": "jupyter-notebook", "version": 1, "cells": cells(&["a", "note", "b", "c"]),
    });
    server.notify("notebookDocument/didOpen", json!({"notebookDocument": document, "cellTextDocuments": texts}));
    (server, prompts)
}

fn change(server: &mut TestServer, cells: Value) {
    let change = json!({"notebookDocument": {"uri": NOTEBOOK, "version": 2}, "change": {"cells": cells}});
    server.notify("notebookDocument/didChange", change);
}

/// The last prompt of the model, from the last turn on.
fn asked(server: &mut TestServer, prompts: &Mutex<Vec<String>>, cell: &str, character: u32) -> String {
    let result = server.call("textDocument/inlineCompletion", completion_params(&uri(cell), 0, character));
    assert_eq!(texts(&result), ["foo()"]);
    let prompts = std::mem::take(&mut *prompts.lock().expect("no test panics with it"));
    prompts.first().expect("the model was asked").clone()
}

/// Whether `text` contains `parts` in this order.
fn in_order(text: &str, parts: &[&str]) -> bool {
    let mut rest = text;
    parts.iter().all(|part| rest.split_once(part).map(|(_, after)| rest = after).is_some())
}

#[test]
fn cells_are_completed_with_those_around_them() {
    let (mut server, prompts) = with_notebook();
    let prompt = asked(&mut server, &prompts, "b", 4);
    assert!(in_order(&prompt, &["last = 3", "first = 1\n\nx = "]), "{prompt}");
    assert!(!prompt.contains("Some words"), "{prompt}");
    // The last cell moves before the first, with a new one between them.
    let array = json!({"start": 0, "deleteCount": 4, "cells": cells(&["c", "new", "a", "note", "b"])});
    let opened = [item("new", "python", "second = 2")];
    change(&mut server, json!({"structure": {"array": array, "didOpen": opened, "didClose": []}}));
    let edit = json!({"document": {"uri": uri("b"), "version": 2}, "changes": [{"text": "y = "}]});
    change(&mut server, json!({"textContent": [edit]}));
    let prompt = asked(&mut server, &prompts, "b", 4);
    assert!(prompt.contains("last = 3\n\nsecond = 2\n\nfirst = 1\n\ny = "), "{prompt}");
    // A cell is deleted.
    let array = json!({"start": 0, "deleteCount": 1});
    change(&mut server, json!({"structure": {"array": array, "didClose": [{"uri": uri("c")}]}}));
    let edit = json!({"document": {"uri": uri("b"), "version": 3}, "changes": [{"text": "z = "}]});
    change(&mut server, json!({"textContent": [edit]}));
    let prompt = asked(&mut server, &prompts, "b", 4);
    assert!(prompt.contains("second = 2\n\nfirst = 1\n\nz = ") && !prompt.contains("last"), "{prompt}");
    server.finish();
}

#[test]
fn a_closed_notebook_is_forgotten() {
    let (mut server, _) = with_notebook();
    let closed = ["a", "note", "b", "c"].map(|cell| json!({"uri": uri(cell)}));
    server.notify(
        "notebookDocument/didClose",
        json!({"notebookDocument": {"uri": NOTEBOOK}, "cellTextDocuments": closed}),
    );
    let result = server.call("textDocument/inlineCompletion", completion_params(&uri("b"), 0, 4));
    assert_eq!(texts(&result), [""; 0]);
    server.finish();
}

#[test]
fn changes_of_unknown_notebooks_and_places_are_survived() {
    let (mut server, prompts) = with_notebook();
    let array = json!({"start": 9, "deleteCount": 9, "cells": cells(&["d"])});
    change(&mut server, json!({"structure": {"array": array, "didOpen": [item("d", "python", "d = 4")]}}));
    let change = json!({"notebookDocument": {"uri": "file:///x", "version": 2}, "change": {"cells": {"structure": {"array": {"start": 0, "deleteCount": 1}}}}});
    server.notify("notebookDocument/didChange", change);
    let prompt = asked(&mut server, &prompts, "b", 4);
    assert!(in_order(&prompt, &["last = 3\n\nd = 4", "first = 1"]), "{prompt}");
    server.finish();
}
