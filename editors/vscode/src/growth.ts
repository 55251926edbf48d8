// Ghost text that grows while the server still writes it: the server says that there is more, and VS Code is made to ask again.
//
// VS Code keeps an answer for as long as text and cursor stay the same, whoever asks; but a provider that it has never asked
// is asked. So there is a new one each time, and the command asks that one alone: what is on the screen stays until its
// answer takes the place, in one step. An older VS Code, whose command asks every provider, asks it too.

import * as vscode from "vscode";
import type { LanguageClient, Position } from "vscode-languageclient/node";
import { documentSelector } from "./documents";

/** What the server says: `phi-ls/completionGrew`. */
export interface CompletionGrewParams {
  uri: string;
  version: number;
  position: Position;
}

export class Growth implements vscode.Disposable {
  /** The provider that was asked last. */
  private provider: vscode.Disposable | undefined;
  /** VS Code is about to ask. */
  private isAsking = false;
  /** There is more than what it asks for. */
  private next: CompletionGrewParams | undefined;
  /** Where the person does not want to see more. */
  private dismissed: string | undefined;
  private readonly disposables: vscode.Disposable[];

  constructor(
    /** The extension's name, by which VS Code knows its providers. */
    private readonly extensionId: string,
    private readonly client: () => LanguageClient | undefined,
  ) {
    this.disposables = [vscode.commands.registerCommand("phi-ls.dismiss", () => this.dismiss())];
  }

  dispose(): void {
    this.provider?.dispose();
    vscode.Disposable.from(...this.disposables).dispose();
  }

  /** Whether the request of `context` is the one that is made here, which the newest provider answers. */
  answers({ triggerKind }: vscode.InlineCompletionContext): boolean {
    const isByHand = triggerKind === vscode.InlineCompletionTriggerKind.Invoke;
    if (isByHand && !this.isAsking) {
      // Who asks wants to see it after all.
      this.dismissed = undefined;
    }
    return isByHand && this.isAsking;
  }

  /** Shows what there is more, if the person is still there. */
  async grow(params: CompletionGrewParams): Promise<void> {
    this.next = params;
    if (this.isAsking) {
      return;
    }
    this.isAsking = true;
    try {
      while (this.next !== undefined) {
        const { uri, version, position } = this.next;
        this.next = undefined;
        const [client, editor] = [this.client(), vscode.window.activeTextEditor];
        if (client !== undefined && editor !== undefined && isAt(client, editor, { uri, version, position })) {
          await this.ask(client, editor);
        }
      }
    } finally {
      this.isAsking = false;
    }
  }

  private async ask(client: LanguageClient, editor: vscode.TextEditor): Promise<void> {
    const place = placeOf(editor.document, editor.selection.active);
    if (place === this.dismissed) {
      return;
    }
    let isAsked = false;
    const provider = vscode.languages.registerInlineCompletionItemProvider(documentSelector(), {
      provideInlineCompletionItems: (document, position, _, token) => {
        if (isAsked || placeOf(document, position) !== place) {
          return [];
        }
        isAsked = true;
        const known = client.getFeature("textDocument/inlineCompletion")?.getProvider(document);
        // Nobody has asked by hand.
        const context = { triggerKind: vscode.InlineCompletionTriggerKind.Automatic, selectedCompletionInfo: undefined };
        return known?.provideInlineCompletionItems(document, position, context, token);
      },
    });
    this.provider?.dispose();
    this.provider = provider;
    const options = { providerId: `${this.extensionId}:*`, explicit: false };
    await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger", options);
  }

  /** Hides what is shown, as the key for it does, and shows no more of it. */
  private async dismiss(): Promise<void> {
    const [client, editor] = [this.client(), vscode.window.activeTextEditor];
    if (editor !== undefined) {
      this.dismissed = placeOf(editor.document, editor.selection.active);
      const uri = client?.code2ProtocolConverter.asUri(editor.document.uri);
      void client?.sendNotification("phi-ls/dismissed", { uri });
    }
    await vscode.commands.executeCommand("editor.action.inlineSuggest.hide");
  }
}

/** Whether the cursor of `editor` is where the completion is, in the same text. */
function isAt(client: LanguageClient, editor: vscode.TextEditor, { uri, version, position }: CompletionGrewParams): boolean {
  const { document, selection } = editor;
  return (
    client.code2ProtocolConverter.asUri(document.uri) === uri &&
    document.version === version &&
    selection.isEmpty &&
    selection.active.isEqual(client.protocol2CodeConverter.asPosition(position))
  );
}

/** Names a place in a text as it is now. */
function placeOf(document: vscode.TextDocument, position: vscode.Position): string {
  return `${document.uri} ${document.version} ${position.line}:${position.character}`;
}
