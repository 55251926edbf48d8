"""Reads typing sessions, and computes the text that they lead to. `README.md` beside this file describes the format."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Key:
    """One thing the person does, this many milliseconds after the session began."""

    ms: int
    # "key", "accept", "paste", "remove" or "go"
    kind: str
    text: str = ""
    count: int = 0
    line: int = 0
    column: int = 0


class Text:
    """A text and the cursor in it, as in an editor."""

    def __init__(self, text: str):
        self.text = text
        self.cursor = 0

    def go(self, line: int, column: int):
        start = 0
        for _ in range(line):
            end = self.text.find("\n", start)
            if end < 0:
                raise ValueError(f"expected a text with a line {line}, found {self.text.count(chr(10)) + 1} lines")
            start = end + 1
        end = self.text.find("\n", start)
        width = (len(self.text) if end < 0 else end) - start
        if column > width:
            raise ValueError(f"expected column {column} in line {line}, found {width} characters")
        self.cursor = start + column

    def insert(self, text: str):
        self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
        self.cursor += len(text)

    def backspace(self, count: int):
        self.text = self.text[: self.cursor - count] + self.text[self.cursor :]
        self.cursor -= count

    def remove(self, count: int):
        self.text = self.text[: self.cursor] + self.text[self.cursor + count :]

    def place(self) -> tuple[int, int]:
        """Line and column of the cursor."""
        before = self.text[: self.cursor]
        return before.count("\n"), len(before) - before.rfind("\n") - 1

    def apply(self, key: Key):
        if key.kind == "go":
            self.go(key.line, key.column)
        elif key.kind == "remove":
            self.remove(key.count)
        elif key.kind == "key":
            backspaces = len(key.text) - len(key.text.lstrip("\b"))
            self.backspace(backspaces)
            self.insert(key.text[backspaces:])
        else:
            self.insert(key.text)


@dataclass
class Session:
    header: dict
    keys: list[Key]

    @property
    def name(self) -> str:
        return self.header["session"]

    def final_text(self) -> str:
        text = Text(self.header["text"])
        for key in self.keys:
            text.apply(key)
        return text.text

    def check(self):
        """Fails if the session does not lead to the file that its header names."""
        digest = hashlib.sha256(self.final_text().encode()).hexdigest()
        if digest != self.header["sha256"]:
            raise ValueError(f"{self.name}: expected a text with the checksum {self.header['sha256']}, found {digest}")


def parse(lines: list[str]) -> Session:
    header = json.loads(lines[0])
    ms, keys = 0, []
    for line in lines[1:]:
        step = json.loads(line)
        ms += step["after"]
        if "keys" in step:
            for gap, text in step["keys"]:
                ms += gap
                keys.append(Key(ms, "key", text=text))
        elif "go" in step:
            keys.append(Key(ms, "go", line=step["go"][0], column=step["go"][1]))
        elif "remove" in step:
            keys.append(Key(ms, "remove", count=step["remove"]))
        else:
            kind = "accept" if "accept" in step else "paste"
            keys.append(Key(ms, kind, text=step[kind]))
    return Session(header, keys)


def read(path: Path) -> Session:
    return parse(path.read_text(encoding="utf-8").splitlines())


def read_folder(folder: Path) -> list[Session]:
    """The sessions in a folder, in the order of their names, or the one in a file."""
    paths = [folder] if folder.is_file() else sorted(folder.glob("*.jsonl"))
    return [read(path) for path in paths]
