-- Inline completion for a Neovim without vim.lsp.inline_completion: asks the server as the person types, shows the
-- answer as ghost text, keeps showing the rest while the typed text agrees with it, and asks again when the server says that
-- there is more of it.
--
-- There is one Insert-mode cursor, so there is one request and one shown answer, whatever the number of buffers.

local documents = require('phi-ls.documents')
local ghost = require('phi-ls.ghost')
local insert = require('phi-ls.insert')
local keymaps = require('phi-ls.keymaps')
local text = require('phi-ls.text')

local M = {}

local api = vim.api
local METHOD = 'textDocument/inlineCompletion'
local INVOKED, AUTOMATIC = 1, 2

---@class phi-ls.Place where and in which text the cursor is
---@field buf integer
---@field tick integer
---@field row integer 0-based
---@field col integer 0-based, bytes

---@class phi-ls.Shown
---@field place phi-ls.Place where the completion was asked for
---@field before string the line left of that place
---@field after string the line right of it
---@field line_count integer
---@field candidates phi-ls.Candidate[]
---@field index integer which one is shown
---@field kind integer how they were asked for
---@field client_id integer

---@type phi-ls.Shown?
local shown
---@type { client: vim.lsp.Client, id: integer? }?
local pending
-- The document in which there is more of a completion, said while an answer was on its way: it may be an older one.
---@type string?
local grew_meanwhile
-- The place last looked at: CursorMovedI and TextChangedI both report one key.
---@type phi-ls.Place?
local seen
---@class phi-ls.AskedByHand
---@field place phi-ls.Place
---@field empty boolean? the server has answered: there is nothing
---@field reason string? why

-- The newest question a person asked by hand.
---@type phi-ls.AskedByHand?
local by_hand
-- The line as it would be with the completion a person dismissed: not to be offered again for the same line.
---@type string?
local dismissed

---@return phi-ls.Place
local function here()
  local buf = api.nvim_get_current_buf()
  local row, col = unpack(api.nvim_win_get_cursor(0))
  return { buf = buf, tick = api.nvim_buf_get_changedtick(buf), row = row - 1, col = col }
end

local function line_at(buf, row)
  return api.nvim_buf_get_lines(buf, row, row + 1, false)[1] or ''
end

--- Inserting, not replaying a macro, and no entry of the popup menu chosen (it would fight with the ghost text).
local function typing()
  if api.nvim_get_mode().mode:sub(1, 1) ~= 'i' or vim.fn.reg_executing() ~= '' then
    return false
  end
  return vim.fn.pumvisible() == 0 or vim.fn.complete_info({ 'selected' }).selected == -1
end

local function cancel()
  if pending and pending.id then
    pending.client:cancel_request(pending.id)
  end
  pending = nil
end

local function hide()
  local buf = shown and shown.place.buf or api.nvim_get_current_buf()
  ghost.clear(buf)
  keymaps.lift('ghost', buf)
  shown = nil
end

--- What is left to show at `place` of the chosen candidate, nil where the buffer no longer agrees with it.
---@param place phi-ls.Place
---@return phi-ls.Candidate?
local function rest_at(place)
  local from = shown.place
  local rows = place.row - from.row
  if place.buf ~= from.buf or rows < 0 or (rows == 0 and place.col < from.col) then
    return nil
  end
  if api.nvim_buf_line_count(place.buf) ~= shown.line_count + rows then
    return nil
  end
  if line_at(place.buf, from.row):sub(1, from.col) ~= shown.before then
    return nil
  end
  local typed = api.nvim_buf_get_text(place.buf, from.row, from.col, place.row, place.col, {})
  local after = line_at(place.buf, place.row):sub(place.col + 1)
  return text.rest(shown.candidates[shown.index], table.concat(typed, '\n'), shown.after, after)
end

