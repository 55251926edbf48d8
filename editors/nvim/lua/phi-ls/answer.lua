-- Answers of the assistant: a floating window with Markdown that grows while the model writes.

local M = {}

local api = vim.api

local WIDTH = 80
local HEIGHT = 20

---@class phi-ls.Answer
---@field buf integer?
---@field win integer?
---@field text string
---@field done boolean
---@field opened boolean?

local answers = {} ---@type table<integer, phi-ls.Answer>

--- Ends a question nobody wants the answer of any more: the server stops at the next token.
---@param client vim.lsp.Client
local function cancel(client)
  for id, request in pairs(client.requests) do
    if request.type == 'pending' and request.method == 'workspace/executeCommand' then
      client:cancel_request(id)
    end
  end
end

---@param answer phi-ls.Answer
---@param title string
---@param client vim.lsp.Client?
local function open(answer, title, client)
  answer.buf = api.nvim_create_buf(false, true)
  vim.bo[answer.buf].bufhidden = 'wipe'
  -- Not the file type: that would start what is meant for files.
  if not pcall(vim.treesitter.start, answer.buf, 'markdown') then
    vim.bo[answer.buf].syntax = 'markdown'
  end
  -- Whoever types meanwhile keeps the cursor.
  local enter = api.nvim_get_mode().mode == 'n'
  answer.win = api.nvim_open_win(answer.buf, enter, {
    relative = 'cursor',
    row = 1,
    col = 0,
    width = math.max(20, math.min(WIDTH, vim.o.columns - 4)),
    height = 1,
    style = 'minimal',
    border = 'rounded',
    title = ' ' .. title .. ' ',
  })
  vim.wo[answer.win].wrap = true
  vim.wo[answer.win].linebreak = true
  vim.wo[answer.win].conceallevel = 2
  vim.keymap.set('n', 'q', function()
    api.nvim_win_close(0, true)
  end, { buffer = answer.buf, nowait = true, desc = 'Close the answer' })
  api.nvim_create_autocmd('BufWipeout', {
    buffer = answer.buf,
    once = true,
    callback = function()
      answer.buf, answer.win = nil, nil
      if client and not answer.done then
        cancel(client)
      end
    end,
  })
end

---@param answer phi-ls.Answer
local function show(answer)
  local lines = vim.split(answer.text, '\n', { plain = true })
  vim.bo[answer.buf].modifiable = true
  api.nvim_buf_set_lines(answer.buf, 0, -1, false, lines)
  vim.bo[answer.buf].modifiable = false
  local height = api.nvim_win_text_height(answer.win, {}).all
  api.nvim_win_set_height(answer.win, math.max(1, math.min(height, HEIGHT, vim.o.lines - 4)))
end

--- Handles `phi-ls/answer`.
function M.on_answer(_, params, context)
  local answer = answers[params.id]
  local begins = answer == nil
  if begins then
    answer = { text = '', done = false }
    answers[params.id] = answer
    api.nvim_echo({ { ('phi-ls: %s …'):format(params.title) } }, false, {})
  end
  answer.text = type(params.text) == 'string' and params.text or answer.text .. params.delta
  answer.done = params.done
  if params.done then
    answers[params.id] = nil
  end
  local closed = not begins and answer.opened and not answer.buf
  if answer.text ~= '' and not closed then
    if not answer.buf then
      open(answer, params.title, context and vim.lsp.get_client_by_id(context.client_id))
      answer.opened = true
    end
    show(answer)
  elseif params.done then
    api.nvim_echo({ { '' } }, false, {})
  end
end

return M
