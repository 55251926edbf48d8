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

local function start()
  local child = harness.start({
    cmd = { vim.env.PHI_LS_BIN },
    settings = { completion = { model = 'starter', timeBudgetMs = 60000 } },
    ui = 'extmarks',
  }, { name = FILE, lines = LINES })
  child:lua('vim.bo.autoindent, vim.bo.indentexpr = false, ""')
  child:wait('the model is loaded', function()
    return child:lua('return require("phi-ls.client").status.state') == 'ready'
  end)
  return child
end

--- A child where `TYPED` was typed at the end and ghost text is shown, and that text.
local function with_ghost(body)
  return function()
    local child = start()
    local ok, err = xpcall(function()
      child:press('GA' .. TYPED)
      child:wait('ghost text is shown', function()
        return child:text():sub(-#TYPED) == TYPED and child:ghost() ~= ''
      end)
      body(child, child:ghost())
    end, debug.traceback)
    child:quit()
    assert(ok, err)
  end
end

--- The buffer's text with `addition` after what was typed.
local function text_with(addition)
  local lines = vim.list_slice(LINES)
  lines[#lines] = TYPED .. addition
  return table.concat(lines, '\n')
end

local tests = {}
local function test(name, body)
  tests[#tests + 1] = { name, body }
end

test('ghost text is what the model says, on the screen and not in the buffer', with_ghost(function(child, ghost)
  child:wait_screen(TYPED .. vim.split(ghost, '\n')[1])
  equal(child:text(), text_with(''))
  -- The same place asked on the command line, without an editor: greedy decoding gives the same text.
  local copy = child.folder .. '/copy.py'
  vim.fn.writefile(vim.split(text_with(''), '\n'), copy)
  local place = ('%s:%d:%d'):format(copy, #LINES, #TYPED + 1)
  local done = vim.system({ vim.env.PHI_LS_BIN, 'complete', '--model', 'starter', '--json', place }, { text = true }):wait()
  equal(done.code, 0, done.stderr)
  equal(vim.json.decode(done.stdout).text, ghost)
end))

test('Tab puts exactly the ghost text into the buffer, u takes it back', with_ghost(function(child, ghost)
  child:press('<Tab>')
  child:wait('the ghost text is in the buffer', function()
    return child:text() == text_with(ghost)
  end)
  child:press('<Esc>u')
  child:wait('it is gone again', function()
    return child:text() == text_with('')
  end)
end))

test('dismiss removes the ghost text and leaves the buffer', with_ghost(function(child)
  child:press('<C-]>')
  child:wait_ghost('')
  equal(child:text(), text_with(''))
end))

test('typing along keeps the rest of the ghost text', with_ghost(function(child, ghost)
  child:type(ghost:sub(1, 3))
  equal(child:ghost(), ghost:sub(4))
  equal(child:text(), text_with(ghost:sub(1, 3)))
end))

test('one word, then the rest', with_ghost(function(child, ghost)
  child:press('<M-Right>')
  child:wait('a part is in the buffer', function()
    return #child:text() > #text_with('')
  end)
  local part = child:text():sub(#text_with('') + 1)
  assert(#part < #ghost, ghost)
  equal(part .. child:ghost(), ghost)
  child:press('<Tab>')
  child:wait('all of it is in the buffer', function()
    return child:text() == text_with(ghost)
  end)
end))

harness.run(tests)
