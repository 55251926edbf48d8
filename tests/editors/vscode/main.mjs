// Runs the tests, one after the other in one window: node main.mjs PORT WORKSPACE

import { writeFileSync } from "node:fs";
import * as assistant from "./assistant_tests.mjs";
import { open, page, quit, screenOfFailure, start, status, workspace } from "./editor.mjs";
import * as ghostText from "./ghost_text_tests.mjs";

let failed = 0;
try {
  for (const [file, text] of Object.entries({ ...ghostText.files, ...assistant.files })) {
    writeFileSync(`${workspace}/${file}`, text);
  }
  await start();
  await open(Object.keys(ghostText.files)[0]);
  await status(/^phi-ls$/);
  await page.keyboard.press("Control+End");
  for (const [name, test] of Object.entries({ ...ghostText.tests, ...assistant.tests })) {
    if (!name.includes(process.env.PHI_LS_TEST_ONLY ?? "")) {
      continue;
    }
    const begun = Date.now();
    await test();
    console.log(`ok    ${name} (${Date.now() - begun} ms)`);
  }
} catch (error) {
  failed = 1;
  console.log(`FAIL  ${error.stack}\n${await screenOfFailure()}`);
}
await quit();
process.exit(failed);
