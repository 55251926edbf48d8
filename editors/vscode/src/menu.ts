// The menu of the item in the status bar.

import * as vscode from "vscode";
import type { Switches } from "./switches";

export async function showMenu(switches: Switches): Promise<void> {
  const document = vscode.window.activeTextEditor?.document;
  const off = document === undefined ? switches.off() : switches.offFor(document);
  const ofDocument = [
    { label: `Turn Completions On or Off for ${document?.languageId}`, command: "phi-ls.toggleLanguage" },
    { label: "Turn Completions On or Off for This Document", command: "phi-ls.toggleDocument" },
  ];
  const choices = [
    { label: "Turn Completions On or Off", command: "phi-ls.toggle" },
    ...(document === undefined ? [] : ofDocument),
    { label: "Snooze Completions", command: "phi-ls.snooze" },
    { label: "Choose a Model", command: "phi-ls.chooseModel" },
    { label: "Show Statistics", command: "phi-ls.showStatistics" },
    { label: "Show Log", command: "phi-ls.showLog" },
    { label: "Restart Server", command: "phi-ls.restart" },
  ];
  const choice = await vscode.window.showQuickPick(choices, { placeHolder: off?.reason ?? "Completions are on" });
  if (choice !== undefined) {
    await vscode.commands.executeCommand(choice.command);
  }
}
