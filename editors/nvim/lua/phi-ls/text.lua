-- Pure text: what of a completion is still to be shown, and how it lies against the text after the cursor.
-- Knows nothing of buffers, windows or the server. Columns and lengths are bytes.

local M = {}

-- What an auto-pairs plugin may put after the cursor while a person types.
local CLOSERS_ONLY = '^[%)%]}>"\'`]+$'

---@class phi-ls.Candidate
---@field text string what comes at the cursor
---@field replaced string what stands after the cursor and goes when `text` comes: closers, mostly
---@field command table? the LSP command to run once it is accepted

--- `text`, which replaces the bytes `from` to `to` of `line`, as a candidate at byte column `col`; nil if it does not
--- belong there.
---@param text string
---@param from integer
---@param to integer
---@param line string
---@param col integer
---@return phi-ls.Candidate?
function M.candidate(text, from, to, line, col)
  if from > col or to < col then
    return nil
  end
  local before = line:sub(from + 1, col)
  if not vim.startswith(text, before) then
    return nil
  end
  text = text:sub(#before + 1):gsub('\r\n', '\n')
  local replaced = line:sub(col + 1, to)
  if text == replaced then
    return nil
  end
  return { text = text, replaced = replaced }
end

--- An LSP item as a candidate at byte column `col` of `line`; nil if it does not belong there.
---@param item table lsp.InlineCompletionItem
---@param line string
---@param row integer 0-based
---@param col integer 0-based
---@param encoding 'utf-8'|'utf-16'|'utf-32' what the server counts characters in
---@return phi-ls.Candidate?
function M.candidate_of_item(item, line, row, col, encoding)
  if type(item.insertText) ~= 'string' then
    return nil
  end
  local from, to = col, col
  if type(item.range) == 'table' then
    local first, last = item.range.start, item.range['end']
    if first.line ~= row or last.line ~= row then
      return nil
    end
    from = vim.str_byteindex(line, encoding, first.character, false)
    to = vim.str_byteindex(line, encoding, last.character, false)
  end
  local candidate = M.candidate(item.insertText, from, to, line, col)
  if candidate and type(item.command) == 'table' then
    candidate.command = item.command
  end
  return candidate
end

--- What is left of `candidate` after a person typed `typed` at its place, and the text after the cursor went from
--- `after` to `after_now`; nil where they disagree. Closers put in by an auto-pairs plugin are taken along.
---@param candidate phi-ls.Candidate
---@param typed string
---@param after string
---@param after_now string
---@return phi-ls.Candidate?
function M.rest(candidate, typed, after, after_now)
  if not vim.startswith(candidate.text, typed) or #candidate.text == #typed then
    return nil
  end
  local text = candidate.text:sub(#typed + 1)
  local replaced = candidate.replaced
  if vim.endswith(after_now, after) then
    local added = after_now:sub(1, #after_now - #after)
    if added ~= '' and not (added:find(CLOSERS_ONLY) and text:find(added, 1, true)) then
      return nil
    end
    replaced = added .. replaced
  elseif vim.endswith(after, after_now) then
    -- Typed over a closer: it has left the text after the cursor.
    local gone = after:sub(1, #after - #after_now)
    if not vim.startswith(replaced, gone) then
      return nil
    end
    replaced = replaced:sub(#gone + 1)
  else
    return nil
  end
  if text == replaced then
    -- Nothing would be seen of it.
    return nil
  end
  return { text = text, replaced = replaced, command = candidate.command }
end

---@param text string
---@param replaced string
---@return integer[]?
local function places_from_the_end(text, replaced)
  local places = {}
  local at = #text
  for i = #replaced, 1, -1 do
    local byte = replaced:byte(i)
    while at > 0 and text:byte(at) ~= byte do
      at = at - 1
    end
    if at == 0 then
      return nil
    end
    places[i] = at
    at = at - 1
  end
  return places
end

--- Where each byte of `replaced` comes back in `text`: on its first line if that has them all, and the last ones first
--- choice (in `f(x))` the outer closer is the one already there). nil if `text` does not bring all back, in order.
---@param text string
---@param replaced string
---@return integer[]? places 1-based byte offsets in `text`, rising
function M.align(text, replaced)
  return places_from_the_end(text:match('^[^\n]*'), replaced) or places_from_the_end(text, replaced)
end

--- The first `length` bytes of `text` in pieces: what comes before, between and after the characters of `replaced` that
--- they bring back. nil if `text` does not bring all of it back.
---@param text string
---@param replaced string
---@param length integer
---@return { offset: integer, piece: string }[]? pieces with their places in `replaced`
function M.pieces(text, replaced, length)
  local places = M.align(text, replaced)
  if not places then
    return nil
  end
  local pieces = {}
  local offset, from = 0, 1
  for _, character in ipairs(vim.fn.split(replaced, '\\zs')) do
    local place = places[offset + 1]
    local last = place + #character - 1
    if last > length then
      break
    elseif text:sub(place, last) ~= character then
      return nil
    end
    pieces[#pieces + 1] = { offset = offset, piece = text:sub(from, place - 1) }
    offset, from = offset + #character, last + 1
  end
  pieces[#pieces + 1] = { offset = offset, piece = text:sub(from, length) }
  return pieces
end

--- The first part of `text` that one key accepts.
---@param text string
---@param unit 'all'|'word'|'line'
---@return string
function M.first(text, unit)
  if unit == 'word' then
    -- Bytes above 127 belong to letters of other alphabets: never cut between them.
    return text:match('^%s*[%w_\128-\255]+') or text:match('^%s*[^%w_%s\128-\255]+') or text
  elseif unit == 'line' then
    return text:match('^\n*[^\n]+') or text
  end
  return text
end

--- The widths of the tabs of a line, the last one for all that follow.
---@param tabstop integer
---@param vartabstop string the option: widths with commas between, or nothing
---@return integer[]
function M.tab_widths(tabstop, vartabstop)
  local widths = {}
  for width in vartabstop:gmatch('%d+') do
    widths[#widths + 1] = tonumber(width)
  end
  return #widths > 0 and widths or { tabstop }
end

---@param column integer display column of a tab
---@param widths integer[]
---@return integer cells it takes
local function tab_cells(column, widths)
  local stop = 0
  for _, width in ipairs(widths) do
    stop = stop + width
    if stop > column then
      return stop - column
    end
  end
  local last = widths[#widths]
  return last - (column - stop) % last
end

--- Tabs as blanks, for virtual text (which does not expand them).
---@param text string one line
---@param column integer display column it starts at
---@param widths integer[] of the tabs
---@return string expanded
---@return integer column display column it ends at
function M.expand_tabs(text, column, widths)
  local out = {}
  for chunk, tab in text:gmatch('([^\t]*)(\t?)') do
    out[#out + 1] = chunk
    -- Not strdisplaywidth(): that one counts what a window puts in where it wraps the line.
    column = column + vim.fn.strwidth(chunk)
    if tab ~= '' then
      local cells = tab_cells(column, widths)
      out[#out + 1] = (' '):rep(cells)
      column = column + cells
    end
  end
  return table.concat(out), column
end

return M
