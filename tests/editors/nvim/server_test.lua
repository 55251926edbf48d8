-- The plugin with the real server and the starter model: nvim --headless -u NONE -l server_test.lua
-- PHI_LS_BIN is the binary, PHI_LS_MODELS the folder with the starter.

local here = vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, 'S').source:sub(2)))
package.path = here .. '/?.lua;' .. package.path
local harness = require('harness')
local equal = harness.equal

local FILE = 'shapes.py'
local LINES = {
  'import math',
  '',
  '',
  'class Circle:',
  '    def __init__(self, radius):',
  '        self.radius = radius',
  '',
  '    def area(self):',
  '        return math.pi * self.radius ** 2',
  '',
  '    def circumference(self):',
  '',
}
-- What is typed at the end of the file, and the line with it.
local TYPED = '        return '

---@param contents string[]|string lines, or bytes
---@param max_tokens integer? of an answer
local function start(contents, max_tokens)
  local file = type(contents) == 'string' and { bytes = contents } or { lines = contents }
  local child = harness.start({
    cmd = { vim.env.PHI_LS_BIN },
    settings = {
      completion = { model = 'starter', confidence = 'low', timeBudgetMs = 60000 },
      assistant = { model = 'starter', maxTokens = max_tokens or 32 },
    },
    ui = 'extmarks',
  }, vim.tbl_extend('error', file, { name = FILE }), 'vim.o.fixendofline = false')
  child:lua('vim.bo.autoindent, vim.bo.indentexpr = false, ""')
  child:wait('the model is loaded', function()
    return child:lua('return require("phi-ls.client").status.state') == 'ready'
  end)
  return child
end

