-- Choosing a model: those installed, and those that can be downloaded, with what to expect of each on this machine.

local program = require('phi-ls.program')

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
  program.say(("now using %s; to keep it: settings = { %s = { model = '%s' } }"):format(model, role, model))
end

--- Downloads the model called `name`, showing how far it is, then calls `done`.
---@param name string
---@param done fun()
local function download(name, done)
  program.say(('downloading %s'):format(name))
  program.run({ 'pull', name }, done, function(line)
    vim.api.nvim_echo({ { line } }, false, {})
  end)
end

--- Downloads a model without using it. Returns what is wrong.
---@param name string?
---@return string?
function M.pull(name)
  if not name then
    return 'expected the name of a model: `:PhiLs models` lists them'
  end
  download(name, function()
    program.say(('%s is installed: `:PhiLs models` uses it'):format(name))
  end)
end

--- The names that a person can choose from.
---@return string[]
function M.names()
  local models = program.json({ 'models', '--all', '--json' }, 2000) or {} ---@type phi-ls.Model[]
  return vim.tbl_map(function(model)
    return model.model
  end, models)
end

---@param model phi-ls.Model
---@param role string
local function bring(model, role)
  if model.installed then
    return use(model.model, role)
  end
  download(model.model, function()
    use(model.model, role)
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
  program.run({ 'models', '--all', '--json' }, function(output)
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
    program.say(("expected a model that `phi-ls models --all` lists, found '%s'"):format(name), vim.log.levels.ERROR)
  end)
end

return M
