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

local function start(lines)
  local child = harness.start({
    cmd = { vim.env.PHI_LS_BIN },
    settings = {
      completion = { model = 'starter', timeBudgetMs = 60000 },
      assistant = { model = 'starter', maxTokens = 32 },
    },
    ui = 'extmarks',
  }, { name = FILE, lines = lines })
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

--- Opens `lines`, presses `keys`, waits for ghost text after `TYPED`, and runs `body` with the child and that text.
local function with_ghost(lines, keys, body)
  return function()
    local child = start(lines)
    local ok, err = xpcall(function()
      child:press(keys)
      child:wait('ghost text is shown', function()
        return child:text() == text_with(TYPED) and child:ghost() ~= ''
      end)
      body(child, child:ghost())
    end, debug.traceback)
    child:quit()
    assert(ok, err)
  end
end

local function typed_with_ghost(body)
  return with_ghost(LINES, 'GA' .. TYPED, body)
end

local tests = {}
local function test(name, body)
  tests[#tests + 1] = { name, body }
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

test('an explanation grows in a window that q closes', function()
  local child = start(LINES)
  local ok, err = xpcall(function()
    child:lua([[
      vim.api.nvim_win_set_cursor(0, { 9, 10 })
      vim.lsp.buf.code_action({
        apply = true,
        filter = function(action) return action.title == 'Explain this method' end,
      })
    ]])
    child:wait('the answer is shown', function()
      return child:lua('return #vim.api.nvim_list_wins()') == 2 and #child:text() > 20
    end)
    child:press('q')
    child:wait('the window is closed', function()
      return child:lua('return #vim.api.nvim_list_wins()') == 1
    end)
    equal(child:text(), table.concat(LINES, '\n'), 'the document')
  end, debug.traceback)
  child:quit()
  assert(ok, err)
end)

harness.run(tests)