--- `LINES` with `addition` at the end.
local function lines_with(addition)
  local lines = vim.list_slice(LINES)
  lines[#lines] = addition
  return lines
end

local function text_with(addition)
  return table.concat(lines_with(addition), '\n')
end

--- The ghost text once the model has written all of it.
local function whole_ghost(child)
  -- Not only loaded: the state is the same while it works for who has not waited for that.
  child:wait('the model has done its work', function()
    return child:lua('return require("phi-ls.client").status.message') == 'ready'
  end)
  -- By then the plugin has asked for the last of it; the server answers one after the other.
  child:lua([[
    local client = vim.lsp.get_clients({ name = 'phi-ls' })[1]
    client:request_sync('workspace/executeCommand', { command = 'none' }, 5000)
  ]])
  return child:ghost()
end

--- Opens `lines`, presses `keys`, waits for ghost text after `TYPED`, and runs `body` with the child and that text.
local function with_ghost(lines, keys, body)
  return function()
    local child = start(lines)
    local ok, err = xpcall(function()
      child:press(keys)
      child:wait('ghost text is shown', function()
        return child:text() == text_with(TYPED) and child:ghost() ~= ''
      end)
      body(child, whole_ghost(child))
    end, debug.traceback)
    child:quit()
    assert(ok, err)
  end
end

local function typed_with_ghost(body)
  return with_ghost(LINES, 'GA' .. TYPED, body)
end

local tests = {}
---@param name string
---@param body fun()
---@param embedded string? why it is about the model in the process alone
local function test(name, body, embedded)
  tests[#tests + 1] = { name, body, embedded }
end

-- Nothing is typed here: a completion from before a key, which the key agrees with, may be another one.
test('ghost text is what the model says', with_ghost(lines_with(TYPED), 'GA', function(child, ghost)
  -- The same place asked on the command line, without an editor: greedy decoding gives the same text. The model sees
  -- the path, from the project's root.
  local place = ('%s:%d:%d'):format(FILE, #LINES, #TYPED + 1)
  local command = { vim.env.PHI_LS_BIN, 'complete', '--model', 'starter', '--json', place }
  local done = vim.system(command, { text = true, cwd = child.folder }):wait()
  equal(done.code, 0, done.stderr)
  equal(ghost, vim.json.decode(done.stdout).text)
end))

test('ghost text is on the screen and not in the buffer', typed_with_ghost(function(child, ghost)
  child:wait_screen(TYPED .. vim.split(ghost, '\n')[1])
  equal(child:text(), text_with(TYPED))
end))

test('Tab puts exactly the ghost text into the buffer, u takes it back', typed_with_ghost(function(child, ghost)
  child:press('<Tab>')
  child:wait('the ghost text is in the buffer', function()
    return child:text() == text_with(TYPED .. ghost)
  end)
  child:press('<Esc>u')
  child:wait('it is gone again', function()
    return child:text() == text_with(TYPED)
  end)
end))

test('dismiss removes the ghost text and leaves the buffer', typed_with_ghost(function(child)
  child:press('<C-]>')
  child:wait_ghost('')
  equal(child:text(), text_with(TYPED))
end))

test('typing along keeps the rest of the ghost text', typed_with_ghost(function(child, ghost)
  child:type(ghost:sub(1, 3))
  equal(child:ghost(), ghost:sub(4))
  equal(child:text(), text_with(TYPED .. ghost:sub(1, 3)))
end))

test('one word, then the rest', typed_with_ghost(function(child, ghost)
  child:press('<M-Right>')
  child:wait('a part is in the buffer', function()
    return #child:text() > #text_with(TYPED)
  end)
  local part = child:text():sub(#text_with(TYPED) + 1)
  assert(#part < #ghost, ghost)
  equal(part .. child:ghost(), ghost)
  child:press('<Tab>')
  child:wait('all of it is in the buffer', function()
    return child:text() == text_with(TYPED .. ghost)
  end)
end))

--- Runs `body` with the cursor in a file of these bytes, and ends the child.
local function with_bytes(bytes, cursor, body, max_tokens)
  return function()
    local child = start(bytes, max_tokens or 256)
    local ok, err = xpcall(function()
      child:call('nvim_win_set_cursor', 0, cursor)
      body(child)
    end, debug.traceback)
    child:quit()
    assert(ok, err)
  end
end

--- Takes the action `title` from the menu.
local function choose(child, title)
  child:lua(
    [[
      local title = ...
      vim.lsp.buf.code_action({ apply = true, filter = function(action) return action.title == title end })
    ]],
    title
  )
end

test('an explanation grows in a window, is asked further about, and q closes it', with_bytes(table.concat(LINES, '\n'), { 9, 10 }, function(child)
  choose(child, 'Explain this method')
  local function can_ask(float)
    return float.footer:find('ask further', 1, true) ~= nil
  end
  local explanation = child:wait_float('the explanation is there', can_ask).text
  assert(#explanation > 20, explanation)
  child:press('f')
  child:wait_screen('Ask further:')
  child:press('Why pi?<CR>')
  local begin = explanation .. '\n\n## Why pi?\n\n'
  local both = child:wait_float('the second answer is there', function(float)
    return can_ask(float) and float.text ~= explanation
  end).text
  equal(both:sub(1, #begin), begin)
  assert(#both > #begin, both)
  child:press('q')
  child:wait_no_float()
  equal(child:saved(), table.concat(LINES, '\n'), 'the document')
end, 32))

test('`:PhiLs explain` explains what the cursor is in', with_bytes(table.concat(LINES, '\n'), { 9, 10 }, function(child)
  child:press(':PhiLs explain<CR>')
  local float = child:wait_float('the explanation is there', function(float)
    return float.footer:find('ask further', 1, true) ~= nil
  end)
  equal(float.title, ' Explain this method ')
  child:press('q')
  child:wait_no_float()
end, 16))

test('what the doctor and the statistics say is there to read', function()
  local child = start(LINES)
  for command, words in pairs({ doctor = 'instruction sets', stats = 'shown' }) do
    child:press((':PhiLs %s<CR>'):format(command))
    child:wait(command .. ' is there', function()
      return child:lua('return vim.api.nvim_buf_get_name(0)'):find('phi-ls://' .. command, 1, true) ~= nil
    end)
    local text = child:text()
    assert(text:find(words, 1, true), text)
    child:press('q')
    child:wait('it is closed', function()
      return child:lua('return #vim.api.nvim_list_wins()') == 1
    end)
  end
  child:quit()
end)

test('names of models are completed', function()
  local child = start(LINES)
  local names = child:call('nvim_call_function', 'getcompletion', { 'PhiLs pull s', 'cmdline' })
  equal(names, { 'starter' })
  child:quit()
end)

test('the health check finds models that are not there', function()
  local child = start(LINES)
  child:lua([[require('phi-ls').config.settings = { completion = { model = 'starter' }, assistant = { model = 'phi-4-mini-x' } }]])
  child:lua('vim.cmd("checkhealth phi-ls")')
  local report = child:text()
  assert(report:find('completion: starter', 1, true), report)
  assert(report:find('assistant: phi-4-mini-x is not installed', 1, true), report)
  child:quit()
end)

--- Takes the action `title` from the menu, applies what comes of it and takes it back. The starter's edits are not
--- judged, only that they are applied as shown.
local function apply_and_undo(child, title, bytes)
  choose(child, title)
  local diff = child:wait_float('the diff is shown', function(float)
    return float.footer:find('apply', 1, true) ~= nil
  end)
  equal(diff.title, (' %s '):format(title))
  equal(child:saved(), bytes, 'the file before')
  child:press('y')
  child:wait_no_float()
  local after = child:saved()
  for line in vim.gsplit(diff.text, '\n', { plain = true }) do
    local added = line:match('^%+(.*)')
    assert(not added or after:find(added, 1, true), ('%q is not in %q'):format(line, after))
  end
  assert(after ~= bytes, 'the file is changed')
  child:press('u')
  child:wait('it is undone', function()
    return child:lua('return vim.fn.undotree().seq_cur') == 0
  end)
  equal(child:saved(), bytes, 'the file after undo')
end

local MEAN = {
  'def mean(values):',
  '    total = 0',
  '    for value in values:',
  '        total += value',
  '    return total / len(values)',
  '',
}

for name, bytes in pairs({
  ['Unix'] = table.concat(MEAN, '\n'),
  ['Windows'] = table.concat(MEAN, '\r\n'),
  ['no final'] = table.concat(MEAN, '\n', 1, 5),
}) do
  test(('a refactoring is shown, applied and taken back: %s line ends'):format(name), with_bytes(bytes, { 3, 0 }, function(child)
    apply_and_undo(child, 'Refactor this function', bytes)
  end))
end

test("another server's problem is fixed", function()
  local bytes = 'def add(a, b):\n    retrun a + b\n'
  with_bytes(bytes, { 2, 4 }, function(child)
    child:lua([[
      local problem = { lnum = 1, col = 4, end_col = 10, message = 'invalid syntax', severity = 1, source = 'lint' }
      vim.diagnostic.set(vim.api.nvim_create_namespace('lint'), 0, { problem })
    ]])
    apply_and_undo(child, 'Fix this problem', bytes)
  end)()
end)

test('the message of a commit is what the model says of what is staged', function()
  local child = start(LINES, 256)
  local function run(command)
    local done = vim.system(command, { cwd = child.folder, text = true }):wait()
    assert(done.code == 0, done.stderr)
    return done.stdout
  end
  run({ 'git', 'init', '-q' })
  run({ 'git', 'add', FILE })
  local said = run({ vim.env.PHI_LS_BIN, 'ask', 'commit', '--model', 'starter', '--json' })
  child:press(':edit .git/COMMIT_EDITMSG<CR>')
  child:press('i# Please enter the commit message<Esc>')
  child:press(':PhiLs commit<CR>')
  local expected = vim.json.decode(said).answer .. '\n\n# Please enter the commit message'
  child:wait('the message is there', function()
    return child:text() == expected
  end)
  child:quit()
end)

test('a model is chosen among those installed, and used', function()
  local child = start(LINES)
  child:lua([[
    _G.offered = {}
    vim.ui.select = function(items, options, on_choice)
      for _, item in ipairs(items) do
        table.insert(_G.offered, (options.format_item or tostring)(item))
      end
      on_choice(items[1])
    end
    require('phi-ls').config.settings['completion.model'] = 'phi-4-mini'
  ]])
  child:press(':PhiLs models<CR>')
  child:wait('the first one is used for completions', function()
    return child:lua('return require("phi-ls").config.settings.completion.model') == 'starter'
      and child:lua('return require("phi-ls").config.settings["completion.model"]') == vim.NIL
  end)
  local offered = child:lua('return _G.offered')
  assert(offered[1]:find('^starter, %d+ MiB, .*for both, Apache%-2%.0, installed'), offered[1])
  assert(vim.iter(offered):any(function(line)
    return line:find('^phi%-3%.5%-mini, 2%.2 GiB, .*for completions, MIT')
  end), table.concat(offered, '\n'))
  child:press(':PhiLs models assistant nothing<CR>')
  child:wait('a model that is not there is named', function()
    return child:lua('return vim.fn.execute("messages")'):find('expected a model that', 1, true) ~= nil
  end)
  child:quit()
end)

--- Whether the process runs; one that has ended and that nobody has asked about yet does not.
---@param pid integer
local function runs(pid)
  local file = io.open(('/proc/%d/stat'):format(pid))
  local stat = file and file:read('*a') or ''
  if file then
    file:close()
  end
  return stat ~= '' and stat:match('%) (%a)') ~= 'Z'
end

test('the status says who uses the engine process', function()
  local child = start(LINES)
  child:wait('it is said', function()
    return child:lua('return vim.fn.execute("PhiLs status")'):find('engine process %d+, used by this Neovim') ~= nil
  end)
  child:quit()
end, 'a model server is asked without an engine process')

test('an editor that is killed takes the server along', function()
  local child = start(LINES)
  local server = child:lua([[
    for _, process in ipairs(vim.api.nvim_get_proc_children(vim.fn.getpid())) do
      if vim.api.nvim_get_proc(process).name:find('phi%-ls') then return process end
    end
  ]])
  assert(runs(server), 'the server does not run')
  -- The model is at work.
  child:press('GA' .. TYPED)
  child:call('nvim_get_mode')
  vim.uv.kill(vim.fn.jobpid(child.channel), 'sigkill')
  local gone = vim.wait(5000, function()
    return not runs(server)
  end, 10)
  child:quit()
  assert(gone, 'the server lives on')
end)

harness.run(tests)
