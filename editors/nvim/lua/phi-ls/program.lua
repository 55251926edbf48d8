-- What the server's program is asked outside of the protocol.

local M = {}

-- Shortened to its place: it comes while a person may be typing.
---@param message string
---@param level integer?
function M.say(message, level)
  require('phi-ls.client').tell('phi-ls: ' .. message, level or vim.log.levels.INFO)
end

---@param arguments string[]
---@return string[]
local function command_of(arguments)
  return vim.list_extend({ require('phi-ls').config.cmd[1] }, arguments)
end

--- Runs the program; `done` gets its output, or nothing where it failed, which is said.
---@param arguments string[]
---@param done fun(output: string)
---@param on_line fun(line: string)? each line of standard error
function M.run(arguments, done, on_line)
  local said = {}
  local function stderr(_, text)
    for line in (text or ''):gmatch('[^\n]+') do
      said[#said + 1] = line
      if on_line then
        vim.schedule_wrap(on_line)(line)
      end
    end
  end
  local options = { text = true, env = require('phi-ls').config.cmd_env, stderr = stderr }
  local function ended(result)
    if result.code == 0 then
      return done(result.stdout)
    end
    M.say((said[#said] or ('%s failed'):format(arguments[1])):gsub('^Error: ', ''), vim.log.levels.ERROR)
  end
  local ok, problem = pcall(vim.system, command_of(arguments), options, vim.schedule_wrap(ended))
  if not ok then
    M.say(tostring(problem), vim.log.levels.ERROR)
  end
end

--- What the program answers in JSON; nil where it does not within `timeout` milliseconds.
---@param arguments string[]
---@param timeout integer
---@return any
function M.json(arguments, timeout)
  local ok, process = pcall(vim.system, command_of(arguments), { text = true, env = require('phi-ls').config.cmd_env })
  local result = ok and process:wait(timeout)
  if not result or result.code ~= 0 then
    return nil
  end
  local decoded, value = pcall(vim.json.decode, result.stdout, { luanil = { object = true, array = true } })
  return decoded and value or nil
end

--- Shows what the command `name` prints, in a window of its own that `q` closes.
---@param name string
function M.report(name)
  M.run({ name }, function(output)
    local buf = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_lines(buf, 0, -1, true, vim.split(vim.trim(output), '\n'))
    vim.bo[buf].bufhidden, vim.bo[buf].modifiable = 'wipe', false
    vim.api.nvim_buf_set_name(buf, ('phi-ls://%s/%d'):format(name, buf))
    vim.cmd('botright split')
    vim.api.nvim_win_set_buf(0, buf)
    vim.wo.wrap = false
    vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = buf, nowait = true })
  end)
end

return M
