-- Answers of the assistant: a floating window with Markdown that grows while the model writes. What is asked about an
-- answer is answered in the same window, below it.

local M = {}

local api = vim.api

local WIDTH = 80
local HEIGHT = 20

---@class phi-ls.Part one question and its answer
---@field id integer? what the server calls the answer
---@field question string? nil for the one from the menu
---@field text string

---@class phi-ls.Conversation what one window shows
---@field client_id integer
---@field title string
---@field uri string
---@field parts phi-ls.Part[]
---@field note string? what the last answer took
---@field reason string? why the last question has no answer
---@field writing boolean
---@field request integer? the follow-up question that is under way
---@field buf integer?
---@field win integer?
---@field room integer? lines of the screen it may take
---@field closed boolean? nobody wants it any more

-- By the ids of its answers: those that are written, or shown.
local conversations = {} ---@type table<integer, phi-ls.Conversation>
-- Questions from the menu the server has not answered yet.
local asked = {} ---@type table<integer, { client_id: integer, title: string, uri: string }>

---@param client vim.lsp.Client
---@param command lsp.Command
---@param buf integer?
---@param on_end fun(err: lsp.ResponseError?, result: table?)
---@return integer? request
local function execute(client, command, buf, on_end)
  local request
  local sent, id = client:request('workspace/executeCommand', {
    command = command.command,
    arguments = command.arguments,
  }, function(err, result)
    if request then
      asked[request] = nil
    end
    on_end(err, result)
  end, buf)
  request = sent and id or nil
  return request
end

---@param err lsp.ResponseError?
local function report(err)
  if err then
    vim.notify('phi-ls: ' .. err.message, vim.log.levels.ERROR)
  end
end

--- Runs the command of an action: asks in a request that can be cancelled.
---@param command lsp.Command
---@param context { client_id: integer, bufnr: integer }
function M.ask(command, context)
  local client = assert(vim.lsp.get_client_by_id(context.client_id))
  local question = vim.tbl_get(command, 'arguments', 1) or {}
  local request = execute(client, command, context.bufnr, report)
  if request then
    asked[request] = { client_id = client.id, title = question.title, uri = question.uri }
  end
end

--- Ends a question nobody wants the answer of any more: the server stops at the next token.
---@param conversation phi-ls.Conversation
local function cancel(conversation)
  local client = vim.lsp.get_client_by_id(conversation.client_id)
  if not client then
    return
  elseif conversation.request then
    client:cancel_request(conversation.request)
    return
  end
  for id, question in pairs(asked) do
    if question.client_id == client.id and question.title == conversation.title and question.uri == conversation.uri then
      client:cancel_request(id)
      asked[id] = nil
    end
  end
end

---@param conversation phi-ls.Conversation
---@return boolean
local function can_ask(conversation)
  return not conversation.writing and not conversation.reason
end

---@param conversation phi-ls.Conversation
local function footer(conversation)
  local chunks = {}
  if conversation.writing then
    chunks = { { ' writing … ', 'NonText' } }
  elseif conversation.note then
    chunks = { { (' %s '):format(conversation.note), 'NonText' } }
  end
  if can_ask(conversation) then
    vim.list_extend(chunks, { { ' f', 'Special' }, { ' ask further ' } })
  end
  return vim.list_extend(chunks, { { ' q', 'Special' }, { ' close ' } })
end

