//! Converts this project's types into what an editor expects.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;
use tower_lsp_server::gen_lsp_types as lsp;

use super::from_proto::Client;
use super::{ACCEPTED_COMMAND, ANSWER_SCHEME, ASK_COMMAND, COMMIT_COMMAND, FOLLOW_UP_COMMAND};
use crate::features::inline_completion::InlineItem;
use crate::syntax::Language;
use crate::text::{LineEnding, PositionEncoding, Rope, position_at};
use crate::workspace::IGNORE_FILES;

/// After these characters, clients without inline completion request a completion by themselves.
const TRIGGER_CHARACTERS: [&str; 5] = [".", ":", "(", "=", ">"];

/// The most characters of a completion's first line that a popup shows.
const LABEL_LEN: usize = 60;

/// The most characters of an answer's title in its document's name.
const TITLE_LEN: usize = 60;

/// What this server can do for `client`, which gets completions in its popup if `in_popup`. Everything is registered
/// statically: clients disagree on the rest.
pub fn server_capabilities(client: Client, in_popup: bool) -> lsp::ServerCapabilities {
    let completion_provider = in_popup.then(|| lsp::CompletionOptions {
        trigger_characters: Some(TRIGGER_CHARACTERS.map(str::to_owned).to_vec()),
        ..lsp::CompletionOptions::default()
    });
    lsp::ServerCapabilities {
        position_encoding: Some(position_encoding(client.encoding)),
        text_document_sync: Some(lsp::TextDocumentSync::Options(lsp::TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(lsp::TextDocumentSyncKind::Incremental),
            save: Some(true.into()),
            ..lsp::TextDocumentSyncOptions::default()
        })),
        // Every cell: a cell's language says which others go with it.
        notebook_document_sync: Some(lsp::NotebookDocumentSync::Options(lsp::NotebookDocumentSyncOptions {
            notebook_selector: vec![lsp::NotebookDocumentFilterWithNotebook::new("*".into(), None).into()],
            save: None,
        })),
        inline_completion_provider: Some(true.into()),
        completion_provider,
        code_action_provider: Some(lsp::CodeActionProvider::CodeActionOptions(lsp::CodeActionOptions {
            code_action_kinds: Some(vec![lsp::CodeActionKind::QuickFix, lsp::CodeActionKind::RefactorRewrite]),
            ..lsp::CodeActionOptions::default()
        })),
        execute_command_provider: Some(lsp::ExecuteCommandOptions {
            commands: [ACCEPTED_COMMAND, ASK_COMMAND, FOLLOW_UP_COMMAND, COMMIT_COMMAND].map(str::to_owned).to_vec(),
            ..lsp::ExecuteCommandOptions::default()
        }),
        workspace: Some(lsp::WorkspaceOptions {
            workspace_folders: Some(lsp::WorkspaceFoldersServerCapabilities {
                supported: Some(true),
                change_notifications: Some(true.into()),
            }),
            text_document_content: (client.text_document_content && !client.answers)
                .then(|| lsp::TextDocumentContentOptions { schemes: vec![ANSWER_SCHEME.to_owned()] }.into()),
            ..lsp::WorkspaceOptions::default()
        }),
        ..lsp::ServerCapabilities::default()
    }
}

/// The request to be asked for completions for a popup, too, by a client that was not told so at the start.
pub fn completion_in_popup() -> lsp::Registration {
    lsp::Registration {
        id: "phi-ls/popup".to_owned(),
        method: "textDocument/completion".to_owned(),
        register_options: Some(serde_json::json!({"documentSelector": null, "triggerCharacters": TRIGGER_CHARACTERS})),
    }
}

