-- The component of lualine: `lualine_x = { 'phi-ls' }`. It says what require('phi-ls').statusline() says.

local M = require('lualine.component'):extend()

function M:init(options)
  M.super.init(self, options)
  vim.api.nvim_create_autocmd('User', {
    pattern = 'PhiLsStatus',
    group = vim.api.nvim_create_augroup('phi-ls.lualine', {}),
    callback = function()
      require('lualine').refresh({ place = { 'statusline' } })
    end,
  })
end

function M:update_status()
  return require('phi-ls').statusline()
end

return M
