#!/usr/bin/env node
// A language server whose edits a small model makes only by luck: one that is so large that it wants confirmation, and one
// that makes a new file.

const COMMAND = "phi-ls.ask";
const start = { line: 0, character: 0 };
const begin = { start, end: start };
let input = Buffer.alloc(0);

function send(message) {
  const body = Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message }));
  process.stdout.write(Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]));
}

/** The edits by the titles of their actions. */
const edits = {
  "Rewrite everything": (uri) => ({
    documentChanges: [
      {
        textDocument: { uri, version: null },
        edits: [{ range: begin, newText: "# rewritten\n", annotationId: "large" }],
      },
    ],
    changeAnnotations: { large: { label: "Rewrite everything", needsConfirmation: true } },
  }),
  "Write tests": (uri) => {
    const file = uri.replace(/[^/]*$/, "test_$&");
    return {
      documentChanges: [
        { kind: "create", uri: file },
        { textDocument: { uri: file, version: null }, edits: [{ range: begin, newText: "assert True\n" }] },
      ],
    };
  },
};

function offer(title, uri) {
  return { title, kind: "refactor", command: { title, command: COMMAND, arguments: [{ title, uri }] } };
}

const requests = {
  initialize: () => ({
    capabilities: { codeActionProvider: true, executeCommandProvider: { commands: [COMMAND] }, textDocumentSync: 1 },
  }),
  "textDocument/codeAction": ({ textDocument: { uri } }) => Object.keys(edits).map((title) => offer(title, uri)),
  "workspace/executeCommand": ({ arguments: [{ title, uri }] }) => {
    send({ id: title, method: "workspace/applyEdit", params: { label: title, edit: edits[title](uri) } });
    return null;
  },
};

function receive({ id, method, params }) {
  if (method === "exit") {
    process.exit(0);
  } else if (id !== undefined && method !== undefined) {
    send({ id, result: requests[method]?.(params) ?? null });
  }
}

process.stdin.on("data", (chunk) => {
  input = Buffer.concat([input, chunk]);
  for (;;) {
    const end = input.indexOf("\r\n\r\n");
    const length = Number(/Content-Length: (\d+)/i.exec(input.subarray(0, end).toString())?.[1]);
    if (end < 0 || input.length < end + 4 + length) {
      return;
    }
    receive(JSON.parse(input.subarray(end + 4, end + 4 + length).toString()));
    input = input.subarray(end + 4 + length);
  }
});
