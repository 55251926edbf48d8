"""An editor without a screen: it keeps documents, counts in UTF-16, applies the server's edits to them and undoes them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from lsprotocol import types


def offset_at(text: str, position: types.Position) -> int:
    """The index into `text` of a position counted in UTF-16; one beyond its line's end is an error."""
    lines = text.split("\n")
    assert position.line < len(lines), f"line {position.line} of {len(lines)}"
    line = lines[position.line].removesuffix("\r")
    units = 0
    for index, character in enumerate(line):
        if units >= position.character:
            break
        units += 2 if ord(character) > 0xFFFF else 1
    else:
        index = len(line)
    assert units == position.character, f"{position} is no character of its line {line!r}"
    return sum(len(line) + 1 for line in lines[: position.line]) + index


def position_at(text: str, offset: int) -> types.Position:
    """The opposite of `offset_at`."""
    line_start = text.rfind("\n", 0, offset) + 1
    units = len(text[line_start:offset].encode("utf-16-le")) // 2
    return types.Position(text.count("\n", 0, offset), units)


@dataclass
class Document:
    language: str
    version: int
    text: str


@dataclass
class Applied:
    """One edit as it was applied: the texts before it by URI; `None` for a file it created."""

    label: str | None
    before: dict[str, str | None] = field(default_factory=dict)
    inverse: dict[str, list[types.TextEdit]] = field(default_factory=dict)


class Refused(Exception):
    """An edit that cannot be applied."""


class Editor:
    """The documents of one client."""

    def __init__(self, client):
        self.client = client
        self.documents: dict[str, Document] = {}
        self.applied: list[Applied] = []
        self.messages: list[str] = []
        self.shown: list[str] = []
        self.changed = asyncio.Condition()

    def open(self, uri: str, language: str, text: str):
        self.documents[uri] = Document(language, 1, text)
        item = types.TextDocumentItem(uri, language, 1, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def close(self, uri: str):
        del self.documents[uri]
        identifier = types.TextDocumentIdentifier(uri)
        self.client.text_document_did_close(types.DidCloseTextDocumentParams(identifier))

    async def apply_edit(self, params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
        """Answers `workspace/applyEdit`."""
        async with self.changed:
            try:
                self.applied.append(self._apply(params))
            except Refused as reason:
                return types.ApplyWorkspaceEditResult(False, str(reason))
            self.changed.notify_all()
        return types.ApplyWorkspaceEditResult(True)

    async def show_message(self, params: types.ShowMessageParams):
        """Takes `window/showMessage`."""
        async with self.changed:
            self.messages.append(params.message)
            self.changed.notify_all()

    async def show_document(self, params: types.ShowDocumentParams) -> types.ShowDocumentResult:
        """Answers `window/showDocument`; the text is read at once, since the file goes with the server."""
        async with self.changed:
            self.shown.append(Path(params.uri.removeprefix("file://")).read_text())
            self.changed.notify_all()
        return types.ShowDocumentResult(success=True)

    async def wait_until(self, holds):
        """Waits until `holds` does, after edits, messages and shown documents; a minute without is a failure."""
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(holds), 60)

    def undo(self, applied: Applied):
        """Takes an edit back by its inverse, and checks that every byte is as it was."""
        for uri, edits in applied.inverse.items():
            self._edit(uri, edits)
        for uri, text in applied.before.items():
            if text is None:
                del self.documents[uri]
            else:
                assert self.documents[uri].text.encode() == text.encode()

    def _apply(self, params: types.ApplyWorkspaceEditParams) -> Applied:
        edit, applied = params.edit, Applied(params.label)
        for uri, edits in (edit.changes or {}).items():
            self._edit_of_server(applied, uri, edits)
        for change in edit.document_changes or []:
            if isinstance(change, types.TextDocumentEdit):
                uri, version = change.text_document.uri, change.text_document.version
                document = self.documents.get(uri)
                if version is not None and (document is None or document.version != version):
                    raise Refused(f"the edit is for version {version} of {uri}")
                self._edit_of_server(applied, uri, change.edits)
            elif isinstance(change, types.CreateFile):
                if change.uri in self.documents:
                    raise Refused(f"{change.uri} is there already")
                self.documents[change.uri] = Document("", 0, "")
                applied.before[change.uri] = None
            else:
                raise Refused(f"no change this editor knows: {change}")
        return applied

    def _edit_of_server(self, applied: Applied, uri: str, edits):
        if uri not in self.documents:
            raise Refused(f"{uri} is not open")
        applied.before.setdefault(uri, self.documents[uri].text)
        inverse = self._edit(uri, edits)
        if applied.before[uri] is not None:
            applied.inverse[uri] = inverse

    def _edit(self, uri: str, edits) -> list[types.TextEdit]:
        """Applies `edits`, which all mean the text as it is now; the edits that take them back."""
        document = self.documents[uri]
        before = document.text
        spans = sorted((offset_at(before, e.range.start), offset_at(before, e.range.end), e.new_text) for e in edits)
        for (_, end, _), (start, _, _) in zip(spans, spans[1:]):
            assert end <= start, f"edits that overlap: {edits}"
        pieces, places, at, length = [], [], 0, 0
        for start, end, new_text in spans:
            pieces += [before[at:start], new_text]
            length += start - at
            places.append((length, length + len(new_text), before[start:end]))
            length += len(new_text)
            at = end
        document.text = "".join(pieces) + before[at:]
        document.version += 1
        if document.version > 1:
            self._tell(uri, document, before, spans)
        text_range = lambda start, end: types.Range(position_at(document.text, start), position_at(document.text, end))
        return [types.TextEdit(text_range(start, end), old) for start, end, old in places]

    def _tell(self, uri: str, document: Document, before: str, spans):
        """Sends the change, last edit first, so that the ranges of the others stay true."""
        text_range = lambda start, end: types.Range(position_at(before, start), position_at(before, end))
        changes = [
            types.TextDocumentContentChangePartial(range=text_range(start, end), text=new_text)
            for start, end, new_text in reversed(spans)
        ]
        identifier = types.VersionedTextDocumentIdentifier(document.version, uri)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(identifier, changes))
