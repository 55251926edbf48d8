// What the server's program says in a table or a list, as a document to read: its statistics, and what the doctor finds.

import { execFile } from "node:child_process";
import * as vscode from "vscode";

/** The scheme of these documents; there is nothing to save of them. */
const SCHEME = "phi-ls-report";

/** The doctor may look at large files on a slow disk. */
const LONGEST_MS = 60_000;

export class Reports implements vscode.Disposable, vscode.TextDocumentContentProvider {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  /** The newest, by their documents. */
  private readonly texts = new Map<string, string>();
  private readonly registration = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);

  readonly onDidChange = this.changed.event;

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.texts.get(uri.toString()) ?? "";
  }

  /** Runs the command `name` of the program at `server`, and opens what it says as a document called `title`. */
  async show(server: string | undefined, name: string, title: string): Promise<void> {
    if (server === undefined) {
      void vscode.window.showErrorMessage("phi-ls: found no program phi-ls to ask. Run \u201cphi-ls: Download Server\u201d, or set phi-ls.serverPath.");
      return;
    }
    const uri = vscode.Uri.from({ scheme: SCHEME, path: `/phi-ls ${title}` });
    const options = { location: vscode.ProgressLocation.Window, title: `phi-ls ${name}` };
    this.texts.set(uri.toString(), await vscode.window.withProgress(options, () => output(server, name)));
    this.changed.fire(uri);
    await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(uri), { preview: true });
  }

  dispose(): void {
    vscode.Disposable.from(this.registration, this.changed).dispose();
  }
}

/** All that the program says; what it has against something is what a person wants to read. */
function output(server: string, name: string): Promise<string> {
  return new Promise((resolve) => {
    const done = (error: Error | null, stdout: string, stderr: string) => resolve(stdout || stderr || String(error));
    execFile(server, [name], { timeout: LONGEST_MS }, done).stdin?.end();
  });
}
