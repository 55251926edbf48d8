#!/usr/bin/env python3
"""A language server that answers from a list of rules: what the plugin does is tested against answers a model gives
only by luck (a late one, a stale one, one that replaces closers, several at once).

The rules come as `initializationOptions.rules`, the position encoding as `initializationOptions.encoding`, the kind of
text synchronisation as `initializationOptions.sync` (2: incremental), commands that are answered late as
`initializationOptions.heldCommands`, the code actions of any place as `initializationOptions.actions`. A rule applies where the line before the cursor ends with `at`:

    {"at": "def ", "insert": ["add(a, b):"], "before": "", "after": "", "hold": false, "deaf": false,
     "command": null}

`insert` holds one text per alternative (all are sent when invoked, the first one otherwise); `before` and `after` are
the texts around the cursor that the range covers; a held answer waits for `test/release` (its parameters, if there are any, are the answer then), or for its cancellation
unless the rule is `deaf`. `test/received` returns every message so far, `test/documents` the open documents as they
are; `test/send` makes the server send a message of the test's: a notification, or a request, whose answer is among what
was received. With `initializationOptions.everywhere` a completion follows from any line before the cursor: see
`everywhere` here and in fuzz_test.lua.
"""

import json
import os
import re
import sys

# What ends a line in the protocol.
LINE_END = re.compile("\r\n|\n|\r")
EVERYWHERE = [None, "alpha(beta, gamma)", "one\n    two\n    three", "é = [1, 2]", ".size"]

UNITS = {
    "utf-8": lambda text: len(text.encode()),
    "utf-16": lambda text: len(text.encode("utf-16-le")) // 2,
    "utf-32": len,
}


def everywhere(line):
    """A completion that depends on the line before the cursor alone, so that a test knows it too."""
    return EVERYWHERE[sum(line.encode()) % len(EVERYWHERE)]


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
        self.actions = []
        self.encoding = "utf-16"
        self.everywhere = False
        self.documents = {}
        self.held = {}
        self.received = []

    def initialize(self, params):
        options = params.get("initializationOptions") or {}
        self.rules = options.get("rules", [])
        self.encoding = options.get("encoding", "utf-16")
        self.held_commands = options.get("heldCommands", [])
        self.actions = options.get("actions", [])
        self.everywhere = options.get("everywhere", False)
        return {
            "capabilities": {
                "positionEncoding": self.encoding,
                "textDocumentSync": options.get("sync", 1),
                "workspace": {"workspaceFolders": {"supported": True, "changeNotifications": True}},
                "inlineCompletionProvider": True,
                "codeActionProvider": True,
                "executeCommandProvider": {"commands": ["test.accepted"]},
            },
            "serverInfo": {"name": "scripted", "version": "1"},
        }

    def before_cursor(self, params):
        lines = LINE_END.split(self.documents[params["textDocument"]["uri"]])
        line = lines[params["position"]["line"]]
        return line[: self.index(line, params["position"]["character"])]

    def index(self, line, wanted):
        for end in range(len(line) + 1):
            if UNITS[self.encoding](line[:end]) == wanted:
                return end
        raise ValueError(f"no character {wanted} in {line!r}")

    def offset(self, text, position):
        """Where `position` is in `text`; a line beyond the last one is its end."""
        starts = [0] + [end.end() for end in LINE_END.finditer(text)]
        if position["line"] >= len(starts):
            return len(text)
        start = starts[position["line"]]
        line = LINE_END.split(text[start:])[0]
        return start + self.index(line, position["character"])

    def change(self, uri, changes):
        for change in changes:
            if "range" not in change:
                self.documents[uri] = change["text"]
                continue
            text = self.documents[uri]
            first, last = (self.offset(text, change["range"][end]) for end in ("start", "end"))
            self.documents[uri] = text[:first] + change["text"] + text[last:]

    def inline_completion(self, params):
        """The items, and the rule they come from."""
        line = self.before_cursor(params)
        position = params["position"]
        units = UNITS[self.encoding]
        if self.everywhere:
            text = everywhere(line)
            return [{"insertText": text, "range": {"start": position, "end": position}}] if text else [], {}
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
        if method == "test/documents":
            return self.documents
        if method == "textDocument/codeAction":
            return self.actions
        if method == "workspace/executeCommand" and params["command"] in self.held_commands:
            self.held[message["id"]] = ({}, False)
            return None
        return {}

    def notification(self, method, params):
        if method == "textDocument/didOpen":
            self.documents[params["textDocument"]["uri"]] = params["textDocument"]["text"]
        elif method == "textDocument/didChange":
            self.change(params["textDocument"]["uri"], params["contentChanges"])
        elif method == "textDocument/didClose":
            del self.documents[params["textDocument"]["uri"]]
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
            # At once, with what was still to be sent.
            os._exit(3)
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
