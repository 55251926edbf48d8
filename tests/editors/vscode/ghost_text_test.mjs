// Drives VS Code with real keys: node ghost_text_test.mjs PORT WORKSPACE. What is in the buffer is read from the saved
// file. Everything waits for what it expects to see.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [port, workspace] = process.argv.slice(2);
const WAIT_MS = Number(process.env.PHI_LS_TEST_WAIT_MS ?? 120_000);
const FILE = "shapes.py";
const LINES = [
  "import math",
  "",
  "",
  "class Circle:",
  "    def __init__(self, radius):",
  "        self.radius = radius",
  "",
  "    def area(self):",
  "        return math.pi * self.radius ** 2",
  "",
  "    def circumference(self):",
  "",
];
// How the last line begins, which the model is to complete.
const TYPED = "        return ";
const START = LINES.join("\n");

writeFileSync(`${workspace}/${FILE}`, START + TYPED.trimEnd());
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"],
});
const page = await browser.newPage({ viewport: { width: 1000, height: 600 } });

async function until(what, condition, waitMs = WAIT_MS) {
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
  const picture = join(tmpdir(), "phi-ls-vscode-failed.png");
  await page.screenshot({ path: picture });
  throw new Error(`timed out waiting until ${what}; last: ${last}; the screen is in ${picture}`);
}

/** The ghost text on the screen: its first line inside the editor's line, the others below. */
async function ghost() {
  const first = await page.$$eval(".ghost-text-decoration", (all) => all.map((one) => one.textContent).join(""));
  const more = await page.$$eval(".suggest-preview-text .view-line, .ghost-text .view-line", (all) =>
    all.map((one) => one.textContent),
  );
  return [first, ...more].join("\n").replaceAll("\u00a0", " ");
}

/** Asks with the key for it. Right after a start the key may come to nothing: then it is pressed again. */
async function askForGhostText() {
  await until("ghost text is shown", async () => {
    await page.keyboard.press("Alt+Backslash");
    await page.waitForSelector(".ghost-text-decoration", { timeout: 5000 });
    return ghost();
  });
}

/** Saves once, and waits until the file on disk is `expected`. */
async function saved(expected) {
  await page.keyboard.press("Control+s");
  await until(
    `the saved file is ${JSON.stringify(expected)}`,
    () => readFileSync(`${workspace}/${FILE}`, "utf8") === expected,
    20_000,
  );
}

async function status(expected) {
  await until(`the status bar says ${expected}`, async () =>
    expected.test((await page.textContent('.statusbar-item[id*="phi-ls"]', { timeout: 1000 }))?.trim() ?? ""),
  );
}

/** What the model says about a place in the saved file, asked on the command line from the project's root. */
function fromTheCommandLine(command, place) {
  const out = execFileSync(process.env.PHI_LS_BIN, [...command, "--model", "starter", "--json", place], {
    cwd: workspace,
  });
  const { text, answer } = JSON.parse(out.toString());
  return text ?? answer;
}

async function picture(name) {
  if (process.env.PICTURES) {
    await page.screenshot({ path: join(process.env.PICTURES, name) });
  }
}

/** What the panel shows: the answer, and what stands below it. Nothing while the panel is loading. */
async function explanation() {
  for (const frame of page.frames()) {
    const read = () => {
      const [main, footer] = ["main", "footer"].map((name) => document.querySelector(name)?.textContent);
      return footer === undefined ? undefined : { text: main.trim(), note: footer };
    };
    const found = frame.url().includes("fake.html") && (await frame.evaluate(read).catch(() => undefined));
    if (found) {
      return found;
    }
  }
  return undefined;
}

function isWriting(shown) {
  return shown.note.startsWith("writing");
}

/** The panel's text at the end of an answer. */
async function finished() {
  return until("the answer is finished", async () => {
    const shown = await explanation();
    return shown && !isWriting(shown) && shown;
  });
}

/** Opens the menu of code actions, keeps a picture of it, and takes the explanation. */
async function chooseExplain(name) {
  const explain = page.locator('.action-widget .monaco-list-row:has-text("Explain")');
  await until("the menu is shown", async () => {
    await page.keyboard.press("Control+.");
    await explain.waitFor({ timeout: 5000 });
    return true;
  });
  if (name) {
    await picture(name);
  }
  await explain.click();
}

