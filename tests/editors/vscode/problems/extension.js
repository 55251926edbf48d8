// Another extension's problems, for phi-ls to fix: a misspelt keyword in Python files.

const vscode = require("vscode");

const MISSPELT = /\bretrun\b/g;

exports.activate = (context) => {
  const found = vscode.languages.createDiagnosticCollection("lint");
  const check = (document) => {
    if (document.languageId === "python" && document.uri.scheme === "file") {
      const ranges = [...document.getText().matchAll(MISSPELT)].map(
        ({ index, 0: word }) => new vscode.Range(document.positionAt(index), document.positionAt(index + word.length)),
      );
      found.set(document.uri, ranges.map((range) => new vscode.Diagnostic(range, "invalid syntax")));
    }
  };
  vscode.workspace.textDocuments.forEach(check);
  context.subscriptions.push(
    found,
    vscode.workspace.onDidOpenTextDocument(check),
    vscode.workspace.onDidChangeTextDocument(({ document }) => check(document)),
  );
};
