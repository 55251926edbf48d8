#!/usr/bin/env python3
"""Makes typing sessions of successive releases of packages: how a person would get from one file to the next.

    benches/traces/generate.py [NAME...]     makes the sessions of SOURCES, or those named, into sessions/ and licences/
    benches/traces/generate.py --check       whether each session that is there ends in the file it says

Packages are fetched by the registries' own clients (pip, npm, cargo). The same seed makes the same session. `README.md` beside
this file says what a session holds, and where the distributions are from.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from session import Text, parse, read_folder

HERE = Path(__file__).resolve().parent


@dataclass
class Source:
    """A file in two releases of a package."""

    name: str
    registry: str
    package: str
    old: str
    new: str
    file: str
    language: str
    seed: int = 1


SOURCES = [
    Source("click-compat", "PyPI", "click", "8.1.3", "8.1.7", "click/_compat.py", "python", 1),
    Source("httpx-urlparse", "PyPI", "httpx", "0.24.1", "0.25.0", "httpx/_urlparse.py", "python", 2),
    Source("starlette-templating", "PyPI", "starlette", "0.27.0", "0.28.0", "starlette/templating.py", "python", 3),
    Source("commander-help", "npm", "commander", "9.5.0", "10.0.1", "lib/help.js", "javascript", 4),
    Source("koa-application", "npm", "koa", "2.13.4", "2.15.0", "lib/application.js", "javascript", 5),
    Source("reselect-index", "npm", "reselect", "4.1.8", "5.0.1", "src/index.ts", "typescript", 6),
    Source("immer-mapset", "npm", "immer", "9.0.21", "10.0.2", "src/plugins/mapset.ts", "typescript", 7),
    Source("textwrap-algorithms", "cargo", "textwrap", "0.16.0", "0.16.1", "src/wrap_algorithms.rs", "rust", 8),
    Source("indexmap-raw", "cargo", "indexmap", "1.9.2", "2.0.0", "src/map/core/raw.rs", "rust", 9),
    Source("react-native-fs-uploader", "npm", "react-native-fs", "2.16.6", "2.20.0", "android/src/main/java/com/rnfs/Uploader.java", "java", 10),
    Source("tree-sitter-lexer", "npm", "tree-sitter", "0.20.6", "0.21.1", "vendor/tree-sitter/lib/src/lexer.c", "c", 11),
    Source("tree-sitter-ruby-parser", "npm", "tree-sitter-ruby", "0.19.0", "0.20.1", "src/tree_sitter/parser.h", "c", 12),
    Source("webview-manager", "npm", "react-native-webview", "11.26.1", "12.4.0", "windows/ReactNativeWebView/ReactWebView2Manager.cpp", "cpp", 13),
    Source("tree-sitter-logger", "npm", "tree-sitter", "0.20.6", "0.21.1", "src/logger.cc", "cpp", 14),
]

# The licences of texts in a trace, which allow everybody to pass the text on with the notice.
LICENCES = {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT OR Apache-2.0", "Apache-2.0 OR MIT"}

# The most keys of a session; further text is pasted.
MOST_KEYS = 600
# The most lines of new code that are typed in a row; the rest of a longer block is pasted.
MOST_LINES = 14

# Mean milliseconds between two keys of one person, and their deviation between persons: Dhakal, Feit, Kristensson and Oulasvirta,
# "Observations on Typing from 136 Million Keystrokes", CHI 2018 (168,000 persons).
PERSON_MEAN_MS, PERSON_DEVIATION_MS = 238.7, 111.6
# Within one person, gaps are skewed to the right. A log-normal distribution of this width has about the shape in the
# study.
WITHIN_PERSON_SIGMA = 0.45
# About six of 100 keys correct something (same study); a wrong key and its Backspace are two.
TYPO_SHARE = 0.03
# The share of the lines of sufficient length in which the person accepts a completion. Studies report that about 30 of
# 100 shown ones are accepted, and a line has more than one.
ACCEPT_SHARE = 0.5

NEIGHBOURS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "j": "hk", "k": "jl", "l": "k",
    "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "wa", "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc",
    "y": "tu", "z": "x",
}  # fmt: skip


def log_normal(random_numbers: random.Random, mean: float, deviation: float) -> float:
    variance = math.log(1 + (deviation / mean) ** 2)
    return random_numbers.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance))


class Person:
    """How fast a person types, and where they stop to think."""

    def __init__(self, random_numbers: random.Random):
        self.random = random_numbers
        self.mean = min(max(log_normal(random_numbers, PERSON_MEAN_MS, PERSON_DEVIATION_MS), 90), 500)

    def gap(self, previous: str, key: str) -> int:
        """Milliseconds between two keys."""
        median = self.mean * math.exp(-(WITHIN_PERSON_SIGMA**2) / 2)
        gap = self.random.lognormvariate(math.log(median), WITHIN_PERSON_SIGMA)
        if not previous.isalnum() and key.isalnum():
            gap *= 1.2
        if key[:1] in '!@#$%^&*()_+{}|:"<>?~' or key.isupper():
            gap *= 1.3
        if previous == key:
            gap *= 0.8
        return max(30, round(gap))

    def pause(self, seconds: float) -> int:
        """Milliseconds of thinking, about `seconds` long."""
        return round(1000 * min(self.random.lognormvariate(math.log(seconds), 0.5), 4 * seconds))


class Writer:
    """Types into a text, and records the steps."""

    def __init__(self, text: str, person: Person):
        self.text = Text(text)
        self.person = person
        self.random = person.random
        self.steps: list[dict] = []
        self.waited = 0
        self.last_key = " "
        self.keys = 0

    def wait(self, milliseconds: int):
        self.waited += milliseconds

    def step(self, **what):
        self.steps.append({"after": self.waited, **what})
        self.waited = 0

    def press(self, text: str):
        """One key, and the text that it inserts."""
        backspaces = len(text) - len(text.lstrip("\b"))
        self.text.backspace(backspaces)
        self.text.insert(text[backspaces:])
        gap = self.person.gap(self.last_key, text)
        if self.steps and "keys" in self.steps[-1] and not self.waited:
            self.steps[-1]["keys"].append([gap, text])
        else:
            self.step(keys=[[gap, text]])
        self.last_key = text
        self.keys += 1

    def go(self, line: int, column: int):
        before = self.text.cursor
        self.text.go(line, column)
        if self.text.cursor != before:
            self.step(go=[line, column])

    def take(self, text: str):
        """Accepts a completion that is on the screen."""
        self.wait(self.person.pause(0.6))
        self.text.insert(text)
        self.step(accept=text)
        self.last_key = " "
        self.keys += 1

    def paste(self, text: str):
        self.wait(self.person.pause(2))
        self.text.insert(text)
        self.step(paste=text)
        self.last_key = " "

    def remove(self, count: int):
        if count:
            self.wait(self.person.pause(0.8))
            self.text.remove(count)
            self.step(remove=count)

    def type_lines(self, text: str):
        """Types `text` at the cursor; Enter indents as editors do."""
        if self.keys > MOST_KEYS:
            return self.paste(text)
        first, *others = text.split("\n")
        self.type_line(first)
        for index, line in enumerate(others):
            if index == MOST_LINES or self.keys > MOST_KEYS:
                return self.paste("".join("\n" + rest for rest in others[index:]))
            self.enter(line)
            if self.random.random() < 0.25:
                self.wait(self.person.pause(1.5))
            self.type_line(line.lstrip(" \t"))

    def enter(self, line: str):
        """A new line, indented like `line`. The indentation that an editor adds is part of the key."""
        wanted = line[: len(line) - len(line.lstrip(" \t"))]
        if not line.strip():
            return self.press("\n" + line)
        before = [previous for previous in self.text.text[: self.text.cursor].split("\n") if previous.strip()]
        last = before[-1] if before else ""
        own = last[: len(last) - len(last.lstrip(" \t"))]
        if last.rstrip().endswith((":", "{", "(", "[", "=>")) and wanted.startswith(own):
            return self.press("\n" + wanted)
        if wanted.startswith(own):
            self.press("\n" + own)
            if wanted != own:
                self.press(wanted[len(own) :])
        elif own.startswith(wanted):
            self.press("\n" + own)
            self.press("\b" * (len(own) - len(wanted)))
        else:
            self.press("\n" + wanted)

    def type_line(self, line: str):
        typed = 0
        if len(line) >= 8 and self.random.random() < ACCEPT_SHARE:
            typed = self.random.randint(1, min(12, len(line) // 2))
            self.type_run(line[:typed])
            word = re.match(r"\W*\w+", line[typed:])
            whole = self.random.random() < 0.6 or not word
            taken = line[typed:] if whole else word[0]
            if len(taken.strip()) > 2:
                self.take(taken)
                typed += len(taken)
        self.type_run(line[typed:])

    def type_run(self, run: str):
        for index, key in enumerate(run):
            wrong = NEIGHBOURS.get(key.lower())
            if wrong and self.random.random() < TYPO_SHARE:
                self.mistype(self.random.choice(wrong), run[index + 1 : index + 1 + self.random.choice((0, 0, 1, 2))])
            self.press(key)

    def mistype(self, wrong: str, beyond: str):
        """A wrong key, which is noticed a few keys later and corrected."""
        for key in wrong + beyond:
            self.press(key)
        self.wait(self.person.pause(0.4))
        for _ in wrong + beyond:
            self.press("\b")


def pieces(line: str) -> list[str]:
    return re.findall(r"\w+|\s+|.", line)


def change_line(writer: Writer, number: int, old: str, new: str):
    """Changes the line `old` to `new`, word by word."""
    before, after = pieces(old), pieces(new)
    column = 0
    for tag, i, j, k, l in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        gone, come = "".join(before[i:j]), "".join(after[k:l])
        if tag != "equal":
            writer.wait(writer.person.pause(1.2))
            writer.go(number, column)
            writer.remove(len(gone))
            writer.type_line(come)
        column += len(come)


def likeness(old: str, new: str) -> float:
    return difflib.SequenceMatcher(None, old.strip(), new.strip(), autojunk=False).ratio() if old.strip() and new.strip() else 0.0


def line_changes(old: list[str], new: list[str]) -> list[tuple]:
    """The steps that turn a block of lines into another one: ("change", old, new), ("insert", lines) and ("delete", lines) in order."""
    changes: list[tuple] = []
    at = 0

    def insert(line: str):
        if changes and changes[-1][0] == "insert":
            changes[-1][1].append(line)
        else:
            changes.append(("insert", [line]))

    for line in new:
        like = next((index for index in range(at, len(old)) if likeness(old[index], line) > 0.6), None)
        if like is None:
            insert(line)
            continue
        if like > at:
            changes.append(("delete", old[at:like]))
        changes.append(("change", old[like], line))
        at = like + 1
    if at < len(old):
        changes.append(("delete", old[at:]))
    return changes


def change_block(writer: Writer, number: int, old: list[str], new: list[str]):
    """Changes the lines `old` from line `number` on to `new`."""
    for change in line_changes(old, new):
        writer.wait(writer.person.pause(2))
        if change[0] == "change":
            change_line(writer, number, change[1], change[2])
            number += 1
            continue
        lines = change[1]
        if number == 0:
            writer.go(0, 0)
        else:
            previous = writer.text.text.split("\n")[number - 1]
            writer.go(number - 1, len(previous))
        if change[0] == "delete":
            writer.remove(sum(len(line) + 1 for line in lines))
        else:
            writer.type_lines("\n".join(lines) + "\n" if number == 0 else "\n" + "\n".join(lines))
            number += len(lines)


def order_of(count: int, random_numbers: random.Random) -> list[int]:
    """Mostly from top to bottom; some places are left for later."""
    later = [index for index in range(count) if count > 2 and random_numbers.random() < 0.2]
    return [index for index in range(count) if index not in later] + later


def write(old: str, new: str, seed: int) -> list[dict]:
    """The steps from `old` to `new`."""
    random_numbers = random.Random(seed)
    writer = Writer(old, Person(random_numbers))
    before, after = old.split("\n"), new.split("\n")
    opcodes = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    blocks = [(i, before[i:j], after[k:l]) for tag, i, j, k, l in opcodes if tag != "equal"]
    grown: dict[int, int] = {}
    for index in order_of(len(blocks), random_numbers):
        start, gone, come = blocks[index]
        above = sum(lines for other, lines in grown.items() if other < index)
        writer.wait(writer.person.pause(3))
        change_block(writer, start + above, gone, come)
        grown[index] = len(come) - len(gone)
    if writer.text.text != new:
        raise ValueError("expected to have typed the newer file, found another text")
    return writer.steps


def run(*command: str, folder: Path):
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}: {result.stderr[-2000:]}")


def unpacked(source: Source, version: str, folder: Path) -> Path:
    """The files of a release of a package, below a folder of their own."""
    folder.mkdir(parents=True)
    if source.registry == "PyPI":
        requirement = f"{source.package}=={version}"
        run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", ".", requirement, folder=folder)
        zipfile.ZipFile(next(folder.glob("*.whl"))).extractall(folder)
        return folder
    if source.registry == "npm":
        run("npm", "pack", "--silent", f"{source.package}@{version}", folder=folder)
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            archive.extractall(folder, filter="data")
        return next(path for path in folder.iterdir() if path.is_dir())
    manifest = f'[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n{source.package} = "={version}"\n'
    (folder / "Cargo.toml").write_text(manifest)
    (folder / "src").mkdir()
    (folder / "src/lib.rs").write_text("")
    run("cargo", "vendor", "--quiet", "--versioned-dirs", folder=folder)
    return folder / "vendor" / f"{source.package}-{version}"


def licence_of(source: Source, root: Path) -> tuple[str, str]:
    """The licence's name, and the notice that has to accompany every copy."""
    if source.registry == "npm":
        name = json.loads((root / "package.json").read_text())["license"]
    elif source.registry == "cargo":
        name = re.search(r'^license = "(.+)"', (root / "Cargo.toml").read_text(), re.M)[1].replace("/", " OR ")
    else:
        metadata = next(root.glob("*.dist-info/METADATA")).read_text(encoding="utf-8")
        found = re.search(r"^License(?:-Expression)?: (.+)$", metadata, re.M)
        name = found[1] if found else ""
        if "BSD License" in metadata and name not in LICENCES:
            name = "BSD-3-Clause"
    if name not in LICENCES:
        sys.exit(f"{source.package}: expected one of the licences {sorted(LICENCES)}, found {name!r}")
    # If one may choose between two licences, the shorter notice is used.
    files = sorted(path for path in root.rglob("*") if re.match(r"(?i)(licen[cs]e|copying)", path.name) and path.is_file())
    files = [path for path in files if "MIT" in path.name.upper()] or files
    if not files:
        sys.exit(f"{source.package}: expected a file with the licence, found none")
    return name, files[0].read_text(encoding="utf-8")


