#!/usr/bin/env bash
# Tests the server through a generic LSP client, pytest-lsp: every action of the menu to its end, with the starter model.
#
#   tests/editors/lsp/run.sh [OPTION...]     options are pytest's
#
# Environment: PHI_LS_BIN (default: target/debug/phi-ls), PHI_LS_MODELS (a folder with the starter model),
# PHI_LS_TEST_CACHE (where the Python packages are kept), PHI_LS_TEST_BACKEND (the URL of a model server to ask instead).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}
export PHI_LS_BIN=${PHI_LS_BIN:-$(cd "$here/../../.." && pwd)/target/debug/phi-ls}
export PHI_LS_MODELS=${PHI_LS_MODELS:-$cache/models}

missing() { # missing SENTENCE: fails in CI, else ends with a word about it
    echo "$1" >&2
    [ "${CI:-}" = true ] && exit 1
    echo "skipped: the test through a generic client"
    exit 0
}

[ -x "$PHI_LS_BIN" ] || missing "expected the server at $PHI_LS_BIN, found nothing: run cargo build"
"$PHI_LS_BIN" models | grep -i smollm2 > /dev/null || missing "the starter model is not installed: run \`$PHI_LS_BIN pull starter\`"

# A folder per set of versions: an older one may be in use.
venv=$cache/pytest-lsp-$(sha256sum "$here/requirements.txt" | head -c 12)
if ! [ -e "$venv/complete" ]; then
    rm -rf "$venv"
    mkdir -p "$cache"
    python3 -m venv "$venv" || missing "expected a python3 that makes virtual environments (Debian: python3-venv)"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" ||
        missing "expected to install the packages of $here/requirements.txt"
    touch "$venv/complete"
fi

# A settings file of the person who runs this must not matter; the engine process ends with its last server.
XDG_CONFIG_HOME=$(mktemp -d)
mkdir "$XDG_CONFIG_HOME/phi-ls" "$XDG_CONFIG_HOME/run"
echo 'engine.lingerMinutes = 0' > "$XDG_CONFIG_HOME/phi-ls/config.toml"
export XDG_RUNTIME_DIR=$XDG_CONFIG_HOME/run
trap 'rm -rf "$XDG_CONFIG_HOME"' EXIT
export XDG_CONFIG_HOME PYTHONDONTWRITEBYTECODE=1
"$venv/bin/pytest" --rootdir "$here" -p no:cacheprovider -W error::pytest_lsp.LspSpecificationWarning \
    -o asyncio_default_fixture_loop_scope=module "$@" "$here"
