-- Inline completion through vim.lsp.inline_completion (Neovim 0.12), which asks and draws by itself. What it has no
-- key for is added here: accepting a word or a line, dismissing, and applying an item without text it doubles.

local insert = require('phi-ls.insert')
local keymaps = require('phi-ls.keymaps')
local text = require('phi-ls.text')

local M = {}

local api = vim.api
local screen = api.nvim_create_namespace('phi-ls.screen')

---@class phi-ls.Asked
---@field buf integer
---@field row integer 0-based
---@field col integer 0-based, bytes
---@field line string

-- Where the newest request was made. The built-in shows an item while the person types on, but does not say where it
-- was asked for.
---@type phi-ls.Asked?
local asked

---@param event table of LspRequest
local function remember(event)
  local request = event.data.request
  if request.method == 'textDocument/inlineCompletion' and request.type == 'pending' then
    local row, col = unpack(api.nvim_win_get_cursor(0))
    asked = { buf = api.nvim_get_current_buf(), row = row - 1, col = col, line = api.nvim_get_current_line() }
  end
end

--- The built-in item as a candidate at the cursor; nil if the buffer has moved on in disagreement with it.
---@param item table vim.lsp.inline_completion.Item
---@return phi-ls.Candidate?
local function candidate_of(item)
  local row, col = unpack(api.nvim_win_get_cursor(0))
  if not asked or asked.buf ~= api.nvim_get_current_buf() or asked.row ~= row - 1 or asked.col > col then
    return nil
  end
  -- A vim.Range counts bytes; its shape is still changing between versions.
  local from, to = asked.col, asked.col
  if item.range then
    from = item.range.start and item.range.start.col or item.range.start_col
    to = item.range.end_ and item.range.end_.col or item.range.end_col
  end
  local candidate = text.candidate(item.insert_text, from, to, asked.line, asked.col)
  local line = api.nvim_get_current_line()
  if not candidate or line:sub(1, asked.col) ~= asked.line:sub(1, asked.col) then
    return nil
  end
  candidate.command = item.command
  return text.rest(candidate, line:sub(asked.col + 1, col), asked.line:sub(asked.col + 1), line:sub(col + 1))
end

--- Lays the keys where the built-in shows ghost text, which it does not say, and lifts them where it does not.
local function follow_screen()
  local buf = api.nvim_get_current_buf()
  local act = M.visible() and keymaps.lay or keymaps.lift
  act('ghost', buf)
end

---@param client vim.lsp.Client
---@param buf integer
---@param group integer
function M.attach(client, buf, group)
  -- What is shown has been drawn; while it is drawn no mapping may change.
  api.nvim_set_decoration_provider(screen, { on_start = vim.schedule_wrap(follow_screen) })
  api.nvim_create_autocmd({ 'InsertLeave', 'BufLeave' }, {
    group = group,
    buffer = buf,
    callback = function()
      keymaps.lift('ghost', buf)
    end,
  })
  api.nvim_create_autocmd('LspRequest', { group = group, buffer = buf, callback = remember })
  vim.lsp.inline_completion.enable(true, { client_id = client.id })
end

---@param client vim.lsp.Client
---@param buf integer
function M.detach(client, buf)
  vim.lsp.inline_completion.enable(false, { client_id = client.id })
  keymaps.lift('ghost', buf)
end

function M.visible()
  local namespace = api.nvim_get_namespaces()['nvim.lsp.inline_completion']
  return namespace ~= nil and #api.nvim_buf_get_extmarks(0, namespace, 0, -1, { limit = 1 }) > 0
end

---@param unit 'all'|'word'|'line'
---@return boolean
function M.accept(unit)
  local buf = api.nvim_get_current_buf()
  return vim.lsp.inline_completion.get({
    on_accept = function(item)
      local candidate = candidate_of(item)
      if not candidate then
        return
      end
      local client = vim.lsp.get_client_by_id(item.client_id)
      local whole, part = insert.put(candidate, unit)
      if whole then
        insert.report(client, candidate, buf)
      else
        insert.report_part(client, candidate, part)
      end
    end,
  })
end

function M.dismiss()
  -- Taking the item and doing nothing with it is the only way to make the built-in drop it.
  vim.lsp.inline_completion.get({ on_accept = function() end })
end

--- Asks again. The built-in offers no way to ask for several alternatives.
function M.trigger()
  api.nvim_exec_autocmds('CursorMovedI', { buffer = 0 })
end

---@param step integer
function M.cycle(step)
  vim.lsp.inline_completion.select({ count = step })
end

return M
