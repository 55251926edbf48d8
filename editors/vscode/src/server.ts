// Where the server's program is.

import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { homedir } from "node:os";
import * as path from "node:path";

const NAME = process.platform === "win32" ? "phi-ls.exe" : "phi-ls";

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

/** The program at `wanted`, a path that may start with `~`; if empty, the first `phi-ls` on the PATH or in Cargo's folder. */
export async function findServer(wanted: string): Promise<string | undefined> {
  const home = homedir();
  const candidates = wanted
    ? [wanted.replace(/^~(?=[/\\])/, home)]
    : [...(process.env["PATH"] ?? "").split(path.delimiter), path.join(home, ".cargo", "bin")]
        // A relative folder on the PATH would let an opened project bring its own program.
        .filter((folder) => path.isAbsolute(folder))
        .map((folder) => path.join(folder, NAME));
  for (const candidate of candidates) {
    if (path.isAbsolute(candidate) && (await isProgram(candidate))) {
      return candidate;
    }
  }
  return undefined;
}
