// The server's settings as the person has set them. What is left at its default is not sent: the server knows its
// defaults, and its own config.toml may say otherwise.

import * as vscode from "vscode";

// The extension's own.
const NOT_FOR_THE_SERVER = new Set(["phi-ls.confirmEdits", "phi-ls.serverPath"]);

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
    const ofWorkspace = trusted ? [found.workspaceValue, found.workspaceFolderValue] : [];
    const value = [found.globalValue, ...ofWorkspace].reduce(over);
    if (value !== undefined) {
      settings[key.replace(/^phi-ls\./, "")] = value;
    }
  }
  return settings;
}

/** What `upper` makes of `lower`: as in VS Code, the members of objects are put together. */
function over(lower: unknown, upper: unknown): unknown {
  return isObject(lower) && isObject(upper) ? { ...lower, ...upper } : (upper ?? lower);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
