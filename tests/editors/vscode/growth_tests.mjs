// Ghost text that grows while it is on the screen: frame by frame it only gets longer, and the cursor stays where it is.

import assert from "node:assert/strict";
import { ghost, onDisk, open, page, picture, saved, until, useServer } from "./editor.mjs";
import { Record } from "./record.mjs";

const FILE = "grows.py";
// What the scripted server says in a file called so, one after the other.
const WHOLE = "total(first, second)";
const FIRST = "total(";

export const files = { [FILE]: "\n\n\n" };

const record = new Record();

/** Types the beginning of a statement on `line`, and waits for the first words of what the server has to say. */
async function begin(line, text) {
  await open(FILE);
  for (let down = 0; down < line; down++) {
    await page.keyboard.press("ArrowDown");
  }
  await page.keyboard.type(text);
  await until("the first words are shown", async () => (await ghost()) === FIRST);
}

/** Notes down what is on the screen in each frame from now on. */
function watch() {
  return page.evaluate(() => {
    window.watched = [];
    const look = () => {
      const ghost = [...document.querySelectorAll(".ghost-text-decoration")].map((part) => part.textContent).join("");
      const { left, top } = document.querySelector(".monaco-editor.focused .cursor").getBoundingClientRect();
      window.watched.push({ ghost: ghost.replaceAll("\u00a0", " "), cursor: `${left} ${top}` });
      window.watching = requestAnimationFrame(look);
    };
    look();
  });
}

/** The frames since. */
function watched() {
  return page.evaluate(() => {
    cancelAnimationFrame(window.watching);
    return window.watched;
  });
}

function asked() {
  return record.update().all("textDocument/inlineCompletion").length;
}

function told() {
  return record.update().all("phi-ls/completionGrew").length;
}

export function before() {
  return useServer(process.env.SCRIPTED_SERVER);
}

export const tests = {
  async "ghost text grows without a flicker"() {
    await begin(0, "x = ");
    await watch();
    await picture("grows-first.png");
    await until("all of it is shown", async () => (await ghost()) === WHOLE);
    const frames = await watched();
    frames.forEach(({ ghost: shown }, at) => {
      assert.ok(shown.startsWith(frames[Math.max(0, at - 1)].ghost), `after ${frames[at - 1]?.ghost}: ${JSON.stringify(shown)}`);
    });
    assert.deepEqual([...new Set(frames.map(({ cursor }) => cursor))].length, 1, "the cursor has moved");
    // In more than one step.
    assert.ok(new Set(frames.map(({ ghost: shown }) => shown)).size > 2, JSON.stringify(frames));
    const ofFile = record.update().all("textDocument/inlineCompletion").filter(({ textDocument }) => textDocument.uri.endsWith(FILE));
    assert.ok(ofFile.every(({ context }) => context.triggerKind === 2), "asked by hand");
    await page.keyboard.press("Tab");
    await saved(FILE, `x = ${WHOLE}\n\n\n`);
  },
  async "what is accepted midway stays, and the rest follows"() {
    await begin(1, "y = ");
    await page.keyboard.press("Tab");
    await until("the rest is shown", async () => {
      const shown = await ghost();
      return shown !== "" && shown !== FIRST && WHOLE.endsWith(shown);
    });
    await page.keyboard.press("Tab");
    await saved(FILE, `x = ${WHOLE}\ny = ${WHOLE}\n\n`);
  },
  async "what is dismissed does not come back grown"() {
    await begin(2, "z = ");
    const [before, grown] = [asked(), told()];
    await page.keyboard.press("Escape");
    await until("it is gone", async () => (await ghost()) === "");
    await until("there would be more", () => told() > grown);
    await saved(FILE, () => onDisk(FILE).endsWith("z = \n"));
    assert.equal(await ghost(), "");
    assert.equal(asked(), before);
  },
};
