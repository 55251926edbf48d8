// The item in the status bar: what the server says it is doing.

import * as vscode from "vscode";

/** The parameters of the server's `phi-ls/status` notification. */
export interface StatusParams {
  state: "loading" | "ready" | "busy" | "error";
  /** A sentence for a person. */
  message: string;
  model?: string;
  /** While loading: how much is done, 0 to 1. */
  fraction?: number;
}

const ICONS = { loading: "$(loading~spin) ", ready: "", busy: "", error: "$(error) " } as const;

export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("phi-ls.status", vscode.StatusBarAlignment.Right, 100);
  /** What it shows. */
  shown: StatusParams | undefined;

  constructor() {
    this.item.name = "phi-ls";
    this.item.command = "phi-ls.showLog";
    this.item.show();
  }

  show(params: StatusParams): void {
    this.shown = params;
    const percent = params.fraction === undefined ? "" : ` ${Math.floor(100 * params.fraction)}%`;
    this.item.text = `${ICONS[params.state]}phi-ls${percent}`;
    // A plain string: what the server says is text, never Markdown.
    this.item.tooltip = params.model ? `${params.model}: ${params.message}` : params.message;
    this.item.backgroundColor =
      params.state === "error" ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
  }

  dispose(): void {
    this.item.dispose();
  }
}
