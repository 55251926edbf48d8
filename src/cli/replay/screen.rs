//! What the person sees: the documents as the client has them, and the ghost text in one of them.

use std::collections::HashMap;

use serde_json::Value;

use crate::text::{Edit, Position, PositionEncoding, Rope, apply_edit, offset_at};

/// The documents, and the completion on the screen.
#[derive(Default)]
pub(super) struct Screen {
    /// The position encoding that the server has chosen.
    pub(super) encoding: PositionEncoding,
    documents: HashMap<String, Rope>,
    ghost: Option<Ghost>,
}

/// A completion on the screen, or the rest of it.
struct Ghost {
    uri: String,
    /// The byte offset at which it is shown.
    at: usize,
    text: String,
    /// The command that the client runs when it is accepted.
    command: Value,
}

/// An edit by the person.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Typed {
    /// Characters that were inserted.
    pub(super) characters: usize,
    /// How many of them, from the first on, were on the screen before.
    pub(super) on_screen: usize,
    /// Characters that were accepted from the screen at once.
    pub(super) accepted: usize,
    /// The command to run, if the whole completion was accepted.
    pub(super) command: Option<Value>,
}

/// How an answer changed the completion on the screen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// There was no completion before.
    Appeared,
    Extended,
    /// It was replaced by another text, or by none.
    Replaced,
}

impl Screen {
    pub(super) fn open(&mut self, params: &Value) {
        let document = &params["textDocument"];
        let text = document["text"].as_str().unwrap_or_default();
        self.documents.insert(document["uri"].as_str().unwrap_or_default().to_owned(), Rope::from_str(text));
    }

