-- Keys that had a mapping before, repeats and macros: nvim --headless -u NONE -l keys_test.lua

local here = vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, 'S').source:sub(2)))
package.path = here .. '/?.lua;' .. package.path
local harness = require('harness')
local equal = harness.equal

local tests = {}
local function test(name, body)
  tests[#tests + 1] = { name, body }
end

local BODY = 'add(a, b):\n    return a + b'
local RULES = {
  { at = 'def ', insert = { BODY } },
  { at = 'foo', insert = { '(bar)' } },
  { at = 'print(', insert = { 'a, b)' }, after = ')' },
}
local NO_KEYS = { accept = false, accept_word = false, accept_line = false, dismiss = false, trigger = false, next = false, prev = false }

---@param body fun(child: Child)
---@param options { keymaps: table?, before: string?, lines: string[]?, name: string?, setup: table? }?
local function with(body, options)
  options = options or {}
  local setup = { cmd = harness.scripted_server, settings = { rules = RULES }, ui = 'extmarks', keymaps = options.keymaps }
  setup = vim.tbl_extend('force', setup, options.setup or {})
  local file = { name = options.name or 'main.txt', lines = options.lines or { '' } }
  local child = harness.start(setup, file, options.before)
  local ok, err = xpcall(body, debug.traceback, child)
  child:quit()
  assert(ok, err)
end

---@param child Child
---@param text string
local function wait_text(child, text)
  child:wait(('the text is %q'):format(text), function()
    return child:text() == text
  end)
end

--- Sources `lines` as a script file, so that they have a <SID>.
local function script(lines)
  return ([[
    local file = vim.fn.tempname()
    vim.fn.writefile(%s, file)
    vim.cmd.source(file)
  ]]):format(vim.inspect(lines))
end

-- Mappings of <Tab> as people and plugins make them.
local SHAPES = {
  ['none'] = '',
  ['Lua that edits the text'] = [[
    vim.keymap.set('i', '<Tab>', function() vim.api.nvim_put({ 'X' }, 'c', false, true) end)
  ]],
  ['Lua that edits the text, of the buffer'] = [[
    vim.keymap.set('i', '<Tab>', function() vim.api.nvim_put({ 'X' }, 'c', false, true) end, { buffer = 0 })
  ]],
  ['Lua expression'] = [[
    vim.keymap.set('i', '<Tab>', function() return '<Home><lt>' end, { expr = true, buffer = 0 })
  ]],
  ['expression with a special key'] = [[
    vim.cmd('inoremap <expr> <Tab> pumvisible() ? "\\<C-n>" : "\\<Home>"')
  ]],
  ['expression with <Plug>'] = [[
    vim.cmd("inoremap <Plug>(Mine) OK")
    vim.cmd("imap <buffer> <expr> <Tab> v:true ? '<Plug>(Mine)' : '<Tab>'")
  ]],
  ['mapping to another mapping'] = [[
    vim.keymap.set('i', '<F2>', 'older')
    vim.keymap.set('i', '<Tab>', '<F2>', { remap = true, buffer = 0 })
  ]],
  ['mapping that begins with itself'] = [[vim.cmd('imap <buffer> <Tab> <Tab>foo')]],
  ['function of a script'] = script({
    'function s:keys() abort',
    '  return "of the script"',
    'endfunction',
    'inoremap <buffer> <silent> <expr> <Tab> <SID>keys()',
  }),
  ['mapping of a script'] = script({ 'inoremap <SID>thing THING', 'inoremap <buffer> <script> <Tab> x<SID>thing' }),
  ['abbreviation'] = [[vim.cmd('iabbrev <buffer> y yes')]],
  -- A buffer-local mapping made when Insert mode begins, around the one it finds.
  ['nvim-cmp'] = [[
    vim.keymap.set('i', '<Tab>', function() vim.api.nvim_put({ 'mine' }, 'c', false, true) end)
    vim.api.nvim_create_autocmd('InsertEnter', { callback = function()
      local existing = vim.fn.maparg('<Tab>', 'i', false, true)
      if existing.desc == 'cmp' then return end
      _G.wrapped = (_G.wrapped or 0) + 1
      vim.api.nvim_buf_set_keymap(0, 'i', '<Tab>', '', { noremap = true, silent = true, desc = 'cmp', callback = function()
        existing.callback()
      end })
    end })
  ]],
  -- An expression of the buffer whose keys are not replaced; it falls back to the global mapping.
  ['blink.cmp'] = [[
    vim.keymap.set('i', '<Tab>', function() return '<C-v>066' end, { expr = true })
    vim.api.nvim_create_autocmd('InsertEnter', { callback = function()
      for _, mapping in ipairs(vim.api.nvim_buf_get_keymap(0, 'i')) do
        if mapping.desc == 'blink' then return end
      end
      local options = { expr = true, silent = true, noremap = true, replace_keycodes = false, desc = 'blink' }
      options.callback = function()
        for _, mapping in ipairs(vim.api.nvim_get_keymap('i')) do
          if mapping.lhs == '<Tab>' then return vim.keycode(mapping.callback()) end
        end
        return '\t'
      end
      vim.api.nvim_buf_set_keymap(0, 'i', '<Tab>', '', options)
    end })
  ]],
  ['LuaSnip'] = [[
    vim.keymap.set({ 'i', 's' }, '<Plug>expand-or-jump', function() vim.api.nvim_put({ 'snip' }, 'c', false, true) end)
    vim.cmd("imap <silent> <expr> <Tab> v:true ? '<Plug>expand-or-jump' : '<Tab>'")
  ]],
  ['LuaSnip in Lua'] = [[
    vim.keymap.set({ 'i', 's' }, '<Tab>', function()
      vim.api.nvim_feedkeys(vim.keycode('<Tab>'), 'n', false)
    end, { silent = true })
  ]],
  ['copilot'] = script({
    'function! Accept(fallback) abort',
    '  return a:fallback',
    'endfunction',
    'imap <script> <silent> <nowait> <expr> <Tab> Accept("\\<C-v>067")',
  }),
  ['nvim-autopairs'] = [[
    vim.api.nvim_buf_set_keymap(0, 'i', '<Tab>', '', { expr = true, noremap = true, replace_keycodes = false, callback = function()
      return vim.keycode('<C-g>U<Left>')
    end })
  ]],
}

-- Ghost text is shown and goes, the key comes before the editor has looked at the text, and once more after it.
local KEYS = { 'idef ', 'x<Tab>', 'y<Tab>', ' y<Tab><Esc>' }

---@param child Child
---@return string text
local function pressed(child)
  for _, keys in ipairs(KEYS) do
    child:press(keys)
    child:call('nvim_get_mode')
    if keys == 'idef ' then
      child:wait_ghost(BODY)
    end
    child:wait('the keys are handled', function()
      local mode = child:call('nvim_get_mode')
      return not mode.blocking and mode.mode == (vim.endswith(keys, '<Esc>') and 'n' or 'i')
    end)
  end
  equal(child:lua('return vim.v.errmsg'), '')
  return child:text()
end

for name, mapping in vim.spairs(SHAPES) do
  test('a key does what it did: ' .. name, function()
    local expected
    with(function(child)
      expected = pressed(child)
    end, { keymaps = NO_KEYS, before = mapping })
    for _, time in ipairs({ 'before', 'after' }) do
      with(function(child)
        if time == 'after' then
          child:lua(mapping)
        end
        equal(pressed(child), expected, 'mapped ' .. time .. ' phi-ls')
        for _ = 1, 3 do
          child:press('ggdGidef ')
          child:wait_ghost(BODY)
          child:press('<Tab><Esc>')
          wait_text(child, 'def ' .. BODY)
        end
        equal(child:lua('return _G.wrapped or 1'), 1, 'how often it was wrapped')
      end, { before = time == 'before' and mapping or nil })
    end
  end)
end

test('a mapping made while ghost text is shown stays', function()
  with(function(child)
    child:press('idef ')
    child:wait_ghost(BODY)
    child:lua([[vim.keymap.set('i', '<Tab>', 'new', { buffer = 0 })]])
    child:press('x')
    child:wait_ghost('')
    child:press('<Tab>')
    wait_text(child, 'def xnew')
  end)
end)

test('only the key that asks is left where nothing is shown, on or off', function()
  with(function(child)
    local function ours()
      return child:lua([[
        local found = vim.api.nvim_buf_get_keymap(0, 'i')
        return #vim.tbl_filter(function(mapping) return vim.startswith(mapping.desc or '', 'phi-ls') end, found)
      ]])
    end
    child:press('idef ')
    child:wait_ghost(BODY)
    equal(ours(), 7)
    child:press('x')
    child:wait_ghost('')
    equal(ours(), 1)
    child:lua('vim.cmd("PhiLs disable")')
    equal(ours(), 1)
    child:press('<Esc>')
    child:lua('vim.cmd("help") vim.bo.modifiable = true')
    equal(ours(), 0, 'in a buffer of another kind')
  end)
end)

-- By how completions were turned off, what the key that asks says.
local OFF = {
  ['PhiLs disable'] = 'phi-ls: completions are off: :PhiLs enable turns them on',
  ['PhiLs snooze 0.5'] = ':PhiLs enable turns them on',
  ['PhiLs disable buffer'] = 'phi-ls: completions are off in this buffer: :PhiLs enable buffer turns them on',
  ['PhiLs disable filetype'] = 'phi-ls: completions are off for text: :PhiLs enable filetype turns them on',
  ['lua vim.lsp.stop_client(vim.lsp.get_clients(), true)'] = 'phi-ls: no server is running; :PhiLs restart starts it',
}

for command, expected in vim.spairs(OFF) do
  test('the key that asks says why nothing comes: ' .. command, function()
    with(function(child)
      child:lua('vim.cmd(...)', command)
      child:wait('it is off', function()
        return not child:lua('return require("phi-ls").attached()')
      end)
      child:press('ix<M-Bslash>')
      child:wait_screen(expected)
      child:press('y<M-]><M-[><M-Right><M-Down>z')
      wait_text(child, 'xyz')
      equal(child:call('nvim_get_mode').mode, 'i')
      equal(child:ghost(), '', 'what was said is gone')
    end, { before = [[vim.keymap.set('i', '<M-Bslash>', 'mine')]] })
  end)
end

test('Alt with a key of ours does not leave Insert mode', function()
  with(function(child)
    child:press('ix<M-]><M-[><M-Right><M-Down>')
    -- The ghost text is gone before the editor has looked at the text.
    child:press('<Esc>Sdef ')
    child:wait_ghost(BODY)
    child:press('x<M-Right>y<M-]>z')
    wait_text(child, 'def xyz')
    equal(child:call('nvim_get_mode').mode, 'i')
  end)
end)

test('elsewhere Alt with a key is what it was', function()
  with(function(child)
    child:lua('vim.cmd.new() vim.bo.buftype = "nofile"')
    child:press('iab<M-Right>')
    child:wait('Alt was <Esc>', function()
      return child:call('nvim_get_mode').mode == 'n' and child:text() == 'ab'
    end)
  end)
end)

for time, when in pairs({ before = true, after = false }) do
  for where, options in pairs({ ['global'] = '{}', ['of the buffer'] = '{ buffer = 0 }' }) do
    test(('a mapping of Alt with a key works: %s, made %s phi-ls'):format(where, time), function()
      local mapping = ([[vim.keymap.set('i', '<M-Right>', 'mine', %s)]]):format(options)
      with(function(child)
        if not when then
          child:lua(mapping)
        end
        child:press('idef ')
        child:wait_ghost(BODY)
        child:press('x<M-Right>')
        wait_text(child, 'def xmine')
        child:press('<M-Right>')
        wait_text(child, 'def xminemine')
      end, { before = when and mapping or nil })
    end)
  end
end

test('a mapping under the key that asks is back where a buffer is not ours', function()
  with(function(child)
    child:lua('vim.cmd.edit("other.lua")')
    child:press('i<M-Bslash>')
    wait_text(child, 'mine')
  end, { before = [[
    vim.o.hidden = true
    vim.keymap.set('i', '<M-Bslash>', 'mine')
  ]], setup = { filetypes = { 'text' } } })
end)

test('. repeats what was typed and accepted', function()
  with(function(child)
    child:press('ofoo')
    child:wait_ghost('(bar)')
    child:press('<Tab>;<Esc>')
    wait_text(child, 'x\nfoo(bar);\ny')
    child:press('j.')
    wait_text(child, 'x\nfoo(bar);\ny\nfoo(bar);')
    child:press('u')
    wait_text(child, 'x\nfoo(bar);\ny')
  end, { lines = { 'x', 'y' } })
end)

test('. repeats several lines as they are, whatever the indentation', function()
  with(function(child)
    child:press('Adef ')
    child:wait_ghost(BODY)
    child:press('<Tab><Esc>')
    local first = '    x def add(a, b):\n    return a + b'
    wait_text(child, first)
    child:press('A<CR>y def ')
    child:wait_ghost(BODY)
    child:press('<Tab><Esc>.')
    wait_text(child, first .. ('\n    y def ' .. BODY):rep(2))
  end, { before = 'vim.o.autoindent = true vim.o.textwidth = 10', lines = { '    x ' } })
end)

test('. repeats a part that was accepted', function()
  with(function(child)
    child:press('idef ')
    child:wait_ghost(BODY)
    child:press('<M-Right><Esc>')
    wait_text(child, 'def add\n')
    child:press('j.')
    wait_text(child, 'def add\ndef add')
  end, { lines = { '', '' } })
end)

test('. repeats a completion between closers', function()
  with(function(child)
    child:press('iprint(')
    child:wait_ghost('a, b')
    child:press('<Tab>;<Esc>')
    wait_text(child, 'print(a, b);\n')
    child:press('j.')
    wait_text(child, 'print(a, b);\nprint(a, b);')
  end, { lines = { '', '' }, before = [[vim.keymap.set('i', '(', '()<C-g>U<Left>')]] })
end)

test('a count repeats what was accepted', function()
  with(function(child)
    child:press('3ifoo')
    child:wait_ghost('(bar)')
    child:press('<Tab>;<Esc>')
    wait_text(child, ('foo(bar);'):rep(3))
  end)
end)

---@param child Child
---@param first string text typed before the completion
---@param ghost string
---@param key string
---@param last string
local function record(child, first, ghost, key, last)
  child:press('qq' .. first)
  child:wait_ghost(ghost)
  child:press(key .. last .. '<Esc>q')
  child:wait('the macro is recorded', function()
    return child:lua('return vim.fn.reg_recording() == "" and not vim.fn.getreg("q"):find("phi-ls", 1, true)')
  end)
end

test('a macro says what was accepted', function()
  with(function(child)
    record(child, 'Afoo', '(bar)', '<Tab>', ';')
    wait_text(child, '1 foo(bar);\n2 ')
    child:press('j@q')
    wait_text(child, '1 foo(bar);\n2 foo(bar);')
  end, { lines = { '1 ', '2 ' } })
end)

test('a macro says several lines, and letters outside ASCII', function()
  with(function(child)
    child:press('oÀ€<Esc>gg')
    record(child, 'AÀdef ', BODY, '<Tab>', '€')
    child:press('G@q')
    wait_text(child, ('Àdef %s€\nÀ€Àdef %s€'):format(BODY, BODY))
  end, { before = 'vim.o.autoindent = true' })
end)

test('a macro says the word that was accepted, between closers too', function()
  with(function(child)
    record(child, 'Aprint(', 'a, b', '<M-Right>', '<Right>')
    wait_text(child, '1 print(a)\n2 ')
    child:press('j@q')
    wait_text(child, '1 print(a)\n2 print(a)')
    record(child, 'Sprint(', 'a, b', '<Tab>', ';')
    wait_text(child, '1 print(a)\nprint(a, b);')
    child:press('gg@q')
    wait_text(child, 'print(a, b);\nprint(a, b);')
  end, { lines = { '1 ', '2 ' }, before = [[vim.keymap.set('i', '(', '()<C-g>U<Left>')]] })
end)

test('a macro that ran does not show ghost text', function()
  with(function(child)
    child:call('nvim_call_function', 'setreg', { 'q', 'idef \27' })
    child:press('@q')
    wait_text(child, 'def ')
    equal(child:ghost(), '')
  end)
end)

harness.run(tests)
