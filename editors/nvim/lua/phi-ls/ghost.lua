-- Draws a completion as ghost text with extmarks: the first line inside the cursor's line, the others below it.
-- Nothing drawn here is in the buffer.

local text = require('phi-ls.text')

local M = {}

local api = vim.api
local namespace = api.nvim_create_namespace('phi-ls.ghost')

-- A link, so that it survives a change of colour scheme and a person can set it to what they like.
api.nvim_set_hl(0, 'PhiLsGhost', { default = true, link = 'Comment' })
api.nvim_set_hl(0, 'PhiLsGhostHint', { default = true, link = 'NonText' })

--- The first line of ghost text in pieces, each with the byte offset from the cursor where it goes, so that closers
--- that are in the buffer already are not drawn a second time.
---@param line string
---@param replaced string
---@return { offset: integer, piece: string }[]? nil: `line` does not bring back what it replaces
local function split(line, replaced)
  local places = text.align(line, replaced)
  if not places then
    return nil
  end
  local pieces = {}
  local from = 1
  for i, place in ipairs(places) do
    pieces[#pieces + 1] = { offset = i - 1, piece = line:sub(from, place - 1) }
    from = place + 1
  end
  pieces[#pieces + 1] = { offset = #replaced, piece = line:sub(from) }
  return pieces
end

--- Draws `candidate` at the cursor, in place of what was drawn before.
---@param buf integer
---@param row integer 0-based
---@param col integer 0-based byte column
---@param candidate phi-ls.Candidate
---@param hint string? a note after the text, such as "2/3"
function M.draw(buf, row, col, candidate, hint)
  M.clear(buf)
  local tabstop = vim.bo[buf].tabstop
  local lines = vim.split(candidate.text, '\n', { plain = true })
  local line = api.nvim_buf_get_lines(buf, row, row + 1, false)[1]
  local first = text.expand_tabs(lines[1], vim.fn.strdisplaywidth(line:sub(1, col)), tabstop)

  local below = {}
  for i = 2, #lines do
    below[#below + 1] = { { text.expand_tabs(lines[i], 0, tabstop), 'PhiLsGhost' } }
  end
  if hint then
    hint = ('  (%s)'):format(hint)
    if #below > 0 then
      table.insert(below[#below], { hint, 'PhiLsGhostHint' })
    end
  end

  local pieces = split(first, candidate.replaced)
  if not pieces then
    -- The closers move to a later line: hide them under the ghost text.
    local width = vim.fn.strdisplaywidth(candidate.replaced)
    local padding = math.max(0, width - vim.fn.strdisplaywidth(first))
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
        -- The cursor stays left of the ghost text.
        right_gravity = true,
      })
    end
  end
  if #below > 0 then
    api.nvim_buf_set_extmark(buf, namespace, row, col, { virt_lines = below })
  end
end

--- Says something in one line, at the end of a line of the buffer.
---@param buf integer
---@param row integer 0-based
---@param note string
function M.note(buf, row, note)
  M.clear(buf)
  api.nvim_buf_set_extmark(buf, namespace, row, 0, { virt_text = { { note, 'PhiLsGhostHint' } }, virt_text_pos = 'eol' })
end

---@param buf integer
function M.clear(buf)
  if api.nvim_buf_is_valid(buf) then
    api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  end
end

return M
