#!/usr/bin/env bash
# Draws the pictures of the plugin in a real terminal: Neovim with the server and the starter model in tmux.
#
#   tests/editors/nvim/capture.sh [FOLDER]      default: editors/nvim; typing.svg, ghost-text.svg, explanation.svg and diff.svg
#
# Needs tmux, and what run.sh needs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
out=$(realpath "${1:-$root/editors/nvim}")
nvim=$("$here/install.sh")
export PHI_LS_MODELS=${PHI_LS_MODELS:-${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}/models}
server=${PHI_LS_BIN:-$root/target/debug/phi-ls}

work=$(mktemp -d)
tmux=(tmux -L "phi-ls-capture-$$" -f /dev/null)
trap '"${tmux[@]}" kill-server 2>/dev/null || true; rm -rf "$work"' EXIT

cat > "$work/init.lua" <<LUA
vim.opt.runtimepath:prepend('$root/editors/nvim')
vim.opt.termguicolors = true
vim.opt.swapfile = false
vim.opt.number = true
vim.opt.ruler = false
vim.opt.fillchars = { eob = ' ' }
vim.o.statusline = ' %f %m%=%{v:lua.require("phi-ls").statusline()}  %l:%c '
vim.g.loaded_python3_provider = 0
vim.cmd('filetype plugin indent on')
require('phi-ls').setup({
  cmd = { '$server' },
  settings = {
    completion = { model = 'starter', timeBudgetMs = 60000 },
    assistant = { model = 'starter', maxTokens = 256 },
  },
})
-- Takes one action from the menu.
function _G.choose(title)
  vim.lsp.buf.code_action({ apply = true, filter = function(action) return action.title == title end })
end
-- What the border of the floating window says.
function _G.footer()
  for _, window in ipairs(vim.api.nvim_list_wins()) do
    local chunks = vim.api.nvim_win_get_config(window).footer
    if chunks then
      return vim.iter(chunks):map(function(chunk) return chunk[1] end):join('')
    end
  end
  return ''
end
LUA
cp "$here/capture.py.txt" "$work/shapes.py"
cp "$here/capture_mean.py.txt" "$work/mean.py"

ask() { "$nvim" --server "$work/socket" --remote-expr "luaeval('$1')" 2>/dev/null; }

until_true() { # until_true WHAT LUA-EXPRESSION: polls for two minutes
    for _ in $(seq 1200); do
        [ "$(ask "$2")" = true ] && return
        sleep 0.1
    done
    echo "timed out waiting until $1; the screen:" >&2
    "${tmux[@]}" capture-pane -p >&2
    exit 1
}

picture() { # picture NAME: once the screen has come to rest
    until
        "${tmux[@]}" capture-pane -p -e > "$work/screen.ansi"
        sleep 0.3
        "${tmux[@]}" capture-pane -p -e | cmp -s - "$work/screen.ansi"
    do :; done
    python3 "$here/ansi_to_svg.py" < "$work/screen.ansi" > "$out/$1"
    echo "$out/$1: $(wc -c < "$out/$1") bytes"
}

type_slowly() { # type_slowly TEXT: at the pace of a person
    local at
    for ((at = 0; at < ${#1}; at++)); do
        "${tmux[@]}" send-keys -l -- "${1:at:1}"
        sleep 0.09
    done
}

export XDG_STATE_HOME=$work/state XDG_CONFIG_HOME=$work/config
"${tmux[@]}" new-session -d -x 80 -y 24 -c "$work" \
    "env TERM=tmux-256color COLORTERM=truecolor '$nvim' -u init.lua -i NONE --listen '$work/socket' shapes.py"
until_true 'the model is loaded' 'require("phi-ls").statusline() == "phi-ls"'

settled='require("phi-ls").statusline() == "phi-ls"'
"${tmux[@]}" send-keys G o
until_true 'it inserts' 'vim.api.nvim_get_mode().mode == "i"'
# Out of the body that Neovim indents to.
"${tmux[@]}" send-keys Enter BSpace

# The moving picture: a method is typed, its body grows as ghost text, is accepted, and goes on.
mkfifo "$work/recording"
python3 -B "$here/record_svg.py" "phi-ls-capture-$$" < "$work/recording" > "$out/typing.svg" &
exec 9> "$work/recording"
sleep 1
type_slowly 'def area(self) -> float:'
"${tmux[@]}" send-keys Enter
until_true 'ghost text is shown' "vim.fn.line(\".\") == 20 and require(\"phi-ls\").visible() and $settled"
picture ghost-text.svg
sleep 1
"${tmux[@]}" send-keys Tab
sleep 1
"${tmux[@]}" send-keys Enter Enter
type_slowly 'def perimeter(self) -> float:'
"${tmux[@]}" send-keys Enter
until_true 'ghost text is shown again' "vim.fn.line(\".\") == 23 and require(\"phi-ls\").visible() and $settled"
sleep 1
"${tmux[@]}" send-keys Tab
until_true 'it is accepted' 'not require("phi-ls").visible()'
exec 9>&-
wait $!
echo "$out/typing.svg: $(wc -c < "$out/typing.svg") bytes"
"${tmux[@]}" send-keys Escape
until_true 'it does not insert' 'vim.api.nvim_get_mode().mode == "n"'

"${tmux[@]}" send-keys -l ':edit! mean.py'
"${tmux[@]}" send-keys Enter
until_true 'the other file is open' 'require("phi-ls").attached() and vim.fn.expand("%") == "mean.py"'
"${tmux[@]}" send-keys -l ':8 | lua choose("Explain this function")'
"${tmux[@]}" send-keys Enter
until_true 'the explanation is there' 'footer():find("ask further", 1, true) ~= nil'
picture explanation.svg
"${tmux[@]}" send-keys q
until_true 'it is closed' 'footer() == ""'

"${tmux[@]}" send-keys -l ':5 | lua choose("Refactor this function")'
"${tmux[@]}" send-keys Enter
until_true 'the diff is shown' 'footer():find("apply", 1, true) ~= nil'
picture diff.svg
