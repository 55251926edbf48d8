// Which of VS Code's documents are the server's: what a person writes, be it a file or not.

import * as vscode from "vscode";

const SCHEMES = [
  "file",
  "untitled",
  // Files of a repository that is opened without being cloned.
  "vscode-vfs",
  "vscode-notebook-cell",
  // The input below an interactive window, the box of a commit message, the person's own settings.
  "vscode-interactive-input",
  "vscode-scm",
  "vscode-userdata",
];

/** By their schemes: those above, and those of the workspace, whatever file system it is in. */
export function documentSelector(): { scheme: string }[] {
  const ofFolders = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri.scheme);
  return [...new Set([...SCHEMES, ...ofFolders])].map((scheme) => ({ scheme }));
}

/** Names the document as a person sees it: all cells of a notebook are one. */
export function documentKey({ uri }: vscode.TextDocument): string {
  return (uri.scheme === "vscode-notebook-cell" ? uri.with({ fragment: "" }) : uri).toString();
}
