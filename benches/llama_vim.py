#!/usr/bin/env python3
"""Compares phi-ls with llama.vim: the same typing sessions with the same model file and threads, one after the other, in one table.

    benches/llama_vim.py PHI_LS LLAMA_SERVER MODEL.gguf [--given PREFIX,SUFFIX,MIDDLE] [--sessions FOLDER] [--threads 2] [--keys N]

The peer is llama-server as llama.vim (release of January 2026) drives it with its default settings: what it sends, what it keeps, when it
asks again and what it shows is done here as there. llama-server fills in the middle only where a model has tokens for it.
`--given` names three tokens of any model by their ids, which then stand for these, and replaces what both models write by what the person
takes later, at the cost of what the model computes, as `phi-ls replay --given` does: elsewhere it is another line of the file. So the
latencies are those of a model that is right where the session says so, whatever the weights are.

Both type at the recorded pace. A key's time ends when text for it is on screen; what is not there before the next key counts as not
shown. Processor seconds are those of the process that holds the model.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "traces"))
from session import Key, Session, Text, read_folder  # noqa: E402

# llama.vim's defaults.
PREFIX_LINES, SUFFIX_LINES = 256, 64
PREDICT, PREDICT_MS, FIRST_PREDICT_MS, PROMPT_MS = 128, 1000, 250, 500
MOST_AFTER_CURSOR = 8
CACHED, LOOKED_BACK = 250, 128
RING_CHUNKS, RING_LINES, RING_SCOPE, RING_QUEUE, RING_SECONDS, RING_IDLE_SECONDS = 16, 64, 1024, 16, 1.0, 3.0
RETRY_SECONDS = 0.1
FAR_LINES = 32


@dataclass
class Local:
    """The code around a place, in the form of a request."""

    prefix: str
    middle: str
    suffix: str
    indent: int
    after: str

    def keys(self) -> list[tuple[str, str]]:
        """The keys of its answer in the cache, also as if up to three lines had scrolled out of the window."""
        keys, prefix = [(self.prefix + self.middle, self.suffix)], self.prefix
        for _ in range(3):
            prefix = prefix.partition("\n")[2]
            if not prefix:
                break
            keys.append((prefix + self.middle, self.suffix))
        return keys


class Ring:
    """Chunks of code from other open places, which are put before the prompt."""

    def __init__(self, random_numbers: random.Random, filename: str):
        self.random, self.filename = random_numbers, filename
        self.chunks: list[list[str]] = []
        self.queued: list[list[str]] = []

    @staticmethod
    def likeness(left: list[str], right: list[str]) -> float:
        left_words, right_words = ([word for word in re.split(r"\W+", "\n".join(lines)) if word] for lines in (left, right))
        known, total = set(left_words), len(left_words) + len(right_words)
        return 2 * sum(word in known for word in right_words) / total if total else 1.0

    def part(self, lines: list[str]) -> list[str]:
        start = self.random.randint(0, max(0, len(lines) - RING_LINES // 2))
        return lines[start : start + RING_LINES // 2 + 1]

    def pick(self, lines: list[str]):
        if len(lines) < 3:
            return
        chunk = lines if len(lines) + 1 < RING_LINES else self.part(lines)
        if chunk in self.chunks or chunk in self.queued:
            return
        if any(self.likeness(other, chunk) > 0.9 for other in self.queued + self.chunks):
            return
        if len(self.queued) == RING_QUEUE:
            self.queued.pop(0)
        self.queued.append(chunk)

    def leave_out_like(self, lines: list[str]):
        chunk = self.part(lines)
        self.chunks = [other for other in self.chunks if self.likeness(other, chunk) <= 0.5]

    def take_queued(self) -> bool:
        if not self.queued:
            return False
        if len(self.chunks) == RING_CHUNKS:
            self.chunks.pop(0)
        self.chunks.append(self.queued.pop(0))
        return True

    def extra(self) -> list[dict]:
        return [{"text": "\n".join(chunk) + "\n", "filename": self.filename} for chunk in self.chunks]


class Given:
    """What the model writes at each place of the session: what is accepted later on the same line, or another line of the file."""

    def __init__(self, session: Session, port: int):
        self.port = port
        self.tokens: dict[str, list[str]] = {}
        text, self.texts = Text(session.header["text"]), []
        for number, key in enumerate(session.keys):
            text.apply(key)
            self.texts.append(taken_later(session.keys[number + 1 :]) or other_line(text.text, number))
        for given in set(self.texts):
            self.tokens[given] = self.tokenize(given)

    def tokenize(self, text: str) -> list[str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("POST", "/tokenize", json.dumps({"content": text, "with_pieces": True}), {"Content-Type": "application/json"})
        tokens = json.loads(connection.getresponse().read())["tokens"]
        connection.close()
        return [token["piece"] if isinstance(token["piece"], str) else bytes(token["piece"]).decode(errors="ignore") for token in tokens]

    def after(self, number: int, previous: list[str] | None) -> str:
        """What is written after the key with this number, or after a hint that was accepted there."""
        given = self.texts[number]
        if previous is None:
            return given
        hint = "\n".join(previous)
        return given[len(hint) :] if given.startswith(hint) and len(given) > len(hint) else self.texts[(number + 7) % len(self.texts)]

    def written(self, text: str, tokens: int) -> str:
        """The part of `text` that this many tokens make up."""
        if text not in self.tokens:
            self.tokens[text] = self.tokenize(text)
        return "".join(self.tokens[text][:tokens])

    def length(self, text: str) -> int:
        self.written(text, 0)
        return len(self.tokens[text])


def taken_later(keys: list[Key]) -> str | None:
    """What is typed until a completion is accepted on the same line, including that."""
    typed = ""
    for key in keys:
        if key.kind not in ("key", "accept") or key.text.startswith("\b") or "\n" in key.text:
            return None
        typed += key.text
        if key.kind == "accept":
            return typed
    return None


def other_line(text: str, number: int) -> str:
    lines = [line.strip() for line in text.split("\n") if len(line.strip()) > 8]
    return lines[(number * 31 + 7) % len(lines)] if lines else ""


@dataclass
class Pressed:
    """What happened at one key."""

    at: float
    is_edit: bool
    asked: bool
    # Whether its request was answered, by the model or from the cache.
    is_answered: bool = False
    first: float | None = None
    from_cache: bool = False
    prefilled: int = 0
    typed: int = 0
    on_screen: int = 0
    accepted: int = 0
    replaced: int = 0


class Plugin:
    """llama.vim in one buffer: it gets keys, sends requests, and may show a hint."""

    def __init__(self, session: Session, port: int, given: Given | None):
        self.given = given
        self.text = Text(session.header["text"])
        self.port = port
        self.random = random.Random(1)
        self.ring = Ring(self.random, session.header["file"])
        self.cache: OrderedDict[tuple[str, str], str] = OrderedDict()
        self.events: queue.Queue = queue.Queue()
        self.keys: list[Pressed] = []
        self.is_asking = False
        self.retry: tuple[float, tuple] | None = None
        self.next_ring = time.monotonic() + RING_SECONDS
        self.last_move = 0.0
        self.last_pick = -9999
        self.last_indent = 0
        # The hint on the screen, and the cursor that it is for.
        self.hint: str | None = None
        self.hint_at = 0
        self.written_tokens = 0
        self.written_characters = 0

    def lines(self) -> list[str]:
        return self.text.text.split("\n")

    def local(self, previous: list[str] | None) -> Local:
        """The code around the cursor; with `previous`, as if that hint were accepted."""
        lines = self.lines()
        row, column = self.text.place()
        line = lines[row]
        if previous is None:
            before = lines[max(0, row - PREFIX_LINES) : row]
            left, right = line[:column], line[column:]
            indent = len(line) - len(line.lstrip(" \t"))
            if not line.strip():
                left, right, indent = "", "", 0
        else:
            before = lines[max(0, row - PREFIX_LINES + len(previous) - 1) : row]
            left, right, indent = line + previous[0], "", self.last_indent
            if len(previous) > 1:
                before = [*before, left, *previous[1:-1]]
                left = previous[-1]
        after = lines[row + 1 : row + 1 + SUFFIX_LINES]
        return Local("\n".join(before) + "\n", left, right + "\n" + "\n".join(after) + "\n", indent, right)

    def press(self, key: Key):
        now = time.monotonic()
        pressed = Pressed(now, key.kind != "go", key.kind not in ("paste", "remove"))
        rest = self.rest_after(key, pressed)
        self.text.apply(key)
        self.keys.append(pressed)
        if not pressed.asked:
            self.hint = None
            return
        self.moved(rest)
        self.ask(None, True)

    def rest_after(self, key: Key, pressed: Pressed) -> str | None:
        """The rest of the hint if it agrees with the key. Counts how much of the key's text was on the screen."""
        shown = self.hint if self.hint is not None and self.hint_at == self.text.cursor else None
        if key.kind not in ("key", "accept") or key.text.startswith("\b"):
            return None
        pressed.typed = len(key.text)
        if shown is None:
            return None
        while pressed.on_screen < min(len(key.text), len(shown)) and key.text[pressed.on_screen] == shown[pressed.on_screen]:
            pressed.on_screen += 1
        if not shown.startswith(key.text):
            return None
        if len(key.text) > 1 and key.text.strip():
            pressed.accepted = len(key.text)
        return shown[len(key.text) :] or None

    def moved(self, rest: str | None):
        """Shows what is known for the new place of the cursor, or nothing."""
        self.last_move = time.monotonic()
        self.hint = None
        self.show_known(from_cache=True)
        if rest is not None and (self.hint is None or not self.hint.startswith(rest)):
            self.keys[-1].replaced += 1

    def show_known(self, from_cache: bool):
        known = self.known()
        hint = self.shown_of(known) if known is not None else None
        if hint is None:
            return
        self.hint, self.hint_at = hint, self.text.cursor
        pressed = self.keys[-1]
        pressed.is_answered = True
        if pressed.first is None:
            pressed.first, pressed.from_cache = time.monotonic() - pressed.at, from_cache
        # Asks for what follows, as if the hint were accepted, while the person reads it.
        self.ask(hint.split("\n"), True)

    def known(self) -> str | None:
        """The cached answer for this place, or for one up to 128 characters before it if the text typed since agrees."""
        local = self.local(None)
        before = local.prefix + local.middle
        exact = self.cached((before, local.suffix))
        if exact is not None:
            return exact
        best = None
        for back in range(1, min(LOOKED_BACK, len(before) - 1) + 1):
            older = self.cached((before[:-back], local.suffix))
            if older and older.startswith(before[-back:]) and len(older) > back and (best is None or len(older) - back > len(best)):
                best = older[back:]
        return best

    def cached(self, key: tuple[str, str]) -> str | None:
        if key in self.cache:
            self.cache.move_to_end(key)
        return self.cache.get(key)

    def shown_of(self, content: str) -> str | None:
        """The shown part of an answer: nothing if it repeats existing text."""
        lines, (row, column) = self.lines(), self.text.place()
        line, parts = lines[row], content.split("\n")
        while parts and not parts[-1]:
            parts.pop()
        if not parts:
            return None
        if not line.strip():
            lead = min(len(parts[0]) - len(parts[0].lstrip(" \t")), len(line))
            line, parts[0] = parts[0][:lead], parts[0][lead:]
        left, right = line[:column], line[column:]
        following = row + 1
        while following < len(lines) - 1 and not lines[following].strip():
            following += 1
        next_line = lines[following] if following < len(lines) else ""
        after = lines[following + 1 : following + 1 + len(parts) - 1]
        repeats = (
            (len(parts) > 1 and not parts[0] and parts[1:] == lines[row + 1 : row + len(parts)])
            or (len(parts) == 1 and parts[0] == right)
            or (left + parts[0] == next_line and (len(parts) == 1 or (len(parts) > 2 and parts[1:] == after)))
            or (left + parts[0] == next_line and len(parts) == 2 and after and after[0].startswith(parts[1]))
        )
        hint = "\n".join(parts)
        return None if repeats or not hint.strip() else hint

    def ask(self, previous: list[str] | None, is_automatic: bool):
        if self.is_asking:
            self.retry = (time.monotonic() + RETRY_SECONDS, (previous, is_automatic))
            return
        local = self.local(previous)
        if is_automatic and len(local.after) > MOST_AFTER_CURSOR:
            return
        keys = local.keys()
        if any(self.cached(key) is not None for key in keys):
            return
        self.last_indent = local.indent
        row, lines = self.text.place()[0], self.lines()
        self.ring.leave_out_like(lines[max(0, row - RING_LINES // 2) : row + RING_LINES // 2 + 1])
        self.is_asking = True
        given = self.given.after(len(self.keys) - 1, previous) if self.given else None
        request = {
            "id_slot": 0,
            "input_prefix": local.prefix,
            "input_suffix": local.suffix,
            "input_extra": self.ring.extra(),
            "prompt": local.middle,
            "n_predict": PREDICT if given is None else min(PREDICT, self.given.length(given) + 1),
            "ignore_eos": given is not None,
            "stop": [],
            "n_indent": local.indent,
            "top_k": 40,
            "top_p": 0.90,
            "samplers": ["top_k", "top_p", "infill"],
            "stream": False,
            "cache_prompt": True,
            "t_max_prompt_ms": PROMPT_MS,
            "t_max_predict_ms": FIRST_PREDICT_MS if previous is None else PREDICT_MS,
        }
        is_ahead = previous is not None
        self.send(request, lambda answer: self.events.put(("answer", keys, is_ahead, given, answer)))
        if is_automatic and abs(row - self.last_pick) > FAR_LINES:
            self.ring.pick(lines[max(0, row - RING_SCOPE) : max(1, row - PREFIX_LINES)])
            self.ring.pick(lines[min(len(lines), row + SUFFIX_LINES) : row + SUFFIX_LINES + RING_LINES + 1])
            self.last_pick = row

    def send(self, request: dict, then):
        def work():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            try:
                connection.request("POST", "/infill", json.dumps(request), {"Content-Type": "application/json"})
                response = connection.getresponse()
                body = response.read()
                then(json.loads(body) if response.status == 200 else {"error": body.decode(errors="replace")})
            except OSError as error:
                then({"error": str(error)})
            finally:
                connection.close()

        threading.Thread(target=work, daemon=True).start()

    def answered(self, keys: list[tuple[str, str]], is_ahead: bool, given: str | None, answer: dict):
        self.is_asking = False
        if "error" in answer:
            sys.exit(f"llama-server refused: {answer['error'][:300]}")
        timings, content = answer["timings"], answer["content"]
        if given is not None:
            content = self.given.written(given, timings["predicted_n"])
        self.written_tokens += timings["predicted_n"]
        self.written_characters += len(content)
        if not is_ahead and self.keys:
            self.keys[-1].prefilled += timings["prompt_n"]
            self.keys[-1].is_answered = True
        for key in keys:
            if len(self.cache) >= CACHED:
                self.cache.popitem(last=False)
            self.cache[key] = content
            self.cache.move_to_end(key)
        if self.hint is None and self.keys:
            self.show_known(from_cache=False)

    def run_until(self, until: float):
        """Does what is due and receives answers until then."""
        while True:
            now = time.monotonic()
            if self.retry and self.retry[0] <= now:
                _, arguments = self.retry
                self.retry = None
                self.ask(*arguments)
                continue
            if self.next_ring <= now:
                self.next_ring = now + RING_SECONDS
                if now - self.last_move >= RING_IDLE_SECONDS and self.ring.take_queued():
                    self.warm_up()
                continue
            due = min([until, self.next_ring] + ([self.retry[0]] if self.retry else []))
            try:
                event = self.events.get(timeout=max(0, due - now)) if due > now else self.events.get_nowait()
            except queue.Empty:
                if time.monotonic() >= until:
                    return
                continue
            self.answered(*event[1:])

    def warm_up(self):
        request = {
            "id_slot": 0,
            "input_prefix": "",
            "input_suffix": "",
            "input_extra": self.ring.extra(),
            "prompt": "",
            "n_predict": 0,
            "temperature": 0.0,
            "samplers": [],
            "stream": False,
            "cache_prompt": True,
            "t_max_prompt_ms": 1,
            "t_max_predict_ms": 1,
        }
        self.send(request, lambda _: None)


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_server(options, log) -> tuple[subprocess.Popen, int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # As in its own presets for fill-in-the-middle models, without what is for GPUs.
    command = [options.llama_server, "--model", options.model, "--port", str(port), "--host", "127.0.0.1", "--threads", str(options.threads)]
    command += ["--threads-batch", str(options.threads), "--batch-size", "1024", "--ubatch-size", "1024", "--ctx-size", str(options.peer_context)]
    command += ["--cache-reuse", "256", "--parallel", "1"]
    for name, token in zip(["fim_pre", "fim_suf", "fim_mid"], options.given):
        command += ["--override-kv", f"tokenizer.ggml.{name}_token_id=int:{token}"]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    for _ in range(600):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return process, port
        except OSError:
            pass
        finally:
            connection.close()
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    sys.exit(f"llama-server did not start; its log: {log.name}")


def play(session: Session, port: int, most_keys: int | None, is_given: bool) -> Plugin:
    plugin = Plugin(session, port, Given(session, port) if is_given else None)
    started = time.monotonic()
    for key in session.keys:
        if most_keys is not None and key.kind != "go" and sum(pressed.is_edit for pressed in plugin.keys) >= most_keys:
            break
        plugin.run_until(started + key.ms / 1000)
        plugin.press(key)
    # Requests that are still running end before the next session begins.
    while plugin.is_asking:
        plugin.run_until(time.monotonic() + 0.05)
    return plugin


def percentile(values: list[float], percent: int) -> float | None:
    """The smallest value that at least `percent` per cent of the values do not exceed."""
    values = sorted(values)
    return values[max(1, -(-len(values) * percent // 100)) - 1] if values else None


def figures(plugins: list[Plugin], processor: float) -> dict:
    keys = [key for plugin in plugins for key in plugin.keys]
    edits, shown = sum(key.is_edit for key in keys), [key for key in keys if key.first is not None]
    times = [round(1000 * key.first, 1) for key in shown]
    accepted, on_screen, typed = (sum(getattr(key, name) for key in keys) for name in ("accepted", "on_screen", "typed"))
    written, characters = (sum(getattr(plugin, name) for plugin in plugins) for name in ("written_tokens", "written_characters"))
    used = round(on_screen * written / characters) if characters else 0
    prefilled = [key.prefilled for key in keys if key.is_answered]
    of_model = [round(1000 * key.first, 1) for key in shown if not key.from_cache]
    spread = lambda values: {f"p{percent}": percentile(values, percent) for percent in (50, 90, 95, 99)}  # noqa: E731
    return {
        "sessions": len(plugins),
        "keys": edits,
        "asked": sum(key.asked for key in keys),
        "shown_in_time": len(shown),
        "first_text_ms": spread(times),
        # Its text arrives as a whole.
        "complete_text_ms": spread(times),
        "first_text_of_model_ms": spread(of_model),
        "without_model_share": sum(key.from_cache for key in shown) / len(shown) if shown else None,
        "prefilled_tokens_per_key": {"p50": percentile(prefilled, 50), "p95": percentile(prefilled, 95)},
        "tokens_written": written,
        "tokens_thrown_away": max(0, written - used),
        "on_screen_share": on_screen / typed if typed else None,
        "accepted_chars": accepted,
        "flicker_per_100_keys": 100 * sum(key.replaced for key in keys) / edits if edits else None,
        "cpu_seconds": round(processor, 2),
        "cpu_seconds_per_accepted_char": processor / accepted if accepted else None,
    }


def measure_peer(options) -> dict:
    plugins = []
    with tempfile.NamedTemporaryFile(prefix="llama-server-", suffix=".log", delete=False) as log:
        process, port = start_server(options, log)
        try:
            before = processor_seconds(process.pid)
            for session in read_folder(Path(options.sessions)):
                plugins.append(play(session, port, options.keys, bool(options.given)))
            processor = processor_seconds(process.pid) - before
        finally:
            process.terminate()
            process.wait()
    os.unlink(log.name)
    return figures(plugins, processor)


def measure_phi_ls(options) -> dict:
    command = [options.phi_ls, "replay", options.sessions, "--model", options.model, "--threads", str(options.threads), "--json"]
    if options.kernels:
        command += ["--kernels", options.kernels]
    if options.keys is not None:
        command += ["--keys", str(options.keys)]
    if options.given:
        command += ["--given"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def table(phi_ls: dict, peer: dict) -> str:
    rows = []

    def row(name: str, path: str, scale: float = 1, unit: str = "", digits: int = 0):
        values = []
        for report in (phi_ls, peer):
            value = report
            for part in path.split("."):
                value = value[part]
            values.append(value)
        shown = ["-" if value is None else f"{value * scale:.{digits}f}{unit}" for value in values]
        factor = f"{values[0] / values[1]:.2f}" if None not in values and values[1] else "-"
        rows.append(f"| {name} | {shown[0]} | {shown[1]} | {factor} |")

    for name, key in [("first text", "first_text_ms"), ("complete text", "complete_text_ms"), ("first text the model wrote", "first_text_of_model_ms")]:
        for percent in (50, 90, 95, 99):
            row(f"{name}, p{percent}", f"{key}.p{percent}", unit=" ms", digits=1)
    row("keys that had text in time", "shown_in_time")
    row("texts came without the model", "without_model_share", 100, " %")
    row("written text that was on screen before", "on_screen_share", 100, " %", 1)
    row("prompt tokens computed for a key, p50", "prefilled_tokens_per_key.p50")
    row("prompt tokens computed for a key, p95", "prefilled_tokens_per_key.p95")
    row("tokens written", "tokens_written")
    row("of these thrown away", "tokens_thrown_away")
    row("replacements in 100 keys", "flicker_per_100_keys", digits=2)
    row("processor seconds", "cpu_seconds", digits=1)
    row("for each accepted character", "cpu_seconds_per_accepted_char", unit=" s", digits=3)
    head = f"{phi_ls['keys']} and {peer['keys']} keys in {phi_ls['sessions']} sessions\n\n"
    return head + "| | phi-ls | llama.vim with llama-server | phi-ls / peer |\n|---|---|---|---|\n" + "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phi_ls")
    parser.add_argument("llama_server")
    parser.add_argument("model")
    parser.add_argument("--sessions", default=str(Path(__file__).resolve().parent / "traces/sessions"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keys", type=int, metavar="N", help="only the first N keys of each session")
    parser.add_argument("--peer-context", type=int, default=0, metavar="N", help="tokens of context of the peer; 0: as many as the model has, as in its presets")
    parser.add_argument("--kernels", metavar="LEVEL", help="hold phi-ls to slower kernels than the processor allows, as in avx2")
    parser.add_argument("--json", metavar="FILE", help="both reports, whole")
    ids = lambda text: [int(token) for token in text.split(",")]  # noqa: E731
    parser.add_argument("--given", type=ids, default=[], metavar="PREFIX,SUFFIX,MIDDLE", help="ids of three tokens; what is written is given")
    options = parser.parse_args()
    if options.given and len(options.given) != 3:
        parser.error(f"expected the ids of three tokens after --given, found {len(options.given)}")
    phi_ls, peer = measure_phi_ls(options), measure_peer(options)
    if options.json:
        Path(options.json).write_text(json.dumps({"phi_ls": phi_ls, "peer": peer}, indent=1))
    print(table(phi_ls, peer))


if __name__ == "__main__":
    main()