def make(source: Source, folder: Path):
    old_root = unpacked(source, source.old, folder / source.name / "old")
    new_root = unpacked(source, source.new, folder / source.name / "new")
    old, new = ((root / source.file).read_text(encoding="utf-8") for root in (old_root, new_root))
    licence, notice = licence_of(source, new_root)
    notice_file = f"licences/{source.package.replace('/', '-').lstrip('@')}.txt"
    header = {
        "session": source.name,
        "language": source.language,
        "file": Path(source.file).name,
        "of": {"registry": source.registry, "package": source.package, "file": source.file, "from": source.old, "to": source.new},
        "licence": licence,
        "notice": notice_file,
        "seed": source.seed,
        "sha256": hashlib.sha256(new.encode()).hexdigest(),
        "text": old,
    }
    lines = [json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in [header, *write(old, new, source.seed)]]
    session = parse(lines)
    session.check()
    (HERE / "licences").mkdir(exist_ok=True)
    (HERE / "sessions").mkdir(exist_ok=True)
    (HERE / notice_file).write_text(notice, encoding="utf-8")
    (HERE / "sessions" / f"{source.name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    describe(session, sum(len(line.encode()) + 1 for line in lines))


def describe(session, size: int):
    counts = {kind: sum(key.kind == kind for key in session.keys) for kind in ("key", "accept", "paste", "go", "remove")}
    backspaces = sum(key.text.startswith("\b") for key in session.keys)
    seconds = session.keys[-1].ms / 1000 if session.keys else 0
    print(f"{session.name:28} {size / 1024:5.1f} KiB {seconds:5.0f} s {backspaces:3} Backspace {counts}")


def main():
    if sys.argv[1:] == ["--check"]:
        for session in read_folder(HERE / "sessions"):
            session.check()
            describe(session, (HERE / "sessions" / f"{session.name}.jsonl").stat().st_size)
        return
    wanted = [source for source in SOURCES if not sys.argv[1:] or source.name in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        for source in wanted:
            make(source, Path(folder))


if __name__ == "__main__":
    main()
