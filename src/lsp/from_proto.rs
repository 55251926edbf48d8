//! What an editor sends, in this project's types: positions, edits, paths, capabilities.

use std::ops::Range;
use std::path::PathBuf;

use tower_lsp_server::gen_lsp_types as lsp;

use super::ANSWER_SCHEME;
use crate::features::inline_completion::Trigger;
use crate::text::{Edit, LineEnding, Position, PositionEncoding, Rope, offset_at, with_line_feeds};

/// The capabilities of a client that the server depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Client {
    pub encoding: PositionEncoding,
    /// It supports `textDocument/inlineCompletion`; a client that does not gets the same text as
    /// `textDocument/completion`.
    pub inline_completion: bool,
    /// It accepts `textDocument/completion` from a server that registers it later.
    pub dynamic_completion: bool,
    /// It shows progress that the server starts.
    pub work_done_progress: bool,
    /// It answers `workspace/configuration`.
    pub configuration: bool,
    /// It accepts code actions with a kind; other clients accept commands only.
    pub code_action_literals: bool,
    /// It shows disabled actions with the reason.
    pub disabled_actions: bool,
    /// It applies edits a server sends.
    pub apply_edit: bool,
    /// It accepts edits of one version of a document.
    pub document_changes: bool,
    /// It creates files as part of an edit.
    pub create_files: bool,
    /// It can ask the person before it applies an edit.
    pub change_annotations: bool,
    /// It opens documents a server names.
    pub show_document: bool,
    /// It reports changed files on request.
    pub watched_files: bool,
    /// It opens documents whose text it fetches from a server.
    pub text_document_content: bool,
    /// It takes `phi-ls/answer`.
    pub answers: bool,
    /// It takes `phi-ls/documentStatus`.
    pub document_status: bool,
    /// It shows a completion while it is still written: it takes `phi-ls/completionGrew` and asks again.
    pub completion_grew: bool,
    /// It breaks the lines of an inline completion at `\n` itself, as its file has them, and inserts a `\r` as a character.
    pub keeps_carriage_returns: bool,
}

/// Reads the capabilities of a client; UTF-8 positions are preferred because offsets inside are bytes.
pub fn client(params: &lsp::InitializeParams) -> Client {
    let capabilities = &params.capabilities;
    let encodings = capabilities.general.as_ref().and_then(|general| general.position_encodings.as_deref());
    let utf8 = encodings.unwrap_or_default().contains(&lsp::PositionEncodingKind::UTF8);
    let text_document = capabilities.text_document.as_ref();
    let workspace = capabilities.workspace.as_ref();
    let window = capabilities.window.as_ref();
    let code_action = text_document.and_then(|text_document| text_document.code_action.as_ref());
    let watched = workspace.and_then(|workspace| workspace.did_change_watched_files.as_ref());
    let edit = workspace.and_then(|workspace| workspace.workspace_edit.as_ref());
    let operations = edit.and_then(|edit| edit.resource_operations.as_deref()).unwrap_or_default();
    let own = |name: &str| capabilities.experimental.as_ref().is_some_and(|all| all["phiLs"][name] == true);
    let completion = text_document.and_then(|text_document| text_document.completion.as_ref());
    let show_document = window.is_some_and(|window| window.show_document.as_ref().is_some_and(|show| show.support));
    let fetches = workspace.is_some_and(|workspace| workspace.text_document_content.is_some());
    Client {
        encoding: if utf8 { PositionEncoding::Utf8 } else { PositionEncoding::Utf16 },
        inline_completion: text_document.is_some_and(|text_document| text_document.inline_completion.is_some()),
        dynamic_completion: completion.is_some_and(|completion| completion.dynamic_registration == Some(true)),
        work_done_progress: window.is_some_and(|window| window.work_done_progress == Some(true)),
        configuration: workspace.is_some_and(|workspace| workspace.configuration == Some(true)),
        code_action_literals: code_action.is_some_and(|action| action.code_action_literal_support.is_some()),
        disabled_actions: code_action.is_some_and(|action| action.disabled_support == Some(true)),
        apply_edit: workspace.is_some_and(|workspace| workspace.apply_edit == Some(true)),
        document_changes: edit.is_some_and(|edit| edit.document_changes == Some(true)),
        create_files: operations.contains(&lsp::ResourceOperationKind::Create),
        change_annotations: edit.is_some_and(|edit| edit.change_annotation_support.is_some()),
        watched_files: watched.is_some_and(|watched| watched.dynamic_registration == Some(true)),
        show_document,
        text_document_content: fetches && show_document,
        answers: own("answers"),
        document_status: own("documentStatus"),
        completion_grew: own("completionGrew"),
        // There is no capability for this. `vim.lsp.inline_completion` of Neovim 0.12 does it.
        keeps_carriage_returns: params.client_info.as_ref().is_some_and(|info| info.name == "Neovim"),
    }
}

