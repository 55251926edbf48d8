-- Edits of the assistant: each is shown as a diff in a floating window and applied when a person says so. The server
-- gets its answer then; nothing waits for it.

local edit = require('phi-ls.edit')

local M = {}

local api = vim.api

---@class phi-ls.Review
---@field title string
---@field changes phi-ls.Change[]
---@field respond fun(result: lsp.ApplyWorkspaceEditResult)

-- The first one is shown.
local queue = {} ---@type phi-ls.Review[]
local FOOTER = { { ' y', 'Special' }, { ' apply  ' }, { 'q', 'Special' }, { ' discard ' } }
-- What the server is told when a person does not want the edit.
local DISCARDED = 'discarded'

---@param changes phi-ls.Change[]
---@return lsp.ApplyWorkspaceEditResult
local function apply(changes)
  local reason = edit.refresh(changes)
  if reason then
    return { applied = false, failureReason = reason }
  end
  local ok, err = pcall(edit.apply, changes)
  return { applied = ok, failureReason = not ok and tostring(err) or nil }
end

local show_next

---@param review phi-ls.Review
---@param result lsp.ApplyWorkspaceEditResult
local function decide(review, result)
  table.remove(queue, 1)
  review.respond(result)
  vim.schedule(show_next)
end

---@param buf integer
---@param title string
---@return integer window
local function open_window(buf, title)
  local lines = api.nvim_buf_get_lines(buf, 0, -1, true)
  local widest = api.nvim_strwidth(title) + 2
  for _, line in ipairs(lines) do
    widest = math.max(widest, api.nvim_strwidth(line))
  end
  local width = math.max(20, math.min(math.max(widest, 40), vim.o.columns - 4))
  local height = math.max(1, math.min(#lines, vim.o.lines - 6))
  return api.nvim_open_win(buf, true, {
    relative = 'editor',
    row = math.max(0, math.floor((vim.o.lines - height) / 2) - 1),
    col = math.max(0, math.floor((vim.o.columns - width) / 2) - 1),
    width = width,
    height = height,
    style = 'minimal',
    border = 'rounded',
    title = ' ' .. title .. ' ',
    footer = FOOTER,
    footer_pos = 'right',
  })
end

---@param review phi-ls.Review
local function show(review)
  local buf = api.nvim_create_buf(false, true)
  api.nvim_buf_set_lines(buf, 0, -1, true, edit.unified(review.changes))
  -- Not the file type: that would start what is meant for files.
  vim.bo[buf].syntax = 'diff'
  vim.bo[buf].modifiable = false
  vim.bo[buf].bufhidden = 'wipe'
  local window = open_window(buf, review.title)
  local decided = false

  ---@param wanted boolean
  local function close(wanted)
    if decided then
      return
    end
    decided = true
    if api.nvim_win_is_valid(window) then
      api.nvim_win_close(window, true)
    end
    decide(review, wanted and apply(review.changes) or { applied = false, failureReason = DISCARDED })
  end

  local function map(keys, wanted, description)
    for _, key in ipairs(keys) do
      vim.keymap.set('n', key, function()
        close(wanted)
      end, { buffer = buf, nowait = true, desc = description })
    end
  end
  map({ 'y', '<CR>' }, true, 'Apply the change')
  map({ 'n', 'q', '<Esc>' }, false, 'Discard the change')
  api.nvim_create_autocmd('BufWipeout', {
    buffer = buf,
    once = true,
    -- Closed by other means. A window cannot be closed while a buffer is.
    callback = vim.schedule_wrap(function()
      close(false)
    end),
  })
end

--- Whether a window may take the cursor: whoever types keeps it.
local function at_rest()
  return api.nvim_get_mode().mode == 'n' and vim.fn.getcmdwintype() == ''
end

---@param review phi-ls.Review
local function wait_for_rest(review)
  require('phi-ls.client').tell(('phi-ls: %s: shown in Normal mode'):format(review.title), vim.log.levels.INFO)
  local waiting = true
  api.nvim_create_autocmd({ 'ModeChanged', 'CmdwinLeave' }, {
    group = api.nvim_create_augroup('phi-ls.review', {}),
    -- The mode or the window changes after the event.
    callback = vim.schedule_wrap(function()
      if waiting and at_rest() then
        waiting = false
        api.nvim_create_augroup('phi-ls.review', {})
        show_next()
      end
    end),
  })
end

function show_next()
  local review = queue[1]
  if not review then
    return
  elseif not at_rest() then
    return wait_for_rest(review)
  end
  -- What was typed meanwhile.
  local reason = edit.refresh(review.changes)
  if reason then
    return decide(review, { applied = false, failureReason = reason })
  end
  show(review)
end

--- Handles `workspace/applyEdit`. Neovim runs it as a coroutine, and answers the server when it ends.
---@param params lsp.ApplyWorkspaceEditParams
---@param context lsp.HandlerContext
---@return lsp.ApplyWorkspaceEditResult
function M.on_apply_edit(_, params, context)
  local client = assert(vim.lsp.get_client_by_id(context.client_id))
  local changes, reason = edit.changes(params.edit, client.offset_encoding)
  if not changes then
    return { applied = false, failureReason = reason }
  elseif edit.is_empty(changes) then
    return { applied = true }
  elseif not require('phi-ls').config.confirm_edits then
    return apply(changes)
  end
  local this = coroutine.running()
  queue[#queue + 1] = {
    title = params.label or 'Change',
    changes = changes,
    respond = function(result)
      -- The server may have ended meanwhile: then nobody takes the answer.
      local ok, err = coroutine.resume(this, result)
      if not ok then
        vim.lsp.log.error('phi-ls', 'workspace/applyEdit', err)
      end
    end,
  }
  if #queue == 1 then
    vim.schedule(show_next)
  end
  return coroutine.yield()
end

return M
