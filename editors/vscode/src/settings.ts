// The server's settings as the person has set them. What is left at its default is not sent: the server knows its
// defaults, and its own config.toml may say otherwise.

import * as vscode from "vscode";

// The extension's own.
const NOT_FOR_THE_SERVER = new Set(["phi-ls.confirmEdits", "phi-ls.serverPath", "phi-ls.trace.server"]);

interface Manifest {
  contributes: { configuration: { properties: Record<string, unknown> } };
  capabilities: { untrustedWorkspaces: { restrictedConfigurations: string[] } };
}

/** Dotted keys without `phi-ls.`, and their values. */
export function serverSettings(): Record<string, unknown> {
  const manifest = vscode.extensions.getExtension("phi-ls.phi-ls")?.packageJSON as Manifest;
  const restricted = new Set(manifest.capabilities.untrustedWorkspaces.restrictedConfigurations);
  const configuration = vscode.workspace.getConfiguration();
  const settings: Record<string, unknown> = {};
  for (const key of Object.keys(manifest.contributes.configuration.properties)) {
    const found = configuration.inspect(key);
    if (NOT_FOR_THE_SERVER.has(key) || found === undefined) {
      continue;
    }
    const trusted = vscode.workspace.isTrusted || !restricted.has(key);
    const ofWorkspace = trusted ? (found.workspaceFolderValue ?? found.workspaceValue) : undefined;
    const value = ofWorkspace ?? found.globalValue;
    if (value !== undefined) {
      settings[key.replace(/^phi-ls\./, "")] = value;
    }
  }
  return settings;
}
