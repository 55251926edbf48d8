-- Puts a completion, or the next part of it, into the buffer at the cursor. Shared by both ways of showing ghost text.

local text = require('phi-ls.text')

local M = {}

local api = vim.api

-- Text typed before, the completion, and text typed after are three steps of undo.
local function break_undo()
  vim.cmd('let &g:undolevels = &g:undolevels')
end

--- Inserts the first `unit` of `candidate` at the cursor of the current window and takes out the closers it brings.
---@param candidate phi-ls.Candidate
---@param unit 'all'|'word'|'line'
---@return boolean whole whether nothing is left of it
function M.put(candidate, unit)
  local part = text.first(candidate.text, unit)
  local whole = #part == #candidate.text
  local gone = #candidate.replaced
  if not whole then
    gone = 0
    for _, place in ipairs(text.align(candidate.text, candidate.replaced) or {}) do
      gone = gone + (place <= #part and 1 or 0)
    end
  end

  local row, col = unpack(api.nvim_win_get_cursor(0))
  local lines = vim.split(part, '\n', { plain = true })
  break_undo()
  api.nvim_buf_set_text(0, row - 1, col, row - 1, col + gone, lines)
  local last = #lines[#lines]
  api.nvim_win_set_cursor(0, { row + #lines - 1, #lines == 1 and col + last or last })
  break_undo()
  return whole
end

--- Tells the server that `candidate` was accepted, through the item's own command.
---@param client vim.lsp.Client?
---@param candidate phi-ls.Candidate
---@param buf integer
function M.report(client, candidate, buf)
  if client and candidate.command then
    client:exec_cmd(candidate.command, { bufnr = buf }, function(err)
      if err then
        vim.lsp.log.error('phi-ls', candidate.command.command, err.message)
      end
    end)
  end
end

return M
