#!/usr/bin/env python3
"""The first completion in a file of 2,000 lines: at once after it is opened, after two seconds of idle, after a restart; and a warm
one, a key later at the same place.

    benches/first_completion.py PHI_LS MODEL.gguf [--rounds 5] [--set KEY=VALUE ...]

Every round has a server and folders of its own. The cursor is told as editors do, by asking for code actions where it is. A
completion is measured from the request to the answer, in milliseconds; the median of the rounds is printed, and how often that is
of the warm one.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ITEM = """def area_{0}(width, height):
    total = width * height + {0}
    if total > {0}:
        return total
    return total - width


"""
LINES = 2000
LINE = LINES // 2 + 5


def text():
    lines = "".join(ITEM.format(number) for number in range(LINES // 7)).split("\n")
    lines.insert(LINE, "    volume = ")
    return "\n".join(lines)


class Server:
    """A language server whose settings are `settings`, with the person's folder `home`."""

    def __init__(self, program, model, home, settings):
        environment = {**os.environ, "HOME": home, "XDG_CACHE_HOME": f"{home}/cache", "XDG_RUNTIME_DIR": f"{home}/run"}
        environment |= {"XDG_CONFIG_HOME": f"{home}/config", "XDG_DATA_HOME": f"{home}/data"}
        os.makedirs(f"{home}/run", exist_ok=True)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([program, "serve", "--completion-model", model], env=environment, **pipes)
        self.last_id = 0
        self.version = 1
        self.uri = f"file://{home}/area.py"
        options = {"engine.shared": False, "completion.timeBudgetMs": 60_000, "completion.confidence": "low", **settings}
        self.call("initialize", {"capabilities": {}, "initializationOptions": options})
        self.notify("initialized", {})

    def send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def notify(self, method, params):
        self.send({"method": method, "params": params})

    def read(self):
        length = None
        while (line := self.process.stdout.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if length is None:
            sys.exit("the server has ended")
        return json.loads(self.process.stdout.read(length))

    def call(self, method, params):
        self.last_id += 1
        self.send({"id": self.last_id, "method": method, "params": params})
        while True:
            message = self.read()
            if message.get("id") == self.last_id and "method" not in message:
                return message["result"]

    def open(self, content):
        document = {"uri": self.uri, "languageId": "python", "version": 1, "text": content}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def until_loaded(self):
        """Has the model loaded, by opening another document that asks nothing of it."""
        document = {"uri": self.uri + ".txt", "languageId": "plaintext", "version": 1, "text": ""}
        self.notify("textDocument/didOpen", {"textDocument": document})
        while True:
            message = self.read()
            params = message.get("params") or {}
            if message.get("method") == "phi-ls/status" and params["state"] == "ready" and "is ready" in params["message"]:
                return

    def go_to(self, character):
        place = {"line": LINE, "character": character}
        document = {"uri": self.uri}
        params = {"textDocument": document, "range": {"start": place, "end": place}, "context": {"diagnostics": []}}
        self.call("textDocument/codeAction", params)

    def type(self, character, typed):
        self.version += 1
        place = {"line": LINE, "character": character}
        change = {"range": {"start": place, "end": place}, "text": typed}
        document = {"uri": self.uri, "version": self.version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})

    def complete(self, character):
        began = time.monotonic()
        place = {"line": LINE, "character": character}
        params = {"textDocument": {"uri": self.uri}, "position": place, "context": {"triggerKind": 2}}
        self.call("textDocument/inlineCompletion", params)
        return 1000 * (time.monotonic() - began)

    def end(self):
        self.call("shutdown", None)
        self.notify("exit", None)
        self.process.wait()


def measured(arguments, home, content):
    """The figures of one round."""
    at = len("    volume = ")
    settings = dict(pair.split("=", 1) for pair in arguments.set)
    settings = {key: json.loads(value) if value[:1] in "{[tf0123456789" else value for key, value in settings.items()}

    def started():
        server = Server(arguments.program, arguments.model, home, settings)
        server.until_loaded()
        return server

    figures = {}
    server = started()
    server.open(content)
    figures["at once"] = server.complete(at)
    server.end()
    for folder in ["cache", "data"]:
        subprocess.run(["rm", "-rf", f"{home}/{folder}"], check=True)

    server = started()
    server.open(content)
    server.go_to(at)
    time.sleep(2)
    figures["after 2 s of idle"] = server.complete(at)
    time.sleep(4)
    server.type(at, "w")
    figures["warm"] = server.complete(at + 1)
    # What was read is kept when nobody has asked for ten seconds.
    time.sleep(16)
    server.end()

    server = started()
    server.open(content.replace("    volume = \n", "    volume = w\n"))
    figures["after a restart"] = server.complete(at + 1)
    server.end()
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    rounds = []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as home:
            with open(f"{home}/area.py", "w", encoding="utf-8") as file:
                file.write(text())
            rounds.append(measured(arguments, home, text()))
    warm = statistics.median(figures["warm"] for figures in rounds)
    for name in rounds[0]:
        median = statistics.median(figures[name] for figures in rounds)
        print(f"{name:20} {median:8.1f} ms {median / warm:6.2f} of a warm one")


if __name__ == "__main__":
    main()
