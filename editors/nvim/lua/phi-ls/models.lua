-- Choosing a model: those installed, and those that can be downloaded, with what to expect of each on this machine.

local M = {}

---@class phi-ls.Model what `phi-ls models --all --json` says of one
---@field model string as it is written in the settings
---@field role 'completion'|'assistant'|'any' what it is made for
---@field licence string?
---@field bytes integer
---@field installed string? where its file is
---@field tokens_per_second number?
---@field fits boolean? whether this machine has the memory for it
---@field advice string? whether it fits, and beside which model, in words

local ROLES = { 'completion', 'assistant' }
local MIB = 1024 * 1024

-- Shortened to its place: it comes while a person may be typing.
local function say(message, level)
  require('phi-ls.client').tell('phi-ls: ' .. message, level or vim.log.levels.INFO)
end

--- Runs the server's program; `done` gets its output, or nothing where it failed, which is said.
---@param arguments string[]
---@param done fun(output: string)
---@param on_line fun(line: string)? each line of standard error
local function run(arguments, done, on_line)
  local config = require('phi-ls').config
  local said = {}
  local function stderr(_, text)
    for line in (text or ''):gmatch('[^\n]+') do
      said[#said + 1] = line
      if on_line then
        vim.schedule_wrap(on_line)(line)
      end
    end
  end
  local command = vim.list_extend({ config.cmd[1] }, arguments)
  vim.system(command, { text = true, env = config.cmd_env, stderr = stderr }, vim.schedule_wrap(function(result)
    if result.code == 0 then
      return done(result.stdout)
    end
    say((said[#said] or ('%s failed'):format(arguments[1])):gsub('^Error: ', ''), vim.log.levels.ERROR)
  end))
end

---@param model phi-ls.Model
local function describe(model)
  local size = model.bytes >= 1024 * MIB and ('%.1f GiB'):format(model.bytes / MIB / 1024)
    or ('%.0f MiB'):format(model.bytes / MIB)
  local parts = { model.model, size }
  if model.tokens_per_second then
    parts[#parts + 1] = ('about %d tokens/s here'):format(model.tokens_per_second)
  end
  parts[#parts + 1] = ({ completion = 'for completions', assistant = 'for questions', any = 'for both' })[model.role]
  parts[#parts + 1] = model.licence
  if model.installed then
    parts[#parts + 1] = 'installed'
  end
  parts[#parts + 1] = model.advice
  return table.concat(parts, ', ')
end

--- Has the server use `model` for `role` until Neovim ends.
local function use(model, role)
  local config = require('phi-ls').config
  config.settings[role .. '.model'] = nil
  config.settings = vim.tbl_deep_extend('force', config.settings, { [role] = { model = model } })
  require('phi-ls.client').send_settings()
  say(("now using %s; to keep it: settings = { %s = { model = '%s' } }"):format(model, role, model))
end

---@param model phi-ls.Model
---@param role string
local function bring(model, role)
  if model.installed then
    return use(model.model, role)
  end
  say(('downloading %s'):format(model.model))
  run({ 'pull', model.model }, function()
    use(model.model, role)
  end, function(line)
    vim.api.nvim_echo({ { line } }, false, {})
  end)
end

---@param model phi-ls.Model
---@param role string?
local function choose_role(model, role)
  role = role or model.role
  if role ~= 'any' then
    return bring(model, role)
  end
  vim.ui.select(ROLES, { prompt = ('Use %s for'):format(model.model) }, function(chosen)
    if chosen then
      bring(model, chosen)
    end
  end)
end

--- Has a person choose a model, unless `name` is one, downloads it if need be, and uses it until Neovim ends. Returns what is
--- wrong.
---@param role string? 'completion' or 'assistant'
---@param name string?
---@return string?
function M.choose(role, name)
  if role and not vim.list_contains(ROLES, role) then
    return ("expected 'completion' or 'assistant', found '%s'"):format(role)
  end
  run({ 'models', '--all', '--json' }, function(output)
    local models = vim.json.decode(output, { luanil = { object = true } }) ---@type phi-ls.Model[]
    table.sort(models, function(a, b)
      if (a.installed ~= nil) ~= (b.installed ~= nil) then
        return a.installed ~= nil
      end
      return a.model < b.model
    end)
    if not name then
      return vim.ui.select(models, { prompt = 'Choose a model', format_item = describe }, function(model)
        if model then
          choose_role(model, role)
        end
      end)
    end
    for _, model in ipairs(models) do
      if model.model == name then
        return choose_role(model, role)
      end
    end
    say(("expected a model that `phi-ls models --all` lists, found '%s'"):format(name), vim.log.levels.ERROR)
  end)
end

return M
