-- phi-ls: inline completion from a model on your own machine. The public functions; see :help phi-ls.

local client = require('phi-ls.client')

local M = {}

local api = vim.api

---@type phi-ls.Config?
M.config = nil
local enabled = true

--- What shows ghost text: one of two modules with the same functions.
local function ui()
  return require('phi-ls.' .. M.config.ui)
end

---@param buf integer
local function watch(buf)
  local server = client.get()
  if enabled and server then
    local group = api.nvim_create_augroup('phi-ls.buffer.' .. buf, {})
    ui().attach(server, buf, group)
  end
end

---@param buf integer
local function unwatch(buf)
  api.nvim_create_augroup('phi-ls.buffer.' .. buf, {})
  local server = client.get()
  if server then
    ui().detach(server, buf)
  end
end

---@param options table? see :help phi-ls-setup
function M.setup(options)
  M.config = require('phi-ls.config').resolve(options)
  local group = api.nvim_create_augroup('phi-ls', {})
  local function is_ours(event)
    local attached = vim.lsp.get_client_by_id(event.data.client_id)
    return attached and attached.name == 'phi-ls'
  end
  api.nvim_create_autocmd('LspAttach', {
    group = group,
    callback = function(event)
      if is_ours(event) then
        watch(event.buf)
      end
    end,
  })
  api.nvim_create_autocmd('LspDetach', {
    group = group,
    callback = function(event)
      if is_ours(event) then
        unwatch(event.buf)
      end
    end,
  })
  require('phi-ls.keymaps').setup(M.config.keymaps)
  client.setup(M.config)
end

--- Turns completions on or off, for all buffers.
---@param on boolean
function M.enable(on)
  enabled = on
  local server = client.get()
  for buf in pairs(server and server.attached_buffers or {}) do
    (on and watch or unwatch)(buf)
  end
end

---@return boolean
function M.is_enabled()
  return enabled
end

--- Whether ghost text is shown at the cursor.
---@return boolean
function M.visible()
  return M.config ~= nil and enabled and ui().visible()
end

--- Whether the server looks after the current buffer.
---@return boolean
function M.attached()
  return enabled and #vim.lsp.get_clients({ name = 'phi-ls', bufnr = 0 }) > 0
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
  ui().dismiss()
end

--- Asks for a completion at the cursor now.
function M.trigger()
  ui().trigger()
end

function M.next()
  ui().cycle(1)
end

function M.prev()
  ui().cycle(-1)
end

--- One short text for a status line; empty where phi-ls does not run.
---@return string
function M.statusline()
  local state = client.status.state
  if state == 'stopped' then
    return ''
  elseif not enabled then
    return 'phi-ls off'
  elseif state == 'ready' then
    return 'phi-ls'
  elseif state == 'error' then
    return 'phi-ls error'
  elseif client.status.fraction then
    return ('phi-ls %s %d%%'):format(state, math.floor(100 * client.status.fraction))
  end
  return ('phi-ls %s…'):format(state)
end

return M