---@param conversation phi-ls.Conversation
---@return string[] lines
---@return integer last where its last part begins, 1-based
local function lines_of(conversation)
  local lines, last = {}, 1
  for _, part in ipairs(conversation.parts) do
    if part.question then
      if #lines > 0 then
        lines[#lines + 1] = ''
      end
      last = #lines + 1
      vim.list_extend(lines, { '## ' .. part.question, '' })
    end
    vim.list_extend(lines, vim.split(part.text, '\n', { plain = true, trimempty = part.text == '' }))
  end
  if conversation.reason then
    if lines[#lines] ~= '' then
      lines[#lines + 1] = ''
    end
    lines[#lines + 1] = ('(%s)'):format(conversation.reason)
  end
  return lines, last
end

---@param conversation phi-ls.Conversation
---@return integer last where its last part begins
local function show(conversation)
  local lines, last = lines_of(conversation)
  vim.bo[conversation.buf].modifiable = true
  api.nvim_buf_set_lines(conversation.buf, 0, -1, false, lines)
  vim.bo[conversation.buf].modifiable = false
  local height = api.nvim_win_text_height(conversation.win, {}).all
  api.nvim_win_set_config(conversation.win, {
    height = math.max(1, math.min(height, HEIGHT, conversation.room)),
    footer = footer(conversation),
    footer_pos = 'right',
  })
  return last
end

---@param conversation phi-ls.Conversation
---@param question string
local function follow_up(conversation, question)
  local client = vim.lsp.get_client_by_id(conversation.client_id)
  if not client or not conversation.buf then
    return
  end
  -- What was typed does not stay on the last line.
  api.nvim_echo({ { '' } }, false, {})
  local about = conversation.parts[#conversation.parts].id
  table.insert(conversation.parts, { question = question, text = '' })
  conversation.writing, conversation.note = true, nil
  local last = show(conversation)
  api.nvim_win_set_cursor(conversation.win, { last, 0 })
  api.nvim_win_call(conversation.win, function()
    vim.cmd('normal! zt')
  end)
  local command = { command = 'phi-ls.followUp', arguments = { { answer = about, question = question } } }
  conversation.request = execute(client, command, nil, function(err, result)
    conversation.request = nil
    local reason = err and err.message or vim.tbl_get(result or {}, 'reason')
    -- One that was refused has not been begun to be answered.
    if reason and conversation.writing then
      conversation.writing, conversation.reason, conversation.note = false, reason, nil
      if conversation.buf then
        show(conversation)
      end
    end
  end)
end

---@param conversation phi-ls.Conversation
local function prompt(conversation)
  if not can_ask(conversation) then
    return
  end
  vim.ui.input({ prompt = 'Ask further: ' }, function(question)
    question = vim.trim(question or ''):gsub('%s*\n%s*', ' ')
    if question ~= '' and can_ask(conversation) then
      follow_up(conversation, question)
    end
  end)
end

---@param conversation phi-ls.Conversation
local function forget(conversation)
  for id, known in pairs(conversations) do
    if known == conversation then
      conversations[id] = nil
    end
  end
end

---@param conversation phi-ls.Conversation
local function on_wiped(conversation)
  conversation.buf, conversation.win = nil, nil
  if conversation.writing then
    -- Pieces of the answer may still come.
    conversation.closed = true
    cancel(conversation)
  else
    forget(conversation)
  end
end

---@param conversation phi-ls.Conversation
local function open(conversation)
  local buf = api.nvim_create_buf(false, true)
  conversation.buf = buf
  vim.bo[buf].bufhidden = 'wipe'
  -- Not the file type: that would start what is meant for files.
  if not pcall(vim.treesitter.start, buf, 'markdown') then
    vim.bo[buf].syntax = 'markdown'
  end
  -- Whoever types meanwhile keeps the cursor.
  local enter = api.nvim_get_mode().mode == 'n'
  -- The cursor's line stays in sight, as does the status line. The border takes two lines.
  local above, below = vim.fn.screenrow() - 3, vim.o.lines - vim.o.cmdheight - vim.fn.screenrow() - 3
  local under = below >= math.min(above, HEIGHT)
  conversation.room = under and below or above
  conversation.win = api.nvim_open_win(buf, enter, {
    relative = 'cursor',
    anchor = under and 'NW' or 'SW',
    row = under and 1 or 0,
    col = 0,
    width = math.max(20, math.min(WIDTH, vim.o.columns - 4)),
    height = 1,
    style = 'minimal',
    border = 'rounded',
    title = (' %s '):format(conversation.title),
  })
  api.nvim_echo({ { '' } }, false, {})
  vim.wo[conversation.win].wrap = true
  vim.wo[conversation.win].linebreak = true
  -- Paragraphs are long lines: they are scrolled by what is seen of them.
  vim.wo[conversation.win].smoothscroll = true
  vim.wo[conversation.win].fillchars = 'eob: ,lastline: '
  vim.wo[conversation.win].conceallevel = 2
  vim.wo[conversation.win].concealcursor = 'n'
  vim.keymap.set('n', 'q', function()
    api.nvim_win_close(0, true)
  end, { buffer = buf, nowait = true, desc = 'Close the answer' })
  vim.keymap.set('n', 'f', function()
    prompt(conversation)
  end, { buffer = buf, nowait = true, desc = 'Ask about the answer' })
  api.nvim_create_autocmd('BufWipeout', {
    buffer = buf,
    once = true,
    callback = function()
      on_wiped(conversation)
    end,
  })
end

--- The conversation a piece belongs to, and its part. A new one begins what no window has asked for.
---@param params table
---@param client_id integer
---@return phi-ls.Conversation
---@return phi-ls.Part
local function begun(params, client_id)
  local conversation = conversations[params.id] or conversations[params.follows]
  if not conversation then
    conversation = {
      client_id = client_id,
      title = params.title,
      uri = params.uri,
      parts = { { id = params.id, text = '' } },
      writing = true,
    }
    api.nvim_echo({ { ('phi-ls: %s …'):format(params.title) } }, false, {})
  end
  conversations[params.id] = conversation
  local part = conversation.parts[#conversation.parts]
  part.id = part.id or params.id
  return conversation, part
end

---@param params table
---@return string?
local function note(params)
  local parts = {}
  if params.model ~= '' then
    parts[1] = params.model
  end
  local milliseconds = vim.tbl_get(params, 'timings', 'totalMs')
  if milliseconds then
    parts[#parts + 1] = ('%.1f s'):format(milliseconds / 1000)
  end
  return #parts > 0 and table.concat(parts, ' · ') or nil
end

--- Handles `phi-ls/answer`.
function M.on_answer(_, params, context)
  local conversation, part = begun(params, context.client_id)
  part.text = type(params.text) == 'string' and params.text or part.text .. params.delta
  conversation.writing = not params.done
  if params.done then
    conversation.reason, conversation.note = params.reason, note(params)
  end
  if part.text ~= '' and not conversation.buf and not conversation.closed then
    open(conversation)
  end
  if conversation.buf then
    show(conversation)
  elseif params.done then
    forget(conversation)
    api.nvim_echo({ { '' } }, false, {})
  end
end

return M
