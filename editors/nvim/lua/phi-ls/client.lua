-- The language server: starts it, and starts it again when it dies; attaches buffers to it; keeps what it says about
-- itself and about documents.

local M = {}

local documents = require('phi-ls.documents')
local keymaps = require('phi-ls.keymaps')
local switch = require('phi-ls.switch')

local api = vim.api

---@class phi-ls.Status what the server last said: `phi-ls/status`
---@field state 'stopped'|'starting'|'restarting'|'loading'|'ready'|'busy'|'error'
---@field message string?
---@field fraction number? while loading: how much is done, 0 to 1
---@field model string?
---@field tokens_per_second number? how fast it writes, once it has
---@field while_off boolean? it was said while the switch was off
M.status = { state = 'stopped' }

---@type string? the last message that was too long to be shown
M.message = nil

---@type string[] what the server does not take of the settings
M.problems = {}
-- How it begins to say so.
local OF_SETTINGS = "^phi%-ls: (the editor's settings: .*)"

-- How long after its first death the server is started again; twice as long after each further one.
M.RESTART_MS = 1000
-- Deaths within RESTARTS_SECONDS after which it is left alone.
local RESTARTS = 5
local RESTARTS_SECONDS = 180

---@class phi-ls.Process
---@field client vim.lsp.Client?
---@field stopping boolean? somebody has asked it to end
---@field ended boolean?

---@type phi-ls.Config
local config
local process ---@type phi-ls.Process? the newest one
-- Sentences a person has been shown: each is shown once.
local told = {} ---@type table<string, boolean>
---@class phi-ls.Refusal
---@field reason string
---@field by_switch boolean it is the switch the server speaks of

-- Why documents are not completed, by URI.
local refusals = {} ---@type table<string, phi-ls.Refusal>
-- The setting the switch turns, as the server's reason names it.
local SWITCHED = 'completion.enabled'
-- When the server died, in seconds.
local deaths = {} ---@type number[]
-- No server is started: for a while after one has died, and until `:PhiLs restart` if that happens too often.
local resting = false
local restart_timer ---@type uv.uv_timer_t?

-- Columns of the last line that messages do not get.
local COLUMNS_OF_OTHERS = 12

-- The engine process that other windows use, too; nil where the model is the server's own.
M.sharing = nil ---@type { processId: integer, clients: integer }?

--- Shows a message. One that is too long for its place would make Neovim wait for a key, whatever a person is typing:
--- it is shortened, and `:PhiLs status` has it whole.
---@param message string
---@param level integer
function M.tell(message, level)
  local room = vim.o.columns * math.max(1, vim.o.cmdheight) - COLUMNS_OF_OTHERS
  local shown = message:match('^[^\n]*')
  if #shown < #message or api.nvim_strwidth(shown) > room then
    M.message = message
    shown = vim.fn.strcharpart(shown, 0, room - 1) .. '…'
  end
  vim.notify(shown, level)
end

---@param message string
---@param level integer
local function tell_once(message, level)
  if not told[message] then
    told[message] = true
    M.tell('phi-ls: ' .. message, level)
  end
end

-- How the server begins a message that says why there is nothing for a question asked by hand.
local NOT_COMPLETED = '^phi%-ls: (not completed: .*)'

