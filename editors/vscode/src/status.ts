// The item in the status bar: what the server says it is doing, and why the document at hand has no completions.

import * as vscode from "vscode";
import type { Off, Switches } from "./switches";

/** The parameters of the server's `phi-ls/status` notification. */
export interface StatusParams {
  state: "loading" | "ready" | "busy" | "error";
  /** A sentence for a person. */
  message: string;
  model?: string;
  /** While loading: how much is done, 0 to 1. */
  fraction?: number;
  /** How fast the model writes, once it has. */
  tokensPerSecond?: number;
  /** Where the model is in a process that other windows use, too. */
  sharing?: { processId: number; clients: number };
}

/** The parameters of the server's `phi-ls/documentStatus` notification. */
export interface DocumentStatusParams {
  uri: string;
  /** Why the document has no completions; null if it may have some. */
  reason: string | null;
}

/** What the item shows, in this order where several hold. All icons are of one width: the item stays where it is. */
const ICONS = {
  error: "$(error)",
  loading: "$(loading~spin)",
  snoozed: "$(bell-slash)",
  off: "$(circle-slash)",
  busy: "$(sync~spin)",
  ready: "$(check)",
} as const;

const NOT_STARTED: StatusParams = { state: "ready", message: "not started" };

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

  /** What is going on, in a sentence: why there are no completions, or what the server is doing. */
  sentence(): string {
    return this.reason() ?? this.doing();
  }

  private draw(): void {
    const { state, fraction, sharing } = this.shown ?? NOT_STARTED;
    const reason = this.reason();
    const off = this.off();
    const without = off?.snoozed ? "snoozed" : reason === undefined ? state : "off";
    const shows = state === "error" || state === "loading" ? state : without;
    const percent = fraction === undefined ? "" : ` ${Math.floor(100 * fraction)}%`;
    this.item.text = `${ICONS[shows]} phi-ls${percent}`;
    const shared = sharing && `engine process ${sharing.processId}, used by ${windows(sharing.clients)}`;
    const lines = [reason, this.doing(), shared].filter((line) => line !== undefined);
    // A plain string: what the server says is text, never Markdown.
    this.item.tooltip = lines.join("\n");
    // Icons say nothing to who hears the screen.
    this.item.accessibilityInformation = { label: [`phi-ls ${shows}${percent}`, ...lines].join(", "), role: "button" };
    this.item.backgroundColor = state === "error" ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
  }

  private off(): Off | undefined {
    const document = vscode.window.activeTextEditor?.document;
    return document === undefined ? this.switches.off() : this.switches.offFor(document);
  }

  /** Why the document at hand has no completions. */
  private reason(): string | undefined {
    return this.off()?.reason ?? this.reasons.get(vscode.window.activeTextEditor?.document.uri.toString() ?? "");
  }

  /** What the server is doing, with which model, and how fast that writes. */
  private doing(): string {
    const { message, model, tokensPerSecond } = this.shown ?? NOT_STARTED;
    const speed = tokensPerSecond === undefined ? "" : `, ${format(tokensPerSecond)} tokens/s`;
    return (model ? `${model}: ${message}` : message) + speed;
  }
}

function format(tokensPerSecond: number): string {
  return tokensPerSecond < 10 ? tokensPerSecond.toFixed(1) : Math.round(tokensPerSecond).toString();
}

function windows(count: number): string {
  return count === 1 ? "this window" : `${count} windows`;
}
