-- phi-ls: inline completion from a model on your own machine. The public functions; see :help phi-ls.

local client = require('phi-ls.client')
local documents = require('phi-ls.documents')
local keymaps = require('phi-ls.keymaps')
local switch = require('phi-ls.switch')

local M = {}

local api = vim.api

---@type phi-ls.Config?
M.config = nil

--- What shows ghost text: one of two modules with the same functions.
local function ui()
  return require('phi-ls.' .. M.config.ui)
end

---@param server vim.lsp.Client
---@param buf integer
local function watch(server, buf)
  if switch.on then
    local group = api.nvim_create_augroup('phi-ls.buffer.' .. buf, {})
    ui().attach(server, buf, group)
  end
end

---@param server vim.lsp.Client
---@param buf integer
local function unwatch(server, buf)
  api.nvim_create_augroup('phi-ls.buffer.' .. buf, {})
  ui().detach(server, buf)
end

--- Runs `act` with the server and a buffer whenever `event` is about one of ours.
---@param event 'LspAttach'|'LspDetach'
---@param act fun(server: vim.lsp.Client, buf: integer)
local function on(event, act)
  api.nvim_create_autocmd(event, {
    group = 'phi-ls',
    callback = function(args)
      local server = vim.lsp.get_client_by_id(args.data.client_id)
      if server and server.name == 'phi-ls' then
        act(server, args.buf)
      end
    end,
  })
end

---@param options table? see :help phi-ls-setup
function M.setup(options)
  M.config = require('phi-ls.config').resolve(options)
  M.config.cmd = require('phi-ls.install').resolve(M.config.cmd)
  api.nvim_create_augroup('phi-ls', {})
  on('LspAttach', function(server, buf)
    documents.attach(server, buf)
    watch(server, buf)
  end)
  on('LspDetach', function(server, buf)
    unwatch(server, buf)
    documents.detach(server, buf)
  end)
  keymaps.setup(M.config.keymaps)
  require('phi-ls.macro').setup()
  client.setup(M.config)
end

--- Brings the screen and the server in line with the switch.
local function follow_switch()
  client.send_settings()
  local server = client.get()
  for buf in pairs(server and server.attached_buffers or {}) do
    (switch.on and watch or unwatch)(server, buf)
  end
  vim.cmd.redrawstatus({ bang = true })
end

--- Turns completions on or off: everywhere, in one buffer, or for a filetype. Where they are off, nothing is computed.
---@param on boolean
---@param where { bufnr: integer?, filetype: string? }?
function M.enable(on, where)
  where = where or {}
  if where.bufnr then
    switch.set_buffer(on, where.bufnr == 0 and api.nvim_get_current_buf() or where.bufnr)
  elseif where.filetype then
    switch.set_filetype(on, where.filetype)
  else
    switch.set(on)
    return follow_switch()
  end
  client.attach_all()
  vim.cmd.redrawstatus({ bang = true })
end

--- Turns completions off everywhere, for a time.
---@param minutes number a day at most
function M.snooze(minutes)
  if not switch.can_snooze(minutes) then
    error(('phi-ls: snooze: expected a number of minutes, at most 1440 (a day), found %s'):format(minutes), 0)
  end
  switch.snooze(minutes, function()
    M.enable(true)
  end)
  follow_switch()
end

--- Whether completions are on in the current buffer.
---@return boolean
function M.is_enabled()
  return switch.reason(api.nvim_get_current_buf()) == nil
end

--- Whether ghost text is shown at the cursor.
---@return boolean
function M.visible()
  return M.config ~= nil and switch.on and ui().visible()
end

--- Whether the server looks after the current buffer.
---@return boolean
function M.attached()
  return switch.on and #vim.lsp.get_clients({ name = 'phi-ls', bufnr = 0 }) > 0
end

--- Puts the whole completion into the buffer; false if there is none.
---@return boolean
function M.accept()
  return ui().accept('all')
end

