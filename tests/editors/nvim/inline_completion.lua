-- What Neovim 0.12 calls vim.lsp.inline_completion, as much of it as the plugin touches, for tests of that path on
-- Neovim 0.11: it asks when the cursor moves, draws in the namespace of the original, accepts from the event loop.

local M = {}

local namespace = vim.api.nvim_create_namespace('nvim.lsp.inline_completion')
local current, index, items = nil, 1, {}

local function draw()
  vim.api.nvim_buf_clear_namespace(0, namespace, 0, -1)
  if current then
    local row, col = unpack(vim.api.nvim_win_get_cursor(0))
    vim.api.nvim_buf_set_extmark(0, namespace, row - 1, col, {
      virt_text = { { vim.split(current.insert_text, '\n')[1], 'Comment' } },
      virt_text_pos = 'inline',
    })
  end
end

local function select(client)
  local item = items[index]
  local line = vim.api.nvim_get_current_line()
  local function position(of)
    return { row = of.line, col = vim.str_byteindex(line, client.offset_encoding, of.character, false) }
  end
  current = item
    and {
      client_id = client.id,
      insert_text = item.insertText,
      range = { start = position(item.range.start), end_ = position(item.range['end']) },
      command = item.command,
    }
  draw()
end

local function request(client)
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = 1 }
  client:request('textDocument/inlineCompletion', params, function(_, result)
    items, index = result and result.items or {}, 1
    select(client)
  end)
end

function M.enable(on, filter)
  local client = vim.lsp.get_client_by_id(filter.client_id)
  local group = vim.api.nvim_create_augroup('test.inline_completion', {})
  current = nil
  draw()
  if on then
    vim.api.nvim_create_autocmd({ 'CursorMovedI', 'InsertEnter' }, {
      group = group,
      callback = function()
        draw()
        request(client)
      end,
    })
  end
end

function M.get(options)
  if not current then
    return false
  end
  vim.schedule(function()
    local item = current
    current = nil
    draw()
    if item then
      options.on_accept(item)
    end
  end)
  return true
end

function M.select(options)
  index = (index - 1 + options.count) % #items + 1
  select(vim.lsp.get_client_by_id(current.client_id))
end

vim.lsp.inline_completion = M
