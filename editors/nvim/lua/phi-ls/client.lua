-- The language server: starts it, attaches buffers to it, keeps what it says about itself.

local M = {}

local api = vim.api

---@class phi-ls.Status what the server last said: `phi-ls/status`
---@field state 'stopped'|'starting'|'loading'|'ready'|'busy'|'error'
---@field message string?
---@field fraction number? while loading: how much is done, 0 to 1
M.status = { state = 'stopped' }

---@type string? the last message that was too long to be shown
M.message = nil

---@type phi-ls.Config
local config
-- Sentences a person has been shown: each is shown once.
local told = {} ---@type table<string, boolean>
local stopping = false

-- Columns of the last line that messages do not get.
local COLUMNS_OF_OTHERS = 12

--- Shows a message. One that is too long for its place would make Neovim wait for a key, whatever a person is typing:
--- it is shortened, and `:PhiLs status` has it whole.
---@param message string
---@param level integer
local function tell(message, level)
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
    tell('phi-ls: ' .. message, level)
  end
end

--- Handles `window/showMessage`.
local function on_message(_, params)
  local levels = { vim.log.levels.ERROR, vim.log.levels.WARN }
  tell(params.message, levels[params.type] or vim.log.levels.INFO)
end

---@param state string
---@param message string?
---@param fraction number?
local function set_status(state, message, fraction)
  M.status = { state = state, message = message, fraction = fraction }
  api.nvim_exec_autocmds('User', { pattern = 'PhiLsStatus', modeline = false })
  vim.cmd.redrawstatus({ bang = true })
end

local function on_status(_, params)
  local message = type(params.message) == 'string' and params.message or nil
  if params.state == 'loading' and M.status.state ~= 'loading' then
    tell_once(message or 'loading the model', vim.log.levels.INFO)
  elseif params.state == 'error' then
    tell_once(message or 'the server reports an error: see :PhiLs log', vim.log.levels.ERROR)
  end
  set_status(params.state, message, type(params.fraction) == 'number' and params.fraction or nil)
end

local function on_exit(code, signal)
  vim.schedule(function()
    if not stopping and (code ~= 0 or signal ~= 0) then
      local how = signal ~= 0 and ('signal ' .. signal) or ('code ' .. code)
      tell_once(('the server ended with %s: see :PhiLs log, then :PhiLs restart'):format(how), vim.log.levels.ERROR)
    end
    set_status('stopped')
  end)
end

local function capabilities()
  -- Neovim 0.11 knows the method but does not declare it.
  return vim.tbl_deep_extend('force', vim.lsp.protocol.make_client_capabilities(), {
    textDocument = { inlineCompletion = { dynamicRegistration = false } },
    experimental = { phiLs = { answers = true } },
  })
end

---@param client vim.lsp.Client
---@param root string
local function add_folder(client, root)
  local supported = vim.tbl_get(client.server_capabilities, 'workspace', 'workspaceFolders', 'supported')
  local folder = { uri = vim.uri_from_fname(root), name = root }
  for _, known in ipairs(client.workspace_folders or {}) do
    if known.uri == folder.uri then
      return
    end
  end
  if supported then
    client:notify('workspace/didChangeWorkspaceFolders', { event = { added = { folder }, removed = {} } })
    client.workspace_folders = client.workspace_folders or {}
    table.insert(client.workspace_folders, folder)
  end
end

---@param buf integer
---@return boolean
local function wanted(buf)
  if not api.nvim_buf_is_loaded(buf) or not vim.bo[buf].buflisted or vim.bo[buf].buftype ~= '' then
    return false
  end
  return config.filetypes == nil or vim.list_contains(config.filetypes, vim.bo[buf].filetype)
end

---@return vim.lsp.Client?
function M.get()
  return vim.lsp.get_clients({ name = 'phi-ls' })[1]
end

--- Attaches `buf` to the server, which is started if it is not running. One server serves every project: each keeps a
--- model in memory.
---@param buf integer
function M.attach(buf)
  if not api.nvim_buf_is_valid(buf) or not wanted(buf) then
    return
  end
  if #vim.lsp.get_clients({ name = 'phi-ls', bufnr = buf }) > 0 then
    return
  end
  if vim.fn.executable(config.cmd[1]) == 0 then
    tell_once(("'%s' is not an executable: install phi-ls or set `cmd`"):format(config.cmd[1]), vim.log.levels.ERROR)
    set_status('error', config.cmd[1] .. ' not found')
    return
  end
  local root = vim.fs.root(buf, config.root_markers)
  if not M.get() then
    set_status('starting')
    stopping = false
  end
  local settings = next(config.settings) and config.settings or vim.empty_dict()
  local id = vim.lsp.start({
    name = 'phi-ls',
    cmd = config.cmd,
    cmd_env = config.cmd_env,
    root_dir = root,
    capabilities = capabilities(),
    init_options = settings,
    settings = { ['phi-ls'] = settings },
    handlers = {
      ['phi-ls/status'] = on_status,
      ['window/showMessage'] = on_message,
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
    on_init = function(client)
      require('phi-ls.problems').attach(client)
      if M.status.state == 'starting' then
        set_status('ready')
      end
    end,
    on_exit = on_exit,
  }, {
    bufnr = buf,
    reuse_client = function(client)
      return client.name == 'phi-ls' and not client:is_stopped()
    end,
  })
  local client = id and vim.lsp.get_client_by_id(id)
  if client and client.initialized and root then
    add_folder(client, root)
  end
end

function M.attach_all()
  for _, buf in ipairs(api.nvim_list_bufs()) do
    M.attach(buf)
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
  stopping = true
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
  told = {}
  M.stop(M.attach_all)
end

---@param resolved phi-ls.Config
function M.setup(resolved)
  config = resolved
  local group = api.nvim_create_augroup('phi-ls.client', {})
  api.nvim_create_autocmd({ 'FileType', 'BufReadPost', 'BufNewFile' }, {
    group = group,
    -- Scheduled: BufReadPost may come before the filetype is known.
    callback = function(event)
      vim.schedule(function()
        M.attach(event.buf)
      end)
    end,
  })
  M.attach_all()
end

return M