    /// Applies a `textDocument/didChange`.
    pub(super) fn edit(&mut self, params: &Value) -> Typed {
        let uri = params["textDocument"]["uri"].as_str().unwrap_or_default();
        let ghost = self.ghost.take();
        let Some(document) = self.documents.get_mut(uri) else { return Typed::default() };
        let changes = params["contentChanges"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut typed = Typed::default();
        for change in changes {
            let edit = edit_of(document, change, self.encoding);
            typed.characters += edit.new_text.chars().count();
            if let ([_], Some(ghost)) = (changes, &ghost)
                && ghost.uri == uri
            {
                self.ghost = ghost.after(&edit, &mut typed);
            }
            apply_edit(document, &edit);
        }
        typed
    }

    /// Shows the first of `items`, the answer for a place in a document.
    pub(super) fn show(&mut self, params: &Value, items: &[Value]) -> Change {
        let uri = params["textDocument"]["uri"].as_str().unwrap_or_default();
        let Some(document) = self.documents.get(uri) else { return Change::Nothing };
        let at = offset_of(document, &params["position"], self.encoding);
        let text = items.first().map(text_of).unwrap_or_default();
        let before = self.ghost.take().filter(|ghost| ghost.uri == uri && ghost.at == at);
        let change = match before.as_ref().map(|ghost| ghost.text.as_str()) {
            None if text.is_empty() => Change::Nothing,
            None => Change::Appeared,
            Some(before) if before == text => Change::Nothing,
            Some(before) if text.starts_with(before) => Change::Extended,
            Some(_) => Change::Replaced,
        };
        if let Some(item) = items.first().filter(|_| !text.is_empty()) {
            self.ghost =
                Some(Ghost { uri: uri.to_owned(), at, text: text.to_owned(), command: item["command"].clone() });
        }
        change
    }
}

impl Ghost {
    /// The rest of it after `edit`. Records in `typed` how much of the edit was on the screen.
    fn after(&self, edit: &Edit, typed: &mut Typed) -> Option<Self> {
        if edit.range.start != self.at || edit.new_text.is_empty() {
            return None;
        }
        typed.on_screen = edit.new_text.chars().zip(self.text.chars()).take_while(|(new, shown)| new == shown).count();
        let rest = self.text.strip_prefix(&edit.new_text)?;
        // Enter, with the indentation that an editor adds, is one key.
        if typed.characters > 1 && !edit.new_text.trim().is_empty() {
            typed.accepted = typed.characters;
            typed.command = rest.is_empty().then(|| self.command.clone());
        }
        let at = self.at + edit.new_text.len();
        (!rest.is_empty()).then(|| Self {
            at,
            text: rest.to_owned(),
            uri: self.uri.clone(),
            command: self.command.clone(),
        })
    }
}

/// An LSP change as an edit: of a range, or of the whole text.
pub(super) fn edit_of(document: &Rope, change: &Value, encoding: PositionEncoding) -> Edit {
    let offset = |position: &Value| offset_of(document, position, encoding);
    let range = match change.get("range") {
        Some(range) => offset(&range["start"])..offset(&range["end"]),
        None => 0..document.len_bytes(),
    };
    Edit { range, new_text: change["text"].as_str().unwrap_or_default().to_owned() }
}

/// The byte offset in `document` of the LSP `position`.
pub(super) fn offset_of(document: &Rope, position: &Value, encoding: PositionEncoding) -> usize {
    let number = |name: &str| position[name].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    offset_at(document, Position { line: number("line"), character: number("character") }, encoding)
}

/// The text of an inline completion item, or of a popup item, which has it in its edit.
fn text_of(item: &Value) -> &str {
    let text = item.get("insertText").or_else(|| item.pointer("/textEdit/newText"));
    text.and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const URI: &str = "file:///a.rs";

    /// A screen with `text`, and a completion `shown` at the end of its first line.
    fn screen(text: &str, shown: &str) -> Screen {
        let mut screen = Screen::default();
        screen.open(&json!({"textDocument": {"uri": URI, "text": text}}));
        assert_eq!(show(&mut screen, text.lines().next().unwrap().len(), shown), Change::Appeared);
        screen
    }

    fn show(screen: &mut Screen, character: usize, text: &str) -> Change {
        let params = json!({"textDocument": {"uri": URI}, "position": {"line": 0, "character": character}});
        let items = [json!({"insertText": text, "command": "taken"})];
        screen.show(&params, if text.is_empty() { &[] } else { &items })
    }

    fn write(screen: &mut Screen, character: usize, text: &str) -> Typed {
        let place = json!({"line": 0, "character": character});
        let change = json!({"range": {"start": place, "end": place}, "text": text});
        screen.edit(&json!({"textDocument": {"uri": URI}, "contentChanges": [change]}))
    }

    #[test]
    fn typing_along_uses_what_is_on_screen() {
        let mut screen = screen("let x = \n", "foo(1)");
        let typed = write(&mut screen, 8, "f");
        assert_eq!(typed, Typed { characters: 1, on_screen: 1, ..Typed::default() });
        assert_eq!(show(&mut screen, 9, "oo(1)"), Change::Nothing);
        assert_eq!(show(&mut screen, 9, "oo(1) + 2"), Change::Extended);
        assert_eq!(show(&mut screen, 9, "oo(2)"), Change::Replaced);
        assert_eq!(write(&mut screen, 9, "x").on_screen, 0);
        assert_eq!(show(&mut screen, 10, "yz"), Change::Appeared, "what was there had gone already");
        assert_eq!(show(&mut screen, 10, ""), Change::Replaced);
        assert_eq!(show(&mut screen, 10, ""), Change::Nothing);
    }

    #[test]
    fn what_comes_at_once_and_was_on_screen_is_accepted() {
        let mut shown = screen("let x = \n", "foo(1)");
        let typed = write(&mut shown, 8, "foo");
        assert_eq!((typed.accepted, typed.command), (3, None));
        let typed = write(&mut shown, 11, "(1)");
        assert_eq!((typed.accepted, typed.command), (3, Some(json!("taken"))));
        let typed = write(&mut screen("let x = \n", "foo(1)"), 8, "four");
        assert_eq!((typed.on_screen, typed.accepted), (2, 0));
        let typed = write(&mut screen("if x:\n", "\n    foo"), 5, "\n    ");
        assert_eq!((typed.on_screen, typed.accepted), (5, 0), "Enter is a key");
    }
}