/// The request to be told of every source file and ignore file that changes; it can be made dynamically only.
pub fn watch_sources() -> lsp::Registration {
    let extensions: BTreeSet<&str> = Language::parsed().flat_map(|language| language.extensions).copied().collect();
    let sources = format!("**/*.{{{}}}", extensions.into_iter().collect::<Vec<_>>().join(","));
    let ignore_files = format!("**/{{{}}}", IGNORE_FILES.join(","));
    lsp::Registration {
        id: "phi-ls/sources".to_owned(),
        method: "workspace/didChangeWatchedFiles".to_owned(),
        register_options: Some(
            serde_json::json!({"watchers": [{"globPattern": sources}, {"globPattern": ignore_files}]}),
        ),
    }
}

fn position_encoding(encoding: PositionEncoding) -> lsp::PositionEncodingKind {
    match encoding {
        PositionEncoding::Utf8 => lsp::PositionEncodingKind::UTF8,
        PositionEncoding::Utf16 => lsp::PositionEncodingKind::UTF16,
        PositionEncoding::Utf32 => lsp::PositionEncodingKind::UTF32,
    }
}

/// A byte offset in `text` as the client counts.
pub fn position(text: &Rope, offset: usize, encoding: PositionEncoding) -> lsp::Position {
    let position = position_at(text, offset, encoding);
    lsp::Position { line: position.line, character: position.character }
}

/// A byte range of `text` as the client counts.
pub fn range(text: &Rope, range: &Range<usize>, encoding: PositionEncoding) -> lsp::Range {
    lsp::Range { start: position(text, range.start, encoding), end: position(text, range.end, encoding) }
}

/// The items of a `textDocument/inlineCompletion` answer, whose lines end with `line_ending`. `completion` names the
/// completion in the command that reports its acceptance.
pub fn inline_items(
    text: &Rope,
    items: &[InlineItem],
    completion: u64,
    encoding: PositionEncoding,
    line_ending: LineEnding,
) -> Vec<lsp::InlineCompletionItem> {
    let item = |(index, item): (usize, &InlineItem)| lsp::InlineCompletionItem {
        insert_text: line_ending.end_lines(&item.insert_text).into_owned().into(),
        filter_text: None,
        range: Some(range(text, &item.range, encoding)),
        command: Some(accepted_command(completion, index)),
    };
    items.iter().enumerate().map(item).collect()
}

fn accepted_command(completion: u64, index: usize) -> lsp::Command {
    lsp::Command {
        title: "phi-ls: completion accepted".to_owned(),
        tooltip: None,
        command: ACCEPTED_COMMAND.to_owned(),
        arguments: Some(vec![Value::from(completion), Value::from(index)]),
    }
}

/// The first of `items` as a `textDocument/completion` answer at `cursor`; the list is incomplete because the next key
/// may ask for another text.
pub fn completion_list(
    text: &Rope,
    cursor: usize,
    items: &[InlineItem],
    completion: u64,
    encoding: PositionEncoding,
    line_ending: LineEnding,
    language_id: &str,
) -> lsp::CompletionList {
    let item = items.first().and_then(|item| from_word_start(text, cursor, item));
    let item = item.map(|item| lsp::CompletionItem {
        label: label(&item.insert_text),
        kind: Some(lsp::CompletionItemKind::Text),
        detail: Some("phi-ls".to_owned()),
        documentation: Some(lsp::Documentation::MarkupContent(lsp::MarkupContent {
            kind: lsp::MarkupKind::Markdown,
            value: format!("{}\n\nphi-ls", fenced(&item.insert_text, language_id)),
        })),
        // Clients compare this with what stands between the range's start and the cursor.
        filter_text: Some(item.insert_text.clone()),
        insert_text_format: Some(lsp::InsertTextFormat::PlainText),
        insert_text_mode: Some(lsp::InsertTextMode::AsIs),
        text_edit: Some(lsp::CompletionItemTextEdit::TextEdit(lsp::TextEdit {
            range: range(text, &item.range, encoding),
            new_text: line_ending.end_lines(&item.insert_text).into_owned(),
        })),
        command: Some(accepted_command(completion, 0)),
        ..lsp::CompletionItem::default()
    });
    lsp::CompletionList { is_incomplete: true, items: item.into_iter().collect(), ..lsp::CompletionList::default() }
}

