-- Puts a completion, or the next part of it, into the buffer at the cursor. Shared by both ways of showing ghost text.
--
-- It goes in as a paste, which Neovim repeats with `.` and with counts, byte for byte. Closers that are in the buffer
-- already are stepped over and not written again: the step is repeated too.

local macro = require('phi-ls.macro')
local text = require('phi-ls.text')

local M = {}

local api = vim.api
-- Without an undo step of its own.
local STEP = vim.keycode('<C-g>U<Right>')
local REST = vim.keycode('<Cmd>lua require("phi-ls.insert").put_rest()<CR>')

-- What is still to be put in, in pieces: the cursor steps over a closer before each one but the first.
local rest = {} ---@type string[]

-- Text typed before, the completion, and text typed after are three steps of undo.
local function break_undo()
  vim.cmd('let &g:undolevels = &g:undolevels')
end

--- Inserts `piece` at the cursor as it is.
---@param piece string
local function paste(piece)
  local lines = vim.split(piece, '\n', { plain = true })
  local handler = vim.paste
  -- A person's handler may change what it pastes, and the default one draws the screen.
  ---@diagnostic disable-next-line: duplicate-set-field
  vim.paste = function()
    local row, col = unpack(api.nvim_win_get_cursor(0))
    api.nvim_buf_set_text(0, row - 1, col, row - 1, col, lines)
    local last = #lines[#lines]
    api.nvim_win_set_cursor(0, { row + #lines - 1, #lines == 1 and col + last or last })
    return true
  end
  local ok, err = pcall(api.nvim_paste, piece, false, -1)
  vim.paste = handler
  if not ok then
    error(err, 0)
  end
end

--- Inserts the next of the pieces.
function M.put_rest()
  local piece = table.remove(rest, 1)
  if piece and piece ~= '' then
    paste(piece)
  end
  if #rest == 0 then
    break_undo()
  end
end

--- Inserts the first `unit` of `candidate` at the cursor of the current window, around the closers it brings.
---@param candidate phi-ls.Candidate
---@param unit 'all'|'word'|'line'
---@return boolean whole whether nothing is left of it
---@return string part what was inserted, with the closers in it
function M.put(candidate, unit)
  local part = text.first(candidate.text, unit)
  local whole = #part == #candidate.text
  local parts = text.pieces(candidate.text, candidate.replaced, #part)
  break_undo()
  if not parts and whole then
    -- It does not bring back what stands there.
    local row, col = unpack(api.nvim_win_get_cursor(0))
    api.nvim_buf_set_text(0, row - 1, col, row - 1, col + #candidate.replaced, {})
  end
  rest = vim.tbl_map(function(each)
    return each.piece
  end, parts or { { piece = part } })
  macro.note(table.concat(vim.tbl_map(macro.literally, rest), STEP))
  api.nvim_feedkeys((STEP .. REST):rep(#rest - 1), 'in', false)
  M.put_rest()
  return whole, part
end

---@param candidate phi-ls.Candidate
local function item_of(candidate)
  return { insertText = candidate.text, command = candidate.command }
end

--- Tells the server, which counts what becomes of completions, that `candidate` is on the screen.
---@param client vim.lsp.Client
---@param candidate phi-ls.Candidate
function M.report_shown(client, candidate)
  if candidate.command then
    client:notify('textDocument/didShowCompletion', { item = item_of(candidate) })
  end
end

--- Tells the server that `part` of `candidate` was accepted.
---@param client vim.lsp.Client?
---@param candidate phi-ls.Candidate
---@param part string
function M.report_part(client, candidate, part)
  if client and candidate.command then
    local params = { item = item_of(candidate), acceptedLength = vim.str_utfindex(part, 'utf-16') }
    client:notify('textDocument/didPartiallyAcceptCompletion', params)
  end
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
