// What editor and server have said to each other, and the texts of the documents as they follow from it.

import { existsSync, readFileSync } from "node:fs";

export class Record {
  messages = [];
  /** Texts by URI. */
  texts = new Map();
  versions = new Map();
  /** The newest completion request of each document that was answered: its version, its position, its items. */
  answered = new Map();
  #asked = new Map();
  #read = 0;

  /** Takes in what was said since. */
  update() {
    const text = existsSync(process.env.MESSAGES) ? readFileSync(process.env.MESSAGES, "utf8") : "";
    const whole = text.slice(this.#read, text.lastIndexOf("\n") + 1);
    this.#read += whole.length;
    for (const line of whole.split("\n").filter(Boolean)) {
      const entry = JSON.parse(line);
      this.messages.push(entry);
      this.#take(entry);
    }
    return this;
  }

  /** The parameters of all messages of `method`. */
  all(method) {
    return this.messages.filter(({ message }) => message.method === method).map(({ message }) => message.params);
  }

  /** How many completion requests of `uri` have no answer yet. */
  pending(uri) {
    return [...this.#asked.values()].filter((asked) => asked.uri === uri).length;
  }

  /** `text` with `by` in the place of `range`. */
  replaced(text, range, by) {
    return changed(text, { range, text: by });
  }

  /** The URI of an open document that ends like this. */
  uri(end) {
    return [...this.texts.keys()].find((uri) => uri.endsWith(end));
  }

  #take({ from, message: { id, method, params, result } }) {
    if (method === "initialize") {
      this.texts.clear();
      this.#asked.clear();
    } else if (method === "textDocument/didOpen") {
      const { uri, text, version } = params.textDocument;
      this.texts.set(uri, text);
      this.versions.set(uri, version);
    } else if (method === "textDocument/didChange") {
      const { uri, version } = params.textDocument;
      this.texts.set(uri, params.contentChanges.reduce(changed, this.texts.get(uri)));
      this.versions.set(uri, version);
    } else if (method === "textDocument/didClose") {
      this.texts.delete(params.textDocument.uri);
    } else if (method === "textDocument/inlineCompletion") {
      const { uri } = params.textDocument;
      this.#asked.set(id, { uri, version: this.versions.get(uri), position: params.position });
    } else if (from === "server" && this.#asked.has(id)) {
      const asked = this.#asked.get(id);
      this.#asked.delete(id);
      this.answered.set(asked.uri, { ...asked, items: result?.items ?? [] });
    }
  }
}

function changed(text, { range, text: by }) {
  return text.slice(0, offset(text, range.start)) + by + text.slice(offset(text, range.end));
}

/** Where `position` is in `text`, in UTF-16 units. */
function offset(text, { line, character }) {
  let start = 0;
  for (let left = line; left > 0; left--) {
    start = text.indexOf("\n", start) + 1;
  }
  return start + character;
}
