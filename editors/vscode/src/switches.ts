// Whether completions are on: for all documents, for a language, for a document, and for how long not.

import * as vscode from "vscode";
import { documentKey } from "./documents";

const EDITOR_SETTING = "editor.inlineSuggest.enabled";
const SNOOZES = [5, 15, 60];
const MINUTE_MS = 60_000;

/** Why nothing is completed, for a person. */
export interface Off {
  reason: string;
  /** It ends by itself. */
  snoozed?: boolean;
}

export class Switches implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  /** Documents without completions, until they are closed. */
  private readonly documents = new Set<string>();
  private snooze: { until: Date; timer: NodeJS.Timeout } | undefined;
  private readonly disposables: vscode.Disposable[];

  /** Fires when a switch has changed that is no setting. */
  readonly onDidChange = this.changed.event;

  constructor() {
    this.disposables = [
      this.changed,
      vscode.workspace.onDidCloseTextDocument((document) => this.forget(documentKey(document))),
      vscode.commands.registerCommand("phi-ls.toggle", () => this.toggle()),
      vscode.commands.registerCommand("phi-ls.toggleLanguage", () => this.toggleLanguage()),
      vscode.commands.registerCommand("phi-ls.toggleDocument", () => this.toggleDocument()),
      vscode.commands.registerCommand("phi-ls.snooze", () => this.chooseSnooze()),
    ];
  }

  /** Why no document has completions; nothing if one may have some. */
  off(): Off | undefined {
    if (this.snooze !== undefined) {
      const until = this.snooze.until.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      return { reason: `completions are snoozed until ${until}`, snoozed: true };
    }
    if (!vscode.workspace.getConfiguration("phi-ls").get("completion.enabled", true)) {
      return { reason: "completions are off: `phi-ls.completion.enabled` is false" };
    }
    if (!inlineSuggests() && !overridingLanguages().some(inlineSuggests)) {
      return { reason: `completions are off: \`${EDITOR_SETTING}\` is false` };
    }
    return undefined;
  }

  /** Why `document` has no completions; nothing if it may have some. */
  offFor(document: vscode.TextDocument): Off | undefined {
    const off = this.off();
    const language = document.languageId;
    if (off !== undefined) {
      return off;
    }
    if (languages()[language] === false) {
      return { reason: `completions are off for ${language} in \`phi-ls.completion.languages\`` };
    }
    if (!inlineSuggests(language)) {
      return { reason: `completions are off: \`${EDITOR_SETTING}\` is false for ${language}` };
    }
    if (this.isOff(document)) {
      return { reason: "completions are off for this document" };
    }
    return undefined;
  }

  /** Whether completions are snoozed: off for a time. */
  isSnoozed(): boolean {
    return this.snooze !== undefined;
  }

  /** Whether a person has turned completions off for documents of `language`. */
  isOffForLanguage(language: string): boolean {
    return languages()[language] === false;
  }

  /** Whether completions are off for this document, whatever holds for others. */
  isOff(document: vscode.TextDocument): boolean {
    return this.documents.has(documentKey(document));
  }

  /** What the server is told beside the settings: with dotted keys without `phi-ls.`, where nothing is to be computed. */
  settings(): Record<string, unknown> {
    if (this.off() !== undefined) {
      return { "completion.enabled": false };
    }
    const open = vscode.workspace.textDocuments.map(({ languageId }) => languageId);
    const off = [...new Set([...open, ...overridingLanguages()])].filter((language) => !inlineSuggests(language));
    return Object.fromEntries(off.sort().map((language) => [`completion.languages.${language}`, false]));
  }

  dispose(): void {
    clearTimeout(this.snooze?.timer);
    vscode.Disposable.from(...this.disposables).dispose();
  }

  private forget(key: string): void {
    // A notebook is closed with the last of its cells.
    if (!vscode.workspace.textDocuments.some((open) => documentKey(open) === key)) {
      this.documents.delete(key);
    }
  }

  private async toggle(): Promise<void> {
    if (this.snooze !== undefined) {
      return this.endSnooze();
    }
    const configuration = vscode.workspace.getConfiguration("phi-ls");
    const enabled = configuration.get<boolean>("completion.enabled", true);
    await configuration.update("completion.enabled", !enabled, target("phi-ls.completion.enabled"));
  }

  private async toggleLanguage(): Promise<void> {
    const language = vscode.window.activeTextEditor?.document.languageId;
    if (language === undefined) {
      return;
    }
    const key = "phi-ls.completion.languages";
    const at = target(key);
    const found = vscode.workspace.getConfiguration().inspect<Record<string, unknown>>(key);
    const there = at === vscode.ConfigurationTarget.Global ? found?.globalValue : found?.workspaceValue;
    const value = { ...there, [language]: languages()[language] === false };
    await vscode.workspace.getConfiguration().update(key, value, at);
  }

  private toggleDocument(): void {
    const document = vscode.window.activeTextEditor?.document;
    if (document !== undefined) {
      const key = documentKey(document);
      if (!this.documents.delete(key)) {
        this.documents.add(key);
      }
      this.changed.fire();
    }
  }

  private async chooseSnooze(): Promise<void> {
    const end = { label: "End Snooze", minutes: 0 };
    const lengths = SNOOZES.map((minutes) => ({ label: minutes === 60 ? "1 hour" : `${minutes} minutes`, minutes }));
    const choices = this.snooze === undefined ? lengths : [end, ...lengths];
    const choice = await vscode.window.showQuickPick(choices, { placeHolder: "No completions for" });
    if (choice === end) {
      this.endSnooze();
    } else if (choice !== undefined) {
      this.beginSnooze(choice.minutes * MINUTE_MS);
    }
  }

  private beginSnooze(lengthMs: number): void {
    clearTimeout(this.snooze?.timer);
    this.snooze = { until: new Date(Date.now() + lengthMs), timer: setTimeout(() => this.endSnooze(), lengthMs) };
    this.changed.fire();
  }

  private endSnooze(): void {
    clearTimeout(this.snooze?.timer);
    this.snooze = undefined;
    this.changed.fire();
  }
}

function languages(): Record<string, unknown> {
  return vscode.workspace.getConfiguration("phi-ls").get<Record<string, unknown>>("completion.languages", {});
}

/** Whether VS Code shows inline completions, in documents of `languageId`. */
function inlineSuggests(languageId?: string): boolean {
  const scope = languageId === undefined ? undefined : { languageId };
  return vscode.workspace.getConfiguration(undefined, scope).get<boolean>(EDITOR_SETTING, true);
}

/** The languages whose documents may differ in this. */
function overridingLanguages(): string[] {
  return vscode.workspace.getConfiguration().inspect(EDITOR_SETTING)?.languageIds ?? [];
}

/** Where a change of the setting `key` has an effect. */
export function target(key: string): vscode.ConfigurationTarget {
  const found = vscode.workspace.getConfiguration().inspect(key);
  return found?.workspaceValue === undefined ? vscode.ConfigurationTarget.Global : vscode.ConfigurationTarget.Workspace;
}
