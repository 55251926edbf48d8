#!/usr/bin/env bash
# Tests the Neovim plugin in a real Neovim with real keys.
#
#   tests/editors/nvim/run.sh            all of it
#   tests/editors/nvim/run.sh plugin     against scripted answers only: needs neither the binary nor a model
#
# Environment: PHI_LS_TEST_CACHE (where Neovim is kept), PHI_LS_TEST_ONLY (a part of a test's name),
# PHI_LS_TEST_WAIT_MS (how long to wait for what is expected).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nvim=$("$here/install.sh")

run() {
    "$nvim" --headless -u NONE -i NONE -l "$here/$1"
}

echo "== Neovim plugin, scripted answers"
run plugin_test.lua
