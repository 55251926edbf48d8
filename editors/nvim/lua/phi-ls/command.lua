-- The subcommands of :PhiLs.

local M = {}

---@alias phi-ls.Lines integer[] the first line and the last one

-- Each gets its words and the lines before the command, and returns what is wrong.
local subcommands = {} ---@type table<string, fun(words: string[], lines: phi-ls.Lines?): string?>

-- Those that are about lines.
local TAKES_LINES = { 'edit', 'explain', 'fix', 'refactor', 'document', 'tests' }

-- Where the switch may be turned, beside everywhere.
local SCOPES = { 'buffer', 'filetype' }
local ROLES = { 'assistant', 'completion' }
local SNOOZE_MINUTES = 10

-- Whole, however long: who has typed a command waits for what it says.
local function say_error(message)
  vim.notify('phi-ls: ' .. message, vim.log.levels.ERROR)
end

function subcommands.status()
  local client = require('phi-ls.client')
  local server = client.get()
  local buf = vim.api.nvim_get_current_buf()
  local off = require('phi-ls.switch').reason(buf)
  local lines = { 'phi-ls: ' .. client.status.state .. (off and (' (completions are %s)'):format(off) or '') }
  if not off and client.refusal(buf) then
    lines[#lines + 1] = 'no completions in this buffer: ' .. client.refusal(buf)
  end
  lines[#lines + 1] = client.status_message()
  if server then
    local info = server.server_info or {}
    local buffers = vim.tbl_count(server.attached_buffers)
    lines[#lines + 1] = ('%s %s, serving %d buffer%s'):format(
      info.name or 'server',
      info.version or '',
      buffers,
      buffers == 1 and '' or 's'
    )
  end
  local details = require('phi-ls').status()
  if details.tokens_per_second then
    lines[#lines + 1] = ('%s writes %.1f tokens/s'):format(details.model, details.tokens_per_second)
  end
  if client.sharing then
    local count = client.sharing.clients
    lines[#lines + 1] = ('engine process %d, used by %s'):format(
      client.sharing.processId,
      count == 1 and 'this Neovim' or count .. ' editors'
    )
  end
  if client.message then
    vim.list_extend(lines, { 'the last long message:', client.message })
  end
  vim.api.nvim_echo({ { table.concat(lines, '\n') } }, false, {})
end

function subcommands.restart()
  require('phi-ls.client').restart()
end

function subcommands.install()
  return require('phi-ls').install()
end

function subcommands.log()
  local path = vim.lsp.log.get_filename()
  if not vim.uv.fs_stat(path) then
    return ('nothing has been logged yet; there is no %s'):format(path)
  end
  vim.cmd.tabedit(vim.fn.fnameescape(path))
  vim.cmd('normal! G')
end

---@param scope string?
---@param turned fun(is_on: boolean): boolean
---@return string?
local function switch(scope, turned)
  local phi_ls, state = require('phi-ls'), require('phi-ls.switch')
  if not scope then
    phi_ls.enable(turned(state.on))
  elseif not vim.list_contains(SCOPES, scope) then
    return ("expected 'buffer' or 'filetype', found '%s'"):format(scope)
  else
    local where = scope == 'buffer' and { bufnr = 0 } or { filetype = vim.bo.filetype }
    phi_ls.enable(turned(state.is_on_for(vim.api.nvim_get_current_buf())), where)
  end
end

function subcommands.enable(words)
  return switch(words[1], function()
    return true
  end)
end

function subcommands.disable(words)
  return switch(words[1], function()
    return false
  end)
end

function subcommands.toggle(words)
  return switch(words[1], function(is_on)
    return not is_on
  end)
end

function subcommands.snooze(words)
  local minutes = words[1]
  local count = tonumber(minutes or SNOOZE_MINUTES)
  if not (count and require('phi-ls.switch').can_snooze(count)) then
    return ("expected a number of minutes, at most 1440 (a day), found '%s'"):format(minutes)
  end
  require('phi-ls').snooze(count)
end

function subcommands.edit(words, lines)
  return require('phi-ls').edit(#words > 0 and table.concat(words, ' ') or nil, lines)
end

for _, verb in ipairs({ 'explain', 'fix', 'refactor', 'document', 'tests' }) do
  subcommands[verb] = function(_, lines)
    return require('phi-ls').ask(verb, lines)
  end
end

function subcommands.commit()
  return require('phi-ls').commit()
end

function subcommands.stats()
  require('phi-ls.program').report('stats')
end

function subcommands.doctor()
  require('phi-ls.program').report('doctor')
end

function subcommands.models(words)
  return require('phi-ls.models').choose(words[1], words[2])
end

function subcommands.pull(words)
  return require('phi-ls.models').pull(words[1])
end

---@param words string[]
---@param lines phi-ls.Lines?
function M.run(words, lines)
  local name = words[1] or 'status'
  if not subcommands[name] then
    local known = table.concat(M.complete('', 'PhiLs '), ', ')
    return say_error(("unknown subcommand '%s': expected one of %s"):format(name, known))
  elseif not require('phi-ls').config then
    return say_error("not set up: call require('phi-ls').setup() first")
  end
  if lines and not vim.list_contains(TAKES_LINES, name) then
    return say_error(name .. ': expected no range of lines')
  end
  local wrong = subcommands[name](vim.list_slice(words, 2), lines)
  if wrong then
    say_error(name .. ': ' .. wrong)
  end
end

--- What can stand as the word number `place` of `subcommand`.
---@param subcommand string
---@param place integer
---@return string[]
function M.words(subcommand, place)
  local models = require('phi-ls').config and require('phi-ls.models').names or function()
    return {}
  end
  if vim.list_contains({ 'enable', 'disable', 'toggle' }, subcommand) then
    return place == 1 and SCOPES or {}
  elseif subcommand == 'pull' then
    return place == 1 and models() or {}
  elseif subcommand == 'models' then
    return place == 1 and ROLES or place == 2 and models() or {}
  end
  return {}
end

---@param lead string
---@param line string
---@return string[]
function M.complete(lead, line)
  local words = vim.tbl_keys(subcommands)
  local earlier = vim.split(vim.trim(line:sub(1, #line - #lead)), '%s+')
  if #earlier > 1 then
    words = vim.list_slice(M.words(earlier[2], #earlier - 1))
  end
  local names = vim.tbl_filter(function(name)
    return vim.startswith(name, lead)
  end, words)
  table.sort(names)
  return names
end

return M
