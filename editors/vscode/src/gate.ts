// Where completions are off, none is asked for, and the server is told so that it computes nothing ahead.

import * as vscode from "vscode";
import type { LanguageClient, Middleware } from "vscode-languageclient/node";
import { documentKey, documentSelector } from "./documents";
import type { Growth } from "./growth";
import type { Switches } from "./switches";

export class Gate implements vscode.Disposable {
  /** The documents that the server has been told completions are off for, by their URIs. */
  private readonly told = new Set<string>();
  /** Why a person who asked in a document got nothing, as they were told last. */
  private readonly refused = new Map<string, string>();
  private readonly disposables: vscode.Disposable[];

  constructor(
    private readonly switches: Switches,
    private readonly growth: Growth,
    private readonly client: () => LanguageClient | undefined,
  ) {
    this.disposables = [
      switches.onDidChange(() => this.tell(vscode.workspace.textDocuments)),
      vscode.workspace.onDidCloseTextDocument((document) => this.refused.delete(documentKey(document))),
    ];
  }

  readonly middleware: Middleware = {
    provideInlineCompletionItems: (document, position, context, token, next) => {
      if (this.growth.answers(context)) {
        return [];
      }
      const off = this.switches.offFor(document);
      if (off === undefined) {
        return next(document, position, context, token);
      }
      if (context.triggerKind === vscode.InlineCompletionTriggerKind.Invoke) {
        this.refuse(document, off.reason);
      }
      return [];
    },
    didOpen: async (document, next) => {
      await next(document);
      this.opened([document]);
    },
    notebooks: {
      didOpen: async (notebook, cells, next) => {
        await next(notebook, cells);
        this.opened(cells.map(({ document }) => document));
      },
      didChange: async (event, next) => {
        await next(event);
        this.opened(event.cells?.structure?.didOpen?.map(({ document }) => document) ?? []);
      },
    },
  };

  dispose(): void {
    vscode.Disposable.from(...this.disposables).dispose();
  }

  /** The server has opened `documents`: it takes completions to be on in them. */
  private opened(documents: vscode.TextDocument[]): void {
    documents.forEach(({ uri }) => this.told.delete(uri.toString()));
    this.tell(documents);
  }

  /** Tells the server in which of `documents` completions have been turned off or on. */
  private tell(documents: readonly vscode.TextDocument[]): void {
    const client = this.client();
    const known = documentSelector();
    for (const document of documents.filter((document) => vscode.languages.match(known, document) > 0)) {
      const [uri, off] = [document.uri.toString(), this.switches.isOff(document)];
      if (off !== this.told.has(uri) && client?.isRunning()) {
        const params = { uri: client.code2ProtocolConverter.asUri(document.uri), enabled: !off };
        void client.sendNotification("phi-ls/setCompletions", params);
        off ? this.told.add(uri) : this.told.delete(uri);
      }
    }
  }

  /** Tells a person who asks by hand why there is nothing, once per document and reason. */
  private refuse(document: vscode.TextDocument, reason: string): void {
    const key = documentKey(document);
    if (this.refused.get(key) !== reason) {
      this.refused.set(key, reason);
      void vscode.window.showInformationMessage(`phi-ls: ${reason}`);
    }
  }
}