/// The folders a client works in, newest way of saying it first.
#[expect(deprecated, reason = "older clients say it with rootUri or rootPath only")]
pub fn workspace_roots(params: &lsp::InitializeParams) -> Vec<PathBuf> {
    if let Some(lsp::WorkspaceFolders::WorkspaceFolderList(folders)) =
        &params.workspace_folders_initialize_params.workspace_folders
    {
        return folders.iter().filter_map(|folder| file_path(&folder.uri)).collect();
    }
    if let Some(root) = params.root_uri.as_ref().and_then(file_path) {
        return vec![root];
    }
    match &params.root_path {
        Some(lsp::RootPath::String(path)) if !path.is_empty() => vec![PathBuf::from(path)],
        _ => Vec::new(),
    }
}

/// The path of a `file:` URI; `None` for other schemes, which name no file on this machine.
pub fn file_path(uri: &lsp::Uri) -> Option<PathBuf> {
    let rest = uri.0.strip_prefix("file://")?;
    // `file://host/path` and `file:///path`: the host is this one or none.
    let path = &rest[rest.find('/')?..];
    let path = percent_decode(path);
    // `/c:/x` is how a Windows drive is written.
    let drive = path.as_bytes().get(1).is_some_and(u8::is_ascii_alphabetic) && path.as_bytes().get(2) == Some(&b':');
    Some(PathBuf::from(if drive { &path[1..] } else { &path }))
}

/// The file whose rules apply to the document `uri`: the document itself, or the notebook that it is a cell of.
pub fn file_behind(uri: &lsp::Uri) -> Option<PathBuf> {
    let is_cell = uri.0.starts_with("vscode-notebook-cell:/");
    file_path(uri).or_else(|| is_cell.then(|| path_in(uri)))
}