--- Handles `window/showMessage`.
local function on_message(_, params)
  local reason = params.message:match(NOT_COMPLETED)
  if reason and require('phi-ls.extmarks').explain(reason) then
    return
  end
  local problem = params.message:match(OF_SETTINGS)
  if problem then
    M.problems[#M.problems + 1] = problem
  end
  local levels = { vim.log.levels.ERROR, vim.log.levels.WARN }
  M.tell(params.message, levels[params.type] or vim.log.levels.INFO)
end

local function say_changed()
  api.nvim_exec_autocmds('User', { pattern = 'PhiLsStatus', modeline = false })
  vim.cmd.redrawstatus({ bang = true })
end

---@param state string
---@param message string?
---@param more table? what else the server says
local function set_status(state, message, more)
  M.status = vim.tbl_extend('error', { state = state, message = message, while_off = not switch.on }, more or {})
  say_changed()
end

local function on_status(_, params)
  local message = type(params.message) == 'string' and params.message or nil
  if params.state == 'loading' and M.status.state ~= 'loading' then
    tell_once(message or 'loading the model', vim.log.levels.INFO)
  elseif params.state == 'error' then
    tell_once(message or 'the server reports an error; see :PhiLs log', vim.log.levels.ERROR)
  end
  M.sharing = type(params.sharing) == 'table' and params.sharing or nil
  local function number(value)
    return type(value) == 'number' and value or nil
  end
  set_status(params.state, message, {
    fraction = number(params.fraction),
    model = type(params.model) == 'string' and params.model or nil,
    tokens_per_second = number(params.tokensPerSecond),
  })
end

local function on_document_status(_, params)
  local reason = type(params.reason) == 'string' and params.reason or nil
  local by_switch = reason ~= nil and not switch.on and reason:find(SWITCHED, 1, true) ~= nil
  refusals[vim.uri_decode(params.uri)] = reason and { reason = reason, by_switch = by_switch } or nil
  say_changed()
end

--- Why the server completes nothing in `buf`; nil if it does.
---@param buf integer
---@return string?
function M.refusal(buf)
  local refusal = refusals[vim.uri_decode(documents.uri(buf))]
  -- The server says that the switch is on again a moment after it is.
  return refusal and not (refusal.by_switch and switch.on) and refusal.reason or nil
end

--- What the server says beside its state.
---@return string?
function M.status_message()
  -- Ready while completions are off: it has another thing to say when they are on, a moment later.
  local is_old = M.status.state == 'ready' and M.status.while_off and switch.on
  return not is_old and M.status.message or nil
end

---@return integer count of deaths that still matter
local function note_death()
  local now = vim.uv.hrtime() / 1e9
  deaths = vim.tbl_filter(function(at)
    return now - at < RESTARTS_SECONDS
  end, deaths)
  deaths[#deaths + 1] = now
  return #deaths
end

--- The server has ended and nobody asked it to.
---@param how string
local function on_death(how)
  local count = note_death()
  resting = true
  if count > RESTARTS then
    local message = 'the server ended %d times in %d minutes; see :PhiLs log, then :PhiLs restart'
    tell_once(message:format(count, RESTARTS_SECONDS / 60), vim.log.levels.ERROR)
    return set_status('error', 'the server ended with ' .. how)
  elseif count == 1 then
    M.tell(('phi-ls: the server ended with %s: restarting'):format(how), vim.log.levels.WARN)
  end
  set_status('restarting', 'the server ended with ' .. how)
  restart_timer = vim.defer_fn(function()
    restart_timer = nil
    resting = false
    M.attach_all()
  end, M.RESTART_MS * 2 ^ (count - 1))
end

--- Starts `of`. Neovim's own client would tell of its end too, in a message that waits for a key.
---@param of phi-ls.Process
---@param dispatchers vim.lsp.rpc.Dispatchers
---@return vim.lsp.rpc.PublicClient
local function start_process(of, dispatchers)
  local leave = dispatchers.on_exit
  dispatchers.on_exit = function(code, signal)
    of.ended = true
    vim.schedule(function()
      refusals = {}
      if of.stopping then
        resting = true
        set_status('stopped')
      else
        on_death(signal ~= 0 and ('signal ' .. signal) or ('code ' .. code))
      end
    end)
    leave(0, 0)
  end
  return vim.lsp.rpc.start(config.cmd, dispatchers, { env = config.cmd_env })
end

local function capabilities()
  -- Neovim 0.11 knows the method but does not declare it.
  return vim.tbl_deep_extend('force', vim.lsp.protocol.make_client_capabilities(), {
    textDocument = { inlineCompletion = { dynamicRegistration = false } },
    -- The built-in asks when the person types, and at no other time.
    experimental = { phiLs = { answers = true, documentStatus = true, completionGrew = config.ui == 'extmarks' } },
  })
end

--- What the server is set to now: a person's settings, and the switch.
---@return table
local function settings()
  local current = vim.deepcopy(config.settings)
  if not switch.on then
    current['completion.enabled'] = nil
    if type(current.completion) == 'table' then
      current.completion.enabled = false
    else
      current['completion.enabled'] = false
    end
  end
  return next(current) and current or vim.empty_dict()
end

--- Tells the server, which counts what becomes of completions, that a person has sent one away.
---@param buf integer
function M.tell_dismissed(buf)
  local client = M.get()
  if client then
    client:notify('phi-ls/dismissed', { uri = documents.uri(buf) })
  end
end

--- Tells the server of the switch: what is off is not computed either.
function M.send_settings()
  local client = M.get()
  if client then
    client.settings = { ['phi-ls'] = settings() }
    client:notify('workspace/didChangeConfiguration', { settings = client.settings })
  end
end

---@param buf integer
---@return string?
local function root_of(buf)
  -- A name like scp://host/file has no place on this machine.
  if api.nvim_buf_get_name(buf):find('^%a[%w+.-]+://') then
    return nil
  end
  return vim.fs.root(buf, config.root_markers)
end

--- Makes the project of `buf` known to a server that runs.
---@param client vim.lsp.Client
---@param buf integer
local function add_folder(client, buf)
  local root = root_of(buf)
  if not root then
    return
  end
  local folder = { uri = vim.uri_from_fname(root), name = root }
  client.workspace_folders = client.workspace_folders or {}
  for _, known in ipairs(client.workspace_folders) do
    if known.uri == folder.uri then
      return
    end
  end
  table.insert(client.workspace_folders, folder)
  if vim.tbl_get(client.server_capabilities, 'workspace', 'workspaceFolders', 'supported') then
    client:notify('workspace/didChangeWorkspaceFolders', { event = { added = { folder }, removed = {} } })
  end
end

--- Whether `buf` is of the kind phi-ls is set up for; whether completions are on in it is another matter.
---@param buf integer
---@return boolean
function M.is_ours(buf)
  if not api.nvim_buf_is_loaded(buf) or not vim.bo[buf].buflisted or vim.bo[buf].buftype ~= '' then
    return false
  end
  return config.filetypes == nil or vim.list_contains(config.filetypes, vim.bo[buf].filetype)
end

---@param buf integer
---@return boolean
local function wanted(buf)
  return M.is_ours(buf) and switch.is_on_for(buf)
end

---@return vim.lsp.Client?
function M.get()
  return vim.lsp.get_clients({ name = 'phi-ls' })[1]
end

---@return boolean
local function is_executable()
  if vim.fn.executable(config.cmd[1]) == 1 then
    return true
  end
  tell_once(("'%s' is not an executable; use :PhiLs install, or set `cmd`"):format(config.cmd[1]), vim.log.levels.ERROR)
  set_status('error', config.cmd[1] .. ' not found')
  return false
end

--- The server is up, and no document is open yet.
---@param client vim.lsp.Client
local function on_init(client)
  for buf in pairs(client.attached_buffers) do
    add_folder(client, buf)
  end
  M.send_settings()
  if vim.list_contains({ 'starting', 'restarting' }, M.status.state) then
    set_status('ready')
  end
end

---@param of phi-ls.Process
---@param client vim.lsp.Client
local function hook(of, client)
  of.client = client
  documents.hook(client)
  require('phi-ls.problems').attach(client)
  local stop = client.stop
  ---@diagnostic disable-next-line: duplicate-set-field
  client.stop = function(...)
    of.stopping = true
    return stop(...)
  end
end

---@param of phi-ls.Process
---@param buf integer
---@return vim.lsp.ClientConfig
local function client_config(of, buf)
  return {
    name = 'phi-ls',
    cmd = function(dispatchers)
      return start_process(of, dispatchers)
    end,
    root_dir = root_of(buf),
    capabilities = capabilities(),
    -- The switch is not in them: they stay beneath all later settings.
    init_options = next(config.settings) and config.settings or vim.empty_dict(),
    handlers = {
      ['phi-ls/status'] = on_status,
      ['phi-ls/documentStatus'] = on_document_status,
      ['window/showMessage'] = on_message,
      ['phi-ls/completionGrew'] = function(_, params)
        require('phi-ls.extmarks').grow(params.uri)
      end,
      ['phi-ls/answer'] = function(...)
        require('phi-ls.answer').on_answer(...)
      end,
      ['workspace/applyEdit'] = function(...)
        return require('phi-ls.review').on_apply_edit(...)
      end,
    },
    commands = {
      ['phi-ls.ask'] = function(...)
        require('phi-ls.answer').ask(...)
      end,
    },
    on_init = on_init,
  }
end

--- Attaches `buf` to the server that runs. One server serves every project: each keeps a model in memory.
---@param buf integer
local function attach(buf)
  local client = assert(process).client
  if client.initialized then
    add_folder(client, buf)
  end
  vim.lsp.buf_attach_client(buf, client.id)
end

--- Starts the server, for `buf` first.
---@param buf integer
local function start(buf)
  if resting or not is_executable() then
    return
  end
  M.problems = {}
  set_status(M.status.state == 'restarting' and 'restarting' or 'starting')
  local of = {}
  local id = vim.lsp.start(client_config(of, buf), {
    bufnr = buf,
    reuse_client = function()
      return false
    end,
  })
  if not id then
    return set_status('error', 'cannot start the server; see :PhiLs log')
  end
  process = of
  hook(of, assert(vim.lsp.get_client_by_id(id)))
end

-- The filetype each buffer was opened with.
local opened_as = {} ---@type table<integer, string>

--- Attaches or detaches `buf`, and gives it its keys, as it should be.
---@param buf integer
---@param may_start boolean whether the server is started if it does not run
function M.sync(buf, may_start)
  if not api.nvim_buf_is_valid(buf) then
    return
  end
  local put = M.is_ours(buf) and keymaps.lay or keymaps.lift
  put('buffer', buf)
  local client = process and not process.ended and process.client or nil
  local filetype = vim.bo[buf].filetype
  local attached = client ~= nil and client.attached_buffers[buf] ~= nil
  if attached and (not wanted(buf) or opened_as[buf] ~= filetype) then
    vim.lsp.buf_detach_client(buf, client.id)
    attached = false
  end
  if attached or not wanted(buf) then
    return
  elseif not client and may_start then
    opened_as[buf] = filetype
    start(buf)
  elseif client and not client:is_stopped() then
    opened_as[buf] = filetype
    attach(buf)
  end
end

function M.attach_all()
  for _, buf in ipairs(api.nvim_list_bufs()) do
    M.sync(buf, true)
  end
end

--- Stops the server, then calls `after`.
---@param after fun()?
function M.stop(after)
  local client = M.get()
  if not client then
    if after then
      after()
    end
    return
  end
  client:stop()
  local timer = assert(vim.uv.new_timer())
  local polls = 0
  timer:start(0, 50, function()
    polls = polls + 1
    vim.schedule(function()
      if timer:is_closing() then
        return
      end
      if client:is_stopped() and M.get() == nil then
        timer:close()
        if after then
          after()
        end
      elseif polls == 60 then
        -- It did not answer the polite request in three seconds.
        client:stop(true)
      end
    end)
  end)
end

function M.restart()
  told, deaths = {}, {}
  if restart_timer then
    restart_timer:close()
    restart_timer = nil
  end
  M.stop(function()
    resting = false
    M.attach_all()
  end)
end

---@param resolved phi-ls.Config
function M.setup(resolved)
  config = resolved
  local group = api.nvim_create_augroup('phi-ls.client', {})
  -- Scheduled: BufReadPost may come before the filetype is known.
  api.nvim_create_autocmd({ 'FileType', 'BufReadPost', 'BufNewFile', 'BufFilePost', 'BufAdd' }, {
    group = group,
    callback = function(event)
      vim.schedule(function()
        M.sync(event.buf, true)
      end)
    end,
  })
  -- `b:phi_ls_enabled` may have been set meanwhile.
  api.nvim_create_autocmd({ 'BufEnter', 'InsertEnter', 'TextChanged', 'TextChangedI' }, {
    group = group,
    callback = function(event)
      M.sync(event.buf, event.event == 'InsertEnter')
    end,
  })
  -- Under its new name it is another document. `:write NAME` in a buffer without one deletes it and adds another, as
  -- far as events go, and takes its autocommands away.
  api.nvim_create_autocmd({ 'BufFilePre', 'BufDelete' }, {
    group = group,
    callback = function(event)
      keymaps.lift('buffer', event.buf)
      local client = M.get()
      if client and client.attached_buffers[event.buf] then
        vim.lsp.buf_detach_client(event.buf, client.id)
      end
    end,
  })
  M.attach_all()
end

return M
