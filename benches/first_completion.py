#!/usr/bin/env python3
"""The first completion in a file of 2,000 lines: at once after it is opened, after two seconds without a key, and after a restart,
compared with a warm one, which comes a key later at the same place.

    benches/first_completion.py PHI_LS MODEL.gguf [--rounds 5] [--set KEY=VALUE ...]

Every round has servers and folders of its own. The server learns where the cursor is as from an editor, by a request for code actions
there. A completion is measured from the request to the answer, in milliseconds. The median of the rounds is printed, also as a
multiple of the warm one.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

from lsp_client import Server

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


class Document(Server):
    """A language server with the person's folder `home`, and one document in it."""

    def __init__(self, program, model, home, settings):
        environment = {**os.environ, "HOME": home, "XDG_CACHE_HOME": f"{home}/cache", "XDG_RUNTIME_DIR": f"{home}/run"}
        environment |= {"XDG_CONFIG_HOME": f"{home}/config", "XDG_DATA_HOME": f"{home}/data"}
        os.makedirs(f"{home}/run", exist_ok=True)
        self.version = 1
        self.uri = f"file://{home}/area.py"
        settings = {"engine.shared": False, "completion.timeBudgetMs": 60_000, "completion.confidence": "low", **settings}
        super().__init__([program, "serve", "--completion-model", model], environment, settings)

    def wait_until_loaded(self):
        """Loads the model by opening another document, for which nothing is computed."""
        self.open(self.uri + ".txt", "plaintext", "")
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
        self.change(self.uri, self.version, {"range": {"start": place, "end": place}, "text": typed})

    def milliseconds(self, character):
        """The time that a completion takes."""
        return 1000 * self.complete(self.uri, LINE, character, is_invoked=False)

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
        server = Document(arguments.program, arguments.model, home, settings)
        server.wait_until_loaded()
        return server

    figures = {}
    server = started()
    server.open(server.uri, "python", content)
    figures["at once"] = server.milliseconds(at)
    server.end()
    for folder in ["cache", "data"]:
        subprocess.run(["rm", "-rf", f"{home}/{folder}"], check=True)

    server = started()
    server.open(server.uri, "python", content)
    server.go_to(at)
    time.sleep(2)
    figures["after 2 s of idle"] = server.milliseconds(at)
    time.sleep(4)
    server.type(at, "w")
    figures["warm"] = server.milliseconds(at + 1)
    # What the model has read is kept in files after ten seconds without a request.
    time.sleep(16)
    server.end()

    server = started()
    server.open(server.uri, "python", content.replace("    volume = \n", "    volume = w\n"))
    figures["after a restart"] = server.milliseconds(at + 1)
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
