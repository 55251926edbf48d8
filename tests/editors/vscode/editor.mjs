// VS Code in Chromium, driven with real keys. What is in a buffer is read from the saved file. Everything waits for what
// it expects to see.

import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const WAIT_MS = Number(process.env.PHI_LS_TEST_WAIT_MS ?? 120_000);

export const [port, workspace] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"],
});
export const page = await browser.newPage({
  permissions: ["clipboard-read", "clipboard-write"],
  viewport: { width: 1000, height: 600 },
});
page.setDefaultTimeout(WAIT_MS);

export function quit() {
  return browser.close();
}

export async function until(what, condition, waitMs = WAIT_MS) {
  const end = Date.now() + waitMs;
  let last;
  while (Date.now() < end) {
    try {
      last = await condition();
      if (last) {
        return last;
      }
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`timed out waiting until ${what}; last: ${last}`);
}

/** Says what the screen shows after a failure: where its picture is. */
export async function screenOfFailure() {
  const path = join(tmpdir(), "phi-ls-vscode-failed.png");
  await page.screenshot({ path });
  return `the screen is in ${path}`;
}

/** Opens the workspace. */
export async function start() {
  await until("VS Code is up", () => page.goto(`http://127.0.0.1:${port}/?folder=${workspace}`).then(() => true));
  await page.waitForSelector(".monaco-workbench", { timeout: WAIT_MS });
}

/** Opens a file by the explorer and puts the cursor at its begin. */
export async function open(file) {
  await until(`${file} is open`, async () => {
    // In the left column; it may be in the right one already.
    await page.keyboard.press("Control+1");
    await page.dblclick(`.explorer-folders-view .monaco-list-row:has-text("${file}")`, { timeout: 2000 });
    return page.$(`.tab.active:has-text("${file}")`);
  });
  await page.click(".editor-group-container.active .monaco-editor .view-line >> nth=0");
  await page.keyboard.press("Control+Home");
}

export async function cursorDown(lines) {
  for (let down = 0; down < lines; down++) {
    await page.keyboard.press("ArrowDown");
  }
}

export function onDisk(file) {
  return readFileSync(`${workspace}/${file}`, "utf8");
}

/** Saves once, and waits until the file on disk is what is expected: a text, or what a function says. */
export async function saved(file, expected) {
  const fits = typeof expected === "string" ? (text) => text === expected : expected;
  await page.keyboard.press("Control+s");
  await until(`the saved file is ${typeof expected === "string" ? JSON.stringify(expected) : expected}`, () => fits(onDisk(file)), 20_000);
  await page.waitForSelector(".tab.active:not(.dirty)");
}

/** Has the extension run the program at `path` as its server, and waits until that runs. */
export async function useServer(path) {
  // In one step: a half-written file is read, too.
  writeFileSync(`${process.env.MACHINE_SETTINGS}.new`, JSON.stringify({ "phi-ls.serverPath": path }));
  renameSync(`${process.env.MACHINE_SETTINGS}.new`, process.env.MACHINE_SETTINGS);
  await until(`${path} runs`, () => processes(path).length > 0);
}

/** Settings of the workspace. */
export function useSettings(settings) {
  mkdirSync(`${workspace}/.vscode`, { recursive: true });
  writeFileSync(`${workspace}/.vscode/settings.json.new`, JSON.stringify(settings));
  renameSync(`${workspace}/.vscode/settings.json.new`, `${workspace}/.vscode/settings.json`);
}

/** The processes of this VS Code that run the program at `path`, a binary or a script of node's: servers, or engine processes. */
export function processes(path, { engines = false } = {}) {
  const own = `HOME=${process.env.EDITOR_HOME}`;
  const runs = (pid) => {
    try {
      const isOwn = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(own);
      const [, first] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      const isProgram = readlinkSync(`/proc/${pid}/exe`) === realpathSync(path) || first === path;
      return isOwn && isProgram && (first === "engine") === engines;
    } catch {
      // It has ended meanwhile.
      return false;
    }
  };
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && runs(name)).map(Number);
}

export function parentOf(pid) {
  return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);
}

