// Where people write beside files: each place has completions, and the cells of a notebook come as one.

import assert from "node:assert/strict";
import { ghost, page, picture, run, until, useServer } from "./editor.mjs";
import { Record } from "./record.mjs";

const NOTEBOOK = "numbers.ipynb";
const CELLS = ["import math", "radius = 2", "print(radius)"];

function cell(source) {
  return { cell_type: "code", execution_count: null, metadata: {}, outputs: [], source: [source] };
}

const metadata = { language_info: { name: "python" }, kernelspec: { display_name: "Python", language: "python", name: "python3" } };

export const files = {
  [NOTEBOOK]: JSON.stringify({ cells: CELLS.map(cell), metadata, nbformat: 4, nbformat_minor: 5 }),
};

/** Types where the cursor is, and waits for the ghost text that the scripted server has for documents of `scheme`. */
async function completes(scheme) {
  const shown = await until(`ghost text is shown in ${scheme}`, async () => {
    await page.keyboard.type("x");
    await page.waitForSelector(".ghost-text-decoration", { timeout: 3000 });
    return ghost();
  });
  assert.equal(shown, `in_${scheme.replaceAll("-", "_")}`);
}

async function openNotebook() {
  await until(`${NOTEBOOK} is open`, async () => {
    await page.dblclick(`.explorer-folders-view .monaco-list-row:has-text("${NOTEBOOK}")`, { timeout: 2000 });
    return page.waitForSelector(".notebook-editor .cell-list-container .monaco-editor .view-line", { timeout: 5000 });
  });
}

export function before() {
  return useServer(process.env.SCRIPTED_SERVER);
}

export const tests = {
  async "a notebook's cells have completions, and the server knows their order"() {
    await openNotebook();
    await page.click(`.notebook-editor .view-line:has-text("${CELLS[1]}")`);
    await page.keyboard.press("End");
    await completes("vscode-notebook-cell");
    await picture("notebook.png");
    const record = new Record().update();
    const opened = record.all("notebookDocument/didOpen").at(-1);
    assert.deepEqual(opened.cellTextDocuments.map(({ text }) => text), CELLS);
    assert.deepEqual(opened.notebookDocument.cells.map(({ document }) => document), opened.cellTextDocuments.map(({ uri }) => uri));
    const [change] = record.all("notebookDocument/didChange").at(-1).change.cells.textContent;
    assert.equal(change.document.uri, opened.cellTextDocuments[1].uri);
    assert.ok(record.all("textDocument/didOpen").every(({ textDocument: { uri } }) => !uri.startsWith("vscode-notebook-cell")));
  },
  async "a document without a name has completions"() {
    await run("File: New Untitled Text File");
    await page.waitForSelector('.tab.active:has-text("Untitled-1")');
    await completes("untitled");
  },
  async "a file of a virtual file system has completions"() {
    await run("Places: Open Virtual File");
    await page.waitForSelector('.tab.active:has-text("virtual.py")');
    await completes("vscode-vfs");
  },
  async "the person's settings have completions"() {
    await run("Preferences: Open User Settings (JSON)");
    await page.waitForSelector('.tab.active:has-text("settings.json")');
    await page.keyboard.press("Control+Home");
    // To an extension on the same machine they are a file; elsewhere their scheme is vscode-userdata.
    await completes("file");
    // With changes, VS Code itself could not change them.
    await run("File: Revert File");
    await page.waitForSelector(".tab.active:not(.dirty)");
  },
  async "the box of a commit message has completions"() {
    await run("Source Control: Focus on Changes View");
    await page.click(".scm-editor .monaco-editor");
    await completes("vscode-scm");
    await run("File: Focus on Files Explorer");
  },
  // Ghost text VS Code does not show there (yet): its editor has no part for it.
  async "the input of an interactive window is known to the server"() {
    await run("Places: Open Interactive Window");
    await page.click('.editor-group-container.active .monaco-editor >> nth=-1');
    await page.keyboard.type("x");
    const record = new Record();
    await until("the server has its text", () => {
      record.update();
      return [...record.texts].some(([uri, text]) => uri.startsWith("vscode-interactive-input:") && text === "x");
    });
  },
};
