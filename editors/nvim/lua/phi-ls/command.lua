-- The subcommands of :PhiLs.

local M = {}

local subcommands = {}

function subcommands.status()
  local client = require('phi-ls.client')
  local server = client.get()
  local lines = { 'phi-ls: ' .. client.status.state .. (require('phi-ls').is_enabled() and '' or ' (completions are off)') }
  if client.status.message then
    lines[#lines + 1] = client.status.message
  end
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
  if client.message then
    vim.list_extend(lines, { 'the last long message:', client.message })
  end
  vim.api.nvim_echo({ { table.concat(lines, '\n') } }, false, {})
end

function subcommands.restart()
  require('phi-ls.client').restart()
end

function subcommands.log()
  vim.cmd.tabedit(vim.fn.fnameescape(vim.lsp.log.get_filename()))
  vim.cmd('normal! G')
end

function subcommands.enable()
  require('phi-ls').enable(true)
end

function subcommands.disable()
  require('phi-ls').enable(false)
end

---@param words string[]
function M.run(words)
  local name = words[1] or 'status'
  if not subcommands[name] then
    vim.notify(("phi-ls: unknown subcommand '%s': expected one of %s"):format(name, table.concat(M.complete(''), ', ')), vim.log.levels.ERROR)
  elseif not require('phi-ls').config then
    vim.notify("phi-ls: not set up: call require('phi-ls').setup() first", vim.log.levels.ERROR)
  else
    subcommands[name]()
  end
end

---@param lead string
---@return string[]
function M.complete(lead)
  local names = vim.tbl_filter(function(name)
    return vim.startswith(name, lead)
  end, vim.tbl_keys(subcommands))
  table.sort(names)
  return names
end

return M
