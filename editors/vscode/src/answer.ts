// Answers of the assistant: a panel beside the editor with Markdown that grows while the model writes. It runs no scripts
// and loads nothing.

import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import { ExecuteCommandRequest, type LanguageClient, type Middleware, type StaticFeature } from "vscode-languageclient/node";

/** The parameters of the server's `phi-ls/answer` notification. */
export interface AnswerParams {
  /** The same in all messages of one answer. */
  id: number;
  uri: string;
  title: string;
  model: string;
  /** Markdown that follows what came before. */
  delta: string;
  done: boolean;
  /** At the end: the whole text. Where it differs from the pieces, it is right and they are not. */
  text?: string;
  /** At the end: why there is no answer, or why it was not applied. */
  reason?: string;
  timings?: { totalMs: number };
}

const ASK_COMMAND = "phi-ls.ask";
// Without scripts the panel is loaded anew for every piece. One that comes before the last is loaded takes its place, so
// that nothing would be seen before the end.
const LOADING_MS = 300;

/** Tells the server that answers are shown here as they are written. */
export const answersFeature: StaticFeature = {
  fillClientCapabilities(capabilities) {
    capabilities.experimental = { ...(capabilities.experimental as object | undefined), phiLs: { answers: true } };
  },
  initialize() {},
  getState: () => ({ kind: "static" }),
  clear() {},
};

interface Answer {
  id: number;
  title: string;
  uri: string;
  text: string;
  /** What stands below the text. */
  note: string;
  done: boolean;
}

/** A question the server has not answered yet. */
interface Question {
  title: string;
  uri: string;
  cancel: vscode.CancellationTokenSource;
}

export class AnswerPanel implements vscode.Disposable {
  private panel: vscode.WebviewPanel | undefined;
  /** What the panel shows. */
  private shown: Answer | undefined;
  private readonly growing = new Map<number, Answer>();
  private readonly closed = new Set<number>();
  private readonly questions = new Set<Question>();
  private rendering = false;
  private stale = false;

  /** Asks by requests that can be cancelled. */
  middleware(client: () => LanguageClient | undefined): NonNullable<Middleware["executeCommand"]> {
    return async (command, args, next) => {
      const asked = client();
      if (command !== ASK_COMMAND || asked === undefined) {
        return next(command, args);
      }
      const { title, uri } = (args[0] ?? {}) as { title: string; uri: string };
      const question = { title, uri, cancel: new vscode.CancellationTokenSource() };
      this.questions.add(question);
      try {
        return await asked.sendRequest(ExecuteCommandRequest.type, { command, arguments: args }, question.cancel.token);
      } catch (error) {
        if (!question.cancel.token.isCancellationRequested) {
          return asked.handleFailedRequest(ExecuteCommandRequest.type, undefined, error, undefined);
        }
      } finally {
        this.questions.delete(question);
        question.cancel.dispose();
      }
    };
  }

  /** Handles `phi-ls/answer`. */
  receive(params: AnswerParams): void {
    const { id, title, uri } = params;
    const answer = this.growing.get(id) ?? { id, title, uri, text: "", note: "", done: false };
    answer.text = params.text ?? answer.text + params.delta;
    answer.done = params.done;
    answer.note = params.done ? note(params) : "writing \u2026";
    this.growing.set(id, answer);
    // An edit has nothing to read unless it was not applied.
    if (answer.text !== "" && !this.closed.has(id)) {
      this.show(answer);
    }
    if (params.done) {
      this.growing.delete(id);
      this.closed.delete(id);
    }
  }

  /** Forgets what a server that is gone was writing. */
  reset(): void {
    if (this.shown && !this.shown.done) {
      this.shown.done = true;
      this.shown.note = "the server ended before the answer did";
      void this.render();
    }
    this.growing.clear();
    this.closed.clear();
  }

  dispose(): void {
    this.panel?.dispose();
  }

  private show(answer: Answer): void {
    // The newest question has the panel.
    if (this.panel && this.shown && this.shown.id > answer.id && !this.shown.done) {
      return;
    }
    this.shown = answer;
    if (this.panel === undefined) {
      const where = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
      const options = { enableScripts: false, enableCommandUris: false, localResourceRoots: [] };
      this.panel = vscode.window.createWebviewPanel("phi-ls.answer", answer.title, where, options);
      this.panel.onDidDispose(() => this.onClosed());
    }
    void this.render();
  }

  private onClosed(): void {
    const answer = this.shown;
    this.panel = this.shown = undefined;
    if (answer === undefined || answer.done) {
      return;
    }
    this.closed.add(answer.id);
    for (const question of this.questions) {
      if (question.title === answer.title && question.uri === answer.uri) {
        question.cancel.cancel();
      }
    }
  }

  /** Puts what is to be shown into the panel. Pieces that arrive meanwhile are shown together, by the same call. */
  private async render(): Promise<void> {
    this.stale = true;
    if (this.rendering) {
      return;
    }
    this.rendering = true;
    while (this.stale && this.shown) {
      this.stale = false;
      const { title, text, note } = this.shown;
      const body = await markdown(text);
      if (this.panel) {
        this.panel.title = title;
        this.panel.webview.html = html(title, body, note);
      }
      await new Promise((resolve) => setTimeout(resolve, LOADING_MS));
    }
    this.rendering = false;
  }
}

function note({ model, reason, timings }: AnswerParams): string {
  const time = timings && `${(timings.totalMs / 1000).toFixed(1)} s`;
  return [reason, model, time].filter(Boolean).join(" \u00b7 ");
}

/** By VS Code's own Markdown; as plain text where that is turned off. */
async function markdown(text: string): Promise<string> {
  try {
    return await vscode.commands.executeCommand<string>("markdown.api.render", text);
  } catch {
    return `<pre>${escaped(text)}</pre>`;
  }
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function html(title: string, body: string, note: string): string {
  const nonce = randomBytes(16).toString("base64");
  return `<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'nonce-${nonce}'">
<title>${escaped(title)}</title>
<style nonce="${nonce}">
body { font-family: var(--vscode-font-family); font-size: var(--vscode-font-size); line-height: 1.5; padding: 0.5em 1.5em; }
pre { background: var(--vscode-textCodeBlock-background); padding: 0.7em; white-space: pre-wrap; }
code { font-family: var(--vscode-editor-font-family); }
footer { color: var(--vscode-descriptionForeground); margin-top: 1.5em; }
</style>
</head>
<body>
<main>${body}</main>
<footer>${escaped(note)}</footer>
</body>
</html>`;
}
