// VS Code in Chromium, driven with real keys. What is in a buffer is read from the saved file. Everything waits for what
// it expects to see.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const WAIT_MS = Number(process.env.PHI_LS_TEST_WAIT_MS ?? 120_000);

export const [port, workspace] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"],
});
export const page = await browser.newPage({ viewport: { width: 1000, height: 600 } });
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

export async function status(expected) {
  await until(`the status bar says ${expected}`, async () =>
    expected.test((await page.textContent('.statusbar-item[id*="phi-ls"]', { timeout: 1000 }))?.trim() ?? ""),
  );
}

/** What the model says about a place in the saved file, asked on the command line from the project's root. */
export function fromTheCommandLine(command, place) {
  const out = execFileSync(process.env.PHI_LS_BIN, [...command, "--model", "starter", "--json", place], {
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

/** Runs a command by its name in the palette. */
export async function run(command) {
  await page.keyboard.press("F1");
  await page.keyboard.type(command);
  await page.locator(`.quick-input-list .monaco-list-row:has-text("${command}")`).first().click();
}

export async function closeTab(title) {
  await page.click(`.tab:has-text("${title}") .tab-actions .action-label`, { timeout: 5000 });
}
