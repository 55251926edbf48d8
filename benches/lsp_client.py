"""A language server over its pipes, as an editor uses it: what several benches here need of the protocol."""

import json
import subprocess
import sys
import time


class Server:
    """A language server that `command` starts, after `initialize`."""

    def __init__(self, command, environment, settings=None):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, env=environment, **pipes)
        self.last_id = 0
        self.failures = []
        parameters = {"capabilities": {}}
        if settings is not None:
            parameters["initializationOptions"] = settings
        self.call("initialize", parameters)
        self.notify("initialized", {})

    def send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def notify(self, method, params):
        self.send({"method": method, "params": params})

    def read(self):
        """The server's next message. Notes the failures that `phi-ls/status` reports."""
        length = None
        while (line := self.process.stdout.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if length is None:
            sys.exit(f"a server has ended: {self.failures}")
        message = json.loads(self.process.stdout.read(length))
        if message.get("method") == "phi-ls/status" and message["params"]["state"] == "error":
            self.failures.append(message["params"]["message"])
        return message

    def call(self, method, params):
        """The result of a request; messages that arrive before it are dropped."""
        self.last_id += 1
        self.send({"id": self.last_id, "method": method, "params": params})
        while True:
            message = self.read()
            if message.get("id") == self.last_id and "method" not in message:
                return message["result"]

    def open(self, uri, language, text):
        document = {"uri": uri, "languageId": language, "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def change(self, uri, version, change):
        document = {"uri": uri, "version": version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})

    def complete(self, uri, line, character, is_invoked):
        """Requests an inline completion, explicitly or as at a key. Returns the seconds until the answer."""
        began = time.monotonic()
        position = {"line": line, "character": character}
        context = {"triggerKind": 1 if is_invoked else 2}
        self.call("textDocument/inlineCompletion", {"textDocument": {"uri": uri}, "position": position, "context": context})
        return time.monotonic() - began
