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
const stop = document.querySelector("#stop") as HTMLButtonElement;
const copyAnswer = document.querySelector("#copy") as HTMLButtonElement;
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

function button(label: string, press: () => void): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.addEventListener("click", press);
  return made;
}

/** Puts below each block of code what can be done with it. */
function addCodeActions(): void {
  for (const block of main.querySelectorAll("pre")) {
    const code = (block.textContent ?? "").replace(/\n$/, "");
    const actions = document.createElement("div");
    actions.className = "actions";
    actions.append(
      button("Insert at Cursor", () => vscode.postMessage({ insert: code })),
      button("Copy Code", () => vscode.postMessage({ copy: code })),
    );
    block.after(actions);
  }
}

function show({ parts, note, isWriting, canAsk }: PageState): void {
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
  // While code is still written, buttons would move away under the pointer.
  if (!isWriting) {
    addCodeActions();
  }
  main.setAttribute("aria-busy", String(isWriting));
  footer.textContent = note;
  input.hidden = !canAsk;
  copyAnswer.hidden = isWriting || main.textContent === "";
  const hadFocus = document.activeElement === stop;
  stop.hidden = !isWriting;
  if (hadFocus && stop.hidden) {
    // The focus stays in the panel.
    (canAsk ? input : copyAnswer).focus();
  }
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
window.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !stop.hidden) {
    vscode.postMessage({ stop: true });
  }
});
stop.addEventListener("click", () => vscode.postMessage({ stop: true }));
copyAnswer.addEventListener("click", () => vscode.postMessage({ copyAnswer: true }));
input.addEventListener("keydown", (event) => {
  const question = input.value.trim();
  if (event.key === "Enter" && !event.isComposing && question !== "") {
    input.value = "";
    vscode.postMessage({ question });
  }
});
vscode.postMessage({ ready: true });
