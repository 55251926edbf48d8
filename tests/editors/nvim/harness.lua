-- Drives a child Neovim by RPC with real keys. Everything waits for what it expects to see; nothing sleeps.

local M = {}

local here = vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, 'S').source:sub(2)))
M.root = vim.fs.normalize(here .. '/../../..')
M.scripted_server = { vim.env.PHI_LS_TEST_PYTHON or 'python3', here .. '/scripted_server.py' }

local WAIT_MS = tonumber(vim.env.PHI_LS_TEST_WAIT_MS or '20000')

---@class Child
local Child = {}
Child.__index = Child

---@param path string
---@param bytes string
local function write(path, bytes)
  local file = assert(io.open(path, 'wb'))
  file:write(bytes)
  file:close()
end

--- A child Neovim with the plugin installed and `file` (name, and lines or bytes) open in a new folder, the root of a
--- project.
---@param setup table? the options of setup(); nil: without the plugin
---@param file { name: string, lines: string[]?, bytes: string? }
---@param before string? Lua to run before setup()
---@return Child
function M.start(setup, file, before)
  local folder = vim.fn.tempname()
  vim.fn.mkdir(folder .. '/.git', 'p')
  write(folder .. '/' .. file.name, file.bytes or table.concat(file.lines, '\n') .. '\n')
  local init = folder .. '/init.lua'
  vim.fn.writefile(
    vim.split(
      table.concat({
        ('vim.opt.runtimepath:prepend(%q)'):format(M.root .. '/editors/nvim'),
        'vim.opt.swapfile = false',
        -- Looking for a Python provider takes longer than a whole test.
        'vim.g.loaded_python3_provider = 0',
        'vim.opt.termguicolors = true',
        'vim.cmd("filetype plugin indent on")',
        before or '',
        setup and ('require("phi-ls").setup(%s)'):format(vim.inspect(setup)) or '',
      }, '\n'),
      '\n'
    ),
    init
  )
  local command = { vim.v.progpath, '--embed', '--headless', '-i', 'NONE', '-u', init, file.name }
  local env = { XDG_STATE_HOME = folder .. '/state', XDG_DATA_HOME = folder .. '/data' }
  local channel = vim.fn.jobstart(command, { rpc = true, cwd = folder, env = env })
  local child = setmetatable({ channel = channel, folder = folder, file = file.name }, Child)
  -- With a user interface attached it redraws as in a terminal.
  child:call('nvim_ui_attach', 80, 16, { rgb = true, ext_linegrid = false })
  if setup then
    child:wait('the server is attached', function()
      return child:lua('return require("phi-ls").attached()')
    end)
  end
  return child
end

-- Answered also while Neovim waits for the rest of a command; anything else would wait with it, for ever.
local ANSWERED_AT_ONCE = { nvim_input = true, nvim_get_mode = true }

function Child:call(name, ...)
  local give_up = vim.uv.now() + WAIT_MS
  while not ANSWERED_AT_ONCE[name] and vim.rpcrequest(self.channel, 'nvim_get_mode').blocking do
    if vim.uv.now() > give_up then
      error('Neovim waits for a key', 2)
    end
    vim.wait(10)
  end
  return vim.rpcrequest(self.channel, name, ...)
end

function Child:lua(code, ...)
  return self:call('nvim_exec_lua', code, { ... })
end

--- Presses keys, as a person does: one after the other, without waiting for the editor.
function Child:press(keys)
  self:call('nvim_input', keys)
end

--- Presses keys and waits until they are handled.
function Child:settle(keys)
  self:call('nvim_input', keys)
  self:call('nvim_get_mode')
  self:lua('return 0')
end

--- Types `text` key by key, each handled before the next one comes.
function Child:type(text)
  for _, character in ipairs(vim.fn.split(text, '\\zs')) do
    self:settle(character == '<' and '<lt>' or character)
  end
end

function Child:screen()
  return self:lua([[
    vim.cmd.redraw()
    local rows = {}
    for row = 1, vim.o.lines do
      local cells = {}
      for column = 1, vim.o.columns do
        cells[column] = vim.fn.screenstring(row, column)
      end
      rows[row] = (table.concat(cells):gsub('%s+$', ''))
    end
    return table.concat(rows, '\n')
  ]])
end

function Child:text()
  return table.concat(self:call('nvim_buf_get_lines', 0, 0, -1, false), '\n')
end

function Child:cursor()
  return self:call('nvim_win_get_cursor', 0)
end

