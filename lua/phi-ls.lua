-- What a plugin manager finds that has been given the whole repository: the plugin itself is in editors/nvim.

local root = vim.fs.dirname(vim.fs.dirname(debug.getinfo(1, 'S').source:sub(2)))
local plugin = root .. '/editors/nvim'

vim.opt.runtimepath:prepend(plugin)
-- Neovim, or the plugin manager, may have looked for these already.
vim.cmd.source(vim.fn.fnameescape(plugin .. '/plugin/phi-ls.lua'))
local help, tags = vim.uv.fs_stat(plugin .. '/doc/phi-ls.txt'), vim.uv.fs_stat(plugin .. '/doc/tags')
if not tags or tags.mtime.sec < help.mtime.sec then
  -- Where the folder cannot be written to, there is no help, and all else is as it should be.
  pcall(vim.cmd.helptags, vim.fn.fnameescape(plugin .. '/doc'))
end

return dofile(plugin .. '/lua/phi-ls/init.lua')
