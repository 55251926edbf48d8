// What the server's program is asked outside of the protocol: the models a person can choose from, installed or not, with
// what to expect of each on this machine.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import * as vscode from "vscode";
import { target } from "./switches";

/** What `phi-ls models --all --json` says of a model. */
interface Model {
  /** As it is written in the settings. */
  model: string;
  /** What it is made for. */
  role: "completion" | "assistant" | "any";
  licence: string | null;
  bytes: number;
  /** Where its file is. */
  installed: string | null;
  tokens_per_second: number | null;
  /** Whether this machine has the memory for it; null where that is not known. */
  fits: boolean | null;
  /** Whether it fits, and beside which model, in words. */
  advice: string | null;
}

interface Choice extends vscode.QuickPickItem {
  model?: Model;
}

const ROLES = [
  { label: "Completions", key: "completion.model" },
  { label: "Questions", key: "assistant.model" },
];
const MIB = 1 << 20;

/** Has a person choose a model, downloads it if need be, and writes it into the settings. `server` is the server's program. */
export async function chooseModel(server: string | undefined): Promise<void> {
  if (server === undefined) {
    void vscode.window.showErrorMessage("phi-ls: no server found, which would list the models. Download it, or set its path.");
    return;
  }
  const placeHolder = "Choose a model";
  const choice = await vscode.window.showQuickPick(choices(server), { placeHolder, matchOnDescription: true });
  const model = choice?.model;
  const key = model && (await chooseRole(model));
  if (model === undefined || key === undefined || (model.installed === null && !(await download(server, model)))) {
    return;
  }
  await vscode.workspace.getConfiguration("phi-ls").update(key, model.model, target(`phi-ls.${key}`));
}

async function choices(server: string): Promise<Choice[]> {
  const { stdout } = await promisify(execFile)(server, ["models", "--all", "--json"]);
  const models = JSON.parse(stdout) as Model[];
  const there = models.filter(({ installed }) => installed !== null);
  const toDownload = models.filter(({ installed }) => installed === null);
  return [
    { label: "Installed", kind: vscode.QuickPickItemKind.Separator },
    ...there.map(item),
    { label: "To download", kind: vscode.QuickPickItemKind.Separator },
    ...toDownload.map(item),
  ];
}

function item(model: Model): Choice {
  const configuration = vscode.workspace.getConfiguration("phi-ls");
  const roles = ROLES.filter(({ key }) => configuration.get(key) === model.model).map(({ label }) => label.toLowerCase());
  const speed = model.tokens_per_second === null ? undefined : `about ${model.tokens_per_second} tokens/s here`;
  const parts = [size(model.bytes), speed, model.licence, model.advice];
  return {
    model,
    label: `${roles.length > 0 ? "$(check) " : ""}${model.model}`,
    description: { completion: "for completions", assistant: "for questions", any: "for both" }[model.role],
    detail: [...parts, roles.length > 0 ? `chosen for ${roles.join(" and ")}` : undefined].filter(Boolean).join(" · "),
  };
}

function size(bytes: number): string {
  return bytes >= 1024 * MIB ? `${(bytes / MIB / 1024).toFixed(1)} GiB` : `${Math.round(bytes / MIB)} MiB`;
}

/** The setting that the model is for. */
async function chooseRole({ model, role }: Model): Promise<string | undefined> {
  if (role !== "any") {
    return `${role}.model`;
  }
  return (await vscode.window.showQuickPick(ROLES, { placeHolder: `Use ${model} for` }))?.key;
}

/** Whether the model is there now. What a cancelled download has brought is kept for the next one. */
async function download(server: string, { model }: Model): Promise<boolean> {
  const options = { location: vscode.ProgressLocation.Notification, title: `Downloading ${model}`, cancellable: true };
  return vscode.window.withProgress(options, async (progress, cancelled) => {
    const pull = spawn(server, ["pull", model]);
    cancelled.onCancellationRequested(() => pull.kill());
    let reported = 0;
    const problem = await lastLine(pull, (line) => {
      const percent = Number(/ (\d+) %,/.exec(line)?.[1] ?? reported);
      progress.report({ increment: percent - reported, message: line.replace(`${model}: `, "") });
      reported = percent;
    });
    if (problem !== undefined && !cancelled.isCancellationRequested) {
      void vscode.window.showErrorMessage(`phi-ls: ${model} was not downloaded: ${problem}`);
    }
    return problem === undefined;
  });
}

/** Hands each line of standard error to `take`; the last one if the program fails, as what it says of that. */
async function lastLine(program: ChildProcess, take: (line: string) => void): Promise<string | undefined> {
  let last = "";
  let rest = "";
  program.stderr?.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines.filter((each) => each.trim() !== "")) {
      last = line;
      take(line);
    }
  });
  return new Promise((resolve) => {
    program.on("error", (error) => resolve(error.message));
    program.on("close", (code) => resolve(code === 0 ? undefined : (rest || last).replace(/^Error: /, "")));
  });
}