/// `item` with a range that begins where the word before `cursor` does: popups filter by that word and hide an item
/// whose range begins elsewhere. `None` when the item would change text before the cursor.
fn from_word_start(text: &Rope, cursor: usize, item: &InlineItem) -> Option<InlineItem> {
    let word = text.byte_slice(..cursor).chars_at(text.byte_to_char(cursor)).reversed();
    let word_len: usize = word.take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum();
    let start = cursor - word_len;
    let kept = text.get_byte_slice(item.range.start..cursor)?.to_string();
    let added = item.insert_text.strip_prefix(kept.as_str())?;
    let word = text.byte_slice(start..cursor);
    Some(InlineItem { insert_text: format!("{word}{added}"), range: start..item.range.end })
}

/// The first line, cut to a popup's width.
fn label(insert_text: &str) -> String {
    let first = insert_text.trim_start().lines().next().unwrap_or_default();
    let cut: String = first.chars().take(LABEL_LEN).collect();
    let whole = cut.len() == first.len() && insert_text.trim().lines().count() <= 1;
    if whole { cut } else { format!("{}…", cut.trim_end()) }
}

/// `code` as a Markdown code block whose fence the code cannot close.
fn fenced(code: &str, language_id: &str) -> String {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let language: String = language_id.chars().filter(|c| c.is_alphanumeric() || "+-#_".contains(*c)).collect();
    format!("{fence}{language}\n{}\n{fence}", code.trim_end())
}

/// A path as a `file:` URI.
pub fn file_uri(path: &Path) -> lsp::Uri {
    let mut uri = "file://".to_owned();
    let path = path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
    if !path.starts_with('/') {
        uri.push('/');
    }
    for (index, segment) in path.split('/').enumerate() {
        uri.push_str(if index > 0 { "/" } else { "" });
        push_encoded(&mut uri, segment);
    }
    lsp::Uri(uri)
}

/// The URI of the answer to question `number`, which was put as `title`.
pub fn answer_uri(number: u64, title: &str) -> lsp::Uri {
    let mut uri = format!("{ANSWER_SCHEME}:/{number}/");
    let title: String = title.lines().next().unwrap_or_default().chars().take(TITLE_LEN).collect();
    push_encoded(&mut uri, &title);
    uri.push_str(".md");
    lsp::Uri(uri)
}

/// Appends one segment of a path.
fn push_encoded(uri: &mut String, segment: &str) {
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => uri.push(byte as char),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `|` marks the cursor in `line`; the item replaces from `start` to the end of the line.
    fn check_popup(line: &str, start: usize, insert_text: &str, expected: Option<(Range<usize>, &str)>) {
        let cursor = line.find('|').expect("a line marks its cursor with |");
        let text = Rope::from_str(&line.replacen('|', "", 1));
        let item = InlineItem { insert_text: insert_text.to_owned(), range: start..text.len_bytes() };
        let item = from_word_start(&text, cursor, &item);
        let found = item.as_ref().map(|item| (item.range.clone(), item.insert_text.as_str()));
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn popup_items_begin_where_the_word_does() {
        check_popup("  self.na|", 0, "  self.name()", Some((7..9, "name()")));
        check_popup("  self.na|)", 9, "me())", Some((7..10, "name())")));
        check_popup("x = |", 4, "1", Some((4..4, "1")));
        check_popup("größe|", 0, "größer", Some((0..7, "größer")));
        check_popup("abc|", 0, "xbcd", None);
    }

    #[test]
    fn labels_are_one_short_line() {
        assert_eq!(label("name()"), "name()");
        assert_eq!(label("\n    return x\n"), "return x");
        assert_eq!(label("if x:\n    y"), "if x:…");
        assert_eq!(label(&"x".repeat(80)).chars().count(), LABEL_LEN + 1);
    }

    #[test]
    fn code_cannot_close_its_fence() {
        assert_eq!(fenced("x", "rust"), "```rust\nx\n```");
        assert_eq!(fenced("```\nx", "a\nb"), "````ab\n```\nx\n````");
    }
}
