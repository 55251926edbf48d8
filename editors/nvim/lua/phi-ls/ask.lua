-- What is asked of the assistant by hand, beside the menu of code actions: the same as there, an edit in a person's own
-- words, and the message of a commit.

local M = {}

local api = vim.api

-- Characters of an instruction that are shown as a title.
local TITLE_CHARS = 60

-- The buffers that git, and plugins for it, take a commit's message from.
local MESSAGE_FILETYPES = { 'gitcommit', 'NeogitCommitMessage' }

---@param instruction string
---@return string
local function title_of(instruction)
  local short = vim.fn.strcharpart(instruction, 0, TITLE_CHARS)
  return 'Edit: ' .. short .. (short == instruction and '' or '…')
end

---@param buf integer
---@param lines integer[]?
---@param encoding string
---@return lsp.Range
local function range_of(buf, lines, encoding)
  if not lines then
    return vim.lsp.util.make_range_params(0, encoding).range
  end
  local last = api.nvim_buf_get_lines(buf, lines[2] - 1, lines[2], true)[1]
  local first_column, last_column = { lines[1], 0 }, { lines[2], math.max(0, #last - 1) }
  return vim.lsp.util.make_given_range_params(first_column, last_column, buf, encoding).range
end

-- What can be asked by a verb: the server's actions that do it, the first one that is offered, and what is said where
-- none is.
local VERBS = {
  explain = { { 'explainCode', 'explainProblem' } },
  fix = { { 'fixProblem' }, 'there is no problem here to fix' },
  refactor = { { 'refactor' } },
  document = { { 'document' } },
  tests = { { 'writeTests' } },
}
local NOTHING = 'there is no code here to ask about'

--- The first of `actions` that is one of `wanted`, as a command; or why it cannot be taken.
---@param actions lsp.CodeAction[]
---@param wanted string[]
---@return lsp.Command? command
---@return string? reason
local function find_action(actions, wanted)
  local reason
  for _, name in ipairs(wanted) do
    for _, action in ipairs(actions) do
      local command = type(action.command) == 'table' and action.command or nil
      if command and vim.tbl_get(command, 'arguments', 1, 'action') == name then
        return command
      end
      reason = reason or vim.tbl_get(action, 'disabled', 'reason')
    end
  end
  return nil, reason
end

--- Asks what `verb` says about `lines`, or about what is around the cursor.
---@param buf integer the current one
---@param verb string
---@param lines integer[]?
function M.action(buf, verb, lines)
  local client = assert(vim.lsp.get_clients({ name = 'phi-ls', bufnr = buf })[1])
  local wanted, nothing = unpack(VERBS[verb])
  local params = {
    textDocument = { uri = require('phi-ls.documents').uri(buf) },
    range = range_of(buf, lines, client.offset_encoding),
    -- The problems of the lines are put in on the way.
    context = { diagnostics = {} },
  }
  client:request('textDocument/codeAction', params, function(err, actions)
    local command, reason = find_action(actions or {}, wanted)
    if command then
      return require('phi-ls.answer').ask(command, { client_id = client.id, bufnr = buf })
    end
    reason = err and err.message or reason or nothing or NOTHING
    vim.notify(('phi-ls: %s: %s'):format(verb, reason), vim.log.levels.WARN)
  end, buf)
end

--- Asks for an edit of `lines`, or of the item around the cursor.
---@param buf integer the current one
---@param instruction string? nil: it is asked for
---@param lines integer[]?
function M.edit(buf, instruction, lines)
  local client = assert(vim.lsp.get_clients({ name = 'phi-ls', bufnr = buf })[1])
  -- Where the cursor is now, whatever a person does while they are asked.
  local range = range_of(buf, lines, client.offset_encoding)
  local function send(words)
    words = vim.trim(words or ''):gsub('%s*\n%s*', ' ')
    if words == '' or not api.nvim_buf_is_valid(buf) then
      return
    end
    local question = {
      uri = require('phi-ls.documents').uri(buf),
      action = 'refactor',
      title = title_of(words),
      range = range,
      exact = lines ~= nil,
      instruction = words,
    }
    local command = { title = question.title, command = 'phi-ls.ask', arguments = { question } }
    require('phi-ls.answer').ask(command, { client_id = client.id, bufnr = buf })
  end
  if instruction then
    return send(instruction)
  end
  vim.ui.input({ prompt = 'Edit: ' }, send)
end

--- Puts `message` before everything but blank lines.
---@param buf integer
---@param message string
local function insert(buf, message)
  local lines = api.nvim_buf_get_lines(buf, 0, -1, true)
  local blank = 0
  while lines[blank + 1] and lines[blank + 1]:match('^%s*$') do
    blank = blank + 1
  end
  local written = vim.split(message, '\n', { plain = true })
  if lines[blank + 1] then
    written[#written + 1] = ''
  end
  api.nvim_buf_set_lines(buf, 0, blank, true, written)
end

--- Writes the message of a commit at the top of `buf`. Returns why it cannot.
---@param buf integer
---@return string?
function M.commit(buf)
  local client = require('phi-ls.client').get()
  if not vim.list_contains(MESSAGE_FILETYPES, vim.bo[buf].filetype) then
    return 'expected the buffer that git commit opens'
  elseif not client then
    return 'no server is running; :PhiLs restart starts it'
  end
  local arguments = { { uri = vim.uri_from_bufnr(buf) } }
  local on_end ---@type integer?
  local sent, request = client:request('workspace/executeCommand', {
    command = 'phi-ls.commitMessage',
    arguments = arguments,
  }, function(err, result)
    pcall(api.nvim_del_autocmd, on_end)
    api.nvim_echo({ { '' } }, false, {})
    if err then
      vim.notify('phi-ls: ' .. err.message, vim.log.levels.ERROR)
    elseif type(vim.tbl_get(result or {}, 'text')) == 'string' and result.text ~= '' and api.nvim_buf_is_loaded(buf) then
      insert(buf, result.text)
    end
  end)
  if not sent then
    return 'the server does not accept the question; see :PhiLs log'
  end
  on_end = api.nvim_create_autocmd('BufUnload', {
    buffer = buf,
    once = true,
    callback = function()
      client:cancel_request(request)
    end,
  })
  api.nvim_echo({ { 'phi-ls: writing the commit message …' } }, false, {})
end

return M
