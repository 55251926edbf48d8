#!/usr/bin/env bash
# Tests phi-ls with a real model server: llama-server with the starter answers the generic client's tests, and those of
# tests/it that need one.
#
#   tests/remote/run.sh
#
# Environment: PHI_LS_BIN (default: target/debug/phi-ls), PHI_LS_MODELS (a folder with the starter model),
# PHI_LS_TEST_CACHE (where llama-server is kept; the first time it is built, which takes ten minutes).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}
export PHI_LS_MODELS=${PHI_LS_MODELS:-$cache/models}
starter=$PHI_LS_MODELS/SmolLM2-135M-Instruct.Q4_1.gguf

missing() { # missing SENTENCE: fails in CI, else ends with a word about it
    echo "$1" >&2
    [ "${CI:-}" = true ] && exit 1
    echo "skipped: the tests with a model server"
    exit 0
}

command -v c++ > /dev/null || missing "expected a C++ compiler to build llama-server with (Debian: build-essential)"
server=$("$here/llama_server.sh") || missing "llama-server could not be built"

folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# Four at a time, each with the longest prompt and answer that phi-ls asks for.
"$server" --model "$starter" --host 127.0.0.1 --port "$port" --ctx-size 16384 --parallel 4 > "$folder/log" 2>&1 &
process=$!
trap 'kill "$process"; wait "$process" 2> /dev/null || true; rm -rf "$folder"' EXIT
url=http://127.0.0.1:$port
until python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1])' "$url/health" 2> /dev/null; do
    kill -0 "$process" || { cat "$folder/log"; exit 1; }
    sleep 0.2
done

PHI_LS_TEST_BACKEND=$url "$here/../editors/lsp/run.sh"
cd "$here/../.."
PHI_LS_TEST_BACKEND=$url cargo nextest run --locked --run-ignored only -j 1 -E 'test(/^llama_server::/)'