/** Markdown and what is rendered of it have these in common. */
function words(text) {
  return text.replace(/^\s*```.*$/gm, "").match(/[a-z]+/gi)?.join(" ");
}

const tests = {
  // One key: a completion from before a key, which the key agrees with, may be another one.
  async "ghost text is what the model says"() {
    const shown = await until("ghost text is shown", async () => {
      await page.keyboard.press("Space");
      try {
        await page.waitForSelector(".ghost-text-decoration", { timeout: 20_000 });
        return ghost();
      } catch (timeout) {
        // Right after a start a key may come to nothing: the line is typed anew.
        await page.keyboard.press("Shift+Home");
        await page.keyboard.press("Shift+Home");
        await page.keyboard.press("Delete");
        await page.keyboard.type(TYPED.trimEnd(), { delay: 30 });
        throw timeout;
      }
    });
    await picture("ghost-text.png");
    await saved(START + TYPED);
    assert.equal(shown, fromTheCommandLine(["complete"], `${FILE}:${LINES.length}:${TYPED.length + 1}`));
  },
  async "typing shows ghost text that is not in the buffer"() {
    // Select and delete what was inserted.
    await page.keyboard.press("Shift+Home");
    await page.keyboard.press("Shift+Home");
    await page.keyboard.press("Delete");
    await saved(START);
    await page.keyboard.type(TYPED, { delay: 30 });
    await until("ghost text is shown", ghost);
    await saved(START + TYPED);
  },
  async "Tab puts exactly the ghost text into the buffer, and undo takes it back"() {
    const shown = await until("ghost text is shown", ghost);
    await page.keyboard.press("Tab");
    await saved(START + TYPED + shown);
    await page.keyboard.press("Control+z");
    await saved(START + TYPED);
  },
  async "Escape dismisses it"() {
    await askForGhostText();
    await page.keyboard.press("Escape");
    await until("it is gone", async () => (await ghost()) === "");
    await saved(START + TYPED);
  },
  async "the menu's explanation is shown in a panel and is what the model says"() {
    const line = LINES.indexOf("    def area(self):");
    await page.keyboard.press("Control+Home");
    for (let down = 0; down < line; down++) {
      await page.keyboard.press("ArrowDown");
    }
    await page.keyboard.press("Shift+ArrowDown");
    await page.keyboard.press("Shift+End");
    await chooseExplain("actions.png");
    const { text, note } = await finished();
    await picture("explanation.png");
    assert.match(note, /smollm2.* \d+\.\d s$/i);
    assert.equal(words(text), words(fromTheCommandLine(["ask", "explain"], `${FILE}:${line + 1}`)));
  },
  async "asked again, it grows in the same panel"() {
    await chooseExplain();
    const begun = await until("the panel shows the begin of an answer", async () => {
      const shown = await explanation();
      return shown?.text && isWriting(shown) && shown;
    });
    const { text } = await finished();
    assert.ok(text.length > begun.text.length, `${text} is longer than ${begun.text}`);
    const tab = '.tab:has-text("Explain")';
    assert.equal((await page.$$(tab)).length, 1);
    await page.click(`${tab} .tab-actions .action-label`, { timeout: 5000 });
    await until("the panel is gone", async () => (await explanation()) === undefined);
    await saved(START + TYPED);
  },
  async "the server can be restarted"() {
    await page.keyboard.press("F1");
    await page.keyboard.type("phi-ls: Restart Server");
    await page.keyboard.press("Enter");
    await status(/^phi-ls$/);
    await page.click(".monaco-editor .view-line >> nth=0");
    await page.keyboard.press("Control+End");
    await askForGhostText();
  },
};

let failed = 0;
try {
  await until("VS Code is up", () => page.goto(`http://127.0.0.1:${port}/?folder=${workspace}`).then(() => true));
  await page.waitForSelector(".monaco-workbench", { timeout: WAIT_MS });
  await until("the file is open", async () => {
    await page.dblclick(`.explorer-folders-view .monaco-list-row:has-text("${FILE}")`, { timeout: 2000 });
    return page.$(".monaco-editor .view-line");
  });
  await status(/^phi-ls$/);
  await page.click(".monaco-editor .view-line >> nth=0");
  await page.keyboard.press("Control+End");
  for (const [name, test] of Object.entries(tests)) {
    const start = Date.now();
    await test();
    console.log(`ok    ${name} (${Date.now() - start} ms)`);
  }
} catch (error) {
  failed = 1;
  console.log(`FAIL  ${error.stack}`);
}
await browser.close();
process.exit(failed);
