-- Draws a completion as ghost text with extmarks: the first line inside the cursor's line, the others below it.
-- Nothing drawn here is in the buffer.

local text = require('phi-ls.text')

local M = {}

local api = vim.api
local namespace = api.nvim_create_namespace('phi-ls.ghost')
-- Before the inline text of others at the same place, such as inlay hints: what is accepted goes there.
local PRIORITY = 1
local NOTE_GROUP = 'phi-ls.note'

-- A link, so that it survives a change of colour scheme and a person can set it to what they like.
api.nvim_set_hl(0, 'PhiLsGhost', { default = true, link = 'Comment' })
api.nvim_set_hl(0, 'PhiLsGhostHint', { default = true, link = 'NonText' })

--- The display column behind `before`, the begin of a line, with the inline text of others in it.
---@param buf integer
---@param row integer 0-based
---@param before string
---@param tabs integer[]
---@return integer
local function column_of(buf, row, before, tabs)
  local _, column = text.expand_tabs(before, 0, tabs)
  local range = { type = 'virt_text', details = true }
  for _, mark in ipairs(api.nvim_buf_get_extmarks(buf, -1, { row, 0 }, { row, #before }, range)) do
    local details = mark[4] --[[@as vim.api.keyset.extmark_details]]
    if details.virt_text_pos == 'inline' and mark[3] < #before then
      for _, chunk in ipairs(details.virt_text) do
        column = column + vim.fn.strwidth(chunk[1])
      end
    end
  end
  return column
end

--- Draws `candidate` at the cursor, in place of what was drawn before.
---@param buf integer
---@param row integer 0-based
---@param col integer 0-based byte column
---@param candidate phi-ls.Candidate
---@param hint string? a note after the text, such as "2/3"
function M.draw(buf, row, col, candidate, hint)
  M.clear(buf)
  local tabs = text.tab_widths(vim.bo[buf].tabstop, vim.bo[buf].vartabstop)
  local lines = vim.split(candidate.text, '\n', { plain = true })
  local line = api.nvim_buf_get_lines(buf, row, row + 1, false)[1]
  local first = text.expand_tabs(lines[1], column_of(buf, row, line:sub(1, col), tabs), tabs)

  local below = {}
  for i = 2, #lines do
    below[#below + 1] = { { (text.expand_tabs(lines[i], 0, tabs)), 'PhiLsGhost' } }
  end
  if hint then
    hint = ('  (%s)'):format(hint)
    if #below > 0 then
      table.insert(below[#below], { hint, 'PhiLsGhostHint' })
    end
  end

  local pieces = text.pieces(first, candidate.replaced, #first)
  if not pieces then
    -- The closers move to a later line: hide them under the ghost text.
    local padding = math.max(0, vim.fn.strwidth(candidate.replaced) - vim.fn.strwidth(first))
    local cover = { { first .. (' '):rep(padding), 'PhiLsGhost' } }
    api.nvim_buf_set_extmark(buf, namespace, row, col, { virt_text = cover, virt_text_pos = 'overlay' })
    pieces = {}
  end
  for i, part in ipairs(pieces) do
    local chunks = {}
    if part.piece ~= '' then
      chunks[1] = { part.piece, 'PhiLsGhost' }
    end
    if hint and #below == 0 and i == #pieces then
      chunks[#chunks + 1] = { hint, 'PhiLsGhostHint' }
    end
    if #chunks > 0 then
      api.nvim_buf_set_extmark(buf, namespace, row, col + part.offset, {
        virt_text = chunks,
        virt_text_pos = 'inline',
        priority = PRIORITY,
        -- The cursor stays left of the ghost text.
        right_gravity = true,
      })
    end
  end
  if #below > 0 then
    -- At the begin of the line: the lines of others below it come after these.
    api.nvim_buf_set_extmark(buf, namespace, row, 0, { virt_lines = below, priority = PRIORITY })
  end
end

--- Says something in one line, at the end of a line of the buffer, until the next key.
---@param buf integer
---@param row integer 0-based
---@param note string
function M.note(buf, row, note)
  M.clear(buf)
  api.nvim_buf_set_extmark(buf, namespace, row, 0, { virt_text = { { note, 'PhiLsGhostHint' } }, virt_text_pos = 'eol' })
  -- Where completions are off, nobody else looks at what is typed. The events of earlier keys may come only now.
  local function now()
    return { api.nvim_buf_get_changedtick(buf), api.nvim_win_get_cursor(0) }
  end
  local noted = now()
  api.nvim_create_autocmd({ 'TextChangedI', 'TextChangedP', 'CursorMovedI', 'CursorMoved', 'InsertLeave', 'BufLeave' }, {
    group = api.nvim_create_augroup(NOTE_GROUP, {}),
    buffer = buf,
    callback = function(event)
      if vim.endswith(event.event, 'Leave') or not vim.deep_equal(now(), noted) then
        M.clear(buf)
      end
    end,
  })
end

---@param buf integer
function M.clear(buf)
  if api.nvim_buf_is_valid(buf) then
    api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
    api.nvim_create_augroup(NOTE_GROUP, {})
  end
end

return M
