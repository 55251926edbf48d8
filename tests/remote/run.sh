#!/usr/bin/env bash
# Tests phi-ls with a real model server: the starter behind it answers the generic client's tests, and those of tests/it that
# need one.
#
#   tests/remote/run.sh              llama-server, as `tests/run remote` has it
#   tests/remote/run.sh vllm         vLLM, which tests/run leaves out: it takes 6 GB and minutes
#
# Environment: PHI_LS_BIN (default: target/debug/phi-ls), PHI_LS_MODELS (a folder with the starter model),
# PHI_LS_TEST_CACHE (where servers are kept; the first time llama-server is built, which takes ten minutes).
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

# Each of these starts a server for four requests at a time, with room for the longest prompt and answer of phi-ls.
llama_server() {
    command -v c++ > /dev/null || missing "expected a C++ compiler to build llama-server with (Debian: build-essential)"
    local server
    server=$("$here/llama_server.sh") || missing "llama-server could not be built"
    "$server" --model "$starter" --host 127.0.0.1 --port "$port" --ctx-size 16384 --parallel 4 > "$folder/log" 2>&1 &
}

vllm() {
    local python model=$cache/SmolLM2-135M-Instruct
    python=$("$here/vllm.sh") || missing "vLLM could not be installed"
    if ! [ -e "$model/complete" ]; then
        rm -rf "$model"
        "$python" "$here/from_gguf.py" "$starter" "$model" > "$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
        touch "$model/complete"
    fi
    # Without access to other machines, and without binding threads to processors, because other programs are running.
    HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind \
        "$python" -m vllm.entrypoints.openai.api_server --model "$model" --served-model-name SmolLM2-135M-Instruct \
        --host 127.0.0.1 --port "$port" --max-model-len 4096 --max-num-seqs 4 --enforce-eager \
        --enable-prefix-caching --enable-prompt-tokens-details > "$folder/log" 2>&1 &
}

case ${1:-llama-server} in
llama-server) start=llama_server ;;
vllm) start=vllm ;;
*)
    echo "tests/remote/run.sh: no server '$1': expected llama-server or vllm" >&2
    exit 2
    ;;
esac

folder=$(mktemp -d)
process=
trap '[ -z "$process" ] || { kill "$process"; wait "$process" 2> /dev/null || true; }; rm -rf "$folder"' EXIT
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$start"
process=$!
url=http://127.0.0.1:$port
until python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1])' "$url/health" 2> /dev/null; do
    kill -0 "$process" || { cat "$folder/log"; exit 1; }
    sleep 0.2
done

PHI_LS_TEST_BACKEND=$url "$here/../editors/lsp/run.sh"
cd "$here/../.."
PHI_LS_TEST_BACKEND=$url cargo nextest run --locked --run-ignored only -j 1 -E 'test(/^model_server::real_servers::/)'
