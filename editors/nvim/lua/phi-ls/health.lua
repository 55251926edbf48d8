-- :checkhealth phi-ls: whatever is known to keep completions from coming.

local M = {}

local health = vim.health

-- Other plugins that draw ghost text: two of them at one place hide each other.
local OTHERS = {
  { 'copilot.vim', function() return vim.g.loaded_copilot ~= nil end },
  { 'copilot.lua', function() return package.loaded['copilot'] ~= nil end },
  { 'codeium.vim', function() return vim.g.loaded_codeium ~= nil end },
  { 'supermaven-nvim', function() return package.loaded['supermaven-nvim'] ~= nil end },
  { 'tabnine-nvim', function() return package.loaded['tabnine'] ~= nil end },
  { 'minuet-ai.nvim', function() return package.loaded['minuet'] ~= nil end },
  { 'llama.vim', function() return vim.g.llama_config ~= nil end },
}

--- `text` as the report shows it: there a bar before and after a word marks a link and is hidden, unless the word is in
--- backticks, which are hidden too.
---@param text string
---@return string
local function with_bars(text)
  return (text:gsub('%S+', function(word)
    return word:find('|[^|]+|') and not word:find('`', 1, true) and ('`%s`'):format(word) or nil
  end))
end

---@param config phi-ls.Config
---@return boolean
local function check_program(config)
  local path = vim.fn.exepath(config.cmd[1])
  if path == '' then
    health.error(("'%s' is not an executable"):format(config.cmd[1]), {
      'run `:PhiLs install`, or install phi-ls as its guide says',
      "or set its path: require('phi-ls').setup({ cmd = { '/path/to/phi-ls' } })",
    })
    return false
  end
  local done = vim.system({ path, '--version' }, { text = true }):wait(5000)
  if done.code ~= 0 then
    health.error(with_bars(('%s --version failed: %s'):format(path, vim.trim(done.stderr or ''))))
    return false
  end
  health.ok(('%s (%s)'):format(vim.trim(done.stdout), path))
  return true
end

--- The model of `role` in the plugin's settings, whichever way they are written.
---@param config phi-ls.Config
---@param role string
---@return string?
local function model_of(config, role)
  return config.settings[role .. '.model'] or vim.tbl_get(config.settings, role, 'model')
end

--- Whether the settings name a server in the model's place.
---@param config phi-ls.Config
---@param role string
---@return boolean
local function has_server(config, role)
  local backend = config.settings[role .. '.backend'] or vim.tbl_get(config.settings, role, 'backend')
  return type(backend) == 'table'
end

---@param config phi-ls.Config
---@param findings table what `phi-ls doctor --json` says
local function check_models(config, findings)
  for _, found in ipairs(findings.models or {}) do
    local own = model_of(config, found.role)
    if has_server(config, found.role) then
      health.ok(found.role .. ': a server of the settings')
    elseif own and own ~= found.model then
      local models = require('phi-ls.program').json({ 'models', '--all', '--json' }, 20000) or {}
      local known = vim.iter(models):find(function(model)
        return model.model == own and model.installed ~= nil
      end)
      if known or vim.uv.fs_stat(vim.fn.expand(own)) then
        health.ok(('%s: %s'):format(found.role, own))
      else
        health.error(('%s: %s is not installed'):format(found.role, own), { 'run `:PhiLs pull ' .. own .. '`' })
      end
    elseif found.problem then
      local report = found.role == 'completion' and health.error or health.warn
      report(with_bars(('%s: %s'):format(found.role, found.problem)), { 'or run `:PhiLs models`' })
    else
      health.ok(('%s: %s'):format(found.role, found.model))
    end
  end
end

