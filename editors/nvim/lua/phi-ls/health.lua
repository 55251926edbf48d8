-- :checkhealth phi-ls

local M = {}

--- `text` as the report shows it: there a bar before and after a word marks a link and is hidden, unless the word is in
--- backticks, which are hidden too.
---@param text string
---@return string
local function with_bars(text)
  return (text:gsub('%S+', function(word)
    return word:find('|[^|]+|') and not word:find('`', 1, true) and ('`%s`'):format(word) or nil
  end))
end

local function check_server(config)
  local path = vim.fn.exepath(config.cmd[1])
  if path == '' then
    vim.health.error(("'%s' is not an executable"):format(config.cmd[1]), {
      'run `:PhiLs install`, or install phi-ls as its guide says',
      "or set its path: require('phi-ls').setup({ cmd = { '/path/to/phi-ls' } })",
    })
    return
  end
  local done = vim.system({ path, '--version' }, { text = true }):wait(5000)
  if done.code ~= 0 then
    vim.health.error(with_bars(('%s --version failed: %s'):format(path, vim.trim(done.stderr or ''))))
    return
  end
  vim.health.ok(('%s (%s)'):format(vim.trim(done.stdout), path))

  local models = vim.system({ path, 'models' }, { text = true, env = config.cmd_env }):wait(20000)
  if models.code == 0 and vim.trim(models.stdout) ~= '' then
    vim.health.info('phi-ls models:\n' .. with_bars(vim.trim(models.stdout)))
  else
    vim.health.warn('`phi-ls models` lists no model', { 'run `phi-ls pull phi-3.5-mini`, or `phi-ls pull starter`' })
  end
end

local function check_client()
  local client = require('phi-ls.client')
  local server = client.get()
  if not server then
    vim.health.warn('the server is not running', { 'open a file', 'see :PhiLs log' })
    return
  end
  local state, message = client.status.state, client.status_message()
  local report = state == 'error' and vim.health.error or vim.health.ok
  report(with_bars('the server is running: ' .. state .. (message and (', ' .. message) or '')))
  if not server.server_capabilities.inlineCompletionProvider then
    vim.health.error('the server does not offer inline completion', { 'update phi-ls' })
  end
end

function M.check()
  vim.health.start('phi-ls')
  if vim.fn.has('nvim-0.11') == 0 then
    vim.health.error('Neovim 0.11 or newer is needed')
    return
  end
  local config = require('phi-ls').config
  if not config then
    vim.health.error('not set up', { "call require('phi-ls').setup() in your configuration" })
    return
  end
  vim.health.ok('ghost text: ' .. config.ui)
  check_server(config)
  check_client()
end

return M
