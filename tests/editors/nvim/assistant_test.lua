-- What the assistant says, against a scripted server: edits shown as a diff, answers and what is asked about them.
--   nvim --headless -u NONE -l assistant_test.lua

local here = vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, 'S').source:sub(2)))
package.path = here .. '/?.lua;' .. package.path
local harness = require('harness')
local equal = harness.equal

local FILE = 'main.py'
local LINES = { 'import os', '', 'def mean(values):', '    total = sum(values)', '    return total / len(values)', '', 'x = 1' }

local tests = {}
local function test(name, body)
  tests[#tests + 1] = { name, body }
end

--- Runs `body` with a child that has `file` (lines, or bytes) open, and ends it whatever happens.
local function with(file, body, options)
  return function()
    options = options or {}
    local setup = {
      cmd = harness.scripted_server,
      settings = {
        encoding = options.encoding,
        heldCommands = { 'phi-ls.ask', 'phi-ls.followUp', 'phi-ls.commitMessage' },
        actions = options.actions,
      },
      ui = 'extmarks',
      confirm_edits = options.confirm_edits,
    }
    local name = options.name or FILE
    local contents = type(file) == 'string' and { name = name, bytes = file } or { name = name, lines = file }
    local child = harness.start(setup, contents, options.before)
    local ok, err = xpcall(body, debug.traceback, child)
    child:quit()
    assert(ok, err)
  end
end

--- A text edit of `first` to `last`, each as { line, character }.
local function replace(first, last, text)
  return {
    newText = text,
    range = {
      start = { line = first[1], character = first[2] },
      ['end'] = { line = last[1], character = last[2] },
    },
  }
end

--- Makes the server send the request `id` to apply `edits` to the open file.
local function propose(child, edits, id, version)
  local uri = child:lua('return vim.uri_from_bufnr(vim.fn.bufnr(...))', FILE)
  local now = child:lua('return vim.lsp.util.buf_versions[vim.fn.bufnr(...)]', FILE)
  local document = { uri = uri, version = version or now }
  local edit = { documentChanges = { { textDocument = document, edits = edits } } }
  child:tell('test/send', {
    id = id or 1,
    method = 'workspace/applyEdit',
    params = { label = 'Refactor this function', edit = edit },
  })
end

--- What the server was answered, as `applied` and the reason.
local function answered(child, id)
  local result
  child:wait('the server is answered', function()
    for _, message in ipairs(child:all_received()) do
      if message.id == (id or 1) and message.result and message.result.applied ~= nil then
        result = message.result
      end
    end
    return result ~= nil
  end)
  return result.applied, result.failureReason
end

local function expect_answer(child, applied, reason, id)
  local found, why = answered(child, id)
  equal({ found, why or '' }, { applied, reason or '' })
end

local function wait_diff(child)
  return child:wait_float('the diff is shown', function(float)
    return float.footer:find('apply', 1, true) ~= nil
  end)
end

local function wait_text(child, lines)
  local expected = table.concat(lines, '\n')
  child:wait('the buffer is as expected', function()
    return child:lua(
      'return table.concat(vim.api.nvim_buf_get_lines(vim.fn.bufnr(...), 0, -1, true), "\\n")',
      FILE
    ) == expected
  end)
end

-- Two places, so that one step of undo is more than one change.
local MEAN = { replace({ 3, 12 }, { 3, 23 }, 'fsum(values)'), replace({ 0, 0 }, { 0, 9 }, 'from math import fsum') }
local MEAN_LINES =
  { 'from math import fsum', '', 'def mean(values):', '    total = fsum(values)', '    return total / len(values)', '', 'x = 1' }
local MEAN_DIFF = [[
@@ -1,7 +1,7 @@
-import os
+from math import fsum
 
 def mean(values):
-    total = sum(values)
+    total = fsum(values)
     return total / len(values)
 
 x = 1]]

test('an edit is shown as a diff and applied by y, in one step of undo', with(LINES, function(child)
  propose(child, MEAN)
  local float = wait_diff(child)
  equal(float.text, MEAN_DIFF)
  equal(float.title, ' Refactor this function ')
  equal(float.footer, ' y apply  q discard ')
  wait_text(child, LINES)
  child:press('y')
  child:wait_no_float()
  wait_text(child, MEAN_LINES)
  expect_answer(child, true)
  child:press('u')
  wait_text(child, LINES)
  child:press('<C-r>')
  wait_text(child, MEAN_LINES)
end))

test('what was typed before an edit is another step of undo', with(LINES, function(child)
  child:press('Goy = 2<Esc>')
  local typed = vim.list_extend(vim.list_slice(LINES), { 'y = 2' })
  wait_text(child, typed)
  propose(child, MEAN)
  wait_diff(child)
  child:press('<CR>')
  wait_text(child, vim.list_extend(vim.list_slice(MEAN_LINES), { 'y = 2' }))
  child:press('u')
  wait_text(child, typed)
end))

for name, keys in pairs({ q = 'q', n = 'n', Escape = '<Esc>', [':quit'] = ':quit<CR>' }) do
  test(name .. ' discards the edit', with(LINES, function(child)
    propose(child, MEAN)
    wait_diff(child)
    child:press(keys)
    child:wait_no_float()
    expect_answer(child, false, 'discarded')
    wait_text(child, LINES)
    equal(child:saved(), table.concat(LINES, '\n') .. '\n')
  end))
end

-- The bytes before, an edit, the bytes after; where they end is not Neovim's to change.
local AT_END = {
  ['Windows line ends'] = { 'a\r\nb\r\nc\r\n', { replace({ 1, 0 }, { 2, 0 }, 'B\r\nBB\r\n') }, 'a\r\nB\r\nBB\r\nc\r\n' },
  ['mixed line ends'] = { 'a\r\nb\nc\r\n', { replace({ 0, 0 }, { 0, 1 }, 'A\r\nAA') }, 'A\r\nAA\r\nb\nc\r\n' },
  ['no final line end'] = { 'a\nb\nc', { replace({ 1, 0 }, { 2, 1 }, 'B\nC') }, 'a\nB\nC' },
  ['a final line end that comes'] = { 'a\nb', { replace({ 1, 1 }, { 1, 1 }, '\nc\n') }, 'a\nb\nc\n' },
  ['an addition at the end'] = { 'a\nb\n', { replace({ 2, 0 }, { 2, 0 }, 'c\nd\n') }, 'a\nb\nc\nd\n' },
  ['a last line that goes'] = { 'a\nb\nc\n', { replace({ 1, 0 }, { 3, 0 }, '') }, 'a\n' },
  ['a change up to the end'] = { 'a\nb\n', { replace({ 1, 0 }, { 2, 0 }, 'B\n') }, 'a\nB\n' },
  ['everything'] = { 'a\nb\n', { replace({ 0, 0 }, { 2, 0 }, 'c\n') }, 'c\n' },
  ['two insertions at one place'] = {
    'a\nb\n',
    { replace({ 1, 0 }, { 1, 0 }, '1\n'), replace({ 1, 0 }, { 1, 0 }, '2\n') },
    'a\n1\n2\nb\n',
  },
}

for name, case in pairs(AT_END) do
  local before, edits, after = unpack(case)
  test('undo restores the file byte for byte: ' .. name, with(before, function(child)
    propose(child, edits)
    wait_diff(child)
    child:press('y')
    expect_answer(child, true)
    equal(child:saved(), after)
    child:press('u')
    child:wait('it is undone', function()
      return child:lua('return vim.fn.undotree().seq_cur') == 0
    end)
    equal(child:saved(), before)
  end, { before = 'vim.o.fixendofline = false' }))
end

for encoding, character in pairs({ ['utf-8'] = 9, ['utf-16'] = 7, ['utf-32'] = 6 }) do
  test('positions are counted in ' .. encoding, with({ 's = "😀x"' }, function(child)
    propose(child, { replace({ 0, character }, { 0, character + 1 }, 'y') })
    wait_diff(child)
    child:press('y')
    wait_text(child, { 's = "😀y"' })
  end, { encoding = encoding }))
end

test('whoever types keeps the cursor, and what is typed elsewhere stays', with(LINES, function(child)
  child:press('GA')
  child:wait('it inserts', function()
    return child:lua('return vim.api.nvim_get_mode().mode') == 'i'
  end)
  propose(child, MEAN)
  child:wait('it says that the edit is there', function()
    return child:lua('return vim.fn.execute("messages")'):find('shown in Normal mode', 1, true) ~= nil
  end)
  child:press('yyy<CR>z')
  local typed = vim.list_extend(vim.list_slice(LINES, 1, 6), { 'x = 1yyy', 'z' })
  wait_text(child, typed)
  equal(child:float(), nil)
  child:press('<Esc>')
  wait_diff(child)
  child:press('y')
  wait_text(child, vim.list_extend(vim.list_slice(MEAN_LINES, 1, 6), { 'x = 1yyy', 'z' }))
  expect_answer(child, true)
  child:press('u')
  wait_text(child, typed)
end))

test('lines that came above move the edit', with(LINES, function(child)
  propose(child, { MEAN[1] })
  wait_diff(child)
  child:lua('vim.api.nvim_buf_set_lines(vim.fn.bufnr(...), 0, 0, true, { "one", "two" })', FILE)
  child:press('y')
  expect_answer(child, true)
  wait_text(child, vim.list_extend({ 'one', 'two', 'import os' }, MEAN_LINES, 2))
end))

test('an edit of lines that have changed is not applied', with(LINES, function(child)
  propose(child, MEAN)
  wait_diff(child)
  child:lua('vim.api.nvim_buf_set_lines(vim.fn.bufnr(...), 3, 4, true, { "    total = 0" })', FILE)
  child:press('y')
  expect_answer(child, false, 'the file has changed in the meantime; ask again')
  local lines = vim.list_slice(LINES)
  lines[4] = '    total = 0'
  wait_text(child, lines)
end))

test('an edit of an older version is not shown', with(LINES, function(child)
  child:press('ix<Esc>')
  wait_text(child, vim.list_extend({ 'ximport os' }, LINES, 2))
  propose(child, MEAN, 1, 0)
  expect_answer(child, false, 'the file has changed in the meantime; ask again')
  equal(child:float(), nil)
end))

test('a second edit is shown after the first', with(LINES, function(child)
  propose(child, { MEAN[1] }, 1)
  wait_diff(child)
  propose(child, { MEAN[2] }, 2)
  -- It is there when what the server says after it is.
  child:received('initialize')
  child:press('y')
  expect_answer(child, true, nil, 1)
  child:wait_float('the second diff is shown', function(float)
    return float.text:find('+from math import fsum', 1, true) ~= nil
  end)
  child:press('y')
  expect_answer(child, true, nil, 2)
  wait_text(child, MEAN_LINES)
end))

test('without confirmation it is applied at once', with(LINES, function(child)
  propose(child, MEAN)
  expect_answer(child, true)
  wait_text(child, MEAN_LINES)
  equal(child:float(), nil)
end, { confirm_edits = false }))

--- Makes the server ask for a new file beside the open one.
local function propose_file(child, name)
  local uri = vim.uri_from_fname(vim.uv.fs_realpath(child.folder) .. '/' .. name)
  local changes = {
    { kind = 'create', uri = uri },
    { textDocument = { uri = uri }, edits = { replace({ 0, 0 }, { 0, 0 }, 'import main\nmain.test()\n') } },
  }
  local params = { label = 'Write tests', edit = { documentChanges = changes } }
  child:tell('test/send', { id = 1, method = 'workspace/applyEdit', params = params })
end

test('a new file is shown, opened and not yet written', with(LINES, function(child)
  propose_file(child, 'test_main.py')
  equal(wait_diff(child).text, '--- /dev/null\n+++ test_main.py\n@@ -0,0 +1,2 @@\n+import main\n+main.test()')
  child:press('y')
  expect_answer(child, true)
  equal(child:lua('return vim.fn.bufname()'), 'test_main.py')
  equal(child:text(), 'import main\nmain.test()')
  equal(vim.uv.fs_stat(child.folder .. '/test_main.py'), nil)
  child:press(':write<CR>')
  child:wait('it is written', function()
    return vim.uv.fs_stat(child.folder .. '/test_main.py') ~= nil
  end)
end))

test('a new file that exists is refused', with(LINES, function(child)
  propose_file(child, FILE)
  expect_answer(child, false, 'the new file already exists')
end))

--- Makes the server say a piece of an answer.
local function say(child, params)
  local uri = child:lua('return vim.uri_from_bufnr(vim.fn.bufnr(...))', FILE)
  params = vim.tbl_extend('keep', params, { uri = uri, title = 'Explain this', model = 'm', delta = '', done = false })
  child:tell('test/send', { method = 'phi-ls/answer', params = params })
end

--- Asks as the menu of actions does.
local function ask(child, title)
  child:lua(
    [[
      local title, file = ...
      local client = vim.lsp.get_clients({ name = 'phi-ls' })[1]
      local buf = vim.fn.bufnr(file)
      local argument = { uri = vim.uri_from_bufnr(buf), title = title }
      client:exec_cmd({ title = title, command = 'phi-ls.ask', arguments = { argument } }, { bufnr = buf })
    ]],
    title,
    FILE
  )
end

local function wait_answer(child, text)
  return child:wait_float(('the window shows %q'):format(text), function(float)
    return float.text == text
  end)
end

local DONE = { id = 7, done = true, text = 'It adds.', timings = { totalMs = 1234 } }

test('an answer grows and says who wrote it', with(LINES, function(child)
  say(child, { id = 7 })
  say(child, { id = 7, delta = 'It ' })
  local float = wait_answer(child, 'It ')
  equal({ float.title, float.footer, float.current }, { ' Explain this ', ' writing …  q close ', true })
  say(child, { id = 7, delta = 'adds' })
  wait_answer(child, 'It adds')
  say(child, DONE)
  equal(wait_answer(child, 'It adds.').footer, ' m · 1.2 s  f ask further  q close ')
  child:press('q')
  child:wait_no_float()
end))

local function questions(child)
  return vim.tbl_filter(function(message)
    return message.params.command == 'phi-ls.followUp'
  end, child:received('workspace/executeCommand'))
end

--- Asks with the key for it, and returns the id of the request.
local function ask_further(child, question)
  local before = #questions(child)
  child:press('f')
  child:wait_screen('Ask further:')
  child:press(question .. '<CR>')
  child:wait('the server is asked', function()
    return #questions(child) == before + 1
  end)
  local message = questions(child)[before + 1]
  equal(message.params.arguments[1].question, question)
  return message.id, message.params.arguments[1].answer
end

local function cancelled(child, request)
  child:wait('the request is cancelled', function()
    return vim.iter(child:received('$/cancelRequest')):any(function(message)
      return message.params.id == request
    end)
  end)
end

test('what is asked further is answered in the same window', with(LINES, function(child)
  say(child, DONE)
  wait_answer(child, 'It adds.')
  local _, about = ask_further(child, 'Why?')
  equal(about, 7)
  equal(wait_answer(child, 'It adds.\n\n## Why?\n').footer, ' writing …  q close ')
  say(child, { id = 8, follows = 7, title = 'Why?' })
  say(child, { id = 8, follows = 7, title = 'Why?', delta = 'Because.' })
  wait_answer(child, 'It adds.\n\n## Why?\n\nBecause.')
  say(child, { id = 8, follows = 7, title = 'Why?', done = true, text = 'Because.' })
  child:tell('test/release')
  child:wait_float('it can be asked further', function(float)
    return float.footer:find('ask further', 1, true) ~= nil
  end)
  _, about = ask_further(child, 'And then?')
  equal(about, 8)
  equal(child:float().title, ' Explain this ')
end))

test('a further question that is refused says why', with(LINES, function(child)
  say(child, DONE)
  wait_answer(child, 'It adds.')
  ask_further(child, 'Why?')
  child:tell('test/release', { applied = false, reason = 'this file is excluded' })
  equal(wait_answer(child, 'It adds.\n\n## Why?\n\n(this file is excluded)').footer, ' q close ')
end))

test('a question without words is not asked', with(LINES, function(child)
  say(child, DONE)
  wait_answer(child, 'It adds.')
  child:press('f')
  child:wait_screen('Ask further:')
  child:press('  <CR>')
  child:press('f')
  child:wait_screen('Ask further:')
  child:press('<Esc>')
  child:press('q')
  child:wait_no_float()
  equal(#questions(child), 0)
end))

test('nothing is asked further while it is written, or without an answer', with(LINES, function(child)
  say(child, { id = 7, delta = 'It ' })
  wait_answer(child, 'It ')
  child:press('f')
  say(child, { id = 7, done = true, text = 'It', reason = 'the model failed' })
  equal(wait_answer(child, 'It\n\n(the model failed)').footer, ' m  q close ')
  child:press('f')
  child:press('q')
  child:wait_no_float()
  equal(#questions(child), 0)
end))

test('closing the window ends its question and no other', with(LINES, function(child)
  ask(child, 'Explain this')
  ask(child, 'Fix that')
  child:wait('both are asked', function()
    return #child:received('workspace/executeCommand') == 2
  end)
  local explain = child:received('workspace/executeCommand')[1]
  say(child, { id = 7, delta = 'It ' })
  wait_answer(child, 'It ')
  child:press('q')
  cancelled(child, explain.id)
  equal(#child:received('$/cancelRequest'), 1)
  -- What the server says before it knows.
  say(child, { id = 7, delta = 'adds' })
  say(child, { id = 7, done = true, reason = 'cancelled' })
  child:received('initialize')
  equal(child:float(), nil)
end))

test('closing the window ends a further question', with(LINES, function(child)
  say(child, DONE)
  wait_answer(child, 'It adds.')
  local request = ask_further(child, 'Why?')
  child:press('q')
  cancelled(child, request)
  say(child, { id = 8, follows = 7, title = 'Why?', delta = 'Because' })
  child:received('initialize')
  equal(child:float(), nil)
end))

test('an answer that comes while a person types leaves the cursor', with(LINES, function(child)
  child:press('GA')
  child:wait('it inserts', function()
    return child:lua('return vim.api.nvim_get_mode().mode') == 'i'
  end)
  say(child, DONE)
  equal(wait_answer(child, 'It adds.').current, false)
  child:press('q')
  wait_text(child, vim.list_extend(vim.list_slice(LINES, 1, 6), { 'x = 1q' }))
end))

test('an action is asked for with the problems of its line, whoever reports them', with({ 's = "😀" + x', 'y' }, function(child)
  child:lua([[
    local function problem(line, column, message)
      return { lnum = line, col = column, end_col = column + 1, message = message, severity = 2, source = 'lint' }
    end
    local namespace = vim.api.nvim_create_namespace('lint')
    vim.diagnostic.set(namespace, 0, { problem(0, 13, 'x is not defined'), problem(1, 0, 'y is not defined') })
    vim.lsp.buf.code_action()
  ]])
  child:wait('the server is asked', function()
    return #child:received('textDocument/codeAction') == 1
  end)
  equal(child:received('textDocument/codeAction')[1].params.context.diagnostics, {
    {
      range = { start = { line = 0, character = 11 }, ['end'] = { line = 0, character = 12 } },
      message = 'x is not defined',
      severity = 2,
      source = 'lint',
    },
  })
end))

--- The arguments of the command the server is asked to run.
local function asked(child)
  local command
  child:wait('the server is asked', function()
    command = child:received('workspace/executeCommand')[1]
    return command ~= nil
  end)
  return command.params.command, command.params.arguments[1], command.id
end

--- An action of the server that does what `name` says.
local function action(name, title)
  local arguments = { { action = name, title = title, uri = 'file:///x' } }
  return { title = title, command = { title = title, command = 'phi-ls.ask', arguments = arguments } }
end

local ACTIONS = {
  action('explainProblem', 'Explain this problem'),
  action('explainCode', 'Explain this function'),
  action('refactor', 'Refactor this function'),
  action('document', 'Document this function'),
  { title = 'Write tests for this function', disabled = { reason = 'this file is excluded from prompts' } },
}

for verb, title in vim.spairs({
  explain = 'Explain this function',
  refactor = 'Refactor this function',
  document = 'Document this function',
}) do
  test(('`:PhiLs %s` asks what the menu would'):format(verb), with(LINES, function(child)
    child:press((':3,4PhiLs %s<CR>'):format(verb))
    local command, question = asked(child)
    equal({ command, question.title }, { 'phi-ls.ask', title })
    local range = child:received('textDocument/codeAction')[1].params.range
    equal(range, { start = { line = 2, character = 0 }, ['end'] = { line = 3, character = 23 } })
  end, { actions = ACTIONS }))
end

test('a verb that nothing is offered for says so', with(LINES, function(child)
  child:press(':PhiLs fix<CR>')
  child:wait_screen('phi-ls: fix: there is no problem here to fix')
  child:press(':PhiLs disable<CR>:PhiLs explain<CR>')
  child:wait_screen('phi-ls: explain: completions are off')
  equal(#child:received('workspace/executeCommand'), 0)
end))

test('a verb that the server refuses says why', with(LINES, function(child)
  child:press(':PhiLs tests<CR>')
  child:wait_screen('phi-ls: tests: this file is excluded from prompts')
  equal(#child:received('workspace/executeCommand'), 0)
end, { actions = vim.list_slice(ACTIONS, 5) }))

test('an edit in a person\'s words is of the lines before the command', with({ 'a = "😀"', 'b = 2', 'c = 3' }, function(child)
  child:press(':1,2PhiLs edit use  single quotes<CR>')
  local command, question = asked(child)
  equal(command, 'phi-ls.ask')
  equal(question, {
    uri = child:lua('return vim.uri_from_bufnr(0)'),
    action = 'refactor',
    title = 'Edit: use single quotes',
    instruction = 'use single quotes',
    exact = true,
    range = { start = { line = 0, character = 0 }, ['end'] = { line = 1, character = 5 } },
  })
end))

test('without words a line is there to type them, and the item around the cursor is meant', with(LINES, function(child)
  child:press('4G6l:PhiLs edit<CR>')
  child:wait_screen('Edit:')
  child:press('add all of them<CR>')
  local _, question = asked(child)
  equal(question.instruction, 'add all of them')
  equal(question.exact, false)
  equal(question.range, { start = { line = 3, character = 6 }, ['end'] = { line = 3, character = 6 } })
end))

test('an edit without any words is not asked for', with(LINES, function(child)
  child:press(':PhiLs edit<CR>')
  child:wait_screen('Edit:')
  child:press('  <CR>')
  child:press(':PhiLs edit<CR>')
  child:wait_screen('Edit:')
  child:press('<Esc>')
  child:wait('it is back', function()
    return child:lua('return vim.api.nvim_get_mode().mode') == 'n'
  end)
  equal(#child:received('workspace/executeCommand'), 0)
end))

-- As git leaves it.
local MESSAGE_FILE = { name = 'COMMIT_EDITMSG' }
local MESSAGE_LINES = { '', '# Please enter the commit message for your changes.' }

local function wait_message(child, expected)
  child:wait('the message is there', function()
    return child:text() == expected
  end)
end

test('the message of a commit goes to the top of git\'s buffer, in one step of undo', with(MESSAGE_LINES, function(child)
  child:press(':PhiLs commit<CR>')
  local command, question = asked(child)
  equal(command, 'phi-ls.commitMessage')
  equal(question, { uri = child:lua('return vim.uri_from_bufnr(0)') })
  child:wait_screen('phi-ls: writing the commit message')
  child:tell('test/release', { applied = false, text = 'Add a mean\n\nIt divides.' })
  wait_message(child, 'Add a mean\n\nIt divides.\n\n' .. MESSAGE_LINES[2])
  child:press('u')
  wait_message(child, table.concat(MESSAGE_LINES, '\n'))
end, MESSAGE_FILE))

test('what is in git\'s buffer already stays, and no answer changes nothing', with({ 'Mine', '# Please' }, function(child)
  child:press(':PhiLs commit<CR>')
  asked(child)
  child:tell('test/release', { applied = false, reason = 'nothing is staged' })
  child:press(':PhiLs commit<CR>')
  child:wait('it is asked again', function()
    return #child:received('workspace/executeCommand') == 2
  end)
  equal(child:text(), 'Mine\n# Please')
  child:tell('test/release', { applied = false, text = 'Add a mean' })
  wait_message(child, 'Add a mean\n\nMine\n# Please')
end, MESSAGE_FILE))

test('a message for a buffer that is gone is not written', with(MESSAGE_LINES, function(child)
  child:press(':PhiLs commit<CR>')
  local _, _, request = asked(child)
  child:press(':enew<CR>:bwipeout! #<CR>')
  cancelled(child, request)
end, MESSAGE_FILE))

test('elsewhere there is no message to write', with(LINES, function(child)
  child:press(':PhiLs commit<CR>')
  child:wait_screen('phi-ls: commit: expected the buffer that git commit opens')
  child:press(':2PhiLs status<CR>')
  child:wait_screen('phi-ls: status: expected no range of lines')
end))

test('a long message makes nobody press a key', with(LINES, function(child)
  local message = 'phi-ls: Fix this problem: ' .. ('nothing was changed '):rep(6)
  child:tell('test/send', { method = 'window/showMessage', params = { type = 2, message = message .. '\nsecond line' } })
  child:wait_screen('phi-ls: Fix this problem: nothing was changed nothing was changed n…')
  equal(child:call('nvim_get_mode').blocking, false)
  local status = child:lua('return vim.fn.execute("PhiLs status")')
  assert(status:find(message .. '\nsecond line', 1, true), status)
end))

harness.run(tests)
