// Places to write in that are no files: a file system in memory, the box of a commit message, an interactive window.

const vscode = require("vscode");

const FILE = vscode.Uri.parse("vscode-vfs://test/virtual.py");

/** A file system with one file. */
class OneFile {
  onDidChangeFile = new vscode.EventEmitter().event;
  content = new TextEncoder().encode("\n");

  stat(uri) {
    const type = uri.path === FILE.path ? vscode.FileType.File : vscode.FileType.Directory;
    return { type, ctime: 0, mtime: 0, size: this.content.length };
  }
  readFile() {
    return this.content;
  }
  writeFile(_, content) {
    this.content = content;
  }
  readDirectory() {
    return [["virtual.py", vscode.FileType.File]];
  }
  createDirectory() {}
  delete() {}
  rename() {}
  watch() {
    return { dispose() {} };
  }
}

exports.activate = (context) => {
  const { commands, workspace, scm } = vscode;
  context.subscriptions.push(
    workspace.registerFileSystemProvider("vscode-vfs", new OneFile()),
    scm.createSourceControl("places", "Places", workspace.workspaceFolders?.[0]?.uri),
    commands.registerCommand("places.virtual", () => vscode.window.showTextDocument(FILE)),
    commands.registerCommand("places.interactive", () => commands.executeCommand("interactive.open")),
  );
};
