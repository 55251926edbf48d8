// Ghost text: shown, accepted, taken back, dismissed.

import assert from "node:assert/strict";
import { askForGhostText, fromTheCommandLine, ghost, page, picture, run, saved, status, until, wholeGhost } from "./editor.mjs";

const FILE = "shapes.py";
export const LINES = [
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

/** Open at the start, with the cursor at its end. */
export const files = { [FILE]: START + TYPED.trimEnd() };

/** Selects and deletes the last line's text. */
async function clearLine() {
  await page.keyboard.press("Shift+Home");
  await page.keyboard.press("Shift+Home");
  await page.keyboard.press("Delete");
}

export const tests = {
  // One key: a completion from before a key, which the key agrees with, may be another one.
  async "ghost text is what the model says"() {
    const shown = await until("ghost text is shown", async () => {
      await page.keyboard.press("Space");
      try {
        await page.waitForSelector(".ghost-text-decoration", { timeout: 20_000 });
        return await wholeGhost();
      } catch (timeout) {
        // Right after a start a key may come to nothing: the line is typed again.
        await clearLine();
        await page.keyboard.type(TYPED.trimEnd(), { delay: 30 });
        throw timeout;
      }
    });
    await picture("ghost-text.png");
    await saved(FILE, START + TYPED);
    const { text } = fromTheCommandLine(["complete"], `${FILE}:${LINES.length}:${TYPED.length + 1}`);
    assert.equal(shown, text);
  },
  async "typing shows ghost text that is not in the buffer"() {
    await clearLine();
    await saved(FILE, START);
    await page.keyboard.type(TYPED, { delay: 30 });
    await until("ghost text is shown", ghost);
    await saved(FILE, START + TYPED);
  },
  async "Tab puts exactly the ghost text into the buffer, and undo takes it back"() {
    const shown = await wholeGhost();
    await page.keyboard.press("Tab");
    await saved(FILE, START + TYPED + shown);
    await page.keyboard.press("Control+z");
    await saved(FILE, START + TYPED);
  },
  async "Escape dismisses it"() {
    await askForGhostText();
    await page.keyboard.press("Escape");
    await until("it is gone", async () => (await ghost()) === "");
    await saved(FILE, START + TYPED);
  },
  async "a model is chosen among those installed"() {
    const row = (text) => page.waitForSelector(`.quick-input-list .monaco-list-row:has-text("${text}")`);
    await run("phi-ls: Choose a Model");
    await row("phi-3.5-mini");
    await picture("models.png");
    await page.keyboard.type("starter");
    await row("starter");
    await page.keyboard.press("Enter");
    await row("Questions");
    await page.keyboard.type("Questions");
    await page.keyboard.press("Enter");
    await until("it is chosen", async () => {
      await run("phi-ls: Choose a Model");
      const chosen = await row("chosen for").then((found) => found.textContent());
      await page.keyboard.press("Escape");
      return /starter.*chosen for (completions and )?questions/.test(chosen);
    });
  },
  async "the server can be restarted"() {
    await run("phi-ls: Restart Server");
    await status(/^phi-ls$/);
    await page.click(".monaco-editor .view-line >> nth=0");
    await page.keyboard.press("Control+End");
    await askForGhostText();
    await page.keyboard.press("Escape");
    await saved(FILE, START + TYPED);
  },
};
