// The extension's life: starts the language server, restarts it on demand and when it ended, hands settings on. Ghost text
// itself is the language client's built-in inline completion, and grows by growth.ts.

import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
  RevealOutputChannelOn,
  type ServerOptions,
  type StaticFeature,
} from "vscode-languageclient/node";
import { AnswerPanel, type AnswerParams } from "./answer";
import { askAtCursor, editWithInstruction, writeCommitMessage } from "./ask";
import { documentSelector } from "./documents";
import { archivesOf, downloadServer } from "./download";
import { Gate } from "./gate";
import { type CompletionGrewParams, Growth } from "./growth";
import { showMenu } from "./menu";
import { chooseModel } from "./program";
import { Reports } from "./reports";
import { EditReview } from "./review";
import { findServer } from "./server";
import { serverSettings } from "./settings";
import { type DocumentStatusParams, StatusItem, type StatusParams } from "./status";
import { Switches } from "./switches";
import { Walkthrough } from "./walkthrough";

// How long to wait before each new start of a server that ended by itself. One that ends more often within a few
// minutes will not get better by starting it again.
const RESTART_AFTER_MS = [500, 2000, 8000];
const RESTART_WINDOW_MS = 3 * 60 * 1000;

let client: LanguageClient | undefined;
let context: vscode.ExtensionContext;
let log: vscode.LogOutputChannel;
let switches: Switches;
let growth: Growth;
let gate: Gate;
let status: StatusItem;
let answers: AnswerPanel;
let review: EditReview;
let walkthrough: Walkthrough;
let restarts = 0;
let restarted: Promise<void> = Promise.resolve();
/** When the server has ended by itself lately. */
let ended: number[] = [];
let restartTimer: NodeJS.Timeout | undefined;
/** The settings the server has been told last. */
let told = "";

export async function activate(activated: vscode.ExtensionContext): Promise<void> {
  context = activated;
  log = vscode.window.createOutputChannel("phi-ls", { log: true });
  switches = new Switches();
  growth = new Growth(context.extension.id, () => client);
  gate = new Gate(switches, growth, () => client);
  status = new StatusItem(switches);
  walkthrough = new Walkthrough(() => client);
  answers = new AnswerPanel(
    context.extensionUri,
    () => client,
    () => walkthrough.reached("explained"),
  );
  const reports = new Reports();
  review = new EditReview(() => client);
  context.subscriptions.push(
    log,
    switches,
    growth,
    gate,
    status,
    answers,
    review,
    walkthrough,
    reports,
    vscode.commands.registerCommand("phi-ls.restart", restartByHand),
    vscode.commands.registerCommand("phi-ls.showLog", () => log.show()),
    vscode.commands.registerCommand("phi-ls.downloadServer", download),
    vscode.commands.registerCommand("phi-ls.menu", () => showMenu(switches, status)),
    vscode.commands.registerCommand("phi-ls.openSettings", openSettings),
    vscode.commands.registerCommand("phi-ls.chooseModel", async () => chooseModel(await findProgram(wantedServer()))),
    vscode.commands.registerCommand("phi-ls.showStatistics", async () => reports.show(await findProgram(wantedServer()), "stats", "Statistics")),
    vscode.commands.registerCommand("phi-ls.doctor", async () => reports.show(await findProgram(wantedServer()), "doctor", "Doctor")),
    vscode.commands.registerCommand("phi-ls.explain", () => askAtCursor(client, "explain")),
    vscode.commands.registerCommand("phi-ls.fix", () => askAtCursor(client, "fix")),
    vscode.commands.registerCommand("phi-ls.refactor", () => askAtCursor(client, "refactor")),
    vscode.commands.registerCommand("phi-ls.document", () => askAtCursor(client, "document")),
    vscode.commands.registerCommand("phi-ls.writeTests", () => askAtCursor(client, "writeTests")),
    vscode.commands.registerCommand("phi-ls.edit", () => editWithInstruction(client)),
    vscode.commands.registerCommand("phi-ls.writeCommitMessage", (pressed?: vscode.SourceControl) =>
      writeCommitMessage(client, pressed),
    ),
    vscode.workspace.onDidChangeConfiguration(onConfiguration),
    vscode.workspace.onDidGrantWorkspaceTrust(sendSettings),
    // What the switches say may depend on the languages of what is open.
    vscode.workspace.onDidOpenTextDocument(sendSettings),
    switches.onDidChange(sendSettings),
  );
  await restart();
}

export async function deactivate(): Promise<void> {
  clearTimeout(restartTimer);
  await stop();
}

/** The server's program, as the settings name it. */
function wantedServer(): string {
  return vscode.workspace.getConfiguration("phi-ls").get<string>("serverPath", "");
}

function findProgram(wanted: string): Promise<string | undefined> {
  return findServer(wanted, context.asAbsolutePath("server"), downloadFolder());
}

async function start(): Promise<void> {
  const wanted = wantedServer();
  const command = await findProgram(wanted);
  if (command === undefined) {
    void reportMissing(wanted);
    return;
  }
  const starting: StatusParams = { state: "loading", message: `starting ${command}` };
  status.show(starting);
  const run: ServerOptions = { command, args: [] };
  client = new LanguageClient("phi-ls", "phi-ls", run, clientOptions());
  client.registerFeature(ownNotifications);
  client.onNotification("phi-ls/status", (params: StatusParams) => {
    status.show(params);
    if (params.state !== "loading" && params.state !== "error" && switches.off() === undefined) {
      walkthrough.reached("modelReady");
    }
  });
  client.onNotification("phi-ls/documentStatus", (params: DocumentStatusParams) => status.showDocument(params));
  client.onNotification("phi-ls/completionGrew", (params: CompletionGrewParams) => growth.grow(params));
  client.onNotification("phi-ls/answer", (params: AnswerParams) => answers.receive(params));
  try {
    await client.start();
    // They may have changed meanwhile.
    sendSettings();
    walkthrough.reached("serverRuns");
    if (status.shown === starting) {
      status.show({ state: "ready", message: `${command} is running` });
    }
  } catch (error) {
    status.show({ state: "error", message: `${command} did not start: ${String(error)}` });
    log.error(`${command} did not start`, error);
  }
}

