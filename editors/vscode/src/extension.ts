// The extension's life: starts the language server, restarts it on demand, hands settings on. Ghost text itself is the
// language client's built-in inline completion.

import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
  type ServerOptions,
} from "vscode-languageclient/node";
import { AnswerPanel, type AnswerParams, answersFeature } from "./answer";
import { EditReview } from "./review";
import { findServer } from "./server";
import { serverSettings } from "./settings";
import { StatusItem, type StatusParams } from "./status";

// A server that ends so often within a few minutes will not get better by starting it again.
const MAX_RESTARTS = 3;
const RESTART_WINDOW_MS = 3 * 60 * 1000;

let client: LanguageClient | undefined;
let log: vscode.LogOutputChannel;
let status: StatusItem;
let answers: AnswerPanel;
let review: EditReview;
let restarts = 0;
let restarted: Promise<void> = Promise.resolve();

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  log = vscode.window.createOutputChannel("phi-ls", { log: true });
  status = new StatusItem();
  answers = new AnswerPanel(context.extensionUri, () => client);
  review = new EditReview(() => client);
  context.subscriptions.push(
    log,
    status,
    answers,
    review,
    vscode.commands.registerCommand("phi-ls.restart", restart),
    vscode.commands.registerCommand("phi-ls.showLog", () => log.show()),
    vscode.commands.registerCommand("phi-ls.toggle", toggle),
    vscode.workspace.onDidChangeConfiguration(onConfiguration),
    vscode.workspace.onDidGrantWorkspaceTrust(sendSettings),
  );
  await restart();
}

export async function deactivate(): Promise<void> {
  await stop();
}

async function start(): Promise<void> {
  const wanted = vscode.workspace.getConfiguration("phi-ls").get<string>("serverPath", "");
  const command = await findServer(wanted);
  if (command === undefined) {
    void reportMissing(wanted);
    return;
  }
  const starting: StatusParams = { state: "loading", message: `starting ${command}` };
  status.show(starting);
  const run: ServerOptions = { command, args: [] };
  client = new LanguageClient("phi-ls", "phi-ls", run, clientOptions());
  client.registerFeature(answersFeature);
  client.onNotification("phi-ls/status", (params: StatusParams) => status.show(params));
  client.onNotification("phi-ls/answer", (params: AnswerParams) => answers.receive(params));
  try {
    await client.start();
    if (status.shown === starting) {
      status.show({ state: "ready", message: `${command} is running` });
    }
  } catch (error) {
    status.show({ state: "error", message: `${command} did not start: ${String(error)}` });
    log.error(`${command} did not start`, error);
  }
}

function clientOptions(): LanguageClientOptions {
  const closed: number[] = [];
  return {
    documentSelector: [{ scheme: "file" }, { scheme: "untitled" }],
    initializationOptions: serverSettings(),
    outputChannel: log,
    middleware: {
      executeCommand: answers.executeCommand,
      workspace: { handleApplyEdit: review.handleApplyEdit },
    },
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue }),
      closed: () => {
        answers.reset();
        const now = Date.now();
        closed.push(now);
        const recent = closed.filter((time) => now - time < RESTART_WINDOW_MS).length;
        if (recent <= MAX_RESTARTS) {
          return { action: CloseAction.Restart };
        }
        const message = `the server ended ${recent} times in a few minutes and is not started again`;
        status.show({ state: "error", message });
        return { action: CloseAction.DoNotRestart, message: `phi-ls: ${message}. The log says more.` };
      },
    },
  };
}

async function stop(): Promise<void> {
  const old = client;
  client = undefined;
  answers.reset();
  // A server that never came up cannot be stopped; there is nothing to do about it.
  await old?.dispose().catch((error: unknown) => log.warn("stopping the server", error));
}

/** Starts the server anew. A server that is starting cannot be stopped: one start waits for the other. */
function restart(): Promise<void> {
  const turn = ++restarts;
  restarted = restarted.then(async () => {
    // A later one is about to do the same.
    if (turn === restarts) {
      await stop();
      await start();
    }
  });
  return restarted;
}

async function reportMissing(wanted: string): Promise<void> {
  const message = wanted
    ? `phi-ls: expected the server at ${wanted}, found no program there.`
    : "phi-ls: found no program phi-ls on the PATH. Install it, or say where it is.";
  status.show({ state: "error", message });
  log.error(message);
  const choice = await vscode.window.showErrorMessage(message, "Open Settings");
  if (choice) {
    await vscode.commands.executeCommand("workbench.action.openSettings", "phi-ls.serverPath");
  }
}

function onConfiguration(event: vscode.ConfigurationChangeEvent): void {
  if (event.affectsConfiguration("phi-ls.serverPath")) {
    void restart();
  } else if (event.affectsConfiguration("phi-ls")) {
    sendSettings();
  }
}

function sendSettings(): void {
  if (client?.isRunning()) {
    void client.sendNotification("workspace/didChangeConfiguration", { settings: { "phi-ls": serverSettings() } });
  }
}

async function toggle(): Promise<void> {
  const configuration = vscode.workspace.getConfiguration("phi-ls");
  const enabled = configuration.get<boolean>("completion.enabled", true);
  await configuration.update("completion.enabled", !enabled, vscode.ConfigurationTarget.Global);
  vscode.window.setStatusBarMessage(`phi-ls: completions are ${enabled ? "off" : "on"}`, 3000);
}
