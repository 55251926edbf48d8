-- The whole repository as a plugin, and `:PhiLs install`: nvim --headless -u NONE -l neovim_install.lua REPOSITORY
-- $PHI_LS_RELEASES is where the archives are; no `phi-ls` is on the PATH.

local WAIT_MS = 120000

local function wait(what, condition)
  assert(vim.wait(WAIT_MS, condition, 50), 'timed out waiting until ' .. what .. ': ' .. vim.fn.execute('messages'))
end

vim.o.swapfile = false
vim.opt.runtimepath:prepend(arg[1])
assert(vim.fn.executable('phi-ls') == 0, 'phi-ls is on the PATH')
assert(vim.lsp.config['phi-ls'].cmd[1] == 'phi-ls', 'lsp/phi-ls.lua is not found')

require('phi-ls').setup({ settings = { completion = { model = 'starter' }, engine = { lingerMinutes = 0 } } })
assert(vim.fn.exists(':PhiLs') == 2, ':PhiLs is not there')
assert(vim.list_contains(vim.fn.getcompletion('phi-ls-install', 'help'), 'phi-ls-install'), 'there is no help')

vim.cmd.edit('code.py')
vim.cmd('PhiLs install')
local program = vim.fn.stdpath('data') .. '/phi-ls/bin/phi-ls'
wait('the program is there', function()
  return vim.fn.executable(program) == 1
end)
wait('the server runs', function()
  local client = vim.lsp.get_clients({ name = 'phi-ls' })[1]
  return client and client.initialized
end)
assert(require('phi-ls').config.cmd[1] == program)
vim.cmd('qall!')