/** Tells the server which of its own notifications are taken here. */
const ownNotifications: StaticFeature = {
  fillClientCapabilities(capabilities) {
    const experimental = capabilities.experimental as object | undefined;
    const phiLs = { answers: true, documentStatus: true, completionGrew: true };
    capabilities.experimental = { ...experimental, phiLs };
  },
  initialize() {},
  getState: () => ({ kind: "static" }),
  clear() {},
};

function clientOptions(): LanguageClientOptions {
  return {
    documentSelector: documentSelector(),
    initializationOptions: () => {
      const all = settings();
      told = JSON.stringify(all);
      return all;
    },
    outputChannel: log,
    // What goes wrong is told here, in a person's words; the library's go to the log.
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    middleware: {
      ...gate.middleware,
      provideInlineCompletionItems: (document, position, context, token, next) => {
        walkthrough.asked(document);
        return gate.middleware.provideInlineCompletionItems?.(document, position, context, token, next);
      },
      executeCommand: (command, args, next) => {
        walkthrough.note(command);
        return answers.executeCommand(command, args, next);
      },
      workspace: { handleApplyEdit: review.handleApplyEdit },
    },
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: () => {
        answers.reset();
        status.forgetDocuments();
        return { action: CloseAction.DoNotRestart, handled: true, message: startAgain() };
      },
    },
  };
}

/** Starts a server again that ended by itself: later each time, and not for ever. The first and the last are told. */
function startAgain(): string {
  const now = Date.now();
  ended = [...ended.filter((time) => now - time < RESTART_WINDOW_MS), now];
  const wait = RESTART_AFTER_MS[ended.length - 1];
  if (wait === undefined) {
    const message = `the server ended ${ended.length} times in a few minutes and will not be started again`;
    status.show({ state: "error", message });
    void tellEnd(vscode.window.showErrorMessage, message);
    return message;
  }
  const message = "the server ended unexpectedly and will be started again";
  status.show({ state: "loading", message });
  if (ended.length === 1) {
    void tellEnd(vscode.window.showWarningMessage, message);
  }
  clearTimeout(restartTimer);
  restartTimer = setTimeout(() => void restart(), wait);
  return message;
}

async function tellEnd(show: typeof vscode.window.showErrorMessage, message: string): Promise<void> {
  if ((await show(`phi-ls: ${message}`, "Show Log")) !== undefined) {
    log.show();
  }
}

async function stop(): Promise<void> {
  const old = client;
  client = undefined;
  answers.reset();
  status.forgetDocuments();
  // A server that never came up cannot be stopped; there is nothing to do about it.
  await old?.dispose().catch((error: unknown) => log.warn("stopping the server", error));
}

/** Starts the server afresh. A server that is starting cannot be stopped: one start waits for the other. */
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

function restartByHand(): Promise<void> {
  clearTimeout(restartTimer);
  ended = [];
  return restart();
}

async function reportMissing(wanted: string): Promise<void> {
  const message = wanted
    ? `phi-ls: expected the server at ${wanted}, found no program there.`
    : "phi-ls: expected the program phi-ls on the PATH, found none. Install it, or set its path.";
  status.show({ state: "error", message });
  log.error(message);
  const archives = wanted ? undefined : archivesOf(context.extension.packageJSON);
  const choices = archives === undefined ? ["Open Settings"] : ["Download", "Open Settings"];
  const choice = await vscode.window.showErrorMessage(message, ...choices);
  if (choice === "Download") {
    await download();
  } else if (choice) {
    await vscode.commands.executeCommand("workbench.action.openSettings", "phi-ls.serverPath");
  }
}

/** Where a downloaded server is kept; it goes with the extension. */
function downloadFolder(): string {
  return vscode.Uri.joinPath(context.globalStorageUri, "server").fsPath;
}

/** Downloads the server of this version and starts it. */
async function download(): Promise<void> {
  const archives = archivesOf(context.extension.packageJSON);
  if (archives === undefined) {
    void vscode.window.showErrorMessage("phi-ls: this package is not from a release, so it has no address to download the server from.");
    return;
  }
  const ran = client !== undefined;
  try {
    // Windows does not replace a program that runs.
    await stop();
    await downloadServer(archives, downloadFolder());
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.error(`downloading from ${archives}: ${reason}`);
    status.show({ state: "error", message: `cannot download the server: ${reason}` });
    void vscode.window.showErrorMessage(`phi-ls: cannot download the server: ${reason}`);
    if (ran) {
      await restartByHand();
    }
    return;
  }
  await restartByHand();
}

function openSettings(): Thenable<void> {
  return vscode.commands.executeCommand("workbench.action.openSettings", `@ext:${context.extension.id}`);
}

function onConfiguration(event: vscode.ConfigurationChangeEvent): void {
  if (event.affectsConfiguration("phi-ls.serverPath")) {
    void restart();
  } else {
    sendSettings();
  }
}

/** What the person has set, and what the switches take away from it. */
function settings(): Record<string, unknown> {
  return { ...serverSettings(), ...switches.settings() };
}

function sendSettings(): void {
  const all = settings();
  if (client?.isRunning() && JSON.stringify(all) !== told) {
    told = JSON.stringify(all);
    void client.sendNotification("workspace/didChangeConfiguration", { settings: { "phi-ls": all } });
  }
}
