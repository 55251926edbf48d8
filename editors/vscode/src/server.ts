// Where the server's program is.

import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { homedir } from "node:os";
import * as path from "node:path";

export const PROGRAM = process.platform === "win32" ? "phi-ls.exe" : "phi-ls";

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

/** The folders that are searched where no path is set: those on the PATH, and where Cargo and install.sh put programs. */
function foldersOfPrograms(): string[] {
  const onPath = (process.env["PATH"] ?? "").split(path.delimiter);
  return [...onPath, path.join(homedir(), ".cargo", "bin"), path.join(homedir(), ".local", "bin")];
}

/**
 * The program at `wanted`, a path that may start with `~`. If empty: the one `inside` the extension, else the first `phi-ls` in the folders of
 * programs, else the `downloaded` one.
 */
export async function findServer(wanted: string, inside: string, downloaded: string): Promise<string | undefined> {
  const candidates = wanted
    ? [wanted.replace(/^~(?=[/\\])/, homedir())]
    : // A relative folder on the PATH would let an opened project bring its own program.
      [inside, ...foldersOfPrograms(), downloaded].filter((folder) => path.isAbsolute(folder)).map((folder) => path.join(folder, PROGRAM));
  for (const candidate of candidates) {
    if (path.isAbsolute(candidate) && (await isProgram(candidate))) {
      return candidate;
    }
  }
  return undefined;
}
