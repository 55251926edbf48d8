// Random keys, the same on every run: what the server believes is what is in the buffer, ghost text is the answer for the
// text as it is, accepting it inserts what was answered, undo leads back to the beginning, and no log has an error.

import assert from "node:assert/strict";
import { errorsInLogs, ghost, notices, onDisk, open, page, run, saved, until, useServer, useSettings } from "./editor.mjs";
import { Record } from "./record.mjs";

const KEYS = 500;
const LINES = ["def total(values):", "    result = 0", "    for value in values:", "        result += value", "    return result", ""];

export const files = { "keys.py": LINES.join("\n"), "keys_crlf.py": LINES.join("\r\n") };

/** A linear congruential generator: numbers less than `limit`. */
function random(seed) {
  let state = BigInt(seed);
  return (limit) => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number((state >> 33n) % BigInt(limit));
  };
}

const WORDS = ["value", "result", "return ", "if ", "x = ", "print", "\u00e4\u6f22\ud83d\ude00"];
const CHARACTERS = ["(", "[", "{", '"', "'", ")", "]", "}", ":", ",", " ", "a", "1", "#"];

/** What can be done at one place of a text: how likely, and how. */
const ACTIONS = [
  [12, async ({ below }) => page.keyboard.type(WORDS[below(WORDS.length)])],
  [16, async ({ below }) => page.keyboard.type(CHARACTERS[below(CHARACTERS.length)])],
  [8, () => page.keyboard.press("Enter")],
  [8, () => page.keyboard.press("Backspace")],
  [2, () => page.keyboard.press("Delete")],
  [4, (session) => accept(session)],
  [3, () => page.keyboard.press("Control+ArrowRight")],
  [2, () => page.keyboard.press("Escape")],
  [5, () => page.keyboard.press("Control+z")],
  [3, () => page.keyboard.press("Control+Shift+z")],
  [8, ({ below }) => page.keyboard.press(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"][below(4)])],
  [3, ({ below }) => page.keyboard.press(["Home", "End", "Control+Home", "Control+End"][below(4)])],
  [1, () => page.keyboard.press("Control+x")],
  [2, () => page.keyboard.press("Control+v")],
  [2, () => page.keyboard.press("Shift+ArrowDown")],
  [2, () => page.keyboard.press("Control+Space")],
  [2, () => page.keyboard.press("Alt+Backslash")],
  [1, (session) => split(session)],
  [2, (session) => jump(session)],
];
const WEIGHTS = ACTIONS.reduce((sum, [weight]) => sum + weight, 0);

async function split(session) {
  if (!session.split) {
    session.split = true;
    await page.keyboard.press("Control+Backslash");
  } else {
    await page.keyboard.press(`Control+${1 + session.below(2)}`);
  }
}

async function jump({ below }) {
  const { x, y, width, height } = await page.locator(".editor-group-container.active .view-lines").boundingBox();
  await page.mouse.click(x + below(Math.min(300, width)), y + below(Math.min(200, height)));
}

/** Waits until everything is said and answered; the newest answer for the file. */
async function settled({ record, uri }) {
  let before = -1;
  await until("all is said", async () => {
    const { length } = record.update().messages;
    // While the model writes, ghost text grows.
    const isIdle = record.all("phi-ls/status").at(-1)?.state !== "busy";
    const isQuiet = length === before && isIdle && record.pending(uri) === 0;
    before = length;
    await page.waitForTimeout(isQuiet ? 0 : 100);
    return isQuiet;
  });
  return record.answered.get(uri);
}

/** Whether all characters of `part` but blanks are in `whole`, in order. */
function isPart(part, whole) {
  let at = 0;
  return [...part].filter((character) => /\S/.test(character)).every((character) => (at = whole.indexOf(character, at) + 1) > 0);
}

/** Checks the ghost text on the screen, if there is some; the item it comes from. */
async function checkGhost(session) {
  const answer = await settled(session);
  const shown = await ghost();
  if (shown.trim() === "" || (await page.$(".suggest-widget.visible"))) {
    return undefined;
  }
  const { record, uri } = session;
  assert.equal(answer.version, record.versions.get(uri), `stale ghost text: ${shown}`);
  // Below several lines of ghost text, the rest of the buffer's line is drawn behind them.
  const rest = (end) => record.texts.get(uri).split("\n")[end.line].slice(end.character);
  const item = answer.items.find(({ insertText, range }) => isPart(shown, insertText + rest(range.end)));
  assert.ok(item, `${shown} is none of ${JSON.stringify(answer.items)}`);
  return item;
}

/** Accepts ghost text, if there is some or the server has some, and checks what that makes of the text. */
async function accept(session) {
  const { record, uri } = session;
  let item = await checkGhost(session);
  if (item === undefined) {
    await page.keyboard.press("Alt+Backslash");
    item = await checkGhost(session);
  }
  // Where it begins with an indent, or something is selected, Tab indents.
  if (item === undefined || /^[ \t]/.test(item.insertText) || (await page.$(".selected-text"))) {
    return;
  }
  const before = record.texts.get(uri);
  const eol = before.includes("\r\n") ? "\r\n" : "\n";
  const expected = record.replaced(before, item.range, item.insertText.replace(/\r?\n/g, eol));
  await page.keyboard.press("Tab");
  session.accepted++;
  await until(`the text is ${JSON.stringify(expected)}, not ${JSON.stringify(before)}`, () => record.update().texts.get(uri) === expected, 10_000);
}

/** Checks that the server has the text that is in the buffer. */
async function checkText(file, session) {
  await checkGhost(session);
  await saved(file, () => onDisk(file) === session.record.update().texts.get(session.uri));
}

async function press(file, seed) {
  await open(file);
  const record = new Record();
  const uri = await until("the server knows the file", () => record.update().uri(`/${file}`));
  const session = { record, uri, below: random(seed), split: false, accepted: 0 };
  await page.keyboard.press("Control+Home");
  for (let key = 1; key <= KEYS; key++) {
    let at = session.below(WEIGHTS);
    const [, act] = ACTIONS.find(([weight]) => (at -= weight) < 0);
    await act(session);
    if (key % 50 === 0) {
      await page.keyboard.press("Escape");
      await checkText(file, session);
    }
  }
  assert.ok(session.accepted > 0, "nothing was accepted");
  await until("undo leads back to the beginning", async () => {
    for (let undo = 0; undo < 20; undo++) {
      await page.keyboard.press("Control+z");
    }
    return record.update().texts.get(uri) === files[file];
  });
  await checkText(file, session);
  if (session.split) {
    await run("View: Join All Editor Groups");
  }
}

async function withoutErrors(test) {
  useSettings({
    "editor.wordBasedSuggestions": "currentDocument",
    "editor.autoIndent": "full",
    // Little to read and to write: what is shown is not judged.
    "phi-ls.completion.contextTokens": 256,
    "phi-ls.completion.maxTokens": 12,
  });
  const before = errorsInLogs().length;
  await test();
  assert.deepEqual(errorsInLogs().slice(before), []);
  assert.deepEqual(await notices(), []);
  useSettings({});
}

export function before() {
  return useServer(process.env.RECORDING_SERVER);
}

export const tests = {
  async [`${KEYS} random keys with lines that end in LF`]() {
    await withoutErrors(() => press("keys.py", 1));
  },
  async [`${KEYS} random keys with lines that end in CRLF`]() {
    await withoutErrors(() => press("keys_crlf.py", 2));
  },
};
