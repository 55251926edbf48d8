// The first start: the walkthrough leads to a completion and to an explanation, and its steps are ticked off. What the
// program says of itself is there to read.

import assert from "node:assert/strict";
import { panel } from "./assistant_tests.mjs";
import { closeTab, ghost, page, picture, run, statusLabel, until, useServer, wholeGhost } from "./editor.mjs";

function step(name) {
  return page.locator(`.getting-started-step[data-step-id$="#${name}"]`);
}

async function openWalkthrough() {
  await run("phi-ls: Get Started");
  await step("server").waitFor();
}

/** Opens a step, and presses its button. */
async function take(name, label) {
  await until(`the step ${name} is open`, async () => {
    await step(name).click({ timeout: 2000 });
    return page.waitForSelector(`.getting-started-step.expanded[data-step-id$="#${name}"]`, { timeout: 2000 });
  });
  await step(name).locator(`.monaco-button:has-text("${label}")`).click();
}

async function ticked(name) {
  await until(`the step ${name} is ticked off`, () => step(name).locator('[role="checkbox"][aria-checked="true"]').count());
}

/** Closes what is open, saved or not. */
async function closeAll() {
  await until("nothing is open", async () => {
    if ((await page.$$(".tab")).length === 0) {
      return true;
    }
    await run("View: Revert and Close Editor");
    return false;
  });
}

export function before() {
  return useServer(process.env.PHI_LS_BIN);
}

export const tests = {
  async "the walkthrough leads to a completion and an explanation"() {
    await openWalkthrough();
    for (const name of ["server", "model"]) {
      await ticked(name);
    }
    await take("completion", "Complete an Example");
    await until("ghost text is shown", ghost);
    await wholeGhost();
    await picture("walkthrough.png");
    await page.keyboard.press("Tab");
    await ticked("completion");
    await openWalkthrough();
    await take("explain", "Explain the Example");
    await until("the panel has the answer", async () => (await panel())?.input);
    await openWalkthrough();
    await ticked("explain");
    await take("settings", "Open the Settings");
    await page.waitForSelector(".settings-editor");
    await openWalkthrough();
    await ticked("settings");
    await closeAll();
  },
  async "the doctor and the statistics are there to read, and ask for no saving"() {
    for (const [command, title, words] of [
      ["Run the Doctor", "phi-ls Doctor", /memory/i],
      ["Show Statistics", "phi-ls Statistics", /shown/i],
    ]) {
      await run(`phi-ls: ${command}`);
      await page.waitForSelector(`.tab.active:has-text("${title}")`);
      await until(`${title} says ${words}`, async () => words.test(await page.textContent(".editor-group-container.active .view-lines")));
      await picture(`${title.toLowerCase().replace(" ", "-")}.png`);
      await closeTab(title);
      assert.equal(await page.$(`.tab:has-text("${title}")`), null);
    }
  },
  async "the status item says how fast the model has written"() {
    await until("it does", async () => /ready, \d+(\.\d)? tokens\/s/.test(await statusLabel()));
  },
};
