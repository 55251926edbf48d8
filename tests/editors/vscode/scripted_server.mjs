#!/usr/bin/env node
// A language server that says what a small model says only by luck: an edit that is so large that it wants confirmation, one
// that makes a new file, an answer with code, one without end, completions that say where they were asked for, one that grows.
// It has something against documents called so, and is in the state that a document describes.

import { read, record, write } from "./frames.mjs";

const COMMAND = "phi-ls.ask";
const start = { line: 0, character: 0 };
const begin = { start, end: start };
let takesDocumentStatus = false;
/** How a completion grows in a document called so, after four characters. */
const PARTS = ["total(", "total(first,", "total(first, second)"];
const GROWS_AFTER_MS = 500;
/** How far it is by now, by the lines it is on. */
const grown = new Map();
const versions = new Map();

function send(message) {
  write(process.stdout, { jsonrpc: "2.0", ...message });
}

/** Sends something that a test wants to know of. */
function say(message) {
  record("server", message);
  send(message);
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
  "Edit: count from two": (uri) => ({
    documentChanges: [
      {
        textDocument: { uri, version: null },
        edits: [{ range: { start: { line: 0, character: 4 }, end: { line: 0, character: 5 } }, newText: "2" }],
      },
    ],
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

/** Answers to read, by the titles of their actions; one that is not done goes on until it is cancelled. */
const answers = {
  "Explain with code": { delta: "Better:\n\n```python\nx = 2\n```\n", done: true },
  "Explain without end": { delta: "It goes on", done: false },
};
/** The requests of those that are not done. */
const unfinished = new Set();

function offer(title, uri) {
  return { title, kind: "refactor", command: { title, command: COMMAND, arguments: [{ title, uri }] } };
}

/** Answers request `id`, if that ever ends. */
function answer(id, title, uri) {
  const { delta, done } = answers[title];
  send({ method: "phi-ls/answer", params: { id, uri, title, model: "scripted", delta, done } });
  if (done) {
    send({ id, result: null });
  } else {
    unfinished.add(id);
  }
}

/** Ends what would go on for ever. */
function cancel({ id }) {
  if (unfinished.delete(id)) {
    send({ method: "phi-ls/answer", params: { id, uri: "", title: "", model: "", delta: " and on", done: false } });
    send({ method: "phi-ls/answer", params: { id, uri: "", title: "", model: "", delta: "", done: true, reason: "cancelled" } });
    send({ id, error: { code: -32800, message: "cancelled" } });
  }
}

/** The completion that grows, as far as it is at `position`; what is typed of it is not said again. */
function growing(uri, position) {
  const [part, typed] = [grown.get(position.line) ?? 0, position.character - 4];
  if (typed !== 0) {
    return (typed > 0 && PARTS.at(-1).slice(typed)) || undefined;
  }
  if (part < PARTS.length - 1) {
    setTimeout(() => {
      grown.set(position.line, part + 1);
      say({ method: "phi-ls/completionGrew", params: { uri, version: versions.get(uri), position } });
    }, GROWS_AFTER_MS);
  }
  return PARTS[part];
}

/** What it says in document `uri` at `position`. */
function completion(uri, position) {
  return uri.endsWith("/grows.py") ? growing(uri, position) : `in_${uri.slice(0, uri.indexOf(":")).replaceAll("-", "_")}`;
}

const requests = {
  initialize: ({ capabilities }) => {
    takesDocumentStatus = capabilities.experimental.phiLs.documentStatus;
    return {
      capabilities: {
        codeActionProvider: true,
        executeCommandProvider: { commands: [COMMAND] },
        inlineCompletionProvider: true,
        notebookDocumentSync: { notebookSelector: [{ notebook: "*" }] },
        textDocumentSync: 2,
      },
    };
  },
  "textDocument/codeAction": ({ textDocument: { uri } }) =>
    [...Object.keys(edits), ...Object.keys(answers)].filter((title) => !title.startsWith("Edit:")).map((title) => offer(title, uri)),
  "textDocument/inlineCompletion": ({ textDocument: { uri }, position }) => {
    const insertText = completion(uri, position);
    return { items: insertText === undefined ? [] : [{ insertText, range: { start: position, end: position } }] };
  },
  "workspace/executeCommand": ({ arguments: [{ title, uri }] }) => {
    send({ id: title, method: "workspace/applyEdit", params: { label: title, edit: edits[title](uri) } });
    return null;
  },
};

const notifications = {
  "$/cancelRequest": cancel,
  exit: () => process.exit(0),
  "textDocument/didChange": ({ textDocument: { uri, version } }) => versions.set(uri, version),
  "textDocument/didOpen": ({ textDocument: { uri, text } }) => {
    if (/\/status-[^/]*\.json$/.test(uri)) {
      send({ method: "phi-ls/status", params: JSON.parse(text) });
    }
    if (takesDocumentStatus) {
      const reason = uri.endsWith("/refused.py") ? "the file is not to be read" : null;
      send({ method: "phi-ls/documentStatus", params: { uri, reason } });
    }
  },
};

read(process.stdin, (message) => {
  record("client", message);
  const { id, method, params } = message;
  if (id === undefined) {
    notifications[method]?.(params);
  } else if (method === "workspace/executeCommand" && params.arguments[0].title in answers) {
    answer(id, params.arguments[0].title, params.arguments[0].uri);
  } else if (method !== undefined) {
    send({ id, result: requests[method]?.(params) ?? null });
  }
});
