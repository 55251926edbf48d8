-- For `vim.lsp.enable('phi-ls')` where the whole repository is on the runtime path.

local root = vim.fs.dirname(vim.fs.dirname(debug.getinfo(1, 'S').source:sub(2)))
return dofile(root .. '/editors/nvim/lsp/phi-ls.lua')
