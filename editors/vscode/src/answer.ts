// Answers of the assistant: a panel beside the editor with Markdown that grows while the model writes, until a person stops
// it. What is asked about an answer is answered in the same panel, below it; code in it can be put where the cursor is.

import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import { ExecuteCommandRequest, type LanguageClient, type Middleware } from "vscode-languageclient/node";
import type { PageMessage, PageState } from "./page_protocol";

/** The parameters of the server's `phi-ls/answer` notification. */
export interface AnswerParams {
  /** The same in all messages of one answer. */
  id: number;
  /** The answer this one follows. */
  follows?: number;
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
const FOLLOW_UP_COMMAND = "phi-ls.followUp";

/** One question and its answer. */
interface Part {
  /** What the server calls the answer. */
  id?: number;
  /** Nothing for the one from the menu. */
  question?: string;
  text: string;
  /** The server has said all of it, and can be asked further about it. */
  isWhole?: boolean;
  /** A person has stopped it. */
  isStopped?: boolean;
}

/** What the panel shows. */
interface Conversation {
  title: string;
  uri: string;
  parts: Part[];
  /** What stands below the text. */
  note: string;
  writing: boolean;
  /** The server that could be asked further has ended. */
  orphaned: boolean;
  /** Nobody wants it any more. */
  closed: boolean;
}

/** A question the server has not answered yet. */
interface Question {
  title: string;
  uri: string;
  cancel: vscode.CancellationTokenSource;
}

export class AnswerPanel implements vscode.Disposable {
  private panel: vscode.WebviewPanel | undefined;
  /** The page inside the panel is loaded. */
  private ready = false;
  private shown: Conversation | undefined;
  /** By the ids of its answers: those that are written, or shown. */
  private readonly conversations = new Map<number, Conversation>();
  private readonly questions = new Set<Question>();
  private rendering = false;
  private stale = false;
  /** Where a person was last, beside the panel. */
  private editor = vscode.window.activeTextEditor;
  private readonly disposables = [
    vscode.window.onDidChangeActiveTextEditor((editor) => {
      this.editor = editor ?? this.editor;
    }),
  ];

  constructor(
    private readonly extension: vscode.Uri,
    private readonly client: () => LanguageClient | undefined,
    /** A person has an answer. */
    private readonly onAnswered: () => void,
  ) {}

  /** Asks by requests that can be cancelled. */
  readonly executeCommand: NonNullable<Middleware["executeCommand"]> = async (command, args, next) => {
    const client = this.client();
    if (command !== ASK_COMMAND || client === undefined) {
      return next(command, args);
    }
    const { title, uri } = (args[0] ?? {}) as { title: string; uri: string };
    try {
      return await this.request(client, command, args, title, uri);
    } catch (error) {
      return client.handleFailedRequest(ExecuteCommandRequest.type, undefined, error, undefined);
    }
  };

  /** Handles `phi-ls/answer`. */
  receive(params: AnswerParams): void {
    const conversation = this.conversationOf(params);
    const known = conversation.parts.find(({ id }) => id === params.id);
    const part = known ?? conversation.parts.find(({ id }) => id === undefined);
    if (part === undefined) {
      return;
    }
    part.id = params.id;
    // What was on its way when it was stopped is not shown.
    if (part.isStopped) {
      return;
    }
    part.text = params.text ?? part.text + params.delta;
    part.isWhole = params.done && params.reason === undefined;
    conversation.writing = !params.done;
    conversation.note = params.done ? note(params) : "writing \u2026";
    // An edit has nothing to read unless it was not applied.
    if (conversation === this.shown || (part.text !== "" && !conversation.closed)) {
      this.show(conversation);
    }
    if (part.isWhole && conversation === this.shown) {
      this.onAnswered();
    }
    if (params.done && conversation !== this.shown) {
      this.forget(conversation);
    }
  }

  /** Forgets what a server that is gone was writing, and what it could be asked about. */
  reset(): void {
    if (this.shown) {
      if (this.shown.writing) {
        this.shown.note = "the server ended before the answer was complete";
      }
      this.shown.writing = false;
      this.shown.orphaned = true;
      void this.render();
    }
    this.conversations.clear();
  }

  dispose(): void {
    this.panel?.dispose();
    vscode.Disposable.from(...this.disposables).dispose();
  }

