// The menu of the item in the status bar: what phi-ls is doing, and what a person can do about it.

import * as vscode from "vscode";
import type { StatusItem } from "./status";
import type { Switches } from "./switches";

interface Choice extends vscode.QuickPickItem {
  command?: string;
}

export async function showMenu(switches: Switches, status: StatusItem): Promise<void> {
  const choices: Choice[] = [
    heading("Completions"),
    ...ofCompletions(switches),
    heading("Model"),
    { label: "$(chip) Choose a Model", command: "phi-ls.chooseModel", description: status.shown?.model ?? "" },
    { label: "$(graph) Show Statistics", command: "phi-ls.showStatistics", description: "what became of the completions on this machine" },
    heading("Server"),
    { label: "$(pulse) Run the Doctor", command: "phi-ls.doctor", description: "checks the machine, the models and the settings" },
    { label: "$(output) Show Log", command: "phi-ls.showLog" },
    { label: "$(debug-restart) Restart Server", command: "phi-ls.restart" },
    heading("Help"),
    { label: "$(gear) Open Settings", command: "phi-ls.openSettings" },
    { label: "$(book) Get Started", command: "phi-ls.getStarted" },
  ];
  const choice = await vscode.window.showQuickPick(choices, { title: "phi-ls", placeHolder: status.sentence(), matchOnDescription: true });
  if (choice?.command !== undefined) {
    await vscode.commands.executeCommand(choice.command);
  }
}

function heading(label: string): Choice {
  return { label, kind: vscode.QuickPickItemKind.Separator };
}

/** The switches, each with what it would do now. */
function ofCompletions(switches: Switches): Choice[] {
  const document = vscode.window.activeTextEditor?.document;
  const turn = (isOff: boolean, what: string, command: string) => ({
    label: `${isOff ? "$(check) Turn Completions On" : "$(circle-slash) Turn Completions Off"}${what}`,
    command,
  });
  const isOff = switches.isSnoozed() || !vscode.workspace.getConfiguration("phi-ls").get("completion.enabled", true);
  const ofDocument = (document: vscode.TextDocument) => [
    turn(switches.isOffForLanguage(document.languageId), ` for ${document.languageId}`, "phi-ls.toggleLanguage"),
    turn(switches.isOff(document), " for This Document", "phi-ls.toggleDocument"),
  ];
  return [
    turn(isOff, "", "phi-ls.toggle"),
    ...(document === undefined ? [] : ofDocument(document)),
    { label: "$(bell-slash) Snooze Completions", command: "phi-ls.snooze" },
  ];
}