/** The lines of VS Code's logs that are errors of the extension, or of its server. */
export function errorsInLogs() {
  const files = readdirSync(process.env.LOGS, { recursive: true }).filter((name) => name.endsWith(".log"));
  return files.flatMap((name) => {
    const lines = readFileSync(join(process.env.LOGS, name), "utf8").split("\n");
    return lines.filter((line) => /\[error\]|ERROR|panicked/.test(line) && /phi-ls/.test(name + line));
  });
}

/** What the person is told in the corner. */
export async function notices() {
  return page.$$eval(".notifications-toasts .notification-list-item-message", (all) => all.map((one) => one.textContent));
}

export async function clearNotices() {
  await run("Notifications: Clear All Notifications");
  await until("there are no notices", async () => (await notices()).length === 0);
}

/** Clicks the item in the status bar; what it says to those who point at it must not lie over what follows. */
export async function openStatusMenu() {
  await page.click('.statusbar-item[id*="phi-ls"]');
  await page.mouse.move(500, 200);
}

/** What the item in the status bar says to those who point at it. */
export async function statusLabel() {
  return page.getAttribute('.statusbar-item[id*="phi-ls"] a', "aria-label", { timeout: 1000 });
}

async function statusText() {
  return (await page.textContent('.statusbar-item[id*="phi-ls"]', { timeout: 1000 }))?.trim() ?? "";
}

export async function status(expected) {
  await until(`the status bar says ${expected}`, async () => expected.test(await statusText()));
}

/** The ghost text on the screen: its first line inside the editor's line, the others below. */
export async function ghost() {
  const first = await page.$$eval(".ghost-text-decoration", (all) => all.map((one) => one.textContent).join(""));
  const more = await page.$$eval(".suggest-preview-text .view-line, .ghost-text .view-line", (all) =>
    all.map((one) => one.textContent),
  );
  return [first, ...more].join("\n").replaceAll("\u00a0", " ");
}

/** The ghost text once the model has written all of it. */
export async function wholeGhost() {
  let before;
  return until("all of the ghost text is shown", async () => {
    const shown = await ghost();
    const isWhole = shown !== "" && shown === before && /^phi-ls$/.test(await statusText());
    before = shown;
    await page.waitForTimeout(isWhole ? 0 : 500);
    return isWhole && shown;
  });
}

/** Asks with the key for it. Right after a start the key may come to nothing: then it is pressed again. */
export async function askForGhostText() {
  await until("ghost text is shown", async () => {
    await page.keyboard.press("Alt+Backslash");
    await page.waitForSelector(".ghost-text-decoration", { timeout: 5000 });
    return ghost();
  });
}

/** What the model says, about a place in the saved file if there is one, asked on the command line from the project's root. */
export function fromTheCommandLine(command, ...place) {
  const out = execFileSync(process.env.PHI_LS_BIN, [...command, "--model", "starter", "--json", ...place], {
    cwd: workspace,
  });
  return JSON.parse(out.toString());
}

export async function picture(name) {
  if (process.env.PICTURES) {
    await page.screenshot({ path: join(process.env.PICTURES, name) });
  }
}

/** Opens the menu of code actions, keeps a picture of it if that has a name, and takes the action `title`. */
export async function choose(title, name) {
  const action = page.locator(`.action-widget .monaco-list-row:has-text("${title}")`);
  await until(`the menu offers ${title}`, async () => {
    await page.keyboard.press("Control+.");
    await action.waitFor({ timeout: 5000 });
    return true;
  });
  if (name) {
    await picture(name);
  }
  await action.click();
}

/**
 * Runs a command by its name in the palette. What still closes, or opens by itself, can take the palette's place: it is
 * opened until it has the keyboard and the command stands in it. The click that runs the command happens once.
 */
export async function run(command) {
  const row = page.locator(`.quick-input-list .monaco-list-row:has-text("${command}")`).first();
  const palette = () => {
    const active = document.activeElement;
    return active?.closest(".quick-input-widget") && active.value?.startsWith(">");
  };
  await until(`the palette shows ${command}`, async () => {
    await page.keyboard.press("F1");
    await page.waitForFunction(palette, undefined, { timeout: 3000 });
    await page.keyboard.type(command);
    await row.waitFor({ timeout: 5000 });
    return true;
  });
  await row.click();
}

export async function closeTab(title) {
  await page.click(`.tab:has-text("${title}") .tab-actions .action-label`, { timeout: 5000 });
}