/// The path in a URI of any scheme: what a text is called where it lies, `/srv/.env` in `scp://host/srv/.env`.
pub fn path_in(uri: &lsp::Uri) -> PathBuf {
    let rest = uri.0.split_once(':').map_or(uri.0.as_str(), |(_scheme, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let path = match rest.strip_prefix("//") {
        // A URI that has only an authority is called by that.
        Some(rest) => rest.find('/').map_or(rest, |at| &rest[at..]),
        None => rest,
    };
    PathBuf::from(percent_decode(path))
}

/// The number of the answer that is the document `uri`.
pub fn answer_number(uri: &lsp::Uri) -> Option<u64> {
    let path = uri.0.strip_prefix(ANSWER_SCHEME)?.strip_prefix(':')?;
    path.trim_start_matches('/').split('/').next()?.parse().ok()
}

/// Decodes `%20` and the like; what is not a valid escape stays as it is.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escape = if byte == b'%' { tail.get(..2) } else { None };
        let hex = escape.and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &tail[2..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The LSP language id as a string.
pub fn language_id(kind: lsp::LanguageKind) -> String {
    kind.into()
}

/// A place in `text` as a byte offset.
pub fn offset(text: &Rope, position: lsp::Position, encoding: PositionEncoding) -> usize {
    offset_at(text, Position { line: position.line, character: position.character }, encoding)
}

/// A range of `text` in bytes; one that ends before it begins is empty.
pub fn range(text: &Rope, range: &lsp::Range, encoding: PositionEncoding) -> Range<usize> {
    let start = offset(text, range.start, encoding);
    start..offset(text, range.end, encoding).max(start)
}

/// The line ending a change brings, if all the line breaks of the document are its own: in a text that had none, or when
/// the person has chosen another ending.
pub fn line_ending(text: &Rope, change: &lsp::TextDocumentContentChangeEvent) -> Option<LineEnding> {
    let (new_text, is_whole) = match change {
        lsp::TextDocumentContentChangeEvent::TextDocumentContentChangePartial(partial) => {
            let lsp::Range { start, end } = partial.range;
            (&partial.text, start.line == 0 && end.line as usize + 1 >= text.len_lines())
        }
        lsp::TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => (&whole.text, true),
    };
    (is_whole && new_text.contains(['\n', '\r'])).then(|| LineEnding::of(new_text))
}

/// One content change as an edit of `text`. Without a range it replaces everything; it is then cut down to what really
/// differs, so that the syntax tree and the prompt's anchors survive clients that send whole documents.
pub fn edit(text: &Rope, change: lsp::TextDocumentContentChangeEvent, encoding: PositionEncoding) -> Edit {
    match change {
        lsp::TextDocumentContentChangeEvent::TextDocumentContentChangePartial(partial) => {
            let start = offset(text, partial.range.start, encoding);
            let end = offset(text, partial.range.end, encoding);
            Edit { range: start.min(end)..start.max(end), new_text: with_line_feeds(partial.text) }
        }
        lsp::TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => {
            difference(text, with_line_feeds(whole.text))
        }
    }
}

/// The smallest single edit that turns `text` into `new_text`.
fn difference(text: &Rope, new_text: String) -> Edit {
    let old = text.to_string();
    let mut start = old.bytes().zip(new_text.bytes()).take_while(|(a, b)| a == b).count();
    while !old.is_char_boundary(start) || !new_text.is_char_boundary(start) {
        start -= 1;
    }
    let tails = old[start..].bytes().rev().zip(new_text[start..].bytes().rev());
    let mut tail = tails.take_while(|(a, b)| a == b).count();
    while !old.is_char_boundary(old.len() - tail) || !new_text.is_char_boundary(new_text.len() - tail) {
        tail -= 1;
    }
    Edit { range: start..old.len() - tail, new_text: new_text[start..new_text.len() - tail].to_owned() }
}

/// Why the editor asks; kinds a later protocol may add count as automatic.
pub fn trigger(kind: lsp::InlineCompletionTriggerKind) -> Trigger {
    match kind {
        lsp::InlineCompletionTriggerKind::Invoked => Trigger::Invoked,
        _ => Trigger::Automatic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_file_uris_name_files() {
        let path = |uri: &str| file_path(&lsp::Uri::from(uri));
        assert_eq!(path("file:///a/b%20c.rs"), Some("/a/b c.rs".into()));
        assert_eq!(path("file:///%E2%82%AC"), Some("/€".into()));
        assert_eq!(path("file:///100%"), Some("/100%".into()));
        assert_eq!(path("file://localhost/a"), Some("/a".into()));
        assert_eq!(path("file:///c%3A/x/y.rs"), Some("c:/x/y.rs".into()));
        assert_eq!(path("untitled:Untitled-1"), None);
        assert_eq!(path("file://"), None);
    }

    #[test]
    fn uris_of_any_scheme_have_a_path() {
        let check =
            |uri: &str, expected: &str| assert_eq!(path_in(&lsp::Uri::from(uri)), PathBuf::from(expected), "{uri}");
        check("scp://host/srv/.env", "/srv/.env");
        check("scp://me@host:22//srv/%2Eenv", "//srv/.env");
        check("untitled:.env", ".env");
        check("untitled:Untitled-1", "Untitled-1");
        check("vscode-vfs://github/me/project/.env", "/me/project/.env");
        check("git:/home/me/project/.env?%7B%22ref%22%3A%22%22%7D", "/home/me/project/.env");
        check("vscode-notebook-cell:/home/me/a.ipynb#W0sZmlsZQ%3D%3D", "/home/me/a.ipynb");
        check("fugitive:///home/me/project/.git//0/.env", "/home/me/project/.git//0/.env");
        check(".env", ".env");
        check("file://", "");
    }

    /// `new` replaces all of `old`; `expected` is the edit that is left: range and text.
    fn check_difference(old: &str, new: &str, expected: (std::ops::Range<usize>, &str)) {
        let edit = difference(&Rope::from_str(old), new.to_owned());
        assert_eq!((edit.range.clone(), edit.new_text.as_str()), expected, "{old:?} -> {new:?}");
        let mut text = Rope::from_str(old);
        crate::text::apply_edit(&mut text, &edit);
        assert_eq!(text.to_string(), new);
    }

    #[test]
    fn whole_documents_are_cut_down_to_what_changed() {
        check_difference("let a;\n", "let ab;\n", (5..5, "b"));
        check_difference("aaa", "aa", (2..3, ""));
        check_difference("same", "same", (4..4, ""));
        check_difference("", "x", (0..0, "x"));
        // These two share their first three bytes and their last one, but no character.
        check_difference("a😀b", "a😁b", (1..5, "😁"));
    }

    #[test]
    fn utf8_is_taken_when_it_is_offered() {
        let encoding = |capabilities: serde_json::Value| {
            let params = serde_json::json!({"capabilities": capabilities, "processId": null, "rootUri": null});
            client(&serde_json::from_value(params).expect("parameters")).encoding
        };
        let offered = |list: serde_json::Value| serde_json::json!({"general": {"positionEncodings": list}});
        assert_eq!(encoding(serde_json::json!({})), PositionEncoding::Utf16);
        assert_eq!(encoding(offered(serde_json::json!(["utf-16", "utf-8"]))), PositionEncoding::Utf8);
        assert_eq!(encoding(offered(serde_json::json!(["utf-32", "utf-16"]))), PositionEncoding::Utf16);
    }
}
