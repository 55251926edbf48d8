// A server that is not there: the extension offers to download it, and takes no archive that differs from the release.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { clearNotices, notices, page, processes, run, status, until, workspace } from "./editor.mjs";

const TARGET = `${{ x64: "x86_64", arm64: "aarch64" }[process.arch]}-unknown-linux-gnu`;
const NAME = `phi-ls-0.0.0-${TARGET}`;
const DOWNLOADED = join(process.env.EDITOR_DATA, "User/globalStorage/phi-ls.phi-ls/server/phi-ls");

/** What the web server answers, by paths. */
const served = new Map();

/** Packs the program as a release does, and serves it where the extension was told to look. */
async function serve() {
  const folder = join(workspace, "..", "release", NAME);
  mkdirSync(folder, { recursive: true });
  copyFileSync(process.env.PHI_LS_BIN, join(folder, "phi-ls"));
  execFileSync("strip", [join(folder, "phi-ls")]);
  execFileSync("tar", ["-czf", `${folder}.tar.gz`, "-C", join(folder, ".."), NAME]);
  const archive = readFileSync(`${folder}.tar.gz`);
  const sum = createHash("sha256").update(archive).digest("hex");
  served.set("/SHA256SUMS", Buffer.from(`${"0".repeat(64)}  install.sh\n${sum}  ${NAME}.tar.gz\n`));
  served.set(`/${NAME}.tar.gz`, archive);
  const server = createServer((request, response) => {
    const found = served.get(request.url);
    response.writeHead(found ? 200 : 404, { "content-length": found?.length ?? 0 }).end(found);
  });
  await new Promise((resolve) => server.listen(Number(new URL(process.env.PHI_LS_RELEASES).port), "127.0.0.1", resolve));
}

async function told(expected) {
  return until(`a notice says ${expected}`, async () => (await notices()).find((notice) => expected.test(notice)));
}

export async function before() {
  await serve();
  await clearNotices();
  // The item in the status bar says what it is about while it has the focus, over the notices.
  await page.keyboard.press("Control+1");
  writeFileSync(`${process.env.MACHINE_SETTINGS}.new`, "{}");
  renameSync(`${process.env.MACHINE_SETTINGS}.new`, process.env.MACHINE_SETTINGS);
}

export const tests = {
  async "where there is no server, one is offered, and one that is not the release's is refused"() {
    await told(/expected the program phi-ls on the PATH/);
    const whole = served.get(`/${NAME}.tar.gz`);
    served.set(`/${NAME}.tar.gz`, whole.subarray(0, whole.length - 1));
    await page.click('.notifications-toasts .monaco-button:has-text("Download")');
    await told(/cannot download the server: .* differs from the release: expected SHA-256/);
    served.set(`/${NAME}.tar.gz`, whole);
    await clearNotices();
  },
  async "a downloaded server runs"() {
    await run("phi-ls: Download Server");
    await until("the downloaded program runs", () => processes(DOWNLOADED).length === 1);
    await status(/^phi-ls$/);
  },
};
