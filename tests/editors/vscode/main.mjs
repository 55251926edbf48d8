// Runs the tests, one after the other in one window: node main.mjs PORT WORKSPACE

import { writeFileSync } from "node:fs";
import * as assistant from "./assistant_tests.mjs";
import * as downloads from "./download_tests.mjs";
import { open, page, quit, screenOfFailure, start, status, workspace } from "./editor.mjs";
import * as ends from "./end_tests.mjs";
import * as ghostText from "./ghost_text_tests.mjs";
import * as growth from "./growth_tests.mjs";
import * as firstStart from "./first_start_tests.mjs";
import * as keystrokes from "./keystroke_tests.mjs";
import * as places from "./place_tests.mjs";
import * as statuses from "./status_tests.mjs";
import * as switches from "./switch_tests.mjs";

// The real server first, then one that records what is said, then a scripted one, then none; at last the ends of everything.
const areas = [ghostText, keystrokes, firstStart, assistant, places, growth, switches, statuses, downloads, ends];

let failed = 0;
try {
  for (const [file, text] of areas.flatMap(({ files }) => Object.entries(files ?? {}))) {
    writeFileSync(`${workspace}/${file}`, text);
  }
  await start();
  await open(Object.keys(ghostText.files)[0]);
  await status(/^phi-ls$/);
  await page.keyboard.press("Control+End");
  for (const { before, tests, embedded = {} } of areas) {
    const wanted = Object.entries(tests).filter(([name]) => new RegExp(process.env.PHI_LS_TEST_ONLY ?? "").test(name));
    if (wanted.length > 0) {
      await before?.();
    }
    for (const [name, test] of wanted) {
      if (process.env.PHI_LS_TEST_BACKEND && embedded[name]) {
        console.log(`skip  ${name}: ${embedded[name]}`);
        continue;
      }
      const begun = Date.now();
      await test();
      console.log(`ok    ${name} (${Date.now() - begun} ms)`);
    }
  }
} catch (error) {
  failed = 1;
  console.log(`FAIL  ${error.stack}\n${await screenOfFailure()}`);
}
await quit();
process.exit(failed);
