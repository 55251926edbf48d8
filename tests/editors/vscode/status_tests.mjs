// The item in the status bar: what the server is doing, to those who see it and to those who hear it.

import { open, openStatusMenu, page, picture, run, status, statusLabel, until, useServer } from "./editor.mjs";

/** What the server says, by the documents at which the scripted one says it, and what is shown. */
const STATES = {
  "status-loading.json": {
    said: { state: "loading", message: "loading Phi", model: "Phi", fraction: 0.419 },
    icon: "loading",
    text: /^phi-ls 41%$/,
    label: /^phi-ls loading 41%, Phi: loading Phi$/,
  },
  "status-busy.json": {
    said: { state: "busy", message: "completing", model: "Phi", tokensPerSecond: 8.25 },
    icon: "sync",
    text: /^phi-ls$/,
    label: /^phi-ls busy, Phi: completing, 8\.3 tokens\/s$/,
  },
  "status-error.json": {
    said: { state: "error", message: "there is no model", model: "Phi" },
    icon: "error",
    text: /^phi-ls$/,
    label: /^phi-ls error, Phi: there is no model$/,
  },
  "status-ready.json": {
    said: { state: "ready", message: "ready", model: "Phi", tokensPerSecond: 23.4 },
    icon: "check",
    text: /^phi-ls$/,
    label: /^phi-ls ready, Phi: ready, 23 tokens\/s$/,
  },
};

export const files = Object.fromEntries(Object.entries(STATES).map(([file, { said }]) => [file, JSON.stringify(said)]));

export async function before() {
  await useServer(process.env.SCRIPTED_SERVER);
}

export const tests = {
  async "the status item says what the server is doing, with the model and its speed"() {
    for (const [file, { icon, text, label }] of Object.entries(STATES)) {
      await open(file);
      await status(text);
      await until(`the status item says ${label}`, async () => label.test(await statusLabel()));
      await page.waitForSelector(`.statusbar-item[id*="phi-ls"] .codicon-${icon}`);
    }
  },
  async "its menu says what each choice would do now"() {
    const labels = () => page.$$eval(".quick-input-list .monaco-list-row .label-name", (all) => all.map((one) => one.textContent.trim()));
    await openStatusMenu();
    await until("the menu is there", async () => (await labels()).includes("Turn Completions Off for json"));
    await picture("menu.png");
    await page.keyboard.type("for json");
    await page.waitForSelector('.quick-input-list .monaco-list-row.focused:has-text("Off for json")');
    await page.keyboard.press("Enter");
    await until("it is off", async () => /^phi-ls off, completions are off for json/.test(await statusLabel()));
    await openStatusMenu();
    await until("the menu would turn them on", async () => (await labels()).includes("Turn Completions On for json"));
    await page.keyboard.type("for json");
    await page.waitForSelector('.quick-input-list .monaco-list-row.focused:has-text("On for json")');
    await page.keyboard.press("Enter");
    await until("it is on", async () => /^phi-ls ready/.test(await statusLabel()));
  },
};
