// What runs inside the panel: shows what the extension sends, and sends what a person asks. Answers are a model's: only
// what Markdown makes of plain text is let through.

import type { PageState, PageMessage } from "../page_protocol";

declare function acquireVsCodeApi(): { postMessage(message: PageMessage): void };

const ALLOWED = new Set(
  (
    "A B BLOCKQUOTE BR CODE DEL DIV EM H1 H2 H3 H4 H5 H6 HR I LI OL P PRE S SPAN STRONG SUB SUP TABLE TBODY TD TH THEAD " +
    "TR UL"
  ).split(" "),
);

const vscode = acquireVsCodeApi();
const main = document.querySelector("main") as HTMLElement;
const footer = document.querySelector("footer") as HTMLElement;
const input = document.querySelector("input") as HTMLInputElement;
let partsShown = 0;
/** The newest question is kept in sight while its answer grows, until a person scrolls. */
let pinned = false;

/** Takes out of `parent` whatever is not Markdown's; a tag that is none (`Vec<String>`) stays as text. */
function clean(parent: Element): void {
  for (const child of [...parent.children]) {
    clean(child);
    if (!ALLOWED.has(child.tagName)) {
      child.replaceWith(`<${child.localName}>`, ...child.childNodes);
      continue;
    }
    for (const { name, value } of [...child.attributes]) {
      if (name !== "class" && !(name === "href" && /^https?:/.test(value))) {
        child.removeAttribute(name);
      }
    }
  }
}

function cleaned(html: string): Node[] {
  // Nothing is loaded or run in a document that is not shown.
  const parsed = new DOMParser().parseFromString(html, "text/html");
  clean(parsed.body);
  return [...parsed.body.childNodes];
}

function show({ parts, note, canAsk }: PageState): void {
  let newest: HTMLElement | undefined;
  const nodes = parts.flatMap(({ question, html }) => {
    const body = cleaned(html);
    if (question === undefined) {
      return body;
    }
    newest = document.createElement("h2");
    newest.textContent = question;
    return [newest, ...body];
  });
  main.replaceChildren(...nodes);
  footer.textContent = note;
  input.hidden = !canAsk;
  pinned ||= parts.length > partsShown;
  partsShown = parts.length;
  if (pinned) {
    newest?.scrollIntoView();
  }
}

for (const event of ["wheel", "pointerdown", "touchmove"]) {
  window.addEventListener(event, () => {
    pinned = false;
  });
}

window.addEventListener("message", (event: MessageEvent<PageState>) => show(event.data));
input.addEventListener("keydown", (event) => {
  const question = input.value.trim();
  if (event.key === "Enter" && !event.isComposing && question !== "") {
    input.value = "";
    vscode.postMessage({ question });
  }
});
vscode.postMessage({ ready: true });
