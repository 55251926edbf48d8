// Edits of the assistant: each is shown in the diff editor and applied when a person says so. Edits the server wants
// confirmed (large ones) go to VS Code's own preview instead.

import * as vscode from "vscode";
import type {
  ApplyWorkspaceEditParams,
  ApplyWorkspaceEditResult,
  CreateFile,
  LanguageClient,
  Middleware,
  TextDocumentEdit,
  TextEdit,
  WorkspaceEdit,
} from "vscode-languageclient/node";

type HandleApplyEdit = NonNullable<NonNullable<Middleware["workspace"]>["handleApplyEdit"]>;

/** The scheme of documents that show what a file would be. */
const SCHEME = "phi-ls-change";
// What the server is told when a person does not want the edit.
const DISCARDED = "discarded";
const CHANGED = "the file has changed in the meantime; ask again";

/** An edit of one file, in UTF-16 units of its text. */
interface Replacement {
  start: number;
  end: number;
  text: string;
}

/** What an edit makes of one file. */
interface Change {
  uri: vscode.Uri;
  /** The file does not exist yet. */
  creates: boolean;
  old: string;
  replacements: Replacement[];
}

/** A change that is shown. */
interface Shown {
  change: Change;
  decide(wanted: boolean): void;
}

export class EditReview implements vscode.Disposable, vscode.TextDocumentContentProvider {
  /** By the document that shows what the file would be. */
  private readonly shown = new Map<string, Shown>();
  private count = 0;
  private readonly disposables: vscode.Disposable[];

  constructor(private readonly client: () => LanguageClient | undefined) {
    this.disposables = [
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      vscode.window.tabGroups.onDidChangeTabs(({ closed }) => closed.forEach((tab) => this.decide(modified(tab), false))),
      vscode.commands.registerCommand("phi-ls.applyChange", () => this.decide(activeChange(), true)),
      // By its key. A button shows the key of its command, and there is no room for that.
      vscode.commands.registerCommand("phi-ls.applyChangeByKey", () => this.decide(activeChange(), true)),
      vscode.commands.registerCommand("phi-ls.discardChange", () => this.decide(activeChange(), false)),
    ];
  }

  /** Handles `workspace/applyEdit`. */
  readonly handleApplyEdit: HandleApplyEdit = async (params, next) => {
    const wanted = vscode.workspace.getConfiguration("phi-ls").get<boolean>("confirmEdits", true);
    const parts = wanted && !needsConfirmation(params.edit) ? onlyFile(params.edit) : undefined;
    return parts === undefined ? next(params, new vscode.CancellationTokenSource().token) : this.review(params, parts);
  };

  provideTextDocumentContent(uri: vscode.Uri): string {
    const change = this.shown.get(uri.with({ fragment: "" }).toString())?.change;
    return change === undefined ? "" : uri.fragment === "old" ? change.old : edited(change.old, change.replacements, 0);
  }

  dispose(): void {
    for (const { decide } of this.shown.values()) {
      decide(false);
    }
    vscode.Disposable.from(...this.disposables).dispose();
  }

  private decide(uri: vscode.Uri | undefined, wanted: boolean): void {
    this.shown.get(uri?.toString() ?? "")?.decide(wanted);
  }

  private async review({ label }: ApplyWorkspaceEditParams, parts: FileEdit): Promise<ApplyWorkspaceEditResult> {
    const change = await this.changeOf(parts);
    if (typeof change === "string") {
      return { applied: false, failureReason: change };
    }
    // The name says which language it is.
    const proposed = vscode.Uri.from({ scheme: SCHEME, path: change.uri.path, query: String(++this.count) });
    const decided = new Promise<boolean>((decide) => this.shown.set(proposed.toString(), { change, decide }));
    const current = change.creates ? proposed.with({ fragment: "old" }) : change.uri;
    await vscode.commands.executeCommand("vscode.diff", current, proposed, label ?? "Change");
    const wanted = await decided;
    this.shown.delete(proposed.toString());
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs);
    await vscode.window.tabGroups.close(tabs.filter((tab) => modified(tab)?.toString() === proposed.toString()));
    return wanted ? apply(change) : { applied: false, failureReason: DISCARDED };
  }

  /** What the edit makes of its file, or why it makes nothing of it. */
  private async changeOf({ create, edit }: FileEdit): Promise<Change | string> {
    const converter = this.client()?.protocol2CodeConverter;
    if (converter === undefined) {
      return "the server has ended";
    }
    const uri = converter.asUri(edit.textDocument.uri);
    if (create !== undefined) {
      const text = edit.edits.map((one) => (one as TextEdit).newText).join("");
      const replacements = [{ start: 0, end: 0, text }];
      return (await exists(uri)) ? "the new file already exists" : { uri, creates: true, old: "", replacements };
    }
    const document = await vscode.workspace.openTextDocument(uri);
    const edits = await converter.asTextEdits(edit.edits as TextEdit[]);
    // From here to the end nothing is waited for: the document stays as it is.
    if (edit.textDocument.version !== null && edit.textDocument.version !== document.version) {
      return CHANGED;
    }
    const replacements = edits.map(({ range, newText }) => ({
      start: document.offsetAt(range.start),
      end: document.offsetAt(range.end),
      text: newText.replace(/\r?\n/g, document.eol === vscode.EndOfLine.CRLF ? "\r\n" : "\n"),
    }));
    return { uri, creates: false, old: document.getText(), replacements };
  }
}

