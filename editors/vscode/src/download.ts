// Brings the server's program from a release, where none is found: asks first, checks its SHA-256, and keeps it in the extension's own folder.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, open, rename, rm } from "node:fs/promises";
import * as path from "node:path";
import { promisify } from "node:util";
import * as vscode from "vscode";
import { PROGRAM } from "./server";

type Report = (percent: number) => void;

/** What a package of a release says of itself; scripts/release fills in the repository. */
interface Manifest {
  version: string;
  repository?: { url: string };
}

/** Where this version's archives are, or a mirror of them; undefined where the extension does not belong to a release. */
export function archivesOf(manifest: Manifest): string | undefined {
  const mirror = process.env["PHI_LS_RELEASES"];
  if (mirror) {
    return mirror.replace(/\/$/, "");
  }
  return manifest.repository && `${manifest.repository.url}/releases/download/v${manifest.version}`;
}

/** The platform's name in the names of archives; undefined where there is none for it. */
export function platformTarget(): string | undefined {
  const machine = { x64: "x86_64", arm64: "aarch64" }[process.arch as string];
  // Node names the glibc it runs with, if it is that.
  const header = (process.report.getReport() as { header?: { glibcVersionRuntime?: string } }).header;
  const system =
    process.platform === "linux"
      ? header?.glibcVersionRuntime && "unknown-linux-gnu"
      : { darwin: "apple-darwin", win32: "pc-windows-msvc" }[process.platform as string];
  // Windows on Arm runs the program for x86-64.
  const runs = process.platform === "win32" ? "x86_64" : machine;
  return runs && system && `${runs}-${system}`;
}

/** Downloads the program from `archives` into `folder`, with a progress that can be cancelled. Throws an error for a person. */
export async function downloadServer(archives: string, folder: string): Promise<void> {
  const options = { location: vscode.ProgressLocation.Notification, title: "phi-ls: downloading the server", cancellable: true };
  await vscode.window.withProgress(options, async (progress, token) => {
    const stop = new AbortController();
    token.onCancellationRequested(() => stop.abort(new Error("cancelled")));
    let shown = 0;
    await download(archives, folder, stop.signal, (percent) => {
      progress.report({ increment: percent - shown, message: `${Math.floor(percent)}%` });
      shown = percent;
    });
  });
}

async function download(archives: string, folder: string, signal: AbortSignal, report: Report): Promise<void> {
  const target = platformTarget();
  const sums = await (await get(`${archives}/SHA256SUMS`, signal)).text();
  const line = sums.split("\n").find((line) => target !== undefined && line.endsWith(`-${target}.tar.gz`));
  if (line === undefined) {
    throw new Error(`expected an archive for this platform in ${archives}/SHA256SUMS, found none`);
  }
  const [expected, name] = line.split(/ [ *]/) as [string, string];
  const work = path.join(folder, `new-${process.pid}`);
  await mkdir(work, { recursive: true });
  try {
    const archive = path.join(work, "archive.tar.gz");
    const found = await save(`${archives}/${name}`, archive, signal, report);
    if (found !== expected) {
      throw new Error(`${name} differs from the release: expected SHA-256 ${expected}, found ${found}; try again`);
    }
    await promisify(execFile)("tar", ["-xzf", archive, "-C", work], { signal });
    const program = path.join(work, name.replace(/\.tar\.gz$/, ""), PROGRAM);
    await chmod(program, 0o755);
    await rename(program, path.join(folder, PROGRAM));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function get(url: string, signal: AbortSignal): Promise<Response> {
  const response = await fetch(url, { signal }).catch((error: unknown) => {
    throw signal.aborted ? signal.reason : new Error(`cannot reach ${url}: ${String((error as Error).cause ?? error)}`);
  });
  if (!response.ok) {
    throw new Error(`cannot download ${url}: HTTP ${response.status}`);
  }
  return response;
}

/** Saves what is at `url` as `file`, and returns its SHA-256. */
async function save(url: string, file: string, signal: AbortSignal, report: Report): Promise<string> {
  const response = await get(url, signal);
  const total = Number(response.headers.get("content-length"));
  const hash = createHash("sha256");
  const out = await open(file, "w");
  try {
    let done = 0;
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      hash.update(chunk);
      await out.write(chunk);
      done += chunk.length;
      if (total > 0) {
        report((100 * done) / total);
      }
    }
  } finally {
    await out.close();
  }
  return hash.digest("hex");
}