---@param config phi-ls.Config
local function check_settings(config)
  local findings = require('phi-ls.program').json({ 'doctor', '--json' }, 30000)
  if not findings then
    return health.warn('`phi-ls doctor` did not answer', { 'run it in a terminal' })
  end
  for _, problem in ipairs(findings.problems or {}) do
    health.warn(with_bars(type(problem) == 'string' and problem or vim.inspect(problem)))
  end
  check_models(config, findings)
  if findings.both_fit == false then
    health.warn('both models together do not fit into the memory', { 'see `:PhiLs doctor`' })
  end
end

--- Keys of the plugin that stand for two things.
---@param keymaps table<string, string|false>
local function check_keys(keymaps)
  local seen = {} ---@type table<string, string>
  for name, key in vim.spairs(keymaps) do
    local code = key and vim.keycode(key)
    if code and seen[code] then
      health.error(('the keys `%s` and `%s` are both %s'):format(seen[code], name, key), { 'see :help phi-ls-keymaps' })
    elseif code then
      seen[code] = name
    end
  end
end

local function check_screen()
  for _, other in ipairs(OTHERS) do
    if other[2]() then
      health.warn(other[1] .. ' draws ghost text, too: the two hide each other', { 'turn one of them off' })
    end
  end
  local own = vim.api.nvim_get_hl(0, { name = 'PhiLsGhost', link = false })
  local normal = vim.api.nvim_get_hl(0, { name = 'Normal', link = false })
  if vim.tbl_isempty(own) or (own.fg ~= nil and own.fg == normal.fg and not own.italic and not own.bg) then
    health.warn('ghost text looks like any other text', {
      "give it a colour: vim.api.nvim_set_hl(0, 'PhiLsGhost', { fg = '#808080' })",
    })
  end
end

--- Why the server does not run.
---@param client table
---@param buf integer
local function tell_missing(client, buf)
  if client.status.state == 'error' then
    health.error(with_bars('the server does not run: ' .. (client.status.message or 'see :PhiLs log')), { 'run `:PhiLs restart`' })
  elseif not client.is_ours(buf) then
    health.warn('the server does not run: the last buffer is of a kind that is not completed', {
      'open a file', "see `filetypes` in :help phi-ls-setup",
    })
  else
    health.warn('the server does not run', { 'open a file, or run `:PhiLs restart`', 'see :PhiLs log' })
  end
end

--- What the client of the plugin sees.
local function check_client()
  local client, switch = require('phi-ls.client'), require('phi-ls.switch')
  -- The report has a buffer of its own.
  local last = vim.fn.bufnr('#')
  local buf = last > 0 and last or vim.api.nvim_get_current_buf()
  local server = client.get()
  if not server then
    return tell_missing(client, buf)
  end
  local state, message = client.status.state, client.status_message()
  local report = state == 'error' and health.error or health.ok
  report(with_bars('the server is running: ' .. state .. (message and (', ' .. message) or '')))
  if not server.server_capabilities.inlineCompletionProvider then
    health.error('the server does not offer inline completion', { 'update phi-ls' })
  end
  if #vim.lsp.get_clients({ name = 'phi-ls' }) > 1 then
    health.error('two clients run the server', { "with this plugin, leave out vim.lsp.enable('phi-ls')" })
  end
  for _, problem in ipairs(client.problems) do
    health.warn(with_bars(problem))
  end
  local off, command = switch.reason(buf)
  if off then
    health.warn(('completions are %s'):format(off), { ('`%s` turns them on'):format(command) })
  elseif client.refusal(buf) then
    health.info(with_bars('nothing is completed in the last buffer: ' .. client.refusal(buf)))
  end
end

function M.check()
  health.start('phi-ls')
  if vim.fn.has('nvim-0.11') == 0 then
    health.error('Neovim 0.11 or newer is needed')
    return
  end
  local config = require('phi-ls').config
  if not config then
    health.error('not set up', { "call require('phi-ls').setup() in your configuration" })
    return
  end
  health.ok('ghost text: ' .. config.ui)
  check_keys(config.keymaps)
  check_screen()
  if check_program(config) then
    check_settings(config)
  end
  check_client()
end

return M