---@return boolean
function M.accept_word()
  return ui().accept('word')
end

---@return boolean
function M.accept_line()
  return ui().accept('line')
end

function M.dismiss()
  if M.visible() then
    client.tell_dismissed(api.nvim_get_current_buf())
  end
  ui().dismiss()
end

--- Why nothing can be asked for in `buf`, and what a person does about it; nil if something can.
---@param buf integer
---@return string?
local function why_not_asked(buf)
  local reason, command = switch.reason(buf)
  if reason then
    return ('completions are %s: %s turns them on'):format(reason, command)
  elseif M.attached() then
    return nil
  elseif not client.is_ours(buf) then
    return 'phi-ls does not complete in this kind of buffer'
  elseif vim.list_contains({ 'starting', 'restarting' }, client.status.state) then
    return 'the server is starting'
  end
  return 'no server is running; :PhiLs restart starts it'
end

--- Asks for a completion at the cursor now; says so where none can come.
function M.trigger()
  local buf = api.nvim_get_current_buf()
  local reason = why_not_asked(buf)
  if reason then
    return require('phi-ls.ghost').note(buf, api.nvim_win_get_cursor(0)[1] - 1, 'phi-ls: ' .. reason)
  end
  ui().trigger()
end

--- Installs the server's program from the latest release and starts it. Returns why it cannot.
---@return string?
function M.install()
  local install = require('phi-ls.install')
  return install.run(function()
    M.config.cmd = install.resolve(M.config.cmd)
    client.restart()
  end)
end

--- Asks the assistant about lines, or about what is around the cursor. Returns why it cannot.
---@param verb 'explain'|'fix'|'refactor'|'document'|'tests'
---@param lines integer[]? the first one and the last one
---@return string?
function M.ask(verb, lines)
  local buf = api.nvim_get_current_buf()
  local reason = why_not_asked(buf)
  if not reason then
    require('phi-ls.ask').action(buf, verb, lines)
  end
  return reason
end

--- Asks for an edit in a person's own words; without any, a line is there to type them. Returns why it cannot.
---@param instruction string?
---@param lines integer[]? the first one and the last one it is about; nil: the item around the cursor
---@return string?
function M.edit(instruction, lines)
  local buf = api.nvim_get_current_buf()
  local reason = why_not_asked(buf)
  if not reason then
    require('phi-ls.ask').edit(buf, instruction, lines)
  end
  return reason
end

--- Writes the message of a commit at the top of the current buffer, which is the one git takes it from. Returns why it cannot.
---@return string?
function M.commit()
  return require('phi-ls.ask').commit(api.nvim_get_current_buf())
end

function M.next()
  ui().cycle(1)
end

function M.prev()
  ui().cycle(-1)
end

--- What phi-ls is doing, for a status line of one's own.
---@return { state: string, message: string?, model: string?, fraction: number?, tokens_per_second: number?, off: string? }
function M.status()
  local buf = api.nvim_get_current_buf()
  return {
    state = client.status.state,
    message = client.status_message(),
    model = client.status.model,
    fraction = client.status.fraction,
    tokens_per_second = client.status.tokens_per_second,
    -- Why the current buffer has no completions.
    off = switch.reason(buf) or client.refusal(buf),
  }
end

--- One short text for a status line, about the current buffer; empty where phi-ls does not run.
---@return string
function M.statusline()
  local buf = api.nvim_get_current_buf()
  local state = client.status.state
  local reason = switch.reason(buf)
  if state == 'stopped' then
    return ''
  elseif reason then
    return 'phi-ls ' .. reason
  elseif state == 'error' then
    return 'phi-ls error'
  elseif client.refusal(buf) then
    return 'phi-ls: ' .. client.refusal(buf)
  elseif state == 'ready' then
    return 'phi-ls'
  elseif client.status.fraction then
    return ('phi-ls %s %d%%'):format(state, math.floor(100 * client.status.fraction))
  end
  return ('phi-ls %s…'):format(state)
end

return M
