#!/usr/bin/env bash
# Tests the server with Emacs and eglot, a client that knows popups and no ghost text, with the starter model.
#
# Environment: PHI_LS_BIN (default: target/debug/phi-ls), PHI_LS_MODELS (a folder with the starter model),
# PHI_LS_TEST_CACHE, EMACS (default: emacs; one older than 29 needs the package eglot beside it), PHI_LS_TEST_BACKEND (the URL
# of a model server to ask in both roles in place of the model in the process).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
export PHI_LS_BIN=${PHI_LS_BIN:-$root/target/debug/phi-ls}
export PHI_LS_MODELS=${PHI_LS_MODELS:-${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}/models}

missing() { # missing SENTENCE: fails in CI, else ends with a word about it
    echo "$1" >&2
    [ "${CI:-}" = true ] && exit 1
    echo "skipped: the Emacs test"
    exit 0
}

emacs=$(command -v "${EMACS:-emacs}") || missing "expected Emacs as \$EMACS or on the PATH, found none"
"$emacs" --batch --eval "(progn (package-initialize) (require 'eglot))" 2> /dev/null ||
    missing "expected an Emacs with eglot, found none (Debian: elpa-eglot)"
[ -x "$PHI_LS_BIN" ] || missing "expected the server at $PHI_LS_BIN, found nothing: run cargo build"
"$PHI_LS_BIN" models | grep -i smollm2 > /dev/null || missing "the starter model is not installed: run \`$PHI_LS_BIN pull starter\`"

# Nothing of the person who runs this must matter; the engine process ends with its last server.
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/phi-ls" "$state/run" "$state/project/.git"
"$here/../settings.sh" > "$state/phi-ls/config.toml"
export HOME=$state XDG_CONFIG_HOME=$state XDG_DATA_HOME=$state/data XDG_RUNTIME_DIR=$state/run

echo "== Emacs, eglot, the server and the starter model"
cd "$state/project"
timeout --kill-after=5 600 "$emacs" --batch --no-init-file -l "$here/test.el"
