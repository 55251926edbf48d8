-- The plugin against scripted answers: nvim --headless -u NONE -l plugin_test.lua

local here = vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, 'S').source:sub(2)))
package.path = here .. '/?.lua;' .. package.path
local harness = require('harness')
local equal = harness.equal

local MULTI = 'add(a, b):\n    return a + b'

--- A child with the cursor in Insert mode at the end of `lines`.
local function insert_at_end(rules, lines, options)
  options = options or {}
  local settings = { rules = rules, encoding = options.encoding }
  local setup = { cmd = harness.scripted_server, settings = settings, ui = options.ui or 'extmarks', keymaps = options.keymaps }
  local child = harness.start(setup, { name = options.name or 'main.py', lines = lines }, options.before)
  child:press('GA')
  return child
end

--- Runs `body` with such a child and ends it whatever happens.
local function with(rules, lines, body, options)
  return function()
    local child = insert_at_end(rules, lines, options)
    local ok, err = xpcall(body, debug.traceback, child)
    child:quit()
    assert(ok, err)
  end
end

local ADD = { { at = 'def ', insert = { MULTI } } }

local function count(child, method)
  return #child:received(method)
end

--- Waits until the newest request is one at the given column (in the server's units).
local function wait_asked(child, character)
  child:wait('the server was asked at column ' .. character, function()
    local asked = child:received('textDocument/inlineCompletion')
    return #asked > 0 and asked[#asked].params.position.character == character
  end)
end

local tests = {}
local function test(name, body)
  tests[#tests + 1] = { name, body }
end

test('ghost text is on the screen and not in the buffer', with(ADD, { 'import os', '' }, function(child)
  child:press('def ')
  child:wait_screen('def add(a, b):\n    return a + b')
  equal(child:text(), 'import os\ndef ')
  equal(child:cursor(), { 2, 4 })
  equal(child:lua('return require("phi-ls").visible()'), true)
end))

test('Tab puts exactly the completion into the buffer', with(ADD, { '' }, function(child)
  child:press('def ')
  child:wait_ghost(MULTI)
  child:press('<Tab>')
  child:wait('the text is in the buffer', function()
    return child:text() == 'def ' .. MULTI
  end)
  equal(child:cursor(), { 2, 16 })
  child:wait_ghost('')
end))

test('keys pressed right after Tab come after the completion', with(ADD, { '' }, function(child)
  child:press('def ')
  child:wait_ghost(MULTI)
  child:press('<Tab> + c')
  child:wait('all is in the buffer', function()
    return child:text() == 'def ' .. MULTI .. ' + c'
  end)
end))

test('Tab is still Tab where nothing is shown', with(ADD, { '' }, function(child)
  child:press('x<Tab>y')
  child:wait('the tab is in the buffer', function()
    return child:text() == 'x\ty'
  end)
end, { name = 'main.txt' }))

test('a mapping Tab had before works where nothing is shown', with(ADD, { '' }, function(child)
  child:press('<Tab>')
  child:wait('the older mapping has run', function()
    return child:text() == 'older'
  end)
  child:press('<CR>def ')
  child:wait_ghost(MULTI)
  child:press('<Tab>')
  child:wait('the completion is in the buffer', function()
    return child:text() == 'older\ndef ' .. MULTI
  end)
end, { before = [[vim.keymap.set('i', '<F2>', 'older') vim.keymap.set('i', '<Tab>', '<F2>', { remap = true })]] }))

test('dismiss removes the ghost text and it does not come back', with(ADD, { '' }, function(child)
  child:press('def ')
  child:wait_ghost(MULTI)
  child:press('<C-]>')
  child:wait_ghost('')
  equal(child:text(), 'def ')
  child:press('x<BS>')
  child:wait('the server was asked again', function()
    return #vim.tbl_filter(function(message)
      return message.params.position.character == 4
    end, child:received('textDocument/inlineCompletion')) == 2
  end)
  equal(child:ghost(), '')
end))

test('leaving Insert mode removes the ghost text', with(ADD, { '' }, function(child)
  child:press('def ')
  child:wait_ghost(MULTI)
  child:press('<Esc>')
  child:wait_ghost('')
  equal(child:text(), 'def ')
end))

test('entering Insert mode asks', with(ADD, { 'def ' }, function(child)
  child:wait_ghost(MULTI)
end))

test('typing along keeps the rest on screen and asks nothing', with(ADD, { '' }, function(child)
  child:press('def ')
  child:wait_ghost(MULTI)
  local asked = count(child, 'textDocument/inlineCompletion')
  for i = 1, #'add(a' do
    child:type(MULTI:sub(i, i))
    equal(child:ghost(), MULTI:sub(i + 1), 'after ' .. i .. ' keys')
  end
  child:press('<BS>')
  child:wait_ghost(MULTI:sub(#'add(' + 1))
  equal(count(child, 'textDocument/inlineCompletion'), asked)
  child:press('<Tab>')
  child:wait('the rest is in the buffer', function()
    return child:text() == 'def ' .. MULTI
  end)
end))

test('typing along goes on over a new line with automatic indentation', with(ADD, { '' }, function(child)
  child:press('def ')
  child:wait_ghost(MULTI)
  child:press('add(a, b):')
  child:wait_ghost('\n    return a + b')
  child:press('<CR>')
  child:wait_ghost('return a + b')
  equal(child:text(), 'def add(a, b):\n    ')
end))

test('other text removes the ghost text', with(ADD, { '' }, function(child)
  child:press('def ')
  child:wait_ghost(MULTI)
  child:type('x')
  equal(child:ghost(), '')
end))

test('an answer for an older text is dropped', with({ { at = 'def ', insert = { MULTI }, hold = true } }, { '' }, function(child)
  child:press('def ')
  wait_asked(child, 4)
  -- Without the plugin seeing it: no autocommand runs for this change.
  child:lua([[
    vim.o.eventignore = 'all'
    vim.api.nvim_buf_set_lines(0, 0, 0, false, { 'import os' })
  ]])
  child:tell('test/release')
  child:received('textDocument/inlineCompletion')
  equal(child:ghost(), '')
  equal(child:text(), 'import os\ndef ')
end))

--- Lets the scripted server answer what it holds back with `text` at byte column `col` of the second line.
local function release(child, text, col)
  local place = { line = 1, character = col }
  child:tell('test/release', { items = { { insertText = text, range = { start = place, ['end'] = place } } } })
end

--- Says that there is more of a completion.
local function grow(child)
  local uri = child:received('textDocument/didOpen')[1].params.textDocument.uri
  local params = { uri = uri, version = 1, position = { line = 1, character = 4 } }
  child:tell('test/send', { method = 'phi-ls/completionGrew', params = params })
end

local HELD = { { at = 'def ', insert = {}, hold = true }, { at = 'def ad', insert = {}, hold = true } }

test('ghost text grows, and is there while it does', with(HELD, { 'import os', '' }, function(child)
  equal(child:received('initialize')[1].params.capabilities.experimental.phiLs.completionGrew, true)
  child:press('def ')
  wait_asked(child, 4)
  release(child, 'add(', 4)
  child:wait_ghost('add(')
  local asked = count(child, 'textDocument/inlineCompletion')
  grow(child)
  child:wait('the server was asked again', function()
    return count(child, 'textDocument/inlineCompletion') == asked + 1
  end)
  equal(child:ghost(), 'add(')
  equal(child:received('textDocument/inlineCompletion')[asked + 1].params.context.triggerKind, 2)
  release(child, 'add(a, b)', 4)
  child:wait_ghost('add(a, b)')
  -- Where it was typed along, it goes on from there.
  child:type('ad')
  equal(child:ghost(), 'd(a, b)')
  grow(child)
  wait_asked(child, 6)
  equal(child:ghost(), 'd(a, b)')
  release(child, 'd(a, b):\n    return a', 6)
  child:wait_ghost('d(a, b):\n    return a')
  child:press('<Tab>')
  child:wait('it is in the buffer', function()
    return child:text() == 'import os\ndef add(a, b):\n    return a'
  end)
end))

test('there may be more before the first of it has come', with(HELD, { 'import os', '' }, function(child)
  child:press('def ')
  wait_asked(child, 4)
  grow(child)
  local asked = count(child, 'textDocument/inlineCompletion')
  release(child, 'add(', 4)
  child:wait('the server was asked again', function()
    return count(child, 'textDocument/inlineCompletion') == asked + 1
  end)
  equal(child:ghost(), 'add(')
  release(child, 'add(a, b)', 4)
  child:wait_ghost('add(a, b)')
end))

test('ghost text that is dismissed does not come back grown', with(HELD, { 'import os', '' }, function(child)
  child:press('def ')
  wait_asked(child, 4)
  release(child, 'add(', 4)
  child:wait_ghost('add(')
  child:press('<C-]>')
  child:wait_ghost('')
  local asked = count(child, 'textDocument/inlineCompletion')
  grow(child)
  equal(count(child, 'textDocument/inlineCompletion'), asked)
  child:press('x<BS>')
  child:wait('the server was asked there again', function()
    return #vim.tbl_filter(function(message)
      return message.params.position.character == 4
    end, child:received('textDocument/inlineCompletion')) == 2
  end)
  release(child, 'add(a, b)', 4)
  child:received('textDocument/inlineCompletion')
  equal(child:ghost(), '')
end))

test('a part that is accepted stays, and the rest follows', with({
  { at = 'def ', insert = {}, hold = true },
  { at = 'def add(', insert = { 'a, b)' } },
}, { 'import os', '' }, function(child)
  child:press('def ')
  wait_asked(child, 4)
  release(child, 'add(', 4)
  child:wait_ghost('add(')
  child:press('<Tab>')
  child:wait_ghost('a, b)')
  equal(child:text(), 'import os\ndef add(')
end))

test('a superseded request is cancelled, and its answer dropped if it comes', with({ { at = 'def ', insert = { MULTI }, hold = true, deaf = true } }, { '' }, function(child)
  child:press('def ')
  wait_asked(child, 4)
  local held = child:received('textDocument/inlineCompletion')
  child:press('x')
  child:wait('the older request was cancelled', function()
    local cancelled = child:received('$/cancelRequest')
    return #cancelled > 0 and cancelled[#cancelled].params.id == held[#held].id
  end)
  child:tell('test/release')
  child:received('textDocument/inlineCompletion')
  equal(child:ghost(), '')
end))

test('a word, then a line, then the rest', with({ { at = '= ', insert = { 'a.größe + f(x)\ny = 2\nz = 3' } } }, { '' }, function(child)
  child:press('x = ')
  child:wait_ghost('a.größe + f(x)\ny = 2\nz = 3')
  local asked = count(child, 'textDocument/inlineCompletion')
  for _, expected in ipairs({ 'x = a', 'x = a.', 'x = a.größe', 'x = a.größe +' }) do
    child:press('<M-Right>')
    child:wait('a word more: ' .. expected, function()
      return child:text() == expected
    end)
  end
  equal(child:ghost(), ' f(x)\ny = 2\nz = 3')
  child:press('<M-Down>')
  child:wait_ghost('\ny = 2\nz = 3')
  equal(child:text(), 'x = a.größe + f(x)')
  child:press('<M-Down>')
  child:wait_ghost('\nz = 3')
  equal(count(child, 'textDocument/inlineCompletion'), asked)
  child:press('<Tab>')
  child:wait('the rest is in the buffer', function()
    return child:text() == 'x = a.größe + f(x)\ny = 2\nz = 3'
  end)
end))

test('one undo takes back one completion and nothing else', with(ADD, { 'import os', '' }, function(child)
  child:press('def ')
  child:wait_ghost(MULTI)
  child:press('<Tab> + c<Esc>')
  child:wait('all is in the buffer', function()
    return child:text() == 'import os\ndef ' .. MULTI .. ' + c'
  end)
  local steps = { 'import os\ndef ' .. MULTI, 'import os\ndef ', 'import os\n' }
  for _, expected in ipairs(steps) do
    child:press('u')
    child:wait('undone to ' .. vim.inspect(expected), function()
      return child:text() == expected
    end)
  end
  child:press('3<C-r>')
  child:wait('all redone', function()
    return child:text() == 'import os\ndef ' .. MULTI .. ' + c'
  end)
end))

local CALL = { { at = 'print(', insert = { 'a, b)' }, after = ')' } }

test('closers after the cursor are replaced, and drawn once', with(CALL, { '' }, function(child)
  child:press('print()<Left>')
  child:wait_screen('print(a, b)\n')
  child:press('<Tab>')
  child:wait('the closer is there once', function()
    return child:text() == 'print(a, b)'
  end)
  equal(child:cursor(), { 1, 11 })
end))

test('closers come along when words are accepted', with(CALL, { '' }, function(child)
  child:press('print()<Left>')
  child:wait_ghost('a, b')
  for _ = 1, 3 do
    child:press('<M-Right>')
  end
  child:wait_ghost('')
  equal(child:text(), 'print(a, b)')
  child:press('<M-Right>')
  equal(child:text(), 'print(a, b)')
end))

local CALL_AND_MORE = { { at = 'print(', insert = { 'a)\nprint(c)' }, after = ')' } }

test('a closer that an accepted line brings goes from after the cursor', with(CALL_AND_MORE, { '' }, function(child)
  child:press('print()<Left>')
  child:wait_screen('print(a)\nprint(c)')
  child:press('<M-Down>')
  child:wait_ghost('\nprint(c)')
  equal(child:text(), 'print(a)')
  child:press('<Tab>')
  child:wait('the rest is in the buffer', function()
    return child:text() == 'print(a)\nprint(c)'
  end)
end))

test(
  'typing over a closer is typing along',
  with(CALL_AND_MORE, { 'print()' }, function(child)
    child:press('<Left>')
    child:wait_screen('print(a)\nprint(c)')
    child:press('a)')
    child:wait_ghost('\nprint(c)')
    equal(child:text(), 'print(a)')
  end, { before = [[vim.keymap.set('i', ')', '<C-g>U<Right>')]] })
)

test(
  'closers of an auto-pairs plugin are taken along while typing',
  with({ { at = 'x = ', insert = { 'f(a, b)' } } }, { '' }, function(child)
    child:press('x = ')
    child:wait_ghost('f(a, b)')
    child:press('f(')
    child:wait_screen('x = f(a, b)\n')
    equal(child:text(), 'x = f()')
    child:press('<Tab>')
    child:wait('the closer is there once', function()
      return child:text() == 'x = f(a, b)'
    end)
  end, { before = [[vim.keymap.set('i', '(', '()<C-g>U<Left>')]] })
)

test(
  'a closer that moves to a later line is hidden under the ghost text',
  with({ { at = 'f(', insert = { '\n    a,\n)' }, after = ')' } }, { '' }, function(child)
    child:press('f()<Left>')
    child:wait_screen('f(\n    a,\n)')
    child:press('<Tab>')
    child:wait('the closer is there once', function()
      return child:text() == 'f(\n    a,\n)'
    end)
  end)
)

for _, encoding in ipairs({ 'utf-8', 'utf-16', 'utf-32' }) do
  test(
    'characters outside ASCII are counted right in ' .. encoding,
    with({ { at = '😀é', insert = { '😀é漢字"' }, before = '😀é', after = '"' } }, { 's = ""' }, function(child)
      child:press('<Left>😀é')
      child:wait_screen('s = "😀é漢字"\n')
      child:type('漢')
      equal(child:ghost(), '字')
      child:press('<Tab>')
      child:wait('the text is in the buffer', function()
        return child:text() == 's = "😀é漢字"'
      end)
    end, { encoding = encoding })
  )
end

test('tabs are drawn as wide as they are', with({ { at = '{', insert = { ' //\tx\n\treturn 1\n}' } } }, { '' }, function(child)
  child:press('func f() {')
  child:wait_screen('func f() { //   x\n        return 1\n}')
  child:press('<Tab>')
  child:wait('the tabs are in the buffer', function()
    return child:text() == 'func f() { //\tx\n\treturn 1\n}'
  end)
end, { name = 'main.txt' }))

local TWO = { { at = 'x = ', insert = { 'one', 'two', 'three' } } }

test('alternatives are fetched on demand and cycled', with(TWO, { '' }, function(child)
  child:press('x = ')
  child:wait_ghost('one')
  child:press('<M-]>')
  child:wait_ghost('two  (2/3)')
  child:press('<M-]>')
  child:wait_ghost('three  (3/3)')
  child:press('<M-]><M-[>')
  child:wait_ghost('three  (3/3)')
  child:press('<Tab>')
  child:wait('the one shown is in the buffer', function()
    return child:text() == 'x = three'
  end)
end))

test('trigger asks as invoked and says so if there is nothing', with(ADD, { '' }, function(child)
  child:press('x')
  wait_asked(child, 1)
  child:press('<M-Bslash>')
  child:wait_screen('phi-ls: no completion here')
  local asked = child:received('textDocument/inlineCompletion')
  equal(asked[#asked].params.context.triggerKind, 1)
  child:press('y')
  child:wait_ghost('')
end))

local command = { title = 'accepted', command = 'test.accepted', arguments = { 7 } }

test('the command of an item runs when it is accepted', with({ { at = 'x = ', insert = { 'one' }, command = command } }, { '' }, function(child)
  child:press('x = ')
  child:wait_ghost('one')
  equal(count(child, 'workspace/executeCommand'), 0)
  child:press('<Tab>')
  child:wait('the command was executed', function()
    return count(child, 'workspace/executeCommand') == 1
  end)
  local executed = child:received('workspace/executeCommand')[1].params
  equal({ executed.command, executed.arguments }, { 'test.accepted', { 7 } })
end))

test('the server is told what is on the screen, and what of it is accepted', with({
  { at = 'x = ', insert = { 'größer(1)\ny = 2' }, command = command },
}, { '' }, function(child)
  child:press('x = ')
  child:wait_ghost('größer(1)\ny = 2')
  local function told(method, length)
    local items = child:received(method)
    local newest = #items > 0 and items[#items].params or {}
    return newest.item and { newest.item.insertText, newest.item.command.arguments, newest.acceptedLength } or {}, #items
  end
  child:wait('it is told what is shown', function()
    return vim.deep_equal(told('textDocument/didShowCompletion'), { 'größer(1)\ny = 2', { 7 } })
  end)
  child:press('<M-Right>')
  child:wait('it is told of a word, in UTF-16', function()
    return vim.deep_equal(told('textDocument/didPartiallyAcceptCompletion'), { 'größer(1)\ny = 2', { 7 }, 6 })
  end)
  child:press('<M-Down>')
  child:wait('it is told of a line', function()
    return vim.deep_equal(told('textDocument/didPartiallyAcceptCompletion'), { '(1)\ny = 2', { 7 }, 3 })
  end)
  child:press('<Tab>')
  child:wait('it is told of the rest', function()
    return count(child, 'workspace/executeCommand') == 1
  end)
  equal(count(child, 'textDocument/didShowCompletion'), 1)
end))

test('one key asks once', with({}, { '' }, function(child)
  wait_asked(child, 0)
  child:type('abc')
  -- InsertEnter, and three keys.
  equal(count(child, 'textDocument/inlineCompletion'), 4)
end))

test('an item that does not belong at the cursor is not shown', with({ { at = 'x = ', insert = { 'y = 2' }, before = 'x = ' } }, { '' }, function(child)
  child:press('x = ')
  wait_asked(child, 4)
  equal(child:ghost(), '')
end))

test('status messages are shown once and kept for the status line', with({}, { '' }, function(child)
  child:press('<Esc>')
  child:lua([[vim.notify = function(message) _G.notified = (_G.notified or '') .. message .. '\n' end]])
  local function state(expected)
    child:wait('the status line says ' .. expected, function()
      return child:lua('return require("phi-ls").statusline()') == expected
    end)
  end
  state('phi-ls')
  for _ = 1, 2 do
    child:tell('test/status', { state = 'loading', message = 'loading starter' })
    state('phi-ls loading…')
    child:tell('test/status', { state = 'loading', message = 'loading starter', fraction = 0.419 })
    state('phi-ls loading 41%')
    child:tell('test/status', { state = 'error', message = 'no such model: run `phi-ls pull starter`' })
    state('phi-ls error')
  end
  equal(child:lua('return notified'), 'phi-ls: loading starter\nphi-ls: no such model: run `phi-ls pull starter`\n')
  local report = child:lua('return vim.fn.execute("PhiLs status")')
  assert(report:find('phi-ls: error\nno such model: run `phi-ls pull starter`\nscripted 1, serving 1 buffer', 1, true), report)
end))

test('the status has the model and its speed, and lualine shows the status line', with({}, { '' }, function(child)
  child:press('<Esc>')
  child:tell('test/status', { state = 'busy', message = 'completing', model = 'Phi', tokensPerSecond = 8.25 })
  child:wait('the status says so', function()
    return vim.deep_equal(child:lua('return require("phi-ls").status()'), {
      state = 'busy', message = 'completing', model = 'Phi', tokens_per_second = 8.25,
    })
  end)
  local report = child:lua('return vim.fn.execute("PhiLs status")')
  assert(report:find('Phi writes 8.2 tokens/s', 1, true) or report:find('Phi writes 8.3 tokens/s', 1, true), report)
  -- As lualine has them.
  child:lua([[
    local component = { super = { init = function() end } }
    package.loaded['lualine.component'] = {
      extend = function()
        return setmetatable({ super = component.super }, { __index = component })
      end,
    }
    package.loaded['lualine'] = { refresh = function() _G.refreshed = true end }
    _G.component = require('lualine.components.phi-ls')
    _G.component:init({})
  ]])
  equal(child:lua('return component:update_status()'), 'phi-ls busy…')
  child:tell('test/status', { state = 'ready', message = 'ready' })
  child:wait('lualine is told to draw it again', function()
    return child:lua('return refreshed and component:update_status()') == 'phi-ls'
  end)
end))

test('a server that dies is reported, and restart brings it back', with(ADD, { '' }, function(child)
  child:press('<Esc>')
  child:lua([[vim.notify = function(message) _G.notified = (_G.notified or '') .. message end]])
  child:tell('test/crash')
  child:wait('it is reported', function()
    return (child:lua('return notified or ""')):find('the server ended with code 3', 1, true) ~= nil
  end)
  -- Before it comes back by itself.
  child:lua('vim.cmd("PhiLs restart")')
  child:wait('the server is back', function()
    return child:lua('return require("phi-ls").attached()')
  end)
  child:press('Adef ')
  child:wait_ghost(MULTI)
end))

test('restart of a living server keeps completions working', with(ADD, { '' }, function(child)
  child:press('<Esc>')
  local before = child:lua('return vim.lsp.get_clients({ name = "phi-ls" })[1].id')
  child:lua('vim.cmd("PhiLs restart")')
  child:wait('another server is there', function()
    return child:lua('local c = vim.lsp.get_clients({ name = "phi-ls" })[1] return c and c.id') ~= before
      and child:lua('return require("phi-ls").attached()')
  end)
  child:press('Adef ')
  child:wait_ghost(MULTI)
end))

test('disable and enable', with(ADD, { '' }, function(child)
  child:press('def ')
  child:wait_ghost(MULTI)
  child:lua('vim.cmd("PhiLs disable")')
  child:wait_ghost('')
  local asked = count(child, 'textDocument/inlineCompletion')
  child:type('x')
  equal(count(child, 'textDocument/inlineCompletion'), asked)
  child:lua('vim.cmd("PhiLs enable")')
  child:press('<C-u>def ')
  child:wait_ghost(MULTI)
end))

test('checkhealth names a server that is not running and one that is', with(ADD, { '' }, function(child)
  child:press('<Esc>')
  child:lua('vim.cmd("checkhealth phi-ls")')
  assert(child:text():find('the server is running: ready', 1, true), child:text())
end))

-- What may be wrong, how it comes to that, and what is said.
local MISCONFIGURED = {
  ['completions are off'] = { after = "vim.cmd('PhiLs disable')" },
  ['completions are off in this buffer'] = { after = "vim.cmd('PhiLs disable buffer')" },
  ['copilot.vim draws ghost text, too'] = { before = 'vim.g.loaded_copilot = 1' },
  ['ghost text looks like any other text'] = {
    before = "for _, name in ipairs({ 'Normal', 'PhiLsGhost' }) do vim.api.nvim_set_hl(0, name, { fg = '#808080' }) end",
  },
  ['the keys `accept` and `dismiss` are both <Tab>'] = { keymaps = { dismiss = '<Tab>' } },
  ["the editor's settings: `completion.speed`"] = {
    message = "phi-ls: the editor's settings: `completion.speed`: unknown key",
    wait = "return #require('phi-ls.client').problems == 1",
  },
  ['the server does not run: the last buffer is of a kind that is not completed'] = {
    after = "vim.lsp.stop_client(vim.lsp.get_clients(), true) vim.cmd('enew') vim.bo.buftype = 'nofile'",
    wait = 'return #vim.lsp.get_clients() == 0',
  },
  ['two clients run the server'] = {
    after = [[
      local cmd = require('phi-ls').config.cmd
      vim.lsp.start({ name = 'phi-ls', cmd = cmd }, { reuse_client = function() return false end })
    ]],
  },
}

for expected, wrong in vim.spairs(MISCONFIGURED) do
  test('checkhealth finds: ' .. expected, with({}, { '' }, function(child)
    child:press('<Esc>')
    child:lua(wrong.after or '')
    if wrong.message then
      child:tell('test/send', { method = 'window/showMessage', params = { type = 2, message = wrong.message } })
    end
    child:wait('it is so', function()
      return not wrong.wait or child:lua(wrong.wait)
    end)
    child:lua('vim.cmd("checkhealth phi-ls")')
    assert(child:text():find(expected, 1, true), child:text())
  end, { before = wrong.before, keymaps = wrong.keymaps }))
end

test('checkhealth says that the program is missing', function()
  local child = harness.start(nil, { name = 'main.py', lines = { '' } })
  child:lua("require('phi-ls').setup({ cmd = { 'no-such-program' } }) vim.cmd('checkhealth phi-ls')")
  local report = child:text()
  child:quit()
  assert(report:find("'no-such-program' is not an executable", 1, true), report)
end)

test('checkhealth shows the bars of a message', with({}, { '' }, function(child)
  child:press('<Esc>')
  child:tell('test/status', { state = 'error', message = 'expected <|im_end|> and a|b|c' })
  child:wait('the server has said it', function()
    return child:lua('return require("phi-ls").statusline()') == 'phi-ls error'
  end)
  child:lua('vim.cmd("checkhealth phi-ls") vim.fn.search("im_end") vim.wo.wrap = false')
  child:wait_screen('error, expected <|im_end|> and a|b|c')
end))

test('a second project is served by the same server', with(ADD, { '' }, function(child)
  child:press('<Esc>')
  child:lua([[
    vim.fn.mkdir('other/.git', 'p')
    vim.cmd.edit('other/b.py')
  ]])
  child:wait('the second buffer is attached', function()
    return child:lua('return require("phi-ls").attached()')
  end)
  equal(child:lua('return #vim.lsp.get_clients()'), 1)
  child:press('idef ')
  child:wait_ghost(MULTI)
end))

-- What else may be on the screen. Where ghost text is drawn in the way the text will be, accepting it changes nothing
-- there.
local SCREENS = {
  ['tab stops of several widths'] = { '\tx', "vim.bo.vartabstop = '3,9,5,2' vim.wo.list = false" },
  ['a line that wraps, with a mark'] = { ('word '):rep(14), "vim.wo.showbreak = '>>> ' vim.wo.linebreak = false" },
  ['concealed text'] = {
    'a **bold** one',
    "vim.wo.conceallevel = 2 vim.wo.concealcursor = 'nvic' vim.fn.matchadd('Conceal', [=[\\*\\*]=])",
    texts = 1,
  },
  ['inline text before the cursor and at it'] = {
    'value: x',
    [[
      local namespace = vim.api.nvim_create_namespace('hints')
      for _, col in ipairs({ 5, 8, 11 }) do
        vim.api.nvim_buf_set_extmark(0, namespace, 0, col, { virt_text = { { '<hint>', 'Comment' } }, virt_text_pos = 'inline' })
      end
    ]],
    after = ' | ',
    texts = 2,
  },
  ['text at the end of the line'] = {
    'value',
    [[
      local namespace = vim.api.nvim_create_namespace('lint')
      vim.api.nvim_buf_set_extmark(0, namespace, 0, 0, { virt_text = { { 'a problem', 'Comment' } }, virt_text_pos = 'eol' })
    ]],
    texts = 2,
  },
  ['signs and numbers'] = { 'value', "vim.wo.number = true vim.wo.signcolumn = 'yes:2' vim.wo.foldcolumn = '2'", texts = 2 },
}

for name, screen in vim.spairs(SCREENS) do
  local texts = { 'f(a)', 'f(a)\tb', 'f(a)\tb\n\tc\td' }
  for _, insert in ipairs(vim.list_slice(texts, 1, screen.texts or #texts)) do
    test(('ghost text is drawn as the text will be: %s, %d bytes'):format(name, #insert), function()
      local rules = { { at = ' = ', insert = { insert } } }
      with(rules, { screen[1] .. (screen.after or ''), 'below' }, function(child)
        child:press('<Esc>')
        child:lua(screen[2])
        child:press('gg0' .. (screen.after and '8l' or '$') .. 'a = ')
        child:wait('ghost text is shown', function()
          return child:ghost() ~= ''
        end)
        local function shown()
          return vim.list_slice(vim.split(child:screen(), '\n'), 1, 12)
        end
        local before = shown()
        child:press('<Tab>')
        child:wait('it is accepted', function()
          return child:text():find(insert, 1, true) ~= nil
        end)
        equal(shown(), before)
      end, { name = 'main.txt' })()
    end)
  end
end

test('the lines of ghost text come before the lines of others', with(ADD, { '' }, function(child)
  child:press('def ')
  child:wait_ghost(MULTI)
  child:lua([[
    local namespace = vim.api.nvim_create_namespace('others')
    vim.api.nvim_buf_set_extmark(0, namespace, 0, 0, { virt_lines = { { { 'of another', 'Comment' } } } })
  ]])
  child:wait_screen('def add(a, b):\n    return a + b\nof another')
end))

test('where closers are all that is left, nothing is shown and Tab is Tab', with(CALL, { '' }, function(child)
  child:press('print()<Left>')
  child:wait_ghost('a, b')
  child:type('a, b')
  equal(child:lua('return require("phi-ls").visible()'), false)
  child:press('<Tab>')
  child:wait('the tab is in the buffer', function()
    return child:text() == 'print(a, b\t)'
  end)
end, { name = 'main.txt' }))

--- As `with`, through the path for Neovim 0.12.
local function with_builtin(rules, lines, body)
  return with(rules, lines, body, { before = ('dofile(%q)'):format(here .. '/inline_completion.lua'), ui = 'auto' })
end

local function text_becomes(child, expected)
  child:wait('the text is ' .. vim.inspect(expected), function()
    return child:text() == expected
  end)
end

local function visible(child, expected)
  child:wait('visible() is ' .. tostring(expected), function()
    return child:lua('return require("phi-ls").visible()') == expected
  end)
  -- The keys follow the screen, which follows that.
  child:wait('the keys are there: ' .. tostring(expected), function()
    return child:lua([[return vim.fn.maparg('<Tab>', 'i', false, true).buffer == 1]]) == expected
  end)
end

test('Neovim 0.12: Tab accepts, closers are replaced, the command runs', with_builtin({
  { at = 'print(', insert = { 'a, b)' }, after = ')', command = command },
}, { 'print()' }, function(child)
  child:press('<Left>')
  child:wait_screen('print(a, b))')
  equal(child:ghost(), '', 'the plugin does not draw')
  child:press('<Tab>')
  text_becomes(child, 'print(a, b)')
  child:wait('the cursor is behind it', function()
    return vim.deep_equal(child:cursor(), { 1, 11 })
  end)
  visible(child, false)
  child:wait('the command was executed', function()
    return count(child, 'workspace/executeCommand') == 1
  end)
end))

test('Neovim 0.12: a word, an alternative, a dismissal', with_builtin(TWO, { '' }, function(child)
  child:press('x = ')
  visible(child, true)
  child:press('<M-]>')
  child:wait_screen('x = two')
  child:press('<C-]>')
  visible(child, false)
  equal(child:text(), 'x = ')
  child:press('<M-Bslash>')
  visible(child, true)
  child:press('<M-Right>')
  text_becomes(child, 'x = one')
end))

test('Neovim 0.12: text typed since the request is not inserted twice', with_builtin({
  { at = 'x = ', insert = { 'one + two' } },
  { at = 'x = o', insert = { 'unused' }, hold = true },
  { at = 'x = on', insert = { 'unused' }, hold = true },
}, { '' }, function(child)
  child:press('x = ')
  visible(child, true)
  child:lua([[vim.o.eventignore = 'CursorMovedI,TextChangedI']])
  child:type('on')
  child:press('<Tab>')
  text_becomes(child, 'x = one + two')
end))

test('a wrong option is named', function()
  vim.opt.runtimepath:prepend(harness.root .. '/editors/nvim')
  local resolve = require('phi-ls.config').resolve
  for options, expected in pairs({
    [{ comand = {} }] = "unknown option 'comand'",
    [{ cmd = 'phi-ls' }] = "option 'cmd': expected a table, found a string",
    [{ keymaps = { acept = '<Tab>' } }] = "unknown keymap 'acept'",
    [{ ui = 'none' }] = "found 'none'",
  }) do
    local ok, err = pcall(resolve, options)
    assert(not ok and err:find(expected, 1, true), err)
  end
end)

harness.run(tests)
