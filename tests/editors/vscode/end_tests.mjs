// Ends nobody asked for: of the server, of the window, of the extension host.

import assert from "node:assert/strict";
import { LINES } from "./ghost_text_tests.mjs";
import { askForGhostText, clearNotices, notices, open, page, parentOf, processes, quit, status, statusLabel, until, useServer } from "./editor.mjs";

const FILE = "killed.py";
const SERVER = process.env.PHI_LS_BIN;
// What is left of VS Code without its page waits this long for the page to come back, as it was told.
const GRACE_MS = 2000;

export const files = { [FILE]: LINES.join("\n") };

async function gone(pid, waitMs) {
  await until(`process ${pid} is gone`, () => !processes(SERVER).includes(pid), waitMs);
}

export function before() {
  return useServer(SERVER);
}

export const tests = {
  async "a server that is killed while somebody types comes back, and the person is told once"() {
    await open(FILE);
    await status(/^phi-ls$/);
    const [pid] = processes(SERVER);
    await page.keyboard.press("Control+End");
    await page.keyboard.type("        ret", { delay: 20 });
    process.kill(pid, "SIGKILL");
    await page.keyboard.type("urn ", { delay: 20 });
    await until("another runs", () => processes(SERVER).some((other) => other !== pid));
    await status(/^phi-ls$/);
    await askForGhostText();
    const told = await notices();
    assert.equal(told.length, 1, told.join("\n"));
    assert.match(told[0], /the server ended unexpectedly and will be started again/);
    await clearNotices();
  },
  async "a server whose extension host is killed ends within 5 seconds"() {
    const [pid] = processes(SERVER);
    process.kill(parentOf(pid), "SIGKILL");
    await gone(pid, 5000);
    const again = await until("VS Code starts another", () => processes(SERVER)[0]);
    assert.notEqual(again, pid);
  },
  async "a server whose window is closed ends within 5 seconds"() {
    await open(FILE);
    await until("one engine process is there", () => processes(SERVER, { engines: true }).length === 1);
    await until("the status item says who uses it", async () => /engine process \d+, used by this window/.test(await statusLabel()));
    const [pid] = processes(SERVER);
    await quit();
    await gone(pid, GRACE_MS + 5000);
    // Its settings say that it stays for no minute.
    await until("the engine process is gone", () => processes(SERVER, { engines: true }).length === 0);
  },
};
