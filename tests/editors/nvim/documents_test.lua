-- What the server is told of: documents, folders, the switch, its own death: nvim --headless -u NONE -l documents_test.lua

local here = vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, 'S').source:sub(2)))
package.path = here .. '/?.lua;' .. package.path
local harness = require('harness')
local equal = harness.equal

local tests = {}
local function test(name, body)
  tests[#tests + 1] = { name, body }
end

local RULES = {
  { at = 'def ', insert = { 'add(a, b)' } },
  { at = 'z = ', insert = { '3' } },
  { at = 'held ', insert = { 'x' }, hold = true, deaf = true },
}

---@param body fun(child: Child)
---@param options { lines: string[]?, bytes: string?, name: string?, before: string?, settings: table?, setup: table? }?
local function with(body, options)
  options = options or {}
  local settings = vim.tbl_extend('force', { rules = RULES, sync = 2 }, options.settings or {})
  local setup = vim.tbl_extend('force', { cmd = harness.scripted_server, settings = settings, ui = 'extmarks' }, options.setup or {})
  local file = { name = options.name or 'main.py', lines = options.lines or { '' }, bytes = options.bytes }
  local child = harness.start(setup, file, options.before)
  local ok, err = xpcall(body, debug.traceback, child)
  child:quit()
  assert(ok, err)
end

---@param child Child
local function uri(child)
  return child:lua('return require("phi-ls.documents").uri(vim.api.nvim_get_current_buf())')
end

---@param child Child
---@param expected string
local function wait_sent(child, expected)
  local sent
  local ok = pcall(child.wait, child, '', function()
    sent = child:documents()[uri(child)]
    return sent == expected
  end)
  assert(ok, ('the server has %q, expected %q'):format(tostring(sent), expected))
end

test('each buffer without a name is a document of its own', function()
  with(function(child)
    child:lua('vim.cmd.enew() vim.bo.filetype = "python"')
    child:press('idef ')
    child:wait_ghost('add(a, b)')
    local first = uri(child)
    child:press('<Tab><Esc>')
    wait_sent(child, 'def add(a, b)\n')
    child:lua('vim.cmd("enew!") vim.bo.filetype = "lua"')
    child:press('ilocal def ')
    child:wait_ghost('add(a, b)')
    local second = uri(child)
    equal({ first:match('^untitled:') ~= nil, first ~= second }, { true, true }, first .. ' ' .. second)
    wait_sent(child, 'local def \n')
    equal(child:documents()[first], 'def add(a, b)\n')
    local languages = {}
    for _, message in ipairs(child:received('textDocument/didOpen')) do
      languages[message.params.textDocument.uri] = message.params.textDocument.languageId
    end
    equal({ languages[first], languages[second] }, { 'python', 'lua' })
    child:press('<Esc>')
    child:lua('vim.cmd("bdelete!")')
    equal({ child:documents()[first], child:documents()[second] }, { 'def add(a, b)\n', nil })
  end, { before = 'vim.o.hidden = true' })
end)

test('a buffer that gets a name is another document', function()
  with(function(child)
    child:lua('vim.cmd.enew() vim.bo.filetype = "python"')
    child:press('idef <Esc>')
    wait_sent(child, 'def \n')
    local unnamed = uri(child)
    child:lua('vim.cmd("silent write other.py")')
    child:wait('the file is open', function()
      return vim.endswith(uri(child), '/other.py') and child:documents()[uri(child)] ~= nil
    end)
    equal(child:documents()[unnamed], nil)
    child:press('A')
    child:wait_ghost('add(a, b)')
    child:press('<Esc>')
    local written = uri(child)
    child:lua('vim.cmd("silent file third.py")')
    child:wait('the name counts at once', function()
      return vim.endswith(uri(child), '/third.py') and child:documents()[uri(child)] == 'def \n'
    end)
    equal(child:documents()[written], nil)
  end)
end)

test('the problems of a buffer without a name are sent with a question', function()
  with(function(child)
    child:lua([[
      vim.cmd.enew()
      vim.bo.filetype = 'python'
      _G.buffers = #vim.api.nvim_list_bufs()
      vim.diagnostic.set(vim.api.nvim_create_namespace('lint'), 0, { { lnum = 0, col = 0, message = 'bad' } })
      vim.lsp.buf.code_action()
    ]])
    child:wait('it was asked', function()
      return #child:received('textDocument/codeAction') == 1
    end)
    local params = child:received('textDocument/codeAction')[1].params
    equal({ params.textDocument.uri, params.context.diagnostics[1].message }, { uri(child), 'bad' })
    equal(child:lua('return #vim.api.nvim_list_bufs() - buffers'), 0, 'new buffers')
  end)
end)

local LONE = "x = 'a\rb'\ny = 1\nz = \n"

test('a carriage return inside a line moves nothing', function()
  with(function(child)
    wait_sent(child, (LONE:gsub('\r', ' ')))
    child:press('GA')
    child:wait_ghost('3')
    child:press('<Tab>')
    child:wait_ghost('')
    wait_sent(child, (LONE:gsub('\r', ' '):gsub('z = ', 'z = 3')))
    equal(child:saved(), (LONE:gsub('z = ', 'z = 3')))
  end, { bytes = LONE })
end)

test('a carriage return that comes later moves nothing', function()
  with(function(child)
    child:press('A + 1<Esc>')
    wait_sent(child, 'x + 1\nz = \n')
    child:press('A<C-v><C-m>2<Esc>G0i<BS><Esc>')
    wait_sent(child, 'x + 1 2z = \n')
    child:press('ddo')
    wait_sent(child, '\n\n')
    child:press('z = ')
    child:wait_ghost('3')
    wait_sent(child, '\nz = \n')
  end, { lines = { 'x', 'z = ' } })
end)

for format, bytes in pairs({ dos = "x = 'a\rb\r'\r\nz = \r\n", unix = 'x\0 = 1\nz = \n' }) do
  test('what would be a line end to the server is none: ' .. format, function()
    with(function(child)
      equal(child:lua('return vim.bo.fileformat'), format)
      local shown = format == 'dos' and "x = 'a b '\r\nz = \r\n" or bytes
      wait_sent(child, shown)
      child:press('GA')
      child:wait_ghost('3')
      child:press('4')
      wait_sent(child, (shown:gsub('z = ', 'z = 4')))
      child:press('<Esc>u')
      child:wait('it is undone', function()
        return not child:lua('return vim.bo.modified')
      end)
      equal(child:saved(), bytes)
    end, { bytes = bytes })
  end)
end

test('line ends of two kinds are sent as they are', function()
  with(function(child)
    wait_sent(child, 'a\r\nb\nz = \n')
    child:press('GAx')
    wait_sent(child, 'a\r\nb\nz = x\n')
    child:press('<Esc>ggAx')
    wait_sent(child, 'a x\nb\nz = x\n')
  end, { bytes = 'a\r\nb\nz = \n' })
end)

test('an edit of a file with carriage returns is applied where it belongs', function()
  with(function(child)
    wait_sent(child, (LONE:gsub('\r', ' ')))
    local range = { start = { line = 0, character = 0 }, ['end'] = { line = 2, character = 4 } }
    child:tell('test/send', {
      id = 7,
      method = 'workspace/applyEdit',
      params = {
        edit = {
          documentChanges = {
            {
              textDocument = { uri = uri(child), version = vim.NIL },
              edits = { { range = range, newText = "x = 'a b'\ny = 2\nz = 3" } },
            },
          },
        },
      },
    })
    child:wait('it is applied', function()
      return child:text() == "x = 'a\rb'\ny = 2\nz = 3"
    end)
  end, { bytes = LONE, setup = { confirm_edits = false } })
end)

---@param child Child
local function added_folders(child)
  local names = {}
  for _, message in ipairs(child:received('workspace/didChangeWorkspaceFolders')) do
    for _, folder in ipairs(message.params.event.added) do
      names[#names + 1] = vim.fs.basename(folder.name)
    end
  end
  return names
end

test('the folder of each project is made known once', function()
  with(function(child)
    child:lua([[
      vim.fn.mkdir('first/.git', 'p')
      vim.fn.mkdir('second/.git', 'p')
      vim.cmd.edit('first/a.py')
    ]])
    child:wait('a folder is added', function()
      return vim.deep_equal(added_folders(child), { 'first' })
    end)
    child:lua([[vim.cmd.edit('second/b.py') vim.cmd.edit('first/c.py')]])
    child:wait('all are open', function()
      return #child:received('textDocument/didOpen') == 4
    end)
    equal(added_folders(child), { 'first', 'second' })
    equal(child:lua('return #vim.lsp.get_clients()'), 1)
    equal(child:lua('return #vim.lsp.get_clients()[1].workspace_folders'), 3)
  end)
end)

test('folders that come while the server starts are known before their files', function()
  with(function(child)
    equal(#added_folders(child), 1)
    local methods = vim.tbl_map(function(message)
      return message.method
    end, child:all_received())
    local function index(method)
      return vim.iter(ipairs(methods)):find(function(_, name)
        return name == method
      end)
    end
    assert(index('workspace/didChangeWorkspaceFolders') < index('textDocument/didOpen'), vim.inspect(methods))
  end, {
    before = [[
      vim.fn.mkdir('late/.git', 'p')
      vim.cmd('badd late/b.py')
      vim.fn.bufload('late/b.py')
    ]],
  })
end)

test('a file without a root sends none', function()
  with(function(child)
    child:lua('vim.cmd.edit(vim.fn.tempname() .. ".py")')
    child:wait('it is open', function()
      return #child:received('textDocument/didOpen') == 2
    end)
    equal(added_folders(child), {})
  end)
end)

---@param child Child
local function last_settings(child)
  local sent = child:received('workspace/didChangeConfiguration')
  return sent[#sent].params.settings['phi-ls']
end

test('off: the server is told to compute nothing, and to begin again', function()
  with(function(child)
    equal(last_settings(child).completion, { model = 'm' })
    child:lua('vim.cmd("PhiLs disable")')
    equal(last_settings(child).completion, { model = 'm', enabled = false })
    child:press('idef ')
    wait_sent(child, 'def \n')
    equal(child:received('textDocument/inlineCompletion'), {})
    equal(child:lua('return require("phi-ls").statusline()'), 'phi-ls off')
    child:lua('vim.cmd("PhiLs toggle")')
    child:wait_ghost('add(a, b)')
    equal(last_settings(child).completion, { model = 'm' })
  end, { settings = { completion = { model = 'm' } } })
end)

test('off before the server starts: it is told then', function()
  with(function(child)
    local first = child:lua('return vim.lsp.get_clients()[1].id')
    child:lua('vim.cmd("PhiLs disable") vim.cmd("PhiLs restart")')
    child:wait('another server runs', function()
      return child:lua('local now = vim.lsp.get_clients()[1] return now and now.id or ...', first) ~= first
    end)
    equal(last_settings(child)['completion.enabled'], false)
    child:lua('vim.cmd("PhiLs enable")')
    equal(last_settings(child)['completion.enabled'], nil)
  end)
end)

test('snooze: off for a time', function()
  with(function(child)
    child:lua('vim.cmd("PhiLs snooze 60")')
    equal(last_settings(child)['completion.enabled'], false)
    local status = child:lua('return require("phi-ls").statusline()')
    assert(status:find('^phi%-ls off until %d%d:%d%d'), status)
    child:lua('vim.cmd("PhiLs enable")')
    equal(child:lua('return require("phi-ls").statusline()'), 'phi-ls')
    child:lua('require("phi-ls").snooze(0.001)')
    child:wait('it is over', function()
      return child:lua('return require("phi-ls").is_enabled()')
    end)
    equal(last_settings(child)['completion.enabled'], nil)
    child:press('idef ')
    child:wait_ghost('add(a, b)')
  end)
end)

test('snooze: the time shown is the minute after which it is over', function()
  with(function(child)
    local function status_at(time, minutes)
      return child:lua(
        [[
          local time, minutes = ...
          os.time = function() return time end
          local date = os.date
          os.date = function(format, at) return date('!' .. format, at or time) end
          require('phi-ls').snooze(minutes)
          local status = require('phi-ls').statusline()
          os.date = date
          return status
        ]],
        time,
        minutes
      )
    end
    equal(status_at(8 * 3600 + 30, 10), 'phi-ls off until 08:11')
    equal(status_at(8 * 3600, 10), 'phi-ls off until 08:10')
    equal(status_at(23 * 3600 + 59 * 60 + 30, 1), 'phi-ls off until 00:01 tomorrow')
    equal(status_at(8 * 3600, 1440), 'phi-ls off until 08:00 tomorrow')
  end)
end)

test('a log that is not there is not opened', function()
  with(function(child)
    child:lua([[
      vim.notify = function(message) _G.notified = message end
      vim.lsp.log.get_filename = function() return '/no/such/lsp.log' end
      vim.cmd('PhiLs log')
    ]])
    equal(child:lua('return notified'), 'phi-ls: log: nothing has been logged yet; there is no /no/such/lsp.log')
    equal(child:lua('return #vim.api.nvim_list_tabpages()'), 1)
  end)
end)

test('off in a buffer: the server does not know it', function()
  with(function(child)
    local first = uri(child)
    child:press('idef ')
    child:wait_ghost('add(a, b)')
    child:lua('vim.b.phi_ls_enabled = false')
    child:type('x')
    child:wait_ghost('')
    equal(child:documents()[first], nil)
    equal(child:lua('return require("phi-ls").statusline()'), 'phi-ls off in this buffer')
    child:lua('vim.cmd.edit("other.py")')
    child:press('<Esc>Sdef ')
    child:wait_ghost('add(a, b)')
    child:press('<Esc>')
    child:lua('vim.cmd.buffer("main.py") vim.cmd("PhiLs enable buffer")')
    child:press('Sdef ')
    child:wait_ghost('add(a, b)')
    child:lua('vim.cmd("PhiLs disable buffer")')
    child:wait_ghost('')
    equal(child:documents()[first], nil)
  end, { before = 'vim.o.hidden = true' })
end)

test('off for a filetype', function()
  with(function(child)
    local first = uri(child)
    child:lua('vim.cmd("PhiLs disable filetype")')
    equal(child:documents()[first], nil)
    equal(child:lua('return require("phi-ls").statusline()'), 'phi-ls off for python')
    child:lua('vim.bo.filetype = "lua"')
    child:wait('it is open as another language', function()
      return child:documents()[first] ~= nil
    end)
    child:lua('vim.bo.filetype = "python" vim.cmd("PhiLs enable filetype")')
    child:press('idef ')
    child:wait_ghost('add(a, b)')
  end)
end)

test('what a command cannot do is said', function()
  with(function(child)
    child:lua([[vim.notify = function(message) _G.notified = message end]])
    for line, expected in pairs({
      ['PhiLs disable all'] = "phi-ls: disable: expected 'buffer' or 'filetype', found 'all'",
      ['PhiLs snooze soon'] = "phi-ls: snooze: expected a number of minutes, at most 1440 (a day), found 'soon'",
      ['PhiLs snooze 0'] = "phi-ls: snooze: expected a number of minutes, at most 1440 (a day), found '0'",
      ['PhiLs snooze nan'] = "phi-ls: snooze: expected a number of minutes, at most 1440 (a day), found 'nan'",
      ['PhiLs snooze 1441'] = "phi-ls: snooze: expected a number of minutes, at most 1440 (a day), found '1441'",
      ['PhiLs models both'] = "phi-ls: models: expected 'completion' or 'assistant', found 'both'",
      ['PhiLs pull'] = 'phi-ls: pull: expected the name of a model: `:PhiLs models` lists them',
      ['PhiLs sleep'] = "phi-ls: unknown subcommand 'sleep': expected one of commit, disable, doctor, document, edit, enable, explain, fix, install, log, models, pull, refactor, restart, snooze, stats, status, tests, toggle",
    }) do
      child:lua('vim.cmd(...)', line)
      equal(child:lua('return notified'), expected)
    end
    equal(child:call('nvim_call_function', 'getcompletion', { 'PhiLs disable ', 'cmdline' }), { 'buffer', 'filetype' })
    equal(child:call('nvim_call_function', 'getcompletion', { 'PhiLs t', 'cmdline' }), { 'tests', 'toggle' })
    equal(child:call('nvim_call_function', 'getcompletion', { 'PhiLs models ', 'cmdline' }), { 'assistant', 'completion' })
  end)
end)

test('why nothing is completed is said', function()
  with(function(child)
    local initialize = child:received('initialize')[1].params
    equal(initialize.capabilities.experimental.phiLs.documentStatus, true)
    local function status()
      return child:lua('return require("phi-ls").statusline()')
    end
    local reason = 'not completed: .env files hold secrets'
    child:tell('test/send', { method = 'phi-ls/documentStatus', params = { uri = uri(child), reason = reason } })
    child:wait('the status line says it', function()
      return status() == 'phi-ls: ' .. reason
    end)
    local report = child:lua('return vim.fn.execute("PhiLs status")')
    assert(report:find('no completions in this buffer: ' .. reason, 1, true), report)
    child:press('i')
    child:press('<M-Bslash>')
    child:wait_screen('phi-ls: ' .. reason)
    child:press('<Esc>')
    child:lua('vim.cmd.edit("other.py")')
    equal(status(), 'phi-ls')
    child:lua('vim.cmd.buffer("main.py")')
    equal(status(), 'phi-ls: ' .. reason)
    child:tell('test/send', { method = 'phi-ls/documentStatus', params = { uri = uri(child), reason = vim.NIL } })
    child:wait('it is over', function()
      return status() == 'phi-ls'
    end)
  end, { name = 'main.py', before = 'vim.o.hidden = true' })
end)

for order, messages in pairs({ before = { 'reason', 'answer' }, after = { 'answer', 'reason' } }) do
  test('why there is nothing is said at the cursor, and only there: the reason comes ' .. order .. ' the answer', function()
    with(function(child)
      child:lua('_G.notified = {} vim.notify = function(message) table.insert(_G.notified, message) end')
      child:press('iheld <M-Bslash>')
      child:wait('it was asked by hand', function()
        local asked = child:received('textDocument/inlineCompletion')
        return #asked > 0 and asked[#asked].params.context.triggerKind == 1
      end)
      local message = 'phi-ls: not completed: this is binary data, not text'
      for _, what in ipairs(messages) do
        if what == 'answer' then
          child:tell('test/release', { items = {} })
        else
          child:tell('test/send', { method = 'window/showMessage', params = { type = 3, message = message } })
        end
        child:all_received()
      end
      child:wait_ghost(message)
      local count = #child:received('textDocument/inlineCompletion')
      child:press('<M-Bslash>')
      child:wait('it was asked again', function()
        return #child:received('textDocument/inlineCompletion') == count + 1
      end)
      child:tell('test/release', { items = {} })
      child:wait_ghost(message)
      equal(child:lua('return notified'), {})
      child:press('x')
      child:wait_ghost('')
      child:tell('test/send', { method = 'window/showMessage', params = { type = 3, message = message } })
      child:wait('nobody waits for it at the cursor: it is shown as a message', function()
        return vim.deep_equal(child:lua('return notified'), { message })
      end)
    end)
  end)
end

test('on again: the reason of the time when it was off is gone at once', function()
  with(function(child)
    local function report()
      return child:lua('return vim.fn.execute("PhiLs status")')
    end
    local function refuse(reason)
      child:tell('test/send', { method = 'phi-ls/documentStatus', params = { uri = uri(child), reason = reason } })
      -- What the server sent before its answer has been handled.
      child:all_received()
    end
    local off = 'not completed: completions are turned off by `completion.enabled`'
    child:lua('vim.cmd("PhiLs disable")')
    child:tell('test/status', { state = 'ready', message = 'completions are off' })
    refuse(off)
    assert(report():find('\ncompletions are off', 1, true), report())
    child:lua('vim.cmd("PhiLs enable")')
    assert(not report():find(off, 1, true) and not report():find('are off', 1, true), report())
    equal(child:lua('return require("phi-ls").statusline()'), 'phi-ls')
    child:lua('vim.cmd("PhiLs disable")')
    refuse('not completed: .env files hold secrets')
    child:lua('vim.cmd("PhiLs enable")')
    assert(report():find('.env files hold secrets', 1, true), report())
    refuse(off)
    assert(report():find(off, 1, true), 'the person has turned it off in the settings: ' .. report())
  end)
end)

local COUNT_MESSAGES = [[
  _G.notified = {}
  vim.notify = function(message) table.insert(_G.notified, message) end
]]

---@param child Child
local function pid(child)
  return child:lua([[
    for _, process in ipairs(vim.api.nvim_get_proc_children(vim.fn.getpid())) do
      local info = vim.api.nvim_get_proc(process)
      if info and info.name:find('python') then return process end
    end
  ]])
end

test('a server killed while a person types is started again', function()
  with(function(child)
    child:lua(COUNT_MESSAGES)
    child:lua('require("phi-ls.client").RESTART_MS = 10')
    child:press('iheld ')
    child:wait('it was asked', function()
      local asked = child:received('textDocument/inlineCompletion')
      return #asked > 0 and asked[#asked].params.position.character == 5
    end)
    local first = pid(child)
    vim.uv.kill(first, 'sigkill')
    child:press('some more text<CR>and def ')
    child:wait('another one is there', function()
      return pid(child) ~= nil and pid(child) ~= first and child:lua('return require("phi-ls").attached()')
    end)
    -- Without a key.
    child:wait_ghost('add(a, b)')
    wait_sent(child, 'held some more text\nand def \n')
    equal(child:lua('return notified'), { 'phi-ls: the server ended with signal 9: restarting' })
    equal(child:lua('return vim.v.errmsg'), '')
    child:press('<Tab>')
    child:wait('it is accepted', function()
      return child:text() == 'held some more text\nand def add(a, b)'
    end)
  end)
end)

test('a server that dies again and again is left alone', function()
  with(function(child)
    child:lua(COUNT_MESSAGES)
    child:lua([[
      local client = require('phi-ls.client')
      client.RESTART_MS = 1
      _G.starts = 0
      local start = vim.lsp.rpc.start
      vim.lsp.rpc.start = function(...)
        _G.starts = _G.starts + 1
        return start(...)
      end
      vim.api.nvim_create_autocmd('LspAttach', { callback = function(args)
        vim.schedule(function() vim.lsp.get_client_by_id(args.data.client_id):notify('test/crash') end)
      end })
    ]])
    child:tell('test/crash')
    child:wait('it is given up', function()
      return child:lua('return require("phi-ls").statusline()') == 'phi-ls error'
    end)
    child:press('itext<Esc>')
    child:lua('vim.cmd.edit("other.py")')
    equal(child:lua('return starts'), 5)
    local notified = child:lua('return notified')
    equal({ #notified, notified[1] }, { 2, 'phi-ls: the server ended with code 3: restarting' })
    assert(vim.startswith(notified[2], 'phi-ls: the server ended 6 times in 3 minutes; see :PhiLs log'), notified[2])
  end, { before = 'vim.o.hidden = true' })
end)

test('a server that was stopped stays so', function()
  with(function(child)
    child:lua(COUNT_MESSAGES)
    child:lua('vim.lsp.stop_client(vim.lsp.get_clients(), true)')
    child:wait('it has stopped', function()
      return child:lua('return require("phi-ls.client").status.state') == 'stopped'
    end)
    child:press('idef <Esc>')
    child:wait('the keys are handled', function()
      return child:text() == 'def '
    end)
    equal(child:lua('return #vim.lsp.get_clients()'), 0)
    equal(child:lua('return notified'), {})
    child:lua('vim.cmd("PhiLs restart")')
    child:press('A')
    child:wait_ghost('add(a, b)')
  end)
end)

harness.run(tests)
