// What is asked of the assistant by a command of its own, beside the menu of code actions: the same as there, an edit in a
// person's own words, and the message of a commit.

import * as vscode from "vscode";
import { ExecuteCommandRequest, type LanguageClient } from "vscode-languageclient/node";

const ASK_COMMAND = "phi-ls.ask";
const COMMIT_COMMAND = "phi-ls.commitMessage";
// Characters of an instruction that are shown as a title.
const TITLE_CHARACTERS = 60;

/** As much of a repository of VS Code's own Git extension as is needed here. */
interface Repository {
  readonly rootUri: vscode.Uri;
  readonly inputBox: { value: string };
}

interface GitExtension {
  getAPI(version: 1): { readonly repositories: Repository[] };
}

/** What can be asked by a command, each with the actions of the server that do it, the first one that is offered. */
const QUESTIONS = {
  explain: ["explainCode", "explainProblem"],
  fix: ["fixProblem"],
  refactor: ["refactor"],
  document: ["document"],
  writeTests: ["writeTests"],
} as const;

/** Asks about the selection, or what is around the cursor, as the menu of code actions does. */
export async function askAtCursor(
  client: LanguageClient | undefined,
  question: keyof typeof QUESTIONS,
  editor = vscode.window.activeTextEditor,
): Promise<void> {
  if (client === undefined || editor === undefined) {
    void vscode.window.showWarningMessage(`phi-ls: ${editor ? "no server runs" : "there is no editor to ask in"}.`);
    return;
  }
  const { document, selection } = editor;
  const offered = await vscode.commands.executeCommand<vscode.CodeAction[]>("vscode.executeCodeActionProvider", document.uri, selection);
  const own = offered.filter(({ command }) => command?.command === ASK_COMMAND);
  const does = (action: string) => own.find(({ command }) => (command?.arguments?.[0] as { action?: string } | undefined)?.action === action);
  const chosen = QUESTIONS[question].map(does).find((action) => action !== undefined);
  if (chosen?.command === undefined) {
    const nothing = question === "fix" ? "there is no problem at the cursor to fix" : "there is no code at the cursor to ask about";
    void vscode.window.showInformationMessage(`phi-ls: ${nothing}.`);
    return;
  }
  await vscode.commands.executeCommand(chosen.command.command, ...(chosen.command.arguments ?? []));
}

/** Asks for an edit of the selection, or of the item around the cursor. */
export async function editWithInstruction(client: LanguageClient | undefined): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  if (client === undefined || editor === undefined) {
    void vscode.window.showWarningMessage(`phi-ls: ${editor ? "no server is running" : "no editor is open"}.`);
    return;
  }
  const { document, selection } = editor;
  const words = await vscode.window.showInputBox({
    title: selection.isEmpty ? "Edit the Code around the Cursor" : "Edit the Selection",
    placeHolder: "What to change, in your own words",
  });
  const instruction = words?.trim() ?? "";
  if (instruction === "") {
    return;
  }
  const short = instruction.slice(0, TITLE_CHARACTERS);
  const question = {
    uri: client.code2ProtocolConverter.asUri(document.uri),
    version: document.version,
    action: "refactor",
    title: `Edit: ${short}${short === instruction ? "" : "\u2026"}`,
    range: client.code2ProtocolConverter.asRange(selection),
    exact: !selection.isEmpty,
    instruction,
  };
  await vscode.commands.executeCommand(ASK_COMMAND, question);
}

/** Writes the message of a commit into the box of the repository whose button was pressed, or of the only one. */
export async function writeCommitMessage(
  client: LanguageClient | undefined,
  pressed: vscode.SourceControl | undefined,
): Promise<void> {
  const repository = await chosenRepository(pressed);
  if (client === undefined || repository === undefined) {
    void vscode.window.showWarningMessage(`phi-ls: ${repository ? "no server is running" : "no Git repository is open"}.`);
    return;
  }
  const params = {
    command: COMMIT_COMMAND,
    arguments: [{ uri: client.code2ProtocolConverter.asUri(repository.rootUri) }],
  };
  const options = { location: vscode.ProgressLocation.SourceControl, title: "phi-ls: commit message" };
  await vscode.window.withProgress(options, async () => {
    try {
      // The server itself says why there is none.
      const result = (await client.sendRequest(ExecuteCommandRequest.type, params)) as { text?: string } | null;
      if (result?.text) {
        repository.inputBox.value = result.text;
      }
    } catch (error) {
      void vscode.window.showErrorMessage(`phi-ls: ${error instanceof Error ? error.message : String(error)}`);
    }
  });
}

async function openRepositories(): Promise<Repository[]> {
  const git = await vscode.extensions.getExtension<GitExtension>("vscode.git")?.activate();
  try {
    return git?.getAPI(1).repositories ?? [];
  } catch {
    // VS Code's setting `git.enabled` is off.
    return [];
  }
}

async function chosenRepository(pressed: vscode.SourceControl | undefined): Promise<Repository | undefined> {
  const repositories = await openRepositories();
  const root = pressed?.rootUri?.toString();
  const found = repositories.find(({ rootUri }) => rootUri.toString() === root);
  if (found !== undefined || repositories.length < 2) {
    return found ?? repositories[0];
  }
  const choices = repositories.map((repository) => ({ label: repository.rootUri.fsPath, repository }));
  return (await vscode.window.showQuickPick(choices, { placeHolder: "Which repository is the commit for?" }))?.repository;
}
