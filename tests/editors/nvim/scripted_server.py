#!/usr/bin/env python3
"""A language server that answers from a list of rules: what the plugin does is tested against answers a model gives
only by luck (a late one, a stale one, one that replaces closers, several at once).

The rules come as `initializationOptions.rules`, the position encoding as `initializationOptions.encoding`, commands
that are answered late as `initializationOptions.heldCommands`. A rule applies where the line before the cursor ends
with `at`:

    {"at": "def ", "insert": ["add(a, b):"], "before": "", "after": "", "hold": false, "deaf": false,
     "command": null}

`insert` holds one text per alternative (all are sent when invoked, the first one otherwise); `before` and `after` are
the texts around the cursor that the range covers; a held answer waits for `test/release` (its parameters, if there are any, are the answer then), or for its cancellation
unless the rule is `deaf`. `test/received` returns every message so far; `test/send` makes the server send a message of
the test's: a notification, or a request, whose answer is among what was received.
"""

import json
import sys

UNITS = {
    "utf-8": lambda text: len(text.encode()),
    "utf-16": lambda text: len(text.encode("utf-16-le")) // 2,
    "utf-32": len,
}


def send(message):
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    sys.stdout.buffer.flush()


def receive():
    length = 0
    while line := sys.stdin.buffer.readline().strip():
        name, value = line.split(b":", 1)
        if name.lower() == b"content-length":
            length = int(value)
    if length == 0:
        sys.exit(0)
    return json.loads(sys.stdin.buffer.read(length))


class Server:
    def __init__(self):
        self.rules = []
        self.held_commands = []
        self.encoding = "utf-16"
        self.documents = {}
        self.held = {}
        self.received = []

    def initialize(self, params):
        options = params.get("initializationOptions") or {}
        self.rules = options.get("rules", [])
        self.encoding = options.get("encoding", "utf-16")
        self.held_commands = options.get("heldCommands", [])
        return {
            "capabilities": {
                "positionEncoding": self.encoding,
                "textDocumentSync": 1,
                "inlineCompletionProvider": True,
                "codeActionProvider": True,
                "executeCommandProvider": {"commands": ["test.accepted"]},
            },
            "serverInfo": {"name": "scripted", "version": "1"},
        }

    def before_cursor(self, params):
        lines = self.documents.get(params["textDocument"]["uri"], "").split("\n")
        line = lines[params["position"]["line"]]
        wanted = params["position"]["character"]
        for end in range(len(line) + 1):
            if UNITS[self.encoding](line[:end]) == wanted:
                return line[:end]
        raise ValueError(f"no character {wanted} in {line!r}")

    def inline_completion(self, params):
        """The items, and the rule they come from."""
        line = self.before_cursor(params)
        position = params["position"]
        units = UNITS[self.encoding]
        for rule in self.rules:
            if not line.endswith(rule["at"]):
                continue
            invoked = params["context"]["triggerKind"] == 1
            texts = rule["insert"] if invoked else rule["insert"][:1]
            start = position["character"] - units(rule.get("before", ""))
            end = position["character"] + units(rule.get("after", ""))
            items = []
            for text in texts:
                item = {
                    "insertText": text,
                    "range": {
                        "start": {"line": position["line"], "character": start},
                        "end": {"line": position["line"], "character": end},
                    },
                }
                if rule.get("command"):
                    item["command"] = rule["command"]
                items.append(item)
            return items, rule
        return [], {}

    def request(self, message):
        """The result; None where the answer is held back."""
        params = message.get("params")
        method = message["method"]
        if method == "initialize":
            return self.initialize(params)
        if method == "textDocument/inlineCompletion":
            items, rule = self.inline_completion(params)
            if rule.get("hold"):
                self.held[message["id"]] = ({"items": items}, rule.get("deaf", False))
                return None
            return {"items": items}
        if method == "test/received":
            return self.received
        if method == "textDocument/codeAction":
            return []
        if method == "workspace/executeCommand" and params["command"] in self.held_commands:
            self.held[message["id"]] = ({}, False)
            return None
        return {}

    def notification(self, method, params):
        if method == "textDocument/didOpen":
            self.documents[params["textDocument"]["uri"]] = params["textDocument"]["text"]
        elif method == "textDocument/didChange":
            self.documents[params["textDocument"]["uri"]] = params["contentChanges"][-1]["text"]
        elif method == "$/cancelRequest":
            self.cancel(params["id"])
        elif method == "test/release":
            for request_id, (result, _) in self.held.items():
                send({"id": request_id, "result": params or result})
            self.held = {}
        elif method == "test/status":
            send({"method": "phi-ls/status", "params": params})
        elif method == "test/send":
            send(params)
        elif method == "test/crash":
            sys.exit(3)
        elif method == "exit":
            sys.exit(0)

    def cancel(self, request_id):
        _, deaf = self.held.get(request_id, (None, True))
        if not deaf:
            self.held.pop(request_id)
            send({"id": request_id, "error": {"code": -32800, "message": "cancelled"}})

    def run(self):
        while True:
            message = receive()
            self.received.append(message)
            if "method" not in message:
                continue
            if "id" not in message:
                self.notification(message["method"], message.get("params"))
                continue
            result = self.request(message)
            if result is not None:
                send({"id": message["id"], "result": result})


Server().run()
