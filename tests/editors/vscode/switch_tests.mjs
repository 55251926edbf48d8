// Off is off: nothing is asked, and the server is told. The status item and, to those who ask by hand, a message say why.

import assert from "node:assert/strict";
import {
  clearNotices,
  ghost,
  notices,
  open,
  openStatusMenu,
  page,
  picture,
  run,
  saved,
  statusLabel,
  until,
  useServer,
  useSettings,
} from "./editor.mjs";
import { Record } from "./record.mjs";

const [FILE, REFUSED] = ["switches.py", "refused.py"];

export const files = { [FILE]: "\n", [REFUSED]: "\n" };

const record = new Record();

/** The settings that the server was told last. */
function told() {
  const { message } = record.update().messages.findLast(({ message: { method } }) => /^(initialize|workspace\/didChangeConfiguration)$/.test(method));
  return message.params.initializationOptions ?? message.params.settings["phi-ls"];
}

function asked() {
  return record.update().all("textDocument/inlineCompletion").length;
}

async function says(expected) {
  await until(`the status item says ${expected}`, async () => expected.test(await statusLabel()));
}

/** Puts the cursor at the end of the file's first line. */
async function focus() {
  await page.click(".editor-group-container.active .monaco-editor .view-line >> nth=0");
  await page.keyboard.press("End");
}

/** Types a key, and expects ghost text. */
async function isOn() {
  await says(/^(?!.*completions are)/s);
  await focus();
  await until("ghost text is shown", async () => {
    await page.keyboard.type("x");
    await page.waitForSelector(".ghost-text-decoration", { timeout: 3000 });
    return ghost();
  });
}

/** Types keys, and expects that nothing is asked. */
async function isOff(reason) {
  await says(reason);
  await focus();
  const before = asked();
  const text = "yy";
  await page.keyboard.type(text);
  await until("the keys are there", () => record.update().texts.get(record.uri(FILE))?.includes(text));
  // What is asked for a key is asked before the next key's change is sent.
  await page.keyboard.press("Backspace");
  await page.keyboard.press("Backspace");
  await until("the keys are gone", () => !record.update().texts.get(record.uri(FILE)).includes(text));
  assert.equal(asked(), before, "it was asked");
  await until("no ghost text is shown", async () => (await ghost()) === "");
}

/** Takes what is called so from the list that opens. */
async function pick(label) {
  await page.waitForSelector(`.quick-input-list .monaco-list-row:has-text("${label}")`);
  // By keys: the list moves while it opens.
  await page.keyboard.type(label);
  await page.waitForSelector(`.quick-input-list .monaco-list-row.focused:has-text("${label}")`);
  await page.keyboard.press("Enter");
}

export async function before() {
  await useServer(process.env.SCRIPTED_SERVER);
  await open(FILE);
}

export const tests = {
  async "a snooze ends what is asked until it is over"() {
    await isOn();
    await run("phi-ls: Snooze Completions");
    await picture("snooze.png");
    await pick("15 minutes");
    await isOff(/completions are snoozed until \d+:\d\d/);
    assert.equal(told()["completion.enabled"], false);
    await run("phi-ls: Snooze Completions");
    await pick("End Snooze");
    await isOn();
    assert.notEqual(told()["completion.enabled"], false);
  },
  async "who asks by hand while completions are off is told why, once"() {
    await run("phi-ls: Turn Completions On or Off");
    await isOff(/completions are off: .phi-ls.completion.enabled. is false/);
    assert.equal(told()["completion.enabled"], false);
    await until("a message says it", async () => {
      await page.keyboard.press("Alt+Backslash");
      return (await notices()).some((notice) => notice.includes("completions are off"));
    });
    await page.keyboard.press("Alt+Backslash");
    await clearNotices();
    await focus();
    await page.keyboard.press("Alt+Backslash");
    await isOff(/completions are off/);
    assert.deepEqual(await notices(), []);
    await run("phi-ls: Turn Completions On or Off");
    await isOn();
  },
  async "a document and a language can be turned off, by the menu of the status item"() {
    for (const [choice, reason] of [
      ["for This Document", /completions are off for this document/],
      ["for python", /completions are off for python/],
    ]) {
      await openStatusMenu();
      await pick(choice);
      await isOff(reason);
      await openStatusMenu();
      await pick(choice);
      await isOn();
    }
  },
  async "the server is told of a document that is turned off, and told again when it is another server"() {
    const of = () => record.update().all("phi-ls/setCompletions").map(({ uri, enabled }) => [uri, enabled]);
    const uri = record.uri(`/${FILE}`);
    assert.deepEqual(of(), [[uri, false], [uri, true]]);
    await run("phi-ls: Turn Completions On or Off for This Document");
    await isOff(/completions are off for this document/);
    await run("phi-ls: Restart Server");
    await until("the other server is told", () => of().length === 4);
    assert.deepEqual(of().slice(2), [[uri, false], [uri, false]]);
    await run("phi-ls: Turn Completions On or Off for This Document");
    await isOn();
  },
  async "what VS Code does not show is not computed"() {
    useSettings({ "editor.inlineSuggest.enabled": false });
    await isOff(/completions are off: .editor.inlineSuggest.enabled. is false/);
    assert.equal(told()["completion.enabled"], false);
    useSettings({ "[python]": { "editor.inlineSuggest.enabled": false } });
    await isOff(/editor.inlineSuggest.enabled. is false for python/);
    assert.notEqual(told()["completion.enabled"], false);
    assert.equal(told()["completion.languages.python"], false);
    useSettings({});
    await isOn();
    assert.equal(told()["completion.languages.python"], undefined);
    await page.keyboard.press("Control+a");
    await page.keyboard.press("Delete");
    await saved(FILE, "");
  },
  async "the status item says what the server has against a document"() {
    await open(REFUSED);
    await says(/the file is not to be read/);
    await open(FILE);
    await says(/^(?!.*not to be read)/s);
  },
};