  /** Sends a command that `cancel` may end. Nothing if it was ended. */
  private async request(client: LanguageClient, command: string, args: unknown[], title: string, uri: string) {
    const question = { title, uri, cancel: new vscode.CancellationTokenSource() };
    this.questions.add(question);
    try {
      const params = { command, arguments: args };
      return (await client.sendRequest(ExecuteCommandRequest.type, params, question.cancel.token)) as unknown;
    } catch (error) {
      if (!question.cancel.token.isCancellationRequested) {
        throw error;
      }
      return undefined;
    } finally {
      this.questions.delete(question);
      question.cancel.dispose();
    }
  }

  private conversationOf({ id, follows, uri, title }: AnswerParams): Conversation {
    const known = this.conversations.get(id) ?? (follows === undefined ? undefined : this.conversations.get(follows));
    const conversation = known ?? {
      title,
      uri,
      parts: [{ text: "" }],
      note: "",
      writing: true,
      orphaned: false,
      closed: false,
    };
    this.conversations.set(id, conversation);
    return conversation;
  }

  private forget(conversation: Conversation): void {
    for (const [id, known] of this.conversations) {
      if (known === conversation) {
        this.conversations.delete(id);
      }
    }
  }

  private show(conversation: Conversation): void {
    const old = this.shown;
    if (old !== undefined && old !== conversation) {
      // The newest question has the panel.
      if (old.writing && (old.parts[0]?.id ?? 0) > (conversation.parts[0]?.id ?? 0)) {
        return;
      }
      if (!old.writing) {
        this.forget(old);
      }
    }
    this.shown = conversation;
    this.panel ??= this.open(conversation.title);
    void this.render();
  }

  private open(title: string): vscode.WebviewPanel {
    const where = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    const resources = vscode.Uri.joinPath(this.extension, "out");
    const options = { enableScripts: true, enableForms: false, localResourceRoots: [resources] };
    const panel = vscode.window.createWebviewPanel("phi-ls.answer", title, where, options);
    this.ready = false;
    panel.onDidDispose(() => this.onClosed());
    panel.webview.onDidReceiveMessage((message: PageMessage) => this.onMessage(message));
    // Hidden, it is unloaded.
    panel.onDidChangeViewState(() => {
      this.ready &&= panel.visible;
    });
    const script = panel.webview.asWebviewUri(vscode.Uri.joinPath(resources, "page.js"));
    panel.webview.html = page(script.toString());
    return panel;
  }

  private onMessage(message: PageMessage): void {
    if ("ready" in message) {
      this.ready = true;
      void this.render();
    } else if ("question" in message) {
      void this.followUp(message.question);
    } else if ("stop" in message) {
      this.stop();
    } else if ("insert" in message) {
      void this.insert(message.insert);
    } else {
      const text = "copy" in message ? message.copy : (this.shown?.parts.at(-1)?.text ?? "");
      void vscode.env.clipboard.writeText(text);
      this.say("copied");
    }
  }

  /** Ends what is written for the panel; what there is of it stays. */
  private stop(): void {
    const conversation = this.shown;
    if (conversation?.writing) {
      conversation.writing = false;
      const part = conversation.parts.at(-1);
      if (part !== undefined) {
        part.isStopped = true;
      }
      this.say("stopped");
      this.cancel(conversation);
    }
  }

  /** Puts code of an answer where a person's cursor is. */
  private async insert(code: string): Promise<void> {
    const isThere = (editor: vscode.TextEditor | undefined) => editor !== undefined && vscode.window.visibleTextEditors.includes(editor);
    const uri = this.shown && vscode.Uri.parse(this.shown.uri);
    const known = isThere(this.editor) ? this.editor : undefined;
    const editor = known ?? (uri && (await vscode.window.showTextDocument(uri, { viewColumn: vscode.ViewColumn.One })));
    const done = await editor?.edit((edit) => edit.insert(editor.selection.active, code));
    if (editor !== undefined && done) {
      await vscode.window.showTextDocument(editor.document, editor.viewColumn);
    } else {
      this.say("the code was not inserted: the document cannot be changed");
    }
  }

  /** Shows `note` below the answer. */
  private say(note: string): void {
    if (this.shown) {
      this.shown.note = note;
      void this.render();
    }
  }

