// The walkthrough of the first start: an example to complete and to explain, and what ticks its steps off.

import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { askAtCursor } from "./ask";

const ACCEPTED_COMMAND = "phi-ls.accepted";

// How long VS Code may take to read the walkthrough when it is opened.
const READ_AFTER_MS = 1000;
// The walkthrough takes the focus back a moment after a click in it.
const TRY_AGAIN_MS = 500;
const MOST_TRIES = 20;

const EXAMPLE = `def mean(values):
    """The arithmetic mean of a list of numbers."""
    total = 0
    for value in values:
        total += value
    return total / len(values)


def largest(values):
    """The largest of a list of numbers."""
    `;

/**
 * What a step is about. VS Code ticks it off when the context key of that name becomes true, once it has read the walkthrough,
 * which is when that is first opened; a key that is true by then does nothing. So each is true for a moment only, and again a
 * while after the walkthrough may have been opened.
 */
type Step = "serverRuns" | "modelReady" | "accepted" | "explained";

export class Walkthrough implements vscode.Disposable {
  private example: vscode.TextDocument | undefined;
  /** A completion has been asked for in the example. */
  private isAsked = false;
  private readonly steps = new Set<Step>();
  private timer: NodeJS.Timeout | undefined;
  private readonly disposables: vscode.Disposable[];

  constructor(private readonly client: () => LanguageClient | undefined) {
    this.disposables = [
      vscode.commands.registerCommand("phi-ls.getStarted", () => {
        this.tickOffSoon();
        return vscode.commands.executeCommand("workbench.action.openWalkthrough", "phi-ls.phi-ls#start", false);
      }),
      vscode.window.tabGroups.onDidChangeTabs(({ opened, changed }) => {
        // The page of walkthroughs is of no kind that an extension knows.
        if ([...opened, ...changed].some(({ input }) => input === undefined)) {
          this.tickOffSoon();
        }
      }),
      vscode.commands.registerCommand("phi-ls.completeExample", () => this.complete()),
      vscode.commands.registerCommand("phi-ls.explainExample", () => this.explain()),
    ];
  }

  /** A person has got so far. */
  reached(step: Step): void {
    if (!this.steps.has(step)) {
      this.steps.add(step);
      this.tickOffSoon();
    }
  }

  /** Takes note of a document in which a completion is asked for. */
  asked(document: vscode.TextDocument): void {
    this.isAsked ||= document === this.example;
  }

  /** Takes note of a command of the server's. */
  note(command: string): void {
    if (command === ACCEPTED_COMMAND) {
      this.reached("accepted");
    }
  }

  dispose(): void {
    clearTimeout(this.timer);
    vscode.Disposable.from(...this.disposables).dispose();
  }

  /** Ticks off what has been reached, when VS Code has had the time to read what is about to be opened. */
  private tickOffSoon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.tickOff(), READ_AFTER_MS);
  }

  private async tickOff(): Promise<void> {
    for (const step of this.steps) {
      for (const value of [true, false]) {
        await vscode.commands.executeCommand("setContext", `phi-ls.${step}`, value);
      }
    }
  }

  /** Opens the example beside the walkthrough, with the cursor where something is missing, and asks for it. */
  private async complete(): Promise<void> {
    this.isAsked = false;
    for (let left = MOST_TRIES; left > 0 && !(this.isAsked && this.hasFocus()); left--) {
      const editor = await this.open();
      const end = editor.document.lineAt(editor.document.lineCount - 1).range.end;
      editor.selection = new vscode.Selection(end, end);
      await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
      await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS));
    }
  }

  private async explain(): Promise<void> {
    const editor = await this.open();
    editor.selection = new vscode.Selection(0, 0, 0, 0);
    await askAtCursor(this.client(), "explain", editor);
  }

  private hasFocus(): boolean {
    return vscode.window.activeTextEditor?.document === this.example;
  }

  private async open(): Promise<vscode.TextEditor> {
    const isOpen = this.example !== undefined && !this.example.isClosed;
    const document = isOpen && this.example ? this.example : await vscode.workspace.openTextDocument({ language: "python", content: EXAMPLE });
    this.example = document;
    const shown = vscode.window.visibleTextEditors.find((editor) => editor.document === document);
    return vscode.window.showTextDocument(document, shown?.viewColumn ?? vscode.ViewColumn.Beside);
  }
}