interface FileEdit {
  create: CreateFile | undefined;
  edit: TextDocumentEdit;
}

/** The edit of the only file that `edit` is about, with its creation; nothing where it is about more. */
function onlyFile({ documentChanges }: WorkspaceEdit): FileEdit | undefined {
  const [first, second, third] = documentChanges ?? [];
  if (first !== undefined && "edits" in first && second === undefined) {
    return { create: undefined, edit: first };
  }
  if (first === undefined || !("kind" in first) || first.kind !== "create" || third !== undefined) {
    return undefined;
  }
  return second !== undefined && "edits" in second && second.textDocument.uri === first.uri
    ? { create: first, edit: second }
    : undefined;
}

function needsConfirmation({ changeAnnotations }: WorkspaceEdit): boolean {
  return Object.values(changeAnnotations ?? {}).some((annotation) => annotation.needsConfirmation);
}

/** What the tab shows on the right, if it is a diff of ours. */
function modified(tab: vscode.Tab | undefined): vscode.Uri | undefined {
  const input = tab?.input;
  return input instanceof vscode.TabInputTextDiff && input.modified.scheme === SCHEME ? input.modified : undefined;
}

function activeChange(): vscode.Uri | undefined {
  return modified(vscode.window.tabGroups.activeTabGroup.activeTab);
}

async function exists(uri: vscode.Uri): Promise<boolean> {
  return vscode.workspace.fs.stat(uri).then(
    () => true,
    () => false,
  );
}

/** `old` with all `replacements` moved by `offset`. */
function edited(old: string, replacements: Replacement[], offset: number): string {
  const order = replacements.map((one, index) => ({ ...one, index }));
  // From the end, so that what is still to be replaced stays in its place.
  order.sort((a, b) => b.start - a.start || b.index - a.index);
  return order.reduce((text, { start, end, text: by }) => text.slice(0, start + offset) + by + text.slice(end + offset), old);
}

/** How far the replaced text has moved in a document that was edited above or below it; nothing if it was edited itself. */
function moved({ old, replacements }: Change, now: string): number | undefined {
  const shorter = Math.min(old.length, now.length);
  let [before, after] = [0, 0];
  while (before < shorter && old[before] === now[before]) {
    before++;
  }
  while (after < shorter - before && old[old.length - 1 - after] === now[now.length - 1 - after]) {
    after++;
  }
  const first = Math.min(...replacements.map(({ start }) => start));
  const last = Math.max(...replacements.map(({ end }) => end));
  return last <= before ? 0 : first >= old.length - after ? now.length - old.length : undefined;
}

async function apply(change: Change): Promise<ApplyWorkspaceEditResult> {
  const edit = new vscode.WorkspaceEdit();
  if (change.creates) {
    edit.createFile(change.uri, { overwrite: false });
    edit.insert(change.uri, new vscode.Position(0, 0), edited("", change.replacements, 0));
  } else {
    const document = await vscode.workspace.openTextDocument(change.uri);
    const offset = moved(change, document.getText());
    if (offset === undefined) {
      return { applied: false, failureReason: CHANGED };
    }
    for (const { start, end, text } of change.replacements) {
      const range = new vscode.Range(document.positionAt(start + offset), document.positionAt(end + offset));
      edit.replace(change.uri, range, text);
    }
  }
  const applied = await vscode.workspace.applyEdit(edit);
  if (!applied) {
    return { applied, failureReason: "VS Code did not apply it" };
  }
  await vscode.window.showTextDocument(change.uri, { preview: false });
  return { applied };
}
