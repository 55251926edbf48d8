// The item in the status bar: what the server says it is doing, and why the document at hand has no completions.

import * as vscode from "vscode";
import type { Switches } from "./switches";

/** The parameters of the server's `phi-ls/status` notification. */
export interface StatusParams {
  state: "loading" | "ready" | "busy" | "error";
  /** A sentence for a person. */
  message: string;
  model?: string;
  /** While loading: how much is done, 0 to 1. */
  fraction?: number;
  /** Where the model is in a process that other windows use, too. */
  sharing?: { processId: number; clients: number };
}

/** The parameters of the server's `phi-ls/documentStatus` notification. */
export interface DocumentStatusParams {
  uri: string;
  /** Why the document has no completions; null if it may have some. */
  reason: string | null;
}

const ICONS = { loading: "$(loading~spin) ", ready: "", busy: "", error: "$(error) " } as const;

export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("phi-ls.status", vscode.StatusBarAlignment.Right, 100);
  /** Why documents have no completions, as the server says, by their URIs. */
  private readonly reasons = new Map<string, string>();
  private readonly disposables: vscode.Disposable[];
  /** What the server is doing. */
  shown: StatusParams | undefined;

  constructor(private readonly switches: Switches) {
    this.item.name = "phi-ls";
    this.item.command = "phi-ls.menu";
    this.item.show();
    this.disposables = [
      this.item,
      vscode.window.onDidChangeActiveTextEditor(() => this.draw()),
      // Its language may have changed.
      vscode.workspace.onDidOpenTextDocument(() => this.draw()),
      vscode.workspace.onDidCloseTextDocument(({ uri }) => this.reasons.delete(uri.toString())),
      vscode.workspace.onDidChangeConfiguration(() => this.draw()),
      switches.onDidChange(() => this.draw()),
    ];
  }

  show(params: StatusParams): void {
    this.shown = params;
    this.draw();
  }

  /** Keeps why a document has no completions. */
  showDocument({ uri, reason }: DocumentStatusParams): void {
    const key = vscode.Uri.parse(uri).toString();
    if (reason === null) {
      this.reasons.delete(key);
    } else {
      this.reasons.set(key, reason);
    }
    this.draw();
  }

  /** The server that gave the reasons has ended. */
  forgetDocuments(): void {
    this.reasons.clear();
    this.draw();
  }

  dispose(): void {
    vscode.Disposable.from(...this.disposables).dispose();
  }

  private draw(): void {
    const { state, message, model, fraction, sharing } = this.shown ?? { state: "ready", message: "not started" };
    const document = vscode.window.activeTextEditor?.document;
    const off = document === undefined ? this.switches.off() : this.switches.offFor(document);
    const reason = off?.reason ?? this.reasons.get(document?.uri.toString() ?? "");
    const percent = fraction === undefined ? "" : ` ${Math.floor(100 * fraction)}%`;
    const without = reason === undefined ? "" : off?.snoozed ? "$(bell-slash) " : "$(circle-slash) ";
    this.item.text = `${ICONS[state] || without}phi-ls${percent}`;
    // A plain string: what the server says is text, never Markdown.
    const shared = sharing && `engine process ${sharing.processId}, used by ${windows(sharing.clients)}`;
    this.item.tooltip = [reason, model ? `${model}: ${message}` : message, shared].filter(Boolean).join("\n");
    this.item.backgroundColor = state === "error" ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
  }
}

function windows(count: number): string {
  return count === 1 ? "this window" : `${count} windows`;
}