  private async followUp(question: string): Promise<void> {
    const [client, conversation] = [this.client(), this.shown];
    const about = conversation?.parts.filter(({ isWhole }) => isWhole).at(-1)?.id;
    if (client === undefined || conversation === undefined || about === undefined || !canAsk(conversation)) {
      return;
    }
    conversation.parts.push({ question, text: "" });
    conversation.writing = true;
    conversation.note = "writing \u2026";
    void this.render();
    const args = [{ answer: about, question }];
    let refused: string | undefined;
    try {
      const result = await this.request(client, FOLLOW_UP_COMMAND, args, question, conversation.uri);
      refused = (result as { reason?: string } | null | undefined)?.reason;
    } catch (error) {
      refused = error instanceof Error ? error.message : String(error);
    }
    // One that was refused has not been begun to be answered.
    if (refused !== undefined && conversation.writing) {
      conversation.writing = false;
      conversation.note = refused;
      void this.render();
    }
  }

  private onClosed(): void {
    const conversation = this.shown;
    this.panel = this.shown = undefined;
    this.ready = false;
    if (conversation === undefined) {
      return;
    }
    conversation.closed = true;
    if (conversation.writing) {
      this.cancel(conversation);
    } else {
      this.forget(conversation);
    }
  }

  /** Tells the server that nobody wants the last answer of `conversation`. */
  private cancel(conversation: Conversation): void {
    const title = conversation.parts.at(-1)?.question ?? conversation.title;
    for (const question of this.questions) {
      if (question.title === title && question.uri === conversation.uri) {
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
    while (this.stale && this.shown && this.ready) {
      this.stale = false;
      const { title, parts, note } = this.shown;
      const state: PageState = { parts: [], note, isWriting: this.shown.writing, canAsk: canAsk(this.shown) };
      for (const { question, text } of parts) {
        state.parts.push({ question, html: await markdown(text) });
      }
      if (this.panel) {
        this.panel.title = title;
        await this.panel.webview.postMessage(state);
      }
    }
    this.rendering = false;
  }
}

function canAsk({ writing, orphaned, parts }: Conversation): boolean {
  return !writing && !orphaned && parts.some(({ isWhole }) => isWhole);
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
    return `<pre>${text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`)}</pre>`;
  }
}

/** Runs one script, `script`, and loads nothing else from anywhere. */
function page(script: string): string {
  const nonce = randomBytes(16).toString("base64");
  const policy = `default-src 'none'; base-uri 'none'; form-action 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<style nonce="${nonce}">
body { font-family: var(--vscode-font-family); font-size: var(--vscode-font-size); line-height: 1.5; padding: 0.5em 1.5em; }
h2 { border-top: 1px solid var(--vscode-panel-border); font-size: 1.2em; margin-top: 1.5em; padding-top: 1em; }
pre {
  background: var(--vscode-textCodeBlock-background); border: 1px solid var(--vscode-contrastBorder, transparent); padding: 0.7em;
  white-space: pre-wrap;
}
code { font-family: var(--vscode-editor-font-family); }
pre code { background: none; color: var(--vscode-editor-foreground); padding: 0; }
footer { color: var(--vscode-descriptionForeground); margin: 1.5em 0; }
input {
  background: var(--vscode-input-background); border: 1px solid var(--vscode-input-border, transparent); box-sizing: border-box;
  color: var(--vscode-input-foreground); font: inherit; padding: 0.4em 0.6em; width: 100%;
}
input:focus, button:focus-visible { outline: 1px solid var(--vscode-focusBorder); outline-offset: 1px; }
input::placeholder { color: var(--vscode-input-placeholderForeground); }
button {
  background: var(--vscode-button-secondaryBackground); border: 1px solid var(--vscode-button-border, var(--vscode-contrastBorder, transparent));
  color: var(--vscode-button-secondaryForeground); cursor: pointer; font: inherit; padding: 0.2em 0.8em;
}
button:hover { background: var(--vscode-button-secondaryHoverBackground); }
.actions { display: flex; gap: 0.5em; margin: -0.5em 0 1em; }
[hidden] { display: none; }
</style>
</head>
<body>
<main aria-label="Answer" tabindex="0"></main>
<footer role="status"></footer>
<div class="actions" role="toolbar" aria-label="Answer">
<button type="button" id="stop" hidden>Stop</button>
<button type="button" id="copy" hidden>Copy Answer</button>
</div>
<input type="text" hidden placeholder="Ask further" aria-label="Ask further">
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>`;
}
