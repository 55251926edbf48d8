#!/usr/bin/env bash
# Tests the Neovim plugin in a real Neovim with real keys.
#
#   tests/editors/nvim/run.sh            all of it
#   tests/editors/nvim/run.sh plugin     against scripted answers only: needs neither the binary nor a model
#
# Environment: PHI_LS_BIN (default: target/debug/phi-ls), PHI_LS_MODELS (a folder with the starter model),
# PHI_LS_TEST_CACHE (where Neovim is kept), PHI_LS_TEST_ONLY (a part of a test's name),
# PHI_LS_TEST_WAIT_MS (how long to wait for what is expected), PHI_LS_TEST_BACKEND (the URL of a model server to ask in both
# roles in place of the model in the process; what is about that alone is then left out).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nvim=$("$here/install.sh")
# A settings file or models of the person who runs this must not matter; the engine process ends with its last server.
XDG_CONFIG_HOME=$(mktemp -d)
mkdir "$XDG_CONFIG_HOME/phi-ls" "$XDG_CONFIG_HOME/run"
"$here/../settings.sh" > "$XDG_CONFIG_HOME/phi-ls/config.toml"
export XDG_RUNTIME_DIR=$XDG_CONFIG_HOME/run
trap 'rm -rf "$XDG_CONFIG_HOME"' EXIT
export XDG_CONFIG_HOME
export PHI_LS_MODELS=${PHI_LS_MODELS:-${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}/models}

run() {
    # No test may hang the run.
    timeout --kill-after=5 900 "$nvim" --headless -u NONE -i NONE -l "$here/$1"
}

echo "== Neovim plugin, scripted answers"
run plugin_test.lua
run keys_test.lua
run documents_test.lua
run fuzz_test.lua
run assistant_test.lua
[ "${1:-}" != plugin ] || exit 0

echo "== Neovim plugin, the server and the starter model"
export PHI_LS_BIN=${PHI_LS_BIN:-$(cd "$here/../../.." && pwd)/target/debug/phi-ls}
[ -x "$PHI_LS_BIN" ] || {
    echo "expected the server at $PHI_LS_BIN, found nothing: run cargo build, or set PHI_LS_BIN" >&2
    exit 1
}
if ! "$PHI_LS_BIN" models | grep -i smollm2 > /dev/null; then
    message="the starter model is not installed: run \`$PHI_LS_BIN pull starter\`"
    if [ "${CI:-}" = true ]; then
        echo "$message" >&2
        exit 1
    fi
    echo "skipped: $message"
    exit 0
fi
PHI_LS_TEST_WAIT_MS=${PHI_LS_TEST_WAIT_MS:-120000} run server_test.lua