--- Shows the chosen candidate at `place`; false where it no longer belongs there.
---@param place phi-ls.Place
---@param numbered boolean? say which of how many it is
local function show(place, numbered)
  local rest = rest_at(place)
  if not rest then
    return false
  end
  local hint = numbered and ('%d/%d'):format(shown.index, #shown.candidates) or nil
  ghost.draw(place.buf, place.row, place.col, rest, hint)
  keymaps.lay('ghost', place.buf)
  return true
end

--- Whether a person still waits for the answer to the question asked by hand, or looks at it.
local function is_at_question()
  return by_hand ~= nil and typing() and vim.deep_equal(here(), by_hand.place)
end

--- Says that there is nothing, and why if that is known.
local function note_nothing()
  local place = by_hand.place
  local reason = by_hand.reason or require('phi-ls.client').refusal(place.buf) or 'no completion here'
  ghost.note(place.buf, place.row, 'phi-ls: ' .. reason)
end

--- Takes the server's word on why there is nothing for the question asked by hand. It comes before the answer or after
--- it, and not again when the same is asked again.
---@param reason string
---@return boolean taken
function M.explain(reason)
  if not is_at_question() then
    return false
  end
  by_hand.reason = reason
  if by_hand.empty then
    note_nothing()
  end
  return true
end

--- Takes the server's answer to the request made at `place`.
---@param place phi-ls.Place
---@param client vim.lsp.Client
---@param result table
---@param kind integer
local function answer(place, client, result, kind)
  local line = line_at(place.buf, place.row)
  local candidates = {}
  for _, item in ipairs(result.items or result) do
    local candidate = text.candidate_of_item(item, line, place.row, place.col, client.offset_encoding)
    -- What was dismissed may have grown since.
    local offered = candidate and line:sub(1, place.col) .. candidate.text
    local again = offered and kind == AUTOMATIC and dismissed and vim.startswith(offered, dismissed)
    if candidate and not again then
      candidates[#candidates + 1] = candidate
    end
  end
  if #candidates == 0 then
    if kind == INVOKED then
      by_hand.empty = true
      note_nothing()
    end
    return
  end
  shown = {
    place = place,
    before = line:sub(1, place.col),
    after = line:sub(place.col + 1),
    line_count = api.nvim_buf_line_count(place.buf),
    candidates = candidates,
    index = 1,
    kind = kind,
    client_id = client.id,
  }
  if show(place, kind == INVOKED and #candidates > 1) then
    insert.report_shown(client, candidates[1])
  end
end

---@param buf integer
---@return vim.lsp.Client?
local function client_of(buf)
  local client = vim.lsp.get_clients({ bufnr = buf, name = 'phi-ls', method = METHOD })[1]
  return client and client.initialized and client or nil
end

--- Asks for a completion at `place`. A newer question makes the older one pointless: it is cancelled first.
---@param place phi-ls.Place
---@param kind integer
---@param on_answer fun()?
---@param on_late fun()? the person has typed on before the answer came
local function request(place, kind, on_answer, on_late)
  cancel()
  grew_meanwhile = nil
  local client = client_of(place.buf)
  if not client then
    return
  end
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = kind }
  local mine = { client = client }
  pending = mine
  local _, id = client:request(METHOD, params, function(err, result)
    if pending ~= mine then
      return
    end
    pending = nil
    if err then
      vim.lsp.log.warn('phi-ls', METHOD, err.message)
      return
    end
    if not typing() or type(result) ~= 'table' then
      return
    end
    -- An answer for another text or another place is worth nothing.
    if not vim.deep_equal(here(), place) then
      return on_late and on_late()
    end
    hide()
    answer(place, client, result, kind)
    if on_answer and shown then
      on_answer()
    end
    if grew_meanwhile then
      M.grow(grew_meanwhile)
    end
  end, place.buf)
  mine.id = id
end

--- The text or the cursor may have changed: keep showing what still agrees, else ask again.
local function update()
  if not typing() then
    hide()
    cancel()
    seen = nil
    return
  end
  local place = here()
  if seen and vim.deep_equal(place, seen) then
    return
  end
  seen = place
  if shown and show(place) then
    return
  end
  hide()
  request(place, AUTOMATIC)
end

--- The server has more of the completion that is shown in the document `uri`: asks for it, at the cursor as it is now. A
--- person who looks at another alternative is left alone.
---@param uri string
function M.grow(uri)
  if pending then
    grew_meanwhile = uri
    return
  end
  local place = here()
  local is_shown = shown and shown.place.buf == place.buf and shown.index == 1 and rest_at(place) ~= nil
  if is_shown and typing() and vim.uri_decode(documents.uri(place.buf)) == vim.uri_decode(uri) then
    request(place, shown.kind, nil, function()
      M.grow(uri)
    end)
  end
end

--- Forgets everything: the person has left Insert mode or the buffer.
local function reset()
  hide()
  cancel()
  seen = nil
  dismissed = nil
  by_hand = nil
end

---@param buf integer
---@param group integer
function M.attach(_, buf, group)
  local function on(events, callback)
    api.nvim_create_autocmd(events, { group = group, buffer = buf, callback = callback })
  end
  on({ 'TextChangedI', 'TextChangedP', 'CursorMovedI' }, update)
  -- InsertEnter comes before the mode and the cursor are what they will be.
  on('InsertEnter', function()
    vim.schedule(update)
  end)
  on({ 'InsertLeave', 'BufLeave' }, reset)
  -- The server may come up while the person is typing already.
  seen = nil
  if buf == api.nvim_get_current_buf() then
    update()
  end
end

---@param client vim.lsp.Client
---@param buf integer
function M.detach(client, buf)
  if pending and client:is_stopped() then
    -- Its answer will not come.
    pending = nil
  end
  if buf == api.nvim_get_current_buf() then
    reset()
  end
end

function M.visible()
  return shown ~= nil and rest_at(here()) ~= nil
end

---@param unit 'all'|'word'|'line'
---@return boolean
function M.accept(unit)
  local candidate = shown and rest_at(here())
  if not candidate then
    return false
  end
  local buf, client = shown.place.buf, vim.lsp.get_client_by_id(shown.client_id)
  local whole, part = insert.put(candidate, unit)
  if whole then
    hide()
    insert.report(client, candidate, buf)
  else
    show(here())
    insert.report_part(client, candidate, part)
  end
  return true
end

function M.dismiss()
  if shown then
    dismissed = shown.before .. shown.candidates[shown.index].text
  end
  hide()
  cancel()
end

--- Asks at once, for several alternatives.
---@param on_answer fun()?
function M.trigger(on_answer)
  if typing() then
    local reason = is_at_question() and by_hand.reason or nil
    seen = here()
    by_hand = { place = seen, reason = reason }
    request(seen, INVOKED, on_answer)
  end
end

--- Shows the alternative `step` further on; where only one is known, asks for more first.
---@param step integer
---@param asked boolean?
function M.cycle(step, asked)
  if not shown then
    return
  end
  local place = here()
  if #shown.candidates == 1 and not asked then
    M.trigger(function()
      M.cycle(step, true)
    end)
    return
  end
  -- A candidate that disagrees with what was typed since is passed over.
  for _ = 1, #shown.candidates do
    shown.index = (shown.index - 1 + step) % #shown.candidates + 1
    if show(place, true) then
      return
    end
  end
end

return M