--- All ghost text, in reading order, as it is in the extmarks.
function Child:ghost()
  return self:lua([[
    local marks = vim.api.nvim_buf_get_extmarks(0, vim.api.nvim_create_namespace('phi-ls.ghost'), 0, -1, { details = true })
    local out = {}
    for _, mark in ipairs(marks) do
      for _, chunk in ipairs(mark[4].virt_text or {}) do
        out[#out + 1] = chunk[1]
      end
    end
    for _, mark in ipairs(marks) do
      for _, line in ipairs(mark[4].virt_lines or {}) do
        out[#out + 1] = '\n'
        for _, chunk in ipairs(line) do
          out[#out + 1] = chunk[1]
        end
      end
    end
    return table.concat(out)
  ]])
end

--- Writes the buffer of the file it was started with, and returns what is in the file then.
function Child:saved()
  self:lua('vim.fn.win_execute(vim.fn.bufwinid(...), "silent write")', self.file)
  local file = assert(io.open(self.folder .. '/' .. self.file, 'rb'))
  local bytes = file:read('*a')
  file:close()
  return bytes
end

--- The lines of the only floating window, and what its border says; nil if there is none.
---@return { text: string, title: string, footer: string, current: boolean }?
function Child:float()
  local found = self:lua([[
    local function plain(chunks)
      local out = ''
      for _, chunk in ipairs(chunks or {}) do
        out = out .. chunk[1]
      end
      return out
    end
    for _, window in ipairs(vim.api.nvim_list_wins()) do
      local config = vim.api.nvim_win_get_config(window)
      if config.relative ~= '' then
        local lines = vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(window), 0, -1, false)
        return {
          text = table.concat(lines, '\n'),
          title = plain(config.title),
          footer = plain(config.footer),
          current = window == vim.api.nvim_get_current_win(),
        }
      end
    end
    return vim.NIL
  ]])
  return found ~= vim.NIL and found or nil
end

--- Waits until the floating window is what `condition` says, and returns it.
function Child:wait_float(what, condition)
  local found
  self:wait(what, function()
    found = self:float()
    return found and condition(found)
  end)
  return found
end

function Child:wait_no_float()
  self:wait('no window floats', function()
    return self:float() == nil
  end)
end

--- Sends the server a notification of the test's own.
function Child:tell(method, params)
  self:lua('vim.lsp.get_clients({ name = "phi-ls" })[1]:notify(...)', method, params or vim.empty_dict())
end

--- All messages the scripted server has received, answers to its own requests among them.
function Child:all_received()
  return self:lua([[return vim.lsp.get_clients({ name = 'phi-ls' })[1]:request_sync('test/received', {}, 5000).result]])
end

--- The text the scripted server has of each open document.
---@return table<string, string>
function Child:documents()
  return self:lua([[
    local client = vim.lsp.get_clients({ name = 'phi-ls' })[1]
    -- About the buffer: what is still to be sent of it goes first.
    return client:request_sync('test/documents', {}, 5000, vim.api.nvim_get_current_buf()).result
  ]])
end

--- The messages of one method the scripted server has received.
function Child:received(method)
  return vim.tbl_filter(function(message)
    return message.method == method
  end, self:all_received())
end

function Child:wait(what, condition)
  if not vim.wait(WAIT_MS, condition, 10) then
    local ok, screen = pcall(self.screen, self)
    error(('timed out waiting until %s; the screen:\n%s'):format(what, ok and screen or '?'), 2)
  end
end

function Child:wait_ghost(expected)
  local ok = vim.wait(WAIT_MS, function()
    return self:ghost() == expected
  end, 10)
  if not ok then
    error(('expected ghost text %q, found %q; the screen:\n%s'):format(expected, self:ghost(), self:screen()), 2)
  end
end

function Child:wait_screen(expected)
  self:wait(('the screen shows %q'):format(expected), function()
    return self:screen():find(expected, 1, true) ~= nil
  end)
end

function Child:quit()
  pcall(self.call, self, 'nvim_command', 'qa!')
  vim.fn.jobwait({ self.channel }, 5000)
  vim.fn.delete(self.folder, 'rf')
end

---@param found any
---@param expected any
---@param what string?
function M.equal(found, expected, what)
  if not vim.deep_equal(found, expected) then
    error(('%sexpected %s, found %s'):format(what and what .. ': ' or '', vim.inspect(expected), vim.inspect(found)), 2)
  end
end

--- Runs every test (a name, a function, and why it is about the model in the process alone, if it is) and ends the process:
--- exit code 1 if one failed.
---@param tests { [1]: string, [2]: fun(), [3]: string? }[]
function M.run(tests)
  local only, backend = vim.env.PHI_LS_TEST_ONLY, vim.env.PHI_LS_TEST_BACKEND
  local passed, failed = 0, 0
  for _, test in ipairs(tests) do
    local is_wanted = not only or test[1]:find(only, 1, true)
    if is_wanted and backend and test[3] then
      io.stdout:write(('skip  %s: %s\n'):format(test[1], test[3]))
    elseif is_wanted then
      local start = vim.uv.hrtime()
      local ok, err = xpcall(test[2], debug.traceback)
      local ms = math.floor((vim.uv.hrtime() - start) / 1e6)
      if ok then
        passed = passed + 1
        io.stdout:write(('ok    %s (%d ms)\n'):format(test[1], ms))
      else
        failed = failed + 1
        io.stdout:write(('FAIL  %s\n%s\n'):format(test[1], err))
      end
    end
  end
  io.stdout:write(('%d passed, %d failed\n'):format(passed, failed))
  io.stdout:flush()
  os.exit(failed == 0 and passed > 0 and 0 or 1)
end

return M
